"""Locked parcels stay as they are."""

from hypothesis import strategies as st

from tests.districts import checked, lots, solve, study
from tests.enumeration import family

RULE = {"kind": "locked", "where": "parcel_id == 'L0'"}
FRAME = {"gfa_making": [240.0, 240.0], "storeys": 1}


def test_only_the_chosen_parcel_is_locked():
    frame = solve(study(rules=[RULE]), lots(2, **FRAME)).to_frame()
    assert frame["action"].tolist() == ["keep", "redevelop"]


def test_change_is_found():
    (held,) = checked(study(rules=[RULE]), lots(2, **FRAME), ["keep", "redevelop"], [[0, 0, 0], [1, 1, 1]])
    assert held.satisfied
    (broken,) = checked(study(rules=[RULE]), lots(2, **FRAME), ["convert", "keep"], [[0, 1, 0], [0, 0, 0]])
    assert broken.broken == ("L0",)
    assert broken.value == 480.0  # 240 m² of making gone, 240 m² of shops come


def missed(rule, s):
    """Chosen lots that are not kept."""
    return float(sum(c and a != "keep" for c, a in zip(s.chosen(rule), s.action)))


test_same_optimum_as_every_plan_tried = family(
    st.sampled_from([{"kind": "locked", **where} for where in ({}, {"where": "zone == 'A'"}, {"where": ["L0"]})]),
    missed,
    prices=(0.01, 0.5),
    examples=40,
)
