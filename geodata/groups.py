"""Groups of building sites: blocks between streets, and neighbourhoods of a size."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from geodata.sites import inner_points
from geodata.walking import DEFAULT_SNAP, meet

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TIE = 1e-3
"""Distances that differ by less are equal, m."""
CHUNK = 256


def blocks(sites: gpd.GeoDataFrame, streets: gpd.GeoDataFrame | None = None, snap: float = DEFAULT_SNAP) -> IntArray:
    """Return the block of each site, shape (sites,).

    A block is a face between streets; where no face holds a site, parcels that touch form one. The sites of a
    parcel stay together.
    """
    parcel = sites["parcel"].to_numpy()
    label = _touching(sites)
    if streets is not None and len(streets):
        parts = shapely.get_parts(shapely.force_2d(np.asarray(streets.to_crs(sites.crs).geometry.dropna().array)))
        parts = parts[(shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING) & (shapely.length(parts) > 0)]
        lines = shapely.node(shapely.multilinestrings(meet(parts, snap)))
        faces = shapely.get_parts(shapely.polygonize([lines]))
        if len(faces):
            points = shapely.points(inner_points(sites))
            which, face = shapely.STRtree(faces).query(points, predicate="within")
            label = label.copy()
            label[which] = label.max() + 1 + face
    first, of = np.unique(parcel, return_index=True, return_inverse=True)[1:]
    return np.unique(label[first][of], return_inverse=True)[1].astype(np.int64)


def _touching(sites: gpd.GeoDataFrame) -> IntArray:
    shapes = np.asarray(sites.geometry.array)
    pairs = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=1.0)
    graph = sparse.coo_matrix((np.ones(pairs.shape[1]), pairs), shape=(len(shapes), len(shapes)))
    return np.asarray(csgraph.connected_components(graph, directed=False)[1], dtype=np.int64)


def neighbourhoods(sites: gpd.GeoDataFrame, size: float) -> IntArray:
    """Return the neighbourhood of each site, shape (sites,): clusters no wider than a size.

    Farthest-point clustering (Gonzalez 1985) of sites, from the one furthest from their mean: every site's point
    lies within size / 2 of its centre. The result follows the sites when they are moved, rotated or listed in
    another order; ties within a millimetre fall to the lower site id.

    Parameters
    ----------
    size : float
        m.
    """
    xy = inner_points(sites)
    order = np.argsort(sites["site_id"].to_numpy(dtype=str), kind="stable")
    xy = xy[order]
    tree = cKDTree(xy)
    furthest = _Furthest(len(xy))
    label = np.zeros(len(xy), dtype=np.int64)
    count = 0
    furthest.lower(np.arange(len(xy)), np.linalg.norm(xy - xy.mean(axis=0), axis=1))
    centre, reach = furthest.find()[0], np.inf
    furthest = _Furthest(len(xy))
    while True:
        # No site further from the centre than every site's own centre can come nearer to one.
        near = np.arange(len(xy)) if np.isinf(reach) else np.array(tree.query_ball_point(xy[centre], reach))
        distance = np.linalg.norm(xy[near] - xy[centre], axis=1)
        closer = distance < furthest.distance[near] - TIE
        label[near[closer]] = count
        furthest.lower(near[closer], distance[closer])
        count += 1
        centre, reach = furthest.find()
        if reach <= size / 2:
            break
    result = np.empty(len(xy), dtype=np.int64)
    result[order] = label
    return np.unique(result, return_inverse=True)[1].astype(np.int64)


class _Furthest:
    """Distances that only fall, and which is the largest: kept by chunks, so that finding it does not look at all."""

    def __init__(self, count: int) -> None:
        self._chunks = np.full((-(-count // CHUNK), CHUNK), -np.inf)
        self.distance = self._chunks.reshape(-1)[:count]
        self.distance[:] = np.inf
        self._largest = self._chunks.max(axis=1)

    def lower(self, at: IntArray, distance: FloatArray) -> None:
        """Set some of the distances."""
        self.distance[at] = distance
        chunks = np.unique(at // CHUNK)
        self._largest[chunks] = self._chunks[chunks].max(axis=1)

    def find(self) -> tuple[int, float]:
        """Return the first distance that is the largest but for a tie, and the largest."""
        largest = self._largest.max()
        chunk = int(np.argmax(self._largest >= largest - TIE))
        return chunk * CHUNK + int(np.argmax(self._chunks[chunk] >= largest - TIE)), float(largest)
