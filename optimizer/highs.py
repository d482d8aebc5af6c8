"""HiGHS on a program's arrays: relaxations that grow by cuts, integer programs with a start, and when to stop."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np
from scipy import sparse

from optimizer.district import Bools, Floats, Ints
from optimizer.errors import SolverError
from optimizer.interrupt import on_interrupt
from optimizer.model import Arrays

CALLBACKS = (
    highspy.cb.HighsCallbackType.kCallbackMipInterrupt,
    highspy.cb.HighsCallbackType.kCallbackSimplexInterrupt,
    highspy.cb.HighsCallbackType.kCallbackIpmInterrupt,
    highspy.cb.HighsCallbackType.kCallbackMipImprovingSolution,
)
DUAL, PRIMAL = 1, 4
"""Strategies of the simplex: after rows were added, after the cost was changed."""
WATCH_EVERY = 1.0
"""Seconds between two reports of incumbent and bound."""


_pool = threading.local()
_hushed = threading.Lock()
"""Held while standard output is turned away: two threads at once would each put back what the other had put there."""


@dataclass
class Clock:
    """Time that is left, and whether the user asked to stop.

    Attributes
    ----------
    limit : float
        s.
    stop : threading.Event
        Set by Ctrl-C.
    """

    limit: float
    started: float = field(default_factory=time.monotonic)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def stopped(self) -> bool:
        """Whether the user asked to stop."""
        return self.stop.is_set()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds left; none after Ctrl-C."""
        return 0.0 if self.stopped else max(self.limit - self.elapsed, 0.0)

    @contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Turn Ctrl-C into an orderly stop while the block runs."""
        with on_interrupt(lambda *_: self.stop.set()):
            yield


@dataclass(frozen=True)
class Answer:
    """What HiGHS returned.

    Attributes
    ----------
    status : str
        ``optimal`` (within the gap), ``infeasible``, ``limit``, or ``failed with ...``.
    x : ndarray or None
        Best solution, shape (columns,).
    objective, bound : float
        Model units; minus and plus infinity when unknown.
    """

    status: str
    x: Floats | None
    objective: float
    bound: float


def _new() -> highspy.Highs:
    """Make a HiGHS without the banner that it prints when first made, before any option can silence it."""
    with _hushed:
        try:
            sys.stdout.flush()
            kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        except OSError:  # no standard output to keep clean
            return highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
        try:
            os.dup2(nowhere, 1)
            return highspy.Highs()  # type: ignore[no-untyped-call]
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            os.close(nowhere)


def load(arrays: Arrays, *, relaxed: bool = False, threads: int = 1, seed: int = 0) -> highspy.Highs:
    """Hand a program to a silent HiGHS."""
    matrix = sparse.csc_matrix(arrays.matrix)
    parts = (arrays.cost, arrays.lower, arrays.upper, arrays.row_lower, arrays.row_upper, matrix.data)
    if any(np.isnan(part).any() for part in parts):
        raise SolverError("the program holds a number that is none (NaN); please report this study")
    if getattr(_pool, "threads", None) != threads:
        # HiGHS keeps one pool a calling thread, at its first size, until let go.
        highspy.Highs.resetGlobalScheduler(False)
    _pool.threads = threads
    highs = _new()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", threads)
    highs.setOptionValue("random_seed", seed)
    nothing = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0)
    told = [highs.addRows(matrix.shape[0], arrays.row_lower, arrays.row_upper, 0, *nothing)]
    # Stated as a minimisation: HiGHS 1.15 loses the duals of HiPO's solution to a maximisation after presolve.
    vectors = -arrays.cost, arrays.lower, arrays.upper
    starts, indices = (part.astype(np.int32, copy=False) for part in (matrix.indptr[:-1], matrix.indices))
    told.append(highs.addCols(matrix.shape[1], *vectors, matrix.nnz, starts, indices, matrix.data))
    whole = np.flatnonzero(arrays.integer).astype(np.int32)
    if len(whole) and not relaxed:
        kind = np.full(len(whole), int(highspy.HighsVarType.kInteger), dtype=np.uint8)
        told.append(highs.changeColsIntegrality(len(whole), whole, kind))
    if highspy.HighsStatus.kError in told:
        raise SolverError("HiGHS refused the program; please report this study")
    return highs


def run(
    highs: highspy.Highs,
    clock: Clock,
    seconds: float,
    watch: Callable[[float], bool] | None = None,
    enough: Callable[[Floats], bool] | None = None,
) -> Answer:
    """Run HiGHS for at most some seconds; Ctrl-C ends it early and keeps what was found.

    Parameters
    ----------
    watch : callable, optional
        Told the bound about once a second; true ends the run.
    enough : callable, optional
        Told each better solution of an integer program, shape (columns,); true ends the run.
    """
    told, stop = time.monotonic(), False
    failure: BaseException | None = None

    def callback(kind: Any, message: str, out: Any, into: Any, data: Any) -> None:
        nonlocal failure
        try:
            follow(kind, out, into)
        except BaseException as error:  # HiGHS would swallow it
            failure = failure or error
            into.user_interrupt = True

    def follow(kind: Any, out: Any, into: Any) -> None:
        nonlocal told, stop
        if kind == highspy.cb.HighsCallbackType.kCallbackMipImprovingSolution:
            if enough is not None:
                stop = enough(np.array(out.mip_solution)) or stop
            return
        if kind == highspy.cb.HighsCallbackType.kCallbackMipInterrupt:
            if watch is not None and time.monotonic() - told > WATCH_EVERY:
                told = time.monotonic()
                stop = watch(-out.mip_dual_bound) or stop
            into.user_interrupt = stop or clock.stopped
        elif clock.stopped:
            into.user_interrupt = True

    highs.setCallback(callback, None)
    for kind in CALLBACKS:
        highs.startCallback(kind)
    highs.setOptionValue("time_limit", max(highs.getRunTime(), 0.0) + max(min(seconds, clock.left), 0.01))
    highs.run()
    if failure is not None:
        raise failure
    status = highs.getModelStatus()
    info = highs.getInfo()
    kinds = highspy.HighsModelStatus
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.array(highs.getSolution().col_value) if feasible else None
    objective = -float(info.objective_function_value) if feasible else -np.inf
    integer = bool(len(highs.getLp().integrality_))
    if status in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
        return Answer("infeasible", None, -np.inf, -np.inf)
    if status == kinds.kOptimal:
        return Answer("optimal", x, objective, -float(info.mip_dual_bound) if integer else objective)
    if status in (
        kinds.kTimeLimit,
        kinds.kInterrupt,
        kinds.kIterationLimit,
        kinds.kSolutionLimit,
        kinds.kObjectiveBound,
    ):
        return Answer("limit", x, objective, -float(info.mip_dual_bound) if integer else np.inf)
    if status == kinds.kModelEmpty:
        return Answer("optimal", np.zeros(0), 0.0, 0.0)
    return Answer(f"failed with {highs.modelStatusToString(status)!r}", None, -np.inf, np.inf)


def add_rows(highs: highspy.Highs, arrays: Arrays, rows: Bools) -> None:
    """Add some of a program's rows, shape (rows,), to a relaxation that does not hold them."""
    part = arrays.rows(rows)
    matrix = part.matrix
    highs.addRows(
        matrix.shape[0],
        part.row_lower,
        part.row_upper,
        matrix.nnz,
        matrix.indptr[:-1].astype(np.int32),
        matrix.indices.astype(np.int32),
        matrix.data,
    )


def bound(highs: highspy.Highs, columns: Ints, lower: Floats, upper: Floats) -> None:
    """Set bounds of some columns of a loaded program."""
    highs.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)


def cut_off(highs: highspy.Highs, least: float) -> None:
    """Let a relaxation end as soon as its objective is known to be less than something."""
    highs.setOptionValue("objective_bound", -least)


def aim(highs: highspy.Highs, cost: Floats) -> None:
    """Let a relaxation maximise another cost, shape (columns,); its last solution stays one to start from."""
    highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), -cost)
    highs.setOptionValue("simplex_strategy", PRIMAL)


def duals(highs: highspy.Highs) -> Floats:
    """Return the price of each row of a solved relaxation, shape (rows,): what one more unit of its bound is worth."""
    return -np.array(highs.getSolution().row_dual)


def start_from(highs: highspy.Highs, x: Floats) -> None:
    """Give HiGHS a solution to start from."""
    solution = highspy.HighsSolution()
    solution.col_value = x.tolist()
    highs.setSolution(solution)
