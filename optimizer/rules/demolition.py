"""Demolition: how much of today's floor area may be pulled down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, Rule, Share

if TYPE_CHECKING:
    from optimizer.model import Model


class Demolition(Rule):
    """At most a share of today's floor area is demolished.

    sum over chosen i of E_i (1 - k_i - c_i) <= max_share · sum of E_i, with today's floor area E (m²), k = 1
    where the building is kept and c = 1 where it is converted; without c_i where conversions count too, so that the
    rule limits all change. Missed by m² of today's floor area.
    """

    kind: ClassVar[str] = "demolition"

    example: ClassVar[str] = 'kind = "demolition"\nmax_share = 0.4'

    max_share: Share = Field(description="most of today's floor area that may go, m²/m²")
    conversions: bool = Field(default=False, description="whether floor area that is converted counts as gone")

    def constrain(self, model: Model) -> None:
        """Add one row."""
        from optimizer.model import AREA

        d = model.district
        area = np.where(d.select(self.where, self.label), d.existing.sum(axis=1), 0.0) * AREA
        self.rows(
            model,
            ["today"],
            (0, model.keep, area),
            (0, model.convert, 0.0 if self.conversions else area),
            lower=(1.0 - self.max_share) * area.sum(),
            unit=AREA,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add up today's floor area where the plan redevelops or clears."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        today = table[[f"today_{use}" for use in evidence.uses]].sum(axis=1)
        changed = ["redevelop", "clear", *(["convert"] if self.conversions else [])]
        gone = float(today[table["action"].isin(changed)].sum())
        total = float(today.sum())
        yield from self.verdict(
            ["today's floor area"],
            gone / total if total else 0.0,
            self.max_share,
            "m²/m²",
            missed=gone - self.max_share * total,
            missed_unit="m²",
        )
