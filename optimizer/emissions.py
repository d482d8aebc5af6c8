"""What floors give off: sound energy and air pollutants per m² of floor, from the numbers of a use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from optimizer.uses import Use

PERIODS = ("day", "evening", "night")
HOURS = {"day": 12.0, "evening": 4.0, "night": 8.0}
"""Lengths of the periods of Lden, h (Directive 2002/49/EC, annex I)."""
Metric = Literal["day", "evening", "night", "daytime", "nighttime", "night_hour", "den", "loudest"]
METRICS = {
    "day": "mean level of the day",
    "evening": "mean level of the evening",
    "night": "mean level of the night, Lnight",
    "daytime": "mean level of day and evening together, as Germany, China and Japan call day",
    "nighttime": "mean level of evening and night together, as Switzerland calls night",
    "night_hour": "level of the loudest hour of the night, as TA Lärm asks for",
    "den": "day-evening-night level, Lden: 5 dB on the evening, 10 dB on the night",
    "loudest": "level while the loudest period's work goes on",
}
SECONDS = 365.25 * 24 * 3600
"""Seconds of a year."""


def energy(level: float) -> float:
    """Return 10^(L / 10) for a level in dB."""
    return float(10.0 ** (level / 10.0))


def sound_energy(use: Use, metric: Metric, hours: Mapping[str, float] = HOURS) -> float:
    """Return the sound energy that one m² of floor radiates, 10^(L / 10) of dB(A) per m²; 0 where it is silent.

    Parameters
    ----------
    hours : dict
        Lengths of the periods, h.
    """
    mean, working = {}, {}
    for period in PERIODS:
        length = hours[period]
        if length <= 0:
            mean[period] = working[period] = 0.0
            continue
        power = energy(use.sound_power[period]) if period in use.sound_power else 0.0
        # A movement's sound power is averaged over one hour.
        trips = use.heavy_trips.get(period, 0.0) / 100.0 * energy(use.sound_per_trip) / length
        worked = min(use.hours.get(period, length), length)
        mean[period] = power * worked / length + trips
        working[period] = (power if worked > 0 else 0.0) + trips
    if metric == "loudest":
        return max(working.values())
    if metric == "night_hour":
        return working["night"]
    weights = {
        "daytime": {"day": 1.0, "evening": 1.0},
        "nighttime": {"evening": 1.0, "night": 1.0},
        "den": {"day": 1.0, "evening": energy(5.0), "night": energy(10.0)},
    }.get(metric, {metric: 1.0})
    whole = sum(hours[p] for p in (PERIODS if metric == "den" else weights))
    return sum(factor * hours[p] * mean[p] for p, factor in weights.items()) / whole if whole else 0.0


def loud(use: Use) -> bool:
    """Return whether a use radiates any sound."""
    return sound_energy(use, "loudest") > 0


def spectrum(use: Use) -> tuple[float, ...]:
    """Return the shares of A-weighted sound energy by octave band, 63 to 8,000 Hz, which sum to 1."""
    bands = [energy(level) for level in use.spectrum] or [1.0] * 8
    return tuple(band / sum(bands) for band in bands)


def emission(use: Use, pollutant: str, *, working: bool = False, hours: Mapping[str, float] = HOURS) -> float:
    """Return what one m² of floor emits: g/s, or odour units per second for ``odour``.

    The mean of the year, or the rate while it operates. Odour is given for the hours of operation and counts as if
    these were all hours: errs on the safe side.

    Parameters
    ----------
    working : bool
    hours : dict
        Lengths of the periods, h.
    """
    given = use.emissions.get(pollutant, 0.0)
    if pollutant == "odour":
        return given / 3600.0
    operated = math.fsum(min(use.hours.get(p, hours[p]), hours[p]) for p in PERIODS) / 24.0
    if working and operated > 0:
        return given / SECONDS / operated
    return given / SECONDS
