"""Noise where people live: the energy sum of all noisy floors at each building that holds a protected use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial.distance import cdist

from optimizer.rules.base import Check, Evidence, Rule

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model

Decibel = Annotated[float, Field(ge=0, le=140, allow_inf_nan=False)]

DECIBEL_TOLERANCE = 0.005
"""Excess put down to the solver's feasibility tolerance, dB."""
SELDOM = 0.5
"""Share of the limit that is left, 3 dB, from which a receptor's row may be left out for a while."""


def energy(level: Floats | float) -> Floats:
    """Return 10^(L / 10) for a level in dB."""
    return np.power(10.0, np.asarray(level, dtype=float) / 10.0)


def geometric_divergence(distance: Floats) -> Floats:
    """Return 1 / (4 pi d^2) for distances in m, shape kept; ISO 9613-2: A_div = 20 lg d + 11 dB.

    One metre at least: the formula holds outside a source only.
    """
    return np.asarray(1.0 / (4.0 * np.pi * np.maximum(distance, 1.0) ** 2))


class Noise(Rule):
    """The sound level at buildings that hold a limited use stays within its limit.

    sum over other sites j of g_ju 10^(L_u/10) / (4 pi d_rj^2) <= 10^(L_lim/10) - 10^(L_background/10), with floor
    area g (m²), sound power L_u (dB(A) per m² of floor) and distance d (m) between the sites' points: geometric
    divergence after ISO 9613-2, full sphere, no screening. Sound within a building is not this rule's.

    The row of receptor r reads  sum + (M_r - 1) z_r <= M_r  in units of the limit, z_r = 1 where the use is
    present. M_r is the most that can arrive: sources filled from the nearest outwards until the programme's
    floor area of noisy uses is spent (a continuous knapsack). Rows with M_r <= 1 cannot bind and are left out.
    One binary a receptor and kind of floor (new, converted); none where homes are kept.

    ``reach`` (m) keeps large districts sparse: all floor beyond it counts as if it stood at that distance,
    which errs on the safe side; the proved bound then holds for that stricter rule. Without it every source counts
    where it stands. Missed by multiples of the limit's energy, building by building.
    """

    kind: ClassVar[str] = "noise"

    example: ClassVar[str] = 'kind = "noise"\nlimits = { housing = 63 }'

    limits: Annotated[dict[str, Decibel], Field(min_length=1)] = Field(
        description="dB(A) at buildings that hold a use, by use"
    )
    background: Decibel | None = Field(default=None, description="sound from elsewhere, dB(A); none by default")
    reach: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="m beyond which all floor counts as if it stood there; none by default"
    )

    @model_validator(mode="after")
    def _limit_above_background(self) -> Noise:
        for use, limit in self.limits.items():
            if self.background is not None and limit <= self.background:
                raise ValueError(f"limits.{use} = {limit:g} dB(A) is not above background = {self.background:g} dB(A)")
        if self.reach is not None and self.price is not None:
            raise ValueError(
                f"reach = {self.reach:g} has no price: floor beyond it is counted louder than it is, so that by how much "
                "the rule is missed is not known; leave one of them out"
            )
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the limited uses."""
        return [(f"limits.{use}", use) for use in self.limits]

    def _room(self, use: str) -> float:
        """Energy left for the plan's own sources."""
        return float(energy(self.limits[use]) - (0.0 if self.background is None else energy(self.background)))

    def constrain(self, model: Model) -> None:
        """Add an emission column a site, and a row a receptor that can be too loud."""
        from optimizer.model import AREA
        from optimizer.reference import most_floor_area

        d = model.district
        noisy = [u for u, use in enumerate(d.uses) if use.sound_power is not None]
        if not noisy:
            return
        loudest = max(d.uses[u].sound_power or 0.0 for u in noisy)
        weight = {u: float(energy((d.uses[u].sound_power or 0.0) - loudest)) for u in noisy}
        sites = np.arange(len(d.sites))
        emission = model.program.columns([f"{self.label}_emission_{s}" for s in model.site_names])
        terms = [
            (row, column, area * weight[u]) for u in noisy for row, column, area in model.floor_area_terms(u, sites)
        ]
        model.program.rows(
            [f"{self.label}_emission_{s}" for s in model.site_names],
            *terms,
            (sites, emission, -1.0),
            lower=0.0,
            upper=0.0,
        )
        most = most_floor_area(d, model.rules)
        total = min(float(sum(most[u] * weight[u] for u in noisy)), float(most[-1])) * AREA
        cap = self._most_emission(d, weight) * AREA
        beyond = None
        if self.reach is not None:
            beyond = model.program.columns([f"{self.label}_emission_all"])
            model.program.rows(
                [f"{self.label}_emission_all"], (0, emission, 1.0), (0, beyond, -1.0), lower=0.0, upper=0.0
            )
        chosen = d.select(self.where, self.label)[d.parcel_of]
        for use in self.limits:
            self._receptors(model, use, emission, beyond, chosen, cap, total, energy(loudest) / AREA)

    def _receptors(
        self,
        model: Model,
        use: str,
        emission: Ints,
        beyond: Ints | None,
        chosen: Bools,
        cap: Floats,
        total: float,
        power: Floats,
    ) -> None:
        d = model.district
        u = d.use_index[use]
        storeys = d.storeys_today[d.parcel_of]
        kept = d.existing_at[:, u] > 0
        rows = np.flatnonzero(chosen & (kept | (d.storey_limit[:, u] > 0) | (storeys > 0)))
        kernel = geometric_divergence(cdist(d.xy[rows], d.xy)) * (power / self._room(use))
        kernel[np.arange(len(rows)), rows] = 0.0
        far = 0.0 if self.reach is None else float(geometric_divergence(np.array(self.reach)) * power / self._room(use))
        reaching = np.maximum(kernel, far)
        reaching[np.arange(len(rows)), rows] = 0.0
        most = _knapsack(reaching, cap, total)
        binding = most > 1.0 + 1e-9
        rows, kernel, most = rows[binding], kernel[binding], most[binding]
        if not len(rows):
            return
        place = np.arange(len(rows))
        near, source = np.nonzero((kernel > far) & (cap > 0)[None, :])
        terms: list[tuple[ArrayLike, ArrayLike, ArrayLike]] = [(near, emission[source], kernel[near, source] - far)]
        if beyond is not None:
            terms += [(place, beyond, far), (place, emission[rows], -far)]
        new, converted = (model.presence(kind, u)[rows] for kind in ("new", "conv"))
        terms += [(place, new, most - 1.0), (place, converted, most - 1.0)]
        terms += [(place, model.keep[d.parcel_of[rows]], np.where(kept[rows], most - 1.0, 0.0))]
        names = [f"{use}_{model.site_names[s]}" for s in rows]
        self.rows(model, names, *terms, upper=most, lazy=SELDOM if self.price is None else np.inf)

    def _most_emission(self, d: District, weight: dict[int, float]) -> Floats:
        """Most emission of each site, m² of the loudest use, shape (S,)."""
        factor = np.array([weight.get(u, 0.0) for u in range(len(d.uses))])
        today = d.existing_at @ factor
        converted = d.plate_today * d.storeys_today[d.parcel_of] * factor.max()
        return np.asarray(np.maximum.reduce([today, converted, d.plate * d.storey_limit.max(axis=1) * factor.max()]))

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Sum the energy at each building that holds a limited use, every source counted where it stands."""
        table = evidence.buildings
        power = np.zeros(len(table))
        for name, use in evidence.uses.items():
            if use.sound_power is not None:
                power += table[f"gfa_{name}"].to_numpy(dtype=float) * energy(use.sound_power)
        chosen = evidence.parcels.index[evidence.chosen(self.where, self.label)]
        xy = table[["x", "y"]].to_numpy(dtype=float)
        for limited, limit in self.limits.items():
            receptor = np.flatnonzero((table[f"gfa_{limited}"] > 0.01) & table["parcel_id"].isin(chosen))
            if not len(receptor):
                continue
            kernel = geometric_divergence(cdist(xy[receptor], xy))
            kernel[np.arange(len(receptor)), receptor] = 0.0
            arriving = kernel @ power + (0.0 if self.background is None else energy(self.background))
            level = 10.0 * np.log10(np.maximum(arriving, 1.0))
            scopes = (table["parcel_id"] + "/" + table["site"].astype(str)).to_numpy(dtype=object)[receptor]
            own = float(energy(limit)) - (0.0 if self.background is None else float(energy(self.background)))
            yield from self.verdict(
                list(scopes),
                level,
                limit,
                "dB(A)",
                missed=(arriving - energy(limit)) / own,
                missed_unit="times the limit's energy",
                absolute=DECIBEL_TOLERANCE,
                name=f"{self.label} at {limited}",
            )


def _knapsack(kernel: Floats, cap: Floats, total: float) -> Floats:
    """Return for each receptor the most that can arrive, shape (receptors,).

    Sources are filled in falling order of their kernel until ``total`` is spent.
    """
    order = np.argsort(-kernel, axis=1)
    room = np.minimum(np.cumsum(cap[order], axis=1), total)
    filled = np.diff(room, axis=1, prepend=0.0)
    return np.asarray((np.take_along_axis(kernel, order, axis=1) * filled).sum(axis=1))
