"""Air: what a steady emission adds to the concentration around it, by Gaussian plumes.

The equations are those of the Industrial Source Complex models (U.S. EPA 1995, EPA-454/B-95-003b, "ISC3" below) with
the dispersion of Briggs (1973). Concentrations are in µg/m³ for 1 g/s and add up over sources.

Not modelled: plume rise, deposition, chemistry (NO2 is what is emitted as NO2), hills, street canyons, and the wakes
of buildings. Between tall buildings the real concentration can be a multiple of the one found here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geodata.errors import GeodataError

FloatArray = NDArray[np.float64]

SECTORS = 16
"""Wind directions of a rose."""
SECTOR = 2 * math.pi / SECTORS
"""Angle of one of them, rad."""
STABILITIES = "ABCDEF"
"""Pasquill's classes, from very unstable to stable."""
CALM_SPEED = 1.0
"""Wind of calm hours and least wind of any hour, m/s at 10 m.

The formula grows without bound as the wind dies; U.S. EPA (2000, EPA-454/R-99-005, 6.2.3) sets lower speeds to 1 m/s
too. It leaves calm hours out, though; here they count, for they are not clean hours.
"""
LEAST_DISTANCE = 1.0
"""Nearest to a point source that the formula is used, m."""
MICROGRAMS = 1e6
"""µg in 1 g."""
LATERAL = 4.3
"""Width of a source in initial sigma_y; ISC3 table 3-1, single volume source."""
CHUNK = 1 << 16
"""Pairs worked on at a time; their arrays fit the processor's cache."""

SIGMA_Y = {
    "urban": ((0.32, 0.0004), (0.32, 0.0004), (0.22, 0.0004), (0.16, 0.0004), (0.11, 0.0004), (0.11, 0.0004)),
    "rural": ((0.22, 0.0001), (0.16, 0.0001), (0.11, 0.0001), (0.08, 0.0001), (0.06, 0.0001), (0.04, 0.0001)),
}
"""(a, b) by terrain and class of sigma_y = a x (1 + b x)^(-1/2), x and sigma_y in m; Briggs 1973, ATDL file 79."""
SIGMA_Z = {
    "urban": (
        (0.24, 0.001, 0.5),
        (0.24, 0.001, 0.5),
        (0.20, 0.0, 0.0),
        (0.14, 0.0003, -0.5),
        (0.08, 0.0015, -0.5),
        (0.08, 0.0015, -0.5),
    ),
    "rural": (
        (0.20, 0.0, 0.0),
        (0.12, 0.0, 0.0),
        (0.08, 0.0002, -0.5),
        (0.06, 0.0015, -0.5),
        (0.03, 0.0003, -1.0),
        (0.016, 0.0003, -1.0),
    ),
}
"""(a, b, c) of sigma_z = a x (1 + b x)^c; Briggs 1973."""
WIND_EXPONENT = {
    "urban": (0.15, 0.15, 0.20, 0.25, 0.30, 0.30),
    "rural": (0.07, 0.07, 0.10, 0.15, 0.35, 0.55),
}
"""Exponent of the wind profile by terrain and class; ISC3 defaults."""
ANEMOMETER = 10.0
"""Height of the wind measurement, m."""


