"""Height: making 5 m, shops 4 m, homes 3 m a storey."""

from tests.districts import checked, lots, solve, study


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
