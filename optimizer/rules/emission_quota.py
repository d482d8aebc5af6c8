"""Emission quotas: what each plot may radiate, found together with the plan so that the whole keeps its limits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import pandas as pd
import shapely
from pydantic import Field, model_validator
from shapely.ops import nearest_points

from optimizer.emissions import METRICS, Metric, energy, sound_energy
from optimizer.rules.base import HOLDS, Check, Evidence, Rule

if TYPE_CHECKING:
    from optimizer.district import District, Floats, Ints
    from optimizer.model import Model

Levels = Annotated[dict[Metric, Annotated[float, Field(ge=0, le=140, allow_inf_nan=False)]], Field(min_length=1)]

TOLERANCE = 0.005
"""Excess put down to the solver's feasibility tolerance and rounding, dB."""
SPAN = 30
"""Most dB between the lowest and the highest class, within which the solver's tolerances tell classes apart."""
UNIT = "times the energy allowed"


class EmissionQuota(Rule):
    """Each plot gets an emission quota in dB per m² of site, and all quotas together keep the limits (DIN 45691).

    For each plot i with site area A_i (m²), level m that a limit names, and classes c (dB(A)/m²), one class at most chosen by
    x_imc = 1:

    plots:      sum over its sites s and uses u of  W_um g_su  <=  Q_im,   Q_im = A_i sum over c of 10^(c/10) x_imc
    receptors:  sum over other plots i of  Q_im / (4 pi d_ir²)  +  (M_r - 1) 10^(L/10) z_r  <=  M_r 10^(L/10)

    with sound energy W_um that a m² of floor radiates, floor area g (m²), d_ir (m) from the point that stands for the
    plot to the receptor, limit L (dB(A)), z_r = 1 where the building at the receptor holds the limited use, M_r the most
    that all quotas can add up to. Receptors are the middles of building sites, and places to protect, where z_r = 1. A plot
    without quota emits nothing. Spread is by divergence alone, without air, ground or screens, as DIN 45691 has it; the
    plot counts at one point, where the standard divides large plots. Limits are planning values: what is there
    already is to be subtracted from them. ``where`` chooses the plots that get a quota; what others emit is not counted,
    buildings to protect count everywhere.

    In a finished plan a plot's quota is the least class that covers what its floors emit, kept ones too: `quotas`. One binary a
    plot, level and class that it can need (levels at which all uses radiate alike share them), and one a building and
    kind of floor that a limit protects; a row a receptor that can be too loud. Proves slowly where quiet homes and many
    plots that work by night lie close together. Missed by multiples of the limit's energy at receptors, of the highest
    class's at plots.

    DIN 45691:2006. Quotas of 57 to 60 dB by day and 42 to 53 by night stand in Hamburg's development plans (confirmed,
    XPlanung texts of the city); the default classes are illustrative.
    """

    kind: ClassVar[str] = "emission_quota"
    example: ClassVar[str] = (
        'kind = "emission_quota"\nclasses = [45, 50, 55, 60, 65]\nlimits = { housing = { daytime = 60, night = 55 } }'
    )
    stricter: ClassVar[Mapping[str, int]] = {"limits": -1, "places": -1}
    in_decibels: ClassVar[bool] = True

    limits: dict[str, Levels] = Field(
        default={},
        description="planning values, dB(A), at buildings that hold a use: by use and level (day, night ...)",
    )
    places: dict[str, Levels] = Field(
        default={}, description="planning values, dB(A), at places to protect, by table of pollution.places and level"
    )
    classes: Annotated[list[Annotated[int, Field(ge=0, le=120)]], Field(min_length=1)] = Field(
        default=[45, 50, 55, 60, 65], description="quotas that a plot may get, rising, whole dB(A) per m² of site"
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> EmissionQuota:
        if not self.limits and not self.places:
            raise ValueError("limits and places are both missing; give levels in dB(A) by use or by table of places")
        if any(high <= low for low, high in itertools.pairwise(self.classes)):
            raise ValueError(f"classes = {self.classes}: quotas rise from class to class")
        if self.classes[-1] - self.classes[0] > SPAN:
            raise ValueError(
                f"classes = {self.classes}: {self.classes[-1] - self.classes[0]} dB lie between the lowest and the highest; "
                f"{SPAN} dB are the most"
            )
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the limited uses."""
        return [(f"limits.{use}", use) for use in self.limits]

    def named_places(self) -> list[tuple[str, str]]:
        """Return the groups of places."""
        return [(f"places.{group}", group) for group in self.places]

    @property
    def _metrics(self) -> list[Metric]:
        named = {metric for table in (self.limits, self.places) for levels in table.values() for metric in levels}
        return [metric for metric in METRICS if metric in named]

    @property
    def _energies(self) -> Floats:
        return np.array([energy(level) for level in self.classes])

    def constrain(self, model: Model) -> None:
        """Add the classes of every plot that can be heard, and a row a receptor that can be too loud."""
        d = model.district
        # Levels at which every use radiates the same share one quota.
        alike: dict[tuple[float, ...], list[Metric]] = {}
        for metric in self._metrics:
            weight = tuple(sound_energy(use, metric, d.around.section.period_hours) for use in d.uses)
            alike.setdefault(weight, []).append(metric)
        for weight, metrics in alike.items():
            plots = self._plots(model, np.array(weight), metrics)
            if plots is None:
                continue
            for use, levels in self.limits.items():
                u = d.use_index[use]
                free = ~d.parcels["protected"].to_numpy(dtype=bool)[d.parcel_of]
                built = (d.storey_limit[:, u] > 0) | (d.storeys_today > 0)[d.parcel_of]
                site = np.flatnonzero((d.existing_at[:, u] > 0) | (free & built))
                for metric, limit in self._told(levels, metrics):
                    names = [f"{use}_{metric}_{model.site_names[s]}" for s in site]
                    self._hear(model, plots, names, d.xy[site], d.parcel_of[site], energy(limit), (u, site))
            for group, levels in self.places.items():
                table = d.around.places[d.around.group(group)]
                none, points = np.full(len(table), -1), shapely.get_coordinates(table.geometry)
                for metric, limit in self._told(levels, metrics):
                    names = [f"{group}_{metric}_{place}" for place in table["place"]]
                    self._hear(model, plots, names, points, none, energy(limit), None)

    def _told(self, levels: Mapping[Metric, float], metrics: list[Metric]) -> list[tuple[Metric, float]]:
        """Return the limits of metrics that share a quota: the lowest implies the others, but each may be missed by itself."""
        own = sorted(((m, levels[m]) for m in metrics if m in levels), key=lambda item: item[1])
        return own[:1] if self.price is None else own

    def _plots(self, model: Model, weight: Floats, metrics: list[Metric]) -> _Plots | None:
        """Add the choice of a class to every plot that can emit any sound, and hold its floors to it.

        One binary a plot and class, y_c = 1 where the quota is that class or a higher one: y_c >= y_(c + 1).
        """
        from geodata.sites import inner_points
        from optimizer.reference import most_floor_area

        d, program = model.district, model.program
        most = _most_emission(d, weight)
        plot = np.flatnonzero(d.select(self.where, self.label) & (most > 0))
        if not len(plot):
            return None
        most, land = most[plot], d.site_area[plot]
        ids = d.parcels["parcel_id"].to_numpy()[plot]
        names = [f"{self.label}_{metrics[0]}_{i}" for i in ids]
        # Of the classes above all that a plot can emit it needs none.
        classes = self._energies
        top = np.minimum(np.searchsorted(classes, most / land * (1 - 1e-9)), len(classes) - 1)
        row = np.arange(len(plot))
        reached = np.stack(
            [
                program.columns([f"{n}_{level}" for n in names], upper=(k <= top).astype(float), integer=True)
                for k, level in enumerate(self.classes)
            ],
            axis=1,
        )
        for k in range(1, len(classes)):
            program.rows(
                [f"{n}_{self.classes[k]}_over_{self.classes[k - 1]}" for n in names],
                (row, reached[:, k], 1.0),
                (row, reached[:, k - 1], -1.0),
                upper=0.0,
            )
        quota = program.columns(names, upper=1.0)
        share = classes[None, :] / classes[top][:, None]
        steps = np.diff(share, axis=1, prepend=0.0)
        program.rows(names, (row[:, None], reached, steps), (row, quota, -1.0), lower=0.0, upper=0.0)
        of_plot = np.full(len(d.parcels), -1)
        of_plot[plot] = row
        unit = classes[top] * land
        of_site = of_plot[d.parcel_of]
        weights = np.where(of_site[:, None] >= 0, weight[None, :] / unit[of_site][:, None], 0.0)
        over = []
        if self.price is not None:
            # Only beyond the highest class is anything missed, so that a plot cannot buy itself a lower one.
            beyond = np.maximum(most / unit - 1.0, 0.0)
            missed = [f"{metrics[0]}_{i}_over" for i in ids]
            slack = self.missed(model, missed, upper=beyond, times=len(metrics))
            over = [(row, slack, -1.0)]
            program.rows([f"{n}_over" for n in names], (row, slack, 1.0), (row, reached[row, top], -beyond), upper=0.0)
        emitted = model.weighted_floor(weights, of_site, scale=1.0)
        program.rows([f"{n}_emits" for n in names], *emitted, (row, quota, -1.0), *over, upper=0.0)
        self._in_whole_storeys(model, metrics[0], weight, of_site, reached, top)
        # The least class that covers a plot is the lowest, or less than the greatest step above what the plot emits.
        budget = most_floor_area(d, model.rules)
        together = min(float(budget[:-1] @ weight), float(budget[-1] * weight.max()))
        greatest = float((classes[1:] / classes[:-1]).max(initial=1.0))
        whole = together * greatest + float(classes[0] * land.sum())
        return _Plots(plot, inner_points(d.parcels)[plot], unit, reached, share, quota, whole)

    def _in_whole_storeys(
        self, model: Model, metric: Metric, weight: Floats, of_site: Ints, reached: Ints, top: Ints
    ) -> None:
        """Say which class whole storeys of one use, or the building that is kept, need alone. Implied, but tighter."""
        d = model.district
        inside = np.flatnonzero(of_site >= 0)
        plot, kept = of_site[inside], d.parcel_of[inside]
        allowed = self._energies[None, :] * d.site_area[kept][:, None]
        last = np.arange(len(self.classes))[None, :] >= top[plot][:, None]
        today = d.storeys_today[d.parcel_of]
        for u in np.flatnonzero(weight):
            for kind, floors, plate, limit in (
                ("new", model.new, d.plate, d.storey_limit[:, u]),
                ("conv", model.converted, d.plate_today, today),
            ):
                each = weight[u] * plate[inside]
                most = np.floor(
                    np.divide(allowed, each[:, None], out=np.zeros_like(allowed), where=each[:, None] > 0) + 1e-6
                )
                most = np.minimum(most, limit[inside, None])
                if self.price is not None:
                    most = np.where(last, limit[inside, None], most)
                row = np.arange(len(inside))
                name = d.uses[u].name
                model.program.rows(
                    [f"{self.label}_{metric}_{kind}_{name}_{model.site_names[s]}" for s in inside],
                    (row, floors[inside, u], 1.0),
                    (row[:, None], reached[plot], -np.diff(most, axis=1, prepend=0.0)),
                    upper=0.0,
                )
        plots = np.unique(plot)
        parcel = np.zeros(len(top), dtype=np.int64)
        parcel[plot] = kept
        emitted = (d.existing @ weight)[parcel] / d.site_area[parcel]
        least = np.minimum(np.searchsorted(self._energies, emitted * (1 - 1e-6)), top)
        loud = plots[emitted[plots] > 0]
        row = np.arange(len(loud))
        model.program.rows(
            [f"{self.label}_{metric}_kept_{k}" for k in loud],
            (row, model.keep[parcel[loud]], 1.0),
            (row, reached[loud, least[loud]], -1.0),
            upper=0.0,
        )

    def _hear(
        self,
        model: Model,
        plots: _Plots,
        names: list[str],
        xy: Floats,
        parcel: Ints,
        limit: float,
        held: tuple[int, Ints] | None,
    ) -> None:
        """Hold all quotas together under a limit at receptors.

        Parameters
        ----------
        xy : ndarray, shape (R, 2)
        parcel : ndarray of int, shape (R,)
            Own plot of each receptor, whose quota does not count there; -1 for places.
        held : (use, sites of shape (R,)), or None
            The limited use; None where the limit holds whatever is built.
        """
        from optimizer.exposure import BINDS, SELDOM, SMALL, knapsack

        squared = ((xy[:, None, :] - plots.at[None, :, :]) ** 2).sum(axis=2)
        arriving = plots.unit[None, :] / (4.0 * math.pi * np.maximum(squared, 1.0)) / limit
        arriving[(parcel[:, None] == plots.plot[None, :]) | (arriving < SMALL)] = 0.0
        most = knapsack(arriving / plots.unit, plots.unit, plots.whole)
        binding = most > BINDS
        arriving, most = arriving[binding], most[binding]
        names = [name for name, kept in zip(names, binding, strict=True) if kept]
        row = np.arange(len(names))
        r, i = np.nonzero(arriving)
        there = []
        if held is not None:
            site = held[1][binding]
            there = [(columns[site], factor[site]) for columns, factor in model.holding(held[0])]
        self.rows(
            model,
            names,
            (r, plots.quota[i], arriving[r, i]),
            *[(row, columns, factor * (most - 1.0)) for columns, factor in there],
            upper=most if there else 1.0,
            lazy=SELDOM if self.price is None else np.inf,
        )
        if self.price is not None:
            return
        # Of one plot and one receptor: the least class that is too loud by itself. Implied, but tighter.
        loud = arriving[r, i][:, None] * plots.share[i] > 1.0 + 1e-6
        loud &= plots.share[i] <= 1.0 + 1e-12
        alone = np.flatnonzero(loud.any(axis=1))
        pair = np.arange(len(alone))
        r, i, least = r[alone], i[alone], loud[alone].argmax(axis=1)
        model.program.rows(
            [f"{self.label}_{names[a]}_beside_{b}" for a, b in zip(r, plots.plot[i], strict=True)],
            (pair, plots.reached[i, least], 1.0),
            *[(pair, columns[r], factor[r]) for columns, factor in there],
            upper=1.0 if there else 0.0,
            lazy=SELDOM,
        )

    def emitted(self, evidence: Evidence, metric: Metric) -> Floats:
        """Return the sound energy of all floors of each plot, per m² of its site, shape (P,); 0 where none is asked for."""
        parcels = evidence.parcels
        total = np.zeros(len(parcels))
        for name, use in evidence.uses.items():
            each = sound_energy(use, metric, evidence.pollution.period_hours)
            total += each * parcels[f"gfa_{name}"].to_numpy(dtype=float)
        return np.asarray(
            np.where(evidence.chosen(self.where, self.label), total / parcels["site_area"].to_numpy(dtype=float), 0.0)
        )

    def quotas(self, evidence: Evidence) -> pd.DataFrame:
        """Return the quota of each plot by level, dB(A) per m² of site: the least class that covers what it emits.

        Returns
        -------
        DataFrame
            ``parcel_id`` and ``L_EK <level>`` for each level that a limit names; missing where a plot emits nothing, the
            highest class where it emits more.
        """
        table = {"parcel_id": evidence.parcels.index.astype(str)}
        for metric in self._metrics:
            table[f"L_EK {metric}"] = [self._class(value) for value in self.emitted(evidence, metric)]
        return pd.DataFrame(table)

    def _class(self, emitted: float) -> float:
        """Return the least class that covers what a plot emits per m² of site; nothing where that is nothing."""
        if emitted <= 0:
            return math.nan
        level = 10.0 * math.log10(emitted)
        return float(next((c for c in self.classes if level <= c + TOLERANCE), self.classes[-1]))

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Find each plot's class by what it emits, and add the classes up at each receptor."""
        quotas = self.quotas(evidence)
        ids = quotas["parcel_id"].to_numpy()
        shapes = evidence.parcels.geometry
        points = [nearest_points(shape, shape.centroid)[0] for shape in shapes]
        land = evidence.parcels["site_area"].to_numpy(dtype=float)
        buildings = evidence.buildings
        for metric in self._metrics:
            level = quotas[f"L_EK {metric}"].to_numpy(dtype=float)
            some = np.flatnonzero(~np.isnan(level))
            emitted = self.emitted(evidence, metric)[some]
            above = emitted / energy(self.classes[-1]) - 1.0
            own = 10.0 * np.log10(emitted) if len(some) else emitted
            yield from self.verdict(
                list(ids[some]),
                np.where(own > self.classes[-1] + TOLERANCE, own, level[some]),
                float(self.classes[-1]),
                "dB(A)/m²",
                missed=above,
                missed_unit=UNIT,
                absolute=TOLERANCE,
                name=f"{self.label} of plots, {metric}",
            )
            sources = [(ids[i], points[i].x, points[i].y, land[i] * energy(level[i])) for i in some]
            for use, levels in self.limits.items():
                holds = buildings[f"gfa_{use}"].to_numpy(dtype=float) > HOLDS
                names = [name for name, there in zip(evidence.building_names, holds, strict=True) if there]
                yield from self._heard(buildings[holds], names, "parcel_id", sources, levels, metric, use)
            for group, levels in self.places.items():
                table = evidence.places_in(group)
                yield from self._heard(table, list(table["receptor"]), None, sources, levels, metric, group)

    def _heard(
        self,
        table: pd.DataFrame,
        names: list[str],
        own: str | None,
        sources: list[tuple[str, float, float, float]],
        levels: Mapping[Metric, float],
        metric: Metric,
        label: str,
    ) -> Iterator[Check]:
        if metric not in levels:
            return
        heard = []
        for k in range(len(table)):
            x, y = float(table["x"].iloc[k]), float(table["y"].iloc[k])
            home = None if own is None else str(table[own].iloc[k])
            each = [
                e / (4.0 * math.pi * max(math.dist((x, y), (sx, sy)), 1.0) ** 2)
                for i, sx, sy, e in sources
                if i != home
            ]
            heard.append(math.fsum(each))
        arriving = np.array(heard, dtype=float)
        yield from self.verdict(
            names,
            10.0 * np.log10(np.maximum(arriving, 1.0)),
            levels[metric],
            "dB(A)",
            missed=arriving / energy(levels[metric]) - 1.0,
            missed_unit=UNIT,
            absolute=TOLERANCE,
            name=f"{self.label} at {label}, {metric}",
        )


def quotas(evidence: Evidence) -> pd.DataFrame:
    """Return the emission quotas of a plan, dB(A) per m² of site.

    Returns
    -------
    DataFrame
        ``rule``, ``parcel_id`` and ``L_EK <level>`` for each level that a limit names; missing where a plot emits nothing. No
        rows where the study has no such rule.
    """
    found = [
        rule.quotas(evidence).assign(rule=rule.label) for rule in evidence.rules if isinstance(rule, EmissionQuota)
    ]
    if not found:
        return pd.DataFrame({"rule": [], "parcel_id": []})
    whole = pd.concat(found, ignore_index=True)
    return whole[["rule", *whole.columns.drop("rule")]]


@dataclass(frozen=True)
class _Plots:
    """Plots that can be heard at one level.

    Attributes
    ----------
    plot : ndarray of int, shape (N,)
        Their parcels.
    at : ndarray, shape (N, 2)
        Points that stand for them, m.
    unit : ndarray, shape (N,)
        Sound energy of the whole plot at the highest class that it can need.
    reached : ndarray of int, shape (N, classes)
        Binary columns: whether the quota is a class or a higher one.
    share : ndarray, shape (N, classes)
        Energy of each class in units of that of the highest.
    quota : ndarray of int, shape (N,)
        Columns of the quota in the same unit.
    whole : float
        Most sound energy of all quotas together that a plan can need.
    """

    plot: Ints
    at: Floats
    unit: Floats
    reached: Ints
    share: Floats
    quota: Ints
    whole: float


def _most_emission(d: District, weight: Floats) -> Floats:
    """Return the most sound energy that the floors of each parcel can radiate, shape (P,)."""
    today = d.existing_at @ weight
    converted = d.plate_today * d.storeys_today[d.parcel_of] * weight.max()
    # Uses share a building: neither all storeys of the loudest nor all height of the loudest by the metre is passed.
    storeys = d.storey_limit.max(axis=1) * weight.max()
    height = d.max_height[d.parcel_of] * (weight / d.storey_height).max()
    built = d.plate * np.minimum(storeys, height)
    protected = d.parcels["protected"].to_numpy(dtype=bool)[d.parcel_of]
    most = np.where(protected, today, np.maximum.reduce([today, converted, built]))
    return np.asarray(np.bincount(d.parcel_of, most, minlength=len(d.parcels)), dtype=float)
