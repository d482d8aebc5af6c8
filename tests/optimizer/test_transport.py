"""The audit's transport problem by growing lists of pairs, against all pairs at once; walks against networkx."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import linprog

from geodata import walking
from geodata.synthetic import synthetic_district
from optimizer import transport as module
from optimizer.laws import TEN_MINUTES, ten_minutes
from optimizer.transport import Walks, transport
from optimizer.uses import Linkage

USES = ["a", "b", "c"]
LINKS = [
    Linkage(client="a", supplier="b", demand=0.7, strength=1.0, reach=400.0),
    Linkage(client="c", supplier="b", demand=0.4, strength=0.5, reach=250.0),
    Linkage(client="b", supplier="c", demand=0.5, strength=0.8, reach=300.0, shared=True),
    Linkage(client="a", supplier="c", demand=0.2, strength=1.0, reach=350.0, shared=True),
    Linkage(client="a", supplier="c", demand=0.6, strength=0.3, reach=200.0),
]


def all_pairs(links, area, distance):
    """Value of one linear program over every pair of every linkage."""
    cost, entries, upper = [], [], {}
    for n, link in enumerate(links):
        client, supplier = USES.index(link.client), USES.index(link.supplier)
        for i, j in np.argwhere(distance < link.reach):
            if area[i, client] > 0 and area[j, supplier] > 0:
                demand, held = ("d", n, i), ("s", n if link.shared else f"all {supplier}", j)
                upper[demand], upper[held] = link.demand * area[i, client], area[j, supplier]
                entries += [(demand, len(cost)), (held, len(cost))]
                cost.append(-link.strength * (1 - distance[i, j] / link.reach))
    place = {key: k for k, key in enumerate(upper)}
    rows, columns = [place[key] for key, _ in entries], [column for _, column in entries]
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(place), len(cost)))
    return -linprog(cost, A_ub=matrix, b_ub=list(upper.values())).fun


def town(seed, count=90):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 900, (count, 2))
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2) + 10.0
    np.fill_diagonal(distance, 0.0)
    area = rng.uniform(0, 1000, (count, 3)) * (rng.random((count, 3)) < 0.5)
    return area, distance


@pytest.mark.parametrize("nearest", [1, 8])
@pytest.mark.parametrize("seed", range(4))
def test_value_is_that_over_all_pairs(seed, nearest, monkeypatch):
    monkeypatch.setattr(module, "NEAREST", nearest)
    area, distance = town(seed)
    value, shipments = transport(LINKS, USES, area, distance)
    assert value == pytest.approx(all_pairs(LINKS, area, distance), rel=1e-8)
    drawn = {}
    again = 0.0
    for s in shipments:
        link = s.linkage
        again += link.strength * float((1 - s.walk / link.reach) @ s.served)
        assert np.allclose(distance[s.client, s.supplier], s.walk)
        got = np.bincount(s.client, s.served, minlength=len(area))
        assert (got <= link.demand * area[:, USES.index(link.client)] + 1e-6).all()
        gave = np.bincount(s.supplier, s.served, minlength=len(area))
        key = (link.supplier, id(link) if link.shared else None)
        drawn[key] = drawn.get(key, 0) + gave
    assert again == pytest.approx(value, rel=1e-9)
    for (supplier, _), gave in drawn.items():
        assert (gave <= area[:, USES.index(supplier)] + 1e-6).all()


def test_nothing_to_move():
    area, distance = town(0)
    assert transport([], USES, area, distance) == (0.0, [])
    assert transport(LINKS, USES, np.zeros_like(area), distance) == (0.0, [])


class Tables:
    """What walks are read from."""

    def __init__(self, network, reached, places):
        x, y = places.T
        self.buildings = pd.DataFrame(
            {"door_node": network.door, "access": network.access, "x": x, "y": y, "reached": reached}
        )
        ends = network.edges.T
        self.walks = pd.DataFrame({"from_node": ends[0], "to_node": ends[1], "length_m": network.length})
        self.uses = {}


@pytest.fixture(scope="module")
def streets():
    """A plan's walks with a few doors cut off, and all distances by networkx, infinite to and from those."""
    parcels, lines = synthetic_district(150, seed=3)
    network = walking.street_network(lines, parcels)
    graph = nx.Graph()
    graph.add_nodes_from(range(len(network.xy)))
    graph.add_weighted_edges_from(zip(*network.edges.T.tolist(), network.length.tolist()))
    ways = dict(nx.all_pairs_dijkstra_path_length(graph))
    nodes = network.door.tolist()
    far = np.array([[ways[a][b] for b in nodes] for a in nodes]) + network.access[:, None] + network.access
    reached = np.ones(150, dtype=bool)
    reached[[4, 70, 71]] = False
    far[~reached], far[:, ~reached] = np.inf, np.inf
    np.fill_diagonal(far, 0.0)
    return Walks(Tables(network, reached, network.xy[network.door])), far


@pytest.mark.parametrize("together", [7, 256])
def test_walks_of_sets_of_doors_agree_with_networkx(streets, together, monkeypatch):
    monkeypatch.setattr("optimizer.transport.TOGETHER", together)
    walks, far = streets
    rng = np.random.default_rng(1)
    client, supplier = rng.random((2, 150)) < 0.4
    client[4] = supplier[4] = True  # its own walk is within the building
    i, j, walk = walks.pairs(client, supplier, 220.0)
    found = np.full(far.shape, np.inf)
    found[i, j] = walk
    wanted = np.where((far < 220.0) & client[:, None] & supplier, far, np.inf)
    assert len(i) == len(set(zip(i.tolist(), j.tolist()))) == np.isfinite(wanted).sum()
    assert np.allclose(found, wanted)

    values = rng.random((150, 2))
    assert np.allclose(walks.within(180.0, values), (far <= 180.0) @ values)
    assert np.allclose(walks.nearest(supplier), far[:, supplier].min(axis=1))
    assert np.isinf(walks.nearest(np.zeros(150, dtype=bool))).all()


def test_ten_minutes_of_several_floor_areas(streets):
    walks, far = streets

    class One:
        floor_per_job = 25.0

    class Plan:
        uses = {"office": One(), "homes": type("Home", (), {"floor_per_job": None})()}

    areas = [np.random.default_rng(k).random((150, 2)) for k in range(2)]
    for area, near in zip(areas, ten_minutes(Plan(), walks, areas)):
        assert np.allclose(near.floor_area, (far <= TEN_MINUTES) @ area.sum(axis=1))
        assert np.allclose(near.jobs, (far <= TEN_MINUTES) @ area[:, 0] / 25.0)


def test_several_doors_at_one_node_leave_by_the_shortest_way():
    network = type("Network", (), {"edges": np.array([[0, 1]]), "length": np.array([100.0])})
    network.door, network.access = np.array([0, 0, 1]), np.array([30.0, 5.0, 7.0])
    walks = Walks(Tables(network, np.ones(3, dtype=bool), np.zeros((3, 2))))
    assert walks.nearest(np.array([True, False, False])).tolist() == [0.0, 35.0, 137.0]
    assert walks.nearest(np.array([True, True, False])).tolist() == [0.0, 0.0, 112.0]
    assert sorted(walks.pairs_to(*np.ones((2, 3), dtype=bool), 120.0)[2].tolist()) == [0, 0, 0, 35, 35, 112, 112]
