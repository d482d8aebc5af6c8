"""Proximity of a finished plan: the transport problem over all pairs of doors within reach, and walks between doors.

    maximise sum of s_l (1 - d_ij / R_l) t_lij,  sum over j of t_lij <= alpha_l g_i,client,

and what is drawn from a supplier, over all its linkages that are not shared, <= g_j,supplier. Linkages that draw on
different suppliers do not meet, so each supplier is a problem of its own. Of its pairs only the nearest are written
down at first; duals tell which others would gain, until none does. The value is then that over all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from scipy.sparse import csgraph

from optimizer.errors import StudyError
from optimizer.uses import Linkage

if TYPE_CHECKING:
    from optimizer.district import Bools, Floats, Ints
    from optimizer.rules.base import Evidence

NEAREST = 8
"""Pairs of each client and of each supplier that are written down at once."""
TOGETHER = 256
"""Buildings from which walks are looked for together."""
PRECISE = 1e-9
"""Share of the value that the pairs left out may be worth."""


@dataclass(frozen=True)
class Shipments:
    """What one linkage moves: client and supplier buildings, walk in m and amount in m², each shape (pairs,).

    Pairs are the ones written down; amounts need not be unique.
    """

    linkage: Linkage
    client: Ints
    supplier: Ints
    walk: Floats
    served: Floats


class Walks:
    """Walks between the buildings of a finished plan, over its written network.

    The model's walks (`geodata.walking`) are not used. Every building is a node of the graph at the end of a dead end
    as long as its access.

    Parameters
    ----------
    evidence : Evidence
        A plan's tables.
    """

    def __init__(self, evidence: Evidence) -> None:
        table, walks = evidence.buildings, evidence.walks
        self._reached = table["reached"].to_numpy(dtype=bool)
        door = table["door_node"].to_numpy(dtype=np.int64)
        tail, head = (walks[end].to_numpy(dtype=np.int64) for end in ("from_node", "to_node"))
        self._streets = 1 + max(int(nodes.max(initial=-1)) for nodes in (door, tail, head))
        own = self._streets + np.arange(len(table))
        length = np.concatenate([walks["length_m"].to_numpy(dtype=float), table["access"].to_numpy(dtype=float)])
        length += np.finfo(float).tiny  # an edge of no length is still an edge
        ends = np.concatenate([tail, door]), np.concatenate([head, own])
        graph = sparse.coo_matrix((length, ends), shape=(own.size + self._streets,) * 2).tocsr()
        self._graph = graph.maximum(graph.T)
        places = gpd.GeoSeries.from_xy(table["x"], table["y"])
        # Along a curve that fills the plane, neighbours follow one another.
        self._order = np.argsort(places.hilbert_distance().to_numpy(), kind="stable") if len(table) else own

    def _from(self, start: Bools, end: Bools, limit: float) -> Iterator[tuple[Ints, Ints, Floats]]:
        """Yield walks up to a limit between different buildings of two sets, some starts at a time: start, end, m."""
        order = self._order[(start & self._reached)[self._order]]
        for own in np.split(order, range(TOGETHER, len(order), TOGETHER)) if len(order) else ():
            node = self._streets + own
            # Only what lies within the limit of any of them is searched from each.
            reach = csgraph.dijkstra(self._graph, indices=node, min_only=True, limit=limit)
            near = np.flatnonzero(np.isfinite(reach))
            found = csgraph.dijkstra(self._graph[near][:, near], indices=np.searchsorted(near, node), limit=limit)
            streets = int(np.searchsorted(near, self._streets))
            other = near[streets:] - self._streets
            taken = (end & self._reached)[other]
            i, j = np.nonzero(np.isfinite(found[:, streets:]) & taken & (own[:, None] != other))
            yield own[i], other[j], found[i, streets + j]

    def pairs(self, client: Bools, supplier: Bools, reach: float) -> tuple[Ints, Ints, Floats]:
        """Return all pairs of buildings of two sets nearer than a reach, and their walks, m; 0 within a building."""
        i, j, walk = self.pairs_to(client, supplier, reach)
        within = walk < reach
        return i[within], j[within], walk[within]

    def pairs_to(self, start: Bools, end: Bools, limit: float) -> tuple[Ints, Ints, Floats]:
        """Return all pairs of buildings of two sets no further than a limit, and their walks, m; 0 within a building."""
        own = np.flatnonzero(start & end)
        found = [(own, own, np.zeros(len(own))), *self._from(start, end, limit)]
        i, j, walk = map(np.concatenate, zip(*found, strict=True))
        return i, j, walk

    def routes(self, start: Ints, end: Ints, walk: Floats) -> list[Ints]:
        """Return the street nodes of a shortest walk between pairs of different buildings, from the start's door to the end's.

        Parameters
        ----------
        start, end, walk : ndarray, shape (pairs,)
            Buildings, and the walk between them, m.
        """
        place = np.empty(len(self._order), dtype=np.int64)
        place[self._order] = np.arange(len(self._order))
        routes: list[Ints] = [np.empty(0, dtype=np.int64)] * len(start)
        by = np.argsort(place[start], kind="stable")
        # Pairs of some starts that lie near one another at a time, all of one start together.
        number = np.cumsum(np.diff(place[start[by]], prepend=-1) != 0) - 1
        for rows in np.split(by, np.searchsorted(number, range(TOGETHER, len(start), TOGETHER))) if len(by) else ():
            if not len(rows):
                continue
            own, row = np.unique(start[rows], return_inverse=True)
            node, limit = self._streets + own, float(walk[rows].max()) * (1 + 1e-9) + 1e-6
            reach = csgraph.dijkstra(self._graph, indices=node, min_only=True, limit=limit)
            near = np.flatnonzero(np.isfinite(reach))
            begin = np.searchsorted(near, node)
            _, before = csgraph.dijkstra(
                self._graph[near][:, near], indices=begin, limit=limit, return_predecessors=True
            )
            at, steps = np.searchsorted(near, self._streets + end[rows]), []
            while (at != begin[row]).any():
                at = np.where(at == begin[row], at, before[row, at])
                steps.append(at)
            found = np.stack(steps[::-1])
            for k, pair in enumerate(rows):
                way = near[found[:, k]]
                routes[pair] = way[way < self._streets]
        return routes

    def within(self, limit: float, values: Floats) -> Floats:
        """Add up values of buildings, shape (S, k), within a walk of each, its own among them; shape (S, k)."""
        total = np.array(values, dtype=float)
        every = np.ones(len(values), dtype=bool)
        for i, j, _ in self._from(every, every, limit):
            start, row = np.unique(i, return_inverse=True)
            near = sparse.csr_matrix((np.ones(len(i)), (row, j)), shape=(len(start), len(values)))
            total[start] += near @ values
        return total

    def nearest(self, supplier: Bools) -> Floats:
        """Return the walk from each building to the nearest of a set, m, shape (S,); infinite where none leads there."""
        end = np.flatnonzero(supplier & self._reached)
        if not len(end):
            return np.where(supplier, 0.0, np.inf)
        found = csgraph.dijkstra(self._graph, indices=self._streets + end, min_only=True)[self._streets :]
        return np.where(supplier, 0.0, np.where(self._reached, found, np.inf))


@dataclass(frozen=True)
class Measured:
    """Walking distances between all buildings of a small district, m, shape (S, S)."""

    distance: Floats

    def pairs(self, client: Bools, supplier: Bools, reach: float) -> tuple[Ints, Ints, Floats]:
        """Return all pairs as `Walks.pairs` does."""
        i, j = np.nonzero((self.distance < reach) & client[:, None] & supplier[None, :])
        return i, j, np.asarray(self.distance[i, j])


def transport(
    linkages: Sequence[Linkage], uses: Sequence[str], area: Floats, walks: Walks | Floats
) -> tuple[float, list[Shipments]]:
    """Solve the transport problem.

    Parameters
    ----------
    area : ndarray, shape (S, U)
        m².
    walks : Walks or ndarray, shape (S, S)
        Or walking distances between all buildings, m.

    Returns
    -------
    float
        Value, m².
    list of Shipments
    """
    between = walks if isinstance(walks, Walks) else Measured(walks)
    pools: dict[str, list[Linkage]] = {}
    for number, link in enumerate(linkages):
        # What is shared is never used up, so that its linkages do not meet.
        pools.setdefault(f"{number}" if link.shared else f"of {link.supplier}", []).append(link)
    value = 0.0
    shipments: list[Shipments] = []
    for pool in pools.values():
        found = [
            between.pairs(area[:, uses.index(link.client)] > 0, area[:, uses.index(link.supplier)] > 0, link.reach)
            for link in pool
        ]
        if not any(len(pairs[0]) for pairs in found):
            continue
        # A building's demand is one of each linkage, its supply one of all.
        client = np.concatenate([i + n * len(area) for n, (i, _, _) in enumerate(found)])
        supplier = np.concatenate([j for _, j, _ in found])
        worth = np.concatenate(
            [link.strength * (1.0 - d / link.reach) for link, (_, _, d) in zip(pool, found, strict=True)]
        )
        demand = np.concatenate([link.demand * area[:, uses.index(link.client)] for link in pool])
        moved, written = _best(client, supplier, worth, demand, area[:, uses.index(pool[0].supplier)])
        value += float(worth[written] @ moved)
        of, walk = client[written] // len(area), np.concatenate([d for _, _, d in found])[written]
        for n, link in enumerate(pool):
            own = of == n
            shipments.append(
                Shipments(link, client[written][own] % len(area), supplier[written][own], walk[own], moved[own])
            )
    return value, shipments


def _best(client: Ints, supplier: Ints, worth: Floats, demand: Floats, supply: Floats) -> tuple[Floats, Ints]:
    """Return amounts that are worth most in all, and the pairs that they belong to; the other pairs move nothing.

    Parameters
    ----------
    client, supplier, worth : ndarray, shape (pairs,)
        Places in ``demand`` and ``supply``, and what one m² moved counts.

    Raises
    ------
    StudyError
        When it cannot be solved.
    """
    clients, i = np.unique(client, return_inverse=True)
    suppliers, j = np.unique(supplier, return_inverse=True)
    room = np.concatenate([demand[clients], supply[suppliers]])
    scale = float(room.max())
    room, j = room / scale, j + len(clients)
    written = np.union1d(_most(i, worth), _most(j, worth))
    while True:
        rows, columns = np.concatenate([i[written], j[written]]), np.tile(np.arange(len(written)), 2)
        matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(room), len(written)))
        answer = linprog(-worth[written], A_ub=matrix, b_ub=room, method="highs")
        if answer.status != 0:
            raise StudyError(f"the transport problem of the audit failed: {answer.message}")
        price = np.maximum(-answer.ineqlin.marginals, 0.0)
        gain = worth - price[i] - price[j]
        # Raising each client's price by the most that any of its pairs gains makes the duals feasible: a bound.
        raised = np.zeros(len(room))
        np.maximum.at(raised, i, gain)
        if raised @ room <= PRECISE * -answer.fun:
            return answer.x * scale, written
        better = np.flatnonzero(gain > 0)
        more = better[_most(i[better], gain[better])]
        if np.isin(more, written).all():  # what is gained is the solver's tolerance
            return answer.x * scale, written
        written = np.union1d(written, more)


def _most(group: Ints, worth: Floats) -> Ints:
    """Return the pairs of each group that are worth most, `NEAREST` of them."""
    order = np.lexsort((-worth, group))
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return order[rank < NEAREST]
