"""Programme: bounds of floor area, shares, jobs (making 40 m², shops 20 m² each) and homes (80 m²)."""

import pytest

from optimizer.errors import StudyError
from tests.districts import area, checked, lots, solve, study


def test_every_bound_binds_the_optimum():
    free = solve(study(), lots(2))
    for use, share in (("homes", 0.7), ("making", 0.6), ("shops", 0.8)):
        assert area(free, use) < share * 1920
        plan = solve(study(rules=[{"kind": "programme", "min_share": {use: share}}]), lots(2))
        assert area(plan, use) >= share * plan.to_frame()["gfa_m2"].sum() - 1e-6
    plan = solve(study(rules=[{"kind": "programme", "max_floor_area": 1000}]), lots(2))
    assert plan.to_frame()["gfa_m2"].sum() == 960
    plan = solve(study(rules=[{"kind": "programme", "min_homes": 18}]), lots(2))
    assert area(plan, "homes") == 1440
    plan = solve(study(rules=[{"kind": "programme", "max_area": {"shops": 0.0}}]), lots(2))
    assert area(plan, "shops") == 0


def test_quantities_are_counted_from_the_plan():
    rule = {"kind": "programme", "min_jobs": 30, "max_homes": 5, "min_share": {"homes": 0.3}, "max_today": 2.0}
    frame = lots(2, gfa_shops=[480.0, 0.0], storeys=[2, 0])
    found = {c.scope: c for c in checked(study(rules=[rule]), frame, ["keep", "redevelop"], [[0, 0, 0], [1, 0, 2]])}
    assert found["jobs"].value == pytest.approx(480 / 20 + 240 / 40)
    assert found["jobs"].satisfied
    assert found["homes"].value == pytest.approx(480 / 80)
    assert not found["homes"].satisfied
    assert found["share of homes"].value == pytest.approx(0.4)
    assert found["floor area against today's"].value == pytest.approx(1200)
    assert found["floor area against today's"].limit == pytest.approx(960)


@pytest.mark.parametrize(
    "rule",
    [
        {"min_floor_area": 10, "max_floor_area": 5},
        {"min_share": {"homes": 0.6, "shops": 0.5}},
        {"min_share": {"homes": 0.6}, "max_share": {"homes": 0.5}},
    ],
)
def test_bounds_that_cannot_be_met_are_refused(rule):
    with pytest.raises(StudyError):
        study(rules=[{"kind": "programme", **rule}])
