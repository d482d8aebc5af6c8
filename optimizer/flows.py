"""What a plan's floors draw on: which linkages are served within the building, and which along which streets.

The transport problem of proximity (`optimizer.transport`) says who serves whom; its amounts need not be unique, its value is.
Each pair of buildings walks one shortest way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geodata.maps import Linked

if TYPE_CHECKING:
    from optimizer.rules.base import Evidence
    from optimizer.study import Study
    from optimizer.uses import Linkage

LEAST = 0.5
"""Amount that is shown, m²."""
COLUMNS = (
    "client_use",
    "supplier_use",
    "client_parcel",
    "client_site",
    "supplier_parcel",
    "supplier_site",
    "served_m2",
)


def along(linkage: Linkage) -> str:
    """Return the column of streets that holds what a linkage moves: of no other linkage, since no use has a hyphen."""
    return f"flow_{linkage.client}-{linkage.supplier}"


def flows_of(evidence: Evidence, walks: gpd.GeoDataFrame) -> dict[str, gpd.GeoDataFrame]:
    """Return what the linkages of a plan move.

    Parameters
    ----------
    evidence : Evidence
    walks : GeoDataFrame
        Edges of its walking network, as straight lines: ``from_node``, ``to_node``, ``length_m``.

    Returns
    -------
    dict of GeoDataFrame
        ``walks`` with m² that walk each edge, by linkage (`along`); ``flows``, one row a linkage and two buildings, a line along the
        streets: uses, parcels and sites of client and supplier, ``served_m2``, ``walk_m``; ``flows_inside``, one row a linkage
        and building that serves itself, a point.
    """
    table = evidence.buildings
    parcel, site = table["parcel_id"].to_numpy(), table["site"].to_numpy()
    xy = table[["x", "y"]].to_numpy(dtype=float)
    tail, head = (walks[end].to_numpy(dtype=np.int64) for end in ("from_node", "to_node"))
    ends = shapely.get_coordinates(walks.geometry.to_numpy()).reshape(-1, 2, 2)
    node = np.zeros((1 + max(tail.max(initial=-1), head.max(initial=-1)), 2))
    node[tail], node[head] = ends[:, 0], ends[:, 1]
    edge = {(int(a), int(b)): k for k, (a, b) in enumerate(zip(tail, head, strict=True))}
    edge |= {(b, a): k for (a, b), k in edge.items()}
    moved = {along(link): np.zeros(len(walks)) for link in evidence.linkages}
    lines: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for part in evidence.proximity[1]:
        shown = part.served > LEAST
        i, j, walk, served = (values[shown] for values in (part.client, part.supplier, part.walk, part.served))
        between = i != j
        rows = [
            (
                part.linkage.client,
                part.linkage.supplier,
                parcel[a],
                int(site[a]),
                parcel[b],
                int(site[b]),
                round(float(m), 3),
            )
            for a, b, m in zip(i, j, served, strict=True)
        ]
        records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        points += [
            record | {"geometry": shapely.Point(xy[a])}
            for record, a, out in zip(records, i, between, strict=True)
            if not out
        ]
        routes = evidence.doors.routes(i[between], j[between], walk[between])
        total = moved[along(part.linkage)]
        far = [record | {"walk_m": round(float(d), 2)} for record, d in zip(records, walk, strict=True)]
        out = np.flatnonzero(between)
        for k, route in zip(out, routes, strict=True):
            np.add.at(total, [edge[int(a), int(b)] for a, b in itertools.pairwise(route)], served[k])
            way = np.vstack([xy[i[k]], node[route], xy[j[k]]])
            lines.append(far[k] | {"geometry": shapely.LineString(way)})
    streets = walks.assign(**{name: total.round(2) for name, total in moved.items()})
    return {
        "walks": streets,
        "flows": _layer(lines, [*COLUMNS, "walk_m"], walks.crs),
        "flows_inside": _layer(points, list(COLUMNS), walks.crs),
    }


def _layer(records: list[dict[str, Any]], columns: list[str], crs: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(pd.DataFrame(records, columns=[*columns, "geometry"]), geometry="geometry", crs=crs)


def linked(study: Study, parcels: pd.DataFrame, layers: Mapping[str, gpd.GeoDataFrame]) -> list[Linked]:
    """Return what a map shows of the flows of a plan, linkage by linkage.

    Parameters
    ----------
    parcels : DataFrame
        ``parcel_id`` and ``gfa_<use>`` (m²).
    layers : dict
        As `flows_of` returns them.
    """
    place = pd.Series(np.arange(len(parcels)), index=parcels["parcel_id"].astype(str))

    def summed(frame: gpd.GeoDataFrame, link: Linkage) -> np.ndarray:
        own = frame[(frame["client_use"] == link.client) & (frame["supplier_use"] == link.supplier)]
        total = np.zeros(len(parcels))
        np.add.at(total, place[own["client_parcel"].astype(str)].to_numpy(), own["served_m2"].to_numpy(dtype=float))
        return total

    found = []
    for link in study.linkage_list:
        inside, outside = summed(layers["flows_inside"], link), summed(layers["flows"], link)
        asked = link.demand * parcels[f"gfa_{link.client}"].to_numpy(dtype=float)
        street = layers["walks"][along(link)].to_numpy(dtype=float)
        found.append(
            Linked(link.client, link.supplier, street, inside, outside, np.maximum(asked - inside - outside, 0.0))
        )
    return found


def has_flows(layers: Iterable[str]) -> bool:
    """Whether a package's layers hold flows: those that earlier versions wrote do not."""
    return {"flows", "flows_inside"} <= set(layers)
