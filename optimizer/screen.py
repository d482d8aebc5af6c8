"""What the command line shows: progress while it works, tables when it is done."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from optimizer.files import percent
from optimizer.solving import Progress, Report

if TYPE_CHECKING:
    from geodata.repairs import Finding
    from optimizer.audit import Audit
    from optimizer.district import District

LINE_EVERY = 5.0
"""Seconds between plain lines while nothing but time moves on."""


def _score(value: float) -> str:
    return f"{value:.5f}" if math.isfinite(value) else "none yet"


def _percent(value: float) -> str:
    return f"{value:.2%}" if math.isfinite(value) else "none yet"


class _Board:
    """The latest progress as a table that counts time by itself."""

    def __init__(self) -> None:
        self.last: Progress | None = None
        self.at = time.monotonic()

    def tell(self, progress: Progress) -> None:
        self.last, self.at = progress, time.monotonic()

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for heading in ("doing", "best plan", "bound", "gap", "elapsed", "left"):
            table.add_column(heading, justify="left" if heading == "doing" else "right", no_wrap=True)
        if self.last is None:
            table.add_row("reading parcels")
            return table
        p, since = self.last, time.monotonic() - self.at
        table.add_row(*(Text(h, style="dim") for h in ("doing", "best plan", "bound", "gap", "elapsed", "left")))
        table.add_row(
            p.phase,
            _score(p.incumbent),
            _score(p.bound),
            _percent(p.gap),
            f"{p.seconds + since:.0f} s",
            f"{max(p.left - since, 0):.0f} s",
        )
        return table


@contextmanager
def progress(console: Console, quiet: bool) -> Iterator[Report | None]:
    """Show progress while the block runs: live on a terminal, plain lines elsewhere, nothing when quiet."""
    if quiet:
        yield None
    elif console.is_terminal:
        board = _Board()
        with Live(board, console=console, refresh_per_second=4, transient=True):
            yield board.tell
    else:
        last: list[Any] = [None, -math.inf, math.nan, math.nan]

        def line(p: Progress) -> None:
            news = p.phase != last[0] or p.incumbent != last[2]
            if news or p.seconds - last[1] >= LINE_EVERY:
                last[:] = [p.phase, p.seconds, p.incumbent, p.bound]
                console.print(
                    f"{p.seconds:7.1f} s  {p.phase:<24}  best {_score(p.incumbent):>8}  bound {_score(p.bound):>8}  "
                    f"gap {_percent(p.gap):>8}  left {p.left:.0f} s",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )

        yield line


def findings(console: Console, found: Sequence[Finding]) -> None:
    """Print what reading found and changed."""
    if not found:
        console.print("Nothing had to be repaired.")
        return
    table = Table("finding", "parcels", "what", "what was done", title="Found while reading", title_justify="left")
    for f in found:
        names = ", ".join(f.parcels[:4]) + (f" and {len(f.parcels) - 4} more" if len(f.parcels) > 4 else "")
        table.add_row(*(Text(part) for part in (f.kind, names or "all", f.message, f.action)))
    console.print(table)


def district(console: Console, d: District) -> None:
    """Print the size of a district."""
    table = Table("", "", show_header=False, title="District", title_justify="left")
    rows = [
        ("parcels", f"{len(d.parcels):,}"),
        ("of them built, protected", f"{int(d.built.sum()):,}, {int(d.parcels['protected'].sum()):,}"),
        ("building sites", f"{len(d.sites):,}"),
        ("site area", f"{d.site_area.sum():,.0f} m²"),
        *((f"floor area today, {use.label}", f"{d.existing[:, u].sum():,.0f} m²") for u, use in enumerate(d.uses)),
        ("floor area today, total", f"{d.existing.sum():,.0f} m²"),
        ("walking network", f"{len(d.network.xy):,} nodes, {d.network.length.sum():,.0f} m ({d.network.source})"),
        ("doors that reach nothing", f"{len(d.network.unreached):,}"),
    ]
    table.columns[1].justify = "right"
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    console.print(table)
    unreached = d.sites["site_id"].iloc[d.network.unreached].tolist()
    if unreached:
        console.print(f"No walk from: {', '.join(unreached[:12])}{' ...' if len(unreached) > 12 else ''}", markup=False)
    for line in d.network.findings:
        console.print(line, markup=False, highlight=False)


def summary(console: Console, result: dict[str, Any]) -> None:
    """Print score, indices before and after, and rules."""
    console.print(
        f"Score {result['objective']:.5f}; no plan can exceed {result['bound']:.5f}; gap {percent(result['gap'])} "
        f"({result['status']}, {result['seconds']:.1f} s, {result['solver']})",
        highlight=False,
    )
    console.print(indices(result["existing"], result["indices"]))


def indices(before: dict[str, Any], after: dict[str, Any]) -> Table:
    """Return a table of indices today and in the plan."""
    table = Table("index", "unit", title="Today and planned", title_justify="left")
    table.add_column("today", justify="right")
    table.add_column("plan", justify="right")

    def row(label: str, unit: str, *path: str, style: str) -> None:
        old, new = before, after
        for key in path:
            old, new = old[key], new[key]
        table.add_row(Text(label), unit, format(old, style), format(new, style))

    row("proximity", "0 to 1", "proximity", "index", style=".3f")
    for key, label in (
        ("same_building", "  demand met upstairs"),
        ("next_door", "  next door, up to 50 m"),
        ("within_400_m", "  50 to 400 m"),
        ("further", "  further"),
        ("unserved", "  not met"),
    ):
        row(label, "share", "proximity", "shares", key, style=".1%")
    for key in ("building", "block", "neighbourhood"):
        row(f"mixing by {key}", "0 to 1", "mixing", key, style=".3f")
    row("floor area", "m²", "density", "floor_area_m2", style=",.0f")
    for use in after["floor_area_m2"]:
        row(f"  {use}", "m²", "floor_area_m2", use, style=",.0f")
    row("floor area ratio", "m²/m²", "density", "far", style=".2f")
    row("jobs", "jobs", "density", "jobs", style=",.0f")
    row("homes", "homes", "density", "homes", style=",.0f")
    return table


def rules(console: Console, audit: Audit) -> None:
    """Print what every rule made of a plan, at the place where it binds most."""
    table = Table("rule", "where it binds most", title="Rules", title_justify="left")
    table.add_column("value", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("unit")
    table.add_column("places", justify="right")
    table.add_column("holds")
    for c in audit.checks:
        sign = "at most" if c.sense == "<=" else "at least"
        table.add_row(
            Text(c.name),
            Text(c.scope),
            f"{c.value:,.4g}" if abs(c.value) < 1000 else f"{c.value:,.0f}",
            f"{sign} {c.limit:,.4g}" if abs(c.limit) < 1000 else f"{sign} {c.limit:,.0f}",
            c.unit,
            f"{c.places:,}",
            "yes" if c.satisfied else f"NO, at {len(c.broken)}",
        )
    console.print(table)
