"""Exact trade-offs: plans that no other plan beats on every axis, each with its proof.

One axis is the main one; the others are held to least levels, which are rules of the study (augmented epsilon-constraint:
Haimes 1971; Mavrotas 2009). Every point maximises

    main axis + AUGMENT · sum of the other axes   under   other axis j >= level j,

each axis over the most that it can be, so that a plan is never beaten on one axis for nothing. The bound of such a
solve holds for every plan at or beyond its levels: together the bounds fence off what no plan reaches, and what lies
between plans and fence is not known.

With a number of points, levels are spaced evenly between the ends of the front; noise, which no score weighs and which has
no end of its own, falls by 1 dB a level. With all points, each next level lies just beyond a point that was found, on two axes one after the other, on three by the rectangles of Kirlik and Sayin
(European Journal of Operational Research 232, 2014).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np

from optimizer.api import solve_district
from optimizer.district import District, Floats, read_district
from optimizer.errors import InfeasibleError, LimitError, StudyError, known_name
from optimizer.front import SAME, Axis, Front, Point, Wish, axis
from optimizer.highs import Clock
from optimizer.plan import Plan
from optimizer.price import with_reference
from optimizer.problem import all_rules
from optimizer.proximity import reference_value
from optimizer.reference import most_floor_area, reference_floor_area
from optimizer.rules.noise import Noise
from optimizer.solving import Progress, Report, Start
from optimizer.study import Study, load_study
from optimizer.terms import TERMS, most
from optimizer.together import Together

AUGMENT = 1e-3
"""Weight of the other axes beside the main one; a tenth of it where all points are asked for."""
BEYOND = 5e-4
"""How far beyond a point, as a share of the most that an axis can be, the next level lies where all points are asked for:
points that are nearer to one another on an axis with levels count as one. Solvers cannot tell much less from nothing."""
EXACT = 1e-6
"""Gap to which points are solved where all are asked for."""
NEARLY, HALVINGS = 0.005, 12
"""Share of an axis's range to which the plan nearest to wishes is found, and most solves for it."""
LEVEL = "level"
"""First word of the names of the rules that hold levels."""
STEP = 1.0
"""dB between levels of noise."""


def _by_itself(study: Study) -> Study:
    """Return a study whose axes are over what its own rules allow, not over what it may be compared by."""
    return study.model_copy(update={"objective": study.objective.model_copy(update={"reference": None})})


def frontier(
    study: Study | Path | str,
    axes: Sequence[str],
    points: int | None = 7,
    parcels: gpd.GeoDataFrame | None = None,
    streets: gpd.GeoDataFrame | None = None,
    *,
    in_order: float | None = None,
    wishes: Mapping[str, float] | None = None,
    report: Report | None = None,
    scheduler: str | None = None,
) -> Front:
    """Return the trade-off of two or three axes.

    Parameters
    ----------
    study : Study or path
        Its rules hold; what its score weights does not count.
    axes : sequence of str
        Names of `AXES`.
    points : int or None
        Solves on two axes, ends included; on three axes the levels of two form the smallest grid that has so many. None
        for all points, which takes small districts.
    parcels, streets : GeoDataFrame, optional
        As `optimizer.solve` takes them.
    in_order : float, optional
        Instead of so many points, one for each axis: the first at its best, the next at its best where all before it give up no more than
        this share of theirs, and so on (lexicographic goals).
    wishes : mapping, optional
        A value wanted of each axis, in its unit: the plan as near as possible to them all is found too.
    report : callable, optional
        Told the progress.

    Raises
    ------
    StudyError
        When an axis is unknown, named twice or never varies, or there are not two or three.
    InfeasibleError
        When no plan satisfies the rules.
    """
    if len(axes) not in (2, 3) or len(set(axes)) < len(axes):
        raise StudyError(f"axes = {', '.join(axes) or 'none'}: two or three different ones are expected")
    if points is not None and points < 2:
        raise StudyError(f"points = {points}: at least 2 are expected, the ends of the front")
    chosen = tuple(axis(name) for name in axes)
    for name, value in (wishes or {}).items():
        known_name(name, axes, "wishes")
        if not np.isfinite(value):
            raise StudyError(f"wishes: {name} = {value}: a finite number is expected")
    if wishes and len(wishes) < len(axes):
        raise StudyError(
            f"wishes: a value of every axis is expected; {', '.join(a for a in axes if a not in wishes)} missing"
        )
    asked = _by_itself(load_study(study))
    search = _Search(asked, read_district(asked, parcels, streets), chosen, points, report, scheduler)
    if in_order is not None:
        search.one_after_the_other(in_order)
    elif points is None:
        search.all_points()
    else:
        search.grid(points)
    gap = search.study.solve.gap
    complete = points is None and in_order is None and not search.stopped and all(p.proved(gap) for p in search.solves)
    wish = search.nearest([wishes[name] for name in axes]) if wishes and not search.stopped else None
    return Front(search.study, chosen, search.tops, tuple(search.solves), search.stopped, complete, wish)


