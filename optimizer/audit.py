"""An independent check of a written plan: everything recomputed from its files.

Nothing of the model is used: floor area comes from the stacks, distances from Dijkstra's algorithm on the
written network, proximity from the transport problem over all pairs of doors, entropy from its definition,
rules from their own checks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.optimize import linprog
from scipy.special import xlogy

from geodata.facades import facade_points, footprints
from optimizer.consistency import AREA_TOLERANCE, check_numbers, same_floors, same_inputs, same_shapes, same_tables
from optimizer.errors import StudyError
from optimizer.files import read_folder
from optimizer.laws import TenMinutes, laws, ten_minutes
from optimizer.rules import Check, Evidence, implied_rules
from optimizer.transport import Shipments, Walks, transport
from optimizer.uses import Use

if TYPE_CHECKING:
    from optimizer.study import Study

INDEX_TOLERANCE = 1e-5
"""Largest relative difference between a written number and the recomputed one."""
RULE_TOLERANCE = 1e-4
"""Largest difference of a rule's written value near 0, in its unit (files round to a millionth)."""
SHARE_TOLERANCE = 1e-9
"""Share of a demand that is none."""
FACADE_TOLERANCE = 0.01
"""Largest distance of a receptor from where it is laid again, m."""


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    checks : list of Check
        Every rule at the place where it binds most.
    indices, existing : dict
        Recomputed for the plan and for the district as it stands.
    objective : float
    faults : list of str
        Sentences; empty when everything agrees.
    notes : list of str
        What could not be checked.
    """

    checks: list[Check]
    indices: dict[str, Any]
    existing: dict[str, Any]
    objective: float
    faults: list[str]
    notes: list[str] = field(default_factory=list)


def audit_folder(folder: Path) -> Audit:
    """Recompute every index and rule of a written plan and compare.

    Raises
    ------
    StudyError
        When a file is missing or broken.
    """
    study, parcels, result = read_folder(folder)
    try:
        sites = gpd.read_file(folder / "plan.gpkg", layer="sites", engine="pyogrio")
        walks = gpd.read_file(folder / "plan.gpkg", layer="walks", engine="pyogrio")
        written = gpd.read_file(folder / "plan.gpkg", layer="parcels", engine="pyogrio")
    except Exception as error:  # GDAL raises several kinds
        raise StudyError(f"{folder / 'plan.gpkg'}: cannot be read: {error}") from None
    check_numbers(folder / "plan.geojson", parcels, written)
    faults: list[str] = []
    try:
        evidence = _evidence(study, parcels, sites, walks, written, faults)
        if study.polluted:
            evidence = _with_receptors(study, evidence, sites, folder / "plan.gpkg", faults)
        same_tables(evidence.parcels, written, faults)
        same_shapes(parcels, written, sites, faults)
        same_floors(evidence.parcels, folder / "plan.gpkg", faults)
        audit = recompute(study, evidence)
    except KeyError as error:
        raise StudyError(f"{folder}: {error} is in one of the plan's files and missing from another") from None
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise StudyError(f"{folder}: a value of the plan's files is of the wrong kind: {error}") from None
    faults += audit.faults
    notes = same_inputs(study, parcels, evidence, result, faults)
    faults += [
        f"{c.name}: {place} breaks it (worst {c.scope}: {c.value:,.6g} {c.unit}, limit {c.sense} {c.limit:,.6g})"
        for c in audit.checks
        if c.faulty
        for place in c.broken[:3]
    ]
    for label, written_indices, found in (
        ("indices", result.get("indices", {}), audit.indices),
        ("existing", result.get("existing", {}), audit.existing),
    ):
        _compare(label, written_indices, found, faults)
    if not _close(result.get("objective"), audit.objective):
        faults.append(f"objective: {result.get('objective')} is written, {audit.objective:.9g} recomputed")
    bound, objective, gap = (result.get(key) for key in ("bound", "objective", "gap"))
    if isinstance(bound, (int, float)) and isinstance(objective, (int, float)):
        follows = relative_gap(bound, objective)
        if not bound >= objective - 1e-6 * abs(objective):
            faults.append(f"bound {bound:.9g} is below the objective {objective:.9g}")
        if (gap is None) != (follows is None) or (
            gap is not None and follows is not None and not abs(gap - follows) <= 1e-9 + 1e-6 * abs(follows)
        ):
            faults.append(f"gap {gap} is written, {follows} follows from bound and objective")
    else:
        faults.append("result.json: objective or bound is no number")
    faults += _status(result, study.solve.gap)
    faults += _shadow_prices(parcels, bound, audit.objective)
    stated = result.get("rules", [])
    if len(stated) != len(audit.checks):
        faults.append(f"rules: {len(stated)} checks are stated in result.json, {len(audit.checks)} found")
    for row, check in zip(stated, audit.checks, strict=False):
        same = all(row[key] == getattr(check, key) for key in ("name", "scope", "sense", "unit"))
        numbers = ("value", "limit", "missed")
        if not same or not all(_close(row[key], getattr(check, key), RULE_TOLERANCE) for key in numbers):
            faults.append(f"rule {check.name}, {check.scope}: not as result.json states it")
    return Audit(audit.checks, audit.indices, audit.existing, audit.objective, faults, notes)


def _status(result: dict[str, Any], allowed: float) -> list[str]:
    """Find a status that does not follow from the gap and from the one that the study was content with."""
    gap = result.get("gap")
    follows = "optimal" if isinstance(gap, (int, float)) and gap <= allowed + 1e-9 else "feasible"
    return (
        [] if result.get("status") == follows else [f"status {result.get('status')!r} is written, {follows!r} follows"]
    )


def _shadow_prices(parcels: gpd.GeoDataFrame, bound: Any, objective: float) -> list[str]:
    """Find parcels that the plan leaves empty although their shadow price says that it then scores less."""
    if "shadow_price" not in parcels or not isinstance(bound, (int, float)):
        return []
    price = parcels["shadow_price"].to_numpy(dtype=float)
    wrong = (parcels["gfa_m2"].to_numpy(dtype=float) == 0) & ~(
        price <= bound - objective + 1e-5 * max(abs(objective), 1.0)
    )
    names = parcels["parcel_id"].to_numpy()[wrong]
    return [f"shadow_price of {name}: it is empty, and the plan scores more than that allows" for name in names[:3]]


def _evidence(
    study: Study,
    parcels: gpd.GeoDataFrame,
    sites: gpd.GeoDataFrame,
    walks: gpd.GeoDataFrame,
    written: gpd.GeoDataFrame,
    faults: list[str],
) -> Evidence:
    """Read floors from the stacks and today's from the facts; name everything that does not fit together."""
    uses = {use.name: use for use in study.use_list}
    table = parcels.copy()
    ids = table["parcel_id"].astype(str)
    if ids.duplicated().any():
        faults.append(f"parcel {ids[ids.duplicated()].iloc[0]}: stands there twice")
    gone = sorted(set(sites["parcel_id"].astype(str)) - set(ids))
    faults += [f"parcel {name}: has building sites in plan.gpkg but is missing from plan.geojson" for name in gone]
    table = table[~ids.duplicated()].set_index("parcel_id")
    for name in ("max_far", "max_height", "max_floors", "coverage", "site_area", "year"):
        table[name] = pd.to_numeric(table[name]).astype(float)
    count = sites.groupby("parcel_id")["site"].size()
    columns = ["parcel_id", "site", "action", "x", "y", "plate", "storeys", *(f"gfa_{u}" for u in uses)]
    facts = table.to_dict("index")
    rows = [
        _building(site, facts[site.parcel_id], 1.0 / count[site.parcel_id], uses, faults)
        for site in sites.itertuples()
        if site.parcel_id in facts
    ]
    buildings = pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
    floor_area = [f"gfa_{u}" for u in uses]
    summed = buildings.groupby("parcel_id")[floor_area].sum().reindex(table.index).fillna(0.0)
    stacks: dict[str, list[list[str]]] = {}
    for name, storeys in zip(buildings["parcel_id"], buildings["storeys"], strict=True):
        stacks.setdefault(name, []).append(storeys)
    for name, area in zip(table.index, summed.to_numpy(dtype=float), strict=True):
        row = facts[name]
        if row["action"] not in study.actions.allowed and row["action"] != "keep":
            faults.append(f"parcel {name}: action {row['action']!r} is not allowed")
        _same_parcel(name, row, dict(zip(uses, area, strict=True)), stacks.get(name, []), uses, faults)
    table[floor_area] = summed[floor_area]
    shapes = written.drop_duplicates("parcel_id").set_index("parcel_id").geometry.reindex(table.index)
    table = gpd.GeoDataFrame(table, geometry=shapes.to_numpy(), crs=written.crs)  # in metres
    rules, links = (*implied_rules(), *study.rules), study.linkage_list
    return Evidence(table, buildings, uses, walks, rules, study.pollution, linkages=links)


