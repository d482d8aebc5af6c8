"""The p-median problem: spopt against our `siting` rule, with the same solver, HiGHS.

Hakimi (Operations Research 12, 1964), as an integer program ReVelle and Swain (Geographical Analysis 2, 1970); spopt (Feng
and others, Journal of Open Source Software 7, 2022). Instances pmed1 to pmed6 of OR-Library (Beasley, European Journal of
Operational Research 21, 1985) with their published optima, and a street grid of 2,000 nodes with its own.

Made fair: both get the same distances or the network they come from, time starts before the model is written and ends with
the plan, one thread, gap 0 (ours 1e-6). Ours includes reading the parcels and the audit of its plan.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pulp
import shapely
from common import ROOT, THREADS, Row, Stopwatch, table
from scipy.sparse import csgraph, csr_matrix

import optimizer
from geodata.walking import WalkingNetwork

BENCH = ROOT.parent / "shared/bench"
CRS, ORIGIN = "EPSG:32632", np.array([500_000.0, 5_400_000.0])


@dataclass(frozen=True)
class Instance:
    """A network with a client at each node; candidates are nodes too."""

    name: str
    facilities: int
    xy: np.ndarray
    edges: np.ndarray
    length: np.ndarray
    candidates: np.ndarray
    published: float | None = None

    def distances(self) -> np.ndarray:
        """From every node to every candidate, m."""
        nodes = len(self.xy)
        graph = csr_matrix((self.length, self.edges.T), shape=(nodes, nodes))
        return csgraph.dijkstra(graph, directed=False, indices=self.candidates).T


def read_pmed(folder: Path, number: int) -> Instance:
    """Read a problem of OR-Library; where it gives an edge several costs, the last one counts."""
    optima = dict(line.split() for line in (folder / "pmedopt.txt").read_text().splitlines()[1:] if line.strip())
    lines = (folder / f"pmed{number}.txt").read_text().splitlines()
    (nodes, _, facilities), *edges = [[int(v) for v in line.split()] for line in lines if line.strip()]
    length = {(min(i, j) - 1, max(i, j) - 1): cost for i, j, cost in edges}
    side = int(np.ceil(np.sqrt(nodes)))
    xy = 20.0 * np.column_stack(np.divmod(np.arange(nodes), side))  # only to draw: costs are the distances
    ends, costs = np.array(list(length)), np.array(list(length.values()), dtype=float)
    name = f"pmed{number}"
    return Instance(name, facilities, xy, ends, costs, np.arange(nodes), float(optima[name]))


def grid(nodes: int = 2000, facilities: int = 25, candidates: int = 50, seed: int = 0) -> Instance:
    """A street grid of irregular blocks; every node is a client, some chosen at random are candidates."""
    rng = np.random.default_rng(seed)
    rows = int(np.sqrt(nodes / 1.25))
    columns = nodes // rows
    x, y = np.cumsum(rng.uniform(60, 140, columns)), np.cumsum(rng.uniform(60, 140, rows))
    place = np.arange(rows * columns).reshape(rows, columns)
    xy = np.column_stack([np.tile(x, rows), np.repeat(y, columns)])
    along = [
        np.column_stack([a.ravel(), b.ravel()]) for a, b in ((place[:, :-1], place[:, 1:]), (place[:-1], place[1:]))
    ]
    edges = np.concatenate(along)
    length = np.abs(xy[edges[:, 0]] - xy[edges[:, 1]]).sum(axis=1).round()
    chosen = np.sort(rng.choice(len(xy), candidates, replace=False))
    return Instance(f"grid, {len(xy):,} nodes, {candidates} candidates", facilities, xy, edges, length, chosen)


def by_spopt(instance: Instance, limit: float) -> tuple[float | None, float]:
    """Total distance of spopt's plan (None where it is not proved in time), and seconds."""
    from spopt.locate import PMedian

    watch = Stopwatch()
    distance = instance.distances()
    weights = np.ones(len(distance))
    solver = pulp.HiGHS(msg=False, threads=THREADS, gapRel=0, timeLimit=limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PMedian.from_cost_matrix(distance, weights, p_facilities=instance.facilities)
        try:
            model.solve(solver)
        except RuntimeError:  # spopt's word for a model without an optimum
            return None, watch.elapsed
    proved = model.problem.sol_status == pulp.LpSolutionOptimal
    return (float(model.problem.objective.value()) if proved else None), watch.elapsed


def by_us(instance: Instance, limit: float) -> tuple[float, float, float]:
    """Total distance of our plan, what it is at least by our bound, and seconds."""
    watch = Stopwatch()
    shapes = shapely.buffer(shapely.points(ORIGIN + instance.xy), 5, cap_style="square")
    ids = [f"L{i}" for i in range(len(shapes))]
    lots = gpd.GeoDataFrame({"id": ids}, geometry=shapes, crs=CRS)
    nodes, none = len(shapes), np.empty(0, dtype=np.int64)
    network = WalkingNetwork(
        ORIGIN + instance.xy, instance.edges, instance.length, np.arange(nodes), np.zeros(nodes), none, "bench", ()
    )
    rule = {"kind": "siting", "use": "facility", "goal": "median", "weight": 1.0, "count": instance.facilities}
    if len(instance.candidates) < nodes:
        rule["candidates"] = [ids[i] for i in instance.candidates]
    study = {
        "name": instance.name,
        "parcels": {"columns": {"id": "id"}, "defaults": {"max_floors": 1, "max_far": 1, "coverage": 1}},
        "uses": {"facility": {"label": "facility", "storey_height": 3.0}},
        "linkages": [],
        "objective": {"proximity": 0, "mixing": 0},
        "rules": [rule],
        "solve": {"gap": 1e-6, "time_limit": limit, "threads": THREADS},
    }
    plan = optimizer.solve(study, lots, network=network)
    stated = next(check for check in plan.result["rules"] if check["scope"] == "least mean distance")
    # The score is 1 - mean distance / the farthest that counts, which is the check's limit.
    return stated["value"] * nodes, (1 - plan.result["bound"]) * stated["limit"] * nodes, watch.elapsed


def run(instance: Instance, limit: float) -> list[Row]:
    ours, least, our_seconds = by_us(instance, limit)
    optimum, seconds = by_spopt(instance, limit)
    proved = "proved" if least > ours - 0.5 else f"at least {least:,.0f}"  # lengths are whole numbers
    told = f"total distance, m; ours {proved}"
    if instance.published is not None:
        told += f"; published {instance.published:,.0f}"
        assert ours >= instance.published - 0.5 >= least - 1, f"{instance.name}: {ours} against {instance.published}"
    if optimum is None:
        told += f"; spopt: none proved in {limit:.0f} s"
    else:
        assert least - 0.5 <= optimum <= ours + 0.5, f"{instance.name}: spopt {optimum}, ours {least} to {ours}"
    return [Row("spopt p-median, HiGHS", instance.name, told, optimum, ours, None, seconds, our_seconds)]


def run_all(bench: Path, limit: float) -> list[Row]:
    """pmed1 to pmed6 where they are, and the grid."""
    folder, rows = bench / "pmed", []
    if not (folder / "pmedopt.txt").is_file():
        rows.append(
            Row("spopt p-median, HiGHS", "pmed1 to pmed6", f"not run: no pmed/pmedopt.txt in {bench.name}/ (--bench)")
        )
    else:
        for number in range(1, 7):
            rows += run(read_pmed(folder, number), limit)
    return rows + run(grid(), limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", type=Path, default=BENCH, help="folder that holds pmed/ (../shared/bench)")
    parser.add_argument("--limit", type=float, default=120, help="seconds each may take (120)")
    asked = parser.parse_args()
    print(table(run_all(asked.bench, asked.limit)))


if __name__ == "__main__":
    main()
