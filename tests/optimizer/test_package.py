"""plan.gpkg: floors against the result, what its tables say, and the project as QGIS itself opens it."""

import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest

import optimizer
from geodata.language import language
from optimizer.audit import audit_folder
from optimizer.files import write_plan
from tests.conftest import qgis_python
from tests.districts import USES
from tests.optimizer.conftest import HOSTILE, solved
from tests.optimizer.test_pollution import planned


def layer(folder, name):
    return gpd.read_file(folder / "plan.gpkg", layer=name)


def sql(folder, query):
    with closing(sqlite3.connect(folder / "plan.gpkg")) as database:
        return database.execute(query).fetchall()


def test_floors_add_up_to_the_result(plan_folder):
    floors = layer(plan_folder, "floors")
    result = json.loads((plan_folder / "result.json").read_text())
    density = result["indices"]["density"]
    by_use = floors.groupby("use")["gfa_m2"].sum()
    parcels = layer(plan_folder, "parcels")
    for use in USES:
        assert by_use.get(use, 0.0) == pytest.approx(parcels[f"gfa_{use}"].sum(), abs=1e-3)
        assert by_use.get(use, 0.0) == pytest.approx(result["indices"]["floor_area_m2"][use], abs=1e-3)
    assert floors["gfa_m2"].sum() == pytest.approx(density["floor_area_m2"], abs=1e-3)
    assert floors["jobs"].sum() == pytest.approx(density["jobs"], abs=1e-3)
    assert floors["homes"].sum() == pytest.approx(density["homes"], abs=1e-3)


def test_floors_are_those_of_the_stacks(plan_folder):
    floors, sites = layer(plan_folder, "floors"), layer(plan_folder, "sites")
    parcels = layer(plan_folder, "parcels").set_index("parcel_id")
    for (name, site), own in floors.groupby(["parcel_id", "site"]):
        stack = [s for s in json.loads(parcels.loc[name, "stack"]) if s["site"] == site]
        expected = {(k, s["use"]) for s in stack for k in range(s["from"], s["to"] + 1)}
        assert set(zip(own["storey"], own["use"])) == expected
        ends = own.drop_duplicates("storey").sort_values("storey")
        assert ends["from_m"].iloc[0] == 0
        assert ends["from_m"].tolist()[1:] == ends["to_m"].tolist()[:-1]
        if parcels.loc[name, "action"] != "keep":
            assert ends["to_m"].max() <= parcels.loc[name, "height_m"] + 1e-6
        shape = sites[(sites["parcel_id"] == name) & (sites["site"] == site)].geometry.iloc[0]
        assert own.geometry.geom_equals(shape).all()


def test_uses_that_share_a_storey_share_its_floor():
    asked, frame = solved(rules=[])
    none = np.zeros((9, 3), dtype=int)
    plan = planned(asked, frame, none, ["keep"] * 2 + ["clear"] * 7)
    floors = plan.floors_frame()
    first = floors[floors["parcel_id"] == "L0"]
    # 720 m² on three storeys of 240: making fills the first and a quarter of the second.
    assert first[["storey", "use", "gfa_m2", "from_m", "to_m"]].to_numpy().tolist() == [
        [1, "making", 240.0, 0.0, 5.0],
        [2, "making", 60.0, 5.0, 8.0],
        [2, "homes", 180.0, 5.0, 8.0],
        [3, "homes", 240.0, 8.0, 11.0],
    ]
    assert first["jobs"].tolist() == [6.0, 1.5, 0.0, 0.0]
    assert first["homes"].tolist() == [0.0, 0.0, 2.25, 3.0]
    assert set(floors["parcel_id"]) == {"L0", "L1"}


@pytest.mark.parametrize("sliver", [1e-9, 1e-5, 0.01])
def test_no_sliver_of_a_use_is_lost(sliver):
    asked, frame = solved(rules=[])
    frame.loc[0, ["gfa_making", "gfa_shops", "gfa_homes"]] = [240.0, sliver, 480.0]
    plan = planned(asked, frame, np.zeros((9, 3), dtype=int), ["keep"] + ["clear"] * 8)
    floors = plan.floors_frame()
    assert floors["gfa_m2"].sum() == pytest.approx(720 + sliver, abs=1e-5)
    assert floors.groupby("use")["gfa_m2"].sum()["shops"] == pytest.approx(sliver, abs=1e-6)