class _Search:
    """State of the work on one front."""

    def __init__(
        self,
        study: Study,
        district: District,
        axes: tuple[Axis, ...],
        points: int | None,
        report: Report | None,
        scheduler: str | None,
    ) -> None:
        if points is None:
            # A point is there or is not: what gaps leave open could be another one.
            study = study.model_copy(
                update={"solve": study.solve.model_copy(update={"gap": min(study.solve.gap, EXACT)})}
            )
        self.study, self.district, self.axes = with_reference(study, district), district, axes
        self.report, self.scheduler = report, scheduler
        self.augment = AUGMENT if points is not None else AUGMENT / 10
        over = reference_floor_area(self.study, most_floor_area(district, all_rules(self.study)))
        self.value = reference_value(district, over[:-1])
        self.total = float(over[-1])
        tops = {term.name: most(term, district, over) for term in TERMS}
        self._tops = {"proximity": self.value, "mixing": self.total * np.log(max(len(district.uses), 2)), **tops}
        self.noises = [_alone(rule) for rule in all_rules(study) if isinstance(rule, Noise)]
        self._tops[""] = min((level for rule in self.noises for level in _levels(rule)), default=0.0)
        for a in axes:
            if not a.term and not self.noises:
                raise StudyError(f"axes: {a.name} is measured by rules noise, and the study has none; add one")
            if self._tops[a.term] <= 0:
                raise StudyError(f"axes: {a.name} is 0 in every plan of this study; name another axis")
        for rule in study.rules:
            if rule.scores:
                raise StudyError(
                    f"rules: {rule.label} adds to the score or takes from it, which a front could not bound; leave its price "
                    "or weight out, so that it holds or does not"
                )
        self.tops = tuple(1.0 if a.unit == "0 to 1" else self._tops[a.term] for a in axes)
        # Mixing can be maximised, but not be held to a level: it is bounded from above only.
        self.scored = [k for k, a in enumerate(axes) if a.term]
        self.main = next((k for k, a in enumerate(axes) if a.name == "mixing"), self.scored[0])
        self.solves: list[Point] = []
        self.together = Together(study, len(district.sites), scheduler)
        self.planned = 0

    # -- one solve ---------------------------------------------------------------------------------------------------

    def solve(self, asked: Sequence[tuple[int, Sequence[float] | Floats]]) -> list[Point]:
        """Solve for an axis at levels of the others, for some at a time, from what is known."""
        done: list[Point] = []
        for first in range(0, len(asked), self.together.workers):
            if self.stopped:
                break
            batch = asked[first : first + self.together.workers]
            tasks = [
                partial(self._solve, main, tuple(float(level) for level in levels), len(self.solves) + k)
                for k, (main, levels) in enumerate(batch, 1)
            ]
            found = [point for point in self.together.run(tasks) if point is not None]
            self.solves += found
            done += found
        return done

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C ended the work."""
        return self.together.stop.is_set()

    def _solve(self, main: int, levels: tuple[float, ...], number: int) -> Point | None:
        """Solve once; None where Ctrl-C came before a plan was found."""
        study = self.together.share(self._study(main, levels))
        looser = [p for p in self.solves if p.main == main and all(np.array(p.levels) <= np.array(levels) + SAME)]
        clock = Clock(np.inf)
        if any(p.status == "infeasible" for p in looser) or max(levels) > 1.0 + SAME:
            return Point(main, levels, "infeasible", (), -np.inf, None, clock.elapsed)
        others = [k for k in range(len(self.axes)) if k != main]
        least = self._beside(main, levels)
        bound = min([np.inf, *(self._score_bound(p) for p in looser)])
        held = [p for p in self.solves if p.plan is not None and all(p.shares[k] >= levels[k] for k in others)]
        best = max(held, key=lambda p: p.shares[main], default=None)
        start = Start(bound=bound, stop=self.together.stop)
        if best is not None and best.plan is not None:
            start = replace(start, action=best.plan.action, floors=best.plan.floors)
        job = f"{number}/{self.planned}" if self.planned else f"{number}"

        def told(p: Progress) -> None:
            if self.report is not None:
                self.report(replace(p, job=job))

        try:
            plan = solve_district(
                study, self.district, report=told, scheduler=self.scheduler, start=start, explained=not any(levels)
            )
        except InfeasibleError:
            if not any(levels):
                raise
            return Point(main, levels, "infeasible", (), -np.inf, None, clock.elapsed)
        except LimitError:
            if self.stopped and self.solves:
                return None
            if main == self.main and not any(levels):
                raise
            return Point(main, levels, "limit", (), bound - least, None, clock.elapsed)
        shares = self._shares(plan)
        status, proved = plan.result["status"], float(plan.result["bound"]) - least
        # No share of the most that is possible is above 1, whatever a bound of little time says.
        proved = max(min(proved, 1.0), shares[main])
        return Point(main, levels, status, shares, proved, plan, clock.elapsed)

    def _beside(self, main: int, levels: Sequence[float]) -> float:
        """Return what the other axes add to the score at least, at their levels."""
        return self.augment * sum(levels[k] for k in self.scored if k != main)

    def _score_bound(self, point: Point) -> float:
        """Return the bound of a point's score, which holds wherever levels are no lower."""
        return point.bound + self._beside(point.main, point.levels)

    def _study(self, main: int, levels: Sequence[float]) -> Study:
        weights = dict.fromkeys(self.study.objective.weights, 0.0)
        for k in self.scored:
            weights[self.axes[k].term] = 1.0 if k == main else self.augment
        values = self.study.to_dict()
        values["objective"] |= weights
        values["rules"] = [*self.study.rules]
        for a, level in zip(self.axes, levels, strict=True):
            if level > 0:
                values["rules"] += [
                    {"name": f"{LEVEL} of {a.name}{f' {k}' if k else ''}", **rule}
                    for k, rule in enumerate(self._rules(a, level))
                ]
        return load_study(values, self.study.folder)

    def _rules(self, a: Axis, level: float) -> list[dict[str, Any]]:
        """Return the rules that hold an axis to a least share of the most that it can be."""
        least, gone = level * self._tops[a.term], max(1.0 - level, 0.0)
        if not a.term:
            return [_quieter(rule, min(least, self._tops[a.term])).to_dict() for rule in self.noises]
        rules: dict[str, dict[str, Any]] = {
            "proximity": {"kind": "proximity", "min_value": least},
            "floor_area": {"kind": "programme", "min_floor_area": least},
            "jobs": {"kind": "programme", "min_jobs": least},
            "homes": {"kind": "programme", "min_homes": least},
            "demolished": {"kind": "demolition", "max_share": gone},
            "changed": {"kind": "demolition", "max_share": gone, "conversions": True},
        }
        return [rules[a.name]]

    def _shares(self, plan: Plan) -> tuple[float, ...]:
        """Return what a plan reaches of the most that each axis can be, from its recomputed indices."""
        found, d = plan.result["indices"], self.district
        stands = d.existing.sum(axis=1)
        scales = self.study.objective.scales.model_dump()
        entropy = sum(part * found["mixing"]["entropy_m2"][name] for name, part in scales.items()) / sum(
            scales.values()
        )
        amounts: Mapping[str, float] = {
            "proximity": found["proximity"]["value_m2"],
            "mixing": entropy,
            "density": found["density"]["floor_area_m2"],
            "jobs": found["density"]["jobs"],
            "homes": found["density"]["homes"],
            "preserved": float(stands[np.isin(plan.action.astype(str), ("keep", "convert"))].sum()),
            "unchanged": float(stands[plan.action == "keep"].sum()),
            "": self._below_limit(plan),
        }
        return tuple(float(amounts[a.term] / self._tops[a.term]) for a in self.axes)

    def _below_limit(self, plan: Plan) -> float:
        """Return by how many dB a plan's own noise stays below its limit where it comes nearest to it."""
        if all(a.term for a in self.axes):
            return 0.0
        checks = [c for rule in self.noises for c in rule.check(plan.evidence) if c.places]
        return float(min([self._tops[""], *(c.limit - c.value for c in checks)]))

    # -- fronts ------------------------------------------------------------------------------------------------------

    def _ends(self) -> None:
        """Solve for each axis without levels, the main one first."""
        none = [0.0] * len(self.axes)
        self.solve([(main, none) for main in (self.main, *(k for k in self.scored if k != self.main))])

    def grid(self, points: int) -> None:
        """Solve for the main axis at levels spaced evenly between the ends, from the strictest on."""
        others = [k for k in range(len(self.axes)) if k != self.main]
        side = points if len(others) == 1 else int(np.ceil(np.sqrt(points)))
        self.planned = points if len(others) == 1 else len(self.scored) + side**2 - 1
        self._ends()
        if self.stopped:
            return
        shares = np.array([p.shares for p in self.solves])
        low, high = shares.min(axis=0), shares.max(axis=0)
        unscored = [k for k in others if k not in self.scored]
        for k in unscored:
            high[k] = low[k] + STEP * (side - 1) / self._tops[self.axes[k].term]
        # On two axes the ends are solved already; an axis that no score weighs has none.
        parts = np.linspace(0, 1, side)[1 : None if unscored else -1] if len(others) == 1 else np.linspace(0, 1, side)
        asked = []
        for combination in sorted(itertools.product(parts, repeat=len(others)), key=sum, reverse=True):
            levels = np.zeros(len(self.axes))
            # A level that its own end just reaches is asked for with room for rounding.
            levels[others] = np.maximum(low[others] + combination * (high - low)[others] - SAME, 0.0)
            if any(combination):  # without, it is the end of the main axis
                asked.append((self.main, levels))
        self.solve(asked)

    def all_points(self) -> None:
        """Find every point: levels just beyond points that were found, until no plan is left."""
        self._ends()
        others = [k for k in range(len(self.axes)) if k != self.main]
        if self.stopped:
            return
        low = np.zeros(len(others))
        high = np.ones(len(others)) + BEYOND
        boxes = [(low, high)]
        # The end of the main axis is the answer to the box's own levels.
        known: list[tuple[Floats, Point]] = [(low, self.solves[0])]
        while boxes and not self.stopped:
            # Levels are the lower corners; the box that is largest from the outermost level on comes first.
            corner, _ = max(boxes, key=lambda box: float(np.prod(high - box[0])))
            point = next((p for levels, p in known if np.allclose(levels, corner, atol=SAME)), None)
            if point is None:
                levels = np.zeros(len(self.axes))
                levels[others] = corner
                solved = self.solve([(self.main, levels)])
                if not solved:
                    return
                point = solved[0]
                known.append((corner, point))
            if point.plan is None:
                # No plan at or beyond the corner: none in any box whose corner lies beyond it.
                boxes = [box for box in boxes if not (box[0] >= corner - SAME).all()]
                continue
            reached = np.array(point.shares)[others] + BEYOND
            boxes = _split(boxes, reached)
            # Within what was asked and what was reached there is no other point.
            boxes = [box for box in boxes if not ((box[0] >= corner - SAME).all() and (box[1] <= reached + SAME).all())]

    def one_after_the_other(self, give: float) -> None:
        """Solve for each axis in turn, those before it held to what they reached less a share of it."""
        for k, a in enumerate(self.axes):
            if not a.term or (a.name == "mixing" and k < len(self.axes) - 1):
                raise StudyError(
                    f"axes: {a.name} cannot be {'held to what it reached, so it comes last' if a.term else 'maximised, so it has no place'} "
                    "where axes are taken one after the other"
                )
        if not 0 <= give < 1:
            raise StudyError(f"in order: axes give up a share of their best from 0 up to 1; {give:g} was given")
        self.planned, levels = len(self.axes), np.zeros(len(self.axes))
        for k in range(len(self.axes)):
            solved = self.solve([(k, levels.copy())])
            if not solved or not solved[0].shares:
                return
            levels[k] = max((1.0 - give) * solved[0].shares[k] - SAME, 0.0)

    def nearest(self, wanted: Sequence[float]) -> Wish:
        """Find the plan whose furthest goal from its wish is nearest to it, by halving what is not known of that distance.

        At a distance t every axis but the main one is held to its wish less t times its range; the main one then reaches its
        own or does not (Wierzbicki's achievement, by the constraints that fronts are made of).
        """
        front = Front(self.study, self.axes, self.tops, tuple(self.solves), False, False)
        wish = np.array(wanted) / np.array(self.tops)
        wish = np.where([a.less for a in self.axes], 1.0 - wish, wish)
        low, high = front.nadir, np.array(front.ideal)
        span = np.maximum(high[:, 0] - low, SAME)

        def short(point: Point) -> float:
            return float(((wish - np.array(point.shares)) / span).max())

        least = float(((wish - high[:, 1]) / span).max())
        for _ in range(HALVINGS):
            best = min((p for p in self.solves if p.plan is not None), key=short)
            if self.stopped or short(best) - least <= NEARLY:
                break
            t = (short(best) + least) / 2
            levels = np.clip(wish - t * span, 0.0, 1.0)
            levels[self.main] = 0.0
            before = short(best)
            solved = self.solve([(self.main, levels)])
            if not solved:
                break
            if solved[0].bound < wish[self.main] - t * span[self.main]:
                least = max(least, t)
            elif solved[0].plan is None or short(solved[0]) >= before - NEARLY / 4:
                break  # the gap leaves open what is nearer
        best = min((p for p in self.solves if p.plan is not None), key=short)
        return Wish(tuple(wanted), self.solves.index(best), short(best), min(least, short(best)))


