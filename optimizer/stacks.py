"""Every stack of whole floors that a building may have, and the best of them at given prices.

A plan chooses for each site one stack of one kind: what is kept, converted or new. Rows that bind the columns of one
site alone are settled when stacks are listed; what is left couples sites, and has a price each. At given prices a
site's best stack is found by looking at all of them, entropy taken exactly, and what is met inside the building filled
supplier by supplier from the linkage that earns most (each linkage has one supplier, so that is optimal).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.mixing import weighted_entropy
from optimizer.model import AREA, Arrays
from optimizer.problem import Problem

KINDS = ("kept", "conv", "new")
MOST = 20_000_000
"""Stacks beyond which a district's are not listed."""
HAIR = 1e-9
WHOLE = 1e-4
"""How near to a whole number floors of a plan are."""


@dataclass(frozen=True)
class Chosen:
    """Some stacks with what is met inside each.

    Attributes
    ----------
    stack : ndarray of int, shape (C,)
        Row among the stacks.
    inside : ndarray, shape (C, linkages)
        Model units.
    """

    stack: Ints
    inside: Floats

    def __len__(self) -> int:
        return len(self.stack)

    def at(self, keep: Bools | Ints) -> Chosen:
        """Return some of them."""
        return Chosen(self.stack[keep], self.inside[keep])

    def and_also(self, other: Chosen) -> Chosen:
        """Return both, each once."""
        stack = np.concatenate([self.stack, other.stack])
        inside = np.concatenate([self.inside, other.inside])
        _, first = np.unique(np.column_stack([stack, np.round(inside, 9)]), axis=0, return_index=True)
        first = np.sort(first)
        return Chosen(stack[first], inside[first])


