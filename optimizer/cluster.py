"""Where pieces are solved: threads of this process, or the workers of a Dask cluster.

A piece is a task by itself, of a few megabytes at most; what is not done when a worker is lost goes to another one, and
counts as fruitless where none is left. Answers are put together here, in the order they were asked for, so that
neither how many workers there are nor a loss changes what a turn of pieces does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.errors import SolverError
from optimizer.highs import Clock
from optimizer.pieces import Task, solve_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from optimizer.district import Floats

LOCAL = "local"
"""In place of an address: a cluster of this machine's own processes."""
PATIENCE = 8.0
"""Seconds that a scheduler is given to answer."""
RETRIES = 5


@dataclass(frozen=True)
class Crew:
    """Who solves pieces.

    Attributes
    ----------
    workers : int
        Pieces solved side by side.
    solve : callable
        Takes tasks, a clock and the seconds of each; returns their answers in order.
    """

    workers: int
    solve: Callable[[Sequence[Task], Clock, float], list[Floats | None]]


def threads(workers: int) -> Crew:
    """Return threads of this process: HiGHS lets go of the interpreter while it runs."""

    def solve(tasks: Sequence[Task], clock: Clock, seconds: float) -> list[Floats | None]:
        if len(tasks) == 1:
            return [solve_task(tasks[0], clock, seconds)]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda task: solve_task(task, clock, seconds), tasks))

    return Crew(workers, solve)


@contextmanager
def crew(scheduler: str | None, workers: int) -> Iterator[Crew]:
    """Give who solves pieces while the block runs: threads, or a cluster's workers where a scheduler is named.

    Parameters
    ----------
    scheduler : str, optional
        Address, such as ``tcp://10.0.0.1:8786``, or ``local``: a cluster of as many processes as ``workers``.

    Raises
    ------
    SolverError
        When no scheduler answers there, or dask.distributed is not installed.
    """
    if scheduler is None:
        yield threads(workers)
        return
    with connected(scheduler, workers) as client:
        yield on_cluster(client)


@contextmanager
def connected(scheduler: str, workers: int) -> Iterator[Any]:
    """Give a Dask client of a scheduler while the block runs.

    Parameters
    ----------
    scheduler : str
        Address, or ``local``: a cluster of as many processes as ``workers``.

    Raises
    ------
    SolverError
        When no scheduler answers there, or dask.distributed is not installed.
    """
    try:
        import distributed
    except ImportError:
        raise SolverError("--scheduler needs dask.distributed: pip install 'upstairs[cluster]'") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)
    try:
        if scheduler == LOCAL:
            cluster: Any = distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)  # type: ignore[no-untyped-call]
        else:
            cluster = scheduler
        client = distributed.Client(cluster, timeout=PATIENCE)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise SolverError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({type(error).__name__}); start one with "
            "`dask scheduler`, give its address as tcp://HOST:PORT, or leave --scheduler out"
        ) from None
    try:
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]
        if scheduler == LOCAL:
            cluster.close()


def on_cluster(client: Any) -> Crew:
    """Return the workers of a cluster that a Dask client is connected to."""
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    count = sum(client.nthreads().values())
    if not count:
        raise SolverError("the Dask cluster has no workers; start some with `dask worker ADDRESS`")

    def solve(tasks: Sequence[Task], clock: Clock, seconds: float) -> list[Floats | None]:
        limit = min(seconds, clock.left)
        futures = client.map(_solve, list(tasks), [limit] * len(tasks), pure=False, retries=RETRIES)
        found: list[Floats | None] = []
        for future in futures:
            while True:
                try:
                    found.append(future.result(timeout=1.0))
                    break
                except (KilledWorker, CommClosedError, CancelledError):
                    found.append(None)
                    break
                except TimeoutError:
                    if clock.left <= 0:
                        client.cancel(futures)
                        return found + [None] * (len(tasks) - len(found))
        return found

    return Crew(count, solve)


def _solve(task: Task, seconds: float) -> Floats | None:
    return solve_task(task, Clock(math.inf), seconds)
