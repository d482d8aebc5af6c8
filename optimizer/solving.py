"""Solving a study's program: relaxation, cuts, a starting plan, search and proof, within a gap and a time limit."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from optimizer.cluster import Crew, crew
from optimizer.decompose import Decomposition
from optimizer.district import Floats, Ints
from optimizer.errors import InfeasibleError, LimitError, SolverError
from optimizer.highs import Answer, Clock, load, run, start_from
from optimizer.mixing import exact_entropy, slack
from optimizer.model import SCORE, Arrays
from optimizer.problem import Problem
from optimizer.pulp_bridge import run_solver, solver_by_name
from optimizer.relaxation import Relaxation
from optimizer.search import choose_tile, complete, decided, kept, nearest, round_by_prices, search_tile, today
from optimizer.stacks import MOST, count

FIRST = 0.3
"""Share of the time limit for a first plan where the relaxation could not be rounded."""
ROUNDING, ROUNDING_SECONDS = 0.1, 5.0
"""Share of the time limit for rounding the relaxation, and seconds it is given in any case."""
TILE_SHARE, SMALLEST_TILE, LARGEST_TILE = 0.15, 30, 150
"""First size of a tile: share of all sites, and least and most sites."""
TILE_SECONDS = 3.0
"""Given to a tile of the first size."""
FRUITLESS, FRUIT, GROW = 4, 0.005, 2.0
"""Tiles that close no such share of the gap before tiles grow by a factor, and the time they are given too."""
FAR = 0.025
"""Gap from which the first tiles are a size larger: the plan then differs from the best in many places at once."""
FEASIBILITY = 5e-6
"""Relative excess over a row's bound put down to the solver."""
SETTLED = 2e-4
NOTHING = 5e-7
"""Difference of two scores that is none."""
CUT_EVERY = 4
"""Tiles after which the relaxation is tightened, and entropy cut at the plan again."""
FIRST_GAPS = (0.02, 0.005)
"""Relative gaps of the first rounds of branch and bound."""
SHARP = 1e-7
"""How near to whole a number is in small programs: a millionth of a floor has an entropy that keeps a bound of 0 open."""
PROVING, FIRST_BOUND = 0.4, 2.5
"""Share of the time limit after which the bound waits for a plan, and gap of its own, as a share of what is asked for."""
NODES = 100
"""Nodes of branch and bound that count as one piece of work."""
HUGE = 30_000
"""Integer columns from which branch and bound on the whole is not tried."""
SMALL, LARGE = 200, 300
"""Integer columns from which first plans are found before branch and bound, and from which stacks are priced and plans made
piece by piece: with 660 columns that took 2 s to a gap of 0.5 % where boxes around the relaxation stood at 2 % after 40 s."""
OPEN, WHOLE = 100, 1e-6
"""Decisions left open by a relaxation without walks and entropies up to which it is rounded and branched instead, and how
near to a whole number others are. The p-medians measured leave 0 to 56 open, densest floors of 1,000 parcels under noise 192."""


@dataclass(frozen=True)
class Progress:
    """Where solving stands.

    Attributes
    ----------
    phase : str
    incumbent, bound : float
        Scores; minus and plus infinity when unknown.
    seconds, left : float
        Elapsed and left.
    job : str
        Which of several solves it is.
    """

    phase: str
    incumbent: float
    bound: float
    seconds: float
    left: float
    job: str = ""

    @property
    def gap(self) -> float:
        """(bound - incumbent) / |incumbent|."""
        if not np.isfinite(self.incumbent) or not np.isfinite(self.bound) or self.incumbent == 0:
            return np.inf
        return (self.bound - self.incumbent) / abs(self.incumbent)


Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Start:
    """What is known before a search begins.

    Attributes
    ----------
    action, floors : ndarray or None
        Of a plan to start from, as `optimizer.plan.Plan` holds them; it is left aside where it breaks a rule.
    bound : float
        Score that no plan exceeds, proved elsewhere.
    stop : threading.Event or None
        Ends the search when it is set, as Ctrl-C does.
    """

    action: np.ndarray | None = None
    floors: Ints | None = None
    bound: float = np.inf
    stop: threading.Event | None = None


@dataclass(frozen=True)
class Solution:
    """A solution of the program.

    Attributes
    ----------
    x : ndarray, shape (columns,)
    bound : float
        Proved upper bound of the score.
    trivial : bool
        Whether that is only the sum of the objective's weights, since there was no time to prove more.
    seconds : float
    solver : str
    interrupted : bool
        Whether Ctrl-C ended it.
    shadow_prices : ndarray, shape (P,), or None
        By how much less than the bound any plan scores that leaves a parcel empty; None where no prices proved it.
    """

    x: Floats
    bound: float
    trivial: bool
    seconds: float
    solver: str
    interrupted: bool
    shadow_prices: Floats | None = None


