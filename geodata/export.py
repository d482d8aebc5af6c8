"""Files for a GIS: GeoJSON after RFC 7946, and GeoPackage with a QGIS style."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

DIGITS = 7
"""Decimals of a degree in GeoJSON, about a centimetre."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
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


def write_geopackage(
    layers: Mapping[str, gpd.GeoDataFrame], file: Path, styles: Mapping[str, str] | None = None
) -> None:
    """Write layers into one GeoPackage, with QGIS styles (QML) by layer.

    Lists become JSON text. QGIS finds the styles in the table ``layer_styles`` and uses them by itself.
    """
    for name, frame in layers.items():
        flat = frame.copy()
        for column in flat.columns:
            if column != flat.geometry.name and flat[column].map(lambda v: isinstance(v, list)).any():
                flat[column] = flat[column].map(lambda v: json.dumps(v, ensure_ascii=False))
        flat.to_file(file, layer=name, driver="GPKG", engine="pyogrio")
    if styles:
        _write_styles(file, styles)


def _write_styles(file: Path, styles: Mapping[str, str]) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), "
            "f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), "
            "styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
        )
        database.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
        for layer, qml in styles.items():
            database.execute("DELETE FROM layer_styles WHERE f_table_name = ?", (layer,))
            column = database.execute(
                "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
            ).fetchone()[0]
            database.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
                "styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, 'Upstairs', ?, '', 1, '', '')",
                (layer, column, qml),
            )


def qml_categorised(column: str, categories: Mapping[str, tuple[str, str]]) -> str:
    """Return a QGIS style that colours polygons by a column.

    Parameters
    ----------
    categories : dict
        Value to (label, colour as ``#rrggbb``).
    """
    root = ElementTree.Element("qgis", version="3.28", styleCategories="Symbology")
    renderer = ElementTree.SubElement(root, "renderer-v2", type="categorizedSymbol", attr=column, enableorderby="0")
    listed = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for i, (value, (label, colour)) in enumerate(categories.items()):
        ElementTree.SubElement(
            listed, "category", value=value, label=label, symbol=str(i), render="true", type="string"
        )
        symbol = ElementTree.SubElement(symbols, "symbol", type="fill", name=str(i), alpha="1", clip_to_extent="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
        options = ElementTree.SubElement(layer, "Option", type="Map")
        red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
        for name, text in {
            "color": f"{red},{green},{blue},255",
            "outline_color": "255,255,255,255",
            "outline_width": "0.2",
            "style": "solid",
        }.items():
            ElementTree.SubElement(options, "Option", type="QString", name=name, value=text)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(
        root, encoding="unicode"
    )
