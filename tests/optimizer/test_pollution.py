"""Rasters of noise and air: levels against formulas worked out here, files as a GIS reads them, and the command."""

import json
import math
import sys
from functools import partial
from itertools import product

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from geodata.fields import write_field
from geodata.propagation import transmission
from geodata.screening import Screens, screening
from optimizer import cli, pollution
from optimizer.district import read_district
from optimizer.errors import StudyError
from optimizer.files import write_plan, write_pollution
from optimizer.plan import Plan
from optimizer.pollution import limits, measures, palette, write_rasters
from optimizer.scene import scene_of_plan, scene_of_today
from tests.districts import USES, lots, study

SPECTRUM = [50.0, 60.0, 66.0, 70.0, 72.0, 70.0, 64.0, 55.0]
LOUD = {
    **USES,
    "making": {
        **USES["making"],
        "sound_power": {"day": 62.0, "evening": 60.0, "night": 50.0},
        "hours": {"night": 4.0},
        "spectrum": SPECTRUM,
        "roof_share": 0.3,
        "emissions": {"pm25": 200.0, "no2": 900.0},
        "stack_height": 6.0,
    },
    "shops": {**USES["shops"], "emissions": {"pm25": 40.0}},
}
UNIFORM = {"classes": [{"stability": "D", "speed": 4.0, "frequency": [1 / 16] * 16}]}
NOISE = {"kind": "noise", "limits": {"homes": {"den": 60, "night": 47, "night_hour": 50, "daytime": 62}}}


def asked(*rules, uses=LOUD, **conditions):
    section = {"step": 10.0, "margin": 60.0, "wind": UNIFORM, **conditions}
    return study(uses=uses, rules=list(rules), pollution={k: v for k, v in section.items() if v is not None})


def planned(of, frame, floors, action="redevelop", district=None):
    """A plan written by hand: floors of making, shops and homes at each lot."""
    actions = [action] * len(frame) if isinstance(action, str) else action
    return Plan(of, district or read_district(of, frame), np.array(actions, dtype=object), np.array(floors), {})


def cells(file):
    """Values and coordinates of a raster's cells."""
    with rasterio.open(file) as data:
        values = data.read(1)
        row, column = np.indices(values.shape)
        a, _, c, _, e, f = tuple(data.transform)[:6]
        x, y = c + (column + 0.5) * a, f + (row + 0.5) * e
    return values, x, y


def absorption(frequency, celsius=10.0, humidity=70.0):
    """dB/m by ISO 9613-1 at 101.325 kPa, formulas 3 to 5."""
    t = celsius + 273.15
    h = humidity * 10 ** (-6.8346 * (273.16 / t) ** 1.261 + 4.6151)
    oxygen = 24 + 4.04e4 * h * (0.02 + h) / (0.391 + h)
    nitrogen = (t / 293.15) ** -0.5 * (9 + 280 * h * math.exp(-4.17 * ((t / 293.15) ** (-1 / 3) - 1)))
    relaxed = 0.01275 * math.exp(-2239.1 / t) / (oxygen + frequency**2 / oxygen)
    relaxed += 0.1068 * math.exp(-3352 / t) / (nitrogen + frequency**2 / nitrogen)
    return 8.686 * frequency**2 * (1.84e-11 * (t / 293.15) ** 0.5 + (t / 293.15) ** -2.5 * relaxed)


def arriving(across, source, receptor):
    """Energy per unit of sound power over hard ground, ISO 9613-2: A_gr = -1.5 - 1.5 - 3 q."""
    q = max(1 - 30 * (source + receptor) / across, 0)
    slant = math.hypot(across, source - receptor)
    shares = [10 ** (band / 10) for band in SPECTRUM]
    total = 0.0
    for k, share in enumerate(shares):
        loss = 20 * math.log10(slant) + 11 + absorption(1000 * 10 ** (0.3 * (k - 4))) * slant - 3 - 3 * q
        total += share / sum(shares) * 10 ** (-loss / 10)
    return total


