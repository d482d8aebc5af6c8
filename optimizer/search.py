"""Plans for programs too large to leave to branch and bound: rounding the relaxation, then neighbourhoods.

Every step is an integer program over all rows of the whole, so no step can break a rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from optimizer.district import Bools, Floats
from optimizer.highs import Answer, Clock, load, run, start_from
from optimizer.model import Arrays, Model

ROUNDING_GAP = 2e-3
NEAR = 0.05
"""Thousand m² within which an entropy cut counts as near a solution."""
TILE_GAP = 5e-4
TILE_SECONDS = 5.0


def round_relaxation(
    model: Model,
    arrays: Arrays,
    x: Floats,
    clock: Clock,
    seconds: float,
    threads: int,
    enough: Callable[[Floats], bool],
    widen: int = 0,
    start: Floats | None = None,
) -> Answer:
    """Solve with every floor count held to floor or ceiling of the relaxation.

    Actions that the relaxation decides are fixed; parcels it leaves open stay open.

    Parameters
    ----------
    x : ndarray, shape (columns,)
        A vertex of the relaxation.
    enough : callable
        Told each better solution; true ends the search.
    widen : int
        Floors that each count may go beyond floor and ceiling.
    start : ndarray, shape (columns,), optional
        A plan to improve; what it chooses stays possible.
    """
    d = model.district
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    actions = np.stack([model.keep, model.convert, model.redevelop])
    open_ = np.asarray((np.abs(x[actions] - np.rint(x[actions])) > 1e-6).any(axis=0))
    decided = actions[:, ~open_].ravel()
    lower[decided] = upper[decided] = np.rint(x[decided])
    for block, action in ((model.new, model.redevelop), (model.converted, model.convert)):
        # Floors of a parcel that is partly one action are taken as if it were wholly that.
        weight = x[action][d.parcel_of][:, None]
        floors = np.divide(x[block], weight, out=np.zeros(block.shape), where=weight > 1e-6)
        least = np.where(weight > 1 - 1e-6, np.floor(floors + 1e-6) - widen, 0.0)
        lower[block] = np.maximum(lower[block], least)
        upper[block] = np.minimum(upper[block], np.ceil(floors - 1e-6) + widen)
    points = [x]
    if start is not None:
        lower = np.where(arrays.integer, np.minimum(lower, np.rint(start)), lower)
        upper = np.where(arrays.integer, np.maximum(upper, np.rint(start)), upper)
        points.append(start)
    # Cuts far from the relaxation hardly ever bind between its floors and ceilings, and slow every node.
    near = dataclasses.replace(arrays, lower=lower, upper=upper).without_slack_cuts(points, NEAR)
    highs = load(near, threads=threads)
    highs.setOptionValue("mip_rel_gap", ROUNDING_GAP if start is None else TILE_GAP)
    if start is not None:
        start_from(highs, start)
    return run(highs, clock, seconds, enough=enough)


def improve(
    model: Model,
    arrays: Arrays,
    x: Floats,
    relaxed: Floats,
    clock: Clock,
    threads: int,
    enough: Callable[[Floats], bool],
    tile: int = 25,
    most: int = 1000,
) -> Floats:
    """Improve a plan tile by tile until it is good enough, time is up or no tile helps.

    A tile is the sites nearest to one where plan and relaxation differ most; all other decisions stay.

    Parameters
    ----------
    x : ndarray, shape (columns,)
        A feasible solution.
    relaxed : ndarray, shape (columns,)
        The relaxation's solution.
    enough : callable
        Told each better solution; true ends the search.
    tile, most : int
        Sites of a tile, and most tiles.
    """
    d = model.district
    best, objective = x, float(arrays.cost @ x)
    unused = np.ones(len(d.sites), dtype=bool)
    gained = False
    while clock.left > 1.0 and most:
        most -= 1
        differ = np.abs(best[model.new] - relaxed[model.new]).sum(axis=1) * d.plate
        differ += np.abs(best[model.converted] - relaxed[model.converted]).sum(axis=1) * d.plate_today
        if not (differ[unused] > 0).any():
            if not gained:
                tile *= 2
                if tile > 2 * len(d.sites):
                    break
            unused[:], gained = True, False
            continue
        reach = _around(d.xy, tile)
        heat = np.where(unused, np.array([differ[near].sum() for near in reach]), -1.0)
        near = reach[int(np.argmax(heat))]
        unused[near[: max(len(near) // 3, 1)]] = False
        parcels = np.zeros(len(d.parcels), dtype=bool)
        parcels[d.parcel_of[near]] = True
        answer = _solve_tile(model, arrays, best, parcels, clock, threads)
        if answer.x is not None and answer.objective > objective + 1e-7 * abs(objective):
            best, objective, gained = answer.x, answer.objective, True
            if enough(best):
                break
    return best


def _around(xy: Floats, count: int) -> np.ndarray:
    """Return the sites nearest to each, itself first, shape (S, count)."""
    from scipy.spatial import cKDTree

    k = min(count, len(xy))
    return np.asarray(cKDTree(xy).query(xy, k=k)[1]).reshape(len(xy), k)


def _solve_tile(model: Model, arrays: Arrays, x: Floats, parcels: Bools, clock: Clock, threads: int) -> Answer:
    fixed = arrays.integer & ~model.decisions(parcels)
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    lower[fixed] = upper[fixed] = np.rint(x[fixed])
    highs = load(dataclasses.replace(arrays, lower=lower, upper=upper), threads=threads)
    highs.setOptionValue("mip_rel_gap", TILE_GAP)
    start_from(highs, x)
    return run(highs, clock, TILE_SECONDS)
