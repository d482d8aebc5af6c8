"""The answer: what happens on each parcel, floor by floor, with its indices, bound and gap."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from optimizer.district import Bools, District, Floats, Ints
from optimizer.flows import flows_of
from optimizer.model import Model
from optimizer.problem import all_rules
from optimizer.rules.base import Evidence
from optimizer.surroundings import receptor_tables

if TYPE_CHECKING:
    import folium
    from matplotlib.axes import Axes

    from optimizer.study import Study
    from optimizer.uses import Use

FLOORS = ("parcel_id", "site", "storey", "use", "gfa_m2", "from_m", "to_m", "jobs", "homes", "action")
"""Columns of floors, one row a storey and use."""


@dataclass(frozen=True)
class Plan:
    """Floors by parcel, site and use.

    Attributes
    ----------
    action : ndarray of str, shape (P,)
        ``keep``, ``convert``, ``redevelop`` or ``clear``; vacant land that stays vacant is kept.
    floors : ndarray of int, shape (S, U)
        New or converted floors; 0 where kept.
    result : dict
        What ``result.json`` holds (see design, section 4).
    shadow_prices : ndarray, shape (P,), or None
        By how much less than the bound any plan scores that leaves a parcel empty; None where no prices proved it.
    """

    study: Study
    district: District
    action: np.ndarray
    floors: Ints
    result: dict[str, Any]
    shadow_prices: Floats | None = None

    @cached_property
    def plate(self) -> Floats:
        """Floor area of one storey at each site, m², shape (S,)."""
        d = self.district
        at = self.action[d.parcel_of]
        return np.where(at == "redevelop", d.plate, d.plate_today)

    @cached_property
    def floor_area(self) -> Floats:
        """Floor area at each site, m², shape (S, U)."""
        d = self.district
        kept = (self.action == "keep")[d.parcel_of]
        return np.where(kept[:, None], d.existing_at, self.floors * self.plate[:, None])

    def stacks(self) -> list[list[dict[str, Any]]]:
        """Return for each parcel its stacks from the ground up: site, use, first and last storey, m²."""
        d = self.district
        names = [use.name for use in d.uses]
        fixed = [(rule.stack_order(d)) for rule in all_rules(self.study)]
        orders = [item for item in fixed if item is not None]
        stacks: list[list[dict[str, Any]]] = [[] for _ in range(len(d.parcels))]
        for s, p in enumerate(d.parcel_of):
            site = int(d.sites["site"].iloc[s])
            if self.action[p] == "keep":
                stacks[p] += _kept(d, s, p, site)
                continue
            present = [names[u] for u in np.flatnonzero(self.floors[s])]
            order = self._order(present, p, orders)
            storey = 1
            for use in order:
                count = int(self.floors[s, names.index(use)])
                stacks[p].append(
                    {
                        "site": site,
                        "use": use,
                        "from": storey,
                        "to": storey + count - 1,
                        "gfa_m2": round(count * float(self.plate[s]), 6),
                    }
                )
                storey += count
        return stacks

    def _order(self, present: list[str], parcel: int, orders: list[tuple[Bools, list[str]]]) -> list[str]:
        """Return the uses of a building from the ground up.

        A rule's order where one holds; else the order that puts most strength of linkages on adjoining floors,
        ties by rank. Buildings have few uses, so every order is tried.
        """
        for holds, order in orders:
            if holds[parcel]:
                return [use for use in order if use in present]
        rank = {use.name: use.rank for use in self.district.uses}
        ranked = sorted(present, key=lambda use: rank[use])
        if len(ranked) > 6:
            return ranked
        tie: dict[frozenset[str], float] = {}
        for link in self.district.linkages:
            pair = frozenset((link.client, link.supplier))
            tie[pair] = tie.get(pair, 0.0) + link.strength * link.demand

        def value(order: list[str]) -> tuple[float, float]:
            beside = sum(tie.get(frozenset(pair), 0.0) for pair in itertools.pairwise(order))
            settled = sum(rank[low] <= rank[high] for low, high in itertools.combinations(order, 2))
            return round(beside, 9), settled

        return max((list(order) for order in itertools.permutations(ranked)), key=value)

    def to_frame(self) -> gpd.GeoDataFrame:
        """Return one row a parcel, with the columns of ``plan.geojson``, in the working CRS."""
        d = self.district
        names = [use.name for use in d.uses]
        p, count = d.parcel_of, len(d.parcels)
        area = np.zeros((count, len(names)))
        np.add.at(area, p, self.floor_area)
        floors = np.zeros_like(area)
        kept = self.action == "keep"
        np.add.at(floors, p, self.floors)
        floors = np.where(kept[:, None], _kept_floors(d), floors)
        stacks = self.stacks()
        storeys = np.zeros(count)
        np.maximum.at(storeys, p, self.floors.sum(axis=1))
        storeys = np.where(kept, d.storeys_today, storeys)
        height = np.zeros(count)
        np.maximum.at(height, p, self.floors @ d.storey_height)
        height = np.where(kept, _kept_floors(d, each_site=True) @ d.storey_height, height)
        facts, prices = d.parcels, self.shadow_prices
        return gpd.GeoDataFrame(
            {
                "parcel_id": facts["parcel_id"],
                "action": self.action,
                "floors": storeys.astype(int),
                "gfa_m2": area.sum(axis=1).round(6),
                "far": (area.sum(axis=1) / d.site_area).round(4),
                "height_m": height.round(2),
                "dominant_use": dominant(area, names),
                **{f"gfa_{n}": area[:, u].round(6) for u, n in enumerate(names)},
                **{f"floors_{n}": floors[:, u].astype(int) for u, n in enumerate(names)},
                "stack": stacks,
                "mix": entropy_index(area).round(4),
                "site_area": d.site_area.round(6),
                **{key: facts[key] for key in ("zone", "use_code", "max_far", "max_height", "max_floors", "coverage")},
                "protected": facts["protected"].astype(bool),
                "year": facts["year"],
                "storeys_today": d.storeys_today,
                **{c: facts[c] for c in facts if c.startswith("layer_")},
                **{f"today_{n}": d.existing[:, u].round(6) for u, n in enumerate(names)},
                "today_dominant_use": dominant(d.existing, names),
                # Rounded down: what is said of it stays true.
                **({} if prices is None else {"shadow_price": np.floor(prices * 1e6) / 1e6}),
            },
            geometry=facts.geometry.to_numpy(),
            crs=facts.crs,
        )

    def sites_frame(self) -> gpd.GeoDataFrame:
        """Return one row a building site: floors and floor area by use, m², working CRS."""
        d = self.district
        frame = d.sites[["parcel_id", "site", "geometry"]].copy()
        frame["x"], frame["y"] = d.xy.T
        frame["action"] = self.action[d.parcel_of]
        frame["plate_m2"] = self.plate
        for u, use in enumerate(d.uses):
            frame[f"gfa_{use.name}"] = self.floor_area[:, u]
            frame[f"floors_{use.name}"] = self.floors[:, u]
        for scale, group in d.groups.items():
            frame[scale] = group
        frame["door_node"] = d.network.door
        frame["access_m"] = d.network.access
        reached = np.ones(len(frame), dtype=bool)
        reached[d.network.unreached] = False
        frame["reached"] = reached
        return frame

    def floors_frame(self) -> gpd.GeoDataFrame:
        """Return one row a storey and use: m², jobs, homes and heights in m, on the building's site; working CRS.

        Storeys count from 1 on the ground. Where uses share a storey of a kept building each has a row, and the storey is
        as high as the use with most floor on it asks.
        """
        d = self.district
        use = {u.name: u for u in d.uses}
        place = {(p, int(n)): s for s, (p, n) in enumerate(zip(d.parcel_of, d.sites["site"], strict=True))}
        rows: list[dict[str, Any]] = []
        at: list[int] = []
        names = d.parcels["parcel_id"].tolist()
        for p, stack in enumerate(self.stacks()):
            name, action = names[p], self.action[p]
            for number, items in itertools.groupby(stack, key=lambda item: int(item["site"])):
                s = place[p, number]
                for storey, bottom, top, parts in _storeys(list(items), float(self.plate[s]), use):
                    for key, area in parts.items():
                        own = use[key]
                        rows.append(
                            {
                                "parcel_id": name,
                                "site": number,
                                "storey": storey,
                                "use": key,
                                "gfa_m2": round(area, 6),
                                "from_m": round(bottom, 3),
                                "to_m": round(top, 3),
                                "jobs": round(area / own.floor_per_job, 6) if own.floor_per_job else 0.0,
                                "homes": round(area / own.floor_per_home, 6) if own.floor_per_home else 0.0,
                                "action": action,
                            }
                        )
                        at.append(s)
        shapes = d.sites.geometry.to_numpy()[at]
        return gpd.GeoDataFrame(pd.DataFrame(rows, columns=list(FLOORS)), geometry=shapes, crs=d.parcels.crs)

    @cached_property
    def evidence(self) -> Evidence:
        """The plan's tables as an audit reads them."""
        d = self.district
        table = self.to_frame().set_index("parcel_id")
        sites = self.sites_frame()
        stacks: dict[tuple[str, int], list[str]] = {}
        for name, action, items in zip(table.index, table["action"], table["stack"], strict=True):
            for item in items:
                if action != "keep":
                    stacks.setdefault((name, item["site"]), []).extend([item["use"]] * (item["to"] - item["from"] + 1))
        buildings = pd.DataFrame(sites.drop(columns="geometry")).rename(
            columns={"plate_m2": "plate", "access_m": "access"}
        )
        keys = zip(buildings["parcel_id"], buildings["site"], strict=True)
        buildings["storeys"] = [stacks.get(key, []) for key in keys]
        walks = pd.DataFrame(self.walks_frame().drop(columns="geometry"))
        study = self.study
        receptors, screens = {}, []
        if study.polluted:
            buildings["footprint"] = d.around.footprints
            receptors = receptor_tables(d.around, study.backgrounds)
            screens = list(zip(d.around.screens.footprints, d.around.screens.heights.tolist(), strict=True))
        uses, rules = {use.name: use for use in d.uses}, tuple(all_rules(study))
        return Evidence(
            table, buildings, uses, walks, rules, study.pollution, receptors, screens, linkages=study.linkage_list
        )

    def layers(self) -> dict[str, gpd.GeoDataFrame]:
        """Return building sites, streets and flows, as ``plan.gpkg`` holds them, in the working CRS."""
        return {"sites": self.sites_frame(), **flows_of(self.evidence, self.walks_frame())}

    def walks_frame(self) -> gpd.GeoDataFrame:
        """Return the streets that people walk on as a table: ``from_node``, ``to_node``, ``length_m`` (m), working CRS."""
        network = self.district.network
        a, b = network.edges.T
        table = pd.DataFrame({"from_node": a, "to_node": b, "length_m": network.length})
        lines = shapely.linestrings(np.stack([network.xy[a], network.xy[b]], axis=1))
        return gpd.GeoDataFrame(table, geometry=lines, crs=self.district.parcels.crs)

    def explore(self) -> folium.Map:
        """Return the plan as an interactive Folium map."""
        from optimizer.plan_maps import draw

        return draw(self.study, self.to_frame(), self.result, self.layers())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the parcels by dominant use with matplotlib; return the axes."""
        from matplotlib import pyplot as plt
        from matplotlib.patches import Patch

        if ax is None:
            ax = plt.subplots(figsize=(8, 8))[1]
        frame = self.to_frame()
        colour = {use.name: use.colour for use in self.district.uses}
        frame.plot(
            ax=ax, color=[colour.get(u, "#E8E8E8") for u in frame["dominant_use"]], edgecolor="white", linewidth=0.4
        )
        ax.legend(handles=[Patch(color=use.colour, label=use.label) for use in self.district.uses], loc="best")
        ax.set_title(self.study.name)
        ax.set_axis_off()
        return ax

    def save(self, folder: Path | str) -> Path:
        """Write the plan's files into a folder, whole or not at all; return it."""
        from optimizer.files import write_plan

        return write_plan(self, Path(folder))

    def __repr__(self) -> str:
        score = self.result.get("objective")
        told = "" if score is None else f", score {score:.5f}, bound {self.result['bound']:.5f}"
        return f"<Plan {self.study.name!r}: {len(self.action)} parcels{told}>"

    def _repr_html_(self) -> str:
        return str(self.explore()._repr_html_())


