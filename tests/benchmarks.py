"""Benchmarks, on demand: python -m tests.benchmarks [NAME ...]. Each is one function; the table goes into README."""

from __future__ import annotations

import dataclasses
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import sparse

import optimizer
from geodata.synthetic import synthetic_district
from geodata.walking import walking_distance
from optimizer.district import District, read_district
from optimizer.highs import Clock, load, run
from optimizer.kernels import annual_kernel, plume, sound_kernel
from optimizer.model import AREA, SCORE, Arrays
from optimizer.problem import Problem, all_rules, assemble
from optimizer.proximity import reference_value
from optimizer.pulp_bridge import to_pulp
from optimizer.reference import most_floor_area
from optimizer.rules.receptors import ReceptorRule
from optimizer.solving import Progress
from optimizer.study import Study, load_study
from tests.districts import lots
from tests.districts import study as small_study

ROOT = Path(__file__).resolve().parents[1]
Row = tuple[str, str]
BENCHMARKS: dict[str, Callable[[], Iterator[Row]]] = {}


def benchmark(function: Callable[[], Iterator[Row]]) -> Callable[[], Iterator[Row]]:
    """Register a benchmark under its name."""
    BENCHMARKS[function.__name__] = function
    return function


@benchmark
def demo() -> Iterator[Row]:
    """The shipped example to 0.1 %."""
    started = time.perf_counter()
    result = optimizer.solve(ROOT / "examples/quanzhi/study.toml").result
    yield "solved", f"{time.perf_counter() - started:.1f} s"
    yield "gap", f"{result['gap']:.2%}"


@benchmark
def kendall() -> Iterator[Row]:
    """Kendall Square, 180 real parcels: seconds to each proved gap within 60 s."""
    study = load_study(ROOT / "examples/cambridge/kendall.toml")
    options = study.solve.model_copy(update={"gap": 1e-4, "time_limit": 60.0})
    reached: dict[float, float] = {}

    def report(p: Progress) -> None:
        for gap in (0.05, 0.02, 0.01):
            if p.gap <= gap:
                reached.setdefault(gap, p.seconds)

    result = optimizer.solve(study.model_copy(update={"solve": options}), report=report).result
    for gap in (0.05, 0.02, 0.01):
        yield f"gap of {gap:.0%} proved", f"{reached[gap]:.0f} s" if gap in reached else "not within 60 s"
    yield "gap after 60 s", f"{result['gap']:.2%}"


@benchmark
def flow_against_pairs() -> Iterator[Row]:
    """One linear relaxation, synthetic parcels: flow on the network, and the textbook transport over all pairs."""
    for parcels in (200, 1000):
        problem = _synthetic(parcels, objective={"proximity": 1.0, "mixing": 0.0})
        flow = _plain(problem.arrays())
        optimum, seconds = {}, {}
        for name, arrays in (("flow", flow), ("pairs", _pair_form(problem, flow))):
            highs = load(arrays, relaxed=True)
            highs.setOptionValue("solver", "ipm")
            started = time.perf_counter()
            optimum[name] = run(highs, Clock(1800), 1800).objective / SCORE
            seconds[name] = time.perf_counter() - started
            size = f"{arrays.matrix.shape[1]:,} columns"
            yield f"{parcels} parcels, {name}, {size}", f"{seconds[name]:.2f} s, optimum {optimum[name]:.6f}"
        yield f"{parcels} parcels, times faster", f"{seconds['pairs'] / seconds['flow']:.1f}"


@benchmark
def thousand() -> Iterator[Row]:
    """1,000 synthetic parcels: read, built and handed over."""
    started = time.perf_counter()
    problem = _synthetic(1000)
    read = time.perf_counter()
    arrays = problem.arrays()
    yield "read, walked, built", f"{read - started:.2f} s"
    load(arrays)
    loaded = time.perf_counter()
    yield "handed to HiGHS", f"{loaded - read:.2f} s"
    to_pulp(arrays)
    yield "handed to PuLP", f"{time.perf_counter() - loaded:.2f} s"
    yield "rows, columns", f"{arrays.matrix.shape[0]:,}, {arrays.matrix.shape[1]:,}"
    yield "most memory of the process", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"


def _synthetic(parcels: int, **sections: object) -> Problem:
    lots, streets = synthetic_district(parcels)
    uses = ("workshop", "rnd", "housing", "services")
    columns = ("id", "zone", "max_far", "max_height", "coverage", "storeys", "year", "protected")
    study: Study = load_study(
        {
            "name": "Benchmark",
            "parcels": {"columns": {c: c for c in columns}, "existing": {u: f"gfa_{u}" for u in uses}},
            "rules": [{"kind": "programme", "min_today": 1.0, "max_today": 1.5}],
            **sections,
        }
    )
    district: District = read_district(study, lots, streets)
    return assemble(study, district)


def _plain(arrays: Arrays) -> Arrays:
    """Drop what tells today's floors from converted and new ones inside buildings: the flow as textbooks have it."""
    upper = arrays.upper.copy()
    for k, name in enumerate(arrays.column_names):
        if name.startswith("inside_"):
            upper[k] = np.inf if name.startswith("inside_new_") else 0.0
    keep = np.array([not name.startswith("inside_") for name in arrays.row_names])
    return dataclasses.replace(arrays, upper=upper).rows(keep)


