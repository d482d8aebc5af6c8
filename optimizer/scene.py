"""Where the floors of a plan, and those of today, stand: what rasters of pollution are made from.

The tables of a plan say it, in memory and in its files alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd

from geodata.fields import Grid
from geodata.screening import Screens
from optimizer.errors import StudyError

if TYPE_CHECKING:
    from optimizer.district import District
    from optimizer.plan import Plan
    from optimizer.study import Study
    from optimizer.uses import Use

State = Literal["plan", "today"]

MOST_CELLS = 100_000_000
"""Cells of a raster."""
BELOW_LID = 0.99
"""Share of the mixing height that a release counts as at most."""


@dataclass(frozen=True)
class Scene:
    """What rasters are made from, of a plan in memory and of a written one alike.

    Attributes
    ----------
    study : Study
    floors : dict
        By state, ``plan`` or ``today``: one row a building and use with ``x``, ``y``, ``use``, ``area`` (m²),
        ``height`` (mean of the middles of its storeys, m), ``roof`` (m), ``width`` (root of the plate, m).
    screens : Screens
        Buildings that the plan cannot change.
    grid : Grid
    crs : CRS
    """

    study: Study
    floors: Mapping[State, pd.DataFrame]
    screens: Screens
    grid: Grid
    crs: Any

    @property
    def uses(self) -> dict[str, Use]:
        """The uses by name."""
        return {use.name: use for use in self.study.use_list}


def scene_of_plan(plan: Plan) -> Scene:
    """Return the scene of a plan in memory, and of today."""
    frame, sites = plan.to_frame(), plan.sites_frame()
    return _scene(plan.study, frame, sites, plan.district.around.screens, frame.crs, ("plan", "today"))


def scene_of_today(study: Study, district: District) -> Scene:
    """Return the scene of a district as it stands."""
    from optimizer.plan import Plan

    keep = np.full(len(district.parcels), "keep", dtype=object)
    floors = np.zeros((len(district.sites), len(district.uses)), dtype=np.int64)
    frame = Plan(study, district, keep, floors, {})
    return _scene(
        study, frame.to_frame(), frame.sites_frame(), district.around.screens, district.parcels.crs, ("today",)
    )


def scene_of_folder(folder: Path) -> Scene:
    """Return the scene of a written plan, and of today, from its files alone.

    Raises
    ------
    StudyError
        When a file is missing or broken.
    """
    from optimizer.files import read_folder

    study, parcels, _ = read_folder(folder)
    file = folder / "plan.gpkg"
    try:
        layers = set(gpd.list_layers(file)["name"])
        sites, shapes = (gpd.read_file(file, layer=name, engine="pyogrio") for name in ("sites", "parcels"))
        screens = gpd.read_file(file, layer="screens", engine="pyogrio") if "screens" in layers else None
    except Exception as error:  # GDAL raises several kinds
        raise StudyError(f"{file}: cannot be read: {error}") from None
    try:
        stand = Screens(np.empty(0, dtype=object), np.empty(0))
        if screens is not None:
            stand = Screens(np.asarray(screens.geometry.array, dtype=object), screens["height_m"].to_numpy(dtype=float))
        table = gpd.GeoDataFrame(
            pd.DataFrame(parcels.drop(columns="geometry")), geometry=shapes.geometry, crs=shapes.crs
        )
        return _scene(study, table, sites, stand, shapes.crs, ("plan", "today"))
    except KeyError as error:
        raise StudyError(f"{folder}: {error} is in one of the plan's files and missing from another") from None
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise StudyError(f"{folder}: a value of the plan's files is of the wrong kind: {error}") from None


def _scene(
    study: Study, parcels: gpd.GeoDataFrame, sites: pd.DataFrame, screens: Screens, crs: Any, states: Sequence[State]
) -> Scene:
    uses = {use.name: use for use in study.use_list}
    floors = {state: _floors(parcels, sites, uses, state) for state in states}
    return Scene(study, floors, screens, grid_of(study, parcels.total_bounds), crs)


def grid_of(study: Study, bounds: Sequence[float]) -> Grid:
    """Return the cells around a district: its bounds and a margin, moved out to whole multiples of the step.

    Raises
    ------
    StudyError
        When there are too many, or they lie above the mixing height.
    """
    section = study.pollution
    step, margin = section.step, section.margin
    west, south = (math.floor((edge - margin) / step + 1e-9) * step for edge in bounds[:2])
    east, north = (math.ceil((edge + margin) / step - 1e-9) * step for edge in bounds[2:])
    cells = (east - west) / step * (north - south) / step
    if not cells <= MOST_CELLS:
        raise StudyError(
            f"pollution.step = {step:g}: rasters of {cells:,.0f} cells; at most {MOST_CELLS:,} are expected; give longer steps"
        )
    if section.wind is not None and section.height >= BELOW_LID * section.mixing_height:
        raise StudyError(
            f"pollution.height = {section.height:g}: not below pollution.mixing_height = {section.mixing_height:g}; "
            "give the height above ground at which rasters are made, usually 4 m"
        )
    return Grid.over((west, south, east, north), step)


def _floors(parcels: pd.DataFrame, sites: pd.DataFrame, uses: Mapping[str, Use], state: State) -> pd.DataFrame:
    """Return the floors of all buildings by use, as `Scene` has them."""
    facts = parcels.drop(columns="geometry").set_index("parcel_id").to_dict("index")
    count = sites["parcel_id"].value_counts()
    rows = []
    for site in sites.itertuples():
        parcel = facts[site.parcel_id]
        if state == "plan":
            stack = [item for item in parcel["stack"] if item["site"] == site.site]
            plate = float(site.plate_m2)
        else:
            stack, plate = _standing(parcel, 1.0 / count[site.parcel_id], uses)
        if not stack:
            continue
        storeys = np.zeros(max(int(item["to"]) for item in stack))
        for item in stack:
            here = slice(int(item["from"]) - 1, int(item["to"]))
            storeys[here] = np.maximum(storeys[here], uses[item["use"]].storey_height)
        tops = np.cumsum(storeys)
        middles = tops - storeys / 2
        for item in stack:
            height = float(middles[int(item["from"]) - 1 : int(item["to"])].mean())
            area = float(item["gfa_m2"])
            rows.append((site.x, site.y, item["use"], area, height, float(tops[-1]), math.sqrt(plate)))
    return pd.DataFrame(rows, columns=["x", "y", "use", "area", "height", "roof", "width"])


def _standing(parcel: Mapping[str, Any], share: float, uses: Mapping[str, Use]) -> tuple[list[dict[str, Any]], float]:
    """Return today's stack of one building, as a kept building's is written, and its plate, m²."""
    area = {name: float(parcel[f"today_{name}"]) * share for name in uses}
    total = sum(area.values())
    if not total > 0:
        return [], 0.0
    plate, top, stack = total / max(int(parcel["storeys_today"]), 1), 0.0, []
    for name in sorted((name for name in area if area[name] > 0), key=lambda name: uses[name].rank):
        first, top = top, top + area[name] / plate
        storeys = {"from": int(first + 1e-6) + 1, "to": max(math.ceil(top - 1e-6), 1)}
        stack.append({"use": name, "gfa_m2": area[name], **storeys})
    return stack, plate
