"""Sound outdoors from point sources: ISO 9613-2 in octave bands, and the few sums of levels that go with it.

``L = L_W - (A_div + A_atm + A_gr + A_bar) + reflection`` in eight octave bands, downwind, as ISO 9613-2:1996 has it. Energies are
ratios to the reference (10^(L/10)); they add, levels do not.

Not modelled: weather statistics (C_met), foliage, housing and industrial sites (A_misc), ground that rises or falls, reflections
other than a flat allowance. Screens are in `geodata.screening`.

Sources
-------
ISO 9613-1:1993 (air), ISO 9613-2:1996 (everything else), ISO/TR 17534-3:2015 (how to read 9613-2 where it leaves room),
IEC 61672-1:2013 (A-weighting), DIN 45691:2006 (planning kernel), Directive 2002/49/EC, annex I (day-evening-night).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geodata.errors import GeodataError

FloatArray = NDArray[np.float64]
Heights = tuple[ArrayLike, ArrayLike]
"""Lowest and highest height above the ground, m; each broadcasts."""

BANDS = (63, 125, 250, 500, 1000, 2000, 4000, 8000)
"""Nominal centres of the octave bands, Hz."""
CENTRES = 1000.0 * 10.0 ** (0.3 * np.arange(-4, 4))
"""Exact centres of the octave bands, base ten (IEC 61260-1), Hz."""
A_WEIGHTING = np.array([-26.2, -16.1, -8.6, -3.2, 0.0, 1.2, 1.0, -1.1])
"""dB by band, IEC 61672-1."""
SPEED_OF_SOUND = 340.0
"""m/s; what ISO/TR 17534-3 takes for wavelengths."""
NEAREST = 1.0
"""Least distance from a source, m: the formulas hold outside a source, and would rise without limit within it."""

_CHUNK = 1 << 15
"""Pairs worked on at a time: a band of them fits the cache."""
_BETWEEN = (2.0, 2.75, 3.5)
"""Heights at which the ground attenuation at 125 Hz can be less than at both ends of a range around them, m."""


def energy(level: ArrayLike) -> FloatArray:
    """Return 10^(L/10) of levels in dB."""
    return np.asarray(10.0 ** (np.asarray(level, dtype=np.float64) / 10.0))


def level(energy: ArrayLike) -> FloatArray:
    """Return 10 lg E of energies, dB; -inf for none."""
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(np.asarray(energy, dtype=np.float64)))


@dataclass(frozen=True)
class Air:
    """The air sound goes through.

    Attributes
    ----------
    temperature : float
        °C.
    humidity : float
        Relative, %.
    pressure : float
        kPa.
    """

    temperature: float = 10.0
    humidity: float = 70.0
    pressure: float = 101.325

    def __post_init__(self) -> None:
        if not -273.15 < self.temperature < 100:
            raise GeodataError(
                f"air: temperature = {self.temperature}: degrees Celsius between -273.15 and 100 expected"
            )
        if not 0 < self.humidity <= 100:
            raise GeodataError(f"air: humidity = {self.humidity}: per cent above 0, to 100, expected")
        if not self.pressure > 0:
            raise GeodataError(f"air: pressure = {self.pressure}: kPa above 0 expected; 101.325 at sea level")

    @cached_property
    def absorption(self) -> FloatArray:
        """Attenuation by the air at the exact band centres, dB/m, shape (8,); ISO 9613-1, formulas 3 to 5 and annex B."""
        pressure = self.pressure / 101.325
        kelvin = self.temperature + 273.15
        warmth = kelvin / 293.15
        saturation = 10.0 ** (4.6151 - 6.8346 * (273.16 / kelvin) ** 1.261)
        water = self.humidity * saturation / pressure
        oxygen = pressure * (24.0 + 4.04e4 * water * (0.02 + water) / (0.391 + water))
        nitrogen = pressure * warmth**-0.5 * (9.0 + 280.0 * water * np.exp(-4.170 * (warmth ** (-1.0 / 3.0) - 1.0)))
        squared = CENTRES**2
        classical = 1.84e-11 / pressure * warmth**0.5
        relaxation = 0.01275 * np.exp(-2239.1 / kelvin) / (oxygen + squared / oxygen)
        relaxation = relaxation + 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen + squared / nitrogen)
        return np.asarray(8.686 * squared * (classical + warmth**-2.5 * relaxation))


@dataclass(frozen=True)
class Conditions:
    """What lies between source and receptor, the same everywhere.

    Attributes
    ----------
    air : Air
    ground : float
        Ground factor G of all three regions: 0 hard (paving, water), 1 porous (grass, fields).
    reflection : float
        Added for what facades reflect, dB.
    most_screening : float
        Cap of the attenuation by one screen, dB; ISO 9613-2, 7.4, gives 20 for single diffraction.
    """

    air: Air = Air()
    ground: float = 0.0
    reflection: float = 0.0
    most_screening: float = 20.0

    def __post_init__(self) -> None:
        if not 0 <= self.ground <= 1:
            raise GeodataError(
                f"conditions: ground = {self.ground}: a ground factor lies between 0 (hard) and 1 (porous)"
            )
        if not self.most_screening >= 0:
            raise GeodataError(f"conditions: most_screening = {self.most_screening}: dB, 0 or more, expected")


def shares(levels: ArrayLike) -> FloatArray:
    """Return the shares of A-weighted energy by band of unweighted octave levels, dB, shape (8,); they sum to 1."""
    weighted = energy(np.asarray(levels, dtype=np.float64) + A_WEIGHTING)
    return np.asarray(weighted / weighted.sum())


def divergence(distance: ArrayLike) -> FloatArray:
    """Return A_div = 20 lg d + 11 dB of distances, m; ISO 9613-2, formula 7.

    Nearer than 1 m counts as 1 m: the formula holds outside a source, and the reference distance is 1 m.
    """
    return np.asarray(20.0 * np.log10(np.maximum(np.asarray(distance, dtype=np.float64), NEAREST)) + 11.0)


def ground(
    conditions: Conditions, source_height: ArrayLike, receptor_height: ArrayLike, distance: ArrayLike
) -> FloatArray:
    """Return A_gr = A_s + A_r + A_m by band, dB, shape (..., 8); ISO 9613-2, 7.3.1, table 3.

    A_m at 63 Hz is -3 q: the "2" after it in the table is a footnote, no power.

    Parameters
    ----------
    source_height, receptor_height : array_like
        Above the ground, m.
    distance : array_like
        Along the ground, m.
    """
    ndim = len(np.broadcast_shapes(*(np.shape(a) for a in (source_height, receptor_height, distance))))
    s, r, d = (_expanded(a, ndim) for a in (source_height, receptor_height, distance))
    return np.moveaxis(_ground(conditions.ground, (s, s), (r, r), d), 0, -1).copy()


def diffraction(
    path_difference: ArrayLike,
    *,
    d_ss: ArrayLike = 0.0,
    d_sr: ArrayLike = 0.0,
    distance: ArrayLike = 0.0,
    lateral: bool = False,
    conditions: Conditions | None = None,
) -> FloatArray:
    """Return D_z of one edge by band, dB, shape (..., 8); ISO 9613-2, formulas 14 and 18.

    ``D_z = 10 lg(3 + C2 C3 z K_met / wavelength)``, C2 = 20, C3 = 1, between 0 and the cap.

    Parameters
    ----------
    path_difference : array_like
        z: how much longer the way over the edge is than the straight line, m; negative where the line passes clear of the edge.
    d_ss, d_sr : array_like
        From source to edge and from edge to receptor, m.
    distance : array_like
        From source to receptor, m.
    lateral : bool
        A vertical edge: K_met = 1, the lengths are not used, and there is no cap (ISO/TR 17534-3, 5.3).
    conditions : Conditions, optional
        For the cap.
    """
    z = np.asarray(path_difference, dtype=np.float64)
    bent = z
    if not lateral:
        product = np.asarray(d_ss, dtype=np.float64) * np.asarray(d_sr) * np.asarray(distance)
        blocked = z > 0
        bent = z * np.where(blocked, np.exp(-np.sqrt(product / (2.0 * np.where(blocked, z, 1.0))) / 2000.0), 1.0)
    per_wavelength = 20.0 * np.array(BANDS) / SPEED_OF_SOUND
    most = np.inf if lateral else (conditions or Conditions()).most_screening
    return np.asarray(np.minimum(10.0 * np.log10(np.maximum(3.0 + per_wavelength * bent[..., None], 1.0)), most))


def transmission(
    distance: ArrayLike,
    source_height: ArrayLike,
    receptor_height: ArrayLike,
    spectrum: ArrayLike,
    conditions: Conditions,
    screening: ArrayLike | None = None,
) -> FloatArray:
    """Return the A-weighted energy that arrives per unit of A-weighted sound power, elementwise over broadcast arrays.

    ``sum over bands of spectrum * 10^(-A/10)``, ``A = A_div + A_atm + A_gr + A_bar - reflection``,
    ``A_bar = max(D_z - max(A_gr, 0), 0)``: a screen takes the place of an attenuation by the ground, but does not take away what
    hard ground reflects (ISO/TR 17534-3, 5.2).

    Parameters
    ----------
    distance : array_like
        Along the ground, m.
    source_height, receptor_height : array_like
        Above the ground, m.
    spectrum : array_like, shape (8,)
        Shares of A-weighted energy by band.
    screening : array_like, shape (..., 8), optional
        D_z by band, dB.
    """
    return loudest(
        distance,
        (source_height, source_height),
        (receptor_height, receptor_height),
        spectrum,
        conditions,
        screening,
    )


def loudest(
    distance: ArrayLike,
    source_heights: Heights,
    receptor_heights: Heights,
    spectrum: ArrayLike,
    conditions: Conditions,
    screening: ArrayLike | None = None,
) -> FloatArray:
    """Return the most `transmission` there is from any source height to any receptor height of two ranges.

    An upper bound, term by term: divergence and air at the least distance in space; attenuation by the ground, region by region and
    band by band, the least over the range (at 125 Hz over porous ground to 0.03 dB, the other bands exactly). Screening is as
    passed in, for the whole of both ranges: `screening` gives it from the highest and the lowest heights.
    """
    shape = np.broadcast_shapes(*(np.shape(a) for a in (distance, *source_heights, *receptor_heights)))
    weight = _checked(spectrum)
    loss = None if screening is None else np.asarray(screening, dtype=np.float64)
    if loss is not None:
        if not loss.ndim or loss.shape[-1] != len(BANDS):
            raise GeodataError(f"screening of shape {loss.shape}: a last axis of {len(BANDS)} bands is expected")
        shape = np.broadcast_shapes(shape, loss.shape[:-1])
    result = np.empty(shape)
    arrays = [_expanded(a, len(shape)) for a in (distance, *source_heights, *receptor_heights)]
    if loss is not None:
        loss = loss.reshape((1,) * (len(shape) + 1 - loss.ndim) + loss.shape)
    for part in _chunks(shape):
        d, s_low, s_high, r_low, r_high = (_part(a, part) for a in arrays)
        gap = np.maximum(np.maximum(s_low - r_high, r_low - s_high), 0.0)
        reach = np.maximum(np.hypot(d, gap), NEAREST)
        soil = _ground(conditions.ground, (s_low, s_high), (r_low, r_high), d)
        arriving = np.zeros(np.broadcast_shapes(reach.shape, soil.shape[1:]))
        screen = None if loss is None else _part(loss, part)
        for band in np.flatnonzero(weight):
            attenuation = conditions.air.absorption[band] * reach + soil[band]
            if screen is not None:
                attenuation = attenuation + np.maximum(screen[..., band] - np.maximum(soil[band], 0.0), 0.0)
            arriving = arriving + weight[band] * energy(-attenuation)
        result[part] = arriving * energy(conditions.reflection - divergence(reach))
    return result


def distance_kernel_din45691(distance: ArrayLike) -> FloatArray:
    """Return 1 / (4 pi d²), the energy per unit of sound power by distance alone, m; DIN 45691.

    No air, ground or screens: what German noise quotas for plots are shared out with. Nearer than 1 m counts as 1 m.
    """
    return np.asarray(1.0 / (4.0 * np.pi * np.maximum(np.asarray(distance, dtype=np.float64), NEAREST) ** 2))


def day_evening_night(
    day: ArrayLike, evening: ArrayLike, night: ArrayLike, hours: tuple[float, float, float] = (12.0, 4.0, 8.0)
) -> FloatArray:
    """Return the energy of L_den from the mean energies of day, evening and night; evening + 5 dB, night + 10 dB."""
    if min(hours) < 0 or not sum(hours) > 0:
        raise GeodataError(f"day, evening and night of {hours} hours: none below 0, and a sum above 0, expected")
    parts = ((day, 0.0), (evening, 5.0), (night, 10.0))
    total = sum(h * np.asarray(e, dtype=np.float64) * energy(p) for h, (e, p) in zip(hours, parts, strict=True))
    return np.asarray(total / sum(hours))


def through_slab(level: ArrayLike, reduction: ArrayLike, area_term: ArrayLike = 0.0) -> FloatArray:
    """Return the level behind a floor, L_2 = L_1 - R'_w + 10 lg(S/A), dB; EN 12354-1.

    Parameters
    ----------
    area_term : array_like
        10 lg(S/A), the floor's area over the absorption area of the room behind it, dB.
    """
    return np.asarray(np.asarray(level, dtype=np.float64) - np.asarray(reduction) + np.asarray(area_term))


def sum_of_levels(*levels: ArrayLike) -> FloatArray:
    """Return the level of several sounds together, dB, such as of what comes through the floor and the ceiling."""
    return level(sum(energy(one) for one in levels))


def _region(porosity: float, height: FloatArray, distance: FloatArray) -> FloatArray:
    """Return A_s or A_r of one height by band, dB, shape (8, ...)."""
    near = -np.expm1(-distance / 50.0)
    attenuation = np.empty((len(BANDS), *np.broadcast_shapes(height.shape, distance.shape)))
    attenuation[0] = 0.0
    attenuation[1] = _at_125(height, near, distance)
    attenuation[2] = 1.5 + 8.6 * np.exp(-0.09 * height**2) * near
    attenuation[3] = 1.5 + 14.0 * np.exp(-0.46 * height**2) * near
    attenuation[4] = 1.5 + 5.0 * np.exp(-0.9 * height**2) * near
    attenuation[5:] = 1.5
    attenuation *= porosity
    attenuation -= 1.5
    return attenuation


def _at_125(height: FloatArray, near: FloatArray, distance: FloatArray) -> FloatArray:
    """Return a'(h) of table 3."""
    far = -np.expm1(-2.8e-6 * distance**2)
    return np.asarray(1.5 + 3.0 * np.exp(-0.12 * (height - 5.0) ** 2) * near + 5.7 * np.exp(-0.09 * height**2) * far)


