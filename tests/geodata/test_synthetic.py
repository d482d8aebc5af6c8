"""Synthetic districts: reproducible, sound and of any size."""

import numpy as np
import pytest
import shapely

from geodata.synthetic import ZONES, synthetic_district

SIZES = [1, 2, 8, 9, 17, 200]


@pytest.mark.parametrize("size", SIZES)
def test_a_seed_makes_the_same_district_and_another_seed_another(size):
    first, again, other = (synthetic_district(size, seed) for seed in (7, 7, 8))
    for layer in (0, 1):
        assert first[layer].equals(again[layer])
        assert not first[layer].equals(other[layer])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_lots_are_sound_and_apart(size, seed):
    lots, streets = synthetic_district(size, seed)
    shapes = lots.geometry.to_numpy()
    assert len(lots) == size
    assert lots["id"].is_unique
    assert lots.is_valid.all()
    assert (lots.geom_type == "Polygon").all()
    assert lots.area.min() > 100
    assert shapely.area(shapely.union_all(shapes)) == pytest.approx(lots.area.sum(), rel=1e-9)
    assert lots.crs == streets.crs
    assert lots.crs.is_projected
    assert not lots.intersects(streets.union_all()).any()
    assert shapely.contains(streets.union_all().convex_hull, shapes).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_limits_and_floors_fit(size, seed):
    lots, _ = synthetic_district(size, seed)
    limits = lots[["max_far", "max_height", "coverage"]].to_numpy()
    assert np.array_equal(limits, [ZONES[zone] for zone in lots["zone"]])
    assert lots["coverage"].between(0, 1, inclusive="neither").all()
    floors = lots.filter(like="gfa_").to_numpy()
    rounding = 0.05 * (floors > 0).sum(axis=1)
    assert (floors >= 0).all()
    assert (floors.sum(axis=1) <= lots["coverage"] * lots.area * lots["storeys"] + rounding).all()
    vacant = lots["storeys"] == 0
    assert ((floors.sum(axis=1) == 0) == vacant).all()
    assert ((lots["year"] == 0) == vacant).all()
    assert vacant[lots["protected"]].all()
    assert lots["storeys"].between(0, 5).all()


def test_uses_by_name():
    lots, _ = synthetic_district(50, uses=("homes", "shops"))
    assert [name for name in lots if name.startswith("gfa_")] == ["gfa_homes", "gfa_shops"]
    assert (lots[["gfa_homes", "gfa_shops"]].sum() > 0).all()


def test_a_block_is_eight_lots_between_streets():
    lots, streets = synthetic_district(200)
    faces = shapely.get_parts(shapely.polygonize([shapely.node(streets.union_all())]))
    held = shapely.contains(faces[:, None], lots.geometry.to_numpy()).sum(axis=1)
    assert held.tolist() == [8] * 25


@pytest.mark.parametrize("size", [0, -1])
def test_at_least_one_lot(size):
    with pytest.raises(ValueError, match="parcels"):
        synthetic_district(size)
