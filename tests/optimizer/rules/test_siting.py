"""Siting: facilities where their clients reach them."""

import itertools
import math
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import optimizer
from optimizer.audit import audit_folder
from optimizer.decompose import Decomposition
from optimizer.elastic import LAZY
from optimizer.errors import InfeasibleError, StudyError
from optimizer.highs import run
from optimizer.solving import OPEN
from tests.districts import lots, problem_of, solve, study
from tests.enumeration import NAMES, PLATE, family

WEIGHT = 0.5


@st.composite
def rules(draw, goal):
    """A rule with a goal, with or without a weight, and perhaps limits."""
    rule = {"kind": "siting", "goal": goal, "use": draw(st.sampled_from(["shops", "homes", ["shops", "making"]]))}
    rule |= draw(st.sampled_from([{}, {"count": 1}, {"count": 2}, {"min_count": 1}, {"min_count": 1, "max_count": 2}]))
    if goal in ("cover", "cover_all"):
        rule["radius"] = draw(st.sampled_from([30.0, 60.0, 150.0]))
    limit = draw(st.sampled_from(["none", "none", "mean", "greatest", "covered", "existing"]))
    rule |= {
        "none": {},
        "mean": {"max_mean_distance": draw(st.sampled_from([15.0, 40.0, 90.0]))},
        "greatest": {"max_distance": draw(st.sampled_from([30.0, 80.0, 150.0]))},
        "covered": {"min_covered": draw(st.sampled_from([0.5, 0.7, 1.0])), "radius": rule.get("radius", 60.0)},
        "existing": {"keep_existing": True},
    }[limit]
    if limit in ("none", "existing") or draw(st.booleans()):
        rule["weight"] = WEIGHT
    clients = draw(st.sampled_from(["buildings", ["homes"], ["homes", "making"]]))
    rule |= {} if clients == "buildings" else {"clients": clients}
    if clients != "buildings" and goal != "centre" and draw(st.booleans()):
        rule["client_weight"] = "floor_area"
    rule |= draw(st.sampled_from([{}, {"metric": "straight"}])) | draw(st.sampled_from([{}, {"reach": 160.0}]))
    rule |= draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))
    return rule | draw(st.sampled_from([{}, {}, {}, {"candidates": ["L0"]}]))


@st.composite
def rules_of_capacity(draw):
    """A rule with a capacity and one thing that it measures."""
    rule = {"kind": "siting", "use": draw(st.sampled_from(["shops", ["shops", "making"]]))}
    rule |= draw(
        st.sampled_from(
            [
                {"goal": "median", "weight": WEIGHT},
                {"goal": "cover", "weight": WEIGHT, "radius": 60.0},
                {"goal": "cover_all", "weight": WEIGHT, "radius": 60.0},
                {"max_mean_distance": 40.0},
                {"max_distance": 80.0},
                {"min_covered": 0.7, "radius": 60.0},
            ]
        )
    )
    rule |= draw(st.sampled_from([{}, {"count": 1}, {"max_count": 2}]))
    clients = draw(st.sampled_from(["buildings", ["homes"], ["homes", "shops"]]))
    rule["capacity"] = float(draw(st.integers(1, 2)))
    rule |= {} if clients == "buildings" else {"clients": clients}
    if clients != "buildings" and draw(st.booleans()):
        rule |= {"client_weight": "floor_area", "capacity": rule["capacity"] * PLATE}
    return rule | draw(st.sampled_from([{}, {"metric": "straight"}, {"reach": 160.0}]))


def listed(names):
    return [names] if isinstance(names, str) else names


def facts(rule, s):
    """Distances (clients, candidates), that at which the unserved count, weights, and which candidates hold the use."""
    client = np.flatnonzero(s.chosen(rule))
    candidate = np.flatnonzero(s.chosen({"where": rule.get("candidates")}))
    distance = np.array([[s.walk[i, j] for j in candidate] for i in client])
    if rule.get("metric") == "straight":
        distance = np.array([[math.dist(s.xy[i], s.xy[j]) for j in candidate] for i in client])
    limits = [rule.get(key, 0.0) for key in ("radius", "max_distance", "max_mean_distance")]
    far = max(2 * max(distance[np.isfinite(distance)].max(initial=0.0), *limits), 1.0)
    if "reach" in rule:
        far = rule["reach"]
        distance = np.where(distance <= far, distance, np.inf)
    weight = np.ones(len(client))
    if "clients" in rule:
        weight = s.area[client][:, [NAMES.index(u) for u in rule["clients"]]].sum(axis=1)
        if rule.get("client_weight") != "floor_area":
            weight = (weight > 0).astype(float)
    holds = s.area[candidate][:, [NAMES.index(u) for u in listed(rule["use"])]].any(axis=1)
    return distance, far, weight, holds


