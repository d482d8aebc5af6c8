"""PostGIS: tables read as layers, rows written in one transaction, addresses without their passwords."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import geopandas as gpd
import pyproj
import shapely

from geodata.errors import GeodataError

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

PATIENCE = 4
"""Seconds that one attempt to connect may take, where address and PGCONNECT_TIMEOUT say nothing."""
SHOWN = 12
"""Tables that an error names."""
_SCHEME = r"postgres(?:ql)?(?:\+\w+)?://"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^:@/?#,\s\[\]]*)(?::\d*)?"
_USER = re.compile(rf"(?P<before>{_SCHEME}[^:@/?#\s]*):(?P<password>[^@/?#\s]*)@", re.IGNORECASE)
_KEY = re.compile(rf"(?P<before>{_SCHEME}[^#\s]*?[?&])password=(?P<password>[^&#\s]*)&?", re.IGNORECASE)
_WHOLE = re.compile(rf"{_SCHEME}(?:[^:@/?#\s]*@)?{_HOST}(?:,{_HOST})*(?:/[^/?#@\s]*)?(?:\?[^#@\s]*)?", re.IGNORECASE)
_FIND_POSTGIS = (
    "SELECT set_config('search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)), "
    "true) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'postgis'"
)
"""Looks into PostGIS's own schema too until the transaction ends."""
# Values that are shown, compared, hashed and written must hold no password, so it is kept apart, in this process alone.
_passwords: dict[str, str] = {}


@dataclass(frozen=True)
class Table:
    """A table or view of a PostGIS database.

    Attributes
    ----------
    address : str
        ``postgresql://[user@]host[:port]/database``, without a password.
    name : str
        As it is stored: ``name``, or ``schema.name``.
    """

    address: str
    name: str

    def __str__(self) -> str:
        return f"{self.address} {self.name}"


def is_address(text: str) -> bool:
    """Whether text is the address of a database."""
    return re.match(_SCHEME, text, re.IGNORECASE) is not None


def without_password(text: str) -> str:
    """Return text whose database addresses have lost their passwords, which `connect` remembers.

    Raises
    ------
    GeodataError
        When text that is one address is none that can be read, so that a password may stand anywhere in it.
    """
    found = [unquote(match["password"]) for pattern in (_USER, _KEY) for match in pattern.finditer(text)]
    bare = _KEY.sub(r"\g<before>", _USER.sub(r"\g<before>@", text))
    start = re.match(rf"\s*(?:--?[\w-]+=)?(?={_SCHEME})", bare, re.IGNORECASE)
    if start is None:
        return bare
    address = re.sub(_SCHEME, "postgresql://", bare[start.end() :].strip(), count=1, flags=re.IGNORECASE).rstrip("?&")
    if not _WHOLE.fullmatch(address) or "password=" in address.lower():
        raise GeodataError(
            "the address of a database is postgresql://[user@]host[:port]/database[?key=value], with @ : / # ? % and spaces "
            "of names and passwords written as %40 %3A %2F %23 %3F %25 %20 (the one given is not shown: it may hold a password)"
        )
    if found:
        _passwords[address] = found[-1]
    return start[0].lstrip() + address


