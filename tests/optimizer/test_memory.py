"""Estimates of memory against programs that are written down, and against a process of its own."""

import subprocess
import sys

import pytest

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.district import read_district
from optimizer.errors import StudyError
from optimizer.memory import entries, estimate_memory, receptor_pairs
from optimizer.problem import assemble
from optimizer.study import load_study

USES = ("workshop", "rnd", "housing", "services")
NOISE = {"kind": "noise", "method": "din45691", "limits": {"housing": 63}}


def asked(rules=(), **objective):
    return load_study(
        {
            "name": "Memory",
            "parcels": {
                "columns": {c: c for c in ("id", "max_far", "max_height", "coverage", "storeys")},
                "existing": {use: f"gfa_{use}" for use in USES},
            },
            "objective": objective,
            "rules": [{"kind": "programme", "max_today": 1.5}, *rules],
        }
    )


@pytest.mark.parametrize(
    ("study", "over"),
    [
        (asked(), 0.1),
        (asked(proximity=0.0, mixing=1.0, scales={"block": 1.0}), 0.1),
        (asked(proximity=1.0, mixing=0.0), 0.1),
        (asked([NOISE | {"reach": 300}]), 0.1),
        (asked([NOISE]), 0.4),  # not every receptor can be too loud
    ],
    ids=["both", "blocks", "proximity", "noise within reach", "noise"],
)
def test_entries_are_those_of_the_program(study, over):
    district = read_district(study, *synthetic_district(400, seed=2))
    found = assemble(study, district).arrays().matrix.nnz
    told = entries(district, study) + receptor_pairs(district, study)
    assert 0.9 * found < told < (1 + over) * found


@pytest.mark.parametrize(
    "parts",
    [
        {"proximity": 1.0, "mixing": 0.0},
        {"proximity": 0.0, "mixing": 1.0, "scales": {"building": 1.0}},
        {"proximity": 0.0, "mixing": 1.0, "scales": {"block": 0.5, "neighbourhood": 0.5}},
    ],
    ids=["proximity", "buildings", "groups"],
)
def test_what_an_objective_adds_is_counted_to_the_last_entry(parts):
    """Beside a study of density alone, which adds no entry."""
    counts = []
    for study in (asked(**parts), asked(proximity=0.0, mixing=0.0, density=1.0)):
        district = read_district(study, *synthetic_district(200, seed=2))
        counts.append((assemble(study, district).arrays().matrix.nnz, entries(district, study)))
    (found, told), (alone, told_alone) = counts
    assert told - told_alone == found - alone > 0


MEASURE = """
import sys
from tests.optimizer.test_memory import asked
from geodata.synthetic import synthetic_district
import optimizer
from optimizer.district import read_district
from optimizer.errors import StudyError
from optimizer.highs import load
from optimizer.problem import assemble

def memory(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 2**20

study = asked()
district = read_district(study, *synthetic_district(3000, seed=2))
load(assemble(study, read_district(study, *synthetic_district(20))).arrays())  # libraries
before = memory("VmRSS")
load(assemble(study, district).arrays())
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read where Linux tells it")
def test_memory_is_what_a_process_takes(project):
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=project, capture_output=True, text=True, check=True, timeout=60
    )
    study = asked()
    district = read_district(study, *synthetic_district(3000, seed=2))
    assert float(ran.stdout) == pytest.approx(estimate_memory(district, study), rel=0.35)


def test_a_study_that_does_not_fit_is_refused_with_both_numbers(monkeypatch):
    parcels, streets = synthetic_district(40, 0)
    monkeypatch.setattr("optimizer.memory.memory_of_machine", lambda: 0.001)
    with pytest.raises(StudyError, match=r"40 parcels .* need about \d+\.\d GiB .* has 0\.0 GiB; give"):
        optimizer.solve(asked(), parcels=parcels, streets=streets)