class Stacks:
    """All stacks of a problem's sites.

    Stacks are ordered by place: a place is a kind at a site, ``place = kind * S + site``.

    Attributes
    ----------
    place, site, kind : ndarray of int, shape (K,)
    floors : ndarray of int, shape (K, U)
        Converted or new floors by use; none of what is kept.
    area : ndarray, shape (K, U)
        Floor area, model units.
    entropy : ndarray, shape (K,)
        Area-weighted, model units of floor area; 0 of what is kept, whose entropy belongs to the decision to keep.
    first : ndarray of int, shape (places + 1,)
        Where each place's stacks begin.
    local : ndarray of bool, shape (columns,)
        Columns that follow from the stacks.
    action : ndarray of int, shape (places,)
        Column of the decision that a place's stacks go with.
    mixing : ndarray, shape (places,)
        What an entropy of one is worth.
    impossible : ndarray of int
        Places that can hold no stack at all.
    settled : ndarray of bool, shape (rows,)
        Rows of the program that every stack keeps; entropy cuts of buildings are such rows too.
    """

    def __init__(self, problem: Problem, arrays: Arrays) -> None:
        self.problem = problem
        model, d = problem.model, problem.district
        self.sites, self.uses = model.new.shape
        self.routes = problem.flows.routes
        self.owner = np.full(len(arrays.cost), -1)
        self._listed(arrays)
        for columns in self._columns():
            self.owner[columns] = np.arange(self.sites)
        self.local: Bools = self.owner >= 0
        for scale in problem.scales:
            if scale.decision is not None:
                self.local[scale.entropy] = True
                self.owner[scale.entropy] = self._sites_of(scale.column)
        self._settle(arrays)
        self.first = np.searchsorted(self.place, np.arange(len(KINDS) * self.sites + 1))
        self.action = np.stack([model.keep, model.convert, model.redevelop])[:, d.parcel_of].ravel()
        self.mixing = np.zeros(len(KINDS) * self.sites)
        for scale in problem.scales:
            if scale.decision is not None:
                at = self._sites_of(scale.column) + self.sites * self._kind_of(scale.column)
                self.mixing[at] = arrays.cost[scale.entropy]

    def _columns(self) -> list[Ints]:
        """Blocks of columns that follow from a stack, one a site each."""
        model = self.problem.model
        blocks = [*model.new.T, *model.converted.T, *model.holds.values()]
        blocks += [columns for route in self.routes for columns in route.inside.values()]
        return blocks if model.stands is None else [*blocks, model.stands]

    def _sites_of(self, floors: Ints) -> Ints:
        return np.asarray(self.owner[floors[:, 0]])

    def _kind_of(self, floors: Ints) -> int:
        return 2 if np.isin(floors[0, 0], self.problem.model.new) else 1

    def _listed(self, arrays: Arrays) -> None:
        """List whole floors within each site's own limits."""
        d, model = self.problem.district, self.problem.model
        storeys = d.storeys_today[d.parcel_of]
        new = np.minimum(d.storey_limit, arrays.upper[model.new]).astype(np.int64)
        conv = np.where(arrays.upper[model.converted].max(axis=1) > 0, storeys, 0)
        sites = np.arange(self.sites)
        parts: list[tuple[Ints, Ints]] = [(sites, np.zeros((self.sites, self.uses), dtype=np.int64))]
        limits, of = np.unique(conv, return_inverse=True)
        parts.append(_spread([_all_stacks(np.full(self.uses, n), exactly=True) for n in limits], of))
        limits, of = np.unique(new, axis=0, return_inverse=True)
        parts.append(_spread([_all_stacks(row) for row in limits], of.ravel()))
        self.site = np.concatenate([part[0] for part in parts])
        self.floors = np.concatenate([part[1] for part in parts])
        self.kind = np.repeat(np.arange(len(KINDS)), [len(part[0]) for part in parts])
        self._measure()

    def _measure(self) -> None:
        d = self.problem.district
        plate = np.stack([np.zeros(self.sites), d.plate_today, d.plate])[self.kind, self.site]
        self.area = self.floors * plate[:, None] * AREA
        self.entropy = weighted_entropy(self.area)
        kept = self.kind == 0
        self.area[kept] = d.existing_at[self.site[kept]] * AREA
        self.place = self.kind * self.sites + self.site

    def _settle(self, arrays: Arrays) -> None:
        """Find the rows that bind one site alone, and drop the stacks that break one."""
        model, d, matrix = self.problem.model, self.problem.district, arrays.matrix
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        owner = self.owner[matrix.indices]
        parcel = np.full(len(arrays.cost), -1)
        for block in (model.keep, model.convert, model.redevelop):
            parcel[block] = np.arange(len(d.parcels))
        last = np.full(matrix.shape[0], -1)
        np.maximum.at(last, row, owner)
        own = (owner >= 0) & (owner == last[row])
        action = (owner < 0) & (last[row] >= 0) & (parcel[matrix.indices] == d.parcel_of[last[row]])
        alone = (last >= 0) & (np.bincount(row[~(own | action)], minlength=matrix.shape[0]) == 0)
        alone &= (arrays.row_lower <= HAIR) & (arrays.row_upper >= -HAIR)
        # Rows with what is met inside, and with entropies, hold by construction.
        filled = np.zeros(len(arrays.cost), dtype=bool)
        for route in self.routes:
            for columns in route.inside.values():
                filled[columns] = True
        for scale in self.problem.scales:
            filled[scale.entropy] = True
        counted = alone & (np.bincount(row[filled[matrix.indices]], minlength=matrix.shape[0]) == 0)
        kept_breaks = self._check(arrays, np.flatnonzero(counted), last)
        self.settled: Bools = alone
        self.settled[kept_breaks] = False

    def _check(self, arrays: Arrays, rows: Ints, last: Ints) -> Ints:
        """Drop stacks that break a row of their site; return the rows that a kept building breaks."""
        model, d = self.problem.model, self.problem.district
        order = rows[np.argsort(last[rows], kind="stable")]
        site = last[order]
        layer = np.arange(len(order)) - np.searchsorted(site, site)
        good = np.ones(len(self.site), dtype=bool)
        wrong: list[Ints] = []
        features = self._features()
        kept = self.kind == 0
        for number in range(int(layer.max(initial=-1)) + 1):
            chosen = layer == number
            of = np.full(self.sites, -1)
            of[site[chosen]] = order[chosen]
            matrix = sparse.csr_matrix(arrays.matrix[order[chosen]])
            at = np.full(arrays.matrix.shape[0], -1)
            at[order[chosen]] = np.arange(int(chosen.sum()))
            value = np.zeros(len(self.site))
            listed = of[self.site] >= 0
            for kind, columns, feature in features:
                k = np.flatnonzero(listed & (self.kind == kind))
                value[k] += np.asarray(matrix[at[of[self.site[k]]], columns[self.site[k]]]).ravel() * feature[k]
            for kind, block in enumerate((model.keep, model.convert, model.redevelop)):
                k = np.flatnonzero(listed & (self.kind == kind))
                action = block[d.parcel_of[self.site[k]]]
                value[k] += np.asarray(matrix[at[of[self.site[k]]], action]).ravel()
            low, high = arrays.row_lower[of[self.site]], arrays.row_upper[of[self.site]]
            slack = HAIR * (1 + np.where(np.isfinite(high), np.abs(high), np.abs(low)))
            broken = listed & ((value > high + slack) | (value < low - slack))
            wrong.append(of[self.site[broken & kept]])
            good &= ~broken | kept
        # A place without any stack keeps its first, which stands for nothing: its action is then ruled out elsewhere.
        empty = np.bincount(self.place[good], minlength=len(KINDS) * self.sites) == 0
        self.impossible = np.flatnonzero(empty)
        good[np.unique(self.place, return_index=True)[1][empty]] = True
        for name in ("site", "kind", "floors", "area", "entropy", "place"):
            setattr(self, name, getattr(self, name)[good])
        return np.concatenate([np.empty(0, dtype=np.int64), *wrong])

    def _features(self, stack: Ints | None = None) -> list[tuple[int, Ints, Floats]]:
        """Return what some stacks, all by default, say of each block of columns: kind, columns (S,), values (stacks,)."""
        model, floors = self.problem.model, self.floors if stack is None else self.floors[stack]
        found: list[tuple[int, Ints, Floats]] = []
        for kind, block in ((1, model.converted), (2, model.new)):
            found += [(kind, block[:, u], floors[:, u].astype(float)) for u in range(self.uses)]
        for (kind_name, use), columns in model.holds.items():
            found.append((KINDS.index(kind_name), columns, (floors[:, use] > 0).astype(float)))
        if model.stands is not None:
            found.append((2, model.stands, (floors.sum(axis=1) > 0).astype(float)))
        return found

    def values(self, reduced: Floats) -> tuple[Floats, Floats]:
        """Return the value of every stack at reduced costs of the columns, shape (K,), and what is met inside, (K, linkages).

        Parameters
        ----------
        reduced : ndarray, shape (columns,)
            Cost less the price of all rows that are not settled.
        """
        value = self.mixing[self.place] * self.entropy
        for kind, columns, feature in self._features():
            k = slice(*np.searchsorted(self.kind, [kind, kind + 1]))
            value[k] += reduced[columns[self.site[k]]] * feature[k]
        inside = np.zeros((len(self.site), len(self.routes)))
        for group in self._by_supplier():
            earn = np.stack(
                [np.concatenate([reduced[self.routes[r].inside[kind]] for kind in KINDS]) for r in group], axis=1
            )
            earn = np.maximum(earn, 0.0)
            order = np.argsort(-earn, axis=1, kind="stable")[self.place]
            left = self.area[:, self.routes[group[0]].supplier].copy()
            wanted = np.stack([self.routes[r].demand * self.area[:, self.routes[r].client] for r in group], axis=1)
            rows = np.arange(len(self.site))
            for turn in range(len(group)):
                member = order[:, turn]
                gain = earn[self.place, member]
                met = np.where(gain > 0, np.minimum(wanted[rows, member], left), 0.0)
                left -= met
                inside[rows, np.asarray(group)[member]] = met
                value += gain * met
        return value, inside

    def _by_supplier(self) -> list[list[int]]:
        groups: dict[object, list[int]] = {}
        for r, route in enumerate(self.routes):
            groups.setdefault((route.supplier, r if route.shared else -1), []).append(r)
        return list(groups.values())

    def best(self, value: Floats, inside: Floats) -> Chosen:
        """Return the stack of greatest value at each place."""
        most = np.maximum.reduceat(value, self.first[:-1])
        hit = np.flatnonzero(value == most[self.place])
        stack = hit[np.unique(self.place[hit], return_index=True)[1]]
        return Chosen(stack, inside[stack])

    def found_in(self, x: Floats, sites: Ints) -> Chosen | None:
        """Return the stacks that a plan has at some sites, or None where it has not one stack there.

        Parameters
        ----------
        x : ndarray, shape (columns,)
        """
        model = self.problem.model
        found = []
        for site in sites:
            at = np.flatnonzero(x[self.action[site :: self.sites]] > 0.5)
            if len(at) > 1:
                return None
            for kind in at:
                place = kind * self.sites + site
                first, last = self.first[place], self.first[place + 1]
                floors = (np.zeros(self.uses), x[model.converted[site]], x[model.new[site]])[kind]
                same = np.flatnonzero((np.abs(self.floors[first:last] - floors) < WHOLE).all(axis=1))
                if not len(same):
                    return None
                found.append((first + same[0], [x[r.inside[KINDS[kind]][site]] for r in self.routes]))
        stack = np.array([f[0] for f in found], dtype=np.int64)
        return Chosen(stack, np.array([f[1] for f in found], dtype=float).reshape(len(found), len(self.routes)))

    def columns_of(self, chosen: Chosen) -> sparse.csc_matrix:
        """Return what stacks say of the program's columns, shape (columns, C)."""
        stack = chosen.stack
        site, kind, place = self.site[stack], self.kind[stack], self.place[stack]
        at = np.arange(len(stack))
        row, column, value = [], [], []
        for own, columns, feature in self._features(stack):
            k = at[kind == own]
            row.append(columns[site[k]])
            column.append(k)
            value.append(feature[k])
        for r, route in enumerate(self.routes):
            for number, name in enumerate(KINDS):
                k = at[kind == number]
                row.append(route.inside[name][site[k]])
                column.append(k)
                value.append(chosen.inside[k, r])
        for scale in self.problem.scales:
            if scale.decision is not None:
                of = np.full(len(KINDS) * self.sites, -1)
                of[self._sites_of(scale.column) + self.sites * self._kind_of(scale.column)] = scale.entropy
                k = at[of[place] >= 0]
                row.append(of[place[k]])
                column.append(k)
                value.append(self.entropy[stack[k]])
        shape = (len(self.local), len(stack))
        matrix = sparse.csc_matrix((np.concatenate(value), (np.concatenate(row), np.concatenate(column))), shape=shape)
        matrix.eliminate_zeros()
        return matrix


