"""The four laws: closed formulas on districts small enough to count by hand."""

import math

import numpy as np
import pytest

from optimizer.audit import recompute
from optimizer.district import read_district
from optimizer.laws import MEASURES
from optimizer.plan import Plan
from tests.districts import lots, study


def scoreboard(frame, action, floors):
    asked = study()
    plan = Plan(asked, read_district(asked, frame), np.array(action, dtype=object), np.array(floors), {})
    return recompute(asked, plan.evidence)


def test_equal_uses_count_in_full_and_one_use_counts_as_one():
    three = scoreboard(lots(1), ["redevelop"], [[1, 1, 1]]).indices["laws"]
    assert three["diverse"] == pytest.approx({"uses": 3, "hill_1": 3, "hill_2": 3, "evenness": 1})
    assert three["extremely_mixed"] == pytest.approx({"building": 1, "block": 1, "neighbourhood": 1, "reach_m": 0})
    one = scoreboard(lots(1), ["redevelop"], [[0, 0, 2]]).indices["laws"]
    assert one["diverse"] == pytest.approx({"uses": 1, "hill_1": 1, "hill_2": 1, "evenness": 0})
    # homes draw on shops, which stand nowhere: at the reach of 120 m
    assert one["extremely_mixed"]["reach_m"] == pytest.approx(120)


def test_hill_numbers_follow_their_formulas():
    two = scoreboard(lots(1), ["redevelop"], [[0, 1, 3]]).indices["laws"]["diverse"]
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert two == pytest.approx(
        {"uses": 2, "hill_1": math.exp(entropy), "hill_2": 1 / (0.0625 + 0.5625), "evenness": entropy / math.log(2)}
    )


def test_density_and_ten_minutes_are_counted_over_the_land():
    # two lots of 400 m², 5 m apart, and a third out of reach
    frame = lots(2, gap=900.0)
    found = scoreboard(frame, ["redevelop", "redevelop"], [[2, 0, 0], [0, 0, 1]]).indices["laws"]
    assert found["dense"] == pytest.approx(
        {"far": 0.9, "jobs_per_ha": 150, "residents_per_ha": 75, "people_per_ha": 225}
    )
    assert found["at_scale"] == pytest.approx(
        {"floor_area_m2": 720, "jobs": 12, "floor_area_10_min_m2": (480**2 + 240**2) / 720, "jobs_10_min": 8}
    )


def test_today_is_scored_beside_the_plan_and_every_measure_says_what_it_is():
    frame = lots(2, gfa_homes=[480.0, 0.0], storeys=[2, 0])
    found = scoreboard(frame, ["redevelop", "keep"], [[1, 1, 0], [0, 0, 0]])
    assert found.existing["laws"]["diverse"]["uses"] == 1
    assert found.indices["laws"]["diverse"]["uses"] == 2
    for measure in MEASURES:
        assert measure.sentence.endswith(".")
        assert measure.formula
        assert np.isfinite(found.indices["laws"][measure.law][measure.key])
