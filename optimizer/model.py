"""The integer program as arrays: columns, rows and the decisions of design section 2.

Areas inside the program are in thousands of m² (`AREA`) and the objective is in hundredths of a score
(`SCORE`), which keeps coefficients near one for every solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from optimizer.district import Bools, District, Floats, Ints
from optimizer.names import Blocks, Joined, Picked
from optimizer.rules import Rule

Places = NDArray[np.int32]
"""Rows or columns of entries: a program is smaller than two thousand million."""

AREA = 1e-3
"""Model units of floor area in one m²."""
SCORE = 100.0
"""Model units of the objective in one unit of score."""


@dataclass(frozen=True)
class Arrays:
    """One mixed-integer program: maximise ``cost @ x`` with ``row_lower <= A x <= row_upper``.

    Attributes
    ----------
    cost, lower, upper : ndarray, shape (columns,)
    integer : ndarray of bool, shape (columns,)
    matrix : csr_matrix, shape (rows, columns)
    row_lower, row_upper : ndarray, shape (rows,)
    lazy : ndarray, shape (rows,)
        Slack from which on a row may be left out for a while, since few such rows bind; infinite where never.
    cut : ndarray of bool, shape (rows,)
        Rows that only bound an entropy column, which can be lowered to satisfy them.
    column_names, row_names : sequence of str
        Made when they are read.
    """

    cost: Floats
    lower: Floats
    upper: Floats
    integer: Bools
    matrix: sparse.csr_matrix
    row_lower: Floats
    row_upper: Floats
    lazy: Floats
    cut: Bools
    column_names: Sequence[str]
    row_names: Sequence[str]

    def rows(self, keep: Bools) -> Arrays:
        """Return the program with some of its rows only, shape (rows,)."""
        chosen = np.flatnonzero(keep)
        return replace(
            self,
            matrix=self.matrix[chosen],
            row_lower=self.row_lower[keep],
            row_upper=self.row_upper[keep],
            lazy=self.lazy[keep],
            cut=self.cut[keep],
            row_names=Picked(self.row_names, chosen),
        )

    def pressing(self, points: Sequence[Floats]) -> Bools:
        """Return which rows are needed near some solutions: those not lazy, and lazy ones without much slack there."""
        near = np.isinf(self.lazy)
        for x in points:
            near |= self.row_upper - self.matrix @ x <= self.lazy
        return np.asarray(near)

    def excess(self, x: Floats) -> Floats:
        """Return by how much a solution breaks each row, over the size of its bound; below 0 where it does not, shape (rows,)."""
        return self.beyond(self.matrix @ x, np.arange(len(self.lazy)))

    def beyond(self, activity: Floats, rows: Ints) -> Floats:
        """Return the same of some rows by what a solution loads of them, shape (rows,)."""
        upper, lower = self.row_upper[rows], self.row_lower[rows]
        above = np.where(np.isinf(upper), -np.inf, activity - upper)
        below = np.where(np.isinf(lower), -np.inf, lower - activity)
        sizes = (np.where(np.isinf(bound), 1.0, 1 + np.abs(bound)) for bound in (upper, lower))
        return np.maximum(*(part / size for part, size in zip((above, below), sizes, strict=True)))

    def violated(self, x: Floats, tolerance: float = 1e-7) -> Bools:
        """Return which rows a solution breaks by more than a tolerance times the size of the bound, shape (rows,)."""
        return np.asarray(self.excess(x) > tolerance)


_NONE, _NO = np.empty(0), np.empty(0, dtype=bool)
_EMPTY = Arrays(_NONE, _NONE, _NONE, _NO, sparse.csr_matrix((0, 0)), _NONE, _NONE, _NONE, _NO, (), ())


@dataclass
class Program:
    """Columns and rows collected as arrays, block by block."""

    width: int = 0
    """Number of columns so far."""
    height: int = 0
    """Number of rows so far."""
    _columns: list[tuple[Floats, Floats, Floats, Bools]] = field(default_factory=list)
    _column_names: list[Sequence[str]] = field(default_factory=list)
    _entries: list[tuple[Places, Places, Floats]] = field(default_factory=list)
    _rows: list[tuple[Floats, Floats, Floats, Bools]] = field(default_factory=list)
    _row_names: list[Sequence[str]] = field(default_factory=list)
    _rewards: list[tuple[Ints, Floats]] = field(default_factory=list)
    _built: Arrays | None = None

    def columns(
        self,
        names: Sequence[str],
        *,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        integer: bool = False,
        cost: ArrayLike = 0.0,
    ) -> Ints:
        """Add one column a name; return their indices, shape (names,)."""
        n, first = len(names), self.width
        parts = (np.broadcast_to(np.asarray(part, dtype=float), (n,)) for part in (cost, lower, upper))
        self._columns.append((*parts, np.broadcast_to(integer, (n,))))  # type: ignore[arg-type]  # three parts
        self._column_names.append(names)
        self.width += n
        return np.arange(first, first + n)

    def reward(self, columns: Ints, cost: Floats) -> None:
        """Add to the objective of columns that exist; amounts of one column add up."""
        self._rewards.append((columns, cost))

    def name(self, column: int) -> str:
        """Return the name of a column."""
        return Blocks(self._column_names)[column]

    def names(self, columns: Ints) -> Sequence[str]:
        """Return the names of some columns."""
        return Picked(Blocks(self._column_names), columns)

    def rows(
        self,
        names: Sequence[str],
        *terms: tuple[ArrayLike, ArrayLike, ArrayLike],
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
        lazy: float = np.inf,
        cut: bool = False,
    ) -> Ints:
        """Add one row a name; return their indices, shape (names,).

        Each term is (row within this block, column, coefficient), arrays that broadcast together;
        coefficients of one row and column add up. See `Arrays` for ``lazy`` (rows with an upper bound only) and ``cut``.
        """
        n, first = len(names), self.height
        for term in terms:
            row, column, value = np.broadcast_arrays(*(np.asarray(part) for part in term))
            keep = value != 0
            entry = (row[keep].astype(np.int32) + np.int32(first), column[keep].astype(np.int32))
            self._entries.append((*entry, value[keep].astype(float)))
        parts = (np.broadcast_to(np.asarray(part, dtype=float), (n,)) for part in (lower, upper, lazy))
        self._rows.append((*parts, np.broadcast_to(cut, (n,))))  # type: ignore[arg-type]  # three parts
        self._row_names.append(names)
        self.height += n
        return np.arange(first, first + n)

    def arrays(self) -> Arrays:
        """Return the program as collected so far.

        What is built is kept: a call when nothing was added returns it, and rows added since are put below it.
        """
        if not (self._built is None or self._columns or self._rows or self._rewards):
            return self._built
        before = self._built or _EMPTY
        first = before.matrix.shape[0]
        row, column, value = _joined(self._entries, (np.int32, np.int32, float))
        shape = (self.height - first, self.width)
        added = sparse.csr_matrix((value, (row - np.int32(first), column)), shape=shape)
        added.eliminate_zeros()
        above = before.matrix
        if first:
            above = sparse.csr_matrix((above.data, above.indices, above.indptr), shape=(first, self.width))
            added = sparse.vstack([above, added], format="csr")
        cost, lower, upper, integer = _joined(
            [(before.cost, before.lower, before.upper, before.integer), *self._columns], (float, float, float, bool)
        )
        for columns, amount in self._rewards:
            np.add.at(cost, columns, amount)
        row_lower, row_upper, lazy, cut = _joined(
            [(before.row_lower, before.row_upper, before.lazy, before.cut), *self._rows], (float, float, float, bool)
        )
        names = Blocks(self._column_names), Blocks(self._row_names)
        self._built = Arrays(cost, lower, upper, integer, added, row_lower, row_upper, lazy, cut, *names)
        for part in (cost, lower, upper, integer, row_lower, row_upper, lazy, cut):
            part.flags.writeable = False  # shared by all who ask
        for collected in (self._entries, self._columns, self._rows, self._rewards):
            collected.clear()
        return self._built


def _joined(blocks: Sequence[tuple[NDArray[Any], ...]], kinds: Sequence[type]) -> list[NDArray[Any]]:
    """Put the parts of blocks one behind the other, each in an array of its kind that is nobody else's."""
    parts: Sequence[Sequence[NDArray[Any]]] = list(zip(*blocks, strict=True)) or [()] * len(kinds)
    return [np.concatenate([np.empty(0, dtype=kind), *part]) for kind, part in zip(kinds, parts, strict=True)]


