"""Capacity: load against a limit; making 40 m² and shops 20 m² a job, homes 80 m² each with 2 residents."""

import pytest
from hypothesis import strategies as st

from optimizer.errors import InfeasibleError, StudyError
from tests.districts import area, checked, lots, solve, study
from tests.enumeration import NAMES, family

HOLDS = {"per_job": (1 / 40, 1 / 20, 0.0), "per_home": (0.0, 0.0, 1 / 80), "per_resident": (0.0, 0.0, 2 / 80)}
"""Jobs, homes and residents on one m² of making, shops and homes."""


@st.composite
def rules(draw):
    """Loads near 10 units a storey of 240 m²."""
    use, other = draw(st.permutations(NAMES))[:2]
    loads = [
        {"per_floor": {use: 0.05}},
        {"per_floor": {use: 0.05, other: 0.02}},
        {"per_job": 1.5},
        {"per_home": 4.0},
        {"per_resident": 1.5, "per_floor": {"shops": 0.03}},
    ]
    rule = {"kind": "capacity", **draw(st.sampled_from(loads))}
    limit = draw(st.sampled_from([0.0, 7.0, 13.0, 25.0, 31.0]))
    by = draw(st.sampled_from(["district", "parcel", "zone", "neighbourhood"]))
    named = {"parcel": "L0", "district": "district", "neighbourhood": "neighbourhood 1"}
    which = draw(st.sampled_from(["limit", "limits", "both"]))
    own = {"limits": {named[by]: draw(st.sampled_from([0.0, 15.0]))}} if by in named and which != "limit" else {}
    rule |= own | ({} if own and which == "limits" else {"limit": limit})
    if draw(st.booleans()):
        rule |= {"supply": {draw(st.sampled_from([u for u in NAMES if u != use])): 0.03}}
        rule |= {"background": draw(st.sampled_from([0.0, 4.0, 20.0]))}
    where = {} if own else draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))
    return rule | where | {"by": by, "as_of_right": draw(st.booleans())}


def limit_of(rule, place):
    """Names follow the lots: L0 is in the first neighbourhood."""
    own = rule.get("limits", {})
    return next(iter(own.values())) if own and 0 in place else rule.get("limit", float("inf"))


def missed(rule, s):
    total = 0.0
    for place in s.places(rule):
        floor = s.counted(rule)[place].sum(axis=0)
        load = rule.get("background", 0.0)
        for u, name in enumerate(NAMES):
            load += floor[u] * (rule.get("per_floor", {}).get(name, 0.0) - rule.get("supply", {}).get(name, 0.0))
            load += floor[u] * sum(rule.get(key, 0.0) * each[u] for key, each in HOLDS.items())
        total += max(load - limit_of(rule, place), 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.0005, 0.02))


@pytest.mark.parametrize(("limit", "floors"), [(10.0, 0), (13.0, 1), (30.0, 2), (60.0, 4)])
def test_as_much_floor_as_the_street_bears(limit, floors):
    """A floor of making loads 0.0524 trips a m², 12.576; one of shops and homes more."""
    load = {"making": 0.0524, "shops": 0.398, "homes": 0.083}
    asked = study(
        rules=[{"kind": "capacity", "per_floor": load, "limit": limit}],
        objective={"proximity": 0, "mixing": 0, "density": 1},
    )
    assert solve(asked, lots(1)).to_frame()["gfa_m2"].sum() == 240 * floors


def test_floor_that_supplies_makes_room():
    """Four floors; a floor of shops loads 96 spaces and one of making supplies 48: two of each load 96."""
    asked = study(
        rules=[
            {
                "kind": "capacity",
                "per_floor": {"shops": 0.4},
                "supply": {"making": 0.2},
                "limit": 100,
                "unit": "spaces",
            },
            {"kind": "banned", "uses": ["homes"]},
            {"kind": "programme", "min_floor_area": 960},
        ],
        objective={"proximity": 0, "mixing": 1, "density": 0},
    )
    plan = solve(asked, lots(1))
    assert (area(plan, "shops"), area(plan, "making")) == (480, 480)
    (told,) = [r for r in plan.result["rules"] if r["name"] == "capacity"]
    assert (told["value"], told["limit"], told["unit"]) == (pytest.approx(96.0), 100.0, "spaces")


