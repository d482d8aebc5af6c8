"""Kendall Square: what is known to be wrong with its data is found, and its plan keeps every rule."""

import shutil
import subprocess
import sys

import geopandas as gpd
import pytest

import optimizer
from optimizer.audit import audit_folder

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def example(shared, project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cambridge")
    for name in ("get_data.py", "kendall.toml", "background.py", "pollution.toml"):
        shutil.copyfile(project / "examples/cambridge" / name, folder / name)
    source = shared / "data/cambridge"
    assert subprocess.run([sys.executable, folder / "get_data.py", "--from", source], check=False).returncode == 0
    return folder


def test_faults_named_by_the_publisher_are_found(example):
    found = {f.kind: f for f in optimizer.check(example / "kendall.toml").found.findings}
    assert len(found["invalid_polygon"].parcels) == 3
    assert len(found["repeated_id"].parcels) >= 3
    assert found["impossible_floor_area"].parcels == ("14-48",)
    assert found["negative_floor_area"].parcels == ("44-100",)


def test_the_terms_are_those_agreed(example):
    study = optimizer.load_study(example / "kendall.toml")
    programme = next(rule for rule in study.rules if rule.kind == "programme")
    assert (programme.min_today, programme.max_today) == (1.0, 1.3)
    assert set(programme.min_share.values()) == {0.15}
    assert len(programme.min_share) == 4
    assert programme.max_share == {"workshop": 0.25}
    assert next(rule for rule in study.rules if rule.kind == "demolition").max_share == 0.4
    assert next(rule for rule in study.rules if rule.kind == "noise").limits == {"housing": {"loudest": 63}}
    assert (study.objective.proximity, study.objective.mixing, study.objective.neighbourhood_size) == (0.6, 0.4, 250)
    assert study.uses["workshop"].sound_power["night"] == 62
    assert len(study.linkages) >= 5


def test_a_plan_is_found_proved_and_audited(example, tmp_path):
    study = optimizer.load_study(example / "kendall.toml")
    options = study.solve.model_copy(update={"gap": 0.03, "time_limit": 120.0})
    plan = optimizer.solve(study.model_copy(update={"solve": options}))
    assert plan.result["gap"] <= 0.03
    assert all(rule["satisfied"] for rule in plan.result["rules"])
    assert audit_folder(plan.save(tmp_path / "plan")).faults == []


def test_limits_on_noise_and_air_hold_on_real_parcels(example, tmp_path):
    """The example's western half with coarser rasters, solved loosely: found, audited, heard again from the files."""
    half = shutil.copytree(example, tmp_path / "half")
    file = half / "data/kendall.gpkg"
    parcels = gpd.read_file(file, layer="parcels")
    middle = parcels.geometry.bounds["minx"]
    parcels[middle < middle.median()].to_file(file, layer="parcels")
    made = subprocess.run(
        [sys.executable, half / "background.py", "--step", "20"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    study = optimizer.load_study(half / "pollution.toml")
    options = study.solve.model_copy(update={"gap": 0.04, "time_limit": 120.0})
    grid = study.pollution.model_copy(update={"step": 40.0})
    plan = optimizer.solve(study.model_copy(update={"solve": options, "pollution": grid}))
    found = {rule["name"]: rule for rule in plan.result["rules"]}
    assert all(rule["satisfied"] for rule in found.values())
    day = found["noise outdoors (germany-ta-laerm) at housing, daytime"]
    assert day["limit"] == 63 and 55 < day["value"] <= 63 and day["places"] > 200
    assert 6.5 < found["air at housing, PM2.5"]["value"] <= 10
    assert audit_folder(plan.save(tmp_path / "plan")).faults == []


def test_a_changed_file_is_refused(example, tmp_path):
    (tmp_path / "kendall.gpkg").write_bytes(b"something else")
    ended = subprocess.run(
        [sys.executable, example / "get_data.py", "--from", tmp_path], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "SHA-256" in ended.stderr
