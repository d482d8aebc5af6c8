"""What the command line shows: progress while it works, tables when it is done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from geodata.language import ENGLISH, Language
from optimizer.files import percent
from optimizer.indices import index_rows
from optimizer.laws import MEASURES
from optimizer.rules import Check
from optimizer.solving import Progress, Report

if TYPE_CHECKING:
    from geodata.detect import Proposal
    from geodata.repairs import Finding
    from optimizer.audit import Audit
    from optimizer.compare import Comparison
    from optimizer.district import District
    from optimizer.front import Front
    from optimizer.price import Prices
    from optimizer.proposed import Today
    from optimizer.study import Study

LINE_EVERY = 5.0
"""Seconds between plain lines while nothing but time moves on."""


def _score(value: float, words: Language) -> str:
    return f"{value:.5f}" if math.isfinite(value) else words("none yet")


def _percent(value: float, words: Language) -> str:
    return f"{value:.2%}" if math.isfinite(value) else words("none yet")


class _Board:
    """The latest progress as a table that counts time by itself."""

    def __init__(self, words: Language) -> None:
        self.words = words
        self.last: Progress | None = None
        self.at = time.monotonic()

    def tell(self, progress: Progress) -> None:
        self.last, self.at = progress, time.monotonic()

    def __rich__(self) -> Table:
        words = self.words
        headings = (words("doing"), words("best plan"), words("bound"), words("gap"), words("elapsed"), words("left"))
        table = Table.grid(padding=(0, 2))
        for number, heading in enumerate(headings):
            table.add_column(heading, justify="right" if number else "left", no_wrap=True)
        if self.last is None:
            table.add_row(words("reading parcels"))
            return table
        p, since = self.last, time.monotonic() - self.at
        table.add_row(*(Text(heading, style="dim") for heading in headings))
        table.add_row(
            f"{p.job}: {words(p.phase)}" if p.job else words(p.phase),
            _score(p.incumbent, words),
            _score(p.bound, words),
            _percent(p.gap, words),
            f"{p.seconds + since:.0f} s",
            f"{max(p.left - since, 0):.0f} s",
        )
        return table


@contextmanager
def progress(console: Console, quiet: bool, words: Language = ENGLISH) -> Iterator[Report | None]:
    """Show progress while the block runs: live on a terminal, plain lines elsewhere, nothing when quiet."""
    if quiet:
        yield None
    elif console.is_terminal:
        board = _Board(words)
        with Live(board, console=console, refresh_per_second=4, transient=True):
            yield board.tell
    else:
        told: dict[str, Progress] = {}

        def line(p: Progress) -> None:
            last = told.get(p.job)
            news = last is None or p.phase != last.phase or p.incumbent != last.incumbent
            if last is None or news or p.seconds - last.seconds >= LINE_EVERY:
                told[p.job] = p
                phase = words(p.phase)
                console.print(
                    f"{p.job + '  ' if p.job else ''}{p.seconds:7.1f} s  {phase}{' ' * (24 - cell_len(phase))}  "
                    f"{words('best')} {_score(p.incumbent, words):>8}  {words('bound')} {_score(p.bound, words):>8}  "
                    f"{words('gap')} {_percent(p.gap, words):>8}  {words('left')} {p.left:.0f} s",
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


def _holds(c: Check, words: Language) -> str:
    if c.satisfied:
        return words("yes")
    if c.price is None:
        return words("NO, at {n}", n=len(c.broken))
    return words("missed by {n} {unit}, costs {cost}", n=f"{c.missed:,.4g}", unit=c.missed_unit, cost=f"{c.cost:.4f}")


def _whole(table: Table) -> Table:
    """Return a table none of whose cells is cut short: what has no spaces, ids and Chinese, goes on in the next line."""
    for column in table.columns:
        column.overflow = "fold"
    return table


def findings(console: Console, found: Sequence[Finding], words: Language = ENGLISH) -> None:
    """Print what reading found and changed."""
    if not found:
        console.print(words("Nothing had to be repaired."))
        return
    heads = words("finding"), words("parcels"), words("what"), words("what was done")
    table = Table(*heads, title=words("Found while reading"), title_justify="left")
    for f in found:
        names = ", ".join(f.parcels[:4])
        if len(f.parcels) > 4:
            names = words("{names} and {n} more", names=names, n=len(f.parcels) - 4)
        table.add_row(*(Text(part) for part in (f.kind, names or words("all"), f.message, f.action)))
    console.print(_whole(table))


def district(console: Console, d: District, words: Language = ENGLISH) -> None:
    """Print the size of a district."""
    table = Table("", "", show_header=False, title=words("District"), title_justify="left")
    nodes, length = f"{len(d.network.xy):,}", f"{d.network.length.sum():,.0f}"
    rows = [
        (words("parcels"), f"{len(d.parcels):,}"),
        (words("of them built, protected"), f"{int(d.built.sum()):,}, {int(d.parcels['protected'].sum()):,}"),
        (words("building sites"), f"{len(d.sites):,}"),
        (words("site area"), f"{d.site_area.sum():,.0f} m²"),
        *(
            (words("floor area today, {use}", use=words(use.label)), f"{d.existing[:, u].sum():,.0f} m²")
            for u, use in enumerate(d.uses)
        ),
        (words("floor area today, total"), f"{d.existing.sum():,.0f} m²"),
        (words("walking network"), words("{n} nodes, {m} m ({source})", n=nodes, m=length, source=d.network.source)),
        (words("doors that reach nothing"), f"{len(d.network.unreached):,}"),
    ]
    table.columns[1].justify = "right"
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    console.print(_whole(table))
    unreached = d.sites["site_id"].iloc[d.network.unreached].tolist()
    if unreached:
        named = f"{', '.join(unreached[:12])}{' ...' if len(unreached) > 12 else ''}"
        console.print(words("No walk from: {names}", names=named), markup=False)
    for line in d.network.findings:
        console.print(line, markup=False, highlight=False)


def summary(console: Console, study: Study, result: dict[str, Any], words: Language = ENGLISH) -> None:
    """Print the score, and indices and the four laws before and after."""
    bound = f"{result['bound']:.5f}"
    if result.get("bound_is_trivial"):
        bound = words("{bound}, by the weights alone: there was no time to prove more", bound=bound)
    console.print(
        words(
            "Score {score}; no plan can exceed {bound}; gap {gap} ({status}, {seconds} s, {solver})",
            score=f"{result['objective']:.5f}",
            bound=bound,
            gap=percent(result["gap"]) if result["gap"] is not None else words("unknown"),
            status=words(result["status"]),
            seconds=f"{result['seconds']:.1f}",
            solver=result["solver"],
        ),
        highlight=False,
    )
    today_and_plan(console, [study], result["existing"], result["indices"], words)
    console.print(scoreboard(result["existing"], result["indices"], words))


def today_and_plan(
    console: Console,
    studies: Sequence[Study],
    today: dict[str, Any],
    plan: dict[str, Any],
    words: Language = ENGLISH,
) -> None:
    """Print the indices of a district before and after."""
    states = {words("today"): today, words("plan"): plan}
    console.print(indices(states, studies, words("Today and planned"), words))


def indices(
    states: Mapping[str, dict[str, Any]], studies: Sequence[Study], title: str, words: Language = ENGLISH
) -> Table:
    """Return a table of the indices of some states of a district, a column each; uses by their labels in the studies."""
    label = _labels(studies, words)
    table = Table(words("index"), words("unit"), title=title, title_justify="left")
    for state in states:
        table.add_column(Text(state), justify="right")
    for name, unit, style, values in index_rows(list(states.values())):
        indent = name[: len(name) - len(name.lstrip())]
        named = name.strip()
        table.add_row(
            Text(indent + (label.get(named) or words(named))), words(unit), *(format(value, style) for value in values)
        )
    return _whole(table)


def _labels(studies: Sequence[Study], words: Language) -> dict[str, str]:
    """Return what uses are called."""
    return {use.name: words(use.label) for study in studies for use in study.use_list}


def compared(console: Console, found: Comparison, words: Language = ENGLISH) -> None:
    """Print the indices of plans side by side, which uses moved, and what the gaps leave open."""
    first = found.plans[0].name
    studies = [plan.study for plan in found.plans]
    label = _labels(studies, words)
    states = {plan.name: plan.result["indices"] for plan in found.plans}
    console.print(indices(states, studies, words("Plans"), words))
    title = words("Floor area against {plan}, m²", plan=first)
    table = Table(words("folder"), words("use"), title=Text(title), title_justify="left")
    for heading in (words("before"), words("after"), words("gained"), words("lost")):
        table.add_column(heading, justify="right")
    for row in found.moves.itertuples():
        table.add_row(Text(row.plan), Text(label[row.use]), *(f"{value:,.0f}" for value in row[3:]))
    console.print(_whole(table))
    for plan in found.plans[1:]:
        count = f"{int((found.changes['plan'] == plan.name).sum()):,}"
        said = words("{n} parcels differ between {a} and {b}.", n=count, a=first, b=plan.name)
        console.print(said, highlight=False, markup=False)
    notes(console, found.sentences(words))


def prices(console: Console, found: Prices, words: Language = ENGLISH) -> None:
    """Print what each change of a rule is worth, and what the gaps leave open."""
    low, high = f"{found.base.low:.5f}", f"{found.base.high:.5f}"
    base = words(
        "The best plan of the study scores {low} to {high}. Scores of all studies are divided by the same floor area.",
        low=low,
        high=high,
    )
    console.print(base, highlight=False, soft_wrap=True)
    title = words("What each rule is worth, in score")
    table = Table(words("rule"), words("change"), title=title, title_justify="left")
    for heading in (words("difference"), words("by duals")):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(words("that is"))
    for item in found.prices:
        known = np.isfinite(item.least)
        table.add_row(
            Text(item.change.rule),
            words(item.change.kind),
            words("{low} to {high}", low=f"{item.least:+.5f}", high=f"{item.most:+.5f}") if known else "",
            "" if item.marginal is None else f"{item.marginal:+.5f}",
            Text(item.verdict(words)),
        )
    console.print(_whole(table))
    notes(
        console,
        [
            words(
                "A step is a tenth of every number of a rule, 1 dB of a level; the table in the folder says which became what."
            ),
            words(
                "Differences lie within their ranges, which the gaps of both solves leave; a smaller --gap narrows them."
            ),
            words(
                "By duals: the same step priced by the relaxation, in which floors come in fractions; no proof of a difference."
            ),
            *(
                found.moved(words)
                or [words("No index is known to move: as far as ranges were found, those of plans as good overlap.")]
                if found.base.ranges
                else [
                    words(
                        "Indices in the table are of the plans found; other plans as good may have others (--indices)."
                    )
                ]
            ),
            *(
                [
                    words(
                        "{n} ranges of indices were not found in time; a larger --time-limit finds more.",
                        n=found.lacking,
                    )
                ]
                if found.lacking
                else []
            ),
            *([words("Stopped by Ctrl-C; changes that are missing were not solved.")] if found.interrupted else []),
        ],
    )


def front(console: Console, found: Front, words: Language = ENGLISH) -> None:
    """Print the points of a front with their proofs, and what is not known."""
    table = Table(words("point"), title=words("Plans that no other found plan beats"), title_justify="left")
    for heading in (*found.heads(words), words("at best"), words("gap")):
        table.add_column(Text(heading), justify="right")
    for number, point in enumerate(found.points):
        cells = [found.told(k, value) for k, value in enumerate(point.shares)]
        knee = f" {words('knee')}" if found.bends and number == found.knee else ""
        table.add_row(f"{number + 1}{knee}", *cells, found.best_of(point, words), found.gap_of(point, words))
    console.print(_whole(table))
    notes(console, found.sentences(words))


def ranking(console: Console, ranked: pd.DataFrame, effects: pd.DataFrame, words: Language = ENGLISH) -> None:
    """Print rule sets from the best on, and how they differ from the baseline."""
    table = Table(words("rule set"), title=words("Rule sets"), title_justify="left")
    for heading in (
        words("cells"),
        words("with a plan"),
        words("score"),
        words("rank"),
        words("against the baseline"),
    ):
        table.add_column(heading, justify="right")
    known = {row.ruleset: row for row in effects.itertuples()}
    for row in ranked.itertuples():
        effect = known.get(row.ruleset)
        ranks = {"low": f"{row.rank_best_mean:.1f}", "high": f"{row.rank_worst_mean:.1f}"}
        shares = effect and {"low": f"{effect.least_share:+.2%}", "high": f"{effect.most_share:+.2%}"}
        table.add_row(
            Text(row.ruleset),
            f"{row.cells}",
            f"{row.with_a_plan}",
            "" if np.isnan(row.score_mean) else f"{row.score_mean:.4f}",
            "" if np.isnan(row.rank_best_mean) else words("{low} to {high}", **ranks),
            words("{low} to {high}", **shares) if shares else "",
        )
    console.print(_whole(table))
    notes(
        console,
        [
            words(
                "Ranks and differences are ranges that the gaps leave, means over cells that differ by their rule set alone."
            ),
            *(
                [words("Cells without a plan are rows of the table, with the reason.")]
                if (ranked["cells"] > ranked["with_a_plan"]).any()
                else []
            ),
        ],
    )


def scoreboard(before: dict[str, Any], after: dict[str, Any], words: Language = ENGLISH) -> Table:
    """Return the four laws today and in the plan, each with what it says."""
    table = Table(title=words("Four laws"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column(words("measure"), no_wrap=True)
    for heading in (words("today"), words("plan")):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(words("unit"), no_wrap=True)
    table.add_column(words("what it says"))
    last = ""
    for m in MEASURES:
        if m.law != last:
            table.add_row(Text(words(m.law.replace("_", " ")), style="bold"))
            last = m.law
        old, new = (format(group["laws"][m.law][m.key], m.style) for group in (before, after))
        table.add_row(f"  {words(m.label)}", old, new, words(m.unit), Text(words(m.sentence)))
    return _whole(table)


def notes(console: Console, said: Sequence[str]) -> None:
    """Print sentences, each once."""
    for sentence in dict.fromkeys(said):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def illustrative(console: Console, said: Sequence[str], words: Language = ENGLISH) -> None:
    """Print which numbers nobody confirmed."""
    if said:
        told = words("Illustrative, confirmed by nobody: {said}.", said="; ".join(said))
        console.print(told, markup=False, highlight=False, soft_wrap=True)


def proposal(console: Console, found: Proposal, stands: Today, words: Language = ENGLISH) -> None:
    """Print what a file of parcels seems to hold, with confidence and reason."""
    count, land = f"{found.features:,}", f"{found.land / 10_000:,.1f}"
    title = words("{file}: features: {n}, land: {land} ha", file=found.file.name, n=count, land=land)
    heads = words("key of parcels"), words("is"), words("confidence"), words("because")
    table = Table(*heads, title=Text(title), title_justify="left")
    styles = {"sure": "green", "likely": "yellow", "guess": "red"}
    for guess in found.guesses:
        told = ", ".join(guess.value) if isinstance(guess.value, list) else str(guess.value or "")
        told = told if len(told) < 60 else f"{told[:56].rsplit(',', 1)[0]}, ... ({len(guess.value)})"
        table.add_row(
            guess.key, Text(told), Text(words(guess.confidence), styles[guess.confidence]), Text(guess.reason)
        )
    console.print(_whole(table))
    if found.preset:
        fits = words("Preset: {name}, {title}", name=found.preset.name, title=found.preset.title)
        notes(console, [fits, *(f"  {note}" for note in found.preset.notes)])
    else:
        notes(console, [words("No preset fits; upstairs presets lists them.")])
    if any(guess.confidence == "guess" for guess in found.guesses):
        notes(console, [words("Guesses are commented out in the study.")])
    if stands.fault:
        fails = words("Read so, it fails: {why}", why=stands.fault)
        console.print(fails, style="red", markup=False, highlight=False, soft_wrap=True)
    else:
        notes(console, [words("Read so, {n} m² of floor stand there today.", n=f"{stands.floor_area:,.0f}")])


def rules(console: Console, audit: Audit, words: Language = ENGLISH) -> None:
    """Print what every rule made of a plan, at the place where it binds most."""
    table = Table(words("rule"), words("where it binds most"), title=words("Rules"), title_justify="left")
    table.add_column(words("value"), justify="right")
    table.add_column(words("limit"), justify="right")
    table.add_column(words("unit"))
    table.add_column(words("places"), justify="right")
    table.add_column(words("holds"))
    for c in audit.checks:
        value, limit = (f"{v:,.4g}" if abs(v) < 1000 else f"{v:,.0f}" for v in (c.value, c.limit))
        table.add_row(
            Text(words("{name} (illustrative)", name=c.name) if c.illustrative else c.name),
            Text(c.scope),
            value,
            words("at most {n}", n=limit) if c.sense == "<=" else words("at least {n}", n=limit),
            c.unit,
            f"{c.places:,}",
            _holds(c, words),
        )
    console.print(_whole(table))
