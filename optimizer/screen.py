"""What the command line shows: progress while it works, tables when it is done."""

from __future__ import annotations

import inspect
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tomli_w
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from geodata.presets import presets
from optimizer.files import percent
from optimizer.indices import index_rows
from optimizer.laws import MEASURES
from optimizer.rules import Check, Rule, rule_kinds
from optimizer.rulesets import MEANING, rulesets
from optimizer.solving import Progress, Report
from optimizer.study import INTERNAL

if TYPE_CHECKING:
    from geodata.detect import Proposal
    from geodata.presets import Preset
    from geodata.repairs import Finding
    from optimizer.audit import Audit
    from optimizer.compare import Comparison
    from optimizer.district import District
    from optimizer.front import Front
    from optimizer.price import Prices
    from optimizer.proposed import Today

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
            f"{p.job}: {p.phase}" if p.job else p.phase,
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
        told: dict[str, Progress] = {}

        def line(p: Progress) -> None:
            last = told.get(p.job)
            news = last is None or p.phase != last.phase or p.incumbent != last.incumbent
            if last is None or news or p.seconds - last.seconds >= LINE_EVERY:
                told[p.job] = p
                console.print(
                    f"{p.job + '  ' if p.job else ''}{p.seconds:7.1f} s  {p.phase:<24}  best {_score(p.incumbent):>8}  bound {_score(p.bound):>8}  "
                    f"gap {_percent(p.gap):>8}  left {p.left:.0f} s",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )

        yield line


