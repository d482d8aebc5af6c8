"""Limits on what arrives at receptors: rows that are linear in floor area and hold where a use is present.

What arrives at receptor r is  sum over parts of  sum over sites s of  k_rs e_s,  with emissions e_s in m² of the
part's strongest use. The row, in units of the limit, reads

    sum of k_rs e_s + (M_r - 1) z_r <= M_r,

z_r = 1 where the limited use is present. M_r is the most that can arrive: sources filled from the strongest
onwards until the programme's floor area of such uses is spent (a continuous knapsack). Rows with M_r <= 1 cannot bind
and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from optimizer.model import AREA, Model
from optimizer.reference import most_floor_area

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.rules.base import Rule

SELDOM = 0.5
"""Share of the limit that is left, 3 dB, from which a receptor's row may be left out for a while."""
BINDS = 1.0 + 1e-9
TOGETHER = 256
"""Receptors that are looked at together."""
SMALL = 1e-9
"""Coefficients in units of the limit below which a source is taken for silent: a millionth of the limit from 1,000,000 m²."""

Term = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Part:
    """What some uses give off, as it arrives at R receptors.

    Attributes
    ----------
    weight : ndarray, shape (U,)
        Emission of one m² of floor by use, 1 for the strongest.
    arriving : ndarray or csr_matrix, shape (R, S)
        Of one model unit of emission at each site, in units of each receptor's limit; sparse where sources beyond reach
        are not told apart.
    far : ndarray, shape (R,)
        The same for sites whose entry in ``arriving`` is 0 because they lie beyond reach.
    """

    weight: Floats
    arriving: Floats | sparse.csr_matrix
    far: Floats

    def most(self, district: District, budget: Floats) -> tuple[Floats, float]:
        """Return the most emission of each site, shape (S,), and of all together, model units."""
        d, w = district, self.weight
        today = d.existing_at @ w
        converted = d.plate_today * d.storeys_today[d.parcel_of] * w.max()
        # A mixed building can emit more than one of a single use: its storeys, each the loudest, or its height filled.
        storeys = d.storey_limit.max(axis=1) * w.max()
        heights = d.max_height[d.parcel_of] * (w / d.storey_height).max()
        built = d.plate * np.minimum(storeys, heights)
        cap = np.maximum.reduce([today, converted, built]) * AREA
        return np.asarray(cap), min(float(budget[:-1] @ w), float(budget[-1] * w.max())) * AREA

    def rows(self, keep: Bools | Ints) -> Part:
        """Return the part at some of its receptors."""
        return replace(self, arriving=self.arriving[keep], far=self.far[keep])


def part(weights: Floats, kernel: Floats | sparse.csr_matrix, far: Floats, room: Floats) -> Part:
    """Return a part from emissions per m² by use and what arrives of one unit of them.

    Parameters
    ----------
    weights : ndarray, shape (U,)
    kernel : ndarray or csr_matrix, shape (R, S)
    far : ndarray, shape (R,)
    room : ndarray, shape (R,)
        What may arrive, in the unit of the product of both.
    """
    strongest = float(weights.max())
    scale = strongest / AREA / room
    arriving = (
        sparse.csr_matrix(sparse.diags(scale) @ kernel)
        if isinstance(kernel, sparse.csr_matrix)
        else kernel * scale[:, None]
    )
    return Part(weights / strongest, arriving, far * scale)


