"""Where buildings stand on their sites, and the points of their facades at which sound arrives and leaves."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEP, STEPS = 1e-7, 60
"""Step at which an inset is found, m, and most steps that are made."""
LEAST = 4
"""Points of a ring at least."""


def footprints(shapes: NDArray[np.object_], area: FloatArray) -> NDArray[np.object_]:
    """Return polygons set back from the edges of others by one distance each, such that they have these areas.

    Parameters
    ----------
    shapes : ndarray of polygons, shape (n,)
        In a metric CRS.
    area : ndarray, shape (n,)
        m²; a polygon whose area is no larger is returned as it is.

    Returns
    -------
    ndarray of polygons, shape (n,)
        They may have several parts where a polygon has a waist.
    """
    found = np.array(shapes, dtype=object)
    open_ = np.flatnonzero(shapely.area(shapes) > area)
    low, high = np.zeros(len(shapes)), np.sqrt(shapely.area(shapes))
    for _ in range(STEPS):
        if not len(open_):
            break
        # An inset by one unit more takes its perimeter away, about: Newton, and halves where that leads too far.
        step = (shapely.area(found[open_]) - area[open_]) / shapely.length(found[open_])
        tried = low[open_] + np.maximum(step, STEP)
        tried = np.where(tried < high[open_], tried, (low[open_] + high[open_]) / 2)
        inset = _inset(shapes[open_], tried)
        large = shapely.area(inset) > area[open_]
        # Of the two the larger is kept, since beyond the widest place nothing is left.
        low[open_[large]], found[open_[large]] = tried[large], inset[large]
        high[open_[~large]] = tried[~large]
        open_ = open_[high[open_] - low[open_] > STEP]
    return found


def _inset(shapes: NDArray[np.object_], distance: FloatArray) -> NDArray[np.object_]:
    return np.asarray(shapely.buffer(shapes, -distance, join_style="mitre"), dtype=object)


def facade_points(shapes: NDArray[np.object_], spacing: float) -> tuple[IntArray, FloatArray]:
    """Return points on the outer edges of polygons, evenly spaced, no further apart than a distance.

    A ring of length l has max(4, ceil(l / spacing)) points, the first half a step from its first vertex.

    Parameters
    ----------
    shapes : ndarray of polygons, shape (n,)
        In a metric CRS.
    spacing : float
        m.

    Returns
    -------
    owner : ndarray of int, shape (points,)
        Polygon of each point.
    xy : ndarray, shape (points, 2)
    """
    parts, owner = shapely.get_parts(shapes, return_index=True)
    rings = shapely.get_exterior_ring(parts)
    length = shapely.length(rings)
    count = np.maximum(np.ceil(length / spacing - 1e-9), LEAST).astype(np.int64) * (length > 0)
    ring = np.repeat(np.arange(len(rings)), count)
    step = np.arange(len(ring)) - np.repeat(np.cumsum(count) - count, count)
    along = (step + 0.5) / count[ring]
    points = shapely.line_interpolate_point(rings[ring], along, normalized=True)
    return np.asarray(owner[ring], dtype=np.int64), np.asarray(shapely.get_coordinates(points))
