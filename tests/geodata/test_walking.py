"""Walking networks: distances between doors against closed formulas and a graph of the raw geometry."""

from itertools import combinations, pairwise

import geopandas as gpd
import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geodata import walking
from geodata.errors import GeodataError
from geodata.synthetic import synthetic_district
from geodata.walking import (
    MAX_ACCESS,
    MIN_ACCESS,
    WalkingNetwork,
    apart,
    components,
    parcel_network,
    street_network,
    walking_distance,
)
from tests.districts import CRS, ORIGIN, lots

SPACING = 100
LANES = range(0, 400, SPACING)
FAR = 1e5


def layer(*shapes):
    return gpd.GeoDataFrame(geometry=[shapely.transform(s, lambda xy: xy + ORIGIN) for s in shapes], crs=CRS)


def streets(*lines):
    return layer(*map(shapely.LineString, lines))


def sites(*points):
    """Sites of 2 m by 2 m about these points."""
    return layer(*(shapely.box(x - 1, y - 1, x + 1, y + 1) for x, y in points))


def distances(network, limit=FAR):
    return walking_distance(network, limit).toarray()


GRID = streets(*([(x, 0), (x, 300)] for x in LANES), *([(0, y), (300, y)] for y in LANES))


# Streets


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(LANES),
            st.integers(0, 2),
            st.integers(25, 75),
            st.integers(1, 20) | st.integers(-20, -1),
        ),
        min_size=2,
        max_size=8,
    ),
    st.sampled_from([FAR, 250.0]),
)
def test_doors_on_a_grid_are_a_manhattan_walk_apart(doors, limit):
    x, y, aside = np.array([(lane, SPACING * block + along, off) for lane, block, along, off in doors]).T
    found = distances(street_network(GRID, sites(*zip(x + aside, y))), limit)
    access = np.maximum(np.abs(aside), MIN_ACCESS)
    for i, j in np.ndindex(found.shape):
        if x[i] == x[j]:
            way = abs(y[i] - y[j])
        else:
            way = abs(x[i] - x[j]) + min(abs(y[i] - lane) + abs(y[j] - lane) for lane in LANES)
        expected = access[i] + way + access[j]
        assert found[i, j] == pytest.approx(expected if i != j and expected <= limit else 0, abs=1e-6)


def raw_distances(lines, points):
    """Distances between doors on the raw lines, access left out; NaN for doors beside a crossing or another door."""
    stops = [{0.0: line.boundary.geoms[0], line.length: line.boundary.geoms[1]} for line in lines]
    linked = nx.Graph()
    linked.add_nodes_from(range(len(lines)))
    for (i, one), (j, other) in combinations(enumerate(lines), 2):
        crossing = one.intersection(other)
        if not crossing.is_empty:
            stops[i][one.project(crossing)] = stops[j][other.project(crossing)] = crossing
            linked.add_edge(i, j)
    main = max(nx.connected_components(linked), key=lambda part: sum(lines[k].length for k in part))
    doors = []
    for number, point in enumerate(points):
        k = min(main, key=lambda k: lines[k].distance(point))
        along = lines[k].project(point)
        beside = any(0 < abs(along - stop) < 1 for stop in stops[k])
        doors.append(None if beside else stops[k].setdefault(along, number))
    graph = nx.Graph()
    for k in main:
        for (start, a), (end, b) in pairwise(sorted(stops[k].items(), key=lambda stop: stop[0])):
            graph.add_edge(a, b, length=end - start)
    ways = dict(nx.all_pairs_dijkstra_path_length(graph, weight="length"))
    return np.array([[np.nan if None in (a, b) else ways[a][b] for b in doors] for a in doors])


@pytest.mark.parametrize("seed", range(8))
def test_simplification_changes_no_distance(seed):
    rng = np.random.default_rng(seed)
    lines = streets(*rng.uniform(0, 600, (25, 2, 2)))
    places = sites(*rng.uniform(0, 600, (25, 2)))
    network = street_network(lines, places, snap=1e-6)
    expected = raw_distances(lines.geometry.tolist(), places.geometry.centroid.tolist())
    apart = np.isfinite(expected) & ~np.eye(25, dtype=bool)
    assert apart.sum() > 100
    found = distances(network) - network.access[:, None] - network.access
    assert np.allclose(found[apart], expected[apart], atol=1e-6)
    degree = np.bincount(network.edges.ravel(), minlength=len(network.xy))
    assert (np.delete(degree, network.door) > 2).all()


