"""Plans for programs too large to leave to branch and bound: rounding the relaxation, then neighbourhoods.

Every step is an integer program over all rows of the whole, so no step can break a rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Answer, Clock, load, run, start_from
from optimizer.mixing import Scale, around, exact_in_box
from optimizer.model import Arrays, Model

ROUNDING_GAP = 2e-3
TILE_GAP = 5e-4
TILE_SECONDS = 5.0


def round_relaxation(
    model: Model,
    scales: list[Scale],
    arrays: Arrays,
    relaxed: Floats,
    clock: Clock,
    seconds: float,
    threads: int,
    enough: Callable[[Floats], bool],
    start: Floats | None = None,
    also: Sequence[Floats] = (),
    seed: int = 0,
) -> Answer:
    """Solve with every floor count, and every building's storeys, held to one of two neighbouring whole numbers.

    Without a plan these are floor and ceiling of the relaxation; actions that the relaxation decides are fixed and
    parcels it leaves open stay open. With a plan they are the plan's own count and its neighbour on the side of the
    relaxation (either, by chance, where both agree), and actions on which both agree are fixed.

    In such a box one row a building states its entropy exactly, in place of the cuts that bound it everywhere.

    Parameters
    ----------
    relaxed : ndarray, shape (columns,)
        A vertex of the relaxation.
    enough : callable
        Told each better solution; true ends the search.
    start : ndarray, shape (columns,), optional
        A plan to improve.
    also : sequence of ndarray
        Solutions that broke lazy rows; these rows are not left out.
    """
    rng = np.random.default_rng(seed)
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    actions = np.stack([model.keep, model.convert, model.redevelop])
    agreed = np.asarray((np.abs(relaxed[actions] - np.rint(relaxed[actions])) < 1e-6).all(axis=0))
    if start is not None:
        agreed &= (np.rint(relaxed[actions]) == np.rint(start[actions])).all(axis=0)
    decided = actions[:, agreed].ravel()
    lower[decided] = upper[decided] = np.rint(relaxed[decided])
    rows = _Rows(len(arrays.cost))
    describing = np.zeros(arrays.matrix.shape[0], dtype=bool)
    buildings = [scale for scale in scales if scale.decision is not None]
    for block, action in ((model.new, model.redevelop), (model.converted, model.convert)):
        decision = action[model.district.parcel_of]
        box = _box(block, decision, relaxed, start, rng)
        lower[block], upper[block] = 0.0, np.minimum(upper[block], box.high)
        rows.at_least(block, decision[:, None], box.low)
        rows.within(block, decision, box)
        for scale in buildings:
            if scale.column[0, 0] in block:
                site = np.searchsorted(block[:, 0], scale.column[:, 0])
                slope, constant = exact_in_box(box.low[site], box.high[site], box.least[site], box.most[site])
                rows.entropy(scale, slope * scale.area, constant * scale.area[:, 0])
                describing |= np.asarray(arrays.matrix[:, scale.entropy].getnnz(axis=1) > 0) & arrays.cut
    points = [relaxed] if start is None else [relaxed, start]
    for scale in scales:
        if scale.decision is None:
            for x in points:
                for coefficients in around(scale, x):
                    rows.entropy(scale, coefficients, None)
    boxed = dataclasses.replace(arrays, lower=lower, upper=upper)
    program = rows.added_to(boxed.rows(boxed.pressing([*points, *also]) & ~describing))
    highs = load(program, threads=threads, seed=seed)
    highs.setOptionValue("mip_rel_gap", ROUNDING_GAP if start is None else TILE_GAP)
    if start is not None:
        start_from(highs, start)
    return run(highs, clock, seconds, enough=enough)


@dataclasses.dataclass(frozen=True)
class _Box:
    """Floors of each site by use, (S, U), and its storeys, (S,), between whole numbers at most one apart."""

    low: Floats
    high: Floats
    least: Floats
    most: Floats


def _box(block: Ints, decision: Ints, relaxed: Floats, start: Floats | None, rng: np.random.Generator) -> _Box:
    """Return the box of one kind of floors; those of a parcel that is partly one action are taken as if wholly."""
    weight = relaxed[decision][:, None]
    floors = np.divide(relaxed[block], weight, out=np.zeros(block.shape), where=weight > 1e-6)

    def sides(value: Floats, own: Floats | None) -> tuple[Floats, Floats]:
        low, high = np.floor(value + 1e-6), np.ceil(value - 1e-6)
        if own is None or start is None:
            return low, high
        side = np.sign(np.where(np.abs(value - own) > 1e-6, value - own, rng.choice([-1.0, 1.0], value.shape)))
        stands = (start[decision] > 0.5).reshape(-1, *[1] * (value.ndim - 1))
        low = np.where(stands, np.maximum(own + np.minimum(side, 0), 0), low)
        return low, np.where(stands, own + np.maximum(side, 0), high)

    own = None if start is None else np.rint(start[block])
    low, high = sides(floors, own)
    least, most = sides(floors.sum(axis=1), None if own is None else own.sum(axis=1))
    return _Box(low, high, least, most)


class _Rows:
    """Rows that hold only in a box, collected to be added to a program."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.parts: list[tuple[sparse.csr_matrix, Floats, Floats]] = []

    def _add(self, count: int, *terms: tuple[ArrayLike, ArrayLike, ArrayLike], lower: float, upper: float) -> None:
        row, column, value = (
            np.concatenate([np.broadcast_arrays(*map(np.asarray, term))[k].ravel() for term in terms]) for k in range(3)
        )
        matrix = sparse.csr_matrix((value, (row, column)), shape=(count, self.columns))
        self.parts.append((matrix, np.full(count, lower), np.full(count, upper)))

    def at_least(self, columns: Ints, decision: Ints, low: Floats) -> None:
        """Floors not below a number where the decision is taken."""
        held = low > 0
        rows = np.arange(int(held.sum()))
        self._add(
            len(rows),
            (rows, columns[held], 1.0),
            (rows, np.broadcast_to(decision, columns.shape)[held], -low[held]),
            lower=0.0,
            upper=np.inf,
        )

    def within(self, block: Ints, decision: Ints, box: _Box) -> None:
        """Storeys of each building within their two numbers where the decision is taken."""
        rows = np.arange(len(block))
        for number, lower, upper in ((box.least, 0.0, np.inf), (box.most, -np.inf, 0.0)):
            self._add(len(block), (rows[:, None], block, 1.0), (rows, decision, -number), lower=lower, upper=upper)

    def entropy(self, scale: Scale, coefficients: Floats, constant: Floats | None) -> None:
        """Bound each group's entropy."""
        rows = np.arange(len(scale.entropy))
        terms: list[tuple[ArrayLike, ArrayLike, ArrayLike]] = [
            (rows, scale.entropy, 1.0),
            (rows[:, None], scale.column, -coefficients),
        ]
        if constant is not None and scale.decision is not None:
            terms.append((rows, scale.decision, -constant))
        self._add(len(rows), *terms, lower=-np.inf, upper=0.0)

    def added_to(self, arrays: Arrays) -> Arrays:
        """Return a program with these rows too."""
        extra = sum(part[0].shape[0] for part in self.parts)
        return dataclasses.replace(
            arrays,
            matrix=sparse.csr_matrix(sparse.vstack([arrays.matrix, *(part[0] for part in self.parts)])),
            row_lower=np.concatenate([arrays.row_lower, *(part[1] for part in self.parts)]),
            row_upper=np.concatenate([arrays.row_upper, *(part[2] for part in self.parts)]),
            lazy=np.concatenate([arrays.lazy, np.full(extra, np.inf)]),
            cut=np.concatenate([arrays.cut, np.zeros(extra, dtype=bool)]),
            row_names=[*arrays.row_names, *(f"box_{i}" for i in range(extra))],
        )


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
