"""Programme: bounds of floor area, shares, jobs (making 40 m², shops 20 m² each) and homes (80 m²)."""

import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import area, checked, lots, solve, study
from tests.enumeration import NAMES, family


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


@st.composite
def rules(draw):
    rule, use = {"kind": "programme"}, draw(st.sampled_from(NAMES))
    bounds = {
        "min_floor_area": st.sampled_from([600.0, 1000.0]),
        "max_floor_area": st.sampled_from([300.0, 700.0]),
        "min_today": st.sampled_from([0.5, 1.2]),
        "max_today": st.sampled_from([0.9, 1.5]),
        "min_area": st.sampled_from([{use: 400.0}]),
        "max_area": st.sampled_from([{use: 300.0}]),
        "min_share": st.sampled_from([{use: 0.3}, {"shops": 0.2, "homes": 0.5}]),
        "max_share": st.sampled_from([{use: 0.4}, {"shops": 0.2, "homes": 0.5}]),
        "min_jobs": st.just(15.0),
        "max_jobs": st.just(10.0),
        "min_homes": st.just(5.0),
        "max_homes": st.just(2.0),
    }
    key, other = (
        draw(st.sampled_from(sorted(bounds))),
        draw(st.sampled_from([None, None, "max_floor_area", "min_homes"])),
    )
    rule[key] = draw(bounds[key])
    if other and other[4:] != key[4:]:
        rule[other] = draw(bounds[other])
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m² of floor, jobs and homes beyond the bounds."""
    area = s.area[s.chosen(rule)]
    floor = {use: area[:, u].sum() for u, use in enumerate(NAMES)}
    whole, today = area.sum(), s.today[s.chosen(rule)].sum()
    held = {
        "floor_area": [(whole, 1.0)],
        "today": [(whole, today)],
        "jobs": [(floor["making"] / 40 + floor["shops"] / 20, 1.0)],
        "homes": [(floor["homes"] / 80, 1.0)],
    }
    total = 0.0
    for key, bound in rule.items():
        sign = {"min": 1.0, "max": -1.0}.get(key[:3])
        if sign is None:
            continue
        pairs = held.get(key[4:]) or [(floor[u], whole if key.endswith("share") else 1.0) for u in bound]
        bounds = bound.values() if isinstance(bound, dict) else [bound]
        total += sum(max(sign * (b * scale - value), 0.0) for b, (value, scale) in zip(bounds, pairs))
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, examples=80)


def test_a_price_lifts_bounds_and_contradictions():
    """With a price neither the most floor area nor the shares are certain."""
    most = {"kind": "programme", "max_floor_area": 300.0, "price": 1e-6}
    asked = study(rules=[most], objective={"proximity": 0, "mixing": 0, "density": 1})
    assert solve(asked, lots(1)).to_frame()["gfa_m2"].iloc[0] == 960
    shares = [{"kind": "programme", "min_share": {u: 0.6}, "price": 0.1} for u in NAMES[:2]]
    assert solve(study(rules=shares), lots(1)).result["status"] == "optimal"
