"""Neighbours and shared borders against the outline of their union."""

import numpy as np
import pytest
import shapely
from shapely import affinity

from geodata.adjacency import connected_parts, neighbours, shared_borders

SQUARE, TALL, BELOW = shapely.box(0, 0, 20, 20), shapely.box(20, 5, 40, 50), shapely.box(20, -20, 40, 0)


def test_neighbours_within_a_gap_are_found_once():
    shapes = np.array([shapely.box(x, 0, x + 20, 20) for x in (0, 25, 60)], dtype=object)
    assert neighbours(shapes, 4.9).tolist() == []
    assert neighbours(shapes, 5.0).tolist() == [[0, 1]]
    assert sorted(map(sorted, neighbours(shapes, 60).tolist())) == [[0, 1], [0, 2], [1, 2]]
    assert neighbours(shapes[:0], 5.0).shape == (0, 2)


def test_parts_are_joined_by_pairs():
    assert connected_parts(4, np.array([[0, 2], [2, 1]])).tolist() == [0, 0, 0, 1]
    assert connected_parts(0, np.empty((0, 2), dtype=np.int64)).tolist() == []


@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 61.3])
def test_borders_less_what_is_shared_are_the_outline_of_the_union(angle):
    shapes = np.array(
        [affinity.translate(affinity.rotate(s, angle, origin=(0, 0)), 5e5, 5.3e6) for s in (SQUARE, TALL, BELOW)]
    )
    pairs = neighbours(shapes, 0.0)
    assert len(pairs) == 2
    outline = shapely.length(shapes).sum() - 2 * shared_borders(shapes, pairs).sum()
    whole = shapely.union_all([SQUARE, TALL, BELOW])
    assert outline == pytest.approx(shapely.length(whole), abs=0.05)
