"""Pieces of a program: some sites choose anew under the rows of the whole.

A piece frees some sites and the walks around them; all else stays, and what stays takes its part of every row. So a
step from a plan is a plan again, whatever rules couple the sites, and a step from the relaxation turns some sites'
mixtures of stacks into one stack each while the rest remain a feasible mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Answer, Clock, bound, cut_off, load, run, start_from
from optimizer.master import NEVER, Master, Standing
from optimizer.mixing import around
from optimizer.model import Arrays
from optimizer.stacks import KINDS, Chosen, leading, without_hairs

MARGIN = 150.0
"""Distance beyond the freed sites within which walks are freed too, m."""
POOL, BEST = 8, 2
"""Stacks of a place that a piece chooses from: the best of those the master has taken in, and the best of all."""
EXACT, NEARLY = 1e-9, 1e-7
"""Accuracy of a piece's rows: what many pieces leave over adds up. The second where a solution that is mixed of many stacks,
traces of which a piece does not know, meets them no better."""
SHORT = 60
"""Entries of a row up to which all columns in it are freed with a site in it."""
HAIR = 10.0
"""Price of a unit by which a row stays broken, model units: more than a unit of floor area is worth."""
WHOLE = 1e-6
"""How near to a whole number a column of a dive is taken for it."""
STRIDE, DEEP = 8, 3
"""A dive rounds one in so many columns at a time, and ends at so many times what its task may lose."""
LOOSER = (4.0, 16.0)
"""Factors of what a task may lose in further dives, where those before found nothing."""
NODES = 40
"""Nodes of branch and bound that a piece is given."""


@dataclass(frozen=True)
class Task:
    """One piece as a program by itself, to be solved anywhere.

    Attributes
    ----------
    program : Arrays
    start : ndarray, shape (columns of the program,), or None
        A solution to start from.
    loss : float
        What the answer may lose against the best, model units.
    seed : int
    least : float
        What the start is worth, model units; minus infinity without.
    thorough : bool
        Whether branch and bound searches where a dive finds nothing.
    """

    program: Arrays
    start: Floats | None
    loss: float
    seed: int
    least: float = -np.inf
    thorough: bool = True


@dataclass(frozen=True)
class Piece:
    """A task, and where its answer goes.

    Attributes
    ----------
    task : Task
    columns : ndarray of int
        The problem's columns that come first in the program.
    choices : Chosen
        The stacks that come next; then one binary a stack that has several fillings, and what rows may stay broken by.
    cleared : ndarray of int
        The problem's columns of the freed sites, which the choices make.
    touched : ndarray of int
        The problem's rows that the freed columns stand in.
    rows : ndarray of int
        Those of them that come first in the program.
    own : ndarray, shape (rows,)
        What the freed columns load of them before.
    """

    task: Task
    columns: Ints
    choices: Chosen
    cleared: Ints
    touched: Ints
    rows: Ints
    own: Floats


def share(pieces: Sequence[Piece]) -> list[Task]:
    """Return the tasks of pieces that are solved side by side: what is left of a row is divided among those in it."""
    if len(pieces) == 1:
        return [pieces[0].task]
    all_rows = np.concatenate([piece.rows for piece in pieces])
    loaded = np.bincount(all_rows)
    tasks = []
    for piece in pieces:
        program, count = piece.task.program, loaded[piece.rows]
        low, high = program.row_lower.copy(), program.row_upper.copy()
        at = np.arange(len(piece.rows))
        low[at] = piece.own + (low[at] - piece.own) / count
        high[at] = piece.own + (high[at] - piece.own) / count
        tasks.append(replace(piece.task, program=replace(program, row_lower=low, row_upper=high)))
    return tasks


def solve_task(task: Task, clock: Clock, seconds: float) -> Floats | None:
    """Return the best answer found, shape (columns of the program,), or None."""
    until = clock.elapsed + seconds
    accuracy = EXACT
    dived = dive(task, clock, seconds, EXACT)
    if task.start is None:
        if dived.status == "infeasible":
            accuracy = NEARLY
            dived = dive(task, clock, until - clock.elapsed, NEARLY)
        for factor in LOOSER:
            if dived.x is None and dived.status != "infeasible":
                dived = dive(replace(task, loss=factor * task.loss), clock, until - clock.elapsed, accuracy)
        if dived.status == "infeasible":
            return None
    if dived.x is not None or not task.thorough:
        return dived.x
    highs = load(task.program, threads=1, seed=task.seed)
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", task.loss)
    highs.setOptionValue("mip_max_nodes", NODES)
    highs.setOptionValue("primal_feasibility_tolerance", accuracy)
    if task.start is not None:
        start_from(highs, task.start)
    return run(highs, clock, until - clock.elapsed).x


def dive(task: Task, clock: Clock, seconds: float, accuracy: float) -> Answer:
    """Return an answer found by rounding the relaxation up, some columns at a time, each time solved again.

    Where those next to one cannot be rounded up, or only at more than the task may lose, those next to zero are rounded down,
    else the first alone, up or down. Without a solution where neither can be, or only at a few times what the task may lose.
    It ends where it cannot become better than what it may start from. Infeasible is only what is so before anything is rounded.
    """
    program, until = task.program, clock.elapsed + seconds
    columns = np.flatnonzero(program.integer)
    highs = load(program, relaxed=True, threads=1, seed=task.seed)
    highs.setOptionValue("primal_feasibility_tolerance", accuracy)
    lower, upper = program.lower[columns].copy(), program.upper[columns].copy()
    answer = run(highs, clock, seconds)
    if answer.status == "infeasible":
        return answer
    least = answer.objective - DEEP * task.loss if task.start is None else task.least
    enough = max(answer.objective - task.loss, least)

    def tried(some: Ints, up: bool, worth: float) -> bool:
        """Round some columns; return whether that is worth so much, and otherwise take it back."""
        nonlocal answer
        if clock.elapsed >= until or clock.left <= 0:
            return False
        low, high = (np.ceil(value[some]), upper[some]) if up else (lower[some], np.floor(value[some]))
        bound(highs, columns[some], low, high)
        cut_off(highs, worth)
        found = run(highs, clock, until - clock.elapsed)
        if found.status == "optimal" and found.x is not None and found.objective >= worth:
            answer, lower[some], upper[some] = found, low, high
            return True
        bound(highs, columns[some], lower[some], upper[some])
        highs.setBasis(basis)
        return False

    while answer.status == "optimal" and answer.x is not None:
        value = answer.x[columns]
        open_ = np.flatnonzero((np.abs(value - np.rint(value)) > WHOLE) & (lower < upper))
        if not len(open_):
            return answer
        ahead = open_[np.argsort(np.floor(value[open_]) - value[open_], kind="stable")]
        basis = highs.getBasis()
        few = max(len(ahead) // STRIDE, 1)
        first = ahead[:1]
        if few > 1 and (tried(ahead[:few], True, enough) or tried(ahead[-few:], False, enough)):
            continue
        if tried(first, True, enough) or tried(first, False, enough):
            continue
        if not (tried(first, True, least) or tried(first, False, least)):
            break
    return replace(answer, status="limit", x=None)


class Pieces:
    """Cuts pieces out of a master's problem as it stands.

    Attributes
    ----------
    arrays : Arrays
        The program that pieces are cut out of.
    choices : Chosen
        The stacks that the master had taken in by then.
    needed : ndarray of bool, shape (rows,)
        Lazy rows that some answer broke; they are not left out again.
    source : Arrays
        The master's, which these are where uses may stand anywhere.
    standing : Standing or None
        Where uses may stand only, where that was settled.
    """

    def __init__(self, master: Master, before: Pieces | None = None) -> None:
        self.master, self.source, self._extra = master, master.arrays, master.others
        stacks, flows = master.stacks, master.problem.flows
        self._order = np.argsort(stacks.owner, kind="stable")
        self._first = np.searchsorted(stacks.owner[self._order], np.arange(stacks.sites + 1))
        self._walks, self._walks_at = flows.columns[flows.walks], flows.xy[flows.walks]
        self.choices = master.choices
        site = stacks.site[self.choices.stack]
        order = np.argsort(site, kind="stable")
        self._known = self.choices.at(order)
        self._known_first = np.searchsorted(site[order], np.arange(stacks.sites + 1))
        self.needed: Bools = np.zeros(self.source.matrix.shape[0], dtype=bool)
        if before is not None:
            self.needed[: len(before.needed)] = before.needed
        self._cut_out_of(None if before is None else before.standing)

    def _cut_out_of(self, standing: Standing | None) -> None:
        """Take the program where uses may stand so."""
        self.standing = standing
        self.arrays = a = self.source if standing is None else standing.settled(self.source)
        self._by_column = sparse.csc_matrix(a.matrix)
        # Columns that pieces may have to free besides their own, in the rows that tie them to others: equations and short
        # rows; where a column is paid for, all rows.
        extra = a.matrix[:, self._extra]
        short = np.diff(a.matrix.indptr) <= SHORT
        defining = sparse.diags_array((short | (a.row_lower == a.row_upper)).astype(float))
        paid = sparse.diags_array((a.cost[self._extra] != 0).astype(float))
        self._ties = sparse.csr_matrix(abs(defining @ extra) + abs(extra @ paid))
        self._ties.eliminate_zeros()
        self._activities: list[tuple[Floats, Floats]] = []

    @property
    def parted(self) -> bool:
        """Whether uses may stand only where that was settled."""
        return self.standing is not None

    def hold(self, standing: Standing) -> None:
        """Let uses stand only where that was settled; the rows that allow less there are not left out."""
        self.needed[standing.rows] = True
        self._cut_out_of(standing)

    def release(self) -> None:
        """Let uses stand anywhere again."""
        self._cut_out_of(None)

    def activity(self, x: Floats) -> Floats:
        """Return what a solution loads of each row, shape (rows,); known of the last two."""
        for known, found in self._activities:
            if known is x:
                return found
        found = np.asarray(self.arrays.matrix @ x)
        self._activities = [(x, found), *self._activities[:1]]
        return found

    def cut_out(self, x: Floats, whole: Ints, mixed: Ints, loss: float, seed: int, thorough: bool) -> Piece:
        """Return the piece in which some sites choose anew.

        Parameters
        ----------
        x : ndarray, shape (columns,)
            A plan, or a solution of the relaxation over stacks.
        whole : ndarray of int
            Sites that choose one stack each: all sites of some parcels.
        mixed : ndarray of int
            Sites of other parcels that may mix stacks, as in the relaxation.
        loss : float
            What the answer may lose against the best, model units.
        thorough : bool
            As in `Task`.
        """
        m, stacks, a = self.master, self.master.stacks, self.arrays
        parcel_of = m.problem.district.parcel_of
        sites = np.concatenate([whole, mixed])
        is_whole = np.zeros(stacks.sites, dtype=bool)
        is_whole[whole] = True
        cleared = np.concatenate([self._order[self._first[s] : self._first[s + 1]] for s in sites])
        actions = m.actions[:, np.unique(parcel_of[sites])].ravel()
        groups = [np.unique(m.problem.district.groups[scale.name][sites]) for scale in m.groups]
        grouped = [np.append(s.column[g].ravel(), s.entropy[g]) for s, g in zip(m.groups, groups, strict=True)]
        defined = self._defined(np.append(cleared, actions))
        free = np.unique(np.concatenate([actions, self._walks_near(sites), *grouped, defined]))
        choices, start = self._choices(x, sites)
        made = stacks.columns_of(choices)

        opened = np.concatenate([free, cleared])
        part = self._by_column[:, opened]
        touched, place = np.unique(part.indices, return_inverse=True)
        part = sparse.csc_matrix((part.data, place, part.indptr), shape=(len(touched), len(opened)))
        activity = self.activity(x)[touched]
        lazy = a.lazy[touched]
        pressing = np.isinf(lazy) | self.needed[touched] | (a.row_upper[touched] - activity <= lazy)
        held = m.coupling[touched] & pressing
        rows = touched[held]
        part = sparse.csr_matrix(part)[held]
        own = part @ x[opened]
        rest = activity[held] - own
        low, high = a.row_lower[rows] - rest, a.row_upper[rows] - rest
        # What is broken by a hair may stay so, at a price: the solution itself is one of the piece, integers apart.
        hair = np.where(own > high, own - high, np.minimum(own - low, 0.0))
        split = np.flatnonzero(np.abs(hair) > EXACT)
        hairs = sparse.csr_matrix(
            (-np.sign(hair[split]), (split, np.arange(len(split)))), shape=(len(rows), len(split))
        )
        dust = np.abs(hair) <= EXACT
        low, high = np.where(dust, np.minimum(low, own), low), np.where(dust, np.maximum(high, own), high)
        fixed, chosen = part[:, : len(free)], part[:, len(free) :] @ made[cleared]
        where = np.full(len(a.cost), -1)
        where[free] = np.arange(len(free))
        action, member = m.membership(choices, where, len(free))
        tied, single = _tied(choices, is_whole[stacks.site[choices.stack]])
        cuts = self._cuts(x, groups, where, len(free))
        binaries = tied.shape[0]
        matrix = sparse.bmat(
            [
                [fixed, chosen, sparse.csr_matrix((len(rows), binaries)), hairs],
                [action, member, None, None],
                [None, tied, -sparse.identity(binaries), None],
                [cuts, None, None, None],
            ],
            format="csr",
        )
        equal = np.zeros(action.shape[0] + binaries)
        count = len(choices) + binaries
        mixing = m.actions[:, np.unique(parcel_of[mixed])].ravel()
        program = Arrays(
            cost=np.concatenate([a.cost[free], made.T @ a.cost, np.zeros(binaries), np.full(len(split), -HAIR)]),
            lower=np.concatenate([a.lower[free], np.zeros(count + len(split))]),
            upper=np.concatenate([m.upper[free], np.ones(count), np.abs(hair[split])]),
            integer=np.concatenate(
                [a.integer[free] & ~np.isin(free, mixing), single, np.arange(binaries + len(split)) < binaries]
            ),
            matrix=without_hairs(sparse.csr_matrix(matrix)),
            row_lower=np.concatenate([low, equal, np.full(cuts.shape[0], -np.inf)]),
            row_upper=np.concatenate([high, equal, np.zeros(cuts.shape[0])]),
            lazy=np.full(matrix.shape[0], np.inf),
            cut=np.zeros(matrix.shape[0], dtype=bool),
            column_names=[],
            row_names=[],
        )
        begin, least = None, -np.inf
        if start is not None and not len(mixed):
            begin = np.concatenate([x[free], start, np.minimum(tied @ start, 1.0), np.abs(hair[split])])
            least = float((program.cost @ begin) + HAIR * np.abs(hair[split]).sum())
        return Piece(Task(program, begin, loss, seed, least, thorough), free, choices, cleared, touched, rows, own)

    def merged(self, piece: Piece, x: Floats, answer: Floats) -> Floats:
        """Return a solution with a piece's answer in it, shape (columns,); what is whole is so to the last digit."""
        x, free, program = x.copy(), len(piece.columns), piece.task.program
        answer = np.clip(np.where(program.integer, np.rint(answer), answer), program.lower, program.upper)
        taken = answer[free : free + len(piece.choices)]
        # Fillings of one stack add up to its binary.
        _, of, count = np.unique(piece.choices.stack, return_inverse=True, return_counts=True)
        whole = self._wholly(piece)
        total = np.bincount(of, taken)[of]
        several = (count[of] > 1) & whole & (total > 0)
        taken[several] *= np.rint(total[several]) / total[several]
        made = self.master.stacks.columns_of(piece.choices)[piece.cleared] @ taken
        near = self.arrays.integer[piece.cleared] & (np.abs(made - np.rint(made)) < EXACT)
        x[piece.cleared] = np.where(near, np.rint(made), made)
        x[piece.columns] = answer[:free]
        return x

    def _wholly(self, piece: Piece) -> Bools:
        """Return which choices belong to sites that choose one stack."""
        where = np.zeros(len(self.arrays.cost), dtype=bool)
        where[piece.columns[piece.task.program.integer[: len(piece.columns)]]] = True
        stacks = self.master.stacks
        return np.asarray(where[stacks.action[stacks.place[piece.choices.stack]]])

    def _walks_near(self, sites: Ints) -> Ints:
        xy = self.master.problem.district.xy[sites]
        middle = xy.mean(axis=0)
        reach = np.linalg.norm(xy - middle, axis=1).max() + MARGIN
        near: Ints = self._walks[np.linalg.norm(self._walks_at - middle, axis=1) <= reach]
        return near

    def _defined(self, touched: Ints) -> Ints:
        """Return the other columns that equations and short rows tie to touched ones, and those that let a rule be missed."""
        rows = np.unique(self._by_column[:, touched].indices)
        extra: Ints = self._extra[np.unique(self._ties[rows].indices)]
        return extra

    def _choices(self, x: Floats, sites: Ints) -> tuple[Chosen, Floats | None]:
        """Return the stacks that some sites choose from, and how a plan has chosen, or None where it has not."""
        m, stacks = self.master, self.master.stacks
        taken_in = [np.arange(self._known_first[s], self._known_first[s + 1]) for s in sites]
        pool = self._known.at(np.concatenate(taken_in))
        guides = [] if m.priced is None else [(m.priced.value, m.priced.inside)]
        guides += [] if m.guide is None else [m.guide]
        if guides:
            places = (np.arange(len(KINDS))[:, None] * stacks.sites + sites).ravel()
            places = places[m.upper[stacks.action[places]] > 0]
            ranges = [np.arange(stacks.first[k], stacks.first[k + 1]) for k in places]
            known, pool = pool, pool.at(np.arange(0))
        for value, inside in guides:
            pool = pool.and_also(known.at(leading(stacks.place[known.stack], value[known.stack], POOL)))
            near = np.concatenate([r[np.argpartition(-value[r], BEST)[:BEST]] if len(r) > BEST else r for r in ranges])
            pool = pool.and_also(Chosen(near, inside[near]))
        pool = pool.and_also(m.mixture.at(np.isin(stacks.site[m.mixture.stack], sites)))
        if self.parted and m.guide is not None:
            pool = pool.at(m.guide[0][pool.stack] > -NEVER / 2)
        own = stacks.found_in(x, sites)
        if own is None:
            return pool, None
        both = pool.and_also(own)
        key = np.column_stack([both.stack, np.round(both.inside, 9)])
        mine = {tuple(row) for row in np.column_stack([own.stack, np.round(own.inside, 9)]).tolist()}
        return both, np.array([float(tuple(row) in mine) for row in key.tolist()])

    def _cuts(self, x: Floats, groups: list[Ints], where: Ints, width: int) -> sparse.csr_matrix:
        """Return cuts of groups' entropies at a solution and around it."""
        rows, columns, values, count = [np.arange(0)], [np.arange(0)], [np.zeros(0)], 0
        for scale, chosen in zip(self.master.groups, groups, strict=True):
            for coefficients in around(scale, x):
                row = count + np.arange(len(chosen))
                rows += [row, np.repeat(row, scale.column.shape[1])]
                columns += [where[scale.entropy[chosen]], where[scale.column[chosen]].ravel()]
                values += [np.ones(len(chosen)), -coefficients[chosen].ravel()]
                count += len(chosen)
        parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(parts, shape=(count, width))


def _tied(choices: Chosen, whole: Bools) -> tuple[sparse.csr_matrix, Bools]:
    """Return rows that add up the fillings of each stack that has several, and which choices stand alone.

    Parameters
    ----------
    whole : ndarray of bool, shape (choices,)
        Whether their sites choose one stack.
    """
    _, of, count = np.unique(choices.stack, return_inverse=True, return_counts=True)
    several = np.flatnonzero((count[of] > 1) & whole)
    stacks, row = np.unique(of[several], return_inverse=True)
    matrix = sparse.csr_matrix((np.ones(len(several)), (row, several)), shape=(len(stacks), len(choices)))
    return matrix, whole & (count[of] == 1)
