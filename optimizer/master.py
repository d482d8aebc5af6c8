"""The bound: a master program over stacks, and a proof that does not lean on its solver.

The relaxation that `optimizer.relaxation` approaches from outside, cut by cut, is met here from within (Dantzig and
Wolfe 1960): a site is a mixture of whole stacks, and stacks that are worth more than the master's prices join it. Its
prices, exact or not, prove a bound:

    L(p) = sum of rows' bounds at their prices + sum of other columns' best + sum over parcels of their best action

is at least the score of every plan, for any prices p of the right sign (Lagrange). Where a column without an upper
bound would gain at the prices, prices are first moved until it does not: walking potentials are closed under shortest
paths, and prices of floor area in blocks are raised until c E(g) - p g <= 0 for every mixture g, which holds where
sum of exp(-p_u / c) <= 1. So the bound is as good as its arithmetic, whatever the solver's tolerances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.special import logsumexp

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Answer, Clock, duals, load, run
from optimizer.mixing import Scale, separate, slack
from optimizer.model import AREA, Arrays
from optimizer.problem import Problem
from optimizer.stacks import KINDS, Chosen, Stacks, leading, without_hairs

SAMPLES = 16
"""Random worths of uses whose best stacks a master begins with."""
BETWEEN = (0.25, 0.5, 0.75)
"""Parts of the best prices so far in the prices that are tried between these and the last."""
BESIDE, SPREAD = 8, 0.2
"""Stacks taken in beside the best of each round, and how far uses' worths are moved for them in the first round."""
LEADING = 8
"""Stacks of a place that a program is solved over: those worth most at the best prices so far, besides those that came in last
and those last mixed."""
EXACTLY = 1e-7
"""Accuracy to which a program is solved whose solution plans are made of."""
TRACE = 1e-6
"""Part of a site from which a stack counts as mixed in."""
NEAR = 0.2
"""Slack of a lazy row, where its own is more, from which a program is solved without it, entropy cuts apart. With the 0.5 of
receptors, 3 dB, 1,000 made-up parcels with noise were priced in 13 s, with this in 8 s, `pollution.toml` in 20 and 11 s."""
NO_GAIN = 1e-15
"""Reduced cost that is none."""
NEVER = 1e6
"""Reduced cost, model units, of what must not be."""
PASSES = 3
"""Rounds in which bounds of columns follow from those of others."""


@dataclass(frozen=True)
class Priced:
    """What prices prove, and what stacks are worth at them.

    Attributes
    ----------
    bound : float
        Model units; infinite where a column without bound gains.
    prices : ndarray, shape (rows,)
        As they were after they were moved.
    value : ndarray, shape (K,)
        Of each stack.
    inside : ndarray, shape (K, linkages)
    action : ndarray, shape (3, P)
        Value of keeping, converting and redeveloping each parcel; minus infinity where it cannot be.
    """

    bound: float
    prices: Floats
    value: Floats
    inside: Floats
    action: Floats


@dataclass(frozen=True)
class Standing:
    """Where uses that others may keep away may stand, as the rows say it that allow less where they do.

    Attributes
    ----------
    rows : ndarray of int
    takes : csr_matrix, shape (rows, columns)
        What they hold of the presences of uses that may stand; empty where rows stay as they are.
    allowed : ndarray, shape (rows,)
        What is left to all else, whether they do or not.
    """

    rows: Ints
    takes: sparse.csr_matrix
    allowed: Floats

    @property
    def whatever(self) -> bool:
        """Whether limits hold where uses may stand, whatever stands."""
        return bool(self.takes.nnz)

    def settled(self, arrays: Arrays) -> Arrays:
        """Return a program with these rows."""
        place = (np.ones(len(self.rows)), (self.rows, np.arange(len(self.rows))))
        taken = sparse.csr_matrix(place, shape=(arrays.matrix.shape[0], len(self.rows))) @ self.takes
        upper = arrays.row_upper.copy()
        upper[self.rows] = self.allowed
        matrix = without_hairs(sparse.csr_matrix(arrays.matrix - taken))
        return replace(arrays, matrix=matrix, row_upper=upper)