@dataclass(frozen=True)
class WindRose:
    """How often which wind blows.

    Calm hours count as wind of `CALM_SPEED` from all sectors alike, in the most stable class of the rose.

    Attributes
    ----------
    frequency : ndarray, shape (16, classes)
        Share of the hours of the year; row 0 is wind from the north, then clockwise every 22.5 degrees.
    stability : tuple of str
        Pasquill stability "A" to "F" of each class.
    speed : ndarray, shape (classes,)
        Wind at 10 m above ground, m/s; below `CALM_SPEED` it counts as that.
    calm : float
        Share of calm hours.

    Raises
    ------
    GeodataError
        When shapes do not match, a share is negative, a speed is not above zero, or the shares do not add up to 1.
    """

    frequency: FloatArray
    stability: tuple[str, ...]
    speed: FloatArray
    calm: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequency", np.array(self.frequency, dtype=float))
        object.__setattr__(self, "stability", tuple(self.stability))
        object.__setattr__(self, "speed", np.array(self.speed, dtype=float))
        classes = len(self.stability)
        if self.frequency.shape != (SECTORS, classes) or self.speed.shape != (classes,) or not classes:
            raise GeodataError(
                f"wind rose: frequency {self.frequency.shape}, {classes} stabilities, speed {self.speed.shape}; "
                "expected frequency (16, classes) and one stability and speed a class"
            )
        for name in self.stability:
            _index(name)
        if not (np.isfinite(self.speed) & (self.speed > 0)).all():
            raise GeodataError(f"wind rose: speed {self.speed.min():g} m/s; give speeds above 0 and calm hours as calm")
        if not (self.frequency >= 0).all() or not self.calm >= 0:
            raise GeodataError("wind rose: a frequency below 0; shares of the hours of the year lie between 0 and 1")
        total = float(self.frequency.sum()) + self.calm
        if not abs(total - 1) <= 1e-3:
            raise GeodataError(
                f"wind rose: frequencies and calms add up to {total:.4g}; expected 1, divide them by their sum"
            )

    @property
    def with_calms(self) -> FloatArray:
        """Shares by sector and class with one more class for the calm hours, shape (16, classes + 1)."""
        return np.column_stack([self.frequency, np.full(SECTORS, self.calm / SECTORS)])

    @property
    def classes(self) -> tuple[tuple[str, float], ...]:
        """Stability and wind speed (m/s at 10 m) of the columns of `with_calms`."""
        speeds = np.maximum(self.speed, CALM_SPEED).tolist()
        return (*zip(self.stability, speeds, strict=True), (max(self.stability), CALM_SPEED))


def sigma(stability: str, distance: ArrayLike, terrain: str = "urban") -> tuple[FloatArray, FloatArray]:
    """Return the standard deviations of a plume across the wind and upwards, sigma_y and sigma_z, m.

    Briggs (1973), urban and open-country formulas; fitted from 100 m to 10 km and used beyond.

    Parameters
    ----------
    stability : str
        Pasquill class, "A" to "F".
    distance : array_like
        Downwind from a point source, m, at least 0.
    terrain : str
        "urban" or "rural".
    """
    k = _index(stability, terrain)
    x = np.asarray(distance, dtype=float)
    a, b = SIGMA_Y[terrain][k]
    return a * x / np.sqrt(1 + b * x), _sigma_z(k, x, terrain)


def wind_at(height: ArrayLike, speed_10m: ArrayLike, stability: str, terrain: str = "urban") -> FloatArray:
    """Return the wind that dilutes a plume released at a height, m/s.

    A power law from 10 m up; below it the wind at 10 m counts, and nowhere less than `CALM_SPEED`, both as in ISC3.
    """
    exponent = WIND_EXPONENT[terrain][_index(stability, terrain)]
    ratio = np.maximum(np.asarray(height, dtype=float), ANEMOMETER) / ANEMOMETER
    return np.asarray(np.maximum(speed_10m, CALM_SPEED) * ratio**exponent)


def annual(
    distance_east: ArrayLike,
    distance_north: ArrayLike,
    release_height: ArrayLike,
    receptor_height: ArrayLike,
    width: ArrayLike,
    rose: WindRose,
    terrain: str = "urban",
    mixing_height: float = math.inf,
    initial_sigma_z: ArrayLike = 0.0,
) -> FloatArray:
    """Return annual mean concentrations, µg/m³ for 1 g/s.

    Elementwise over broadcast arrays: the sum over sectors and classes of frequency times `sector_hour`.

    Parameters
    ----------
    distance_east, distance_north : array_like
        Receptor minus source, m.
    release_height, receptor_height : array_like
        Above ground, m.
    width : array_like
        Width of the source, m; 0 for a stack.
    rose : WindRose
        Winds of the year.
    terrain : str
        "urban" or "rural".
    mixing_height : float
        Height of the lid over classes A to D, m; under E and F there is none, as in ISC3.
    initial_sigma_z : array_like
        Vertical spread at the source, m.

    Raises
    ------
    GeodataError
        When the mixing height does not lie above releases and receptors.
    """
    diluted: dict[str, FloatArray] = {}
    for column, (stability, speed) in zip(rose.with_calms.T, rose.classes, strict=True):
        diluted[stability] = diluted.get(stability, np.zeros(SECTORS)) + column / speed
    return _sector_averages(
        distance_east,
        distance_north,
        release_height,
        receptor_height,
        width,
        {name: share for name, share in diluted.items() if share.any()},
        terrain,
        mixing_height,
        initial_sigma_z,
    )


