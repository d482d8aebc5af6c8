"""Parcels: the same from every format and unit, and every fault named with its file, column or parcel."""

import re
import zipfile

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from geodata.errors import GeodataError
from geodata.layers import read_layer
from geodata.parcels import LimitsTable, ParcelSource, read_parcels
from tests.districts import CRS, ORIGIN, lots

FOOT = 0.3048
SQUARE_METRES = {"m2": 1.0, "ft2": FOOT**2, "ha": 1e4, "acre": 43_560 * FOOT**2}
SHAPEFILE = (".shp", ".shx", ".dbf", ".prj")
COLUMNS = {"id": "id", "max_far": "max_far"}
HOMES = {"existing": {"homes": "gfa"}, "uses": ("homes",)}
BY_CODE = {
    "columns": {**COLUMNS, "use_code": "code", "gfa": "gfa"},
    "codes": {"homes": ["101", "104"], "shops": ["325"], "none": ["900"]},
    "uses": ("homes", "shops"),
}


def source(file=None, **keys):
    return ParcelSource(file, **{"columns": COLUMNS, **keys})


def read(frame, **keys):
    return read_parcels(source(**keys), frame)


def found(parcels, kind):
    """The one finding of a kind."""
    (finding,) = [f for f in parcels.findings if f.kind == kind]
    return finding


def zoning(folder, text, **keys):
    file = folder / "zoning.csv"
    file.write_text(text, encoding="utf-8")
    return LimitsTable(file, **{"key": "zone", "on": "zone", "columns": {"max_far": "far"}, **keys})


def write(frame, file, **keys):
    frame.to_file(file, engine="pyogrio", **keys)
    return file


# Files


@pytest.mark.parametrize(
    ("suffix", "driver", "crs"),
    [
        ("gpkg", "GPKG", CRS),
        ("geojson", "GeoJSON", CRS),
        ("geojson", "GeoJSON", "EPSG:4326"),
        ("shp", "ESRI Shapefile", CRS),
        ("fgb", "FlatGeobuf", CRS),
        ("gpkg", "GPKG", "EPSG:25832"),
    ],
)
def test_every_format_reads_the_same(tmp_path, suffix, driver, crs):
    written = lots(7, columns=3, zone=[f"Z{i % 2}" for i in range(7)], gfa=np.arange(7) * 100.0)
    file = write(written.to_crs(crs), tmp_path / f"lots.{suffix}", driver=driver)
    parcels = read_parcels(source(file, columns={**COLUMNS, "zone": "zone"}, **HOMES))
    frame = parcels.frame.sort_values("parcel_id", ignore_index=True)
    assert frame["parcel_id"].tolist() == written["id"].tolist()
    assert frame["zone"].tolist() == written["zone"].tolist()
    assert np.allclose(frame["site_area"], 400.0, rtol=1e-3 if crs == "EPSG:4326" else 1e-9)
    assert np.allclose(frame["gfa_homes"], written["gfa"])
    assert np.allclose(frame["max_far"], written["max_far"])
    assert np.all(shapely.hausdorff_distance(frame.geometry.to_crs(CRS).array, written.geometry.array) < 0.02)
    assert file.as_posix() in parcels.inputs


@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "OGC:CRS84"])
def test_geoparquet_reads_as_a_geopackage_does(tmp_path, crs):
    written = lots(7, columns=3, zone=pd.Categorical([f"Z{i % 2}" for i in range(7)]), gfa=np.arange(7) * 100.0).to_crs(
        crs
    )
    written.to_parquet(tmp_path / "lots.parquet")
    keys = {"crs": CRS, "columns": {**COLUMNS, "zone": "zone"}, **HOMES}
    parcels = read_parcels(source(tmp_path / "lots.parquet", **keys))
    expected = read_parcels(source(write(written.astype({"zone": str}), tmp_path / "lots.gpkg"), **keys)).frame
    assert_geodataframe_equal(parcels.frame, expected)
    assert list(parcels.inputs) == [(tmp_path / "lots.parquet").as_posix()]


