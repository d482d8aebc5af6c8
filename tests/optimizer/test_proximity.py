"""Flow on the network against the transport problem over all pairs."""

import dataclasses

import networkx as nx
import numpy as np
import pytest

from optimizer.highs import Clock, load, run
from optimizer.model import AREA, SCORE
from optimizer.problem import all_rules
from optimizer.proximity import reference_value
from optimizer.reference import most_floor_area
from tests.districts import LINKS, problem_of, random_lots, study
from tests.enumeration import transport_value


def fixed(problem, floors):
    """The program with every lot built as told."""
    model, arrays = problem.model, problem.arrays()
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    lower[model.new], upper[model.new] = floors, floors
    lower[model.redevelop], upper[model.redevelop] = 1, 1
    return dataclasses.replace(arrays, lower=lower, upper=upper)


def distances(district):
    graph = nx.Graph()
    graph.add_nodes_from(range(len(district.network.xy)))
    graph.add_weighted_edges_from(
        (a, b, w) for (a, b), w in zip(district.network.edges.tolist(), district.network.length)
    )
    n = district.network
    found = dict(nx.all_pairs_dijkstra_path_length(graph))
    count = len(district.sites)
    return np.array(
        [
            [0 if i == j else found[n.door[i]].get(n.door[j], np.inf) + n.access[i] + n.access[j] for j in range(count)]
            for i in range(count)
        ]
    )


@pytest.mark.parametrize("seed", range(50))
def test_flow_equals_the_pairwise_transport_problem(seed):
    rng = np.random.default_rng(seed)
    frame = random_lots(rng, int(rng.integers(3, 8)))
    asked = study(objective={"proximity": 1.0, "mixing": 0.0})
    problem = problem_of(asked, frame)
    d = problem.district
    floors = np.array([np.bincount(rng.integers(0, 3, int(n)), minlength=3) for n in rng.integers(1, 3, len(d.sites))])
    answer = run(load(fixed(problem, floors), relaxed=True), Clock(60), 60)
    g = floors * d.plate[:, None]
    most = most_floor_area(d, all_rules(asked))[:-1]
    value = answer.objective * reference_value(d, most) / SCORE
    expected = transport_value(g, distances(d))
    assert value == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_walks_beyond_reach_are_never_used():
    frame = random_lots(np.random.default_rng(1), 2)
    frame.geometry = [frame.geometry[0], frame.geometry[0].buffer(0).exterior.envelope]
    frame.loc[1, "geometry"] = frame.geometry[0]
    frame = frame.set_geometry([frame.geometry[0], frame.translate(500, 0)[0]])
    problem = problem_of(study(objective={"proximity": 1.0, "mixing": 0.0}), frame)
    floors = np.array([[0, 0, 1], [0, 1, 0]])
    arrays = fixed(problem, floors)
    answer = run(load(arrays, relaxed=True), Clock(60), 60)
    walks = [i for i, name in enumerate(arrays.column_names) if name.startswith(("walk_", "served_"))]
    assert walks
    assert distances(problem.district)[0, 1] > max(link["reach"] for link in LINKS)
    assert answer.objective == pytest.approx(0.0, abs=1e-9)
    assert np.abs(answer.x[walks]).max() < 1e-9
    assert AREA * floors.sum() > 0
