"""Fields of noise and air: written as cloud-optimised GeoTIFF, shown in classes, as pictures and contour lines."""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import geopandas as gpd
import numpy as np
import pyproj
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from contourpy import contour_generator
from matplotlib.image import imsave
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from geodata.errors import GeodataError
from geodata.language import ENGLISH, Language
from geodata.rasters import corner_bounds

FloatArray = NDArray[np.float64]
Block = Callable[[int, int, int, int], NDArray[np.floating]]

NODATA = -9999.0
"""Stands for no value in the files."""

CACHE = 128
"""Blocks that GDAL keeps in memory, MB; its own rule is a share of the machine, and the first limit of a process holds."""
NOISE_EDGES = tuple(float(edge) for edge in range(35, 85, 5))
"""Class edges of noise maps, dB(A)."""
NOISE_COLOURS = (
    "#82A6AD",
    "#A0BABF",
    "#B8D6D1",
    "#CEE4CC",
    "#E2F2BF",
    "#F3C683",
    "#E87E4D",
    "#CD463E",
    "#A11A4D",
    "#75085C",
    "#430A4A",
)
"""From below 35 dB(A) to 80 and more: B. Weninger, "A color scheme for the presentation of sound immission in maps",
Euronoise 2015, Maastricht; tested there with readers who do not see red and green apart."""
CHANGE_COLOURS = ("#1F4E79", "#4F86B8", "#9CC1DF", "#F7F7F7", "#F9C58D", "#DE7E2C", "#8C3B06")
"""Blue for less, white for no change, orange for more."""
LONGEST_PICTURE = 1500
"""Pixels on the longer side of a picture."""
LARGEST_CONTOURED = 4_000_000
"""Cells read for contour lines; larger fields are thinned to that."""


