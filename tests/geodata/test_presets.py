"""Presets: every publisher's columns come to canonical ones with the right units, and a study's own words count."""

import tomllib
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pyproj
import pytest

from geodata.layers import columns_of
from geodata.parcels import LIMITS, ParcelSource, read_parcels
from geodata.presets import Preset, filled, fitting, presets, spelled
from geodata.units import AREA, LENGTH
from tests.districts import lots
from tests.publishers import LAND, SAMPLES

USES = {"workshop", "rnd", "housing", "services", "none"}
CANONICAL = {"id", "zone", "use_code", "gfa", "storeys", "year", "site_area", "protected", *LIMITS}


def source_of(table, file=None):
    columns = table["columns"]
    return ParcelSource(
        file,
        crs=table.get("crs"),
        area_unit=table["area_unit"],
        length_unit=table.get("length_unit", "m"),
        columns={key: column for key, column in columns.items() if isinstance(column, str)},
        largest={key: several for key, several in columns.items() if not isinstance(several, str)},
        existing=table.get("existing", {}),
        codes=table.get("codes", {}),
        defaults={"max_far": 2.0, **table.get("defaults", {})},
        uses=("workshop", "rnd", "housing", "services"),
    )


def test_every_preset_has_a_sample():
    assert set(presets()) == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_reads_as_canonical_columns(tmp_path, name):
    sample = SAMPLES[name]
    file = sample.write(tmp_path)
    columns = list(sample.columns)
    table = filled({}, presets()[name].table(columns))
    frame = read_parcels(source_of(table, file)).frame
    assert len(frame) == len(sample.frame())
    assert np.allclose(frame.geometry.area, LAND, rtol=1e-3)
    assert {axis.unit_name for axis in frame.crs.axis_info} == {"metre"}
    for column, expected in sample.read.items():
        found = frame[column].tolist()
        if isinstance(expected[0], str):
            assert found == expected, column
        else:
            assert np.allclose(np.array(found, dtype=float), expected, rtol=1e-6, equal_nan=True), column


@pytest.mark.parametrize("name", SAMPLES)
def test_the_preset_that_fits_is_found(name):
    columns = list(SAMPLES[name].columns)
    assert fitting(columns).name == name
    assert fitting([column.upper() for column in columns]).name == name


OSM = """<osm version="0.6">
<node id="1" lat="48.4" lon="9.99"/><node id="2" lat="48.4" lon="9.9903"/>
<node id="3" lat="48.4003" lon="9.9903"/><node id="4" lat="48.4003" lon="9.99"/>
<way id="9"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/><tag k="building" v="apartments"/></way>
</osm>"""
INSPIRE = """<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml/3.2"
xmlns:cp="urn:x-inspire:specification:gmlas:CadastralParcels:3.0"
xmlns:base="urn:x-inspire:specification:gmlas:BaseTypes:3.2">
<gml:boundedBy><gml:Envelope srsName="urn:ogc:def:crs:EPSG::25832">
<gml:lowerCorner>565000 5930000</gml:lowerCorner><gml:upperCorner>565020 5930030</gml:upperCorner>
</gml:Envelope></gml:boundedBy>
<gml:featureMember><cp:CadastralParcel gml:id="CP.1"><cp:areaValue uom="m2">598</cp:areaValue>
<cp:geometry><gml:Polygon gml:id="P1" srsName="urn:ogc:def:crs:EPSG::25832"><gml:exterior><gml:LinearRing><gml:posList>
565000 5930000 565020 5930000 565020 5930030 565000 5930030 565000 5930000
</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></cp:geometry>
<cp:inspireId><base:Identifier><base:localId>1</base:localId></base:Identifier></cp:inspireId>
<cp:label>12</cp:label><cp:nationalCadastralReference>02123400012</cp:nationalCadastralReference>
</cp:CadastralParcel></gml:featureMember></gml:FeatureCollection>"""


