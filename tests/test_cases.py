"""The cases: every study is valid, and, on demand, each proves 1 % within two minutes and passes its audit."""

from pathlib import Path

import pytest

import optimizer
from optimizer.audit import audit_folder
from optimizer.study import load_study

STUDIES = sorted((Path(__file__).resolve().parents[1] / "examples/cases").glob("*/study*.toml"))
NAMES = [f"{file.parent.name}/{file.name}" for file in STUDIES]


def there(file):
    """The study, or why it cannot be tried."""
    study = load_study(file)
    if not study.path(study.parcels.file).is_file():
        pytest.skip("its parcels have not been fetched: python examples/cambridge/get_data.py --from DIR")
    return study


@pytest.mark.parametrize("file", STUDIES, ids=NAMES)
def test_the_study_of_a_case_can_be_solved_as_far_as_reading_tells(file):
    district = optimizer.check(there(file))
    assert len(district.parcels) >= 8
    readme = (file.parent / "README.md").read_text(encoding="utf-8")
    assert "picture.png" in readme
    assert (file.parent / "picture.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("file", STUDIES, ids=NAMES)
def test_a_case_proves_one_percent_in_two_minutes(file, tmp_path):
    study = there(file)
    asked = load_study({**study.to_dict(), "solve": {**study.solve.model_dump(), "gap": 0.01, "time_limit": 120}})
    plan = optimizer.solve(asked)
    assert plan.result["gap"] <= 0.01
    assert not audit_folder(plan.save(tmp_path / "plan")).faults