def sector_hour(
    distance_east: ArrayLike,
    distance_north: ArrayLike,
    release_height: ArrayLike,
    receptor_height: ArrayLike,
    width: ArrayLike,
    sector: int,
    stability: str,
    speed: float,
    terrain: str = "urban",
    mixing_height: float = math.inf,
    initial_sigma_z: ArrayLike = 0.0,
) -> FloatArray:
    """Return the mean concentration over hours with wind from one sector, µg/m³ for 1 g/s.

    C = Q S (1 + w²/(8 r²)) (V(z - H) + V(z + H)) / (sqrt(2 pi) u sigma_z r pi/8), where V(s) is the sum over all m of
    exp(-(s + 2 m L)²/(2 sigma_z²)), H and z are the heights of release and receptor, L is the lid (see `annual`), w the
    width and r the distance, at least w / 2. S is 1 on the centre line of the sector and falls linearly to 0 on those
    of its neighbours, as in ISC3, averaged over the angle that the source fills as seen from the receptor: the plume is
    as wide as the source, and what passes a ring around it is what it emits. The term in w is there because parts
    of the source are nearer than its middle (the mean of 1/r² over a disc); beyond two widths it is below 4 %.
    Inside the source (r < w / 2) the formula does not hold: it gives the value of the edge, blended towards the mean
    of all directions at the middle.

    Parameters
    ----------
    sector : int
        0 is wind from the north, then clockwise.
    stability : str
        Pasquill class, "A" to "F".
    speed : float
        Wind at 10 m, m/s.
    """
    if not 0 <= sector < SECTORS:
        raise GeodataError(f"sector = {sector}: expected 0 (wind from the north) to 15, clockwise")
    share = np.zeros(SECTORS)
    share[sector] = 1 / max(speed, CALM_SPEED)
    return _sector_averages(
        distance_east,
        distance_north,
        release_height,
        receptor_height,
        width,
        {stability: share},
        terrain,
        mixing_height,
        initial_sigma_z,
    )


def hourly(
    distance_east: ArrayLike,
    distance_north: ArrayLike,
    release_height: ArrayLike,
    receptor_height: ArrayLike,
    width: ArrayLike,
    direction: float,
    stability: str,
    speed: float,
    terrain: str = "urban",
    mixing_height: float = math.inf,
    initial_sigma_z: ArrayLike = 0.0,
) -> FloatArray:
    """Return concentrations in one hour of steady wind, µg/m³ for 1 g/s; see `annual` for parameters.

    C = Q exp(-y²/(2 sigma_y²)) (V(z - H) + V(z + H)) / (2 pi u sigma_y sigma_z), zero upwind; V as for `sector_hour`.
    The width counts by a virtual point source so far upwind that sigma_y is width / 4.3 at the source; nearer to its
    middle than half the width, where the formula does not hold, the spread is that at half the width.

    Parameters
    ----------
    direction : float
        Where the wind comes from, degrees clockwise from north.
    stability : str
        Pasquill class, "A" to "F".
    speed : float
        Wind at 10 m, m/s.
    """
    k = _index(stability, terrain)
    _check_lid(mixing_height, release_height, receptor_height)
    lid = _lid(k, mixing_height)
    toward = np.deg2rad(direction)
    lateral = _virtual_distance(np.asarray(width, dtype=float) / LATERAL, (*SIGMA_Y[terrain][k], -0.5))
    vertical = _virtual_distance(initial_sigma_z, SIGMA_Z[terrain][k])
    wind = wind_at(release_height, speed, stability, terrain)
    operands = (distance_east, distance_north, release_height, receptor_height, width, wind, lateral, vertical)
    result = np.empty(np.broadcast_shapes(*map(np.shape, operands)))
    for out, (east, north, release, receptor, across, u, x_y, x_z) in _blocks(operands, result):
        x = -(east * math.sin(toward) + north * math.cos(toward))
        y = east * math.cos(toward) - north * math.sin(toward)
        reach = np.maximum(np.maximum(x, across / 2), LEAST_DISTANCE)
        s_y = sigma(stability, reach + x_y, terrain)[0]
        s_z = _sigma_z(k, reach + x_z, terrain)
        plume = np.exp(-0.5 * (y / s_y) ** 2) * _vertical(release, receptor, s_z, lid)
        out[...] = np.where(x > 0, MICROGRAMS * plume / (2 * math.pi * u * s_y * s_z), 0.0)
    return result


