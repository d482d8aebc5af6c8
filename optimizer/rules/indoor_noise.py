"""Sound through the slab: uses that are too loud for one another do not share a building."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from optimizer.emissions import PERIODS
from optimizer.rules.base import HOLDS, TOLERANCE, Check, Evidence, Rule

if TYPE_CHECKING:
    from optimizer.district import Bools
    from optimizer.model import Model

Decibel = Annotated[float, Field(ge=0, le=140, allow_inf_nan=False)]
Period = Literal["day", "evening", "night"]
Levels = Annotated[dict[Period, Decibel], Field(min_length=1)]

DECIBEL_TOLERANCE = 0.005
"""Excess over a limit put down to rounding, dB."""


class IndoorNoise(Rule):
    """New and converted buildings do not put a use under or over another that is too loud for it.

    For each noisy use u with level L_u in its rooms and each limited use v with limit L_v (dB(A)), u other than v, where in
    any period that has both

    L_u - R'_w + 10 lg(S/A) + 10 lg 2  >  L_v

    the two do not share a new or converted building: z_u + z_v <= w, with z_u = 1 where u is present and w = 1 where the
    building is new (or converted). R'_w is the weighted reduction of the slab, 10 lg(S/A) its area over the absorption
    area of the room behind it. 10 lg 2 = 3 dB stand for such rooms above and below at once, each as loud as the loudest,
    whatever the order of storeys, since that may change: an error on the safe side. Rooms further off, flanking walls and
    impacts (freight lifts, presses) are not in it. Buildings that are kept stay as they are.

    A use without a level in a period is silent then. One binary a site and use of such a pair, for new and for converted
    floors; two rows a site and pair; none where every pair keeps its limits. Missed by pairs of noisy and limited use,
    building by building, whatever the number of periods.

    Sound through a slab, L_2 = L_1 - R' + 10 lg(S/A): EN 12354-1. 35 dB(A) by day and 25 by night indoors through the
    structure, whatever the zone: TA Lärm 6.2 (confirmed by HLNUG, Hessen). R'_w of 55 to 62 dB of slabs to noisy business:
    DIN 4109 (illustrative, from memory). Levels in rooms are the study's.
    """

    kind: ClassVar[str] = "indoor_noise"
    example: ClassVar[str] = (
        'kind = "indoor_noise"\n'
        "room_level = { workshop = { day = 85, night = 80 } }\nlimits = { housing = { day = 35, night = 25 } }"
    )
    stricter: ClassVar[Mapping[str, int]] = {"limits": -1}
    in_decibels: ClassVar[bool] = True

    room_level: Annotated[dict[str, Levels], Field(min_length=1)] = Field(
        description="dB(A) in the rooms of noisy uses, by use: one level or by period (day, evening, night); silent in "
        "periods left out"
    )
    limits: Annotated[dict[str, Levels], Field(min_length=1)] = Field(
        description="dB(A) in the rooms of protected uses, by use: one level or by period; no limit in periods left out"
    )
    reduction: Annotated[float, Field(ge=0, le=120, allow_inf_nan=False)] = Field(
        default=55.0, description="weighted reduction R'w of the slab, dB; the default is illustrative"
    )
    area_term: Annotated[float, Field(ge=-30, le=30, allow_inf_nan=False)] = Field(
        default=0.0, description="10 lg of the slab's area over the absorption area of the room behind it, dB"
    )

    @field_validator("room_level", "limits", mode="before")
    @classmethod
    def _all_day(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {u: dict.fromkeys(PERIODS, v) if isinstance(v, (int, float)) else v for u, v in value.items()}

    @model_validator(mode="after")
    def _some_pair(self) -> IndoorNoise:
        if set(self.room_level) == set(self.limits) and len(self.limits) == 1:
            raise ValueError(
                f"room_level and limits both name only {next(iter(self.limits))!r}; a use is parted from others: name two uses"
            )
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the noisy and the protected uses."""
        return [(f"{key}.{use}", use) for key in ("room_level", "limits") for use in getattr(self, key)]

    def constrain(self, model: Model) -> None:
        """Part each pair of uses that is too loud, in new and in converted buildings."""
        from geodata.propagation import sum_of_levels, through_slab

        d = model.district
        free = ~d.parcels["protected"].to_numpy(dtype=bool)
        chosen = (d.select(self.where, self.label) & free)[d.parcel_of]
        for use, limits in self.limits.items():
            for noisy, levels in self.room_level.items():
                if noisy == use:
                    continue
                one = {p: through_slab(levels[p], self.reduction, self.area_term) for p in limits if p in levels}
                both = {p: float(sum_of_levels(level, level)) for p, level in one.items()}
                over = {p: level for p, level in both.items() if too_loud(level, limits[p])}
                if over:
                    self._part(model, chosen, noisy, use)
                    said = ", ".join(f"{level:.1f} dB(A) by {p}" for p, level in over.items())
                    model.notes.append(f"{self.label}: {noisy} and {use} share no new or converted building ({said}).")

    def _part(self, model: Model, chosen: Bools, noisy: str, use: str) -> None:
        d = model.district
        u, v = d.use_index[noisy], d.use_index[use]
        today = d.storeys_today[d.parcel_of]
        for kind, action, room in (
            ("new", model.redevelop, d.storey_limit[:, [u, v]].min(axis=1) * (d.storey_limit.max(axis=1) > 1)),
            ("conv", model.convert, today * (today > 1)),
        ):
            sites = np.flatnonzero(chosen & (room > 0))
            row = np.arange(len(sites))
            self.rows(
                model,
                [f"{kind}_{noisy}_with_{use}_{model.site_names[s]}" for s in sites],
                (row, model.presence(kind, u)[sites], 1.0),
                (row, model.presence(kind, v)[sites], 1.0),
                (row, action[d.parcel_of[sites]], -1.0),
                upper=0.0,
            )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find the loudest room beside each protected use of a building, period by period."""
        table = evidence.buildings
        names = np.asarray(evidence.building_names, dtype=object)
        changed = evidence.chosen_buildings(self.where, self.label) & (table["action"] != "keep").to_numpy()
        for use, limits in self.limits.items():
            holds = changed & (table[f"gfa_{use}"].to_numpy(dtype=float) > HOLDS)
            noisy = [other for other in self.room_level if other != use]
            # By how much each noisy use of each building passes the limit, dB, shape (periods, uses, buildings).
            excess = np.full((len(PERIODS), len(noisy), len(table)), -np.inf)
            for k, other in enumerate(noisy):
                beside = holds & (table[f"gfa_{other}"].to_numpy(dtype=float) > HOLDS)
                for t, period in enumerate(PERIODS):
                    if period in limits and period in self.room_level[other]:
                        level = self.room_level[other][period] - self.reduction + self.area_term
                        excess[t, k, beside] = level + 10.0 * math.log10(2.0) - limits[period]
            # A pair is missed once, in the period in which it is loudest.
            worst = excess.argmax(axis=0, keepdims=True) if noisy else np.zeros((1, 0, len(table)), dtype=int)
            for t, period in enumerate(PERIODS):
                if period not in limits:
                    continue
                allowed = limits[period]
                pairs = ((worst[0] == t) & too_loud(excess[t] + allowed, allowed)).sum(axis=0)
                loudest = excess[t].max(axis=0, initial=-np.inf) + allowed
                at = np.isfinite(loudest)
                yield from self.verdict(
                    list(names[at]),
                    loudest[at],
                    allowed,
                    "dB(A)",
                    missed=pairs[at],
                    missed_unit="pairs of uses",
                    absolute=DECIBEL_TOLERANCE,
                    name=f"{self.label} of {use}, {period}",
                )


def too_loud(level: float | np.ndarray, limit: float) -> bool | np.ndarray:
    """Return whether a level passes a limit, dB(A), by more than rounding."""
    return level - limit > DECIBEL_TOLERANCE + TOLERANCE * abs(limit)