def test_lines_are_cut_where_they_cross():
    cross = streets([(-100, 0), (100, 0)], [(0, -100), (0, 100)])
    network = street_network(cross, sites((60, 10), (-10, 70), (-50, -8)))
    way = {(0, 1): 60 + 70, (0, 2): 60 + 50, (1, 2): 70 + 50}
    access = [10, 10, 8]
    for (i, j), expected in way.items():
        assert distances(network)[i, j] == pytest.approx(expected + access[i] + access[j])
    assert (network.source, network.findings) == ("streets", ())


@pytest.mark.parametrize(("gap", "joined"), [(0.9, True), (1.1, False)])
def test_ends_within_a_metre_are_joined(gap, joined):
    broken = streets([(0, 0), (100, 0)], [(100 + gap, 0), (150, 0)])
    network = street_network(broken, sites((10, 10), (140, 10)))
    found = distances(network)[0, 1]
    if joined:
        assert found == pytest.approx(10 + 130 + 10, abs=1)
        assert network.findings == ()
    else:
        assert network.findings == ("1 street segments (49 m) outside the largest connected part dropped",)


def test_streets_that_end_on_another_are_joined():
    rng = np.random.default_rng(0)
    places = sites((200, 80), (-100, 100))
    for _ in range(50):
        road = shapely.LineString([(0, 0), rng.uniform(50, 400, 2)])
        side = shapely.LineString([road.interpolate(rng.uniform(0.1, 0.9), normalized=True), (-90, 90)])
        assert street_network(layer(road, side), places).findings == ()


def test_a_street_that_stops_short_of_another_is_joined():
    short = streets([(0, 0), (200, 0)], [(100, 0.5), (100, 150)])
    assert street_network(short, sites((50, 10), (110, 100))).findings == ()


def test_a_part_of_its_own_is_dropped_and_its_length_told():
    apart = streets([(0, 0), (300, 0)], [(0, 100), (90, 100)], [(40, 80), (40, 130)], [(0, 300), (50, 300)])
    network = street_network(apart, sites((10, 10), (90, 90)))
    assert network.findings == ("5 street segments (190 m) outside the largest connected part dropped",)
    assert distances(network)[0, 1] == pytest.approx(10 + 80 + 90)


def test_parcels_far_from_any_street_are_unreached():
    network = street_network(streets([(0, 0), (300, 0)]), sites((0, 295), (100, 305), (200, 20), (300, -400)))
    assert network.unreached.tolist() == [1, 3]
    assert network.access.tolist() == pytest.approx([295, 305, 20, 400])
    found = distances(network)
    assert np.argwhere(found).tolist() == [[0, 2], [2, 0]]
    assert found[0, 2] == pytest.approx(295 + 200 + 20)
    assert 295 < MAX_ACCESS < 305


def test_streets_in_another_crs_in_parts_and_with_heights():
    parts = shapely.MultiLineString([[(-100, 0, 3), (100, 0, 3)], [(0, -100, 4), (0, 100, 4)]])
    lines = layer(parts, shapely.Point(5, 5), shapely.LineString()).to_crs(4326)
    lines.loc[3, "geometry"] = None
    found = distances(street_network(lines, sites((60, 10), (-10, 70))))
    assert found[0, 1] == pytest.approx(60 + 70 + 20, abs=0.05)


