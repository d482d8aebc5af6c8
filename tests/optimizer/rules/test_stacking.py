"""Vertical order: ranks put making under shops under homes."""

import itertools

import pytest

from optimizer.errors import StudyError
from tests.districts import checked, lots, solve, study
from tests.enumeration import NAMES, family
from tests.pricing import charged, drawn

DENSE = {"proximity": 0, "mixing": 0, "density": 1}


def rule_of(rng):
    use, other, third = rng.sample(NAMES, 3)
    parts = {
        "highest": {use: rng.randint(1, 3)},
        "lowest": {other: rng.randint(1, 3)},
        "not_over": rng.choice([[["homes", "making"]], [["homes", "shops"], ["shops", "making"]]]),
        "never_with": rng.choice([[[use, other]], [[use, other], [third, use]]]),
        "at_grade": rng.sample(NAMES, rng.randint(1, 2)),
        "unit_storeys": {use: rng.randint(2, 3)},
        "loads": {use: rng.choice([500, 900]), third: 300},
    }
    rule = {"kind": "stacking"} | {key: parts[key] for key in rng.sample(list(parts), rng.randint(1, 3))}
    if "loads" in rule:
        rule["capacity"] = rng.choice([[[1, 1000], [2, 600], [200, 300]], [[2, 900], [3, 400]]])
    rule |= rng.choice([{}, {}, {"order": ["shops"]}, {"order": ["homes", "making"]}])
    rule |= rng.choice([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}])
    return rule_of(rng) if crossed(rule) else rule


def crossed(rule):
    """Whether the lowest storey of a use is above its highest, which a study refuses."""
    return any(
        low > rule.get("highest", {}).get(u, low) or ("loads" in rule and u in rule["loads"])
        for u, low in rule.get("lowest", {}).items()
    )


def missed(rule, s):
    total = 0
    order = [*rule.get("order", []), *(u for u in NAMES if u not in rule.get("order", []))]
    for i in range(len(s.action)):
        if not s.chosen(rule)[i] or s.action[i] == "keep" or not s.floors[i].any():
            continue
        stack = sorted(s.stack(i), key=order.index)
        storeys = {u: [k for k, v in enumerate(stack, 1) if v == u] for u in set(stack)}
        for u, at in storeys.items():
            total += max(max(at) - rule.get("highest", {}).get(u, 99), 0) if "loads" not in rule else 0
            total += max(rule.get("lowest", {}).get(u, 1) - min(at), 0)
            total += len(at) % rule.get("unit_storeys", {}).get(u, 1)
            if "loads" in rule:
                carried = 99
                if u in rule["loads"]:
                    slab = [next((kg for to, kg in rule["capacity"] if k <= to), 0) for k in range(1, 99)]
                    carried = sum(kg >= rule["loads"][u] for kg in slab)
                total += max(max(at) - min(carried, rule.get("highest", {}).get(u, 99)), 0)
        total += sum([up, low] in rule.get("not_over", []) for low, up in itertools.pairwise(stack))
        total += sum(a in stack and b in stack for a, b in rule.get("never_with", []))
        total += "at_grade" in rule and stack[0] not in rule["at_grade"]
    return total


test_every_plan_is_charged_what_it_misses = charged(rule_of, missed)
test_same_optimum_as_every_plan_tried = family(drawn(rule_of), missed, prices=(0.01, 0.3))


def stack(plan):
    return [item["use"] for item in plan.to_frame()["stack"].iloc[0] for _ in range(item["from"], item["to"] + 1)]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"at_grade": ["shops"]}, lambda s: s[0] == "shops"),
        ({"lowest": {"homes": 3}}, lambda s: "homes" not in s[:2]),
        ({"highest": {"shops": 1}, "order": ["shops", "making", "homes"]}, lambda s: "shops" not in s[1:]),
        ({"not_over": [["homes", "making"]]}, lambda s: ("making", "homes") not in list(itertools.pairwise(s))),
    ],
)
def test_the_optimum_is_stacked_by_the_rule(rule, holds):
    order = {"order": ["shops", "making", "homes"]} if "at_grade" in rule else {}
    shares = {"kind": "programme", "min_share": {"homes": 0.25, "making": 0.25}}
    plan = solve(study(rules=[{"kind": "stacking", **order, **rule}, shares]), lots(1))
    assert len(stack(plan)) == 4
    assert holds(stack(plan))


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ({}, 0),
        ({"at_grade": ["shops"]}, 1),
        ({"highest": {"homes": 2}}, 2),
        ({"highest": {"making": 1}}, 0),
        ({"lowest": {"shops": 4}}, 2),
        ({"not_over": [["shops", "making"]]}, 1),
        ({"not_over": [["homes", "making"]]}, 0),
        ({"never_with": [["homes", "making"], ["shops", "making"]]}, 2),
        ({"unit_storeys": {"homes": 2}}, 0),
        ({"unit_storeys": {"homes": 3, "making": 2}}, 3),
        ({"loads": {"homes": 500}, "capacity": [[1, 2500], [3, 650], [200, 300]]}, 1),
        ({"loads": {"homes": 500}, "capacity": [[2, 2500]]}, 2),
        ({"loads": {"homes": 500}, "capacity": [[2, 2500]], "highest": {"homes": 1}}, 3),
    ],
)
def test_storeys_out_of_place_are_counted(rule, wrong):
    (check,) = checked(study(rules=[{"kind": "stacking", **rule}]), lots(1), ["redevelop"], [[1, 1, 2]])
    assert check.value == check.missed == wrong
    assert check.satisfied == (wrong == 0)