def nearest_heights(
    release: tuple[ArrayLike, ArrayLike], receptor: tuple[ArrayLike, ArrayLike]
) -> tuple[FloatArray, FloatArray]:
    """Return a release and a receptor height that give no less than any heights of two ranges (low, high), m.

    For storeys not known yet. Concentrations fall as |z - H|, z + H or the wind at H grow. The pair has the least
    |z - H| in the ranges, a sum no larger than that of the lowest heights and a release no higher than the lowest; it
    need not lie in the ranges, for of heights in them none is the worst at every distance. Without a lid this always
    bounds; under one it does if the pair and the highest heights add up to less than twice the lid.

    Returns
    -------
    tuple of ndarray
        Release and receptor height.
    """
    (low_h, high_h), (low_z, high_z) = ([np.asarray(v, dtype=float) for v in pair] for pair in (release, receptor))
    above, below = np.maximum(low_h - high_z, 0.0), np.maximum(low_z - high_h, 0.0)
    height = np.minimum(low_h, (low_h + low_z + above - below) / 2)
    return height, height - above + below


def _index(stability: str, terrain: str = "urban") -> int:
    """Return the place of a stability class; both names are checked."""
    if terrain not in WIND_EXPONENT:
        raise GeodataError(f'terrain = "{terrain}": expected "urban" or "rural"')
    if len(stability) != 1 or stability not in STABILITIES:
        raise GeodataError(f'stability = "{stability}": expected a Pasquill class, "A" to "F"')
    return STABILITIES.index(stability)


def _sigma_z(k: int, x: FloatArray, terrain: str) -> FloatArray:
    return _power(x, SIGMA_Z[terrain][k])


def _power(x: FloatArray, coefficients: tuple[float, float, float]) -> FloatArray:
    """Return a x (1 + b x)^c."""
    a, b, c = coefficients
    if c == 0:
        return a * x
    growth = 1 + b * x
    if c == -1:
        return a * x / growth
    return a * x / np.sqrt(growth) if c < 0 else a * x * np.sqrt(growth)


def _virtual_distance(spread: ArrayLike, coefficients: tuple[float, float, float]) -> FloatArray:
    """Return the distance at which a plume has grown to a spread, m, by bisection; at most 1,000 km."""
    spread = np.asarray(spread, dtype=float)
    low, high = np.full(spread.shape, 1e-6), np.full(spread.shape, 1e6)
    if not spread.any():
        return np.zeros(spread.shape)
    for _ in range(50):
        middle = np.sqrt(low * high)
        short = _power(middle, coefficients) < spread
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return low


def _lid(k: int, mixing_height: float) -> float:
    """Return the lid of a stability class; ISC3 lets stable air mix without limit."""
    return mixing_height if STABILITIES[k] < "E" else math.inf


def _check_lid(mixing_height: float, *heights: ArrayLike) -> None:
    top = max((float(np.max(h)) for h in heights if np.size(h)), default=0.0)
    if not mixing_height > top:
        raise GeodataError(
            f"mixing_height = {mixing_height:g} m: releases and receptors reach {top:g} m; give a height above them"
        )


def _vertical(release: FloatArray, receptor: FloatArray, spread: FloatArray, lid: float) -> FloatArray:
    """Return the vertical term: the plume, its image in the ground and the images of both in the lid."""
    return _images(receptor - release, spread, lid) + _images(receptor + release, spread, lid)


