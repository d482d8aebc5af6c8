"""Boxes: entropy exact at every whole stack inside, and the search that uses them never beats the proved bound."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from optimizer.boxes import boxed
from optimizer.errors import InfeasibleError
from optimizer.highs import Clock, load, run
from optimizer.mixing import exact_in_box, weighted_entropy
from optimizer.search import complete, today
from tests.districts import lots, problem_of, random_lots, solve, study
from tests.enumeration import tries
from tests.optimizer.test_enumeration import best_of_all, districts

RULES = [
    {"kind": "programme", "min_share": {"homes": 0.2, "making": 0.2}},
    {"kind": "noise", "method": "din45691", "limits": {"homes": 50}},
]


def test_entropy_is_exact_at_every_stack_of_a_box():
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(100):
        low = rng.integers(0, 4, 4).astype(float)
        high = low + rng.integers(0, 2, 4)
        least = float(rng.integers(low.sum(), high.sum() + 1))
        slope, constant = exact_in_box(low[None], high[None], np.array([least]), np.array([least + 1]))
        for n in itertools.product(*zip(low, high)):
            if least <= sum(n) <= least + 1:
                assert np.array(n) @ slope[0] + constant[0] == pytest.approx(float(weighted_entropy(n)), abs=1e-9)
                checked += 1
    assert checked > 300


def test_a_plan_of_a_box_breaks_lazy_rows_only_and_those_but_once():
    problem = problem_of(study(rules=RULES), random_lots(np.random.default_rng(4), 6))
    relaxed = run(load(problem.arrays(), relaxed=True), Clock(60), 60).x
    whole, broken = problem.arrays(), set()
    for _ in range(9):
        box = boxed(problem, relaxed, None, broken, np.random.default_rng(0), widen=1)
        x = run(load(box), Clock(60), 60).x
        wrong = whole.violated(x, 1e-6) & ~whole.cut
        if not wrong.any():
            break
        assert np.isfinite(whole.lazy[wrong]).all()
        assert not wrong[list(broken)].any()
        broken |= set(np.flatnonzero(wrong).tolist())
    assert broken
    assert not wrong.any()


def test_today_is_a_solution_only_where_it_keeps_the_rules():
    frame = lots(2, gfa_homes=[240.0, 0.0], storeys=[1, 0])
    asked = study(rules=[{"kind": "programme", "min_share": {"homes": 0.5}}])
    x = today(problem_of(asked, frame), Clock(60), 1)
    assert x is not None
    asked = study(rules=[{"kind": "programme", "min_share": {"making": 0.5}}])
    assert today(problem_of(asked, frame), Clock(60), 1) is None


def test_completing_finds_the_flows_of_a_plan():
    frame = random_lots(np.random.default_rng(8), 5)
    asked = study()
    problem = problem_of(asked, frame)
    best = run(load(problem.arrays()), Clock(60), 60)
    found = complete(problem, best.x, Clock(60), 1)
    plan = solve(asked, frame).result
    assert float(problem.arrays().cost @ found) / 100 <= plan["bound"] * (1 + 1e-6)
    assert float(problem.arrays().cost @ found) / 100 == pytest.approx(plan["objective"], rel=1e-4)


@settings(
    max_examples=tries(40),
    deadline=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
)
@given(districts())
def test_the_search_of_large_districts_agrees_with_enumeration(case):
    far, storeys, today_, park, rules, gap = case
    facts = {f"gfa_{u}": [240.0 * s * (u == t) for s, t in zip(storeys, today_)] for u in ("making", "shops", "homes")}
    frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, **facts)
    asked = study(rules=rules, lot_columns=("id", "max_far", "coverage", "storeys", "protected"))
    expected = best_of_all(asked, problem_of(asked, frame).district, far, storeys, park, rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optimizer.solving.SMALL", 0)
        patch.setattr("optimizer.solving.LARGE", 0)
        patch.setattr("optimizer.solving.SMALLEST_TILE", 1)
        try:
            result = solve(asked, frame).result
        except InfeasibleError:
            assert expected == -np.inf
            return
    assert result["bound"] >= expected - 1e-7
    assert result["objective"] <= expected + 3e-6 * max(abs(expected), 1e-3)
    assert result["objective"] >= expected - 3e-6 * max(abs(expected), 1e-3)