@dataclass(frozen=True)
class Palette:
    """Classes of a field and how each is shown.

    Class 0 lies below ``edges[0]``; class i holds ``edges[i - 1] <= value < edges[i]``; the last is open above.

    Attributes
    ----------
    edges : tuple of float
        Ascending, in `unit`.
    colours : tuple of str
        One ``#rrggbb`` a class, one more than edges.
    labels : tuple of str
        One a class, with the unit.
    unit : str
    title : str
        Heading of the legend.
    """

    edges: tuple[float, ...]
    colours: tuple[str, ...]
    labels: tuple[str, ...]
    unit: str
    title: str

    def __post_init__(self) -> None:
        if not self.edges or any(a >= b for a, b in pairwise(self.edges)):
            raise GeodataError(f"palette {self.title!r}: edges {self.edges}; at least one, ascending, is expected")
        if not len(self.colours) == len(self.labels) == len(self.edges) + 1:
            raise GeodataError(
                f"palette {self.title!r}: {len(self.edges)} edges, {len(self.colours)} colours, {len(self.labels)} labels; "
                "one colour and one label more than edges are expected"
            )

    def classes(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the class of each value, −1 where there is none (NaN)."""
        found = np.searchsorted(np.asarray(self.edges), values, side="right").astype(np.int64)
        return np.where(np.isnan(values), -1, found)

    def rgba(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return colours, shape (..., 4), 0 to 255; transparent where a value is NaN."""
        table = np.array(
            [(*bytes.fromhex(colour[1:]), 255) for colour in self.colours] + [(0, 0, 0, 0)], dtype=np.uint8
        )
        return table[self.classes(values)]


def palette_of(
    edges: Sequence[float], colours: Sequence[str], unit: str, title: str, language: Language = ENGLISH
) -> Palette:
    """Return a palette whose labels are made from its edges ("55–60 dB(A)")."""
    text = [f"{edge:g}".replace("-", "−") for edge in edges]
    between = [language("{low} to {high} {unit}", low=low, high=high, unit=unit) for low, high in pairwise(text)]
    labels = (f"< {text[0]} {unit}", *between, f"≥ {text[-1]} {unit}")
    return Palette(tuple(float(edge) for edge in edges), tuple(colours), labels, unit, title)


def noise_palette(title: str = "Noise", language: Language = ENGLISH) -> Palette:
    """Return classes of 5 dB from below 35 to 80 dB(A) and more."""
    return palette_of(NOISE_EDGES, NOISE_COLOURS, "dB(A)", title, language)


def change_palette(edges: Sequence[float], unit: str, title: str = "Change", language: Language = ENGLISH) -> Palette:
    """Return classes symmetric about 0: blue for less, white within the smallest edge, orange for more.

    Parameters
    ----------
    edges : sequence of 3 float
        Above zero, ascending, such as (1, 3, 6) dB.
    """
    if len(edges) != 3 or not edges[0] > 0:
        raise GeodataError(f"edges = {tuple(edges)}: three above 0 are expected, such as (1, 3, 6)")
    return palette_of([-edge for edge in reversed(edges)] + list(edges), CHANGE_COLOURS, unit, title, language)


def qgis_style(palette: Palette) -> str:
    """Return a QGIS layer style (.qml): one band, discrete classes, labels with units.

    QGIS opens ``name.tif`` with the colours of ``name.qml`` beside it; no-data cells are transparent there. Its classes
    include their upper end, so each ends just below an edge. A float raster holds no colour table of its own: TIFF
    has them for whole numbers only.
    """
    tops = [*(repr(_just_below(edge)) for edge in palette.edges), "inf"]
    items = "\n".join(
        f'          <item value="{top}" color="{colour}" alpha="255" label={quoteattr(label)}/>'
        for top, colour, label in zip(tops, palette.colours, palette.labels, strict=True)
    )
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.16" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="" classificationMin="{palette.edges[0]!r}" classificationMax="{palette.edges[-1]!r}">
      <rasterTransparency/>
      <rastershader>
        <colorrampshader colorRampType="DISCRETE" classificationMode="1" clip="0">
{items}
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
</qgis>
"""


def gdal_colours(palette: Palette) -> str:
    """Return a colour table for ``gdaldem color-relief -alpha``, which interpolates: each edge stands twice."""
    colours = [" ".join(str(part) for part in bytes.fromhex(colour[1:])) + " 255" for colour in palette.colours]
    lines = [f"# {palette.title}, {palette.unit}", "nv 0 0 0 0"]
    for edge, below, above in zip(palette.edges, colours[:-1], colours[1:], strict=True):
        lines += [f"{_just_below(edge)!r} {below}", f"{edge!r} {above}"]
    return "\n".join(lines) + "\n"


def _just_below(edge: float) -> float:
    """Return the largest number that a file of float32 can hold below an edge."""
    return float(np.nextafter(np.float32(edge), np.float32(-np.inf)))


@dataclass(frozen=True)
class Grid:
    """Square cells in rows from the north-west corner.

    Attributes
    ----------
    west, north : float
        Corner, m.
    step : float
        Side of a cell, m.
    width, height : int
        Cells.
    """

    west: float
    north: float
    step: float
    width: int
    height: int

    @classmethod
    def over(cls, bounds: Sequence[float], step: float) -> Grid:
        """Return the grid that covers bounds (west, south, east, north; m), its last cells reaching beyond them."""
        west, south, east, north = (float(edge) for edge in bounds)
        if not (math.isfinite(step) and step > 0):
            raise GeodataError(f"step = {step}: the side of a cell lies above 0 m")
        if not all(map(math.isfinite, (west, south, east, north))) or not (west < east and south < north):
            raise GeodataError(f"bounds = {tuple(bounds)}: west < east and south < north are expected, m")
        width, height = (max(1, math.ceil(side / step - 1e-6)) for side in (east - west, north - south))
        return cls(west, north, float(step), width, height)

    @property
    def transform(self) -> Affine:
        """From columns and rows to metres."""
        return Affine(self.step, 0.0, self.west, 0.0, -self.step, self.north)

    def windows(self, side: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield row, column, height and width of blocks of at most side · side cells."""
        for row in range(0, self.height, side):
            for column in range(0, self.width, side):
                yield row, column, min(side, self.height - row), min(side, self.width - column)

    def centres(self, row: int, column: int, height: int, width: int) -> tuple[FloatArray, FloatArray]:
        """Return x and y of cell centres of a block, shape (height, width), m."""
        x = self.west + (column + np.arange(width) + 0.5) * self.step
        y = self.north - (row + np.arange(height) + 0.5) * self.step
        across, down = np.meshgrid(x, y)
        return across, down


@dataclass(frozen=True)
class Field:
    """What was written: the file and the values of its cells.

    Attributes
    ----------
    file : Path
    grid : Grid
    unit : str
    minimum, maximum, mean, stddev : float
        Of the cells with a value, in `unit`; the mean is the plain mean of the numbers, as GDAL counts it.
    valid : float
        Share of cells with a value, 0 to 1.
    """

    file: Path
    grid: Grid
    unit: str
    minimum: float
    maximum: float
    mean: float
    stddev: float
    valid: float


def write_field(
    file: Path,
    compute: Callable[[FloatArray, FloatArray], NDArray[np.floating]],
    bounds: Sequence[float],
    crs: Any,
    step: float,
    *,
    unit: str,
    description: str,
    palette: Palette | None = None,
    window: int = 512,
    tags: Mapping[str, str] | None = None,
) -> Field:
    """Compute a field cell by cell and write it as a cloud-optimised GeoTIFF (float32).

    Only one window is held at a time, so that memory does not grow with the grid. Overviews repeat single cells; they
    do not average levels. The file takes its name when it is complete.

    Parameters
    ----------
    compute : callable
        Takes x and y of cell centres, shape (rows, columns), m, and returns values of that shape; whatever is not
        finite counts as no data.
    bounds : sequence of 4 float
        West, south, east, north, m.
    crs : CRS, str or int
        Projected, in metres.
    step : float
        Side of a cell, m.
    unit : str
        Such as ``dB(A)``.
    description : str
        Of the band.
    palette : Palette, optional
        Written beside the file as a QGIS style (.qml) and as colours for ``gdaldem color-relief`` (.colours.txt).
    window : int
        Cells on a side of what is computed at once.
    tags : mapping, optional
        Metadata of the file.

    Raises
    ------
    GeodataError
        When bounds, step or CRS are no grid in metres, or no cell has a value.
    """
    grid = Grid.over(bounds, step)

    def block(row: int, column: int, height: int, width: int) -> NDArray[np.floating]:
        return compute(*grid.centres(row, column, height, width))

    return _write(file, grid, _metric(crs), block, unit, description, palette, window, tags or {})


def difference(
    plan: Path,
    today: Path,
    file: Path,
    *,
    description: str,
    palette: Palette | None = None,
    window: int = 512,
    tags: Mapping[str, str] | None = None,
) -> Field:
    """Write the plan minus today, cell by cell; no data where either has none.

    The unit is that of both, dB for levels in dB(A).

    Raises
    ------
    GeodataError
        When the two are not of one grid, CRS and unit.
    """
    with rasterio.Env(GDAL_CACHEMAX=CACHE), rasterio.open(plan) as after, rasterio.open(today) as before:
        for name, one, other in (
            ("coordinate reference system", after.crs, before.crs),
            ("width and height", after.shape, before.shape),
            ("corner and cell size", tuple(after.transform)[:6], tuple(before.transform)[:6]),
            ("unit", after.units[0], before.units[0]),
        ):
            if one != other:
                raise GeodataError(
                    f"{plan} and {today}: {name} {one} and {other}; fields of one grid and unit are expected"
                )
        transform = after.transform
        grid = Grid(transform.c, transform.f, transform.a, after.width, after.height)

        def block(row: int, column: int, height: int, width: int) -> NDArray[np.floating]:
            part = Window(column, row, width, height)
            one, other = (
                data.read(1, window=part, masked=True).astype(np.float64).filled(np.nan) for data in (after, before)
            )
            return np.asarray(one - other)

        unit = (after.units[0] or "").replace("dB(A)", "dB")
        return _write(file, grid, after.crs, block, unit, description, palette, window, tags or {})


def _metric(crs: Any) -> rasterio.crs.CRS:
    """Return a CRS for rasterio; one in degrees or feet is an error."""
    try:
        known = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise GeodataError(
            f"crs = {crs!r}: not a coordinate reference system ({error}); give e.g. EPSG:25832"
        ) from error
    if not known.is_projected or any(axis.unit_name not in ("metre", "meter") for axis in known.axis_info[:2]):
        raise GeodataError(
            f"crs = {known.name!r}: a projected coordinate reference system in metres is expected, e.g. EPSG:25832"
        )
    return rasterio.crs.CRS.from_wkt(known.to_wkt())


def _write(
    file: Path,
    grid: Grid,
    crs: Any,
    block: Block,
    unit: str,
    description: str,
    palette: Palette | None,
    window: int,
    tags: Mapping[str, str],
) -> Field:
    """Fill a plain GeoTIFF block by block, turn it into a cloud-optimised one, and put it in place."""
    count, mean, squares, low, high = 0, 0.0, 0.0, math.inf, -math.inf
    # The folder stands beside the target: a file only changes its name at once within one file system.
    file.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.Env(GDAL_CACHEMAX=CACHE), tempfile.TemporaryDirectory(prefix=".field-", dir=file.parent) as folder:
        plain, finished = Path(folder) / "plain.tif", Path(folder) / "finished.tif"
        with rasterio.open(
            plain,
            "w",
            driver="GTiff",
            width=grid.width,
            height=grid.height,
            count=1,
            dtype="float32",
            crs=crs,
            transform=grid.transform,
            nodata=NODATA,
            tiled=True,
            blockxsize=512,
            blockysize=512,
            compress="deflate",
            zlevel=1,
            bigtiff="if_safer",
        ) as data:
            data.units = (unit,)
            data.set_band_description(1, description)
            for row, column, height, width in grid.windows(window):
                values = np.asarray(block(row, column, height, width))
                if values.shape != (height, width):
                    raise GeodataError(
                        f"{file}: compute returned shape {values.shape} for {height} · {width} cells; one value a cell is expected"
                    )
                stored = values.astype(np.float32)
                there = np.isfinite(stored)
                data.write(np.where(there, stored, np.float32(NODATA)), 1, window=Window(column, row, width, height))
                part = stored[there].astype(np.float64)
                if len(part):
                    # Chan, Golub and LeVeque (1979): mean and squares of two parts from those of each.
                    apart, total = part.mean() - mean, count + len(part)
                    squares += float(((part - part.mean()) ** 2).sum()) + apart**2 * count * len(part) / total
                    mean += float(apart * len(part) / total)
                    count, low, high = total, min(low, float(part.min())), max(high, float(part.max()))
            if not count:
                raise GeodataError(f"{file}: no cell of the field has a value; check bounds and sources")
            stddev, valid = math.sqrt(squares / count), count / (grid.width * grid.height)
            data.update_tags(**tags)
            data.update_tags(
                1,
                STATISTICS_MINIMUM=repr(low),
                STATISTICS_MAXIMUM=repr(high),
                STATISTICS_MEAN=repr(mean),
                STATISTICS_STDDEV=repr(stddev),
                STATISTICS_VALID_PERCENT=f"{100 * valid:.4g}",
            )
        rasterio.shutil.copy(
            plain,
            finished,
            driver="COG",
            compress="deflate",
            predictor="yes",
            blocksize=512,
            overview_resampling="nearest",
            bigtiff="if_safer",
        )
        if palette is not None:
            for ending, text in ((".qml", qgis_style(palette)), (".colours.txt", gdal_colours(palette))):
                style = Path(folder) / f"style{ending}"
                style.write_text(text, encoding="utf-8")
                style.replace(file.with_suffix(ending))
        finished.replace(file)
    return Field(file, grid, unit, low, high, mean, stddev, valid)


@dataclass(frozen=True)
class Picture:
    """A field as an image to lay over a web map.

    Attributes
    ----------
    png : bytes
        RGBA in Web Mercator (EPSG:3857), transparent without data.
    bounds : tuple of float
        West, south, east, north of the image, degrees (WGS84).
    size : tuple of int
        Width and height, pixels.
    """

    png: bytes
    bounds: tuple[float, float, float, float]
    size: tuple[int, int]


def picture(file: Path, palette: Palette, longest: int = LONGEST_PICTURE) -> Picture:
    """Return a field as a web map lays it over its tiles; each pixel shows the nearest cell."""
    with rasterio.open(file) as field:
        mercator = "EPSG:3857"
        west, south, east, north = transform_bounds(field.crs, mercator, *corner_bounds(field))
        cell = max(
            (east - west) / field.width, (north - south) / field.height, max(east - west, north - south) / longest
        )
        across, down = max(1, round((east - west) / cell)), max(1, round((north - south) / cell))
        transform = Affine((east - west) / across, 0.0, west, 0.0, (south - north) / down, north)
        with WarpedVRT(
            field,
            crs=mercator,
            transform=transform,
            width=across,
            height=down,
            resampling=Resampling.nearest,
            # Beside a file without a no-data value there would be zeros.
            nodata=NODATA if field.nodata is None else field.nodata,
        ) as warped:
            values = warped.read(1, masked=True).astype(np.float64).filled(np.nan)
            bounds = transform_bounds(mercator, "EPSG:4326", *warped.bounds)
    image = io.BytesIO()
    imsave(image, palette.rgba(values), format="png")
    return Picture(image.getvalue(), bounds, (across, down))


def contours(file: Path, levels: Sequence[float]) -> gpd.GeoDataFrame:
    """Return lines of equal value.

    Values stand at cell centres and change linearly between them; lines end where a cell has no data. Fields of
    more than four million cells are thinned to that.

    Returns
    -------
    GeoDataFrame
        ``level`` and a LineString a row, in the CRS of the file; by level.
    """
    with rasterio.open(file) as field:
        shrink = max(1.0, math.sqrt(field.width * field.height / LARGEST_CONTOURED))
        across, down = max(1, int(field.width / shrink)), max(1, int(field.height / shrink))
        values = field.read(1, masked=True, out_shape=(down, across)).astype(np.float64)
        per_column, per_row = field.width / across, field.height / down
        a, b, c, d, e, f = tuple(field.transform)[:6]
        crs = field.crs
    values = np.ma.masked_invalid(values)
    found: list[float] = []
    lines: list[shapely.LineString] = []
    if min(across, down) > 1 and not values.mask.all():
        generator = contour_generator(np.arange(across) + 0.5, np.arange(down) + 0.5, values)
        for level in sorted(float(level) for level in levels):
            for line in generator.lines(level):
                cells = np.asarray(line)
                column, row = cells[:, 0] * per_column, cells[:, 1] * per_row
                lines.append(shapely.linestrings(a * column + b * row + c, d * column + e * row + f))
                found.append(level)
    return gpd.GeoDataFrame({"level": np.array(found, dtype=float)}, geometry=lines, crs=crs)
