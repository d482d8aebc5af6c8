"""Demolition: how much of today's floor area may be pulled down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optimizer.rules.base import Check, Evidence, Rule, Share, compare

if TYPE_CHECKING:
    from optimizer.model import Model


class Demolition(Rule):
    """At most a share of today's floor area is demolished.

    sum over chosen i of E_i (1 - k_i - c_i) <= max_share · sum of E_i, with today's floor area E (m²), k = 1
    where the building is kept and c = 1 where it is converted.
    """

    kind: ClassVar[str] = "demolition"

    max_share: Share

    def constrain(self, model: Model) -> None:
        """Add one row."""
        from optimizer.model import AREA

        d = model.district
        area = np.where(d.select(self.where, self.label), d.existing.sum(axis=1), 0.0) * AREA
        model.program.rows(
            [self.label],
            (0, model.keep, area),
            (0, model.convert, area),
            lower=(1.0 - self.max_share) * area.sum(),
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add up today's floor area where the plan redevelops or clears."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        today = table[[f"today_{use}" for use in evidence.uses]].sum(axis=1)
        gone = float(today[table["action"].isin(["redevelop", "clear"])].sum())
        total = float(today.sum())
        share = np.array([gone / total if total else 0.0])
        result = compare(self.label, ["today's floor area"], share, np.array([self.max_share]), "m²/m²")
        if result:
            yield result
