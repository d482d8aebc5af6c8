"""Proximity as a minimum-cost flow on the walking network.

For linkage l let p be client demand served, r supply given and y the flow on directed walking edge e of
length d_e; with strength s_l and reach R_l the term is

    V = sum_l s_l (sum_i p_li - sum_e (d_e / R_l) y_le)

A path longer than R_l would cost more than it earns, so this equals the transport problem over all pairs of
doors with credit 1 - d / R_l. Demand met inside a building costs no walk (q below). It is written apart for
today's, converted and new floors, so that a parcel that is a fraction of each cannot serve itself across
them; what leaves a building passes its access edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from optimizer.district import Bools, District, Floats, Ints
from optimizer.model import AREA, SCORE, Model
from optimizer.names import Joined
from optimizer.uses import Linkage


@dataclass(frozen=True)
class Route:
    """Columns and rows of one linkage's flow; S sites, N nodes and E directed edges of the network.

    Attributes
    ----------
    client, supplier : int
        Uses.
    demand : float
        Of the supplier, m² a m² of the client.
    shared : bool
        Whether its supply is used by other linkages too.
    served, given : ndarray of int, shape (S,)
        Columns of what enters and leaves the network at each door.
    walk : ndarray of int, shape (E,)
    tail, head : ndarray of int, shape (E,)
        Nodes.
    inside : dict of str to ndarray of int, shape (S,)
        Columns of what is met inside kept, converted and new buildings.
    demanded, supplied, balanced : ndarray of int, shape (S,), (S,), (N,)
        Rows.
    """

    client: int
    supplier: int
    demand: float
    shared: bool
    served: Ints
    given: Ints
    walk: Ints
    tail: Ints
    head: Ints
    inside: dict[str, Ints]
    demanded: Ints
    supplied: Ints
    balanced: Ints


@dataclass(frozen=True)
class Flows:
    """Columns of the flow.

    Attributes
    ----------
    columns : ndarray of int, shape (flows,)
    xy : ndarray, shape (flows, 2)
        Where each starts, m.
    walks : ndarray of bool, shape (flows,)
        Whether it leaves a building; any decisions go with all of these at nought.
    routes : list of Route
        One a linkage.
    """

    columns: Ints
    xy: Floats
    walks: Bools
    routes: list[Route] = field(default_factory=list)


def reference_value(district: District, most: Floats) -> float:
    """Return the constant V^ = sum_l s_l alpha_l G_client that proximity is divided by, m².

    Parameters
    ----------
    most : ndarray, shape (U,)
        Most floor area of each use that the programme allows, m².
    """
    use = district.use_index
    return float(sum(k.strength * k.demand * most[use[k.client]] for k in district.linkages))


def add_proximity(model: Model, weight: float, most: Floats) -> Flows:
    """Add the flow's columns, rows and objective, weighted and divided by `reference_value`.

    The model is told which columns, at which coefficients, the value V is the sum of.

    Returns
    -------
    Flows
        Its columns; none where proximity has no weight and no rule of the model asks for it.
    """
    scale = reference_value(model.district, most)
    asked = any(rule.asks_walks for rule in model.rules) and len(model.district.linkages) > 0
    if not asked and (weight == 0 or scale == 0):
        return Flows(np.arange(0), np.empty((0, 2)), np.zeros(0, dtype=bool))
    network = _Network(model, SCORE * weight / (scale * AREA) if scale else 0.0)
    for link in model.district.linkages:
        network.add(link)
    network.share_out()
    columns, worth = zip(*network.worth, strict=True)
    model.value = np.concatenate(columns), np.concatenate(worth)
    return network.flows


class _Network:
    """The flow as it is added to a model: a network a linkage, tied by what suppliers have.

    Attributes
    ----------
    worth : list of (columns, coefficients)
        What the value V is the sum of.
    routes : list of Route
    """

    def __init__(self, model: Model, value: float) -> None:
        self.model, self.value, self.district = model, value, model.district
        network = self.district.network
        self.sites, self.nodes = np.arange(len(self.district.sites)), np.arange(len(network.xy))
        self.reachable = np.ones(len(self.sites), dtype=bool)
        self.reachable[network.unreached] = False
        self.tail, self.head = np.concatenate([network.edges, network.edges[:, ::-1]]).T.astype(np.int64)
        self.length = np.concatenate([network.length, network.length])
        self.parts = _parts(model)
        self.worth: list[tuple[Ints, Floats]] = []
        self.routes: list[Route] = []
        self._walks: list[tuple[Ints, Floats]] = []
        self._inner: list[tuple[Ints, Floats]] = []
        self._inside: dict[tuple[str, int], list[Ints]] = {}
        self._leaving: dict[int, list[Ints]] = {}

    @property
    def flows(self) -> Flows:
        """All columns, and where they are."""
        columns, places = (np.concatenate(part) for part in zip(*self._walks, *self._inner, strict=True))
        return Flows(columns, places, np.arange(len(columns)) < sum(len(part) for part, _ in self._walks), self.routes)

    def add(self, link: Linkage) -> None:
        """Add a linkage: what is drawn on along walks and inside buildings, and what is demanded."""
        use, rows, names = self.district.use_index, self.model.program.rows, self.model.site_names
        client, supplier = use[link.client], use[link.supplier]
        name = f"{link.client}_{link.supplier}"
        served, given, walk, balanced = self._walk(link, name)
        within = self._meet_inside(link, name)
        demanded = rows(
            Joined(f"demand_{name}_", names),
            (self.sites, served, 1.0),
            *((self.sites, q, 1.0) for q in within.values()),
            *((self.sites, terms[client][0], -link.demand * terms[client][1]) for terms in self.parts.values()),
            upper=0.0,
        )
        supplied = np.arange(0)
        if link.shared:
            # Shared floor is never used up, so each linkage alone is held to what stands there.
            supplied = self._supply(name, supplier, [given, *within.values()])
        else:
            self._leaving.setdefault(supplier, []).extend([given, *within.values()])
        route = Route(
            *(client, supplier, link.demand, link.shared, served, given, walk, self.tail, self.head, within),
            *(demanded, supplied, balanced),
        )
        self.routes.append(route)

    def _walk(self, link: Linkage, name: str) -> tuple[Ints, Ints, Ints, Ints]:
        """Add what is served and given at doors, and walks between; return these columns and the rows that balance them."""
        network, program = self.district.network, self.model.program
        access, per_walk = link.strength * network.access / link.reach, -link.strength * self.length / link.reach
        served, given = (
            program.columns(
                Joined(f"{label}_{name}_", self.model.site_names),
                upper=np.where(self.reachable & (network.access < link.reach), np.inf, 0.0),
                cost=self.value * (gain - access),
            )
            for label, gain in (("served", link.strength), ("given", 0.0))
        )
        walk = program.columns(Joined(f"walk_{name}_", self.tail, "_", self.head), cost=self.value * per_walk)
        self.worth += [(served, link.strength - access), (given, -access), (walk, per_walk)]
        balanced = program.rows(
            Joined(f"balance_{name}_", self.nodes),
            (self.head, walk, 1.0),
            (self.tail, walk, -1.0),
            (network.door, given, 1.0),
            (network.door, served, -1.0),
            lower=0.0,
            upper=0.0,
        )
        xy = self.district.xy
        self._walks += [(served, xy), (given, xy), (walk, network.xy[self.tail])]
        return served, given, walk, balanced

    def _meet_inside(self, link: Linkage, name: str) -> dict[str, Ints]:
        """Add what is met inside buildings, for today's, converted and new floors apart; return these columns."""
        program, use, names = self.model.program, self.district.use_index, self.model.site_names
        client, supplier = use[link.client], use[link.supplier]
        within: dict[str, Ints] = {}
        for part, terms in self.parts.items():
            most_client, most_supplier = terms[client][2], terms[supplier][2]
            q = program.columns(
                Joined(f"inside_{part}_{name}_", names),
                upper=np.where((most_client > 0) & (most_supplier > 0), np.inf, 0.0),
                cost=self.value * link.strength,
            )
            self.worth.append((q, np.full(len(q), link.strength)))
            column, area, _ = terms[client]
            program.rows(
                Joined(f"inside_demand_{part}_{name}_", names),
                (self.sites, q, 1.0),
                (self.sites, column, -link.demand * area),
                upper=0.0,
            )
            within[part] = q
            self._inner.append((q, self.district.xy))
            if link.shared:
                self._supply_inside(part, name, supplier, [q])
            else:
                self._inside.setdefault((part, supplier), []).append(q)
        return within

    def share_out(self) -> None:
        """Hold all linkages together that draw on one supplier's floor and use it up."""
        for (part, supplier), columns in self._inside.items():
            self._supply_inside(part, self.district.uses[supplier].name, supplier, columns)
        for supplier, columns in self._leaving.items():
            supplied = self._supply(self.district.uses[supplier].name, supplier, columns)
            self.routes = [
                replace(r, supplied=supplied) if r.supplier == supplier and not r.shared else r for r in self.routes
            ]

    def _supply(self, name: str, supplier: int, columns: list[Ints]) -> Ints:
        """Add rows that hold columns to the floor that a supplier has at each site."""
        return self.model.program.rows(
            Joined(f"supply_{name}_", self.model.site_names),
            *((self.sites, q, 1.0) for q in columns),
            *((self.sites, terms[supplier][0], -terms[supplier][1]) for terms in self.parts.values()),
            upper=0.0,
        )

    def _supply_inside(self, part: str, name: str, supplier: int, columns: list[Ints]) -> None:
        """Add rows that hold what is met inside to the floor of one kind that a supplier has there."""
        column, area, _ = self.parts[part][supplier]
        self.model.program.rows(
            Joined(f"inside_supply_{part}_{name}_", self.model.site_names),
            *((self.sites, q, 1.0) for q in columns),
            (self.sites, column, -area),
            upper=0.0,
        )


def _parts(model: Model) -> dict[str, list[tuple[np.ndarray, Floats, Floats]]]:
    """Return for today's, converted and new floors, by use: columns, area of one and most floors, each (S,)."""
    d = model.district
    storeys = d.storeys_today[d.parcel_of].astype(float)
    return {
        "kept": [
            (model.keep[d.parcel_of], d.existing_at[:, u] * AREA, d.existing_at[:, u]) for u in range(len(d.uses))
        ],
        "conv": [(model.converted[:, u], d.plate_today * AREA, storeys) for u in range(len(d.uses))],
        "new": [(model.new[:, u], d.plate * AREA, d.storey_limit[:, u].astype(float)) for u in range(len(d.uses))],
    }