def test_a_ring_is_walked_the_shorter_way():
    ring = streets([(0, 0), (100, 0), (100, 60), (0, 60), (0, 0)])
    found = distances(street_network(ring, sites((10, 5), (50, 55), (95, 30))))
    access = 10
    assert found[0, 1] == pytest.approx(10 + 60 + 50 + access)
    assert found[1, 2] == pytest.approx(50 + 30 + access)
    assert found[0, 2] == pytest.approx(90 + 30 + access)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (GRID.set_crs(None, allow_override=True), "streets: no coordinate reference system; add one"),
        (layer(shapely.Point(0, 0)), "streets: no line found; street centre lines are expected"),
        (layer(shapely.box(0, 0, 9, 9)), "streets: no line found"),
        (GRID.iloc[:0], "streets: no line found"),
    ],
    ids=["no crs", "points", "polygons", "empty"],
)
def test_streets_that_are_none(lines, message):
    with pytest.raises(GeodataError, match=message):
        street_network(lines, sites((0, 0)))


@pytest.mark.parametrize("angle", [30, 77])
def test_distances_turn_with_the_district(angle):
    parcels, lines = synthetic_district(60, seed=2)
    turned = (frame.set_geometry(frame.rotate(angle, origin=ORIGIN)) for frame in (lines, parcels))
    assert np.allclose(distances(street_network(*turned)), distances(street_network(lines, parcels)), atol=0.01)


# Parcels


