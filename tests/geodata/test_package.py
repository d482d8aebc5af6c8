"""A GeoPackage as sqlite, its specification and GDAL see it."""

import json
import sqlite3
from contextlib import closing

import geopandas as gpd
import pyogrio
import pytest
import shapely
from hypothesis import example, given, settings

from geodata.package import Column, Layer, write_geopackage
from geodata.qgis import filled, qml
from tests.districts import CRS, lots
from tests.geodata.test_export import CLOCKWISE, COURTYARD, HOSTILE, PAIR, STACK, TEXT, parcels, st
from tests.geodata.test_qgis import USES, project


def sql(file, query):
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def test_layers_read_back(tmp_path):
    file = tmp_path / "plan.gpkg"
    frame = parcels(COURTYARD, PAIR, stack=[STACK, []], far=[float("nan"), 2.0])
    streets = lots(2).set_geometry(lots(2).boundary)
    write_geopackage(
        {
            "parcels": Layer(frame, "P"),
            "sites": Layer(lots(3), "S"),
            "walks": Layer(streets, "W", geometry="LineString"),
        },
        file,
    )
    assert pyogrio.list_layers(file)[:, 0].tolist()[:3] == ["parcels", "sites", "walks"]
    back = gpd.read_file(file, layer="parcels")
    assert back.crs == CRS
    assert back.area.tolist() == pytest.approx([100 * 80 - 20 * 20, 20 * 30 + 30 * 30])
    assert [json.loads(text) for text in back["stack"]] == [STACK, []]
    assert back["far"].tolist() == pytest.approx([float("nan"), 2.0], nan_ok=True)
    assert frame["stack"].tolist() == [STACK, []]
    assert len(gpd.read_file(file, layer="sites")) == 3


def test_an_empty_layer_keeps_its_geometry(tmp_path):
    empty = gpd.GeoDataFrame({"served_m2": []}, geometry=[], crs=CRS)
    write_geopackage({"flows": Layer(empty, "Flows", geometry="LineString")}, tmp_path / "plan.gpkg")
    assert pyogrio.read_info(tmp_path / "plan.gpkg", layer="flows")["geometry_type"] == "LineString"


def described(tmp_path):
    file = tmp_path / "plan.gpkg"
    columns = {
        "id": Column("Lot"),
        "max_far": Column("Ratio (1)", "The most"),
        "zone": Column("Ratio (1)", domain="zone"),
    }
    styles = {"One": qml(filled("id", USES)), "Two": qml(filled("max_far", {}))}
    write_geopackage(
        {"parcels": Layer(lots(2).assign(zone="A"), "Parcels", "All lots", columns=columns, styles=styles)},
        file,
        domains={"zone": {"A": "Old town", "": "None"}},
        metadata={"name": "Plan", "gap": None},
        project=project(),
    )
    return file


def test_a_package_keeps_to_its_specification(tmp_path):
    file = described(tmp_path)
    assert sql(file, "PRAGMA application_id") == [(0x47504B47,)]  # "GPKG"
    assert sql(file, "PRAGMA user_version") == [(10300,)]
    assert sql(file, "PRAGMA integrity_check") == [("ok",)]
    assert sql(file, "PRAGMA foreign_key_check") == []
    assert sql(file, "SELECT identifier, description FROM gpkg_contents WHERE table_name = 'parcels'") == [
        ("Parcels", "All lots")
    ]
    extent = sql(file, "SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = 'parcels'")[0]
    assert extent == pytest.approx(lots(2).total_bounds)
    extensions = set(sql(file, "SELECT table_name, extension_name, scope FROM gpkg_extensions"))
    assert extensions >= {
        ("gpkg_data_columns", "gpkg_schema", "read-write"),
        ("gpkg_data_column_constraints", "gpkg_schema", "read-write"),
        ("gpkg_metadata", "gpkg_metadata", "read-write"),
        ("gpkg_metadata_reference", "gpkg_metadata", "read-write"),
    }


def test_columns_have_titles_that_are_apart_and_domains(tmp_path):
    file = described(tmp_path)
    rows = sql(file, "SELECT column_name, name, title, description, constraint_name FROM gpkg_data_columns")
    assert rows == [
        ("id", "Lot", "Lot", None, None),
        ("max_far", "Ratio (1) [max_far]", "Ratio (1) [max_far]", "The most", None),
        ("zone", "Ratio (1) [zone]", "Ratio (1) [zone]", None, "zone"),
    ]
    assert sql(file, "SELECT constraint_type, value, description FROM gpkg_data_column_constraints") == [
        ("enum", "A", "Old town"),
        ("enum", "", "None"),
    ]


def test_metadata_say_what_the_whole_is(tmp_path):
    file = described(tmp_path)
    ((scope, kind, text),) = sql(file, "SELECT md_scope, mime_type, metadata FROM gpkg_metadata")
    assert (scope, kind) == ("dataset", "application/json")
    assert json.loads(text) == {"@context": "https://schema.org", "@type": "Dataset", "name": "Plan", "gap": None}
    assert sql(file, "SELECT reference_scope, table_name, md_file_id FROM gpkg_metadata_reference") == [
        ("geopackage", None, 1)
    ]


def test_styles_and_project_lie_where_qgis_looks(tmp_path):
    file = described(tmp_path)
    rows = sql(file, "SELECT f_table_name, f_geometry_column, styleName, useAsDefault FROM layer_styles")
    geometry = dict(sql(file, "SELECT table_name, column_name FROM gpkg_geometry_columns"))["parcels"]
    assert rows == [("parcels", geometry, "One", 1), ("parcels", geometry, "Two", 0)]
    ((name, about, content),) = sql(file, "SELECT * FROM qgis_projects")
    assert name == "plan"
    assert set(json.loads(about)) == {"last_modified_time", "last_modified_user"}
    assert bytes.fromhex(content)[:2] == b"PK"
    assert len(gpd.read_file(file, layer="parcels")) == 2


@settings(deadline=None, max_examples=15)
@given(st.lists(TEXT, min_size=1, max_size=6))
@example(HOSTILE)
def test_any_text_survives_a_geopackage(tmp_path_factory, texts):
    file = tmp_path_factory.mktemp("text") / "plan.gpkg"
    frame = parcels(*[CLOCKWISE] * len(texts), text=texts)
    columns = {"text": Column(texts[0], texts[-1], "text")}
    write_geopackage(
        {"parcels": Layer(frame, texts[0], texts[-1], columns=columns)},
        file,
        domains={"text": {value: value for value in texts}},
        metadata={"name": texts[0]},
    )
    assert [text for (text,) in sql(file, "SELECT text FROM parcels ORDER BY id")] == texts
    assert json.loads(sql(file, "SELECT metadata FROM gpkg_metadata")[0][0])["name"] == texts[0]
    assert shapely.is_valid(gpd.read_file(file, layer="parcels").geometry.to_numpy()).all()


def test_a_geopackage_may_be_written_again(tmp_path):
    for _ in range(2):
        file = described(tmp_path)
    assert len(sql(file, "SELECT * FROM layer_styles")) == 2
