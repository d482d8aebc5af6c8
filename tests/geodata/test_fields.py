"""Written fields: read back by rasterio and GDAL's own programs, colours simulated for the colour-blind, closed forms."""

import io
import itertools
import json
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from matplotlib.image import imread
from pyproj import Transformer

from geodata import fields
from geodata.errors import GeodataError
from geodata.fields import (
    NODATA,
    Grid,
    Palette,
    change_palette,
    contours,
    difference,
    gdal_colours,
    noise_palette,
    picture,
    qgis_style,
    write_field,
)

UTM = "EPSG:32632"
BOUNDS = (500_000, 5_300_000, 500_700, 5_300_600)
needs_gdal = pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="GDAL's programs (gdal-bin) are not installed")


def hill(x, y):
    """Loudest in the south-east; nothing in the north-west corner."""
    level = 30 + 50 * np.exp(-((x - 500_600) ** 2 + (y - 5_300_100) ** 2) / 90_000)
    return np.where((x < 500_080) & (y > 5_300_550), np.nan, level)


def written(file, compute=hill, bounds=BOUNDS, step=1.0, **changes):
    options = {"unit": "dB(A)", "description": "Lden of the plan", **changes}
    return write_field(file, compute, bounds, UTM, step, **options)


def test_a_field_reads_back_as_it_was_computed(tmp_path):
    field = written(tmp_path / "a.tif", step=5.0, bounds=(500_000, 5_300_000, 500_701, 5_300_600), tags={"STUDY": "S1"})
    with rasterio.open(field.file) as data:
        assert (data.crs, data.shape, data.dtypes, data.nodata) == (UTM, (120, 141), ("float32",), NODATA)
        assert data.units == ("dB(A)",)
        assert data.descriptions == ("Lden of the plan",)
        assert data.tags()["STUDY"] == "S1"
        assert data.bounds == (500_000, 5_300_000, 500_705, 5_300_600)
        row, column = np.indices(data.shape)
        x, y = (np.array(part).reshape(data.shape) for part in data.xy(row.ravel(), column.ravel()))
        values = data.read(1, masked=True)
    expected = hill(x, y)
    assert np.array_equal(values.mask, np.isnan(expected))
    assert 0 < values.mask.sum() == round((1 - field.valid) * values.size)
    assert np.allclose(values.compressed(), expected[~np.isnan(expected)], rtol=1e-6)
    assert not field.file.with_suffix(".qml").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("window", [512, 1000, 77])
