"""Files for a GIS and for spreadsheets: GeoJSON after RFC 7946, GeoParquet, Shapefile with shortened names, CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geodata.errors import GeodataError

SHAPEFILE = "names of at most 10 letters, text of at most 254 bytes, no lists, no true and false, and at most 2 GB"
"""What a shapefile holds."""
LONGEST_NAME, LONGEST_TEXT = 10, 254
"""Bytes of a name and of text in a shapefile."""
DIGITS = 7
"""Decimals of a degree in GeoJSON, about a centimetre."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With which spreadsheets begin a formula."""


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN is null, numpy numbers are numbers."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return None if value is None or value != value else value


def write_geojson(frame: gpd.GeoDataFrame, file: Path) -> None:
    """Write polygons as GeoJSON: longitude and latitude, right-hand rule, nested lists as JSON.

    Parameters
    ----------
    frame : GeoDataFrame
        Any CRS.
    """
    world = shapely.set_precision(np.asarray(frame.to_crs(4326).geometry.array), 10.0**-DIGITS)
    world = shapely.orient_polygons(world)
    columns = [name for name in frame.columns if name != frame.geometry.name]
    records = frame[columns].to_dict("records")
    features = [
        {"type": "Feature", "properties": plain(record), "geometry": _geometry(shape)}
        for record, shape in zip(records, world, strict=True)
    ]
    body: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if features:
        body["bbox"] = [round(float(v), DIGITS) for v in shapely.total_bounds(world)]
    file.write_text(json.dumps(body, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _geometry(shape: shapely.Geometry) -> Any:
    def rounded(part: Any) -> Any:
        return [rounded(item) for item in part] if isinstance(part, (list, tuple)) else round(part, DIGITS)

    mapping = json.loads(shapely.to_geojson(shape))
    return {"type": mapping["type"], "coordinates": rounded(mapping["coordinates"])}


def write_csv(frame: pd.DataFrame, file: Path) -> None:
    """Write a table that spreadsheets open as it is: UTF-8 with its mark, text that would be a formula behind an apostrophe."""

    def plain_text(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

    safe = frame.map(plain_text).set_axis([plain_text(name) for name in frame.columns], axis=1)
    safe.to_csv(file, index=False, encoding="utf-8-sig")


def read_geojson(file: Path) -> gpd.GeoDataFrame:
    """Read a GeoJSON file back, nested lists as lists; EPSG:4326."""
    data = json.loads(file.read_text(encoding="utf-8"))
    return gpd.GeoDataFrame.from_features(data["features"], crs=4326)


def flat(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a table whose lists are JSON text."""
    copy = frame.copy()
    for column in copy.columns:
        if column != copy.geometry.name and copy[column].map(lambda v: isinstance(v, list)).any():
            copy[column] = copy[column].map(lambda v: json.dumps(v, ensure_ascii=False))
    return copy


def write_geoparquet(frame: gpd.GeoDataFrame, file: Path) -> None:
    """Write a table as GeoParquet 1.1 (WKB), with the bounds of each row in a column ``bbox``; lists become JSON text."""
    flat(frame).to_parquet(file, index=False, schema_version="1.1.0", geometry_encoding="WKB", write_covering_bbox=True)


def write_shapefile(frame: gpd.GeoDataFrame, file: Path, key: str | None = None) -> pd.DataFrame:
    """Write a table as a shapefile, with what it cannot hold shortened or left out.

    Parameters
    ----------
    key : str, optional
        Column that must still tell rows apart.

    Returns
    -------
    DataFrame
        ``column``, its ``name`` in the file, and a ``note`` on what was lost.

    Raises
    ------
    GeodataError
        When there are no rows, or the key was shortened until rows have the same.
    """
    if not len(frame):
        raise GeodataError(f"{file}: the table has no rows, and a shapefile must know what its rows are")
    columns = [name for name in frame.columns if name != frame.geometry.name]
    kept = [name for name in columns if not frame[name].map(lambda v: isinstance(v, (list, dict))).any()]
    names = short_names(kept)
    written = frame[[*kept, frame.geometry.name]].copy()
    notes = {name: "left out: a list" for name in columns if name not in kept}
    for name in kept:
        if pd.api.types.is_bool_dtype(written[name]):
            written[name] = written[name].astype(int)
            notes[name] = "1 is true, 0 false"
        elif not pd.api.types.is_numeric_dtype(written[name]):
            short = written[name].map(_cut)
            lost = int((short != written[name]).sum() - written[name].isna().sum())
            if lost:
                notes[name] = f"cut to {LONGEST_TEXT} bytes: {lost} values"
            if name == key and short.nunique() < written[name].nunique():
                raise GeodataError(
                    f"{file}: {name} is longer than {LONGEST_TEXT} bytes and would be the same in several rows; "
                    "write .gpkg or .parquet"
                )
            written[name] = short
    written.rename(columns=names).to_file(
        file, driver="ESRI Shapefile", engine="pyogrio", encoding="UTF-8", **{"2GB_LIMIT": "YES"}
    )
    return pd.DataFrame(
        {
            "column": columns,
            "name": [names.get(c, "") for c in columns],
            "note": [notes.get(c, "") for c in columns],
        }
    )


def _cut(value: Any) -> Any:
    """Return text that a shapefile holds."""
    return value.encode()[:LONGEST_TEXT].decode(errors="ignore") if isinstance(value, str) else value


def short_names(columns: Sequence[str]) -> dict[str, str]:
    """Return names of at most ten letters, of which no two are the same whatever their case."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:
        start = re.sub(r"\W", "_", column, flags=re.ASCII)[:LONGEST_NAME] or "column"
        name, k = start, 1
        while name.lower() in taken:
            k += 1
            name = start[: LONGEST_NAME - len(str(k))] + str(k)
        taken.add(name.lower())
        found[column] = name
    return found
