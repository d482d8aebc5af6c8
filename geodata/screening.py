"""Buildings that screen sound: which of them stand between a source and a receptor, and by how much they lessen what arrives.

One building at a time, flat-roofed and upright, single diffraction over its top and around its two sides as ISO 9613-2, 7.4, has it;
what a second building or a second edge would add is left out, which is the safe side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.errors import GeodataError
from geodata.propagation import BANDS, Conditions, diffraction, energy, level

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_PAIRS = 20_000
"""Pairs looked up at a time."""
_EDGES = 1 << 18
"""Walls measured at a time."""


@dataclass(frozen=True)
class Screens:
    """Buildings that can stand in the way.

    Attributes
    ----------
    footprints : ndarray of shapely.Polygon or shapely.MultiPolygon, shape (screens,)
        m. Parts of one building stand alone: sound passes between them.
    heights : ndarray, shape (screens,)
        Of the roof, in the same datum as the points' z, m.
    """

    footprints: NDArray[np.object_]
    heights: FloatArray

    def __post_init__(self) -> None:
        if len(self.footprints) != len(self.heights):
            raise GeodataError(
                f"screens: {len(self.footprints)} footprints, {len(self.heights)} heights: one each expected"
            )
        kind = shapely.get_type_id(self.footprints)
        usable = (kind == shapely.GeometryType.POLYGON) | (kind == shapely.GeometryType.MULTIPOLYGON)
        usable &= shapely.is_valid(self.footprints) & ~shapely.is_empty(self.footprints) & np.isfinite(self.heights)
        if not usable.all():
            k = int(np.argmin(usable))
            shape = shapely.is_valid_reason(self.footprints[k]) if self.footprints[k] is not None else "no shape"
            raise GeodataError(
                f"screens[{k}]: {shape}, height {self.heights[k]} m: a valid polygon and a number are expected; "
                "repair it or leave it out"
            )

    @cached_property
    def parts(self) -> NDArray[np.object_]:
        """Polygons, shape (parts,)."""
        return np.asarray(shapely.get_parts(self.footprints), dtype=object)

    @cached_property
    def tops(self) -> FloatArray:
        """Heights of the parts, shape (parts,), m."""
        part = shapely.get_parts(self.footprints, return_index=True)[1]
        return np.asarray(np.asarray(self.heights, dtype=np.float64)[part])

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Index of the parts."""
        return shapely.STRtree(self.parts)

    @cached_property
    def walls(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Both ends of every wall, shape (walls, 2), and the first wall of each part, shape (parts + 1,)."""
        rings, part = shapely.get_rings(self.parts, return_index=True)
        xy, ring = shapely.get_coordinates(rings, return_index=True)
        joined = ring[1:] == ring[:-1]
        count = np.bincount(part[ring[:-1][joined]], minlength=len(self.parts))
        return xy[:-1][joined], xy[1:][joined], np.concatenate([[0], np.cumsum(count)]).astype(np.int64)


@dataclass(frozen=True)
class _Crossings:
    """Parts of screens that pairs cross, each array of shape (crossings,), m along or beside the line from source to receptor.

    Attributes
    ----------
    row, part : ndarray of int
        Pair, part of a screen.
    enter, leave : ndarray
        Where the line first meets and last leaves the footprint.
    left, right : ndarray
        Length of the way around on the ground.
    """

    row: IntArray
    part: IntArray
    enter: FloatArray
    leave: FloatArray
    left: FloatArray
    right: FloatArray


def screening(
    screens: Screens,
    sources: FloatArray,
    receptors: FloatArray,
    pairs: IntArray,
    conditions: Conditions | None = None,
    lowest: tuple[FloatArray, FloatArray] | None = None,
) -> tuple[IntArray, FloatArray]:
    """Return the pairs that a building screens, and its D_z by band.

    A building screens a pair if the straight line between the two crosses its footprint and its roof rises above that line where it
    enters or leaves. One that holds the source or the receptor, on its outline too, is their own and does not.
    The ways over the top, to the left and to the right each carry energy, ``D_z = -10 lg sum 10^(-D/10)``. Over the
    top, of the edges where the line enters and leaves, the one that screens more counts: the way over both is longer still. Around a side, the corner
    with the longest way counts. Of several buildings, the one that screens a band most counts.

    Parameters
    ----------
    sources, receptors : ndarray, shape (points, 3)
        x, y, z, m. For points of unknown height, z is the highest.
    pairs : ndarray of int, shape (pairs, 2)
        Rows of sources and receptors.
    conditions : Conditions, optional
        For the cap. It holds over the top, and so for the sum; ways around a side have none (ISO/TR 17534-3, 5.3).
    lowest : tuple of ndarray, shapes (sources,) and (receptors,), optional
        Lowest heights, where z is the highest. D_z is then the least over both ranges.

    Returns
    -------
    row : ndarray of int, shape (screened,)
        Rows of `pairs`, ascending.
    screening : ndarray, shape (screened, 8)
        dB, above 0 in some band.
    """
    given = conditions or Conditions()
    low = (sources[:, 2], receptors[:, 2]) if lowest is None else lowest
    own = _own(screens, sources), _own(screens, receptors)
    rows, losses = [np.empty(0, dtype=np.int64)], [np.empty((0, len(BANDS)))]
    for start in range(0, len(pairs), _PAIRS):
        i, j = pairs[start : start + _PAIRS].T
        a, b = sources[i], receptors[j]
        rise = np.maximum(a[:, 2] - low[1][j], b[:, 2] - low[0][i])
        row, part = _candidates(screens, a, b)
        alien = ~np.isin(i[row] * len(screens.parts) + part, own[0])
        alien &= ~np.isin(j[row] * len(screens.parts) + part, own[1])
        for portion in _portions(screens, row[alien], part[alien]):
            crossed = _crossings(screens, a, b, *portion)
            loss = _losses(screens, a, b, rise, crossed, given)
            keep = loss.any(axis=1)
            rows.append(start + crossed.row[keep])
            losses.append(loss[keep])
    row, loss = np.concatenate(rows), np.concatenate(losses)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    return row[first], np.maximum.reduceat(loss, first) if len(first) else loss


def _own(screens: Screens, points: FloatArray) -> IntArray:
    """Return point * parts + part for every part that holds a point."""
    point, part = screens.tree.query(shapely.points(points[:, :2]), predicate="intersects")
    return np.asarray(point * len(screens.parts) + part, dtype=np.int64)


def _candidates(screens: Screens, a: FloatArray, b: FloatArray) -> tuple[IntArray, IntArray]:
    """Return rows of two ends and the parts between them that are higher than the lower end, by row."""
    lines = shapely.linestrings(np.stack([a[:, :2], b[:, :2]], axis=1))
    row, part = screens.tree.query(lines, predicate="intersects")
    high = screens.tops[part] > np.minimum(a[row, 2], b[row, 2])
    row, part = row[high], part[high]
    order = np.argsort(row, kind="stable")
    return row[order].astype(np.int64), part[order].astype(np.int64)


def _portions(screens: Screens, row: IntArray, part: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Cut candidates into portions of about `_EDGES` walls."""
    first = screens.walls[2]
    portion = np.cumsum(first[part + 1] - first[part]) // _EDGES
    for k in np.unique(portion):
        here = slice(*np.searchsorted(portion, [k, k + 1]))
        yield row[here], part[here]


def _crossings(screens: Screens, a: FloatArray, b: FloatArray, row: IntArray, part: IntArray) -> _Crossings:
    """Measure where candidates are crossed and how far the ways around them are."""
    start, end, first = screens.walls
    count = first[part + 1] - first[part]
    begin = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(part)), count)
    wall = np.arange(len(owner)) - begin[owner] + first[part][owner]
    ab = (b - a)[row, :2]
    distance = np.hypot(*ab.T)
    unit = ab / distance[:, None]
    along, beside = _turned(start[wall], a[row, :2][owner], unit[owner])
    next_along, next_beside = _turned(end[wall], a[row, :2][owner], unit[owner])
    crosses = (beside >= 0) != (next_beside >= 0)
    share = np.divide(beside, beside - next_beside, out=np.zeros_like(beside), where=crosses)
    at = np.where(crosses, along + share * (next_along - along), np.nan)
    whole = distance[owner]
    between = crosses & (at >= 0) & (at <= whole)
    beyond = np.logical_or.reduceat(crosses & ~between, begin)
    enter = np.minimum.reduceat(np.where(between, at, np.inf), begin)
    leave = np.maximum.reduceat(np.where(between, at, -np.inf), begin)
    around = np.hypot(along, beside) + np.hypot(whole - along, beside)
    left = np.maximum.reduceat(np.where(beside > 0, around, 0.0), begin)
    right = np.maximum.reduceat(np.where(beside < 0, around, 0.0), begin)
    crossed = leave > enter
    wrapped = np.flatnonzero(crossed & beyond)
    if len(wrapped):
        left[wrapped], right[wrapped] = _around_wrapped(screens, a[row[wrapped]], b[row[wrapped]], part[wrapped])
    return _Crossings(row[crossed], part[crossed], enter[crossed], leave[crossed], left[crossed], right[crossed])


