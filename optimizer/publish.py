"""A written plan in a PostGIS database: all of it in one transaction, with views and styles that QGIS finds.

The tables hold any number of plans, told apart by ``run_id``. What depends on a study's uses stands in the column ``more``; each
plan's views spread it out again, so that they have the columns of ``plan.gpkg``.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geodata.database import connect, copy_rows, is_address, without_password
from geodata.export import plain
from optimizer.errors import StudyError
from optimizer.files import read_folder, read_layers

if TYPE_CHECKING:
    import psycopg
    import pyproj

    from optimizer.study import Study

SCHEMA = "upstairs"
SCHEMA_VERSION = 1
"""Of the tables below; a database that says more was written by a later version."""
LOCK = 0x75707374616972
"""Of PostgreSQL's advisory locks: one plan is published after the other."""
LONGEST_NAME = 63
"""Bytes of a name in PostgreSQL."""
WGS84 = 4326
NUMBER = "float8"


def _typed(columns: str) -> dict[str, str]:
    """Return the type of each column of a list as SQL has it."""
    return dict(column.split() for column in columns.split(","))


FLOW = (
    "client_use text, supplier_use text, client_parcel text, client_site int, supplier_parcel text, supplier_site int, "
    "served_m2 float8"
)
LAYERS = {
    "parcels": _typed(
        "parcel_id text, action text, floors int, gfa_m2 float8, far float8, height_m float8, dominant_use text, stack jsonb, "
        "mix float8, site_area float8, zone text, use_code text, max_far float8, max_height float8, max_floors float8, "
        "coverage float8, protected boolean, year float8, storeys_today int, today_dominant_use text"
    ),
    "sites": _typed(
        "parcel_id text, site int, x float8, y float8, action text, plate_m2 float8, block int, neighbourhood int, "
        "door_node int, access_m float8, reached boolean"
    ),
    "floors": _typed(
        "parcel_id text, site int, storey int, use text, gfa_m2 float8, from_m float8, to_m float8, jobs float8, "
        "homes float8, action text"
    ),
    "flows": _typed(f"{FLOW}, walk_m float8"),
    "flows_inside": _typed(FLOW),
    "walks": _typed("from_node int, to_node int, length_m float8"),
    "receptors": _typed("laid text, receptor text, building int, x float8, y float8"),
}
"""Layers and those of their columns that every plan has."""
KEYS = {
    "parcels": "run_id, md5(parcel_id)",
    "sites": "run_id, md5(parcel_id), site",
    "floors": "run_id, md5(parcel_id), site, storey, use",
    "rules": "run_id, item",
    "indices": "run_id, state, md5(name)",
}
"""What is unique; an index has no room for long names themselves."""
RUN = _typed(
    "run_id text, title text, attribution text, status text, objective float8, bound float8, gap float8, crs text, srid int, "
    "study text, result jsonb, versions jsonb"
)
RULE = _typed(
    "run_id text, item int, name text, scope text, value float8, sense text, limit_value float8, unit text, "
    "satisfied boolean, missed float8, missed_unit text, price float8, places int, illustrative boolean"
)
INDEX = _typed("run_id text, state text, name text, value float8")


@dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes
    ----------
    run_id : str
        The first 16 digits of the SHA-256 of ``plan.geojson``, ``result.json`` and ``study.toml``.
    new : bool
        False where the database had this very plan; it is left as it was.
    sentences : tuple of str
        For people.
    """

    run_id: str
    new: bool
    sentences: tuple[str, ...]


def publish(folder: Path, address: str, schema: str = SCHEMA) -> Published:
    """Write a plan into a PostGIS database, whole or not at all.

    Parameters
    ----------
    folder : Path
        Of a written plan.
    address : str
        ``postgresql://[user@]host[:port]/database``.
    schema : str
        Made where it is missing.

    Raises
    ------
    StudyError
        No plan in the folder, no address, a schema that holds other things or was written by a later version.
    geodata.errors.GeodataError
        The database cannot be reached, has no PostGIS, gives no right, or refuses.
    """
    address = without_password(address)
    if not is_address(address):
        raise StudyError(f"{address}: the address of a database is expected, such as postgresql://host/database")
    if not 0 < len(schema.encode()) <= LONGEST_NAME:
        raise StudyError(f"--schema {schema!r}: a name of 1 to {LONGEST_NAME} bytes is expected")
    study, _, result = read_folder(folder)
    layers = _layers(folder)
    run_id = _digest(folder)
    prefix = f"plan_{run_id}"
    with connect(address) as connection:
        connection.execute("SET LOCAL lock_timeout = '60s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        _prepare(connection, schema, address)
        if (when := _published(connection, schema, run_id)) is not None:
            return Published(
                run_id, False, (f"Run {run_id} was published {when}; the same plan is there, nothing was changed.",)
            )
        srid, notes = _srid(connection, layers["parcels"].crs)
        copy_rows(
            connection, schema, "runs", list(RUN), [_run(folder, study, result, run_id, srid, layers["parcels"].crs)]
        )
        copy_rows(connection, schema, "rules", list(RULE), _rules(result, run_id))
        copy_rows(connection, schema, "indices", list(INDEX), _indices(result, run_id))
        for name, frame in layers.items():
            frame = frame.to_crs(srid)
            columns = ["run_id", *LAYERS[name], "more", "geom"]
            copy_rows(connection, schema, name, columns, _rows(frame, LAYERS[name], run_id, srid))
            _view(connection, schema, name, frame, run_id, srid, f"{study.name}: {name}")
        styles = _styles(folder / "plan.gpkg")
        notes += _write_styles(connection, schema, prefix, {name: styles[name] for name in layers if name in styles})
    views = ", ".join(f"{prefix}_{name}" for name in layers)
    told = f"Published: run {run_id} in schema {schema} of {address}"
    return Published(run_id, True, (told, f"Views:     {views}", *notes))


def _layers(folder: Path) -> dict[str, gpd.GeoDataFrame]:
    """Read the layers of a plan's package, receptors together."""
    read, file = read_layers(folder), folder / "plan.gpkg"
    try:
        parcels = gpd.read_file(file, layer="parcels", engine="pyogrio")
        laid = [name for name in gpd.list_layers(file)["name"] if name.startswith("receptors_")]
        receptors = [
            gpd.read_file(file, layer=name, engine="pyogrio").assign(laid=name.removeprefix("receptors_"))
            for name in laid
        ]
    except (RuntimeError, ValueError, KeyError, TypeError) as error:  # of pyogrio, of JSON, of what is in it
        raise StudyError(f"{file}: cannot be read: {error!r}; write the plan again with `upstairs solve`") from None
    layers = {"parcels": parcels, **read}
    if receptors:
        layers["receptors"] = gpd.GeoDataFrame(pd.concat(receptors, ignore_index=True), crs=parcels.crs)
    return {name: layers[name] for name in LAYERS if name in layers}


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("plan.geojson", "result.json", "study.toml"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()[:16]


def _prepare(connection: psycopg.Connection, schema: str, address: str) -> None:
    """Make schema and tables where they are missing.

    Raises
    ------
    StudyError
        When the schema holds other things, or was written by a later version.
    """
    from psycopg import sql

    found = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s", (schema,)
    ).fetchall()
    own = sql.Identifier(schema)
    if ("schema_version",) in found:
        row = connection.execute(sql.SQL("SELECT max(version) FROM {}.schema_version").format(own)).fetchone()
        there = row[0] if row else None
        if there is None or there > SCHEMA_VERSION:
            raise StudyError(
                f"{address}: schema {schema!r} has version {there} and this program writes {SCHEMA_VERSION}; update "
                "upstairs, or name another schema with --schema"
            )
        return
    if found:
        raise StudyError(
            f"{address}: schema {schema!r} holds other things than plans, such as {found[0][0]!r}; name another with --schema"
        )
    if connection.execute("SELECT to_regnamespace(quote_ident(%s))", (schema,)).fetchone() == (None,):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(own))

    def make(name: str, columns: Mapping[str, str], *more: str) -> None:
        typed = [sql.Identifier(column) + sql.SQL(" " + kind) for column, kind in columns.items()]
        listed = sql.SQL(", ").join([*typed, *map(sql.SQL, more)])
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(schema, name), listed))

    make("schema_version", {"version": "int NOT NULL"}, "since timestamptz NOT NULL DEFAULT now()")
    version = sql.SQL("INSERT INTO {}.schema_version (version) VALUES ({})")
    connection.execute(version.format(own, sql.Literal(SCHEMA_VERSION)))
    make("runs", RUN, "published timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (run_id)")
    make("rules", RULE)
    make("indices", INDEX)
    for name, columns in LAYERS.items():
        facts = {"run_id": "text NOT NULL", **columns, "more": "jsonb NOT NULL", "geom": "geometry"}
        make(name, facts, "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
        connection.execute(sql.SQL("CREATE INDEX ON {} USING gist (geom)").format(sql.Identifier(schema, name)))
    for name in ("rules", "indices", *LAYERS):
        table, unique = sql.Identifier(schema, name), "UNIQUE " if name in KEYS else ""
        index = "CREATE " + unique + "INDEX ON {} (" + KEYS.get(name, "run_id") + ")"
        connection.execute(sql.SQL(index).format(table))
        of_run = sql.SQL("ALTER TABLE {} ADD FOREIGN KEY (run_id) REFERENCES {}.runs ON DELETE CASCADE")
        connection.execute(of_run.format(table, own))


def _published(connection: psycopg.Connection, schema: str, run_id: str) -> str | None:
    """Return the date on which a run was published, if it was."""
    from psycopg import sql

    query = sql.SQL("SELECT to_char(published, 'YYYY-MM-DD HH24:MI') FROM {}.runs WHERE run_id = {}")
    row = connection.execute(query.format(sql.Identifier(schema), sql.Literal(run_id))).fetchone()
    return None if row is None else str(row[0])


def _srid(connection: psycopg.Connection, crs: pyproj.CRS) -> tuple[int, list[str]]:
    """Return the SRID of the working CRS, or of longitude and latitude where the database has none for it."""
    code = crs.to_epsg()
    row = connection.execute(
        "SELECT srid FROM spatial_ref_sys WHERE auth_name = 'EPSG' AND auth_srid = %s AND srid = auth_srid", (code,)
    ).fetchone()
    if row is not None:
        return int(row[0]), []
    why = (
        f"the CRS of the plan ({crs.name}) has no EPSG code"
        if code is None
        else f"the database does not know EPSG:{code}"
    )
    return WGS84, [f"Note:      {why}; geometry was published in longitude and latitude (EPSG:{WGS84})"]


def _run(
    folder: Path, study: Study, result: Mapping[str, Any], run_id: str, srid: int, crs: pyproj.CRS
) -> list[str | int | float | None]:
    text = without_password((folder / "study.toml").read_text(encoding="utf-8"))
    numbers = [result[key] for key in ("objective", "bound")]
    return [
        *(run_id, study.name, study.attribution, result.get("status"), *numbers, result.get("gap"), crs.to_wkt(), srid),
        *(text, without_password(_json(result)), _json(result.get("versions", {}))),
    ]


def _rules(result: Mapping[str, Any], run_id: str) -> Iterator[list[Any]]:
    for k, row in enumerate(result["rules"]):
        facts = {**row, "run_id": run_id, "item": k + 1, "limit_value": row.get("limit")}
        yield [plain(facts.get(column)) for column in RULE]


def _indices(result: Mapping[str, Any], run_id: str) -> Iterator[list[Any]]:
    def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from numbers(f"{name}.{key}" if name else str(key), item)
        elif isinstance(value, (int, float)):
            yield name, float(value)

    for state, key in (("today", "existing"), ("plan", "indices")):
        yield from ([run_id, state, name, value] for name, value in numbers("", result[key]))


def _json(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, default=str)


def _more(frame: gpd.GeoDataFrame, columns: Mapping[str, str]) -> list[str]:
    return [name for name in frame.columns if name not in columns and name != frame.geometry.name]


def _rows(frame: gpd.GeoDataFrame, columns: Mapping[str, str], run_id: str, srid: int) -> Iterator[list[Any]]:
    """Yield rows of a layer: its run, its columns, what else it has as JSON, and its geometry."""
    more = _more(frame, columns)
    shapes = shapely.to_wkb(shapely.set_srid(np.asarray(frame.geometry.array), srid), hex=True, include_srid=True)
    for record, shape in zip(frame.drop(columns=frame.geometry.name).to_dict("records"), shapes, strict=True):
        known = [plain(record.get(name)) for name in columns]
        yield [run_id, *known, _json({name: record[name] for name in more}), shape]


def _view(
    connection: psycopg.Connection, schema: str, layer: str, frame: gpd.GeoDataFrame, run_id: str, srid: int, title: str
) -> None:
    """Make a plan's view of a layer, its columns and geometry typed; ``id`` is its key."""
    from psycopg import sql

    names: list[sql.Composable] = [sql.Identifier(name) for name in ("id", *LAYERS[layer])]
    for name in _more(frame, LAYERS[layer]):
        kind = frame[name].dtype.kind
        cast = {"f": NUMBER, "i": "bigint", "b": "boolean"}.get(kind, "text")
        value = sql.SQL("(more ->> {})::" + cast + " AS {}")
        names.append(value.format(sql.Literal(name), sql.Identifier(_short(name))))
    kinds = set(frame.geom_type.dropna())
    kind = kinds.pop() if len(kinds) == 1 else "Geometry"
    view = sql.Identifier(schema, f"plan_{run_id}_{layer}")
    # One who deleted a run left its views, which then show the same plan again.
    connection.execute(
        sql.SQL(
            "CREATE OR REPLACE VIEW {} AS SELECT {}, geom::geometry({}, {}) AS geom FROM {} WHERE run_id = {}"
        ).format(
            view,
            sql.SQL(", ").join(names),
            sql.Identifier(kind),
            sql.Literal(srid),
            sql.Identifier(schema, layer),
            sql.Literal(run_id),
        )
    )
    connection.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(title)))


