"""A run stopped as any phase begins, so after the one before it, leaves a plan that passes the audit."""

import signal

import pytest

import optimizer
from geodata.synthetic import synthetic_district
from optimizer import solving
from optimizer.audit import audit_folder
from tests.optimizer.test_decompose import COLUMNS, USES

PARCELS = {"tiles": 30, "pieces": 60}
STUDY = {
    "name": "Stopped",
    "parcels": {"columns": {c: c for c in COLUMNS}, "existing": {u: f"gfa_{u}" for u in USES}},
    "rules": [{"kind": "programme", "min_today": 1.0, "max_today": 1.5}, {"kind": "demolition", "max_share": 0.4}],
    "solve": {"gap": 1e-5, "time_limit": 60, "threads": 1},
}


@pytest.mark.parametrize(
    ("way", "phase"),
    [
        ("tiles", "relaxation"),
        ("tiles", "rounding the relaxation"),
        ("tiles", "improving by tiles"),
        ("pieces", "pricing stacks"),
        ("pieces", "making a plan"),
        ("pieces", "improving pieces"),
    ],
)
def test_a_run_stopped_as_a_phase_begins_leaves_an_audited_plan(way, phase, monkeypatch, tmp_path):
    if way == "tiles":  # which follow where no plan could be made of pieces
        monkeypatch.setattr(solving._Run, "by_pieces", lambda self: False)
    told = []

    def report(p):
        told.append(p)
        if p.phase == phase:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C does

    plan = optimizer.solve(STUDY, *synthetic_district(PARCELS[way], 3), report=report)
    assert phase in {p.phase for p in told}
    assert plan.result["interrupted"]
    assert plan.result["bound"] >= plan.result["objective"] >= max(p.incumbent for p in told) - 1e-6
    assert plan.result["bound"] == pytest.approx(min(p.bound for p in told))
    assert not audit_folder(plan.save(tmp_path / "plan")).faults