def _around_wrapped(screens: Screens, a: FloatArray, b: FloatArray, part: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the ways around buildings that also stand behind the source or the receptor.

    A corner lengthens the way only if it belongs to the piece between the two that the line goes through: of a wing around the
    back, sound may pass on the near side. So the footprint is cut at both ends of the line.
    """
    line = shapely.linestrings(np.stack([a[:, :2], b[:, :2]], axis=1))
    ab = (b - a)[:, :2]
    distance = np.hypot(*ab.T)
    unit = ab / distance[:, None]
    bounds = shapely.bounds(screens.parts[part])
    wide = 2.0 * (np.hypot(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) + distance)
    side = np.column_stack([-unit[:, 1], unit[:, 0]]) * wide[:, None]
    near, far = a[:, :2], b[:, :2]
    strip = shapely.polygons(np.stack([near + side, far + side, far - side, near - side], axis=1))
    pieces, owner = shapely.get_parts(shapely.intersection(screens.parts[part], strip), return_index=True)
    met = shapely.intersects(pieces, line[owner])
    xy, piece = shapely.get_coordinates(pieces[met], return_index=True)
    owner = owner[met][piece]
    along, beside = _turned(xy, near[owner], unit[owner])
    around = np.hypot(along, beside) + np.hypot(distance[owner] - along, beside)
    left, right = distance.copy(), distance.copy()
    np.maximum.at(left, owner[beside > 0], around[beside > 0])
    np.maximum.at(right, owner[beside < 0], around[beside < 0])
    return left, right


def _turned(xy: FloatArray, origin: FloatArray, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how far points lie along a direction from an origin, and to its left, m."""
    x, y = (xy - origin).T
    return x * unit[:, 0] + y * unit[:, 1], y * unit[:, 0] - x * unit[:, 1]


def _losses(
    screens: Screens, a: FloatArray, b: FloatArray, rise: FloatArray, crossed: _Crossings, conditions: Conditions
) -> FloatArray:
    """Return D_z of each crossing by band, dB, shape (crossings, 8); 0 where the line clears the roof.

    Parameters
    ----------
    rise : ndarray, shape (pairs,)
        Greatest difference of height between the two ends, m.
    """
    row = crossed.row
    run = np.hypot(*(b - a)[row, :2].T)
    up_a, up_b = screens.tops[crossed.part] - a[row, 2], screens.tops[crossed.part] - b[row, 2]
    straight = np.hypot(run, up_a - up_b)
    at = np.stack([crossed.enter, crossed.leave])
    clearance = up_a + (up_b - up_a) * at / run
    d_ss, d_sr = np.hypot(at, up_a), np.hypot(run - at, up_b)
    z = np.copysign(np.maximum(d_ss + d_sr - straight, 0.0), clearance)
    over = diffraction(z, d_ss=d_ss, d_sr=d_sr, distance=straight, conditions=conditions).max(axis=0)
    direct = np.hypot(run, rise[row])
    sides = np.stack([np.hypot(way, rise[row]) - direct for way in (crossed.left, crossed.right)])
    around = diffraction(sides, lateral=True)
    loss = np.maximum(-level(energy(-over) + energy(-around).sum(axis=0)), 0.0)
    return np.where((clearance > 0).any(axis=0)[:, None], loss, 0.0)
