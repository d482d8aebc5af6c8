"""Noise where people live and at places to protect: the energy sum of all noisy floors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optimizer.emissions import Metric, energy, loud, sound_energy, spectrum
from optimizer.rules.base import Check, Evidence, NonNegative, Positive
from optimizer.rules.receptors import ReceptorRule, Told, points_of

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.exposure import Receptors
    from optimizer.model import Model
    from optimizer.surroundings import At

Decibel = Annotated[float, Field(ge=0, le=140, allow_inf_nan=False)]
Levels = Mapping[Metric, float]

DECIBEL_TOLERANCE = 0.005
"""Excess put down to the solver's feasibility tolerance, dB: a millionth of the most that can arrive, up to 1,000 limits."""


class Mitigation(BaseModel):
    """One class of insulation of new homes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reduction: Annotated[float, Field(gt=0, le=60)] = Field(description="dB by which the limit outdoors may be passed")
    cost: NonNegative = Field(default=0.0, description="money per m² of floor of the use")


class Noise(ReceptorRule):
    """The sound level at buildings that hold a limited use, and at places to protect, stays within its limit.

    sum over other sites s and uses u of  W_u k_rs g_su  <=  10^(L_lim/10) - 10^(L_background/10)

    with floor area g (m²), sound energy W_u = 10^(L_u/10) that a m² of floor radiates, and what arrives of it, k (1/m²).
    ``method`` says how k comes about:

    * ``iso9613``: ISO 9613-2 in octave bands, k = sum over bands of share_b 10^(-(A_div + A_atm + A_gr + A_bar)/10): air, ground,
      single diffraction at buildings that the plan cannot change, reflections as a flat allowance (table ``[pollution]``).
      Receptors are points on the facades, no further apart than ``pollution.spacing``; buildings near by radiate from their
      own facade points and roof. Every floor counts from the storey that is loudest, at the storey where it is loudest, of
      all that the buildings may have: whichever storey it is given, the limit holds. Buildings that the plan may change
      screen nothing: an error on the safe side.
    * ``din45691``: divergence alone from middle to middle of building sites, k = 1 / (4 pi d²): no air, ground or screens.

    The row of receptor r reads  sum + (M_r - 1) z_r <= M_r  in units of the limit, z_r = 1 where the use is present; at
    places, sum <= 1. M_r is the most that can arrive: sources filled from the strongest onwards until the programme's
    floor area of noisy uses is spent (a continuous knapsack). Rows with M_r <= 1 cannot bind and are left out, and so is a
    row that another level's row implies. Rows in whole storeys tighten them: n + (N - f) z <= N, f storeys of n being
    the most that keep the limit alone. One binary a building and kind of floor (new, converted); none where homes
    are kept. Sound within a building is the rule indoor_noise's.

    A limit is one level, which holds while the loudest period's work goes on, or levels by name: day, evening, night (mean levels,
    Lnight), daytime (day and evening), nighttime (evening and night), night_hour (loudest hour), den (Lden).

    ``mitigation`` lets new and converted homes pass the limit outdoors by what a class of insulation takes away (agent of
    change: the newcomer pays): one binary a building and class. Its cost is the class's times the floor area of the use.

    ``reach`` (m) keeps large districts sparse: all floor beyond it counts as if it stood at that distance,
    which errs on the safe side; the proved bound then holds for that stricter rule. Without it every source counts
    where it stands. Missed by multiples of the limit's energy, receptor by receptor.

    ISO 9613-2:1996; DIN 45691:2006. 60 dB(A) per m² of commercial, 65 of industrial area: DIN 18005-1 (confirmed by the
    Städtebauliche Lärmfibel). Agent of change: London Plan D13 (the policy exists; its wording from memory).
    """

    kind: ClassVar[str] = "noise"

    example: ClassVar[str] = 'kind = "noise"\nlimits = { housing = { daytime = 63, night_hour = 55 } }'
    stricter: ClassVar[Mapping[str, int]] = {"limits": -1, "places": -1}
    in_decibels: ClassVar[bool] = True

    limits: dict[str, dict[Metric, Decibel]] = Field(
        default={}, description="dB(A) at buildings that hold a use, by use"
    )
    places: dict[str, dict[Metric, Decibel]] = Field(
        default={}, description="dB(A) at places to protect, by table of pollution.places"
    )
    method: Literal["iso9613", "din45691"] = Field(default="iso9613", description="how sound spreads")
    background: Decibel | str | dict[Metric, Decibel | str] | None = Field(
        default=None,
        description="sound from elsewhere: dB(A) or a table of pollution.background, one for all levels or by level; none by "
        "default",
    )
    reach: Positive | None = Field(
        default=None, description="m beyond which all floor counts as if it stood there; none by default"
    )
    mitigation: list[Mitigation] = Field(
        default=[], description="classes of insulation of new homes { reduction (dB), cost (money per m²) }"
    )
    score_per_cost: NonNegative = Field(default=0.0, description="score lost per unit of money that insulation costs")
    budget: NonNegative | None = Field(
        default=None, description="most money for insulation, use by use; no limit by default"
    )

    @field_validator("limits", "places", mode="before")
    @classmethod
    def _one_level(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"loudest": v} if isinstance(v, (int, float)) else v for k, v in value.items()}

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Noise:
        if not self.limits and not self.places:
            raise ValueError("limits and places are both missing; give levels in dB(A) by use or by table of places")
        for key, table in (("limits", self.limits), ("places", self.places)):
            for name, levels in table.items():
                for metric, limit in levels.items():
                    known = self._background(metric)
                    if isinstance(known, float) and limit <= known and self.exceeded == "error":
                        raise ValueError(
                            f"{key}.{name} = {limit:g} dB(A) is not above background = {known:g} dB(A); nothing is left for the plan"
                        )
        if isinstance(self.background, Mapping):
            named = {metric for table in (self.limits, self.places) for levels in table.values() for metric in levels}
            for metric in self.background:
                if metric not in named:
                    raise ValueError(
                        f"background.{metric}: no limit names {metric}; limits are {', '.join(sorted(named))}"
                    )
        if self.reach is not None and (self.price is not None or self.mitigation):
            what = "price" if self.price is not None else "mitigation"
            raise ValueError(
                f"reach = {self.reach:g} has no {what}: floor beyond it is counted louder than it is, so that by how much "
                "the rule is missed is not known; leave one of them out"
            )
        if self.mitigation and self.price is not None:
            raise ValueError("price and mitigation are both given; what may be missed needs no insulation: give one")
        falling = [b.cost < a.cost for a, b in zip(self._classes, self._classes[1:], strict=False)]
        if any(falling):
            raise ValueError("mitigation: a class that takes more away costs less; leave the other out")
        if not self.mitigation and (self.score_per_cost or self.budget is not None):
            raise ValueError("score_per_cost and budget are for mitigation; give its classes")
        return self

    @property
    def _classes(self) -> list[Mitigation]:
        return sorted(self.mitigation, key=lambda m: m.reduction)

    def _background(self, metric: str) -> float | str | None:
        if isinstance(self.background, Mapping):
            return self.background.get(metric)  # type: ignore[call-overload, no-any-return]
        return self.background

    @property
    def _at(self) -> At:
        return "facades" if self.method == "iso9613" else "middles"

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the limited uses."""
        return [(f"limits.{use}", use) for use in self.limits]

    def named_places(self) -> list[tuple[str, str]]:
        """Return the groups of places."""
        return [(f"places.{group}", group) for group in self.places]

    def backgrounds(self) -> list[tuple[str, Literal["noise", "air"], At]]:
        """Return the rasters of the levels that are limited."""
        sides: list[tuple[Mapping[str, Any], At]] = [(self.limits, self._at), (self.places, "places")]
        asked = [(self._background(m), at) for table, at in sides for levels in table.values() for m in levels]
        return [(name, "noise", at) for name, at in dict.fromkeys(asked) if isinstance(name, str)]

    def constrain(self, model: Model) -> None:
        """Add an emission column a site and kind of sound, and a row a receptor that can be too loud."""
        from optimizer.kernels import sound_kernel

        d = model.district
        kinds: dict[tuple[tuple[float, ...], float], list[int]] = {}
        for u, use in enumerate(d.uses):
            if loud(use):
                kinds.setdefault((spectrum(use), use.roof_share) if self.method == "iso9613" else ((), 0.0), []).append(
                    u
                )
        holding = {use: self.may_hold(model, d.use_index[use]) for use in self.limits}
        _, everywhere, _ = points_of(d, self._at)
        asked = np.any([holds[everywhere] for holds in holding.values()], axis=0) if holding else None
        groups = {group: d.around.group(group) for group in self.places}
        sides: list[tuple[At, Any]] = [(self._at, asked)] if asked is not None else []
        sides += [("places", np.any(list(groups.values()), axis=0))] if groups else []
        for at, keep in sides:
            names, site, xy = points_of(d, at, keep)
            if not names:
                continue
            kernels = {}
            for kind, uses in kinds.items():
                if self.method == "iso9613":
                    kernels[kind] = (uses, *sound_kernel(d, site, xy, *kind, self.reach))
                else:
                    kernels[kind] = (uses, *_divergence(d, site, xy, self.reach))
            for name, levels in (self.places if at == "places" else self.limits).items():
                here = groups[name][keep] if at == "places" else holding[name][site]
                some = np.flatnonzero(here)
                parts = [(uses, kernel[some], far[some]) for uses, kernel, far in kernels.values()]
                self._hold(model, at, keep, some, name, levels, [names[k] for k in some], site[some], parts)

    def _hold(
        self,
        model: Model,
        at: At,
        keep: Any,
        some: Ints,
        name: str,
        levels: Levels,
        names: list[str],
        site: Ints,
        kernels: list[tuple[list[int], Floats, Floats]],
    ) -> None:
        """Add the rows of one use, or of one group of places, at all its levels."""
        from optimizer.exposure import Receptors, dominated, hold, part

        d = model.district
        key = f"rules ({self.label}), {'places' if at == 'places' else 'limits'}.{name}"
        found: list[Receptors] = []
        lifts: list[list[Floats]] = []
        skipped: list[Bools] = []
        barred = np.zeros(len(names), dtype=bool)
        for metric, limit in levels.items():
            known = d.around.background(self._background(metric), "noise", at, f"{key}, background")
            heard = None if known is None else 10 ** (known[keep][some] / 10)
            told = Told("dB(A)", levels=True)
            room, excluded = self.rooms(energy(limit), heard, limit, names, f"{key} ({metric})", told)
            barred |= excluded
            parts = []
            for uses, kernel, far in kernels:
                weights = np.zeros(len(d.uses))
                for u in uses:
                    weights[u] = sound_energy(d.uses[u], metric, d.around.section.period_hours)
                if weights.any():
                    parts.append(part(weights, kernel, far, room))
            if parts:
                found.append(Receptors([f"{name}_{metric}_{n}" for n in names], site, parts))
                # Of a building that is kept where the use is barred no receptor is looked at, at this level.
                skipped.append(excluded if at == "places" else np.isin(site, site[excluded]))
                lifts.append([(energy(limit + m.reduction) - energy(limit)) / room + 1.0 for m in self._classes])
        use = None if at == "places" else d.use_index[name]
        if use is not None:
            self.exclude(model, use, np.unique(site[barred]))
        columns = self._insulation(model, use) if self.mitigation and use is not None else []
        rows = 0
        for i, own in enumerate(found):
            idle = skipped[i].copy()
            for j, other in enumerate(found):
                # What is missed is paid for level by level, and insulation lifts each by a factor of its own.
                if i != j and self.price is None and not self.mitigation:
                    implied = dominated(own, other)
                    implied &= ~skipped[j]
                    idle |= implied & ~dominated(other, own) if j > i else implied
            chosen = [(c, lift[~idle]) for c, lift in zip(columns, lifts[i], strict=False)]
            rows += hold(self, model, own.at(~idle), use, chosen)
        asked = len(levels) * len(names)
        model.notes.append(
            f"{self.label} at {name}: {rows:,} of {asked:,} limits at receptors can bind; the rest need no row."
        )

    def _insulation(self, model: Model, use: int) -> list[Ints]:
        """Add which class of insulation new and converted floors of a use have; return the columns of each class, (S,)."""
        from optimizer.model import AREA, SCORE

        d, program = model.district, model.program
        name, sites = d.uses[use].name, np.arange(len(d.sites))
        held = [model.presence(kind, use) for kind in ("new", "conv")]
        classes = [
            program.columns(
                [f"{self.label}_class_{k + 1}_{name}_{s}" for s in model.site_names], upper=1.0, integer=True
            )
            for k in range(len(self.mitigation))
        ]
        own = [(sites, column, -1.0) for column in held]
        program.rows(
            [f"{self.label}_classes_{name}_{s}" for s in model.site_names],
            *[(sites, c, 1.0) for c in classes],
            *own,
            upper=0.0,
        )
        if not self.score_per_cost and self.budget is None:
            return classes
        price = -SCORE * self.score_per_cost / AREA
        paid = program.columns([f"{self.label}_cost_{name}_{s}" for s in model.site_names], cost=price)
        floor = [(sites, model.new[:, use], d.plate * AREA), (sites, model.converted[:, use], d.plate_today * AREA)]
        most = np.maximum(d.plate * d.storey_limit[:, use], d.plate_today * d.storeys_today[d.parcel_of]) * AREA
        for k, (chosen, mitigation) in enumerate(zip(classes, self._classes, strict=True)):
            if mitigation.cost:
                program.rows(
                    [f"{self.label}_pays_{k + 1}_{name}_{s}" for s in model.site_names],
                    *[(at, column, area * mitigation.cost) for at, column, area in floor],
                    (sites, paid, -1.0),
                    (sites, chosen, mitigation.cost * most),
                    upper=mitigation.cost * most,
                )
        if self.budget is not None:
            program.rows([f"{self.label}_budget_{name}"], (0, paid, 1.0), upper=self.budget * AREA)
        return classes

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add up what arrives at each receptor, source by source, by the formulas of the standard."""
        for use, levels in self.limits.items():
            yield from self._judged(evidence, use, levels)
        for group, levels in self.places.items():
            table = evidence.places_in(group)
            for metric, limit in levels.items():
                own, background = self._arriving(evidence, table, metric)
                counted, looked = self.counted(evidence, table, background, energy(limit))
                at, allowed = np.flatnonzero(looked), np.full(int(looked.sum()), limit)
                yield from self._verdict(table.iloc[at], own[at], counted[at], allowed, f"{group}, {metric}", limit)
        if self.budget is not None:
            for use in self.limits:
                scope = [f"insulation of {use}"]
                yield from self.verdict(
                    scope, self._cost(evidence, use), self.budget, "money", name=f"{self.label} budget"
                )

    def _judged(self, evidence: Evidence, use: str, levels: Levels) -> Iterator[Check]:
        table = self.receptors_of(evidence, self._at, use)
        if table.empty:
            return
        lifted = self._lifted(evidence, table, use)
        for metric, limit in levels.items():
            own, background = self._arriving(evidence, table, metric)
            counted, looked = self.counted(evidence, table, background, energy(limit))
            label = use if metric == "loudest" else f"{use}, {metric}"
            at = np.flatnonzero(looked)
            yield from self._verdict(table.iloc[at], own[at], counted[at], limit + lifted[at], label, limit)

    def _verdict(
        self, table: pd.DataFrame, own: Floats, background: Floats, allowed: Floats, label: str, limit: float
    ) -> Iterator[Check]:
        heard = own + background
        yield from self.verdict(
            table["receptor"].tolist(),
            10.0 * np.log10(np.maximum(heard, 1.0)),
            allowed,
            "dB(A)",
            missed=(heard - 10 ** (allowed / 10)) / (energy(limit) - background),
            missed_unit="times the limit's energy",
            absolute=DECIBEL_TOLERANCE,
            name=f"{self.label} at {label}",
        )

    def _arriving(self, evidence: Evidence, table: pd.DataFrame, metric: str) -> tuple[Floats, Floats | None]:
        """Return the energy of the plan's floors and of what is there already at receptors, each shape (R,)."""
        from optimizer.heard import by_divergence, by_iso9613

        known = self.known_background(table, self._background(metric))
        hear = by_iso9613 if self.method == "iso9613" else by_divergence
        return hear(evidence, table, metric), None if known is None else 10 ** (known / 10)

    def _lifted(self, evidence: Evidence, table: pd.DataFrame, use: str) -> Floats:
        """Return by how many dB insulation lets each receptor pass the limit: the least class that its building needs."""
        lifted = np.zeros(len(table))
        if not self.mitigation:
            return lifted
        building = table["building"].to_numpy(dtype=int)
        excess = np.full(len(table), -np.inf)
        for metric, limit in self.limits[use].items():
            own, background = self._arriving(evidence, table, metric)
            counted, _ = self.counted(evidence, table, background, energy(limit))
            excess = np.maximum(excess, 10 * np.log10(np.maximum(own + counted, 1e-9)) - limit)
        built = (evidence.buildings["action"] != "keep").to_numpy()
        for b in np.unique(building[built[building]]):
            here = building == b
            needed = excess[here].max() - DECIBEL_TOLERANCE
            if needed > 0:
                enough = [m.reduction for m in self._classes if m.reduction >= needed]
                lifted[here] = enough[0] if enough else self._classes[-1].reduction
        return lifted

    def _cost(self, evidence: Evidence, use: str) -> float:
        """Return the money that insulation of a use's new and converted floors costs."""
        table = self.receptors_of(evidence, self._at, use)
        lifted = self._lifted(evidence, table, use)
        price = {0.0: 0.0, **{m.reduction: m.cost for m in self._classes}}
        floor = evidence.buildings[f"gfa_{use}"].to_numpy(dtype=float)
        each = {int(b): price[float(up)] for b, up in zip(table["building"], lifted, strict=True)}
        return float(sum(floor[b] * cost for b, cost in each.items()))

    @property
    def scores(self) -> bool:
        """Whether the rule itself takes from the score: insulation may."""
        return super().scores or self.score_per_cost > 0

    def reward(self, evidence: Evidence) -> float:
        """Return what insulation costs the score, below 0."""
        if not self.score_per_cost:
            return 0.0
        return -self.score_per_cost * sum(self._cost(evidence, use) for use in self.limits)


def _divergence(d: District, site: Ints, xy: Floats, reach: float | None) -> tuple[Any, Floats]:
    """Return the kernel of divergence, of nearby sources alone where there is a reach, and what counts beyond."""
    from optimizer.kernels import divergence_kernel, divergence_within

    if reach is None:
        return divergence_kernel(d, site, xy), np.zeros(len(xy))
    return divergence_within(d, site, xy, reach)
