"""Locked parcels stay as they are."""

from tests.districts import checked, lots, solve, study

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
