"""Small integer programs around a solution: every count held to two neighbouring whole numbers.

In such a box one row a building states its entropy exactly, in place of the cuts that bound it everywhere.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from optimizer.district import Floats, Ints
from optimizer.mixing import Scale, around, exact_in_box
from optimizer.model import Arrays
from optimizer.names import Blocks, Joined
from optimizer.problem import Problem

DECIDED = 1e-6
"""How near to a whole number the relaxation's decision on a parcel counts as taken."""


@dataclasses.dataclass(frozen=True)
class Box:
    """Floors of each site by use, shape (S, U), and its storeys, shape (S,), between whole numbers."""

    low: Floats
    high: Floats
    least: Floats
    most: Floats


def boxed(
    problem: Problem,
    relaxed: Floats,
    start: Floats | None,
    needed: set[int],
    rng: np.random.Generator,
    widen: int = 0,
) -> Arrays:
    """Return the problem's program held to a box.

    Without a plan the box is floor and ceiling of the relaxation; actions that the relaxation decides are fixed and
    parcels it leaves open stay open. With a plan it is the plan's own count and its neighbour on the side of the
    relaxation (either, by chance, where they agree), and actions on which both agree are fixed.

    Parameters
    ----------
    relaxed : ndarray, shape (columns,)
        A vertex of the relaxation.
    start : ndarray, shape (columns,), or None
        The plan.
    needed : set of int
        Lazy rows that some solution broke; they are not left out.
    widen : int
        Floors that the box reaches further; entropy is then bounded by the usual cuts.
    """
    arrays, model = problem.arrays(), problem.model
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    actions = np.stack([model.keep, model.convert, model.redevelop])
    agreed = np.asarray((np.abs(relaxed[actions] - np.rint(relaxed[actions])) < DECIDED).all(axis=0))
    if start is not None:
        agreed &= (np.rint(relaxed[actions]) == np.rint(start[actions])).all(axis=0)
    decided = actions[:, agreed].ravel()
    lower[decided] = upper[decided] = np.rint(relaxed[decided])
    rows = _Rows(len(arrays.cost))
    replaced = np.zeros(arrays.matrix.shape[0], dtype=bool)
    for block, action in ((model.new, model.redevelop), (model.converted, model.convert)):
        decision = action[model.district.parcel_of]
        box = _box(block, decision, relaxed, start, rng, widen)
        upper[block] = np.minimum(upper[block], box.high)
        rows.hold(block, decision, box)
        for scale in problem.scales:
            if scale.decision is None or widen or scale.column[0, 0] not in block:
                continue
            site = np.searchsorted(block[:, 0], scale.column[:, 0])
            slope, constant = exact_in_box(box.low[site], box.high[site], box.least[site], box.most[site])
            rows.bound_entropy(scale, slope * scale.area, constant * scale.area[:, 0])
            replaced |= np.asarray(arrays.matrix[:, scale.entropy].getnnz(axis=1) > 0) & arrays.cut
    points = [relaxed] if start is None else [relaxed, start]
    for scale in problem.scales:
        if scale.decision is None:
            for x in points:
                for coefficients in around(scale, x):
                    rows.bound_entropy(scale, coefficients)
    held = dataclasses.replace(arrays, lower=lower, upper=upper)
    pressing = held.pressing(points)
    pressing[list(needed)] = True
    return rows.added_to(held.rows(pressing & ~replaced))


def _box(
    block: Ints, decision: Ints, relaxed: Floats, start: Floats | None, rng: np.random.Generator, widen: int
) -> Box:
    """Return the box of one kind of floors; those of a parcel that is partly one action are taken as if wholly."""
    weight = relaxed[decision][:, None]
    floors = np.divide(relaxed[block], weight, out=np.zeros(block.shape), where=weight > DECIDED)

    def sides(value: Floats, own: Floats | None) -> tuple[Floats, Floats]:
        low, high = np.floor(value + 1e-6), np.ceil(value - 1e-6)
        if own is not None and start is not None:
            side = np.sign(np.where(np.abs(value - own) > 1e-6, value - own, rng.choice([-1.0, 1.0], value.shape)))
            stands = (start[decision] > 0.5).reshape(-1, *[1] * (value.ndim - 1))
            low = np.where(stands, own + np.minimum(side, 0), low)
            high = np.where(stands, own + np.maximum(side, 0), high)
        return np.maximum(low - widen, 0), high + widen

    own = None if start is None else np.rint(start[block])
    low, high = sides(floors, own)
    least, most = sides(floors.sum(axis=1), None if own is None else own.sum(axis=1))
    return Box(low, high, least, most)


class _Rows:
    """Rows that hold only in a box, collected to be added to a program."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.parts: list[tuple[sparse.csr_matrix, Floats, Floats]] = []

    def _add(self, count: int, *terms: tuple[ArrayLike, ArrayLike, ArrayLike], lower: float, upper: float) -> None:
        flat = [np.broadcast_arrays(*map(np.asarray, term)) for term in terms]
        row, column, value = (np.concatenate([part[k].ravel() for part in flat]) for k in range(3))
        matrix = sparse.csr_matrix((value, (row, column)), shape=(count, self.columns))
        self.parts.append((matrix, np.full(count, lower), np.full(count, upper)))

    def hold(self, block: Ints, decision: Ints, box: Box) -> None:
        """Hold floors above their least and storeys to the box wherever the decision is taken."""
        site, use = np.nonzero(box.low > 0)
        rows, low = np.arange(len(site)), box.low[site, use]
        self._add(len(rows), (rows, block[site, use], 1.0), (rows, decision[site], -low), lower=0.0, upper=np.inf)
        rows = np.arange(len(block))
        for number, lower, upper in ((box.least, 0.0, np.inf), (box.most, -np.inf, 0.0)):
            self._add(len(block), (rows[:, None], block, 1.0), (rows, decision, -number), lower=lower, upper=upper)

    def bound_entropy(self, scale: Scale, coefficients: Floats, constant: Floats | None = None) -> None:
        """Bound each group's entropy: coefficients (groups, U) on its columns, constant (groups,) on its decision."""
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
            row_names=Blocks([arrays.row_names, Joined("box_", range(extra))]),
        )