def services(rule, s, cost):
    """Amounts and distances by which clients are served, so that the cost of distances is least."""
    distance, far, weight, holds = facts(rule, s)
    at = distance[:, holds]
    if "capacity" not in rule:
        nearest = at.min(axis=1, initial=np.inf)
        return weight, np.where(np.isfinite(nearest), nearest, far)
    # Weights and capacities are whole numbers of buildings or storeys, and so is a best division.
    unit = PLATE if rule.get("client_weight") == "floor_area" else 1.0
    row = np.repeat(np.arange(len(weight)), np.rint(weight / unit).astype(int))
    places = np.repeat(at, round(rule["capacity"] / unit), axis=1)[row]
    places = np.hstack([np.where(np.isfinite(places), places, far), np.full((len(row), len(row)), far)])
    picked = linear_sum_assignment(cost(places))
    return np.full(len(row), unit), places[picked]


def missed(rule, s):
    _, _, weight, holds = facts(rule, s)
    count, total = holds.sum(), weight.sum()
    least, most = (
        rule.get("count", rule.get(key, other)) for key, other in (("min_count", 0), ("max_count", math.inf))
    )
    amount = max(least - count, 0) + max(count - most, 0)
    if rule.get("keep_existing"):
        candidate = s.chosen({"where": rule.get("candidates")})
        stood = s.today[candidate][:, [NAMES.index(u) for u in listed(rule["use"])]].any(axis=1)
        amount += (stood & ~holds).sum()
    if "max_mean_distance" in rule:
        served, d = services(rule, s, lambda d: d)
        amount += max((served * d).sum() - rule["max_mean_distance"] * total, 0.0)
    if "max_distance" in rule:
        served, d = services(rule, s, lambda d: np.maximum(d - rule["max_distance"], 0.0))
        amount += (served * np.maximum(d - rule["max_distance"], 0.0)).sum()
    share = 1.0 if rule.get("goal") == "cover_all" else rule.get("min_covered")
    if share is not None:
        served, d = services(rule, s, lambda d: d > rule["radius"])
        amount += max(share * total - served[d <= rule["radius"]].sum(), 0.0)
    return amount


def reward(rule, s):
    if "weight" not in rule:
        return 0.0
    _, far, weight, holds = facts(rule, s)
    goal, whole = rule["goal"], len(weight)
    if rule.get("client_weight") == "floor_area":
        client = np.flatnonzero(s.chosen(rule))
        whole = PLATE * sum(max(s.storeys[i], round(s.far[i] * 400 / PLATE)) for i in client)
    if goal == "cover_all":
        return WEIGHT * (1 - holds.sum() / len(holds))
    if goal == "cover":
        served, d = services(rule, s, lambda d: d > rule["radius"])
        return WEIGHT * served[d <= rule["radius"]].sum() / whole
    served, d = services(rule, s, lambda d: d)
    if goal == "centre":
        return WEIGHT * (1 - d[served > 0].max(initial=0.0) / far)
    return WEIGHT * (served * (1 - d / far)).sum() / whole


def sparing(**sections):
    """A study that asks for little else, so that siting decides."""
    return study(objective={"proximity": 0, "mixing": 0.05}, **sections)


test_median_is_best_of_every_plan = family(rules("median"), missed, reward=reward, study_of=sparing, examples=40)
test_centre_is_best_of_every_plan = family(rules("centre"), missed, reward=reward, study_of=sparing, examples=40)
test_cover_is_best_of_every_plan = family(rules("cover"), missed, reward=reward, study_of=sparing, examples=40)
test_cover_all_is_best_of_every_plan = family(rules("cover_all"), missed, reward=reward, study_of=sparing, examples=40)
test_capacity_is_best_of_every_plan = family(rules_of_capacity(), missed, reward=reward, study_of=sparing, examples=40)


def siting(rule, points, **sections):
    """Solve for vacant lots of one storey about points, m, with one use and one rule, straight unless said."""
    frame = lots(len(points), max_far=0.6)
    origin = np.array([500_000.0, 5_300_000.0])
    frame.geometry = gpd.GeoSeries(
        [shapely.Point(p).buffer(5, cap_style="square") for p in origin + points], crs=frame.crs
    )
    uses = {"shops": {"label": "Shops", "storey_height": 3.0}, **sections.pop("uses", {})}
    frame = frame.drop(columns=[c for c in frame if c.startswith("gfa_")])
    columns = {c: c for c in ("id", "max_far", "coverage", "storeys")}
    asked = {
        "name": "Siting",
        "parcels": {"columns": columns},
        "uses": uses,
        "linkages": [],
        "objective": {"proximity": 0, "mixing": 0},
        "solve": {"gap": 1e-7, "threads": 1},
        **sections,
    }
    others = asked.pop("others", [])
    rule = {"kind": "siting", "use": "shops", "metric": "straight", "weight": 1.0, **rule}
    return optimizer.solve({**asked, "rules": [rule, *others]}, parcels=frame)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("goal", ["median", "centre", "cover", "cover_all"])