def test_parquet_without_geometry_or_broken_or_with_a_layer_is_named(tmp_path):
    file = tmp_path / "lots.parquet"
    pd.DataFrame({"id": ["a"]}).to_parquet(file)
    with pytest.raises(GeodataError, match=r"lots\.parquet: not a GeoParquet file that can be read"):
        read_layer(file)
    lots(2).to_parquet(file)
    with pytest.raises(GeodataError, match="has no layers"):
        read_layer(file, "parcels")
    file.write_bytes(file.read_bytes()[:400])
    with pytest.raises(GeodataError, match=r"lots\.parquet: not a GeoParquet file that can be read"):
        read_layer(file)
    lots(2).set_crs(None, allow_override=True).to_parquet(file)
    with pytest.raises(GeodataError, match="no coordinate reference system"):
        read_layer(file)


def test_zipped_shapefile(tmp_path):
    file = write(lots(3), tmp_path / "lots.shp")
    with zipfile.ZipFile(tmp_path / "lots.zip", "w") as archive:
        for suffix in SHAPEFILE:
            archive.write(file.with_suffix(suffix), f"lots{suffix}")
    assert read_parcels(source(tmp_path / "lots.zip")).frame["parcel_id"].tolist() == ["L0", "L1", "L2"]


def test_file_geodatabase(tmp_path):
    file = write(lots(3)[["id", "max_far", "geometry"]], tmp_path / "lots.gdb", driver="OpenFileGDB")
    assert read_parcels(source(file)).frame["parcel_id"].tolist() == ["L0", "L1", "L2"]


def test_inputs_of_a_shapefile_change_with_its_attributes(tmp_path):
    before, after = (
        read_parcels(source(write(lots(2, max_far=far), tmp_path / "lots.shp"))).inputs for far in (2.0, 3.0)
    )
    assert before != after


def test_the_layer_is_named_where_there_are_several(tmp_path):
    file = tmp_path / "city.gpkg"
    write(lots(2), file, layer="parcels")
    write(lots(3), file, layer="buildings")
    assert len(read_layer(file, "parcels")) == 2
    with pytest.raises(
        GeodataError, match=r"city\.gpkg: holds 2 layers \(parcels, buildings\); say which with `layer`"
    ):
        read_layer(file)
    with pytest.raises(GeodataError, match=r"no layer 'Parcel' \(did you mean 'parcels'\?\)"):
        read_layer(file, "Parcel")
    with pytest.raises(GeodataError, match=r"no layer 'zzz'; it holds parcels, buildings"):
        read_layer(file, "zzz")


