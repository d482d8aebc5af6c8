"""What a solve reports, kept: seconds of each phase, and incumbent and bound over time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from optimizer.solving import Progress

GAPS = (0.10, 0.05, 0.02, 0.01)
"""Gaps whose time is told."""
BEFORE = "before the first report"


def gap_of(incumbent: float, bound: float) -> float:
    """(bound - incumbent) / |incumbent|; infinite while either is unknown."""
    if not math.isfinite(incumbent) or not math.isfinite(bound) or incumbent == 0:
        return math.inf
    return (bound - incumbent) / abs(incumbent)


@dataclass(frozen=True)
class Point:
    """Where a solve stood, so many seconds after it began."""

    seconds: float
    phase: str
    incumbent: float
    bound: float

    @property
    def gap(self) -> float:
        return gap_of(self.incumbent, self.bound)


@dataclass
class Trace:
    """A `report` callback that keeps what it is told; phases are whatever names the solver gives them.

    Attributes
    ----------
    phases : dict
        Phase to seconds, in the order in which they first came.
    points : list of Point
        Each change of phase, incumbent or bound.
    """

    clock: Callable[[], float] = time.perf_counter
    phases: dict[str, float] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The solve begins now."""
        self._started = self._told = self.clock()
        self._phase = BEFORE
        self.seconds = 0.0

    def __call__(self, progress: Progress) -> None:
        self._spend()
        self._phase = progress.phase
        self._keep(progress.incumbent, progress.bound)

    def stop(self) -> None:
        """The solve is over, and stood where it stood last; what follows is not its time."""
        self._spend()
        if self.points:
            self._phase = "end"
            self._keep(self.points[-1].incumbent, self.points[-1].bound)

    def finish(self, incumbent: float, bound: float) -> None:
        """Tell score and bound of the answer, as of the end of the solve."""
        self._phase = "answer"
        self._keep(incumbent, bound)

    def time_to(self, gap: float) -> float | None:
        """Seconds to a gap, or None if it was not reached."""
        return next((p.seconds for p in self.points if p.gap <= gap), None)

    @property
    def first_plan(self) -> float | None:
        """Seconds to the first plan."""
        return next((p.seconds for p in self.points if math.isfinite(p.incumbent)), None)

    def _spend(self) -> None:
        now = self.clock()
        self.phases[self._phase] = self.phases.get(self._phase, 0.0) + now - self._told
        self._told = now
        self.seconds = now - self._started

    def _keep(self, incumbent: float, bound: float) -> None:
        point = Point(self.seconds, self._phase, float(incumbent), float(bound))
        last = self.points[-1] if self.points else None
        if last is None or (last.phase, last.incumbent, last.bound) != (point.phase, point.incumbent, point.bound):
            self.points.append(point)