class _Run:
    """State of one solve: best plan, bound, clock, and the program that grows by cuts."""

    def __init__(self, problem: Problem, clock: Clock, report: Report | None, crew: Crew, start: Start) -> None:
        self.problem, self.clock, self.report, self.crew, self.known = problem, clock, report, crew, start
        options = problem.study.solve
        self.threads, self.gap, self.seed = options.threads, options.gap, options.seed
        self.x: Floats | None = None
        self.score = -np.inf
        self.bound = min(problem.most, start.bound)
        self.phase = ""
        self.relaxation = Relaxation(problem, self.threads, problem.tolerance)
        self.needed: set[int] = set()
        self.search: Decomposition | None = None

    def tell(self, phase: str | None = None) -> None:
        self.phase = phase or self.phase
        if self.report:
            self.report(Progress(self.phase, self.score, self.bound, self.clock.elapsed, self.clock.left))

    def offer(self, x: Floats | None, arrays: Arrays) -> bool:
        """Keep a solution when its score, entropies taken exactly, is the best so far and it breaks no row."""
        if x is None:
            return False
        whole = self.problem.arrays() if len(arrays.row_names) < self.problem.model.program.height else arrays
        broken = np.flatnonzero(whole.violated(x, FEASIBILITY) & ~whole.cut)
        if len(broken):
            self.needed.update(broken.tolist())
            return False
        score = (float(arrays.cost @ x) - slack(self.problem.scales, x, arrays.cost)) / SCORE
        if score <= self.score:
            return False
        self.x, self.score = x, score
        self.tell()
        return True

    def enough(self, arrays: Arrays) -> Callable[[Floats], bool]:
        """Return what keeps each better solution of a program and tells whether the gap is reached."""

        def keep(x: Floats) -> bool:
            self.offer(x, arrays)
            return self.done

        return keep

    def lower_bound_to(self, model_bound: float) -> None:
        self.bound = min(self.bound, model_bound / SCORE)

    def heard(self, model_bound: float) -> bool:
        """Take a bound that branch and bound has proved so far; return whether that is enough."""
        self.lower_bound_to(model_bound)
        self.tell()
        return self.done

    @property
    def done(self) -> bool:
        """Whether the gap is reached or time is up."""
        reached = np.isfinite(self.score) and self.bound - self.score <= max(self.gap * abs(self.score), NOTHING)
        return bool(reached) or self.clock.left <= 0

    def relax(self, until: float) -> None:
        """Solve the relaxation again and again until its bound settles, or some second has come."""
        self.tell("relaxation")
        before = np.inf
        while not self.relaxation.settled and not self.done:
            answer = self.relaxation.solve(self.clock)
            self.expect(answer)
            if answer.status != "optimal":
                return
            self.lower_bound_to(answer.objective)
            self.tell()
            slow = before - answer.objective < SETTLED * abs(answer.objective)
            if (slow and not self.relaxation.lacking) or self.clock.elapsed > until:
                return
            before = answer.objective

    def branch(self, gap: float) -> Answer:
        """Run branch and bound on the whole program from the best plan, to a gap."""
        self.tell("branch and bound")
        arrays = self.problem.arrays()
        for presolve in ("choose", "off"):
            highs = load(arrays, threads=self.threads, seed=self.seed)
            highs.setOptionValue("presolve", presolve)
            highs.setOptionValue("mip_rel_gap", max(gap, 1e-9))
            highs.setOptionValue("mip_abs_gap", 1e-9)
            if self.problem.study.solve.work_limit is not None:
                highs.setOptionValue("mip_max_nodes", NODES * self.problem.study.solve.work_limit)
            if int(arrays.integer.sum()) <= SMALL:
                highs.setOptionValue("mip_feasibility_tolerance", SHARP)
            if self.x is not None:
                start_from(highs, exact_entropy(self.problem.scales, self.x))
            answer = run(highs, self.clock, self.clock.left, self.heard, self.enough(arrays))
            if answer.status != "infeasible" or self.x is not None:
                break  # that no plan exists is believed when it is found twice, once without presolve
        self.expect(answer)
        if answer.status in ("optimal", "limit"):
            self.lower_bound_to(answer.bound)
        self.offer(answer.x, arrays)
        return answer

    def expect(self, answer: Answer) -> None:
        """Raise what ends a solve; a plan that was found is kept instead."""
        if self.x is not None:
            return
        if answer.status == "infeasible":
            raise InfeasibleError("no plan satisfies the rules")
        if answer.status.startswith("failed"):
            raise SolverError(f"HiGHS {answer.status}; try --solver CBC, or report this study")

    def begin(self) -> None:
        """Offer the plan that the search starts from, or today's district."""
        known, problem = self.known, self.problem
        if known.action is not None and known.floors is not None:
            self.tell("the plan to start from")
            x = decided(problem, known.action, known.floors)
            self.offer(complete(problem, x, self.clock, self.threads), problem.arrays())
        if self.x is None:
            self.tell("today's district")
            self.offer(today(problem, self.clock, self.threads), problem.arrays())

    def start(self) -> None:
        """Find first plans: one that is known or today's district, where they keep the rules, and the relaxation rounded."""
        self.begin()
        self.relax(self.clock.limit / 4)
        if self.done or self.relaxation.x is None:
            return
        self.tell("rounding the relaxation")
        seconds = max(ROUNDING * self.clock.limit, ROUNDING_SECONDS)
        x = round_by_prices(self.problem, self.relaxation, self.needed, self.clock, seconds, self.threads)
        self.offer(x, self.problem.arrays())
        if self.x is None and not self.done:
            self.tell("looking for a first plan")
            seconds = max(FIRST * self.clock.limit, ROUNDING_SECONDS)
            x = nearest(self.problem, self.relaxation.x, self.needed, self.clock, seconds, self.threads)
            self.offer(x, self.problem.arrays())

    def improve(self) -> None:
        """Improve the plan by tiles that grow when they no longer help."""
        problem, relaxation, clock = self.problem, self.relaxation, self.clock
        if relaxation.x is None:
            return
        sites = len(problem.district.sites)
        size, fruitless = min(max(TILE_SHARE * sites, SMALLEST_TILE), LARGEST_TILE), 0
        seconds = TILE_SECONDS
        if self.x is not None and self.bound - self.score > FAR * abs(self.score):
            size, seconds = size * GROW, seconds * GROW
        rng = np.random.default_rng(self.seed)
        for number in itertools.count():
            if self.done or self.x is None or (fruitless >= FRUITLESS and size >= sites):
                return
            if number % CUT_EVERY == 0:
                self.relax(clock.elapsed)
                problem.cut(self.x, 1e-6, f"s{number}")
            self.tell("improving by tiles")
            score, arrays = self.score, problem.arrays()
            tile = choose_tile(problem, relaxation.x, self.x, round(size), rng)
            search_tile(
                problem,
                relaxation.x,
                self.x,
                self.needed,
                tile,
                clock,
                seconds,
                self.threads,
                self.seed + number,
                self.enough(arrays),
            )
            fruitless = 0 if self.score - score > FRUIT * (self.bound - score) else fruitless + 1
            if fruitless >= FRUITLESS and size < sites:
                size, seconds, fruitless = size * GROW, seconds * GROW, 0

    def by_pieces(self) -> bool:
        """Prove by prices of stacks and search piece by piece; return whether that was all that can be done.

        Where no plan can be made of the relaxation, the first one is improved all the same.
        """
        problem, clock = self.problem, self.clock
        if count(problem, problem.arrays()) > MOST:
            return False
        self.begin()
        if self.x is None:
            self.tell("looking for a first plan")
            seconds = max(ROUNDING * clock.limit, ROUNDING_SECONDS) if np.isfinite(clock.limit) else np.inf
            first = nearest(problem, kept(problem), self.needed, clock, seconds, self.threads)
            self.offer(first, problem.arrays())
        self.tell("pricing stacks")
        self.search = search = Decomposition(problem, clock, self.crew)
        search.prove(self.heard, PROVING * clock.limit, FIRST_BOUND * search.allowed)
        if search.master.x is None or self.done:
            return False
        self.tell("making a plan")
        made = search.make(planned=self.x is not None)
        self.lower_bound_to(search.master.bound)
        self.offer(made, problem.arrays())
        while self.x is not None and not self.done and not search.spent:
            if not search.settled and (search.tired_out or self._unproved_most(search)):
                self.tell("pricing stacks")
                search.prove(self.heard, np.inf, search.unplanned(self.x) / 2)
            elif not search.tired_out:
                self.tell("improving pieces")
                offer = partial(self.offer, arrays=problem.arrays())
                search.improve(self.x, offer, partial(self._enough_improved, search))
            else:
                break
        return made is not None or search.spent

    @property
    def shadow_prices(self) -> Floats | None:
        """By how much less than the bound any plan scores that leaves a parcel empty, shape (P,)."""
        if self.search is None:
            return None
        master = self.search.master
        prices = master.shadow_prices()
        if prices is None or not np.isfinite(master.bound):
            return None
        # They are against the master's own bound, which another may have beaten since.
        return prices / SCORE - (master.bound / SCORE - self.bound)

    def _enough_improved(self, search: Decomposition) -> bool:
        """Whether the gap is reached, or the bound should be lowered next."""
        self.lower_bound_to(search.master.bound)
        return self.done or self._unproved_most(search)

    def _unproved_most(self, search: Decomposition) -> bool:
        """Whether the bound leaves more open than the plan, and can be lowered."""
        return not search.settled and self.x is not None and search.unproved > search.unplanned(self.x)

    def nearly_whole(self) -> bool:
        """Whether the relaxation of a program without walks and entropies leaves few decisions open."""
        if len(self.problem.flows.columns) or self.problem.scales:
            return False
        self.relax(self.clock.limit / 4)
        x = self.relaxation.x
        return x is not None and (np.abs(x - np.rint(x)) > WHOLE)[self.problem.arrays().integer].sum() <= OPEN

    def with_highs(self) -> None:
        decisions = int(self.problem.arrays().integer.sum())
        limited = self.problem.study.solve.work_limit is not None
        if decisions <= SMALL:
            if self.known.action is not None:
                self.begin()
            self.relax(self.clock.limit / 4)
        elif decisions <= LARGE or (decisions <= HUGE and self.nearly_whole()):
            self.start()
        elif not self.by_pieces():
            if not self.done:
                self.start()
                self.improve()
        elif decisions > HUGE or limited:
            return
        for number in range(50):
            if self.done:
                return
            score = self.score
            # The first rounds only find where entropy is cut; proof comes when cuts are in place.
            coarse = FIRST_GAPS[number] if self.problem.scales and number < len(FIRST_GAPS) else 0.0
            answer = self.branch(max(self.gap / 2, coarse))
            if answer.x is None or self.done:
                return
            if not self.problem.cut(answer.x, 1e-6, f"b{number}") and self.score <= score and coarse <= self.gap / 2:
                return

    def with_pulp(self, name: str) -> None:
        """Leave the integer program to another solver, again after each round of cuts."""
        self.start()
        for number in range(50):
            arrays = self.problem.arrays()
            self.tell(name)
            status, x = run_solver(arrays, name, self.gap / 4, max(self.clock.left, 1.0), self.threads)
            if status == "infeasible" and self.x is None:
                raise InfeasibleError("no plan satisfies the rules")
            if x is None:
                return
            if status == "optimal" and self.clock.left > 0:
                # PuLP does not pass a bound on; a solver that stopped by itself is within the gap it was given.
                self.lower_bound_to(float(arrays.cost @ x) / (1 - min(self.gap, 0.9) / 4))
            self.offer(x, arrays)
            if self.done or not self.problem.cut(x, 1e-6, f"p{number}"):
                return


