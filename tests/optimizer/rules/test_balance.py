"""Balance: two measures in a proportion; making 40 m² and shops 20 m² a job, homes 80 m² each with 2 residents."""

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import InfeasibleError, StudyError
from tests.districts import area, checked, lots, solve, study
from tests.enumeration import NAMES, family

RATE = {"jobs": (1 / 40, 1 / 20, 0), "homes": (0, 0, 1 / 80), "residents": (0, 0, 1 / 40), "floor_area": (1, 1, 1)}
"""Of one m² of making, shops and homes."""
MEASURES = [
    ("jobs", "homes", (0.8, 1.7, 3.0)),
    ("jobs", "residents", (0.5, 1.25)),
    ("homes", "jobs", (0.4, 0.7)),
    (["shops"], "residents", (2.0, 30.0)),
    (["shops", "making"], ["homes"], (0.3, 1.0)),
    (["making"], "floor_area", (0.25, 0.5)),
    ("floor_area", "jobs", (30.0, 60.0)),
]


@st.composite
def rules(draw):
    of, per, ratios = draw(st.sampled_from(MEASURES))
    low, high = sorted(draw(st.tuples(*2 * [st.sampled_from(ratios)])))
    bounds = draw(st.sampled_from([{"min": low}, {"max": high}, {"min": low, "max": high}]))
    rule = {"kind": "balance", "of": of, "per": per, **bounds}
    if draw(st.booleans()):
        rule["within"] = draw(st.sampled_from([0.0, 50.5, 90.5, 150.5]))
    else:
        rule["by"] = draw(st.sampled_from(["district", "parcel", "building", "zone", "neighbourhood"]))
    where = draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))
    return rule | where | {"as_of_right": draw(st.booleans())}


def missed(rule, s):
    if "within" in rule:
        places = [np.flatnonzero(s.walk[i] <= rule["within"]) for i in np.flatnonzero(s.chosen(rule))]
    else:
        places = s.places(rule)
    total = 0.0
    for place in places:
        floor = s.counted(rule)[place].sum(axis=0)
        n, d = (
            sum(floor[NAMES.index(u)] for u in m) if isinstance(m, list) else floor @ RATE[m]
            for m in (rule["of"], rule["per"])
        )
        total += max(rule.get("min", 0.0) * d - n, 0.0) + (max(n - rule["max"] * d, 0.0) if "max" in rule else 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.0005, 0.02))


@pytest.mark.parametrize(("ratio", "floors"), [(0.9, 2), (1.0, 3), (1.9, 3), (2.0, 4)])
def test_as_many_jobs_as_homes_allow(ratio, floors):
    """A floor of making is 6 jobs and one of homes 3 homes; two floors of homes are all there may be."""
    rules = [
        {"kind": "banned", "uses": ["shops"]},
        {"kind": "programme", "max_area": {"homes": 480.0}},
        {"kind": "balance", "of": "jobs", "per": "homes", "max": ratio},
    ]
    plan = solve(study(rules=rules, objective={"proximity": 0, "mixing": 0, "density": 1}), lots(1))
    assert (area(plan, "making") + area(plan, "homes")) == 240 * floors
    assert area(plan, "homes") == 480


def test_a_place_without_any_of_one_keeps_the_least_and_holds_none_of_the_other_under_a_most():
    rule = {"kind": "balance", "of": ["shops"], "per": "residents", "min": 2.0, "max": 3.0, "by": "parcel"}
    low, high = checked(study(rules=[rule]), lots(2), ["redevelop"] * 2, [[1, 0, 0], [0, 1, 0]])
    assert low.satisfied
    assert (high.broken, high.value, high.limit, high.missed, high.unit) == (("L1",), 240.0, 0.0, 240.0, "m² of shops")
    plan = solve(study(rules=[rule]), lots(2))
    floors = plan.to_frame()
    assert (floors["gfa_shops"] <= 3 * floors["gfa_homes"] / 40 + 1e-6).all()


def test_what_is_within_a_walk_counts_and_nothing_beyond():
    """Lots in a row, 1 m between them: their doors are 21 + 2 x 5 m apart, those of the first and the third 52 m."""
    rule = {"kind": "balance", "of": "jobs", "per": "homes", "min": 1.0, "within": 40}
    frame, floors = lots(3, gap=1.0), [[0, 0, 2], [1, 0, 0], [0, 0, 2]]
    (middle,) = checked(study(rules=[rule]), frame, ["redevelop"] * 3, floors)
    assert (middle.broken, middle.value, middle.limit, middle.places) == (("L1/1",), 6.0, 12.0, 3)
    assert (middle.missed, middle.missed_unit) == (pytest.approx(6.0), "jobs")
    (all_three,) = checked(study(rules=[{**rule, "within": 60}]), frame, ["redevelop"] * 3, floors)
    assert (all_three.broken, all_three.missed) == (("L0/1", "L1/1", "L2/1"), pytest.approx(18.0))
    (chosen,) = checked(study(rules=[{**rule, "where": ["L0"]}]), frame, ["redevelop"] * 3, floors)
    assert (chosen.satisfied, chosen.places) == (True, 1)


