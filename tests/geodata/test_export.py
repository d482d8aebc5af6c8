"""Export: GeoJSON held against RFC 7946, and a GeoPackage as sqlite and a GIS see it."""

import json
import re
import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from geodata.export import plain, qml_categorised, read_geojson, write_geojson, write_geopackage
from tests.districts import CRS, ORIGIN, lots

STACK = [{"site": 1, "use": "shops", "from": 1, "to": 2}, {"site": 1, "use": "homes", "from": 3, "to": 6}]
HOSTILE = [
    "<script>alert('x')</script>",
    "'; DROP TABLE parcels; --",
    '"quoted", \\back\\slash\r\n\tand a tab',
    "</category>&amp;&#0;",
    "{{ jinja }} ${shell} %s",
    "漢字 éé 🏙 \u202e",
    "[1, 2]",
    "null",
    "",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def at(shape):
    return shapely.transform(shape, lambda xy: xy + ORIGIN)


def parcels(*shapes, **columns):
    return gpd.GeoDataFrame({"id": range(len(shapes)), **columns}, geometry=[at(s) for s in shapes], crs=CRS)


def written(frame, folder):
    file = folder / "plan.geojson"
    write_geojson(frame, file)
    return json.loads(file.read_text(encoding="utf-8"))


def polygons(document):
    """Rings of every polygon, the exterior first."""
    for shape in (feature["geometry"] for feature in document["features"]):
        yield from [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]


def signed_area(ring):
    x, y = np.array(ring).T
    return np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2


COURTYARD = shapely.box(0, 0, 100, 80).difference(shapely.box(30, 30, 50, 50))
CLOCKWISE = shapely.box(200, 0, 240, 40, ccw=False)
PAIR = shapely.MultiPolygon([shapely.box(300, 0, 320, 30, ccw=False), shapely.box(400, 0, 430, 30)])


# GeoJSON


def test_positions_are_longitude_and_latitude(tmp_path):
    frame = parcels(COURTYARD, CLOCKWISE, PAIR)
    document = written(frame, tmp_path)
    to_world = Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True)
    expected = np.array(to_world.transform(*shapely.get_coordinates(frame.geometry).T)).T
    positions = np.concatenate([ring for polygon in polygons(document) for ring in polygon])
    assert {tuple(p) for p in positions.round(6)} == {tuple(p) for p in expected.round(6)}
    assert (np.abs(positions) <= [180, 90]).all()
    assert positions[:, 0].mean() == pytest.approx(9, abs=0.1)
    assert document["bbox"] == pytest.approx([*expected.min(axis=0), *expected.max(axis=0)], abs=1e-7)


def test_structure_follows_rfc_7946(tmp_path):
    document = written(parcels(COURTYARD, CLOCKWISE, PAIR), tmp_path)
    assert document["type"] == "FeatureCollection"
    assert "crs" not in document
    assert [f["type"] for f in document["features"]] == ["Feature"] * 3
    assert [f["geometry"]["type"] for f in document["features"]] == ["Polygon", "Polygon", "MultiPolygon"]
    assert all(set(f) == {"type", "properties", "geometry"} for f in document["features"])
    for exterior, *holes in polygons(document):
        assert signed_area(exterior) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in (exterior, *holes))


def test_coordinates_have_seven_decimals(tmp_path):
    frame = parcels(*(shapely.Point(60 * i, 40 * i).buffer(17.3) for i in range(5)))
    write_geojson(frame, tmp_path / "plan.geojson")
    text = (tmp_path / "plan.geojson").read_text(encoding="utf-8")
    decimals = [len(number) for number in re.findall(r"\d+\.(\d+)", text)]
    assert len(decimals) > 300
    assert max(decimals) == 7
    back = read_geojson(tmp_path / "plan.geojson").to_crs(CRS)
    assert back.is_valid.all()
    assert np.all(shapely.hausdorff_distance(back.geometry.array, frame.geometry.array) < 0.02)


@pytest.mark.parametrize("crs", [CRS, "EPSG:2249", "EPSG:4326", "EPSG:3857", "EPSG:4490"])
def test_any_crs_ends_in_the_same_place(tmp_path, crs):
    frame = lots(3)
    write_geojson(frame.to_crs(crs), tmp_path / "plan.geojson")
    back = pyogrio.read_dataframe(tmp_path / "plan.geojson")
    assert back.crs == "EPSG:4326"
    assert np.all(shapely.hausdorff_distance(back.geometry.to_crs(CRS).array, frame.geometry.array) < 0.02)


def test_what_is_unknown_is_null(tmp_path):
    frame = parcels(CLOCKWISE, PAIR, far=[np.nan, 2.5], year=[np.inf, -np.inf], label=[None, "x"])
    properties = [f["properties"] for f in written(frame, tmp_path)["features"]]
    assert properties[0] == {"id": 0, "far": None, "year": None, "label": None}
    assert properties[1] == {"id": 1, "far": 2.5, "year": None, "label": "x"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (float("nan"), None),
        ((1, np.float32("nan")), [1, None]),
        ({1: [np.int8(2), {"a": (np.inf,)}]}, {"1": [2, {"a": [None]}]}),
        ("NaN", "NaN"),
    ],
)
def test_values_as_json_has_them(value, expected):
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == expected
    assert type(plain(value)) is type(expected)