def _short(name: str) -> str:
    """Return a name that PostgreSQL need not cut off, so that two stay two."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}_{digest}"


def _styles(file: Path) -> dict[str, str]:
    """Return the QGIS styles of a package's layers."""
    with closing(sqlite3.connect(file)) as package:
        there = package.execute("SELECT 1 FROM sqlite_master WHERE name = 'layer_styles'").fetchone()
        rows = package.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault") if there else []
        return dict(rows)


def _write_styles(connection: psycopg.Connection, schema: str, prefix: str, styles: Mapping[str, str]) -> list[str]:
    """Put styles of a plan's views where QGIS looks for them, if this role may; return what could not be done."""
    import psycopg

    try:
        with connection.transaction():  # what fails here undoes the styles alone
            if connection.execute("SELECT to_regclass('public.layer_styles')").fetchone() == (None,):
                # As QGIS makes it.
                connection.execute(
                    "CREATE TABLE public.layer_styles (id serial PRIMARY KEY, f_table_catalog varchar, f_table_schema "
                    "varchar, f_table_name varchar, f_geometry_column varchar, stylename text, styleqml xml, stylesld xml, "
                    "useasdefault boolean, description text, owner varchar(63) DEFAULT CURRENT_USER, ui xml, "
                    "update_time timestamp DEFAULT CURRENT_TIMESTAMP, type varchar)"
                )
            for name, qml in styles.items():
                connection.execute(
                    "INSERT INTO public.layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
                    "stylename, styleqml, useasdefault, description) VALUES (current_database(), %s, %s, 'geom', "
                    "'Upstairs', XMLPARSE(DOCUMENT %s), true, 'Upstairs')",
                    (schema, f"{prefix}_{name}", qml),
                )
    except psycopg.ProgrammingError as error:
        said = " ".join(str(error.diag.message_primary).split())
        return [f"Note:      published without QGIS styles, which stand in public.layer_styles: {said}"]
    return []
