import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodata.facades import facade_points, footprints

SQUARE = shapely.box(0, 0, 40, 40)
L_SHAPE = shapely.Polygon([(0, 0), (60, 0), (60, 20), (25, 20), (25, 70), (0, 70)])


def test_the_footprint_of_a_square_is_set_back_evenly():
    found = footprints(np.array([SQUARE]), np.array([900.0]))
    assert found[0].equals_exact(shapely.box(5, 5, 35, 35), 1e-6, normalize=True)


@settings(deadline=None)
@given(st.floats(0.05, 1.2))
def test_footprints_have_the_area_asked_for_and_lie_inside(share):
    shapes = np.array([SQUARE, L_SHAPE], dtype=object)
    found = footprints(shapes, share * shapely.area(shapes))
    assert np.allclose(shapely.area(found), min(share, 1.0) * shapely.area(shapes), rtol=1e-5)
    assert all(shape.buffer(1e-6).covers(inner) for shape, inner in zip(shapes, found))


@settings(deadline=None)
@given(st.floats(3, 200))
def test_points_lie_on_the_edge_no_further_apart_than_asked(spacing):
    owner, xy = facade_points(np.array([SQUARE, L_SHAPE], dtype=object), spacing)
    for k, shape in enumerate((SQUARE, L_SHAPE)):
        points = shapely.points(xy[owner == k])
        assert shapely.distance(points, shape.exterior).max() < 1e-9
        steps = np.diff(np.sort(shapely.line_locate_point(shape.exterior, points)))
        assert np.allclose(steps, shape.length / len(points))
        assert len(points) == 4 or (steps <= spacing + 1e-9).all()
        assert len(points) >= 4


def test_a_waist_makes_two_parts_with_points_each():
    dumbbell = shapely.union_all([shapely.box(0, 0, 20, 20), shapely.box(20, 9, 40, 11), shapely.box(40, 0, 60, 20)])
    found = footprints(np.array([dumbbell]), np.array([400.0]))
    owner, xy = facade_points(found, 5.0)
    assert shapely.get_num_geometries(found[0]) == 2
    assert set(owner) == {0}
    assert (xy[:, 0] < 20).sum() == (xy[:, 0] > 40).sum() > 0
