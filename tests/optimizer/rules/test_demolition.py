"""Demolition: 720 m² stand on L0, 240 m² on L1."""

import numpy as np
import pytest
from hypothesis import strategies as st

from tests.districts import checked, lots, solve, study
from tests.enumeration import family

FRAME = {"gfa_homes": [720.0, 240.0], "storeys": [3, 1]}


def test_the_optimum_pulls_down_no_more():
    asked = study(rules=[{"kind": "demolition", "max_share": 0.25}], actions={"allowed": ["keep", "redevelop"]})
    assert solve(asked, lots(2, **FRAME)).to_frame()["action"].tolist() == ["keep", "redevelop"]
    asked = study(rules=[{"kind": "demolition", "max_share": 0.24}], actions={"allowed": ["keep", "redevelop"]})
    assert solve(asked, lots(2, **FRAME)).to_frame()["action"].tolist() == ["keep", "keep"]


@pytest.mark.parametrize(("actions", "share"), [(["redevelop", "keep"], 0.75), (["convert", "clear"], 0.25)])
def test_the_share_is_of_floor_area(actions, share):
    floors = {"redevelop": [1, 1, 0], "convert": [3, 0, 0]}
    stacks = [floors.get(a, [0, 0, 0]) for a in actions]
    (check,) = checked(study(rules=[{"kind": "demolition", "max_share": 0.5}]), lots(2, **FRAME), actions, stacks)
    assert check.value == pytest.approx(share)
    assert check.satisfied == (share <= 0.5)


@st.composite
def rules(draw):
    rule = {"kind": "demolition", "max_share": draw(st.sampled_from([0.0, 0.3, 0.5]))}
    return rule | draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m² of today's floor area pulled down beyond the share."""
    today = s.today.sum(axis=1)[s.chosen(rule)]
    gone = sum(t for t, i in zip(today, np.flatnonzero(s.chosen(rule))) if s.action[i] in ("redevelop", "clear"))
    return max(gone - rule["max_share"] * today.sum(), 0.0)


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(1e-4, 1e-3, 0.01), examples=60)
