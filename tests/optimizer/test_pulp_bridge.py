"""What PuLP and HiGHS are given is one program."""

import tomllib

import highspy
import numpy as np
import pulp
import pytest
from scipy import sparse

from geodata.synthetic import synthetic_district
from optimizer.district import read_district
from optimizer.highs import Clock, load, run
from optimizer.model import Program
from optimizer.problem import assemble
from optimizer.pulp_bridge import PULP_4, names_for_files, to_pulp, write_program
from optimizer.rules import rule_kinds
from optimizer.study import load_study
from tests.districts import problem_of, random_lots, study

RULES = [{"kind": "noise", "method": "din45691", "limits": {"homes": 48}}, {"kind": "demolition", "max_share": 0.5}]


@pytest.fixture(scope="module")
def arrays():
    return problem_of(study(rules=RULES), random_lots(np.random.default_rng(5), 4)).arrays()


def test_every_row_and_column_arrives(arrays):
    problem, variables = to_pulp(arrays)
    assert [v.name for v in variables] == names_for_files(arrays.column_names)
    assert np.array_equal([v.lowBound for v in variables], arrays.lower)
    rows = {c.name: c for c in (problem.constraints() if PULP_4 else problem.constraints.values())}
    matrix = arrays.matrix.toarray()
    place = {v.name: k for k, v in enumerate(variables)}
    checked = 0
    for r, name in enumerate(names_for_files(arrays.row_names)):
        if name not in rows:
            continue
        found = np.zeros(len(variables))
        for variable, value in rows[name].items():
            found[place[variable.name]] = value
        assert np.allclose(found, matrix[r])
        bound = arrays.row_upper[r] if np.isfinite(arrays.row_upper[r]) else arrays.row_lower[r]
        assert -rows[name].constant == pytest.approx(bound, abs=1e-12)
        checked += 1
    assert checked == sum(1 for r in range(len(matrix)) if matrix[r].any())


KINDS = rule_kinds()
FACTS = ("id", "max_far", "max_height", "coverage", "storeys", "year", "zone", "protected")


WIND = {"classes": [{"stability": "D", "speed": 3.0, "frequency": [0.0625] * 16}]}
TIGHT = {"air": {"limits": {"housing": {"pm25": 7.1}}}, "odour": {"limits": {"housing": 1e-3}}}
"""Limits that bind in a small district, where those of the example do not."""
PRICELESS = {"bonus", "transfer"}


def program_with(kind):
    """The program of a family's example, and of the same with a price where it may have one."""
    rule = tomllib.loads(KINDS[kind].example) | TIGHT.get(kind, {})
    rules = [rule]
    if kind not in PRICELESS and not rule.keys() & {"price", "mitigation", "reach"}:
        rules.append(rule | {"price": 0.1, "name": "priced"})
    uses = {u: {} for u in ("workshop", "rnd", "housing", "services")}
    uses["workshop"] = {"emissions": {"pm25": 400.0, "odour": 6000.0}}
    asked = load_study(
        {
            "name": kind,
            "parcels": {"columns": {c: c for c in FACTS}, "existing": {u: f"gfa_{u}" for u in uses}},
            "uses": uses,
            "pollution": {"wind": WIND},
            "rules": [*rules, *([] if kind == "programme" else [{"kind": "programme", "max_today": 1.5}])],
        }
    )
    return assemble(asked, read_district(asked, *synthetic_district(12, seed=3))).arrays()


def told_highs(arrays):
    """Cost (to be most), columns, rows and matrix as HiGHS holds them."""
    lp = load(arrays).getLp()
    shape = (lp.num_row_, lp.num_col_)
    matrix = sparse.csc_matrix((lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_), shape=shape)
    assert lp.a_matrix_.format_ == highspy.MatrixFormat.kColwise
    assert lp.sense_ == highspy.ObjSense.kMinimize
    whole = [kind == highspy.HighsVarType.kInteger for kind in lp.integrality_]
    vectors = lp.col_lower_, lp.col_upper_, lp.row_lower_, lp.row_upper_
    return (-np.array(lp.col_cost_), np.array(whole), matrix.toarray(), *map(np.array, vectors))


