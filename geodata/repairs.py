"""Faults of polygons and identifiers: found, named and repaired where that is safe."""

from __future__ import annotations

from collections import Counter
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
    names = np.array([name or f"(row {i + 1})" for i, name in enumerate(ids)], dtype=object)
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
    shapes = np.where(invalid, shapely.make_valid(shapes, method="structure", keep_collapsed=False), shapes)
    kept = np.flatnonzero(~missing)
    parts, source = shapely.get_parts(shapes[kept], return_index=True)
    inner, again = shapely.get_parts(parts, return_index=True)  # collections hold multipolygons
    parts, source = inner, kept[source[again]]
    polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, source = parts[polygon], source[polygon]
    areal = np.isin(np.arange(len(names)), source)
    note("no_polygon", ~missing & ~areal, "that are points or lines, or polygons without area", "dropped")
    area = shapely.area(parts)
    order = np.lexsort((-area, source))
    parts, source, area = parts[order], source[order], area[order]
    width = np.divide(2 * area, shapely.length(parts), out=np.zeros_like(area), where=area > 0)
    sliver = (area < min_area) | (width < NARROWEST)
    if sliver.any():
        note(
            "sliver",
            np.isin(np.arange(len(names)), source[sliver]),
            f"that are, or have parts, smaller than {min_area:g} m² or narrower than {NARROWEST:g} m",
            "dropped",
        )
    parts, source = parts[~sliver], source[~sliver]
    if not len(parts):
        raise GeodataError(f"{origin}: no polygon is left after repairs; are units and CRS right?")
    several = np.bincount(source, minlength=len(names)) > 1
    note("multipart", several, "of several polygons", "split; today's floors stay with the largest")
    again = np.zeros(len(source), dtype=bool)
    again[1:] = source[1:] == source[:-1]
    unique = _unique([ids[i] for i in source], again, findings)
    shapes = shapely.orient_polygons(parts)
    result = gpd.GeoSeries(shapes, crs=geometry.crs)
    keep = _overlaps(result, unique, findings)
    return result[keep].reset_index(drop=True), source[keep], [i for i, k in zip(unique, keep, strict=True) if k]


def _unique(ids: list[str], part: np.ndarray, findings: list[Finding]) -> list[str]:
    """Return ids with -2, -3 ... added to repeated ones, empty ones numbered; further parts of a parcel are no fault."""
    count = Counter(ids)
    taken: set[str] = set(ids)
    seen: dict[str, int] = {}
    out, repeated = [], []
    for name, further in zip(ids, part, strict=True):
        base = name or "parcel"
        seen[base] = seen.get(base, 0) + 1
        label = base
        if not name or (seen[base] > 1 and count[name] > 1):
            while label in taken or not label:
                label = f"{base}-{seen[base]}"
                seen[base] += label in taken
            if not further:
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