def test_each_street_has_its_own_limit_and_its_background():
    frame = lots(3, zone=["Main", "Main", "Side"])
    rule = {"kind": "capacity", "per_home": 6.65, "by": "zone", "limits": {"Main": 50.0}, "background": 20.0}
    asked = study(rules=[rule], lot_columns=("id", "zone", "max_far", "coverage", "storeys"))
    floors = [[0, 0, 1], [0, 0, 1], [0, 0, 4]]
    (check,) = checked(asked, frame, ["redevelop"] * 3, floors)
    assert (check.scope, check.places, check.broken) == ("Main", 1, ("Main",))
    assert check.value == pytest.approx(20 + 6 * 6.65)
    assert check.missed == pytest.approx(20 + 6 * 6.65 - 50)
    plan = solve(asked, frame).to_frame()
    assert plan["gfa_homes"][:2].sum() <= 240
    with pytest.raises(StudyError, match=r"limits\.Mian: by = 'zone' knows no such place; places are Main, Side"):
        solve(
            study(rules=[{**rule, "limits": {"Mian": 50.0}}], lot_columns=("id", "zone", "max_far", "coverage")), frame
        )


def test_building_sites_of_a_parcel_load_together_or_one_by_one():
    """Two sites of 200 m², four floors in all: a floor of making is 5 jobs, one of shops 10."""
    frame, two = lots(1, coverage=1.0, max_far=2.0), {"sites": {"plate": 200.0}, "linkages": []}
    rule = {"kind": "capacity", "per_job": 1.0, "limit": 12.0}
    for by, most in (("parcel", 400.0), ("building", 800.0)):
        asked = study(
            rules=[{**rule, "by": by}, {"kind": "banned", "uses": ["homes"]}],
            objective={"proximity": 0, "mixing": 0, "density": 1},
            **two,
        )
        plan = solve(asked, frame)
        jobs = plan.floor_area @ [1 / 40, 1 / 20, 0]
        assert (jobs if by == "building" else jobs.sum()).max() <= 12
        assert plan.floor_area.sum() == most
    (check,) = checked(study(rules=[rule], **two), frame, ["redevelop"], [[1, 0, 0], [0, 1, 0]])
    assert (check.value, check.missed) == (pytest.approx(15.0), pytest.approx(3.0))


def test_kept_floor_stands_outside_where_it_is_as_of_right():
    frame = lots(1, gfa_homes=[480.0], storeys=[2])
    rule, locked = {"kind": "capacity", "per_home": 1.0, "limit": 5.0}, {"kind": "locked", "where": ["L0"]}
    with pytest.raises(InfeasibleError):
        solve(study(rules=[rule, locked]), frame)
    assert all(
        r["satisfied"] for r in solve(study(rules=[{**rule, "as_of_right": True}, locked]), frame).result["rules"]
    )
    soft = solve(study(rules=[{**rule, "price": 0.01, "unit": "pupils"}, locked]), frame).result["rules"]
    (told,) = [r for r in soft if r["name"] == "capacity"]
    assert (told["missed"], told["missed_unit"]) == (pytest.approx(1.0), "pupils")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"limit": 5}, "nothing loads; give per_floor"),
        ({"per_job": 1.0}, "neither limit nor limits"),
        ({"per_job": 1.0, "limit": 5, "background": 6}, "background = 6 is above limit = 5, and nothing supplies"),
        ({"per_job": 1.0, "limits": {"A": 5}, "background": 6}, "background = 6 is above limits.A = 5"),
        ({"per_floor": {"makng": 1.0}, "limit": 5}, "per_floor.makng.*did you mean 'making'"),
        ({"per_job": 1.0, "limit": 5, "supply": {"shop": 1}}, "supply.shop.*did you mean 'shops'"),
        ({"per_job": -1.0, "limit": 5}, "per_job = -1"),
        ({"per_job": 1.0, "limit": 5, "supply": {"shops": 0.0}}, "supply.shops = 0"),
        ({"per_job": 1.0, "limit": 5, "unit": ""}, "unit = ''"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "capacity", **rule}])
