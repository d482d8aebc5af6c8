"""Open land: protected parcels stay unbuilt, and a share of the district stays open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, Rule, Share

if TYPE_CHECKING:
    from optimizer.model import Model


class OpenLand(Rule):
    """Protected parcels take no new floor, and at least a share of the chosen land carries no building.

    sum of n_su + m_su = 0 on protected parcels; what stands there today may stay. With ``min_share``:
    sum over chosen i of A_i o_i >= min_share · sum of A_i, with site area A (m²) and o = 1 where nothing stands
    (1 - k - c - w where something stands today, k where nothing does). Missed by m² of land.
    """

    kind: ClassVar[str] = "open_land"
    implied: ClassVar[bool] = True

    example: ClassVar[str] = 'kind = "open_land"\nmin_share = 0.05'

    min_share: Share = Field(default=0.0, description="least land without a building over all land, m²/m²")

    def constrain(self, model: Model) -> None:
        """Add a row a protected site, and one for the share."""
        d = model.district
        if self.min_share:
            self._share(model)
            return  # what is protected is held by the rule that every study has
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

    def _share(self, model: Model) -> None:
        d = model.district
        area = np.where(d.select(self.where, self.label), d.site_area, 0.0) / d.site_area.sum()
        built = np.where(d.built, area, 0.0)
        self.rows(
            model,
            ["share"],
            (0, model.keep, area - 2 * built),
            (0, model.convert, -built),
            (0, model.redevelop, -built),
            lower=self.min_share * area.sum() - built.sum(),
            unit=1.0 / d.site_area.sum(),
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find buildings on protected land and measure the share of open land."""
        uses = list(evidence.uses)
        area = evidence.parcels[[f"gfa_{u}" for u in uses]].sum(axis=1)
        today = evidence.parcels[[f"today_{u}" for u in uses]].sum(axis=1)
        if self.min_share:
            table = evidence.parcels[evidence.chosen(self.where, self.label)]
            free, land = table["site_area"][area[table.index] < 0.01].sum(), table["site_area"].sum()
            missed = self.min_share * land - free
            yield from self.verdict(
                ["open land"], free / land, self.min_share, "m²/m²", ">=", missed=missed, missed_unit="m²"
            )
        else:
            protected = evidence.parcels["protected"].to_numpy(dtype=bool)
            added = np.maximum(area - today, 0.0)[protected]
            yield from self.verdict(list(added.index), added.to_numpy(float), 0.0, "m² added", absolute=0.01)
