"""Retention: today's floor area of a use is not lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from optimizer.rules.base import Check, Evidence, NonNegative, PlacedRule, Positive, Share

if TYPE_CHECKING:
    from optimizer.model import Model


class Retention(PlacedRule):
    """Each place holds at least what its parcels must retain of a use.

    sum over sites of the place of g_su >= sum over its parcels of max(share e_iu, plot_ratio A_i), with floor area
    g, today's e (m²) and site area A (m²). ``like_for_like`` = r lets 1 m² go for every r m² that stay:
    share = r / (1 + r). With ``as_of_right``, kept parcels are left out of both sides. Missed by m². No binaries.

    Modelled on no-net-loss policies for industrial floor: the draft London Plan's larger of existing floor and 65 %
    of the plot (no net loss was struck out by direction in December 2020, reported by Savills), and New York's
    garment rule, 1 for 1, 1987 to 2018 (Department of City Planning).
    """

    kind: ClassVar[str] = "retention"
    example: ClassVar[str] = 'kind = "retention"\nuse = "workshop"\nshare = 0.8'
    stricter: ClassVar[Mapping[str, int]] = {"share": 1, "plot_ratio": 1, "like_for_like": 1}

    use: str = Field(description="use that is retained")
    share: Share | None = Field(
        default=None, description="least share of today's floor area, m²/m²; 1 unless another measure is given"
    )
    plot_ratio: NonNegative | None = Field(default=None, description="least floor area over site area, m²/m²")
    like_for_like: Positive | None = Field(default=None, description="m² that stay for each m² that goes")

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the use that is retained."""
        return [("use", self.use)]

    @property
    def _share(self) -> float:
        if self.share is None and self.like_for_like is None:
            return 1.0 if self.plot_ratio is None else 0.0
        kept = 0.0 if self.like_for_like is None else self.like_for_like / (1.0 + self.like_for_like)
        return max(self.share or 0.0, kept)

    def constrain(self, model: Model) -> None:
        """Add a row a place."""
        from optimizer.model import AREA

        d = model.district
        u = d.use_index[self.use]
        places = d.places(self.by, self.where, self.label)
        needed = np.maximum(self._share * d.existing_at[:, u], (self.plot_ratio or 0.0) * d.land) * AREA
        inside = np.flatnonzero(places.of >= 0)
        terms = model.weighted_floor(np.eye(len(d.uses))[u], places.of, kept=not self.as_of_right)
        if self.as_of_right:
            terms.append((places.of[inside], model.keep[d.parcel_of[inside]], needed[inside]))
        self.rows(model, [f"{self.use}_{n}" for n in places.names], *terms, lower=places.sum(needed), unit=AREA)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Compare the plan's floor area of the use with what each place must retain."""
        places = evidence.places(self.by, self.where, self.label)
        u = list(evidence.uses).index(self.use)
        area = evidence.floor_area(self.as_of_right)[:, u]
        needed = np.maximum(self._share * evidence.today()[:, u], (self.plot_ratio or 0.0) * evidence.land())
        if self.as_of_right:
            needed = np.where(evidence.buildings["action"] == "keep", 0.0, needed)
        yield from self.verdict(places.names, places.sum(area), places.sum(needed), f"m² of {self.use}", ">=")
