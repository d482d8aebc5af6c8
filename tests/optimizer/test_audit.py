"""A plan that was changed after it was written is caught, whatever was changed."""

import json
import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest
import shapely

import optimizer
from optimizer.audit import _shadow_prices, audit_folder
from optimizer.errors import StudyError
from optimizer.study import load_study
from tests.districts import lots, solve, study


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    rules = [
        {"kind": "programme", "min_share": {"homes": 0.2, "making": 0.2}},
        {"kind": "noise", "method": "din45691", "limits": {"homes": 55}},
    ]
    frame = lots(4, columns=2, gfa_shops=[240.0, 0, 0, 0], storeys=[1, 0, 0, 0])
    asked = study(rules=[*rules, {"kind": "locked", "where": "parcel_id == 'L0'"}])
    return solve(asked, frame).save(tmp_path_factory.mktemp("plan") / "plan")


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "plan")


def test_an_untouched_plan_passes(folder):
    assert audit_folder(folder).faults == []


def change_plan(folder, change):
    file = folder / "plan.geojson"
    data = json.loads(file.read_text())
    change(data["features"])
    file.write_text(json.dumps(data))


def change_result(folder, change):
    file = folder / "result.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def built(features):
    return next(f["properties"] for f in features if f["properties"]["action"] == "redevelop")


def add_floor(features):
    built(features)["stack"][-1]["to"] += 1


def swap_use(features):
    item = built(features)["stack"][0]
    item["use"] = "homes" if item["use"] != "homes" else "making"


def more_area(features):
    built(features)["stack"][0]["gfa_m2"] += 50


def keep_instead(features):
    built(features)["action"] = "keep"


def clear_instead(features):
    built(features)["action"] = "clear"


def swap_shapes(features):
    first, last = features[0], features[-1]
    first["geometry"], last["geometry"] = last["geometry"], first["geometry"]


def moved(geometry):
    """A few metres to the east."""
    return shapely.geometry.mapping(
        shapely.transform(shapely.geometry.shape(geometry), lambda xy: np.add(xy, [3e-5, 0.0]))
    )


PLAN = {
    "a floor added": add_floor,
    "a use swapped": swap_use,
    "floor area in a stack": more_area,
    "floor area in the table": lambda fs: built(fs).update(gfa_homes=built(fs)["gfa_homes"] + 10),
    "total": lambda fs: built(fs).update(gfa_m2=built(fs)["gfa_m2"] * 2),
    "ratio": lambda fs: built(fs).update(far=0.1),
    "a parcel dropped": lambda fs: fs.pop(),
    "a parcel twice": lambda fs: fs.append(fs[-1]),
    "kept on paper": keep_instead,
    "cleared on paper": clear_instead,
    "dominant use": lambda fs: built(fs).update(dominant_use="nothing"),
    "storeys": lambda fs: built(fs).update(floors=9),
    "height": lambda fs: built(fs).update(height_m=99.0),
    "floors of a use": lambda fs: built(fs).update(floors_homes=7),
    "today's floor area": lambda fs: fs[0]["properties"].update(today_shops=500.0),
    "a looser limit": lambda fs: built(fs).update(max_far=9.0),
    "an unknown use": lambda fs: built(fs)["stack"][0].update(use="castle"),
    "shapes swapped": lambda fs: swap_shapes(fs),
    "a shape moved": lambda fs: fs[0].update(geometry=moved(fs[0]["geometry"])),
    "a storey left out": lambda fs: built(fs)["stack"][-1].update({"from": 7, "to": 7}),
}
RESULT = {
    "objective": lambda r: r.update(objective=r["objective"] * 1.01),
    "bound below": lambda r: r.update(bound=r["objective"] * 0.9),
    "status": lambda r: r.update(status="foo"),
    "gap": lambda r: r.update(gap=r["gap"] + 0.01),
    "proximity": lambda r: r["indices"]["proximity"].update(index=0.999),
    "mixing": lambda r: r["indices"]["mixing"].update(building=0.999),
    "existing": lambda r: r["existing"]["density"].update(jobs=1e6),
    "a rule left out": lambda r: r["rules"].pop(),
    "a rule's value": lambda r: r["rules"][0].update(value=0.0),
}


