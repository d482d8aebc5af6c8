"""Fronts: axes, the plans that no other plan beats on every axis, what is ruled out, and what is said of both."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from geodata.language import ENGLISH, Language
from optimizer.district import Bools, Floats
from optimizer.errors import known_name
from optimizer.indices import index_columns
from optimizer.plan import Plan
from optimizer.study import Study

CLOSED = 1e-5
"""Difference of score and bound that is put down to rounding, where a score is near 0."""
SAME = 1e-6
"""Difference of two values of an axis that is none, as such a share."""


@dataclass(frozen=True)
class Axis:
    """What can be traded off.

    Attributes
    ----------
    name, label, unit : str
    term : str
        Term of the score that it is; empty where it is none, so that it is held to levels and never maximised.
    less : bool
        Whether less of it is better: the most that it can be, less the term.
    """

    name: str
    label: str
    unit: str
    term: str
    less: bool = False

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")


AXES = (
    Axis("proximity", "proximity, of the most that the programme allows", "0 to 1", "proximity"),
    Axis("mixing", "mixing, of the most that the programme allows", "0 to 1", "mixing"),
    Axis("floor_area", "floor area", "m²", "density"),
    Axis("jobs", "jobs", "jobs", "jobs"),
    Axis("homes", "homes", "homes", "homes"),
    Axis("demolished", "floor area demolished", "m²", "preserved", less=True),
    Axis("changed", "floor area demolished or converted", "m²", "unchanged", less=True),
    Axis("quiet", "quiet where the plan is loudest, below its limit", "dB", ""),
)


def axis(name: str) -> Axis:
    """Return the axis of a name.

    Raises
    ------
    StudyError
        When there is none.
    """
    known_name(name, [a.name for a in AXES], "axes")
    return next(a for a in AXES if a.name == name)


@dataclass(frozen=True)
class Point:
    """One solve of a front.

    Attributes
    ----------
    main : int
        Axis that was maximised.
    levels : tuple of float
        Least share of the most that each axis can be; 0 where none was asked.
    status : str
        ``optimal``, ``feasible``, ``infeasible`` or ``limit``.
    shares : tuple of float
        What the plan reaches, as shares of the most that each axis can be; empty without a plan.
    bound : float
        Share of the main axis that no plan at or beyond the levels exceeds.
    plan : Plan or None
    seconds : float
    """

    main: int
    levels: tuple[float, ...]
    status: str
    shares: tuple[float, ...]
    bound: float
    plan: Plan | None
    seconds: float

    def proved(self, gap: float) -> bool:
        """Whether it is known that no plan scores better by more than a share of it, or that there is none."""
        if self.plan is None:
            return self.status == "infeasible"
        score, bound = self.plan.result["objective"], self.plan.result["bound"]
        return bool(bound - score <= max(gap * abs(score), CLOSED))


@dataclass(frozen=True)
class Wish:
    """The plan that is as near as possible to wishes: the furthest goal from its wish is the nearest that it can be.

    Attributes
    ----------
    wanted : tuple of float
        In the units of the axes.
    solve : int
        Number of the plan among the solves.
    short : float
        By how much of an axis's range, from nadir to ideal, the plan falls short of the wish it misses most; below 0 where it
        exceeds all of them.
    least : float
        By how much every plan falls short.
    """

    wanted: tuple[float, ...]
    solve: int
    short: float
    least: float


@dataclass(frozen=True)
class Front:
    """The trade-off of two or three axes.

    Attributes
    ----------
    study : Study
        With the constants that all scores are divided by.
    axes : tuple of Axis
    tops : tuple of float
        The most that each axis can be, in its unit (1 for shares).
    solves : tuple of Point
        Ends first: each axis at its best.
    interrupted : bool
        Whether Ctrl-C ended the work.
    complete : bool
        Whether all points were asked for and found.
    wish : Wish or None
        Where there were wishes.
    """

    study: Study
    axes: tuple[Axis, ...]
    tops: tuple[float, ...]
    solves: tuple[Point, ...]
    interrupted: bool
    complete: bool
    wish: Wish | None = None

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The plans that no other found plan beats, each once, from the best on the first axis to the worst."""
        found = [p for p in self.solves if p.plan is not None]
        kept = [p for p, good in zip(found, nondominated(np.array([p.shares for p in found])), strict=True) if good]
        return tuple(sorted(kept, key=lambda p: p.shares, reverse=True))

    def value(self, number: int, share: float) -> float:
        """Return a share of the most that an axis can be in the axis's own unit."""
        top = self.tops[number]
        return top * (1.0 - share) if self.axes[number].less else top * share

    def bound_of(self, point: Point) -> float:
        """Return a point's bound in the unit of its main axis; of what less is better of, none is less than nothing."""
        bound = self.value(point.main, point.bound)
        return max(bound, 0.0) if self.axes[point.main].less else bound

    def told(self, number: int, share: float) -> str:
        """Return that value for people, without its unit."""
        value = self.value(number, min(share, 1.0) if self.axes[number].less else share)
        return f"{value:{ {'0 to 1': '.4f', 'dB': '.2f'}.get(self.axes[number].unit, ',.0f') }}"

    @property
    def ends_solved(self) -> bool:
        """Whether each axis was maximised without levels, where it can be."""
        return sum(not any(p.levels) for p in self.solves) >= sum(bool(a.term) for a in self.axes)

    def heads(self, words: Language = ENGLISH) -> list[str]:
        """Return the axes' names and units, as heads of a table."""
        units = ["" if a.unit == a.name else f", {words(a.unit)}" for a in self.axes]
        return [f"{words(a.title)}{unit}" for a, unit in zip(self.axes, units, strict=True)]

    def gap_of(self, point: Point, words: Language = ENGLISH) -> str:
        """Return how much more of the axis that was maximised could be possible, for people."""
        share = point.shares[point.main]
        return words.percent((point.bound - share) / share if share > 0 else None, 2)

    def best_of(self, point: Point, words: Language = ENGLISH) -> str:
        """Return what no plan at a point's levels exceeds, for people."""
        return f"{words(self.axes[point.main].title)} {self.told(point.main, point.bound)}"

    def sentences(self, words: Language = ENGLISH) -> list[str]:
        """Return what must be said beside the points."""
        low, high = self.hypervolume
        box = words(
            "Of the box from nadir to ideal {low} is reached by plans and {high} ruled out; the rest is not known.",
            low=words.percent(low),
            high=words.percent(1 - high),
        )
        said = [
            *([box] if self.ends_solved else []),
            words(
                "A gap is how much more of the axis that was maximised could be possible for a plan that is as good on the "
                "others as was asked."
            ),
        ]
        trivial = sum(p.plan is not None and p.plan.result["bound_is_trivial"] for p in self.points)
        if trivial:
            said.append(words("{n} bounds are by the weights alone: there was no time to prove more.", n=trivial))
        if self.wish is not None:
            found = self.solves[self.wish.solve]
            at = ", ".join(f"{words(a.title)} {self.told(k, found.shares[k])}" for k, a in enumerate(self.axes))
            number = next(
                (words("point {n}", n=k) for k, p in enumerate(self.points, 1) if p is found), words("a point")
            )
            short, least = self.wish.short, self.wish.least
            if short > 0:
                nobody = (
                    words("every plan misses one by {n} or more", n=words.percent(least))
                    if least > 0
                    else words("whether a plan misses none is open")
                )
                far = words(
                    "It misses a wish by {n} of its axis's range and the others by no more; {nobody}.",
                    n=words.percent(short),
                    nobody=nobody,
                )
            else:
                far = words(
                    "It exceeds every wish by {n} of its axis's range or more; no plan does by more than {m}.",
                    n=words.percent(-short),
                    m=words.percent(-least),
                )
            said.append(words("Nearest to the wishes: {point} ({at}).", point=number, at=at) + f" {far}")
        without = sum(p.plan is None for p in self.solves)
        if without:
            said.append(words("{n} of {of} solves have no plan: see solves.csv.", n=without, of=len(self.solves)))
        if self.complete:
            said.append(
                words("All points are there, but for such as are nearer to one another than a 2,000th of an axis.")
            )
        if self.interrupted:
            said.append(words("Stopped by Ctrl-C; points that are missing were not solved."))
        return said

    @cached_property
    def ideal(self) -> list[tuple[float, float]]:
        """Shares between which the best of each axis lies: of a plan found, and proved."""
        best = np.max([p.shares for p in self.points], axis=0)
        bound = [
            min([1.0, *(p.bound for p in self.solves if p.main == k and not any(p.levels))]) for k in range(len(best))
        ]
        return [(float(low), max(float(low), high)) for low, high in zip(best, bound, strict=True)]

    @cached_property
    def nadir(self) -> Floats:
        """Least share of each axis among ends and points, shape (axes,): of the front itself where there are two axes."""
        ends = [p.shares for p in self.solves if p.plan is not None and not any(p.levels)]
        return np.asarray(np.min([*ends, *(p.shares for p in self.points)], axis=0))

    @property
    def bends(self) -> bool:
        """Whether there are points enough for one to be a knee."""
        return len(self.points) > 2

    @cached_property
    def knee(self) -> int:
        """Number of the point that gains most on all axes together, between nadir and ideal; where the front bends, its knee."""
        shares = np.array([p.shares for p in self.points])
        span = np.maximum(np.array([low for low, _ in self.ideal]) - self.nadir, SAME)
        return int(np.argmax(((shares - self.nadir) / span).sum(axis=1)))

    @cached_property
    def hypervolume(self) -> tuple[float, float]:
        """Shares of the box from nadir to ideal that plans are known to reach, and that none is known not to.

        The second includes what no solve has ruled out; 1 where the box has no extent.
        """
        low, high = self.nadir, np.array([top for _, top in self.ideal])
        size = float(np.prod(high - low))
        if size <= 0:
            return 1.0, 1.0
        reached = dominated_volume(np.array([p.shares for p in self.points]), low, high)
        main = self.solves[0].main
        open_ = self._not_ruled_out(main, low, high)
        return float(reached / size), float(max(reached, open_) / size)

    def _not_ruled_out(self, main: int, low: Floats, high: Floats) -> float:
        """Return the volume of the box that no bound rules out."""
        others = [k for k in range(len(self.axes)) if k != main]
        fences = [p for p in self.solves if p.main == main and p.bound < np.inf]
        edges = [np.unique(np.clip([low[k], high[k], *(p.levels[k] for p in fences)], low[k], high[k])) for k in others]
        volume = 0.0
        for cell in itertools.product(*(range(len(edge) - 1) for edge in edges)):
            corner = [edge[i] for edge, i in zip(edges, cell, strict=True)]
            side = np.prod([edge[i + 1] - edge[i] for edge, i in zip(edges, cell, strict=True)])
            most_ = min(
                [
                    high[main],
                    *(
                        p.bound
                        for p in fences
                        if all(p.levels[k] <= c + SAME for k, c in zip(others, corner, strict=True))
                    ),
                ]
            )
            volume += float(side) * max(most_ - low[main], 0.0)
        return volume

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a point: axes in their units, bound and gap of the main axis, levels, indices."""
        rows = []
        for number, point in enumerate(self.points):
            assert point.plan is not None, "points have plans"
            row: dict[str, Any] = {"point": number + 1, "knee": self.bends and number == self.knee}
            for k, (a, share) in enumerate(zip(self.axes, point.shares, strict=True)):
                row[a.name] = self.value(k, share)
                row[f"{a.name}_asked"] = self.value(k, point.levels[k]) if point.levels[k] else None
            row["maximised"] = self.axes[point.main].name
            row["bound"] = self.bound_of(point)
            share = point.shares[point.main]
            row["gap"] = (point.bound - share) / share if share > SAME else None
            row["status"], row["seconds"] = point.status, round(point.seconds, 1)
            columns = index_columns(point.plan.result["indices"])
            rows.append(row | {f"index_{key}": value for key, value in columns.items()})
        return pd.DataFrame(rows)

    @cached_property
    def solved(self) -> pd.DataFrame:
        """One row a solve, those without a plan and those that others beat included."""
        rows = []
        for point in self.solves:
            row: dict[str, Any] = {"maximised": self.axes[point.main].name, "status": point.status}
            for k, a in enumerate(self.axes):
                row[f"{a.name}_asked"] = self.value(k, point.levels[k]) if point.levels[k] else None
                row[a.name] = self.value(k, point.shares[k]) if point.shares else None
            row["bound"] = self.bound_of(point) if np.isfinite(point.bound) else None
            rows.append(row | {"seconds": round(point.seconds, 1)})
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``front.json`` holds: axes with ideal and nadir in their units, hypervolume, knee."""
        axes = []
        for k, a in enumerate(self.axes):
            found, proved = (self.value(k, share) for share in self.ideal[k])
            nadir = self.value(k, float(self.nadir[k]))
            about = {"name": a.name, "label": a.label, "unit": a.unit, "better": "less" if a.less else "more"}
            axes.append({**about, "best_found": found, "best_proved": proved, "nadir": nadir})
        low, high = self.hypervolume
        return {
            "axes": axes,
            "points": len(self.points),
            "knee": self.knee + 1 if self.bends else None,
            "hypervolume": {"reached": low, "not_ruled_out": high, "of": "the box from nadir to ideal"},
            "complete": self.complete,
            "interrupted": self.interrupted,
            "wish": self._wished(),
        }

    def _wished(self) -> dict[str, Any] | None:
        """Return the wishes, the point that is nearest to them (None where another plan beats it) and what it falls short."""
        if self.wish is None:
            return None
        found = self.solves[self.wish.solve]
        number = next((k for k, p in enumerate(self.points, 1) if p is found), None)
        return {"wanted": self.wish.wanted, "point": number, "short": self.wish.short, "least": self.wish.least}


def nondominated(shares: Floats) -> Bools:
    """Return which points, shape (points, axes), no other beats on one axis without losing on another; of equals the first."""
    good = np.ones(len(shares), dtype=bool)
    for k, point in enumerate(shares):
        no_worse = (shares >= point - SAME).all(axis=1)
        better = no_worse & (shares > point + SAME).any(axis=1)
        equal = no_worse & (np.abs(shares - point) <= SAME).all(axis=1)
        good[k] = not better.any() and not equal[:k].any()
    return good


def dominated_volume(shares: Floats, low: Floats, high: Floats) -> float:
    """Return the volume between a corner and the points, shape (points, axes), inside a box: their hypervolume."""
    clipped = np.clip(shares, low, high)
    edges = [np.unique(np.append(clipped[:, k], low[k])) for k in range(clipped.shape[1])]
    volume = 0.0
    for cell in itertools.product(*(range(1, len(edge)) for edge in edges)):
        corner = np.array([edge[i] for edge, i in zip(edges, cell, strict=True)])
        if (clipped >= corner).all(axis=1).any():
            volume += float(np.prod([edge[i] - edge[i - 1] for edge, i in zip(edges, cell, strict=True)]))
    return volume
