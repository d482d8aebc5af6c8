"""A program that grows is the one that is written down at once; what is built is kept."""

import numpy as np
import pytest
from scipy import sparse

from optimizer.model import Program


def written(blocks, rng):
    """Add random columns, rows and rewards; return the same, dense, entry by entry."""
    program = Program()
    cost, rows, bounds, names = [], [], [], []
    looked = []
    for number in range(blocks):
        n, m = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        gain = rng.normal(size=n)
        columns = program.columns(
            [f"c{number}_{k}" for k in range(n)], cost=gain, upper=number, integer=number % 2 == 0
        )
        assert columns.tolist() == list(range(len(cost), len(cost) + n))
        cost += gain.tolist()
        row, column = rng.integers(0, m, 12), rng.integers(0, len(cost), 12)
        value = rng.integers(-2, 3, 12).astype(float)
        program.rows([f"r{number}_{k}" for k in range(m)], (row, column, value), (row, column[0], 1.0), upper=number)
        dense = np.zeros((m, 100))
        for r, c, v in zip(row, column, value):
            dense[r, c] += v
            dense[r, column[0]] += 1.0
        rows.append(dense)
        bounds += [number] * m
        names += [f"r{number}_{k}" for k in range(m)]
        where = int(rng.integers(0, len(cost)))
        program.reward(np.array([where, where]), np.array([1.0, 2.0]))
        cost[where] += 3.0
        looked.append((program.arrays(), len(cost), len(names), list(cost)) if rng.random() < 0.5 else None)
    return program, np.array(cost), np.concatenate(rows)[:, : len(cost)], bounds, names, looked


@pytest.mark.parametrize("seed", range(6))
def test_a_program_grows_into_what_is_written_at_once(seed):
    program, cost, rows, bounds, names, looked = written(8, np.random.default_rng(seed))
    arrays = program.arrays()
    assert np.allclose(arrays.matrix.toarray(), rows)
    assert arrays.matrix.data.all()
    assert np.allclose(arrays.cost, cost)
    assert arrays.row_upper.tolist() == bounds
    assert list(arrays.row_names) == names
    assert (program.height, program.width) == rows.shape
    assert program.name(len(cost) - 1) == arrays.column_names[-1]
    assert arrays.integer.tolist() == [int(name[1 : name.index("_")]) % 2 == 0 for name in arrays.column_names]
    for seen in filter(None, looked):  # what was handed out before does not change
        before, width, height, then = seen
        assert before.matrix.shape == (height, width) == (len(before.row_names), len(before.column_names))
        assert np.allclose(before.matrix.toarray(), rows[:height, :width])
        assert before.cost.tolist() == pytest.approx(then)


def test_what_is_built_is_kept_and_nobody_may_change_it():
    program = Program()
    program.columns(["x", "y"], cost=[1.0, 2.0])
    program.rows(["r"], (0, [0, 1], 1.0), upper=1.0)
    arrays = program.arrays()
    assert program.arrays() is arrays
    with pytest.raises(ValueError, match="read-only"):
        arrays.upper[0] = 5.0
    program.rows(["s"], (0, 1, 2.0), upper=3.0)
    assert program.arrays().row_upper.tolist() == [1.0, 3.0]
    program.reward(np.array([1]), np.array([0.5]))
    assert program.arrays().cost.tolist() == [1.0, 2.5]
    assert sparse.issparse(arrays.matrix)


def test_some_rows_keep_their_names():
    program, *_ = written(5, np.random.default_rng(9))
    arrays = program.arrays()
    keep = np.arange(arrays.matrix.shape[0]) % 3 == 1
    some = arrays.rows(keep)
    assert list(some.row_names) == [name for name, kept in zip(arrays.row_names, keep) if kept]
    again = some.rows(np.arange(keep.sum()) == 2)
    assert list(again.row_names) == [some.row_names[2]]
    assert (some.matrix != arrays.matrix[np.flatnonzero(keep)]).nnz == 0
