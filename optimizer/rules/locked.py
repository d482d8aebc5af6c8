"""Locked parcels: what stands there stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optimizer.rules.base import Check, Evidence, Rule

if TYPE_CHECKING:
    from optimizer.model import Model


class Locked(Rule):
    """The chosen parcels, landmarks for instance, are kept as they are.

    k_i = 1 for every chosen parcel i. Missed by parcels.
    """

    kind: ClassVar[str] = "locked"
    example: ClassVar[str] = 'kind = "locked"\nwhere = "year < 1920 or storeys_today > 6"'

    def constrain(self, model: Model) -> None:
        """Add one row a chosen parcel."""
        d = model.district
        chosen = np.flatnonzero(d.select(self.where, self.label))
        self.rows(
            model,
            [d.parcels["parcel_id"].iloc[i] for i in chosen],
            (np.arange(len(chosen)), model.keep[chosen], 1.0),
            lower=1.0,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find chosen parcels whose floor area by use is not today's."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        change = sum(
            ((table[f"gfa_{use}"] - table[f"today_{use}"]).abs() for use in evidence.uses), np.zeros(len(table))
        )
        acted = (table["action"] != "keep").to_numpy(dtype=float)
        yield from self.verdict(
            list(table.index),
            np.maximum(np.asarray(change), acted),
            0.0,
            "m² changed",
            missed=acted,
            missed_unit="parcels",
            absolute=0.01,
        )
