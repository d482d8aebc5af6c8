"""Open land: protected parcels stay unbuilt, and enough land stays open, for residents, within reach, in patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from geodata.adjacency import connected_parts, neighbours
from geodata.walking import walking_distance
from optimizer.errors import StudyError
from optimizer.rules.base import Check, Evidence, Names, NonNegative, PlacedRule, Positive, Share, per_floor

if TYPE_CHECKING:
    from optimizer.district import Bools, Floats, Ints
    from optimizer.model import Model
    from optimizer.uses import Use

HAIR = 1e-3
"""Land that a patch may lack because of rounding, m²."""


@dataclass(frozen=True)
class _Land:
    """Whether the land of each parcel counts: ``constant`` plus coefficients times columns, each of shape (P,)."""

    constant: Floats
    terms: list[tuple[Ints, Floats]]


class OpenLand(PlacedRule):
    """Protected parcels take no new floor, and enough land carries no building.

    sum of n_su + m_su = 0 on protected parcels; what stands there today may stay. This holds in every study.

    A parcel is open, o_i = 1, where no building stands on any part of it: o = 1 - k - c - w where something stands
    today, o = k where nothing does. Of the chosen parcels open land counts, v_i = o_i, with site area A (m²):

    min_share:         sum of A_i v_i >= min_share · sum of A_i over the chosen parcels of a place.
    min_per_resident:  sum of A_i v_i >= min_per_resident · residents of the place, on whatever parcel they live.
    reach:             sum over sites of g_s - q_s <= max_unserved · sum of g_s, with g the client floor of a site (m²)
                       and what is served q_s <= g_s, q_s <= G_s · sum of v_i within ``reach`` m on foot, G_s the most
                       client floor that the site can hold.

    ``min_patch`` (m²) counts open land only in patches, parcels connected by neighbours within ``gap`` m of one
    another, of that size: v_i <= o_i; every parcel sends its area A_i v_i over neighbours to roots; what flows into
    i is at most (A_patch - A_i) v_i, A_patch the land of all parcels that could form one patch with i; a root takes
    in at least min_patch r_i and at most A_patch r_i, r_i <= v_i. A parcel as large as min_patch is a root without
    r. Exact: one binary r for each smaller parcel that can belong to a patch; v needs none. Nothing else needs any.

    With ``as_of_right``, buildings that are kept stand outside: their land is not in the base of the share, their
    residents and client floor do not count. Missed by m² of land, and by m² of client floor.

    Cambridge's district around the Volpe Center asks for a quarter of open space (PUD-7 of 2017, confirmed). Modelled
    on that; no number is implied.
    """

    kind: ClassVar[str] = "open_land"
    implied: ClassVar[bool] = True

    example: ClassVar[str] = 'kind = "open_land"\nmin_share = 0.05\nmin_patch = 200'
    stricter: ClassVar[Mapping[str, int]] = {"reach": -1}

    min_share: Share = Field(default=0.0, description="least land without a building over all chosen land, m²/m²")
    min_per_resident: Positive | None = Field(default=None, description="least open land for each resident, m²")
    reach: Positive | None = Field(default=None, description="longest walk from a client's door to open land, m")
    max_unserved: Share = Field(default=0.0, description="most client floor without open land in reach, m²/m²")
    client: Names | None = Field(
        default=None, description="uses that need open land in reach; those with homes by default"
    )
    min_patch: Positive | None = Field(default=None, description="least size of a connected patch that counts, m²")
    gap: NonNegative = Field(default=1.0, description="how near parcels of a patch are to one another, m")

    @model_validator(mode="after")
    def _keys_have_a_part(self) -> OpenLand:
        if self.reach is None and (self.client is not None or self.max_unserved > 0):
            raise ValueError("client and max_unserved say who needs open land in reach; give reach, m, too")
        if self.min_patch is None and "gap" in self.model_fields_set:
            raise ValueError(f"gap = {self.gap:g} says what a patch is; give min_patch, m², too")
        if not self._measures:
            for key in ("min_patch", "price"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"{key} = {getattr(self, key):g}: nothing is measured; give min_share, min_per_resident or reach "
                        "(protected parcels stay unbuilt at any price)"
                    )
        return self

    @property
    def _measures(self) -> bool:
        return bool(self.min_share) or self.min_per_resident is not None or self.reach is not None

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses that need open land in reach."""
        return [(f"client[{i}]", use) for i, use in enumerate(self.client or [])]

    def constrain(self, model: Model) -> None:
        """Add a row a protected site, or one a place for each measure."""
        if not self._measures:
            self._protect(model)
            return  # what is protected is held by the rule that every study has
        land = self._counted(model)
        if self.min_share:
            self._share(model, land)
        if self.min_per_resident is not None:
            self._per_resident(model, land)
        if self.reach is not None:
            self._in_reach(model, land)

    def _protect(self, model: Model) -> None:
        d = model.district
        protected = d.parcels["protected"].to_numpy(dtype=bool)
        sites = np.flatnonzero(protected[d.parcel_of])
        rows = np.arange(len(sites))[:, None]
        self.rows(
            model,
            [model.site_names[s] for s in sites],
            (rows, model.new[sites], 1.0),
            (rows, model.converted[sites], 1.0),
            upper=0.0,
        )

    def _counted(self, model: Model) -> _Land:
        """Return which land counts: open parcels chosen by the rule, in large enough patches."""
        d = model.district
        chosen = d.select(self.where, self.label)
        built = chosen & d.built
        land = _Land(
            built.astype(float),
            [
                (model.keep, np.where(built, -1.0, chosen)),
                (model.convert, np.where(built, -1.0, 0.0)),
                (model.redevelop, np.where(built, -1.0, 0.0)),
            ],
        )
        return land if self.min_patch is None else self._patches(model, land, chosen)

    def _patches(self, model: Model, land: _Land, chosen: Bools) -> _Land:
        """Add a flow of land to the roots of patches; return which land counts."""
        from optimizer.model import AREA

        assert self.min_patch is not None, "asked for only with patches"
        d, program = model.district, model.program
        may, pairs, whole = self._possible(model, chosen)
        ids = d.parcels["parcel_id"].to_numpy()[may]
        rows, place = np.arange(len(may)), np.full(len(d.parcels), -1)
        place[may] = rows
        area = d.site_area[may] * AREA
        counts = program.columns([f"{self.label}_counts_{i}" for i in ids], upper=1.0)
        tail, head = place[np.concatenate([pairs, pairs[:, ::-1]])].T
        flow = program.columns([f"{self.label}_flow_{ids[a]}_{ids[b]}" for a, b in zip(tail, head, strict=True)])
        taken = program.columns([f"{self.label}_taken_{i}" for i in ids])
        program.rows(
            [f"{self.label}_open_{i}" for i in ids],
            (rows, counts, 1.0),
            *((rows, column[may], -coefficient[may]) for column, coefficient in land.terms),
            upper=land.constant[may],
        )
        program.rows(
            [f"{self.label}_sent_{i}" for i in ids],
            (rows, counts, area),
            (head, flow, 1.0),
            (tail, flow, -1.0),
            (rows, taken, -1.0),
            lower=0.0,
            upper=0.0,
        )
        program.rows(
            [f"{self.label}_passes_{i}" for i in ids],
            (head, flow, 1.0),
            (rows, counts, area - whole),
            upper=0.0,
        )
        least = self.min_patch - HAIR
        small = np.flatnonzero(d.site_area[may] < least)
        root = counts.copy()
        root[small] = program.columns([f"{self.label}_root_{ids[i]}" for i in small], upper=1.0, integer=True)
        program.rows([f"{self.label}_takes_{i}" for i in ids], (rows, taken, 1.0), (rows, root, -whole), upper=0.0)
        program.rows(
            [f"{self.label}_enough_{ids[i]}" for i in small],
            (np.arange(len(small)), taken[small], 1.0),
            (np.arange(len(small)), root[small], -least * AREA),
            lower=0.0,
        )
        program.rows(
            [f"{self.label}_root_{ids[i]}" for i in small],
            (np.arange(len(small)), root[small], 1.0),
            (np.arange(len(small)), counts[small], -1.0),
            upper=0.0,
        )
        columns, ones = model.keep.copy(), np.zeros(len(d.parcels))
        columns[may], ones[may] = counts, 1.0
        return _Land(np.zeros(len(d.parcels)), [(columns, ones)])

    def _possible(self, model: Model, chosen: Bools) -> tuple[Ints, Ints, Floats]:
        """Return the parcels that can belong to a patch, pairs of neighbours, and the land they are connected to.

        Shapes (parcels,), (pairs, 2) and (parcels,), model units.
        """
        from optimizer.model import AREA

        d = model.district
        may = np.flatnonzero(chosen & ~(d.built & d.parcels["protected"].to_numpy(dtype=bool)))
        pairs = neighbours(d.parcels.geometry.to_numpy()[may], self.gap)
        part = connected_parts(len(may), pairs)
        whole = np.asarray(np.bincount(part, d.site_area[may])[part], dtype=float)
        large = whole >= (self.min_patch or 0.0) - HAIR
        return may[large], may[pairs[large[pairs[:, 0]]]], whole[large] * AREA

    @staticmethod
    def _area(model: Model, land: _Land, of: Ints, count: int) -> tuple[Floats, list[tuple[Any, Any, Any]]]:
        """Return counted land by place: constant, shape (places,), and terms, model units."""
        from optimizer.model import AREA

        d = model.district
        inside = np.flatnonzero(of >= 0)
        p, area, row = d.parcel_of[inside], d.land[inside] * AREA, of[inside]
        constant = np.asarray(np.bincount(row, area * land.constant[p], minlength=count), dtype=float)
        return constant, [(row, column[p], area * coefficient[p]) for column, coefficient in land.terms]

    def _share(self, model: Model, land: _Land) -> None:
        from optimizer.model import AREA

        d = model.district
        places = d.places(self.by, self.where, self.label)
        constant, terms = self._area(model, land, places.of, len(places.names))
        if self.as_of_right:
            s = np.flatnonzero((places.of >= 0) & d.built[d.parcel_of])
            terms.append((places.of[s], model.keep[d.parcel_of[s]], self.min_share * d.land[s] * AREA))
        self.rows(
            model,
            [f"share_{n}" for n in places.names],
            *terms,
            lower=self.min_share * places.sum(places.land) * AREA - constant,
            unit=AREA,
        )

    def _per_resident(self, model: Model, land: _Land) -> None:
        from optimizer.model import AREA

        d = model.district
        places = d.places(self.by, None, self.label)
        constant, terms = self._area(model, land, places.of, len(places.names))
        need = -float(self.min_per_resident or 0.0) * self._residents(d.uses)
        self.rows(
            model,
            [f"per_resident_{n}" for n in places.names],
            *terms,
            *model.weighted_floor(need, places.of, kept=not self.as_of_right),
            lower=-constant,
            unit=AREA,
        )

    def _in_reach(self, model: Model, land: _Land) -> None:
        from optimizer.model import AREA

        assert self.reach is not None, "asked for only with a reach"
        d = model.district
        client = self._client(d.uses)
        kept = 0.0 if self.as_of_right else d.existing_at @ client
        most = np.maximum.reduce(
            [
                np.broadcast_to(kept, (len(d.sites),)),
                d.plate * (d.storey_limit * (client > 0)).max(axis=1),
                d.plate_today * d.storeys_today[d.parcel_of],
            ]
        )
        sites = np.flatnonzero(most > 0)
        rows, of = np.arange(len(sites)), np.full(len(d.sites), -1)
        of[sites] = rows
        names = [model.site_names[s] for s in sites]
        served = model.program.columns([f"{self.label}_served_{n}" for n in names])
        minus = model.weighted_floor(-client, of, kept=not self.as_of_right)
        model.program.rows([f"{self.label}_served_floor_{n}" for n in names], (rows, served, 1.0), *minus, upper=0.0)
        door, other = walking_distance(d.network, self.reach)[sites].nonzero()
        near = np.unique(np.column_stack([door, d.parcel_of[other]]), axis=0)
        near = near[near[:, 1] != d.parcel_of[sites[near[:, 0]]]]
        row, parcel = near.T
        weight = most[sites[row]] * AREA
        model.program.rows(
            [f"{self.label}_served_near_{n}" for n in names],
            (rows, served, 1.0),
            *((row, column[parcel], -weight * coefficient[parcel]) for column, coefficient in land.terms),
            upper=np.bincount(row, weight * land.constant[parcel], minlength=len(sites)),
        )
        whole = np.where(of >= 0, 0, -1)
        self.rows(
            model,
            ["reach"],
            *model.weighted_floor((1.0 - self.max_unserved) * client, whole, kept=not self.as_of_right),
            (0, served, -1.0),
            upper=0.0,
            unit=AREA,
        )

    def _residents(self, uses: Sequence[Use]) -> Floats:
        """Return residents of one m² of each use, shape (U,)."""
        rate = per_floor(uses, "residents")
        if not rate.any():
            raise StudyError(
                f"rules ({self.label}): min_per_resident counts residents, and no use has any; give floor_per_home"
            )
        return rate

    def _client(self, uses: Sequence[Use]) -> Floats:
        """Return 1 for each use that needs open land in reach, shape (U,)."""
        chosen = per_floor(uses, self.client) if self.client is not None else per_floor(uses, "homes") > 0
        if not chosen.any():
            raise StudyError(f"rules ({self.label}): no use has homes; name the uses that need open land in client")
        return np.asarray(chosen, dtype=float)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find buildings on protected land, or measure the open land."""
        if not self._measures:
            area = evidence.parcels[[f"gfa_{u}" for u in evidence.uses]].sum(axis=1)
            today = evidence.parcels[[f"today_{u}" for u in evidence.uses]].sum(axis=1)
            protected = evidence.parcels["protected"].to_numpy(dtype=bool)
            added = np.maximum(area - today, 0.0)[protected]
            yield from self.verdict(list(added.index), added.to_numpy(float), 0.0, "m² added", absolute=0.01)
            return
        counts = self._counted_in(evidence)
        kept = (evidence.buildings["action"] == "keep").to_numpy() & (evidence.today().sum(axis=1) > 0)
        floor = evidence.floor_area(self.as_of_right)
        open_land = np.where(counts, evidence.land(), 0.0)
        uses = list(evidence.uses.values())
        if self.min_share:
            places = evidence.places(self.by, self.where, self.label)
            base = places.sum(np.where(kept & self.as_of_right, 0.0, places.land))
            land = places.sum(open_land)
            here = base > 0.01
            yield from self.verdict(
                [name for name, h in zip(places.names, here, strict=True) if h],
                land[here] / base[here],
                self.min_share,
                "m²/m²",
                ">=",
                missed=self.min_share * base[here] - land[here],
                missed_unit="m²",
            )
        if self.min_per_resident is not None:
            places = evidence.places(self.by, None, self.label)
            residents, land = places.sum(floor @ self._residents(uses)), places.sum(open_land)
            here = residents > 1e-6
            yield from self.verdict(
                [name for name, h in zip(places.names, here, strict=True) if h],
                land[here] / residents[here],
                self.min_per_resident,
                "m² a resident",
                ">=",
                missed=self.min_per_resident * residents[here] - land[here],
                missed_unit="m²",
            )
        if self.reach is not None:
            held = floor @ self._client(uses)
            near = evidence.doors.nearest(counts) <= self.reach
            total, unserved = held.sum(), held[~near].sum()
            if total > 0.01:
                yield from self.verdict(
                    ["floor without open land in reach"],
                    unserved / total,
                    self.max_unserved,
                    "m²/m²",
                    missed=unserved - self.max_unserved * total,
                    missed_unit="m²",
                )

    def _counted_in(self, evidence: Evidence) -> Bools:
        """Return the building sites whose land counts, shape (S,)."""
        table = evidence.parcels
        floor = table[[f"gfa_{u}" for u in evidence.uses]].sum(axis=1).to_numpy(float)
        rows = np.flatnonzero(evidence.chosen(self.where, self.label) & (floor < 0.01))
        if self.min_patch is not None and len(rows):
            part = connected_parts(len(rows), neighbours(table.geometry.to_numpy()[rows], self.gap))
            size = np.bincount(part, table["site_area"].to_numpy(float)[rows])[part]
            rows = rows[size >= self.min_patch - HAIR]
        return np.asarray(evidence.buildings["parcel_id"].isin(table.index[rows]))
