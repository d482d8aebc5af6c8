"""Building sites: equal areas, exact cover, and indifference to place and direction."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, translate

from geodata.errors import GeodataError
from geodata.sites import divide, inner_points

CRS = "EPSG:32632"
PLATE = 1500.0


def parcels(*shapes, coverage=0.6, protected=False):
    areas = shapely.area(np.array(shapes))
    return gpd.GeoDataFrame(
        {
            "parcel_id": [f"L{i}" for i in range(len(shapes))],
            "site_area": areas,
            "coverage": coverage,
            "protected": protected,
        },
        geometry=list(shapes),
        crs=CRS,
    )


L_SHAPE = shapely.Polygon([(0, 0), (180, 0), (180, 60), (70, 60), (70, 200), (0, 200)])


@st.composite
def stars(draw):
    """Polygons seen whole from one point: mostly concave, 1,000 to 100,000 m²."""
    n = draw(st.integers(5, 12))
    radius = np.array(draw(st.lists(st.floats(0.2, 1.0), min_size=n, max_size=n)))
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    ring = np.column_stack([1.7 * np.cos(angle), np.sin(angle)]) * radius[:, None]
    unit = shapely.Polygon(ring)
    area = draw(st.floats(1_000, 100_000))
    return shapely.Polygon(ring * np.sqrt(area / unit.area) + [500_000, 5_300_000])


@given(stars())
def test_sites_share_a_parcel_equally_and_cover_it(shape):
    sites = divide(parcels(shape), PLATE)
    areas = sites.area.to_numpy()
    assert np.allclose(areas, shape.area / len(sites), rtol=1e-3)
    assert abs(areas.sum() - shape.area) < 1e-6 * shape.area
    assert sites.union_all().symmetric_difference(shape).area < 1e-6 * shape.area
    expected = round(0.6 * shape.area / PLATE) if 0.6 * shape.area > 1.5 * PLATE else 1
    assert len(sites) == expected
    assert np.allclose(sites["plate"], 0.6 * shape.area / expected)


@settings(deadline=None)
@given(st.floats(0, 360), st.floats(-5_000, 5_000))
def test_pieces_move_with_the_parcel(angle, shift):
    def move(shape):
        return translate(rotate(shape, angle, origin=(0, 0)), shift, -shift)

    for shape in (L_SHAPE, shapely.box(0, 0, 120, 120), shapely.box(0, 0, 200, 90)):
        there = divide(parcels(move(shape)), PLATE)
        here = divide(parcels(shape), PLATE).geometry.map(move)
        for moved, expected in zip(there.geometry, here, strict=True):
            # Not the area of their difference: GEOS 3.14 may say 2 A for polygons that differ by 1e-14 m.
            assert shapely.hausdorff_distance(moved, expected, densify=0.1) < 1e-3


def test_a_long_lot_is_cut_across_from_its_first_vertex():
    lot = shapely.Polygon([(0, 0), (100, 0), (100, 50), (0, 50)])
    sites = divide(parcels(lot), 1000)
    assert sites["site_id"].tolist() == ["L0/1", "L0/2", "L0/3"]
    third = 100 / 3
    for i, piece in enumerate(sites.geometry):
        assert np.allclose(piece.bounds, (i * third, 0, (i + 1) * third, 50))


def test_order_rows_and_plates():
    sites = divide(parcels(shapely.box(0, 0, 20, 20), L_SHAPE, shapely.box(300, 0, 320, 30)), PLATE)
    assert sites.columns.tolist() == ["site_id", "parcel_id", "parcel", "site", "plate", "geometry"]
    many = round(0.6 * L_SHAPE.area / PLATE)
    assert sites["parcel"].tolist() == [0] + [1] * many + [2]
    assert sites["site"].tolist() == [1, *range(1, many + 1), 1]
    assert sites.groupby("parcel")["plate"].sum().tolist() == pytest.approx([240, 0.6 * L_SHAPE.area, 360])
    assert sites.crs == CRS


def test_protected_and_moderate_parcels_stay_whole():
    assert len(divide(parcels(L_SHAPE, protected=True), PLATE)) == 1
    at_the_limit = shapely.box(0, 0, 50, 75)
    assert len(divide(parcels(at_the_limit), PLATE)) == 1
    assert len(divide(parcels(shapely.box(0, 0, 50, 75.1)), PLATE)) == 2


@pytest.mark.parametrize("plate", [0.0, -1.0, float("nan")])
def test_plate_above_zero(plate):
    with pytest.raises(GeodataError, match="floor plate"):
        divide(parcels(L_SHAPE), plate)


def test_inner_points_lie_in_the_site_and_turn_with_it():
    u_shape = shapely.Polygon([(0, 0), (90, 0), (90, 60), (80, 60), (80, 20), (10, 20), (10, 60), (0, 60)])
    frame = parcels(L_SHAPE, u_shape, shapely.box(0, 0, 10, 4))
    points = inner_points(frame)
    assert np.all(shapely.distance(frame.geometry.to_numpy(), shapely.points(points)) < 1e-9)
    assert points[2].tolist() == [5, 2]
    turned = frame.set_geometry(frame.rotate(37, origin=(0, 0)))
    expected = shapely.get_coordinates(gpd.GeoSeries(shapely.points(points)).rotate(37, origin=(0, 0)))
    assert np.allclose(inner_points(turned), expected, atol=1e-6)