def test_a_level_is_that_of_the_formula(tmp_path):
    """Two storeys of making of 5 m under one of homes of 3 m: mean height 5 m, roof 13 m, plate 240 m²."""
    frame = lots(1)
    plan = planned(asked(), frame, [[2, 0, 1]])
    write_rasters(plan, tmp_path)
    middle = frame.geometry.iloc[0].centroid
    day, evening = 10**6.2, 10**6.0
    night = 10**5.0 * 4 / 8
    den = (12 * day + 4 * evening * 10**0.5 + 8 * night * 10) / 24
    for name, per_area in (("noise_lden", den), ("noise_night", night)):
        values, x, y = cells(tmp_path / f"{name}.tif")
        assert values.shape == (14, 14)
        expected = np.zeros_like(values)
        for at in np.ndindex(values.shape):
            across = max(math.hypot(x[at] - middle.x, y[at] - middle.y), math.sqrt(240) / 2)
            heard = 0.7 * arriving(across, 5.0, 4.0) + 0.3 * arriving(across, 13.0, 4.0)
            expected[at] = 10 * math.log10(480 * per_area * heard)
        assert values == pytest.approx(expected, abs=1e-4)
    assert values.max() > values.min() + 10


def plume(amount, apart, height, width):
    """Annual mean µg/m³ of g/s under wind from everywhere alike, class D over a town, reflection at the ground."""
    reach = max(apart, width / 2, 1.0)
    spread = 0.14 * reach / math.sqrt(1 + 0.0003 * reach)
    wind = 4.0 * (max(height, 10) / 10) ** 0.25
    vertical = sum(math.exp(-((4.0 + sign * height) ** 2) / (2 * spread**2)) for sign in (-1, 1))
    near = 1 + width**2 / (8 * reach**2)
    return 1e6 * amount * near * vertical / (math.sqrt(2 * math.pi) * wind * spread * 2 * math.pi * reach)


def test_air_comes_from_the_stack_and_from_the_facades(tmp_path):
    """Making leaves 6 m above the roof of 9 m; shops, on the second storey, by facades in 7 m over the building's width."""
    frame = lots(1)
    write_rasters(planned(asked(), frame, [[1, 1, 0]]), tmp_path)
    middle = frame.geometry.iloc[0].centroid
    year = 365.25 * 24 * 3600
    for name, by_making, by_shops in (("air_pm25", 200, 40), ("air_no2", 900, 0)):
        values, x, y = cells(tmp_path / f"{name}.tif")
        expected = np.zeros_like(values)
        for at in np.ndindex(values.shape):
            apart = math.hypot(x[at] - middle.x, y[at] - middle.y)
            expected[at] = plume(240 * by_making / year, apart, 15.0, 0.0)
            expected[at] += plume(240 * by_shops / year, apart, 7.0, math.sqrt(240))
        assert values == pytest.approx(expected, rel=1e-5)
    assert not (tmp_path / "air_pm10.tif").exists()


def test_the_west_wind_carries_eastwards(tmp_path):
    """Wind from sector 12 alone; none of it comes further than its neighbours' centre lines, 22.5 degrees aside."""
    frame = lots(1)
    west = {"classes": [{"stability": "D", "speed": 4.0, "frequency": [0.0] * 12 + [1.0] + [0.0] * 3}]}
    write_rasters(planned(asked(wind=west, margin=150.0), frame, [[1, 0, 0]]), tmp_path)
    values, x, y = cells(tmp_path / "air_no2.tif")
    middle = frame.geometry.iloc[0].centroid
    within = np.abs(np.degrees(np.arctan2(y - middle.y, x - middle.x))) < 22.5
    assert (values[within] > 0).all()
    assert (values[~within] == 0).mean() > 0.99


