"""Access: floor within a walk of what it needs."""

import itertools

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import InfeasibleError, StudyError
from tests.districts import checked, lots, problem_of, random_lots, solve, study
from tests.enumeration import NAMES, family


@st.composite
def rules(draw, capacities):
    order = draw(st.permutations(NAMES))
    clients = draw(st.integers(1, 2))
    suppliers = draw(st.integers(1, 3 - clients))
    rule = {"kind": "access", "client": order[:clients], "supplier": order[clients : clients + suppliers]}
    rule["within"] = draw(st.sampled_from([0.0, 50.5, 90.5, 150.5]))
    rule |= draw(st.sampled_from([{"capacity": c} for c in capacities] or [{}]))
    rule |= draw(st.sampled_from([{}, {"min_size": 300.0}, {"min_size": 480.0}, {"min_size": 240.0}]))
    rule |= draw(st.sampled_from([{}, {"max_unserved": 0.25}, {"max_unserved": 0.5}]))
    rule["by"] = draw(st.sampled_from(["district", "parcel", "zone", "neighbourhood"]))
    where = draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))
    return rule | where | {"as_of_right": draw(st.booleans())}


def missed(rule, s):
    """Under a capacity by the least cut between places and suppliers, which is as large as the largest flow."""
    supply = s.area[:, [NAMES.index(u) for u in rule["supplier"]]].sum(axis=1)
    supply[supply < rule.get("min_size", 1.0)] = 0.0
    client = s.counted(rule)[:, [NAMES.index(u) for u in rule["client"]]].sum(axis=1)
    lots_near = [{j for j in np.flatnonzero(supply) if s.walk[i, j] <= rule["within"]} for i in range(len(client))]
    wanted = [((1 - rule.get("max_unserved", 0.0)) * client[place].sum(), place) for place in s.places(rule)]
    if "capacity" not in rule:
        return sum(max(need - sum(client[i] for i in place if lots_near[i]), 0.0) for need, place in wanted)
    given = [
        sum(rule["capacity"] * supply[j] for j in used)
        + sum(min(need, sum(client[i] for i in place if lots_near[i] - set(used))) for need, place in wanted)
        for used in itertools.chain.from_iterable(
            itertools.combinations(np.flatnonzero(supply), n) for n in range(len(supply) + 1)
        )
    ]
    return max(sum(need for need, _ in wanted) - min(given), 0.0)


test_same_optimum_as_every_plan_tried = family(rules([]), missed, prices=(0.0001, 0.01), examples=70)
test_same_optimum_as_every_plan_tried_where_suppliers_serve_so_much = family(
    rules([0.5, 1.0, 3.0]), missed, prices=(0.0001, 0.01), examples=70
)

ROW = {"gap": 1.0}
"""Lots in a row, 1 m between them: doors of neighbours are 21 + 2 x 5 m apart, those of the first and third 52 m."""


def test_what_is_within_a_walk_serves_and_nothing_beyond():
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 40}
    frame, floors = lots(3, **ROW), [[0, 0, 2], [0, 0, 1], [0, 1, 0]]
    (near,) = checked(study(rules=[rule]), frame, ["redevelop"] * 3, floors)
    assert (near.value, near.limit, near.missed) == (480.0, 0.0, 480.0)
    (third,) = checked(study(rules=[{**rule, "max_unserved": 1 / 3}]), frame, ["redevelop"] * 3, floors)
    assert (third.value, third.limit, third.missed) == (480.0, pytest.approx(240.0), pytest.approx(240.0))
    (each,) = checked(study(rules=[{**rule, "by": "parcel"}]), frame, ["redevelop"] * 3, floors)
    assert (each.places, each.broken) == (3, ("L0",))
    (far,) = checked(study(rules=[{**rule, "within": 60}]), frame, ["redevelop"] * 3, floors)
    (chosen,) = checked(study(rules=[{**rule, "where": ["L1"]}]), frame, ["redevelop"] * 3, floors)
    assert far.satisfied
    assert chosen.satisfied