class Model:
    """Decisions over a district, and the floor area that follows from them.

    Attributes
    ----------
    keep, convert, redevelop : ndarray of int, shape (P,)
        Binary columns; a parcel with none of them is cleared.
    new, converted : ndarray of int, shape (S, U)
        Integer columns: floors of each use at each site.
    one_action : ndarray of int, shape (P,)
        Rows that allow one action a parcel.
    allowances : list of (parcel, column, coefficient)
        Floor area that rules let redeveloped parcels have beyond their ratio, model units.
    notes : list of str
        What rules have to say of how they were written down.
    misses : list of (rule, columns, names)
        What rules with a price are missed by, each in the rule's own unit.
    value : (columns, coefficients)
        Whose sum is the value of proximity, model units; empty where walks are not looked at.
    """

    def __init__(self, district: District, actions: frozenset[str], rules: Sequence[Rule] = ()) -> None:
        self.district = d = district
        self.rules = tuple(rules)
        self.program = Program()
        ids = d.parcels["parcel_id"].tolist()
        self.site_names = [f"{ids[p]}_{s}" for p, s in zip(d.parcel_of.tolist(), d.sites["site"].tolist(), strict=True)]
        built = d.built
        protected = d.parcels["protected"].to_numpy(dtype=bool)
        stays = protected | ~(
            (built & ("convert" in actions))
            | ("redevelop" in actions) & (d.storey_limit.max(axis=1) >= 1)[first_site(d)]
            | (built & ("clear" in actions))
        )
        may_keep = ~built | ("keep" in actions) | stays
        self.keep = self.program.columns(Joined("keep_", ids), lower=stays, upper=may_keep, integer=True)
        self.convert = self.program.columns(
            Joined("convert_", ids),
            upper=built & ("convert" in actions) & ~protected,
            integer=True,
        )
        self.redevelop = self.program.columns(
            Joined("redevelop_", ids), upper=~protected & ("redevelop" in actions), integer=True
        )
        p = np.arange(len(ids))
        self.one_action = self.program.rows(
            Joined("action_", ids),
            (p[:, None], np.stack([self.keep, self.convert, self.redevelop], axis=1), 1.0),
            lower=np.where(built & ("clear" in actions), -np.inf, 1.0),
            upper=1.0,
        )
        self.new = self._floors("new", d.storey_limit * (~protected[d.parcel_of, None]))
        storeys = d.storeys_today[d.parcel_of]
        free = built & ~protected & ("convert" in actions)
        self.converted = self._floors(
            "conv", np.where(free[d.parcel_of], storeys, 0)[:, None] * np.ones(len(d.uses), int)
        )
        sites = np.arange(len(d.sites))
        self.program.rows(
            Joined("same_floors_", self.site_names),
            (sites[:, None], self.converted, 1.0),
            (sites, self.convert[d.parcel_of], -storeys.astype(float)),
            lower=0.0,
            upper=0.0,
        )
        self.program.rows(
            self._by_use("new_if_redeveloped"),
            (np.arange(self.new.size), self.new.ravel(), 1.0),
            (
                np.arange(self.new.size),
                np.repeat(self.redevelop[d.parcel_of], len(d.uses)),
                -d.storey_limit.ravel().astype(float),
            ),
            upper=0.0,
        )
        self.program.rows(
            Joined("something_if_redeveloped_", ids),
            (d.parcel_of[:, None], self.new, 1.0),
            (p, self.redevelop, -1.0),
            lower=0.0,
        )
        self._presence: dict[tuple[str, int], Ints] = {}
        self._exact: set[tuple[str, int]] = set()
        self._standing: Ints | None = None
        self._emitted: dict[tuple[float, ...], Ints] = {}
        self.notes = d.around.notes
        self.allowances: list[tuple[Ints, Ints, Floats]] = []
        self.misses: list[tuple[Rule, Ints, tuple[str, ...]]] = []
        self.value: tuple[Ints, Floats] = np.empty(0, dtype=np.int64), np.empty(0)
        self.entropy: dict[str, tuple[Ints, Floats]] = {}

    def _floors(self, kind: str, limit: Ints) -> Ints:
        columns = self.program.columns(self._by_use(kind), upper=limit.ravel().astype(float), integer=True)
        return columns.reshape(limit.shape)

    def _by_use(self, kind: str) -> Joined:
        """Names of something of every site and use, in this order."""
        uses = [use.name for use in self.district.uses]
        return Joined(f"{kind}_", _repeated(self.site_names, len(uses)), "_", uses * len(self.site_names))

    def floor_area_terms(self, use: int, row: Ints) -> list[tuple[Ints, Ints, Floats]]:
        """Terms whose sum is the floor area of a use at every site, model units, added to row[site].

        Kept floor area enters through the parcel's keep column, converted and new floors through their own.
        """
        d = self.district
        return [
            (row, self.keep[d.parcel_of], d.existing_at[:, use] * AREA),
            (row, self.converted[:, use], d.plate_today * AREA),
            (row, self.new[:, use], d.plate * AREA),
        ]

    def weighted_floor(
        self, weight: Floats, row: Ints, *, kept: bool = True, scale: float = AREA
    ) -> list[tuple[Ints, Ints, Floats]]:
        """Terms whose sum is floor area weighted by use, added up by row.

        Parameters
        ----------
        weight : ndarray, shape (U,) or (S, U)
            Of one m² of each use.
        row : ndarray of int, shape (S,)
            Row of each site; -1 where it does not count.
        kept : bool
            Whether floor area in kept buildings counts.
        scale : float
            Model units of one weighted m².
        """
        inside = np.flatnonzero(row >= 0)
        weights = np.broadcast_to(weight, (len(row), len(self.district.uses)))[inside] * (scale / AREA)
        terms = []
        for u in np.flatnonzero(weights.any(axis=0)):
            parts = self.floor_area_terms(int(u), row)
            for at, column, area in parts if kept else parts[1:]:
                terms.append((at[inside], column[inside], area[inside] * weights[:, u]))
        return terms

    def emitted(self, weight: Floats) -> Ints:
        """Columns, shape (S,): floor area of each site weighted by use, shape (U,), model units. One row a site."""
        key = tuple(weight.tolist())
        if key not in self._emitted:
            sites = np.arange(len(self.district.sites))
            names = Joined(f"emitted_{len(self._emitted)}_", self.site_names)
            columns = self._emitted[key] = self.program.columns(names)
            terms = self.weighted_floor(weight, sites)
            self.program.rows(names, *terms, (sites, columns, -1.0), lower=0.0, upper=0.0)
        return self._emitted[key]

    def holding(self, use: int, *, exact: bool = False) -> list[tuple[Ints, Floats]]:
        """Return (columns, coefficients), each of shape (S,), whose sum is 1 where a building holds a use, else 0.

        Two binaries a site, one for new and one for converted floors; kept floors need none. Unless ``exact``, the
        sum may be 1 where the use is absent.
        """
        d = self.district
        kept = (d.existing_at[:, use] > 0).astype(float)
        held = [(self.presence(kind, use, exact=exact), np.ones(len(d.sites))) for kind in ("new", "conv")]
        return [(self.keep[d.parcel_of], kept), *held]

    def presence(self, kind: str, use: int, *, exact: bool = False) -> Ints:
        """Binary columns, shape (S,): whether a site has new or converted floors of a use.

        Each costs one binary and two rows a site (three where ``exact``: then it is 0 where there are none), so
        rules ask only where they need it.
        """
        key = (kind, use)
        if exact and key not in self._exact:
            self._exact.add(key)
            columns = self.presence(kind, use)
            floors = {"new": self.new, "conv": self.converted}[kind][:, use]
            sites = np.arange(len(floors))
            self.program.rows(
                Joined(f"{kind}_lacks_{self.district.uses[use].name}_", self.site_names),
                (sites, columns, 1.0),
                (sites, floors, -1.0),
                upper=0.0,
            )
        if key not in self._presence:
            d = self.district
            floors, limit = {
                "new": (self.new, d.storey_limit[:, use]),
                "conv": (self.converted, d.storeys_today[d.parcel_of]),
            }[kind]
            action = {"new": self.redevelop, "conv": self.convert}[kind][d.parcel_of]
            name = d.uses[use].name
            columns = self.program.columns(
                Joined(f"{kind}_has_{name}_", self.site_names), upper=(limit > 0).astype(float), integer=True
            )
            sites = np.arange(len(d.sites))
            program = self.program
            program.rows(
                Joined(f"{kind}_has_{name}_floors_", self.site_names),
                (sites, floors[:, use], 1.0),
                (sites, columns, -limit.astype(float)),
                upper=0.0,
            )
            program.rows(
                Joined(f"{kind}_has_{name}_action_", self.site_names),
                (sites, columns, 1.0),
                (sites, action, -1.0),
                upper=0.0,
            )
            self._presence[key] = columns
        return self._presence[key]

    def decisions(self, parcels: Bools) -> Bools:
        """Return which columns decide on some parcels (shape (P,)), shape (columns,): their integer ones.

        Columns of rules that belong to no parcel are none of them.
        """
        sites = parcels[self.district.parcel_of]
        chosen = np.zeros(self.program.width, dtype=bool)
        for block in (self.keep, self.convert, self.redevelop):
            chosen[block[parcels]] = True
        blocks = [self.new, self.converted, *self._presence.values()]
        for block in blocks if self._standing is None else [*blocks, self._standing]:
            chosen[block[sites].ravel()] = True
        return chosen

    @property
    def holds(self) -> dict[tuple[str, int], Ints]:
        """Columns of whether sites have new or converted floors of a use that rules asked for, by kind and use."""
        return self._presence

    @property
    def stands(self) -> Ints | None:
        """Columns of whether new buildings stand, where a rule asked for them."""
        return self._standing

    def standing(self) -> Ints:
        """Binary columns, shape (S,): whether a new building stands on a site. One binary and one row a site."""
        if self._standing is None:
            d = self.district
            most = d.storey_limit.max(axis=1)
            self._standing = self.program.columns(
                Joined("stands_", self.site_names), upper=(most > 0).astype(float), integer=True
            )
            sites = np.arange(len(d.sites))
            self.program.rows(
                Joined("stands_", self.site_names),
                (sites[:, None], self.new, 1.0),
                (sites, self._standing, -most.astype(float)),
                upper=0.0,
            )
        return self._standing


def first_site(district: District) -> Ints:
    """Row of the first site of each parcel, shape (P,)."""
    return np.unique(district.parcel_of, return_index=True)[1].astype(np.int64)


def _repeated(items: Sequence[str], times: int) -> NDArray[Any]:
    """Return each item so many times; the text itself is there once."""
    return np.repeat(np.array(items, dtype=object), times)
