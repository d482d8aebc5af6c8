"""The sieve lets no pair through unseen that the screening itself would find."""

import numpy as np
import pytest
import shapely

from geodata.screening import Screens, screening
from geodata.shadows import maybe_screened, nearest_screens


@pytest.mark.parametrize("seed", range(30))
def test_nothing_screened_is_lost(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    corner, size = rng.random((count, 2)) * 300, rng.random((count, 2)) * 60 + 1
    shapes = shapely.box(*corner.T, *(corner + size).T)
    screens = Screens(np.asarray(shapes, dtype=object), rng.random(count) * 20 + 1)
    sources = np.column_stack([rng.random((7, 2)) * 300, rng.random(7) * 20])
    points = np.column_stack([rng.random((300, 2)) * 300, np.full(300, 4.0)])
    every = np.argwhere(np.ones((7, 300), dtype=bool))
    some = maybe_screened(nearest_screens(screens, sources, 4.0), sources, points)
    row, loss = screening(screens, sources, points, every)
    sieved, sieved_loss = screening(screens, sources, points, some)
    assert np.array_equal(every[row], some[sieved])
    assert np.array_equal(loss, sieved_loss)


def test_what_lies_apart_is_sieved_out():
    """A building of 10 m to the east, 100 m off: points north, west and before it see the source."""
    screens = Screens(np.array([shapely.box(100, -5, 110, 5)], dtype=object), np.array([10.0]))
    source = np.array([[0.0, 0.0, 2.0]])
    points = np.array([[200.0, 0, 4], [0, 200, 4], [-200, 0, 4], [90, 0, 4], [200, 60, 4]])
    assert maybe_screened(nearest_screens(screens, source, 4.0), source, points).tolist() == [[0, 0]]
    low = Screens(screens.footprints, np.array([1.0]))
    assert not len(maybe_screened(nearest_screens(low, source, 4.0), source, points))
