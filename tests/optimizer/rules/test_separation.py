"""Separation: least distances between uses."""

import numpy as np
import pytest

from optimizer.errors import StudyError
from optimizer.rules import rule_kinds
from tests.districts import area, checked, lots, problem_of, solve, study
from tests.enumeration import NAMES, family
from tests.pricing import charged, drawn

SIDE = 20.0
DENSE = {"proximity": 0, "mixing": 0, "density": 1}
HOMES = {"use": "homes", "from": "making", "distance": 50}


def rule_of(rng):
    use, other, third = rng.sample(NAMES, 3)
    distances = [40, 50, 100, 150, 300, 400]
    lines = [{"use": use, "from": other, "distance": rng.choice(distances)}]
    if rng.random() < 0.5:
        pair = rng.choice([(other, use), (use, third), (third, other)])
        lines.append({"use": pair[0], "from": pair[1], "distance": rng.choice(distances)})
    rule = {
        "kind": "separation",
        "distances": lines,
        "measure": rng.choice(["doors", "boundaries", "walking"]),
        "gives_way": rng.choice(["newcomer", "use", "from", "both"]),
        "same_building": rng.random() < 0.5,
    }
    rule |= rng.choice([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}])
    if rng.random() < 0.5:
        rule["discount_where"] = rng.choice(["zone == 'A'", ["L0"], "site_area > 0"])
        rule |= rng.choice([{}, {"discount": 2}, {"steps": [40.0, 60.0]}])
    return rule


def shorter(distance, rule):
    """The distance by so many steps, walked down one at a time."""
    steps = rule.get("steps", [10, 30, 50, 100, 200, 300, 500, 700, 1000, 1500])
    for _ in range(rule.get("discount", 1)):
        distance = max((step for step in steps if step < distance), default=0)
    return distance


def missed(rule, s):
    count = 0
    mixed = {None: lambda i: False, "zone == 'A'": lambda i: s.zone[i] == "A", "site_area > 0": lambda i: True}
    where = rule.get("discount_where")
    inside = (lambda i: i == 0) if isinstance(where, list) else mixed[where]
    for line in rule["distances"]:
        u, v = NAMES.index(line["use"]), NAMES.index(line["from"])
        for i in np.flatnonzero(s.chosen(rule) & (s.area[:, u] > 0)):
            for j in np.flatnonzero(s.area[:, v] > 0):
                stays = {"use": s.action[i] == "keep", "from": s.action[j] == "keep"}
                stays |= {"newcomer": all(stays.values()), "both": False}
                if stays[rule["gives_way"]]:
                    continue
                straight = np.hypot(*(s.xy[i] - s.xy[j]))
                far = {"doors": straight, "boundaries": straight - SIDE, "walking": s.walk[i, j]}[rule["measure"]]
                limit = shorter(line["distance"], rule) if inside(i) else line["distance"]
                count += not rule["same_building"] if i == j else far < limit - 2e-3
    return count


test_every_plan_is_charged_what_it_misses = charged(rule_of, missed)
test_same_optimum_as_every_plan_tried = family(drawn(rule_of), missed, prices=(0.01, 0.3))


@pytest.mark.parametrize(
    ("gap", "measure", "apart"),
    [
        (30.0, "doors", True),
        (29.0, "doors", False),
        (50.0, "boundaries", True),
        (49.0, "boundaries", False),
        (40.0, "walking", True),
        (39.0, "walking", False),
    ],
)
def test_a_distance_is_kept_from_where_it_is_measured(gap, measure, apart):
    """Doors stand 20 m + gap apart; a walk adds 5 m from inside each building."""
    line = {"use": "homes", "from": "making", "distance": {"doors": 50, "boundaries": 50, "walking": 70}[measure]}
    asked = study(rules=[{"kind": "separation", "distances": [line], "measure": measure}])
    plan = ["redevelop"] * 2, [[2, 0, 0], [0, 0, 2]]
    distance, one = checked(asked, lots(2, gap=gap), *plan)
    assert (distance.satisfied, one.satisfied) == (apart, True)
    assert distance.missed == (not apart)
    assert distance.value == pytest.approx({"doors": 20, "boundaries": 0, "walking": 30}[measure] + gap)
    assert (distance.name, one.name) == (
        "separation of homes from making",
        "separation of homes from making in one building",
    )


def test_one_building_holds_both_where_the_slab_parts_them():
    rules = [{"kind": "programme", "min_share": {"homes": 0.4, "making": 0.4}}]
    parted = {"kind": "separation", "distances": [HOMES]}
    plan = solve(study(rules=[*rules, {**parted, "same_building": True}], objective=DENSE), lots(1))
    assert area(plan, "homes") == area(plan, "making") == 480
    plan = solve(study(rules=[*rules, {**parted, "price": 0.1}], objective=DENSE), lots(1))
    assert plan.result["objective"] == pytest.approx(0.9)
    plan = solve(study(rules=[*rules, parted], objective=DENSE), lots(2, gap=30.0))
    assert area(plan, "homes") == area(plan, "making") == 960


@pytest.mark.parametrize(
    ("gives_way", "homes", "making"),
    [("newcomer", 480, 480), ("use", 480, 480), ("from", 480, 480), ("both", 0, 480)],
)
def test_neighbours_of_today_stay_unless_both_must_give_way(gives_way, homes, making):
    facts = {"storeys": 2, "gfa_homes": [480.0, 0.0], "gfa_making": [0.0, 480.0], "protected": [False, True]}
    rule = {"kind": "separation", "distances": [HOMES], "gives_way": gives_way}
    columns = ("id", "max_far", "coverage", "storeys", "protected")
    asked = study(rules=[rule], lot_columns=columns, objective=DENSE, actions={"allowed": ["keep", "clear"]})
    plan = solve(asked, lots(2, **facts))
    assert (area(plan, "homes"), area(plan, "making")) == (homes, making)


