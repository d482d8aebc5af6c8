"""GeoJSON held against RFC 7946, read strictly and apart from what writes it."""

import itertools
import math

SHAPES = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
"""How deep the lists of positions are."""


def faults(document):
    """Return what of a FeatureCollection does not keep to RFC 7946, with the section."""
    found = []
    if document.get("type") != "FeatureCollection" or not isinstance(document.get("features"), list):
        return ["3.3: not a FeatureCollection"]
    if "crs" in document or any("crs" in feature for feature in document["features"]):
        found.append("4: a crs member")
    if {"coordinates", "geometries", "geometry", "properties"} & set(document):
        found.append("7.1: members of another type")
    everywhere = []
    for k, feature in enumerate(document["features"]):
        if feature.get("type") != "Feature":
            found.append(f"3.2: feature {k} is no Feature")
        if "properties" not in feature or not isinstance(feature["properties"], dict | type(None)):
            found.append(f"3.2: feature {k} has no properties")
        shape = feature.get("geometry", "missing")
        if shape is None:
            continue
        if (
            not isinstance(shape, dict)
            or shape.get("type") not in SHAPES
            or set(shape) - {"type", "coordinates", "bbox"}
        ):
            found.append(f"3.1: feature {k} has no geometry")
            continue
        positions = list(_positions(shape["coordinates"], SHAPES[shape["type"]], found, k))
        everywhere += positions
        if shape["type"] in ("Polygon", "MultiPolygon"):
            for polygon in [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]:
                _rings(polygon, found, k)
    box = document.get("bbox")
    if everywhere and box is not None:
        across, down = zip(*everywhere, strict=True)
        if [min(across), min(down), max(across), max(down)] != box:
            found.append("5: the bounding box is not that of the features")
    if box is not None and (len(box) != 4 or box[1] > box[3]):
        found.append("5: no bounding box")
    return found


def _positions(part, depth, found, k):
    if depth:
        for item in part:
            yield from _positions(item, depth - 1, found, k)
        return
    if len(part) != 2 or not all(type(v) in (int, float) and math.isfinite(v) for v in part):
        found.append(f"3.1.1: feature {k} has a position of {part}")
        return
    if abs(part[0]) > 180 or abs(part[1]) > 90:
        found.append(f"4: feature {k} is not in degrees: {part}")
    yield part[0], part[1]


def _rings(polygon, found, k):
    for number, ring in enumerate(polygon):
        if len(ring) < 4 or ring[0] != ring[-1]:
            found.append(f"3.1.6: feature {k} has a ring that is not closed")
        # Far from the origin small rings drown in their own coordinates, so from the first corner on.
        x, y = ring[0]
        area = sum((a[0] - x) * (b[1] - y) - (b[0] - x) * (a[1] - y) for a, b in itertools.pairwise(ring))
        if (area > 0) != (number == 0):
            found.append(f"3.1.6: feature {k} winds a ring the wrong way")
