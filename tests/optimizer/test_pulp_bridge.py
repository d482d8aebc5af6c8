"""What PuLP and HiGHS are given is one program."""

import highspy
import numpy as np
import pytest

from optimizer.highs import Clock, load, run
from optimizer.pulp_bridge import PULP_4, names_for_files, to_pulp, write_program
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
