"""Which uses stand where, settled for the whole district before floors are, where uses keep one another away.

Rows such as "homes here or workshops there", or "homes here, or more noise than they bear", leave a relaxation half of each
everywhere: worth much, and no use to pieces, whose borders allow neither. So it is settled first at which sites a use stands.
Where uses stand so the master's program, walks included, is solved again, and stacks are then chosen piece by piece.

Where every use may stand everywhere if only there is little of what others bear (noise, air), all limits hold at first, whatever
is built, and then use after use is given up at the sites where, at the prices, its limit costs others most for what it is worth
there: a linear program each time, without a binary. Where uses exclude one another outright (distances), or that fails, that they
stand is one binary each, and a dive over these alone, floors still mixed and walks replaced by their prices, parts the district.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Clock, duals, load, run
from optimizer.master import EXACTLY, NEVER, TRACE, Master, Standing
from optimizer.mixing import separate
from optimizer.model import AREA, Arrays
from optimizer.pieces import EXACT, Task, dive
from optimizer.stacks import KINDS, Chosen

WHOLE = 1e-6
"""How near to 0 or 1 the presence of a use is taken for it, and by how much a row may be broken."""
TORN = 0.25
"""Part of all that stands where others keep it away if it stood whole, from which a district is parted."""
WORTH = 0.1
"""Part of the relaxation that a step of a dive may lose."""
DIVES, MOST_DIVES = 2, 8
"""Dives, each with the rows and cuts that the one before lacked, and most of them while one breaks rows."""
TURNS, ROUNDS = (0.5, 0.8), 3
"""Parts of the time until which a dive parts uses, each time over the stacks taken in the time before, and times that stacks are
taken in for where uses then stand."""
LIFTING, MOST_LIFTS = 0.7, 20
"""Part of the time in which uses are given up, and most times."""
ROUGHLY = 1e-3
"""Accuracy to which programs are solved while uses are given up: exact ones made no better choices."""
DEAR, MUCH = 0.1, 0.01
"""Price of what a row allows more, in relaxations a limit, and how much more than all it allows a use may bear for a while."""
BATCH, FEWEST, LITTLE, SLIGHT = 0.2, 0.02, 1e-3, 0.01
"""Shares of the uses that stand which are given up at once, first and least; relative gain below which it is fewer the next time;
worth of a use at a site, as a share of what an average site is worth, that is next to none."""
ROOM = 0.2
"""Part of what a row allows, where uses stand, that is kept free for pieces, whose sites choose one stack each. With 0.1 plans of
Kendall Square at 55 dB(A) lost a tenth of what was mixed, with this a hundredth."""


def part(master: Master, clock: Clock, seconds: float, seed: int) -> tuple[bool, Floats | None]:
    """Return whether much stands by half, and a solution of the master in which every use that others keep away stands or not.

    The stacks that it mixes become the master's mixture; those that are worth most where uses stand so are taken in.

    Returns
    -------
    bool
    ndarray, shape (columns,), or None
        None where little stands by half, or no such solution was found.
    """
    parting, until = _Parting(master, clock, seed), clock.elapsed + seconds
    if not parting.asked:
        return False, None
    before = master.mixture, master.weight, master.guide
    if parting.liftable and parting.lift(clock.elapsed + LIFTING * seconds):
        parting.settle(until)
    if parting.best is None:
        now, left = clock.elapsed, until - clock.elapsed
        for share in TURNS:
            if not parting.choose(now + share * left if left < np.inf else np.inf):
                break
            parting.settle(until)
    if parting.best is None:
        master.mixture, master.weight, master.guide = before
        return True, None
    return True, parting.take_up()


@dataclass(frozen=True)
class _Where:
    """Where uses may stand.

    Attributes
    ----------
    less : ndarray, shape (parting rows,)
        How much less each allows.
    gone : ndarray of int
        The problem's columns that are 0.
    kept : ndarray, shape (buildings kept,), or None
        Which of these are; None where that is free.
    standing : ndarray of bool, shape (stands,), or None
        Which uses may stand; None where only single columns do.
    """

    less: Floats
    gone: Ints
    kept: Floats | None = None
    standing: Bools | None = None


@dataclass(frozen=True)
class _Parted:
    """A solution of the master in which uses are parted.

    Attributes
    ----------
    x : ndarray, shape (columns,)
    where : _Where
    unbearable : ndarray of bool, shape (stands,)
        Uses that would bear more than rows allow.
    choices : Chosen
        The stacks over which it was found.
    weight : ndarray
        Share of each of them.
    prices : ndarray, shape (parting rows,)
        Of what uses bear.
    guide : (ndarray, ndarray)
        As the master's.
    actions : ndarray, shape (3, P)
        What keeping, converting and redeveloping each parcel is worth at its prices by itself; minus infinity where it cannot be.
    rank : (bool, bool, float)
        Whether it breaks no row, whether few sites mix stacks, and its score less the price of what rows allow more.
    """

    x: Floats
    where: _Where
    unbearable: Bools
    choices: Chosen
    weight: Floats
    prices: Floats
    guide: tuple[Floats, Floats]
    actions: Floats
    rank: tuple[bool, bool, float]

    @property
    def score(self) -> float:
        """Model units."""
        return self.rank[-1]


class _Parting:
    """The master's program over some stacks, where it is settled which uses may stand at which sites.

    Attributes
    ----------
    rows : ndarray of int
        Of the problem: those that allow less where a use stands.
    columns, kept : ndarray of int
        Of the problem: the presences in them, and the decisions to keep a building that holds the use.
    holds : csr_matrix, shape (stands, columns)
        What makes a use stand at a site.
    less : csr_matrix, shape (rows, stands)
        How much less a row allows where it stands.
    use, site : ndarray of int, shape (stands,)
    choices : Chosen
        The stacks.
    must : ndarray of bool, shape (stands,)
        Those in buildings that stay whatever is decided.
    where : _Where or None
        Where uses may stand, once that is settled.
    best : _Parted or None
    """

    def __init__(self, master: Master, clock: Clock, seed: int) -> None:
        self.master, self.clock, self.seed, self.rows = master, clock, seed, parting_rows(master)
        part = master.arrays.matrix[self.rows].tocoo()
        less = np.unique(part.col[part.data > 0])
        self.columns = less[presences(master)[less]]
        self.kept = np.intersect1d(less, master.actions)
        takes = (part.data > 0) & np.isin(part.col, np.append(self.columns, self.kept))
        self._takes = sparse.csr_matrix((part.data[takes], (part.row[takes], part.col[takes])), shape=part.shape)
        self.holds, self.less = self._stands()
        self.choices = master.leading_choices() if master.priced is None else master.few(master.priced.value)
        a = master.arrays
        alone = np.flatnonzero((np.diff(a.matrix.indptr) == 1) & (a.row_lower > 0))
        stays = np.append(a.matrix[alone].indices, np.flatnonzero(a.lower > 0))
        self.must: Bools = self.holds[:, np.intersect1d(stays, self.kept)].getnnz(axis=1) > 0
        self.where: _Where | None = None
        self._found: Floats | None = None
        self.best: _Parted | None = None
        self._held, self._here, self._in = np.arange(0), np.arange(0), np.zeros(len(self.rows), dtype=bool)
        self._open = np.full(len(self.kept) + len(self.columns), True)

    def _stands(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Return what makes each use stand at each site, and how much less rows allow then."""
        d, model, width = self.master.problem.district, self.master.problem.model, self._takes.shape[1]
        sites = len(d.sites)
        stand = np.full(width, -1)
        for (_, number), columns in model.holds.items():
            stand[columns] = number * sites + np.arange(sites)
        every, at = np.unique(stand[self.columns], return_inverse=True)
        use, site = self.use, self.site = every // sites, every % sites
        keep = model.keep[d.parcel_of[site]]
        stays = np.isin(keep, self.kept) & (d.existing_at[site, use] > 0)
        row, column = np.append(at, np.flatnonzero(stays)), np.append(self.columns, keep[stays])
        holds = sparse.csr_matrix((np.ones(len(row)), (row, column)), shape=(len(every), width))
        takes = self._takes[:, self.columns].tocoo()
        pair, place = np.unique(takes.row * len(every) + at[takes.col], return_inverse=True)
        most = np.zeros(len(pair))
        np.maximum.at(most, place, takes.data)
        shape = (len(self.rows), len(every))
        return holds, sparse.csr_matrix((most, np.divmod(pair, max(len(every), 1))), shape=shape)

    @property
    def asked(self) -> bool:
        """Whether much stands at a site by half that could not stand there whole, since others keep it away."""
        x = self.master.x
        if x is None:
            return False
        every = np.append(self.columns, self.kept)
        whole = x.copy()
        whole[every] = x[every] > WHOLE
        a = self.master.arrays
        broken = np.asarray(a.beyond(a.matrix[self.rows] @ whole, self.rows) > WHOLE)
        self._in = broken | self.master.held()[self.rows]
        half = (np.abs(x - np.rint(x)) > WHOLE) & np.isin(np.arange(len(x)), every)
        torn = half & (abs(a.matrix[self.rows[broken]]).T @ np.ones(broken.sum()) > 0)
        return bool(x[torn].sum() > TORN * x[every].sum())

    @property
    def liftable(self) -> bool:
        """Whether all uses may stand everywhere, if little else does, and no row is bought off at a price."""
        a, every = self.master.arrays, self.master.others
        paid = np.zeros(len(a.cost), dtype=bool)
        paid[every] = a.cost[every] < 0
        bought = a.matrix[self.rows] @ paid.astype(float) != 0
        return not (bought | (a.row_upper[self.rows] - self.less @ np.ones(self.less.shape[1]) < -WHOLE)).any()

    def _standing(self, standing: Bools) -> _Where:
        """Return that some uses may stand, in whatever building."""
        return _Where(self.less @ standing, np.unique(self.holds[~standing].indices), None, standing)

    def _allowed(self) -> Floats:
        """Return what rows allow of all else where uses stand as settled, shape (rows,)."""
        assert self.where is not None, "uses stand or do not"
        return np.asarray(self.master.arrays.row_upper[self.rows] - self.where.less)

    def _base(self, *, walks: bool) -> tuple[Arrays, Floats, sparse.csr_matrix]:
        """Return the program over the stacks, their worth, and a matrix that puts what rows here say in their place.

        Parameters
        ----------
        walks : bool
            Whether they are in it; what enters or leaves the streets is paid for by its price there otherwise.
        """
        master, a = self.master, self.master.arrays
        held = master.coupling & (master.held() | a.cut)
        held[self.rows] = False
        prices = np.zeros(len(held))
        if not walks:
            streets = _of(master, "balanced")
            held[streets] = False
            if master.priced is not None:
                prices[streets] = master.priced.prices[streets]
        self._held, self._here = np.flatnonzero(held), self.rows[self._in]
        base = master.program(self.choices, np.append(self._held, self._here))
        cost, made = master.reduced(prices), master.stacks.columns_of(self.choices)
        if not walks:
            base.upper[np.searchsorted(master.rest, _of(master, "walk"))] = 0.0
        rows = len(self._here)
        at = (len(self._held) + np.arange(rows), np.arange(rows))
        place = sparse.csr_matrix((np.ones(rows), at), shape=(base.matrix.shape[0], rows))
        return base, np.append(cost[master.rest], made.T @ cost), place

    def _over(self, rows: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return rows over the problem's columns as rows over the program's."""
        made = sparse.csr_matrix(self.master.stacks.columns_of(self.choices))
        return sparse.csr_matrix(sparse.hstack([rows[:, self.master.rest], rows @ made]))

    def settled(self, *, elastic: bool = False) -> Arrays:
        """Return the program where uses stand as settled.

        Parameters
        ----------
        elastic : bool
            Whether rows may allow more at a price: the last columns say how much, row by row.
        """
        assert self.where is not None, "uses stand or do not"
        master, where = self.master, self.where
        base, cost, place = self._base(walks=True)
        allowed, at = self._allowed()[self._in], len(self._held) + np.arange(self._in.sum())
        base.row_upper[at] = allowed - self._room(allowed)
        gone = np.zeros(len(master.arrays.cost))
        gone[where.gone] = 1.0
        nothing = self._over(sparse.csr_matrix(gone)).toarray().ravel() > 0
        lower, upper = base.lower.copy(), np.where(nothing, 0.0, base.upper)
        if where.kept is not None:
            kept = np.searchsorted(master.rest, self.kept)
            lower[kept] = upper[kept] = where.kept
        matrix, more = base.matrix - place @ self._over(self._takes[self._in]), 0
        if elastic:
            matrix, more = sparse.hstack([matrix, -place]), len(allowed)
        return replace(
            base,
            cost=np.append(cost, np.full(more, -self._dear)),
            lower=np.append(lower, np.zeros(more)),
            upper=np.append(upper, np.full(more, np.inf)),
            integer=np.append(base.integer, np.zeros(more, dtype=bool)),
            matrix=sparse.csr_matrix(matrix),
        )

    def _room(self, allowed: Floats) -> Floats:
        """Return what is kept free of what the rows here allow; nothing where a use must stand."""
        assert self.where is not None, "uses stand or do not"
        free = (self.where.less > 0) & (self.less @ self.must == 0)
        return np.asarray(ROOM * np.maximum(allowed, 0.0) * free[self._in])

    @property
    def _dear(self) -> float:
        """What an elastic row costs for each unit that it allows more, model units."""
        return DEAR * max(abs(self.master.objective), 1.0)

    def free(self, *, walks: bool) -> Arrays:
        """Return the program before that is settled: its last columns are binaries, no less than the share of stacks with the use.

        Parameters
        ----------
        walks : bool
            As in `_base`.
        """
        columns, a = self.columns, self.master.arrays
        base, cost, place = self._base(walks=walks)
        width, count = len(base.cost), len(columns)
        # In rows that allow less where a use stands its binary takes the place of the stacks that hold it.
        less = self._takes[self._in][:, columns]
        which = sparse.csr_matrix((np.ones(count), (np.arange(count), columns)), shape=(count, len(a.cost)))
        share = sparse.hstack([-self._over(which), sparse.identity(count)])
        matrix = sparse.vstack([sparse.hstack([base.matrix - place @ self._over(less @ which), place @ less]), share])
        lower, upper = np.append(base.lower, np.zeros(count)), np.append(base.upper, a.upper[columns])
        decided = self._decided(width)
        if self._found is not None:
            fixed = decided[~self._open]
            lower[fixed] = upper[fixed] = self._found[~self._open]
        integer = np.zeros(width + count, dtype=bool)
        integer[decided] = True
        return replace(
            base,
            cost=np.append(cost, np.zeros(count)),
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

    def lift(self, until: float) -> bool:
        """Hold every limit whatever is built, then give uses up where limits cost others most for what the uses are worth there.

        Returns whether there is a solution; where uses may stand is settled then.
        """
        self.where, part, took = self._standing(np.full(self.less.shape[1], True)), BATCH, 0.0
        most: _Parted | None = None
        for number in range(MOST_LIFTS):
            began = self.clock.elapsed
            if number > 1 and (began + took > until or part < FEWEST):
                break
            mixed = self._mixed(until, f"lift{number}", exactly=False, elastic=number < 2)
            if mixed is None and (most is None or self.clock.elapsed >= until):
                break
            took = self.clock.elapsed - began
            if number == 0 and mixed is not None:
                # Over the stacks that it asks for, and with the rows that it breaks, it is another.
                self.where = self._standing(self._bearing(mixed))
                continue
            if most is not None and (mixed is None or mixed.score < most.score + LITTLE * abs(most.score)):
                part /= 2
            if mixed is not None and (most is None or mixed.score > most.score):
                most = mixed
            assert most is not None, "there is one"
            self.where = self._standing(self._lifted(most, part))
        if most is None:
            return False
        self.where = self._standing(self._bearing(most))
        self.choices = self.choices.and_also(most.choices.at(most.weight > TRACE))
        return True

    def _bearing(self, parted: _Parted) -> Bools:
        """Return which uses may stand without those that would bear too much, but for what must stand."""
        assert parted.where.standing is not None, "limits hold whatever is built"
        return np.asarray(parted.where.standing & (self.must | ~parted.unbearable))

    def _lifted(self, parted: _Parted, part: float) -> Bools:
        """Return where uses may stand once such a part of them is given up: those that cost others most for what they are worth."""
        standing, worth = self._bearing(parted), self._worth(parted)
        costs = standing * (self.less.T @ np.maximum(parted.prices, 0.0)) * (~self.must & (worth < NEVER / 2))
        slight = SLIGHT * abs(self.master.objective) / len(self.master.problem.district.sites)
        ranked = np.argsort(-costs / (worth + slight), kind="stable")[: round(part * standing.sum())]
        standing[ranked[costs[ranked] > 0]] = False
        return standing

    def _worth(self, parted: _Parted) -> Floats:
        """Return what a parcel is worth less, at the prices of a solution, if a use may not stand at a site, shape (stands,)."""
        master, stacks, d = self.master, self.master.stacks, self.master.problem.district
        value, parcels = parted.guide[0], len(d.parcels)

        def best(value: Floats) -> Floats:
            return np.maximum.reduceat(value, stacks.first[:-1]).reshape(len(KINDS), -1)

        every = best(value)
        own = parted.actions.copy()
        own[0, np.isin(master.actions[0], parted.where.gone)] = -np.inf
        actions = own + np.stack([np.bincount(d.parcel_of, part, minlength=parcels) for part in every])
        cleared = np.where(master.must.any(axis=0), -NEVER, np.maximum(master.cleared(), -NEVER))
        lost = np.zeros(len(self.use))
        for use in np.unique(self.use):
            at = np.flatnonzero(self.use == use)
            site = self.site[at]
            parcel = d.parcel_of[site]
            others = best(np.where(stacks.area[:, use] > 0, -NEVER, value))[:, site]
            without = actions[:, parcel] - every[:, site] + others
            lost[at] = np.maximum(actions.max(axis=0), cleared)[parcel] - np.maximum(
                without.max(axis=0), cleared[parcel]
            )
        return np.maximum(lost, 0.0)

    def choose(self, until: float) -> bool:
        """Settle which uses stand by dives over presences; return whether that was possible by some second."""
        every, a, found = np.append(self.kept, self.columns), self.master.arrays, False
        walks = len(self.master.counting_walks) > 0  # needed only where a rule counts them
        self._open = np.full(len(every), True)
        for number in range(MOST_DIVES):
            task = Task(self.free(walks=walks), None, WORTH * max(abs(self.master.objective), 1.0), self.seed)
            answer = dive(task, self.clock, until - self.clock.elapsed, EXACT)
            if answer.x is None and self._open.all():
                break
            if answer.x is None:
                self._open[:] = True
                continue
            self._found = np.rint(answer.x[self._decided(len(self.master.rest) + len(self.choices))])
            stood = np.zeros(len(a.cost))
            stood[every] = self._found
            self.where = _Where(self._takes @ stood, every[self._found < 0.5], self._found[: len(self.kept)])
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
        for number in range(ROUNDS):
            mixed = self._mixed(until, f"settled{number}", exactly=True)
            if mixed is None:
                return
            if self.best is None or mixed.rank > self.best.rank:
                self.best = mixed

    def _mixed(self, until: float, label: str, *, exactly: bool, elastic: bool = False) -> _Parted | None:
        """Return the best mixture of the stacks where uses stand as settled, and take in what its prices ask for.

        Parameters
        ----------
        exactly : bool
            Whether few sites are to mix stacks.
        elastic : bool
            As in `settled`.
        """
        master, where, inside = self.master, self.where, self._in.copy()
        highs = load(self.settled(elastic=elastic), relaxed=True, threads=master.threads, seed=self.seed)
        highs.setOptionValue("solver", "ipm")  # HiPO where it is installed
        highs.setOptionValue("run_crossover", "on" if exactly else "off")
        highs.setOptionValue("kkt_tolerance", EXACTLY if exactly else ROUGHLY)
        answer = run(highs, self.clock, until - self.clock.elapsed)
        if answer.status != "optimal" or answer.x is None or where is None:
            return None
        choices, x, priced = self.choices, self._full(answer.x), duals(highs)
        width = len(master.rest) + len(choices)
        weight, excess = answer.x[len(master.rest) : width], answer.x[width:]
        unbearable = np.zeros(self.less.shape[1], dtype=bool)
        if elastic:
            much = excess - self._room(self._allowed()[inside]) > MUCH
            unbearable[self.less[inside][much].indices] = True
        prices = np.zeros(len(self.rows))
        prices[inside] = priced[len(self._held) : len(self._held) + len(self._here)]
        broken, _ = self._lacking(x, label)
        self._mix(choices, weight)
        self.choices, guide, actions = self._learn(priced)
        whole = not len(broken) and not unbearable.any()
        rank = (whole, exactly, master.score_of(x) - self._dear * float(excess.sum()))
        return _Parted(x, where, unbearable, choices, weight, prices, guide, actions, rank)

    def take_up(self) -> Floats:
        """Let the master mix what the best solution does, and look for stacks as there; return the solution."""
        assert self.best is not None, "there is one to take up"
        master, best = self.master, self.best
        self.where, master.guide = best.where, best.guide
        self._mix(best.choices, best.weight)
        stand, standing = np.zeros(self._takes.shape[1]), best.where.standing
        if standing is not None:
            stand[self.holds[standing].indices] = 1.0
            stand[best.where.gone] = 0.0
        rows = best.where.less > 0
        takes = sparse.csr_matrix(self._takes[rows] @ sparse.diags(stand))
        takes.eliminate_zeros()
        upper = master.arrays.row_upper[self.rows[rows]]
        master.standing = Standing(self.rows[rows], takes, upper if standing is None else self._allowed()[rows])
        return best.x

    def _mix(self, choices: Chosen, weight: Floats) -> None:
        """Let the master mix some stacks."""
        self.master.mixture, self.master.weight = choices.at(weight > TRACE), weight[weight > TRACE]

    def _learn(self, prices: Floats) -> tuple[Chosen, tuple[Floats, Floats], Floats]:
        """Take in the stacks that prices of the program's rows ask for where uses stand as settled.

        Returns
        -------
        Chosen
            The stacks to go on with.
        (ndarray, ndarray)
            The master's guide.
        ndarray, shape (3, P)
            What actions are worth by themselves.
        """
        assert self.where is not None, "what it asks for depends on it"
        every = np.zeros(self.master.arrays.matrix.shape[0])
        rows = np.append(self._held, self._here)
        every[rows] = prices[: len(rows)]
        gone = self.where.gone
        choices = self.master.guided(every, np.intersect1d(self.columns, gone), np.setdiff1d(self.columns, gone))
        assert self.master.guide is not None, "set by what guides it"
        every[self.rows] = 0.0
        return choices, self.master.guide, self.master.actions_worth(every)

    def _full(self, x: Floats) -> Floats:
        """Return a solution of the program in the problem's columns."""
        master = self.master
        whole = master.solution(self.choices, x[: len(master.rest) + len(self.choices)])
        return np.clip(whole, master.arrays.lower, master.arrays.upper)

    def _lacking(self, x: Floats, label: str) -> tuple[Ints, int]:
        """Add the rows and the entropy cuts that a solution lacked; return the rows, and how many cuts."""
        master = self.master
        heard = master.arrays.matrix[self.rows] @ x - self._takes @ x
        broken = (heard > self._allowed() + WHOLE) & ~self._in
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
