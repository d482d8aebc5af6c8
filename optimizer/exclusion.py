"""Which uses stand where, settled for the whole district before floors are, where uses exclude one another.

Rows such as "homes here or workshops there" leave a relaxation half of each everywhere: worth much, and no use to pieces, whose
borders allow neither. Over the master's stacks whether a use stands at a site is one binary, and few rows tie these binaries to
one another. A dive over them alone, floors still mixed, parts the district; stacks are then chosen piece by piece.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Clock, duals, load, run
from optimizer.master import TRACE, Master
from optimizer.mixing import separate
from optimizer.model import AREA, Arrays
from optimizer.pieces import EXACT, Task, dive

WHOLE = 1e-6
"""How near to 0 or 1 the presence of a use is taken for it."""
WORTH = 0.1
"""Part of the relaxation that a step of a dive may lose."""
DIVES, ROUNDS = 2, 2
"""Dives, each with the entropy cuts that the one before lacked, and times that stacks are taken in for the best of them."""


def part(master: Master, clock: Clock, seconds: float, seed: int) -> Floats | None:
    """Return a solution of the master in which every use that excludes others stands at a site or does not.

    The stacks that it mixes become the master's mixture; those that are worth most where uses stand so are taken in. None where
    no use stands by half, or no such solution was found.

    Returns
    -------
    ndarray, shape (columns,)
    """
    parting, until = _Parting(master), clock.elapsed + seconds
    if not parting.asked:
        return None
    for number in range(DIVES):
        task = Task(parting.program(), None, WORTH * max(abs(master.objective), 1.0), seed)
        answer = dive(task, clock, until - clock.elapsed, EXACT)
        if answer.x is None or not parting.keep(answer.x, f"dive{number}"):
            break
    if parting.there is None:
        return None
    parting.settled = parting.there
    for number in range(ROUNDS):
        highs = load(parting.program(), relaxed=True, threads=master.threads, seed=seed)
        highs.setOptionValue("primal_feasibility_tolerance", EXACT)
        answer = run(highs, clock, until - clock.elapsed)
        if answer.status != "optimal" or answer.x is None:
            break
        parting.keep(answer.x, f"settled{number}")
        parting.learn(duals(highs))
    return parting.x


class _Parting:
    """The master's program over some stacks, with a binary for each use at a site that excludes others.

    Attributes
    ----------
    rows, columns : ndarray of int
        Of the problem: those that part uses, and the presences in them.
    choices : Chosen
        The stacks.
    x : ndarray, shape (columns of the problem,), or None
        The best solution so far.
    there, settled : ndarray, shape (presences,), or None
        Which uses stand in it, and which do in the program, where that is settled.
    """

    def __init__(self, master: Master) -> None:
        self.master, self.rows = master, exclusive_rows(master)
        columns = np.unique(master.arrays.matrix[self.rows].indices)
        self.columns = columns[master.stacks.owner[columns] >= 0]
        self.choices = master.leading_choices()
        self.x: Floats | None = None
        self.there: Floats | None = None
        self.settled: Floats | None = None
        self._score = -np.inf
        self._held: Ints = np.arange(0)

    @property
    def asked(self) -> bool:
        """Whether a use stands at a site by half."""
        x = self.master.x
        return x is not None and bool((np.abs(x[self.columns] - np.rint(x[self.columns])) > WHOLE).any())

    def program(self) -> Arrays:
        """Return the program; its binaries come last, each no less than the share of the stacks that hold the use."""
        master, columns, a = self.master, self.columns, self.master.arrays
        self._held = np.flatnonzero(master.coupling & (master.held() | a.cut))
        base = master.program(self.choices, self._held)
        made = sparse.csr_matrix(master.stacks.columns_of(self.choices))
        width, count, rest = len(base.cost), len(columns), len(master.rest)
        where = np.full(len(a.cost), -1)
        where[master.rest] = np.arange(rest)
        where[columns] = width + np.arange(count)
        tied = a.matrix[self.rows].tocoo()
        shape = (len(self.rows), width + count)
        ties = sparse.csr_matrix((tied.data, (tied.row, where[tied.col])), shape=shape)
        share = [sparse.csr_matrix((count, rest)), -made[columns], sparse.identity(count)]
        none = sparse.csr_matrix((base.matrix.shape[0], count))
        matrix = sparse.vstack([sparse.hstack([base.matrix, none]), sparse.hstack(share), ties], format="csr")
        zero = np.zeros(count)
        low, high = (zero, a.upper[columns]) if self.settled is None else (self.settled, self.settled)
        return replace(
            base,
            cost=np.append(base.cost, zero),
            lower=np.append(base.lower, low),
            upper=np.append(base.upper, high),
            integer=np.arange(width + count) >= width,
            matrix=sparse.csr_matrix(matrix),
            row_lower=np.concatenate([base.row_lower, zero, a.row_lower[self.rows]]),
            row_upper=np.concatenate([base.row_upper, np.full(count, np.inf), a.row_upper[self.rows]]),
            lazy=np.full(matrix.shape[0], np.inf),
            cut=np.zeros(matrix.shape[0], dtype=bool),
        )

    def keep(self, x: Floats, label: str) -> bool:
        """Keep a solution of the program where it is the best; return whether entropy cuts were lacking, which are added."""
        master, start = self.master, len(self.master.rest)
        width = start + len(self.choices)
        whole = np.clip(master.solution(self.choices, x[:width]), master.arrays.lower, master.arrays.upper)
        score = master.score_of(whole)
        if score > self._score:
            weight = x[start:width]
            master.mixture, master.weight = self.choices.at(weight > TRACE), weight[weight > TRACE]
            self.x, self.there, self._score = whole, np.rint(x[width:]), score
        problem = master.problem
        lacking = separate(problem.model, master.groups, whole, problem.tolerance * AREA, label) > 0
        if lacking:
            master.refresh()
        return lacking

    def learn(self, prices: Floats) -> None:
        """Take in the stacks that prices of the program's rows ask for where uses stand as settled."""
        assert self.settled is not None, "what it asks for depends on it"
        every = np.zeros(self.master.arrays.matrix.shape[0])
        every[self._held] = prices[: len(self._held)]
        self.choices = self.master.guided(every, self.columns[self.settled < 1])


def exclusive_rows(master: Master) -> Ints:
    """Return the rows that tie whether uses stand at different sites, and nothing else but what becomes of parcels."""
    a, owner = master.arrays, master.stacks.owner
    presences: Bools = np.zeros(len(a.cost), dtype=bool)
    for columns in master.problem.model.holds.values():
        presences[columns] = True
    known = presences.copy()
    known[master.actions.ravel()] = True
    column = a.matrix.indices
    row = np.repeat(np.arange(a.matrix.shape[0]), np.diff(a.matrix.indptr))
    other = np.bincount(row, ~known[column], minlength=a.matrix.shape[0]) > 0
    of = presences[column]
    least, most = np.full(len(other), len(owner)), np.full(len(other), -1)
    np.minimum.at(least, row[of], owner[column[of]])
    np.maximum.at(most, row[of], owner[column[of]])
    return np.flatnonzero(~other & (least < most) & master.coupling)
