"""Floor-area ratio: 240 m² plates on 400 m² lots, so each storey is a ratio of 0.6."""

import pytest

from tests.districts import checked, lots, solve, study

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