def test_a_kept_building_has_todays_stack():
    """360 m² of making and 120 of homes on two storeys of 240 m²: both on the second, 5 m high; of two lots, one is cleared."""
    frame = lots(2, gfa_making=[360.0, 480.0], gfa_homes=[120.0, 0.0], storeys=2)
    scene = scene_of_plan(planned(asked(), frame, np.zeros((2, 3), dtype=int), ["keep", "clear"]))
    kept, today = (scene.floors[state].set_index("use") for state in ("plan", "today"))
    assert len(kept) == 2
    assert len(today) == 3
    for table in (kept, today.iloc[:2]):
        assert table.loc["making", ["area", "height", "roof"]].tolist() == [360.0, 5.0, 10.0]
        assert table.loc["homes", ["area", "height", "roof"]].tolist() == [120.0, 7.5, 10.0]
        assert table["width"].tolist() == pytest.approx([math.sqrt(240)] * 2)


def test_a_large_parcel_has_a_source_a_building():
    frame = lots(1, side=100, storeys=2, gfa_making=[8000.0])
    scene = scene_of_plan(planned(asked(), frame, np.zeros((4, 3), dtype=int), "keep"))
    for floors in scene.floors.values():
        assert floors["area"].tolist() == [2000.0] * 4
        assert floors["width"].tolist() == pytest.approx([math.sqrt(1000)] * 4)
        assert len(set(zip(floors["x"], floors["y"]))) == 4


def test_files_are_what_a_gis_expects(tmp_path):
    frame = lots(2, storeys=[2, 0], gfa_making=[480.0, 0.0])
    plan = planned(asked(step=0.25, margin=45.1), frame, [[0, 0, 0], [3, 0, 0]], ["keep", "redevelop"])
    written = write_rasters(plan, tmp_path)
    stems = ("noise_lden", "noise_night", "air_pm25", "air_no2")
    assert {f.name for f in written} == {f"{s}{e}.tif" for s, e in product(stems, ("", "_today", "_change"))}
    assert {f.name for f in tmp_path.iterdir()} <= set(pollution.FILES)
    west, south, east, north = frame.total_bounds
    for file in written:
        change = file.stem.endswith("_change")
        with rasterio.open(file) as data:
            assert data.crs == rasterio.crs.CRS.from_epsg(32632)
            assert data.nodata == -9999
            assert data.dtypes == ("float32",)
            unit = "µg/m³" if file.stem.startswith("air") else "dB" if change else "dB(A)"
            assert data.units == (unit,)
            assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert data.overviews(1) == [2]
            assert data.res == (0.25, 0.25)
            assert tuple(data.bounds) == (west - 45.25, south - 45.25, east + 45.25, north + 45.25)
            assert {"STATISTICS_MINIMUM", "STATISTICS_MAXIMUM", "STATISTICS_MEAN"} <= set(data.tags(1))
            assert ("today" in data.descriptions[0]) == ("_today" in file.stem or change)
            values = data.read(1)
        assert (values != -9999).all()
        assert unit in file.with_suffix(".qml").read_text()


def test_the_change_is_the_plan_minus_today(tmp_path):
    frame = lots(3, storeys=[2, 0, 2], gfa_making=[480.0, 0.0, 480.0])
    write_rasters(planned(asked(), frame, [[0, 0, 0], [4, 0, 0], [0, 0, 0]], ["keep", "redevelop", "clear"]), tmp_path)
    for stem in ("noise_lden", "noise_night", "air_pm25", "air_no2"):
        plan, today, change = (cells(tmp_path / f"{stem}{end}.tif")[0] for end in ("", "_today", "_change"))
        assert change == pytest.approx(plan - today, abs=1e-5)
        assert change.min() < 0 < change.max()
    write_rasters(planned(asked(), frame, np.zeros((3, 3), dtype=int), "keep"), tmp_path)
    for stem in ("noise_lden", "noise_night", "air_pm25", "air_no2"):
        assert not cells(tmp_path / f"{stem}_change.tif")[0].any()


def test_silence_is_zero(tmp_path):
    write_rasters(planned(asked(), lots(1), [[1, 0, 0]]), tmp_path)
    assert not cells(tmp_path / "noise_lden_today.tif")[0].any()
    assert not cells(tmp_path / "air_no2_today.tif")[0].any()
    assert cells(tmp_path / "noise_lden.tif")[0].min() > 20


