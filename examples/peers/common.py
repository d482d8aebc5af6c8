"""What the peers share: instances, our own answer to them, one judge of every plan, and the table.

Every plan, ours and the peers', is scored by `optimizer.audit.recompute`, which reads the finished plan and shares no
code with any search. A plan that breaks a rule, or beats the bound that we proved, stops the run.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.audit import recompute
from optimizer.district import District, read_district
from optimizer.study import Study

ROOT = Path(__file__).resolve().parents[2]
KENDALL = ROOT / "examples/cambridge/kendall.toml"
TERMS = ROOT / "examples/synthetic/district-1000.toml"
"""Terms of the synthetic studies, whatever their size."""
THREADS = 1
"""Of every solver, since the heuristics use one too."""
PACKAGES = ("highspy", "pulp", "pymoo", "spopt", "numpy", "scipy")
TRUST = 1e-6
"""By how much a score may lie above a bound that a solver proved to its tolerances."""


@dataclass(frozen=True, eq=False)
class Case:
    """A study over a district, as every peer is given it."""

    name: str
    study: Study
    parcels: gpd.GeoDataFrame | None = None
    streets: gpd.GeoDataFrame | None = None

    @cached_property
    def district(self) -> District:
        return read_district(self.study, self.parcels, self.streets)

    def asking(self, **sections) -> Case:
        """The same district under a changed study; sections are merged, rules replaced."""
        data = self.study.to_dict()
        for key, value in sections.items():
            data[key] = data[key] | value if isinstance(value, dict) else value
        return replace(self, study=optimizer.load_study(data))


@dataclass(frozen=True)
class Ours:
    """Our plan of a case: score and proved bound, and when they were reached: (seconds, score, bound)."""

    plan: optimizer.Plan
    trace: list[tuple[float, float, float]]

    @property
    def score(self) -> float:
        return self.plan.result["objective"]

    @property
    def bound(self) -> float:
        return self.plan.result["bound"]

    @property
    def seconds(self) -> float:
        return self.plan.result["seconds"]

    def seconds_to(self, gap: float) -> float | None:
        """Seconds after which we had proved a gap; None where we never did."""
        told = [*self.trace, (self.seconds, self.score, self.bound)]
        return next((t for t, score, bound in told if score > 0 and bound - score <= gap * score + 1e-9), None)


def synthetic(parcels: int = 200, seed: int = 0) -> Case:
    """A made-up district under the terms of examples/synthetic: programme by share, 40 % demolition, FAR, height."""
    data = optimizer.load_study(TERMS).to_dict()
    del data["parcels"]["file"], data["streets"]
    data["name"] = f"Synthetic district of {parcels} parcels"
    return Case(f"synthetic {parcels}", optimizer.load_study(data), *synthetic_district(parcels, seed))


def kendall() -> Case | None:
    """Kendall Square without its noise rule, which the heuristics' repair does not know; None where its data are absent."""
    study = optimizer.load_study(KENDALL)
    if not study.path(study.parcels.file).is_file():
        return None
    case = Case("Kendall, no noise", study)
    return case.asking(rules=[rule for rule in study.to_dict()["rules"] if rule["kind"] != "noise"])


def solve_ours(case: Case, seconds: float, gap: float = 1e-3) -> Ours:
    """Solve a case ourselves."""
    trace = []
    asked = case.asking(solve={"time_limit": seconds, "gap": gap, "threads": THREADS}).study
    plan = optimizer.solve(
        asked, case.parcels, case.streets, report=lambda p: trace.append((p.seconds, p.incumbent, p.bound))
    )
    return Ours(plan, trace)