def test_files_that_hold_no_parcels(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no geometry here")
    table = tmp_path / "table.csv"
    table.write_text("id,max_far\nA,2\n")
    empty = tmp_path / "empty.geojson"
    empty.write_text('{"type": "FeatureCollection", "features": []}')
    for file, message in (
        (tmp_path / "missing.gpkg", r"missing\.gpkg: no such file"),
        (text, r"notes\.txt: not a vector file"),
        (tmp_path, "not a vector file"),
        (table, r"table\.csv: layer 'table' has no geometry"),
        (empty, r"empty\.geojson: layer 'empty' is empty"),
        (write(lots(2).iloc[:0], tmp_path / "none.gpkg"), r"none\.gpkg: layer 'none' is empty"),
    ):
        with pytest.raises(GeodataError, match=message):
            read_parcels(source(file))


def test_a_file_that_breaks_off(tmp_path):
    file = write(lots(50), tmp_path / "half.fgb", driver="FlatGeobuf")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(GeodataError, match=r"half\.fgb"):
        read_parcels(source(file))


def test_a_shapefile_without_its_index(tmp_path):
    file = write(lots(2), tmp_path / "lots.shp")
    file.with_suffix(".shx").unlink()
    with pytest.raises(GeodataError, match="shx"):
        read_parcels(source(file))


def test_frames_that_are_no_parcels():
    for frame, message in (
        (pd.DataFrame({"id": [1]}), "a GeoDataFrame is expected, not DataFrame"),
        (lots(2).iloc[:0], "the GeoDataFrame is empty"),
        (lots(2).set_crs(None, allow_override=True), r"has no CRS; set one with frame\.set_crs"),
        (lots(2).set_geometry([None, shapely.Polygon()], crs=CRS), "no feature has a geometry"),
        (lots(2).set_geometry(lots(2).centroid), "geometry is Point; polygons are expected"),
        (lots(2).set_geometry(lots(2).boundary), "geometry is LineString; polygons are expected"),
    ):
        with pytest.raises(GeodataError, match=message):
            read(frame)
    with pytest.raises(GeodataError, match="neither a file nor a GeoDataFrame"):
        read_parcels(source())


def test_a_frame_without_geometry():
    with pytest.raises(GeodataError, match="geometry"):
        read(gpd.GeoDataFrame({"id": ["A"], "max_far": [2.0]}))


def test_an_unknown_column_is_named_with_the_nearest():
    with pytest.raises(GeodataError, match=r"parcels\.columns\.zone = 'zonning'.*did you mean 'zoning'.*it has id"):
        read(lots(2, zoning="A"), columns={**COLUMNS, "zone": "zonning"})


def test_an_unknown_column_of_floor_area_is_named_by_its_key():
    with pytest.raises(GeodataError, match=r"parcels\.existing\.homes = 'gfaa'"):
        read(lots(2, gfa=100.0), existing={"homes": "gfaa"}, uses=("homes",))


# The canonical table


def test_columns_of_the_canonical_table():
    parcels = read(lots(2), uses=("homes", "shops"))
    assert parcels.frame.columns.tolist() == [
        *("parcel_id", "zone", "use_code", "site_area", "max_far", "max_height", "max_floors", "coverage"),
        *("protected", "year", "storeys_today", "gfa_homes", "gfa_shops", "geometry"),
    ]
    assert (parcels.findings, parcels.inputs, parcels.site_area_from) == ((), {}, "geometry")
    assert parcels.frame.crs == CRS
    row = parcels.frame.iloc[0]
    assert (row["zone"], row["coverage"], row["protected"], row["storeys_today"]) == ("", 0.6, False, 0)
    assert np.isnan([row["max_height"], row["max_floors"], row["year"]]).all()


def test_ids_are_text_and_counted_from_one_where_no_column_is_named():
    frame = lots(3, number=[7.0, 12.0, 1.5])
    assert read(frame, columns={"max_far": "max_far", "id": "number"}).frame["parcel_id"].tolist() == ["7", "12", "1.5"]
    assert read(frame, columns={"max_far": "max_far"}).frame["parcel_id"].tolist() == ["1", "2", "3"]


def test_nullable_columns():
    frame = lots(2, zone=["A", None]).convert_dtypes()
    assert read(frame, columns={**COLUMNS, "zone": "zone"}).frame["zone"].tolist() == ["A", ""]


def test_dates_of_construction():
    frame = lots(2, built=pd.to_datetime(["1950-01-01", "2001-01-01"]))
    try:
        parcels = read(frame, columns={**COLUMNS, "year": "built"})
    except GeodataError:
        return
    assert parcels.frame["year"].tolist() == [1950, 2001]


WHOLE = st.integers(-(10**9), 10**9)
NUMBERS = WHOLE | WHOLE.map(lambda n: n / 1000) | st.sampled_from([np.nan, np.inf, -np.inf])


@settings(deadline=None)
@given(st.lists(st.none() | st.booleans() | NUMBERS | st.text(max_size=6), min_size=6, max_size=6))
def test_any_values_give_parcels_or_an_error_of_ours(values):
    cells = dict(zip(("max_far", "coverage", "storeys", "gfa", "protected", "zone"), values, strict=True))
    frame = lots(2).assign(**{name: pd.Series([value, 1], dtype=object) for name, value in cells.items()})
    columns = {"id": "id", **{name: name for name in cells if name != "gfa"}}
    try:
        result = read(frame, columns=columns, **HOMES, defaults={"max_far": 2.0}).frame
    except GeodataError as error:
        assert re.search("column '|parcel '", str(error))
        return
    assert result["coverage"].between(0, 1).all()
    assert (result["max_far"] >= 0).all()
    assert result["gfa_homes"].between(0, 15 * 400 * (1 + 1e-9)).all()
    assert (result["storeys_today"] * result["site_area"] >= result["gfa_homes"] * (1 - 1e-9)).all()


# Units


@pytest.mark.parametrize(("unit", "size"), SQUARE_METRES.items())
def test_areas_in_every_unit(unit, size):
    frame = lots(2, land=400 / size, gfa=360 / size)
    parcels = read(frame, area_unit=unit, columns={**COLUMNS, "site_area": "land"}, **HOMES)
    assert parcels.frame["site_area"].tolist() == pytest.approx([400, 400], rel=1e-12)
    assert parcels.frame["gfa_homes"].tolist() == pytest.approx([360, 360], rel=1e-12)
    assert parcels.site_area_from == "land"


@pytest.mark.parametrize(("unit", "size"), [("m", 1.0), ("ft", FOOT)])
def test_heights_in_every_unit(tmp_path, unit, size):
    columns = {"id": "id", "max_height": "height"}
    own = read(lots(1, height=100.0), length_unit=unit, columns=columns)
    assert own.frame["max_height"].tolist() == [100 * size]
    table = zoning(tmp_path, "zone,h\nA,100\n", columns={"max_height": "h"}, length_unit=unit)
    joined = read(lots(1, zone="A"), columns={"id": "id", "zone": "zone"}, limits=table)
    assert joined.frame["max_height"].tolist() == [100 * size]


@pytest.mark.parametrize(
    ("declared", "actual"), [(a, b) for a in SQUARE_METRES for b in SQUARE_METRES if a != b], ids=lambda unit: unit
)
def test_a_wrong_area_unit_is_named(declared, actual):
    frame = lots(5, land=400 / SQUARE_METRES[actual] * np.linspace(0.95, 1.05, 5))
    with pytest.raises(GeodataError, match=rf'column \'land\' is .* so it looks like {actual}; .* = "{actual}"'):
        read(frame, area_unit=declared, columns={**COLUMNS, "site_area": "land"})


def test_missing_site_areas_are_measured_and_named():
    frame = lots(5, land=[390.0, np.nan, 0.0, -3.0, 410.0])
    parcels = read(frame, columns={**COLUMNS, "site_area": "land"})
    assert parcels.frame["site_area"].tolist() == pytest.approx([390, 400, 400, 400, 410])
    assert found(parcels, "missing_site_area").parcels == ("L1", "L2", "L3")


def test_the_site_area_of_a_parcel_in_parts_is_counted_once():
    frame = lots(2, land=[600.0, 400.0])
    x, y = ORIGIN
    frame.loc[0, "geometry"] = shapely.MultiPolygon([frame.geometry[0], shapely.box(x, y + 60, x + 20, y + 70)])
    parcels = read(frame, columns={**COLUMNS, "site_area": "land"})
    assert parcels.frame["site_area"].sum() == pytest.approx(1000)


# Coordinate reference systems


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [(-71.09, 42.36), (113.94, 22.53), (-78.47, 0.001), (151.21, -33.87), (5.99, 47.9), (15.64, 78.22)],
)
def test_degrees_are_projected_with_true_areas(longitude, latitude):
    shape = shapely.box(longitude, latitude, longitude + 0.002, latitude + 0.001)
    frame = gpd.GeoDataFrame({"id": ["A"], "max_far": [2.0]}, geometry=[shape], crs=4326)
    parcels = read(frame)
    on_the_ellipsoid = abs(Geod(ellps="WGS84").geometry_area_perimeter(shape)[0])
    assert parcels.frame["site_area"][0] == pytest.approx(on_the_ellipsoid, rel=0.002)
    assert parcels.frame.crs.is_projected
    assert "WGS 84 to WGS 84 / UTM zone" in found(parcels, "projected").message


