"""Which pairs of a source and a point may have a building between them: a sieve before `screening` looks closely."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.screening import Screens

FloatArray = NDArray[np.float64]

DIRECTIONS = 720
"""Directions told apart, each half a degree wide."""


def nearest_screens(screens: Screens, sources: FloatArray, lowest: float) -> FloatArray:
    """Return from how far on a screen may stand in each direction, shape (sources, 720), m; infinite where none can.

    Parameters
    ----------
    sources : ndarray, shape (sources, 3)
        x, y, z, m.
    lowest : float
        Height of the lowest of the points looked at, m: what is lower than it and than the source screens nothing.
    """
    low_x, low_y, high_x, high_y = shapely.bounds(screens.parts).T
    radius = np.hypot(high_x - low_x, high_y - low_y) / 2
    nearest = np.full((len(sources), DIRECTIONS), np.inf)
    for row, (x, y, z) in zip(nearest, sources, strict=True):
        east, north = (low_x + high_x) / 2 - x, (low_y + high_y) / 2 - y
        distance = np.hypot(east, north)
        high = screens.tops > min(z, lowest)
        # One direction more on both sides for rounding.
        half = np.arcsin(np.minimum(radius / np.maximum(distance, radius), 1.0)) + 2 * np.pi / DIRECTIONS
        half[distance <= radius] = np.pi
        first = np.floor((np.arctan2(north, east) - half) / (2 * np.pi) * DIRECTIONS).astype(np.int64)
        count = np.minimum(np.ceil(half / np.pi * DIRECTIONS).astype(np.int64) + 1, DIRECTIONS) * high
        owner = np.repeat(np.arange(len(count)), count)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        np.minimum.at(row, (first[owner] + step) % DIRECTIONS, np.maximum(distance - radius, 0.0)[owner])
    return nearest


def maybe_screened(nearest: FloatArray, sources: FloatArray, points: FloatArray) -> NDArray[np.int64]:
    """Return the pairs of source and point that are not sure to see one another, shape (pairs, 2), ordered by source.

    Parameters
    ----------
    nearest : ndarray
        Of `nearest_screens`.
    sources, points : ndarray, shape (n, 2 or more)
        x, y, m.
    """
    source, point = (k.ravel() for k in np.indices((len(sources), len(points))))
    behind = may_be_screened(nearest, sources, points, source, point)
    return np.column_stack([source[behind], point[behind]])


def may_be_screened(
    nearest: FloatArray, sources: FloatArray, points: FloatArray, source: NDArray[np.int64], point: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of some pairs of a source and a point are not sure to see one another, shape (pairs,)."""
    east, north = (points[point, :2] - sources[source, :2]).T
    direction = np.floor(np.arctan2(north, east) / (2 * np.pi) * DIRECTIONS).astype(np.int64) % DIRECTIONS
    return np.asarray(np.hypot(east, north) >= nearest[source, direction])
