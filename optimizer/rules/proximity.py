"""Proximity: how much of what linkages draw on must be near."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field, model_validator

from optimizer.rules.base import Check, Evidence, NonNegative, Rule, Share

if TYPE_CHECKING:
    from optimizer.model import Model


class Proximity(Rule):
    """The district's linkages are met near by, to a least degree.

    V >= min_value,  V >= min_index · sum over linkages l of s_l alpha_l G_client,

    with the value V of proximity (m²: what each linkage draws on, times its strength s and 1 - d / R for the walk d
    within its reach R), alpha the demand on the supplier and G_client the floor area of the client (m²). V is that of
    the flow on the walking network, as in the score; a finished plan's is found again by the transport problem over
    all pairs of doors. Holds for the whole district. Missed by m². No binaries.
    """

    kind: ClassVar[str] = "proximity"
    asks_walks: ClassVar[bool] = True
    example: ClassVar[str] = 'kind = "proximity"\nmin_index = 0.3'

    min_value: NonNegative | None = Field(default=None, description="least value of proximity, m²")
    min_index: Share | None = Field(default=None, description="least proximity index of the plan, 0 to 1")

    @model_validator(mode="after")
    def _something_asked(self) -> Proximity:
        if self.min_value is None and self.min_index is None:
            raise ValueError("min_value and min_index are both missing; give one of them")
        if self.where is not None:
            raise ValueError("where: proximity is that of the whole district; leave it out")
        return self

    def constrain(self, model: Model) -> None:
        """Add a row for each bound."""
        from optimizer.model import AREA

        columns, worth = model.value
        value = (0, columns, worth)
        if self.min_value is not None:
            self.rows(model, ["least_value"], value, lower=self.min_value * AREA, unit=AREA)
        if self.min_index is not None:
            d, wanted = model.district, np.zeros(len(model.district.uses))
            for link in d.linkages:
                wanted[d.use_index[link.client]] += link.strength * link.demand
            terms = model.weighted_floor(-self.min_index * wanted, np.zeros(len(d.sites), dtype=np.int64))
            self.rows(model, ["least_index"], value, *terms, lower=0.0, unit=AREA)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Solve the transport problem of the plan and compare."""
        value, _ = evidence.proximity
        if self.min_value is not None:
            yield from self.verdict(["value"], value, self.min_value, "m²", ">=")
        if self.min_index is not None:
            area = evidence.parcels
            most = sum(k.strength * k.demand * float(area[f"gfa_{k.client}"].sum()) for k in evidence.linkages)
            yield from self.verdict(
                ["index"],
                value / most if most else 1.0,
                self.min_index,
                "0 to 1",
                ">=",
                missed=self.min_index * most - value,
                missed_unit="m²",
            )
