"""Faults of polygons and identifiers: found, named and repaired where that is safe."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely

from geodata.errors import GeodataError

NARROWEST = 1.0
"""Mean width (twice the area over the perimeter) below which a polygon is a sliver, m."""


@dataclass(frozen=True)
class Finding:
    """One kind of fault and what was done about it.

    Attributes
    ----------
    kind : str
    parcels : tuple of str
        Ids of all parcels concerned.
    message, action : str
        What was found, with numbers and units, and what was done.
    value : float or None
        The number behind it (m² of an overlap, for one).
    """

    kind: str
    parcels: tuple[str, ...]
    message: str
    action: str
    value: float | None = None


def repair_geometry(
    geometry: gpd.GeoSeries, ids: list[str], min_area: float, origin: str, findings: list[Finding]
) -> tuple[gpd.GeoSeries, np.ndarray, list[str]]:
    """Return valid 2-D polygons with unique ids.

    Parameters
    ----------
    geometry : GeoSeries, metric CRS
    ids : list of str
    min_area : float
        Smaller polygons are slivers and dropped, m².

    Returns
    -------
    GeoSeries
        Polygons, exteriors counter-clockwise.
    ndarray of int
        Row of the input that each came from; the largest part of a feature comes first.
    list of str
        Unique ids.

    Raises
    ------
    GeodataError
        When nothing is left.
    """
    names = np.array(ids, dtype=object)
    shapes = np.asarray(geometry.array)

    def note(kind: str, where: np.ndarray, message: str, action: str) -> None:
        if where.any():
            findings.append(Finding(kind, tuple(names[where]), f"{int(where.sum())} {message}", action))

    missing = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    note("no_geometry", missing, "without a geometry", "dropped")
    flat = shapely.has_z(shapes)
    note("z_values", flat, "with heights in their coordinates", "heights dropped")
    shapes = shapely.force_2d(shapes)
    invalid = ~missing & ~shapely.is_valid(shapes)
    note("invalid_polygon", invalid, "with an invalid polygon (crossing or touching itself)", "made valid")
    shapes = np.where(invalid, shapely.make_valid(shapes), shapes)
    kept = np.flatnonzero(~missing)
    parts, source = shapely.get_parts(shapes[kept], return_index=True)
    inner, again = shapely.get_parts(parts, return_index=True)  # collections hold multipolygons
    parts, source = inner, kept[source[again]]
    polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, source = parts[polygon], source[polygon]
    area = shapely.area(parts)
    order = np.lexsort((-area, source))
    parts, source, area = parts[order], source[order], area[order]
    width = np.divide(2 * area, shapely.length(parts), out=np.zeros_like(area), where=area > 0)
    sliver = (area < min_area) | (width < NARROWEST)
    gone = np.setdiff1d(kept, source[~sliver])
    if len(gone):
        note(
            "sliver",
            np.isin(np.arange(len(names)), gone),
            f"smaller than {min_area:g} m² or narrower than {NARROWEST:g} m",
            "dropped",
        )
    parts, source = parts[~sliver], source[~sliver]
    if not len(parts):
        raise GeodataError(f"{origin}: no polygon is left after repairs; are units and CRS right?")
    several = np.bincount(source, minlength=len(names)) > 1
    note("multipart", several, "of several polygons", "split; today's floors stay with the largest")
    unique = _unique([str(names[i]) for i in source], findings)
    shapes = shapely.orient_polygons(parts)
    result = gpd.GeoSeries(shapes, crs=geometry.crs)
    keep = _overlaps(result, unique, findings)
    return result[keep].reset_index(drop=True), source[keep], [i for i, k in zip(unique, keep, strict=True) if k]


def _unique(ids: list[str], findings: list[Finding]) -> list[str]:
    """Return ids with -2, -3 ... added to repeated ones, empty ones numbered."""
    taken: set[str] = set(ids)
    seen: dict[str, int] = {}
    out, repeated = [], []
    for name in ids:
        base = name or "parcel"
        seen[base] = seen.get(base, 0) + 1
        label = base
        if seen[base] > 1 or not name:
            while label in taken or not label:
                label = f"{base}-{seen[base]}"
                seen[base] += label in taken
            repeated.append(label)
        taken.add(label)
        out.append(label)
    if repeated:
        findings.append(
            Finding("repeated_id", tuple(repeated), f"{len(repeated)} with a missing or repeated id", "numbered")
        )
    return out


def _overlaps(shapes: gpd.GeoSeries, ids: list[str], findings: list[Finding]) -> np.ndarray:
    """Name overlapping parcels; return which to keep (all but the second of two that are the same)."""
    geometry = np.asarray(shapes.array)
    first, second = shapely.STRtree(geometry).query(geometry, predicate="intersects")
    pair = first < second
    first, second = first[pair], second[pair]
    common = shapely.area(shapely.intersection(geometry[first], geometry[second]))
    area = shapely.area(geometry)
    smaller, larger = np.minimum(area[first], area[second]), np.maximum(area[first], area[second])
    keep = np.ones(len(ids), dtype=bool)
    for i in np.flatnonzero((common > 1.0) & (common > 0.001 * smaller)):
        names = (ids[first[i]], ids[second[i]])
        same = common[i] > 0.99 * larger[i]
        if same:
            keep[second[i]] = False
        findings.append(
            Finding(
                "duplicate" if same else "overlap",
                names,
                f"{names[0]} and {names[1]} share {common[i]:,.1f} m²",
                f"{names[1]} dropped" if same else "kept as they are",
                float(common[i]),
            )
        )
    return keep
