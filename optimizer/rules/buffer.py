"""Buffer: uses of unknown emissions keep a distance from what is to be protected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import shapely
from pydantic import Field, model_validator

from optimizer.rules.base import TOLERANCE, Check, Evidence, Names, Positive, Rule

if TYPE_CHECKING:
    from optimizer.district import Bools
    from optimizer.model import Model


class Buffer(Rule):
    """Uses that may disturb keep a least distance from places to protect: a fallback where emissions are unknown.

    a_s n_su <= 0 and a0_s m_su <= 0 for every use u named and every site s of a parcel nearer than ``distance`` (m),
    with plates a (m²) of new and converted floors.

    The distance is the straight line from the parcel's boundary (the safe side: its building stands further in) to a
    place of ``from_places``, 0 where that lies on the parcel, or to the boundary of a parcel of ``from_where``. Such a
    parcel keeps no distance from itself, only from others of its kind: what may stand on it other rules say. What is
    chosen by ``from_where`` is decided by today's facts, not by what the plan puts there; for distances between uses of
    the plan see separation.

    Floor area of the use that stands there today may stay with the building it is in. No binary; a row a site and use.
    Missed by m².

    50 m around B1 industry: Singapore (Urban Redevelopment Authority, confirmed). 100 m from homes and schools, 30 m
    from commerce and institutions, 200 m for offensive trades, 500 m from hospitals: Hong Kong Planning Standards and
    Guidelines, chapter 9 (confirmed). 30 to 200 m by category: Netherlands, VNG list of 2009 (reported).
    """

    kind: ClassVar[str] = "buffer"
    example: ClassVar[str] = 'kind = "buffer"\nuses = ["workshop"]\nfrom_where = "today_housing > 0"\ndistance = 50'
    stricter: ClassVar[Mapping[str, int]] = {"distance": 1}

    uses: Names = Field(description="uses that keep the distance")
    from_places: list[str] = Field(default=[], description="what they keep it from: tables of pollution.places")
    from_where: str | list[str] | None = Field(
        default=None, description="what they keep it from: parcels, by an expression over facts or a list of ids"
    )
    distance: Positive = Field(description="least distance from the parcel's boundary, m")

    @model_validator(mode="after")
    def _from_something(self) -> Buffer:
        if not self.from_places and self.from_where is None:
            raise ValueError(
                "from_places and from_where are both missing; name tables of pollution.places or choose parcels"
            )
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses that keep the distance."""
        return [(f"uses[{i}]", use) for i, use in enumerate(self.uses)]

    def named_places(self) -> list[tuple[str, str]]:
        """Return the groups of places."""
        return [(f"from_places[{i}]", group) for i, group in enumerate(self.from_places)]

    def constrain(self, model: Model) -> None:
        """Add one row a site of a parcel that is too near, and use."""
        from optimizer.model import AREA

        d = model.district
        sites = np.flatnonzero((d.select(self.where, self.label) & self._too_near(model))[d.parcel_of])
        rows = np.full(len(d.sites), -1)
        rows[sites] = np.arange(len(sites))
        for use in self.uses:
            self.rows(
                model,
                [f"{use}_{model.site_names[s]}" for s in sites],
                *model.weighted_floor(np.eye(len(d.uses))[d.use_index[use]], rows, kept=False),
                upper=0.0,
                unit=AREA,
            )

    def _too_near(self, model: Model) -> Bools:
        """Return the parcels nearer than the distance to anything they keep away from, shape (P,)."""
        d = model.district
        shapes = np.asarray(d.parcels.geometry.array, dtype=object)
        near = np.zeros(len(shapes), dtype=bool)
        limit = self.distance * (1.0 - TOLERANCE)
        tree = shapely.STRtree(shapes)
        if self.from_places:
            places = np.asarray(d.around.places.geometry.array, dtype=object)
            chosen = places[d.around.places["group"].isin(self.from_places).to_numpy(dtype=bool)]
            place, parcel = tree.query(chosen, predicate="dwithin", distance=limit)
            near[parcel[shapely.distance(chosen[place], shapes[parcel]) < limit]] = True
        if self.from_where is not None:
            others = np.flatnonzero(d.select(self.from_where, f"{self.label}.from_where"))
            other, parcel = tree.query(shapes[others], predicate="dwithin", distance=limit)
            apart = shapely.distance(shapes[others[other]], shapes[parcel])
            near[parcel[(others[other] != parcel) & (apart < limit)]] = True
        return near

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Measure from every parcel with new or converted floor of a use to the nearest of what it keeps away from."""
        parcels = evidence.parcels
        chosen = evidence.chosen(self.where, self.label) & (parcels["action"] != "keep").to_numpy()
        others = np.zeros(len(parcels), dtype=bool)
        if self.from_where is not None:
            others = evidence.chosen(self.from_where, f"{self.label}.from_where")
        points = []
        if self.from_places:
            table = evidence.receptors["places"]
            table = table[table["group"].isin(self.from_places).to_numpy(dtype=bool)]
            points = [shapely.Point(x, y) for x, y in zip(table["x"], table["y"], strict=True)]
        shapes = parcels.geometry.tolist()
        nearest: dict[int, float] = {}
        for use in self.uses:
            floor = parcels[f"gfa_{use}"].to_numpy(dtype=float)
            held = np.flatnonzero(chosen & (floor > 0.01)).tolist()
            for p in held:
                if p not in nearest:
                    away = points + [shapes[q] for q in np.flatnonzero(others) if q != p]
                    nearest[p] = min((shapes[p].distance(other) for other in away), default=np.inf)
            held = [p for p in held if np.isfinite(nearest[p])]
            yield from self.verdict(
                [str(parcels.index[p]) for p in held],
                [nearest[p] for p in held],
                self.distance,
                "m",
                ">=",
                missed=floor[held],
                missed_unit="m²",
                absolute=0.0,
                name=f"{self.label} of {use}",
            )