@pytest.mark.parametrize(("capacity", "floors"), [(3.0, 4), (2.9, 3), (2.0, 3), (1.0, 2), (0.9, 1)])
def test_as_many_homes_as_shops_serve(capacity, floors):
    """One floor of shops at most, beside which only homes may stand."""
    rules = [
        {"kind": "banned", "uses": ["making"]},
        {"kind": "programme", "max_area": {"shops": 240.0}},
        {"kind": "access", "client": "homes", "supplier": ["shops"], "within": 100, "capacity": capacity},
    ]
    plan = solve(study(rules=rules, objective={"proximity": 0, "mixing": 0, "density": 1}), lots(1))
    assert plan.to_frame()["gfa_m2"].sum() == 240 * floors


def test_supply_is_used_once_by_all_places_together():
    """One floor of shops for two of homes on either side, each of which it could serve alone."""
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 40, "capacity": 2.0, "by": "parcel"}
    frame, floors = lots(3, **ROW), [[0, 0, 2], [0, 1, 0], [0, 0, 2]]
    (check,) = checked(study(rules=[rule]), frame, ["redevelop"] * 3, floors)
    assert (check.scope, check.missed) == ("3 places together", pytest.approx(480.0))
    (enough,) = checked(study(rules=[{**rule, "capacity": 4.0}]), frame, ["redevelop"] * 3, floors)
    assert enough.satisfied
    (one,) = checked(study(rules=[{**rule, "by": "district"}]), frame, ["redevelop"] * 3, floors)
    assert (one.scope, one.value, one.limit) == ("district", pytest.approx(480.0), 0.0)


SITES = {"sites": {"plate": 200.0}, "linkages": []}
"""A lot of 400 m² all built over has two building sites of 200 m²."""
TALL = {"coverage": 1.0, "max_far": 2.0}


@pytest.mark.parametrize("capacity", [None, 10.0])
def test_a_supplier_counts_from_its_size_in_one_building(capacity):
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 200, "min_size": 400}
    rule |= {"capacity": capacity} if capacity else {}
    frame = lots(1, **TALL)
    split, whole = [[0, 1, 1], [0, 1, 1]], [[0, 2, 0], [0, 0, 2]]
    (small,) = checked(study(rules=[rule], **SITES), frame, ["redevelop"], split)
    assert (small.value, small.missed) == (400.0, 400.0)
    (large,) = checked(study(rules=[rule], **SITES), frame, ["redevelop"], whole)
    assert large.satisfied
    wanted = {"kind": "programme", "min_area": {"homes": 400.0, "shops": 400.0}}
    plan = solve(study(rules=[rule, wanted], **SITES), frame)
    assert sorted(plan.floor_area[:, 1]) == [0.0, 400.0]
    with pytest.raises(InfeasibleError):
        solve(study(rules=[{**rule, "min_size": 401}, wanted], **SITES), frame)


def test_within_0_m_is_the_same_building_and_not_the_same_parcel():
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 0}
    frame = lots(1, **TALL)
    (apart,) = checked(study(rules=[rule], **SITES), frame, ["redevelop"], [[0, 2, 0], [0, 0, 1]])
    assert apart.missed == 200.0
    plan = solve(study(rules=[rule, {"kind": "programme", "min_area": {"homes": 600.0}}], **SITES), frame)
    assert sorted(plan.floor_area[:, 2]) == [0.0, 600.0]
    assert (plan.floor_area[plan.floor_area[:, 2] > 0, 1] == 200.0).all()


@pytest.mark.parametrize("capacity", [{}, {"capacity": 0.7}])
@pytest.mark.parametrize("seed", range(2))
def test_the_price_of_the_model_is_the_price_of_the_check_where_parcels_have_several_buildings(seed, capacity):
    """The score is recomputed from the plan by the check and the bound proved by the model; both must meet."""
    rng = np.random.default_rng(seed)
    frame = random_lots(rng, 3)
    rule = {"kind": "access", "client": ["homes", "making"], "supplier": "shops", "within": 40, "price": 0.0005}
    asked = study(
        rules=[{**rule, **capacity, "min_size": 200, "max_unserved": 0.1, "by": "parcel"}],
        sites={"plate": 120.0},
        linkages=[],
        objective={"proximity": 0, "mixing": 0.5, "density": 0.5},
        solve={"gap": 1e-4, "time_limit": 60, "threads": 1},
    )
    plan = solve(asked, frame)
    assert len(plan.district.sites) > len(frame)
    assert plan.result["gap"] <= 1e-4
    (told,) = [r for r in plan.result["rules"] if r["name"] == "access"]
    assert told["missed"] < plan.to_frame()["gfa_m2"].sum()


