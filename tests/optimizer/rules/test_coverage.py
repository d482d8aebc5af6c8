"""Coverage: plates take 0.6 of each lot."""

import pytest

from tests.districts import checked, lots, solve, study

RULE = {"kind": "coverage", "max_coverage": 0.5, "where": "parcel_id == 'L0'"}


def test_nothing_new_stands_where_plates_are_too_large():
    frame = solve(study(rules=[RULE]), lots(2)).to_frame()
    assert frame["floors"].tolist() == [0, 4]


def test_the_share_is_measured_on_new_buildings():
    (broken,) = checked(study(rules=[RULE]), lots(2), ["redevelop", "keep"], [[1, 0, 0], [0, 0, 0]])
    assert broken.value == pytest.approx(0.6)
    assert not broken.satisfied
    assert checked(study(rules=[RULE]), lots(1, gfa_shops=390.0, storeys=1), ["keep"], [[0, 0, 0]]) == []
