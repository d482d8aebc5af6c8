"""Noise: geometric divergence over a full sphere against a closed formula and the fact sheet's table."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from optimizer.rules.noise import geometric_divergence
from tests.districts import area, checked, lots, solve, study
from tests.enumeration import NAMES, family

DISTANCES = {25: 61, 50: 55, 100: 49, 200: 43}
LOUD = {"max_far": 25.0, "coverage": 1.0}


@pytest.mark.parametrize(("distance", "level"), DISTANCES.items())
def test_a_hectare_of_60_db_a_square_metre(distance, level):
    """Lots stand 25 m apart; 25 floors of 400 m² are a hectare."""
    frame = lots(9, **LOUD)
    floors = np.zeros((9, 3), dtype=int)
    floors[0, 0], floors[distance // 25, 2] = 25, 1
    action = np.where(floors.any(axis=1), "redevelop", "keep")
    (check,) = checked(study(rules=[{"kind": "noise", "limits": {"homes": 70}}]), frame, action, floors)
    assert round(check.value) == level
    assert check.value == pytest.approx(60 + 40 - 10 * math.log10(4 * math.pi * distance**2), abs=0.01)


def test_divergence_is_the_standard_formula():
    distance = np.array([1.0, 10.0, 300.0])
    assert 10 * np.log10(geometric_divergence(distance)) == pytest.approx(-(20 * np.log10(distance) + 11), abs=0.01)


def test_sources_add_up_as_energy_with_the_background():
    frame = lots(3, **LOUD)
    rule = {"kind": "noise", "limits": {"homes": 70}, "background": 50.0}
    floors = [[25, 0, 0], [0, 0, 1], [25, 0, 0]]
    (check,) = checked(study(rules=[rule]), frame, ["redevelop"] * 3, floors)
    one = 100 - 10 * math.log10(4 * math.pi * 25**2)
    assert check.value == pytest.approx(10 * math.log10(2 * 10 ** (one / 10) + 1e5), abs=0.01)


@pytest.mark.parametrize(("limit", "floors"), [(47.0, 1), (48.0, 2), (50.0, 3)])
def test_the_optimum_makes_no_more_noise_than_homes_bear(limit, floors):
    """One storey of 240 m² 25 m away is heard at 44.9 dB(A); homes are fixed on the other lot, so floors follow."""
    asked = study(
        rules=[
            {"kind": "noise", "limits": {"homes": limit}},
            {"kind": "locked", "where": "parcel_id == 'L1'"},
            {"kind": "banned", "uses": ["homes", "shops"], "where": "parcel_id == 'L0'"},
        ],
        objective={"proximity": 0, "mixing": 0, "density": 1},
    )
    frame = lots(2, gfa_homes=[0.0, 240.0], storeys=[0, 1])
    plan = solve(asked, frame)
    level = 60 + 10 * math.log10(240) - 10 * math.log10(4 * math.pi * 25**2)
    assert floors == math.floor(10 ** ((limit - level) / 10) + 1e-9)
    assert area(plan, "making") == 240 * floors


@st.composite
def rules(draw):
    limits = {use: draw(st.sampled_from([40.0, 44.0, 47.0, 50.0])) for use in draw(st.sampled_from(["h", "s", "sh"]))}
    rule = {"kind": "noise", "limits": {{"h": "homes", "s": "shops"}[key]: value for key, value in limits.items()}}
    rule |= draw(st.sampled_from([{}, {}, {"background": 38.0}]))
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """Multiples of the energy that the background leaves, at each building with a limited use."""
    total = 0.0
    for use, limit in rule["limits"].items():
        room = 10 ** (limit / 10) - (10 ** (rule["background"] / 10) if "background" in rule else 0.0)
        for i in np.flatnonzero(s.chosen(rule) & (s.area[:, NAMES.index(use)] > 0)):
            away = [j for j in range(len(s.action)) if j != i]
            heard = sum(s.area[j, 0] * 1e6 / (4 * math.pi * ((s.xy[i] - s.xy[j]) ** 2).sum()) for j in away)
            total += max(heard / room - 1.0, 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.01, 0.5), examples=60)


def test_noise_beyond_a_reach_has_no_price():
    with pytest.raises(StudyError, match="reach = 100 has no price"):
        study(rules=[{"kind": "noise", "limits": {"homes": 60}, "reach": 100, "price": 0.1}])
