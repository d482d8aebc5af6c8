"""NSGA-II's front of proximity and mixing beside the exact one, in hypervolume.

Both trade the two terms of the score off under the same rules. Ours is `optimizer.frontier` with a few points, each with its
bound; NSGA-II (`nsga2.py`: same decisions, repair, exact evaluations, greedy's start) gets ten times our time, and every
plan that it ever evaluated counts. Volumes are shares of one box, from our nadir to the proved ideal; what our bounds do
not rule out stands beside them, so that nobody's volume can exceed it. A plan of NSGA-II that lies beyond a bound stops
the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from common import TRUST, Case, Row, Stopwatch, arguments, chosen, judge, table
from greedy import first_plan
from moves import Choice, Search, Town
from nsga2 import evolve

from optimizer.front import Front, dominated_volume, nondominated
from optimizer.frontier import frontier

POINTS = 7
AXES = ("proximity", "mixing")
NEAR = 1e-6


@dataclass
class Archive(Search):
    """A search that keeps every plan that no other evaluated one beats on both terms."""

    unbeaten: list[tuple[np.ndarray, Choice]] = field(default_factory=list)

    def terms(self, choice: Choice) -> tuple[float, float]:
        found = super().terms(choice)
        point = np.array(found)
        if not any((other >= point).all() for other, _ in self.unbeaten):
            self.unbeaten = [(other, plan) for other, plan in self.unbeaten if not (point >= other).all()]
            self.unbeaten.append((point, choice.copy()))
        return found


def ours(case: Case, points: int = POINTS) -> tuple[Front, float]:
    """Our front and the seconds it took."""
    watch = Stopwatch()
    found = frontier(case.study, AXES, points, case.parcels, case.streets)
    return found, watch.elapsed


def theirs(case: Case, seconds: float, seed: int) -> Archive:
    """Everything that NSGA-II found in so many seconds, greedy's start included."""
    search = Archive(Town(case), Stopwatch(seconds))
    evolve(search, first_plan(search, seed), np.random.default_rng(seed))
    return search


def shares(case: Case, search: Archive) -> np.ndarray:
    """Its front as shares of the most that each axis can be, each plan judged by the audit; shape (plans, 2)."""
    weights = case.study.objective
    every = np.array([point for point, _ in search.unbeaten]) / (weights.proximity, weights.mixing)
    kept = nondominated(every)
    for good, (point, plan) in zip(kept, search.unbeaten, strict=True):
        if good:
            score = judge(case, plan.action, plan.floors)
            assert abs(score - point.sum()) <= TRUST * max(score, 1.0), "an evaluation that the audit does not share"
    return every[kept]


def volumes(front: Front, other: np.ndarray) -> tuple[float, float, float]:
    """Shares of our box that we reach, that they reach, and that nobody is known not to.

    Raises
    ------
    AssertionError
        When one of theirs lies beyond one of our bounds.
    """
    for solve in front.solves:
        held = 1 - solve.main
        beyond = (other[:, held] >= solve.levels[held] + NEAR) & (other[:, solve.main] > solve.bound + NEAR)
        assert not beyond.any(), f"a plan of NSGA-II at {other[beyond][0]} beats the bound {solve.bound}"
    low, high = front.nadir, np.array([top for _, top in front.ideal])
    reached, open_ = front.hypervolume
    return reached, dominated_volume(other, low, high) / float(np.prod(high - low)), open_


def run(case: Case, points: int = POINTS, seed: int = 0, times: float = 10.0) -> list[Row]:
    """Both fronts of a case; volumes stand where scores do."""
    front, seconds = ours(case, points)
    search = theirs(case, times * seconds, seed)
    reached, other, open_ = volumes(front, shares(case, search))
    plans = f"{len(front.points)} plans"
    return [
        Row("Upstairs, exact front", case.name, f"hypervolume, {plans}", reached, reached, open_, seconds, seconds),
        Row(
            "NSGA-II (pymoo)",
            case.name,
            f"hypervolume, {search.evaluations:,} evaluations",
            *(other, reached, open_, search.watch.elapsed, seconds),
        ),
    ]


def main() -> None:
    parser = arguments(__doc__, 60.0)
    parser.add_argument("--points", type=int, default=POINTS, help=f"of our front ({POINTS})")
    parser.add_argument("--times", type=float, default=10.0, help="times our time that NSGA-II gets (10)")
    asked = parser.parse_args()
    case = chosen(asked).asking(solve={"time_limit": asked.seconds, "gap": 0.005, "threads": 1})
    print(table(run(case, asked.points, asked.seed, asked.times)))


if __name__ == "__main__":
    main()
