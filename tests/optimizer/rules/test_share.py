"""Share: certain uses of a place's floor or land."""

import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import study
from tests.enumeration import LAND, NAMES, PLATE, family


@st.composite
def rules(draw):
    low, high = sorted(draw(st.tuples(*2 * [st.sampled_from([0.0, 0.25, 0.4, 0.5, 0.75, 1.0])])))
    rule = {"kind": "share", "uses": draw(st.permutations(NAMES))[: draw(st.integers(1, 2))]}
    bounds = draw(st.sampled_from(["min", "max", "both"]))
    rule |= ({"min": low} if bounds != "max" else {}) | ({"max": high} if bounds != "min" else {})
    rule["by"] = draw(st.sampled_from(["district", "parcel", "building", "zone", "neighbourhood"]))
    extra = draw(st.sampled_from(["none", "where", "list", "site_area", "over", "above", "up_to"]))
    rule |= {
        "none": {},
        "where": {"where": "zone == 'A'"},
        "list": {"where": ["L0"]},
        "site_area": {"of": "site_area"},
        "over": {"over": draw(st.sampled_from([240.0, 480.0, 700.0]))},
        "above": {"above_storey": draw(st.integers(1, 2))},
        "up_to": {"up_to_storey": draw(st.integers(1, 2))},
    }[extra]
    rule["as_of_right"] = draw(st.booleans())
    return rule


def missed(rule, s):
    total = 0.0
    for place in s.places(rule):
        area = s.counted(rule)[place]
        if "above_storey" in rule or "up_to_storey" in rule:
            area = area.copy()
            for row, i in enumerate(place):
                stack = s.stack(i) if area[row].any() else []
                part = stack[rule["above_storey"] :] if "above_storey" in rule else stack[: rule["up_to_storey"]]
                area[row] = [PLATE * part.count(u) for u in NAMES]
        if area.sum() <= rule.get("over", -1.0):
            continue
        base = LAND * len(place) if rule.get("of") == "site_area" else area.sum()
        own = area[:, [NAMES.index(u) for u in rule["uses"]]].sum()
        total += max(rule.get("min", 0.0) * base - own, 0.0) + max(own - rule.get("max", 9.0) * base, 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"min": 0.6, "max": 0.4}, "min = 0.6 is above max = 0.4"),
        ({}, "neither min nor max"),
        ({"min": 1.2}, "above 1"),
        ({"min": 0.2, "above_storey": 1, "up_to_storey": 2}, "give one of them"),
        ({"min": 0.2, "uses": ["making", "making"]}, "named twice"),
        ({"min": 0.2, "uses": ["makng"]}, "did you mean 'making'"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "share", "uses": ["making"], **rule}])


def test_shares_that_contradict_one_another_are_found_before_solving():
    with pytest.raises(StudyError, match=r"add to 1\.2"):
        study(rules=[{"kind": "share", "uses": [u], "min": 0.4} for u in NAMES])
    least, most = ({"kind": "share", "uses": ["making"], key: v} for key, v in (("min", 0.5), ("max", 0.4)))
    with pytest.raises(StudyError, match=r"min = 0\.5 is above max = 0\.4"):
        study(rules=[least, most])
    study(rules=[least, {**most, "by": "block"}])