def test_feet_are_projected_to_metres():
    survey_foot = 1200 / 3937
    frame = gpd.GeoDataFrame(
        {"id": ["A"], "max_far": [2.0]}, geometry=[shapely.box(760_000, 2_960_000, 760_200, 2_960_100)], crs=2249
    )
    parcels = read(frame)
    assert parcels.frame["site_area"][0] == pytest.approx(20_000 * survey_foot**2, rel=0.002)
    assert {axis.unit_name for axis in parcels.frame.crs.axis_info} == {"metre"}
    assert found(parcels, "projected").parcels == ()


def test_a_working_crs_may_be_named():
    parcels = read(lots(2), crs="EPSG:3035")
    assert parcels.frame.crs == "EPSG:3035"
    assert parcels.frame["site_area"].tolist() == pytest.approx([400, 400], rel=0.002)
    assert read(lots(2), crs=CRS).findings == ()


@pytest.mark.parametrize("asked", [None, "EPSG:3857"])
def test_web_mercator_measures_no_areas(asked):
    try:
        parcels = read(lots(2).to_crs(3857), crs=asked)
    except GeodataError:
        return
    assert parcels.frame["site_area"].tolist() == pytest.approx([400, 400], rel=0.002)


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        ("EPSG:2249", r"parcels\.crs = 'EPSG:2249' \(.*\): a projected CRS in metres is expected"),
        ("EPSG:4326", r"parcels\.crs = 'EPSG:4326' \(WGS 84\): a projected CRS in metres is expected"),
        ("utm", r"parcels\.crs = 'utm': not a CRS; an EPSG code such as EPSG:32632 is expected"),
    ],
)
def test_a_working_crs_is_projected_and_metric(crs, message):
    with pytest.raises(GeodataError, match=message):
        read(lots(2), crs=crs)


