"""Plans at scale: a bound from stacks, a plan made piece by piece from its relaxation, and pieces improved.

1. The master program over stacks (`optimizer.master`) gives prices, a bound that they prove, and a relaxed solution in
   which every site mixes whole stacks.
2. Most sites of an exact solution are one stack already. Piece after piece the others choose one each while those not yet
   asked stay mixed, until none is: a plan.
3. Pieces around the sites at which plan and prices differ most choose anew; every step is a plan. Once they no longer help, a
   second plan is made, and pieces choose where the two differ (crossover).

Pieces of one turn share no column and are solved side by side; what is left of a row that several of them load is
divided among them. Under a work limit nothing depends on time, so that two runs with the same seed do the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from optimizer.cluster import Crew
from optimizer.district import Bools, Floats, Ints
from optimizer.highs import Clock
from optimizer.master import EXACTLY, Master
from optimizer.model import AREA
from optimizer.parting import part
from optimizer.pieces import Piece, Pieces, share
from optimizer.problem import Problem

ROUNDS, SURE = 40, 0.25
"""Most rounds of the master, and the share of the gap asked for to which its own is closed before plans are made."""
LOOSEST = 0.01
"""Accuracy beyond which the master is not solved for its prices alone."""
SLOW, SLOW_FROM = 0.03, 4
"""Share of the gap asked for that a round must take off the bound, and rounds that are granted."""
SHARE, SMALLEST, LARGE = 10, 20, 60
"""Parts of a district that a first piece is one of, and least and most sites in it."""
LARGEST = 400
"""Sites of a piece beyond which none is made larger."""
BINARIES = 800
"""Binaries of a piece up to which it is not made smaller while a plan is made."""
LOSS, FINE = 0.4, 0.1
"""Share of the gap asked for that pieces together may lose: while a plan is made, and while it is improved; there of what the
plan leaves open, where that is more."""
LOSS_PARTED, LOSS_WHATEVER = 0.05, 0.02
"""Share that pieces may lose while a plan is made of a solution in which uses are parted: there stacks are mixed for the sake of
what keeps them apart, and whole ones are worth less; and the same where limits hold whatever stands."""
LOOSER = 4.0
"""Factor of what pieces may lose while a plan is made, where none of a turn had an answer."""
FINEST = 0.004
"""Gap below which pieces are solved no finer."""
FINEST_MAKING = 0.01
"""The same while a plan is made."""
PIECE_SECONDS, LEAST_SECONDS = 20.0, 2.0
"""Most and least that a piece of the first size is given, s."""
MAKING = 0.5
"""Share of the time left in which a plan should be made."""
PARTING = 0.4
"""Share of the time left in which uses that keep one another away should be parted."""
WASTED, TRIES = 0.2, 3
"""Share of the time left after whose loss to pieces without an answer, one after another, a plan is given up, and most times that
it is begun, while enough is left (`MAKING`): anew with the rows that were broken, and other seeds."""
SNAP = 1e-6
"""How near to a whole number a solution of the master is taken for it."""
FRUITLESS, GROW = 6, 1.5
"""Most pieces without gain after which pieces grow, and the factor."""
BREAKS = 4e-6
"""Relative excess over a row's bound that pieces together may leave."""
REPAIRS = 3
"""Times that decided sites are opened again: around a row that stays broken, since the master was solved without it, or around
sites that cannot be made whole by themselves."""
SECOND, CROSSED = 0.5, 0.5
"""Share of the time or pieces left that the first plan may have taken for a second one to be made, and part of all pieces that
then choose where the two differ."""
NOTHING = 1e-7
"""Gain, model units, or excess that is none."""