def test_statistics_are_those_of_the_stored_cells_whatever_the_window(tmp_path, window):
    def far(x, y):
        return 1e4 + np.where(x > 500_650, np.inf, hill(x, y) / 100)

    field = written(tmp_path / "a.tif", far, window=window)
    with rasterio.open(field.file) as data:
        values = data.read(1, masked=True).compressed().astype(float)
        tags = {key: float(value) for key, value in data.tags(1).items()}
    exact = (values.min(), values.max(), values.mean(), values.std(), len(values) / 420_000)
    assert (field.minimum, field.maximum) == exact[:2]
    assert (field.mean, field.stddev, field.valid) == pytest.approx(exact[2:], rel=1e-9)
    names = [f"STATISTICS_{name}" for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV", "VALID_PERCENT")]
    assert [tags[name] for name in names] == pytest.approx([*exact[:4], 100 * exact[4]], rel=1e-3)
    assert tags["STATISTICS_STDDEV"] == pytest.approx(values.std(), rel=1e-9)


def test_files_are_cloud_optimised(tmp_path):
    field = written(tmp_path / "a.tif")
    with rasterio.open(field.file) as data:
        assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert data.block_shapes == [(512, 512)]
        assert data.overviews(1) == [2]
        stored = set(np.unique(data.read(1)))
        shown = set(np.unique(data.read(1, out_shape=(300, 350))))
    assert shown <= stored, "overviews repeat cells, they do not average decibels"


def test_the_order_of_bytes_is_that_of_a_cloud_optimised_file(tmp_path):
    field = written(tmp_path / "a.tif")
    cog = pytest.importorskip("rio_cogeo", reason="rio-cogeo is not installed")
    assert cog.cog_validate(field.file, strict=True)[0]


@needs_gdal
def test_gdalinfo_shows_statistics_unit_and_no_data(tmp_path):
    field = written(tmp_path / "a.tif")
    shown = subprocess.check_output(["gdalinfo", "-json", "-stats", "-mm", field.file])
    info = json.loads(shown)
    band = info["bands"][0]
    assert (band["noDataValue"], band["unit"], band["description"]) == (NODATA, "dB(A)", "Lden of the plan")
    assert [band[key] for key in ("minimum", "maximum", "mean", "stdDev")] == pytest.approx(
        [field.minimum, field.maximum, field.mean, field.stddev], abs=1e-3
    )
    assert (band["computedMin"], band["computedMax"]) == pytest.approx((field.minimum, field.maximum), abs=1e-3)
    assert info["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert 'ID["EPSG",32632]' in info["coordinateSystem"]["wkt"]


def test_a_field_that_fails_leaves_the_old_one(tmp_path):
    file = written(tmp_path / "a.tif", palette=noise_palette()).file
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["a.colours.txt", "a.qml", "a.tif"]

    def fails(x, y):
        if x.min() > 500_500:
            raise RuntimeError("no more")
        return x

    with pytest.raises(RuntimeError, match="no more"):
        written(file, fails, palette=noise_palette("Other"))
    with pytest.raises(GeodataError, match="no cell of the field has a value"):
        written(file, lambda x, y: x * np.nan)
    with pytest.raises(GeodataError, match=r"shape \(\) for 512 · 512 cells"):
        written(file, lambda x, y: 3.0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    written(tmp_path / "new" / "folder" / "b.tif")
    written(file, lambda x, y: hill(x, y) + 1)
    with rasterio.open(file) as data:
        assert data.read(1).max() == pytest.approx(81, abs=0.01)


def test_a_hundred_million_cells_are_covered_once():
    grid = Grid.over((500_000, 5_300_000, 510_000, 5_310_000), 1.0)
    assert (grid.width, grid.height) == (10_000, 10_000)
    blocks = np.array(list(grid.windows(512)))
    assert (blocks[:, 2] * blocks[:, 3]).sum() == 100_000_000
    assert (blocks[:, 2:] <= 512).all()
    boxes = shapely.box(blocks[:, 1], blocks[:, 0], blocks[:, 1] + blocks[:, 3], blocks[:, 0] + blocks[:, 2])
    assert shapely.union_all(boxes).equals(shapely.box(0, 0, 10_000, 10_000))
    x, y = grid.centres(9_728, 512, 272, 512)
    assert x.shape == y.shape == (272, 512)
    assert (x[0, 0], y[0, 0], x[-1, -1], y[-1, -1]) == (500_512.5, 5_300_271.5, 501_023.5, 5_300_000.5)


def test_grids_cover_their_bounds_without_a_cell_to_spare():
    assert Grid.over((0, 0, 0.3, 0.7), 0.1) == Grid(0, 0.7, 0.1, 3, 7)  # 0.7 / 0.1 is 6.999… in binary
    assert (5_300_000.2 - 5_300_000) / 0.1 > 2  # likewise, on the other side
    assert Grid.over((0, 5_300_000, 1, 5_300_000.2), 0.1).height == 2
    assert Grid.over((0, 0, 10.1, 9.9), 5) == Grid(0, 9.9, 5, 3, 2)
    for bounds, step, message in (
        ((0, 0, 1, 1), 0, "step = 0"),
        ((0, 0, 1, 1), np.nan, "step = nan"),
        ((1, 0, 0, 1), 1, "west < east"),
        ((0, 0, np.inf, 1), 1, "west < east"),
    ):
        with pytest.raises(GeodataError, match=message):
            Grid.over(bounds, step)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4978", "EPSG:2263", "EPSG:nothing"])
def test_fields_are_in_metres(tmp_path, crs):
    with pytest.raises(GeodataError, match="EPSG:25832"):
        write_field(tmp_path / "a.tif", hill, BOUNDS, crs, 1, unit="dB(A)", description="")


def test_the_difference_is_the_plan_minus_today(tmp_path):
    plan = written(tmp_path / "plan.tif", lambda x, y: hill(x, y) + np.where(x < 500_300, 3, -2.5)).file
    today = written(tmp_path / "today.tif", lambda x, y: np.where(y < 5_300_050, np.nan, hill(x, y))).file
    found = difference(
        plan, today, tmp_path / "d.tif", description="Change", window=200, palette=change_palette((1, 2, 4), "dB")
    )
    with rasterio.open(plan) as a, rasterio.open(today) as b, rasterio.open(found.file) as d:
        expected = a.read(1, masked=True) - b.read(1, masked=True)
        change = d.read(1, masked=True)
        assert (d.units, d.transform, d.crs) == (("dB",), a.transform, a.crs)
    assert np.array_equal(change.mask, expected.mask)
    assert np.allclose(change.compressed(), expected.compressed(), atol=1e-5)
    assert (found.minimum, found.maximum) == pytest.approx((-2.5, 3), abs=1e-4)
    others = {
        "unit": written(tmp_path / "u.tif", unit="µg/m³"),
        "width and height": written(tmp_path / "w.tif", bounds=(500_000, 5_300_000, 500_701, 5_300_600)),
        "corner and cell size": written(tmp_path / "c.tif", bounds=(500_001, 5_300_000, 500_701, 5_300_600)),
    }
    for name, other in others.items():
        with pytest.raises(GeodataError, match=f"{name} .* fields of one grid and unit"):
            difference(plan, other.file, tmp_path / "e.tif", description="Change")


PALETTES = [noise_palette(), change_palette((1, 3, 6), "dB")]


def test_classes_include_their_lower_edge():
    palette = noise_palette()
    assert palette.classes(np.array([-5, 34.999, 35, 39.9, 54.999, 55, 79.9, 80, 120, np.nan])).tolist() == [
        0,
        0,
        1,
        1,
        4,
        5,
        9,
        10,
        10,
        -1,
    ]
    assert palette.labels[0] == "< 35 dB(A)"
    assert palette.labels[5] == "55 to 60 dB(A)"
    assert palette.labels[10] == "≥ 80 dB(A)"
    assert palette.rgba(np.array([[55.0, np.nan]])).tolist() == [[[0xF3, 0xC6, 0x83, 255], [0, 0, 0, 0]]]


def test_change_is_symmetric():
    change = change_palette((1, 3, 6), "dB")
    assert change.edges == (-6, -3, -1, 1, 3, 6)
    assert change.labels[0] == "< −6 dB"
    assert change.colours[change.classes(np.array(0.0))] == "#F7F7F7"
    assert np.array_equal(change.classes(np.array([-7, -4, -2])), 6 - change.classes(np.array([7, 4, 2])))
    less, more = change.rgba(np.array([-4.0, 4.0]))[:, [0, 2]].astype(int)
    assert less[1] > less[0]
    assert more[0] > more[1]


def test_palettes_are_checked():
    for edges, colours in (((1, 1), 3), ((2, 1), 3), ((), 1), ((1, 2), 2)):
        with pytest.raises(GeodataError, match="palette 'T'"):
            Palette(edges, ("#000000",) * colours, ("",) * 3, "m", "T")
    for make, message in (
        (lambda: change_palette((0, 1, 2), "dB"), "three above 0"),
        (lambda: change_palette((1, 2), "dB"), "three above 0"),
    ):
        with pytest.raises(GeodataError, match=message):
            make()


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
BLIND = {
    "none": np.eye(3),
    "red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colours, sight):
    """Return CIE L*a*b* (D65) of colours as somebody with that sight sees them, shape (colours, 3)."""
    srgb = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(BLIND[sight]).T, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = seen @ to_xyz.T / [0.9505, 1.0, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])


@pytest.mark.parametrize("sight", BLIND)
@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.title)
def test_no_two_classes_look_alike_to_anybody(palette, sight):
    seen = lab(palette.colours, sight)
    apart = min(np.linalg.norm(seen[i] - seen[j]) for i, j in itertools.combinations(range(len(seen)), 2))
    assert apart > 6, f"smallest difference {apart:.1f} of CIE 1976; 2.3 can just be noticed"


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.title)
def test_qgis_shows_the_same_classes(palette):
    shader = ET.fromstring(qgis_style(palette)).find("pipe/rasterrenderer/rastershader/colorrampshader")
    assert shader.get("colorRampType") == "DISCRETE"
    items = [item.attrib for item in shader.findall("item")]
    assert [item["label"] for item in items] == list(palette.labels)
    tops = np.array([float(item["value"]) for item in items])
    edges = np.array(palette.edges, dtype=np.float32)
    values = np.concatenate([edges, np.nextafter(edges, np.float32(-1e9)), edges + 0.5, [-1e6, 1e6]])
    # A discrete class of QGIS reaches up to and includes its value.
    first = [int(np.flatnonzero(value <= tops)[0]) for value in values]
    assert [items[i]["color"] for i in first] == [palette.colours[i] for i in palette.classes(values)]


@needs_gdal
@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.title)
def test_gdal_shows_the_same_colours(tmp_path, palette):
    edges = np.array(palette.edges, dtype=np.float32)
    values = np.concatenate([edges, np.nextafter(edges, np.float32(-1e9)), edges + 0.25, [-900, 900, np.nan]])
    field = written(
        tmp_path / "a.tif",
        lambda x, y: values[(x - 500_000).astype(int)],
        bounds=(500_000, 5_300_000, 500_000 + len(values), 5_300_001),
        palette=palette,
    )
    table = tmp_path / "a.colours.txt"
    assert table.read_text(encoding="utf-8") == gdal_colours(palette)
    subprocess.run(
        ["gdaldem", "color-relief", "-q", "-alpha", field.file, table, tmp_path / "c.tif"],
        check=True,
        capture_output=True,
    )
    with rasterio.open(tmp_path / "c.tif") as data:
        assert np.array_equal(data.read()[:, 0, :].T, palette.rgba(values))


