"""Site coverage: how much of a parcel the plates of new buildings take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, Rule, Share

if TYPE_CHECKING:
    from optimizer.model import Model


class Coverage(Rule):
    """The plates of new buildings cover no more of a parcel than allowed.

    sum over sites s of i of a_s b_s <= c_i A_i, with plate a (m²), b = 1 where a building stands, coverage c and
    site area A (m²). Plates are sized by the parcel's own coverage, so that part holds by construction;
    a lower ``max_coverage`` costs a binary a site of the district. Missed by m²/m².
    """

    kind: ClassVar[str] = "coverage"
    implied: ClassVar[bool] = True

    example: ClassVar[str] = 'kind = "coverage"\nmax_coverage = 0.5'

    max_coverage: Share | None = Field(
        default=None, description="most plate over site area, m²/m²; the parcel's own by default"
    )

    def constrain(self, model: Model) -> None:
        """Add rows only where the rule asks for less than the parcel's own coverage."""
        if self.max_coverage is None:
            return
        d = model.district
        taken = np.bincount(d.parcel_of, d.plate, minlength=len(d.parcels)) / d.site_area
        rows = np.flatnonzero(d.select(self.where, self.label) & (taken > self.max_coverage))
        if not len(rows):
            return
        standing = model.standing()
        place = np.full(len(d.parcels), -1)
        place[rows] = np.arange(len(rows))
        sites = np.flatnonzero(place[d.parcel_of] >= 0)
        self.rows(
            model,
            [d.parcels["parcel_id"].iloc[i] for i in rows],
            (place[d.parcel_of[sites]], standing[sites], (d.plate / d.site_area[d.parcel_of])[sites]),
            upper=self.max_coverage,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add up the plates of each redeveloped parcel's buildings."""
        parcels = evidence.parcels[evidence.chosen(self.where, self.label)]
        new = evidence.buildings[
            (evidence.buildings["action"] == "redevelop") & evidence.buildings["storeys"].map(bool)
        ]
        plates = new.groupby("parcel_id")["plate"].sum()
        plates = plates[plates.index.isin(parcels.index)]
        limit = parcels["coverage"].reindex(plates.index).to_numpy(dtype=float)
        if self.max_coverage is not None:
            limit = np.fmin(limit, self.max_coverage)
        share = (plates / parcels["site_area"].reindex(plates.index)).to_numpy(dtype=float)
        yield from self.verdict(list(plates.index), share, limit, "m²/m²")
