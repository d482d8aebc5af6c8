"""Bonus: floor area earned by providing a use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, Names, Positive, Rule

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Floats
    from optimizer.model import Model


class Bonus(Rule):
    """A redeveloped parcel earns floor area beyond its ratio by providing certain uses.

    Per parcel i with B_i the floor area earned (m²), which `floor_area` adds to the parcel's account:
    B_i <= ratio sum over u in provide of g_iu,  B_i <= cap A_i w_i,  and B_i <= sum over u in spend_on of g_iu where
    the bonus may be spent on some uses only; g is new floor area (m²), A site area (m²), w = 1 where redeveloped.
    Floor that is provided may stand in the bonus itself. No binaries. Never missed: what is not earned is not allowed.

    Modelled on New York's industrial business incentive areas, 3.5 m² for each m² of required industrial floor up to
    0.8 + 2.0 (Zoning Resolution 74-943, confirmed), and Gowanus, 1 for 1 up to 0.3 (139-212, confirmed).
    """

    kind: ClassVar[str] = "bonus"
    grants: ClassVar[bool] = True
    example: ClassVar[str] = 'kind = "bonus"\nprovide = ["workshop"]\nratio = 3.5\ncap = 0.8'
    stricter: ClassVar[Mapping[str, int]] = {"ratio": -1, "cap": -1}

    provide: Names = Field(description="uses whose new floor earns the bonus")
    ratio: Positive = Field(default=1.0, description="m² earned for each m² provided")
    cap: Positive = Field(description="most that is earned, m² over m² of site area")
    spend_on: list[str] = Field(default=[], description="uses that may stand in the bonus; all by default")

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses provided and those the bonus is spent on."""
        lists = (("provide", self.provide), ("spend_on", self.spend_on))
        return [(f"{key}[{i}]", use) for key, uses in lists for i, use in enumerate(uses)]

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find a price, and a second bonus spent on some of the same uses in the same place."""
        if self.price is not None:
            return f"rules ({self.label}): a bonus has no price; what is not earned is not allowed"
        for rule in rules:
            if isinstance(rule, Bonus) and rule is not self and set(rule.spend_on) & set(self.spend_on):
                return (
                    f"rules ({self.label}, {rule.label}): two bonuses are spent on {sorted(set(rule.spend_on) & set(self.spend_on))}; "
                    "give each its own uses in spend_on, or one bonus a higher ratio and cap"
                )
        return None

    def extra_far(self, parcels: pd.DataFrame) -> Floats:
        """Return the cap where the rule holds, shape (P,)."""
        from optimizer.district import select

        return np.where(select(parcels, self.where, self.label), self.cap, 0.0)

    def declare(self, model: Model) -> None:
        """Add a column a parcel and let `floor_area` add it to the parcel's account."""
        from optimizer.model import AREA

        d = model.district
        parcels = np.flatnonzero(d.select(self.where, self.label))
        rows = np.arange(len(parcels))
        ids = d.parcels["parcel_id"].to_numpy()[parcels]
        earned = model.program.columns([f"{self.label}_{i}" for i in ids])
        model.allowances.append((parcels, earned, np.ones(len(parcels))))
        place = np.full(len(d.parcels), -1)
        place[parcels] = rows
        site = np.flatnonzero(place[d.parcel_of] >= 0)

        def floor(uses: list[str], factor: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            columns = [d.use_index[u] for u in uses]
            return [(place[d.parcel_of[site]], model.new[site, u], -factor * d.plate[site] * AREA) for u in columns]

        self.rows(model, [f"earned_{i}" for i in ids], (rows, earned, 1.0), *floor(self.provide, self.ratio), upper=0.0)
        self.rows(
            model,
            [f"cap_{i}" for i in ids],
            (rows, earned, 1.0),
            (rows, model.redevelop[parcels], -self.cap * d.site_area[parcels] * AREA),
            upper=0.0,
        )
        if self.spend_on:
            self.rows(model, [f"spent_{i}" for i in ids], (rows, earned, 1.0), *floor(self.spend_on, 1.0), upper=0.0)

    def constrain(self, model: Model) -> None:
        """Leave it to `floor_area`, which holds the account."""

    def earned(self, evidence: Evidence) -> Floats:
        """Return what each parcel's new floor earned, m², shape (P,)."""
        table = evidence.parcels

        def floor(uses: list[str]) -> Floats:
            return np.asarray(table[[f"gfa_{u}" for u in uses]].sum(axis=1), dtype=float)

        most = np.minimum(self.ratio * floor(self.provide), self.cap * table["site_area"].to_numpy(float))
        if self.spend_on:
            most = np.minimum(most, floor(self.spend_on))
        holds = evidence.chosen(self.where, self.label) & (table["action"] == "redevelop").to_numpy()
        return np.where(holds, most, 0.0)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Compare the floor area beyond each parcel's ratio with all that it earned."""
        table = evidence.parcels
        earned = sum((rule.earned(evidence) for rule in evidence.rules), np.zeros(len(table)))
        area = table[[f"gfa_{u}" for u in evidence.uses]].sum(axis=1).to_numpy(float)
        beyond = np.maximum(area - table["max_far"].to_numpy(float) * table["site_area"].to_numpy(float), 0.0)
        at = evidence.chosen(self.where, self.label) & (table["action"] == "redevelop").to_numpy() & ~np.isnan(beyond)
        yield from self.verdict(list(table.index[at]), beyond[at], earned[at], "m² of bonus", absolute=0.01)