def _images(offset: FloatArray, spread: FloatArray, lid: float) -> FloatArray:
    """Return the sum over all m of exp(-(offset + 2 m lid)²/(2 spread²)); spread evenly once spread is 1.6 lids."""
    total = np.exp(-0.5 * (offset / spread) ** 2)
    if math.isinf(lid):
        return total
    near = np.flatnonzero(6 * spread > 2 * lid - np.abs(offset))
    if len(near):
        o, s = offset[near], spread[near]
        images = total[near]
        for m in (1, 2, 3, 4):
            images += np.exp(-0.5 * ((2 * m * lid - o) / s) ** 2) + np.exp(-0.5 * ((2 * m * lid + o) / s) ** 2)
        total[near] = np.where(s < 1.6 * lid, images, math.sqrt(math.pi / 2) * s / lid)
    return total


def _sector_averages(
    distance_east: ArrayLike,
    distance_north: ArrayLike,
    release_height: ArrayLike,
    receptor_height: ArrayLike,
    width: ArrayLike,
    diluted: dict[str, FloatArray],
    terrain: str,
    mixing_height: float,
    initial_sigma_z: ArrayLike,
) -> FloatArray:
    """Return the sum over stabilities of sector-averaged plumes; `diluted` holds frequency / wind at 10 m by sector."""
    index = [_index(stability, terrain) for stability in diluted]
    tables = [_primitive(share) for share in diluted.values()]
    _check_lid(mixing_height, release_height, receptor_height)
    virtual = [_virtual_distance(initial_sigma_z, SIGMA_Z[terrain][k]) for k in index]
    rise = np.log(np.maximum(np.asarray(release_height, dtype=float), ANEMOMETER) / ANEMOMETER)
    operands = (distance_east, distance_north, release_height, receptor_height, width, rise, *virtual)
    result = np.empty(np.broadcast_shapes(*map(np.shape, operands)))
    for out, (east, north, release, receptor, across, log_rise, *x_z) in _blocks(operands, result):
        distance, half = np.hypot(east, north), across / 2
        reach = np.maximum(np.maximum(distance, half), LEAST_DISTANCE)
        # Half the angle that the source fills: up to 90 degrees from outside, all directions from its middle.
        angle = np.arcsin(np.minimum(distance, half) / np.maximum(np.maximum(distance, half), 1e-9))
        filled = np.maximum(np.where(distance < half, math.pi - angle, angle) / SECTOR, 1e-6)
        bearing = np.arctan2(-east, -north) / SECTOR + SECTORS
        ends = [_cell(bearing + filled), _cell(bearing - filled)]
        near = 1 + 0.5 * (half / reach) ** 2
        scale = MICROGRAMS * near / (math.sqrt(2 * math.pi) * SECTOR * reach * 2 * filled)
        total = np.zeros(len(out))
        for k, table, start in zip(index, tables, x_z, strict=True):
            s_z = _sigma_z(k, reach + start, terrain)
            share = _integral(table, *ends[0]) - _integral(table, *ends[1])
            fall = np.exp(-WIND_EXPONENT[terrain][k] * log_rise)
            total += share * fall * _vertical(release, receptor, s_z, _lid(k, mixing_height)) / s_z
        out[...] = scale * total
    return result


def _primitive(share: FloatArray) -> FloatArray:
    """Return the integral over direction of shares joined linearly, from north over two turns, in sectors.

    Shape (3, 33): within cell k the integral up to k + t is c0 + t (c1 + t c2).
    """
    value = np.resize(share, 2 * SECTORS + 2)
    change = np.diff(value)
    whole = np.concatenate([[0.0], np.cumsum(value[:-1] + change / 2)])
    return np.stack([whole[:-1], value[:-1], change / 2])


def _cell(position: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    cell = np.clip(position.astype(np.int64), 0, 2 * SECTORS)
    return cell, position - cell


def _integral(table: FloatArray, cell: NDArray[np.int64], part: FloatArray) -> FloatArray:
    c0, c1, c2 = (row[cell] for row in table)
    return np.asarray(c0 + part * (c1 + part * c2))


def _blocks(operands: tuple[ArrayLike, ...], result: FloatArray) -> Iterator[tuple[FloatArray, list[FloatArray]]]:
    """Yield result and broadcast operands piece by piece, one-dimensional; the result is there to be written."""
    arrays = [np.asarray(operand, dtype=float) for operand in operands]
    access: Any = [["readonly"]] * len(arrays) + [["writeonly"]]
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    with np.nditer([*arrays, result], flags, access, buffersize=CHUNK) as iterator:
        for piece in iterator:
            yield piece[-1], list(piece[:-1])
