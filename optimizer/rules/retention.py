"""Retention: today's floor area of a use is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optimizer.rules.base import Check, Evidence, Rule, Share, compare

if TYPE_CHECKING:
    from optimizer.model import Model


class Retention(Rule):
    """The chosen parcels together hold at least a share of today's floor area of a use.

    sum over chosen i of g_iu >= share · sum over chosen i of e_iu, with floor area g and today's e (m²). The
    floor area may move between parcels and into new buildings; ``each_parcel`` holds every parcel to its own.

    Modelled on no-net-loss policies for industrial floor; the London Plan's was struck out by direction in
    December 2020 (reported by Savills).
    """

    kind: ClassVar[str] = "retention"

    use: str
    share: Share = 1.0
    each_parcel: bool = False

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the use that is retained."""
        return [("use", self.use)]

    def constrain(self, model: Model) -> None:
        """Add one row, or one a parcel that has the use today."""
        from optimizer.model import AREA

        d = model.district
        u = d.use_index[self.use]
        chosen = d.select(self.where, self.label)
        rows = np.flatnonzero(chosen & (d.existing[:, u] > 0)) if self.each_parcel else np.array([0])
        group = np.full(len(d.parcels), -1)
        group[rows if self.each_parcel else chosen] = np.arange(len(rows)) if self.each_parcel else 0
        sites = np.flatnonzero(group[d.parcel_of] >= 0)
        row = group[d.parcel_of[sites]]
        today = d.existing[rows, u] if self.each_parcel else d.existing[chosen, u].sum(keepdims=True)
        model.program.rows(
            [f"{self.label}_{self.use}_{i}" for i in range(len(rows))],
            *((row, column[sites], area[sites]) for _, column, area in model.floor_area_terms(u, d.parcel_of)),
            lower=self.share * today * AREA,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Compare the plan's floor area of the use with today's."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        plan, today = table[f"gfa_{self.use}"], table[f"today_{self.use}"]
        if self.each_parcel:
            has = today > 0
            scopes, values, limits = list(table.index[has]), plan[has], today[has] * self.share
        else:
            scopes = [f"floor area of {self.use}"]
            values, limits = plan.agg(["sum"]), today.agg(["sum"]) * self.share
        result = compare(self.label, scopes, values.to_numpy(float), limits.to_numpy(float), "m²", ">=")
        if result:
            yield result
