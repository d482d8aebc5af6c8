"""Styles and projects of QGIS as XML; what QGIS itself makes of them stands in tests/optimizer/test_package.py."""

import io
import zipfile
from xml.etree import ElementTree

import pyproj
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geodata.qgis import (
    MapLayer,
    Project,
    Symbol,
    categorised,
    filled,
    graduated,
    inert,
    qml,
    quoted,
    round_down,
    round_up,
    single,
)

USES = {"homes": ("Homes", "#E69F00"), "shops": ("Shops & <cafés>", "#009e73"), "": ("No building", "#ffffff")}
COLOURS = {
    "homes": ("Homes", "230,159,0,255"),
    "shops": ("Shops & <cafés>", "0,158,115,255"),
    "": ("No building", "255,255,255,255"),
}
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def categories(text):
    """Value to label and colour, of a style."""
    root = ElementTree.fromstring(text)
    colours = {
        symbol.get("name"): symbol.find("layer/Option/Option[@name='color']").get("value")
        for symbol in root.iter("symbol")
    }
    return {c.get("value"): (c.get("label"), colours[c.get("symbol")]) for c in root.iter("category")}


def test_a_style_colours_each_value():
    text = qml(filled("dominant_use", USES))
    assert categories(text) == COLOURS
    root = ElementTree.fromstring(text)
    renderer = root.find("renderer-v2")
    assert (root.tag, renderer.get("type"), renderer.get("attr")) == ("qgis", "categorizedSymbol", "dominant_use")
    assert len(root.findall(".//symbol")) == len(root.findall(".//category")) == 3
    assert text.startswith("<!DOCTYPE qgis")


@given(st.dictionaries(ANY, st.tuples(ANY, st.integers(0, 0xFFFFFF)), max_size=6), ANY, ANY)
@example({"\x00": ("</category>&amp;", 0)}, "\x1b[0m", '"><x')
def test_a_style_is_valid_whatever_the_names(values, column, title):
    drawn = {value: (label, f"#{rgb:06x}") for value, (label, rgb) in values.items()}
    root = ElementTree.fromstring(qml(filled(column, drawn), {column: title}))
    assert root.find("renderer-v2").get("attr") == inert(column)
    assert [c.get("value") for c in root.iter("category")] == [inert(value) for value in values]
    assert root.find("aliases/alias").get("name") == inert(title)


def test_no_text_is_an_expression():
    assert "[%" not in inert("[% env('HOME') %] [%% [[%")
    assert inert("a\x00b\x1fc") == "a\ufffdb\ufffdc"
    assert inert("\u202eright \u2067to left") == "right to left"
    assert inert("x" * 100, 10) == "x" * 9 + "…"
    assert quoted('a"b') == '"a""b"'


def test_widths_by_an_expression():
    line = Symbol("line", "#112233", by='"served" / 2')
    root = categorised("use", {"a": ("A", line)}, first="storey")
    found = root.find(".//data_defined_properties/Option/Option[@name='properties']/Option[@name='outlineWidth']")
    assert {o.get("name"): o.get("value") for o in found} == {
        "active": "true",
        "expression": '"served" / 2',
        "type": "3",
    }
    assert root.get("enableorderby") == "1"
    assert root.find("orderby/orderByClause").text == '"storey"'


def test_classes_of_a_number():
    root = graduated(
        '"a" + "b"', [(0, 0, "none", Symbol("line", "#000000")), (0, 10, "some", Symbol("line", "#000000"))]
    )
    assert [(r.get("lower"), r.get("upper"), r.get("label")) for r in root.iter("range")] == [
        ("0.0", "0.0", "none"),
        ("0.0", "10.0", "some"),
    ]


@pytest.mark.parametrize(
    ("value", "up", "down"), [(1, 1, 1), (1.01, 1.5, 1), (9.9, 10, 5), (4900, 5000, 2000), (0.03, 0.03, 0.02)]
)
def test_round_numbers(value, up, down):
    assert round_up(value) == pytest.approx(up)
    assert round_down(value) == pytest.approx(down)


def project(title="Plan", crs="EPSG:32632"):
    layer = MapLayer(
        "Parcels", "parcels", "fill", single(Symbol("fill", "#123456")), {"far": "Ratio (1)"}, True, True, '"far" > 1'
    )
    return Project(title, pyproj.CRS(crs), (0.0, 0.0, 1000.0, 500.0), {"Plan": [layer]}, "About", "By <us>", ["A note"])


def test_a_project_names_the_package_it_lies_in():
    packed = zipfile.ZipFile(io.BytesIO(bytes.fromhex(project().content("plan.gpkg", "plan"))))
    assert packed.namelist() == ["plan.qgs"]
    root = ElementTree.fromstring(packed.read("plan.qgs"))
    (layer,) = root.findall("projectlayers/maplayer")
    assert layer.find("datasource").text == './plan.gpkg|layername=parcels|subset="far" > 1'
    ids = {layer.find("id").text}
    assert {e.get("id") for e in root.iter("layer-tree-layer")} == ids
    assert {e.text for e in root.iter("Layer")} == ids
    assert root.find("properties/Paths/Absolute").text == "false"
    assert root.find("projectCrs/spatialrefsys/authid").text == "EPSG:32632"
    extent = root.find("Layouts/Layout/LayoutItem/Extent").attrib
    assert float(extent["xmax"]) - float(extent["xmin"]) == pytest.approx(298 * 4)  # 1 : 4,000


@given(ANY)
def test_a_project_is_valid_whatever_its_title(title):
    root = ElementTree.fromstring(project(title).xml("plan.gpkg"))
    assert root.get("projectname") == inert(title)


def test_a_projection_of_no_register_is_written_out():
    root = ElementTree.fromstring(
        project(crs="+proj=tmerc +lat_0=42.3 +lon_0=-71.1 +ellps=WGS84 +units=m").xml("plan.gpkg")
    )
    assert root.find("projectCrs/spatialrefsys/authid").text is None
    assert pyproj.CRS(root.find("projectCrs/spatialrefsys/wkt").text).is_projected