def leading(place: Ints, value: Floats, most: int) -> Ints:
    """Return the rows of greatest value at each place, at most so many, in their order."""
    order = np.lexsort((-value, place))
    rank = np.arange(len(order)) - np.searchsorted(place[order], place[order])
    rows: Ints = np.sort(order[rank < most])
    return rows


def without_hairs(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return a matrix without what is left of coefficients that cancel out."""
    matrix.data[np.abs(matrix.data) < HAIR] = 0.0
    matrix.eliminate_zeros()
    return matrix


def _spread(listed: list[Ints], of: Ints) -> tuple[Ints, Ints]:
    """Repeat lists of stacks for the sites that have them: the site of each stack, and all stacks."""
    length = np.array([len(part) for part in listed])
    start = np.concatenate([[0], np.cumsum(length)[:-1]])
    count = length[of]
    site = np.repeat(np.arange(len(of)), count)
    offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    return site, np.concatenate(listed)[start[of][site] + offset]


def _all_stacks(limit: Ints, exactly: bool = False) -> Ints:
    """Return all whole floors by use with a sum of at most (or exactly) the greatest limit, shape (stacks, U)."""
    most = int(limit.max())
    stacks = np.zeros((1, 0), dtype=np.int16)
    for u, top in enumerate(limit):
        left = most - stacks.sum(axis=1, dtype=np.int64)
        low = left if exactly and u == len(limit) - 1 else np.zeros_like(left)
        high = np.minimum(left, top)
        count = np.maximum(high - low + 1, 0)
        before = np.repeat(np.arange(len(stacks)), count)
        floor = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + low[before]
        stacks = np.column_stack([stacks[before], floor.astype(np.int16)])
    return np.asarray(stacks, dtype=np.int16)


def count(problem: Problem, arrays: Arrays) -> float:
    """Return about how many stacks a problem's sites may have, before any is listed."""
    d, uses = problem.district, problem.model.new.shape[1]
    new = np.minimum(d.storey_limit.max(axis=1), arrays.upper[problem.model.new].max(axis=1))
    conv = np.where(arrays.upper[problem.model.converted].max(axis=1) > 0, d.storeys_today[d.parcel_of], 0)
    total = np.ones(len(new))
    other = np.ones(len(new))
    for u in range(1, uses + 1):
        total *= (new + u) / u
        other *= (conv + u) / u if u < uses else 1.0
    return float(total.sum() + other.sum() + len(new))
