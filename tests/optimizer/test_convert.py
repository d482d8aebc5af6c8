"""A plan in other formats: tables against the plan's own files, the map for print measured with a ruler."""

import json
import re
import sys
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from matplotlib.image import imread
from PIL import Image
from pyproj import Geod

from geodata.language import language
from optimizer import cli, sheet
from optimizer.convert import convert
from optimizer.errors import StudyError
from tests.optimizer.conftest import HOSTILE
from tests.rfc7946 import faults

SVG = "{http://www.w3.org/2000/svg}"
INCH = 25.4


def table(folder, layer="parcels"):
    return gpd.read_file(folder / "plan.gpkg", layer=layer)


def test_geoparquet_is_the_package(plan_folder, tmp_path):
    assert convert(plan_folder, tmp_path / "new" / "plan.parquet") == [tmp_path / "new" / "plan.parquet"]
    back, own = gpd.read_parquet(tmp_path / "new" / "plan.parquet"), table(plan_folder)
    assert back.columns.tolist() == own.columns.tolist()
    assert back.crs == own.crs
    assert back.geometry.geom_equals(own.geometry).all()
    assert back["stack"].map(json.loads).tolist() == own["stack"].map(json.loads).tolist()
    pd.testing.assert_frame_equal(
        pd.DataFrame(back.drop(columns=["geometry", "stack"])), pd.DataFrame(own.drop(columns=["geometry", "stack"]))
    )


@pytest.mark.parametrize("layer", ["parcels", "floors", "flows", "flows_inside", "walks", "sites"])
def test_geojson_of_any_layer_keeps_to_rfc_7946(plan_folder, tmp_path, layer):
    convert(plan_folder, tmp_path / "plan.geojson", layer=layer)
    assert faults(json.loads((tmp_path / "plan.geojson").read_text())) == []
    back = pyogrio.read_dataframe(tmp_path / "plan.geojson")
    assert back.crs == "EPSG:4326"
    assert len(back) == len(table(plan_folder, layer)) > 0


def test_the_plan_itself_keeps_to_rfc_7946(hostile_folder):
    assert faults(json.loads((hostile_folder / "plan.geojson").read_text(encoding="utf-8"))) == []


def test_csv_has_the_floors_beside_it(plan_folder, tmp_path):
    assert convert(plan_folder, tmp_path / "a.csv") == [tmp_path / "a.csv", tmp_path / "a_floors.csv"]
    parcels, floors = (pd.read_csv(tmp_path / name, encoding="utf-8-sig") for name in ("a.csv", "a_floors.csv"))
    own = table(plan_folder)
    assert parcels["gfa_m2"].tolist() == pytest.approx(own["gfa_m2"].tolist())
    assert "stack" not in parcels
    assert floors["gfa_m2"].sum() == pytest.approx(own["gfa_m2"].sum())
    inside = gpd.points_from_xy(parcels["longitude"], parcels["latitude"], crs=4326).to_crs(own.crs)
    assert shapely.contains(own.geometry.to_numpy(), np.asarray(inside)).all()


def test_a_shapefile_is_refused_with_the_reason(plan_folder, tmp_path):
    with pytest.raises(StudyError, match=r"10 letters.*254 bytes.*2 GB.*--shorten"):
        convert(plan_folder, tmp_path / "plan.shp")
    assert list(tmp_path.iterdir()) == []
    written = {file.name for file in convert(plan_folder, tmp_path / "plan.shp", shorten=True)}
    assert written == {"plan.shp", "plan.shx", "plan.dbf", "plan.prj", "plan.cpg", "plan_names.csv"}
    names = pd.read_csv(tmp_path / "plan_names.csv", encoding="utf-8-sig").set_index("column")
    back, own = pyogrio.read_dataframe(tmp_path / "plan.shp"), table(plan_folder)
    assert back.crs == own.crs
    assert set(names.index) == set(own.columns) - {"geometry"}
    for column in ("parcel_id", "gfa_m2", "gfa_making", "dominant_use"):
        assert back[names.loc[column, "name"]].fillna("").tolist() == own[column].tolist()