@pytest.mark.parametrize(
    ("gives_way", "stands", "comes", "allowed"),
    [
        ("newcomer", "making", "homes", False),
        ("newcomer", "homes", "making", False),
        ("use", "making", "homes", False),
        ("use", "homes", "making", True),
        ("from", "making", "homes", True),
        ("from", "homes", "making", False),
        ("both", "homes", "making", False),
    ],
)
def test_who_comes_beside_what_is_kept(gives_way, stands, comes, allowed):
    frame = lots(2, storeys=[2, 0], **{f"gfa_{stands}": [480.0, 0.0]})
    asked = study(rules=[{"kind": "separation", "distances": [HOMES], "gives_way": gives_way}])
    floors = [[0, 0, 0], [2 * (u == comes) for u in NAMES]]
    checks = checked(asked, frame, ["keep", "redevelop"], floors)
    assert all(c.satisfied for c in checks) == allowed


def test_buildings_of_one_parcel_are_parted_by_their_doors_but_not_by_its_boundary():
    """One lot of 80 m by 20 m with four sites of 240 m², their doors 20 m apart along it."""
    frame = lots(1, side=40.0, max_far=0.6)
    frame.geometry = frame.geometry.affine_transform([2, 0, 0, 0.5, 0, 0])
    programme = {"kind": "programme", "min_area": {"homes": 240, "making": 240}}

    def pairs(**keys):
        rule = {"kind": "separation", "distances": [{**HOMES, "distance": 30}], "price": 0.1, **keys}
        asked = study(rules=[rule, programme], sites={"plate": 240.0}, objective=DENSE)
        assert len(problem_of(asked, frame).district.sites) == 4
        plan = solve(asked, frame)
        return round((1.0 - plan.result["objective"]) / 0.1, 4)

    assert pairs() == 0
    assert pairs(measure="boundaries") == 1
    assert pairs(measure="boundaries", same_building=True) == 0


def test_what_two_buildings_of_one_parcel_miss_is_what_the_check_says():
    frame = lots(1, side=40.0, max_far=0.6, storeys=1, gfa_homes=480.0, gfa_making=480.0)
    rule = {"kind": "separation", "distances": [{**HOMES, "distance": 15}], "gives_way": "both", "price": 0.01}
    keep = study(
        rules=[rule],
        sites={"plate": 240.0},
        objective=DENSE,
        actions={"allowed": ["keep"]},
    )
    plan = solve(keep, frame)
    # Each of four buildings holds both uses today; their doors stand 20 m apart.
    assert plan.result["objective"] == pytest.approx(1.0 - 0.04)
    wide = {**rule, "distances": [{**HOMES, "distance": 21}]}
    plan = solve(keep.model_copy(update={"rules": study(rules=[wide]).rules}), frame)
    assert plan.result["objective"] == pytest.approx(1.0 - 0.04 - 0.08)


@pytest.mark.parametrize(
    ("distance", "steps", "left"), [(100, 1, 50), (100, 2, 30), (80, 1, 50), (30, 1, 10), (10, 1, 0), (30, 2, 0)]
)
def test_mixed_areas_count_so_many_steps_less(distance, steps, left):
    gap = max(left - SIDE, 0.5)
    frame = lots(2, gap=gap, zone=["A", "B"])
    rule = {"kind": "separation", "distances": [{**HOMES, "distance": distance}], "discount": steps}
    asked = study(rules=[{**rule, "discount_where": "zone == 'A'"}], lot_columns=("id", "zone", "max_far", "coverage"))
    floors = [[0, 0, 2], [2, 0, 0]]
    checks = checked(asked, frame, ["redevelop"] * 2, floors)
    assert all(c.satisfied for c in checks)
    assert not left or checks[0].limit == left
    undiscounted = checked(asked, frame, ["redevelop"] * 2, floors[::-1])[:-1]
    # What is further away than twice the distance is not looked for.
    assert [c.limit for c in undiscounted] == [distance] * (SIDE + gap <= 2 * distance)
    assert all(c.satisfied == (distance <= c.value) for c in undiscounted)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"distances": []}, "at least 1"),
        ({"distances": [{**HOMES, "from": "homes"}]}, "use and from are both 'homes'"),
        ({"distances": [HOMES, HOMES]}, r"distances\[1\]: homes from making is given twice"),
        ({"distances": [{**HOMES, "distance": 0}]}, r"distances\[0\]\.distance = 0"),
        ({"distances": [{"use": "homes", "distance": 9}]}, r"distances\[0\]\.from: missing"),
        ({"distances": [{**HOMES, "from": "makng"}]}, r"distances\[0\]\.from = 'makng': .*did you mean 'making'"),
        ({"distances": [HOMES], "steps": [30, 10], "discount_where": ["L0"]}, "rise from step to step"),
        ({"distances": [HOMES], "discount": 1}, "discount is given without discount_where"),
        ({"distances": [HOMES], "measure": "bee"}, "measure = 'bee'"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "separation", **rule}])


def test_a_rule_is_written_as_a_study_reads_it():
    rule = rule_kinds()["separation"].model_validate({"distances": [HOMES]})
    assert rule.to_dict() == {"kind": "separation", "distances": [HOMES]}
