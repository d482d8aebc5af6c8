"""Studies of one's own parcels: what is proposed is written as a study that loads, checks, and says what it rests on."""

import subprocess
import sys
import tomllib
import warnings
from io import StringIO

import geopandas as gpd
import numpy as np
import pytest
import tomli_w
from rich.console import Console

from geodata.presets import presets
from optimizer.api import check
from optimizer.district import read_district
from optimizer.errors import StudyError
from optimizer.listings import preset as show_preset
from optimizer.listings import preset_list
from optimizer.screen import proposal as show_proposal
from optimizer.starting import write_from
from optimizer.study import load_study
from tests.districts import CRS, lots
from tests.publishers import LAND, SAMPLES, SQUARE_FOOT

USES = ("workshop", "rnd", "housing", "services")


def floors(district):
    return {use.name: float(district.existing[:, u].sum()) for u, use in enumerate(district.uses)}


def console():
    return Console(file=StringIO(), width=100)


def upstairs(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "optimizer.cli", *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=300
    )


# A preset in a study


def named(tmp_path, name, **parcels):
    SAMPLES[name].write(tmp_path)
    return {
        "name": name,
        "parcels": {"file": "published.gpkg", "preset": name, "defaults": {"max_far": 2.0}, **parcels},
        "rules": [{"kind": "programme", "max_floor_area": 5000}],
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_a_study_that_names_a_preset_is_read_as_published(tmp_path, name):
    study = load_study(named(tmp_path, name), tmp_path)
    district = check(study)
    for use, total in floors(district).items():
        assert total == pytest.approx(sum(SAMPLES[name].read.get(f"gfa_{use}", [0])), rel=1e-6), use
    assert district.parcels["parcel_id"].tolist() == SAMPLES[name].read["parcel_id"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_study_as_solved_does_without_its_preset(tmp_path, name):
    study = load_study(named(tmp_path, name), tmp_path)
    text = tomli_w.dumps(study.to_dict())
    assert "preset" not in tomllib.loads(text)["parcels"]
    again = load_study(tomllib.loads(text))
    assert again.to_dict() == study.to_dict()
    assert again.parcel_source() == study.parcel_source()
    assert set(study.notes) >= set(presets()[name].notes)


def test_what_the_study_says_counts(tmp_path):
    data = named(
        tmp_path, "mappluto", existing={"housing": "BldgArea"}, columns={"storeys": "YearBuilt"}, area_unit="m2"
    )
    data |= {"notes": ["Mine."], "attribution": "Me"}
    study = load_study(data, tmp_path)
    assert study.parcels.existing == {"housing": "BldgArea"}
    assert study.parcels.columns["storeys"] == "YearBuilt"
    assert study.parcels.columns["id"] == "BBL"
    assert study.parcels.area_unit == "m2"
    assert study.notes[0] == "Mine."
    assert study.attribution == "Me"


def test_a_variant_names_a_preset(tmp_path):
    (tmp_path / "base.toml").write_text(tomli_w.dumps(named(tmp_path, "plain")), encoding="utf-8")
    (tmp_path / "next.toml").write_text('extends = "base.toml"\n[parcels]\narea_unit = "ft2"\n', encoding="utf-8")
    parcels = load_study(tmp_path / "next.toml").parcels
    assert (parcels.area_unit, parcels.columns["zone"]) == ("ft2", "zone")


def test_a_preset_without_a_file_is_as_published():
    study = load_study({"name": "x", "parcels": {"preset": "mappluto"}})
    assert study.parcels.columns["id"] == "BBL"
    assert load_study({"name": "x", "parcels": {"preset": "plain", "file": "no.gpkg"}}).parcels.columns == {"id": "id"}


def test_parcels_of_python_are_read_by_a_preset():
    sample = SAMPLES["mappluto"]
    study = {
        "name": "x",
        "parcels": {"preset": "mappluto"},
        "rules": [{"kind": "programme", "min_today": 1.0, "max_today": 1.5}],
    }
    assert floors(read_district(load_study(study), sample.frame()))["services"] == pytest.approx(1500)


BAD = {
    "unknown preset": ({"preset": "mapluto"}, r"parcels\.preset = 'mapluto': unknown \(did you mean 'mappluto'\?\)"),
    "no name": ({"preset": 3}, r"parcels\.preset = '3': unknown"),
    "misspelt key": ({"presett": "mappluto"}, r"presett.*did you mean 'preset'"),
    "columns of one": ({"columns": {"id": ["a", "b"]}}, "one column is expected; several may be named for max_far"),
    "no columns": ({"existing": {"housing": []}}, "one column is expected"),
    "no text": ({"existing": {"housing": 5}}, r"parcels\.existing\.housing = 5: "),
    "twice": ({"existing": {"housing": ["a", "b"], "rnd": "a"}}, "'a' is named twice"),
    "no table": ({"preset": "mappluto", "columns": "BBL"}, r"parcels\.columns = 'BBL'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_parcels_tables_get_one_message(kind):
    parcels, message = BAD[kind]
    with pytest.raises(StudyError, match=message):
        load_study({"name": "x", "parcels": parcels})


def test_a_preset_speaks_of_the_shipped_uses():
    uses = {"homes": {"storey_height": 3.0}}
    with pytest.raises(StudyError, match=r"preset mappluto; give parcels\.existing for the study's own uses"):
        load_study({"name": "x", "parcels": {"preset": "mappluto"}, "uses": uses})
    own = load_study({"name": "x", "parcels": {"preset": "mappluto", "existing": {"homes": "ResArea"}}, "uses": uses})
    assert own.parcels.existing == {"homes": "ResArea"}


# A study of a file


@pytest.mark.parametrize("name", SAMPLES)
def test_a_study_of_a_publishers_file_checks(tmp_path, name):
    study, found, stands = write_from(tmp_path / "town", SAMPLES[name].write(tmp_path))
    assert found.preset.name == name
    assert not stands.fault
    district = check(load_study(study))
    for use, total in floors(district).items():
        assert total == pytest.approx(sum(SAMPLES[name].read.get(f"gfa_{use}", [0])), rel=1e-6), use
    assert stands.floor_area == pytest.approx(sum(floors(district).values()))
    text = study.read_text(encoding="utf-8")
    assert f"as of preset {name}" in text


def test_a_study_of_an_unknown_file_says_how_sure_it_is(tmp_path):
    storeys = np.array([1, 2, 3, 4])
    frame = lots(4)[["geometry"]].assign(
        lot_no=["a", "b", "c", "d"],
        stories=storeys,
        bldg_sqft=0.4 * 400 * storeys / SQUARE_FOOT,
        use=["Office", "Apartments", "Factory", "Laboratory"],
        build=np.arange(1901, 1905),
    )
    frame.to_file(tmp_path / "lots.gpkg")
    study, _, stands = write_from(tmp_path / "town", tmp_path / "lots.gpkg")
    text = study.read_text(encoding="utf-8")
    assert 'id = "lot_no"  # sure: ' in text
    assert 'gfa = "bldg_sqft"  # likely: ' in text
    assert '# year = "build"  # guess: ' in text
    assert "# not found: zone, site_area" in text
    assert 'file = "../lots.gpkg"' in text
    assert "max_far = 2.0 " in text
    found = floors(check(load_study(study)))
    assert found == pytest.approx({"workshop": 480, "rnd": 640, "housing": 320, "services": 160})
    assert stands.floor_area == pytest.approx(1600)
    assert "example and no rule of the place" in load_study(study).notes[-1]


def test_where_nothing_is_known_the_study_checks_all_the_same(tmp_path):
    lots(4)[["geometry"]].to_file(tmp_path / "lots.gpkg")
    study, found, _ = write_from(tmp_path / "town", tmp_path / "lots.gpkg")
    assert found.parcels == {"area_unit": "m2"}
    assert floors(check(load_study(study))) == dict.fromkeys(USES, 0.0)
    assert "max_floor_area = 1600 " in study.read_text(encoding="utf-8")


def test_a_layer_is_named_in_the_study(tmp_path):
    SAMPLES["plain"].write(tmp_path)
    lots(2).to_file(tmp_path / "published.gpkg", layer="other")
    study, _, _ = write_from(tmp_path / "town", tmp_path / "published.gpkg", "parcels")
    assert 'layer = "parcels"' in study.read_text(encoding="utf-8")
    assert len(check(load_study(study)).parcels) == 3


def test_hostile_names_stay_text(tmp_path):
    code = 'office"] \\ {x}\n[rules]\nkind = "no'
    odd = 'lot_id "]\n# {0} \x1b[31m'
    folder = tmp_path / 'a "b" {c}'
    folder.mkdir()
    frame = lots(3)[["geometry"]].assign(
        **{odd: ["1", "2", "3"], "use": [code, code, "house"], "gfa": 100.0, "zone": ["[b]", "{1}", "[b]"]}
    )
    frame.to_file(folder / "x{y}.gpkg")
    study, found, _ = write_from(folder / "to{w}n", folder / "x{y}.gpkg")
    parcels = tomllib.loads(study.read_text(encoding="utf-8"))["parcels"]
    assert parcels["codes"] == {"housing": ["house"], "services": [code]}
    assert "\x1b" not in study.read_text(encoding="utf-8")
    assert floors(check(load_study(study)))["services"] == pytest.approx(200)
    show_proposal(console(), found, write_from(folder / "again", folder / "x{y}.gpkg")[2])


def test_a_fault_of_the_data_is_said_and_the_study_written(tmp_path):
    frame = SAMPLES["plain"].frame().assign(coverage=[0.5, 60.0, 0.5])
    frame.to_file(tmp_path / "lots.gpkg")
    study, _, stands = write_from(tmp_path / "town", tmp_path / "lots.gpkg")
    assert "coverage = 60" in stands.fault
    assert load_study(study).parcels.columns["coverage"] == "coverage"


def test_presets_are_shown():
    shown = console()
    preset_list(shown)
    for found in presets().values():
        show_preset(shown, found)
    text = shown.file.getvalue()
    assert "mappluto" in text
    assert "EPSG:2263" in text
    assert "Know that:" in text


# The command line


def test_from_file_to_check(tmp_path):
    SAMPLES["mappluto"].write(tmp_path)
    made = upstairs("new", "town", "--from", "published.gpkg", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "Preset: mappluto" in made.stdout
    assert "sure" in made.stdout
    assert "upstairs check town/study.toml" in made.stdout
    checked = upstairs("check", "town/study.toml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    shown = upstairs("presets", "mappluto", cwd=tmp_path)
    assert "ResidFAR" in shown.stdout
    wrong = upstairs("presets", "mapluto", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean 'mappluto'" in wrong.stderr


def without_crs(frame):
    return frame.set_crs(None, allow_override=True)


DATA = {
    "empty layer": (lambda f: f.iloc[:0], (), "empty"),
    "points": (lambda f: f.set_geometry(f.centroid), (), "polygons are expected"),
    "no CRS": (without_crs, (), "no coordinate reference system"),
    "degrees as metres": (lambda f: f.to_crs(4326).set_crs(CRS, allow_override=True), (), "look like degrees"),
    "no such layer": (lambda f: f, ("--layer", "lot"), "did you mean 'lots'"),
    "two ways": (lambda f: f, ("--synthetic", 5), "give one of them"),
}


@pytest.mark.parametrize("kind", DATA)
def test_files_that_cannot_be_parcels_leave_nothing(tmp_path, kind):
    change, words, message = DATA[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(lots(3)).to_file(tmp_path / "lots.gpkg", layer="lots")
    ended = upstairs("new", "town", "--from", "lots.gpkg", *words, cwd=tmp_path)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("Error:") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["lots.gpkg"]


def test_files_that_are_not_there_or_several(tmp_path):
    missing = upstairs("new", "town", "--from", "no.gpkg", cwd=tmp_path)
    assert (missing.returncode, "no such file" in missing.stderr) == (2, True)
    lots(2).to_file(tmp_path / "city.gpkg", layer="a")
    lots(2).to_file(tmp_path / "city.gpkg", layer="b")
    several = upstairs("new", "town", "--from", "city.gpkg", cwd=tmp_path)
    assert several.returncode == 2
    assert "holds 2 layers (a, b)" in several.stderr
    alone = upstairs("new", "town", "--layer", "a", cwd=tmp_path)
    assert (alone.returncode, "--from" in alone.stderr) == (2, True)
    assert not (tmp_path / "town").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    full = upstairs("new", "full", "--from", "city.gpkg", "--layer", "a", cwd=tmp_path)
    assert (full.returncode, "not empty" in full.stderr) == (2, True)
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.shared
def test_real_parcels_of_cambridge(shared, tmp_path):
    file = shared / "data/cambridge/kendall.gpkg"
    study, found, _ = write_from(tmp_path / "kendall", file, "parcels")
    assert found.preset.name == "cambridge"
    assert {guess.confidence for guess in found.guesses} == {"sure"}
    district = check(load_study(study))
    raw = gpd.read_file(file, layer="parcels")
    homes = raw["UseCode"].isin([101, 102, 104, 106, 111, 112, 1021, 9703])
    assert floors(district)["housing"] <= raw["GrossArea"][homes].sum() * SQUARE_FOOT + 1
    assert floors(district)["workshop"] == pytest.approx(
        raw["GrossArea"][raw["UseCode"].isin([332, 401, 407])].sum() * SQUARE_FOOT, rel=1e-6
    )
    assert district.site_area.sum() > 100 * LAND
    assert "City of Cambridge" in load_study(study).attribution
