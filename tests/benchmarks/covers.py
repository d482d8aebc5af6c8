"""What knapsack covers of limits on noise may still take off the bound over whole stacks.

Where a use stands that bears little, the rows say that not all of some others stand too: buildings that together are too
loud for it (a cover). Which of them is violated most at a solution is an integer program of its own. Covers are rows over the
stacks that the master has taken in, so that the relaxation with them may fall lower than the bound would. What these covers
give lies between nothing and the bound less that relaxation.
"""

from __future__ import annotations

from collections.abc import Iterator

import highspy
import numpy as np
from scipy import sparse

from optimizer.cluster import crew
from optimizer.decompose import Decomposition
from optimizer.district import Floats, Ints, read_district
from optimizer.highs import Clock, load, run
from optimizer.master import EXACTLY, TRACE, Master
from optimizer.model import SCORE, Program
from optimizer.parting import _Parting
from optimizer.problem import assemble
from tests.benchmarks.case import Told, rows, told
from tests.benchmarks.registry import Options, Row, benchmark
from tests.benchmarks.studies import NOISE, ask, there

LIMITS = (NOISE, 55.0)
"""At homes, dB(A): that of the study, and one that binds nearly everywhere."""
SECONDS = 120.0
"""Time limit of each measurement when none is asked for."""
VIOLATED = 1e-3
"""By how much a cover has to be violated to be added."""
ROUNDS = 20


@benchmark()
def covers(options: Options) -> Iterator[Row]:
    """Kendall at 63 and 55 dB(A): what knapsack covers of the receptors' rows may take off the bound."""
    if not there("Kendall"):
        yield Row("Kendall", "its data have not been fetched", None)
        return
    for limit in LIMITS:
        asked = {"threads": options.threads, "time_limit": options.time_limit or SECONDS}
        yield from rows(f"Kendall, {limit:g} dB(A)", covered, limit=limit, **asked)


def covered(limit: float, **solve: object) -> Iterator[Told]:
    """Yield the relaxation over the stacks of a priced master before and after violated covers are added, round by round."""
    study = ask("Kendall", limit, gap=0.002, **solve)
    problem = assemble(study, read_district(study))
    with crew(None, study.solve.threads) as workers:
        search = Decomposition(problem, Clock(study.solve.time_limit), workers)
        search.prove(lambda _: False, np.inf, 0.0)
        search._price(EXACTLY)
    master, clock = search.master, Clock(study.solve.time_limit)
    yield told("bound", master.bound / SCORE, "")
    knapsacks = Knapsacks(master)
    highs = load(master.program(knapsacks.choices, knapsacks.rows), relaxed=True)
    highs.setOptionValue("solver", "ipm")
    answer, count, left = run(highs, clock, clock.left), 0, 0
    highs.setOptionValue("solver", "simplex")
    objective = answer.objective
    yield told("relaxation over the stacks taken in", objective / SCORE, "")
    for number in range(ROUNDS):
        if answer.status != "optimal" or answer.x is None:
            break
        found = list(knapsacks.violated(answer.x))
        objective, left, count = answer.objective, len(found), count + len(found)
        if number == 0:
            yield told("different covers violated there, one a limit", left, "")
        if not left:
            break
        for columns, size in found:
            added = highs.addRow(-np.inf, size, len(columns), columns.astype(np.int32), np.ones(len(columns)))
            assert added == highspy.HighsStatus.kOk, "a column is either what stands or what arrives"
        answer = run(highs, clock, clock.left)
    yield told(f"the same with {count - left:,} covers", objective / SCORE, "")
    yield told("covers still violated", left, "")
    yield told("bound less that relaxation, the most that these covers give", (master.bound - objective) / SCORE, "")


