"""Plans for programs too large to leave to branch and bound.

Today's district first; then the relaxation rounded, its walks replaced by their prices; then the plan improved tile
by tile. Every step is an integer program over the rows of the whole, but for lazy ones that are far from binding; the
caller checks those and names the solutions that broke one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import sparse

from optimizer.boxes import boxed
from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Clock, add_rows, load, run, start_from
from optimizer.mixing import exact_entropy, weighted_entropy
from optimizer.model import AREA, Arrays
from optimizer.problem import Problem
from optimizer.relaxation import Relaxation

ROUNDING_GAP = 2e-3
TILE_GAP = 2e-4
MARGIN = 150.0
"""Distance beyond a tile within which flows follow its decisions, m."""
WIDER = (0, 1, 3)
"""Floors by which the box around the relaxation is widened until it holds a plan."""
NEAREST_GAP = 0.3
"""To which the plan nearest to the relaxation is found: any will do to start from."""
BROKEN, WHOLE = 1e-6, 1e-6
"""By how much a row may be broken, and how near to a whole number a decision is taken for it."""
SHORT = 60
"""Entries of a row up to which its decisions are taken anew together."""

THOROUGH = 1 << 14 | 1 << 15 | 1 << 16
"""HiGHS's presolve without making sparser, probing and enumeration: 17 of 20 s in East Cambridge, where a plan then takes 2."""

Enough = Callable[[Floats], bool]
"""Told each better solution; true ends the search."""


def kept(problem: Problem) -> Floats:
    """Return the decision to keep every parcel as it stands, shape (columns,); all else is 0."""
    x = np.zeros(problem.model.program.width)
    x[problem.model.keep] = 1.0
    return x


def decided(problem: Problem, action: np.ndarray, floors: Ints) -> Floats:
    """Return the decisions of a plan, shape (columns,); all else is 0: the inverse of `optimizer.plan.read_solution`.

    Parameters
    ----------
    action : ndarray of str, shape (P,)
    floors : ndarray of int, shape (S, U)
    """
    d, model = problem.district, problem.model
    x = np.zeros(model.program.width)
    for columns, name in ((model.keep, "keep"), (model.convert, "convert"), (model.redevelop, "redevelop")):
        x[columns] = action == name
    at = action[d.parcel_of]
    laid = {
        kind: np.where((at == name)[:, None], floors, 0) for kind, name in (("new", "redevelop"), ("conv", "convert"))
    }
    x[model.new], x[model.converted] = laid["new"], laid["conv"]
    for (kind, use), columns in model.holds.items():
        x[columns] = laid[kind][:, use] > 0
    if model.stands is not None:
        x[model.stands] = laid["new"].sum(axis=1) > 0
    return x


def today(problem: Problem, clock: Clock, threads: int) -> Floats | None:
    """Return the district as it stands as a solution, shape (columns,); None where it breaks a rule."""
    return complete(problem, kept(problem), clock, threads)


def complete(problem: Problem, x: Floats, clock: Clock, threads: int) -> Floats | None:
    """Return the best solution with the same decisions on parcels; its entropies exact; None where there is none."""
    arrays = problem.arrays()
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    decided = problem.model.decisions(np.ones(len(problem.district.parcels), dtype=bool))
    lower[decided] = np.maximum(lower[decided], np.rint(x[decided]))
    upper[decided] = np.minimum(upper[decided], np.rint(x[decided]))
    if (lower > upper).any():
        return None
    for scale in problem.scales:
        # Group areas follow from the decisions; entropy is taken exactly afterwards.
        upper[scale.entropy] = 0.0
    fixed = dataclasses.replace(arrays, lower=lower, upper=upper).rows(~arrays.cut)
    relaxed = not (arrays.integer & ~decided).any()
    answer = run(load(fixed.rows(np.isinf(fixed.lazy)), relaxed=relaxed, threads=threads), clock, clock.left)
    if answer.x is not None and fixed.violated(answer.x).any():
        answer = run(load(fixed, relaxed=relaxed, threads=threads), clock, clock.left)
    if answer.x is None or answer.status != "optimal":
        return None
    full = answer.x.copy()
    for scale in problem.scales:
        full[scale.entropy] = weighted_entropy(scale.areas(full)[0])
    return full


def round_by_prices(
    problem: Problem,
    relaxation: Relaxation,
    needed: set[int],
    clock: Clock,
    seconds: float,
    threads: int,
) -> Floats | None:
    """Return a plan near the relaxation, found without walks; None where there is none or time is up.

    What leaves a building is left out; instead, floors earn what the relaxation's prices give them for serving and
    being served elsewhere. Decisions, rules, entropies and what is met inside buildings stay as they are, which is
    small. Flows are found for the plan at the end.

    Parameters
    ----------
    needed : set of int
        Lazy rows that are not left out; those that a rounding breaks join them.
    seconds : float

    Returns
    -------
    ndarray, shape (columns,), or None
    """
    assert relaxation.x is not None, "the relaxation is solved first"
    prices = relaxation.walking_prices()
    rng = np.random.default_rng(0)
    until = clock.elapsed + seconds
    for widen in WIDER:
        while clock.elapsed < until:
            arrays = boxed(problem, relaxation.x, None, needed, rng, widen)
            upper = arrays.upper.copy()
            upper[problem.flows.columns[problem.flows.walks]] = 0.0
            highs = load(dataclasses.replace(arrays, upper=upper, cost=arrays.cost + prices), threads=threads)
            highs.setOptionValue("mip_rel_gap", ROUNDING_GAP)
            answer = run(highs, clock, min(until - clock.elapsed, clock.left))
            if answer.x is None:
                break
            broken = _broken(problem, answer.x) - needed
            if not broken:
                return complete(problem, answer.x, clock, threads)
            needed |= broken
    return None