def test_a_missing_crs_is_asked_for(tmp_path):
    file = write(lots(2), tmp_path / "lots.shp")
    file.with_suffix(".prj").unlink()
    with pytest.raises(GeodataError, match=r"lots\.shp: no coordinate reference system; add one .*ogr2ogr -a_srs"):
        read_parcels(source(file))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (lots(3).to_crs(4326).set_crs(CRS, allow_override=True), "look like degrees but the CRS is .*UTM.*EPSG:4326"),
        (lots(3).set_crs(4326, allow_override=True), "500000, 5.3e.* are no degrees but the CRS is WGS 84; correct"),
        (lots(3, side=1100.0), r"median parcel measures 1.21e\+06 m², .*feet taken for metres"),
        (lots(3, side=2.1), "median parcel measures 4.41 m²"),
    ],
    ids=["degrees as metres", "metres as degrees", "large", "small"],
)
def test_a_wrong_crs_is_suspected(frame, message):
    with pytest.raises(GeodataError, match=message):
        read(frame, min_area=1.0)


def test_feet_taken_for_metres_show_in_the_site_areas():
    with pytest.raises(GeodataError, match=r"'land'.*feet"):
        read(lots(3, side=20 / FOOT, land=400.0), columns={**COLUMNS, "site_area": "land"})


# Limits


def test_limits_come_from_the_column_then_the_table_then_the_defaults(tmp_path):
    frame = lots(4, zone=[1, 2, 3, 3], max_far=[9.0, np.nan, np.nan, np.nan])
    table = zoning(
        tmp_path,
        "code,far,storeys\n1,1.5,3\n2,2.5,\n3,,4\n",
        key="code",
        columns={"max_far": "far", "max_floors": "storeys"},
    )
    defaults = {"max_far": 0.5, "coverage": 0.4}
    parcels = read(frame, columns={**COLUMNS, "zone": "zone"}, limits=table, defaults=defaults)
    assert parcels.frame["max_far"].tolist() == [9.0, 2.5, 0.5, 0.5]
    assert parcels.frame["max_floors"].tolist() == pytest.approx([3, np.nan, 4, 4], nan_ok=True)
    assert parcels.frame["coverage"].tolist() == [0.4] * 4
    assert list(parcels.inputs) == [table.file.as_posix()]


@pytest.mark.parametrize("on", ["use_code", "parcel_id"])
def test_limits_may_hang_on_another_column(tmp_path, on):
    table = zoning(tmp_path, "key,far\nL0,1\nL1,2\n", key="key", on=on)
    parcels = read(lots(2, code=["L0", "L1"]), columns={"id": "id", "use_code": "code"}, limits=table)
    assert parcels.frame["max_far"].tolist() == [1.0, 2.0]


def test_unknown_zones_are_named_with_all_their_parcels(tmp_path):
    frame = lots(40, columns=10, zone=["A", "B", "C", "A"] * 10)
    parcels = read(
        frame,
        columns={"id": "id", "zone": "zone"},
        limits=zoning(tmp_path, "zone,far\nA,2\n"),
        defaults={"max_far": 1.0},
    )
    finding = found(parcels, "missing_limit")
    assert finding.parcels == tuple(f"L{i}" for i in range(40) if i % 4 in (1, 2))
    assert finding.message == "zone 'B', 'C' not in zoning.csv"
    assert parcels.frame["max_far"].tolist() == [2.0, 1.0, 1.0, 2.0] * 10


