"""Floor-area ratio: gross floor area of new buildings over site area."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from optimizer.rules.base import Check, Evidence, NonNegative, Rule, compare

if TYPE_CHECKING:
    from optimizer.model import Model


class FloorArea(Rule):
    """New floor area on a parcel stays within its floor-area ratio.

    sum over sites s of i, uses u of a_s n_su <= FAR_i A_i w_i, with plate a (m²), new floors n, site area A
    (m²) and w = 1 where redeveloped. All sites of a parcel draw on one account. A building that is kept or
    converted keeps the floor area it lawfully has.

    FAR_i comes from the parcel; ``max_far`` lowers it where the rule's ``where`` holds.
    """

    kind: ClassVar[str] = "floor_area"
    implied: ClassVar[bool] = True

    max_far: NonNegative | None = None

    def constrain(self, model: Model) -> None:
        """Add one row a parcel whose ratio is limited."""
        from optimizer.model import AREA

        d = model.district
        far = np.minimum(d.max_far, np.inf if self.max_far is None else self.max_far)
        rows = np.flatnonzero(d.select(self.where, self.label) & np.isfinite(far))
        place = np.full(len(d.parcels), -1)
        place[rows] = np.arange(len(rows))
        sites = np.flatnonzero(place[d.parcel_of] >= 0)
        model.program.rows(
            [f"{self.label}_{d.parcels['parcel_id'].iloc[i]}" for i in rows],
            (place[d.parcel_of[sites], None], model.new[sites], d.plate[sites, None] * AREA),
            (np.arange(len(rows)), model.redevelop[rows], -far[rows] * d.site_area[rows] * AREA),
            upper=0.0,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Compare each redeveloped parcel's ratio with its limit."""
        table = evidence.parcels[
            evidence.chosen(self.where, self.label) & (evidence.parcels["action"] == "redevelop").to_numpy()
        ]
        ratio = table[[f"gfa_{u}" for u in evidence.uses]].sum(axis=1) / table["site_area"]
        limit = table["max_far"].clip(upper=np.inf if self.max_far is None else self.max_far)
        if self.max_far is not None:
            limit = limit.fillna(self.max_far)
        known = limit.notna()
        result = compare(
            self.label, list(table.index[known]), ratio[known].to_numpy(), limit[known].to_numpy(), "m²/m²"
        )
        if result:
            yield result