def test_nested_lists_survive(tmp_path):
    frame = parcels(CLOCKWISE, PAIR, stack=[STACK, []])
    write_geojson(frame, tmp_path / "plan.geojson")
    back = read_geojson(tmp_path / "plan.geojson")
    assert back["stack"].tolist() == [STACK, []]
    assert back.crs == "EPSG:4326"
    assert back.columns.tolist() == ["geometry", "id", "stack"]


@settings(deadline=None, max_examples=40)
@given(st.lists(TEXT, min_size=1, max_size=6))
@example(HOSTILE)
def test_any_text_survives_geojson(tmp_path_factory, texts):
    file = tmp_path_factory.mktemp("text") / "plan.geojson"
    write_geojson(parcels(*[CLOCKWISE] * len(texts), text=texts), file)
    assert read_geojson(file)["text"].tolist() == texts
    assert [f["properties"]["text"] for f in json.loads(file.read_bytes())["features"]] == texts


# GeoPackage


def sql(file, query):
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def categories(qml):
    """Value to label and colour, of a style."""
    root = ElementTree.fromstring(qml)
    colours = {
        symbol.get("name"): symbol.find("layer/Option/Option[@name='color']").get("value")
        for symbol in root.iter("symbol")
    }
    return {c.get("value"): (c.get("label"), colours[c.get("symbol")]) for c in root.iter("category")}


USES = {"homes": ("Homes", "#E69F00"), "shops": ("Shops & <cafés>", "#009e73"), "": ("No building", "#ffffff")}
COLOURS = {
    "homes": ("Homes", "230,159,0,255"),
    "shops": ("Shops & <cafés>", "0,158,115,255"),
    "": ("No building", "255,255,255,255"),
}


def test_layers_read_back(tmp_path):
    file = tmp_path / "plan.gpkg"
    frame = parcels(COURTYARD, PAIR, stack=[STACK, []], far=[np.nan, 2.0])
    write_geopackage({"parcels": frame, "sites": lots(3), "walks": lots(2).set_geometry(lots(2).boundary)}, file)
    assert pyogrio.list_layers(file)[:, 0].tolist() == ["parcels", "sites", "walks"]
    back = gpd.read_file(file, layer="parcels")
    assert back.crs == CRS
    assert back.area.tolist() == pytest.approx([100 * 80 - 20 * 20, 20 * 30 + 30 * 30])
    assert [json.loads(text) for text in back["stack"]] == [STACK, []]
    assert back["far"].tolist() == pytest.approx([np.nan, 2.0], nan_ok=True)
    assert frame["stack"].tolist() == [STACK, []]
    assert len(gpd.read_file(file, layer="sites")) == 3
    assert sql(file, "SELECT count(*) FROM sqlite_master WHERE name = 'layer_styles'") == [(0,)]


def test_styles_lie_where_qgis_looks(tmp_path):
    file = tmp_path / "plan.gpkg"
    styles = {"parcels": qml_categorised("dominant_use", USES), "sites": qml_categorised("use", {})}
    write_geopackage({name: lots(2) for name in ("parcels", "sites", "walks")}, file, styles)
    rows = sql(file, "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles")
    geometry = dict(sql(file, "SELECT table_name, column_name FROM gpkg_geometry_columns"))
    assert rows == [(name, geometry[name], qml, 1) for name, qml in styles.items()]
    assert ("layer_styles", "attributes") in sql(file, "SELECT table_name, data_type FROM gpkg_contents")
    assert sql(file, "PRAGMA integrity_check") == [("ok",)]
    assert "layer_styles" in pyogrio.list_layers(file)[:, 0]
    assert len(gpd.read_file(file, layer="parcels")) == 2


def test_a_style_colours_each_value():
    qml = qml_categorised("dominant_use", USES)
    assert categories(qml) == COLOURS
    root = ElementTree.fromstring(qml)
    renderer = root.find("renderer-v2")
    assert (root.tag, renderer.get("type"), renderer.get("attr")) == ("qgis", "categorizedSymbol", "dominant_use")
    assert len(root.findall(".//symbol")) == len(root.findall(".//category")) == 3
    assert qml.startswith("<!DOCTYPE qgis")


VISIBLE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=8)


@given(st.dictionaries(VISIBLE, st.tuples(VISIBLE, st.integers(0, 0xFFFFFF)), max_size=6), VISIBLE)
def test_a_style_is_valid_whatever_the_names(values, column):
    qml = qml_categorised(column, {value: (label, f"#{rgb:06x}") for value, (label, rgb) in values.items()})
    assert categories(qml) == {
        value: (label, f"{rgb >> 16},{rgb >> 8 & 255},{rgb & 255},255") for value, (label, rgb) in values.items()
    }
    assert ElementTree.fromstring(qml).find("renderer-v2").get("attr") == column


@settings(deadline=None, max_examples=15)
@given(st.lists(TEXT, min_size=1, max_size=6))
@example(HOSTILE)
def test_any_text_survives_a_geopackage(tmp_path_factory, texts):
    file = tmp_path_factory.mktemp("text") / "plan.gpkg"
    write_geopackage({"parcels": parcels(*[CLOCKWISE] * len(texts), text=texts)}, file)
    assert [text for (text,) in sql(file, "SELECT text FROM parcels ORDER BY id")] == texts


def test_a_geopackage_may_be_written_again(tmp_path):
    for _ in range(2):
        write_geopackage({"parcels": lots(2)}, tmp_path / "plan.gpkg", {"parcels": qml_categorised("use", USES)})
    assert len(sql(tmp_path / "plan.gpkg", "SELECT * FROM layer_styles")) == 1
