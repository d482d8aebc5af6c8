"""Balance: two measures in a proportion, such as jobs to homes or shops to residents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator, model_validator

from geodata.walking import walking_distance
from optimizer.errors import StudyError
from optimizer.rules.base import Check, Evidence, NonNegative, PlacedRule, Quantity, Rule, per_floor

if TYPE_CHECKING:
    from optimizer.district import Floats
    from optimizer.model import Model

COUNTED = ("floor_area", "jobs", "homes", "residents")
COUNT = 0.02
"""Model units of one job, home or resident, each of which takes some tens of m² of floor."""
HAIR_AREA, HAIR_COUNT = 0.01, 1e-3
"""Excess put down to the solver's feasibility tolerance: m², and jobs, homes or residents."""


class Balance(PlacedRule):
    """Two measures of a place stand in a proportion: jobs to homes, shops to residents.

    With N the measure ``of`` and D the measure ``per`` (m² of floor, jobs, homes or residents), each added up over a
    place:  min D <= N <= max D.  A place without any D keeps every ``min``, and under a ``max`` it holds no N either.

    ``within`` (m) stands instead of ``by``: one row for each building site that ``where`` chooses, N and D added up over
    all building sites of the district that are no further than that on foot, its own included. ``as_of_right`` leaves
    kept floor out of N and D alike. No binaries. Missed by units of N: m², jobs, homes or residents.

    Balanced places hold 1.3 to 1.7 jobs a home (Ewing), or 0.8 to 1.25 jobs an employed resident (Cervero), reported
    by HousingForward Virginia; HafenCity Hamburg has 354 jobs and 118 residents a hectare, 3.0 to 1 (its facts and
    figures, confirmed).
    """

    kind: ClassVar[str] = "balance"
    example: ClassVar[str] = (
        'kind = "balance"\nof = "jobs"\nper = "homes"\nmin = 1.3\nmax = 1.7\nby = "neighbourhood"\nprice = 0.0001'
    )

    of: Quantity = Field(
        description="what is held to a proportion: floor_area, jobs, homes, residents or a list of uses"
    )
    per: Quantity = Field(
        description="what it is a proportion of: floor_area, jobs, homes, residents or a list of uses"
    )
    min: NonNegative | None = Field(default=None, description="least of `of` for each unit of `per`")
    max: NonNegative | None = Field(default=None, description="most of `of` for each unit of `per`")
    within: NonNegative | None = Field(
        default=None, description="walk around each building that is added up, in place of `by`, m"
    )

    @field_validator("of", "per", mode="before")
    @classmethod
    def _measure(cls, value: Any) -> Any:
        if not isinstance(value, list) and value not in COUNTED:
            raise ValueError(f"{', '.join(COUNTED)} or a list of uses such as ['housing'] is expected")
        return value

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Balance:
        if self.min is None and self.max is None:
            raise ValueError("neither min nor max is given; give at least one")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min = {self.min:g} is above max = {self.max:g}")
        if self.within is not None and self.by != "district":
            raise ValueError(f"within = {self.within:g} and by = {self.by!r} are both given; give one of them")
        if _same(self.of, self.per):
            raise ValueError(f"of and per are both {self.of!r}; two measures are expected")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses of both measures."""
        measures = (("of", self.of), ("per", self.per))
        return [(f"{key}[{i}]", use) for key, m in measures if isinstance(m, list) for i, use in enumerate(m)]

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find a least proportion above another rule's most, of the same measures in the same places."""
        if self.price is not None or self.min is None:
            return None
        keys = ("by", "where", "within", "as_of_right", "price")
        for rule in rules:
            if not isinstance(rule, Balance) or rule.max is None or self.min <= rule.max:
                continue
            same = _same(self.of, rule.of) and _same(self.per, rule.per)
            if same and all(getattr(rule, key) == getattr(self, key) for key in keys):
                return (
                    f"rules ({self.label}, {rule.label}): min = {self.min:g} is above max = {rule.max:g} of the same "
                    "measures; only a place with nothing of either would keep both"
                )
        return None

    def constrain(self, model: Model) -> None:
        """Add a row a place, or a building site, and bound."""
        for key, measure in (("of", self.of), ("per", self.per)):
            if not per_floor(model.district.uses, measure).any():
                raise StudyError(f"rules ({self.label}): {key} = {measure!r}: no use of the study holds any")
        names, of, per = self._by_place(model) if self.within is None else self._by_walk(model, self.within)
        for label, bound, sign in (("least", self.min, -1.0), ("most", self.max, 1.0)):
            if bound is not None:
                terms = [(row, column, sign * value) for row, column, value in of]
                terms += [(row, column, -sign * bound * value) for row, column, value in per]
                self.rows(model, [f"{label}_{n}" for n in names], *terms, upper=0.0, unit=_scale(self.of))

    def _by_place(self, model: Model) -> tuple[list[str], list[Any], list[Any]]:
        """Return names of rows, and terms that add N and D up, both in model units of N."""
        places = model.district.places(self.by, self.where, self.label)
        of, per = (
            model.weighted_floor(
                per_floor(model.district.uses, measure), places.of, kept=not self.as_of_right, scale=_scale(self.of)
            )
            for measure in (self.of, self.per)
        )
        return places.names, of, per

    def _by_walk(self, model: Model, limit: float) -> tuple[list[str], list[Any], list[Any]]:
        """Return the same around building sites; two columns a site keep what each holds."""
        d = model.district
        site = np.flatnonzero(d.select(self.where, self.label)[d.parcel_of])
        near = walking_distance(d.network, limit)[site].tocoo()
        row = np.concatenate([np.arange(len(site)), near.row])
        other = np.concatenate([site, near.col])
        held = []
        for key, measure in (("of", self.of), ("per", self.per)):
            names = [f"{self.label}_{key}_{s}" for s in model.site_names]
            column, every = model.program.columns(names), np.arange(len(names))
            floor = model.weighted_floor(
                per_floor(d.uses, measure), every, kept=not self.as_of_right, scale=_scale(measure)
            )
            model.program.rows(names, *floor, (every, column, -1.0), lower=0.0, upper=0.0)
            held.append([(row, column[other], _scale(self.of) / _scale(measure))])
        return [model.site_names[s] for s in site], held[0], held[1]

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add both measures up from the plan's floor area and compare."""
        of, per = (_held(evidence, measure, self.as_of_right) for measure in (self.of, self.per))
        if self.within is None:
            places = evidence.places(self.by, self.where, self.label)
            scopes, of, per = places.names, places.sum(of), places.sum(per)
        else:
            chosen = evidence.chosen_buildings(self.where, self.label)
            scopes = [name for name, c in zip(evidence.building_names, chosen, strict=True) if c]
            of, per = evidence.doors.within(self.within, np.stack([of, per], axis=1))[chosen].T
        unit = f"m² of {', '.join(self.of)}" if isinstance(self.of, list) else self.of
        unit = "m²" if self.of == "floor_area" else unit
        hair = HAIR_AREA if unit.startswith("m²") else HAIR_COUNT
        for bound, sense in ((self.min, ">="), (self.max, "<=")):
            if bound is not None:
                yield from self.verdict(scopes, of, bound * per, unit, sense, absolute=hair)


def _same(one: Quantity, other: Quantity) -> bool:
    """Whether two measures count the same."""
    return set(one) == set(other) if isinstance(one, list) and isinstance(other, list) else one == other


def _scale(measure: Quantity) -> float:
    """Return the model units of one unit of a measure."""
    from optimizer.model import AREA

    return AREA if isinstance(measure, list) or measure == "floor_area" else COUNT


def _held(evidence: Evidence, measure: Quantity, as_of_right: bool) -> Floats:
    """Return what each building of a plan holds of a measure, shape (S,)."""
    held = np.zeros(len(evidence.buildings))
    for area, (name, use) in zip(evidence.floor_area(as_of_right).T, evidence.uses.items(), strict=True):
        if measure == "floor_area" or (isinstance(measure, list) and name in measure):
            held += area
        elif measure == "jobs" and use.floor_per_job > 0:
            held += area / use.floor_per_job
        elif measure in ("homes", "residents") and use.floor_per_home > 0:
            held += area / use.floor_per_home * (use.residents_per_home if measure == "residents" else 1.0)
    return held
