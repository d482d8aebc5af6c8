"""The programme: how much floor area, how many jobs and homes the district is to hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field, model_validator

from optimizer.rules.base import Check, Evidence, NonNegative, Rule, Share

if TYPE_CHECKING:
    from optimizer.district import District, Floats
    from optimizer.model import Model


class Programme(Rule):
    """Floor area, jobs and homes lie between bounds.

    With G_u the floor area of use u over the chosen parcels (m²), G their total, E today's total and f_u floor
    area per job or home (m²):

    min_floor_area <= G <= max_floor_area,  min_today E <= G <= max_today E,
    min_area_u <= G_u <= max_area_u,  min_share_u G <= G_u <= max_share_u G,
    min_jobs <= sum of G_u / f_u <= max_jobs,  and the same for homes.

    Missed by m² of floor (shares too), jobs or homes.
    """

    kind: ClassVar[str] = "programme"
    example: ClassVar[str] = 'kind = "programme"\nmax_today = 1.4\nmin_share = { workshop = 0.2, housing = 0.2 }'

    min_floor_area: NonNegative | None = Field(default=None, description="least floor area, m²")
    max_floor_area: NonNegative | None = Field(default=None, description="most floor area, m²")
    min_today: NonNegative | None = Field(default=None, description="least floor area as a multiple of today's")
    max_today: NonNegative | None = Field(default=None, description="most floor area as a multiple of today's")
    min_area: dict[str, NonNegative] = Field(default={}, description="least floor area by use, m²")
    max_area: dict[str, NonNegative] = Field(default={}, description="most floor area by use, m²")
    min_share: dict[str, Share] = Field(default={}, description="least share of floor area by use, m²/m²")
    max_share: dict[str, Share] = Field(default={}, description="most share of floor area by use, m²/m²")
    min_jobs: NonNegative | None = Field(default=None, description="least jobs")
    max_jobs: NonNegative | None = Field(default=None, description="most jobs")
    min_homes: NonNegative | None = Field(default=None, description="least homes")
    max_homes: NonNegative | None = Field(default=None, description="most homes")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Programme:
        for least, most in (
            ("min_floor_area", "max_floor_area"),
            ("min_today", "max_today"),
            ("min_jobs", "max_jobs"),
            ("min_homes", "max_homes"),
        ):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} = {low:g} is above {most} = {high:g}")
        for least, most in (("min_area", "max_area"), ("min_share", "max_share")):
            for use, low in getattr(self, least).items():
                high = getattr(self, most).get(use, low)
                if low > high:
                    raise ValueError(f"{least}.{use} = {low:g} is above {most}.{use} = {high:g}")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses of the tables."""
        tables = ("min_area", "max_area", "min_share", "max_share")
        return [(f"{table}.{use}", use) for table in tables for use in getattr(self, table)]

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find minimum shares that add up to more than everything, over all hard programmes of one place."""
        least: dict[str, float] = {}
        for rule in rules:
            if isinstance(rule, Programme) and rule.price is None and rule.where == self.where:
                for use, share in rule.min_share.items():
                    least[use] = max(share, least.get(use, 0.0))
        total = sum(least.values())
        if total > 1 + 1e-9:
            return f"rules: minimum shares of the programme add to {total:g} ({least}); at most 1 is possible"
        return None

    def most_floor_area(self, district: District) -> Floats:
        """Return upper bounds of floor area by use and in total; only for a hard programme of the whole district."""
        most = np.full(len(district.uses) + 1, np.inf)
        if self.where is not None or self.price is not None:
            return most
        total = np.inf if self.max_floor_area is None else self.max_floor_area
        if self.max_today is not None:
            total = min(total, self.max_today * float(district.existing.sum()))
        most[-1] = total
        for i, use in enumerate(district.uses):
            share = self.max_share.get(use.name, 1.0)
            others = sum(low for name, low in self.min_share.items() if name != use.name)
            part = max(min(share, 1.0 - others), 0.0)
            within = part * total if np.isfinite(total) else np.inf
            most[i] = min(within, self.max_area.get(use.name, np.inf))
        return most

    def constrain(self, model: Model) -> None:
        """Add a row for each bound."""
        from optimizer.model import AREA

        d = model.district
        chosen = d.select(self.where, self.label)
        today = float(d.existing[chosen].sum())
        inside = chosen[d.parcel_of]

        def row(name: str, weight: Floats, lower: float | None, upper: float | None, scale: float = AREA) -> None:
            if lower is None and upper is None:
                return
            terms = [
                (0, column, np.where(inside, area * weight[u] * (scale / AREA), 0.0))
                for u in range(len(d.uses))
                for _, column, area in model.floor_area_terms(u, np.zeros(len(d.sites), dtype=np.int64))
            ]
            for label, low, high in (("least", lower, None), ("most", None, upper)):
                if low is not None or high is not None:
                    self.rows(
                        model,
                        [f"{label}_{name}"],
                        *terms,
                        lower=-np.inf if low is None else low * scale,
                        upper=np.inf if high is None else high * scale,
                        unit=scale,
                    )

        one = np.ones(len(d.uses))
        row("floor_area", one, self.min_floor_area, self.max_floor_area)
        row(
            "today",
            one,
            None if self.min_today is None else self.min_today * today,
            None if self.max_today is None else self.max_today * today,
        )
        for i, use in enumerate(d.uses):
            unit = np.eye(len(d.uses))[i]
            row(f"area_{use.name}", unit, self.min_area.get(use.name), self.max_area.get(use.name))
            if use.name in self.min_share:
                row(f"min_share_{use.name}", unit - self.min_share[use.name], 0.0, None)
            if use.name in self.max_share:
                row(f"max_share_{use.name}", unit - self.max_share[use.name], None, 0.0)
        for name in ("jobs", "homes"):
            per = np.array([getattr(use, f"floor_per_{name[:-1]}") for use in d.uses])
            rate = np.divide(1.0, per, out=np.zeros_like(per), where=per > 0)
            row(name, rate, getattr(self, f"min_{name}"), getattr(self, f"max_{name}"), scale=1.0 * AREA)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add the plan's floor area up and compare with each bound."""
        table = evidence.parcels[evidence.chosen(self.where, self.label)]
        area = {use: float(table[f"gfa_{use}"].sum()) for use in evidence.uses}
        total = sum(area.values())
        today = float(sum(table[f"today_{use}"].sum() for use in evidence.uses))
        facts: list[tuple[str, float, float | None, float | None, str]] = [
            ("floor area", total, self.min_floor_area, self.max_floor_area, "m²"),
        ]
        if self.min_today is not None or self.max_today is not None:
            facts.append(
                (
                    "floor area against today's",
                    total,
                    None if self.min_today is None else self.min_today * today,
                    None if self.max_today is None else self.max_today * today,
                    "m²",
                )
            )
        for use in evidence.uses:
            facts.append((f"floor area of {use}", area[use], self.min_area.get(use), self.max_area.get(use), "m²"))
            share = area[use] / total if total else 0.0
            if total:
                facts.append((f"share of {use}", share, self.min_share.get(use), self.max_share.get(use), "m²/m²"))
        jobs = sum(area[n] / u.floor_per_job for n, u in evidence.uses.items() if u.floor_per_job)
        homes = sum(area[n] / u.floor_per_home for n, u in evidence.uses.items() if u.floor_per_home)
        facts.append(("jobs", jobs, self.min_jobs, self.max_jobs, "jobs"))
        facts.append(("homes", homes, self.min_homes, self.max_homes, "homes"))
        for scope, value, least, most, unit in facts:
            for limit, sense in ((least, ">="), (most, "<=")):
                if limit is not None:
                    short = (limit - value if sense == ">=" else value - limit) * (total if unit == "m²/m²" else 1.0)
                    missed_unit = "m²" if unit == "m²/m²" else unit
                    yield from self.verdict([scope], value, limit, unit, sense, missed=short, missed_unit=missed_unit)
