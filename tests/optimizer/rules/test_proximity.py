"""Proximity: the value of every plan found again by linprog over all pairs of lots."""

import numpy as np
import pytest
from hypothesis import strategies as st

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.errors import StudyError
from optimizer.study import load_study
from tests.districts import LINKS, study
from tests.enumeration import NAMES, family, transport_value

KEPT = {}


@st.composite
def rules(draw):
    bounds = draw(st.sampled_from(["value", "index", "both"]))
    rule = {"kind": "proximity"}
    rule |= {"min_value": draw(st.sampled_from([50.0, 120.0, 300.0]))} if bounds != "index" else {}
    return rule | ({"min_index": draw(st.sampled_from([0.2, 0.5, 0.9]))} if bounds != "value" else {})


def value_of(s):
    key = s.area.tobytes() + s.walk.tobytes()
    if key not in KEPT:
        KEPT[key] = transport_value(s.area, s.walk)
    return KEPT[key]


def missed(rule, s):
    most = sum(k["strength"] * k["demand"] * s.area[:, NAMES.index(k["client"])].sum() for k in LINKS)
    value = value_of(s)
    return max(rule.get("min_value", 0.0) - value, 0.0) + max(rule.get("min_index", 0.0) * most - value, 0.0)


test_same_optimum_as_every_plan_tried = family(rules(), missed, examples=30, most=2)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, "both missing"),
        ({"min_index": 0.5, "where": "zone == 'A'"}, "whole district"),
        ({"min_index": 1.5}, "min_index"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "proximity", **rule}])


@pytest.mark.parametrize("weight", [0.0, 0.01])
def test_stacks_and_pieces_keep_the_rule_and_their_bound_holds(weight):
    """Proximity all but out of the score: only the rule holds plans near, and without it they are not."""
    frame, streets = synthetic_district(60, seed=2)
    uses = ("workshop", "rnd", "housing", "services")
    columns = ("max_far", "max_height", "coverage", "storeys", "zone")

    def solved(rules, gap):
        return optimizer.solve(
            load_study(
                {
                    "name": "near",
                    "parcels": {
                        "columns": {"id": "id", **{c: c for c in columns}},
                        "existing": {u: f"gfa_{u}" for u in uses},
                    },
                    "objective": {"proximity": weight, "mixing": 0.0, "homes": 1.0},
                    "rules": [{"kind": "programme", "max_today": 1.5, "min_share": {"workshop": 0.2}}, *rules],
                    "solve": {"gap": gap, "time_limit": 40, "threads": 2},
                }
            ),
            frame,
            streets,
        ).result

    free = solved([], 0.01)
    index = free["indices"]["proximity"]["index"]
    asked = (1 + 2 * index) / 3
    held = solved([{"kind": "proximity", "min_index": asked}], 0.02)
    assert held["indices"]["proximity"]["index"] >= asked - 1e-4 > index
    assert held["objective"] <= free["bound"] + 1e-6
    assert held["gap"] <= 0.05
    assert np.isfinite(held["bound"])
