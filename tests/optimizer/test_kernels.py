"""Kernels within a reach, against those of all pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from optimizer import kernels
from optimizer.district import read_district
from optimizer.kernels import NEAR, sound_kernel
from tests.districts import lots, study

SHARES = (0.02, 0.05, 0.1, 0.2, 0.25, 0.2, 0.13, 0.05)


@pytest.mark.parametrize("ground", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("reach", [30.0, 150.0, 2000.0])
def test_sound_within_reach_is_that_of_all_pairs_and_no_more_comes_from_beyond(ground, reach, monkeypatch):
    monkeypatch.setattr(kernels, "PAIRS", 5000)  # several blocks
    rng = np.random.default_rng(0)
    storeys = rng.integers(0, 9, 80)
    frame = lots(80, columns=10, side=30.0, gap=20.0, storeys=storeys, protected=rng.random(80) < 0.2)
    frame["gfa_homes"] = storeys * 500.0
    columns = ("id", "max_far", "coverage", "storeys", "protected")
    d = read_district(study(lot_columns=columns, pollution={"ground": ground}), frame)
    site, xy = (part[::3] for part in d.around.facades)
    site, xy = np.append(site, -1), np.vstack([xy, d.xy.min(axis=0) - 40.0])
    whole, none = sound_kernel(d, site, xy, SHARES, 0.3, None)
    near, far = sound_kernel(d, site, xy, SHARES, 0.3, reach)
    apart = cdist(xy, d.xy)
    told = apart <= np.maximum(reach, NEAR * d.around.size)
    assert len(d.around.screens.heights)
    assert not none.any()
    assert np.array_equal(near.toarray(), np.where(told, whole, 0.0))
    beyond = np.where(told, 0.0, whole).max(axis=1)
    assert (far >= beyond).all()
    assert ((far > 0) == (beyond > 0)).all()