def solve_problem(
    problem: Problem, report: Report | None = None, scheduler: str | None = None, start: Start | None = None
) -> Solution:
    """Solve a problem with the study's solver.

    Parameters
    ----------
    report : callable, optional
    scheduler : str, optional
        Dask scheduler whose workers solve pieces; threads of this process by default.
    start : Start, optional
        A plan and a bound that are known.

    Raises
    ------
    InfeasibleError
        When no plan satisfies the rules.
    LimitError
        When time is up before a plan is found.
    SolverError
        When the solver is missing or fails.
    """
    options = problem.study.solve
    start = start or Start()
    limit = options.time_limit if options.work_limit is None else np.inf
    clock = Clock(limit, stop=start.stop or threading.Event())
    name = options.solver
    if name.lower() != "highs":
        solver_by_name(name, options.gap, options.time_limit, options.threads)
    with crew(scheduler, options.threads) as workers, clock.until_interrupted():
        state = _Run(problem, clock, report, workers, start)
        if name.lower() == "highs":
            state.with_highs()
        else:
            state.with_pulp(name)
    if state.x is None and clock.stopped:
        raise LimitError(f"stopped by Ctrl-C after {clock.elapsed:.0f} s, before a plan was found; nothing was written")
    if state.x is None:
        raise LimitError(f"stopped after {clock.elapsed:.0f} s without a plan; raise --time-limit, or loosen a rule")
    trivial = state.bound >= problem.most
    return Solution(state.x, state.bound, trivial, clock.elapsed, name, clock.stopped, state.shadow_prices)