def on_graph(network):
    """Door-to-door distances by networkx."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(network.xy)))
    graph.add_weighted_edges_from(zip(*network.edges.T.tolist(), network.length.tolist()))
    ways = dict(nx.all_pairs_dijkstra_path_length(graph))
    count = len(network.door)
    way = np.array([[ways[i].get(j, np.nan) for j in network.door.tolist()] for i in network.door.tolist()])
    return np.where(np.eye(count, dtype=bool), 0, way + network.access[:, None] + network.access)


def test_parcels_that_touch_are_linked():
    frame = lots(12, columns=4, gap=0.0)
    network = parcel_network(frame)
    touching = {(i, j) for i, j in combinations(range(12), 2) if frame.geometry[i].intersects(frame.geometry[j])}
    assert set(map(tuple, network.edges.tolist())) == touching
    centres = frame.centroid
    apart = [centres[i].distance(centres[j]) for i, j in network.edges]
    assert network.length.tolist() == pytest.approx(apart)
    assert network.access.tolist() == pytest.approx([5] * 12)
    assert distances(network)[0, 11] == pytest.approx(2 * 20 * np.sqrt(2) + 20 + 10)
    assert (network.source, network.findings, network.unreached.tolist()) == ("parcels", (), [])


def test_access_grows_with_the_parcel():
    assert parcel_network(lots(2, side=60.0, gap=0.0)).access.tolist() == pytest.approx([15, 15])


@pytest.mark.parametrize(("width", "told"), [(29.0, ()), (31.0, ("1 gaps wider than 30 m between parcels bridged",))])
def test_gaps_are_bridged_and_wide_ones_told(width, told):
    network = parcel_network(layer(*(shapely.box(x, 0, x + 20, 20) for x in (0, 20, 40, 80 + width, 60 + width))))
    assert network.edges.tolist() == [[0, 1], [1, 2], [2, 4], [3, 4]]
    assert network.length.tolist() == pytest.approx([20, 20, 20 + width, 20])
    assert network.findings == told


def test_all_parcels_are_reached_however_scattered():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 3000, (40, 2))
    network = parcel_network(layer(*(shapely.box(x, y, x + 20, y + 20) for x, y in corners)))
    found = distances(network)
    assert (found[~np.eye(40, dtype=bool)] > 0).all()
    assert np.allclose(found, on_graph(network))


def test_a_gap_is_told_once():
    network = parcel_network(layer(*(shapely.box(x, 0, x + 20, 20) for x in (0, 20, 40, 260, 330))))
    assert len(network.edges) == 4
    assert sum(int(text.split()[0]) for text in network.findings) == 2


@pytest.mark.parametrize("large", [3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_clusters_are_bridged_by_their_shortest_links(seed, large, monkeypatch):
    """The links of the least spanning tree of clusters, by networkx over all pairs of parcels."""
    monkeypatch.setattr(walking, "LARGE_PART", large)
    rng = np.random.default_rng(seed)
    corners = np.concatenate(
        [
            c + (21.0 * np.arange(n))[:, None] * (1, 0)
            for c, n in zip(rng.uniform(0, 4000, (30, 2)), rng.integers(1, 6, 30))
        ]
    )
    frame = layer(*(shapely.box(x, y, x + 20.8, y + 20) for x, y in corners))
    shapes = frame.geometry.to_numpy()
    graph = nx.Graph()
    for i, j in combinations(range(len(shapes)), 2):
        graph.add_edge(i, j, gap=max(shapes[i].distance(shapes[j]), 0.5))
    tree = [d for *_, d in nx.minimum_spanning_edges(graph, weight="gap", data=True) if d["gap"] > 0.5]
    edges = parcel_network(frame).edges
    gaps = [d for i, j in edges.tolist() if (d := shapes[i].distance(shapes[j])) > 0.5]
    assert sorted(gaps) == pytest.approx(sorted(d["gap"] for d in tree))


def test_streets_that_many_others_end_on():
    """Side streets end half a metre off a main street, at both of its sides and out of order."""
    rng = np.random.default_rng(5)
    at = rng.permutation(np.arange(20, 380, 30))
    sides = [[(x, 0.5 * sign), (x, 60 * sign)] for x, sign in zip(at, np.resize([1, -1], len(at)))]
    network = street_network(
        streets([(0, 0), (400, 0)], *sides), sites(*((x, 60 * s) for x, s in zip(at, np.resize([1, -1], len(at)))))
    )
    found = distances(network) - network.access[:, None] - network.access
    wanted = np.abs(at[:, None] - at) + 120.0
    others = ~np.eye(len(at), dtype=bool)
    assert np.allclose(found[others], wanted[others], atol=2.5)
    assert network.findings == ()


def test_parts_that_no_walk_joins_are_named():
    xy = np.zeros((7, 2))
    edges = np.array([[0, 1], [2, 3], [3, 4], [4, 5]])
    network = WalkingNetwork(
        xy, edges, np.ones(4), np.array([0, 1, 2, 3, 5, 6, 4]), np.ones(7), np.array([6]), "measured", ()
    )
    assert components(network).tolist() == [1, 1, 0, 0, 0, 2, -1]
    (said,) = apart(network, ["A", "A", "B", "C", "D", "E", "F"])
    assert said == (
        "The walking network falls into 3 parts that no walk joins; 3 doors are on the largest, apart from it are "
        "parcels A; E"
    )
    many = WalkingNetwork(
        np.zeros((40, 2)), np.array([[30 + k, 31 + k] for k in range(9)]), np.ones(9), np.arange(40), np.ones(40),
        np.arange(0), "measured", (),
    )  # fmt: skip
    assert apart(many, [f"P{k}" for k in range(40)])[0].endswith("P0; P1; P2; P3; P4; P5; and 24 parts more")
    assert apart(parcel_network(lots(9, gap=40.0)), ["P"] * 9) == ()


def test_a_single_parcel():
    network = parcel_network(lots(1))
    assert (len(network.edges), network.unreached.tolist()) == (0, [0])
    assert distances(network).tolist() == [[0]]
    alone = street_network(GRID, sites((10, 50)))
    assert distances(alone).tolist() == [[0]]


# Distances


def test_upstairs_is_always_nearer_than_next_door():
    parcels, lines = synthetic_district(120, seed=5)
    for network in (
        street_network(lines, parcels),
        parcel_network(parcels),
        parcel_network(lots(30, side=4.0, gap=0.0)),
    ):
        found = distances(network)
        others = ~np.eye(len(found), dtype=bool)
        assert (found[others] >= 2 * MIN_ACCESS).all()
        assert (found[~others] == 0).all()


@pytest.mark.parametrize("together", [16, 256])
@pytest.mark.parametrize("limit", [FAR, 400.0, 60.0, 5.0])
def test_distances_agree_with_networkx_within_any_limit(limit, together, monkeypatch):
    monkeypatch.setattr(walking, "TOGETHER", together)
    parcels, lines = synthetic_district(280, seed=1)
    for network in (street_network(lines, parcels), parcel_network(parcels)):
        expected = on_graph(network)
        assert np.allclose(distances(network, limit), np.where(expected <= limit, expected, 0))
