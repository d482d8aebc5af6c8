"""Access: homes, or floor of any use, lie within a walk of what they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy import sparse
from scipy.optimize import linprog

from geodata.walking import walking_distance
from optimizer.errors import StudyError
from optimizer.rules.base import Check, Evidence, Names, NonNegative, PlacedRule, Positive, Share

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model

SMALL = 1e-3
"""Floor area by which a supplier may fall short of `min_size`, m²: rounding of plates."""


@dataclass(frozen=True)
class _Floors:
    """Supplier floors of one kind, new or converted, at each building site.

    Attributes
    ----------
    kind : str
    columns : ndarray of int, shape (S, suppliers)
        Storeys of each supplier.
    action : ndarray of int, shape (S,)
        The decision they hang on.
    plate, most, need : ndarray, shape (S,)
        Floor area of a storey (m²), most storeys, and storeys from which they count.
    """

    kind: str
    columns: Ints
    action: Ints
    plate: Floats
    most: Floats
    need: Floats

    @property
    def counts(self) -> Bools:
        """Whether there can be enough of them, shape (S,)."""
        return np.asarray(self.need <= self.most)


class Access(PlacedRule):
    """Floor of a use lies within a walk of what it needs: homes near shops, workshops near a canteen.

    With the client floor C_i of a building site, and f_i <= C_i of it served (m²), for each place:
    sum of f_i >= (1 - max_unserved) sum of C_i. Suppliers stand anywhere in the district; those in the same building
    are 0 m away, and they count from ``min_size`` m² of supplier floor in one building.

    Without ``capacity``, f_i <= M_i sum over sites j within the walk of z_j, with z_j = 1 where j supplies and M_i the
    most client floor that i can hold. With it, f_i = sum over j of t_ij and sum over i of t_ij <= capacity S_j, with
    supplier floor S_j (m²) of sites that supply: supply is used once, and there is one column for each pair of building
    sites within the walk. ``as_of_right`` leaves kept client floor out; kept suppliers supply all the same.

    Binaries only where ``min_size`` takes more than one storey: one a site and kind of floor (new, converted) that can
    reach it. Missed by m² of client floor unserved beyond ``max_unserved``, at all places together under a capacity.

    People accept a walk of 263 m on household business and 996 m to work (Indian survey of 2015, reported by SafetyLit);
    1,200 m stands for a city of fifteen minutes (illustrative).
    """

    kind: ClassVar[str] = "access"
    example: ClassVar[str] = (
        'kind = "access"\nclient = "housing"\nsupplier = "services"\nwithin = 263\nmax_unserved = 0.1\nprice = 0.00001'
    )
    stricter: ClassVar[Mapping[str, int]] = {"within": -1}

    client: Names = Field(description="use, or list of uses, whose floor is to be served")
    supplier: Names = Field(description="use, or list of uses, that serve it")
    within: NonNegative = Field(description="longest walk from door to door, m; 0 is the same building")
    capacity: Positive | None = Field(
        default=None, description="m² of clients that a m² of suppliers serves; any number by default"
    )
    min_size: Positive = Field(default=1.0, description="supplier floor in one building from which it counts, m²")
    max_unserved: Share = Field(default=0.0, description="share of client floor that may go unserved, m²/m²")

    @field_validator("client", "supplier", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _nothing_serves_itself(self) -> Access:
        both = sorted(set(self.client) & set(self.supplier))
        if both:
            raise ValueError(f"{both[0]!r} is both client and supplier; a use does not serve itself")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return clients and suppliers."""
        lists = (("client", self.client), ("supplier", self.supplier))
        return [(f"{key}[{i}]", use) for key, uses in lists for i, use in enumerate(uses)]

    def constrain(self, model: Model) -> None:
        """Add what is served at each site, and a row a place."""
        from optimizer.model import AREA

        d = model.district
        places = d.places(self.by, self.where, self.label)
        clients = np.array([float(use.name in self.client) for use in d.uses])
        most = self._most_clients(d)
        site = np.flatnonzero((places.of >= 0) & (most > 0))
        row = np.full(len(d.sites), -1)
        row[site] = np.arange(len(site))
        new, converted = floors = self._supplier_floors(model)
        today = self._suppliers_today(d)
        able = (today > 0) | new.counts | converted.counts
        near = walking_distance(d.network, self.within)[site].tocoo()
        pair_site = np.concatenate([np.arange(len(site)), near.row])
        supplier = np.concatenate([site, near.col])
        pair_site, supplier = pair_site[able[supplier]], supplier[able[supplier]]
        names = [model.site_names[s] for s in site]
        if self.capacity is None:
            served, at = model.program.columns([f"{self.label}_served_{n}" for n in names]), np.arange(len(site))
            terms = self._presence(model, floors, today, pair_site, supplier, -most[site] * AREA)
            model.program.rows([f"{self.label}_reach_{n}" for n in names], (at, served, 1.0), *terms, upper=0.0)
        else:
            served, at = self._shipped(model, floors, today, names, pair_site, supplier, self.capacity), pair_site
        floor = model.weighted_floor(clients, row, kept=not self.as_of_right)
        less = [(r, column, -value) for r, column, value in floor]
        model.program.rows([f"{self.label}_client_{n}" for n in names], (at, served, 1.0), *less, upper=0.0)
        wanted = [
            (r, column, -(1.0 - self.max_unserved) * value)
            for r, column, value in model.weighted_floor(clients, places.of, kept=not self.as_of_right)
        ]
        self.rows(model, places.names, (places.of[site][at], served, 1.0), *wanted, lower=0.0, unit=AREA)

    def _most_clients(self, d: District) -> Floats:
        """Return the most client floor of each building site, m², shape (S,)."""
        use = [d.use_index[name] for name in self.client]
        free = ~d.parcels["protected"].to_numpy(dtype=bool)[d.parcel_of]
        new = d.plate * d.storey_limit[:, use].max(axis=1) * free
        converted = d.plate_today * d.storeys_today[d.parcel_of] * free
        kept = np.zeros(len(free)) if self.as_of_right else d.existing_at[:, use].sum(axis=1)
        return np.asarray(np.maximum.reduce([new, converted, kept]))

    def _suppliers_today(self, d: District) -> Floats:
        """Return supplier floor of today's buildings that have enough of it, m², shape (S,)."""
        today = d.existing_at[:, [d.use_index[name] for name in self.supplier]].sum(axis=1)
        return np.where(today >= self.min_size - SMALL, today, 0.0)

    def _supplier_floors(self, model: Model) -> tuple[_Floors, _Floors]:
        """Return new and converted supplier floors."""
        d, p = model.district, model.district.parcel_of
        use = [d.use_index[name] for name in self.supplier]
        free = ~d.parcels["protected"].to_numpy(dtype=bool)[p]

        def need(plate: Floats) -> Floats:
            storeys = np.divide(self.min_size - SMALL, plate, out=np.full(len(plate), np.inf), where=plate > 0)
            return np.asarray(np.maximum(np.ceil(storeys), 1.0))

        new = np.where(free, d.storey_limit[:, use].max(axis=1), 0).astype(float)
        converted = np.where(free, d.storeys_today[p], 0).astype(float)
        return (
            _Floors("new", model.new[:, use], model.redevelop[p], d.plate, new, need(d.plate)),
            _Floors("conv", model.converted[:, use], model.convert[p], d.plate_today, converted, need(d.plate_today)),
        )

    def _enough(self, model: Model, floors: _Floors, sites: Bools) -> Ints:
        """Add columns that are at most 1 where sites have enough floors, else 0; shape (S,), -1 elsewhere.

        They need not be whole where one storey is enough, since storeys are.
        """
        found = np.full(len(sites), -1)
        for whole in (False, True):
            site = np.flatnonzero(sites & ((floors.need > 1) == whole))
            names = [f"{self.label}_{floors.kind}_enough_{model.site_names[s]}" for s in site]
            row = np.arange(len(site))
            found[site] = model.program.columns(names, upper=1.0, integer=whole)
            model.program.rows(
                names,
                (row, found[site], floors.need[site]),
                (row[:, None], floors.columns[site], -1.0),
                upper=0.0,
            )
            model.program.rows(
                [f"{name}_action" for name in names],
                (row, found[site], 1.0),
                (row, floors.action[site], -1.0),
                upper=0.0,
            )
        return found

    def _presence(
        self, model: Model, floors: tuple[_Floors, _Floors], today: Floats, row: Ints, supplier: Ints, factor: Floats
    ) -> list[tuple[Any, Any, Any]]:
        """Return terms that count the suppliers within a walk of each row, times the row's factor."""
        kept = today[supplier] > 0
        terms: list[tuple[Any, Any, Any]] = [
            (row[kept], model.keep[model.district.parcel_of[supplier[kept]]], factor[row[kept]])
        ]
        for part in floors:
            column = self._enough(model, part, part.counts)[supplier]
            there = column >= 0
            terms.append((row[there], column[there], factor[row[there]]))
        return terms

    def _shipped(
        self,
        model: Model,
        floors: tuple[_Floors, _Floors],
        today: Floats,
        names: list[str],
        pair_site: Ints,
        supplier: Ints,
        capacity: float,
    ) -> Ints:
        """Add a column a pair of sites: client floor of one served by suppliers of the other, model units."""
        from optimizer.model import AREA

        served = model.program.columns(
            [f"{self.label}_{names[i]}_by_{model.site_names[j]}" for i, j in zip(pair_site, supplier, strict=True)]
        )
        able, place = np.unique(supplier, return_inverse=True)
        row = np.arange(len(able))
        keep = (row, model.keep[model.district.parcel_of[able]], -capacity * AREA * today[able])
        given, large = [keep], [keep]
        lumps = False
        for part in floors:
            each = np.where(part.counts, -capacity * AREA * part.plate, 0.0)[able]
            column = self._enough(model, part, part.counts & (part.need > 1))[able]
            whole = column >= 0
            lumps |= bool(whole.any())
            given.append((row[:, None], part.columns[able], each[:, None]))
            large.append((row[~whole, None], part.columns[able[~whole]], each[~whole, None]))
            large.append((row[whole], column[whole], (each * part.most[able])[whole]))
        names = [f"{self.label}_{{}}_{model.site_names[j]}" for j in able]
        model.program.rows([n.format("supply") for n in names], (place, served, 1.0), *given, upper=0.0)
        if lumps:
            model.program.rows([n.format("large") for n in names], (place, served, 1.0), *large, upper=0.0)
        return served

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find the client floor that no supplier within the walk serves, and compare."""
        uses = list(evidence.uses)
        supply = evidence.floor_area()[:, [uses.index(u) for u in self.supplier]].sum(axis=1)
        supply = np.where(supply >= self.min_size - SMALL, supply, 0.0)
        client = evidence.floor_area(self.as_of_right)[:, [uses.index(u) for u in self.client]].sum(axis=1)
        near = evidence.doors.pairs_to(client > 0, supply > 0, self.within)[:2]
        places = evidence.places(self.by, self.where, self.label)
        total = places.sum(client)
        scopes, allowed = places.names, self.max_unserved * total
        if self.capacity is None:
            served = np.isin(np.arange(len(client)), near[0])
            unserved = places.sum(np.where(served, 0.0, client))
        elif len(scopes) == 1:
            unserved = np.array([_short(near, client, self.capacity * supply, places.of, total)])
        else:
            # Which place goes without may be a matter of choice, how much all of them do is not.
            unserved = np.array([_short(near, client, self.capacity * supply, places.of, total - allowed)])
            scopes, allowed = [f"{len(scopes)} places together"], np.zeros(1)
        yield from self.verdict(
            scopes,
            unserved,
            allowed,
            f"m² of {', '.join(self.client)} unserved",
            missed_unit="m²",
            absolute=0.01 + 1e-6 * float(total.sum()),
        )


def _short(near: tuple[Ints, Ints], client: Floats, supply: Floats, place: Ints, wanted: Floats) -> float:
    """Return the least by which places together fall short of what is wanted served, m²: a transport problem.

    Parameters
    ----------
    near : two ndarrays of int, shape (pairs,)
        Buildings with something to be served, and buildings near them that can serve.
    client, supply : ndarray, shape (S,)
        m² to be served, and m² that can be served.
    place : ndarray of int, shape (S,)
        -1 where nothing is to be served.
    wanted : ndarray, shape (places,)
        m².
    """
    i, j = (side[place[near[0]] >= 0] for side in near)
    if not len(i):
        return float(wanted.sum())
    pairs, sites, count = np.arange(len(i)), len(client), len(wanted)
    short = len(i) + np.arange(count)
    rows = np.concatenate([i, sites + j, 2 * sites + place[i], 2 * sites + np.arange(count)])
    columns = np.concatenate([pairs, pairs, pairs, short])
    values = np.concatenate([np.ones(2 * len(i)), -np.ones(len(i) + count)])
    matrix = sparse.coo_matrix((values, (rows, columns)), shape=(2 * sites + count, len(i) + count)).tocsr()
    scale = float(client.max())
    cost = np.concatenate([np.zeros(len(i)), np.ones(count)])
    answer = linprog(cost, A_ub=matrix, b_ub=np.concatenate([client, supply, -wanted]) / scale, method="highs")
    if answer.status != 0:
        raise StudyError(f"the transport problem of rule access failed: {answer.message}")
    return float(answer.fun) * scale