def test_sources_add_up_and_windows_do_not_show(tmp_path, monkeypatch):
    """The energy of two buildings is the sum of each alone, however the work is cut up."""
    frame, of = lots(2), asked(step=4.0)
    district = read_district(of, frame)
    alone = []
    for k, floors in enumerate(([[3, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 2, 0]])):
        folder = tmp_path / str(k)
        folder.mkdir()
        write_rasters(planned(of, frame, floors, district=district), folder)
        alone.append([cells(folder / f"{stem}.tif")[0].astype(float) for stem in ("noise_lden", "air_pm25")])
    both = planned(of, frame, [[3, 0, 0], [1, 2, 0]], district=district)
    monkeypatch.setattr(pollution, "write_field", partial(write_field, window=16))
    monkeypatch.setattr(pollution, "BLOCK", 100)
    monkeypatch.setattr(pollution, "PAIRS", 100)
    write_rasters(both, tmp_path)
    noise, air = (cells(tmp_path / f"{stem}.tif")[0] for stem in ("noise_lden", "air_pm25"))
    summed = sum(10 ** (values / 10) for values, _ in alone)
    assert noise == pytest.approx(10 * np.log10(summed), abs=1e-4)
    assert air == pytest.approx(alone[0][1] + alone[1][1], rel=1e-5)


def test_buildings_that_stay_screen(tmp_path):
    """Every pair looked at by the screening itself, none sieved."""
    frame = lots(1)
    of = asked(wind=None, ground=0.5)
    wall = shapely.box(500_030, 5_299_990, 500_035, 5_300_040)
    gpd.GeoDataFrame({"top": [12.0]}, geometry=[wall], crs=frame.crs).to_file(tmp_path / "walls.gpkg")
    behind = study(
        uses=LOUD,
        pollution={
            **of.pollution.model_dump(exclude_none=True),
            "screens": {"file": str(tmp_path / "walls.gpkg"), "height": "top"},
        },
    )
    for name, each in (("open", of), ("walled", behind)):
        (tmp_path / name).mkdir()
        write_rasters(planned(each, frame, [[2, 0, 0]]), tmp_path / name)
    free, _, _ = cells(tmp_path / "open/noise_lden.tif")
    found, x, y = cells(tmp_path / "walled/noise_lden.tif")
    conditions = of.pollution.conditions
    middle = frame.geometry.iloc[0].centroid
    at = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 4.0)])
    shares = 10 ** (np.array(SPECTRUM) / 10) / (10 ** (np.array(SPECTRUM) / 10)).sum()
    distance = np.maximum(np.hypot(at[:, 0] - middle.x, at[:, 1] - middle.y), math.sqrt(240) / 2)
    open_, walled = np.zeros(x.size), np.zeros(x.size)
    for height, share in ((5.0, 0.7), (10.0, 0.3)):
        loss = np.zeros((x.size, 8))
        pairs = np.column_stack([np.zeros(x.size, dtype=int), np.arange(x.size)])
        screens = Screens(np.array([wall], dtype=object), np.array([12.0]))
        row, part = screening(screens, np.array([[middle.x, middle.y, height]]), at, pairs, conditions)
        loss[row] = part
        open_ += share * transmission(distance, height, 4.0, shares, conditions)
        walled += share * transmission(distance, height, 4.0, shares, conditions, loss)
    assert found - free == pytest.approx(10 * np.log10(walled / open_).reshape(x.shape), abs=1e-4)
    assert (found - free).min() < -5
    assert ((free - found) == 0).mean() > 0.5