def test_faults_of_the_zoning_table(tmp_path):
    frame = lots(2, zone="A")
    for text, keys, message in (
        ("zone,far\nA,2\nA,3\n", {}, r"zoning\.csv: zone = 'A' stands there twice"),
        ("zone,far\nA,two\n", {}, r"zoning\.csv: column 'far', row 1 = 'two': a number is expected"),
        ("zone,FAR\nA,2\n", {}, r"zoning\.csv: no column 'far' \(did you mean 'FAR'\?\); it has zone, FAR"),
        ("zone,far\nA,2\n", {"key": "district"}, r"zoning\.csv: no column 'district'"),
        ("zone,far\nA,2\n", {"on": "street"}, r"parcels\.limits\.on = 'street': zone, use_code or parcel_id"),
    ):
        with pytest.raises(GeodataError, match=message):
            read(frame, columns={"id": "id", "zone": "zone"}, limits=zoning(tmp_path, text, **keys))
    missing = LimitsTable(tmp_path / "none.csv", "zone", "zone", {"max_far": "far"})
    with pytest.raises(GeodataError, match=r"none\.csv: no such file \(parcels\.limits\.file\)"):
        read(frame, columns={"id": "id", "zone": "zone"}, limits=missing)


@pytest.mark.parametrize(("content", "layer"), [(b"\0\1\2", None), (b"zone,far\nA,2\n", "sheet")])
def test_a_zoning_table_that_cannot_be_read(tmp_path, content, layer):
    file = tmp_path / ("zoning.csv" if layer else "zoning.bin")
    file.write_bytes(content)
    with pytest.raises(GeodataError, match="zoning"):
        read(lots(2, zone="A"), limits=LimitsTable(file, "zone", "zone", {"max_far": "far"}, layer=layer))


def test_the_layer_of_a_zoning_table_is_named_where_there_are_several(tmp_path):
    file = tmp_path / "zoning.gpkg"
    for layer in ("old", "new"):
        pyogrio.write_dataframe(pd.DataFrame({"zone": ["A"], "far": [2.0]}), file, layer=layer)
    with pytest.raises(GeodataError, match="layer"):
        read(lots(2, zone="A"), limits=LimitsTable(file, "zone", "zone", {"max_far": "far"}))


def test_a_bad_limit_is_blamed_on_the_zoning_table(tmp_path):
    with pytest.raises(GeodataError, match=r"zoning\.csv"):
        read(lots(2, zone="A"), columns={"id": "id", "zone": "zone"}, limits=zoning(tmp_path, "zone,far\nA,-2\n"))


def test_a_zoning_table_needs_the_column_it_hangs_on(tmp_path):
    with pytest.raises(GeodataError, match=r"parcels\.columns\.zone"):
        read(lots(2, zone="A"), columns={"id": "id"}, limits=zoning(tmp_path, "zone,far\nA,2\n"))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_far", -1.0, "a number of at least 0"),
        ("max_height", -12.0, "a number of at least 0"),
        ("max_floors", -2.0, "a number of at least 0"),
        ("coverage", -0.1, "a share above 0 and at most 1"),
        ("coverage", 0.0, "a share above 0 and at most 1"),
        ("coverage", 60.0, "a share above 0 and at most 1"),
    ],
)
def test_limits_out_of_range(name, value, expected):
    frame = lots(3).assign(limit=[np.nan, value, np.nan])
    with pytest.raises(GeodataError, match=rf"parcel 'L1': {name} = {value:g}: {expected} is expected"):
        read(frame, columns={"id": "id", name: "limit"}, defaults={"max_far": 2.0})


