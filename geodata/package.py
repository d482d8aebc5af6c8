"""A GeoPackage that explains itself: layers with titles, units, domains and metadata, QGIS styles and a QGIS project."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd

from geodata.export import flat
from geodata.qgis import Project

SPEC = "http://www.geopackage.org/spec130/#extension_"
PROJECT = "plan"
"""Name of the project in the package."""
TABLES = """
CREATE TABLE IF NOT EXISTS gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL,
  definition TEXT NOT NULL, scope TEXT NOT NULL, CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
CREATE TABLE IF NOT EXISTS gpkg_data_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT,
  description TEXT, mime_type TEXT, constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name));
CREATE TABLE IF NOT EXISTS gpkg_data_column_constraints (constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL,
  value TEXT, min NUMERIC, min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));
CREATE TABLE IF NOT EXISTS gpkg_metadata (id INTEGER CONSTRAINT m_pk PRIMARY KEY ASC NOT NULL,
  md_scope TEXT NOT NULL DEFAULT 'dataset', md_standard_uri TEXT NOT NULL, mime_type TEXT NOT NULL DEFAULT 'text/xml',
  metadata TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS gpkg_metadata_reference (reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT,
  row_id_value INTEGER, timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  md_file_id INTEGER NOT NULL, md_parent_id INTEGER,
  CONSTRAINT crmr_mfi_fk FOREIGN KEY (md_file_id) REFERENCES gpkg_metadata(id),
  CONSTRAINT crmr_mpi_fk FOREIGN KEY (md_parent_id) REFERENCES gpkg_metadata(id));
CREATE TABLE IF NOT EXISTS layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
  f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT,
  styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')));
INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description)
  VALUES ('layer_styles', 'attributes', 'layer_styles', 'Styles of the layers for QGIS');
CREATE TABLE IF NOT EXISTS qgis_projects (name TEXT PRIMARY KEY, metadata BLOB, content BLOB);
"""
EXTENSIONS = {
    "gpkg_data_columns": ("gpkg_schema", "schema"),
    "gpkg_data_column_constraints": ("gpkg_schema", "schema"),
    "gpkg_metadata": ("gpkg_metadata", "metadata"),
    "gpkg_metadata_reference": ("gpkg_metadata", "metadata"),
}


@dataclass(frozen=True)
class Column:
    """What a column holds: title with unit, a sentence, and the domain its values are of, if any."""

    title: str
    description: str = ""
    domain: str | None = None


@dataclass(frozen=True)
class Layer:
    """A table of features.

    Attributes
    ----------
    frame : GeoDataFrame
        Lists become JSON text.
    title, description : str
        The title is of no other layer of the package.
    geometry : str
        What an empty table is of.
    columns : dict
        By name; of those columns that are explained.
    styles : dict
        Name to QML; the first is what QGIS shows by itself.
    """

    frame: gpd.GeoDataFrame
    title: str
    description: str = ""
    geometry: Literal["Point", "LineString", "MultiPolygon"] = "MultiPolygon"
    columns: Mapping[str, Column] = field(default_factory=dict)
    styles: Mapping[str, str] = field(default_factory=dict)


def write_geopackage(
    layers: Mapping[str, Layer],
    file: Path,
    *,
    domains: Mapping[str, Mapping[str, str]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    project: Project | None = None,
) -> None:
    """Write layers into one GeoPackage (version 1.3), in place of an earlier file.

    Parameters
    ----------
    domains : dict, optional
        Name to values and what they mean, for columns that name it.
    metadata : dict, optional
        What is known of the whole, as schema.org has a ``Dataset``; written as JSON.
    project : Project, optional
        Opened in QGIS by ``geopackage:FILE?projectName=plan``, or by a double click in its browser.
    """
    file.unlink(missing_ok=True)
    for name, layer in layers.items():
        empty = {"geometry_type": layer.geometry} if not len(layer.frame) else {}
        options = {} if file.exists() else {"VERSION": "1.3"}
        flat(layer.frame).to_file(file, layer=name, driver="GPKG", engine="pyogrio", **empty, **options)
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript(TABLES)
        database.executemany(
            "INSERT OR IGNORE INTO gpkg_extensions VALUES (?, NULL, ?, ?, 'read-write')",
            [(table, name, SPEC + part) for table, (name, part) in EXTENSIONS.items()],
        )
        for name, layer in layers.items():
            _describe(database, name, layer)
        database.executemany(
            "INSERT INTO gpkg_data_column_constraints (constraint_name, constraint_type, value, description) "
            "VALUES (?, 'enum', ?, ?)",
            [(name, value, told) for name, values in (domains or {}).items() for value, told in values.items()],
        )
        if metadata:
            told = json.dumps(
                {"@context": "https://schema.org", "@type": "Dataset", **metadata},
                ensure_ascii=False,
                allow_nan=False,
                indent=1,
            )
            database.execute(
                "INSERT INTO gpkg_metadata VALUES (1, 'dataset', 'https://schema.org/Dataset', 'application/json', ?)",
                (told,),
            )
            database.execute(
                "INSERT INTO gpkg_metadata_reference (reference_scope, md_file_id) VALUES ('geopackage', 1)"
            )
        if project:
            database.execute(
                'INSERT INTO qgis_projects VALUES (?, strftime(\'{"last_modified_time": "%Y-%m-%dT%H:%M:%S", '
                '"last_modified_user": "upstairs"}\', \'now\'), ?)',
                (PROJECT, project.content(file.name, PROJECT)),
            )


def _describe(database: sqlite3.Connection, name: str, layer: Layer) -> None:
    """Write title, columns and styles of a layer."""
    database.execute(
        "UPDATE gpkg_contents SET identifier = ?, description = ? WHERE table_name = ?",
        (layer.title, layer.description, name),
    )
    titles = _apart({key: column.title for key, column in layer.columns.items()})
    database.executemany(
        "INSERT INTO gpkg_data_columns VALUES (?, ?, ?, ?, ?, NULL, ?)",
        [
            (name, key, titles[key], titles[key], column.description or None, column.domain)
            for key, column in layer.columns.items()
        ],
    )
    geometry = database.execute(
        "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (name,)
    ).fetchone()[0]
    database.executemany(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
        "styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, ?, ?, '', ?, ?, '')",
        [
            (name, geometry, style, qml, int(k == 0), f"{layer.title}: {style}")
            for k, (style, qml) in enumerate(layer.styles.items())
        ],
    )


def _apart(titles: Mapping[str, str]) -> dict[str, str]:
    """Return titles of which no two are the same."""
    given: Sequence[str] = list(titles.values())
    return {key: title if given.count(title) == 1 else f"{title} [{key}]" for key, title in titles.items()}