def test_limits_are_drawn_on_what_they_are_limits_of():
    air = {"kind": "air", "limits": {"homes": {"pm25": 5.0}, "shops": {"pm25": 8.0}}}
    of = asked(NOISE, {"kind": "noise", "limits": {"shops": 60}, "name": "loudest"}, air)
    lden, night, pm25, no2 = measures(of)
    assert limits(of, lden) == {60.0: "60 dB(A): limit at Homes (Lden)"}
    assert list(limits(of, night)) == [47.0, 50.0]
    assert "loudest hour" in limits(of, night)[50.0]
    assert list(limits(of, pm25)) == [5.0, 8.0]
    assert limits(of, no2) == {}
    assert palette(of, pm25, "plan").edges == (0.05, 0.15, 0.5, 1.5, 5.0, 10.0)
    assert palette(of, no2, "today").edges[4] == 20.0
    assert palette(of, lden, "change").unit == "dB"


@pytest.mark.parametrize(
    ("conditions", "message"),
    [({"step": 0.001}, "pollution.step"), ({"height": 60.0, "mixing_height": 50.0}, "pollution.height")],
)
def test_a_grid_that_cannot_be_is_told_before(conditions, message):
    frame, of = lots(2), asked(**conditions)
    with pytest.raises(StudyError, match=message):
        scene_of_today(of, read_district(of, frame))


def test_a_stack_above_the_lid_counts_as_just_below_it(tmp_path):
    tall = {**LOUD, "making": {**LOUD["making"], "stack_height": 100.0}}
    write_rasters(planned(asked(uses=tall, mixing_height=50.0), lots(1), [[1, 0, 0]]), tmp_path)
    assert cells(tmp_path / "air_no2.tif")[0].max() > 0


