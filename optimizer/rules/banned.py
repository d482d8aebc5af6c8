"""Banned uses: uses that a parcel may not take up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, Rule, compare

if TYPE_CHECKING:
    from optimizer.model import Model


class Banned(Rule):
    """The chosen parcels take up no new floor of the banned uses: n_su = 0 and m_su = 0.

    Floor area of the use that stands there today may stay with the building it is in (k_i = 1).
    """

    kind: ClassVar[str] = "banned"

    uses: Annotated[list[str], Field(min_length=1)]

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the banned uses."""
        return [(f"uses[{i}]", use) for i, use in enumerate(self.uses)]

    def constrain(self, model: Model) -> None:
        """Add one row a chosen site and banned use."""
        d = model.district
        sites = np.flatnonzero(d.select(self.where, self.label)[d.parcel_of])
        for use in self.uses:
            u = d.use_index[use]
            model.program.rows(
                [f"{self.label}_{use}_{model.site_names[s]}" for s in sites],
                (np.arange(len(sites)), model.new[sites, u], 1.0),
                (np.arange(len(sites)), model.converted[sites, u], 1.0),
                upper=0.0,
            )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find banned floor area on chosen parcels that were not kept."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        table = table[table["action"] != "keep"]
        for use in self.uses:
            area = table[f"gfa_{use}"].to_numpy(dtype=float)
            result = compare(
                self.label, [f"{i}, {use}" for i in table.index], area, np.zeros(len(table)), "m²", absolute=0.01
            )
            if result:
                yield result
