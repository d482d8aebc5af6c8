"""What each piece of the formulation is worth: bounds of relaxations, and seconds to a proved 1 % by each way of solving."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull

from optimizer import exposure, solving
from optimizer.cluster import crew
from optimizer.decompose import Decomposition
from optimizer.district import Floats, Ints, read_district
from optimizer.highs import Clock, load, run
from optimizer.master import EXACTLY
from optimizer.model import SCORE, Arrays
from optimizer.problem import Problem, assemble
from optimizer.relaxation import Relaxation
from optimizer.stacks import Stacks
from tests.benchmarks.case import Told, rows, told, whole
from tests.benchmarks.registry import Options, Row, benchmark
from tests.benchmarks.shipped import plain
from tests.benchmarks.studies import NOISE, ask, label, layers, there

DISTRICTS = ("Kendall", "1000", "East Cambridge")
SECONDS = 120.0
"""Time limit of each measurement when none is asked for."""
EVER = 10**9
LOUD, LESS = 55.0, 0.2
"""Limit at homes that binds nearly everywhere, dB(A), and part of the most emission that is too little for a proof."""
WAYS = ("branch and bound on the whole", "boxes and tiles around the relaxation", "prices of stacks and pieces")


@benchmark()
def formulation(options: Options) -> Iterator[Row]:
    """Kendall, 1,000 synthetic parcels, East Cambridge, with and without noise: bounds piece by piece, ways to 1 %."""
    for district in DISTRICTS:
        if not there(district):
            yield Row(label(district), "its data have not been fetched", None)
            continue
        for noise in (None, NOISE):
            case = f"{label(district)}, {'no limit on noise' if noise is None else f'{noise:g} dB(A) at homes'}"
            asked = {"district": district, "noise": noise, "threads": options.threads}
            asked["time_limit"] = options.time_limit or SECONDS
            yield from rows(case, relaxations, **asked)
            for way in WAYS:
                yield from rows(f"{case}, {way}", by, way=way, **asked)


@benchmark()
def receptor_rows(options: Options) -> Iterator[Row]:
    """Kendall at 55 dB(A): what rows over receptors give the bound, with M as it is and a fifth of it, which proves nothing."""
    if not there("Kendall"):
        yield Row("Kendall", "its data have not been fetched", None)
        return
    asked = {"threads": options.threads, "time_limit": options.time_limit or SECONDS}
    for single, share in ((True, 1.0), (False, 1.0), (True, LESS)):
        case = f"Kendall, {LOUD:g} dB(A), {'with' if single else 'without'} rows of single buildings, {share:g} of M"
        yield from rows(case, over_receptors, single=single, share=share, **asked)


def over_receptors(single: bool, share: float, **solve: object) -> Iterator[Told]:
    """Yield the bound over whole stacks without some rows, or with part of the emission that M is found for."""
    if not single:
        exposure._storeys_too_many = lambda *_: None
    most = exposure.Part.most

    def part_of_most(*given: Any) -> Any:
        cap, whole = most(*given)
        return cap, share * whole

    exposure.Part.most = part_of_most  # type: ignore[method-assign]
    study = ask("Kendall", LOUD, gap=0.002, **solve)
    problem = assemble(study, read_district(study))
    with crew(None, study.solve.threads) as workers:
        search = Decomposition(problem, Clock(study.solve.time_limit), workers)
        search.prove(lambda _: False, np.inf, 0.0)
        search._price(EXACTLY)
    yield told("bound", search.master.bound / SCORE, "")
    yield told("relaxation over the stacks taken in", search.master.objective / SCORE, "")


def by(way: str, district: str, noise: float | None, **solve: object) -> Iterator[Told]:
    """Solve to 1 % one way."""
    solving.SMALL = EVER if way == WAYS[0] else 0
    if way == WAYS[1]:
        solving._Run.by_pieces = lambda self: False  # type: ignore[method-assign]
    for item in whole(district, noise, False, gap=0.01, **solve):
        if item.get("what") in ("bound", "score", "final gap", "time to 1%") or "no plan" in item.get("what", ""):
            yield item


def relaxations(district: str, noise: float | None, **solve: object) -> Iterator[Told]:
    """Yield the bound of each relaxation and what it took, entropies cut until nothing more than the tolerance is left."""
    study = ask(district, noise, **solve)
    found = read_district(study, *layers(district))

    def problem() -> Problem:
        return assemble(study, found)

    yield from _settled("flow as in textbooks", Textbook(**_fields(problem())))
    yield from _settled("flow inside buildings told apart", problem())
    yield from _settled("and receptors' rows all in from the start", Eager(**_fields(problem())))
    faceted = problem()
    yield told("facets of a site's new floors, most", add_facets(faceted), "")
    yield from _settled("and facets of each site's new floors", faceted)
    yield from _root(problem())
    yield from _stacks(problem())


def facets(floors: Ints) -> Floats:
    """Return the facets of the hull of whole floors and of none, shape (facets, U + 1): a @ n <= b as (a, b), largest entry 1.

    Uses that cannot be there, or lie on a plane with others, are left to the rows that are there anyway.
    """
    points = np.unique(np.vstack([floors, np.zeros_like(floors[:1])]), axis=0).astype(float)
    live = np.flatnonzero(np.ptp(points, axis=0) > 0)
    if len(live) < 2 or np.linalg.matrix_rank(points[:, live]) < len(live):
        return np.empty((0, floors.shape[1] + 1))
    found = np.unique(np.round(ConvexHull(points[:, live]).equations, 9), axis=0)
    whole = np.zeros((len(found), floors.shape[1] + 1))
    whole[:, live], whole[:, -1] = found[:, :-1], -found[:, -1]
    return whole / np.abs(whole[:, :-1]).max(axis=1, keepdims=True)


def add_facets(problem: Problem) -> int:
    """Add the facets of each site's new floors, by enumeration, to a program; return the most of one site."""
    model, d, stacks = problem.model, problem.district, Stacks(problem, problem.arrays())
    known: dict[bytes, Floats] = {}
    most = 0
    for site in range(stacks.sites):
        first, last = stacks.first[2 * stacks.sites + site : 2 * stacks.sites + site + 2]
        floors = stacks.floors[first:last]
        key = floors.tobytes()
        if key not in known:
            known[key] = facets(floors)
        rows = known[key]
        rows = rows[(rows[:, :-1] > 0).any(axis=1)]  # floors are not negative anyway
        at, build = np.arange(len(rows)), model.redevelop[d.parcel_of[site]]
        terms = [(at, np.full(len(rows), model.new[site, u]), rows[:, u]) for u in range(stacks.uses)]
        names = [f"facet_{site}_{number}" for number in at]
        model.program.rows(names, *terms, (at, np.full(len(rows), build), -rows[:, -1]), upper=0.0)
        most = max(most, len(rows))
    return most