@pytest.mark.parametrize(("price", "wrong"), [(0.1, 0), (0.2, 1), (np.nan, 1)])
def test_an_empty_parcel_disproves_too_high_a_shadow_price(price, wrong):
    parcels = pd.DataFrame({"parcel_id": ["A", "B"], "gfa_m2": [0.0, 100.0], "shadow_price": [price, 0.9]})
    assert len(_shadow_prices(parcels, 0.6, 0.5)) == wrong


@pytest.mark.parametrize("kind", PLAN)
def test_changed_plans_are_caught(folder, kind):
    change_plan(folder, PLAN[kind])
    assert audit_folder(folder).faults


def test_text_where_a_number_belongs_is_named(folder):
    change_plan(folder, lambda fs: fs[1]["properties"].update(gfa_m2="much"))
    with pytest.raises(StudyError, match=r"plan.geojson: gfa_m2 of parcel L1 is 'much'; a number is expected"):
        audit_folder(folder)


@pytest.mark.parametrize("kind", RESULT)
def test_changed_results_are_caught(folder, kind):
    change_result(folder, RESULT[kind])
    assert audit_folder(folder).faults


def test_a_rule_broken_by_a_stricter_study_is_caught(folder):
    file = folder / "study.toml"
    text = file.read_text()
    assert "making = 0.2" in text
    file.write_text(text.replace("making = 0.2", "making = 0.75").replace("homes = 0.2", "homes = 0.25"))
    assert any("programme" in fault for fault in audit_folder(folder).faults)


def test_a_longer_walk_is_caught(folder):
    with sqlite3.connect(folder / "plan.gpkg") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE sites SET access_m = access_m + 40")
    found = audit_folder(folder)
    shares = json.loads((folder / "result.json").read_text())["indices"]["proximity"]["shares"]
    assert found.faults or shares["same_building"] + shares["unserved"] > 0.9999


def test_shapes_are_those_of_the_studys_file(tmp_path):
    lots(4, columns=2).to_file(tmp_path / "lots.gpkg")
    asked = study().to_dict()
    asked["parcels"]["file"] = "lots.gpkg"
    folder = optimizer.solve(load_study(asked, tmp_path)).save(tmp_path / "plan")
    assert audit_folder(folder).faults == []
    change_plan(folder, swap_shapes)
    with sqlite3.connect(folder / "plan.gpkg") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        shapes = dict(database.execute("SELECT fid, geom FROM parcels").fetchall())
        first, last = min(shapes), max(shapes)
        for fid, other in ((first, last), (last, first)):
            database.execute("UPDATE parcels SET geom = ? WHERE fid = ?", (shapes[other], fid))
    faults = audit_folder(folder).faults
    assert sum("not that of the study's parcels" in fault for fault in faults) == 2
    assert not any("in plan.geojson is not that" in fault for fault in faults)


PACKAGE = {
    "floor area of a storey": "UPDATE floors SET gfa_m2 = gfa_m2 + 5 WHERE fid = 1",
    "a use of a storey": "UPDATE floors SET use = 'nothing' WHERE fid = 1",
    "storeys gone": "DELETE FROM floors",
    "a site's point": "UPDATE sites SET x = x + 500 WHERE fid = 1",
    "a parcel's shape": "UPDATE parcels SET geom = (SELECT geom FROM parcels WHERE fid = 2) WHERE fid = 1",
    "a site's shape": "UPDATE sites SET geom = (SELECT geom FROM sites WHERE fid = 2) WHERE fid = 1",
}


@pytest.mark.parametrize("kind", PACKAGE)
def test_changed_packages_are_caught(folder, kind):
    with sqlite3.connect(folder / "plan.gpkg") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        assert database.execute(PACKAGE[kind]).rowcount > 0
    assert audit_folder(folder).faults


@pytest.mark.parametrize("name", ["plan.geojson", "plan.gpkg", "result.json", "study.toml"])
def test_a_missing_or_broken_file_is_named(folder, name):
    (folder / name).write_text("{")
    with pytest.raises(StudyError, match=name.split(".")[0]):
        audit_folder(folder)
    (folder / name).unlink()
    with pytest.raises(StudyError, match=name):
        audit_folder(folder)