@contextmanager
def doing(console: Console, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Give what says a sentence while the block runs: the last one on a terminal, lines elsewhere, nothing when quiet."""
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with console.status("") as status:
            yield lambda sentence: status.update(Text(sentence))
    else:
        yield lambda sentence: console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _holds(c: Check) -> str:
    if c.satisfied:
        return "yes"
    if c.price is None:
        return f"NO, at {len(c.broken)}"
    return f"missed by {c.missed:,.4g} {c.missed_unit}, costs {c.cost:.4f}"


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
    trivial = ", by the weights alone: there was no time to prove more" if result.get("bound_is_trivial") else ""
    console.print(
        f"Score {result['objective']:.5f}; no plan can exceed {result['bound']:.5f}{trivial}; gap {percent(result['gap'])} "
        f"({result['status']}, {result['seconds']:.1f} s, {result['solver']})",
        highlight=False,
    )
    console.print(indices({"today": result["existing"], "plan": result["indices"]}, "Today and planned"))
    console.print(scoreboard(result["existing"], result["indices"]))


def indices(states: Mapping[str, dict[str, Any]], title: str) -> Table:
    """Return a table of the indices of some states of a district, a column each."""
    table = Table("index", "unit", title=title, title_justify="left")
    for name in states:
        table.add_column(Text(name), justify="right")
    for label, unit, style, values in index_rows(list(states.values())):
        table.add_row(Text(label), unit, *(format(value, style) for value in values))
    return table


def compared(console: Console, found: Comparison) -> None:
    """Print the indices of plans side by side, which uses moved, and what the gaps leave open."""
    console.print(indices({plan.name: plan.result["indices"] for plan in found.plans}, "Plans"))
    table = Table("plan", "use", title=f"Floor area against {found.plans[0].name}, m²", title_justify="left")
    for heading in ("before", "after", "gained", "lost"):
        table.add_column(heading, justify="right")
    for row in found.moves.itertuples():
        table.add_row(Text(row.plan), Text(row.use), *(f"{value:,.0f}" for value in row[3:]))
    console.print(table)
    for plan in found.plans[1:]:
        count = int((found.changes["plan"] == plan.name).sum())
        console.print(f"{count:,} parcels differ between {found.plans[0].name} and {plan.name}.", highlight=False)
    notes(console, found.sentences)


def prices(console: Console, found: Prices) -> None:
    """Print what each change of a rule is worth, and what the gaps leave open."""
    base = found.base
    console.print(
        f"The best plan of the study scores {base.low:.5f} to {base.high:.5f}. Scores of all studies are divided by the same "
        "floor area.",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("rule", "change", title="What each rule is worth, in score", title_justify="left")
    for heading in ("difference", "by duals"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("that is")
    for item in found.prices:
        known = np.isfinite(item.least)
        table.add_row(
            Text(item.change.rule),
            item.change.kind,
            f"{item.least:+.5f} to {item.most:+.5f}" if known else "",
            "" if item.marginal is None else f"{item.marginal:+.5f}",
            item.verdict,
        )
    console.print(table)
    notes(
        console,
        [
            "A step is a tenth of every number of a rule, 1 dB of a level; the table in the folder says which became what.",
            "Differences lie within their ranges, which the gaps of both solves leave; a smaller --gap narrows them.",
            "By duals: the same step priced by the relaxation, in which floors come in fractions; no proof of a difference.",
            "Indices in the table are of the plans found; other plans as good may have others.",
            *(["Stopped by Ctrl-C; changes that are missing were not solved."] if found.interrupted else []),
        ],
    )


def front(console: Console, found: Front) -> None:
    """Print the points of a front with their proofs, and what is not known."""
    table = Table("point", title="Plans that no other found plan beats", title_justify="left")
    for axis in found.axes:
        table.add_column(Text(f"{axis.name}{', ' + axis.unit if axis.unit != axis.name else ''}"), justify="right")
    table.add_column("at best", justify="right")
    table.add_column("gap", justify="right")
    for number, point in enumerate(found.points, 1):
        main = point.main
        share = point.shares[main]
        cells = [found.told(k, value) for k, value in enumerate(point.shares)]
        gap = f"{(point.bound - share) / share:.2%}" if share > 0 else "unknown"
        best = f"{found.axes[main].name} {found.told(main, point.bound)}"
        table.add_row(f"{number}{' knee' if number - 1 == found.knee else ''}", *cells, best, gap)
    console.print(table)
    notes(console, found.sentences)


def ranking(console: Console, ranked: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Print rule sets from the best on, and how they differ from the baseline."""
    table = Table("rule set", title="Rule sets", title_justify="left")
    for heading in ("cells", "with a plan", "score", "rank", "against the baseline"):
        table.add_column(heading, justify="right")
    known = {row.ruleset: row for row in effects.itertuples()}
    for row in ranked.itertuples():
        effect = known.get(row.ruleset)
        ranked_at = "" if np.isnan(row.rank_best_mean) else f"{row.rank_best_mean:.1f} to {row.rank_worst_mean:.1f}"
        table.add_row(
            Text(row.ruleset),
            f"{row.cells}",
            f"{row.with_a_plan}",
            "" if np.isnan(row.score_mean) else f"{row.score_mean:.4f}",
            ranked_at,
            "" if effect is None else f"{effect.least_share:+.2%} to {effect.most_share:+.2%}",
        )
    console.print(table)
    notes(
        console,
        [
            "Ranks and differences are ranges that the gaps leave, means over cells that differ by their rule set alone.",
            *(
                ["Cells without a plan are rows of the table, with the reason."]
                if (ranked["cells"] > ranked["with_a_plan"]).any()
                else []
            ),
        ],
    )


def scoreboard(before: dict[str, Any], after: dict[str, Any]) -> Table:
    """Return the four laws today and in the plan, each with what it says."""
    table = Table(title="Four laws", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("measure", no_wrap=True)
    for heading in ("today", "plan"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("what it says")
    last = ""
    for m in MEASURES:
        if m.law != last:
            table.add_row(Text(m.law.replace("_", " "), style="bold"))
            last = m.law
        old, new = (group["laws"][m.law][m.key] for group in (before, after))
        table.add_row(f"  {m.label}", format(old, m.style), format(new, m.style), m.unit, Text(m.sentence))
    return table


def notes(console: Console, said: Sequence[str]) -> None:
    """Print what there is to know of how limits at receptors were written down, each sentence once."""
    for sentence in dict.fromkeys(said):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def illustrative(console: Console, said: Sequence[str]) -> None:
    """Print which numbers nobody confirmed."""
    if said:
        console.print(
            f"Illustrative, confirmed by nobody: {'; '.join(said)}.", markup=False, highlight=False, soft_wrap=True
        )


def families(console: Console) -> None:
    """Print every rule family with its sentence."""
    table = Table("rule", "what it asks", title="Rule families", title_justify="left")
    for kind, family in rule_kinds().items():
        table.add_row(kind, Text(_paragraphs(family)[0]))
    console.print(table)
    console.print("upstairs rules NAME prints a family's inequality, keys, an example and sources.", highlight=False)


def family(console: Console, kind: str) -> None:
    """Print a rule family: sentence, inequality, keys, an example that runs, sources."""
    found = rule_kinds()[kind]
    sentence, *rest = _paragraphs(found)
    console.print(f"{kind}: {sentence}", style="bold", markup=False, highlight=False)
    for paragraph in rest:
        console.print(f"\n{paragraph}", markup=False, highlight=False)
    table = Table("key", "default", "what it is", title="Keys", title_justify="left")
    for name, item in found.model_fields.items():
        if name not in INTERNAL:
            default = "required" if item.is_required() else json.dumps(item.get_default(call_default_factory=True))
            table.add_row(name, Text("none" if default == "null" else default), Text(item.description or ""))
    console.print()
    console.print(table)
    if found.example:
        console.print("Example, for any study with the shipped uses (upstairs new DIR --synthetic 40 makes one):\n")
        console.print(f"[[rules]]\n{found.example}\n", markup=False, highlight=False, soft_wrap=True)


def _paragraphs(family: type[Rule]) -> list[str]:
    """Return the paragraphs of a family's docstring, each on one line; what is set in stays as written."""
    parts = (inspect.getdoc(family) or "").split("\n\n")
    return [part if part.startswith(" ") else " ".join(part.split()) for part in parts]


def ruleset_list(console: Console) -> None:
    """Print every rule set with its sentence."""
    table = Table("rule set", "what it is", "numbers", title="Rule sets", title_justify="left")
    for name, found in rulesets().items():
        count = {s: sum(n.status == s for n in found.numbers.values()) for s in MEANING}
        told = ", ".join(f"{k} {status}" for status, k in count.items() if k)
        table.add_row(name, Text(f"{found.title}. {found.summary} {found.caution}".strip()), told)
    console.print(table)
    _statuses(console)


def ruleset(console: Console, name: str) -> None:
    """Print a rule set: its rules, and each number with source and status."""
    found = rulesets()[name]
    console.print(f"{name}: {found.title}", style="bold", markup=False, highlight=False)
    console.print(found.summary, markup=False, highlight=False)
    if found.caution:
        console.print(f"Caution: {found.caution}", style="yellow", markup=False, highlight=False)
    console.print("\nNumbers:", highlight=False)
    for key, n in found.numbers.items():
        status = "M, illustrative" if n.illustrative else n.status
        console.print(f"  {key} = {n.value:,g} {n.unit} [{status}]: {n.meaning}", markup=False, highlight=False)
        console.print(f"      {n.source}", markup=False, highlight=False, soft_wrap=True, style="dim")
    _statuses(console)
    for title, items in (
        ("Uses that a study may map to its own (roles)", found.roles.items()),
        ("Places that a study may set (places)", ((k, f"{p.where}   {p.meaning}") for k, p in found.places.items())),
    ):
        if items:
            console.print(f"\n{title}:", highlight=False)
            for key, text in items:
                console.print(f"  {key} = {text}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nRules:", highlight=False)
    console.print(tomli_w.dumps({"rules": found.rules}), markup=False, highlight=False, soft_wrap=True)
    console.print(f'In a study:\n\n[[rulesets]]\nname = "{name}"\n', markup=False, highlight=False)


def preset_list(console: Console) -> None:
    """Print every preset with its publisher."""
    table = Table("preset", "data", "publisher", title="Presets of parcel data", title_justify="left")
    for name, found in presets().items():
        table.add_row(name, Text(found.title), Text(found.publisher))
    console.print(table)
    console.print(
        "upstairs presets NAME shows one; upstairs new DIR --from FILE finds the one that fits.", highlight=False
    )


def preset(console: Console, found: Preset) -> None:
    """Print a preset: source, notes, and what a study takes from it."""
    console.print(f"{found.name}: {found.title}", style="bold", markup=False, highlight=False)
    published = f"published in {found.published_crs}" if found.published_crs else ""
    for line in (found.publisher, found.source, found.licence, published):
        if line:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("\nKnow that:", highlight=False)
    notes(console, [f"  {note}" for note in found.notes])
    one = f" and one of {', '.join(found.detect['any'])}" if "any" in found.detect else ""
    console.print(f"\nRecognised by: {', '.join(found.detect['all'])}{one}", markup=False, highlight=False)
    console.print("\nIt stands for:\n", highlight=False)
    console.print(tomli_w.dumps({"parcels": found.parcels}), markup=False, highlight=False, soft_wrap=True)
    if found.optional:
        console.print("And, where the data have these columns:\n", highlight=False)
        console.print(tomli_w.dumps({"parcels": found.optional}), markup=False, highlight=False, soft_wrap=True)
    console.print(
        f'In a study, which may say any of this otherwise:\n\n[parcels]\nfile = "..."\npreset = "{found.name}"\n',
        markup=False,
        highlight=False,
    )


def proposal(console: Console, found: Proposal, stands: Today) -> None:
    """Print what a file of parcels seems to hold, with confidence and reason."""
    title = f"{found.file.name}: {found.features:,} features, {found.land / 10_000:,.1f} ha"
    table = Table("parcels.", "is", "confidence", "because", title=Text(title), title_justify="left")
    styles = {"sure": "green", "likely": "yellow", "guess": "red"}
    for guess in found.guesses:
        told = ", ".join(guess.value) if isinstance(guess.value, list) else str(guess.value or "")
        told = told if len(told) < 60 else f"{told[:56].rsplit(',', 1)[0]}, ... ({len(guess.value)})"
        table.add_row(guess.key, Text(told), Text(guess.confidence, styles[guess.confidence]), Text(guess.reason))
    console.print(table)
    if found.preset:
        console.print(
            f"Preset: {found.preset.name}, {found.preset.title}", markup=False, highlight=False, soft_wrap=True
        )
        notes(console, [f"  {note}" for note in found.preset.notes])
    else:
        console.print("No preset fits; upstairs presets lists them.", highlight=False)
    if any(guess.confidence == "guess" for guess in found.guesses):
        console.print("Guesses are commented out in the study.", highlight=False)
    if stands.fault:
        console.print(f"Read so, it fails: {stands.fault}", style="red", markup=False, highlight=False, soft_wrap=True)
    else:
        console.print(f"Read so, {stands.floor_area:,.0f} m² of floor stand there today.", highlight=False)


def _statuses(console: Console) -> None:
    for status, meaning in MEANING.items():
        if status != "own":
            console.print(f"  {status}  {meaning}", markup=False, highlight=False)


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
            Text(f"{c.name} (illustrative)" if c.illustrative else c.name),
            Text(c.scope),
            f"{c.value:,.4g}" if abs(c.value) < 1000 else f"{c.value:,.0f}",
            f"{sign} {c.limit:,.4g}" if abs(c.limit) < 1000 else f"{sign} {c.limit:,.0f}",
            c.unit,
            f"{c.places:,}",
            _holds(c),
        )
    console.print(table)