def test_building_sites_of_one_parcel_have_doors_of_their_own():
    """One parcel of two sites of 200 m²: a floor of homes needs 2.5 jobs, which the other site may hold."""
    frame = lots(1, coverage=1.0, max_far=2.0)
    two = {"sites": {"plate": 200.0}, "linkages": []}
    rule = {"kind": "balance", "of": "jobs", "per": "homes", "min": 1.0, "within": 0}
    floors = [[0, 0, 1], [1, 0, 0]]
    (alone,) = checked(study(rules=[rule], **two), frame, ["redevelop"], floors)
    assert (alone.broken, alone.missed) == (("L0/1",), pytest.approx(2.5))
    (together,) = checked(study(rules=[{**rule, "within": 100}], **two), frame, ["redevelop"], floors)
    assert together.satisfied
    (parcel,) = checked(study(rules=[{**rule, "within": None, "by": "parcel"}], **two), frame, ["redevelop"], floors)
    assert (parcel.value, parcel.limit) == (5.0, 2.5)
    for within in (0.0, 100.0):
        plan = solve(study(rules=[{**rule, "within": within}, {"kind": "programme", "min_homes": 2}], **two), frame)
        held = plan.floor_area @ np.array([RATE["jobs"], RATE["homes"]]).T
        held = held if within == 0 else held.sum(axis=0, keepdims=True)
        assert (held[:, 0] >= held[:, 1] - 1e-6).all()
        assert plan.result["status"] == "optimal"


def test_kept_floor_stands_outside_where_it_is_as_of_right():
    frame = lots(2, gfa_homes=[480.0, 0.0], storeys=[2, 0])
    rule = {"kind": "balance", "of": "jobs", "per": "homes", "min": 1.0}
    locked = {"kind": "locked", "where": ["L0", "L1"]}
    with pytest.raises(InfeasibleError):
        solve(study(rules=[rule, locked]), frame)
    assert solve(study(rules=[{**rule, "as_of_right": True}, locked]), frame).result["rules"][-1]["satisfied"]
    soft = solve(study(rules=[{**rule, "price": 0.01}, locked]), frame).result
    (told,) = [r for r in soft["rules"] if r["name"] == "balance"]
    assert (told["missed"], told["missed_unit"]) == (pytest.approx(6.0), "jobs")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"min": 2.0, "max": 1.0}, "min = 2 is above max = 1"),
        ({}, "neither min nor max"),
        ({"min": 1.0, "within": 100, "by": "block"}, "within = 100 and by = 'block' are both given"),
        ({"min": 1.0, "per": "jobs"}, "of and per are both 'jobs'"),
        ({"min": 1.0, "of": ["shops", "homes"], "per": ["homes", "shops"]}, "two measures are expected"),
        ({"min": 1.0, "of": ["shop"]}, "did you mean 'shops'"),
        ({"min": 1.0, "of": "flats"}, "of = 'flats': floor_area, jobs, homes, residents or a list of uses"),
        ({"min": -1.0}, "min = -1"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "balance", "of": "jobs", "per": "homes", **rule}])


def test_proportions_that_contradict_one_another_are_found_before_solving():
    least = {"kind": "balance", "of": "jobs", "per": "homes", "min": 2.0}
    most = {"kind": "balance", "of": "jobs", "per": "homes", "max": 1.0}
    with pytest.raises(StudyError, match="min = 2 is above max = 1 of the same measures"):
        study(rules=[least, most])
    study(rules=[least, {**most, "by": "block"}])


def test_a_measure_that_no_use_holds_is_said():
    uses = {"making": {"label": "Making", "storey_height": 5.0, "floor_per_job": 40.0}}
    asked = study(
        rules=[{"kind": "balance", "of": "jobs", "per": "homes", "max": 1.0}],
        uses=uses,
        linkages=[],
        parcels={"columns": {"id": "id", "max_far": "max_far"}, "existing": {"making": "gfa_making"}},
    )
    with pytest.raises(StudyError, match="per = 'homes': no use of the study holds any"):
        solve(asked, lots(1))