class Knapsacks:
    """Limits on what uses bear, as knapsacks over the stacks of a master.

    Attributes
    ----------
    choices : Chosen
        The stacks.
    rows : ndarray of int
        Of the problem, which the relaxation holds.
    arriving : csr_matrix, shape (limits, columns of the program)
        What each column adds where a use bears it.
    allowed : ndarray, shape (limits,)
    stands : csr_matrix, shape (limits, columns of the program)
        What makes the use stand.
    group : ndarray of int, shape (columns of the program,)
        Site of a stack; decisions to keep are groups of their own.
    """

    def __init__(self, master: Master) -> None:
        parting = _Parting(master, Clock(np.inf), 0)
        a, priced = master.arrays, master.priced
        assert priced is not None, "priced before"
        self.choices = parting.choices
        self.rows = np.union1d(np.flatnonzero(master.coupling & master.held()), parting.rows)
        self.arriving = parting._over(_spelled_out(a.matrix[parting.rows] - parting._takes, master))
        self.allowed = a.row_upper[parting.rows] - parting.less.max(axis=1).toarray().ravel()
        self.stands = parting._over(parting.less.sign() @ parting.holds)
        sites = master.stacks.site[self.choices.stack]
        self.group = np.append(master.stacks.sites + np.arange(len(master.rest)), sites)

    def violated(self, x: Floats) -> Iterator[tuple[Ints, int]]:
        """Yield for each limit the cover that a solution violates most: the columns that add up to no more than a number."""
        stand, known = self.stands @ x, set()
        for r in np.flatnonzero((stand > VIOLATED) & (self.arriving.getnnz(axis=1) > 0)):
            row = self.arriving[r]
            column, arrives = row.indices, row.data
            # Literals: at least so much arrives from a group.
            order = np.lexsort((-arrives, self.group[column]))
            column, arrives = column[order], arrives[order]
            group = self.group[column]
            first = np.searchsorted(group, group)
            share = np.cumsum(x[column])
            share -= (share - x[column])[first]
            last = np.append((np.diff(arrives) != 0) | (np.diff(group) != 0), True)
            end = np.flatnonzero(last)
            mixed = np.add.reduceat(x[column], np.append(0, end[:-1] + 1))
            literal = end[mixed > TRACE]
            short = np.clip(1.0 - share[literal], 0.0, 1.0)
            members = cover(arrives[literal], short, group[literal], self.allowed[r], stand[r] - VIOLATED)
            if members is None:
                continue
            chosen = [column[first[k] : k + 1] for k in literal[members]]
            columns = np.concatenate([self.stands[r].indices, *chosen])
            key = np.sort(columns).tobytes()
            if key not in known:
                known.add(key)
                yield columns, len(members)


def cover(gain: Floats, short: Floats, group: Ints, allowed: float, most: float) -> Ints | None:
    """Return the cover least short of being whole: at most one literal a group, more than what is allowed together.

    Parameters
    ----------
    gain, short : ndarray, shape (literals,)
        What each adds, and how much it is short of 1.
    group : ndarray of int, shape (literals,)
    most : float
        How short together a cover may be.

    Returns
    -------
    ndarray of int or None
        None where every cover is at least as short as that.
    """
    use = np.flatnonzero(short < most)
    of, at = np.unique(group[use], return_inverse=True)
    best = np.zeros(len(of))
    np.maximum.at(best, at, gain[use])
    need = allowed + 1e-6 * max(abs(allowed), 1.0)
    if best.sum() < need:
        return None
    program = Program()
    taken = program.columns([""] * len(use), upper=1.0, integer=True, cost=-short[use])
    program.rows(["more than is allowed"], (0, taken, gain[use]), lower=need)
    program.rows([""] * len(of), (at, taken, 1.0), upper=1.0)
    highs = load(program.arrays())
    for option, value in (
        ("mip_feasibility_tolerance", 1e-9),
        ("primal_feasibility_tolerance", 1e-9),
        ("mip_rel_gap", 0.0),
    ):
        highs.setOptionValue(option, value)
    found = run(highs, Clock(np.inf), np.inf)
    if found.x is None or -found.objective >= most:
        return None
    members = use[np.rint(found.x) > 0]
    left = gain[members].sum()
    for k in members[np.argsort(-short[members], kind="stable")]:  # the rest says more
        if left - gain[k] >= need:
            members, left = members[members != k], left - gain[k]
    assert gain[members].sum() > allowed, "a cover"
    return np.asarray(members)


def _spelled_out(rows: sparse.csr_matrix, master: Master) -> sparse.csr_matrix:
    """Return rows with sums of columns, such as what a site emits, replaced by what they add up."""
    a = master.arrays
    decided = master.stacks.local.copy()
    decided[master.actions.ravel()] = True
    equal = (a.row_lower == 0) & (a.row_upper == 0)
    while True:
        sums = np.setdiff1d(rows.indices, np.flatnonzero(decided))
        if not len(sums):
            return sparse.csr_matrix(rows)
        entries = sparse.csc_matrix(a.matrix[:, sums]).tocoo()
        defines = (entries.data == -1.0) & equal[entries.row]
        assert np.bincount(entries.col[defines], minlength=len(sums)).max() == 1 == defines.sum() / len(sums), "sums"
        by = np.empty(len(sums), dtype=np.int64)
        by[entries.col[defines]] = entries.row[defines]
        at = sparse.csr_matrix((np.ones(len(sums)), (np.arange(len(sums)), sums)), shape=(len(sums), rows.shape[1]))
        summed = rows[:, sums]
        rows = sparse.csr_matrix(rows - summed @ at + summed @ (a.matrix[by] + at))
        rows.data[np.abs(rows.data) < 1e-12] = 0.0
        rows.eliminate_zeros()