def told_pulp(arrays):
    """The same as PuLP holds them; rows without an entry hold nothing."""
    problem, variables = to_pulp(arrays)
    place = {v.name: k for k, v in enumerate(variables)}
    row_of = {name: r for r, name in enumerate(names_for_files(arrays.row_names))}
    matrix = np.zeros((len(row_of), len(place)))
    low, high = np.full(len(row_of), -np.inf), np.full(len(row_of), np.inf)
    for constraint in problem.constraints() if PULP_4 else problem.constraints.values():
        r = row_of[constraint.name.removesuffix("..least")]
        matrix[r] = 0.0
        for variable, value in constraint.items():
            matrix[r, place[variable.name]] = value
        if constraint.sense in (pulp.LpConstraintEQ, pulp.LpConstraintLE):
            high[r] = -constraint.constant
        if constraint.sense in (pulp.LpConstraintEQ, pulp.LpConstraintGE):
            low[r] = -constraint.constant
    cost = np.zeros(len(place))
    for variable, value in problem.objective.items():
        cost[place[variable.name]] = value
    assert problem.sense == pulp.LpMaximize
    least = [-np.inf if v.lowBound is None else v.lowBound for v in variables]
    most = [np.inf if v.upBound is None else v.upBound for v in variables]
    whole = np.array([v.cat == pulp.LpInteger for v in variables])
    return cost, whole, matrix, np.array(least), np.array(most), low, high


@pytest.mark.parametrize("kind", list(KINDS))
def test_both_are_given_one_program_row_by_row(kind):
    arrays = program_with(kind)
    cost, whole, matrix, *column_bounds, low, high = told_highs(arrays)
    assert np.array_equal(matrix, arrays.matrix.toarray())
    assert any(name.startswith((kind, "priced")) for name in arrays.row_names) or KINDS[kind].implied
    pulp_cost, pulp_whole, pulp_matrix, *pulp_bounds, pulp_low, pulp_high = told_pulp(arrays)
    assert np.array_equal(cost, pulp_cost)
    assert np.array_equal(whole, pulp_whole)
    assert np.array_equal(column_bounds, pulp_bounds)
    assert np.array_equal(matrix, pulp_matrix)
    filled = matrix.any(axis=1)
    assert np.allclose(low[filled], pulp_low[filled], rtol=1e-12, atol=1e-12)
    assert np.allclose(high[filled], pulp_high[filled], rtol=1e-12, atol=1e-12)
    assert ((low[~filled] <= 1e-9) & (high[~filled] >= -1e-9)).all()


def test_rows_with_two_bounds_are_two_in_pulp():
    program = Program()
    columns = program.columns(["x", "y"], cost=[1.0, -1.0], lower=[-np.inf, 0.0], upper=[5.0, np.inf], integer=True)
    program.rows(
        ["both", "equal", "least"], (np.arange(3), columns[0], [2.0, 1.0, 3.0]), lower=[1, 4, -2], upper=[3, 4, np.inf]
    )
    arrays = program.arrays()
    highs, bridge = told_highs(arrays), told_pulp(arrays)
    for mine, theirs in zip(highs, bridge, strict=True):
        assert np.array_equal(mine, theirs)
    assert (highs[5].tolist(), highs[6].tolist()) == ([1, 4, -2], [3, 4, np.inf])


@pytest.mark.parametrize("kind", ["lp", "mps"])
def test_files_hold_the_same_program(arrays, tmp_path, kind):
    file = tmp_path / f"program.{kind}"
    write_program(arrays, file, mps=kind == "mps")
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(file))
    highs.setOptionValue("mip_rel_gap", 1e-9)
    highs.run()
    own = load(arrays)
    own.setOptionValue("mip_rel_gap", 1e-9)
    answer = run(own, Clock(60), 60)
    sign = -1 if kind == "mps" else 1
    assert sign * highs.getObjectiveValue() == pytest.approx(answer.objective, rel=1e-6)
    assert "redevelop_L0" in file.read_text()


def test_hostile_names_stay_unique():
    assert len(set(names_for_files(["a b", "a_b", "ä+b", "1x", "e5", "-"]))) == 6


def test_names_that_files_or_pulp_would_misread_are_led_by_a_letter():
    assert names_for_files(["emitted 1", "_own", "3rd", "plain", "emitted 1"]) == [
        "n_emitted_1",
        "n__own",
        "n_3rd",
        "plain",
        "n_emitted_1_2",
    ]
