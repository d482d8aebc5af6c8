"""Greedy by density: the most floor area per m² of site first, in the use that is worth most there and then.

The rule of thumb of a capacity study, and the ratio greedy of the knapsack problem (Dantzig, Discrete-variable extremum
problems, Operations Research 5, 1957). Parcels are visited in the order of the floor area that they can gain per m² of
site; each is redeveloped or converted to the stack that adds most to the exact score: one use, two in turn, or all.

Made fair: marginal worth is the exact score, not an estimate; a step may not miss the limits of the district by more than
the plan before it, so nothing has to be repaired once one pass, or a second, has reached them. Told twice: after the pass
that reaches a lawful plan, and after passes until one of them changes nothing, which is coordinate ascent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from common import Case, Ours, Row, Stopwatch, alone, judge
from moves import CONVERT, REDEVELOP, SLACK, Choice, Search, Town

from optimizer import LimitError


def greedy(town: Town, watch: Stopwatch, seed: int = 0) -> Iterator[Choice]:
    """Yield the lawful plan after each pass until one changes nothing or the time is up."""
    d, rng = town.district, np.random.default_rng(seed)
    room = np.minimum(np.bincount(d.parcel_of, d.plate * town.storeys), town.area_limit)
    gain = (room - d.existing.sum(axis=1)) / d.site_area
    order = town.free[np.argsort(-gain[town.free], kind="stable")]
    best = town.today()
    missed, score = town.missed(town.parts(best).sum(axis=0)), town.score(best)
    changed = True
    while changed and watch.share < 1:
        changed = False
        for parcel in order:
            for trial in candidates(town, best, parcel, rng):
                misses = town.missed(town.parts(trial).sum(axis=0))
                if misses > max(missed, SLACK):
                    continue
                worth = town.score(trial)
                if misses < missed - SLACK or worth > score:
                    best, missed, score, changed = trial, misses, worth, True
            if watch.share >= 1:
                break
        if missed <= SLACK:
            yield best


def candidates(town: Town, choice: Choice, parcel: int, rng: np.random.Generator) -> Iterator[Choice]:
    """What greedy considers on a parcel: to keep or clear it, and to fill it with one use, two in turn, or all."""
    here, uses = town.sites[parcel], range(town.uses)
    mixes = [*((u,) for u in uses), *itertools.combinations(uses, 2), tuple(uses)]
    for action in town.actions[parcel]:
        for mix in mixes if action in (CONVERT, REDEVELOP) else [()]:
            trial = choice.copy()
            trial.action[parcel], trial.floors[here] = action, 0
            if mix:
                today = np.full(len(here), town.district.storeys_today[parcel])
                for site, storeys in zip(here, today if action == CONVERT else town.storeys[here], strict=True):
                    trial.floors[site] = np.bincount(np.resize(mix, storeys), minlength=town.uses)
            town.fit(trial, parcel, rng)
            yield trial


def first_plan(search: Search, seed: int) -> Choice:
    """The first lawful plan, where the other heuristics start; its seconds count as theirs.

    Raises
    ------
    LimitError
        When their time is up before there is one.
    """
    plan = next(greedy(search.town, search.watch, seed), None)
    if plan is None:
        raise LimitError(f"greedy found no lawful plan to start from in {search.watch.limit:.0f} s")
    search.score(plan)
    return plan


def run(case: Case, ours: Ours, seconds: float, seed: int = 0) -> list[Row]:
    """Ten times ``seconds`` at most."""
    watch, rows = Stopwatch(10 * seconds), []
    for number, plan in enumerate(greedy(Town(case), watch, seed), start=1):
        spent, what = watch.elapsed, f"score after lawful pass {number}"
        score = judge(case, plan.action, plan.floors, ours.bound)
        rows.append(Row("greedy by density", case.name, what, score, ours.score, ours.bound, spent, ours.seconds))
    if not rows:
        what = "no lawful plan in time"
        return [Row("greedy by density", case.name, what, None, ours.score, ours.bound, watch.elapsed, ours.seconds)]
    return rows if len(rows) == 1 else [rows[0], rows[-1]]


if __name__ == "__main__":
    alone(__doc__, run)
