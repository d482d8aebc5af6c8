"""Between which values each index lies in every plan of a study that scores at least so much.

The plan that a search returns is one of many as good, and its indices are its own; what a rule does to jobs, say, is
known only as far as all those plans agree. So each index is driven to both its ends over the relaxation of the plans
that score no less (Brill 1979, "modeling to generate alternatives"): outside no such plan lies; inside there need not be one.

An index that is a ratio N / D is bounded through N - r D at a ratio r: where N - r D <= g in all those plans and
0 < d <= D, then N / D <= r + max(g / d, 0), and likewise from below.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optimizer.district import District, Floats
from optimizer.highs import Clock
from optimizer.model import AREA, SCORE
from optimizer.problem import Problem, assemble
from optimizer.relaxation import Relaxation
from optimizer.rules.base import per_floor
from optimizer.study import Study

Range = tuple[float, float]
"""Least and most; infinite where not known."""
UNKNOWN = (-np.inf, np.inf)
SETTLING = 0.25
"""Share of the time after which the relaxation is taken as it is."""
NOTHING = 1e-6
"""Score that the solver may take for none."""


def ranges(study: Study, district: District, least: float, clock: Clock) -> dict[str, Range]:
    """Return the least and the most that indices are in plans of at least some score.

    Parameters
    ----------
    least : float
        Score.
    clock : Clock
        What is not known when it has run out is infinite.

    Returns
    -------
    dict
        By the names of `optimizer.indices.index_columns`. Indices that nothing in the study measures are left out, as is
        how walks divide by length, for which plans need not have one answer.
    """
    problem = assemble(study, district)
    relaxation = Relaxation(problem, study.solve.threads, problem.tolerance)
    while not relaxation.settled and (relaxation.x is None or clock.elapsed < SETTLING * clock.limit):
        if relaxation.solve(clock).status != "optimal":
            break
    if relaxation.x is not None:
        columns = np.flatnonzero(problem.arrays().cost)
        score = np.zeros(len(columns), dtype=np.int64), columns, problem.arrays().cost[columns]
        relaxation.hold(problem.model.program.rows(["score"], score, lower=(least - NOTHING) * SCORE))
    ends = _Ends(relaxation, clock)
    areas = _areas(problem)
    total = areas.sum(axis=0)
    low, high = ends.of(total)
    land = float(district.site_area.sum())
    found = {"floor_area_m2": (low, high), "floor_area_ratio": (low / land, high / land)}
    for quantity in ("jobs", "homes"):
        found[quantity] = ends.of(per_floor(district.uses, quantity) @ areas)
    for use, area in zip(district.uses, areas, strict=True):
        found[f"{use.name}_m2"] = ends.of(area)
    for name, above, below in _ratios(problem, areas):
        found[name] = ends.of_ratio(above, below)
    return found


def _areas(problem: Problem) -> Floats:
    """Return the floor area of each use as coefficients of the program's columns, m², shape (U, columns)."""
    d, model = problem.district, problem.model
    areas = np.zeros((len(d.uses), model.program.width))
    sites = np.arange(len(d.sites))
    for use, coefficients in enumerate(areas):
        for _, column, area in model.floor_area_terms(use, sites):
            np.add.at(coefficients, column, area / AREA)
    return areas


def _ratios(problem: Problem, areas: Floats) -> Iterator[tuple[str, Floats, Floats]]:
    """Yield indices that are ratios: name, numerator and denominator as coefficients of the program's columns."""
    district, width = problem.district, areas.shape[1]
    columns, value = problem.model.value
    if len(columns):
        drawn, use = np.zeros(width), district.use_index
        np.add.at(drawn, columns, value / AREA)
        demand = sum((k.strength * k.demand * areas[use[k.client]] for k in district.linkages), np.zeros(width))
        yield "proximity", drawn, demand
    for scale, (columns, entropy) in problem.model.entropy.items():
        mixed = np.zeros(width)
        np.add.at(mixed, columns, entropy / (AREA * np.log(len(district.uses))))
        yield f"mixing_by_{scale}", mixed, areas.sum(axis=0)


class _Ends:
    """Drives amounts to their ends over a relaxation."""

    def __init__(self, relaxation: Relaxation, clock: Clock) -> None:
        self.relaxation, self.clock = relaxation, clock

    def _most(self, amount: Floats) -> float:
        """Return what an amount is at most; infinite where that was not found in time."""
        if self.relaxation.x is None or self.clock.left <= 0:
            return np.inf
        self.relaxation.aim(amount)
        answer = self.relaxation.solve(self.clock)
        return answer.objective if answer.status == "optimal" else np.inf

    def of(self, amount: Floats) -> Range:
        """Return the least and the most of an amount."""
        most, least = self._most(amount), self._most(-amount)
        return 0.0 - least, 0.0 + most

    def of_ratio(self, above: Floats, below: Floats) -> Range:
        """Return the least and the most of a ratio between 0 and 1."""
        smallest, x = -self._most(-below), self.relaxation.x
        if x is None or not 0 < smallest < np.inf or below @ x <= 0:
            return UNKNOWN
        ratio = float(above @ x / (below @ x))
        most, least = self._most(above - ratio * below), self._most(ratio * below - above)
        low, high = (ratio + sign * max(end, 0.0) / smallest for sign, end in ((-1.0, least), (1.0, most)))
        return (max(low, 0.0) if np.isfinite(low) else low), (min(high, 1.0) if np.isfinite(high) else high)
