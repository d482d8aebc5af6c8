"""Two solvers, one answer; what happens when there is none."""

import io

import numpy as np
import pytest
from rich.console import Console

import optimizer
from optimizer import screen, solving
from optimizer.errors import InfeasibleError, LimitError, SolverError
from optimizer.highs import Answer
from optimizer.pulp_bridge import PULP_4
from tests.districts import lots, random_lots, solve, study

PROGRAMME = {"kind": "programme", "min_share": {"homes": 0.2, "making": 0.2}}


@pytest.mark.parametrize("seed", range(20))
def test_highs_and_cbc_agree(seed):
    frame = random_lots(np.random.default_rng(seed))
    scores = [
        solve(study(rules=[PROGRAMME], solve={"gap": 1e-4, "solver": name, "threads": 1}), frame).result["objective"]
        for name in ("HiGHS", "CBC")
    ]
    assert scores[0] == pytest.approx(scores[1], rel=2e-4)


def test_highs_and_cbc_agree_on_quanzhi(project):
    asked = optimizer.load_study(project / "examples/quanzhi/study.toml")
    results = {}
    for name in ("HiGHS", "CBC"):
        options = asked.solve.model_copy(update={"solver": name, "gap": 0.05, "time_limit": 100.0})
        results[name] = optimizer.solve(asked.model_copy(update={"solve": options})).result
    high, low = results["HiGHS"], results["CBC"]
    assert high["gap"] <= 0.05
    assert low["objective"] <= high["bound"] * (1 + 1e-6)
    assert low["objective"] >= high["objective"] * 0.94


def test_pulp_of_this_python():
    import sys

    assert (sys.version_info >= (3, 12)) == PULP_4


def test_gap_is_bound_over_score():
    result = solve(study(rules=[PROGRAMME]), lots(3)).result
    assert result["status"] == "optimal"
    assert result["gap"] == pytest.approx((result["bound"] - result["objective"]) / result["objective"])


def test_conflicting_rules_are_named():
    rules = [
        {"kind": "programme", "name": "growth", "min_floor_area": 5000},
        {"kind": "demolition", "max_share": 0.1},
    ]
    with pytest.raises(InfeasibleError, match="growth"):
        solve(study(rules=rules), lots(3))


def test_time_up_before_a_plan():
    asked = study(solve={"time_limit": 1e-3})
    with pytest.raises(LimitError, match="time-limit"):
        solve(asked, lots(6, columns=3))


def test_a_plan_without_a_relaxation_has_the_bound_of_the_weights(monkeypatch):
    monkeypatch.setattr("optimizer.solving.SMALL", 1)
    monkeypatch.setattr("optimizer.relaxation.Relaxation.solve", lambda self, clock: Answer("limit", None, 0.0, 1.0))
    monkeypatch.setattr("optimizer.solving._Run.branch", lambda self, gap: Answer("limit", None, 0.0, 1.0))
    result = solve(study(), lots(3, gfa_homes=240.0, storeys=1)).result
    assert result["bound"] == pytest.approx(1.0)
    assert result["bound_is_trivial"]
    assert result["status"] == "feasible"
    console = Console(file=io.StringIO(), width=200)
    screen.summary(console, study(), result)
    assert "1.00000, by the weights alone" in console.file.getvalue()


def test_a_solver_that_errs_late_costs_no_plan(monkeypatch):
    monkeypatch.setattr("optimizer.solving.SMALL", 1)
    real, calls = solving.run, []

    def errs(*args, **options):
        calls.append(args)
        return Answer("infeasible", None, -np.inf, -np.inf) if len(args) > 3 else real(*args, **options)

    monkeypatch.setattr(solving, "run", errs)
    frame = lots(3, gfa_homes=240.0, storeys=1)
    result = solve(study(solve={"gap": 0.0, "time_limit": 20.0, "threads": 1}), frame).result
    assert calls
    assert result["objective"] > 0
    assert result["bound"] > result["objective"]
    assert not result["bound_is_trivial"]


def test_unknown_solver_names_those_that_are_there():
    with pytest.raises(SolverError, match=r"not known.*HiGHS"):
        solve(study(solve={"solver": "Nope"}), lots(2))
    with pytest.raises(SolverError, match="not installed"):
        solve(study(solve={"solver": "GUROBI_CMD"}), lots(2))


def test_large_search_stays_within_the_rules(monkeypatch):
    monkeypatch.setattr("optimizer.solving.SMALL", 1)
    monkeypatch.setattr("optimizer.solving.LARGE", 1)
    frame = random_lots(np.random.default_rng(3), 9)
    asked = study(rules=[PROGRAMME], solve={"gap": 1e-3, "time_limit": 20.0, "threads": 1})
    searched = solve(asked, frame).result
    monkeypatch.undo()
    assert searched["objective"] == pytest.approx(solve(asked, frame).result["objective"], rel=1.1e-3)
