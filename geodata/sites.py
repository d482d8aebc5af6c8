"""Building sites: large parcels divided into pieces that each carry one building."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.optimize import brentq

from geodata.errors import GeodataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DIVIDE_ABOVE = 1.5
"""Parcels whose plate exceeds this multiple of one building's plate are divided."""


def divide(parcels: gpd.GeoDataFrame, plate: float) -> gpd.GeoDataFrame:
    """Divide parcels much larger than a building into building sites of equal area.

    An unprotected parcel with coverage · area > 1.5 · plate becomes round(coverage · area / plate) sites by
    repeated halving across the long axis of its minimum rotated rectangle. Pieces follow the parcel when it
    is moved or rotated and are numbered from the parcel's first vertex.

    Parameters
    ----------
    parcels : GeoDataFrame
        Canonical parcels: ``parcel_id``, ``site_area`` (m²), ``coverage``, ``protected`` and polygons in a
        metric CRS.
    plate : float
        Largest floor plate of one building, m².

    Returns
    -------
    GeoDataFrame
        One row a site, in order of parcels: ``site_id`` ("<parcel_id>/1"), ``parcel_id``, ``parcel`` (row of
        the parcel), ``site`` (from 1), ``plate`` (m², the same for all sites of a parcel) and geometry.

    Raises
    ------
    GeodataError
        When `plate` is not above zero.
    """
    if not plate > 0:
        raise GeodataError(f"plate = {plate}: the floor plate of a building is above 0 m²; give e.g. 1500")
    covered = (parcels["coverage"] * parcels["site_area"]).to_numpy(dtype=float)
    large = (covered > DIVIDE_ABOVE * plate) & ~parcels["protected"].to_numpy(dtype=bool)
    count = np.where(large, np.rint(covered / plate), 1).astype(np.int64)
    first = np.cumsum(count) - count
    parcel = np.repeat(np.arange(len(parcels)), count)
    site = np.arange(len(parcel)) - first[parcel] + 1

    shapes = parcels.geometry.to_numpy()
    pieces = shapes[parcel]
    for row in np.flatnonzero(large):
        anchor = shapely.get_coordinates(shapes[row])[:2]
        pieces[first[row] : first[row] + count[row]] = _bisect(shapes[row], int(count[row]), anchor)

    ids = parcels["parcel_id"].to_numpy()[parcel]
    return gpd.GeoDataFrame(
        {
            "site_id": [f"{name}/{number}" for name, number in zip(ids, site, strict=True)],
            "parcel_id": ids,
            "parcel": parcel,
            "site": site,
            "plate": (covered / count)[parcel],
        },
        geometry=np.asarray(pieces),
        crs=parcels.crs,
    )


def inner_points(sites: gpd.GeoDataFrame) -> FloatArray:
    """Return the point that stands for each site, m, shape (sites, 2).

    It is the centroid or, where this lies outside, the point of the site nearest to it. Unlike a
    representative point, which is found on a horizontal line, it turns with the district.
    """
    shapes = sites.geometry.to_numpy()
    nearest = shapely.shortest_line(shapes, shapely.centroid(shapes))
    return np.asarray(shapely.get_coordinates(shapely.get_point(nearest, 0)))


def _bisect(shape: shapely.Geometry, count: int, anchor: FloatArray) -> list[shapely.Geometry]:
    """Divide a polygon into `count` pieces of equal area, the first of them nearest to the anchor."""
    if count == 1:
        return [shape]
    half = count // 2
    near, far = _cut(shape, half / count, anchor)
    return _bisect(near, half, anchor) + _bisect(far, count - half, anchor)


def _cut(shape: shapely.Geometry, share: float, anchor: FloatArray) -> tuple[shapely.Geometry, shapely.Geometry]:
    """Cut a polygon across its long axis so that the part on the anchor's side has this share of its area."""
    origin = anchor[0]
    offsets = shapely.get_coordinates(shape) - origin
    axis = _long_axis(shape, anchor[1] - origin)
    low, high = np.min(offsets @ axis), np.max(offsets @ axis)
    if low + high < 0:
        axis, low, high = -axis, -high, -low
    normal = np.array([-axis[1], axis[0]])
    left, right = np.min(offsets @ normal) - 1.0, np.max(offsets @ normal) + 1.0

    def side(position: float) -> shapely.Geometry:
        along, across = [low - 1.0, position, position, low - 1.0], [left, left, right, right]
        return shapely.Polygon(origin + np.outer(along, axis) + np.outer(across, normal))

    def excess(position: float) -> float:
        return float(shapely.area(shapely.intersection(shape, side(position))) / shape.area - share)

    knife = side(brentq(excess, low - 0.5, high + 0.5, xtol=1e-9 * (high - low)))
    return _polygons(shapely.intersection(shape, knife)), _polygons(shapely.difference(shape, knife))


def _long_axis(shape: shapely.Geometry, edge: FloatArray) -> FloatArray:
    """Return the unit vector along the minimum rotated rectangle; of a square, the axis nearest to `edge`."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
    sides = np.diff(corners[:3], axis=0)
    lengths = np.hypot(*sides.T)
    units = sides / lengths[:, None]
    if abs(lengths[0] - lengths[1]) < 1e-6 * lengths.max():
        return np.asarray(units[np.argmax(np.abs(units @ edge))])
    return np.asarray(units[np.argmax(lengths)])


def _polygons(shape: shapely.Geometry) -> shapely.Geometry:
    """Drop the points and lines that an overlay may leave beside its polygons."""
    parts = shapely.get_parts(shape)
    areal = parts[shapely.get_dimensions(parts) == 2]
    return areal[0] if len(areal) == 1 else shapely.multipolygons(areal)