class Textbook(Problem):
    """A problem whose flow does not tell today's floors from others inside buildings."""

    def arrays(self) -> Arrays:
        """Return the program without what tells them apart."""
        return plain(super().arrays())


class Eager(Problem):
    """A problem none of whose rows may be left out."""

    def arrays(self) -> Arrays:
        """Return the program with all rows in from the start."""
        arrays = super().arrays()
        return dataclasses.replace(arrays, lazy=np.full(len(arrays.lazy), np.inf))


def _fields(problem: Problem) -> dict[str, object]:
    return {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}


def _settled(name: str, problem: Problem) -> Iterator[Told]:
    options = problem.study.solve
    clock = Clock(options.time_limit)
    relaxation = Relaxation(problem, options.threads, problem.tolerance)
    bound = np.inf
    while not relaxation.settled and clock.left > 0:
        answer = relaxation.solve(clock)
        if answer.status != "optimal":
            break
        bound = min(bound, answer.objective / SCORE)
    yield told(f"{name}, bound", bound if np.isfinite(bound) else None, "")
    yield told(f"{name}, settled" if relaxation.settled else f"{name}, not settled after", clock.elapsed)


def _root(problem: Problem) -> Iterator[Told]:
    """The bound of HiGHS's root node, cuts of entropy as the relaxation left them."""
    options = problem.study.solve
    for _ in _settled("", problem):
        pass
    highs = load(problem.arrays(), threads=options.threads)
    highs.setOptionValue("mip_max_nodes", 1)
    started = time.perf_counter()
    answer = run(highs, Clock(options.time_limit), options.time_limit)
    yield told("root of branch and bound, bound", answer.bound / SCORE, "")
    yield told("root of branch and bound", time.perf_counter() - started)


def _stacks(problem: Problem) -> Iterator[Told]:
    """The bound over whole stacks, each round's prices proved."""
    options = problem.study.solve
    clock = Clock(options.time_limit)
    with crew(None, options.threads) as workers:
        search = Decomposition(problem, clock, workers)
        search.prove(lambda _: False, np.inf, 1e-4)
    yield told("whole stacks, bound", search.master.bound / SCORE, "")
    yield told(f"whole stacks, {search.master.rounds} rounds", clock.elapsed)