def test_a_parcel_without_any_limit():
    frame = lots(3, zone=["A", "B", "B"], max_far=[2.0, np.nan, np.nan])
    with pytest.raises(
        GeodataError, match=r"2 parcels, such as 'L1' in zone 'B', have no .*parcels\.defaults\.max_far"
    ):
        read(frame, columns={**COLUMNS, "zone": "zone"})
    frame["floors"] = [np.nan, 4, 5]
    assert len(read(frame, columns={**COLUMNS, "max_floors": "floors"}).frame) == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["true", "FALSE", " Yes ", "n", "T", ""], [True, False, True, False, True, False]),
        ([1, 0, 1.0, None, True, False], [True, False, True, False, True, False]),
    ],
)
def test_protected_flags(given, expected):
    frame = lots(6).assign(listed=pd.Series(given, dtype=object))
    assert read(frame, columns={**COLUMNS, "protected": "listed"}).frame["protected"].tolist() == expected


def test_a_flag_that_is_none():
    with pytest.raises(GeodataError, match="column 'listed' = 'landmark': true or false is expected"):
        read(lots(2, listed=["no", "Landmark"]), columns={**COLUMNS, "protected": "listed"})


# Today's floor area


def test_codes_become_uses():
    frame = lots(5, code=[101, 104, 325, 325, 101], gfa=[100.0, 200.0, 300.0, 0.0, 50.0])
    parcels = read(frame, **BY_CODE)
    assert parcels.frame["gfa_homes"].tolist() == [100, 200, 0, 0, 50]
    assert parcels.frame["gfa_shops"].tolist() == [0, 0, 300, 0, 0]
    assert parcels.frame["use_code"].tolist() == ["101", "104", "325", "325", "101"]


def test_unmapped_codes_are_named_with_their_counts():
    frame = lots(7, code=["777", "888", "777", "101", "999", None, "777"], gfa=[90.0, 90, 90, 90, 0, 0, 90])
    with pytest.raises(GeodataError, match=r"floor area: '777' \(3 parcels\), '888' \(1 parcels\); add each") as error:
        read(frame, **BY_CODE)
    assert "999" not in str(error.value)
    parcels = read(frame, **BY_CODE, unmapped="shops")
    assert parcels.frame["gfa_shops"].tolist() == [90, 90, 90, 0, 0, 0, 90]


def test_floor_of_no_use_is_named_and_left_out():
    frame = lots(5, code=["900", "101", "900", "900", "325"], gfa=[100.0, 200.0, 150.5, 0.0, 10.0])
    parcels = read(frame, **BY_CODE)
    finding = found(parcels, "uncounted_floor_area")
    assert (finding.parcels, finding.value, finding.action) == (("L0", "L2"), 250.5, "not counted")
    assert parcels.frame[["gfa_homes", "gfa_shops"]].to_numpy().sum() == 210


def test_codes_are_needed_to_know_a_use():
    with pytest.raises(GeodataError, match=r"parcels\.columns\.gfa: today's use is unknown; give .*use_code"):
        read(lots(2, gfa=100.0), columns={**COLUMNS, "gfa": "gfa"}, uses=("homes",))


def test_a_code_of_two_uses():
    with pytest.raises(GeodataError, match="101"):
        read(lots(2, code="101", gfa=100.0), **{**BY_CODE, "codes": {"homes": ["101"], "shops": ["101"]}})


def test_missing_and_negative_floor_areas_are_named_with_all_their_parcels():
    gfa = np.tile([100.0, np.nan, -5.0], 100)
    parcels = read(lots(300, columns=20, gfa=gfa), **HOMES)
    assert found(parcels, "missing_floor_area").parcels == tuple(f"L{i}" for i in range(1, 300, 3))
    assert found(parcels, "negative_floor_area").parcels == tuple(f"L{i}" for i in range(2, 300, 3))
    assert found(parcels, "negative_floor_area").message == "100 with a negative floor area in 'gfa'"
    assert parcels.frame["gfa_homes"].tolist() == [100, 0, 0] * 100


def test_a_vacant_lot_needs_no_floor_area():
    parcels = read(lots(3, code=["101", None, ""], gfa=[np.nan, np.nan, np.nan]), **BY_CODE)
    assert found(parcels, "missing_floor_area").parcels == ("L0",)


