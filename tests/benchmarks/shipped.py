"""The benchmarks whose table goes into README: what ships, and how the model and its kernels do."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

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
from tests.benchmarks.apart import peak_memory
from tests.benchmarks.case import Told, rows, told
from tests.benchmarks.registry import ROOT, Options, Row, benchmark
from tests.districts import lots
from tests.districts import study as small_study


def _with(study: Study, **changes: Any) -> Study:
    """Return a study whose ``[solve]`` differs where something other than None is given."""
    given = {key: value for key, value in changes.items() if value is not None}
    return study.model_copy(update={"solve": study.solve.model_copy(update=given)})


@benchmark()
def demo(options: Options) -> Iterator[Row]:
    """The shipped example to 0.1 %."""
    study = _with(load_study(ROOT / "examples/quanzhi/study.toml"), time_limit=options.time_limit)
    started = time.perf_counter()
    result = optimizer.solve(study).result
    yield Row("quanzhi", "solved", time.perf_counter() - started, "s")
    yield Row("quanzhi", "gap", 100 * result["gap"], "%")


@benchmark()
def kendall(options: Options) -> Iterator[Row]:
    """Kendall Square, 180 real parcels: seconds to each proved gap within 60 s."""
    limit = options.time_limit or 60.0
    study = load_study(ROOT / "examples/cambridge/kendall.toml")
    study = _with(study, gap=1e-4, time_limit=limit, threads=options.threads)
    reached: dict[float, float] = {}

    def report(p: Progress) -> None:
        for gap in (0.05, 0.02, 0.01):
            if p.gap <= gap:
                reached.setdefault(gap, p.seconds)

    result = optimizer.solve(study, report=report).result
    for gap in (0.05, 0.02, 0.01):
        yield Row("180 parcels", f"gap of {gap:.0%} proved", reached.get(gap), "s")
    yield Row("180 parcels", f"gap after {limit:.0f} s", 100 * result["gap"], "%")


@benchmark(200, 1000)
def flow_against_pairs(options: Options) -> Iterator[Row]:
    """One linear relaxation, synthetic parcels: flow on the network, and the textbook transport over all pairs."""
    for parcels in options.sizes:
        problem = _synthetic(parcels, objective={"proximity": 1.0, "mixing": 0.0})
        flow = plain(problem.arrays())
        seconds = {}
        for name, arrays in (("flow", flow), ("pairs", _pair_form(problem, flow))):
            highs = load(arrays, relaxed=True)
            highs.setOptionValue("solver", "ipm")
            started = time.perf_counter()
            optimum = run(highs, Clock(1800), 1800).objective / SCORE
            seconds[name] = time.perf_counter() - started
            case = f"{parcels:,} parcels, {name}"
            yield Row(case, "columns", arrays.matrix.shape[1])
            yield Row(case, "solved", seconds[name], "s")
            yield Row(case, "optimum", optimum)
        yield Row(f"{parcels:,} parcels", "times faster", seconds["pairs"] / seconds["flow"])


@benchmark()
def thousand(options: Options) -> Iterator[Row]:
    """1,000 synthetic parcels: read, built and handed over."""
    yield from rows("1,000 parcels", building)


@benchmark()
def kernels(options: Options) -> Iterator[Row]:
    """What 2,000 buildings send to 4,000 points of facades: sound with screens on every tenth lot, air over a wind rose."""
    yield from rows("2,000 buildings, 4,000 points", sending)


@benchmark()
def pollution(options: Options) -> Iterator[Row]:
    """Kendall Square under limits on noise and air, and without them: seconds to a proved 1 %."""
    study = load_study(ROOT / "examples/cambridge/pollution.toml")
    study = _with(study, time_limit=options.time_limit, threads=options.threads)
    free = [rule for rule in study.rules if not isinstance(rule, ReceptorRule) and rule.kind != "indoor_noise"]
    seconds = []
    for case, rules in (("without the limits", free), ("with them", study.rules)):
        result = optimizer.solve(study.model_copy(update={"rules": rules})).result
        seconds.append(result["seconds"])
        yield Row(case, "gap", 100 * result["gap"], "%")
        yield Row(case, "solved", result["seconds"], "s")
    yield Row("with them", "times longer", seconds[1] / seconds[0])


def building() -> Iterator[Told]:
    """Read, build and hand over 1,000 synthetic parcels."""
    started = time.perf_counter()
    problem = _synthetic(1000)
    read = time.perf_counter()
    arrays = problem.arrays()
    yield told("read, walked, built", read - started, "s")
    load(arrays)
    loaded = time.perf_counter()
    yield told("handed to HiGHS", loaded - read, "s")
    to_pulp(arrays)
    yield told("handed to PuLP", time.perf_counter() - loaded, "s")
    yield told("rows", arrays.matrix.shape[0], "")
    yield told("columns", arrays.matrix.shape[1], "")
    yield told("most memory of the process", peak_memory(), "GiB")


def sending() -> Iterator[Told]:
    """Compute the kernels of sound and air of 2,000 buildings."""
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
    yield told("sound", time.perf_counter() - started, "s")
    started = time.perf_counter()
    annual_kernel(district, plume(district, site, xy, None), "air")
    yield told("air, annual mean", time.perf_counter() - started, "s")
    yield told("most memory of the process", peak_memory(), "GiB")


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


def plain(arrays: Arrays) -> Arrays:
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