def test_nothing_stands_and_the_package_is_whole(tmp_path):
    from optimizer.package import write_package

    asked, frame = solved(rules=[])
    plan = planned(
        asked,
        frame.assign(storeys=0, gfa_making=0.0, gfa_homes=0.0, gfa_shops=0.0),
        np.zeros((9, 3), dtype=int),
        "keep",
    )
    tables = {"parcels": plan.to_frame(), **plan.layers(), "floors": plan.floors_frame()}
    write_package(asked, tables, {}, tmp_path / "plan.gpkg")
    for name, geometry in {"flows": "LineString", "flows_inside": "Point", "floors": "MultiPolygon"}.items():
        assert pyogrio.read_info(tmp_path / "plan.gpkg", layer=name)["geometry_type"] == geometry


@pytest.mark.parametrize("which", ["plan_folder", "hostile_folder"])
def test_the_package_is_sound(which, request):
    folder = request.getfixturevalue(which)
    assert sql(folder, "PRAGMA integrity_check") == [("ok",)]
    assert sql(folder, "PRAGMA foreign_key_check") == []
    layers = [name for (name,) in sql(folder, "SELECT table_name FROM gpkg_contents WHERE data_type = 'features'")]
    assert {
        "parcels",
        "sites",
        "floors",
        "flows",
        "flows_inside",
        "walks",
        "receptors_facades",
        "receptors_middles",
    } <= set(layers)
    for name in layers:
        frame = layer(folder, name)
        assert frame.geometry.is_valid.all()
        extent = sql(folder, f"SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = '{name}'")[0]
        if len(frame):
            assert extent == pytest.approx(frame.total_bounds)
        titled = {c for (c,) in sql(folder, f"SELECT column_name FROM gpkg_data_columns WHERE table_name = '{name}'")}
        assert titled == set(frame.columns) - {"geometry"}
        assert sql(folder, f"SELECT count(*) FROM layer_styles WHERE f_table_name = '{name}' AND useAsDefault") == [
            (1,)
        ]
    used = sql(folder, "SELECT DISTINCT constraint_name FROM gpkg_data_columns WHERE constraint_name IS NOT NULL")
    for (domain,) in used:
        values = {
            v
            for (v,) in sql(
                folder, f"SELECT value FROM gpkg_data_column_constraints WHERE constraint_name = '{domain}'"
            )
        }
        for table, column in sql(
            folder, f"SELECT table_name, column_name FROM gpkg_data_columns WHERE constraint_name = '{domain}'"
        ):
            assert set(layer(folder, table)[column]) <= values
    assert audit_folder(folder).faults == []


def test_metadata_say_how_good_the_plan_is(plan_folder):
    ((text,),) = sql(plan_folder, "SELECT metadata FROM gpkg_metadata")
    told, result = json.loads(text), json.loads((plan_folder / "result.json").read_text())
    measured = {item["name"]: item["value"] for item in told["variableMeasured"]}
    assert measured == {key: result[key] for key in ("status", "objective", "bound", "gap")}
    assert told["versions"]["upstairs"] == optimizer.__version__
    assert told["name"] == "Test"


def opened(folder, tmp_path):
    """What QGIS says of the package, and the picture of its layout."""
    script = Path(__file__).resolve().parents[1] / "qgis_check.py"
    picture = tmp_path / "layout.png"
    asked = [qgis_python(), str(script), str(folder / "plan.gpkg"), str(picture)]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False, env={"HOME": str(tmp_path)})
    said = [line for line in ended.stdout.splitlines() if line.startswith("FOUND")]
    assert said, ended.stderr
    return json.loads(said[0].removeprefix("FOUND")), picture


