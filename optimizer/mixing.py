"""Mixing as area-weighted Shannon entropy, by cuts and without binary variables.

For a group of sites with floor area g_u by use and total G, the weighted entropy

    E(g) = sum_u g_u ln(G / g_u)

is concave and homogeneous, and by Gibbs' inequality E(g) = min over share vectors s of sum_u g_u (-ln s_u).
A few s bound it from above; the cut at a plan's own shares makes the bound tight there.

A converted building has a known number of storeys n, so more can be said: over whole floors m with sum n,

    E(m) / plate = n ln n - sum_u phi(m_u),    phi(k) = k ln k,

and because sum_u m_u = n is totally unimodular and phi convex, the least concave function above E at all whole
m is found by joining phi(0), phi(1), ... by straight lines. Three floors then mix three uses, never four
quarters of them. Its pieces are the cuts; scaled by the decision to convert they stay linear.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from optimizer.district import Floats, Ints
from optimizer.model import AREA, SCORE, Model

SMALLEST_SHARE = 1e-4
"""Share given to an absent use in a cut: any positive one is valid, a small one is tight."""

FIRST_ABSENT, COARSE_ABSENT = 0.0005, 0.02
"""Share given to an absent use in the cuts a model starts with, where they are many and where they are few."""
FIRST_CUTS = 6000
MOST_STOREYS = 5
NOTHING = 1e-9
"""Floor area at and below which a solver's value counts as none."""


def weighted_entropy(area: ArrayLike) -> Floats:
    """Return sum_u g_u ln(G / g_u) for floor areas g, shape (..., U); in the unit of g."""
    g = np.maximum(np.asarray(area, dtype=float), 0.0)
    g[g <= NOTHING] = 0.0
    total = g.sum(axis=-1, keepdims=True)
    ratio = np.divide(total, g, out=np.ones_like(g), where=g > 0)
    return np.asarray((g * np.log(ratio)).sum(axis=-1), dtype=float)


def cut_coefficients(shares: ArrayLike) -> Floats:
    """Return -ln s for share vectors, shape (..., U), absent uses given `SMALLEST_SHARE`."""
    s = np.maximum(np.asarray(shares, dtype=float), SMALLEST_SHARE)
    return np.asarray(-np.log(s / s.sum(axis=-1, keepdims=True)))


def whole_floor_coefficients(shares: ArrayLike, storeys: Floats) -> Floats:
    """Return coefficients c with E <= plate * c @ m for all whole floors m >= 0 that sum to the storeys.

    Parameters
    ----------
    shares : array_like, shape (groups, U)
        Where the cut is tight, among fractions of the storeys.
    storeys : ndarray, shape (groups,)
    """
    n = storeys[:, None]
    floors = np.asarray(shares, dtype=float) * n
    below = np.clip(np.floor(floors + 1e-9), 0, n - 1)

    def phi(k: Floats) -> Floats:
        return np.asarray(k * np.log(np.maximum(k, 1.0)))

    slope = phi(below + 1) - phi(below)
    at_nought = (phi(below) - slope * below).sum(axis=1, keepdims=True)
    return np.asarray(np.log(n) - at_nought / n - slope)


def first_shares(uses: int, groups: int) -> Floats:
    """Return the share vectors of the cuts a model starts with, shape (cuts, uses).

    Every way to divide some storeys, as many as `FIRST_CUTS` allows for the groups, among the uses; and the even
    mixture of all.
    """
    storeys = 2
    while storeys < MOST_STOREYS and math.comb(storeys + uses, uses - 1) * groups <= FIRST_CUTS:
        storeys += 1
    rows = {tuple(1.0 / uses for _ in range(uses))}
    for chosen in itertools.combinations_with_replacement(range(uses), storeys):
        rows.add(tuple(chosen.count(u) / storeys for u in range(uses)))
    shares = np.maximum(np.array(sorted(rows)), COARSE_ABSENT if storeys == 2 else FIRST_ABSENT)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Scale:
    """One scale at which mixing is measured.

    Attributes
    ----------
    name : str
    entropy : ndarray of int, shape (groups,)
        Column of the group's weighted entropy, model units of floor area.
    column : ndarray of int, shape (groups, U)
        Column of its floors or floor area by use.
    area : ndarray, shape (groups, 1)
        Floor area of one unit of that column, model units.
    storeys : ndarray, shape (groups,), optional
        Sum of the columns of each group wherever it is not nought, when it is known.
    """

    name: str
    entropy: Ints
    column: Ints
    area: Floats
    storeys: Floats | None = None

    def shares(self, x: Floats) -> tuple[Floats, Floats]:
        """Return floor area by use, (groups, U), and the entropy column's value, (groups,), at a solution."""
        return np.asarray(x[self.column] * self.area), np.asarray(x[self.entropy])

    def cut(self, groups: Ints, shares: ArrayLike) -> Floats:
        """Return coefficients of the cut that is tight at share vectors, (groups, U), on the groups' columns."""
        if self.storeys is None:
            return np.asarray(cut_coefficients(shares) * self.area[groups])
        return np.asarray(whole_floor_coefficients(shares, self.storeys[groups]) * self.area[groups])

    def most(self, x: Floats) -> Floats:
        """Return the least upper bound of entropy that cuts can give at a solution, shape (groups,)."""
        area, _ = self.shares(x)
        if self.storeys is None:
            return weighted_entropy(area)
        total = area.sum(axis=1, keepdims=True)
        shares = np.divide(area, total, out=np.zeros_like(area), where=total > 0)
        return np.asarray((whole_floor_coefficients(shares, self.storeys) * area).sum(axis=1))