def dominant(area: Floats, names: list[str]) -> list[str]:
    """Return the use with most floor area of each parcel, empty where nothing stands."""
    return [names[u] if total > 0 else "" for u, total in zip(area.argmax(axis=1), area.sum(axis=1), strict=True)]


def entropy_index(area: Floats) -> Floats:
    """Return the entropy of shares over ln(number of uses), 0 to 1, for floor areas (..., U)."""
    total = area.sum(axis=-1, keepdims=True)
    share = np.divide(area, total, out=np.zeros_like(area), where=total > 0)
    terms = np.where(share > 0, share * np.log(np.where(share > 0, share, 1.0)), 0.0)
    return np.asarray(-terms.sum(axis=-1) / np.log(max(area.shape[-1], 2))) + 0.0


def _kept_floors(d: District, each_site: bool = False) -> Ints:
    """Return storeys by use of today's buildings, by largest remainder, shape (P, U)."""
    total = d.existing.sum(axis=1, keepdims=True)
    exact = np.divide(d.existing, total, out=np.zeros_like(d.existing), where=total > 0) * d.storeys_today[:, None]
    floors = np.floor(exact + 1e-9)
    short = (d.storeys_today - floors.sum(axis=1)).astype(int)
    order = np.argsort(-(exact - floors), axis=1, kind="stable")
    place = np.argsort(order, axis=1, kind="stable")
    floors += place < short[:, None]
    return np.asarray(floors * (1 if each_site else d.sites_on[:, None]), dtype=np.int64)


