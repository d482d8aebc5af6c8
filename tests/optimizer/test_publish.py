"""Plans from and into PostGIS: the same from a table as from a file, written whole or not at all, no password anywhere."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import geopandas as gpd
import numpy as np
import pandas as pd
import psycopg
import pytest
import shapely
import sqlalchemy as sa
import tomli_w
from geopandas.testing import assert_geodataframe_equal
from psycopg import sql

import optimizer
from geodata import database as databases
from geodata.errors import GeodataError
from optimizer import publish as publishing
from optimizer.audit import audit_folder
from optimizer.errors import StudyError
from optimizer.publish import SCHEMA, _short, publish
from tests.districts import lots, study
from tests.geodata.test_database import load
from tests.postgres import PASSWORD

SECRET = "s3cret/Pa55"
QUOTED = "s3cret%2FPa55"
GROWTH = {
    "kind": "programme",
    "min_floor_area": 1500,
    "max_floor_area": 2500,
    "min_share": {"making": 0.2, "homes": 0.2},
}
HOSTILE = [
    "'; DROP TABLE upstairs.runs; --",
    'a"b\\c',
    "</script><img onerror=x>",
    "%s %(a)s {0} {{ x }}",
    "=cmd()|' /C calc'!A0",
    "\u202eright to left\t\\N",
    "",
    "".join(hashlib.sha256(str(k).encode()).hexdigest() for k in range(160)),  # 10 kB that nothing compresses
]


def asked(*rules, **sections):
    return study(
        rules=[GROWTH, *rules], solve={"gap": 0.05, "work_limit": 20, "time_limit": 60, "threads": 1}, **sections
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A written plan, whose homes draw on shops in other buildings."""
    apart = {"kind": "banned", "where": ["L0", "L1", "L2", "L3"], "uses": ["shops"]}
    plan = optimizer.solve(asked(apart), lots(6, zone="Z"))
    assert all(len(layer) for layer in plan.layers().values())
    return plan.save(tmp_path_factory.mktemp("plans") / "plan")