def nearest(
    problem: Problem, relaxed: Floats, needed: set[int], clock: Clock, seconds: float, threads: int
) -> Floats | None:
    """Return a plan whose new and converted floors differ little from a solution's, site by site and use by use, or None.

    Walks, entropies and all else that no decision depends on are left out, which leaves a small program: first
    plans are found where limits at receptors bind so hard that no box around the relaxation holds one. Its own relaxation
    leaves few decisions open; these are taken alone, or all are where that cannot be.

    Parameters
    ----------
    relaxed : ndarray, shape (columns,)
        Of the relaxation, or what `kept` returns.
    needed : set of int
        Lazy rows that are not left out; those that a plan breaks join them.
    """
    until = clock.elapsed + seconds
    program, columns, rows = _deciding(problem, relaxed)
    pressing = problem.arrays().pressing([relaxed])
    pressing[list(needed)] = True
    held = np.append(pressing[rows], np.full(program.matrix.shape[0] - len(rows), True))
    keep = np.isin(np.arange(len(program.cost)), np.searchsorted(columns, problem.model.keep))
    highs = load(program.rows(held), relaxed=True, threads=threads)
    plan: Floats | None = None
    while clock.elapsed < until:
        answer = run(highs, clock, until - clock.elapsed)
        if answer.status != "optimal" or answer.x is None:
            return None
        broken = program.violated(answer.x, BROKEN) & ~held
        if not broken.any():
            plan = _rounded(program.rows(held), answer.x, keep, plan, clock, until, threads)
            if plan is None:
                return None
            broken = program.violated(plan, BROKEN) & ~held
            if not broken.any():
                x = np.zeros(problem.model.program.width)
                x[columns] = plan[: len(columns)]
                return complete(problem, x, clock, threads)
        held |= broken
        needed.update(rows[broken[: len(rows)]].tolist())
        add_rows(highs, program, broken)
    return None


def _deciding(problem: Problem, relaxed: Floats) -> tuple[Arrays, Ints, Ints]:
    """Return the program of `nearest` with all its rows, and which columns and rows of the problem come first in it."""
    d, model, arrays = problem.district, problem.model, problem.arrays()
    floors = np.concatenate([model.new.ravel(), model.converted.ravel()])
    weight = np.concatenate([np.repeat(plate, len(d.uses)) for plate in (d.plate, d.plate_today)]) * AREA
    left_out = np.zeros(len(arrays.cost), dtype=bool)
    left_out[problem.flows.columns] = True
    for scale in problem.scales:
        left_out[scale.entropy] = True
    columns = np.flatnonzero(~left_out)
    matrix = arrays.matrix[:, columns]
    asks_none = arrays.matrix @ left_out.astype(float) == 0  # with what is left out at 0 the others ask nothing
    rows = np.flatnonzero((matrix.getnnz(axis=1) > 0) & (asks_none | np.isinf(arrays.row_lower)) & ~arrays.cut)
    place = np.full(len(arrays.cost), -1)
    place[columns] = np.arange(len(columns))
    apart, free = _apart(len(columns), place[floors]), np.zeros(len(floors))
    stated = sparse.csr_matrix((len(rows), len(floors)))
    whole = sparse.csr_matrix(sparse.vstack([sparse.hstack([matrix[rows], stated]), apart]))
    program = Arrays(
        cost=np.concatenate([np.zeros(len(columns)), -weight]),
        lower=np.concatenate([arrays.lower[columns], free]),
        upper=np.concatenate([arrays.upper[columns], free + np.inf]),
        integer=np.concatenate([arrays.integer[columns], free > 0]),
        matrix=whole,
        row_lower=np.concatenate([arrays.row_lower[rows], np.full(2 * len(floors), -np.inf)]),
        row_upper=np.concatenate([arrays.row_upper[rows], relaxed[floors], -relaxed[floors]]),
        lazy=np.concatenate([arrays.lazy[rows], np.full(2 * len(floors), np.inf)]),
        cut=np.zeros(whole.shape[0], dtype=bool),
        column_names=[""] * whole.shape[1],
        row_names=[""] * whole.shape[0],
    )
    return program, columns, rows