@pytest.mark.parametrize(
    ("name", "file", "layer", "text", "parcel"),
    [("osm", "town.osm", "multipolygons", OSM, "9"), ("inspire_cp", "town.gml", None, INSPIRE, "02123400012")],
)
def test_columns_are_those_that_gdal_gives(tmp_path, name, file, layer, text, parcel):
    (tmp_path / file).write_text(text, encoding="utf-8")
    columns = columns_of(tmp_path / file, layer)
    assert fitting(columns).name == name
    source = source_of(filled({}, presets()[name].table(columns)), tmp_path / file)
    frame = read_parcels(replace(source, layer=layer)).frame
    assert frame["parcel_id"].tolist() == [parcel]
    assert frame["site_area"].tolist() == pytest.approx([598.0 if name == "inspire_cp" else 740.5], abs=0.1)


def test_no_preset_fits_what_nobody_publishes():
    assert fitting(["nummer", "flaeche"]) is None
    assert fitting([]) is None


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_whole(name):
    preset = presets()[name]
    assert preset.title
    assert preset.notes
    assert preset.source.startswith("https://") or name == "plain"
    assert preset.detect["all"]
    table = preset.parcels
    assert set(table) <= {*["crs", "area_unit", "length_unit", "open_land", "columns", "existing", "codes", "defaults"]}
    assert table["area_unit"] in AREA
    assert table.get("length_unit", "m") in LENGTH
    assert {*table["columns"], *preset.optional.get("columns", {})} <= CANONICAL
    assert {*table.get("existing", {}), *table.get("codes", {}), *preset.optional.get("existing", {})} <= USES
    assert not (table.get("existing") and "gfa" in table["columns"]), "floor area would count twice"
    codes = [code for listed in table.get("codes", {}).values() for code in listed]
    assert len(codes) == len(set(codes))
    if "crs" in table:
        assert {axis.unit_name for axis in pyproj.CRS(table["crs"]).axis_info} == {"metre"}
    if preset.published_crs:
        pyproj.CRS(preset.published_crs)


def test_presets_ship_as_files_of_the_package():
    for name in presets():
        text = files("geodata").joinpath("sources", f"{name}.toml").read_text(encoding="utf-8")
        assert "parcels" in tomllib.loads(text)


def test_columns_are_spelled_as_the_data_spell_them():
    assert spelled("BBL", ["bbl", "lot"]) == "bbl"
    assert spelled("BBL", ["BBL", "bbl"]) == "BBL"
    assert spelled("Bbl", ["BBL", "bbl"]) is None
    table = presets()["mappluto"].table([column.lower() for column in SAMPLES["mappluto"].columns])
    assert table["columns"]["id"] == "bbl"
    assert table["columns"]["max_far"] == ["residfar", "commfar", "facilfar"]
    assert table["existing"]["workshop"] == ["factryarea", "strgearea"]


def test_what_the_data_lack_is_named():
    there = [column for column in SAMPLES["mappluto"].columns if column not in ("YearBuilt", "StrgeArea")]
    assert presets()["mappluto"].missing(there) == {"columns.year": "YearBuilt", "existing.workshop": "StrgeArea"}
    assert presets()["mappluto"].missing([*SAMPLES["mappluto"].columns]) == {}


def test_optional_columns_count_where_they_are():
    bag = presets()["bag"]
    assert "gfa" not in bag.table()["columns"]
    assert "gfa" not in bag.table(["identificatie", "bouwjaar", "gebruiksdoel"])["columns"]
    assert bag.table([*SAMPLES["bag"].columns])["columns"]["gfa"] == "oppervlakte"


BY_CODE = Preset(
    "by_code",
    "",
    "",
    {"all": ["k"]},
    {
        "area_unit": "ft2",
        "columns": {"id": "k", "use_code": "c", "gfa": "g", "max_far": "far"},
        "codes": {"housing": ["1"], "services": ["2"]},
        "defaults": {"coverage": 0.6, "max_far": 1.0},
    },
)
BY_USE = Preset(
    "by_use", "", "", {"all": ["k"]}, {"columns": {"id": "k", "use_code": "c"}, "existing": {"housing": "h"}}
)


