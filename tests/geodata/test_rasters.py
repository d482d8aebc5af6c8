"""Rasters at points and over parcels: against clipping pixel by pixel, exactextract's own reader, and hand calculation."""

import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from exactextract import exact_extract
from pyproj import Transformer
from rasterio.enums import MaskFlags
from shapely.affinity import rotate

from geodata import rasters
from geodata.errors import GeodataError
from geodata.rasters import RasterSource, sample, summarise

UTM = "EPSG:32632"
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_300_120)
SKEWED = "+proj=omerc +lat_0=47.85 +lonc=9.0 +alpha=30 +gamma=0 +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +towgs84=0,0,0 +units=m +type=crs"


def raster(file, values, crs=UTM, transform=NORTH_UP, unit=None, scale=None, offset=None, mask=None, **profile):
    values = np.asarray(values)
    values = values if values.ndim == 3 else values[None]
    bands, height, width = values.shape
    profile = {"dtype": values.dtype, "crs": crs, "transform": transform, **profile}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(file, "w", driver="GTiff", count=bands, height=height, width=width, **profile) as data,
    ):
        data.write(values)
        if unit is not None:
            data.units = (unit,) * bands
        if scale is not None:
            data.scales, data.offsets = (scale,) * bands, (offset,) * bands
        if mask is not None:
            data.write_mask(mask)
    return Path(file)


def some_parcels():
    """Parcels within 120 m of (500,000; 5,300,000): turned, concave, with a hole, in two parts, smaller than a cell."""
    east, north = 500_000, 5_300_000
    hole = shapely.Polygon(shapely.box(20, 20, 80, 70).exterior, [shapely.box(30, 30, 61, 52).exterior])
    parts = shapely.MultiPolygon([shapely.box(5, 80, 27, 96), shapely.box(61, 83, 79, 111)])
    ell = shapely.Polygon([(40, 15), (110, 15), (110, 40), (63, 40), (63, 105), (40, 105)])
    tiny = shapely.box(71, 71, 73, 74)
    shapes = [rotate(shapely.box(25, 25, 90, 60), 33), hole, parts, ell, tiny]
    shapes = [shapely.transform(shape, lambda xy: xy + np.array([east, north])) for shape in shapes]
    return gpd.GeoSeries(shapes, crs=UTM)


KINDS = {"dB(A)": "noise", "Pa2": "noise", "µg/m3": "air", "ug/m3": "air", "mg/m3": "air", "ppb NO2": "air"}
IDS = ["P1", "P2", "P3", "P4", "P5"]


def clipped(values, transform, shapes):
    """Cut every pixel with every polygon; return areas, shape (polygons, pixels), and values of pixels."""
    height, width = values.shape
    pixels = []
    for row in range(height):
        for column in range(width):
            corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
            pixels.append(shapely.Polygon([transform @ corner for corner in corners]))
    areas = np.array([shapely.area(shapely.intersection(shape, np.array(pixels))) for shape in shapes])
    return areas, values.ravel()