def _with_receptors(
    study: Study, evidence: Evidence, sites: gpd.GeoDataFrame, file: Path, faults: list[str]
) -> Evidence:
    """Add receptors, screens and footprints; points on facades are laid again and compared with the file's."""
    layers = set(gpd.list_layers(file)["name"])
    empty = gpd.GeoDataFrame(
        {"receptor": [], "building": [], "x": [], "y": [], "group": []}, geometry=[], crs=sites.crs
    )
    tables = {
        at: gpd.read_file(file, layer=f"receptors_{at}", engine="pyogrio") if f"receptors_{at}" in layers else empty
        for at in ("facades", "middles", "places")
    }
    screens = gpd.read_file(file, layer="screens", engine="pyogrio") if "screens" in layers else empty
    buildings = evidence.buildings.copy()
    # Sites of parcels that are missing from plan.geojson, which is said elsewhere, have no building.
    known = sites["parcel_id"].isin(evidence.parcels.index).to_numpy()
    row = np.append(np.where(known, np.cumsum(known) - 1, -2), -1)
    for at, table in tables.items():
        tables[at] = table.assign(building=row[table["building"].to_numpy(dtype=int)])
        tables[at] = tables[at][tables[at]["building"] > -2].reset_index(drop=True)
    where = sites.set_index(["parcel_id", "site"]).geometry
    shapes = np.asarray(where.loc[list(zip(buildings["parcel_id"], buildings["site"], strict=True))], dtype=object)
    parcels, count = evidence.parcels, buildings.groupby("parcel_id")["site"].transform("size").to_numpy()
    ids = buildings["parcel_id"]
    plate = (parcels["coverage"] * parcels["site_area"]).loc[ids].to_numpy(dtype=float) / count
    buildings["footprint"] = footprints(shapes, plate)
    owner, xy = facade_points(np.asarray(buildings["footprint"], dtype=object), study.pollution.spacing)
    facades = tables["facades"]
    same = len(facades) == len(owner) and np.array_equal(facades["building"], owner)
    if not same or np.abs(facades[["x", "y"]].to_numpy(dtype=float) - xy).max(initial=0.0) > FACADE_TOLERANCE:
        faults.append("receptors_facades: not the points of the facades that the sites' footprints have")
    middles = buildings[["x", "y"]].to_numpy(dtype=float)
    if np.abs(tables["middles"][["x", "y"]].to_numpy(dtype=float) - middles).max(initial=0.0) > FACADE_TOLERANCE:
        faults.append("receptors_middles: not the middles of the sites")
    stand = [] if screens.empty else list(zip(screens.geometry, screens["height_m"].astype(float), strict=True))
    return replace(evidence, buildings=buildings, receptors=tables, screens=stand)


