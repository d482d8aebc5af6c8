"""Floor-area ratio: 240 m² plates on 400 m² lots, so each storey is a ratio of 0.6."""

import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import checked, lots, solve, study
from tests.enumeration import LAND, family

RULE = {"kind": "floor_area", "max_far": 1.3, "where": "parcel_id == 'L0'"}


def test_the_optimum_keeps_within_it_where_it_holds():
    frame = solve(study(rules=[RULE, {"kind": "programme", "min_floor_area": 1440}]), lots(2)).to_frame()
    assert frame["far"].tolist() == pytest.approx([1.2, 2.4])


def test_a_third_storey_breaks_it():
    asked = study(rules=[RULE])
    floors = [[1, 1, 0], [2, 1, 1]]
    (held,) = checked(asked, lots(2), ["redevelop"] * 2, floors)
    assert held.satisfied
    assert held.value == pytest.approx(1.2)
    (broken,) = checked(asked, lots(2), ["redevelop"] * 2, [[1, 1, 1], [1, 1, 1]])
    assert broken.broken == ("L0",)
    assert broken.value == pytest.approx(1.8)


def test_a_building_that_stays_keeps_its_floor_area():
    frame = lots(1, gfa_homes=960.0, storeys=4)
    assert checked(study(rules=[RULE]), frame, ["keep"], [[0, 0, 0]]) == []


@st.composite
def rules(draw):
    rule = {
        "kind": "floor_area",
        "by": draw(st.sampled_from(["parcel", "building", "zone", "district", "neighbourhood"])),
    }
    if rule["by"] == "parcel":
        rule["max_far"] = draw(st.sampled_from([0.3, 0.6, 1.2]))
    else:
        bounds = draw(
            st.sampled_from(["min_far", "max_far", "min_gfa", "max_gfa", "min_far max_gfa", "min_gfa max_far"])
        )
        for key in bounds.split():
            rule[key] = draw(st.sampled_from({"min": [0.3, 0.6], "max": [0.9, 1.2]}[key[:3]]))
            rule[key] *= 400.0 if key.endswith("gfa") else 1.0
        rule["as_of_right"] = draw(st.booleans())
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m² beyond the ratio of new buildings, or beyond the bounds of each place."""
    if rule["by"] == "parcel":
        new = s.chosen(rule) & [a == "redevelop" for a in s.action]
        return sum(max(s.area[i].sum() - rule["max_far"] * LAND, 0.0) for i, n in enumerate(new) if n)
    total = 0.0
    for place in s.places(rule):
        floor, land = s.counted(rule)[place].sum(), LAND * len(place)
        total += max(max(rule.get("min_far", 0.0) * land, rule.get("min_gfa", 0.0)) - floor, 0.0)
        total += max(floor - min(rule.get("max_far", 99.0) * land, rule.get("max_gfa", 1e6)), 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, examples=60)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"by": "zone", "min_far": 2.0, "max_far": 1.0}, "min_far = 2 is above max_far = 1"),
        ({"by": "zone", "min_gfa": 200, "max_gfa": 100}, "min_gfa = 200 is above max_gfa = 100"),
        ({"min_far": 1.0}, "min_far is not held by parcel"),
    ],
)
def test_bounds_that_make_no_sense_are_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "floor_area", **rule}])


def test_all_sites_of_a_parcel_draw_on_one_account():
    """Four sites of 240 m² on 1,600 m²: a ratio of 0.5 is 800 m², three storeys."""
    frame = lots(1, side=40.0)
    asked = study(
        rules=[{"kind": "floor_area", "max_far": 0.5}],
        sites={"plate": 240.0},
        objective={"proximity": 0, "mixing": 0, "density": 1},
    )
    plan = solve(asked, frame)
    assert len(plan.district.sites) == 4
    assert plan.to_frame()["gfa_m2"].iloc[0] == 720