def _storeys(
    items: list[dict[str, Any]], plate: float, uses: dict[str, Use]
) -> Iterator[tuple[int, float, float, dict[str, float]]]:
    """Yield the storeys of a building from the ground up: number, lower and upper end (m), m² by use."""
    area: dict[int, dict[str, float]] = {}
    top = 0.0
    for item in items:
        first, top = top, top + item["gfa_m2"] / plate
        # A sliver of a use may lie between two storeys: it is then on the one it begins on.
        numbers = range(int(item["from"]), max(int(item["from"]), int(item["to"])) + 1)
        part = [max(min(top, number) - max(first, number - 1), 0.0) for number in numbers]
        whole = sum(part)
        for number, share in zip(numbers, part, strict=True):
            own = area.setdefault(number, {})
            own[item["use"]] = own.get(item["use"], 0.0) + item["gfa_m2"] * (share / whole if whole else 1 / len(part))
    bottom = 0.0
    for number in sorted(area):
        height = uses[max(area[number], key=lambda use: area[number][use])].storey_height
        yield number, bottom, bottom + height, area[number]
        bottom += height


def _kept(d: District, s: int, p: int, site: int) -> list[dict[str, Any]]:
    """Return today's building at a site; uses that share a storey both name it."""
    items, top = [], 0.0
    plate = float(d.plate_today[s])
    for u in sorted(np.flatnonzero(d.existing_at[s]), key=lambda u: d.uses[u].rank):
        area = float(d.existing_at[s, u])
        first, top = top, top + area / plate
        items.append(
            {
                "site": site,
                "use": d.uses[u].name,
                "from": int(np.floor(first + 1e-6)) + 1,
                "to": max(int(np.ceil(top - 1e-6)), 1),
                "gfa_m2": round(area, 6),
            }
        )
    return items


def read_solution(model: Model, x: Floats) -> tuple[np.ndarray, Ints]:
    """Return actions, shape (P,), and floors, shape (S, U), of a solution of the program."""
    d = model.district
    choice = np.rint(x[np.stack([model.keep, model.convert, model.redevelop])]).astype(int)
    action = np.where(choice[0] == 1, "keep", np.where(choice[1] == 1, "convert", "redevelop"))
    action = np.where(choice.sum(axis=0) == 0, "clear", action).astype(object)
    new, converted = (np.rint(x[part]).astype(np.int64) for part in (model.new, model.converted))
    at = action[d.parcel_of]
    floors = np.where((at == "redevelop")[:, None], new, 0) + np.where((at == "convert")[:, None], converted, 0)
    return action, floors