def _building(
    site: Any, parcel: dict[str, Any], share: float, uses: Mapping[str, Use], faults: list[str]
) -> dict[str, Any]:
    """Return one building as its stack tells it; ``share`` is its part of the parcel."""
    label = f"parcel {site.parcel_id}, building {site.site}"
    storeys: list[str] = []
    area = dict.fromkeys(uses, 0.0)
    action = parcel["action"]
    plate = float(parcel["coverage"] * parcel["site_area"]) * share
    if action == "convert":
        today = sum(float(parcel[f"today_{u}"]) for u in uses)
        plate = today * share / max(int(parcel["storeys_today"]), 1)
    for item in parcel["stack"]:
        if item["site"] != site.site:
            continue
        if item["use"] not in uses:
            faults.append(f"{label}: stack names an unknown use {item['use']!r}")
            continue
        area[item["use"]] += float(item["gfa_m2"])
        if action == "keep":
            continue
        floors = int(item["to"]) - int(item["from"]) + 1
        if item["from"] != len(storeys) + 1 or floors < 1:
            faults.append(f"{label}: storeys do not follow one another")
        if abs(floors * plate - item["gfa_m2"]) > AREA_TOLERANCE:
            faults.append(f"{label}: {floors} storeys of {plate:,.1f} m² are not {item['gfa_m2']:,.1f} m²")
        storeys += [item["use"]] * floors
    if action == "convert" and len(storeys) != int(parcel["storeys_today"]):
        faults.append(f"{label}: {len(storeys)} storeys converted where {parcel['storeys_today']} stand")
    if action == "keep":
        for use in uses:
            if abs(area[use] - float(parcel[f"today_{use}"]) * share) > AREA_TOLERANCE:
                faults.append(f"{label}: kept, but its floor area of {use} is not today's")
    if action == "clear" and storeys:
        faults.append(f"{label}: cleared, but floors stand on it")
    return {
        "parcel_id": site.parcel_id,
        "site": site.site,
        "action": action,
        "x": site.x,
        "y": site.y,
        "plate": plate,
        "storeys": storeys,
        "block": site.block,
        "neighbourhood": site.neighbourhood,
        "door_node": site.door_node,
        "access": site.access_m,
        "reached": bool(site.reached),
        **{f"gfa_{use}": value for use, value in area.items()},
    }