def add_mixing(model: Model, weights: dict[str, float], total: float) -> list[Scale]:
    """Add entropy columns, first cuts and objective.

    Parameters
    ----------
    weights : dict
        Scale (building, block, neighbourhood) to its weight in the score.
    total : float
        Most floor area the programme allows, m²; the constant that weighted entropy is divided by.

    Returns
    -------
    list of Scale
        Where later cuts go.
    """
    d = model.district
    if len(d.uses) < 2:
        return []
    scales = []
    for name, weight in weights.items():
        if weight > 0:
            value = SCORE * weight / (total * AREA * np.log(len(d.uses)))
            scales += _buildings(model, value) if name == "building" else [_groups(model, name, value)]
    return scales


def _buildings(model: Model, value: float) -> list[Scale]:
    """Entropy of each building: a constant while kept, cuts on converted and on new floors apart."""
    d, program = model.district, model.program
    kept = weighted_entropy(d.existing_at) * AREA
    program.reward(model.keep[d.parcel_of], value * kept)
    scales = []
    for kind, floors, plate, most in (
        ("conv", model.converted, d.plate_today, d.storeys_today[d.parcel_of]),
        ("new", model.new, d.plate, d.storey_limit.max(axis=1)),
    ):
        chosen = np.flatnonzero((most > 1) & (plate > 0))
        names = [f"mix_{kind}_{model.site_names[s]}" for s in chosen]
        entropy = program.columns(names, cost=value)
        storeys = most[chosen].astype(float) if kind == "conv" else None
        scale = Scale(f"building {kind}", entropy, floors[chosen], plate[chosen, None] * AREA, storeys)
        _start(model, scale)
        scales.append(scale)
    return scales


def _groups(model: Model, name: str, value: float) -> Scale:
    """Entropy of each block or neighbourhood: its floor area by use in columns of its own, cuts on those."""
    d, program = model.district, model.program
    group, uses = d.groups[name], len(d.uses)
    count = int(group.max()) + 1
    labels = [f"{name}_{g}" for g in range(count)]
    entropy = program.columns([f"mix_{g}" for g in labels], cost=value)
    area = program.columns([f"area_{g}_{u.name}" for g in labels for u in d.uses])
    terms: list[tuple[ArrayLike, ArrayLike, ArrayLike]] = [(np.arange(area.size), area, -1.0)]
    for u in range(uses):
        terms += model.floor_area_terms(u, group * uses + u)
    program.rows([f"area_{g}_{u.name}" for g in labels for u in d.uses], *terms, lower=0.0, upper=0.0)
    scale = Scale(name, entropy, area.reshape(count, uses), np.ones((count, 1)))
    _start(model, scale)
    return scale


def _start(model: Model, scale: Scale) -> None:
    groups = np.arange(len(scale.entropy))
    shares = first_shares(scale.column.shape[1], len(groups))
    for i, s in enumerate(shares):
        add_cuts(model, scale, groups, cut_coefficients(s) * scale.area, str(i))


def add_cuts(model: Model, scale: Scale, groups: Ints, coefficients: Floats, label: str) -> None:
    """Add one cut with coefficients (groups, U) on the columns of each of some groups of a scale."""
    names = [f"cut_{label}_{model.program.name(c)}" for c in scale.entropy[groups]]
    rows = np.arange(len(groups))
    model.program.rows(
        names,
        (rows, scale.entropy[groups], 1.0),
        (rows[:, None], scale.column[groups], -coefficients),
        upper=0.0,
        cut=True,
    )


def separate(model: Model, scales: list[Scale], x: Floats, tolerance: float, label: str) -> int:
    """Add the cuts that a solution violates.

    Parameters
    ----------
    x : ndarray, shape (columns,)
    tolerance : float
        Excess of a group's entropy column that is let pass, model units of floor area.

    Returns
    -------
    int
        Number of cuts added.
    """
    added = 0
    for number, scale in enumerate(scales):
        area, entropy = scale.shares(x)
        total = area.sum(axis=1)
        groups = np.flatnonzero((entropy - scale.most(x) > tolerance) & (total > 0))
        if len(groups):
            shares = area[groups] / total[groups, None]
            add_cuts(model, scale, groups, scale.cut(groups, shares), f"{label}_{number}")
            added += len(groups)
    return added


def slack(scales: list[Scale], x: Floats, cost: Floats) -> float:
    """Return by how much entropy columns overstate the objective at a solution, model units."""
    total = 0.0
    for scale in scales:
        area, entropy = scale.shares(x)
        total += float(cost[scale.entropy] @ np.maximum(entropy - weighted_entropy(area), 0.0))
    return total


def exact_entropy(scales: list[Scale], x: Floats) -> Floats:
    """Return a solution with its entropy columns lowered to the entropy itself, so that every cut holds."""
    x = x.copy()
    for scale in scales:
        area, entropy = scale.shares(x)
        x[scale.entropy] = np.minimum(entropy, weighted_entropy(area))
    return x
