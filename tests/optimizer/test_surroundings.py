"""What surrounds a district, as files: schools, screens, background; and files that were changed afterwards."""

import geopandas as gpd
import numpy as np
import pytest
import shapely

import optimizer
from geodata.fields import write_field
from optimizer.audit import audit_folder
from optimizer.errors import StudyError
from optimizer.heard import by_iso9613
from tests.districts import CRS, ORIGIN, lots, study


@pytest.fixture
def files(tmp_path):
    """Six lots, two schools of one name, a screen, a raster of 40 to 52 dB(A), written as files."""
    frame = lots(6, columns=3, storeys=1, gfa_homes=[240.0, 0, 240.0, 0, 0, 0], gfa_making=[0, 240.0, 0, 240.0, 0, 0])
    frame.to_file(tmp_path / "lots.gpkg", layer="lots")
    x, y = ORIGIN
    schools = gpd.GeoDataFrame(
        {"name": ["A", "A"]}, geometry=[shapely.Point(x + 30, y - 20), shapely.Point(x + 400, y)], crs=CRS
    )
    schools.to_file(tmp_path / "schools.gpkg")
    walls = gpd.GeoDataFrame({"height": [9.0]}, geometry=[shapely.box(x, y - 12, x + 70, y - 8)], crs=CRS)
    walls.to_file(tmp_path / "walls.gpkg")
    bounds = (x - 100, y - 100, x + 500, y + 200)
    write_field(
        tmp_path / "road.tif",
        lambda e, n: 40 + 0.02 * (e - x + 100),
        bounds,
        CRS,
        5.0,
        unit="dB(A)",
        description="road",
    )
    return tmp_path


def around(folder, **changes):
    pollution = {
        "screens": {"file": "walls.gpkg", "height": "height"},
        "places": {"schools": {"file": "schools.gpkg", "column": "name"}},
        "background": {"road": {"file": "road.tif", "unit": "dB(A)"}},
    }
    rules = [
        {"kind": "noise", "limits": {"homes": {"day": 60}}, "places": {"schools": {"day": 66}}, "background": "road"}
    ]
    data = study(rules=rules, pollution={**pollution, **changes.pop("pollution", {})}, **changes).to_dict()
    data["parcels"] |= {"file": "lots.gpkg"}
    for section in (
        data["pollution"]["screens"],
        *data["pollution"]["places"].values(),
        *data["pollution"]["background"].values(),
    ):
        section["file"] = section["file"].rsplit("/", 1)[-1]
    return optimizer.load_study(data, folder)


def test_a_plan_is_heard_again_from_its_files(files):
    plan = optimizer.solve(around(files))
    found = {check["name"]: check for check in plan.result["rules"]}
    school = found["noise at schools, day"]
    assert school["places"] == 2 and 40 < school["value"] <= 66
    assert audit_folder(plan.save(files / "plan")).faults == []


def unlike(folder, layer, change):
    """Change one layer of a plan's GeoPackage."""
    file = folder / "plan.gpkg"
    table = gpd.read_file(file, layer=layer)
    change(table).to_file(file, layer=layer, driver="GPKG")


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        ("receptors_facades", lambda t: t.assign(background_road=t["background_road"] - 5)),
        ("receptors_places", lambda t: t.iloc[:1]),
        ("receptors_places", lambda t: t.assign(group="parks")),
        ("screens", lambda t: t.assign(height_m=30.0)),
    ],
)
def test_changed_surroundings_are_caught(files, layer, change):
    folder = optimizer.solve(around(files)).save(files / "plan")
    unlike(folder, layer, change)
    assert audit_folder(folder).faults


def test_places_of_one_name_are_told_apart(files):
    """The near school hears the workshops louder than the far one; both are called A."""
    evidence = optimizer.solve(around(files)).evidence
    near, far = by_iso9613(evidence, evidence.receptors["places"], "day")
    assert near > 10 * far > 0


def test_facades_left_out_of_a_plan_are_missed(files):
    folder = optimizer.solve(around(files)).save(files / "plan")
    unlike(folder, "receptors_facades", lambda table: table.iloc[:-4])
    with pytest.raises(StudyError, match="missing from another"):
        audit_folder(folder)


@pytest.mark.parametrize(
    ("pollution", "said"),
    [
        ({"background": {"road": {"file": "road.tif", "unit": "Pa2"}}}, r"pollution\.background\.road: .*"),
        ({"background": {"road": {"file": "none.tif", "unit": "dB(A)"}}}, r"pollution\.background\.road: .*none\.tif"),
        (
            {"screens": {"file": "walls.gpkg", "height": "tall"}},
            r"pollution\.screens: column 'tall' is not in the file",
        ),
        ({"places": {"schools": {"file": "schools.gpkg", "column": "title"}}}, "column 'title' is not in the file"),
        ({"places": {"schools": {"file": "away.gpkg"}}}, r"schools: the nearest place is .* km from the district"),
    ],
)
def test_what_is_wrong_is_named(files, pollution, said):
    away = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326)
    away.to_file(files / "away.gpkg")
    with pytest.raises(StudyError, match=said):
        optimizer.check(around(files, pollution=pollution))


def test_a_background_above_the_limit_is_named_by_receptor(files):
    asked = around(files)
    rule = asked.rules[0].model_copy(update={"limits": {"homes": {"day": 42.0}}})
    with pytest.raises(
        StudyError,
        match=r"already breaks the limit at \d+ of \d+ receptors \(L\d/1 facade \d: 4\d\.\d dB\(A\), \d\.\d above 42",
    ):
        optimizer.check(asked.model_copy(update={"rules": [rule]}))
    for exceeded in ("exclude", "own"):
        changed = rule.model_copy(update={"exceeded": exceeded})
        plan = optimizer.solve(asked.model_copy(update={"rules": [changed]}))
        new = plan.action != "keep"
        homes = plan.to_frame().loc[new, "gfa_homes"].to_numpy()
        assert np.isfinite(homes).all() and (exceeded == "own" or homes.sum() < 240 * 24)
        assert audit_folder(plan.save(files / exceeded)).faults == []
