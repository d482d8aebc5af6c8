"""What floors of a finished plan emit into the air, at receptors: the audit's own plumes.

Written from the equations once more, sharing nothing with the kernels of the model: one receptor, one source, one
wind after the other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from optimizer.emissions import emission
from optimizer.heard import PLACE, storeys_between

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Floats
    from optimizer.rules.base import Evidence
    from optimizer.surroundings import PollutionSection

SECTOR = math.pi / 8
Wind = tuple[int, str, float, float]
"""Sector the wind comes from, stability, m/s at 10 m, share of the year."""
Source = tuple[float, float, float, float, float]
"""East and north of the receptor from a source, height of release, height of the receptor, width, m."""

URBAN_Y = {"A": 0.32, "B": 0.32, "C": 0.22, "D": 0.16, "E": 0.11, "F": 0.11}
RURAL_Y = {"A": 0.22, "B": 0.16, "C": 0.11, "D": 0.08, "E": 0.06, "F": 0.04}
PROFILE = {
    "urban": dict(zip("ABCDEF", (0.15, 0.15, 0.20, 0.25, 0.30, 0.30), strict=True)),
    "rural": dict(zip("ABCDEF", (0.07, 0.07, 0.10, 0.15, 0.35, 0.55), strict=True)),
}


def annual_mean(evidence: Evidence, table: pd.DataFrame, pollutant: str, rule: str) -> Floats:
    """Return the annual mean at receptors of what the plan's floors emit, µg/m³, shape (R,)."""
    winds = _winds(evidence, rule) if _emitted(evidence, pollutant) else []
    return np.array(
        [
            sum(rate * sum(w[3] * sector_mean(evidence.pollution, s, w) for w in winds) for rate, s in sources)
            for sources in _sources(evidence, table, pollutant, working=False)
        ]
    )


def worst_hour(evidence: Evidence, table: pd.DataFrame, pollutant: str, rule: str) -> Floats:
    """Return the mean of the worst hour at receptors, µg/m³, shape (R,)."""
    winds = _winds(evidence, rule) if _emitted(evidence, pollutant) else []
    return np.array(
        [
            max((sum(rate * centre_line(evidence.pollution, s, w) for rate, s in sources) for w in winds), default=0.0)
            for sources in _sources(evidence, table, pollutant, working=True)
        ]
    )


def odour_hours(evidence: Evidence, table: pd.DataFrame, threshold: float, rule: str) -> Floats:
    """Return the share of the year's hours in which receptors have more than a threshold, OU/m³, shape (R,)."""
    winds = _winds(evidence, rule) if _emitted(evidence, "odour") else []
    shares = []
    for sources in _sources(evidence, table, "odour", working=True):
        hours = 0.0
        for wind in winds:
            # µg/m³ for 1 g/s is OU/m³ for 1,000,000 OU/s.
            found = sum(rate * sector_mean(evidence.pollution, s, wind) / 1e6 for rate, s in sources)
            hours += wind[3] * (found > threshold * (1.0 + 1e-6))
        shares.append(hours)
    return np.array(shares)


def _emitted(evidence: Evidence, pollutant: str) -> bool:
    return any(emission(use, pollutant) for use in evidence.uses.values())


def _winds(evidence: Evidence, rule: str) -> list[Wind]:
    """Return the winds that blow; calms as 1 m/s from everywhere in the most stable class."""
    section = evidence.pollution.wind
    if section is None:
        evidence.pollution.rose(rule)  # says what is missing
        return []
    winds: list[Wind] = [
        (sector, c.stability, max(c.speed, 1.0), share)
        for c in section.classes
        for sector, share in enumerate(c.frequency)
        if share > 0
    ]
    stable = max(c.stability for c in section.classes)
    return winds + [(sector, stable, 1.0, section.calm / 16) for sector in range(16) if section.calm > 0]


def _sources(
    evidence: Evidence, table: pd.DataFrame, pollutant: str, *, working: bool
) -> Iterator[list[tuple[float, Source]]]:
    """Yield for each receptor what other buildings emit, per second, and from where."""
    buildings = evidence.buildings
    low, high = storeys_between(evidence)
    parcels = evidence.parcels
    count = buildings.groupby("parcel_id")["site"].size()
    plate = [
        float(parcels.loc[name, "coverage"] * parcels.loc[name, "site_area"] / count[name])
        for name in buildings["parcel_id"]
    ]
    emitting: list[tuple[int, float, float | None]] = []
    for name, use in evidence.uses.items():
        each = emission(use, pollutant, working=working, hours=evidence.pollution.period_hours)
        if each:
            floor = buildings[f"gfa_{name}"].to_numpy(dtype=float)
            emitting += [(int(b), float(floor[b]) * each, use.stack_height) for b in np.flatnonzero(floor > 0)]
    for row in table.itertuples():
        found = []
        at = (PLACE, PLACE) if row.building < 0 else (float(low[row.building]), float(high[row.building]))
        for b, rate, stack in emitting:
            if b == row.building:
                continue
            outlet, width = (float(low[b]), float(high[b])), math.sqrt(plate[b])
            if stack is not None:
                outlet, width = (2 * low[b] + stack, max(high[b] + low[b], 2 * low[b]) + stack), 0.0
            release, receptor = _least_favourable(outlet, at)
            east, north = float(row.x - buildings["x"].iloc[b]), float(row.y - buildings["y"].iloc[b])
            found.append((rate, (east, north, release, receptor, width)))
        yield found


