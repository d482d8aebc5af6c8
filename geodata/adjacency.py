"""Which parcels are neighbours, and how much border they share."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

GRID = 0.01
"""Borders and points nearer to one another than this are one, m."""


def neighbours(shapes: NDArray[np.object_], gap: float) -> IntArray:
    """Return the pairs of polygons within a gap of one another, m, each pair once, shape (pairs, 2)."""
    i, j = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=gap + GRID)
    return np.column_stack([i[i < j], j[i < j]]).astype(np.int64)


def shared_borders(shapes: NDArray[np.object_], pairs: IntArray) -> FloatArray:
    """Return the length of border that pairs of polygons, shape (pairs, 2), have in common, m, shape (pairs,)."""
    borders = shapely.boundary(shapes)
    return np.asarray(shapely.length(shapely.intersection(borders[pairs[:, 0]], borders[pairs[:, 1]], grid_size=GRID)))


def connected_parts(count: int, pairs: IntArray) -> IntArray:
    """Return the connected part of each of so many polygons, joined by pairs, shape (count,)."""
    graph = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(count, count))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)