def without_passwords(value: Any, key: str = "") -> Any:
    """Return nested values whose texts went through `without_password`."""
    if isinstance(value, dict):
        return {name: without_passwords(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [without_passwords(item, f"{key}[{i}]") for i, item in enumerate(value)]
    try:
        return without_password(value) if isinstance(value, str) else value
    except GeodataError as error:
        raise GeodataError(f"{key}: {error}") from None


@contextmanager
def connect(address: str, reading: bool = False) -> Iterator[psycopg.Connection]:
    """Connect to a database; what is done within is one transaction, which an error undoes.

    One that is only ``reading`` sees a single state of the database and changes none.

    A password comes from the address that `without_password` was given, PGPASSWORD or ~/.pgpass.

    Raises
    ------
    GeodataError
        psycopg is missing, the server cannot be reached or refuses, or PostGIS is missing.
    """
    try:
        import psycopg
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise GeodataError(
            f"{address}: databases need psycopg and SQLAlchemy ({error}); install them with pip install 'upstairs[postgis]'"
        ) from None
    try:
        given: dict[str, Any] = {**psycopg.conninfo.conninfo_to_dict(address), "application_name": "upstairs"}
        if address in _passwords:
            given["password"] = _passwords[address]
        if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
            given["connect_timeout"] = PATIENCE
        connection = psycopg.connect(**given)
        role = connection.info.user
    except psycopg.Error as error:
        raise GeodataError(f"{address}: the database cannot be reached: {_sentence(error)}") from None
    kept = "" if reading else "; nothing was written"
    try:
        with connection:
            if reading:
                connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
            if connection.execute(_FIND_POSTGIS).fetchone() is None:
                raise GeodataError(
                    f"{address}: the database has no PostGIS; its owner adds it: CREATE EXTENSION postgis"
                )
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise GeodataError(
            f"{address}: role {role!r} has no right to do this: {_sentence(error)}{kept}; ask the owner of the database to "
            "GRANT it"
        ) from None
    except psycopg.Error as error:
        if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
            raise GeodataError(
                f"{address}: the connection was lost: {_sentence(error)}; do the same again, which does nothing twice"
            ) from None
        raise GeodataError(f"{address}: the database refused: {_sentence(error)}{kept}") from None


def _sentence(error: Exception) -> str:
    """Return an error's text on one line."""
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    return " ".join(without_password(str(said)).split())


def read_table(table: Table) -> tuple[gpd.GeoDataFrame, str]:
    """Read all rows of a table, by its primary key or, without one, in the order of their text.

    Returns
    -------
    GeoDataFrame
        With the CRS that the rows' SRID stands for.
    str
        SHA-256 of columns, rows and CRS.

    Raises
    ------
    GeodataError
        No such table, several geometry columns, no rows, no or several SRIDs; see `connect`.
    """
    with connect(table.address, reading=True) as connection:
        import psycopg
        import sqlalchemy as sa

        engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=sa.StaticPool)
        try:
            with engine.connect() as rows:
                frame = _rows(rows, table)
        except sa.exc.DBAPIError as error:
            if isinstance(error.orig, psycopg.Error):
                raise error.orig from None
            raise
    text = frame.to_wkb(hex=True).to_csv(index=False, na_rep="\\N")
    return frame, hashlib.sha256(f"{frame.crs.to_wkt()}\n{text}".encode()).hexdigest()


def _rows(connection: Connection, table: Table) -> gpd.GeoDataFrame:
    import sqlalchemy as sa

    connection.exec_driver_sql(_FIND_POSTGIS)  # SQLAlchemy began a transaction of its own
    schema, name, geometry = _place(connection, table)
    columns = connection.execute(
        sa.text(
            "SELECT a.attname, coalesce(array_position(i.indkey::int2[], a.attnum), -1) FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
            "WHERE n.nspname = :schema AND c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ),
        {"schema": schema, "name": name},
    ).all()
    named: list[Any] = [sa.column(sa.quoted_name(column, True)) for column, _ in columns]
    source = sa.table(sa.quoted_name(name, True), *named, schema=sa.quoted_name(schema, True)).alias("row_read")
    keys = [column for _, column in sorted((place, column) for column, place in columns if place >= 0)]
    order = [source.c[key] for key in keys] or [sa.literal_column('CAST(row_read AS text) COLLATE "C"')]
    shape = source.c[geometry]
    srids = [srid for (srid,) in connection.execute(sa.select(sa.func.ST_SRID(shape)).distinct()) if srid is not None]
    if not srids:
        raise GeodataError(f"{table}: has no row with a geometry")
    if len(srids) > 1:
        raise GeodataError(
            f"{table}: geometry has {len(srids)} SRIDs ({', '.join(map(str, sorted(srids)))}); one is expected"
        )
    crs = _crs(connection, srids[0], table)
    try:
        return gpd.read_postgis(sa.select(*source.c).order_by(*order), connection, geom_col=geometry, crs=crs)
    except (shapely.errors.ShapelyError, NotImplementedError) as error:
        raise GeodataError(
            f"{table}: a geometry cannot be read: {error}; is it a curve? ST_CurveToLine helps"
        ) from None


def _place(connection: Connection, table: Table) -> tuple[str, str, str]:
    """Return schema, name and geometry column of the table that is meant."""
    import sqlalchemy as sa

    found = connection.execute(
        sa.text(
            "SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.oid = a.atttypid "
            "WHERE t.typname IN ('geometry', 'geography') AND c.relkind IN ('r', 'v', 'm', 'f', 'p') "
            "AND NOT a.attisdropped ORDER BY 1, 2, a.attnum"
        )
    ).all()
    meant = [row for row in found if table.name in (f"{row[0]}.{row[1]}", row[1])]
    names = list(dict.fromkeys(f"{row[0]}.{row[1]}" for row in meant))
    if not names:
        there = list(dict.fromkeys(f"{row[0]}.{row[1]}" for row in found))
        close = difflib.get_close_matches(table.name, there, n=1, cutoff=0.5)
        raise GeodataError(
            f"{table.address}: no table {table.name!r} with a geometry"
            + (f" (did you mean {close[0]!r}?)" if close else "")
            + f"; it has {', '.join(there[:SHOWN]) or 'none'}{' ...' if len(there) > SHOWN else ''}"
        )
    if len(names) > 1:
        raise GeodataError(f"{table}: which of {', '.join(names)} is meant? name it with its schema")
    if len(meant) > 1:
        raise GeodataError(
            f"{table}: has {len(meant)} geometry columns ({', '.join(row[2] for row in meant)}); make a view with one of them"
        )
    schema, name, column = meant[0]
    return schema, name, column


def _crs(connection: Connection, srid: int, table: Table) -> pyproj.CRS:
    import sqlalchemy as sa

    query = sa.text("SELECT auth_name, auth_srid, srtext FROM spatial_ref_sys WHERE srid = :srid")
    row = connection.execute(query, {"srid": srid}).one_or_none()
    if row is None:
        raise GeodataError(
            f"{table}: geometry has SRID {srid}, which is no coordinate reference system of the database; set one with "
            "SELECT UpdateGeometrySRID(...)"
        )
    for text in (f"{row[0]}:{row[1]}", row[2]):
        try:
            return pyproj.CRS.from_user_input(text)
        except pyproj.exceptions.CRSError:
            continue
    raise GeodataError(f"{table}: SRID {srid} ({row[0]}:{row[1]}) is no coordinate reference system that PROJ knows")


def copy_rows(
    connection: psycopg.Connection, schema: str, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append rows to a table; a value is what psycopg takes, a geometry EWKB in hexadecimal."""
    from psycopg import sql

    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(schema, table), names)
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)
