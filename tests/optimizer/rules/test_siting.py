"""Siting: facilities where their clients reach them."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from optimizer.errors import InfeasibleError, StudyError
from optimizer.rules.siting import Siting
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
    _, far, weight, holds = facts(rule, s)
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


test_median_is_best_of_every_plan = family(rules("median"), missed, reward=reward, study_of=sparing)
test_centre_is_best_of_every_plan = family(rules("centre"), missed, reward=reward, study_of=sparing)
test_cover_is_best_of_every_plan = family(rules("cover"), missed, reward=reward, study_of=sparing)
test_cover_all_is_best_of_every_plan = family(rules("cover_all"), missed, reward=reward, study_of=sparing)
test_capacity_is_best_of_every_plan = family(rules_of_capacity(), missed, reward=reward, study_of=sparing)
