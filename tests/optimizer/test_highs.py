"""HiGHS in threads, and dives against branch and bound."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from optimizer.highs import Clock, load, run
from optimizer.model import Arrays
from optimizer.pieces import EXACT, Task, dive, solve_task


def knapsacks(seed, columns=12, rows=4):
    """A random program of binaries under some limits."""
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0.5, 2.0, (rows, columns))
    return Arrays(
        cost=rng.uniform(1.0, 2.0, columns),
        lower=np.zeros(columns),
        upper=np.ones(columns),
        integer=np.ones(columns, dtype=bool),
        matrix=sparse.csr_matrix(matrix),
        row_lower=np.full(rows, -np.inf),
        row_upper=matrix.sum(axis=1) * 0.4,
        lazy=np.full(rows, np.inf),
        cut=np.zeros(rows, dtype=bool),
        column_names=[],
        row_names=[],
    )


def test_standard_output_is_there_after_many_threads(capfd):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: load(knapsacks(seed)), range(200)))
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


@pytest.mark.parametrize("seed", range(20))
def test_a_dive_keeps_every_row_and_loses_no_more_than_it_may(seed):
    program, clock = knapsacks(seed), Clock(60)
    best = run(load(program), clock, 60).objective
    relaxed = run(load(program, relaxed=True), clock, 60).objective
    x = dive(Task(program, None, 1.0, 0), clock, 60, EXACT).x
    assert x is not None
    assert not program.violated(x).any()
    assert np.abs(x - np.rint(x)).max() <= 1e-6
    assert relaxed - 3.0 <= program.cost @ x <= best + 1e-6
    assert dive(Task(program, None, 0.0, 0), clock, 60, EXACT).x is None or relaxed <= best + 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_a_dive_from_a_solution_ends_better_or_with_none(seed):
    program, clock = knapsacks(seed), Clock(60)
    best = run(load(program), clock, 60)
    poor = Task(program, np.zeros(12), 0.0, seed, 1.0, thorough=False)
    found = dive(poor, clock, 60, EXACT).x
    assert found is not None and 1.0 <= program.cost @ found <= best.objective + 1e-6
    unbeaten = replace(poor, start=best.x, least=best.objective + 1e-4)
    assert dive(unbeaten, clock, 60, EXACT).x is None
    assert solve_task(unbeaten, clock, 60) is None  # branch and bound is not asked
    assert program.cost @ solve_task(replace(unbeaten, thorough=True), clock, 60) == pytest.approx(best.objective)


@pytest.mark.parametrize(("lack", "solved"), [(0.0, True), (3e-8, True), (1e-4, False)])
def test_a_piece_that_lacks_a_hair_is_solved_and_one_that_lacks_more_is_not(lack, solved):
    """One knapsack only, which must hold a little more than all things weigh."""
    program = knapsacks(0, rows=1)
    most = program.matrix @ program.upper
    low, high = most + lack, np.full(1, np.inf)
    x = solve_task(Task(replace(program, row_lower=low, row_upper=high), None, 1.0, 0), Clock(60), 60)
    assert (x is not None) == solved
    if solved:
        assert program.matrix @ x == pytest.approx(most)