def _same_parcel(
    name: str,
    row: dict[str, Any],
    area: dict[str, float],
    stacks: list[list[str]],
    uses: Mapping[str, Use],
    faults: list[str],
) -> None:
    """Compare a parcel's columns with what its buildings add up to."""
    total = sum(area.values())
    for use, value in area.items():
        if not abs(row[f"gfa_{use}"] - value) <= AREA_TOLERANCE:
            faults.append(f"parcel {name}: gfa_{use} is {row[f'gfa_{use}']:,.1f} m², its stack holds {value:,.1f} m²")
        floors = sum(stack.count(use) for stack in stacks)
        if row["action"] != "keep" and floors != row[f"floors_{use}"]:
            faults.append(f"parcel {name}: floors_{use} is {row[f'floors_{use}']}, its stacks hold {floors}")
    if (
        not abs(row["gfa_m2"] - total) <= AREA_TOLERANCE
        or not abs(row["far"] * row["site_area"] - total) <= 1e-4 * row["site_area"]
    ):
        faults.append(f"parcel {name}: gfa_m2 or far is not what its stack adds up to ({total:,.1f} m²)")
    if row["action"] == "keep" and row["floors"] != row["storeys_today"]:
        faults.append(f"parcel {name}: kept, but its storeys are not today's")
    if row["action"] != "keep":
        tallest = max((len(s) for s in stacks), default=0)
        height = max((sum(uses[u].storey_height for u in s) for s in stacks), default=0.0)
        if row["floors"] != tallest or abs(row["height_m"] - height) > 0.01:
            faults.append(f"parcel {name}: floors or height_m is not that of its tallest building")
    best = max(area, key=lambda use: area[use]) if total > 0 else ""
    stated = row["dominant_use"] or ""
    if stated != best and (stated not in area or total == 0 or area[best] - area[stated] > AREA_TOLERANCE):
        faults.append(f"parcel {name}: dominant_use is {stated!r}, not {best!r}")


def recompute(study: Study, evidence: Evidence) -> Audit:
    """Recompute indices, objective and rules from tables of a plan."""
    area, today = evidence.floor_area(), evidence.today()
    walks = evidence.doors
    checks = [check for rule in evidence.rules for check in rule.check(evidence)]
    near, near_today = ten_minutes(evidence, walks, [area, today])
    moved_today = transport(study.linkage_list, list(evidence.uses), today, walks)
    indices = _indices(study, evidence, area, evidence.proximity, walks, near)
    existing = _indices(study, evidence, today, moved_today, walks, near_today)
    score = _objective(study, evidence, indices, today) - sum(check.cost for check in checks)
    score += sum(rule.reward(evidence) for rule in evidence.rules)
    return Audit(checks, indices, existing, float(score), [])


