"""Bonus: floor area earned by providing a use."""

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import lots, solve, study
from tests.enumeration import LAND, NAMES, family


@st.composite
def rules(draw):
    provide = draw(st.permutations(NAMES))[: draw(st.integers(1, 2))]
    rule = {"kind": "bonus", "provide": provide, "ratio": draw(st.sampled_from([0.5, 1.0, 3.5])), "cap": 0.6}
    spend = draw(st.sampled_from([[], ["homes"], ["shops", "homes"]]))
    where = draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))
    return rule | where | ({"spend_on": spend} if spend else {})


def missed(rule, s):
    """Floor area beyond the ratio that was not earned, m²."""
    total = 0.0
    for i, action in enumerate(s.action):
        if action != "redevelop":
            continue
        earned = 0.0
        if s.chosen(rule)[i]:
            earned = min(rule["ratio"] * s.area[i, [NAMES.index(u) for u in rule["provide"]]].sum(), 0.6 * LAND)
            if "spend_on" in rule:
                earned = min(earned, s.area[i, [NAMES.index(u) for u in rule["spend_on"]]].sum())
        total += max(s.area[i].sum() - s.far[i] * LAND - earned, 0.0)
    return total


def said(rule, s):
    """The same on the rule's own parcels; the rest is for `floor_area` to say."""
    held = s.chosen(rule)
    action = [a if h else "keep" for a, h in zip(s.action, held)]
    return missed(rule, type(s)(**{**vars(s), "action": action}))


test_same_optimum_as_every_plan_tried = family(rules(), missed, said=said, prices=(), extra_far=0.6)


def test_three_and_a_half_for_one_up_to_the_cap():
    frame = lots(1, max_far=1.2)
    bonus = {"kind": "bonus", "provide": ["making"], "ratio": 3.5, "cap": 2.4}
    asked = study(rules=[bonus], objective={"proximity": 0, "mixing": 0, "density": 1})
    plan = solve(asked, frame)
    # 2 storeys of 240 m² by right; one of making earns 840 m², two the whole cap of 960 m²
    assert plan.to_frame()["gfa_m2"].iloc[0] == pytest.approx(480 + 960)
    assert plan.to_frame()["gfa_making"].iloc[0] >= 480
    without = solve(study(objective={"proximity": 0, "mixing": 0, "density": 1}), frame)
    assert without.to_frame()["gfa_m2"].iloc[0] == pytest.approx(480)
    assert np.isclose(plan.result["objective"], 1.0)


def test_what_a_bonus_does_not_have_is_said():
    bonus = {"kind": "bonus", "provide": ["making"], "cap": 1.0}
    with pytest.raises(StudyError, match="has no price"):
        study(rules=[{**bonus, "price": 0.1}])
    with pytest.raises(StudyError, match="two bonuses are spent on"):
        study(rules=[{**bonus, "spend_on": ["homes"]}, {**bonus, "provide": ["shops"], "spend_on": ["homes"]}])