def judge(case: Case, action: np.ndarray, floors: np.ndarray, bound: float = np.inf) -> float:
    """Score of a finished plan by our audit: the score in result.json.

    Raises
    ------
    AssertionError
        When the plan breaks a rule or beats a proved bound.
    """
    plan = optimizer.Plan(case.study, case.district, action.astype(object), floors, {})
    found = recompute(case.study, plan.evidence)
    broken = [check for check in found.checks if check.faulty]
    assert not broken, f"{case.name}: a peer's plan breaks {broken[0].name} at {broken[0].broken[:3]}"
    assert found.objective <= bound + TRUST, f"{case.name}: a plan of {found.objective} beats the bound {bound}"
    return found.objective


@dataclass(frozen=True)
class Row:
    """One line of the table. Scores are those of the audit, or metres walked where `unit` says so."""

    peer: str
    instance: str
    what: str
    score: float | None = None
    our_score: float | None = None
    bound: float | None = None
    seconds: float | None = None
    our_seconds: float | None = None
    date: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).date().isoformat())
    versions: str = field(default_factory=lambda: versions())

    @property
    def gap(self) -> float | None:
        """What our bound leaves above the peer's score, relative to it."""
        return None if self.score is None or self.bound is None else (self.bound - self.score) / abs(self.score)

    @property
    def times(self) -> float | None:
        """The peer's seconds over ours."""
        return self.seconds / self.our_seconds if self.seconds is not None and self.our_seconds else None


@cache
def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} absent")
    return ", ".join(found)


def table(rows: list[Row]) -> str:
    """Aligned Markdown."""
    heads = ("peer", "instance", "what", "score", "our score", "to our bound", "seconds", "our seconds", "times")
    cells = [
        (
            *(row.peer, row.instance, row.what),
            *(_number(value, "{:,.5f}") for value in (row.score, row.our_score)),
            _number(row.gap, "{:.2%}"),
            *(_number(value, "{:,.2f}") for value in (row.seconds, row.our_seconds)),
            _number(row.times, "{:,.1f}"),
        )
        for row in rows
    ]
    width = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    left = (True, True, True, *[False] * 6)

    def line(values) -> str:
        parts = (v.ljust(w) if text else v.rjust(w) for v, w, text in zip(values, width, left, strict=True))
        return f"| {' | '.join(parts)} |"

    rule = [f"{'-' * (w - 1)}{'-' if text else ':'}" for w, text in zip(width, left, strict=True)]
    return "\n".join([line(heads), line(rule), *map(line, cells)])


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def write_csv(rows: list[Row], file: Path) -> None:
    """The same rows, unrounded, each with its date and versions."""
    names = [f.name for f in fields(Row)]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([*names[:6], "gap_to_bound", *names[6:8], "times", *names[8:]])
        for row in rows:
            values = [getattr(row, name) for name in names]
            writer.writerow([*values[:6], row.gap, *values[6:8], row.times, *values[8:]])


def arguments(about: str, seconds: float) -> argparse.ArgumentParser:
    """What every script can be asked."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--parcels", type=int, default=200, help="size of the synthetic district (200)")
    parser.add_argument("--kendall", action="store_true", help="Kendall Square instead, where its data are")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"given to us ({seconds:g}); see above for peers"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the peer's random numbers (0)")
    return parser


def chosen(asked: argparse.Namespace) -> Case:
    """The case that a script was asked for."""
    if not asked.kendall:
        return synthetic(asked.parcels)
    case = kendall()
    if case is None:
        sys.exit("Kendall's data are absent: see examples/cambridge/README.md")
    return case


def alone(about: str, run: Callable[[Case, Ours, float, int], list[Row]]) -> None:
    """Run one heuristic by itself, as asked on the command line, and print its table."""
    asked = arguments(about, 30).parse_args()
    case = chosen(asked)
    ours = solve_ours(case, asked.seconds)
    print(table(run(case, ours, ours.seconds, asked.seed)))


class Stopwatch:
    """Seconds since it was made, out of a limit."""

    def __init__(self, limit: float = np.inf) -> None:
        self.started, self.limit = time.perf_counter(), limit

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    @property
    def share(self) -> float:
        return self.elapsed / self.limit