def test_kept_floor_stands_outside_where_it_is_as_of_right_and_supplies_all_the_same():
    frame = lots(2, gfa_homes=[480.0, 0.0], gfa_shops=[0.0, 240.0], storeys=[2, 1])
    rule, locked = {"kind": "access", "client": "homes", "supplier": "shops", "within": 20}, {"kind": "locked"}
    with pytest.raises(InfeasibleError):
        solve(study(rules=[rule, locked]), frame)
    free = solve(study(rules=[{**rule, "as_of_right": True}, locked]), frame).result["rules"]
    assert all(r["satisfied"] for r in free)
    soft = solve(study(rules=[{**rule, "price": 0.0001}, locked]), frame).result["rules"]
    (told,) = [r for r in soft if r["name"] == "access"]
    assert (told["missed"], told["missed_unit"]) == (pytest.approx(480.0), "m²")
    assert solve(study(rules=[{**rule, "within": 50}, locked]), frame).result["status"] == "optimal"


def test_three_floors_of_a_supplier_that_counts_from_two_serve_as_three():
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 0, "capacity": 0.34, "min_size": 480}
    plan = solve(study(rules=[rule, {"kind": "programme", "min_area": {"homes": 240.0}}]), lots(1))
    assert plan.floor_area[0].tolist() == [0.0, 720.0, 240.0]


@pytest.mark.parametrize("capacity", [{}, {"capacity": 9.0}])
def test_kept_suppliers_count_from_their_size_too(capacity):
    frame = lots(2, gfa_homes=[480.0, 0.0], gfa_shops=[0.0, 240.0], storeys=[2, 1])
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 100, **capacity}
    assert solve(study(rules=[{**rule, "min_size": 240}, {"kind": "locked"}]), frame).result["status"] == "optimal"
    with pytest.raises(InfeasibleError):
        solve(study(rules=[{**rule, "min_size": 241}, {"kind": "locked"}]), frame)


def test_a_tall_building_is_served_whole_when_it_is_converted():
    """Four storeys stand where two may be built."""
    frame = lots(1, max_far=1.2, gfa_making=[960.0], storeys=[4])
    rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 0}
    plan = solve(study(rules=[rule, {"kind": "programme", "min_area": {"homes": 720.0}}]), frame)
    assert plan.floor_area[0].tolist() == [0.0, 240.0, 720.0]


@pytest.mark.parametrize("capacity", [{}, {"capacity": 2.0}])
def test_binaries_only_where_a_supplier_needs_several_storeys(capacity):
    frame = lots(2, gfa_homes=[480.0, 0.0], storeys=[2, 0])

    def binaries(**keys):
        rule = {"kind": "access", "client": "homes", "supplier": "shops", "within": 100, **capacity, **keys}
        return int(problem_of(study(rules=[rule]), frame).arrays().integer.sum())

    without = int(problem_of(study(), frame).arrays().integer.sum())
    assert binaries() == binaries(min_size=240) == without
    assert binaries(min_size=300) == without + 3
    assert binaries(min_size=700) == without + 2


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"client": "shops"}, "'shops' is both client and supplier"),
        ({"client": []}, "client"),
        ({"client": "home"}, "client.*did you mean 'homes'"),
        ({"supplier": ["shop"]}, "supplier.*did you mean 'shops'"),
        ({"within": -1}, "within = -1"),
        ({"capacity": 0}, "capacity = 0"),
        ({"min_size": 0}, "min_size = 0"),
        ({"max_unserved": 1.2}, "max_unserved = 1.2"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "access", "client": "homes", "supplier": "shops", "within": 100, **rule}])