@pytest.mark.qgis
def test_qgis_opens_the_project(plan_folder, tmp_path):
    found, picture = opened(plan_folder, tmp_path)
    assert (found["read"], found["error"], found["title"], found["crs"]) == (True, "", "Test", "EPSG:32632")
    assert list(found["groups"]) == ["Flows", "Plan", "Today", "Surroundings"]
    layers = {name: layer for group in found["groups"].values() for name, _, layer in group}
    for name, item in layers.items():
        assert item["valid"], name
        assert item["crs"] == "EPSG:32632"
        assert item["drawn"][0] == item["drawn"][1], name
        assert all(title for column, title in item["aliases"].items() if column != "fid"), name
        assert item["source"].startswith(str(plan_folder / "plan.gpkg"))
    tables = {item["source"].split("layername=")[1].split("|")[0] for item in layers.values()}
    assert tables == {
        n for (n,) in sql(plan_folder, "SELECT table_name FROM gpkg_contents WHERE data_type = 'features'")
    }
    uses = [[name, use["label"]] for name, use in USES.items()]
    plan, today = layers["Plan by dominant use"], layers["Today by dominant use"]
    assert [v[:2] for v in plan["values"]] == [*uses, ["", "No building"]] == [v[:2] for v in today["values"]]
    assert [v[0] for v in layers["What changes"]["values"]] == ["keep", "convert", "redevelop", "clear"]
    assert layers["Ground floors by use"]["rows"] == (layer(plan_folder, "floors")["storey"] == 1).sum()
    assert layers["Streets by what is drawn on over them"]["renderer"] == "graduatedSymbol"
    assert plan["aliases"]["gfa_m2"] == "Floor area (m²)"
    assert found["themes"] == {
        "Plan": ["Plan by dominant use", "Streets by what is drawn on over them"],
        "Today": ["Today by dominant use"],
        "Change": ["What changes"],
        "Flows": ["Flows between buildings", "Flows in buildings", "Plan by dominant use"],
    }
    assert found["exported"] == 0
    assert found["legend"] == found["printed"] == ["Streets by what is drawn on over them", "Plan by dominant use"]
    assert found["scale"] == pytest.approx(round(found["scale"]), abs=1e-3)
    kinds = {"Label", "Legend", "Map", "Picture", "ScaleBar"}
    assert {f"QgsLayoutItem{kind}" for kind in kinds} <= set(found["items"])
    pixels = _pixels(picture)
    shown = set(layer(plan_folder, "parcels")["dominant_use"]) - {""}
    for name, _, colour in plan["values"]:
        if name in shown:  # more than its patch in the legend
            assert (pixels == [int(colour[k : k + 2], 16) for k in (1, 3, 5)]).all(axis=2).mean() > 0.005
    assert found["styles"]["parcels"] == ["Change", "Plan", "Today"]
    assert found["alone"]["parcels"]["values"] == plan["values"]
    assert all(found["alone"][name]["values"] for name in ("floors", "flows", "flows_inside", "sites", "walks"))


@pytest.mark.qgis
def test_qgis_shows_it_in_chinese(tmp_path):
    asked, frame = solved()
    folder = write_plan(optimizer.solve(asked, frame), tmp_path / "plan", words=language("zh"))
    found, _ = opened(folder, tmp_path)
    assert (found["read"], found["error"], found["exported"]) == (True, "", 0)
    ours = {*asked.uses, *(use["label"] for use in USES.values()), "Test", "JSON", "m", "x", "y", "fid"}
    layers = {name: item for group in found["groups"].values() for name, _, item in group}
    told = [*found["groups"], *found["themes"], *layers]
    for item in layers.values():
        assert item["valid"]
        told += [title for column, title in item["aliases"].items() if column != "fid"]
        told += [v[1] if isinstance(v[1], str) else v[2] for v in item["values"]]
    assert not [text for text in told if set(re.findall("[A-Za-z]+", text)) - ours]


@pytest.mark.qgis
@pytest.mark.parametrize("which", ["plan_folder", "hostile_folder"])
def test_gdal_finds_nothing_against_the_specification(which, request):
    file = request.getfixturevalue(which) / "plan.gpkg"
    asked = [qgis_python(), "-m", "osgeo_utils.samples.validate_gpkg", "-v", "--extra", str(file)]
    ended = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Checking gpkg_schema" in ended.stdout


def _pixels(picture):
    from matplotlib.image import imread

    return (imread(picture)[..., :3] * 255).round().astype(int)


@pytest.mark.qgis
def test_qgis_runs_nothing_that_names_say(hostile_folder, tmp_path):
    found, _ = opened(hostile_folder, tmp_path)
    assert found["read"]
    assert found["exported"] == 0
    assert found["title"].startswith("[ % 6 * 7 %]</script>")
    said = "\n".join([*found["labels"], *found["legend_labels"]])
    assert "42" not in said
    assert "[ % 6 * 7 %]" in said
    for group in found["groups"].values():
        for name, _, item in group:
            assert item["valid"], name
            assert item["drawn"][0] == item["drawn"][1], name
            assert max(map(len, item["aliases"].values())) < 200


def test_names_of_a_hostile_plan_come_back_as_they_are(hostile_folder):
    assert set(HOSTILE) <= set(layer(hostile_folder, "parcels")["parcel_id"])
    assert set(HOSTILE) <= set(layer(hostile_folder, "parcels")["zone"])
