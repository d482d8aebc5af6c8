"""Repairs: every fault of a polygon or an id is found, named and mended without losing land."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geodata.errors import GeodataError
from geodata.repairs import Finding, repair_geometry
from tests.districts import CRS, ORIGIN


def at(*shapes):
    return [shapely.transform(shape, lambda xy: xy + ORIGIN) for shape in shapes]


def repaired(*shapes, ids=None, min_area=20.0):
    """Polygons, rows, ids and findings of these shapes."""
    findings = []
    ids = ids or [f"L{i}" for i in range(len(shapes))]
    geometry, rows, unique = repair_geometry(gpd.GeoSeries(shapes, crs=CRS), ids, min_area, "lots.gpkg", findings)
    return geometry, rows.tolist(), unique, findings


def found(findings, kind):
    (finding,) = [f for f in findings if f.kind == kind]
    return finding


def square(x=0.0, y=0.0, side=20.0):
    return shapely.box(x, y, x + side, y + side)


def row(count):
    return at(*(square(30 * i) for i in range(count)))


def test_good_parcels_stay_as_they_are():
    geometry, rows, ids, findings = repaired(*row(4))
    assert geometry.geom_equals(gpd.GeoSeries(row(4), crs=CRS)).all()
    assert (rows, ids, findings) == ([0, 1, 2, 3], ["L0", "L1", "L2", "L3"], [])
    assert geometry.crs == CRS


@given(st.floats(20, 300), st.floats(20, 300))
def test_a_bow_tie_becomes_its_two_triangles(width, height):
    bow_tie = shapely.Polygon([(0, 0), (width, height), (width, 0), (0, height)])
    geometry, rows, _, findings = repaired(*at(bow_tie))
    assert geometry.is_valid.all()
    assert geometry.area.tolist() == pytest.approx([width * height / 4] * 2)
    assert rows == [0, 0]
    assert found(findings, "invalid_polygon").parcels == ("L0",)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (shapely.Polygon([(0, 0), (40, 0), (40, 30), (40, 80), (40, 30), (0, 30)]), 1200),
        (
            shapely.Polygon([(0, 0), (40, 0), (40, 30), (0, 30)], [[(10, 10), (10, 20), (40, 20), (40, 10)]]),
            900,
        ),
        (shapely.Polygon([(0, 0), (20, 20), (40, 0), (40, 40), (20, 20), (0, 40)]), 800),
    ],
    ids=["spike", "hole along the edge", "ring that meets itself"],
)
def test_invalid_polygons_keep_their_land(shape, area):
    geometry, _, _, findings = repaired(*at(shape), square())
    mended = geometry[geometry.distance(at(shape)[0]) == 0]
    assert mended.is_valid.all()
    assert mended.area.sum() == pytest.approx(area)
    assert found(findings, "invalid_polygon").parcels == ("L0",)


def test_heights_are_dropped():
    flat, high = row(2)
    geometry, _, _, findings = repaired(flat, shapely.force_3d(high, 12.0))
    assert not geometry.has_z.any()
    assert geometry[1].equals(high)
    assert found(findings, "z_values").parcels == ("L1",)


def test_parts_are_split_the_largest_first():
    parts = at(square(0, 0, 10), square(40, 0, 30), square(100, 0, 20))
    geometry, rows, ids, findings = repaired(*at(square(200)), shapely.MultiPolygon(parts))
    assert geometry.area.tolist() == pytest.approx([400, 900, 400, 100])
    assert (rows, ids) == ([0, 1, 1, 1], ["L0", "L1", "L1-2", "L1-3"])
    assert found(findings, "multipart").parcels == ("L1",)


def test_a_split_parcel_is_no_repeated_id():
    findings = repaired(shapely.MultiPolygon(row(2)))[-1]
    assert [f.kind for f in findings] == ["multipart"]


def test_polygons_are_taken_out_of_collections():
    one, two, three = row(3)
    nested = shapely.GeometryCollection([shapely.MultiPolygon([one, two]), three, one.centroid, one.boundary])
    geometry, rows, _, _ = repaired(nested)
    assert geometry.union_all().equals(shapely.union_all([one, two, three]))
    assert rows == [0, 0, 0]


def test_exteriors_run_counter_clockwise():
    clockwise = shapely.box(0, 0, 50, 50, ccw=False).difference(square(10, 10))
    (geometry,) = repaired(*at(clockwise))[0]
    assert geometry.exterior.is_ccw
    assert not geometry.interiors[0].is_ccw


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        (square(side=4.4), False),
        (square(side=4.5), True),
        (shapely.box(0, 0, 100, 0.98), False),
        (shapely.box(0, 0, 100, 1.02), True),
        (shapely.Polygon([(0, 0), (50, 0), (100, 0)]), False),
    ],
)
def test_slivers_are_dropped_and_named(shape, kept):
    geometry, _, ids, findings = repaired(*at(shape, square(200)))
    assert ids == (["L0", "L1"] if kept else ["L1"])
    assert len(geometry) == len(ids)
    slivers = [f.parcels for f in findings if f.kind == "sliver"]
    assert slivers == ([] if kept else [("L0",)])


def test_all_slivers_are_named():
    shapes = at(*(square(30 * i, side=20 if i % 3 else 2) for i in range(60)))
    assert found(repaired(*shapes)[-1], "sliver").parcels == tuple(f"L{i}" for i in range(0, 60, 3))


def test_a_part_that_is_dropped_is_named():
    findings = repaired(shapely.MultiPolygon(at(square(), shapely.box(0, 50, 500, 50.9))))[-1]
    assert [f.parcels for f in findings] == [("L0",)]


def test_a_point_is_no_sliver():
    findings = repaired(*row(2), shapely.Point(ORIGIN))[-1]
    assert "sliver" not in [f.kind for f in findings]
    assert ("L2",) in [f.parcels for f in findings]


def test_features_without_a_geometry_are_dropped_and_named():
    geometry, rows, ids, findings = repaired(None, *row(2), shapely.Polygon())
    assert (len(geometry), rows, ids) == (2, [1, 2], ["L1", "L2"])
    assert findings == [Finding("no_geometry", ("L0", "L3"), "2 without a geometry", "dropped")]


def test_a_parcel_without_an_id_can_be_found():
    assert found(repaired(*row(2), *at(square(200, side=2)), ids=["A", "B", ""])[-1], "sliver").parcels != ("",)


def test_nothing_left_is_an_error():
    for shapes in (at(square(side=2)), [None], [shapely.Point(ORIGIN)]):
        with pytest.raises(GeodataError, match=r"lots\.gpkg: no polygon is left after repairs"):
            repaired(*shapes)


@settings(deadline=None)
@given(st.lists(st.text("a2-", max_size=4) | st.text(max_size=2), min_size=1, max_size=9))
@example(["a", "a", "a-2"])
@example(["a-2", "a", "a", "a"])
@example(["", "", ""])
def test_ids_become_unique_and_those_that_were_stay(names):
    ids, findings = repaired(*row(len(names)), ids=names)[2:]
    assert len(set(ids)) == len(names)
    assert all(ids)
    for before, after in zip(names, ids):
        if before and names.count(before) == 1:
            assert after == before
        assert not before or after.startswith(before)
    changed = [after for before, after in zip(names, ids) if after != before]
    assert [name for f in findings for name in f.parcels] == changed


def test_an_id_that_is_also_the_stem_of_numbered_ones():
    assert repaired(*row(2), ids=["", "parcel"])[2][1] == "parcel"


@given(st.integers(1, 15), st.integers(1, 15))
def test_overlaps_are_named_with_their_area(dx, dy):
    geometry, _, ids, findings = repaired(*at(square(), square(dx, dy), square(100)))
    common = (20 - dx) * (20 - dy)
    overlap = found(findings, "overlap")
    assert overlap.parcels == ("L0", "L1")
    assert overlap.value == pytest.approx(common)
    assert overlap.message == f"L0 and L1 share {common:,.1f} m²"
    assert (len(geometry), ids) == (3, ["L0", "L1", "L2"])


@pytest.mark.parametrize(("dx", "side"), [(20, 20), (19.96, 20), (99.95, 100)])
def test_neighbours_and_hairline_overlaps_are_no_fault(dx, side):
    assert repaired(*at(square(side=side), square(dx, side=side)))[-1] == []


def test_duplicates_are_dropped():
    first, second = row(2)
    again = shapely.Polygon(np.roll(first.exterior.coords[:-1], 1, axis=0))
    geometry, rows, ids, findings = repaired(first, second, again)
    assert (len(geometry), rows, ids) == (2, [0, 1], ["L0", "L1"])
    duplicate = found(findings, "duplicate")
    assert (duplicate.parcels, duplicate.action) == (("L0", "L2"), "L2 dropped")
    assert duplicate.value == pytest.approx(400)


def test_a_parcel_inside_another_is_an_overlap():
    findings = repaired(*at(square(side=60), square(20, 20)))[-1]
    assert [(f.kind, f.value) for f in findings] == [("overlap", pytest.approx(400))]