def _least_favourable(outlet: tuple[float, float], receptor: tuple[float, float]) -> tuple[float, float]:
    """Return heights that give no less than any of two ranges: least difference, least sum, lowest release."""
    difference = max(outlet[0] - receptor[1], receptor[0] - outlet[1], 0.0)
    signed = difference if receptor[0] > outlet[1] else -difference
    release = min(outlet[0], (outlet[0] + receptor[0] - signed) / 2.0)
    return release, release + signed


def sector_mean(section: PollutionSection, source: Source, wind: Wind) -> float:
    """Return the mean concentration over the hours of one sector and class, µg/m³ for 1 g/s."""
    east, north, release, receptor, width = source
    sector, stability, speed, _ = wind
    distance = math.hypot(east, north)
    half = width / 2.0
    reach = max(distance, half, 1.0)
    if distance < half:
        angle = math.pi - math.asin(distance / half)
    else:
        angle = math.asin(half / max(distance, 1e-9)) if half else 0.0
    from_ = math.atan2(-east, -north)
    share = _mean_share(from_ / SECTOR, max(angle / SECTOR, 1e-6), sector)
    if share <= 0:
        return 0.0
    _, up = _spread(section.terrain, stability, reach)
    near = 1.0 + 0.5 * (half / reach) ** 2
    vertical = _vertical(section, stability, release, receptor, up)
    blowing = _speed(section.terrain, stability, speed, release)
    return 1e6 * near * share * vertical / (math.sqrt(2 * math.pi) * blowing * up * reach * SECTOR)


def _mean_share(bearing: float, filled: float, sector: int) -> float:
    """Return the mean over the angle that a source fills of 1 at the sector's middle, 0 at its neighbours'; in sectors."""
    total = 0.0
    for turn in (-32, -16, 0, 16, 32):
        middle = sector + turn
        knots = sorted({min(max(k, bearing - filled), bearing + filled) for k in (middle - 1, middle, middle + 1)})
        for a, b in itertools.pairwise(knots):
            inside = [max(1.0 - abs(k - middle), 0.0) for k in (a, b)]
            total += (b - a) * sum(inside) / 2.0
    return total / (2.0 * filled)


def centre_line(section: PollutionSection, source: Source, wind: Wind) -> float:
    """Return the concentration in an hour of steady wind from a sector's middle, µg/m³ for 1 g/s."""
    east, north, release, receptor, width = source
    sector, stability, speed, _ = wind
    toward = sector * SECTOR
    along = -(east * math.sin(toward) + north * math.cos(toward))
    across = east * math.cos(toward) - north * math.sin(toward)
    if along <= 0:
        return 0.0
    reach = max(along, width / 2.0, 1.0)
    sideways, _ = _spread(section.terrain, stability, reach + _upwind(section.terrain, stability, width / 4.3))
    _, up = _spread(section.terrain, stability, reach)
    plume = math.exp(-0.5 * (across / sideways) ** 2) * _vertical(section, stability, release, receptor, up)
    return 1e6 * plume / (2 * math.pi * _speed(section.terrain, stability, speed, release) * sideways * up)


def _upwind(terrain: str, stability: str, spread: float) -> float:
    """Return how far upwind a point source has this spread sideways, m: a x / sqrt(1 + b x) solved for x."""
    if spread <= 0:
        return 0.0
    a, b = (URBAN_Y[stability], 4e-4) if terrain == "urban" else (RURAL_Y[stability], 1e-4)
    return (b * spread**2 + math.sqrt(b**2 * spread**4 + 4 * a**2 * spread**2)) / (2 * a**2)


def _spread(terrain: str, stability: str, x: float) -> tuple[float, float]:
    """Return sigma_y and sigma_z, m: Briggs 1973."""
    if terrain == "urban":
        sideways = URBAN_Y[stability] * x / math.sqrt(1 + 4e-4 * x)
        if stability in "AB":
            return sideways, 0.24 * x * math.sqrt(1 + 1e-3 * x)
        if stability == "C":
            return sideways, 0.20 * x
        return sideways, (
            0.14 * x / math.sqrt(1 + 3e-4 * x) if stability == "D" else 0.08 * x / math.sqrt(1 + 1.5e-3 * x)
        )
    sideways = RURAL_Y[stability] * x / math.sqrt(1 + 1e-4 * x)
    up = {
        "A": 0.20 * x,
        "B": 0.12 * x,
        "C": 0.08 * x / math.sqrt(1 + 2e-4 * x),
        "D": 0.06 * x / math.sqrt(1 + 1.5e-3 * x),
        "E": 0.03 * x / (1 + 3e-4 * x),
        "F": 0.016 * x / (1 + 3e-4 * x),
    }
    return sideways, up[stability]


def _speed(terrain: str, stability: str, at_10_m: float, height: float) -> float:
    """Return the wind at the height of release, m/s."""
    return float(at_10_m * (max(height, 10.0) / 10.0) ** PROFILE[terrain][stability])


def _vertical(section: PollutionSection, stability: str, release: float, receptor: float, up: float) -> float:
    """Return the plume and its images in the ground and, but in stable air, in the lid."""
    lid = section.mixing_height
    if stability in "EF":
        images: list[float] = [0.0]
    elif up >= 1.6 * lid:
        return math.sqrt(2 * math.pi) * up / lid
    else:
        images = [2.0 * m * lid for m in range(-4, 5)]
    offsets = (receptor - release, receptor + release)
    return sum(math.exp(-0.5 * ((o + image) / up) ** 2) for o in offsets for image in images)
