"""Which of HiGHS's engines solves the master program over stacks, by size, and what the prices of each prove."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from optimizer.district import read_district
from optimizer.highs import Clock, duals, load, run
from optimizer.master import Master
from optimizer.model import SCORE
from optimizer.problem import assemble
from tests.benchmarks.case import Told, rows, told
from tests.benchmarks.registry import Options, Row, benchmark
from tests.benchmarks.studies import ask, label, layers

ENGINES = {"dual simplex": "simplex", "interior point": "ipm", "first order": "pdlp"}
SECONDS = 300.0
"""Time limit of each when none is asked for."""


@benchmark(200, 1000, 5000)
def engines(options: Options) -> Iterator[Row]:
    """The first master program by dual simplex, interior point and PDLP: seconds, value, and the bound its prices prove."""
    for size in options.sizes:
        for name, engine in ENGINES.items():
            asked = {"threads": options.threads, "time_limit": options.time_limit or SECONDS}
            case = f"{label(str(size))}, {name}"
            yield from rows(case, solved, district=str(size), engine=engine, **asked)


def solved(district: str, engine: str, **solve: object) -> Iterator[Told]:
    """Solve the master over the stacks that it begins with; prove a bound by the prices found, whatever their accuracy."""
    study = ask(district, None, **solve)
    master = Master(assemble(study, read_district(study, *layers(district))), study.solve.threads)
    master.begin(study.solve.seed)
    rows = np.flatnonzero(master.coupling & master.held())
    highs = load(master.program(master.choices, rows), relaxed=True, threads=study.solve.threads)
    for option, value in (("solver", engine), ("run_crossover", "off")):
        highs.setOptionValue(option, value)
    started = time.perf_counter()
    answer = run(highs, Clock(study.solve.time_limit), study.solve.time_limit)
    yield told(f"solved, {answer.status}", time.perf_counter() - started)
    yield told("value", answer.objective / SCORE, "")
    found = duals(highs)
    if len(found):
        prices = np.zeros(master.arrays.matrix.shape[0])
        prices[rows] = found[: len(rows)]
        yield told("bound that its prices prove", master.price(prices).bound / SCORE, "")