def _pair_form(problem: Problem, flow: Arrays) -> Arrays:
    """Put one column a pair of doors within reach in place of walks and balances; everything else stays."""
    d = problem.district
    scale = SCORE * problem.study.objective.proximity
    value = scale / (reference_value(d, most_floor_area(d, all_rules(problem.study))[:-1]) * AREA)
    place = {name: k for k, name in enumerate(flow.column_names)}
    cost, blocks, rows = flow.cost.copy(), [], 0
    new_cost = []
    for link in d.linkages:
        near = walking_distance(d.network, link.reach).tocoo()
        name = f"{link.client}_{link.supplier}"
        ends = [[place[f"{kind}_{name}_{s}"] for s in problem.model.site_names] for kind in ("served", "given")]
        for columns in ends:
            cost[columns] = 0.0
        new_cost.append(value * link.strength * (1 - near.data / link.reach))
        blocks.append((near.row, near.col, ends, len(near.data)))
        rows += 2 * len(d.sites)
    width, count = len(cost), sum(block[3] for block in blocks)
    entry_rows, entry_columns, entries = [], [], []
    first_row, first_column, sites = 0, width, np.arange(len(d.sites))
    for client, supplier, ends, pairs in blocks:
        for at, columns in zip((client, supplier), ends, strict=True):
            entry_rows += [first_row + at, first_row + sites]
            entry_columns += [np.arange(first_column, first_column + pairs), np.array(columns)]
            entries += [np.ones(pairs), -np.ones(len(sites))]
            first_row += len(sites)
        first_column += pairs
    linking = sparse.csr_matrix(
        (np.concatenate(entries), (np.concatenate(entry_rows), np.concatenate(entry_columns))),
        shape=(rows, width + count),
    )
    keep = np.array([not n.startswith("balance_") for n in flow.row_names])
    upper = flow.upper.copy()
    upper[[k for n, k in place.items() if n.startswith("walk_")]] = 0.0
    rest = flow.rows(keep)
    padded = sparse.hstack([rest.matrix, sparse.csr_matrix((rest.matrix.shape[0], count))])
    return dataclasses.replace(
        rest,
        cost=np.concatenate([cost, *new_cost]),
        lower=np.concatenate([flow.lower, np.zeros(count)]),
        upper=np.concatenate([upper, np.full(count, np.inf)]),
        integer=np.concatenate([flow.integer, np.zeros(count, dtype=bool)]),
        matrix=sparse.csr_matrix(sparse.vstack([padded, linking])),
        row_lower=np.concatenate([rest.row_lower, np.zeros(rows)]),
        row_upper=np.concatenate([rest.row_upper, np.zeros(rows)]),
        lazy=np.concatenate([rest.lazy, np.full(rows, np.inf)]),
        cut=np.concatenate([rest.cut, np.zeros(rows, dtype=bool)]),
        column_names=[*flow.column_names, *(f"pair_{k}" for k in range(count))],
        row_names=[*rest.row_names, *(f"link_{k}" for k in range(rows))],
    )


@benchmark
def kernels() -> Iterator[Row]:
    """What 2,000 buildings send to 4,000 points of facades: sound with screens on every tenth lot, air over a wind rose."""
    rng = np.random.default_rng(1)
    storeys = rng.integers(0, 5, 2000)
    frame = lots(2000, columns=50, side=30.0, gap=12.0, storeys=storeys, protected=rng.random(2000) < 0.1)
    frame["gfa_homes"] = storeys * 500.0
    wind = {"classes": [{"stability": s, "speed": 3.0, "frequency": [1 / 96] * 16} for s in "ABCDEF"]}
    asked = small_study(lot_columns=("id", "max_far", "coverage", "storeys", "protected"), pollution={"wind": wind})
    district = read_district(asked, frame)
    site, xy = (part[:8000:2] for part in district.around.facades)
    started = time.perf_counter()
    sound_kernel(district, site, xy, (0.125,) * 8, 0.0, None)
    yield "sound", f"{time.perf_counter() - started:.1f} s"
    started = time.perf_counter()
    annual_kernel(district, plume(district, site, xy, None), "air")
    yield "air, annual mean", f"{time.perf_counter() - started:.1f} s"
    yield "most memory of the process", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GiB"


@benchmark
def pollution() -> Iterator[Row]:
    """Kendall Square under limits on noise and air, and without them: seconds to a proved 1 %."""
    study = load_study(ROOT / "examples/cambridge/pollution.toml")
    free = [rule for rule in study.rules if not isinstance(rule, ReceptorRule) and rule.kind != "indoor_noise"]
    seconds = []
    for what, rules in (("without the limits", free), ("with them", study.rules)):
        result = optimizer.solve(study.model_copy(update={"rules": rules})).result
        seconds.append(result["seconds"])
        yield f"{what}, to a gap of {result['gap']:.2%}", f"{result['seconds']:.0f} s"
    yield "times longer", f"{seconds[1] / seconds[0]:.1f}"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, and print a table in Markdown."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"{unknown[0]}: no such benchmark; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    packages = ", ".join(f"{name} {version(name)}" for name in ("highspy", "pulp", "numpy"))
    print(f"{datetime.now(UTC):%d %B %Y}, Python {platform.python_version()}, {os.cpu_count()} cores, {packages}\n")
    print("| benchmark | what | result |\n|---|---|---:|")
    for name in names or BENCHMARKS:
        for what, result in BENCHMARKS[name]():
            print(f"| {name} | {what} | {result} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
