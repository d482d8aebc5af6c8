"""One study from reading to writing, each stage timed: what runs in a process of its own."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from geodata.walking import DEFAULT_SNAP, street_network
from optimizer.api import _result
from optimizer.audit import audit_folder
from optimizer.district import read_district
from optimizer.errors import UpstairsError
from optimizer.highs import Clock, load, run
from optimizer.model import SCORE
from optimizer.plan import Plan, read_solution
from optimizer.problem import assemble
from optimizer.solving import solve_problem
from tests.benchmarks.apart import CaseFailed, Workers, apart, peak_memory
from tests.benchmarks.registry import Row
from tests.benchmarks.studies import ask, layers
from tests.benchmarks.trace import GAPS, Point, Trace

Told = dict[str, Any]
SAME = 1e-5
"""Largest relative difference of two optima that are one."""
SHORT, AGAIN = 0.5, 4
"""Seconds up to which a stage is timed again, and how often."""
T = TypeVar("T")


def told(what: str, value: float | None, unit: str = "s") -> Told:
    """A measurement that can pass as JSON."""
    return {"what": what, "value": value, "unit": unit}


def timed(done: list[Told], what: str, function: Callable[[], T], again: int = 0) -> T:
    """Call a function, note its seconds, return its result.

    A short call is made again so many times and the least is kept: the first pays for imports, and others use this machine.
    """
    least = np.inf
    for _ in range(1 + again):
        result = None  # two at once would count as memory of one
        started = time.perf_counter()
        result = function()
        least = min(least, time.perf_counter() - started)
        if least > SHORT:
            break
    done.append(told(what, least))
    return result


def whole(
    district: str, noise: float | None, written: bool, scheduler: str | None = None, **solve: Any
) -> Iterator[Told]:
    """Generate, read, build, solve and audit; with `written`, write the plan and audit the files too.

    What is yielded last are the points of the trace, whatever came of the solve.
    """
    trace = Trace()
    try:
        yield from _stages(trace, district, noise, written, scheduler, **solve)
    except UpstairsError as error:
        yield told(f"no plan: {error}", None, "")
    yield {"points": [dataclasses.astuple(p) for p in trace.points]}


def _stages(
    trace: Trace, district: str, noise: float | None, written: bool, scheduler: str | None, **solve: Any
) -> Iterator[Told]:
    yield told("memory of imports", peak_memory(), "GiB")
    stage: list[Told] = []
    study = ask(district, noise, **solve)
    parcels, streets = timed(stage, "generate", lambda: layers(district), AGAIN)
    found = timed(stage, "read, district", lambda: read_district(study, parcels, streets), AGAIN)
    if streets is not None:
        walks = "walking network (part of reading)"
        timed(stage, walks, lambda: street_network(streets, found.sites, DEFAULT_SNAP), AGAIN)
    problem = timed(stage, "assemble", lambda: assemble(study, found), AGAIN)
    arrays = timed(stage, "arrays", problem.arrays)
    timed(stage, "hand over to HiGHS", lambda: load(arrays, threads=study.solve.threads), AGAIN)
    yield from stage
    yield told("memory to build", peak_memory(), "GiB")
    yield told("rows", arrays.matrix.shape[0], "")
    yield told("columns", arrays.matrix.shape[1], "")
    yield told("entries", arrays.matrix.nnz, "")
    arrays = parcels = streets = None  # let go before the solve
    workers = Workers()
    trace.start()
    try:
        with workers:
            solution = solve_problem(problem, trace, scheduler)
    finally:
        trace.stop()
        yield from _phases(trace)
        if scheduler is not None:
            yield told("peak memory of a worker", workers.most, "GiB")
    stage = []

    def answer() -> Plan:
        action, floors = read_solution(problem.model, solution.x)
        result = _result(Plan(study, found, action, floors, {}), solution, trace.seconds)
        return Plan(study, found, action, floors, result)

    plan = timed(stage, "read the plan, audit", answer)
    result = plan.result
    yield from stage
    trace.finish(result["objective"], result["bound"])
    yield told("score", result["objective"], "")
    yield told("bound", result["bound"], "")
    yield told("final gap", None if result["gap"] is None else 100 * result["gap"], "%")
    yield told("first plan after", trace.first_plan)
    for gap in GAPS:
        yield told(f"time to {gap:.0%}", trace.time_to(gap))
    if written:
        stage = []
        with tempfile.TemporaryDirectory() as folder:
            written_to = timed(stage, "write", lambda: plan.save(Path(folder) / "plan"))
            faults = len(timed(stage, "audit of the files", lambda: audit_folder(written_to)).faults)
        yield from stage
        yield told("faults found", faults, "")
    yield told("peak memory", peak_memory(), "GiB")


def _phases(trace: Trace) -> Iterator[Told]:
    for phase, seconds in trace.phases.items():
        yield told(f"solve: {phase}", seconds)
    yield told("solve", trace.seconds)


def relaxation(district: str, noise: float | None, **solve: Any) -> Iterator[Told]:
    """Solve the linear relaxation of the same program once, from inside, without crossover; the faster of two ways.

    HiGHS may lose the duals of such a solution when it undoes its presolve, and then calls the status unknown
    (HiGHS issue 2306). So it is solved without presolve first; with presolve counts when the optimum is the same.
    """
    study = ask(district, noise, **solve)
    arrays = assemble(study, read_district(study, *layers(district))).arrays()
    seconds, optima = [], []
    for presolve in ("off", "on"):
        highs = load(arrays, relaxed=True, threads=study.solve.threads)
        for option, value in (("solver", "ipm"), ("run_crossover", "off"), ("presolve", presolve)):
            highs.setOptionValue(option, value)
        started = time.perf_counter()
        answer = run(highs, Clock(study.solve.time_limit), study.solve.time_limit)
        spent = time.perf_counter() - started
        if presolve == "off" and answer.status != "optimal":
            yield told(f"one LP relaxation: {answer.status}", None)
            return
        x = np.array(highs.getSolution().col_value)
        optima.append(float(arrays.cost @ x) if len(x) else np.nan)
        if abs(optima[-1] - optima[0]) <= SAME * abs(optima[0]):
            seconds.append(spent)
    yield told("one LP relaxation", min(seconds))
    yield told("one LP relaxation, optimum", optima[0] / SCORE, "")
    yield told("one LP relaxation, peak memory", peak_memory(), "GiB")


def rows(
    case: str, function: Callable[..., Iterator[Told]], points: list[Point] | None = None, **arguments: Any
) -> Iterator[Row]:
    """Run a function of a module in a fresh process; yield its measurements, keep its points."""
    try:
        for item in apart(f"{function.__module__}:{function.__name__}", **arguments):
            if "points" in item:
                if points is not None:
                    points += [Point(*point) for point in item["points"]]
            else:
                yield Row(case, item["what"], item["value"], item["unit"])
    except CaseFailed as error:
        yield Row(case, f"failed: {error}", None)
