"""Databases: addresses without passwords, tables read as files are."""

import subprocess
import sys
import time

import geopandas as gpd
import numpy as np
import psycopg
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from psycopg import sql

from geodata import database as databases
from geodata.database import Table, connect, copy_rows, is_address, read_table, without_password, without_passwords
from geodata.errors import GeodataError
from tests.postgres import PASSWORD

SECRET = "s3cret"
BARE = {
    f"postgresql://u:{SECRET}@h/db": "postgresql://u@h/db",
    f"postgres://u:{SECRET}@h:5432/db?sslmode=require": "postgresql://u@h:5432/db?sslmode=require",
    f"PostgreSQL+psycopg://u:{SECRET}@[::1]:5432/db": "postgresql://u@[::1]:5432/db",
    f"postgresql://u@h/db?password={SECRET}&sslmode=require": "postgresql://u@h/db?sslmode=require",
    f"postgresql://u@h/db?sslmode=require&password={SECRET}": "postgresql://u@h/db?sslmode=require",
    f"postgresql:///db?host=/tmp/x&user=u&password={SECRET}": "postgresql:///db?host=/tmp/x&user=u",
    f"  postgresql://u:{SECRET}@a:1,b:2/db ": "postgresql://u@a:1,b:2/db",
    f"--parcels=postgresql://u:{SECRET}@h/db": "--parcels=postgresql://u@h/db",
    f"from postgresql://u:{SECRET}@h/db, 2024": "from postgresql://u@h/db, 2024",
    "postgresql://h/db": "postgresql://h/db",
    "postgresql://": "postgresql://",
    "parcels.gpkg": "parcels.gpkg",
}


@pytest.mark.parametrize("given", BARE)
def test_passwords_are_taken_out(given):
    assert without_password(given) == BARE[given]
    assert without_password(BARE[given]) == BARE[given]


@pytest.mark.parametrize(
    "given", ["u:{}@x@h/db", "u:a/{}@h/db", "u:{}#@h/db", "u:{} x@h/db", "u:{}", "h/db?sslpassword={}", "u:?{}@h/db"]
)
def test_an_address_that_cannot_be_read_is_refused_unseen(given):
    with pytest.raises(GeodataError, match="%40") as error:
        without_passwords({"parcels": {"file": f"postgresql://{given.format(SECRET)}"}})
    assert str(error.value).startswith("parcels.file: ")
    assert SECRET not in str(error.value)


def test_nested_values_and_what_is_no_address():
    assert without_passwords({"a": [f"postgres://u:{SECRET}@h/db", 1, None]}) == {"a": ["postgresql://u@h/db", 1, None]}
    assert is_address("postgres://h") and not is_address("postgresql.gpkg")


def test_without_the_packages_the_message_says_how_to_install_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with (
        pytest.raises(GeodataError, match=r"pip install 'upstairs\[postgis\]'"),
        connect("postgresql://h/db"),
    ):
        pass


def test_a_server_that_is_not_there_or_never_answers_is_said_soon():
    started = time.monotonic()
    with pytest.raises(GeodataError, match="cannot be reached"), connect("postgresql://localhost:1/db"):
        pass
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"postgresql://127.0.0.1:{mute.getsockname()[1]}/db"
        with pytest.raises(GeodataError, match="cannot be reached"), connect(address):
            pass
    assert time.monotonic() - started < 10


def lots(count=4, crs="EPSG:32632"):
    shapes = [shapely.box(5e5 + 30 * i, 5.3e6, 5e5 + 30 * i + 20, 5.3e6 + 20) for i in range(count)]
    names = [f"L{i}" for i in range(count)]
    facts = {
        "name": names,
        "far": np.linspace(1, 2, count),
        "floors": range(count),
        "ok": [i % 2 == 0 for i in range(count)],
    }
    return gpd.GeoDataFrame(facts, geometry=shapes, crs=crs)


def load(connection, frame, name, schema="public", kind="geometry", key="gid serial PRIMARY KEY, ", srid=None):
    """Put a frame into a new table; text, numbers and booleans."""
    kinds = {"f": "float8", "i": "bigint", "b": "boolean"}
    columns = [c for c in frame.columns if c != "geometry"]
    typed = [sql.SQL("{} " + kinds.get(frame[c].dtype.kind, "text")).format(sql.Identifier(c)) for c in columns]
    connection.execute(
        sql.SQL("CREATE TABLE {} (" + key + "{}, geom " + kind + ")").format(
            sql.Identifier(schema, name), sql.SQL(", ").join(typed)
        )
    )
    shapes = shapely.set_srid(np.asarray(frame.geometry.array), srid or frame.crs.to_epsg())
    rows = zip(*(frame[c].tolist() for c in columns), shapely.to_wkb(shapes, hex=True, include_srid=True), strict=True)
    with connection.transaction():
        copy_rows(connection, schema, name, [*columns, "geom"], rows)