@pytest.fixture
def admin(server, database, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setattr(databases, "_passwords", {})
    with server.connect(database) as connection:
        yield connection


@pytest.fixture
def reader(admin, database):
    """A role that may read and connect, and nothing else."""
    admin.execute(sql.SQL("CREATE ROLE reader LOGIN PASSWORD {}").format(sql.Literal(SECRET)))
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    admin.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader")
    yield "reader"
    admin.execute("DROP OWNED BY reader")
    admin.execute("DROP ROLE reader")


def upstairs(*words, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        [sys.executable, "-m", "optimizer.cli", *map(str, words)],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def view(address, run, layer, schema=SCHEMA):
    """A published layer as a GIS reads it."""
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(address), poolclass=sa.NullPool)
    source = sa.table(sa.quoted_name(f"plan_{run}_{layer}", True), schema=sa.quoted_name(schema, True))
    with engine.connect() as connection:
        query = sa.select(sa.text("*")).select_from(source).order_by(sa.text("id"))
        return gpd.read_postgis(query, connection, geom_col="geom")


def schemas(admin):
    return {name for (name,) in admin.execute("SELECT nspname FROM pg_namespace").fetchall()}


def layer_of(folder, name):
    return gpd.read_file(folder / "plan.gpkg", layer=name, engine="pyogrio")


def same(published, written):
    """Compare a view with the package's layer."""
    published = published.drop(columns="id").rename_geometry("geometry")[list(written.columns)]
    empty = [name for name in published.columns if published[name].isna().all()]  # read as objects
    published = published.astype({name: written[name].dtype for name in empty})
    if "stack" in written:
        written = written.assign(stack=written["stack"].map(json.loads))
    assert_geodataframe_equal(published, written, check_dtype=False)


@pytest.mark.postgis
def test_a_table_gives_the_plan_that_a_file_gives_and_the_password_is_nowhere(
    server, database, admin, reader, tmp_path
):
    frame = lots(9, columns=3, zone="Z", gfa_making=100.0, storeys=2)
    frame.to_file(tmp_path / "lots.gpkg", layer="lots")
    load(admin, frame, "lots")
    load(
        admin, gpd.GeoDataFrame({"n": ["s"]}, geometry=[frame.union_all().envelope.boundary], crs=frame.crs), "streets"
    )
    values = asked().to_dict()
    values["parcels"]["file"] = "lots.gpkg"
    (tmp_path / "file.toml").write_text(tomli_w.dumps(values))
    address = server.address(database, f"{reader}:{QUOTED}")
    values["parcels"] |= {"file": address, "table": "lots"}
    (tmp_path / "table.toml").write_text(tomli_w.dumps(values))
    values["streets"] = {"file": address, "table": "public.streets"}
    (tmp_path / "streets.toml").write_text(tomli_w.dumps(values))
    ended = {
        "file": upstairs("solve", tmp_path / "file.toml", "--out", tmp_path / "file"),
        "table": upstairs("solve", tmp_path / "table.toml", "--out", tmp_path / "table"),
        "asked": upstairs(
            *(
                "solve",
                tmp_path / "file.toml",
                "--out",
                tmp_path / "asked",
                "--parcels",
                address,
                "--table",
                "public.lots",
            )
        ),
        "streets": upstairs("solve", tmp_path / "streets.toml", "--out", tmp_path / "streets"),
    }
    for name, run in ended.items():
        assert run.returncode == 0, run.stderr
        said = (
            run.stdout
            + run.stderr
            + "".join(
                file.read_bytes().decode(errors="replace") for file in (tmp_path / name).rglob("*") if file.is_file()
            )
        )
        assert "s3cret" not in said
        assert "were not compared" not in said
    plans = {name: layer_of(tmp_path / name, "parcels") for name in ended}
    assert_geodataframe_equal(plans["table"], plans["file"])
    assert_geodataframe_equal(plans["asked"], plans["file"])
    result = json.loads((tmp_path / "streets/result.json").read_text())
    bare = server.address(database, reader)
    assert [item["file"] for item in result["inputs"]] == [f"{bare} lots", f"{bare} public.streets"]
    assert result["walking"]["source"] == "streets"
    # What became of the table afterwards is said by the audit.
    known = {"PGPASSWORD": SECRET}

    def audited(**environment):
        ended = upstairs("audit", tmp_path / "table", **environment)
        assert ended.returncode == 0, ended.stderr
        return " ".join(ended.stdout.split())

    assert "compared" not in audited(**known)
    admin.execute("UPDATE lots SET max_far = 9 WHERE id = 'L0'")
    assert f"{bare} lots changed since: limits and today's floors were not compared" in audited(**known)
    assert "cannot be reached" in audited() and "limits and today's floors were not compared" in audited()


@pytest.mark.postgis
def test_what_is_published_reads_back_equal(server, database, admin, folder):
    address = server.address(database)
    found = publish(folder, address)
    assert found.new and address in found.sentences[0]
    for name in ("parcels", "sites", "floors", "walks", "flows", "flows_inside"):
        same(view(address, found.run_id, name), layer_of(folder, name))
    result = json.loads((folder / "result.json").read_text())
    row = admin.execute(
        "SELECT title, study, result, versions, objective, bound, gap, srid FROM upstairs.runs WHERE run_id = %s",
        (found.run_id,),
    ).fetchone()
    text = (folder / "study.toml").read_text()
    numbers = [result[key] for key in ("objective", "bound", "gap")]
    assert list(row) == ["Test", text, result, result["versions"], *numbers, 32632]
    rules = admin.execute("SELECT name, value, limit_value, satisfied FROM upstairs.rules ORDER BY item").fetchall()
    assert rules == [(r["name"], r["value"], r["limit"], r["satisfied"]) for r in result["rules"]]
    indices = dict(admin.execute("SELECT name, value FROM upstairs.indices WHERE state = 'plan'").fetchall())
    assert indices["proximity.index"] == result["indices"]["proximity"]["index"]
    assert indices["floor_area_m2.homes"] == result["indices"]["floor_area_m2"]["homes"]


@pytest.mark.postgis
def test_qgis_finds_geometry_keys_and_styles(server, database, admin, folder):
    run = publish(folder, server.address(database)).run_id
    listed = admin.execute(
        "SELECT f_table_name, srid, type FROM public.geometry_columns WHERE f_table_name LIKE 'plan_%%'"
    ).fetchall()
    kinds = {"parcels": "POLYGON", "sites": "POLYGON", "floors": "POLYGON", "walks": "LINESTRING"}
    assert {(f"plan_{run}_{name}", 32632, kind) for name, kind in kinds.items()} <= set(listed)
    # As QGIS asks for the style of a layer.
    query = (
        "SELECT styleqml::text FROM layer_styles WHERE f_table_catalog = %s AND f_table_schema = %s AND f_table_name = %s "
        "AND (f_geometry_column = %s OR f_geometry_column IS NULL) AND (type = 'Polygon' OR type IS NULL) "
        "ORDER BY CASE WHEN useasdefault THEN 1 ELSE 2 END, update_time DESC LIMIT 1"
    )
    for name, column in (("parcels", "dominant_use"), ("floors", "use")):
        (qml,) = admin.execute(query, (database, "upstairs", f"plan_{run}_{name}", "geom")).fetchone()
        assert f'attr="{column}"' in qml and 'value="making"' in qml
    for name in publishing.LAYERS:
        indexes = admin.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", (name,)).fetchall()
        assert any("USING gist (geom)" in text for (text,) in indexes)
        (unique,) = admin.execute(f"SELECT count(*) - count(DISTINCT id) FROM upstairs.{name}").fetchone()
        assert unique == 0


QGIS = """
import sys
from qgis.core import QgsApplication, QgsDataSourceUri, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
host, name, secret, schema, view, key = sys.argv[1:]
uri = QgsDataSourceUri()
uri.setConnection(host, "5432", name, "postgres", secret)
uri.setDataSource(schema, view, "geom", "", key)
layer = QgsVectorLayer(uri.uri(False), view, "postgres")
renderer = layer.renderer()
print(layer.isValid(), layer.featureCount(), layer.crs().authid(), renderer.classAttribute(), len(renderer.categories()))
"""


@pytest.mark.postgis
@pytest.mark.qgis
def test_qgis_opens_views_with_their_styles(server, database, admin, folder):
    run = publish(folder, server.address(database)).run_id
    for name, count, column in (("parcels", 6, "dominant_use"), ("floors", None, "use")):
        places = [server.folder, database, PASSWORD, SCHEMA, f"plan_{run}_{name}", "id"]
        opened = subprocess.run(
            ["/usr/bin/python3", "-c", QGIS, *map(str, places)],
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            text=True,
            timeout=100,
        )
        valid, number, crs, styled, categories = opened.stdout.split()
        assert (valid, crs, styled, categories) == (
            "True",
            "EPSG:32632",
            column,
            {"parcels": "4", "floors": "3"}[name],
        ), opened.stderr
        assert count is None or int(number) == count


@pytest.mark.postgis
def test_the_same_plan_twice_changes_nothing_and_two_plans_stand_side_by_side(
    server, database, admin, folder, tmp_path
):
    address = server.address(database)
    first = publish(folder, address)
    again = publish(folder, address)
    assert (again.run_id, again.new) == (first.run_id, False)
    assert "nothing was changed" in again.sentences[0]
    uses = {"a" * 40: {"label": "A", "storey_height": 4.0}, "b" * 40: {"label": "B", "storey_height": 3.0}}
    link = {"client": "a" * 40, "supplier": "b" * 40, "demand": 0.2, "reach": 100}
    growth = {"kind": "programme", "min_floor_area": 1000, "max_floor_area": 2000}
    parts = {"columns": {"id": "id", "max_far": "max_far", "coverage": "coverage"}}
    other = study(rules=[growth], uses=uses, linkages=[link], parcels=parts, solve={"gap": 0.2, "time_limit": 60})
    optimizer.solve(other, lots(3)).save(tmp_path / "other")
    second = publish(tmp_path / "other", address)
    assert second.new and second.run_id != first.run_id
    same(view(address, first.run_id, "parcels"), layer_of(folder, "parcels"))
    same(view(address, second.run_id, "parcels"), layer_of(tmp_path / "other", "parcels"))
    walks = view(address, second.run_id, "walks")  # names longer than PostgreSQL's are told apart
    moved = layer_of(tmp_path / "other", "walks")
    name = f"flow_{'a' * 40}-{'b' * 40}"
    assert np.array_equal(walks[_short(name)], moved[name])
    assert len(admin.execute("SELECT 1 FROM upstairs.runs").fetchall()) == 2
    # Deleting a run takes its rows with it, and it can be published again.
    admin.execute("DELETE FROM upstairs.runs WHERE run_id = %s", (first.run_id,))
    assert view(address, first.run_id, "parcels").empty and len(view(address, second.run_id, "parcels")) == 3
    assert publish(folder, address).new
    same(view(address, first.run_id, "parcels"), layer_of(folder, "parcels"))


@pytest.mark.postgis
def test_two_at_once_both_arrive(server, database, admin, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other/study.toml").write_text((folder / "study.toml").read_text() + "\n")
    words = [sys.executable, "-m", "optimizer.cli", "publish"]
    running = [
        subprocess.Popen([*words, str(place), server.address(database)]) for place in (folder, tmp_path / "other")
    ]
    assert [each.wait(timeout=100) for each in running] == [0, 0]
    assert len(admin.execute("SELECT 1 FROM upstairs.runs").fetchall()) == 2


KILLED = """
import os, signal, sys
from optimizer import publish
copy, seen = publish.copy_rows, []
def once(connection, schema, table, columns, rows):
    copy(connection, schema, table, columns, rows)
    if table == "sites":
        os.kill(os.getpid(), signal.SIGKILL)
publish.copy_rows = once
from optimizer.cli import main
main()
"""


@pytest.mark.postgis
def test_killed_or_failing_halfway_leaves_nothing(server, database, admin, folder, tmp_path, monkeypatch):
    address = server.address(database)
    ended = subprocess.run([sys.executable, "-c", KILLED, "publish", folder, address], timeout=100, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert SCHEMA not in schemas(admin)
    publish(folder, address)
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other/study.toml").write_text((folder / "study.toml").read_text() + "\n")
    counts = [admin.execute(f"SELECT count(*) FROM upstairs.{t}").fetchone() for t in ("runs", *publishing.LAYERS)]
    monkeypatch.setattr(publishing, "_styles", lambda file: {"parcels": "<not xml"})
    with pytest.raises(GeodataError, match="nothing was written"):
        publish(tmp_path / "other", address)
    assert counts == [
        admin.execute(f"SELECT count(*) FROM upstairs.{t}").fetchone() for t in ("runs", *publishing.LAYERS)
    ]
    assert len(admin.execute("SELECT viewname FROM pg_views WHERE schemaname = 'upstairs'").fetchall()) == 6
    monkeypatch.undo()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert publish(tmp_path / "other", address).new


@pytest.mark.postgis
@pytest.mark.parametrize("schema", [SCHEMA, 'plans"; DROP SCHEMA public; -- %s', "Ünïcode plans"])
def test_hostile_texts_are_inert(server, database, admin, tmp_path, schema):
    frame = lots(len(HOSTILE), columns=4)
    frame["id"] = [f"{name}#{i}" for i, name in enumerate(HOSTILE)]
    frame["zone"] = HOSTILE
    layer = gpd.GeoDataFrame({"n": HOSTILE[:1]}, geometry=[frame.union_all()], crs=frame.crs)
    layer.to_file(tmp_path / "layer.gpkg")
    values = {
        **asked(lot_columns=("id", "zone", "max_far", "coverage", "storeys")).to_dict(),
        "name": HOSTILE[0] + HOSTILE[1] + HOSTILE[3],
        "attribution": HOSTILE[1],
        "layers": {"it's \"%s": {"file": str(tmp_path / "layer.gpkg"), "column": "n"}},
    }
    values["uses"]["homes"]["label"] = "Homes' \"<&>%s"
    folder = optimizer.solve(values, frame).save(tmp_path / "plan")
    address = server.address(database)
    found = publish(folder, address, schema)
    parcels = view(address, found.run_id, "parcels", schema)
    assert parcels["parcel_id"].tolist() == frame["id"].tolist()
    assert parcels["zone"].tolist() == [zone.strip() for zone in HOSTILE]
    assert parcels["layer_it's \"%s"].tolist() == [HOSTILE[0]] * len(HOSTILE)
    title = admin.execute(sql.SQL("SELECT title FROM {}.runs").format(sql.Identifier(schema))).fetchone()
    assert title == (values["name"],)
    assert {"public", schema} <= schemas(admin)
    assert not publish(folder, address, schema).new


@pytest.mark.postgis
def test_a_crs_without_a_code_is_published_in_degrees_and_said(server, database, admin, tmp_path):
    local = "+proj=tmerc +lat_0=47.8 +lon_0=9.3 +k=1 +x_0=500000 +y_0=5300000 +ellps=GRS80 +units=m"
    frame = lots(4).set_crs(local, allow_override=True)
    folder = optimizer.solve(asked(), frame).save(tmp_path / "plan")
    found = publish(folder, server.address(database))
    assert "no EPSG code" in found.sentences[-1] and "EPSG:4326" in found.sentences[-1]
    published = view(server.address(database), found.run_id, "parcels")
    assert published.crs == "EPSG:4326"
    back = published.to_crs(local).geometry.array
    assert np.all(shapely.hausdorff_distance(back, np.asarray(frame.geometry.array)) < 1e-4)


@pytest.mark.postgis
def test_a_plan_without_a_floor_and_a_connection_that_is_lost(server, database, admin, tmp_path, monkeypatch):
    empty = study(rules=[{"kind": "locked"}], objective={"preserved": 1, "proximity": 0, "mixing": 0, "density": 1})
    folder = optimizer.solve(empty, lots(2)).save(tmp_path / "plan")
    address = server.address(database)

    def lost(*_):
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'upstairs'")
        return {}

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_styles", lost)
        with pytest.raises(GeodataError, match=r"terminating connection|the connection was lost"):
            publish(folder, address)
    assert SCHEMA not in schemas(admin)
    found = publish(folder, address)
    assert view(address, found.run_id, "floors").empty
    same(view(address, found.run_id, "parcels"), layer_of(folder, "parcels"))


@pytest.mark.postgis
def test_receptors_are_published_where_a_rule_looks_at_them(server, database, admin, tmp_path):
    limits = {"kind": "noise", "limits": {"homes": 75}}
    asking = study(rules=[GROWTH, limits], solve={"gap": 0.3, "time_limit": 60, "threads": 1})
    folder = optimizer.solve(asking, lots(4, side=30, gap=30)).save(tmp_path / "plan")
    assert not audit_folder(folder).faults
    found = publish(folder, server.address(database))
    published = view(server.address(database), found.run_id, "receptors")
    names = [n for n in gpd.list_layers(folder / "plan.gpkg")["name"] if n.startswith("receptors_")]
    assert names
    written = pd.concat([layer_of(folder, name) for name in names], ignore_index=True)
    assert published["receptor"].astype(str).tolist() == written["receptor"].astype(str).tolist()
    assert np.array_equal(published[["x", "y"]], written[["x", "y"]])


@pytest.mark.postgis
def test_schemas_of_others_and_of_later_versions_are_left_alone(server, database, admin, folder):
    address = server.address(database)
    admin.execute("CREATE SCHEMA mine")
    admin.execute("CREATE TABLE mine.diary (a int)")
    with pytest.raises(StudyError, match=r"schema 'mine' holds other things than plans, such as 'diary'; .*--schema"):
        publish(folder, address, "mine")
    admin.execute("DROP TABLE mine.diary")
    assert publish(folder, address, "mine").new
    admin.execute("UPDATE mine.schema_version SET version = 99")
    with pytest.raises(StudyError, match=r"version 99 and this program writes 1; update"):
        publish(folder, address, "mine")
    with pytest.raises(StudyError, match="63 bytes"):
        publish(folder, address, "é" * 40)


@pytest.mark.postgis
def test_a_role_without_rights_gets_one_message_and_one_without_public_no_styles(
    server, database, admin, reader, folder
):
    address = server.address(database, f"{reader}:{QUOTED}")
    ended = upstairs("publish", folder, address)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "role 'reader' has no right to do this" in ended.stderr
    assert "s3cret" not in ended.stdout + ended.stderr and SCHEMA not in schemas(admin)
    admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO reader").format(sql.Identifier(database)))
    ended = upstairs("publish", folder, address)
    assert ended.returncode == 0, ended.stderr
    assert "without QGIS styles" in ended.stdout and "s3cret" not in ended.stdout + ended.stderr
    assert admin.execute("SELECT to_regclass('public.layer_styles')").fetchone() == (None,)
    assert "s3cret" not in str(admin.execute("SELECT * FROM upstairs.runs").fetchall())


@pytest.mark.postgis
def test_a_password_that_someone_wrote_into_a_plans_study_is_not_published(server, database, admin, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "plan")
    text = (folder / "study.toml").read_text()
    assert "[parcels]\n" in text
    (tmp_path / "plan/study.toml").write_text(
        text.replace("[parcels]\n", f'[parcels]\nfile = "postgresql://u:{QUOTED}@h/db"\ntable = "lots"\n')
    )
    publish(tmp_path / "plan", server.address(database))
    (kept,) = admin.execute("SELECT study FROM upstairs.runs").fetchone()
    assert "postgresql://u@h/db" in kept and "s3cret" not in kept


BAD = {
    "publish: no address": (["publish", "{plan}", "gis"], "the address of a database is expected"),
    "publish: words swapped": (["publish", "{address}", "{plan}"], "the address of a database is expected"),
    "publish: nobody there": (["publish", "{plan}", "{address}"], "cannot be reached"),
    "publish: no plan": (["publish", "{empty}", "{address}"], "no plan here"),
    "publish: bad address": (["publish", "{plan}", "postgresql://u:s3cret@@h/db"], "%40"),
    "solve: nobody there": (
        ["solve", "{study}", "--out", "{out}", "--parcels", "{address}", "--table", "a.b"],
        "reached",
    ),
    "solve: one word": (["solve", "{study}", "--out", "{out}", "--parcels={address}", "--table", "a.b"], "reached"),
    "solve: no table": (["solve", "{study}", "--out", "{out}", "--parcels", "{address}"], "name its table"),
    "solve: no database": (["solve", "{study}", "--out", "{out}", "--table", "a.b"], "only a database has tables"),
    "solve: no such file": (["solve", "{study}", "--out", "{out}", "--parcels", "lost.gpkg"], "no such file"),
    "wrong word": (["audit", "{plan}", "{address}"], "Got unexpected extra argument"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_gets_one_message_soon_and_no_password(folder, tmp_path, kind):
    words, message = BAD[kind]
    (tmp_path / "study.toml").write_text(tomli_w.dumps(asked().to_dict()))
    (tmp_path / "empty").mkdir()
    places = {"plan": folder, "empty": tmp_path / "empty", "study": tmp_path / "study.toml", "out": tmp_path / "out"}
    address = "postgresql://u:s3cret@localhost:1/db"
    started = time.monotonic()
    ended = upstairs(*(word.format(**places, address=address) for word in words))
    assert time.monotonic() - started < 20  # starting Python takes some of it
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in " ".join(ended.stderr.split())
    assert "s3cret" not in ended.stdout + ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_databases_elsewhere_in_a_study_are_refused_without_their_password(tmp_path):
    address = "postgresql://u:s3cret@h/db"
    with pytest.raises(StudyError, match="only parcels and streets are read from a database") as error:
        optimizer.check(asked(layers={"a": {"file": address}}), lots(2))
    assert "s3cret" not in str(error.value)
    with pytest.raises(StudyError, match=r"parcels: file = 'postgresql://u@h/db' is a database; name its table"):
        asked(parcels={"file": address})
    with pytest.raises(StudyError, match=r"parcels\.file: the address of a database") as error:
        asked(parcels={"file": "postgresql://u:s3cret@@h/db"})
    assert "s3cret" not in str(error.value)
    kept = asked(parcels={"file": address, "table": "t", "columns": {"id": "id"}})
    assert "s3cret" not in repr(kept) + str(kept.to_dict())
