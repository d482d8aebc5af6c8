"""Air where people live and at places to protect: what all floors emit, spread by the winds of the year."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from optimizer.emissions import emission
from optimizer.rules.base import Check, Evidence
from optimizer.rules.receptors import ReceptorRule, Told, points_of

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Floats
    from optimizer.model import Model
    from optimizer.surroundings import At

Pollutant = Literal["pm25", "pm10", "no2"]
Concentration = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Limits = dict[str, dict[Pollutant, Concentration]]

TOLERANCE = 1e-3
"""Excess put down to the solver's feasibility tolerance, µg/m³."""
NAMES = {"pm25": "PM2.5", "pm10": "PM10", "no2": "NO2"}


class Air(ReceptorRule):
    """Concentrations of fine dust and nitrogen dioxide at buildings that hold a limited use stay within their limits.

    sum over other sites s and uses u of  q_u K_rs g_su  <=  C_lim - C_background

    with floor area g (m²), emission q of a m² of floor (g/s) and concentration K (µg/m³ for 1 g/s). The annual mean: K from
    sector-averaged Gaussian plumes over the wind rose (table ``[pollution.wind]``: 16 sectors, stability classes,
    reflection at the ground and at the mixing height; calm hours count as 1 m/s from everywhere). ``hourly``: the same
    inequality for every wind that blows, sector by sector and class by class, K on the plume's centre line, q while the use
    works; the background is added as it is. Receptors are the middles of building sites. Air leaves by the facades of any storey,
    spread over the building's width, or by a stack; every floor counts from the height, and is breathed at the height,
    that gives most of all that the buildings may have. Not modelled: deposition, street canyons, wakes of buildings,
    chemistry (NO2 is what is emitted as NO2), hills; air within a building.

    Rows as in the rule noise: sum + (M_r - 1) z_r <= M_r in units of what the background leaves, M_r by a continuous
    knapsack; rows that cannot bind are left out. One binary a building and kind of floor (new, converted); none
    where homes are kept. Missed by multiples of what the background leaves, receptor by receptor.

    ISC3 (U.S. EPA 1995) with Briggs' dispersion. No emission per m² of floor with a source was found: give your own; the
    shipped ones are illustrative.
    """

    kind: ClassVar[str] = "air"
    example: ClassVar[str] = 'kind = "air"\nlimits = { housing = { pm25 = 10 } }\nbackground = { pm25 = 7 }'
    stricter: ClassVar[Mapping[str, int]] = {"limits": -1, "hourly": -1, "places": -1, "hourly_places": -1}

    limits: Limits = Field(
        default={}, description="annual mean, µg/m³, at buildings that hold a use: by use and pollutant"
    )
    hourly: Limits = Field(default={}, description="mean of the worst hour, µg/m³, by use and pollutant")
    places: Limits = Field(default={}, description="annual mean, µg/m³, by table of pollution.places and pollutant")
    hourly_places: Limits = Field(default={}, description="mean of the worst hour, µg/m³, at places, by pollutant")
    background: dict[Pollutant, Annotated[float, Field(ge=0, allow_inf_nan=False)] | str] = Field(
        default={}, description="what is there already: µg/m³ or a table of pollution.background, by pollutant"
    )

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Air:
        if not any(table for _, table, _, _ in self._tables):
            raise ValueError(
                "limits, hourly, places and hourly_places are all missing; give µg/m³ by use and pollutant"
            )
        if self.price is not None and (self.hourly or self.hourly_places):
            raise ValueError(
                "price is given with hourly or hourly_places; the worst of many hours has no price: leave one out"
            )
        limited = {pollutant for _, table, _, _ in self._tables for limits in table.values() for pollutant in limits}
        for pollutant in self.background:
            if pollutant not in limited:
                raise ValueError(
                    f"background.{pollutant}: no limit names {pollutant}; limits are of {', '.join(sorted(limited))}"
                )
        for key, table, _, _ in self._tables:
            for name, limits in table.items():
                for pollutant, limit in limits.items():
                    known = self.background.get(pollutant)
                    if isinstance(known, float) and limit <= known and self.exceeded == "error":
                        raise ValueError(
                            f"{key}.{name}.{pollutant} = {limit:g} µg/m³ is not above background = {known:g} µg/m³; nothing is "
                            "left for the plan"
                        )
        return self

    @property
    def _tables(self) -> list[tuple[str, Limits, At, bool]]:
        return [
            ("limits", self.limits, "middles", False),
            ("hourly", self.hourly, "middles", True),
            ("places", self.places, "places", False),
            ("hourly_places", self.hourly_places, "places", True),
        ]

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the limited uses."""
        return [(f"{key}.{use}", use) for key, table, at, _ in self._tables if at == "middles" for use in table]

    def named_places(self) -> list[tuple[str, str]]:
        """Return the groups of places."""
        return [(f"{key}.{group}", group) for key, table, at, _ in self._tables if at == "places" for group in table]

    def backgrounds(self) -> list[tuple[str, Literal["noise", "air"], At]]:
        """Return the rasters of the pollutants that are limited."""
        asked = [
            (self.background.get(pollutant), at)
            for _, table, at, _ in self._tables
            for limits in table.values()
            for pollutant in limits
        ]
        return [(name, "air", at) for name, at in dict.fromkeys(asked) if isinstance(name, str)]

    def constrain(self, model: Model) -> None:
        """Add an emission column a site and pollutant, and a row a receptor that can have too much."""
        for key, table, at, hour in self._tables:
            for name, limits in table.items():
                for pollutant, limit in limits.items():
                    self._hold(model, (key, name, pollutant), at, limit, hour)

    def _hold(self, model: Model, of: tuple[str, str, Pollutant], at: At, limit: float, hour: bool) -> None:
        from optimizer.exposure import Receptors, hold, part
        from optimizer.kernels import annual_kernel, hours, plume

        key, name, pollutant = of
        d = model.district
        label = f"rules ({self.label}), {key}.{name}.{pollutant}"
        use = None if at == "places" else d.use_index[name]
        # Of middles there is one a site.
        keep = d.around.group(name) if use is None else self.may_hold(model, use)
        names, site, xy = points_of(d, at, keep)
        known = d.around.background(self.background.get(pollutant), "air", at, f"{label}, background")
        told = Told("µg/m³", levels=False)
        room, out = self.rooms(limit, None if known is None else known[keep], limit, names, label, told)
        if use is not None:
            self.exclude(model, use, np.unique(site[out]))
        stacks: dict[float | None, Floats] = {}
        for u, each in enumerate(d.uses):
            emitted = emission(each, pollutant, working=hour, hours=d.around.section.period_hours)
            if emitted:
                stacks.setdefault(each.stack_height, np.zeros(len(d.uses)))[u] = emitted
        if not stacks or not names:
            why = f"no use emits {NAMES[pollutant]}" if not stacks else "no building can hold the use"
            model.notes.append(f"{self.label} at {name}: {why}; the limit cannot bind.")
            return
        flows = [(weights, plume(d, site, xy, stack)) for stack, weights in stacks.items()]
        far = np.zeros(len(names))
        winds = [
            hours(d, f, self.label) if hour else iter([("year", annual_kernel(d, f, self.label))]) for _, f in flows
        ]
        rows = asked = 0
        for kernels in zip(*winds, strict=True):
            parts = [part(w, kernel, far, room) for (w, _), (_, kernel) in zip(flows, kernels, strict=True)]
            found = Receptors([f"{name}_{pollutant}_{kernels[0][0]}_{n}" for n in names], site, parts)
            rows += hold(self, model, found.at(~out), use)
            asked += len(names)
        what = f"{NAMES[pollutant]}{' in the worst hour' if hour else ''}"
        model.notes.append(
            f"{self.label} at {name}, {what}: {rows:,} of {asked:,} limits can bind; the rest need no row."
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add up what arrives at each receptor, source by source and wind by wind."""
        from optimizer.breathed import annual_mean, worst_hour

        for _, table, at, hour in self._tables:
            for name, limits in table.items():
                for pollutant, limit in limits.items():
                    where = self._receptors(evidence, at, name)
                    if where.empty:
                        continue
                    own = (worst_hour if hour else annual_mean)(evidence, where, pollutant, self.label)
                    known = self.known_background(where, self.background.get(pollutant))
                    counted, looked = self.counted(evidence, where, known, limit)
                    if not looked.any():
                        continue
                    total = (own + counted)[looked]
                    yield from self.verdict(
                        where["receptor"][looked].tolist(),
                        total,
                        limit,
                        "µg/m³",
                        missed=(total - limit) / (limit - counted[looked]),
                        missed_unit="times what the background leaves",
                        absolute=TOLERANCE,
                        name=f"{self.label} at {name}, {NAMES[pollutant]}{', worst hour' if hour else ''}",
                    )

    def _receptors(self, evidence: Evidence, at: At, name: str) -> pd.DataFrame:
        if at == "middles":
            return self.receptors_of(evidence, at, name)
        return evidence.places_in(name)