def _rounded(
    program: Arrays, x: Floats, keep: Bools, before: Floats | None, clock: Clock, until: float, threads: int
) -> Floats | None:
    """Return a whole solution near one of the relaxation, shape (columns,), or None.

    Decided is what is whole there; else as in a plan before, which lacked some rows, all that is yes or no except around
    these; else that what the relaxation keeps stays; else nothing.

    Parameters
    ----------
    keep : ndarray of bool, shape (columns,)
        Which columns keep a parcel as it stands.
    before : ndarray, shape (columns,), or None
    """
    guesses = [(x, program.integer & (np.abs(x - np.rint(x)) < WHOLE))]
    if before is not None:
        guesses.append((before, program.integer & (program.upper <= 1) & ~_around(program, before)))
    guesses += [(x, keep & (x > 1 - WHOLE)), (x, np.zeros_like(keep))]
    for value, fixed in guesses:
        lower, upper = (np.where(fixed, np.rint(value), side) for side in (program.lower, program.upper))
        highs = load(dataclasses.replace(program, lower=lower, upper=upper), threads=threads)
        highs.setOptionValue("mip_rel_gap", NEAREST_GAP)
        highs.setOptionValue("presolve_rule_off", THOROUGH)
        answer = run(highs, clock, until - clock.elapsed)
        if answer.x is not None:
            return answer.x
    return None


def _around(program: Arrays, x: Floats) -> Bools:
    """Return the integer columns in rows that a solution breaks, and those that short rows tie to them, shape (columns,)."""
    matrix = program.matrix
    broken = matrix[program.violated(x, BROKEN)].getnnz(axis=0) > 0
    short = matrix[matrix.getnnz(axis=1) <= SHORT]
    return np.asarray(abs(short).T @ (abs(short) @ (broken & program.integer).astype(float)) > 0)


def _apart(width: int, floors: Ints) -> sparse.csr_matrix:
    """Return rows that hold a further column a floor count, after ``width`` others, above its distance from a value."""
    k = np.arange(len(floors))
    parts = []
    for sign in (1.0, -1.0):
        values = np.concatenate([np.full(len(k), sign), np.full(len(k), -1.0)])
        at = np.concatenate([floors, width + k])
        parts.append(sparse.csr_matrix((values, (np.tile(k, 2), at)), shape=(len(k), width + len(k))))
    return sparse.csr_matrix(sparse.vstack(parts))


def _broken(problem: Problem, x: Floats) -> set[int]:
    """Return the lazy rows that a solution breaks."""
    arrays = problem.arrays()
    return set(np.flatnonzero(arrays.violated(x, BROKEN) & np.isfinite(arrays.lazy)).tolist())


def search_tile(
    problem: Problem,
    relaxed: Floats,
    plan: Floats,
    needed: set[int],
    tile: Bools,
    clock: Clock,
    seconds: float,
    threads: int,
    seed: int,
    enough: Enough,
) -> None:
    """Search the box between a plan and the relaxation on some sites, shape (S,); what is far from them stays.

    The decisions of all other parcels stay, and so do flows that start more than `MARGIN` further from the tile's
    middle than its furthest site.

    Parameters
    ----------
    relaxed, plan : ndarray, shape (columns,)
    needed : set of int
        Lazy rows that are not left out.
    seconds : float
    enough : callable
        Told each better solution; true ends the search.
    """
    d, flows = problem.district, problem.flows
    start = exact_entropy(problem.scales, plan)
    box = boxed(problem, relaxed, start, needed, np.random.default_rng(seed))
    parcels = np.zeros(len(d.parcels), dtype=bool)
    parcels[d.parcel_of[tile]] = True
    held = problem.model.decisions(~parcels)
    middle = d.xy[tile].mean(axis=0)
    reach = np.linalg.norm(d.xy[tile] - middle, axis=1).max() + MARGIN
    held[flows.columns[np.linalg.norm(flows.xy - middle, axis=1) > reach]] = True
    value = np.where(box.integer, np.rint(start), np.clip(start, box.lower, box.upper))[held]
    lower, upper = box.lower.copy(), box.upper.copy()
    lower[held] = upper[held] = value
    highs = load(dataclasses.replace(box, lower=lower, upper=upper), threads=threads, seed=seed)
    highs.setOptionValue("mip_rel_gap", TILE_GAP)
    start_from(highs, start)
    run(highs, clock, seconds, enough=enough)


def choose_tile(problem: Problem, relaxed: Floats, plan: Floats, size: int, rng: np.random.Generator) -> Bools:
    """Return some sites around one where plan and relaxation differ, shape (S,); the more, the likelier.

    Parameters
    ----------
    relaxed, plan : ndarray, shape (columns,)
    size : int
        Number of sites.
    """
    d, model = problem.district, problem.model
    differ = np.abs(plan[model.new] - relaxed[model.new]).sum(axis=1) * d.plate
    differ += np.abs(plan[model.converted] - relaxed[model.converted]).sum(axis=1) * d.plate_today
    weight = differ + differ.sum() / len(differ) / 10 + 1e-9
    centre = d.xy[rng.choice(len(weight), p=weight / weight.sum())]
    nearest = np.argsort(np.linalg.norm(d.xy - centre, axis=1), kind="stable")[:size]
    tile = np.zeros(len(d.sites), dtype=bool)
    tile[nearest] = True
    return tile
