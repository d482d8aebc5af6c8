"""Floor area: floor-area ratio and gross floor area, by parcel or by place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field, model_validator

from optimizer.rules.base import Check, Evidence, NonNegative, PlacedRule

if TYPE_CHECKING:
    from optimizer.district import Floats
    from optimizer.model import Model


class FloorArea(PlacedRule):
    """Floor area stays within its ratio to site area, parcel by parcel or added up by place.

    By parcel: sum over sites s of i, uses u of a_s n_su <= FAR_i A_i w_i + B_i, with plate a (m²), new floors n,
    site area A (m²), w = 1 where redeveloped and B_i the floor area that bonuses and transfers add (m²). All sites
    of a parcel draw on one account. A building that is kept or converted keeps the floor area it lawfully has.
    FAR_i comes from the parcel; ``max_far`` lowers it where the rule's ``where`` holds.

    By any other place: min_far A <= G <= max_far A and min_gfa <= G <= max_gfa, with the place's floor area G,
    kept, converted and new (without kept floor where ``as_of_right``), and site area A. Missed by m². No binaries.
    """

    kind: ClassVar[str] = "floor_area"
    implied: ClassVar[bool] = True
    example: ClassVar[str] = 'kind = "floor_area"\nmax_far = 2.5\nby = "block"'

    by: str = Field(default="parcel", description="parcel, or what is added up: building, block, zone, district ...")
    max_far: NonNegative | None = Field(default=None, description="most floor-area ratio, m²/m²")
    min_far: NonNegative | None = Field(default=None, description="least floor-area ratio, m²/m²; not by parcel")
    max_gfa: NonNegative | None = Field(default=None, description="most floor area of a place, m²; not by parcel")
    min_gfa: NonNegative | None = Field(default=None, description="least floor area of a place, m²; not by parcel")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> FloorArea:
        for least, most in (("min_far", "max_far"), ("min_gfa", "max_gfa")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} = {low:g} is above {most} = {high:g}")
        if self.by == "parcel":
            for key in ("min_far", "max_gfa", "min_gfa"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} is not held by parcel; say by = 'block', 'zone', 'district' or a fact")
        return self

    def constrain(self, model: Model) -> None:
        """Add a row a parcel whose ratio is limited, or one a place and bound."""
        if self.by == "parcel":
            self._by_parcel(model)
        else:
            self._by_place(model)

    def _by_parcel(self, model: Model) -> None:
        from optimizer.model import AREA

        d = model.district
        far = np.minimum(d.max_far, np.inf if self.max_far is None else self.max_far)
        rows = np.flatnonzero(d.select(self.where, self.label) & np.isfinite(far))
        place = np.full(len(d.parcels), -1)
        place[rows] = np.arange(len(rows))
        sites = np.flatnonzero(place[d.parcel_of] >= 0)
        extra = []
        for parcels, columns, coefficients in model.allowances:
            here = place[parcels] >= 0
            extra.append((place[parcels][here], columns[here], -coefficients[here]))
        self.rows(
            model,
            [d.parcels["parcel_id"].iloc[i] for i in rows],
            (place[d.parcel_of[sites], None], model.new[sites], d.plate[sites, None] * AREA),
            (np.arange(len(rows)), model.redevelop[rows], -far[rows] * d.site_area[rows] * AREA),
            *extra,
            upper=0.0,
            unit=AREA,
        )

    def _by_place(self, model: Model) -> None:
        from optimizer.model import AREA

        d = model.district
        places = d.places(self.by, self.where, self.label)
        terms = model.weighted_floor(np.ones(len(d.uses)), places.of, kept=not self.as_of_right)
        low, high = self._bounds(places.sum(places.land))
        for label, bound in (("least", low), ("most", high)):
            if np.isfinite(bound).any():
                names = [f"{label}_{n}" for n in places.names]
                lower, upper = (bound * AREA, np.inf) if label == "least" else (-np.inf, bound * AREA)
                self.rows(model, names, *terms, lower=lower, upper=upper, unit=AREA)

    def _bounds(self, land: Floats) -> tuple[Floats, Floats]:
        """Return least and most floor area of places, m²."""
        low = np.maximum(land * (self.min_far or 0.0), self.min_gfa or 0.0)
        high = np.minimum(
            np.inf if self.max_far is None else self.max_far * land, np.inf if self.max_gfa is None else self.max_gfa
        )
        none = self.min_far is None and self.min_gfa is None
        return np.where(none, -np.inf, low), np.broadcast_to(high, land.shape)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add each parcel's or place's floor area up and compare with its limit."""
        if self.by == "parcel":
            yield from self._check_parcels(evidence)
            return
        places = evidence.places(self.by, self.where, self.label)
        area, land = places.sum(evidence.floor_area(self.as_of_right).sum(axis=1)), places.sum(places.land)
        for limit, sense in zip(self._bounds(land), (">=", "<="), strict=True):
            if np.isfinite(limit).any():
                yield from self.verdict(places.names, area, limit, "m²", sense)

    def _check_parcels(self, evidence: Evidence) -> Iterator[Check]:
        earned = sum((rule.earned(evidence) for rule in evidence.rules), np.zeros(len(evidence.parcels)))
        new = (evidence.parcels["action"] == "redevelop").to_numpy()
        at = evidence.chosen(self.where, self.label) & new
        table = evidence.parcels[at]
        area = table[[f"gfa_{u}" for u in evidence.uses]].sum(axis=1).to_numpy(float)
        own = np.inf if self.max_far is None else self.max_far
        limit = np.minimum(table["max_far"].fillna(np.inf).to_numpy(float), own)
        known = np.isfinite(limit)
        site = table["site_area"].to_numpy(float)[known]
        limit = limit[known] + earned[at][known] / site
        ratio = area[known] / site
        yield from self.verdict(
            list(table.index[known]), ratio, limit, "m²/m²", missed=(ratio - limit) * site, missed_unit="m²"
        )
