"""First plans: near to today's district, whatever keeps them from it."""

import dataclasses

import numpy as np
import pytest

from geodata.synthetic import synthetic_district
from optimizer import search
from optimizer.district import read_district
from optimizer.highs import Clock, load, run
from optimizer.problem import assemble
from optimizer.search import kept, nearest, today
from optimizer.study import load_study

COLUMNS = ("id", "zone", "max_far", "max_height", "coverage", "storeys", "year", "protected")
USES = ("workshop", "rnd", "housing", "services")


def problem(seed, limit=55, share=0.3):
    """A synthetic district that is too loud for its homes, and has too few of them."""
    asked = load_study(
        {
            "name": "First plans",
            "parcels": {"columns": {c: c for c in COLUMNS}, "existing": {u: f"gfa_{u}" for u in USES}},
            "rules": [
                {"kind": "programme", "min_today": 1.0, "min_share": {"housing": share, "workshop": 0.1}},
                {"kind": "noise", "limits": {"housing": limit}},
            ],
        }
    )
    return assemble(asked, read_district(asked, *synthetic_district(30, seed)))


def distance(asked, x):
    """New and converted floor area of a plan, which is what lies between it and today."""
    d, model = asked.district, asked.model
    return float((x[model.new] * d.plate[:, None]).sum() + (x[model.converted] * d.plate_today[:, None]).sum())


def least_distance(asked):
    """The least that any plan builds, by branch and bound over the whole program with every row in it."""
    d, model, arrays = asked.district, asked.model, asked.arrays()
    cost = np.zeros(len(arrays.cost))
    cost[model.new], cost[model.converted] = -d.plate[:, None], -d.plate_today[:, None]
    highs = load(dataclasses.replace(arrays, cost=cost))
    highs.setOptionValue("mip_rel_gap", 1e-6)
    answer = run(highs, Clock(60), 60)
    assert answer.status == "optimal"
    return -answer.objective


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decided", [search.WHOLE, 1.0], ids=["few decisions left", "none left at first"])
def test_a_first_plan_keeps_every_row_and_is_near(seed, decided, monkeypatch):
    monkeypatch.setattr(search, "WHOLE", decided)  # with 1.0 all are rounded at once, which breaks some row
    asked, needed = problem(seed), set()
    assert today(asked, Clock(60), 1) is None
    x, arrays = nearest(asked, kept(asked), needed, Clock(60), 60.0, 1), asked.arrays()
    assert not (arrays.violated(x, 5e-6) & ~arrays.cut).any()
    assert np.abs(x[arrays.integer] - np.rint(x[arrays.integer])).max() == 0
    assert 1 - 1e-6 <= distance(asked, x) / least_distance(asked) <= 2
    assert all(np.isfinite(arrays.lazy[row]) for row in needed)


def test_rows_left_out_are_taken_in_where_a_first_plan_broke_them():
    asked, needed = problem(0), set()
    arrays = asked.arrays()
    x = nearest(asked, kept(asked), needed, Clock(60), 60.0, 1)
    assert not set(np.flatnonzero(arrays.pressing([kept(asked)])).tolist()) & needed
    assert needed and not arrays.violated(x, 5e-6)[list(needed)].any()


def test_there_is_no_first_plan_where_there_is_none():
    assert nearest(problem(0, share=0.89, limit=20), kept(problem(0)), set(), Clock(60), 60.0, 1) is None
