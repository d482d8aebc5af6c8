"""What the files of a plan say of the same thing, compared: shapes, tables, storeys, and the study's own inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray

from geodata.database import read_table
from geodata.errors import GeodataError
from geodata.layers import sha256
from geodata.parcels import read_parcels
from optimizer.district import read_district
from optimizer.errors import StudyError
from optimizer.surroundings import receptor_tables

if TYPE_CHECKING:
    from optimizer.rules import Evidence
    from optimizer.study import Study

AREA_TOLERANCE = 0.05
"""Largest difference of a parcel's floor area, m² (plates are computed again from coverage)."""
PLACE_TOLERANCE = 0.05
"""Largest distance between two files' borders, m (GeoJSON has seven decimals of a degree)."""


def check_numbers(file: Path, parcels: gpd.GeoDataFrame, written: gpd.GeoDataFrame) -> None:
    """Make sure that plan.geojson has numbers where plan.gpkg has.

    Raises
    ------
    StudyError
        Naming the first parcel and column that has something else.
    """
    for column in written.select_dtypes("number").columns.intersection(parcels.columns):
        wrong = parcels[column].notna() & pd.to_numeric(parcels[column], errors="coerce").isna()
        if wrong.any():
            name, value = parcels.loc[wrong, ["parcel_id", column]].iloc[0]
            raise StudyError(f"{file}: {column} of parcel {name} is {value!r}; a number is expected")


def same_shapes(
    parcels: gpd.GeoDataFrame, written: gpd.GeoDataFrame, sites: gpd.GeoDataFrame, faults: list[str]
) -> None:
    """Compare where plan.geojson and the layers of plan.gpkg have parcels and their building sites.

    Parameters
    ----------
    parcels : GeoDataFrame
        Of plan.geojson, WGS84.
    written, sites : GeoDataFrame
        Layers of plan.gpkg, in metres.
    """
    here = parcels.drop_duplicates("parcel_id").set_index("parcel_id").geometry.to_crs(written.crs)
    there = written.drop_duplicates("parcel_id").set_index("parcel_id").geometry
    shared = here.index.intersection(there.index)
    for name in shared[_apart(here.loc[shared], there.loc[shared])]:
        faults.append(f"parcel {name}: its shape in plan.geojson is not that in plan.gpkg")
    stands = sites[sites["parcel_id"].isin(shared)]
    together = stands.dissolve("parcel_id").geometry
    for name in together.index[_apart(together, there.loc[together.index])]:
        faults.append(f"parcel {name}: its building sites in plan.gpkg are not its shape")
    away = shapely.distance(shapely.points(sites[["x", "y"]].to_numpy(dtype=float)), _valid(sites.geometry))
    for name, number in sites.loc[~(away <= PLACE_TOLERANCE), ["parcel_id", "site"]].itertuples(index=False):
        faults.append(f"parcel {name}, building {number}: x and y lie outside its site")


def _valid(shapes: gpd.GeoSeries) -> NDArray[np.object_]:
    return np.asarray(shapely.make_valid(shapes.to_numpy()), dtype=object)


def _apart(a: gpd.GeoSeries, b: gpd.GeoSeries) -> NDArray[np.bool_]:
    """Whether shapes, row by row, differ by more than their borders' tolerance."""
    first, second = _valid(a), _valid(b)
    differ = shapely.area(shapely.symmetric_difference(first, second))
    apart: NDArray[np.bool_] = ~(differ <= PLACE_TOLERANCE * shapely.length(second))
    return apart


def same_floors(parcels: gpd.GeoDataFrame, file: Path, faults: list[str]) -> None:
    """Compare the layer of storeys with the stacks, m² by building and use."""
    if "floors" not in pyogrio.list_layers(file)[:, 0]:
        return
    floors = pyogrio.read_dataframe(file, layer="floors", read_geometry=False)
    key = ["parcel_id", "site", "use"]
    layer = floors.groupby(key)["gfa_m2"].sum()
    rows = [
        (name, int(item["site"]), item["use"], float(item["gfa_m2"]))
        for name, stack in zip(parcels.index, parcels["stack"], strict=True)
        for item in stack
    ]
    stacks = pd.DataFrame(rows, columns=[*key, "gfa_m2"]).groupby(key)["gfa_m2"].sum()
    differ = (layer.subtract(stacks, fill_value=0.0)).abs()
    for name, number, use in differ.index[differ > AREA_TOLERANCE]:
        faults.append(f"parcel {name}, building {number}: its storeys of {use} in plan.gpkg are not those of its stack")