def _least_region(porosity: float, heights: tuple[FloatArray, FloatArray], distance: FloatArray) -> FloatArray:
    """Return the least A_s or A_r over a range of heights by band, dB, shape (8, ...).

    All bands but 125 Hz fall with height; there a hump around 5 m makes the least an end or a height between.
    """
    low, high = heights
    attenuation = _region(porosity, high, distance)
    near = -np.expm1(-distance / 50.0)
    for height in (low, *(np.clip(h, low, high) for h in _BETWEEN)):
        attenuation[1] = np.minimum(attenuation[1], porosity * _at_125(height, near, distance) - 1.5)
    return attenuation


def _ground(
    porosity: float,
    sources: tuple[FloatArray, FloatArray],
    receptors: tuple[FloatArray, FloatArray],
    distance: FloatArray,
) -> FloatArray:
    """Return the least A_gr over two ranges of heights by band, dB, shape (8, ...)."""
    q = np.maximum(1.0 - 30.0 * (sources[0] + receptors[0]) / np.maximum(distance, NEAREST), 0.0)
    if porosity == 0:
        return np.broadcast_to(-3.0 - 3.0 * q, (len(BANDS), *q.shape))
    attenuation = _least_region(porosity, sources, distance) + _least_region(porosity, receptors, distance)
    middle = np.full((len(BANDS),) + (1,) * q.ndim, -3.0 * (1.0 - porosity))
    middle[0] = -3.0
    return np.asarray(attenuation + middle * q)