@dataclass(frozen=True)
class Receptors:
    """Where a limit holds.

    Attributes
    ----------
    names : list of str, one a receptor
    site : ndarray of int, shape (R,)
        Site of each; -1 for places that the plan does not build.
    parts : sequence of Part
    """

    names: list[str]
    site: Ints
    parts: Sequence[Part]

    def at(self, keep: Bools) -> Receptors:
        """Return some of the receptors."""
        names = [name for name, kept in zip(self.names, keep, strict=True) if kept]
        return Receptors(names, self.site[keep], [p.rows(keep) for p in self.parts])

    def most(self, model: Model) -> Floats:
        """Return the most that can arrive at each receptor, in units of its limit, shape (R,)."""
        budget = most_floor_area(model.district, model.rules)
        total = np.zeros(len(self.names))
        for item in self.parts:
            cap, whole = item.most(model.district, budget)
            if isinstance(item.arriving, sparse.csr_matrix):
                total += knapsack_within(item.arriving, item.far, self.site, cap, whole)
            else:
                total += knapsack(np.maximum(item.arriving, self._far(item)), cap, whole)
        return total

    def _far(self, item: Part) -> Floats:
        """Return what counts for sites beyond reach, 0 at the receptor's own site; shape (R, S)."""
        own = np.arange(item.arriving.shape[1])[None, :] == self.site[:, None]
        return np.where(own, 0.0, item.far[:, None])


def dominated(first: Receptors, second: Receptors) -> Bools:
    """Return where the rows of the first are implied by those of the second, receptor by receptor, shape (R,)."""
    if len(first.parts) != len(second.parts):
        return np.zeros(len(first.names), dtype=bool)
    implied = np.ones(len(first.names), dtype=bool)
    for a, b in zip(first.parts, second.parts, strict=True):
        if not np.array_equal(a.weight, b.weight):
            return np.zeros(len(first.names), dtype=bool)
        more = a.arriving - b.arriving * (1 + 1e-12) > 0
        implied &= ~np.asarray(more.sum(axis=1)).ravel().astype(bool) & (a.far <= b.far * (1 + 1e-12))
    return implied


def hold(rule: Rule, model: Model, found: Receptors, use: int | None, lifts: Sequence[tuple[Ints, Floats]] = ()) -> int:
    """Hold what arrives under the limits; return the number of rows that can bind.

    Parameters
    ----------
    use : int or None
        The limited use; None where the limit holds whatever is built.
    lifts : sequence of (columns, factors), shapes (S,), (R,)
        Binary choices of a site that multiply the limit by a factor, one at most.
    """
    d = model.district
    most = found.most(model)
    binding = most > BINDS
    found, most = found.at(binding), most[binding]
    lifts = [(columns, factor[binding]) for columns, factor in lifts]
    if not len(found.names):
        return 0
    row = np.arange(len(found.names))
    terms: list[Term] = []
    for item in found.parts:
        emitted = model.emitted(item.weight)
        near, source, arriving = _entries(item.arriving)
        excess = arriving - item.far[near]
        counts = excess >= SMALL
        terms.append((near[counts], emitted[source[counts]], excess[counts]))
        if item.far.any():
            terms.append((row, _altogether(model, item.weight, emitted), item.far))
            inside = found.site >= 0
            terms.append((row[inside], emitted[found.site[inside]], -item.far[inside]))
    upper = most
    if use is None:
        upper = np.ones(len(row))
    else:
        for columns, factor in model.holding(use):
            terms.append((row, columns[found.site], factor[found.site] * (most - 1.0)))
        for columns, factor in lifts:
            terms.append((row, columns[found.site], -(np.minimum(factor, most) - 1.0)))
    rule.rows(model, found.names, *terms, upper=upper, lazy=SELDOM if rule.price is None else np.inf)
    if use is not None and rule.price is None and not lifts:
        _storeys_too_many(rule, model, found, use, d)
    return len(row)


def _altogether(model: Model, weight: Floats, emitted: Ints) -> Ints:
    """Return the column of all emission together."""
    names = [f"{model.program.name(int(emitted[0]))}_all"]
    column = model.program.columns(names)
    model.program.rows(names, (0, emitted, 1.0), (0, column, -1.0), lower=0.0, upper=0.0)
    return column


