"""Walking networks: from street centre lines or, without them, from neighbouring sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
PARTS_NAMED, DOORS_NAMED = 6, 8
"""Parts of a network, and parcels of each, that findings name."""
TOGETHER = 256
"""Doors whose distances are found together."""
LARGE_PART, FIRST_RADIUS = 1000, 4.0
"""Shapes of a part that is bridged by itself, and the first circle in which others are looked for, m."""


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
    order = np.flatnonzero(inner)[np.argsort(line[inner], kind="stable")]
    for here in np.split(order, np.flatnonzero(np.diff(line[order])) + 1) if len(order) else ():
        k = line[here[0]]
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
    """Return for each part but the largest its shortest link to another part, shape (links, 2).

    What lies near is looked for in growing circles about the shapes of all small parts at once; of the few large ones
    each is held against all others. Of links of one length the first counts, seen from either end.
    """
    sizes = np.bincount(part, minlength=count)
    links = [_bridge(shapes, part, p) for p in np.flatnonzero(sizes > LARGE_PART) if p != np.argmax(sizes)]
    tree = shapely.STRtree(shapes)
    open_ = np.flatnonzero((sizes <= LARGE_PART) & (np.arange(count) != np.argmax(sizes)))
    radius = FIRST_RADIUS
    while len(open_):
        own = np.flatnonzero(np.isin(part, open_))
        i, j = tree.query(shapes[own], predicate="dwithin", distance=radius)
        i = own[i]
        apart = part[i] != part[j]
        i, j = i[apart], j[apart]
        distance = shapely.distance(shapes[i], shapes[j])
        order = np.lexsort((np.maximum(i, j), np.minimum(i, j), distance, part[i]))
        found, first = np.unique(part[i][order], return_index=True)
        links.append(np.column_stack([i[order[first]], j[order[first]]]))
        open_ = np.setdiff1d(open_, found)
        radius *= 2
    return np.unique(np.sort(np.concatenate(links), axis=1), axis=0)


def _bridge(shapes: np.ndarray, part: IntArray, p: np.integer[Any]) -> IntArray:
    """Return the shortest link of one part to another, shape (1, 2)."""
    own, other = np.flatnonzero(part == p), np.flatnonzero(part != p)
    (i, j), distance = shapely.STRtree(shapes[other]).query_nearest(shapes[own], return_distance=True)
    pairs = np.sort(np.column_stack([own[i], other[j]]), axis=1)
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0], distance))[:1]])


def components(network: WalkingNetwork) -> IntArray:
    """Return the connected part of the network that each door is on, shape (doors,), from 0 for the one with most doors.

    Doors that reach nothing are on none, -1.
    """
    count = len(network.xy)
    graph = sparse.coo_matrix((np.ones(len(network.edges)), network.edges.T), shape=(count, count))
    part = csgraph.connected_components(graph, directed=False)[1][network.door]
    reached = np.ones(len(network.door), dtype=bool)
    reached[network.unreached] = False
    doors = np.bincount(part[reached], minlength=count)
    place = np.argsort(np.argsort(-doors, kind="stable"), kind="stable")
    return np.where(reached, place[part], -1).astype(np.int64)


def apart(network: WalkingNetwork, names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence when doors, named after their parcels, are on several parts that no walk joins; else none."""
    part = components(network)
    doors = np.bincount(part[part >= 0])
    if len(doors) < 2:
        return ()
    shown = []
    for k in range(1, min(len(doors), PARTS_NAMED + 1)):
        parcels = list(dict.fromkeys(np.asarray(names, dtype=object)[part == k].tolist()))
        more = f" and {len(parcels) - DOORS_NAMED} more" if len(parcels) > DOORS_NAMED else ""
        shown.append(", ".join(parcels[:DOORS_NAMED]) + more)
    rest = f"; and {len(doors) - 1 - PARTS_NAMED} parts more" if len(doors) - 1 > PARTS_NAMED else ""
    return (
        f"The walking network falls into {len(doors)} parts that no walk joins; {doors[0]:,} doors are on the largest, "
        f"apart from it are parcels {'; '.join(shown)}{rest}",
    )


def walking_distance(network: WalkingNetwork, limit: float) -> sparse.csr_matrix:
    """Return door-to-door distances within a limit, access edges included, m; shape (doors, doors), sparse.

    A door and itself are no entry: within a building nobody walks. Doors near one another are looked at together, on
    the part of the network within the limit of any of them, so that neither time nor memory grows with the square of
    their number.
    """
    count, nodes = len(network.door), len(network.xy)
    reached = np.ones(count, dtype=bool)
    reached[network.unreached] = False
    doors = np.flatnonzero(reached)
    if not len(doors):
        return sparse.csr_matrix((count, count))
    graph = sparse.coo_matrix((network.length, network.edges.T), shape=(nodes, nodes)).tocsr()
    graph = graph.maximum(graph.T)
    end = doors[np.argsort(network.door[doors], kind="stable")]
    node_of = network.door[end]
    # Leaves of a tree are small and compact.
    start = doors[cKDTree(network.xy[network.door[doors]], leafsize=TOGETHER).indices]
    pieces = []
    for chunk in np.split(start, range(TOGETHER, len(start), TOGETHER)):
        from_node, door = np.unique(network.door[chunk], return_inverse=True)
        reach = csgraph.dijkstra(graph, indices=from_node, limit=limit, min_only=True)
        near = np.flatnonzero(np.isfinite(reach))
        found = csgraph.dijkstra(graph[near][:, near], indices=np.searchsorted(near, from_node), limit=limit)
        first, last = np.searchsorted(node_of, near), np.searchsorted(node_of, near, side="right")
        other = end[_ranges(first, last)]
        walk = found[:, np.repeat(np.arange(len(near)), last - first)][door]
        walk += network.access[chunk, None] + network.access[None, other]
        i, j = np.nonzero((walk <= limit) & (chunk[:, None] != other[None, :]))
        pieces.append((chunk[i].astype(np.int32), other[j].astype(np.int32), walk[i, j]))
    rows, columns, values = map(np.concatenate, zip(*pieces, strict=True))
    return sparse.csr_matrix((values, (rows, columns)), shape=(count, count))


def _ranges(first: IntArray, last: IntArray) -> IntArray:
    """Return the numbers from each first up to before its last, one range behind the other."""
    size = last - first
    return np.asarray(np.arange(size.sum()) + np.repeat(first - (np.cumsum(size) - size), size))