def test_floor_area_that_cannot_fit_is_cut():
    frame = lots(3, a=[7_500.0, 100.0, 4_500.0], b=[2_500.0, 0.0, 1_500.0])
    parcels = read(frame, existing={"homes": "a", "shops": "b"}, uses=("homes", "shops"))
    finding = found(parcels, "impossible_floor_area")
    assert (finding.parcels, finding.value) == (("L0",), 10_000)
    assert finding.message == "10,000 m² of floor on 400 m² of land, a ratio of 25.0"
    assert finding.action == "cut to a ratio of 15"
    assert parcels.frame["gfa_homes"].tolist() == pytest.approx([4_500, 100, 4_500])
    assert parcels.frame["gfa_shops"].tolist() == pytest.approx([1_500, 0, 1_500])


@pytest.mark.parametrize(
    ("gfa", "given", "expected", "kind"),
    [
        (960.0, np.nan, 4, "unknown_storeys"),
        (961.0, 0.0, 5, "unknown_storeys"),
        (10.0, -1.0, 1, "unknown_storeys"),
        (241.0, 0.4, 2, "unknown_storeys"),
        (900.0, 1.0, 3, "too_few_storeys"),
        (800.0, 2.0, 2, None),
        (240.0, 3.4, 3, None),
        (0.0, 5.0, 0, None),
        (0.0, np.nan, 0, None),
    ],
)
def test_storeys_hold_the_floor_area(gfa, given, expected, kind):
    parcels = read(lots(1, floors=given, gfa=gfa), columns={**COLUMNS, "storeys": "floors"}, **HOMES)
    assert parcels.frame["storeys_today"].tolist() == [expected]
    assert [(f.kind, f.parcels) for f in parcels.findings] == ([(kind, ("L0",))] if kind else [])


@pytest.mark.parametrize("given", [9999.0, 1e19])
def test_a_stand_in_for_unknown_storeys(given):
    parcels = read(lots(1, floors=given, gfa=960.0), columns={**COLUMNS, "storeys": "floors"}, **HOMES)
    assert parcels.frame["storeys_today"].tolist() == [4]
    assert [f.parcels for f in parcels.findings] == [("L0",)]


def test_storeys_by_default():
    parcels = read(lots(2, gfa=[480.0, 0.0]), defaults={"storeys": 3}, **HOMES)
    assert parcels.frame["storeys_today"].tolist() == [3, 0]
    assert parcels.findings == ()


@pytest.mark.parametrize("name", ["max_far", "gfa", "storeys", "year", "site_area", "coverage"])
def test_text_in_a_column_of_numbers(name):
    frame = lots(3, code="101").assign(cell=["1", "n/a", ""])
    keys = {**BY_CODE, "columns": {**BY_CODE["columns"], "gfa": "gfa_homes", name: "cell"}}
    with pytest.raises(GeodataError, match="column 'cell', row 2 = 'n/a': a number is expected"):
        read(frame, **keys)
    frame["cell"] = ["1", "inf", ""]
    with pytest.raises(GeodataError, match="column 'cell' holds an infinite value"):
        read(frame, **keys)


def test_numbers_as_text_and_blanks():
    parcels = read(lots(4).assign(gfa=["100", " 2.5e2 ", "", "  "]), **HOMES)
    assert parcels.frame["gfa_homes"].tolist() == [100, 250, 0, 0]
    assert found(parcels, "missing_floor_area").parcels == ("L2", "L3")


def test_the_row_of_a_bad_number_is_that_of_the_file():
    frame = lots(3).assign(gfa=["1", "2", "n/a"])
    frame.loc[0, "geometry"] = shapely.box(0, 0, 1, 1)
    with pytest.raises(GeodataError, match=r"row 3 = 'n/a'|'L2'"):
        read(frame, **HOMES)


def test_floors_stay_with_the_largest_part_of_a_parcel():
    frame = lots(2, gfa=600.0)
    x, y = ORIGIN
    frame.loc[0, "geometry"] = shapely.MultiPolygon([shapely.box(x, y + 60, x + 20, y + 70), frame.geometry[0]])
    parcels = read(frame, **HOMES).frame.set_index("parcel_id")
    assert parcels["site_area"].to_dict() == pytest.approx({"L0": 400, "L0-2": 200, "L1": 400})
    assert parcels["gfa_homes"].to_dict() == {"L0": 600, "L0-2": 0, "L1": 600}
    assert parcels["storeys_today"].to_dict() == {"L0": 3, "L0-2": 0, "L1": 3}
