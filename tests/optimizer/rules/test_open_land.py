"""Open land: protected parcels stay unbuilt, and a share of the land stays open."""

import pytest

from tests.districts import checked, lots, solve, study

COLUMNS = ("id", "max_far", "coverage", "storeys", "protected")


def test_protected_parcels_and_a_share_stay_open():
    frame = lots(4, protected=[True, False, False, False])
    asked = study(lot_columns=COLUMNS, rules=[{"kind": "open_land", "min_share": 0.5}])
    built = solve(asked, frame).to_frame()["floors"] > 0
    assert not built.iloc[0]
    assert built.sum() == 2


def test_open_land_is_measured():
    asked = study(rules=[{"kind": "open_land", "min_share": 0.5}])
    plan = (["redevelop", "keep", "keep"], [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    check = checked(asked, lots(3), *plan)[-1]
    assert check.value == pytest.approx(2 / 3)
    assert check.satisfied
    protected = study(lot_columns=COLUMNS, rules=[{"kind": "open_land"}])
    (broken,) = checked(protected, lots(3, protected=[True, False, False]), *plan)
    assert broken.broken == ("L0",)
    assert broken.value == 240