def test_a_picture_shows_each_place_in_the_colour_of_its_class(tmp_path):
    field = written(tmp_path / "a.tif")
    shown = picture(field.file, noise_palette(), longest=400)
    image = imread(io.BytesIO(shown.png), format="png")
    assert image.shape == (shown.size[1], shown.size[0], 4)
    assert max(shown.size) == 400
    west, south, east, north = shown.bounds
    assert (west, south, east, north) == pytest.approx((9.0, 47.8533, 9.0094, 47.8587), abs=2e-4)
    mercator = Transformer.from_crs(4326, 3857, always_xy=True)
    (left, bottom), (right, top) = mercator.transform(west, south), mercator.transform(east, north)
    assert (right - left) / shown.size[0] == pytest.approx((top - bottom) / shown.size[1], rel=0.01)
    places = np.random.default_rng(1).uniform((500_010, 5_300_010), (500_690, 5_300_590), (400, 2))
    # Away from class edges and from the empty corner, where the nearest cell decides.
    near = np.array([[hill(places[:, 0] + dx, places[:, 1] + dy) for dx in (-4, 0, 4)] for dy in (-4, 0, 4)])
    classes = noise_palette().classes(near)
    clear = (classes == classes[1, 1]).all(axis=(0, 1))
    assert clear.sum() > 100
    assert (classes[1, 1][clear] == -1).any()
    x, y = Transformer.from_crs(UTM, 3857, always_xy=True).transform(*places[clear].T)
    column = ((x - left) / (right - left) * shown.size[0]).astype(int)
    row = ((top - y) / (top - bottom) * shown.size[1]).astype(int)
    expected = noise_palette().rgba(near[1, 1][clear])
    assert np.array_equal((image[row, column] * 255).round().astype(int), expected)


