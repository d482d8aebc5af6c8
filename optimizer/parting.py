"""Which uses stand where, settled for the whole district before floors are, where uses keep one another away.

Rows such as "homes here or workshops there", or "homes here, or more noise than they bear", leave a relaxation half of each
everywhere: worth much, and no use to pieces, whose borders allow neither. Over the master's stacks whether a use stands at a
site is one binary. A dive over these alone, floors still mixed and walks replaced by their prices, parts the district; with
uses parted the master's program, walks included, is solved again, and stacks are then chosen piece by piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Clock, duals, load, run
from optimizer.master import TRACE, Master
from optimizer.mixing import separate
from optimizer.model import AREA, Arrays
from optimizer.pieces import EXACT, Task, dive
from optimizer.stacks import Chosen

WHOLE = 1e-6
"""How near to 0 or 1 the presence of a use is taken for it, and by how much a row may be broken."""
TORN = 0.25
"""Part of all that stands where others keep it away if it stood whole, from which a district is parted."""
WORTH = 0.1
"""Part of the relaxation that a step of a dive may lose."""
DIVES, MOST_DIVES = 2, 8
"""Dives, each with the rows and cuts that the one before lacked, and most of them while one breaks rows."""
TURNS, ROUNDS = (0.5, 0.8), 3
"""Parts of the time until which uses are parted, each time over the stacks taken in the time before, and times that stacks are
taken in for where uses then stand."""
ROOM = 0.1
"""Part of what a row allows, where uses stand, that is kept free for pieces, whose sites choose one stack each."""


def part(master: Master, clock: Clock, seconds: float, seed: int) -> tuple[bool, Floats | None]:
    """Return whether much stands by half, and a solution of the master in which every use that others keep away stands or not.

    The stacks that it mixes become the master's mixture; those that are worth most where uses stand so are taken in.

    Returns
    -------
    bool
    ndarray, shape (columns,), or None
        None where little stands by half, or no such solution was found.
    """
    parting, now = _Parting(master, clock, seed), clock.elapsed
    if not parting.asked:
        return False, None
    for share in TURNS:
        if not parting.choose(now + share * seconds):
            break
        parting.settle(now + seconds)
    return True, None if parting.best is None else parting.take_up()


@dataclass(frozen=True)
class _Parted:
    """A solution of the master in which uses are parted.

    Attributes
    ----------
    x : ndarray, shape (columns,)
    settled : ndarray, shape (presences and buildings kept,)
        Which of them stand.
    choices : Chosen
        The stacks over which it was found.
    weight : ndarray
        Share of each of them.
    guide : (ndarray, ndarray)
        As the master's.
    rank : (bool, float)
        Whether it breaks no row, and its score.
    """

    x: Floats
    settled: Floats
    choices: Chosen
    weight: Floats
    guide: tuple[Floats, Floats]
    rank: tuple[bool, float]


class _Parting:
    """The master's program over some stacks, with a binary for each use at a site that others may keep away.

    Attributes
    ----------
    rows : ndarray of int
        Of the problem: those that allow less where a use stands.
    columns, kept : ndarray of int
        Of the problem: the presences in them, and the decisions to keep a building that holds the use.
    choices : Chosen
        The stacks.
    settled : ndarray, shape (presences and buildings kept,), or None
        Which of them stand, once that is settled.
    best : _Parted or None
    """

    def __init__(self, master: Master, clock: Clock, seed: int) -> None:
        self.master, self.clock, self.seed, self.rows = master, clock, seed, parting_rows(master)
        part = master.arrays.matrix[self.rows].tocoo()
        less = np.unique(part.col[part.data > 0])
        self.columns = less[presences(master)[less]]
        self.kept = np.intersect1d(less, master.actions)
        self.choices = master.leading_choices() if master.priced is None else master.few(master.priced.value)
        self.settled: Floats | None = None
        self.best: _Parted | None = None
        self._held, self._here, self._in = np.arange(0), np.arange(0), np.zeros(len(self.rows), dtype=bool)
        self._open = np.full(len(self.kept) + len(self.columns), True)

    @property
    def asked(self) -> bool:
        """Whether much stands at a site by half that could not stand there whole, since others keep it away."""
        x = self.master.x
        if x is None:
            return False
        every = np.append(self.columns, self.kept)
        whole = x.copy()
        whole[every] = x[every] > WHOLE
        broken = self._broken(whole)
        self._in = broken | self.master.held()[self.rows]
        half = (np.abs(x - np.rint(x)) > WHOLE) & np.isin(np.arange(len(x)), every)
        torn = half & (abs(self.master.arrays.matrix[self.rows[broken]]).T @ np.ones(broken.sum()) > 0)
        return bool(x[torn].sum() > TORN * x[every].sum())

    def program(self, *, settled: bool) -> Arrays:
        """Return the program; its last columns are binaries, each no less than the share of the stacks that hold the use.

        Parameters
        ----------
        settled : bool
            Whether uses stand as settled. Before that, what enters or leaves the streets is paid for by its price there and no
            walks are needed, unless a rule counts them.
        """
        master, columns, a = self.master, self.columns, self.master.arrays
        held = master.coupling & (master.held() | a.cut)
        held[self.rows] = False
        prices, walks = np.zeros(len(held)), settled or len(master.counting_walks) > 0
        if not walks:
            streets = _of(master, "balanced")
            held[streets] = False
            if master.priced is not None:
                prices[streets] = master.priced.prices[streets]
        self._held, self._here = np.flatnonzero(held), self.rows[self._in]
        base = master.program(self.choices, np.append(self._held, self._here))
        made, cost = sparse.csr_matrix(master.stacks.columns_of(self.choices)), master.reduced(prices)
        rest, width, count, rows = len(master.rest), len(base.cost), len(columns), len(self._here)
        # In rows that allow less where a use stands its binary takes the place of the stacks that hold it.
        less = a.matrix[self._here][:, columns]
        at = (len(self._held) + np.arange(rows), np.arange(rows))
        place = sparse.csr_matrix((np.ones(rows), at), shape=(base.matrix.shape[0], rows))
        taken = sparse.hstack([sparse.csr_matrix((rows, rest)), less @ made[columns]])
        share = sparse.hstack([sparse.csr_matrix((count, rest)), -made[columns], sparse.identity(count)])
        matrix = sparse.vstack([sparse.hstack([base.matrix - place @ taken, place @ less]), share], format="csr")
        lower, upper = np.append(base.lower, np.zeros(count)), np.append(base.upper, a.upper[columns])
        decided = self._decided(width)
        if not walks:
            upper[np.searchsorted(master.rest, _of(master, "walk"))] = 0.0
        if self.settled is not None:
            fixed = np.full(len(decided), True) if settled else ~self._open
            lower[decided[fixed]] = upper[decided[fixed]] = self.settled[fixed]
        if settled and self.settled is not None:
            every = np.append(self.kept, columns)
            allowed = base.row_upper[at[0]] - a.matrix[self._here][:, every] @ self.settled
            base.row_upper[at[0]] -= ROOM * np.maximum(allowed, 0.0)
        integer = np.zeros(width + count, dtype=bool)
        integer[decided] = True
        return replace(
            base,
            cost=np.concatenate([cost[master.rest], made.T @ cost, np.zeros(count)]),
            lower=lower,
            upper=upper,
            integer=integer,
            matrix=sparse.csr_matrix(matrix),
            row_lower=np.append(base.row_lower, np.zeros(count)),
            row_upper=np.append(base.row_upper, np.full(count, np.inf)),
            lazy=np.full(matrix.shape[0], np.inf),
            cut=np.zeros(matrix.shape[0], dtype=bool),
        )

    def _decided(self, width: int) -> Ints:
        """Return the program's columns of buildings kept and of uses that stand, after ``width`` others."""
        return np.append(np.searchsorted(self.master.rest, self.kept), width + np.arange(len(self.columns)))

    def choose(self, until: float) -> bool:
        """Settle which uses stand by dives over presences; return whether that was possible by some second."""
        every, a, found = np.append(self.kept, self.columns), self.master.arrays, False
        self._open = np.full(len(every), True)
        for number in range(MOST_DIVES):
            task = Task(self.program(settled=False), None, WORTH * max(abs(self.master.objective), 1.0), self.seed)
            answer = dive(task, self.clock, until - self.clock.elapsed, EXACT)
            if answer.x is None and self._open.all():
                break
            if answer.x is None:
                self._open[:] = True
                continue
            self.settled = np.rint(answer.x[self._decided(len(self.master.rest) + len(self.choices))])
            broken, cuts = self._lacking(self._full(answer.x), f"dive{number}")
            found = True
            if not len(broken) and (number + 1 >= DIVES or not cuts):
                break
            # What others do not keep away where it now stands is settled.
            open_ = a.matrix[broken][:, every].getnnz(axis=0) > 0
            self._open = open_ if self._open.all() else self._open | open_
        return found

    def settle(self, until: float) -> None:
        """Take in the stacks that are worth most where uses stand as settled, and mix them; keep what is best."""
        master = self.master
        for number in range(ROUNDS):
            highs = load(self.program(settled=True), relaxed=True, threads=master.threads, seed=self.seed)
            highs.setOptionValue("solver", "ipm")  # HiPO where it is installed
            highs.setOptionValue("run_crossover", "on")
            answer = run(highs, self.clock, until - self.clock.elapsed)
            if answer.status != "optimal" or answer.x is None or self.settled is None:
                return
            choices, x = self.choices, self._full(answer.x)
            weight = answer.x[len(master.rest) : len(master.rest) + len(choices)]
            broken, _ = self._lacking(x, f"settled{number}")
            self._mix(choices, weight)
            self.choices, guide = self._learn(duals(highs))
            rank = (not len(broken), master.score_of(x))
            if self.best is None or rank > self.best.rank:
                self.best = _Parted(x, self.settled, choices, weight, guide, rank)

    def take_up(self) -> Floats:
        """Let the master mix what the best solution does, and look for stacks as there; return the solution."""
        assert self.best is not None, "there is one to take up"
        master, best = self.master, self.best
        self.settled, master.guide = best.settled, best.guide
        self._mix(best.choices, best.weight)
        master.standing = self._standing()
        return best.x

    def _mix(self, choices: Chosen, weight: Floats) -> None:
        """Let the master mix some stacks."""
        self.master.mixture, self.master.weight = choices.at(weight > TRACE), weight[weight > TRACE]

    def _standing(self) -> Ints:
        """Return the rows in which a use stands: those that then allow less."""
        assert self.settled is not None, "uses stand or do not"
        every = np.append(self.kept, self.columns)[self.settled > 0]
        return np.asarray(self.rows[self.master.arrays.matrix[self.rows][:, every].getnnz(axis=1) > 0])

    def _learn(self, prices: Floats) -> tuple[Chosen, tuple[Floats, Floats]]:
        """Take in the stacks that prices of the program's rows ask for where uses stand as settled.

        Returns
        -------
        Chosen
            The stacks to go on with.
        (ndarray, ndarray)
            The master's guide.
        """
        assert self.settled is not None, "what it asks for depends on it"
        every = np.zeros(self.master.arrays.matrix.shape[0])
        rows = np.append(self._held, self._here)
        every[rows] = prices[: len(rows)]
        there = self.settled[len(self.kept) :] > 0
        choices = self.master.guided(every, self.columns[~there], self.columns[there])
        assert self.master.guide is not None, "set by what guides it"
        return choices, self.master.guide

    def _full(self, x: Floats) -> Floats:
        """Return a solution of the program in the problem's columns."""
        master = self.master
        whole = master.solution(self.choices, x[: len(master.rest) + len(self.choices)])
        return np.clip(whole, master.arrays.lower, master.arrays.upper)

    def _broken(self, x: Floats) -> Bools:
        """Return which of the rows a solution breaks, shape (rows,)."""
        a = self.master.arrays
        return np.asarray(a.beyond(a.matrix[self.rows] @ x, self.rows) > WHOLE)

    def _lacking(self, x: Floats, label: str) -> tuple[Ints, int]:
        """Add the rows and the entropy cuts that a solution lacked; return the rows, and how many cuts."""
        master, stood = self.master, x.copy()
        assert self.settled is not None, "uses stand or do not"
        stood[self.columns] = self.settled[len(self.kept) :]
        broken = self._broken(stood) & ~self._in
        self._in |= broken
        cuts = separate(master.problem.model, master.groups, x, master.problem.tolerance * AREA, label)
        if cuts:
            master.refresh()
        return self.rows[broken], cuts


def parting_rows(master: Master) -> Ints:
    """Return the rows that allow less where a use stands."""
    a, held = master.arrays, presences(master)
    row = np.repeat(np.arange(a.matrix.shape[0]), np.diff(a.matrix.indptr))
    less = np.bincount(row, held[a.matrix.indices] & (a.matrix.data > 0), minlength=a.matrix.shape[0]) > 0
    return np.flatnonzero(less & np.isinf(a.row_lower) & np.isfinite(a.row_upper) & master.coupling)


def _of(master: Master, name: str) -> Ints:
    """Return the rows or columns that every linkage's routes have under a name."""
    return np.concatenate([np.arange(0), *(getattr(route, name) for route in master.stacks.routes)])


def presences(master: Master) -> Bools:
    """Return which columns say whether a use stands at a site, shape (columns,)."""
    found: Bools = np.zeros(len(master.arrays.cost), dtype=bool)
    for columns in master.problem.model.holds.values():
        found[columns] = True
    return found