def test_hostile_names_are_inert_in_every_format(hostile_folder, tmp_path):
    convert(hostile_folder, tmp_path / "plan.csv")
    for file in ("plan.csv", "plan_floors.csv"):
        cells = pd.read_csv(tmp_path / file, encoding="utf-8-sig", dtype=str).to_numpy().ravel()
        assert not [c for c in cells if isinstance(c, str) and re.match(r"[=+@\t\r]|-[^0-9]", c)]
    convert(hostile_folder, tmp_path / "plan.parquet")
    assert set(HOSTILE) <= set(gpd.read_parquet(tmp_path / "plan.parquet")["parcel_id"])
    convert(hostile_folder, tmp_path / "plan.geojson")
    assert set(HOSTILE) <= set(pyogrio.read_dataframe(tmp_path / "plan.geojson")["parcel_id"])
    convert(hostile_folder, tmp_path / "plan.shp", shorten=True)
    assert len(pyogrio.read_dataframe(tmp_path / "plan.shp")) == 9
    convert(hostile_folder, tmp_path / "plan.svg")
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    assert not list(root.iter(f"{SVG}script"))


@pytest.mark.parametrize("scale", [500, 1000])
def test_lengths_on_the_sheet_are_those_of_the_scale(plan_folder, tmp_path, scale):
    convert(plan_folder, tmp_path / "plan.svg", scale=scale)
    convert(plan_folder, tmp_path / "plan.png", scale=scale)
    world = table(plan_folder).to_crs(4326).total_bounds
    west, south, east, north = world
    geod, middle = Geod(ellps="WGS84"), (west + east) / 2
    # On the ground, in mm of paper; the lots' grid is turned by less than a tenth of a degree.
    true = [
        geod.inv(west, (south + north) / 2, east, (south + north) / 2)[2],
        geod.inv(middle, south, middle, north)[2],
    ]
    true = [length * 1000 / scale for length in true]
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    assert root.get("width").endswith("pt")
    assert [float(root.get(side)[:-2]) for side in ("width", "height")] == pytest.approx(
        [float(v) for v in root.get("viewBox").split()[2:]]
    )
    groups = [g for g in root.find(f".//{SVG}g[@id='map']") if "Collection" in g.get("id", "")]
    paths = [path.get("d") for g in groups for path in g.iter(f"{SVG}path")]
    assert paths
    xy = np.concatenate([np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", d), dtype=float) for d in paths])
    drawn = np.ptp(xy, axis=0) / 72 * INCH
    assert drawn == pytest.approx(true, abs=0.05)
    pixels = (imread(tmp_path / "plan.png")[..., :3] * 255).round()
    with Image.open(tmp_path / "plan.png") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        page = [side / 300 * INCH for side in image.size]
    assert page == pytest.approx([float(root.get(s)[:-2]) / 72 * INCH for s in ("width", "height")], abs=0.1)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_no_sheet_has_boxes_for_chinese(plan_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "eastern_fonts", list)
    chinese = language("zh")
    with pytest.raises(StudyError, match="fonts-noto-cjk"):
        convert(plan_folder, tmp_path / "plan.png", words=chinese)
    convert(plan_folder, tmp_path / "plan.svg", words=chinese)
    texts = [e.text for e in ElementTree.parse(tmp_path / "plan.svg").iter(f"{SVG}text")]
    assert chinese("No building") in texts


def test_a_sheet_is_the_same_twice(plan_folder, tmp_path):
    for name in ("a.svg", "b.svg"):
        convert(plan_folder, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("plan.gpkg", {}, "copy it"),
        ("plan.dxf", {}, r"no format ends in \.dxf; \.parquet"),
        ("plan", {}, "no format ends in nothing"),
        ("plan.csv", {"scale": 100.0}, "no map for print"),
        ("plan.png", {"layer": "floors"}, "is of the whole plan"),
        ("plan.csv", {"shorten": True}, "only a shapefile cannot"),
        ("plan.csv", {"layer": "flors"}, "no layer 'flors'; parcels, sites"),
        ("plan.svg", {"scale": 1.0}, r"larger than A0; ask for \d+"),
    ],
)
def test_what_does_not_go_together_is_said(plan_folder, tmp_path, name, options, said):
    with pytest.raises(StudyError, match=said):
        convert(plan_folder, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_is_not_written_over(plan_folder):
    with pytest.raises(StudyError, match="a file of the plan itself"):
        convert(plan_folder, plan_folder / "plan.geojson")


def test_the_scale_that_is_named_fits(plan_folder, tmp_path):
    with pytest.raises(StudyError) as error:
        convert(plan_folder, tmp_path / "plan.svg", scale=1.0)
    fits = float(re.search(r"ask for (\d+)", str(error.value))[1])
    assert convert(plan_folder, tmp_path / "plan.svg", scale=fits)


def test_the_command_says_what_it_wrote(plan_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["upstairs", "convert", str(plan_folder), str(tmp_path / "plan.csv")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out.count("Wrote:") == 2
    monkeypatch.setattr(sys, "argv", ["upstairs", "convert", str(plan_folder), str(tmp_path / "plan.shp")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "--shorten" in capsys.readouterr().err