def test_same_optimum_as_every_choice_of_sites(goal, seed):
    rng = np.random.default_rng(seed)
    points, p = scattered(rng, 8), int(rng.integers(1, 8))
    distance, reach = cdist(points, points), [None, 300.0][seed % 2]
    rule = {"goal": goal, **({"reach": reach} if reach else {}), **({} if goal == "cover_all" else {"count": p})}
    rule |= {"radius": 250.0} if goal.startswith("cover") else {}
    far = reach or 2 * distance.max() if goal in ("median", "centre") else np.inf
    worth = []
    for size in range(1, 9) if goal == "cover_all" else [p]:
        for chosen in itertools.combinations(range(8), size):
            nearest = distance[:, chosen].min(axis=1)
            nearest = np.where(nearest <= far, nearest, far)
            within = (nearest <= 250).mean()
            worth.append(
                {
                    "median": 1 - nearest.mean() / far,
                    "centre": 1 - nearest.max() / far,
                    "cover": within,
                    "cover_all": 1 - size / 8 if within == 1 else 0.0,
                }[goal]
            )
    result = siting(rule, points).result
    assert result["objective"] == pytest.approx(max(worth), abs=1e-6)
    assert result["bound"] == pytest.approx(max(worth), abs=1e-6)


@pytest.mark.parametrize("by_pieces", [False, True])
def test_what_a_relaxation_leaves_whole_is_not_made_of_pieces(by_pieces, monkeypatch):
    points = scattered(np.random.default_rng(1), 60)
    distance, asked = cdist(points, points), []
    monkeypatch.setattr("optimizer.solving.Decomposition", lambda *a: asked.append(a) or Decomposition(*a))
    monkeypatch.setattr("optimizer.solving.OPEN", -1 if by_pieces else OPEN)
    result = siting({"goal": "median", "count": 3}, points).result
    least = min(distance[:, chosen].min(axis=1).mean() for chosen in itertools.combinations(range(60), 3))
    assert result["objective"] == pytest.approx(1 - least / (2 * distance.max()), abs=1e-6)
    assert result["bound"] == pytest.approx(result["objective"], abs=1e-6)
    assert bool(asked) == by_pieces


def test_whether_there_is_a_plan_at_all_takes_few_rounds(monkeypatch):
    asked = []

    def counted(*given):
        asked.append(given)
        return run(*given)

    monkeypatch.setattr("optimizer.elastic.run", counted)
    siting({"goal": "median", "count": 4}, scattered(np.random.default_rng(0), 40))
    assert 1 <= len(asked) <= LAZY + 1


def scattered(rng, count):
    """Points of a square kilometre at least 30 m from one another, shape (count, 2)."""
    points = rng.uniform(0, 1000, (1, 2))
    while len(points) < count:
        more = rng.uniform(0, 1000, (1, 2))
        if cdist(points, more).min() > 30:
            points = np.concatenate([points, more])
    return points


def test_a_client_without_a_way_counts_at_reach():
    points = np.array([[0.0, 0.0], [100.0, 0.0], [700.0, 0.0]])
    plan = siting({"goal": "median", "count": 1, "reach": 400.0}, points)
    check = plan.result["rules"][-1]
    assert (check["value"], check["limit"]) == (pytest.approx((0 + 100 + 400) / 3), 400.0)
    assert plan.result["objective"] == pytest.approx(1 - 500 / 1200)
    with pytest.raises(InfeasibleError):
        siting({"goal": "median", "count": 1, "reach": 400.0, "max_distance": 399.0}, points)


def test_all_sites_of_a_parcel_are_buildings():
    frame = lots(2, side=100.0, gap=400.0, coverage=0.3, max_far=0.3)
    rule = {"kind": "siting", "use": "shops", "goal": "cover", "weight": 1.0, "radius": 60.0, "metric": "straight"}
    asked = study(
        rules=[{**rule, "count": 2}], objective={"proximity": 0, "mixing": 0}, sites={"plate": 1500.0}, linkages=[]
    )
    problem = problem_of(asked, frame)
    assert len(problem.district.sites) == 4
    plan = solve(asked, frame)
    assert plan.result["objective"] == pytest.approx(1.0)
    assert (plan.floors[:, NAMES.index("shops")] > 0).reshape(2, 2).sum(axis=1).tolist() == [1, 1]
    # Each site could take its parcel's two storeys of 1500 m²: W = 12,000 m². One holds the facility, one is a client.
    floor = {**rule, "clients": ["homes"], "client_weight": "floor_area", "count": 1}
    asked = study(rules=[floor], objective={"proximity": 0, "mixing": 0}, sites={"plate": 1500.0}, linkages=[])
    assert solve(asked, frame).result["objective"] == pytest.approx(1500 / 12_000)