class Master:
    """The program over stacks.

    Attributes
    ----------
    arrays : Arrays
        The problem's program.
    stacks : Stacks
    actions : ndarray of int, shape (3, P)
        Columns of keeping, converting and redeveloping each parcel.
    rest : ndarray of int
        The columns that no stack settles.
    others : ndarray of int
        Those of them that are neither actions nor walks, nor floor area or entropy of a group: each at its best alone.
    choices : Chosen
        The stacks that are in.
    mixture : Chosen
        Those that the last solution mixes.
    weight : ndarray
        Share of each of them.
    x : ndarray, shape (columns,), or None
        The last solution, in the problem's columns.
    priced : Priced or None
        The prices that prove most.
    counting_walks : ndarray of int
        Rows that count walks without balancing them.
    guide : (ndarray, ndarray) or None
        Value of each stack and what is met inside, as in `Priced`, where uses that exclude one another stand as was settled.
    standing : Standing or None
        Where uses may stand, once that was settled.
    """

    def __init__(self, problem: Problem, threads: int) -> None:
        self.problem, self.threads = problem, threads
        self.arrays = a = problem.arrays()
        self.stacks = Stacks(problem, a)
        model = problem.model
        self.rest: Ints = np.flatnonzero(~self.stacks.local)
        self.actions = np.stack([model.keep, model.convert, model.redevelop])
        self.upper = a.upper.copy()
        self.upper[self.stacks.action[self.stacks.impossible]] = 0.0
        moved = [
            *(columns for route in self.stacks.routes for columns in (route.walk, route.served, route.given)),
            *(np.append(scale.column, scale.entropy) for scale in self.groups),
        ]
        self.others: Ints = np.setdiff1d(self.rest, np.concatenate([self.actions.ravel(), *moved]))
        self.most = _implied(a, self.upper)
        self.choices = Chosen(np.empty(0, dtype=np.int64), np.empty((0, len(self.stacks.routes))))
        self.mixture, self.weight = self.choices, np.empty(0)
        self.counting_walks = self._beside_balances()
        self.rounds = self._known = 0
        self._rng = np.random.default_rng(0)
        self.x: Floats | None = None
        self.priced: Priced | None = None
        self.guide: tuple[Floats, Floats] | None = None
        self.standing: Standing | None = None
        self.objective = -np.inf
        self.refresh()

    @property
    def groups(self) -> list[Scale]:
        """The scales whose entropy no stack settles."""
        return [scale for scale in self.problem.scales if scale.decision is None]

    @property
    def bound(self) -> float:
        """The least bound proved so far, model units."""
        return np.inf if self.priced is None else self.priced.bound

    def refresh(self) -> None:
        """Take in the cuts that the problem has grown by."""
        self.arrays = a = self.problem.arrays()
        self._transposed = sparse.csr_matrix(a.matrix.T)
        settled = np.zeros(a.matrix.shape[0], dtype=bool)
        first = len(self.stacks.settled)
        settled[:first] = self.stacks.settled
        later = a.matrix[first:]
        settled[first:] = np.asarray(later @ self.stacks.local.astype(float) != 0) if later.shape[0] else False
        self.coupling: Bools = ~settled

    # -- the program over some stacks --------------------------------------------------------------------------------

    def program(self, choices: Chosen, rows: Ints) -> Arrays:
        """Return the relaxed program over some stacks.

        Its columns are the problem's that no stack settles, then one a stack; its rows are some of the problem's, and
        then one a place: its stacks add up to its parcel's action.
        """
        a, stacks = self.arrays, self.stacks
        local = stacks.columns_of(choices)
        matrix = a.matrix[rows]
        where = np.full(len(a.cost), -1)
        where[self.rest] = np.arange(len(self.rest))
        action, member = self.membership(choices, where, len(self.rest))
        whole = sparse.bmat([[matrix[:, self.rest], matrix @ local], [action, member]], format="csr")
        none, count = np.zeros(action.shape[0]), len(choices)
        return Arrays(
            cost=np.concatenate([a.cost[self.rest], local.T @ a.cost]),
            lower=np.concatenate([a.lower[self.rest], np.zeros(count)]),
            upper=np.concatenate([self.upper[self.rest], np.full(count, np.inf)]),
            integer=np.zeros(len(self.rest) + count, dtype=bool),
            matrix=without_hairs(sparse.csr_matrix(whole)),
            row_lower=np.concatenate([a.row_lower[rows], none]),
            row_upper=np.concatenate([a.row_upper[rows], none]),
            lazy=np.full(whole.shape[0], np.inf),
            cut=np.zeros(whole.shape[0], dtype=bool),
            column_names=[],
            row_names=[],
        )

    def membership(self, choices: Chosen, where: Ints, width: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Return rows, one a place: its stacks add up to its parcel's action; coefficients of actions and of stacks.

        Parameters
        ----------
        where : ndarray of int, shape (columns,)
            Position of the problem's columns; -1 of those that are not there.
        width : int
            Number of those that are.
        """
        stacks, count = self.stacks, len(choices)
        places = np.flatnonzero((self.upper[stacks.action] > 0) & (where[stacks.action] >= 0))
        number = np.full(len(stacks.action), -1)
        number[places] = np.arange(len(places))
        shape = (len(places), width)
        action = sparse.csr_matrix((-np.ones(len(places)), (number[places], where[stacks.action[places]])), shape=shape)
        at = (number[stacks.place[choices.stack]], np.arange(count))
        return action, sparse.csr_matrix((np.ones(count), at), shape=(len(places), count))

    def solution(self, choices: Chosen, x: Floats) -> Floats:
        """Return a solution of the program over some stacks in the problem's columns, shape (columns,)."""
        full = np.zeros(len(self.arrays.cost))
        full[self.rest] = x[: len(self.rest)]
        return np.asarray(full + self.stacks.columns_of(choices) @ x[len(self.rest) :])

    def score_of(self, x: Floats) -> float:
        """Return a solution's objective with entropies taken exactly, model units."""
        cost = self.arrays.cost
        return float(cost @ x) - slack(self.problem.scales, x, cost)

    # -- prices ------------------------------------------------------------------------------------------------------

    def price(self, prices: Floats) -> Priced:
        """Return what prices of the problem's rows prove, shape (rows,); settled rows have none."""
        a, d = self.arrays, self.problem.district
        p = self._moved(prices)
        reduced = self.reduced(p)
        bound = float((np.where(p > 0, a.row_upper, a.row_lower)[p != 0] * p[p != 0]).sum())
        gain = reduced[self.others]
        gain[np.abs(gain) < NO_GAIN] = 0.0
        counts = gain != 0
        bound += float((gain * np.where(gain > 0, self.most[self.others], a.lower[self.others]))[counts].sum())
        value, inside = self.stacks.values(reduced)
        best = np.maximum.reduceat(value, self.stacks.first[:-1]).reshape(len(KINDS), -1)
        parcels = len(d.parcels)
        action = self.actions_worth(p) + np.stack([np.bincount(d.parcel_of, part, minlength=parcels) for part in best])
        bound += float(np.maximum(action.max(axis=0), self.cleared()).sum())
        return Priced(bound, p, value, inside, action)

    def reduced(self, prices: Floats) -> Floats:
        """Return each column's cost less the prices of its rows, shape (columns,)."""
        return np.asarray(self.arrays.cost - self._transposed @ prices)

    @property
    def must(self) -> Bools:
        """Which action a parcel must take, shape (3, P)."""
        return np.asarray(self.arrays.lower[self.actions] > 0)

    def actions_worth(self, prices: Floats) -> Floats:
        """Return what actions are worth by themselves at prices of rows, shape (3, P); minus infinity where they cannot be.

        Which action is best has no price: it is looked up.
        """
        prices = prices.copy()
        prices[self.problem.model.one_action] = 0.0
        worth = self.reduced(prices)[self.actions]
        worth[(self.upper[self.actions] <= 0) | (~self.must & self.must.any(axis=0))] = -np.inf
        return np.asarray(worth)

    def cleared(self) -> Floats:
        """Return the value of clearing each parcel, shape (P,): 0, or minus infinity where it cannot be."""
        return np.where(self.arrays.row_lower[self.problem.model.one_action] > 0, -np.inf, 0.0)

    def shadow_prices(self) -> Floats | None:
        """Return by how much less than the bound any plan scores that leaves a parcel empty, model units, shape (P,).

        A parcel that must keep its building has what it adds to the bound. None before prices are known.
        """
        if self.priced is None:
            return None
        cleared = self.cleared()
        kept = np.maximum(self.priced.action[0], cleared)
        empty = np.where(self.problem.district.built, 0.0, kept)
        return np.asarray(np.maximum(self.priced.action.max(axis=0), cleared) - empty)

    def _moved(self, prices: Floats) -> Floats:
        """Return prices of the right sign at which nothing without bound gains."""
        a = self.arrays
        p = np.where(np.isinf(a.row_lower), np.maximum(prices, 0.0), prices)
        p = np.where(np.isinf(a.row_upper), np.minimum(p, 0.0), p)
        p[~self.coupling] = 0.0
        p[self.problem.model.one_action] = 0.0  # which action is best is looked up
        for column, row, value in zip(*self._singles(), strict=True):
            limit = a.cost[column] / value
            p[row] = max(p[row], limit) if value > 0 else min(p[row], limit)
        counting = self.counting_walks
        cost = a.cost - self._transposed[:, counting] @ p[counting]
        for route in self.stacks.routes:
            p[route.balanced] = _closed(p[route.balanced], -cost[route.walk], route.tail, route.head)
        for scale in self.groups:
            if scale.defined is not None:
                p[self._transposed[scale.entropy].indices] = 0.0
                cost = a.cost[scale.entropy][:, None]
                price = -p[scale.defined]
                p[scale.defined] = -(price + cost * logsumexp(-price / cost, axis=1, keepdims=True))
        rise = np.zeros(len(p))
        reduced = self.reduced(p)
        for route in self.stacks.routes:
            for columns, rows in ((route.served, route.demanded), (route.given, route.supplied)):
                gain = np.where(self.upper[columns] > 0, np.maximum(reduced[columns], 0.0), 0.0)
                np.maximum.at(rise, rows, gain)
        return p + rise

    def _beside_balances(self) -> Ints:
        """Return the rows that count walks without balancing them: those of a rule on proximity."""
        matrix, routes = self.arrays.matrix, self.stacks.routes
        if not routes:
            return np.empty(0, dtype=np.int64)
        walks = np.zeros(matrix.shape[1], dtype=bool)
        walks[np.concatenate([route.walk for route in routes])] = True
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[walks[matrix.indices]]
        return np.setdiff1d(row, np.concatenate([route.balanced for route in routes]))

    def _singles(self) -> tuple[Ints, Ints, Floats]:
        """Columns without bound that stand in one row only: column, row and coefficient."""
        t = self._transposed
        columns = self.others[(np.diff(t.indptr)[self.others] == 1) & np.isinf(self.most[self.others])]
        return columns, t.indices[t.indptr[columns]], t.data[t.indptr[columns]]

    # -- growth ------------------------------------------------------------------------------------------------------

    def begin(self, seed: int) -> None:
        """Take in stacks that are best where uses are worth something at random."""
        self._rng = np.random.default_rng(seed)
        for _ in range(SAMPLES):
            self._take_beside(self.arrays.cost, self._rng.uniform(0.0, 2.0, (2, 1, self.stacks.uses)))

    def _take_beside(self, reduced: Floats, worth: Floats) -> None:
        """Take in the stacks that are best where a m² of new and of converted floor is worth something more.

        Parameters
        ----------
        worth : ndarray, shape (2, 1 or S, U)
            In multiples of the most that one m² earns by mixing or inside its building.
        """
        d, model, stacks = self.problem.district, self.problem.model, self.stacks
        most = max([stacks.mixing.max(), *(self.arrays.cost[r.inside["new"]].max() for r in stacks.routes)])
        reduced = reduced.copy()
        for block, plate, more in zip((model.new, model.converted), (d.plate, d.plate_today), worth, strict=True):
            reduced[block] += more * most * plate[:, None] * AREA
        self._take(*stacks.values(reduced))

    def _learn(self, prices: Floats) -> None:
        """Take in the stacks that prices ask for, and those between and beside them; keep the prices that prove most."""
        tried = [self.price(prices)]
        if self.priced is not None:
            before = np.zeros(len(prices))
            before[: len(self.priced.prices)] = self.priced.prices
            tried += [self.price(part * before + (1 - part) * prices) for part in BETWEEN]
        for priced in tried:
            self._take(priced.value, priced.inside)
        best = min(tried, key=lambda priced: priced.bound)
        if self.priced is None or best.bound < self.priced.bound:
            self.priced = best
        reduced = self.reduced(best.prices)
        spread = SPREAD / (1 + self.rounds)
        for _ in range(BESIDE):
            self._take_beside(reduced, self._rng.normal(0.0, spread, (2, self.stacks.sites, self.stacks.uses)))
        self.rounds += 1

    def guided(self, prices: Floats, absent: Ints, present: Ints) -> Chosen:
        """Take in the stacks that prices ask for where some uses do not stand; return the leading ones and the mixture.

        Pieces look for stacks by these values too from now on.

        Parameters
        ----------
        prices : ndarray, shape (rows,)
            Of the problem's rows.
        absent, present : ndarray of int
            Presences that are 0, and that are 1 whatever stands.
        """
        reduced = self.reduced(self._moved(prices))
        reduced[absent], reduced[present] = -NEVER, 0.0
        value, inside = self.guide = self.stacks.values(reduced)
        self._take(value, inside)
        for _ in range(BESIDE):
            self._take_beside(reduced, self._rng.normal(0.0, SPREAD, (2, self.stacks.sites, self.stacks.uses)))
        return self.few(value)

    def few(self, value: Floats) -> Chosen:
        """Return the stacks of each place that are worth most by some values, shape (K,), and the last solution's."""
        stack = self.choices.stack
        return self.choices.at(leading(self.stacks.place[stack], value[stack], LEADING)).and_also(self.mixture)

    def _take(self, value: Floats, inside: Floats) -> None:
        best = self.stacks.best(value, inside)
        possible = self.upper[self.stacks.action[self.stacks.place[best.stack]]] > 0
        self.choices = self.choices.and_also(best.at(possible))

    def improve(self, clock: Clock, tolerance: float, label: str, accuracy: float = EXACTLY) -> Answer:
        """Solve over the stacks so far, prove what its prices prove, and take in the stacks they ask for.

        Parameters
        ----------
        tolerance : float
            Excess of a group's entropy that is let pass, model units of floor area.
        accuracy : float
            Relative, to which the program is solved. Any prices prove a bound, but only an exact solution leaves most
            sites with one stack.
        """
        rows = np.flatnonzero(self.coupling & self.held())
        choices, self._known = self.leading_choices(), len(self.choices)
        highs = load(self.program(choices, rows), relaxed=True, threads=self.threads)
        highs.setOptionValue("solver", "ipm")  # HiPO where it is installed
        highs.setOptionValue("run_crossover", "off")
        highs.setOptionValue("kkt_tolerance", accuracy)
        answer = run(highs, clock, clock.left)
        if answer.status != "optimal" or answer.x is None:
            return answer
        self.objective = answer.objective
        x = self.solution(choices, answer.x)
        weight = answer.x[len(self.rest) :]
        self.mixture, self.weight = choices.at(weight > TRACE), weight[weight > TRACE]
        self.x = np.clip(x, self.arrays.lower, self.arrays.upper)
        prices = np.zeros(self.arrays.matrix.shape[0])
        prices[rows] = duals(highs)[: len(rows)]
        self._learn(prices)
        if separate(self.problem.model, self.groups, self.x, tolerance, label):
            self.refresh()
        return answer

    def leading_choices(self) -> Chosen:
        """Return the stacks that a program is solved over: a few of each place, the latest, and the last solution's."""
        if self.priced is None:
            return self.choices
        stack = self.choices.stack
        few = leading(self.stacks.place[stack], self.priced.value[stack], LEADING)
        return self.choices.at(np.union1d(few, np.arange(self._known, len(stack)))).and_also(self.mixture)

    def held(self) -> Bools:
        """Rows that are not left out: those that may not be, and those that press at the last solution."""
        a = self.arrays
        if self.x is None:
            return np.asarray(np.isinf(a.lazy) | a.cut)
        sooner = np.isfinite(a.lazy) & ~a.cut
        lazy = np.where(sooner, np.minimum(a.lazy, NEAR), a.lazy)
        return np.asarray(a.row_upper - a.matrix @ self.x <= lazy)


def _implied(a: Arrays, upper: Floats) -> Floats:
    """Return upper bounds of columns, those that rows imply included, shape (columns,)."""
    upper = upper.copy()
    matrix = sparse.csr_matrix(a.matrix)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for _ in range(PASSES):
        open_ = np.isinf(upper)
        if not open_.any():
            break
        for sign, bound in ((1.0, a.row_upper), (-1.0, -a.row_lower)):
            # sum of sign a x <= bound: a column that enters with a positive coefficient is bounded by the rest's least.
            value = sign * matrix.data
            least = value * np.where(value > 0, a.lower[matrix.indices], upper[matrix.indices])
            endless = np.isinf(least)
            total = np.bincount(row, np.where(endless, 0.0, least), minlength=matrix.shape[0])
            count = np.bincount(row, endless, minlength=matrix.shape[0])
            use = (value > 0) & open_[matrix.indices] & (count[row] == 0) & np.isfinite(bound[row])
            limit = (bound[row[use]] - total[row[use]] + least[use]) / value[use]
            np.minimum.at(upper, matrix.indices[use], limit)
    return upper


def _closed(potential: Floats, cost: Floats, tail: Ints, head: Ints) -> Floats:
    """Return the greatest potentials below the given ones that no walk gains on, shape (N,).

    They satisfy p_tail <= p_head + cost of the walk: lengths of shortest paths from a source that reaches each node at
    its own potential.
    """
    nodes, base = len(potential), potential.min()
    entry = (np.full(nodes, nodes), np.arange(nodes), potential - base)
    weight = np.concatenate([cost, entry[2]]) + np.finfo(float).tiny  # an edge of no length is still an edge
    ends = np.concatenate([head, entry[0]]) * (nodes + 1) + np.concatenate([tail, entry[1]])
    order = np.argsort(weight, kind="stable")
    ends, first = np.unique(ends[order], return_index=True)  # of walks side by side the shortest
    graph = sparse.csr_matrix((weight[order][first], np.divmod(ends, nodes + 1)), shape=(nodes + 1, nodes + 1))
    return np.asarray(dijkstra(graph, indices=nodes)[:nodes] + base)
