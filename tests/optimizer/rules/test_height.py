"""Height: making 5 m, shops 4 m, homes 3 m a storey."""

from hypothesis import strategies as st

from tests.districts import checked, lots, solve, study
from tests.enumeration import family


def test_the_optimum_keeps_within_height_and_storeys():
    frame = solve(study(rules=[{"kind": "height", "max_height": 8.9}]), lots(2)).to_frame()
    assert (frame["height_m"] <= 8.9).all()
    assert (frame["floors"] == 2).all()
    frame = solve(study(rules=[{"kind": "height", "max_floors": 3}]), lots(2)).to_frame()
    assert frame["floors"].max() == 3


def test_storeys_of_different_height_add_up():
    asked = study(rules=[{"kind": "height", "max_height": 12.0, "max_floors": 3}])
    metres, storeys = checked(asked, lots(1), ["redevelop"], [[1, 1, 1]])
    assert (metres.value, metres.unit, metres.satisfied) == (12.0, "m", True)
    assert (storeys.value, storeys.unit, storeys.satisfied) == (3.0, "storeys", True)
    metres, storeys = checked(asked, lots(1), ["redevelop"], [[1, 1, 2]])
    assert (metres.value, metres.satisfied, storeys.satisfied) == (15.0, False, False)


@st.composite
def rules(draw):
    rule = {"kind": "height"}
    for key in draw(st.sampled_from(["max_height", "max_floors", "max_height max_floors"])).split():
        rule[key] = draw(st.sampled_from({"max_height": [4.0, 6.0, 8.5, 11.0], "max_floors": [0, 1, 2, 3]}[key]))
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m and storeys above the limits, building by building."""
    total = 0.0
    for chosen, action, floors in zip(s.chosen(rule), s.action, s.floors):
        if chosen and action == "redevelop":
            total += max(floors @ [5.0, 4.0, 3.0] - rule.get("max_height", 99.0), 0.0)
            total += max(floors.sum() - rule.get("max_floors", 99), 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.01, 0.5), examples=40)