def test_a_picture_is_transparent_beside_a_field_without_a_no_data_value(tmp_path):
    turned = Affine.translation(500_000, 5_300_000) @ Affine.rotation(45) @ Affine.scale(1, -1)
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        width=90,
        height=90,
        count=1,
        dtype="float32",
        crs=UTM,
        transform=turned,
    ) as data:
        data.write(np.full((1, 90, 90), 57.0, dtype="float32"))
    shown = imread(io.BytesIO(picture(tmp_path / "a.tif", noise_palette()).png), format="png")
    assert shown[0, 0, 3] == shown[-1, -1, 3] == 0
    assert (shown[shown.shape[0] // 2, shown.shape[1] // 2, :3] * 255).round().tolist() == [0xF3, 0xC6, 0x83]
    assert 0.4 < (shown[..., 3] > 0).mean() < 0.6


def test_contours_of_a_cone_are_circles(tmp_path):
    centre = np.array([500_350, 5_300_300])
    field = written(tmp_path / "a.tif", lambda x, y: np.hypot(x - centre[0], y - centre[1]), step=2.0)
    lines = contours(field.file, [200, 100])
    assert lines.crs == UTM
    assert lines["level"].tolist() == [100, 200]
    for radius, line in zip(lines["level"], lines.geometry):
        distance = np.linalg.norm(shapely.get_coordinates(line) - centre, axis=1)
        assert np.abs(distance - radius).max() < 2**2 / (8 * 100) * 1.5  # the chord of a cell under its arc
        assert line.length == pytest.approx(2 * np.pi * radius, rel=1e-3)
        assert line.is_closed


def test_contours_of_a_plane_are_straight_and_end_where_data_end(tmp_path):
    field = written(
        tmp_path / "a.tif", lambda x, y: np.where(y > 5_300_400, np.nan, (x - 500_000) + 2 * (y - 5_300_000))
    )
    (line,) = contours(field.file, [600.25]).geometry
    xy = shapely.get_coordinates(line) - [500_000, 5_300_000]
    assert np.allclose(xy @ [1, 2], 600.25, atol=1e-3)
    assert xy[:, 1].max() <= 399.5
    assert xy[:, 1].min() == pytest.approx(0.5, abs=1)
    assert contours(field.file, [5_000]).empty
    assert isinstance(contours(field.file, []), gpd.GeoDataFrame)


def test_contours_of_a_large_field_are_thinned(tmp_path, monkeypatch):
    field = written(tmp_path / "a.tif", lambda x, y: x + 0 * y)
    monkeypatch.setattr(fields, "LARGEST_CONTOURED", 5_000)
    (line,) = contours(field.file, [500_300]).geometry
    assert len(line.coords) < 120
    assert np.abs(shapely.get_coordinates(line)[:, 0] - 500_300).max() < 10


@pytest.mark.slow
def test_memory_does_not_grow_with_the_grid(tmp_path):
    code = f"""
    import resource
    from pathlib import Path
    import numpy as np
    from geodata.fields import write_field
    write_field(
        Path({str(tmp_path / "a.tif")!r}), lambda x, y: 50 + 20 * np.sin(x / 300) * np.cos(y / 500),
        (500_000, 5_300_000, 510_000, 5_310_000), "EPSG:32632", 1, unit="dB(A)", description="Lden",
    )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    used = subprocess.check_output([sys.executable, "-c", textwrap.dedent(code)], text=True)
    assert int(used) < 512 * 1024, "kB for 100 million cells"
