"""Banned uses: uses that a parcel may not take up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, Names, Rule

if TYPE_CHECKING:
    from optimizer.model import Model


class Banned(Rule):
    """The chosen parcels take up no new floor of the banned uses.

    a_s n_su <= 0 and a0_s m_su <= 0 for every site s, with plates a (m²) of new and converted floors.

    Floor area of the use that stands there today may stay with the building it is in (k_i = 1). Missed by m².
    """

    kind: ClassVar[str] = "banned"

    example: ClassVar[str] = 'kind = "banned"\nuses = ["workshop"]\nwhere = "site_area < 2000"'

    uses: Names = Field(description="uses that may not be taken up")

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the banned uses."""
        return [(f"uses[{i}]", use) for i, use in enumerate(self.uses)]

    def constrain(self, model: Model) -> None:
        """Add one row a chosen site and banned use."""
        from optimizer.model import AREA

        d = model.district
        sites = np.flatnonzero(d.select(self.where, self.label)[d.parcel_of])
        for use in self.uses:
            u = d.use_index[use]
            rows = np.full(len(d.sites), -1)
            rows[sites] = np.arange(len(sites))
            self.rows(
                model,
                [f"{use}_{model.site_names[s]}" for s in sites],
                *model.weighted_floor(np.eye(len(d.uses))[u], rows, kept=False),
                upper=0.0,
                unit=AREA,
            )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find banned floor area on chosen parcels that were not kept."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        table = table[table["action"] != "keep"]
        for use in self.uses:
            area = table[f"gfa_{use}"].to_numpy(dtype=float)
            yield from self.verdict([f"{i}, {use}" for i in table.index], area, 0.0, "m²", absolute=0.01)