class Decomposition:
    """One search: the master, the best plan, and what is told of both.

    Attributes
    ----------
    master : Master
    solved : int
        Pieces solved.
    settled : bool
        Whether the bound is as low as it is worth the time.
    torn : bool
        Whether uses that keep one another away had to be parted.
    """

    def __init__(self, problem: Problem, clock: Clock, crew: Crew) -> None:
        options = problem.study.solve
        self.problem, self.clock, self.crew, self.gap = problem, clock, crew, options.gap
        self.seed, self.work = options.seed, options.work_limit
        gap = options.gap
        self.allowed = max(gap, FINEST)
        self.master = Master(problem, options.threads)
        self.rng = np.random.default_rng(options.seed)
        self.solved = self._cut = 0
        self.settled = False
        self._size, self._fruitless, self._thorough = float(self.first_size), 0, False
        self._tired = np.zeros(len(problem.district.sites))
        self._pieces: Pieces | None = None
        self.torn = self._asked_twice = False
        self._took = np.inf
        self._other: Floats | None = None

    def prove(self, heard: Callable[[float], bool], until: float, own: float) -> None:
        """Solve the master again and again until its own gap is small, or some second has come.

        Parameters
        ----------
        heard : callable
            Told each bound, model units; true ends it.
        until : float
            s.
        own : float
            Difference of the master's bound and its relaxation that is small, as a share of the relaxation.
        """
        master = self.master
        if not len(master.choices):
            master.begin(self.seed)
        while not self.settled:
            before = master.bound
            if not self._price(min(self.allowed, LOOSEST)):
                return
            slow = before - master.bound < SLOW * self.allowed * abs(master.objective) and master.rounds > SLOW_FROM
            self.settled = slow or self.unproved <= SURE * self.allowed or master.rounds >= ROUNDS
            if heard(master.bound) or ((self.clock.elapsed > until or self.unproved <= own) and not self.lacking):
                return

    def _price(self, accuracy: float) -> bool:
        """Solve the master once; return whether it could be, and settle for the bound so far where not."""
        answer = self.master.improve(self.clock, self.problem.tolerance * AREA, f"m{self.master.rounds}", accuracy)
        self.settled |= answer.status != "optimal"
        return answer.status == "optimal"

    @property
    def lacking(self) -> bool:
        """Whether the master's solution breaks a row that was left out of it."""
        a, x = self.master.arrays, self.master.x
        return x is None or bool((a.violated(x, BREAKS) & np.isfinite(a.lazy) & ~a.cut).any())

    @property
    def unproved(self) -> float:
        """What the master's bound leaves open above its relaxation, as a share of that."""
        return (self.master.bound - self.master.objective) / self._unit

    def unplanned(self, x: Floats) -> float:
        """Return what a plan leaves open below the master's relaxation, as a share of that."""
        return (self.master.objective - self.master.score_of(x)) / self._unit

    @property
    def _unit(self) -> float:
        """What shares of the master's relaxation are taken of, model units."""
        return max(abs(self.master.objective), NOTHING)

    @property
    def spent(self) -> bool:
        """Whether time is up, or the pieces that the study allows are solved."""
        return self.clock.left <= 0 or (self.work is not None and self.solved >= self.work)

    def _answers(self, turn: list[tuple[Piece, Ints]], seconds: float) -> list[Floats | None]:
        """Solve the pieces of a turn; where work is limited no piece has a limit of time, so that runs do the same."""
        self.solved += len(turn)
        return self.crew.solve(share([p for p, _ in turn]), self.clock, np.inf if self.work is not None else seconds)

    @property
    def pieces(self) -> Pieces:
        """What cuts pieces out of the master's problem as it stands."""
        pieces, master = self._pieces, self.master
        if pieces is None or pieces.source is not master.arrays or pieces.choices is not master.choices:
            pieces = self._pieces = Pieces(master, pieces)
        return pieces

    @property
    def first_size(self) -> int:
        """Sites of the first pieces."""
        return int(np.clip(len(self.problem.district.sites) / SHARE, SMALLEST, LARGE))

    def make(self, *, planned: bool = False) -> Floats | None:
        """Make a plan of the master's solution, piece by piece; None where a piece has none or time is up.

        Parameters
        ----------
        planned : bool
            Whether there is a plan already: it is improved instead where uses should be parted and could not be.
        """
        before = self._used
        self._price(EXACTLY)
        assert self.master.x is not None, "the master is solved first"
        seconds = PARTING * self.clock.left if self.work is None else np.inf
        self.torn, parted = part(self.master, self.clock, seconds, self.seed)
        if self.torn and parted is None and planned:
            return None
        x, lost = self.master.x, self._loss
        if parted is not None and self.master.standing is not None:
            self.pieces.hold(self.master.standing)
            x, lost = parted, LOSS_WHATEVER if self.master.standing.whatever else LOSS_PARTED
        made, left = None, self._left
        for _ in range(TRIES):
            made = self._whole(x, lost)
            if made is not None or self.spent or self._left < MAKING * left:
                break
        if made is None:
            self.pieces.release()
        else:
            self._took = self._used - before
        return made

    def _whole(self, x: Floats, part_lost: float, most: float = np.inf) -> Floats | None:
        """Make a plan of a solution of the master; None as `make`.

        Parameters
        ----------
        part_lost : float
            Share that its pieces together may lose.
        most : float
            Pieces solved altogether after which it is given up.
        """
        x, open_ = self._snapped(x)
        return self._made(x, open_, part_lost * self._unit / max(open_.sum(), 1), most)

    @property
    def _loss(self) -> float:
        """Share that pieces may lose while a plan is made."""
        return LOSS * max(self.gap, FINEST_MAKING)

    @property
    def _used(self) -> float:
        """Seconds gone by, or pieces solved where these are limited."""
        return self.clock.elapsed if self.work is None else float(self.solved)

    @property
    def _left(self) -> float:
        """Seconds left, or pieces where these are limited."""
        return self.clock.left if self.work is None else float(self.work - self.solved)

    def _second(self) -> Floats | None:
        """Make another plan of the master's solution, once at most, where the first took little of what is left; None as `make`.

        Its pieces have other seeds, so that it differs from the first where rounding is a matter of luck.
        """
        if self._asked_twice or self.spent or self.torn or self._took > SECOND * self._left:
            return None
        self._asked_twice = True
        if not self._price(EXACTLY) or self.master.x is None:
            return None
        return self._whole(self.master.x, self._loss, np.inf if self.work is None else self.work)

    def _made(self, x: Floats, open_: Bools, loss: float, most: float) -> Floats | None:
        """Let the open sites choose until no row is broken; None as `make`."""
        for _ in range(REPAIRS):
            made = self._close(x, open_, loss, most)
            if made is None:
                return None
            broken = self.master.arrays.violated(made, BREAKS) & ~self.master.arrays.cut
            if not broken.any():
                return made
            x, open_ = made, self._around(self._deciding(broken), SMALLEST)
        return None

    def _deciding(self, rows: Bools) -> Ints:
        """Return the sites whose decisions stand in some rows."""
        a, owner = self.master.arrays, self.master.stacks.owner
        columns = np.unique(a.matrix[rows].indices)
        return np.unique(owner[columns[a.integer[columns] & (owner[columns] >= 0)]])

    def _around(self, sites: Ints, size: int) -> Bools:
        """Return some sites and so many around each, shape (S,)."""
        every = np.arange(len(self.problem.district.sites))
        open_ = np.zeros(len(every), dtype=bool)
        for site in sites:
            open_[self._nearest(site, every, size)] = True
        return open_

    def _close(self, x: Floats, open_: Bools, loss: float, most: float) -> Floats | None:
        """Let the open sites choose, piece by piece, each of them losing so much at most; None as `make`."""
        size, again, failed = self.first_size, 0, 0
        patience = WASTED * self.clock.left if self.work is None else np.inf
        wasted = 0.0
        while open_.any():
            if self.clock.left <= 0 or self.solved >= most or again > REPAIRS or wasted > patience:
                return None
            began = self.clock.elapsed
            turn = self._corners(x, np.flatnonzero(open_), size, loss * LOOSER ** max(failed - 1, 0))
            part = sum(len(whole) for _, whole in turn) / open_.sum()
            seconds = min(max(MAKING * self.clock.left * part, LEAST_SECONDS), PIECE_SECONDS)
            answers = self._answers(turn, seconds * size / self.first_size)
            before, needed = x, int(self.pieces.needed.sum())
            for (piece, whole), answer in zip(turn, answers, strict=True):
                put = None if answer is None else self._put(piece, x, answer)
                if put is not None:
                    x = put
                    open_[whole] = False
            if x is not before:
                size, failed, wasted = self.first_size, 0, 0.0
                continue
            wasted += self.clock.elapsed - began
            if self.pieces.needed.sum() > needed:
                continue
            if size >= min(len(open_), LARGEST):
                return None
            failed += 1
            # Where few sites choose, the others around them can give way; where that does not help, more choose together.
            size = self.first_size // 2 if failed == 1 else self.first_size * 2 ** (failed - 1)
            if size > open_.sum():
                # What is left cannot be made whole by itself: what was decided around it is open again.
                open_, again = self._around(np.flatnonzero(open_), size), again + 1
        return x

    def _snapped(self, x: Floats) -> tuple[Floats, Bools]:
        """Return a solution with what is all but whole made so, and the sites of parcels with more to decide, shape (S,)."""
        a, d, owner = self.master.arrays, self.problem.district, self.master.stacks.owner
        whole = np.rint(x)
        apart = a.integer & (np.abs(x - whole) > SNAP)
        shared = apart & (owner < 0)
        shared[self.master.actions] = False
        tied = np.asarray(abs(a.matrix.T) @ (abs(a.matrix) @ shared.astype(float)) > 0)
        sites = np.bincount(owner[owner >= 0], (apart | tied)[owner >= 0], minlength=len(d.sites)) > 0
        parcels = apart[self.master.actions].any(axis=0) | (np.bincount(d.parcel_of, sites) > 0)
        open_: Bools = parcels[d.parcel_of]
        stacks, weight = self.master.stacks, self.master.weight
        mixture = self.master.mixture
        place = stacks.place[mixture.stack]
        total = np.bincount(place, weight, minlength=len(stacks.action))
        exact = stacks.columns_of(mixture) @ (weight / total[place] * whole[stacks.action[place]])
        of_open = (owner >= 0) & open_[owner]
        of_open[self.master.actions[:, parcels]] = True
        settled = (owner >= 0) & ~of_open
        x = np.where(settled, exact, x)
        return np.where(a.integer & ~apart & ~of_open, whole, x), open_

    def _corners(self, x: Floats, left: Ints, size: int, loss: float) -> list[tuple[Piece, Ints]]:
        """Return pieces that choose at some of the sites left, no two of which share a column; each may lose so much a site.

        They work from the edge inwards, so that what stays open is one place rather than scattered remains.
        """
        xy = self.problem.district.xy
        turn: list[tuple[Piece, Ints]] = []
        taken = np.zeros(len(self.master.arrays.cost), dtype=bool)
        far = np.linalg.norm(xy[left] - xy[left].mean(axis=0), axis=1)
        # Where uses are parted a larger piece helps sooner than branch and bound, up to half of all.
        thorough = not self.pieces.parted or 2 * size >= min(len(xy), LARGEST)
        for _ in range(self.crew.workers):
            centre = left[np.argmax(far)]
            for number in range(size, 0, -max(size // 4, 1)):
                whole = self._nearest(centre, left, number)
                mixed = self._nearest(centre, left[~np.isin(left, whole)], number)
                piece = self._piece(x, whole, mixed, loss * len(whole), thorough)
                if piece.task.program.integer.sum() <= BINARIES or number <= SMALLEST:
                    break
            columns = np.append(piece.columns, piece.cleared)
            if not taken[columns].any():
                turn.append((piece, whole))
                taken[columns] = True
            far = np.minimum(far, np.linalg.norm(xy[left] - xy[centre], axis=1))
        return turn

    def improve(self, x: Floats, offer: Callable[[Floats], bool], watch: Callable[[], bool]) -> None:
        """Improve a plan piece by piece until told to stop, or until pieces of the whole no longer help.

        Parameters
        ----------
        offer : callable
            Told each better plan; returns whether it was taken.
        """
        sites = len(self.problem.district.sites)
        refused: list[Ints] = []
        settled = self.pieces.arrays
        if self.pieces.parted and (settled.violated(x, BREAKS) & ~settled.cut).any():
            self.pieces.release()  # another plan is better than the one that was made where uses are parted
        while not watch() and not self.spent and not self.tired_out:
            turn = self._turn(x, min(round(self._size), sites), refused)
            answers = self._answers(turn, PIECE_SECONDS * self._size / self.first_size)
            gained, refused = False, []
            for (piece, chosen), answer in zip(turn, answers, strict=True):
                needed = self.pieces.needed.sum()
                better = None if answer is None else self._put(piece, x, answer)
                if (
                    better is not None
                    and self.master.score_of(better) > self.master.score_of(x) + NOTHING
                    and offer(better)
                ):
                    x, gained = better, True
                elif self.pieces.needed.sum() > needed:
                    refused.append(chosen)
                else:
                    self._tired[chosen] += 1
            if gained:
                self._fruitless = 0
            elif not refused:
                self._fruitless += len(turn)
            if self._fruitless < self._enough or (self.tired_out and not self.pieces.parted):
                continue
            second = self._second()
            if second is None or not self._differing(x, second).any():
                self._widen()
                continue
            self._other, self._fruitless, self._tired[:] = second, 0, 0
            if self.master.score_of(second) > self.master.score_of(x) + NOTHING and offer(second):
                x, self._other = second, x

    def _widen(self) -> None:
        """Let pieces search more: by branch and bound, which takes twenty seconds where dives take one, or on more sites.

        Where that no longer helps while uses are parted, they may stand anywhere again, in pieces of the first size.
        """
        if self.tired_out:
            self.pieces.release()
            self._size = float(self.first_size)
        elif self._thorough:
            self._size *= GROW
            self._other = None  # what could be gained there was
        self._thorough = not self._thorough
        self._fruitless, self._tired[:] = 0, 0

    @property
    def tired_out(self) -> bool:
        """Whether the largest pieces no longer help."""
        largest = self._size >= min(LARGEST, len(self.problem.district.sites))
        return largest and self._thorough and self._fruitless >= self._enough

    @property
    def _enough(self) -> int:
        """Pieces without gain after which they grow: no more than it takes to cover the district."""
        return min(FRUITLESS, math.ceil(len(self.problem.district.sites) / self._size))

    def _put(self, piece: Piece, x: Floats, answer: Floats) -> Floats | None:
        """Return a plan with a piece's answer in it; None where it breaks a row, or breaks it more, left out or used up."""
        pieces, a, rows = self.pieces, self.pieces.arrays, piece.touched
        better = pieces.merged(piece, x, answer)
        before = a.beyond(pieces.activity(x)[rows], rows)
        after = a.beyond(pieces.activity(better)[rows], rows)
        broken = (after > BREAKS) & ~a.cut[rows]
        pieces.needed[rows] |= broken & np.isfinite(a.lazy[rows])
        return None if (broken & (after > np.maximum(before, BREAKS) + NOTHING)).any() else better

    def _turn(self, x: Floats, size: int, again: list[Ints]) -> list[tuple[Piece, Ints]]:
        """Return some pieces around sites where plan and prices differ most, no two of which share a column.

        First those of some sites whose answers broke rows that were left out of them.
        """
        d = self.problem.district
        loss = self.losses(x) / (1.0 + self._tired)
        weight = loss + loss.sum() / len(loss) / 20 + 1e-12
        turn: list[tuple[Piece, Ints]] = []
        taken = np.zeros(len(self.master.arrays.cost), dtype=bool)
        sites = np.arange(len(d.sites))
        differing = None if self._other is None else self._differing(x, self._other)
        fine = FINE * max(self.allowed, self.unplanned(x)) * self._unit / len(sites)
        for number in range(4 * self.crew.workers):
            if len(turn) == self.crew.workers:
                break
            if number < len(again):
                chosen = again[number]
            else:
                centre = self.rng.choice(sites, p=weight / weight.sum())
                crossed = differing is not None and self.rng.random() < CROSSED
                chosen = self._nearest(centre, sites, size, differing if crossed else None)
            piece = self._piece(x, chosen, np.arange(0), fine * len(chosen), self._thorough)
            columns = np.concatenate([piece.columns, piece.cleared])
            if taken[columns].any():
                continue
            taken[columns] = True
            turn.append((piece, chosen))
        return turn

    def _differing(self, x: Floats, other: Floats) -> Bools:
        """Return at the sites of which parcels two plans decide otherwise, shape (S,)."""
        parcel_of, owner = self.problem.district.parcel_of, self.master.stacks.owner
        apart = self.master.arrays.integer & (np.abs(x - other) > 0.5)
        parcels = np.asarray(apart[self.master.actions].any(axis=0))
        parcels[parcel_of[owner[apart & (owner >= 0)]]] = True
        return np.asarray(parcels[parcel_of])

    def losses(self, x: Floats) -> Floats:
        """Return what each site's part of a plan is worth less than the best there at the prices, shape (S,)."""
        master, d = self.master, self.problem.district
        priced = master.priced
        if priced is None:
            return np.ones(len(d.sites))
        prices = np.zeros(master.arrays.matrix.shape[0])
        prices[: len(priced.prices)] = priced.prices
        reduced = master.reduced(prices)
        owner = master.stacks.owner
        worth = np.bincount(owner[owner >= 0], (reduced * x)[owner >= 0], minlength=len(d.sites))
        parcel = np.bincount(d.parcel_of, worth) + (reduced[master.actions] * x[master.actions]).sum(axis=0)
        lost = np.maximum(np.maximum(priced.action.max(axis=0), 0.0) - parcel, 0.0)
        per = lost / np.bincount(d.parcel_of)
        return np.asarray(per[d.parcel_of])

    def _piece(self, x: Floats, whole: Ints, mixed: Ints, loss: float, thorough: bool) -> Piece:
        self._cut += 1
        return self.pieces.cut_out(x, whole, mixed, loss, self.seed + self._cut, thorough)

    def _nearest(self, centre: int, among: Ints, size: int, first: Bools | None = None) -> Ints:
        """Return about so many sites around one, those of a parcel all or none; some before all others, shape (S,)."""
        d = self.problem.district
        far = np.linalg.norm(d.xy[among] - d.xy[centre], axis=1)
        later = np.zeros(len(among), dtype=bool) if first is None else ~first[among]
        near = among[np.lexsort((far, later))[:size]]
        parcels: Bools = np.zeros(len(d.parcels), dtype=bool)
        parcels[d.parcel_of[near]] = True
        return np.flatnonzero(parcels[d.parcel_of])
