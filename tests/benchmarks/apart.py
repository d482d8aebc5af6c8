"""A measurement in a process of its own, so that memory and caches are its own too."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.registry import ROOT


class CaseFailed(Exception):
    """The process ended without finishing: killed for want of memory, perhaps."""


def apart(function: str, **arguments: Any) -> Iterator[Any]:
    """Run a generator ``module:name`` in a fresh process; yield what it yields, as it comes.

    Arguments and what is yielded pass as JSON.

    Raises
    ------
    CaseFailed
        When the process fails; what came before has been yielded.
    """
    command = [sys.executable, "-m", "tests.benchmarks.apart", function, json.dumps(arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        ended = False
        try:
            for line in process.stdout:
                yield json.loads(line)
            ended = True
        finally:
            if not ended:  # the reader stopped early
                process.kill()
    if process.returncode:
        raise CaseFailed(f"{function} ended with status {process.returncode}")


def peak_memory() -> float:
    """Most memory this process has held, GiB.

    From ``/proc`` where there is one: Linux hands ``ru_maxrss`` of the parent on to a child it starts.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 2**20
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**30 if sys.platform == "darwin" else most / 2**20


class Workers:
    """Watches, while a block runs, the memory of processes that this one has started.

    Attributes
    ----------
    most : float
        Most that one of them was seen to hold, GiB.
    """

    def __init__(self) -> None:
        self.most = 0.0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._watch.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        own = psutil.Process()
        while not self._over.wait(0.5):
            for child in own.children(recursive=True):
                with suppress(psutil.Error):
                    self.most = max(self.most, child.memory_info().rss / 2**30)


def main(function: str, arguments: str) -> int:
    """Run in the fresh process; solvers may print, so results have a channel of their own."""
    module, name = function.split(":")
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as results:
        os.dup2(2, 1)
        for item in getattr(importlib.import_module(module), name)(**json.loads(arguments)):
            results.write(json.dumps(item) + "\n")
            results.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
