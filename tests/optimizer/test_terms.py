"""Terms linear in floors and decisions, against every plan of small districts."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optimizer.district import read_district
from optimizer.errors import InfeasibleError
from optimizer.problem import all_rules
from optimizer.reference import most_floor_area
from optimizer.terms import fullest
from tests.districts import USES, lots, solve, study
from tests.enumeration import COLUMNS, LAND, NAMES, PLATE, best_score, plans_of, situations, small_districts, tries

PER_JOB = np.array([1 / 40.0, 1 / 20.0, 0.0])
PER_HOME = np.array([0.0, 0.0, 1 / 80.0])
WEIGHTS = st.sampled_from([0.0, 0.3, 1.0])


@settings(
    max_examples=tries(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(
    small_districts(3, 1),
    st.fixed_dictionaries(dict.fromkeys(("density", "jobs", "homes", "preserved", "unchanged"), WEIGHTS)),
)
def test_same_optimum_as_every_plan_tried(case, weights):
    far, storeys, today, park, zone, gap = case
    tallest = [math.floor(f * LAND / PLATE + 1e-9) for f in far]
    assume(math.prod(len(plans_of(*lot)) for lot in zip(tallest, storeys, park)) <= 600)
    facts = {f"gfa_{u}": [PLATE * s * (u == t) for s, t in zip(storeys, today)] for u in NAMES}
    frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
    objective = {"proximity": 0.1, "mixing": 0.1, "scales": {"building": 0.5, "neighbourhood": 0.5}, **weights}
    rules = [{"kind": "programme", "max_share": {"shops": 0.6}}]
    asked = study(rules=rules, objective=objective, lot_columns=COLUMNS)
    district = read_district(asked, frame)
    most = most_floor_area(district, all_rules(asked))

    def top(rate):
        return -linprog(-rate, A_ub=[[1, 1, 1]], b_ub=[most[-1]], bounds=[(0, m) for m in most[:-1]]).fun

    stands = district.existing.sum()

    def score(s):
        if s.area[:, 1].sum() > 0.6 * s.area.sum() + 1e-6:
            return None
        stays = np.array([e.sum() * (a in ("keep", "convert")) for e, a in zip(s.today, s.action)]).sum()
        kept = np.array([e.sum() * (a == "keep") for e, a in zip(s.today, s.action)]).sum()
        parts = {
            "density": (s.area.sum(), most[-1]),
            "jobs": ((s.area @ PER_JOB).sum(), top(PER_JOB)),
            "homes": ((s.area @ PER_HOME).sum(), top(PER_HOME)),
            "preserved": (stays, stands),
            "unchanged": (kept, stands),
        }
        return sum(weights[name] * value / over for name, (value, over) in parts.items() if over)

    expected = best_score(asked, district, list(situations(district, far, storeys, park, zone)), score)
    try:
        result = solve(asked, frame).result
    except InfeasibleError:
        assert expected == -math.inf
        return
    assert result["objective"] == pytest.approx(expected, abs=1e-5)
    assert result["bound"] >= expected - 1e-6


def test_the_fullest_floor_is_that_of_a_linear_program():
    uses = study().use_list
    rng = np.random.default_rng(0)
    for _ in range(20):
        over = np.append(rng.uniform(0, 1000, len(USES)), rng.uniform(100, 2000))
        rate = np.array([1 / u.floor_per_job if u.floor_per_job else 0.0 for u in uses])
        best = -linprog(-rate, A_ub=np.ones((1, len(rate))), b_ub=[over[-1]], bounds=[(0, m) for m in over[:-1]]).fun
        assert fullest(uses, "jobs", over) == pytest.approx(best)
