"""The linear relaxation of a study's program, grown round by round by the rows that its solutions break."""

from __future__ import annotations

import numpy as np

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import DUAL, Answer, Clock, add_rows, aim, duals, load, run
from optimizer.problem import Problem

LARGE_LP = 20_000
"""Rows from which the first relaxation is solved by interior point rather than dual simplex."""
INWARDS = 0.5
"""How far towards the mean of earlier solutions the second cut of a round is made."""


class Relaxation:
    """A relaxation that holds only rows that some solution of it broke.

    Besides the solution itself, entropy is cut at a point between it and the mean of those before, which a
    vertex that jumps from round to round does not reach (in-out separation, Ben-Ameur and Neto 2007).

    Attributes
    ----------
    x : ndarray, shape (columns,), or None
        The last optimal vertex.
    settled : bool
        Whether the last round found nothing more to add.
    lacking : bool
        Whether it found rows of the program itself, which is then less than relaxed, and not only cuts.
    """

    def __init__(self, problem: Problem, threads: int, tolerance: float) -> None:
        self.problem, self.threads, self.tolerance = problem, threads, tolerance
        self.x: Floats | None = None
        self.settled = self.lacking = False
        self._mean: Floats | None = None
        self._rounds = 0
        self._started = False

    def first(self, clock: Clock) -> None:
        """Load the program; a large one is first solved from inside to find which rows matter."""
        arrays = self.problem.arrays()
        held: Bools = np.isinf(arrays.lazy) | arrays.cut
        large = int(held.sum()) > LARGE_LP
        if large:
            highs = load(arrays.rows(held), relaxed=True, threads=self.threads)
            highs.setOptionValue("solver", "ipm")
            highs.setOptionValue("run_crossover", "off")
            answer = run(highs, clock, clock.left)
            if answer.status == "optimal" and answer.x is not None:
                self.problem.cut(answer.x, self.tolerance, "inside")
                arrays = self.problem.arrays()
                held = arrays.pressing([answer.x])
        self._lp = load(arrays.rows(held), relaxed=True, threads=self.threads)
        if large:
            self._lp.setOptionValue("solver", "ipm")
        self._held = held
        self._order = [np.flatnonzero(held)]
        self._started = True

    def solve(self, clock: Clock) -> Answer:
        """Solve with all rows so far, then add those that the solution breaks for the next time."""
        if not self._started:
            self.first(clock)
        self._add(self.x)
        answer = run(self._lp, clock, clock.left)
        if answer.status != "optimal" or answer.x is None:
            return answer
        self._lp.setOptionValue("solver", "simplex")
        self._lp.setOptionValue("simplex_strategy", DUAL)
        self.x = answer.x
        self._duals = duals(self._lp), np.concatenate(self._order)
        cuts = self.problem.cut(self.x, self.tolerance, f"r{self._rounds}")
        if cuts and self._mean is not None:
            self.problem.cut((1 - INWARDS) * self.x + INWARDS * self._mean, self.tolerance, f"m{self._rounds}")
        self._mean = self.x if self._mean is None else (1 - INWARDS) * self._mean + INWARDS * self.x
        self._rounds += 1
        self.settled = not self._add(self.x)
        return answer

    def aim(self, cost: Floats) -> None:
        """Maximise another cost from now on, shape (columns,)."""
        aim(self._lp, cost)

    def hold(self, rows: Ints) -> None:
        """Hold rows that the program has grown by, whether a solution breaks them or not."""
        held = np.zeros(self.problem.model.program.height, dtype=bool)
        held[: len(self._held)] = self._held
        new = np.zeros_like(held)
        new[rows] = True
        self._hold(new & ~held, held)

    @property
    def prices(self) -> Floats:
        """Price of each row at the last solution, shape (rows,), model units; 0 of rows that were left out."""
        price, order = self._duals
        full = np.zeros(self.problem.model.program.height)
        full[order] = price
        return full

    def walking_prices(self) -> Floats:
        """Return what the last solution's walks are worth to each other column, shape (columns,), model units.

        By the prices of the rows that walks stand in; 0 for the walks themselves.
        """
        arrays = self.problem.arrays()
        price, order = self._duals
        walks = self.problem.flows.columns[self.problem.flows.walks]
        touched = np.asarray(arrays.matrix[order][:, walks].getnnz(axis=1) > 0)
        worth = -np.asarray(arrays.matrix[order[touched]].T @ price[touched])
        worth[walks] = 0.0
        return worth

    def _add(self, x: Floats | None) -> int:
        """Hold the rows that a solution breaks, and cuts made since; return their number."""
        arrays = self.problem.arrays()
        held = np.zeros(arrays.matrix.shape[0], dtype=bool)
        held[: len(self._held)] = self._held
        new = np.zeros_like(held) if x is None else arrays.violated(x) & ~held
        self.lacking = bool((new & ~arrays.cut).any())
        self._hold(new, held)
        return int(new.sum())

    def _hold(self, new: Bools, held: Bools) -> None:
        if new.any():
            add_rows(self._lp, self.problem.arrays(), new)
            self._order.append(np.flatnonzero(new))
        self._held = held | new
