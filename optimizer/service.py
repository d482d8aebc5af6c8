"""Who is served where: in columns of a model, and in a finished plan."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

if TYPE_CHECKING:
    from optimizer.district import Bools, Floats, Ints
    from optimizer.model import Program

Terms = list[tuple[Any, Any, Any]]

NEAR = 1e-6
"""Distance beyond a radius that is none, m."""


@dataclass
class Service:
    """Clients and candidates for facilities, in columns of a model.

    Attributes
    ----------
    program : Program
    label : str
        What names of columns and rows begin with.
    names : list of str, one a client
    amount : ndarray of int, shape (clients,)
        Columns of the clients' weights.
    most : ndarray, shape (clients,)
        Most of each weight, model units.
    i, j, distance : ndarray, shape (pairs,)
        Client, candidate and distance (m), client by client from the nearest on.
    holds : ndarray of int, shape (candidates,)
        Columns of whether a facility stands.
    far : float
        Distance at which the unserved count, m.
    certain : ndarray of bool, shape (clients,)
        Clients that some facility is sure to serve.
    served, nowhere : ndarray of int, shape (pairs,), (clients,), or None
        Columns of what is served by pair, and of what is unserved; see `serve`.
    divided : bool
        Whether capacities divide clients among facilities.
    """

    program: Program
    label: str
    names: list[str]
    amount: Ints
    most: Floats
    i: Ints
    j: Ints
    distance: Floats
    holds: Ints
    far: float
    certain: Bools
    served: Ints | None = None
    nowhere: Ints | None = None
    divided: bool = False
    _covered: Ints | None = None

    @property
    def rows(self) -> Ints:
        """One row a client."""
        return np.arange(len(self.names))

    def nearest_first(self, least: int) -> None:
        """Keep the pairs that matter where at least so many facilities stand and each client goes to the nearest.

        That is one of a client's n - p + 1 nearest candidates of n.
        """
        reached, enough = np.bincount(self.i, minlength=len(self.names)), max(len(self.holds) - least + 1, 1)
        self.certain = reached >= enough
        kept = np.arange(len(self.i)) - (np.cumsum(reached) - reached)[self.i] < enough
        self.i, self.j, self.distance = self.i[kept], self.j[kept], self.distance[kept]

    def serve(self, capacity: float | None) -> None:
        """Add what each client is served at each candidate, and what nowhere; capacity in model units."""
        program, pair = self.program, np.arange(len(self.i))
        facility = [program.name(y) for y in self.holds]
        labels = [f"{self.label}_{self.names[a]}_at_{facility[b]}" for a, b in zip(self.i, self.j, strict=True)]
        names = [f"{self.label}_{n}_unserved" for n in self.names]
        self.served = program.columns(labels)
        self.nowhere = program.columns(names, upper=np.where(self.certain, 0.0, self.most))
        program.rows(
            [f"{self.label}_{n}_served" for n in self.names],
            (self.i, self.served, 1.0),
            (self.rows, self.nowhere, 1.0),
            (self.rows, self.amount, -1.0),
            lower=0.0,
            upper=0.0,
        )
        # Most pairs serve nobody; the relaxation finds those that matter.
        opened = (pair, self.holds[self.j], -self.most[self.i])
        program.rows(labels, (pair, self.served, 1.0), opened, upper=0.0, lazy=0.0)
        if capacity is not None:
            self.divided = True
            names = [f"{self.label}_capacity_{name}" for name in facility]
            each = np.arange(len(facility))
            program.rows(names, (self.j, self.served, 1.0), (each, self.holds, -capacity), upper=0.0)

    def excess(self, threshold: float) -> Terms:
        """Terms whose sum is each client's weight times its distance beyond a threshold, m."""
        assert self.served is not None, "`serve` comes first"
        return [
            (self.i, self.served, np.maximum(self.distance - threshold, 0.0)),
            (self.rows, self.nowhere, self.far - threshold),
        ]

    def reached(self, radius: float) -> Terms:
        """Terms whose sum is the most of each client's weight that is served within a radius, m."""
        near = self.distance <= radius + NEAR
        if self.divided and self.served is not None:
            return [(self.i[near], self.served[near], 1.0)]
        return [(self.i[near], self.holds[self.j[near]], self.most[self.i[near]])]

    def covered(self, radius: float) -> Ints:
        """Columns of how much of each client's weight is served within a radius, m, shape (clients,)."""
        if self._covered is None:
            names = [f"{self.label}_{n}_covered" for n in self.names]
            column = self._covered = self.program.columns(names, upper=self.most)
            self.program.rows(names, (self.rows, column, 1.0), (self.rows, self.amount, -1.0), upper=0.0)
            within = [(row, at, -part) for row, at, part in self.reached(radius)]
            self.program.rows([f"{n}_within" for n in names], (self.rows, column, 1.0), *within, upper=0.0)
        return self._covered

    def least_greatest(self, most: float) -> float:
        """Return a distance, m, below which the greatest cannot lie where at most so many facilities serve all clients.

        The least radius within which facilities of at most that number, taken in fractions, reach every client.
        """
        radii = np.append(np.unique(self.distance), self.far)

        def reach_all(radius: float) -> bool:
            near = self.distance <= radius
            pairs = (-np.ones(near.sum()), (self.i[near], self.j[near]))
            within = sparse.csr_matrix(pairs, shape=(len(self.names), len(self.holds)))
            answer = linprog(np.ones(len(self.holds)), within, -np.ones(len(self.names)), bounds=(0, 1), method="highs")
            return bool(answer.status == 0 and answer.fun <= most + NEAR)

        first = bisect.bisect_left(range(len(radii) - 1), True, key=lambda k: reach_all(float(radii[k])))
        return float(radii[first])

    def greatest(self, cost: float, least: float) -> None:
        """Add the greatest distance of all clients, m, of which each metre costs so much; it has a least value."""
        column = self.program.columns([f"{self.label}_greatest"], lower=least, upper=self.far, cost=-cost)
        names = [f"{self.label}_{n}_at_most_greatest" for n in self.names]
        self.program.rows(names, *self.excess(least), (self.rows, column, -1.0), upper=-least)


@dataclass(frozen=True)
class Served:
    """Who is served where in a finished plan.

    Attributes
    ----------
    names, weight : ndarray, shape (clients,)
    client, amount, distance : ndarray, shape (services,)
        Which client, how much of its weight, how far (m).
    far : float
        Distance at which the unserved count, m.
    whole : float
        Most weight of all clients.
    """

    names: np.ndarray
    weight: Floats
    client: Ints
    amount: Floats
    distance: Floats
    far: float
    whole: float

    def by_client(self, values: Floats) -> Floats:
        """Add values of services up by client."""
        return np.asarray(np.bincount(self.client, values, minlength=len(self.names)))

    def greatest(self) -> Floats:
        """Return the greatest distance of each client, m; 0 where there is none."""
        result = np.zeros(len(self.names))
        np.maximum.at(result, self.client, np.where(self.amount > 0, self.distance, 0.0))
        return result

    def mean(self) -> float:
        """Return the mean distance of clients by weight, m."""
        return float(self.amount @ self.distance) / float(self.weight.sum())

    def covered(self, radius: float | None) -> float:
        """Return the weight that is served within a radius, m."""
        return float(self.amount[self.distance <= (radius or 0.0) + NEAR].sum())
