"""Retention: today's floor area of a use."""

import pytest
from hypothesis import strategies as st

from tests.districts import area, checked, lots, solve, study
from tests.enumeration import LAND, NAMES, family

FRAME = {"gfa_making": [480.0, 0.0], "storeys": [2, 0]}


def test_floor_may_move_within_the_district_unless_each_parcel_must_hold_its_own():
    plan = solve(study(rules=[{"kind": "retention", "use": "making"}]), lots(2, **FRAME))
    assert area(plan, "making") >= 480
    each = {"kind": "retention", "use": "making", "by": "parcel"}
    assert solve(study(rules=[each]), lots(2, **FRAME)).to_frame()["gfa_making"].iloc[0] >= 480


def test_what_is_lost_is_measured():
    asked = study(rules=[{"kind": "retention", "use": "making", "share": 0.5}])
    (held,) = checked(asked, lots(2, **FRAME), ["redevelop", "redevelop"], [[0, 1, 1], [1, 0, 0]])
    assert (held.value, held.limit, held.satisfied) == (240.0, 240.0, True)
    each = study(rules=[{"kind": "retention", "use": "making", "share": 0.5, "by": "parcel"}])
    (broken,) = checked(each, lots(2, **FRAME), ["redevelop", "redevelop"], [[0, 1, 1], [1, 0, 0]])
    assert broken.broken == ("L0",)
    assert broken.value == pytest.approx(0.0)


@st.composite
def rules(draw):
    rule = {"kind": "retention", "use": draw(st.sampled_from(NAMES)), "as_of_right": draw(st.booleans())}
    for key in draw(st.sampled_from(["share plot_ratio", "", "like_for_like", "share", "plot_ratio"])).split():
        values = {"share": [0.5, 0.8], "plot_ratio": [0.3, 0.65], "like_for_like": [1.0, 3.0]}
        rule[key] = draw(st.sampled_from(values[key]))
    rule["by"] = draw(st.sampled_from(["district", "district", "zone", "building", "neighbourhood"]))
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m² of the use that each place lacks; a plot ratio asks every lot, another measure what it holds today."""
    use, total = NAMES.index(rule["use"]), 0.0
    stays = rule.get("share", 0.0 if "plot_ratio" in rule else 1.0)
    if "like_for_like" in rule:
        stays = {1.0: 1 / 2, 3.0: 3 / 4}[rule["like_for_like"]]
    for place in s.places(rule):
        lots_held = [i for i in place if not (rule["as_of_right"] and s.action[i] == "keep")]
        needed = sum(max(stays * s.today[i, use], rule.get("plot_ratio", 0.0) * LAND) for i in lots_held)
        total += max(needed - s.area[lots_held, use].sum(), 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, examples=60)