@pytest.mark.parametrize(("k", "storeys"), [(2, 4), (3, 3), (4, 4)])
def test_makers_come_in_whole_units_of_k_storeys(k, storeys):
    rules = [{"kind": "stacking", "unit_storeys": {"making": k}}, {"kind": "banned", "uses": ["shops", "homes"]}]
    assert stack(solve(study(rules=rules, objective=DENSE), lots(1))) == ["making"] * storeys


def test_slabs_that_carry_makers_up_to_the_second_storey_hold_two_of_them():
    slabs = {"loads": {"making": 1200}, "capacity": [[2, 2500], [200, 650]]}
    rules = [{"kind": "stacking", **slabs}, {"kind": "programme", "min_share": {"making": 0.4}}]
    plan = solve(study(rules=rules, objective=DENSE), lots(1))
    assert stack(plan)[:2] == ["making"] * 2
    assert "making" not in stack(plan)[2:]
    rules[0] |= {"order": ["homes", "making"], "loads": {"making": 600}, "capacity": [[1, 2500], [3, 650], [200, 300]]}
    plan = solve(study(rules=[*rules, {"kind": "banned", "uses": ["shops"]}], objective=DENSE), lots(1))
    assert stack(plan)[:3].count("making") == len([u for u in stack(plan) if u == "making"])


def test_each_building_of_a_parcel_has_an_order_of_its_own():
    """One lot of four sites of 240 m²: two uses that never share a building stand side by side."""
    frame = lots(1, side=40.0, max_far=1.2, max_floors=2)
    asked = study(
        rules=[
            {"kind": "stacking", "never_with": [["homes", "making"]], "unit_storeys": {"making": 2}},
            {"kind": "programme", "min_area": {"homes": 720, "making": 720}},
        ],
        lot_columns=("id", "max_far", "coverage", "storeys", "max_floors"),
        sites={"plate": 240.0},
        objective=DENSE,
    )
    plan = solve(asked, frame)
    buildings = {}
    for item in plan.to_frame()["stack"].iloc[0]:
        buildings.setdefault(item["site"], []).extend([item["use"]] * (item["to"] - item["from"] + 1))
    assert len(buildings) == 4
    assert all(not {"homes", "making"} <= set(b) and b.count("making") in (0, 2) for b in buildings.values())


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"lowest": {"homes": 3}, "highest": {"homes": 2}}, "lowest.homes = 3 is above its highest storey, 2"),
        (
            {"lowest": {"homes": 3}, "loads": {"homes": 500}, "capacity": [[2, 600], [9, 300]]},
            "lowest.homes = 3 is above",
        ),
        ({"never_with": [["homes", "homes"]]}, "name two uses"),
        ({"not_over": [["homes", "homes"]]}, "name two uses"),
        ({"never_with": [["homes"]]}, "at least 2"),
        ({"order": ["homes", "homes"]}, "named twice"),
        ({"loads": {"homes": 500}}, "loads is given without capacity"),
        ({"capacity": [[3, 500]]}, "capacity is given without loads"),
        ({"loads": {"homes": 500}, "capacity": [[3, 500], [9, 500]]}, r"\[\[3, 500.0\], \[9, 500.0\]\]: storeys rise"),
        ({"loads": {"homes": 500}, "capacity": [[3, 500], [2, 400]]}, "storeys rise"),
        ({"loads": {"homes": 501}, "capacity": [[3, 500]]}, "501 kg/m² is above 500 kg/m²"),
        ({"unit_storeys": {"homes": 1}}, "unit_storeys.homes = 1"),
        ({"loads": {"hmes": 1}, "capacity": [[3, 500]]}, "did you mean 'homes'"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "stacking", **rule}])


def test_a_lowest_storey_above_the_highest_of_another_rule_is_found_before_solving():
    low, high = {"kind": "stacking", "lowest": {"homes": 3}}, {"kind": "stacking", "highest": {"homes": 2}}
    with pytest.raises(StudyError, match=r"lowest\.homes = 3 is above its highest storey, 2"):
        study(rules=[low, high])
    study(rules=[low, {**high, "price": 0.1}])
    study(rules=[low, {**high, "where": ["L1"]}])
