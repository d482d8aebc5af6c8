"""Grain: sizes of units, and doors along the street."""

import math

import numpy as np
import pytest
import shapely

from optimizer.errors import StudyError
from optimizer.rules.grain import frontage
from tests.districts import area, checked, lots, problem_of, solve, study
from tests.enumeration import NAMES, PLATE, family
from tests.pricing import charged, drawn

DENSE = {"proximity": 0, "mixing": 0, "density": 1}


WHERE = [{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]


def units(rng):
    rule = {"kind": "grain"} | ({"uses": rng.sample(NAMES, rng.randint(1, 2))} if rng.random() < 0.5 else {})
    parts = rng.choice(["min", "max", "both", "small", "small and max"])
    low, high = sorted(rng.choice([200.0, 240.0, 300.0, 480.0, 600.0]) for _ in range(2))
    rule |= {"min_unit": low} if parts in ("min", "both") else {}
    rule |= {"max_unit": high} if parts in ("max", "both", "small and max") else {}
    if parts.startswith("small"):
        rule |= {"small": rng.choice([100.0, 240.0, 300.0, 480.0, 500.0])}
        rule |= {"min_small_share": rng.choice([0.25, 0.5, 0.82, 1.0])}
    rule |= {"by": rng.choice(["district", "parcel", "building", "zone", "block"])}
    rule |= {"as_of_right": rng.random() < 0.5} | rng.choice(WHERE)
    # Where no number of storeys of 240 m² lies between least and largest unit, the uses are banned.
    banned = math.floor(rule.get("max_unit", 960) / PLATE) * PLATE < rule.get("min_unit", 0)
    return units(rng) if banned else rule


def doors(rng):
    rule = {"kind": "grain", "doors_per_100m": rng.choice([0.5, 0.8, 1.0, 1.25, 1.5])}
    rule |= {"by": rng.choice(["district", "parcel", "zone", "block"])}
    return rule | {"as_of_right": rng.random() < 0.5} | rng.choice(WHERE)


def missed(rule, s):
    total = 0.0
    uses = [NAMES.index(u) for u in rule.get("uses", NAMES)]
    for place in s.places(rule):
        sizes = [s.area[i, u] for i in place for u in uses if s.area[i, u] > 0]
        if "min_small_share" in rule:
            small = sum(g for g in sizes if g <= rule["small"])
            total += max(rule["min_small_share"] * sum(sizes) - small, 0.0)
        if "doors_per_100m" in rule:  # every lot of 20 m by 20 m stands by itself
            total += max(rule["doors_per_100m"] * 0.8 * len(place) - sum(s.area[i].any() for i in place), 0.0)
        for i in place:
            if rule["as_of_right"] and s.action[i] == "keep":
                continue
            for g in (s.area[i, u] for u in uses if s.area[i, u] > 0):
                total += max(rule.get("min_unit", 0.0) - g, 0.0) + max(g - rule.get("max_unit", math.inf), 0.0)
    return total


test_every_plan_is_charged_what_it_misses = charged(units, missed, price=1e-4)
test_every_plan_is_charged_the_doors_it_misses = charged(doors, missed, districts=30)
test_same_optimum_as_every_plan_tried = family(drawn(units), missed)
test_same_optimum_by_doors_as_every_plan_tried = family(drawn(doors), missed, prices=(0.01, 0.3), examples=50)


@pytest.mark.parametrize(("least", "floors"), [(240, 1), (241, 2), (480, 2), (700, 3), (961, 0)])
def test_a_use_is_present_with_its_least_unit_or_not_at_all(least, floors):
    """Making earns nothing here: it is there because it must be, and no larger than it must."""
    rules = [
        {"kind": "grain", "uses": ["making"], "min_unit": least},
        {"kind": "programme", "min_area": {"making": 1}} if floors else {"kind": "banned", "uses": ["shops"]},
        {"kind": "programme", "min_share": {"homes": 0.2}},
    ]
    plan = solve(study(rules=[*rules, {"kind": "programme", "max_share": {"making": floors / 4}}]), lots(1))
    assert area(plan, "making") == 240 * floors


def test_an_artisan_takes_up_no_more_than_the_largest_unit():
    rules = [{"kind": "grain", "uses": ["making"], "max_unit": 500}, {"kind": "banned", "uses": ["homes", "shops"]}]
    asked = study(rules=rules, objective=DENSE)
    assert area(solve(asked, lots(3)), "making") == 3 * 480
    built = {"storeys": [4, 0], "gfa_making": [960.0, 0.0], "protected": [True, False]}
    columns = ("id", "max_far", "coverage", "storeys", "protected")
    right = [{**rules[0], "as_of_right": True}, rules[1]]
    assert area(solve(study(rules=right, lot_columns=columns, objective=DENSE), lots(2, **built)), "making") == 1440
    soft = [{**rules[0], "price": 1e-4}, rules[1]]
    plan = solve(study(rules=soft, lot_columns=columns, objective={**DENSE, "density": 1e-9}), lots(2, **built))
    assert plan.result["objective"] == pytest.approx(-0.046, abs=1e-6)


def test_small_units_are_spread_over_buildings():
    rules = [
        {"kind": "grain", "uses": ["making"], "small": 300, "min_small_share": 0.5},
        {"kind": "banned", "uses": ["shops"]},
        {"kind": "programme", "min_area": {"making": 960}},
    ]
    plan = solve(study(rules=rules, objective=DENSE), lots(3))
    sizes = plan.to_frame()["gfa_making"].to_numpy()
    assert sizes[sizes <= 300].sum() >= 0.5 * sizes.sum() >= 480


def test_doors_follow_one_another_along_the_street():
    """Three lots that touch: 160 m of outer boundary, so 1.5 doors every 100 m are 2.4, that is 3."""
    frame = lots(3, gap=0.0)
    rules = [{"kind": "grain", "doors_per_100m": 1.5, "by": "block"}, {"kind": "programme", "max_floor_area": 720}]
    plan = solve(study(rules=rules, objective=DENSE), frame)
    assert (plan.to_frame()["gfa_m2"] == 240).all()
    one = ["redevelop", "clear", "clear"], [[3, 0, 0], [0, 0, 0], [0, 0, 0]]
    check = checked(study(rules=rules), frame, *one)[0]
    assert (check.value, check.satisfied) == (1, False)
    assert check.limit == pytest.approx(2.4)
    assert check.missed == pytest.approx(1.4)


def test_the_buildings_of_a_parcel_are_a_door_and_a_unit_each():
    """One lot of four sites of 240 m² and 160 m around: 2 doors every 100 m are 3.2, so all four stand."""
    frame = lots(1, side=40.0, max_far=1.2)
    sites = {"plate": 240.0}
    rules = [
        {"kind": "grain", "doors_per_100m": 2, "by": "parcel"},
        {"kind": "grain", "name": "works", "uses": ["making"], "min_unit": 480, "max_unit": 480},
        {"kind": "grain", "name": "shops", "uses": ["shops"], "small": 240, "min_small_share": 1},
        {"kind": "programme", "min_area": {"making": 960, "shops": 720}},
    ]
    asked = study(rules=rules, sites=sites, objective=DENSE)
    assert len(problem_of(asked, frame).district.sites) == 4
    plan = solve(asked, frame)
    assert (plan.floors.sum(axis=1) > 0).all()
    assert sorted(plan.floors[:, 0]) == [0, 0, 2, 2]
    assert plan.floors[:, 1].max() == 1
    built = lots(1, side=40.0, max_far=0.9, storeys=2, gfa_making=1920.0)
    rules = [{"kind": "grain", "doors_per_100m": 2}, {"kind": "grain", "name": "works", "min_unit": 500, "price": 1e-4}]
    asked = study(rules=rules, sites=sites, objective=DENSE, actions={"allowed": ["keep"]})
    assert solve(asked, built).result["objective"] == pytest.approx(1.0 - 4 * 20 * 1e-4)


def test_frontage_is_the_outer_boundary_of_parcels_that_touch():
    box = shapely.box
    assert frontage(np.array([box(0, 0, 20, 20)])) == pytest.approx(80)
    assert frontage(np.array([box(0, 0, 20, 20), box(20, 0, 40, 20)])) == pytest.approx(120)
    assert frontage(np.array([box(0, 0, 20, 20), box(20.6, 0, 40, 20)])) == pytest.approx(120)
    assert frontage(np.array([box(0, 0, 20, 20), box(22, 0, 42, 20)])) == pytest.approx(160)
    court = shapely.Polygon(box(0, 0, 40, 40).exterior, [box(10, 10, 30, 30).exterior])
    assert frontage(np.array([court])) == pytest.approx(160)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "none of min_unit, max_unit, min_small_share and doors_per_100m"),
        ({"min_unit": 500, "max_unit": 400}, "min_unit = 500 is above max_unit = 400"),
        ({"min_unit": 500, "small": 400, "min_small_share": 0.5}, "min_unit = 500 is above small = 400"),
        ({"small": 400}, "small is given without min_small_share"),
        ({"min_small_share": 0.4}, "min_small_share is given without small"),
        ({"small": 400, "min_small_share": 1.4}, "min_small_share = 1.4"),
        ({"min_unit": 9, "doors_per_100m": 1, "price": 0.1}, "price = 0.1: per m² or per door"),
        ({"doors_per_100m": 1, "by": "building"}, "a building has one door"),
        ({"max_unit": 0}, "max_unit = 0"),
        ({"max_unit": 9, "uses": ["making", "making"]}, "named twice"),
        ({"max_unit": 9, "uses": ["makng"]}, "did you mean 'making'"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "grain", **rule}])


def test_a_least_unit_above_the_largest_of_another_rule_is_found_before_solving():
    least = {"kind": "grain", "uses": ["making", "shops"], "min_unit": 500}
    most = {"kind": "grain", "uses": ["making"], "max_unit": 400}
    with pytest.raises(StudyError, match="min_unit = 500 is above max_unit = 400"):
        study(rules=[least, most])
    study(rules=[least, {**most, "uses": ["homes"]}])
    study(rules=[least, {**most, "price": 1e-4}])
