"""Retention: today's floor area of a use."""

import pytest

from tests.districts import area, checked, lots, solve, study

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