def same_tables(parcels: gpd.GeoDataFrame, written: gpd.GeoDataFrame, faults: list[str]) -> None:
    """Compare plan.geojson with the parcels of plan.gpkg."""
    other = written.set_index("parcel_id")
    for name in other.index.difference(parcels.index):
        faults.append(f"parcel {name}: in plan.gpkg but not in plan.geojson")
    shared = parcels.index.intersection(other.index)
    for column in other.columns.drop(["geometry", "stack"]):
        if column not in parcels:
            continue
        a, b = parcels.loc[shared, column], other.loc[shared, column]
        if pd.api.types.is_numeric_dtype(b) and not pd.api.types.is_bool_dtype(b):
            x, y = pd.to_numeric(a).to_numpy(float), b.to_numpy(float)
            differ = ~((np.abs(x - y) <= AREA_TOLERANCE) | (np.isnan(x) & np.isnan(y)))
        else:
            differ = (a.fillna("").astype(str) != b.fillna("").astype(str)).to_numpy()
        if differ.any():
            faults.append(f"parcel {shared[differ][0]}: {column} differs between plan.geojson and plan.gpkg")
    stacks = [json.loads(s) if isinstance(s, str) else s for s in other.loc[shared, "stack"]]
    for name, a, b in zip(shared, parcels.loc[shared, "stack"], stacks, strict=True):
        if a != b:
            faults.append(f"parcel {name}: stack differs between plan.geojson and plan.gpkg")


def same_inputs(
    study: Study, parcels: gpd.GeoDataFrame, evidence: Evidence, result: dict[str, Any], faults: list[str]
) -> list[str]:
    """Read the study's parcels again, where they still are as they were, and compare limits and today's floors.

    Returns what could not be compared.
    """
    stated = {item["file"]: item["sha256"] for item in result.get("inputs", [])}
    if study.parcels.file is None:
        return ["The parcels came from Python: limits and today's floors were not compared with their source."]
    tables = {str(table): table for table in study.tables}
    changed = [f for f, h in stated.items() if f not in tables and (not Path(f).is_file() or sha256(Path(f)) != h)]
    if changed:
        return [f"{changed[0]} is gone or changed since: limits and today's floors were not compared with it."]
    for name in tables.keys() & stated.keys():
        try:
            digest = read_table(tables[name])[1]
        except GeodataError as error:
            return [f"{error}: limits and today's floors were not compared with it."]
        if digest != stated[name]:
            return [f"{name} changed since: limits and today's floors were not compared with it."]
    fresh = read_parcels(study.parcel_source()).frame.set_index("parcel_id")
    table = parcels.drop_duplicates("parcel_id").set_index("parcel_id")
    for name in fresh.index.difference(table.index):
        faults.append(f"parcel {name}: in the study's parcels but not in plan.geojson")
    shared = fresh.index.intersection(table.index)
    columns = {"site_area": "site_area", "max_far": "max_far", "max_height": "max_height", "max_floors": "max_floors"}
    columns |= {"coverage": "coverage", "storeys_today": "storeys_today"}
    columns |= {f"gfa_{use}": f"today_{use}" for use in study.uses}
    for original, column in columns.items():
        x = fresh.loc[shared, original].to_numpy(float)
        y = pd.to_numeric(table.loc[shared, column]).to_numpy(float)
        differ = ~((np.abs(x - y) <= 0.01) | (np.isnan(x) & np.isnan(y)))
        if differ.any():
            faults.append(f"parcel {shared[differ][0]}: {column} is not what the study's parcels say")
    placed = evidence.parcels.geometry.reindex(shared)
    known = ~placed.isna().to_numpy()
    for name in shared[known][_apart(placed[known], fresh.geometry.loc[shared[known]].to_crs(placed.crs))]:
        faults.append(f"parcel {name}: its shape is not that of the study's parcels")
    if evidence.receptors:
        _same_surroundings(study, evidence, faults)
    return []


def _same_surroundings(study: Study, evidence: Evidence, faults: list[str]) -> None:
    """Read backgrounds, places and screens of the study again and compare them with the plan's."""
    around = read_district(study).around
    for at, fresh in receptor_tables(around, study.backgrounds).items():
        table = evidence.receptors[at]
        if len(table) != len(fresh):
            faults.append(f"receptors_{at}: {len(table)} in the plan, {len(fresh)} by the study's files")
            continue
        for column in fresh.columns.drop("geometry"):
            a, b = fresh[column].to_numpy(), table.get(column, pd.Series([None] * len(table))).to_numpy()
            numeric = pd.api.types.is_numeric_dtype(fresh[column])
            same = (
                np.isclose(a.astype(float), b.astype(float), atol=0.01) if numeric else a.astype(str) == b.astype(str)
            )
            if not same.all():
                faults.append(
                    f"receptors_{at}: {column} of {table['receptor'].iloc[int(np.argmin(same))]} is not what the study's files say"
                )
    stand = [shape for shape, _ in evidence.screens]
    heights = [height for _, height in evidence.screens]
    if len(stand) != len(around.screens.heights) or not (
        np.allclose(heights, around.screens.heights, atol=0.01)
        and np.allclose(shapely.area(stand), shapely.area(around.screens.footprints), atol=0.1)
    ):
        faults.append("screens: not the buildings of the study's files that the plan cannot change")
