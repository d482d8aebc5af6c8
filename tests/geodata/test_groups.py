"""Groups: blocks as the faces between streets, neighbourhoods no wider than asked, wherever the district lies."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodata.groups import blocks, neighbourhoods
from geodata.parcels import ParcelSource, read_parcels
from geodata.sites import divide
from geodata.synthetic import synthetic_district
from tests.districts import CRS, ORIGIN


def at(shape):
    return shapely.transform(shape, lambda xy: xy + ORIGIN)


def sites(*shapes, parcel=None):
    """Sites of these shapes, each a parcel of its own unless told."""
    parcel = list(range(len(shapes))) if parcel is None else parcel
    ids = [f"S{i:03d}" for i in range(len(shapes))]
    return gpd.GeoDataFrame({"site_id": ids, "parcel": parcel}, geometry=[at(s) for s in shapes], crs=CRS)


def streets(*lines):
    return gpd.GeoDataFrame(geometry=[at(shapely.LineString(line)) for line in lines], crs=CRS)


def square(x, y, side=20.0):
    return shapely.box(x, y, x + side, y + side)


def partition(labels, names=None):
    """Groups as sets of names."""
    names = np.arange(len(labels)) if names is None else np.asarray(names)
    return {frozenset(names[labels == label].tolist()) for label in np.unique(labels)}


# Blocks


def test_blocks_are_the_faces_between_streets():
    grid = streets(*([(x, 0), (x, 200)] for x in (0, 100, 250, 300)), *([(0, y), (300, y)] for y in (0, 80, 200)))
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 280, 150), rng.uniform(0, 180, 150)
    face = np.searchsorted([100, 250], x + 10) * 2 + (y + 10 > 80)
    found = blocks(sites(*map(square, x, y)), grid)
    assert partition(found) == partition(face)
    assert sorted(set(found)) == list(range(6))


def test_parcels_that_touch_are_a_block_where_there_are_no_streets():
    row = [square(20 * i, 0) for i in range(5)]
    over_the_way = [square(0, 32), square(20.5, 32), square(42, 32)]
    found = blocks(sites(*row, *over_the_way))
    assert partition(found) == {frozenset(range(5)), frozenset({5, 6}), frozenset({7})}


def test_sites_outside_every_face_are_grouped_by_touching():
    around = streets([(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)])
    found = blocks(sites(square(200, 0), square(220, 0), square(10, 10), square(70, 70), square(300, 0)), around)
    assert partition(found) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}


@pytest.mark.parametrize(
    "lines", [None, streets([(0, 0), (300, 0)]), streets().iloc[:0]], ids=["none", "no face", "empty"]
)
def test_streets_that_enclose_nothing(lines):
    assert partition(blocks(sites(square(0, 0), square(20, 0), square(90, 0)), lines)) == {
        frozenset({0, 1}),
        frozenset({2}),
    }


def test_the_sites_of_a_parcel_stay_in_one_block():
    halves = streets([(0, 0), (100, 0), (100, 100), (0, 100), (0, 0)], [(50, 0), (50, 100)])
    found = blocks(sites(square(10, 10), square(70, 10), square(70, 70), parcel=[0, 0, 1]), halves)
    assert partition(found) == {frozenset({0, 1}), frozenset({2})}


@pytest.mark.parametrize("with_streets", [True, False])
def test_divided_parcels_of_a_district_stay_in_one_block(with_streets):
    lots, lines = synthetic_district(90, seed=3)
    columns = {name: name for name in ("id", "max_far", "coverage")}
    divided = divide(read_parcels(ParcelSource(None, columns=columns), lots).frame, 150.0)
    found = blocks(divided, lines if with_streets else None)
    assert len(divided) > 2 * 90
    assert (divided.assign(block=found).groupby("parcel")["block"].nunique() == 1).all()
    assert len(np.unique(found)) == int(np.ceil(90 / 8))


def test_a_street_that_ends_on_others_divides_a_block():
    rng = np.random.default_rng(0)
    for _ in range(20):
        corners = np.array([(0, 0), (300, 0), (300, 300), (0, 300)]) + rng.uniform(-50, 50, (4, 2))
        south, north = shapely.LineString(corners[:2]), shapely.LineString(corners[2:])
        middle = [line.interpolate(0.5, normalized=True).coords[0] for line in (south, north)]
        found = blocks(sites(square(90, 140), square(190, 140)), streets([*corners, corners[0]], middle))
        assert found[0] != found[1]


# Neighbourhoods


@st.composite
def rectangles(draw):
    """Sites about random places, some of them in clusters."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 40))
    centre = rng.uniform(0, draw(st.sampled_from([50, 400, 2000])), (count, 2))
    half = rng.uniform(2, 15, (count, 2))
    return sites(*shapely.box(*(centre - half).T, *(centre + half).T))