def test_the_study_wins_key_by_key():
    own = {"area_unit": "m2", "columns": {"id": "mine"}, "defaults": {"max_far": 3.0}}
    table = filled(own, BY_CODE.table())
    assert table["area_unit"] == "m2"
    assert table["columns"] == {"id": "mine", "use_code": "c", "gfa": "g", "max_far": "far"}
    assert table["defaults"] == {"coverage": 0.6, "max_far": 3.0}
    assert table["codes"] == {"housing": ["1"], "services": ["2"]}


def test_floor_area_is_never_counted_twice():
    by_use = filled({"existing": {"housing": "h"}}, BY_CODE.table())
    assert "codes" not in by_use
    assert "gfa" not in by_use["columns"]
    assert filled({"codes": {"housing": ["1", "2"]}}, BY_CODE.table())["codes"] == {"housing": ["1", "2"]}
    own = filled({"columns": {"gfa": "g"}, "codes": {"housing": ["1"]}}, BY_USE.table())
    assert "existing" not in own
    assert own["columns"] == {"id": "k", "use_code": "c", "gfa": "g"}


def test_codes_wait_for_floor_area():
    bag = presets()["bag"]
    assert "codes" not in filled({}, bag.table())
    assert "housing" in filled({"columns": {"gfa": "m2"}}, bag.table())["codes"]


def test_a_joined_limit_comes_before_a_column():
    own = {"limits": {"file": "zones.csv", "key": "zone", "columns": {"max_far": "far"}}}
    assert "max_far" not in filled(own, BY_CODE.table())["columns"]


def test_a_preset_is_not_changed_by_its_use():
    before = repr(presets()["mappluto"].parcels)
    table = presets()["mappluto"].table()
    table["columns"]["id"] = "other"
    filled({"columns": {"id": "x"}}, presets()["mappluto"].table())["existing"]["housing"] = "y"
    assert repr(presets()["mappluto"].parcels) == before


# Several columns


def test_the_largest_of_several_limits_counts():
    frame = lots(3, a=[1.0, np.nan, np.nan], b=[2.0, 0.5, np.nan], max_far=9.0)
    source = ParcelSource(None, largest={"max_far": ["a", "b"]}, defaults={"max_far": 7.0})
    assert read_parcels(source, frame).frame["max_far"].tolist() == [2.0, 0.5, 7.0]


def test_several_heights_are_converted():
    source = ParcelSource(None, largest={"max_height": ["a", "b"]}, length_unit="ft")
    heights = read_parcels(source, lots(1, a=100.0, b=40.0)).frame["max_height"]
    assert heights.tolist() == pytest.approx([30.48])


def test_several_columns_of_one_use_are_added_up():
    frame = lots(2, a=[100.0, np.nan], b=[50.0, 20.0])
    source = ParcelSource(
        None, columns={"max_far": "max_far"}, existing={"homes": ["a", "b"]}, uses=("homes",), area_unit="ft2"
    )
    floors = read_parcels(source, frame).frame["gfa_homes"]
    assert floors.tolist() == pytest.approx([150 * 0.3048**2, 20 * 0.3048**2])


def test_one_of_several_that_is_not_there_is_named():
    source = ParcelSource(None, columns={"max_far": "max_far"}, existing={"homes": ["gfa", "gfaa"]}, uses=("homes",))
    with pytest.raises(ValueError, match=r"parcels\.existing\.homes = 'gfaa': no such column \(did you mean 'gfa'"):
        read_parcels(source, lots(1, gfa=1.0))
    source = ParcelSource(None, largest={"max_far": ["far"]})
    with pytest.raises(ValueError, match=r"parcels\.columns\.max_far = 'far': no such column"):
        read_parcels(source, lots(1))