def _alone(rule: Noise) -> Noise:
    """Return the rule for a plan's own noise: without what is there already and what may be paid for."""
    values = rule.to_dict()
    for key in ("kind", "name", "background", "mitigation", "score_per_cost", "budget", "price", "exceeded"):
        values.pop(key, None)
    return Noise.model_validate(values)


def _levels(rule: Noise) -> list[float]:
    return [level for table in (rule.limits, rule.places) for levels in table.values() for level in levels.values()]


def _quieter(rule: Noise, by: float) -> Noise:
    """Return the rule with every limit lower by so many dB."""
    tables = {
        table: {
            name: {metric: level - by for metric, level in levels.items()}
            for name, levels in getattr(rule, table).items()
        }
        for table in ("limits", "places")
    }
    return rule.model_copy(update=tables)


def _split(boxes: list[tuple[Floats, Floats]], at: Floats) -> list[tuple[Floats, Floats]]:
    """Cut every box along each axis where a point lies inside it."""
    for k, value in enumerate(at):
        cut = []
        for low, high in boxes:
            if low[k] + SAME < value < high[k] - SAME:
                below, above = high.copy(), low.copy()
                below[k] = above[k] = value
                cut += [(low, below), (above, high)]
            else:
                cut.append((low, high))
        boxes = cut
    return boxes