def centres(frame):
    return shapely.get_coordinates(frame.centroid)


def apart(xy):
    return np.linalg.norm(xy[:, None] - xy, axis=2)


@settings(deadline=None)
@given(rectangles(), st.sampled_from([60.0, 250.0, 1000.0]))
def test_a_neighbourhood_lies_within_half_its_size_of_one_of_its_sites(frame, size):
    found = neighbourhoods(frame, size)
    xy = centres(frame)
    assert sorted(set(found)) == list(range(len(set(found))))
    for label in set(found):
        assert apart(xy[found == label]).max(axis=1).min() <= size / 2 + 1e-6


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_clusters_far_apart_are_the_neighbourhoods(count, seed):
    rng = np.random.default_rng(seed)
    cluster = np.sort(rng.integers(0, count, 5 * count))
    xy = rng.uniform(0, 80, (5 * count, 2)) + np.column_stack([700 * cluster, 300 * cluster])
    found = neighbourhoods(sites(*(square(x, y, 5) for x, y in xy)), 250.0)
    assert partition(found) == partition(cluster)


@settings(deadline=None)
@given(rectangles(), st.floats(0, 360), st.floats(-9e3, 9e3), st.randoms(use_true_random=False))
def test_neighbourhoods_follow_the_sites(frame, angle, shift, random):
    expected = partition(neighbourhoods(frame, 250.0), frame["site_id"])
    moved = frame.set_geometry(frame.rotate(angle, origin=ORIGIN).translate(shift, -shift))
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = moved.iloc[order].reset_index(drop=True)
    assert partition(neighbourhoods(moved, 250.0), moved["site_id"]) == expected
    assert partition(neighbourhoods(shuffled, 250.0), shuffled["site_id"]) == expected


def test_neighbourhoods_of_irregular_sites_turn_with_them():
    rng = np.random.default_rng(0)
    corner, legs = rng.uniform(0, 500, (40, 2)), rng.uniform(20, 60, (40, 2))
    frame = sites(*(shapely.Polygon([(x, y), (x + a, y), (x, y + b)]) for (x, y), (a, b) in zip(corner, legs)))
    turned = frame.set_geometry(frame.rotate(127, origin=ORIGIN))
    assert partition(neighbourhoods(turned, 150.0)) == partition(neighbourhoods(frame, 150.0))


@pytest.mark.parametrize(
    ("size", "expected"), [(399.0, [0, 0, 2, 1, 1]), (400.0, [0, 0, 0, 1, 1]), (1000.0, [0, 0, 0, 0, 0])]
)
def test_ties_fall_to_the_lower_site(size, expected):
    row = sites(*(square(100 * i, 0) for i in range(5)))
    assert neighbourhoods(row, size).tolist() == expected
    assert neighbourhoods(row.iloc[::-1], size).tolist() == expected[::-1]
    assert neighbourhoods(row.assign(site_id=row["site_id"].tolist()[::-1]), size).tolist() == expected[::-1]


@settings(deadline=None)
@given(st.floats(0, 360))
def test_a_regular_grid_turns_with_its_ties(angle):
    grid = sites(*(square(30 * i, 30 * j) for i in range(6) for j in range(6)))
    turned = grid.set_geometry(grid.rotate(angle, origin=ORIGIN))
    assert neighbourhoods(turned, 130.0).tolist() == neighbourhoods(grid, 130.0).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_neighbourhoods_are_those_of_farthest_points_looked_for_among_all(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 6000, (900, 2)) * (1, rng.uniform(0.05, 1))
    frame = sites(*shapely.box(*corners.T, *(corners + 10).T))
    xy, size = centres(frame), rng.uniform(150, 600)
    chosen = [int(np.argmax(np.linalg.norm(xy - xy.mean(axis=0), axis=1)))]
    while (near := apart(xy)[:, chosen].min(axis=1)).max() > size / 2:
        chosen.append(int(np.argmax(near)))
    assert len(chosen) > 50
    assert partition(neighbourhoods(frame, size)) == partition(apart(xy)[:, chosen].argmin(axis=1))
