"""Groups of building sites: blocks between streets, and neighbourhoods of a size."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from geodata.sites import inner_points
from geodata.walking import DEFAULT_SNAP, meet

IntArray = NDArray[np.int64]


def blocks(sites: gpd.GeoDataFrame, streets: gpd.GeoDataFrame | None = None, snap: float = DEFAULT_SNAP) -> IntArray:
    """Return the block of each site, shape (sites,).

    A block is a face between streets; where no face holds a site, parcels that touch form one. The sites of a
    parcel stay together.
    """
    parcel = sites["parcel"].to_numpy()
    first = np.unique(parcel, return_index=True)[1]
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
    whole = dict(zip(parcel[first], label[first], strict=True))
    return np.unique([whole[p] for p in parcel], return_inverse=True)[1].astype(np.int64)


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

    def furthest(distance: NDArray[np.float64]) -> int:
        return int(np.flatnonzero(distance >= distance.max() - 1e-3)[0])

    centre = furthest(np.linalg.norm(xy - xy.mean(axis=0), axis=1))
    nearest = np.full(len(xy), np.inf)
    label = np.zeros(len(xy), dtype=np.int64)
    count = 0
    while True:
        distance = np.linalg.norm(xy - xy[centre], axis=1)
        closer = distance < nearest - 1e-3
        label[closer], nearest[closer] = count, distance[closer]
        count += 1
        if nearest.max() <= size / 2:
            break
        centre = furthest(nearest)
    result = np.empty(len(xy), dtype=np.int64)
    result[order] = label
    return np.unique(result, return_inverse=True)[1].astype(np.int64)