@pytest.fixture
def admin(server, database, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setattr(databases, "_passwords", {})
    with server.connect(database) as connection:
        yield connection


@pytest.mark.postgis
def test_a_table_reads_as_it_was_and_its_digest_follows_the_rows(server, database, admin):
    frame = lots()
    load(admin, frame, "lots")
    table = Table(server.address(database), "public.lots")
    read, digest = read_table(table)
    expected = frame.rename_geometry("geom")
    expected.insert(0, "gid", range(1, 5))
    assert_geodataframe_equal(read, expected, check_like=True, check_dtype=False)
    assert read.crs == frame.crs
    assert read_table(Table(table.address, "lots"))[1] == digest
    admin.execute("UPDATE lots SET floors = floors WHERE gid = 1")  # moves the row in the table
    assert read_table(table)[1] == digest
    admin.execute("UPDATE lots SET far = far + 1e-12 WHERE gid = 2")
    assert read_table(table)[1] != digest


@pytest.mark.postgis
def test_views_strange_names_and_geography_without_a_key_read_in_one_order(server, database, admin):
    frame = lots(crs="EPSG:32632").to_crs(4326)
    admin.execute('CREATE SCHEMA "a.b ""%s"')
    load(admin, frame.rename(columns={"name": 'x:"%(y)s'}), "Lots; DROP", 'a.b "%s', "geography", key="")
    table = Table(server.address(database), 'a.b "%s.Lots; DROP')
    read, digest = read_table(table)
    assert sorted(read['x:"%(y)s']) == ["L0", "L1", "L2", "L3"]
    admin.execute('CREATE TABLE t AS SELECT * FROM "a.b ""%s"."Lots; DROP" ORDER BY far DESC')
    assert read_table(Table(table.address, "t"))[1] == digest
    admin.execute("CREATE VIEW v AS SELECT * FROM t")
    assert read_table(Table(table.address, "public.v"))[1] == digest


@pytest.mark.postgis
def test_postgis_in_a_schema_of_its_own_and_a_crs_of_the_databases_own(server, database, admin):
    admin.execute("DROP EXTENSION postgis")
    with pytest.raises(GeodataError, match="CREATE EXTENSION postgis"):
        read_table(Table(server.address(database), "lots"))
    admin.execute("CREATE SCHEMA gis")
    admin.execute("CREATE EXTENSION postgis SCHEMA gis")
    wkt = "+proj=tmerc +lat_0=48 +lon_0=9.1 +k=1 +x_0=500000 +y_0=5300000 +ellps=GRS80 +units=m"
    local = gpd.GeoSeries([], crs=wkt).crs
    admin.execute(
        "INSERT INTO gis.spatial_ref_sys VALUES (990001, 'town', 1, %s, %s)", (local.to_wkt("WKT1_GDAL"), wkt)
    )
    load(admin, lots(crs=wkt), "lots", kind="gis.geometry", srid=990001)
    read, _ = read_table(Table(server.address(database), "lots"))
    assert read.crs.to_epsg() is None and "Transverse_Mercator" in read.crs.to_wkt("WKT1_GDAL")


BAD = {
    "no such table": ("public.lotz", [], r"did you mean 'public.lots'\?"),
    "no geometry": ("plain", ["CREATE TABLE plain (a int)"], "no table 'plain' with a geometry"),
    "two schemas": ("lots", ["CREATE SCHEMA b", "CREATE TABLE b.lots (geom geometry)"], "b.lots, public.lots is meant"),
    "two geometries": ("lots", ["ALTER TABLE lots ADD other geometry"], "2 geometry columns"),
    "no rows": ("lots", ["DELETE FROM lots"], "no row with a geometry"),
    "no SRID": ("lots", ["UPDATE lots SET geom = ST_SetSRID(geom, 0)"], "SRID 0"),
    "two SRIDs": ("lots", ["UPDATE lots SET geom = ST_SetSRID(geom, 4326) WHERE gid = 1"], "2 SRIDs"),
    "curves": ("lots", ["UPDATE lots SET geom = ST_LineToCurve(ST_Buffer(geom, 9)) WHERE gid = 1"], "curve"),
}


@pytest.mark.postgis
@pytest.mark.parametrize("kind", BAD)
def test_a_table_that_cannot_be_read_is_named(server, database, admin, kind):
    name, changes, message = BAD[kind]
    load(admin, lots(), "lots")
    for change in changes:
        admin.execute(change)
    with pytest.raises(GeodataError, match=message):
        read_table(Table(server.address(database), name))


@pytest.mark.postgis
def test_rights_and_passwords_that_are_missing_are_said(server, database, admin, monkeypatch, tmp_path):
    load(admin, lots(), "lots")
    admin.execute("CREATE ROLE reader LOGIN PASSWORD 's3cret'")
    try:
        address = server.address(database, "reader")
        monkeypatch.delenv("PGPASSWORD")
        with pytest.raises(GeodataError, match="password"):
            read_table(Table(address, "lots"))
        assert without_password(address.replace("reader@", f"reader:{SECRET}@")) == address
        with pytest.raises(
            GeodataError, match="role 'reader' has no right to do this: permission denied for table lots"
        ):
            read_table(Table(address, "lots"))
        admin.execute("GRANT SELECT ON lots TO reader")
        assert len(read_table(Table(address, "lots"))[0]) == 4
        monkeypatch.setattr(databases, "_passwords", {})
        (tmp_path / "pgpass").write_text(f"*:*:*:reader:{SECRET}\n")
        (tmp_path / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        assert len(read_table(Table(address, "lots"))[0]) == 4
    finally:
        admin.execute("REVOKE ALL ON lots FROM reader")
        admin.execute("DROP ROLE reader")


@pytest.mark.postgis
def test_what_was_written_is_undone_by_an_error_and_by_a_kill(server, database, admin):
    address = server.address(database)
    with (
        pytest.raises(GeodataError, match="refused: division by zero; nothing was written"),
        connect(address) as connection,
    ):
        connection.execute("CREATE TABLE half (a int)")
        connection.execute("SELECT 1 / 0")
    killed = (
        f"import os, signal\nfrom geodata.database import connect\nwith connect({address!r}) as c:\n"
        "  c.execute('CREATE TABLE half (a int)'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", killed], timeout=60, check=False).returncode == -9
    with pytest.raises(psycopg.errors.UndefinedTable):
        admin.execute("SELECT * FROM half")
