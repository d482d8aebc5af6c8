"""Sound through the slab: hand-worked levels, and every plan of small districts."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import area, checked, lots, solve, study
from tests.enumeration import NAMES, family

RULE = {"kind": "indoor_noise", "room_level": {"making": 80}, "limits": {"homes": {"day": 35, "night": 25}}}
PERIODS = ("day", "evening", "night")
DENSE = {"proximity": 0, "mixing": 0, "density": 1}


@st.composite
def rules(draw):
    level = st.sampled_from([76.0, 80.0, 84.0, 88.0])
    limit = st.sampled_from([24.0, 28.0, 32.0])

    def levels(one):
        periods = draw(st.sampled_from([None, ["day"], ["night"], ["day", "night"], ["evening", "night"]]))
        return {p: draw(one) for p in periods} if periods else draw(one)

    noisy = draw(st.sampled_from([["making"], ["making", "shops"], ["shops"]]))
    limited = draw(st.sampled_from([["homes"], ["homes", "shops"]]))
    rule = {
        "kind": "indoor_noise",
        "room_level": {u: levels(level) for u in noisy},
        "limits": {u: levels(limit) for u in limited},
    }
    rule |= draw(st.sampled_from([{}, {"reduction": 60.0}, {"reduction": 50.0, "area_term": -5.0}]))
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def at(levels, period):
    return levels.get(period) if isinstance(levels, dict) else levels


def parted(rule, noisy, use):
    """Whether two rooms of the noisy use, over and under one of the other, pass its limit in any period."""
    takes = rule.get("reduction", 55.0) - rule.get("area_term", 0.0)
    for period in PERIODS:
        level, limit = at(rule["room_level"][noisy], period), at(rule["limits"][use], period)
        if None not in (level, limit) and 2 * 10 ** ((level - takes) / 10) > 10 ** (limit / 10):
            return True
    return False


def missed(rule, s):
    pairs = [(a, b) for a in rule["room_level"] for b in rule["limits"] if a != b and parted(rule, a, b)]
    changed = s.chosen(rule) & [a != "keep" for a in s.action]
    held = [(s.area[:, NAMES.index(a)] > 0) & (s.area[:, NAMES.index(b)] > 0) for a, b in pairs]
    return float(sum((both & changed).sum() for both in held))


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.01, 0.3), examples=40, most=3)


def test_the_level_behind_a_slab_of_55_db_by_hand():
    """80 - 55 + 3.01 = 28.01 dB(A): too loud by night, not by day."""
    found = checked(study(rules=[RULE]), lots(1), ["redevelop"], [[1, 0, 2]])
    assert [(c.name, round(c.value, 2), c.limit, c.unit, c.satisfied) for c in found] == [
        ("indoor_noise of homes, day", 28.01, 35.0, "dB(A)", True),
        ("indoor_noise of homes, night", 28.01, 25.0, "dB(A)", False),
    ]
    assert [c.missed for c in found] == [0, 1] and found[1].missed_unit == "pairs of uses"


@pytest.mark.parametrize(
    ("keys", "shared"),
    [
        ({}, False),
        ({"reduction": 58.0}, False),
        ({"reduction": 58.1}, True),
        ({"area_term": -3.1}, True),
        ({"area_term": -3.0}, False),
        ({"reduction": 62.0, "area_term": 3.9}, True),
        ({"reduction": 62.0, "area_term": 4.0}, False),
        ({"room_level": {"making": {"day": 86.9, "night": 76.9}}}, True),
        ({"room_level": {"making": {"day": 87.1, "night": 76.9}}}, False),
        ({"room_level": {"making": {"evening": 120}}}, True),
        ({"limits": {"homes": 28.1}}, True),
        ({"limits": {"homes": 27.9}}, False),
    ],
)
def test_makers_and_homes_share_a_building_just_where_the_slab_takes_enough_away(keys, shared):
    alone = study(rules=[{**RULE, **keys}])
    assert all(c.satisfied for c in checked(alone, lots(1), ["redevelop"], [[1, 0, 1]])) == shared
    mixed = {"proximity": 0, "mixing": 1, "scales": {"building": 1, "neighbourhood": 0}}
    plan = solve(study(rules=[{**RULE, **keys}], objective=mixed), lots(1)).to_frame()
    assert ((plan["gfa_making"] > 0) & (plan["gfa_homes"] > 0)).all() == shared


def test_the_loudest_of_several_noisy_uses_is_shown_and_each_pair_counts():
    rule = {**RULE, "room_level": {"making": 80, "shops": {"night": 90}}, "limits": {"homes": 25}}
    found = checked(study(rules=[rule]), lots(1), ["redevelop"], [[1, 1, 1]])
    assert [round(c.value - 10 * math.log10(2), 6) for c in found] == [25.0, 25.0, 35.0]
    assert sum(c.missed for c in found) == 2


def test_a_kept_building_stays_and_a_converted_one_is_parted():
    frame = lots(1, gfa_making=240.0, gfa_homes=240.0, storeys=2)
    assert checked(study(rules=[RULE]), frame, ["keep"], [[0, 0, 0]]) == []
    assert not all(c.satisfied for c in checked(study(rules=[RULE]), frame, ["convert"], [[1, 0, 1]]))
    for parted in (True, False):
        rules = [{**RULE, "reduction": 55.0 if parted else 70.0}, {"kind": "banned", "uses": ["shops"]}]
        plan = solve(study(rules=rules, actions={"allowed": ["convert"]}), frame).to_frame()
        assert np.count_nonzero(plan[["gfa_making", "gfa_homes"]].iloc[0]) == (1 if parted else 2)


def test_rules_that_part_nothing_need_no_row_and_say_nothing():
    quiet = {**RULE, "reduction": 70.0}
    plan = solve(study(rules=[quiet], objective=DENSE), lots(1))
    assert area(plan, "homes") + area(plan, "making") + area(plan, "shops") == 960


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"limits": {}}, "limits"),
        ({"room_level": {}}, "room_level"),
        ({"limits": {"making": 30}}, "name two uses"),
        ({"limits": {"homes": {"dusk": 30}}}, "dusk"),
        ({"limits": {"homes": {}}}, "limits.homes"),
        ({"limits": {"flats": 30}}, r"limits.flats = 'flats': unknown"),
        ({"room_level": {"makers": 30}}, r"room_level.makers = 'makers': unknown"),
        ({"room_level": {"making": 200}}, "room_level.making"),
        ({"reduction": -1}, "reduction = -1"),
        ({"slab": 55}, "unknown key"),
    ],
)
def test_bad_input_is_named(keys, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{**RULE, **keys}])