def run(monkeypatch, capsys, *words):
    """What the command says and how it ends, within this process."""
    monkeypatch.setattr(sys, "argv", ["upstairs", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def town(tmp_path, monkeypatch):
    """A study on disk; the working folder is its own."""
    import tomli_w

    monkeypatch.chdir(tmp_path)
    lots(4, columns=2, storeys=[2, 0, 0, 0], gfa_making=[480.0, 0, 0, 0]).to_file(tmp_path / "lots.gpkg")
    of = asked(NOISE, {"kind": "programme", "min_area": {"making": 400, "homes": 400}}, step=20.0)
    data = of.to_dict()
    data["parcels"]["file"] = "lots.gpkg"
    data["parcels"].pop("codes", None)

    def write(**changes):
        (tmp_path / "study.toml").write_text(tomli_w.dumps({**data, **changes}))
        return tmp_path / "study.toml"

    write()
    return write


def test_solve_writes_rasters_and_the_command_writes_the_same(town, monkeypatch, capsys, tmp_path):
    code, said, told = run(monkeypatch, capsys, "solve", "study.toml", "--out", "plan")
    assert code == 0, told
    assert "Noise Lden and Noise Lnight: " in told
    first = {f.name: f.read_bytes() for f in (tmp_path / "plan").glob("*_*")}
    assert len(first) == 3 * 4 * 3
    page = (tmp_path / "plan/map.html").read_text()
    for name in ("Noise Lden: plan", "Noise Lnight: change", "PM2.5: today", "60 dB(A): limit at Homes (Lden)"):
        assert json.dumps(name)[1:-1] in page
    assert page.count("data:image/png;base64,") == 12
    for f in (tmp_path / "plan").glob("noise_*"):
        f.unlink()
    code, said, told = run(monkeypatch, capsys, "map", "plan")
    assert code == 0
    assert (tmp_path / "plan/map.html").read_text().count("data:image/png;base64,") == 6
    code, said, told = run(monkeypatch, capsys, "pollution", "plan")
    assert code == 0
    assert said.count("Raster:") == 12
    assert {f.name: f.read_bytes() for f in (tmp_path / "plan").glob("*_*")} == first
    code, said, told = run(monkeypatch, capsys, "pollution", "plan", "--out", "elsewhere", "--quiet")
    assert (code, said, told) == (0, "", "")
    assert {f.name: f.read_bytes() for f in (tmp_path / "elsewhere").iterdir()} == first
    code, said, told = run(monkeypatch, capsys, "audit", "plan")
    assert code == 0
    town(rules=[])
    code, said, told = run(monkeypatch, capsys, "solve", "study.toml", "--out", "plan", "--quiet")
    assert (code, told) == (0, "")
    assert sorted(f.name for f in (tmp_path / "plan").iterdir()) == [
        "map.html",
        "plan.geojson",
        "plan.gpkg",
        "report.html",
        "result.json",
        "study.toml",
    ]


def test_of_a_study_today_is_written(town, monkeypatch, capsys, tmp_path):
    code, _, told = run(monkeypatch, capsys, "pollution", "study.toml")
    assert code == 0, told
    stems = ("noise_lden", "noise_night", "air_pm25", "air_no2")
    assert {f.stem for f in (tmp_path / "pollution").glob("*.tif")} == {f"{s}_today" for s in stems}
    assert 50 < cells(tmp_path / "pollution/noise_lden_today.tif")[0].max() < 80
    town(pollution={"step": 20.0})
    assert run(monkeypatch, capsys, "pollution", "study.toml")[0] == 0
    assert {f.stem for f in (tmp_path / "pollution").glob("*.tif")} == {"noise_lden_today", "noise_night_today"}


def silent(town, folder):
    quiet = {name: {**use, "sound_power": {}} for name, use in USES.items()}
    town(uses=quiet, rules=[])
    return ["study.toml"], "no use radiates sound"


def other_things(town, folder):
    (folder / "out").mkdir()
    (folder / "out/mine.txt").write_text("mine")
    return ["study.toml", "--out", "out"], "holds other things"


def a_plan(town, folder):
    (folder / "out").mkdir()
    (folder / "out/result.json").write_text("{}")
    return ["study.toml", "--out", "out"], "holds a plan"


def no_plan(town, folder):
    (folder / "empty").mkdir()
    return ["empty"], "no plan here"


def no_study(town, folder):
    return ["nowhere.toml"], "no such study"


def too_fine(town, folder):
    town(pollution={"step": 0.001})
    return ["study.toml"], "pollution.step"


@pytest.mark.parametrize("bad", [silent, other_things, a_plan, no_plan, no_study, too_fine])
def test_bad_input_gets_one_message_and_writes_nothing(bad, town, monkeypatch, capsys, tmp_path):
    words, message = bad(town, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, said, told = run(monkeypatch, capsys, "pollution", *words)
    assert code == 2
    assert message in told
    assert told.count("Error:") == 1
    assert said == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_solve_finds_a_bad_grid_before_it_searches(town, monkeypatch, capsys, tmp_path):
    town(pollution={"step": 0.001})
    monkeypatch.setattr(cli, "solve_study", lambda *_, **__: pytest.fail("searched"))
    code, _, told = run(monkeypatch, capsys, "solve", "study.toml", "--out", "plan")
    assert code == 2
    assert "pollution.step" in told
    assert not (tmp_path / "plan").exists()


def test_a_broken_raster_is_named(town, monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, capsys, "solve", "study.toml", "--out", "plan", "--quiet")[0] == 0
    (tmp_path / "plan/noise_lden.tif").write_bytes(b"nothing")
    before = (tmp_path / "plan/map.html").read_bytes()
    code, _, told = run(monkeypatch, capsys, "map", "plan")
    assert code == 2
    assert "noise_lden.tif" in told
    assert (tmp_path / "plan/map.html").read_bytes() == before


def test_what_fails_half_way_leaves_all_as_it_was(town, monkeypatch, tmp_path):
    of = asked(NOISE)
    plan = planned(of, lots(2), [[1, 0, 0], [0, 0, 2]])
    (tmp_path / "place").mkdir()

    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(pollution, "difference", fail)
    with pytest.raises(OSError, match="no space"):
        write_plan(plan, tmp_path / "place/plan")
    with pytest.raises(OSError, match="no space"):
        write_pollution(scene_of_plan(plan), tmp_path / "place/plan")
    assert list((tmp_path / "place").iterdir()) == []
