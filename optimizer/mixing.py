"""Mixing as area-weighted Shannon entropy, by cuts and without binary variables.

For a group of sites with floor area g_u by use and total G, the weighted entropy

    E(g) = sum_u g_u ln(G / g_u)

is concave and homogeneous, and by Gibbs' inequality E(g) = min over share vectors s of sum_u g_u (-ln s_u).
A few s bound it from above; the cut at a plan's own shares makes the bound tight there.

Floors of a building are whole, so more can be said. Over whole floors n_u with sum N, and plate a,

    E / a = phi(N) - sum_u phi(n_u),    phi(k) = k ln k,

and for any prices p_u the least of sum_u phi(n_u) - p_u n_u at each N is a sum of sorted increments of phi, since
phi is convex. A line in N above what remains gives E / a <= sum_u (A - p_u) n_u + B for every whole stack, which
the decision to build carries: + B w. Three floors then mix three uses, never four quarters of them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from optimizer.district import Floats, Ints
from optimizer.model import AREA, SCORE, Model
from optimizer.names import Joined, Picked

SMALLEST_SHARE = 1e-6
"""Share given to an absent use in a cut: any positive one is valid, a small one is tight."""

FIRST_ABSENT, COARSE_ABSENT = 0.0005, 0.02
"""Share given to an absent use in the cuts a model starts with, where they are many and where they are few."""
FIRST_CUTS = 6000
IMPOSSIBLE = -1e9
OFF_WHOLE = 1e-4
AROUND = (0.6, 1.6)
"""Factors by which shares are moved for the cuts around a solution."""
NEAR = 0.05
"""Slack from which a cut may be left out for a while, thousand m²."""
MOST_STOREYS = 5
TINY = 1e-6
"""Coefficient below which HiGHS 1.16 was seen to call a program infeasible that is not."""
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


def whole_floor_cut(floors: Floats, most: Ints) -> tuple[Floats, Floats]:
    """Return c and b with E <= plate * (c @ n + b) for all whole floors n >= 0 that sum to at most some storeys.

    Parameters
    ----------
    floors : ndarray, shape (groups, U)
        Where the cut is to be low.
    most : ndarray of int, shape (groups,)
        Most storeys, at least 1.

    Returns
    -------
    ndarray, shape (groups, U); ndarray, shape (groups,)
    """
    storeys = np.arange(int(most.max()) + 1)
    phi = storeys * np.log(np.maximum(storeys, 1))
    rise = np.diff(phi)
    below = np.clip(np.floor(floors + 1e-9).astype(np.int64), 0, len(rise) - 1)
    price = rise[below]
    increments = np.sort((rise - price[:, :, None]).reshape(len(floors), -1), axis=1)[:, : len(rise)]
    top = phi - np.concatenate([np.zeros((len(floors), 1)), np.cumsum(increments, axis=1)], axis=1)
    top[storeys > most[:, None]] = IMPOSSIBLE
    # The highest line through two heights on either side of a point lies above all heights; the point keeps off
    # whole numbers, where lines through one height alone would tie.
    at = np.clip(floors.sum(axis=1) - OFF_WHOLE, OFF_WHOLE, most - OFF_WHOLE)
    low, high = (axis.ravel() for axis in np.meshgrid(storeys, storeys, indexing="ij"))
    pairs = low < high
    low, high = low[pairs], high[pairs]
    slope = (top[:, high] - top[:, low]) / (high - low)
    height = top[:, low] + slope * (at[:, None] - low)
    height[(low > at[:, None]) | (high < at[:, None])] = 2 * IMPOSSIBLE
    best = np.argmax(height, axis=1)
    rows = np.arange(len(floors))
    slope = slope[rows, best]
    return slope[:, None] - price, top[rows, low[best]] - slope * low[best]


def exact_in_box(low: Floats, high: Floats, least: Floats, most: Floats) -> tuple[Floats, Floats]:
    """Return c and b with E = plate * (c @ n + b) for whole floors n in a box that is at most one floor wide.

    phi is replaced by the line through its values at both ends, for every use and for the storeys; a whole number
    of at most two neighbours lies on that line.

    Parameters
    ----------
    low, high : ndarray, shape (groups, U)
    least, most : ndarray, shape (groups,)
        Of the storeys.

    Returns
    -------
    ndarray, shape (groups, U); ndarray, shape (groups,)
    """

    def line(a: Floats, b: Floats) -> tuple[Floats, Floats]:
        phi_a, phi_b = (k * np.log(np.maximum(k, 1.0)) for k in (a, b))
        slope = np.divide(phi_b - phi_a, b - a, out=np.zeros_like(a), where=b > a)
        return slope, phi_a - slope * a

    slope, constant = line(low, high)
    total_slope, total_constant = line(least, most)
    return total_slope[:, None] - slope, total_constant - constant.sum(axis=1)


def around(scale: Scale, x: Floats) -> list[Floats]:
    """Return coefficients, (groups, U) each, of the cuts at a solution and at shares around it."""
    area, _ = scale.areas(x)
    total = area.sum(axis=1, keepdims=True)
    shares = np.divide(area, total, out=np.full_like(area, 1.0 / area.shape[1]), where=total > 0)
    moved = [shares]
    for u in range(area.shape[1]):
        for factor in AROUND:
            other = shares.copy()
            other[:, u] *= factor
            moved.append(other / other.sum(axis=1, keepdims=True))
    return [cut_coefficients(s) * scale.area for s in moved]


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
    decision, most : ndarray of int, shape (groups,), optional
        Where columns count whole floors: the column of the decision to build them, and most storeys.
    defined : ndarray of int, shape (groups, U), optional
        Where columns are floor area: the rows that define them.
    """

    name: str
    entropy: Ints
    column: Ints
    area: Floats
    decision: Ints | None = None
    most: Ints | None = None
    defined: Ints | None = None

    def areas(self, x: Floats) -> tuple[Floats, Floats]:
        """Return floor area by use, (groups, U), and the entropy column's value, (groups,), at a solution."""
        return np.asarray(x[self.column] * self.area), np.asarray(x[self.entropy])

    def tightest(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the lowest cut of each group at a solution.

        Returns
        -------
        value : ndarray, shape (groups,)
            What it allows there, model units of floor area.
        coefficients : ndarray, shape (groups, U)
            On the group's columns.
        constant : ndarray, shape (groups,)
            On the decision's column.
        """
        area, _ = self.areas(x)
        total = area.sum(axis=1, keepdims=True)
        shares = np.divide(area, total, out=np.zeros_like(area), where=total > 0)
        value, coefficients, constant = (
            weighted_entropy(area),
            cut_coefficients(shares) * self.area,
            np.zeros(len(area)),
        )
        if self.decision is not None and self.most is not None and (x[self.decision] > NOTHING).any():
            chosen = np.flatnonzero(x[self.decision] > NOTHING)
            on = x[self.decision[chosen]]
            slope, base = whole_floor_cut(np.maximum(x[self.column[chosen]], 0) / on[:, None], self.most[chosen])
            slope, base = slope * self.area[chosen], base * self.area[chosen, 0]
            allowed = (slope * x[self.column[chosen]]).sum(axis=1) + base * on
            lower = allowed < value[chosen]
            better = chosen[lower]
            value[better], coefficients[better], constant[better] = allowed[lower], slope[lower], base[lower]
        return value, coefficients, constant


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
    if len(d.uses) < 2 or total <= 0:
        return []
    scales = []
    for name, weight in weights.items():
        if weight > 0:
            value = SCORE * weight / (total * AREA * np.log(len(d.uses)))
            own = _buildings(model, value) if name == "building" else [_groups(model, name, value)]
            columns = [scale.entropy for scale in own]
            worth = [np.ones(len(part)) for part in columns]
            if name == "building":
                columns.append(model.keep[d.parcel_of])
                worth.append(weighted_entropy(d.existing_at) * AREA)
            model.entropy[name] = np.concatenate(columns), np.concatenate(worth)
            scales += own
    return scales


def _buildings(model: Model, value: float) -> list[Scale]:
    """Entropy of each building: a constant while kept, cuts on converted and on new floors apart."""
    d, program = model.district, model.program
    kept = weighted_entropy(d.existing_at) * AREA
    program.reward(model.keep[d.parcel_of], value * kept)
    scales = []
    for kind, floors, plate, most, action in (
        ("conv", model.converted, d.plate_today, d.storeys_today[d.parcel_of], model.convert),
        ("new", model.new, d.plate, d.storey_limit.max(axis=1), model.redevelop),
    ):
        chosen = np.flatnonzero((most > 1) & (plate > 0))
        if not len(chosen):
            continue
        names = Joined(f"mix_{kind}_", Picked(model.site_names, chosen))
        entropy = program.columns(names, cost=value)
        scale = Scale(
            f"building {kind}",
            entropy,
            floors[chosen],
            plate[chosen, None] * AREA,
            action[d.parcel_of[chosen]],
            most[chosen],
        )
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
    defined = program.rows([f"area_{g}_{u.name}" for g in labels for u in d.uses], *terms, lower=0.0, upper=0.0)
    shape = (count, uses)
    scale = Scale(name, entropy, area.reshape(shape), np.ones((count, 1)), defined=defined.reshape(shape))
    _start(model, scale)
    return scale


def _start(model: Model, scale: Scale) -> None:
    groups = np.arange(len(scale.entropy))
    shares = first_shares(scale.column.shape[1], len(groups))
    for i, s in enumerate(shares):
        # One is never left out: where mixing weighs next to nothing no cut would hold its columns down.
        lazy = NEAR if i else np.inf
        add_cuts(model, scale, groups, cut_coefficients(s) * scale.area, np.zeros(len(groups)), str(i), lazy)


def _no_tiny(coefficients: Floats) -> Floats:
    """Raise coefficients that are next to 0, which loosens a cut by a hair: HiGHS errs with tiny ones."""
    raised = np.where(coefficients > 0, TINY, 0.0)
    return np.asarray(np.where(np.abs(coefficients) < TINY, raised, coefficients))


def add_cuts(
    model: Model, scale: Scale, groups: Ints, coefficients: Floats, constant: Floats, label: str, lazy: float = NEAR
) -> None:
    """Add one cut to each of some groups of a scale: coefficients (groups, U), constant (groups,) if decided on."""
    names = Joined(f"cut_{label}_", model.program.names(scale.entropy[groups]))
    rows = np.arange(len(groups))
    coefficients, constant = _no_tiny(coefficients), _no_tiny(constant)
    terms: list[tuple[ArrayLike, ArrayLike, ArrayLike]] = [
        (rows, scale.entropy[groups], 1.0),
        (rows[:, None], scale.column[groups], -coefficients),
    ]
    if scale.decision is not None:
        terms.append((rows, scale.decision[groups], -constant))
    model.program.rows(names, *terms, upper=0.0, lazy=lazy, cut=True)


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
        area, entropy = scale.areas(x)
        value, coefficients, constant = scale.tightest(x)
        groups = np.flatnonzero((entropy - value > tolerance) & (area.sum(axis=1) > 0))
        if len(groups):
            add_cuts(model, scale, groups, coefficients[groups], constant[groups], f"{label}_{number}")
            added += len(groups)
    return added


def slack(scales: list[Scale], x: Floats, cost: Floats) -> float:
    """Return by how much entropy columns overstate the objective at a solution, model units.

    Parameters
    ----------
    x, cost : ndarray, shape (columns,)
    """
    total = 0.0
    for scale in scales:
        area, entropy = scale.areas(x)
        total += float(cost[scale.entropy] @ np.maximum(entropy - weighted_entropy(area), 0.0))
    return total


def exact_entropy(scales: list[Scale], x: Floats) -> Floats:
    """Return a solution, shape (columns,), with its entropy columns lowered to the entropy itself: every cut holds."""
    x = x.copy()
    for scale in scales:
        area, entropy = scale.areas(x)
        x[scale.entropy] = np.minimum(entropy, weighted_entropy(area))
    return x
