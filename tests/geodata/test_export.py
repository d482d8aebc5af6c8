"""Export: GeoJSON held against RFC 7946, GeoParquet against its specification, shapefiles and CSV as others read them."""

import json
import re

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyogrio
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from geodata.errors import GeodataError
from geodata.export import (
    plain,
    read_geojson,
    short_names,
    write_csv,
    write_geojson,
    write_geoparquet,
    write_shapefile,
)
from tests.districts import CRS, ORIGIN, lots
from tests.rfc7946 import faults

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
    assert faults(document) == []
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


BROKEN = {
    "a crs": lambda d: d.update(crs={"type": "name"}),
    "clockwise": lambda d: d["features"][0]["geometry"]["coordinates"][0].reverse(),
    "an open ring": lambda d: d["features"][0]["geometry"]["coordinates"][0].pop(),
    "metres": lambda d: d["features"][0]["geometry"]["coordinates"][0].__setitem__(1, [500_000.0, 10.0]),
    "a box elsewhere": lambda d: d.update(bbox=[0, 0, 1, 1]),
    "no properties": lambda d: d["features"][0].pop("properties"),
    "another type": lambda d: d["features"][0].update(type="Parcel"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_checker_of_rfc_7946_finds_what_is_wrong(tmp_path, how):
    document = written(parcels(COURTYARD, CLOCKWISE), tmp_path)
    BROKEN[how](document)
    assert faults(document)


def test_lines_and_points_are_geojson_too(tmp_path):
    frame = gpd.GeoDataFrame(
        {"a": [1, 2]}, geometry=[at(shapely.LineString([(0, 0), (9, 9)])), at(shapely.Point(1, 2))]
    )
    assert faults(written(frame.set_crs(CRS), tmp_path)) == []
    assert faults(written(frame.set_crs(CRS).iloc[:0], tmp_path)) == []


# GeoParquet


def test_geoparquet_keeps_to_its_specification(tmp_path):
    file = tmp_path / "plan.parquet"
    frame = parcels(COURTYARD, PAIR, stack=[STACK, []], name=["a", None])
    write_geoparquet(frame, file)
    table = pyarrow.parquet.read_table(file)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert set(column["geometry_types"]) == {"Polygon", "MultiPolygon"}
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32632}
    assert column["bbox"] == pytest.approx(frame.total_bounds)
    corners = ("xmin", "ymin", "xmax", "ymax")
    assert column["covering"] == {"bbox": {corner: ["bbox", corner] for corner in corners}}
    boxes = table["bbox"].to_pylist()
    assert [[box[c] for c in corners] for box in boxes] == [pytest.approx(b) for b in frame.bounds.to_numpy()]
    assert table.schema.field("geometry").type == pyarrow.binary()
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    assert shapely.equals(shapes, frame.geometry.to_numpy()).all()
    assert [json.loads(text) for text in table["stack"].to_pylist()] == [STACK, []]
    back = gpd.read_parquet(file)
    assert back.crs == CRS
    assert back["name"].fillna("").tolist() == ["a", ""]
    west = gpd.read_parquet(file, bbox=(ORIGIN[0] - 1, ORIGIN[1] - 1, ORIGIN[0] + 50, ORIGIN[1] + 50))
    assert west["id"].tolist() == [0]


# Shapefile


def test_names_of_a_shapefile_are_short_and_apart():
    columns = ["gfa_workshop", "gfa_workshops", "GFA_WORKSHOP", "today_dominant_use", "漢字", "漢字字", "a b", ""]
    names = short_names(columns)
    assert list(names) == columns
    assert len({name.lower() for name in names.values()}) == len(columns)
    assert all(re.fullmatch(r"\w{1,10}", name, re.ASCII) for name in names.values())


@given(st.lists(TEXT, unique=True, max_size=30))
def test_short_names_are_apart_whatever_the_columns(columns):
    names = list(short_names(columns).values())
    assert len({name.lower() for name in names}) == len(columns)
    assert all(0 < len(name.encode()) <= 10 for name in names)


def test_a_shapefile_says_what_it_lost(tmp_path):
    frame = parcels(CLOCKWISE, PAIR, stack=[STACK, []], zone=["é" * 200, None], protected=[True, False])
    found = write_shapefile(frame, tmp_path / "plan.shp", "id").set_index("column")
    back = pyogrio.read_dataframe(tmp_path / "plan.shp")
    assert found.loc["stack"].tolist() == ["", "left out: a list"]
    assert found.loc["zone", "note"] == "cut to 254 bytes: 1 values"
    assert back["zone"].fillna("").tolist() == ["é" * 127, ""]
    assert back["protected"].tolist() == [1, 0]
    assert back.crs == CRS
    assert set(found["name"]) - {""} == set(back.columns) - {"geometry"}


def test_a_shapefile_never_makes_two_parcels_one(tmp_path):
    frame = parcels(CLOCKWISE, PAIR, name=["x" * 300 + "a", "x" * 300 + "b"])
    with pytest.raises(GeodataError, match="the same in several rows"):
        write_shapefile(frame, tmp_path / "plan.shp", "name")
    with pytest.raises(GeodataError, match="no rows"):
        write_shapefile(frame.iloc[:0], tmp_path / "plan.shp")


# CSV


def test_a_spreadsheet_finds_no_formula(tmp_path):
    hostile = ["=cmd()", "+1", "-1", "@x", "\t=1", "＝cmd()", "\n=1", "plain"]
    write_csv(pd.DataFrame({"=name": hostile, "number": range(8)}), tmp_path / "plan.csv")
    back = pd.read_csv(tmp_path / "plan.csv", encoding="utf-8-sig")
    assert back.columns.tolist() == ["'=name", "number"]
    assert back["'=name"].tolist() == [*(f"'{text}" for text in hostile[:-1]), "plain"]
