"""Entropy: known values, cuts that never undercut it and touch it where they were made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.mixing import cut_coefficients, first_shares, weighted_entropy
from tests.districts import lots, solve, study

areas = st.lists(st.floats(0, 1e4), min_size=4, max_size=4).map(np.array)


def test_known_values():
    assert weighted_entropy([1.0, 1.0]) == pytest.approx(2 * np.log(2))
    assert weighted_entropy([5.0, 0.0]) == 0
    assert weighted_entropy([0.0, 0.0]) == 0
    assert weighted_entropy([[3.0, 3.0, 3.0]])[0] == pytest.approx(9 * np.log(3))


@given(areas, areas)
def test_no_cut_lies_below_the_entropy(area, other):
    for shares in [*first_shares(4, 10), other / other.sum() if other.sum() > 0 else np.full(4, 0.25)]:
        assert area @ cut_coefficients(shares) >= weighted_entropy(area) - 1e-6 * (1 + area.sum())


@given(areas.filter(lambda a: a.min() > 1))
def test_the_cut_at_its_own_shares_is_tight(area):
    assert area @ cut_coefficients(area / area.sum()) == pytest.approx(weighted_entropy(area), rel=1e-6)


def test_reported_index_and_bound_meet():
    frame = lots(3, max_far=1.8)
    asked = study(objective={"proximity": 0, "mixing": 1, "scales": {"building": 1, "neighbourhood": 0}})
    result = solve(asked, frame).result
    assert result["indices"]["mixing"]["building"] == pytest.approx(1.0)
    assert result["bound"] == pytest.approx(result["objective"], rel=2e-6)