def _entropy(area: np.ndarray) -> float:
    """Return sum of g ln(G / g) over groups and uses, m²."""
    return float(xlogy(area.sum(axis=1), area.sum(axis=1)).sum() - xlogy(area, area).sum())


def _indices(
    study: Study,
    evidence: Evidence,
    area: np.ndarray,
    moved: tuple[float, list[Shipments]],
    walks: Walks,
    near: TenMinutes,
) -> dict[str, Any]:
    """Return the indices of floor areas by building and use, (S, U), and of what its linkages move."""
    uses = list(evidence.uses)
    links = study.linkage_list
    value, shipments = moved
    total = float(area.sum())
    most = sum(k.strength * k.demand * area[:, uses.index(k.client)].sum() for k in links)
    wanted = sum(k.demand * area[:, uses.index(k.client)].sum() for k in links)
    bands = {"same_building": 0.0, "next_door": 0.0, "within_400_m": 0.0, "further": 0.0}
    by_link = {}
    for shipment in shipments:
        link, d, served = shipment.linkage, shipment.walk, shipment.served
        bands["same_building"] += float(served[d == 0].sum())
        bands["next_door"] += float(served[(d > 0) & (d <= 50)].sum())
        bands["within_400_m"] += float(served[(d > 50) & (d <= 400)].sum())
        bands["further"] += float(served[d > 400].sum())
        demand = link.demand * area[:, uses.index(link.client)].sum()
        by_link[link.name] = float(served.sum() / demand) if demand else 0.0
    shares = {name: amount / wanted if wanted else 0.0 for name, amount in bands.items()}
    left = 1.0 - sum(shares.values())
    shares["unserved"] = left if wanted and left > SHARE_TOLERANCE else 0.0
    mixing = {}
    most_entropy = total * math.log(max(len(uses), 2))
    groups = {"building": np.arange(len(area))}
    groups |= {name: evidence.buildings[name].to_numpy(dtype=int) for name in ("block", "neighbourhood")}
    weighted = {}
    for name, group in groups.items():
        summed = np.zeros((int(group.max(initial=-1)) + 1, len(uses)))
        np.add.at(summed, group, area)
        weighted[name] = _entropy(summed)
        mixing[name] = weighted[name] / most_entropy if total else 0.0
    land = float(evidence.parcels["site_area"].sum())
    per_job = {n: u.floor_per_job for n, u in evidence.uses.items()}
    per_home = {n: u.floor_per_home for n, u in evidence.uses.items()}
    by_use = {use: float(area[:, k].sum()) for k, use in enumerate(uses)}
    return {
        "proximity": {"index": value / most if most else 0.0, "value_m2": value, "shares": shares, "served": by_link},
        "mixing": {**mixing, "entropy_m2": weighted},
        "density": {
            "floor_area_m2": total,
            "far": total / land,
            "jobs": sum(by_use[n] / f for n, f in per_job.items() if f),
            "homes": sum(by_use[n] / f for n, f in per_home.items() if f),
        },
        "floor_area_m2": by_use,
        "laws": laws(evidence, area, links, mixing, walks, near),
    }


def _objective(study: Study, evidence: Evidence, indices: dict[str, Any], today: np.ndarray) -> float:
    """Return the score: weighted terms over the study's constants (design, section 2)."""
    most, total = _most(study, evidence, today)
    links, weights = study.linkage_list, study.objective
    value = sum(k.strength * k.demand * most[k.client] for k in links)
    score = weights.proximity * indices["proximity"]["value_m2"] / value if value else 0.0
    scales = weights.scales.model_dump()
    parts = sum(scales.values())
    if weights.mixing and len(most) > 1:
        for name, part in scales.items():
            if part:
                entropy = indices["mixing"]["entropy_m2"][name]
                score += weights.mixing * part / parts * entropy / (total * math.log(len(most)))
    table = evidence.parcels
    stands = table[[f"today_{u}" for u in evidence.uses]].to_numpy(dtype=float).sum(axis=1)
    kept, converted = ((table["action"] == action).to_numpy() for action in ("keep", "convert"))
    density, uses = indices["density"], evidence.uses
    counted = [
        (weights.density, density["floor_area_m2"], total),
        (weights.jobs, density["jobs"], _fullest(most, total, {n: u.floor_per_job for n, u in uses.items()})),
        (weights.homes, density["homes"], _fullest(most, total, {n: u.floor_per_home for n, u in uses.items()})),
        (weights.preserved, float(stands[kept | converted].sum()), float(stands.sum())),
        (weights.unchanged, float(stands[kept].sum()), float(stands.sum())),
    ]
    return float(score + sum(weight * value / top for weight, value, top in counted if weight and top))


