"""Several solves at a time: a thread each, all of them ended in order by Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from optimizer.interrupt import on_interrupt
from optimizer.study import Study

T = TypeVar("T")
LARGE = 3_000
"""Building sites from which a solve needs all threads, and the memory, for itself."""


class Together:
    """Runs solves some at a time: HiGHS lets go of the interpreter while it runs.

    Attributes
    ----------
    workers : int
        Solves at a time.
    stop : threading.Event
        Set by Ctrl-C; solves that are given it end with the best plan they have.
    """

    def __init__(self, study: Study, sites: int, scheduler: str | None) -> None:
        alone = scheduler is not None or sites > LARGE
        self.workers = 1 if alone else study.solve.threads
        self.stop = threading.Event()

    def share(self, study: Study) -> Study:
        """Return a study that takes its part of the threads."""
        threads = study.solve.threads if self.workers == 1 else 1
        return study.model_copy(update={"solve": study.solve.model_copy(update={"threads": threads})})

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Return what no more tasks than there are workers return, in their order."""
        with on_interrupt(lambda *_: self.stop.set()):
            if len(tasks) == 1:
                return [tasks[0]()]
            with ThreadPoolExecutor(len(tasks)) as pool:
                return list(pool.map(lambda task: task(), tasks))
