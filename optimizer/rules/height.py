"""Height and storeys of new buildings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, NonNegative, Rule

if TYPE_CHECKING:
    from optimizer.model import Model


class Height(Rule):
    """A new building stays within height and number of storeys.

    sum over uses u of h_u n_su <= H_i w_i and sum of n_su <= N_i w_i for every site s of parcel i, with storey
    height h (m), new floors n, height limit H (m), storey limit N and w = 1 where redeveloped. Since storeys
    are whole, N_i also holds floor(H_i / least h), which is stronger than the first row alone, and at most 200.

    H_i and N_i come from the parcel; ``max_height`` (m) and ``max_floors`` lower them where ``where`` holds. Missed by
    m and by storeys, building by building.
    """

    kind: ClassVar[str] = "height"
    implied: ClassVar[bool] = True

    example: ClassVar[str] = 'kind = "height"\nmax_height = 24\nmax_floors = 6'

    max_height: NonNegative | None = Field(default=None, description="m; the parcel's own by default")
    max_floors: NonNegative | None = Field(default=None, description="storeys; the parcel's own by default")

    def constrain(self, model: Model) -> None:
        """Add two rows a site."""
        from optimizer.district import STOREY_LIMIT

        d = model.district
        chosen = d.select(self.where, self.label)
        height = np.minimum(d.max_height, np.inf if self.max_height is None else self.max_height)
        floors = np.minimum(d.max_floors, np.inf if self.max_floors is None else self.max_floors)
        if self.price is None:
            floors = np.minimum(np.minimum(floors, STOREY_LIMIT), np.floor(height / d.storey_height.min() + 1e-9))
        for label, limit, each in (("height", height, d.storey_height), ("storeys", floors, np.ones(len(d.uses)))):
            sites = np.flatnonzero((chosen & np.isfinite(limit))[d.parcel_of])
            rows = np.arange(len(sites))
            parcel = d.parcel_of[sites]
            self.rows(
                model,
                [f"{label}_{model.site_names[s]}" for s in sites],
                (rows[:, None], model.new[sites], each[None, :]),
                (rows, model.redevelop[parcel], -limit[parcel]),
                upper=0.0,
            )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add up each new building's storeys from its stack and compare with its limits."""
        new = evidence.buildings[evidence.buildings["action"] == "redevelop"]
        parcels = evidence.parcels[evidence.chosen(self.where, self.label)]
        new = new[new["parcel_id"].isin(parcels.index)]
        metres = np.array([sum(evidence.uses[u].storey_height for u in stack) for stack in new["storeys"]])
        storeys = np.array([float(len(stack)) for stack in new["storeys"]])
        scopes = (new["parcel_id"] + "/" + new["site"].astype(str)).to_numpy(dtype=object)
        for unit, values, column, own in (
            ("m", metres, "max_height", self.max_height),
            ("storeys", storeys, "max_floors", self.max_floors),
        ):
            limit = parcels[column].reindex(new["parcel_id"]).to_numpy(dtype=float)
            limit = np.fmin(limit, np.nan if own is None else own)
            known = ~np.isnan(limit)
            yield from self.verdict(list(scopes[known]), values[known], limit[known], unit)
