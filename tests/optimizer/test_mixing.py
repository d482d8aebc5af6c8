"""Entropy: known values, cuts that never undercut it and touch it where they were made."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.mixing import cut_coefficients, first_shares, weighted_entropy, whole_floor_cut
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
    assert area @ cut_coefficients(area / area.sum()) == pytest.approx(weighted_entropy(area), abs=4e-6 * area.sum())


def test_reported_index_and_bound_meet():
    frame = lots(3, max_far=1.8)
    asked = study(objective={"proximity": 0, "mixing": 1, "scales": {"building": 1, "neighbourhood": 0}})
    result = solve(asked, frame).result
    assert result["indices"]["mixing"]["building"] == pytest.approx(1.0)
    assert result["bound"] == pytest.approx(result["objective"], rel=2e-6)


def test_whole_floor_cuts_hold_on_every_stack_and_beat_tangents():
    rng = np.random.default_rng(3)
    tighter = 0
    for _ in range(150):
        uses, most = int(rng.integers(2, 5)), int(rng.integers(1, 8))
        shares = rng.dirichlet(np.ones(uses))
        floors = shares * rng.choice([most, rng.uniform(0.1, most)])
        floors = np.floor(floors) if rng.random() < 0.3 else floors
        slope, constant = whole_floor_cut(floors[None], np.array([most]))
        stacks = [n for n in itertools.product(range(most + 1), repeat=uses) if sum(n) <= most]
        entropy = weighted_entropy(np.array(stacks, dtype=float))
        assert (np.array(stacks) @ slope[0] + constant[0] >= entropy - 1e-9).all()
        tighter += slope[0] @ floors + constant[0] < weighted_entropy(floors) - 1e-6
    assert tighter > 30


def test_three_floors_mix_three_uses_only():
    slope, constant = whole_floor_cut(np.full((1, 4), 0.75), np.array([3]))
    assert slope[0] @ np.full(4, 0.75) + constant[0] == pytest.approx(3 * math.log(3))
