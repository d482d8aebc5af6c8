"""What must not change the score, and which way a rule may move it."""

import numpy as np
import pytest
from shapely.affinity import rotate

from tests.districts import lots, random_lots, solve, study

RULES = [
    {"kind": "programme", "min_share": {"homes": 0.2, "making": 0.2, "shops": 0.1}},
    {"kind": "demolition", "max_share": 0.6},
    {"kind": "noise", "method": "din45691", "limits": {"homes": 50}},
]


@pytest.fixture(scope="module")
def frame():
    return random_lots(np.random.default_rng(11), 6)


@pytest.fixture(scope="module")
def score(frame):
    return solve(study(rules=RULES), frame).result["objective"]


def moved(frame):
    frame = frame.copy()
    frame.geometry = frame.translate(1234.5, -987.6)
    return frame


def turned(frame):
    frame = frame.copy()
    frame.geometry = [rotate(shape, 33, origin=(500_000, 5_300_000)) for shape in frame.geometry]
    return frame


@pytest.mark.parametrize("change", [moved, turned, lambda f: f.sample(frac=1, random_state=2).reset_index(drop=True)])
def test_place_direction_and_order_do_not_matter(frame, score, change):
    assert solve(study(rules=RULES), change(frame)).result["objective"] == pytest.approx(score, rel=1e-5)


def test_crs_does_not_matter(frame, score):
    asked = study(
        rules=RULES,
        parcels={
            "columns": {c: c for c in ("id", "max_far", "coverage", "storeys")},
            "existing": {u: f"gfa_{u}" for u in ("making", "shops", "homes")},
            "crs": "EPSG:32632",
        },
    )
    assert solve(asked, frame.to_crs(4326)).result["objective"] == pytest.approx(score, rel=1e-5)


def test_units_do_not_matter(frame, score):
    feet = frame.copy()
    for use in ("making", "shops", "homes"):
        feet[f"gfa_{use}"] = feet[f"gfa_{use}"] / 0.3048**2
    asked = study(
        rules=RULES,
        parcels={
            "columns": {c: c for c in ("id", "max_far", "coverage", "storeys")},
            "existing": {u: f"gfa_{u}" for u in ("making", "shops", "homes")},
            "area_unit": "ft2",
        },
    )
    assert solve(asked, feet).result["objective"] == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_a_rule_more_never_helps(seed):
    frame = random_lots(np.random.default_rng(seed), 4)
    # A programme of the whole district sets constants of the score, so it stays.
    without = solve(study(rules=RULES[:1]), frame).result["objective"]
    more = solve(study(rules=RULES), frame).result["objective"]
    assert more <= without * (1 + 3e-6)


def test_more_room_never_hurts():
    rule = {"kind": "programme", "max_floor_area": 1500}
    low, high = (solve(study(rules=[rule]), lots(3, max_far=far)).result["objective"] for far in (1.2, 2.4))
    assert high >= low * (1 - 3e-6)
