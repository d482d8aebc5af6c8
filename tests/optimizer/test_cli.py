"""The command line, as a user meets it: what it writes, what it says and how it ends."""

import json
import signal
import subprocess
import sys
import time
import warnings

import geopandas as gpd
import pytest
import shapely

from optimizer.pollution import FILES as RASTERS


def upstairs(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "optimizer.cli", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    assert upstairs("new", "town", "--synthetic", 16, cwd=folder).returncode == 0
    return folder


def test_check_solve_audit_map_export(place):
    study = place / "town/study.toml"
    found = upstairs("check", study, cwd=place)
    assert found.returncode == 0
    assert "building sites" in found.stdout
    solved = upstairs("solve", study, "--out", "plan", "--gap", 0.1, "--time-limit", 60, cwd=place)
    assert solved.returncode == 0, solved.stderr
    assert "Audited" in solved.stdout
    assert "gap" in solved.stderr
    files = {"plan.geojson", "plan.gpkg", "map.html", "report.html", "result.json", "study.toml"}
    assert {file.name for file in (place / "plan").iterdir() if file.name not in RASTERS} == files
    result = json.loads((place / "plan/result.json").read_text())
    assert result["gap"] <= 0.1
    layers = set(gpd.list_layers(place / "plan/plan.gpkg")["name"])
    assert {"parcels", "sites", "walks", "flows", "flows_inside"} <= layers
    assert gpd.read_file(place / "plan/plan.geojson").is_valid.all()
    assert upstairs("audit", "plan", cwd=place).returncode == 0
    (place / "plan/map.html").unlink()
    assert upstairs("map", "plan", cwd=place).returncode == 0
    assert "tile.openstreetmap" in (place / "plan/map.html").read_text()
    assert upstairs("map", "plan", "--offline", cwd=place).returncode == 0
    assert "tile.openstreetmap" not in (place / "plan/map.html").read_text()
    (place / "plan/report.html").unlink()
    assert upstairs("report", "plan", cwd=place).returncode == 0
    assert "It is proved that no plan" in (place / "plan/report.html").read_text()
    assert upstairs("export", study, "--lp", "town.lp", cwd=place).returncode == 0
    assert "redevelop_P00001" in (place / "town.lp").read_text()
    result["objective"] += 0.1
    (place / "plan/result.json").write_text(json.dumps(result))
    broken = upstairs("audit", "plan", cwd=place)
    assert broken.returncode == 1
    assert "AUDIT FAILED" in broken.stderr


BAD = {
    "no such study": (None, "no such study file"),
    "broken TOML": (("name =", "name = = "), "not valid TOML"),
    "misspelt key": (("max_today", "max_todya"), "did you mean 'max_today'"),
    "unknown key": (("[objective]", "[objective]\nbeauty = 1"), "unknown key"),
    "wrong type": (("gap = 0.01", 'gap = "small"'), "solve.gap"),
    "negative": (("min_today = 1.0", "min_today = -1.0"), "min_today"),
    "NaN": (("min_today = 1.0", "min_today = nan"), "finite"),
    "share above 1": (("max_share = 0.4", "max_share = 1.4"), "max_share"),
    "shares add up": (("housing = 0.2", "housing = 0.8"), "add to"),
    "unknown use": (("housing = 0.2", "huosing = 0.2"), "did you mean 'housing'"),
    "linkage": (
        ("[objective]", '[[linkages]]\nclient = "rnd"\nsupplier = "castle"\ndemand = 1\nreach = 10\n[objective]'),
        "castle",
    ),
    "missing file": (('"parcels.gpkg"', '"lots.gpkg"'), "no such file"),
    "wrong column": (('zone = "zone"', 'zone = "zoen"'), "did you mean 'zone'"),
    "unknown rule": (('kind = "demolition"', 'kind = "demolishon"'), "demolition"),
    "expression": (("max_share = 0.4", "max_share = 0.4\nwhere = \"zoen == 'A'\""), "zoen"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_studies_get_one_message(place, tmp_path, kind):
    change, message = BAD[kind]
    study = place / "town" / f"{kind.replace(' ', '_')}.toml"
    if change:
        text = (place / "town/study.toml").read_text()
        assert change[0] in text
        study.write_text(text.replace(*change, 1))
    ended = upstairs("solve", study, "--out", tmp_path / "out", cwd=place)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("Error:") == 1
    assert not (tmp_path / "out").exists()


def without_crs(frame):
    return frame.set_crs(None, allow_override=True)


def as_points(frame):
    return frame.set_geometry(frame.centroid)


DATA = {
    "empty layer": (lambda f: f.iloc[:0], "empty"),
    "points": (as_points, "polygons are expected"),
    "no CRS": (without_crs, "no coordinate reference system"),
    "degrees as metres": (lambda f: f.to_crs(4326).set_crs(32632, allow_override=True), "look like degrees"),
    "feet as metres": (lambda f: f.set_geometry(f.scale(1e4, 1e4, origin=(5e5, 5.4e6))), "no parcel"),
    "negative limit": (lambda f: f.assign(max_far=-1.0), "max_far"),
}


@pytest.mark.parametrize("kind", DATA)
def test_bad_parcels_get_one_message(place, tmp_path, kind):
    change, message = DATA[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(gpd.read_file(place / "town/parcels.gpkg")).to_file(tmp_path / "lots.gpkg", layer="parcels")
    study = tmp_path / "study.toml"
    text = (place / "town/study.toml").read_text().replace("streets.gpkg", str(place / "town/streets.gpkg"))
    study.write_text(text.replace("parcels.gpkg", "lots.gpkg"))
    ended = upstairs("solve", study, "--out", tmp_path / "out", cwd=place)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_no_plan_is_status_3_and_no_time_status_4(place, tmp_path):
    text = (place / "town/study.toml").read_text()
    study = place / "town/hard.toml"
    study.write_text(
        text.replace("min_today = 1.0", "min_today = 99.0").replace("max_today = 1.5", "max_today = 100.0")
    )
    ended = upstairs("solve", study, "--out", tmp_path / "out", cwd=place)
    assert ended.returncode == 3
    assert "programme" in ended.stderr
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"diagnosis.json", "study.toml", "where.html"}
    told = json.loads((tmp_path / "out/diagnosis.json").read_text())
    (conflict,) = told["conflict"]
    (give,) = told["alone"][0]["way"]["gives"]
    assert conflict["rule"] == give["rule"] == "programme" and told["irreducible"]
    assert 0 < give["value"] < give["limit"]
    solved = upstairs("solve", place / "town/study.toml", "--out", tmp_path / "out", "--gap", 0.3, cwd=place)
    assert solved.returncode == 0, solved.stderr
    assert (tmp_path / "out/result.json").exists() and not (tmp_path / "out/diagnosis.json").exists()
    plan = (tmp_path / "out/result.json").read_bytes()
    ended = upstairs("solve", study, "--out", tmp_path / "out", cwd=place)
    assert ended.returncode == 3 and "Not written" in ended.stderr
    assert (tmp_path / "out/result.json").read_bytes() == plan and not (tmp_path / "out/diagnosis.json").exists()
    ended = upstairs("solve", place / "town/study.toml", "--out", tmp_path / "new", "--time-limit", 0.1, cwd=place)
    assert ended.returncode in (0, 4)
    assert (ended.returncode == 0) == (tmp_path / "new").exists()


@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_keeps_the_best_plan(place, tmp_path, times):
    assert upstairs("new", "large", "--synthetic", 60, cwd=tmp_path).returncode == 0
    words = ["solve", "large/study.toml", "--out", "plan", "--gap", "0", "--time-limit", "250"]
    running = subprocess.Popen(
        [sys.executable, "-m", "optimizer.cli", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in running.stderr:
        if "best  0." in line:
            break
    for _ in range(times):
        running.send_signal(signal.SIGINT)
        time.sleep(0.3)
    out, _ = running.communicate(timeout=100)
    if times == 1:
        assert running.returncode == 0
        assert "Stopped by Ctrl-C" in out
    result = json.loads((tmp_path / "plan/result.json").read_text())
    assert result["interrupted"]
    assert result["status"] == "feasible"
    assert result["bound"] > result["objective"] > 0


def test_a_folder_that_is_no_plan_is_left_alone(place, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    ended = upstairs("solve", place / "town/study.toml", "--out", tmp_path, cwd=place)
    assert ended.returncode == 2
    assert "holds no plan" in ended.stderr
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


def test_the_template_is_a_study_once_parcels_are_there(tmp_path):
    assert upstairs("new", "fresh", cwd=tmp_path).returncode == 0
    square = gpd.GeoDataFrame({"id": ["a", "b"]}, geometry=[shapely.box(0, 0, 30, 30), shapely.box(40, 0, 70, 30)])
    square.set_crs(32632).translate(5e5, 5e6).to_frame("geometry").assign(id=["a", "b"]).to_file(
        tmp_path / "fresh/parcels.gpkg"
    )
    empty = upstairs("check", "fresh/study.toml", cwd=tmp_path)
    assert empty.returncode == 2
    assert "max_floor_area" in empty.stderr
    study = tmp_path / "fresh/study.toml"
    study.write_text(study.read_text().replace("max_today = 1.5", "max_floor_area = 5000"))
    assert upstairs("check", "fresh/study.toml", cwd=tmp_path).returncode == 0
    assert upstairs("new", "fresh", cwd=tmp_path).returncode == 2
    assert upstairs("new", "other", "--example", "nowhere", cwd=tmp_path).returncode == 2