def test_facilities_that_stand_stay():
    frame = lots(3, storeys=[1, 0, 0], gfa_shops=[240.0, 0.0, 0.0])
    rule = {"kind": "siting", "use": "shops", "goal": "centre", "weight": 1.0, "count": 1, "metric": "straight"}
    asked = [
        study(rules=[rule | more], objective={"proximity": 0, "mixing": 0}) for more in ({}, {"keep_existing": True})
    ]
    free, kept = (solve(a, frame) for a in asked)
    assert (free.floor_area[:, 1] > 0).tolist() == [False, True, False]
    assert (kept.floor_area[:, 1] > 0).tolist() == [True, False, False]


def test_a_capacity_divides_clients():
    points = np.array([[0.0, 0.0], [50.0, 0.0], [100.0, 0.0], [400.0, 0.0]])
    # The outer one stands alone; of the others, two are served at 0 and 50 m and one goes the long way.
    rule = {"goal": "median", "capacity": 2, "count": 2, "max_distance": 350.0}
    check = siting(rule, points).result["rules"][-1]
    assert check["value"] == pytest.approx((0 + 50 + 300 + 0) / 4)
    with pytest.raises(InfeasibleError):
        siting({**rule, "capacity": 1}, points)


def test_several_uses_are_one_service_and_each_keeps_its_number():
    points = np.array([[0.0, 0.0], [300.0, 0.0], [600.0, 0.0], [900.0, 0.0]])
    clinic = {"clinic": {"label": "Clinic", "storey_height": 3.0}}
    others = [{"kind": "siting", "name": u, "use": u, "count": 1} for u in ("shops", "clinic")]
    plan = siting({"use": ["shops", "clinic"], "goal": "cover", "radius": 300.0}, points, uses=clinic, others=others)
    assert plan.result["objective"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "neither weight nor a limit"),
        ({"weight": 1.0}, "without a goal"),
        ({"goal": "median"}, "neither weight nor a limit"),
        ({"count": 2, "min_count": 1}, "leaves no room"),
        ({"min_count": 3, "max_count": 2}, "min_count = 3 is above max_count = 2"),
        ({"count": -1}, "greater than or equal to 0"),
        ({"goal": "cover", "weight": 1.0}, "radius is missing"),
        ({"min_covered": 0.5}, "radius is missing"),
        ({"min_covered": 1.5, "radius": 100}, "less than or equal to 1"),
        ({"count": 1, "radius": 100}, "of no effect"),
        ({"max_distance": 500, "reach": 400}, "not below reach = 400"),
        ({"max_distance": 500, "client_weight": "floor_area"}, "needs clients"),
        ({"goal": "centre", "weight": 1, "clients": ["homes"], "client_weight": "floor_area"}, "counts buildings"),
        ({"goal": "centre", "weight": 1, "capacity": 5}, "takes no capacity"),
        ({"count": 1, "capacity": 5}, "of no effect"),
        ({"count": 1, "use": ["shops", "shops"]}, "named twice"),
        ({"count": 1, "use": "shop"}, "did you mean 'shops'"),
        ({"max_distance": 100, "clients": ["home"]}, "did you mean 'homes'"),
        ({"max_distance": 100, "clients": "home"}, "did you mean 'homes'"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "siting", "use": "shops", **rule}])


def test_numbers_that_exclude_one_another_are_found_before_solving():
    rules = [{"kind": "siting", "use": "shops", "min_count": 3}, {"kind": "siting", "use": "shops", "max_count": 2}]
    with pytest.raises(StudyError, match="at least 3 buildings hold 'shops' by one rule, at most 2"):
        study(rules=rules)
    study(rules=[rules[0], {**rules[1], "candidates": ["L0"]}])
    with pytest.raises(StudyError, match="candidates"):
        solve(study(rules=[{**rules[0], "candidates": "zone == 'nowhere'"}]), lots(2))


def test_one_door_a_site_is_needed():
    frame = lots(3)
    network = problem_of(study(), frame).district.network
    with pytest.raises(StudyError, match="2 doors for 3 building sites"):
        optimizer.check(study(), frame, network=replace(network, door=network.door[:2]))


def test_a_written_plan_is_audited(tmp_path):
    rule = {"kind": "siting", "use": "shops", "goal": "median", "weight": 0.5, "count": 2, "clients": ["homes"]}
    rule |= {"client_weight": "floor_area", "capacity": 700.0, "max_distance": 500.0, "price": 1e-4}
    plan = solve(study(rules=[rule], solve={"gap": 0.01}), lots(4))
    assert audit_folder(plan.save(tmp_path / "plan")).faults == []
