"""Run every peer within some minutes, print one table in Markdown and write it as CSV.

The minutes are shared out: each heuristic gets ten times our time, the pair form three times in each solver, the p-median
problems a fixed part; Kendall Square is added where minutes allow. Ours is solved once for each study and stands beside
every peer of it. A peer whose package or data are missing, or that failed on bad input or at its limit, has a row that says
so; a plan that breaks a rule or beats a bound that was proved stops the run.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from common import Case, Ours, Row, Stopwatch, kendall, solve_ours, synthetic, table, write_csv
from pmedian import BENCH

import optimizer

LEAST = 20.0
"""Seconds for one answer of ours from which a second district is worth its time."""
HEURISTICS = {"greedy": None, "annealing": None, "nsga2": "pymoo"}
"""Module, and the package it needs."""
TIMES, PAIRS = 10.0, 3.0
"""Times our time that a heuristic gets, and each solver on the pair form."""
PMEDIAN = 0.12
"""Share of the minutes for the p-median problems: seven, two answers each."""


def share(minutes: float, districts: int) -> float:
    """Seconds for one answer of ours.

    A district takes one of ours, three heuristics and one use a building; the pair form takes one more of ours and four runs.
    """
    units = districts * (1 + len(HEURISTICS) * TIMES + 1) + 1 + 4 * PAIRS
    return 60 * minutes * (1 - PMEDIAN) / units


def tell(peer: str, instance: str, job: Callable[[], list[Row]]) -> list[Row]:
    """Run one peer; say why where it could not be run."""
    watch = Stopwatch()
    try:
        rows = job()
    except (optimizer.UpstairsError, optimizer.GeodataError, ImportError) as error:
        rows = [Row(peer, instance, f"not run: {error}")]
    print(f"{peer}, {instance}: {watch.elapsed:.0f} s", file=sys.stderr)
    return rows


def compare(case: Case, seconds: float, seed: int, pairs: bool) -> list[Row]:
    """All peers of one district."""
    ours: list[Ours] = []

    def solved() -> list[Row]:
        ours.append(solve_ours(case, seconds))
        found = ours[0]
        return [
            Row("Upstairs", case.name, "score", found.score, found.score, found.bound, found.seconds, found.seconds)
        ]

    rows = tell("Upstairs", case.name, solved)
    if not ours:
        return rows
    for name, package in HEURISTICS.items():
        if package and importlib.util.find_spec(package) is None:
            rows.append(Row(name, case.name, f"not run: {package} is not installed"))
            continue
        module = importlib.import_module(name)
        rows += tell(name, case.name, lambda module=module: module.run(case, ours[0], seconds, seed))
    single_use = importlib.import_module("single_use")
    rows += tell("one use a building", case.name, lambda: single_use.run(case, ours[0], seconds))
    if pairs:
        module = importlib.import_module("pairs")
        (alone, _), _ = module.variants(case)
        for asked, mixing in ((alone, False), (case, True)):
            answer = ours[0] if mixing else None
            rows += tell(
                "pairs",
                case.name,
                lambda asked=asked, mixing=mixing, answer=answer: module.run(
                    asked, answer or solve_ours(asked, seconds), PAIRS * seconds, mixing
                ),
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="for everything, about (20)")
    parser.add_argument("--out", type=Path, help="folder for peers.md and peers.csv")
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder that holds pmed/ (../shared/bench)")
    parser.add_argument("--parcels", type=int, default=200, help="size of the synthetic district (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the heuristics (0)")
    asked = parser.parse_args()
    real, both = kendall(), share(asked.minutes, 2)
    seconds = share(asked.minutes, 1) if real is None or both < LEAST else both
    print(f"{seconds:.1f} s for one answer of ours", file=sys.stderr)
    rows = compare(synthetic(asked.parcels), seconds, asked.seed, pairs=True)
    if real is None:
        rows.append(Row("all", "Kendall", "not run: its data are absent, see examples/cambridge/README.md"))
    elif both < LEAST:
        rows.append(
            Row(
                "all",
                "Kendall",
                f"not run: {both:.0f} s each are too few; --minutes {LEAST / both * asked.minutes:.0f}",
            )
        )
    else:
        rows += compare(real, seconds, asked.seed, pairs=False)
    if importlib.util.find_spec("spopt") is None:
        rows.append(Row("spopt p-median, HiGHS", "all", "not run: spopt is not installed"))
    else:
        module = importlib.import_module("pmedian")
        limit = 60 * asked.minutes * PMEDIAN / 4  # five of the seven take seconds
        rows += tell("spopt", "p-median", lambda: module.run_all(asked.bench, limit))
    print(table(rows))
    if asked.out:
        write_csv(rows, asked.out / "peers.csv")
        (asked.out / "peers.md").write_text(table(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