def _checked(spectrum: ArrayLike) -> FloatArray:
    """Return a spectrum as an array if it is one."""
    weight = np.asarray(spectrum, dtype=np.float64)
    if weight.shape != (len(BANDS),) or not (weight >= 0).all() or abs(weight.sum() - 1.0) > 1e-6:
        raise GeodataError(
            f"spectrum {np.array2string(weight, precision=4)}: {len(BANDS)} shares of A-weighted energy that sum to 1 are expected; "
            "`shares` makes them from octave levels"
        )
    return weight


def _expanded(array: ArrayLike, ndim: int) -> FloatArray:
    """Return an array with leading axes of length one, not broadcast: what depends on heights alone stays small."""
    whole = np.asarray(array, dtype=np.float64)
    return whole.reshape((1,) * (ndim - whole.ndim) + whole.shape)


def _chunks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cut a shape along its longest axis into parts of about `_CHUNK` elements."""
    size = int(np.prod(shape))
    if not size:
        return
    if not shape:
        yield ()
        return
    axis = int(np.argmax(shape))
    step = max(1, _CHUNK * shape[axis] // size)
    for start in range(0, shape[axis], step):
        yield tuple(slice(start, start + step) if k == axis else slice(None) for k in range(len(shape)))


def _part(array: FloatArray, part: tuple[slice, ...]) -> FloatArray:
    """Return the part of an array that broadcasts to this part of the whole."""
    return array[tuple(s if n > 1 else slice(None) for s, n in zip(part, array.shape, strict=False))]
