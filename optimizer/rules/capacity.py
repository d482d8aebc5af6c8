"""Capacity: what a plan loads on a street, a school or a sewer stays within what it bears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from optimizer.errors import StudyError
from optimizer.rules.base import TOLERANCE, Check, Evidence, NonNegative, PlacedRule, Positive, per_floor

if TYPE_CHECKING:
    from optimizer.district import Floats
    from optimizer.model import Model
    from optimizer.uses import Use

HAIR = 0.01
"""Excess put down to the solver's feasibility tolerance, m² of the use that loads or supplies most."""


class Capacity(PlacedRule):
    """What the floors, jobs and homes of a place load stays within what is there and what the plan supplies.

    sum over uses u of (l_u - s_u) g_u <= limit - background, with a place's floor area g (m²), the units l that one m²
    of it loads (``per_floor``, and ``per_job``, ``per_home`` and ``per_resident`` through the floor that each takes),
    the units s that one m² of it supplies (parking floor, school floor), and the ``limit`` and the ``background`` load
    of each place (units). ``limits`` gives places a limit of their own; the others then have ``limit``, or none.
    ``as_of_right`` leaves out what kept floor loads and supplies. No binaries. Missed by units.

    Vehicle trip ends a weekday per 1,000 sq ft: light industry 4.87, R&D 11.08, shops 37.01, which is 0.0524, 0.119
    and 0.398 a m² (ITE Trip Generation, 11th edition, reported as coded by Polytechnique Montréal); 6.65 a home (an
    older edition, reported by slides of 2010).
    """

    kind: ClassVar[str] = "capacity"
    example: ClassVar[str] = (
        'kind = "capacity"\nper_floor = { workshop = 0.0524, rnd = 0.119, services = 0.398 }\nper_home = 6.65\n'
        'limit = 4000\nunit = "vehicle trip ends a weekday"\nby = "block"\nprice = 0.0001'
    )
    stricter: ClassVar[Mapping[str, int]] = {"limit": -1, "limits": -1}

    per_floor: dict[str, NonNegative] = Field(default={}, description="load of floor by use, units/m²")
    per_job: NonNegative = Field(default=0.0, description="load of a job, units/job")
    per_home: NonNegative = Field(default=0.0, description="load of a home, units/home")
    per_resident: NonNegative = Field(default=0.0, description="load of a resident, units/resident")
    supply: dict[str, Positive] = Field(default={}, description="what floor supplies by use, units/m²")
    limit: NonNegative | None = Field(default=None, description="most load of each place, units")
    limits: dict[str, NonNegative] = Field(default={}, description="most load by name of place, units")
    background: NonNegative = Field(default=0.0, description="load of each place from elsewhere, units")
    unit: Annotated[str, Field(min_length=1)] = Field(default="units", description="what a unit is, for tables")

    @model_validator(mode="after")
    def _something_is_limited(self) -> Capacity:
        if not (any(self.per_floor.values()) or self.per_job or self.per_home or self.per_resident):
            raise ValueError("nothing loads; give per_floor, per_job, per_home or per_resident")
        if self.limit is None and not self.limits:
            raise ValueError("neither limit nor limits is given; give at least one")
        limited = {f"limits.{name}": value for name, value in self.limits.items()}
        if self.limit is not None:
            limited["limit"] = self.limit
        for key, value in limited.items():
            if self.background > value and not self.supply:
                raise ValueError(f"background = {self.background:g} is above {key} = {value:g}, and nothing supplies")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses that load and those that supply."""
        return [(f"{key}.{use}", use) for key in ("per_floor", "supply") for use in getattr(self, key)]

    def constrain(self, model: Model) -> None:
        """Add a row a place with a limit; in it, a m² of the use that loads or supplies most is a m²."""
        from optimizer.model import AREA

        places = model.district.places(self.by, self.where, self.label)
        for name in self.limits:
            if name not in places.names:
                raise StudyError(
                    f"rules ({self.label}): limits.{name}: by = {self.by!r} knows no such place; "
                    f"places are {', '.join(places.names[:20])}{' ...' if len(places.names) > 20 else ''}"
                )
        load = self._load(model.district.uses)
        limit = np.array([self._limit(name) for name in places.names])
        held = np.flatnonzero(np.isfinite(limit))
        row = np.full(len(places.names) + 1, -1)
        row[held] = np.arange(len(held))
        scale = AREA / (float(np.abs(load).max()) or 1.0)
        self.rows(
            model,
            [places.names[k] for k in held],
            *model.weighted_floor(load, row[places.of], kept=not self.as_of_right, scale=scale),
            upper=(limit[held] - self.background) * scale,
            unit=scale,
        )

    def _limit(self, place: str) -> float:
        return self.limits.get(place, np.inf if self.limit is None else self.limit)

    def _load(self, uses: Sequence[Use]) -> Floats:
        """Return what one m² of each use loads beyond what it supplies, units/m², shape (U,)."""
        load = np.array([self.per_floor.get(use.name, 0.0) - self.supply.get(use.name, 0.0) for use in uses])
        load += self.per_job * per_floor(uses, "jobs") + self.per_home * per_floor(uses, "homes")
        return np.asarray(load + self.per_resident * per_floor(uses, "residents"))

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add the plan's load up use by use, take off what it supplies, and compare."""
        places = evidence.places(self.by, self.where, self.label)
        load = np.full(len(places.names), self.background)
        largest = 0.0
        for area, (name, use) in zip(evidence.floor_area(self.as_of_right).T, evidence.uses.items(), strict=True):
            each = self.per_floor.get(name, 0.0) - self.supply.get(name, 0.0)
            if use.floor_per_job > 0:
                each += self.per_job / use.floor_per_job
            if use.floor_per_home > 0:
                each += (self.per_home + self.per_resident * use.residents_per_home) / use.floor_per_home
            load += each * places.sum(area)
            largest = max(largest, abs(each))
        limit = np.array([self.limits.get(name, self.limit) for name in places.names], dtype=float)
        held = np.flatnonzero(~np.isnan(limit))
        yield from self.verdict(
            [places.names[k] for k in held],
            load[held],
            limit[held],
            self.unit,
            absolute=HAIR * largest + TOLERANCE * self.background + 1e-9,
        )
