"""Walking networks: from street centre lines or, without them, from neighbouring sites."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import networkx as nx
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from geodata.errors import GeodataError
from geodata.sites import inner_points

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIN_ACCESS = 5.0
"""Shortest way from inside a building to the network, m."""
DEFAULT_SNAP = 1.0
"""Street ends this near one another are joined, m."""
MAX_ACCESS = 300.0
"""Doors further than this from any street reach nothing, m."""


@dataclass(frozen=True)
class WalkingNetwork:
    """Where people walk.

    Attributes
    ----------
    xy : ndarray, shape (nodes, 2)
        m.
    edges : ndarray of int, shape (edges, 2)
        Undirected, no loops, no duplicates.
    length : ndarray, shape (edges,)
        m, above zero.
    door : ndarray of int, shape (doors,)
        Node that each site's door attaches to.
    access : ndarray, shape (doors,)
        Walk from inside the building to that node, m.
    unreached : ndarray of int
        Doors that reach no other door.
    source : str
        ``streets`` or ``parcels``.
    findings : tuple of str
        What was dropped or bridged.
    """

    xy: FloatArray
    edges: IntArray
    length: FloatArray
    door: IntArray
    access: FloatArray
    unreached: IntArray
    source: str
    findings: tuple[str, ...]


def street_network(streets: gpd.GeoDataFrame, sites: gpd.GeoDataFrame, snap: float = DEFAULT_SNAP) -> WalkingNetwork:
    """Link sites along street centre lines.

    Lines are cut where they cross, ends within `snap` m of one another or of a line are joined, and the largest
    connected part is kept. Each site attaches at the point of the street nearest to a point inside it. Dead ends without doors and
    nodes that only pass through are taken out; distances between doors stay the same.

    Raises
    ------
    GeodataError
        When the streets hold no line or have no CRS.
    """
    if streets.crs is None:
        raise GeodataError("streets: no coordinate reference system; add one to the file")
    lines = shapely.get_parts(shapely.force_2d(np.asarray(streets.to_crs(sites.crs).geometry.dropna().array)))
    lines = lines[(shapely.get_type_id(lines) == shapely.GeometryType.LINESTRING) & (shapely.length(lines) > 0)]
    if not len(lines):
        raise GeodataError("streets: no line found; street centre lines are expected")
    noded = shapely.get_parts(shapely.line_merge(shapely.node(shapely.multilinestrings(meet(lines, snap)))))
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(noded, i)) for i in (0, -1)])
    close = cKDTree(ends).query_pairs(snap, output_type="ndarray")
    label = csgraph.connected_components(
        sparse.coo_matrix((np.ones(len(close)), close.T), shape=(len(ends), len(ends))), directed=False
    )[1]
    node_xy = np.column_stack([np.bincount(label, ends[:, k]) for k in (0, 1)]) / np.bincount(label)[:, None]
    tail, head = label[: len(noded)], label[len(noded) :]
    part = csgraph.connected_components(
        sparse.coo_matrix((np.ones(len(tail)), (tail, head)), shape=(len(node_xy), len(node_xy))), directed=False
    )[1]
    length = shapely.length(noded)
    metres = np.bincount(part[tail], length, minlength=part.max() + 1)
    main = part[tail] == np.argmax(metres)
    findings = []
    if not main.all():
        findings.append(
            f"{int((~main).sum())} street segments ({length[~main].sum():,.0f} m) outside the largest connected part dropped"
        )
    noded, tail, head, length = noded[main], tail[main], head[main], length[main]

    points = shapely.points(inner_points(sites))
    nearest, gap = shapely.STRtree(noded).query_nearest(points, return_distance=True, all_matches=False)
    street = nearest[1]
    along = shapely.line_locate_point(noded[street], points)
    door, xy, edges, lengths = _split(node_xy, tail, head, length, noded, street, along)
    access = np.maximum(gap, MIN_ACCESS)
    unreached = np.flatnonzero(gap > MAX_ACCESS)
    xy, edges, lengths, door = _simplify(xy, edges, lengths, door)
    return WalkingNetwork(xy, edges, lengths, door, access, unreached, "streets", tuple(findings))


def meet(lines: np.ndarray, snap: float) -> np.ndarray:
    """Give lines a vertex wherever another one ends within `snap` m of their middle, so that noding cuts them there."""
    ends = np.concatenate([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    end, line = shapely.STRtree(lines).query(ends, predicate="dwithin", distance=snap)
    along = shapely.line_locate_point(lines[line], ends[end])
    inner = (end % len(lines) != line) & (along > snap) & (along < shapely.length(lines[line]) - snap)
    result = lines.copy()
    for k in np.unique(line[inner]):
        here = inner & (line == k)
        xy = shapely.get_coordinates(lines[k])
        at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T)), along[here]])
        xy = np.concatenate([xy, shapely.get_coordinates(ends[end[here]])])
        result[k] = shapely.linestrings(xy[np.argsort(at, kind="stable")])
    return result


def _split(
    node_xy: FloatArray,
    tail: IntArray,
    head: IntArray,
    length: FloatArray,
    lines: np.ndarray,
    street: IntArray,
    along: FloatArray,
) -> tuple[IntArray, FloatArray, IntArray, FloatArray]:
    """Cut streets at doors; return door nodes, node coordinates, edges and their lengths."""
    at = np.clip(along, 0.0, length[street])
    order = np.lexsort((at, street))
    door = np.empty(len(street), dtype=np.int64)
    xy = [node_xy]
    next_node = len(node_xy)
    edges, lengths = [], []
    touched = np.zeros(len(lines), dtype=bool)
    touched[street] = True
    plain = ~touched
    edges.append(np.column_stack([tail[plain], head[plain]]))
    lengths.append(length[plain])
    starts = np.flatnonzero(np.diff(street[order], prepend=-1))
    for group in np.split(order, starts[1:]):
        line = street[group[0]]
        stops, nodes = [0.0], [int(tail[line])]
        for d in group:
            if at[d] - stops[-1] < 0.5:
                door[d] = nodes[-1]
            elif length[line] - at[d] < 0.5:
                door[d] = head[line]
            else:
                xy.append(shapely.get_coordinates(shapely.line_interpolate_point(lines[line], at[d])))
                door[d] = next_node
                stops.append(float(at[d]))
                nodes.append(next_node)
                next_node += 1
        stops.append(float(length[line]))
        nodes.append(int(head[line]))
        edges.append(np.column_stack([nodes[:-1], nodes[1:]]))
        lengths.append(np.diff(stops))
    return door, np.concatenate(xy), np.concatenate(edges), np.concatenate(lengths)


def _simplify(
    xy: FloatArray, edges: IntArray, length: FloatArray, door: IntArray
) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """Drop dead ends and pass-through nodes that carry no door; distances between doors do not change."""
    graph = nx.Graph()
    for (a, b), d in zip(edges.tolist(), length.tolist(), strict=True):
        _join(graph, a, b, d)
    graph.add_nodes_from(door.tolist())
    doors = set(door.tolist())
    waiting = [n for n in graph if n not in doors and graph.degree(n) <= 2]
    while waiting:
        node = waiting.pop()
        if node not in graph or graph.degree(node) > 2:
            continue
        around = list(graph[node].items())
        graph.remove_node(node)
        if len(around) == 2:
            (a, first), (b, second) = around
            _join(graph, a, b, first["length"] + second["length"])
        waiting += [n for n, _ in around if n not in doors and graph.degree(n) <= 2]
    kept = sorted(graph)
    place = {n: i for i, n in enumerate(kept)}
    pairs = sorted((min(place[a], place[b]), max(place[a], place[b]), d) for a, b, d in graph.edges(data="length"))
    return (
        xy[kept],
        np.array([p[:2] for p in pairs], dtype=np.int64).reshape(-1, 2),
        np.array([p[2] for p in pairs], dtype=float),
        np.array([place[n] for n in door.tolist()], dtype=np.int64),
    )


def _join(graph: nx.Graph, a: int, b: int, length: float) -> None:
    """Add an edge, keeping the shorter of two between the same nodes; loops lead nowhere."""
    if a != b and (not graph.has_edge(a, b) or graph[a][b]["length"] > length):
        graph.add_edge(a, b, length=max(length, 0.01))


def parcel_network(sites: gpd.GeoDataFrame, gap: float = 30.0) -> WalkingNetwork:
    """Link each site to its neighbours, and separate clusters by their shortest links.

    Neighbours come within half a metre of one another; an edge is the straight line between points inside both.

    Parameters
    ----------
    gap : float
        Bridges longer than this are named, m.
    """
    shapes = np.asarray(sites.geometry.array)
    xy = inner_points(sites)
    a, b = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=0.5)
    edges = np.column_stack([a, b])[a < b]
    findings = []
    while True:
        graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(len(xy), len(xy)))
        count, part = csgraph.connected_components(graph, directed=False)
        if count == 1:
            break
        bridges = _bridges(shapes, part, count)
        far = bridges[shapely.distance(shapes[bridges[:, 0]], shapes[bridges[:, 1]]) > gap]
        if len(far):
            findings.append(f"{len(far)} gaps wider than {gap:g} m between parcels bridged")
        edges = np.unique(np.sort(np.concatenate([edges, bridges]), axis=1), axis=0)
    length = np.maximum(np.linalg.norm(xy[edges[:, 0]] - xy[edges[:, 1]], axis=1), 0.01)
    access = np.maximum(MIN_ACCESS, 0.25 * np.sqrt(shapely.area(shapes)))
    unreached = np.arange(len(xy)) if len(xy) == 1 else np.empty(0, dtype=np.int64)
    return WalkingNetwork(
        xy, edges.astype(np.int64), length, np.arange(len(xy)), access, unreached, "parcels", tuple(findings)
    )


def _bridges(shapes: np.ndarray, part: IntArray, count: int) -> IntArray:
    """Return for each part but the largest its shortest link to another part, shape (links, 2)."""
    largest = int(np.argmax(np.bincount(part)))
    links = []
    for p in range(count):
        if p != largest:
            own, other = np.flatnonzero(part == p), np.flatnonzero(part != p)
            (i, j), distance = shapely.STRtree(shapes[other]).query_nearest(
                shapes[own], return_distance=True, all_matches=False
            )
            best = int(np.argmin(distance))
            links.append((own[i[best]], other[j[best]]))
    return np.unique(np.sort(links, axis=1), axis=0)


def walking_distance(network: WalkingNetwork, limit: float) -> sparse.csr_matrix:
    """Return door-to-door distances within a limit, access edges included, m; shape (doors, doors), sparse.

    A door and itself are no entry: within a building nobody walks.
    """
    nodes = len(network.xy)
    graph = sparse.coo_matrix((network.length, network.edges.T), shape=(nodes, nodes)).tocsr()
    reached = np.ones(len(network.door), dtype=bool)
    reached[network.unreached] = False
    rows, columns, values = [], [], []
    for chunk in np.array_split(np.flatnonzero(reached), max(1, len(network.door) // 256)):
        found = csgraph.dijkstra(graph, directed=False, indices=network.door[chunk], limit=limit)
        total = found[:, network.door] + network.access[chunk, None] + network.access[None, :]
        i, j = np.nonzero((total <= limit) & reached[None, :] & (chunk[:, None] != np.arange(len(network.door))))
        rows.append(chunk[i])
        columns.append(j)
        values.append(total[i, j])
    shape = (len(network.door), len(network.door))
    return sparse.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