def _storeys_too_many(rule: Rule, model: Model, found: Receptors, use: int, d: District) -> None:
    """Say in whole storeys what a single new building may hold beside a receptor's use: n + (N - f) z <= N.

    f storeys of n are the most that keep the limit alone; implied by the receptors' rows, but tighter than these.
    """
    for item in found.parts:
        receptor, source, arriving = _entries(item.arriving)
        # The loudest receptor of each building.
        pair, place = np.unique(found.site[receptor] * len(d.sites) + source, return_inverse=True)
        loudest = np.zeros(len(pair))
        np.maximum.at(loudest, place, arriving)
        beside, source = np.divmod(pair, len(d.sites))
        for u in np.flatnonzero(item.weight):
            each = loudest * item.weight[u] * d.plate[source] * AREA
            most = d.storey_limit[:, u].astype(float)
            allowed = np.floor(np.divide(1.0 + 1e-6, each, out=np.full_like(each, np.inf), where=each > 0))
            few = allowed < most[source]
            r, s, allowed = beside[few], source[few], allowed[few]
            if not len(r):
                continue
            row, excess = np.arange(len(r)), most[s] - allowed
            name = d.uses[u].name
            held = [(row, columns[r], factor[r] * excess / most[s]) for columns, factor in model.holding(use)]
            model.program.rows(
                [
                    f"{rule.label}_{name}_{model.site_names[b]}_beside_{model.site_names[a]}"
                    for a, b in zip(r, s, strict=True)
                ],
                (row, model.new[s, u], 1.0 / most[s]),
                *held,
                upper=1.0,
                lazy=SELDOM,
            )


def knapsack(kernel: Floats, cap: Floats, total: float) -> Floats:
    """Return for each receptor the most that can arrive, shape (R,).

    Sources are filled in falling order of their kernel until ``total`` is spent.

    Parameters
    ----------
    kernel : ndarray, shape (R, S)
    cap : ndarray, shape (S,)
    """
    order = np.argsort(-kernel, axis=1)
    room = np.minimum(np.cumsum(cap[order], axis=1), total)
    filled = np.diff(room, axis=1, prepend=0.0)
    return np.asarray((np.take_along_axis(kernel, order, axis=1) * filled).sum(axis=1))


def knapsack_within(kernel: sparse.csr_matrix, far: Floats, site: Ints, cap: Floats, total: float) -> Floats:
    """Return what `knapsack` does where sources that a kernel does not hold count alike.

    Parameters
    ----------
    kernel : csr_matrix, shape (R, S)
    far : ndarray, shape (R,)
        Of all sources but the receptor's own that count no more in ``kernel``.
    site : ndarray of int, shape (R,)
        A receptor's own source, which does not count; -1 for none.
    """
    most = np.zeros(len(far))
    # Some at a time, so that running totals stay small and exact.
    for start in range(0, len(far), TOGETHER):
        part = slice(start, start + TOGETHER)
        most[part] = _filled(kernel[part], far[part], site[part], cap, total)
    return most


def _filled(kernel: sparse.csr_matrix, far: Floats, site: Ints, cap: Floats, total: float) -> Floats:
    row, source, value = _entries(kernel)
    above = value > far[row]
    row, source, value = row[above], source[above], value[above]
    order = np.lexsort((-value, row))
    row, value, room = row[order], value[order], np.cumsum(cap[source[order]])
    first = np.diff(row, prepend=-1) > 0
    count = np.bincount(row, minlength=len(far))
    room = np.minimum(room - np.concatenate([[0.0], room])[np.cumsum(count) - count][row], total)
    filled = np.where(first, room, np.diff(room, prepend=0.0))
    near = np.bincount(row, filled, minlength=len(far))
    others = cap.sum() - np.where(site >= 0, cap[site], 0.0)
    rest = np.maximum(np.minimum(others, total) - near, 0.0)
    return np.asarray(np.bincount(row, value * filled, minlength=len(far)) + far * rest)


def _entries(matrix: Floats | sparse.csr_matrix) -> tuple[Ints, Ints, Floats]:
    """Return row, column and value of what is not 0, row by row."""
    if isinstance(matrix, sparse.csr_matrix):
        entries = matrix.tocoo()
        return entries.row.astype(np.int64), entries.col.astype(np.int64), np.asarray(entries.data)
    row, column = np.nonzero(matrix)
    return row, column, np.asarray(matrix[row, column])