def weighted_quantile(values, weights, share):
    """Type 7 of Hyndman and Fan (1996) with weights: S_k = (k − 1) w_k + (n − 1) Σ_{i<k} w_i, linear between."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    steps = np.arange(len(values)) * weights + (len(values) - 1) * (np.cumsum(weights) - weights)
    return np.interp(share * steps[-1], steps, values)


GRIDS = {
    "north up": (UTM, NORTH_UP),
    "south up": (UTM, Affine(10, 0, 500_000, 0, 10, 5_300_000)),
    "turned": (UTM, Affine.translation(500_050, 5_300_190) @ Affine.rotation(-38) @ Affine.scale(11, -14)),
    "degrees": ("EPSG:4326", None),
    "Europe": ("EPSG:3035", None),
    "oblique": (SKEWED, None),
}


def grid_over(name, shapes, cells=16):
    """A grid of the named kind that covers the shapes."""
    crs, transform = GRIDS[name]
    if transform is None:
        west, south, east, north = shapes.to_crs(crs).total_bounds
        width, height = (east - west) / (cells - 2), (north - south) / (cells - 1)
        transform = Affine(width, 0, west - 0.7 * width, 0, -height, north + 0.4 * height)
    return crs, transform


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", ["number", "noise"])
def test_statistics_are_those_of_pixels_cut_by_parcels(tmp_path, name, kind):
    shapes = some_parcels()
    crs, transform = grid_over(name, shapes)
    levels = np.random.default_rng(5).uniform(35, 80, (18, 18))
    unit = "dB(A)" if kind == "noise" else "persons"
    source = RasterSource(raster(tmp_path / "r.tif", levels, crs, transform), kind, unit)
    areas, values = clipped(levels, transform, shapes.to_crs(crs))

    weights = areas / areas.sum(axis=1, keepdims=True)
    mean = weights @ values if kind == "number" else 10 * np.log10(weights @ 10 ** (values / 10))
    found = summarise(source, shapes, IDS)
    assert np.allclose(found.values, mean, rtol=1e-5)
    assert np.allclose(found.covered, 1)
    assert found.findings == ()
    highest = [values[row > 1e-9 * row.sum()].max() for row in weights]
    assert np.allclose(summarise(source, shapes, IDS, "max").values, highest)
    lowest = [values[row > 1e-9 * row.sum()].min() for row in weights]
    assert np.allclose(summarise(source, shapes, IDS, "min").values, lowest)
    ranked = [weighted_quantile(values[row > 1e-9], row[row > 1e-9], 0.9) for row in weights]
    assert np.allclose(summarise(source, shapes, IDS, "percentile 90").values, ranked, rtol=1e-4)


def test_statistics_are_those_of_exactextract_reading_the_file_itself(tmp_path):
    shapes = some_parcels()
    levels = np.random.default_rng(6).uniform(35, 80, (12, 12)).astype("float32")
    levels[3, 4] = -1
    file = raster(tmp_path / "r.tif", levels, nodata=-1)
    own = exact_extract(
        str(file), gpd.GeoDataFrame(geometry=shapes), ["mean", "max", "quantile(q=0.25)", "count"], output="pandas"
    )
    source = RasterSource(file, "number", "-", missing=0)
    for statistic, column in (("mean", "mean"), ("max", "max"), ("percentile 25", "quantile_25")):
        found = summarise(source, shapes, IDS, statistic)
        whole = found.covered > 0.999
        assert np.allclose(found.values[whole], own[column][whole])
    assert np.allclose(found.covered, own["count"] * 100 / shapes.area)
    assert 0 < (~whole).sum() < len(IDS)


def test_the_mean_of_levels_is_that_of_their_energy(tmp_path):
    source = RasterSource(raster(tmp_path / "r.tif", np.array([[60.0, 70.0]])), "noise", "dB(A)")
    halves = shapely.box(500_005, 5_300_111, 500_015, 5_300_119)
    quarter = shapely.box(500_009, 5_300_111, 500_013, 5_300_119)
    found = summarise(source, gpd.GeoSeries([halves, quarter], crs=UTM), ["A", "B"])
    assert np.allclose(found.values, [67.4036, 68.8931], atol=1e-4)  # 10 lg((10⁶ + 10⁷)/2), 10 lg((10⁶ + 3 · 10⁷)/4)


def test_a_place_of_too_many_cells_is_named(tmp_path, monkeypatch):
    shapes = some_parcels()
    source = RasterSource(raster(tmp_path / "r.tif", np.full((12, 12), 50.0)), "noise", "dB(A)")
    monkeypatch.setattr(rasters, "MOST_CELLS", 50)
    with pytest.raises(GeodataError, match=r"r\.tif: P4 spans more than 50 cells"):
        summarise(source, shapes, IDS)
    assert summarise(source, shapes[[1]], ["P2"]).values == pytest.approx([50])


@pytest.mark.parametrize("name", GRIDS)
def test_a_point_has_the_value_of_its_cell(tmp_path, name):
    crs, transform = grid_over(name, some_parcels())
    levels = np.random.default_rng(8).uniform(35, 80, (700, 640))
    transform = transform @ Affine.scale(18 / 640, 18 / 700)
    file = raster(tmp_path / "r.tif", levels, crs, transform)
    cell = np.random.default_rng(9).uniform(0, [640, 700], (300, 2))
    points = gpd.GeoSeries([shapely.Point(transform @ tuple(at)) for at in cell], crs=crs).to_crs(UTM)
    found = sample(RasterSource(file, "noise", "dB(A)"), points, np.arange(300).astype(str))
    column, row = cell.astype(int).T
    assert np.array_equal(found.values, levels[row, column])
    assert np.array_equal(found.covered, np.ones(300))


def test_corners_belong_to_the_raster(tmp_path):
    levels = np.array([[50.0, 51, 52], [60, 61, 62]])
    source = RasterSource(raster(tmp_path / "r.tif", levels), "noise", "dB(A)")
    corners = gpd.GeoSeries(shapely.points([(500_000, 5_300_120), (500_030, 5_300_120), (500_030, 5_300_100)]), crs=UTM)
    assert sample(source, corners, ["A", "B", "C"]).values.tolist() == [50, 52, 62]


POINT = gpd.GeoSeries([shapely.Point(500_005, 5_300_115)], crs=UTM)


@pytest.mark.parametrize(
    ("unit", "stored", "expected"),
    [
        ("dB(A)", 61.5, 61.5),
        ("Pa2", 4e-4, 60.0),  # (20 µPa)² · 10⁶
        ("µg/m3", 21.0, 21.0),
        ("ug/m3", 21.0, 21.0),
        ("mg/m3", 0.021, 21.0),
        ("ppb NO2", 10.0, 18.8),
    ],
)
def test_units_are_brought_to_decibels_and_micrograms(tmp_path, unit, stored, expected):
    source = RasterSource(raster(tmp_path / "r.tif", np.full((2, 2), stored)), KINDS[unit], unit)
    assert sample(source, POINT, ["A"]).values == pytest.approx([expected])
    place = gpd.GeoSeries([shapely.box(500_002, 5_300_105, 500_012, 5_300_116)], crs=UTM)
    assert summarise(source, place, ["A"]).values == pytest.approx([expected])


def test_squared_pressures_have_the_mean_of_their_sum(tmp_path):
    pressures = np.array([[4e-4, 9e-4], [1e-4, 0.0]])
    source = RasterSource(raster(tmp_path / "r.tif", pressures), "noise", "Pa2", missing=40)
    place = gpd.GeoSeries([shapely.box(500_000, 5_300_110, 500_020, 5_300_120)], crs=UTM)
    assert summarise(source, place, ["A"]).values == pytest.approx([10 * np.log10(6.5e-4 / 4e-10)])
    nothing = gpd.GeoSeries([shapely.box(500_000, 5_300_100, 500_020, 5_300_110)], crs=UTM)
    assert summarise(source, nothing, ["A"]).covered == pytest.approx([0.5])


def test_scale_and_offset_of_the_file_apply_unless_the_source_gives_its_own(tmp_path):
    file = raster(tmp_path / "r.tif", np.array([[100, 255]], dtype="uint8"), scale=0.5, offset=5.0, nodata=255)
    assert sample(RasterSource(file, "noise", "dB(A)"), POINT, ["A"]).values == [55]
    assert sample(RasterSource(file, "noise", "dB(A)", scale=0.6), POINT, ["A"]).values == [65]
    assert sample(RasterSource(file, "noise", "dB(A)", offset=0), POINT, ["A"]).values == [50]
    both = gpd.GeoSeries([shapely.box(500_005, 5_300_112, 500_015, 5_300_118)], crs=UTM)
    found = summarise(RasterSource(file, "noise", "dB(A)", missing=45), both, ["A"], "max")
    assert found.covered == pytest.approx([0.5])
    assert found.values == [55]


def test_masks_and_bands_are_honoured(tmp_path):
    values = np.array([[[50.0, 51]], [[60, 61]]])
    file = raster(tmp_path / "r.tif", values, mask=np.array([[255, 0]], dtype="uint8"))
    with rasterio.open(file) as data:
        assert MaskFlags.per_dataset in data.mask_flag_enums[0]
    two = gpd.GeoSeries(shapely.points([(500_005, 5_300_115), (500_015, 5_300_115)]), crs=UTM)
    found = sample(RasterSource(file, "noise", "dB(A)", band=2, missing=33), two, ["A", "B"])
    assert found.values.tolist() == [60, 33]
    assert found.covered.tolist() == [1, 0]


def test_uncovered_places_are_named_and_counted(tmp_path):
    levels = np.full((12, 12), 50.0)
    levels[:, 5:] = np.nan
    file = raster(tmp_path / "r.tif", levels)
    east = np.arange(0, 120, 10)
    shapes = gpd.GeoSeries(shapely.box(500_000 + east, 5_300_000, 500_009 + east, 5_300_030), crs=UTM)
    ids = [f"L{number}" for number in range(12)]
    names = r"7 of 12 places not covered \(L5, L6, L7, L8, L9 and 2 more\)"
    for read, places in ((summarise, shapes), (sample, shapes.centroid)):
        with pytest.raises(GeodataError, match=names + ".*'missing'"):
            read(RasterSource(file, "noise", "dB(A)"), places, ids)
        found = read(RasterSource(file, "noise", "dB(A)", missing=38), places, ids)
        assert found.values == pytest.approx([50] * 5 + [38] * 7)
        assert len(found.findings) == 1
        assert "7 of 12 places not covered, 38 dB(A) assumed" in found.findings[0]
        assert "(L5, L6, L7, L8, L9 and 2 more)" in found.findings[0]


def test_what_is_missing_counts_with_its_area(tmp_path):
    levels = np.full((2, 4), 60.0)
    levels[:, 2] = np.nan
    source = RasterSource(raster(tmp_path / "r.tif", levels), "noise", "dB(A)", missing=70)
    hole = shapely.box(500_010, 5_300_105, 500_030, 5_300_115)  # half 60, half nothing
    edge = shapely.box(500_030, 5_300_105, 500_070, 5_300_115)  # a quarter 60, the rest beyond the raster
    corner = shapely.box(499_990, 5_300_110, 500_010, 5_300_130)  # likewise, over the north-west corner
    away = shapely.box(600_000, 5_300_105, 600_010, 5_300_115)
    full = shapely.box(500_000, 5_300_105, 500_020, 5_300_115)
    shapes, ids = gpd.GeoSeries([hole, edge, corner, away, full], crs=UTM), list("ABCDE")
    found = summarise(source, shapes, ids)
    assert found.covered == pytest.approx([0.5, 0.25, 0.25, 0, 1])
    assert found.values == pytest.approx([67.4036, *[10 * np.log10((1e6 + 3e7) / 4)] * 2, 70, 60], abs=1e-4)
    assert "4 of 5 places" in found.findings[0]
    assert summarise(source, shapes, ids, "min").values == pytest.approx([60, 60, 60, 70, 60])
    assert summarise(source, shapes, ids, "max").values == pytest.approx([70, 70, 70, 70, 60])


def test_slivers_without_data_do_not_count(tmp_path):
    source = RasterSource(raster(tmp_path / "r.tif", np.full((12, 12), 60.0)), "noise", "dB(A)")
    shape = gpd.GeoSeries([shapely.box(499_999.5, 5_300_000, 500_100, 5_300_050)], crs=UTM)
    assert summarise(source, shape, ["A"]).covered == pytest.approx([100 / 100.5])
    wider = gpd.GeoSeries([shapely.box(499_998.5, 5_300_000, 500_100, 5_300_050)], crs=UTM)
    with pytest.raises(GeodataError, match=r"1 of 1 places not covered \(A\)"):
        summarise(source, wider, ["A"])


WRONG_UNITS = {
    "pressures as levels": ("dB(A)", [4e-5, 4e-3], "0 to 140", "squared pressure: unit = 'Pa2'"),
    "levels as pressures": ("Pa2", [45, 70], "0 to 140", "levels: unit = 'dB\\(A\\)'"),
    "milligrams as micrograms": ("µg/m3", [0.005, 0.04], "0 to 1000", "milligrams: unit = 'mg/m3'"),
    "micrograms as milligrams": ("mg/m3", [5, 40], "0 to 1000", "micrograms: unit = 'µg/m3'"),
    "undeclared no data": ("dB(A)", [-9999, 60], "0 to 140", "no-data value"),
    "negative air": ("µg/m3", [-3, 20], "0 to 1000", "no-data value"),
    "too loud": ("dB(A)", [40, 180], "0 to 140", "wrong band, scale or unit"),
    "beyond numbers": ("dB(A)", [40, 5000], "0 to 140", "wrong band, scale or unit"),
    "too dirty": ("µg/m3", [40, 1800], "0 to 1000", "wrong band, scale or unit"),
}


@pytest.mark.parametrize("name", WRONG_UNITS)
def test_implausible_values_name_their_range_and_the_likely_mistake(tmp_path, name):
    unit, stored, expected, mistake = WRONG_UNITS[name]
    file = raster(tmp_path / "r.tif", np.array([stored], dtype=float))
    shape = gpd.GeoSeries([shapely.box(500_002, 5_300_112, 500_015, 5_300_118)], crs=UTM)
    points = gpd.GeoSeries(shapely.points([(500_005, 5_300_115), (500_015, 5_300_115)]), crs=UTM)
    source = RasterSource(file, KINDS[unit], unit)
    low, high = sorted(
        10 * np.log10(v / 4e-10) if unit == "Pa2" else v * 1000 if unit == "mg/m3" else v for v in stored
    )
    said = f"from {re.escape(f'{low:.4g} to {high:.4g}')} .*expected {expected}.*{mistake}"
    for read in (
        lambda: summarise(source, shape, ["A"]),
        lambda: summarise(source, shape, ["A"], "percentile 50"),
        lambda: sample(source, points, ["A", "B"]),
    ):
        with pytest.raises(GeodataError, match=said):
            read()


def test_numbers_have_no_expected_range(tmp_path):
    file = raster(tmp_path / "r.tif", np.full((2, 2), -7.0))
    assert sample(RasterSource(file, "number", "dB"), POINT, ["A"]).values == [-7]


def test_unusable_files_are_refused(tmp_path):
    good = np.full((2, 2), 50.0)
    text = tmp_path / "text.tif"
    text.write_text("no raster")
    cut = raster(tmp_path / "cut.tif", np.random.default_rng(0).uniform(40, 60, (400, 400)))
    cut.write_bytes(cut.read_bytes()[:-900_000])
    plain = tmp_path / "plain.tif"
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        raster(plain, good, transform=Affine.identity())
    cases = [
        (RasterSource(tmp_path / "none.tif", "noise", "dB(A)"), "none.tif: no such file"),
        (RasterSource(text, "noise", "dB(A)"), "text.tif: not a raster"),
        (
            RasterSource(raster(tmp_path / "b.tif", good), "noise", "dB(A)", band=2),
            "band = 2; the file has bands 1 to 1",
        ),
        (
            RasterSource(raster(tmp_path / "c.tif", good, crs=None), "noise", "dB(A)"),
            "c.tif: no coordinate reference system",
        ),
        (RasterSource(plain, "noise", "dB(A)"), "plain.tif: no georeference"),
        (RasterSource(raster(tmp_path / "n.tif", good * np.nan), "noise", "dB(A)"), "n.tif: no data under any"),
        (
            RasterSource(raster(tmp_path / "m.tif", good * np.nan), "noise", "dB(A)", missing=40),
            "m.tif: no data under any",
        ),
        (
            RasterSource(raster(tmp_path / "z.tif", good * 0, nodata=0), "noise", "dB(A)", missing=40),
            "z.tif: no data under any",
        ),
        (
            RasterSource(raster(tmp_path / "u.tif", good, unit="mg/m3"), "air", "µg/m3"),
            "unit = 'µg/m3', but the file says 'mg/m3'",
        ),
        (RasterSource(cut, "noise", "dB(A)"), "cut.tif: cannot be read to its end"),
    ]
    shape = gpd.GeoSeries([shapely.box(500_002, 5_300_102, 500_018, 5_300_118)], crs=UTM)
    for source, message in cases:
        if source.file != cut:
            with pytest.raises(GeodataError, match=message):
                sample(source, POINT, ["A"])
        with pytest.raises(GeodataError, match=message):
            summarise(source, shape if source.file != cut else shape.translate(0, -3_980), ["A"])


def test_a_raster_of_another_place_names_both(tmp_path):
    file = raster(tmp_path / "r.tif", np.full((12, 12), 50.0), crs="EPSG:32633")
    with pytest.raises(
        GeodataError, match=r"another place: it spans 15\.0000 to 15\.\d+ east.*places 9\.\d+ to 9\.\d+ east"
    ):
        sample(RasterSource(file, "noise", "dB(A)", missing=40), POINT, ["A"])
    with pytest.raises(GeodataError, match=r"another place.*47\.85\d+ to 47\.85\d+ north"):
        summarise(RasterSource(file, "noise", "dB(A)", missing=40), POINT.buffer(3), ["A"])


def test_a_turned_raster_of_another_place_is_found_out(tmp_path):
    turned = Affine.translation(400_000, 5_300_000) @ Affine.rotation(45) @ Affine.scale(1000, -1000)
    file = raster(tmp_path / "r.tif", np.full((12, 12), 50.0), transform=turned)
    side = 12_000 * np.sqrt(0.5)
    corners = 400_000, 5_300_000 - side, 400_000 + 2 * side, 5_300_000 + side
    west, south, east, north = Transformer.from_crs(UTM, 4326, always_xy=True).transform_bounds(*corners)
    extent = f"{west:.4f} to {east:.4f} east and {south:.4f} to {north:.4f} north"
    with pytest.raises(GeodataError, match=f"another place: it spans {extent}, the places 9.0"):
        sample(RasterSource(file, "noise", "dB(A)"), POINT, ["A"])


def test_a_place_that_the_crs_of_the_raster_cannot_express_is_elsewhere(tmp_path):
    file = raster(tmp_path / "r.tif", np.full((12, 12), 50.0))
    pole = gpd.GeoSeries([POINT.to_crs(4326)[0], shapely.Point(-81, 0)], crs=4326)
    found = sample(RasterSource(file, "noise", "dB(A)", missing=40), pole, ["A", "B"])
    assert found.values.tolist() == [50, 40]


def test_a_source_says_what_it_cannot_be(tmp_path):
    for arguments, message in (
        (("air", "ppb"), "'ppb'.*µg/m3, .*write 'ppb NO2'"),
        (("noise", "dB"), "'dB'; noise is read from dB\\(A\\), dBA, Pa2"),
        (("noise", "µg/m3"), "noise is read from dB"),
        (("smell", "m"), "'noise', 'air' or 'number'"),
        (("noise", "dB(A)", 1, np.nan), "scale = nan"),
        (("noise", "dB(A)", 1, None, None, -99.0), "missing = -99"),
    ):
        with pytest.raises(GeodataError, match=message):
            RasterSource(tmp_path / "r.tif", *arguments)


def test_places_and_statistics_are_checked(tmp_path):
    source = RasterSource(raster(tmp_path / "r.tif", np.full((2, 2), 50.0)), "noise", "dB(A)")
    with pytest.raises(GeodataError, match="places: no coordinate reference system"):
        sample(source, gpd.GeoSeries([shapely.Point(0, 0)]), ["A"])
    with pytest.raises(GeodataError, match="A not a point"):
        sample(source, POINT.buffer(3), ["A"])
    with pytest.raises(GeodataError, match="B not a point"):
        sample(source, gpd.GeoSeries([POINT[0], None], crs=UTM), ["A", "B"])
    with pytest.raises(GeodataError, match="A without an area"):
        summarise(source, POINT, ["A"])
    for statistic in ("median", "percentile 101", "percentile", "percentile -1"):
        with pytest.raises(GeodataError, match=f"statistic = '{statistic}'"):
            summarise(source, POINT.buffer(3), ["A"], statistic)
