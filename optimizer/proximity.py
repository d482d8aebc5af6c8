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
    district, program = model.district, model.program
    network, use = district.network, district.use_index
    scale = reference_value(district, most)
    walks: list[tuple[Ints, Floats]] = []
    inner: list[tuple[Ints, Floats]] = []
    asked = any(rule.asks_walks for rule in model.rules) and len(district.linkages) > 0
    if not asked and (weight == 0 or scale == 0):
        return Flows(np.arange(0), np.empty((0, 2)), np.zeros(0, dtype=bool))
    value = SCORE * weight / (scale * AREA) if scale else 0.0
    worth: list[tuple[Ints, Floats]] = []
    sites = np.arange(len(district.sites))
    reachable = np.ones(len(sites), dtype=bool)
    reachable[network.unreached] = False
    tail, head = np.concatenate([network.edges, network.edges[:, ::-1]]).T.astype(np.int64)
    length = np.concatenate([network.length, network.length])
    nodes = np.arange(len(network.xy))
    parts = _parts(model)
    routes: list[Route] = []
    inside: dict[tuple[str, int], list[np.ndarray]] = {}
    leaving: dict[int, list[np.ndarray]] = {}
    for link in district.linkages:
        client, supplier = use[link.client], use[link.supplier]
        name = f"{link.client}_{link.supplier}"
        access, per_walk = link.strength * network.access / link.reach, -link.strength * length / link.reach
        served, given = (
            program.columns(
                Joined(f"{label}_{name}_", model.site_names),
                upper=np.where(reachable & (network.access < link.reach), np.inf, 0.0),
                cost=value * (gain - access),
            )
            for label, gain in (("served", link.strength), ("given", 0.0))
        )
        walk = program.columns(Joined(f"walk_{name}_", tail, "_", head), cost=value * per_walk)
        worth += [(served, link.strength - access), (given, -access), (walk, per_walk)]
        balanced = program.rows(
            Joined(f"balance_{name}_", nodes),
            (head, walk, 1.0),
            (tail, walk, -1.0),
            (network.door, given, 1.0),
            (network.door, served, -1.0),
            lower=0.0,
            upper=0.0,
        )
        walks += [(served, district.xy), (given, district.xy), (walk, network.xy[tail])]
        within: dict[str, Ints] = {}
        for part, terms in parts.items():
            most_client, most_supplier = terms[client][2], terms[supplier][2]
            q = program.columns(
                Joined(f"inside_{part}_{name}_", model.site_names),
                upper=np.where((most_client > 0) & (most_supplier > 0), np.inf, 0.0),
                cost=value * link.strength,
            )
            worth.append((q, np.full(len(q), link.strength)))
            column, area, _ = terms[client]
            program.rows(
                Joined(f"inside_demand_{part}_{name}_", model.site_names),
                (sites, q, 1.0),
                (sites, column, -link.demand * area),
                upper=0.0,
            )
            within[part] = q
            inner.append((q, district.xy))
            if link.shared:
                column, area, _ = terms[supplier]
                program.rows(
                    Joined(f"inside_supply_{part}_{name}_", model.site_names),
                    (sites, q, 1.0),
                    (sites, column, -area),
                    upper=0.0,
                )
            else:
                inside.setdefault((part, supplier), []).append(q)
        demanded = program.rows(
            Joined(f"demand_{name}_", model.site_names),
            (sites, served, 1.0),
            *((sites, q, 1.0) for q in within.values()),
            *((sites, terms[client][0], -link.demand * terms[client][1]) for terms in parts.values()),
            upper=0.0,
        )
        supplied = np.arange(0)
        if link.shared:
            # Shared floor is never used up, so each linkage alone is held to what stands there.
            supplied = program.rows(
                Joined(f"supply_{name}_", model.site_names),
                (sites, given, 1.0),
                *((sites, q, 1.0) for q in within.values()),
                *((sites, terms[supplier][0], -terms[supplier][1]) for terms in parts.values()),
                upper=0.0,
            )
        else:
            leaving.setdefault(supplier, []).extend([given, *within.values()])
        route = Route(
            *(client, supplier, link.demand, link.shared, served, given, walk, tail, head, within),
            *(demanded, supplied, balanced),
        )
        routes.append(route)
    for (part, supplier), columns in inside.items():
        column, area, _ = parts[part][supplier]
        program.rows(
            Joined(f"inside_supply_{part}_{district.uses[supplier].name}_", model.site_names),
            *((sites, q, 1.0) for q in columns),
            (sites, column, -area),
            upper=0.0,
        )
    for supplier, columns in leaving.items():
        supplied = program.rows(
            Joined(f"supply_{district.uses[supplier].name}_", model.site_names),
            *((sites, q, 1.0) for q in columns),
            *((sites, terms[supplier][0], -terms[supplier][1]) for terms in parts.values()),
            upper=0.0,
        )
        routes = [replace(r, supplied=supplied) if r.supplier == supplier and not r.shared else r for r in routes]
    model.value = np.concatenate([part for part, _ in worth]), np.concatenate([part for _, part in worth])
    flows = np.concatenate([part for part, _ in walks + inner])
    places = np.concatenate([xy for _, xy in walks + inner])
    return Flows(flows, places, np.arange(len(flows)) < sum(len(part) for part, _ in walks), routes)


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