def _fullest(most: dict[str, float], total: float, floor_per: dict[str, float]) -> float:
    """Return the most jobs or homes in floor area that is limited by use and in total, m²."""
    rate = np.array([1.0 / floor_per[use] if floor_per[use] else 0.0 for use in most])
    limits = [(0.0, area) for area in most.values()]
    return -float(linprog(-rate, A_ub=np.ones((1, len(rate))), b_ub=[total], bounds=limits).fun)


def _most(study: Study, evidence: Evidence, today: np.ndarray) -> tuple[dict[str, float], float]:
    """Return the floor area by use and in total that the score is divided by, m².

    What the study says, or the most that programme and parcels allow.
    """
    if study.objective.reference is not None:
        return study.objective.reference.uses, study.objective.reference.total
    uses = evidence.uses
    table = evidence.parcels
    facts = table.reset_index()
    extra = sum((r.extra_far(facts) for r in study.rules), np.zeros(len(table)))
    least = min(u.storey_height for u in uses.values())
    stands = facts[[f"today_{u}" for u in uses]].to_numpy(dtype=float).sum(axis=1)
    sites = evidence.buildings.groupby("parcel_id")["site"].size().reindex(table.index).to_numpy(dtype=float)
    height, floors, ratio, coverage, land = (
        facts[c].to_numpy(dtype=float) for c in ("max_height", "max_floors", "max_far", "coverage", "site_area")
    )
    plate = coverage * land / sites
    far = np.where(np.isnan(ratio), np.inf, (ratio + extra) * land)
    # Where no limit is given, none is the least.
    storeys = np.fmin(np.fmin(200.0, height / least), np.fmin(floors, far / plate))
    room = np.minimum(np.floor(storeys + 1e-9) * plate * sites, far)
    capacity = float(np.maximum(room, stands).sum())
    total = capacity
    programmes = [r for r in study.rules if r.kind == "programme" and r.where is None and r.price is None]
    whole = float(today.sum())
    for rule in programmes:
        if rule.max_floor_area is not None:
            total = min(total, rule.max_floor_area)
        if rule.max_today is not None:
            total = min(total, rule.max_today * whole)
    most = {}
    for use in uses:
        most[use] = total
        for rule in programmes:
            tops = [
                t
                for t in (rule.max_floor_area, None if rule.max_today is None else rule.max_today * whole)
                if t is not None
            ]
            others = sum(low for name, low in rule.min_share.items() if name != use)
            if tops:
                most[use] = min(most[use], max(min(rule.max_share.get(use, 1.0), 1.0 - others), 0.0) * min(tops))
            most[use] = min(most[use], rule.max_area.get(use, math.inf))
    return most, total


def relative_gap(bound: float, objective: float) -> float | None:
    """Return (bound - objective) / |objective|; None where the objective is 0 and the bound (to a millionth) is not."""
    if objective == 0:
        return 0.0 if bound <= 1e-6 else None
    return (bound - objective) / abs(objective)


def _close(a: Any, b: float, absolute: float = 1e-7) -> bool:
    return isinstance(a, (int, float)) and abs(a - b) <= absolute + INDEX_TOLERANCE * abs(b)


def _compare(path: str, written: Any, found: Any, faults: list[str]) -> None:
    if path.endswith((".shares", ".served")):
        return  # shipments need not be unique; their value is compared
    if isinstance(found, dict):
        for key, item in found.items():
            if not isinstance(written, dict) or key not in written:
                faults.append(f"{path}.{key}: missing from result.json")
            else:
                _compare(f"{path}.{key}", written[key], item, faults)
    elif not _close(written, found):
        faults.append(f"{path}: {written} is written, {found:.9g} recomputed")
