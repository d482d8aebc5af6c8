"""Rasters of noise and air, read at points and over parcels.

Values are read in dB(A) or µg/m³ whatever the file holds. A mean of levels is the level of the mean energy.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pyproj
import rasterio
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.feature import JSONFeatureSource
from exactextract.raster import RasterSource as CellSource
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from geodata.errors import GeodataError

FloatArray = NDArray[np.float64]
Kind = Literal["noise", "air", "number"]

REFERENCE_PRESSURE = 20e-6
"""Sound pressure of 0 dB, Pa (ISO 1683)."""
NO2_FROM_PPB = 1.88
"""µg/m³ of NO2 in one ppb at 25 °C and 1013 hPa: 46.0055 g/mol over 24.465 l/mol."""
UNITS: Mapping[str, Mapping[str, str]] = {
    "noise": {"dB(A)": "dB(A)", "dBA": "dB(A)", "Pa2": "Pa2", "Pa²": "Pa2"},
    "air": {
        "µg/m3": "µg/m³",
        "ug/m3": "µg/m³",
        "µg/m³": "µg/m³",
        "μg/m³": "µg/m³",
        "μg/m3": "µg/m³",
        "mg/m3": "mg/m³",
        "mg/m³": "mg/m³",
        "ppb NO2": "ppb NO2",
    },
}
"""Spellings of units that are understood, and the unit each means; plain dB is left to differences of levels."""
PLAUSIBLE: Mapping[str, tuple[float, float]] = {"noise": (0.0, 140.0), "air": (0.0, 1000.0)}
"""Smallest and largest value outdoors, dB(A) and µg/m³."""
QUIETEST_MAXIMUM = 15.0
"""No district is this quiet everywhere, dB(A): a raster that says so holds pressures."""
LOUDEST_MINIMUM = 100.0
"""No district is this loud everywhere, dB(A): squared pressures that say so are levels."""
CLEANEST_MAXIMUM = 0.1
"""No district's air is this clean everywhere, µg/m³: a raster that says so holds mg/m³."""
COVERED = 0.99
"""Share of a parcel that cells with a value must cover."""
MOST_CELLS = 16_000_000
"""Cells around one polygon, read at once: exactextract 0.3 may crash where it cuts up polygons with holes."""
NAMED = 5
"""Places named in a message."""


@dataclass(frozen=True)
class RasterSource:
    """A band of a raster file and what its numbers mean.

    Attributes
    ----------
    file : Path
        GeoTIFF or whatever else GDAL reads, in any CRS.
    kind : str
        ``noise`` (read in dB(A)), ``air`` (read in µg/m³) or ``number`` (left as it is, no range expected).
    unit : str
        Of the file. Noise: ``dB(A)`` or ``Pa2`` (squared sound pressure). Air: ``µg/m3``, ``mg/m3`` or ``ppb NO2``
        (1.88 µg/m³ each, 25 °C; other gases have other factors, convert them first). Numbers: any.
    band : int
        From 1.
    scale, offset : float, optional
        Value = stored number · scale + offset. Without them those of the file apply.
    missing : float, optional
        Assumed where the raster has no value, in dB(A), µg/m³ or the unit of the number; without it every place must
        be covered.
    """

    file: Path
    kind: Kind
    unit: str
    band: int = 1
    scale: float | None = None
    offset: float | None = None
    missing: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("noise", "air", "number"):
            raise GeodataError(f"{self.file}: kind = {self.kind!r}; 'noise', 'air' or 'number' is expected")
        if self.kind != "number" and self.unit not in UNITS[self.kind]:
            hint = "; ppb needs its gas: write 'ppb NO2', convert others to µg/m3" if "ppb" in self.unit else ""
            raise GeodataError(
                f"{self.file}: unit = {self.unit!r}; {self.kind} is read from {', '.join(UNITS[self.kind])}{hint}"
            )
        for name, value in (("scale", self.scale), ("offset", self.offset), ("missing", self.missing)):
            if value is not None and not math.isfinite(value):
                raise GeodataError(f"{self.file}: {name} = {value}; a finite number is expected")
        least, most = PLAUSIBLE.get(self.kind, (-math.inf, math.inf))
        if self.missing is not None and not least <= self.missing <= most:
            raise GeodataError(
                f"{self.file}: missing = {self.missing}; {least:g} to {most:g} {self.read_unit} is expected"
            )

    @property
    def read_unit(self) -> str:
        """Unit of the values after reading."""
        return {"noise": "dB(A)", "air": "µg/m³"}.get(self.kind, self.unit)

    @property
    def stored_unit(self) -> str:
        """Unit of the file in its usual spelling."""
        return UNITS.get(self.kind, {}).get(self.unit, self.unit)


@dataclass(frozen=True)
class Readings:
    """Values of a raster at places.

    Attributes
    ----------
    values : ndarray, shape (places,)
        dB(A), µg/m³ or the unit of the number.
    covered : ndarray, shape (places,)
        Share of each place that cells with a value cover, 0 to 1.
    findings : tuple of str
        How many values were assumed.
    """

    values: FloatArray
    covered: FloatArray
    findings: tuple[str, ...]


def sample(source: RasterSource, points: gpd.GeoSeries | gpd.GeoDataFrame, ids: Sequence[str]) -> Readings:
    """Return the value of the cell that each point lies in; nothing is interpolated between cells.

    Parameters
    ----------
    points : GeoSeries or GeoDataFrame
        Points in any CRS.
    ids : sequence of str
        Name of each, for messages.

    Raises
    ------
    GeodataError
        When the raster cannot be read, lies elsewhere, holds implausible values, or leaves points without a value
        and the source says no `missing`.
    """
    odd = shapely.get_type_id(np.asarray(points.geometry.array)) != shapely.GeometryType.POINT
    odd |= np.asarray(points.geometry.is_empty)
    if odd.any():
        raise GeodataError(f"points: {_names(ids, odd)} not a point; take a point of each, or summarise polygons")
    with _opened(source) as data:
        cells = _in_cells(data, source, points)
        inside = _near(data, cells)
        _must_overlap(data, source, points, inside)
        xy = shapely.get_coordinates(cells[inside])
        column = np.clip(np.floor(xy[:, 0]).astype(np.int64), 0, data.width - 1)
        row = np.clip(np.floor(-xy[:, 1]).astype(np.int64), 0, data.height - 1)
        values = np.full(len(cells), np.nan)
        values[inside] = _pick(_Cells(data, source), row, column)
    has = ~np.isnan(values)
    _must_be_plausible(source, values[has])
    findings = _assumed(source, ids, ~has)
    return Readings(
        np.where(has, values, source.missing if source.missing is not None else np.nan), has * 1.0, findings
    )


def summarise(
    source: RasterSource, shapes: gpd.GeoSeries | gpd.GeoDataFrame, ids: Sequence[str], statistic: str = "mean"
) -> Readings:
    """Return one value a polygon, each cell weighted by the area it shares with the polygon.

    The mean of noise is the energy mean 10 · lg(Σ aᵢ · 10^(Lᵢ/10) / Σ aᵢ). Percentiles rank cells by value: the
    90th is the level that 90 % of the area stays below.

    Parameters
    ----------
    shapes : GeoSeries or GeoDataFrame
        Polygons in any CRS.
    ids : sequence of str
        Name of each, for messages.
    statistic : str
        ``mean``, ``min``, ``max`` or ``percentile N`` with N from 0 to 100.

    Raises
    ------
    GeodataError
        When the raster cannot be read, lies elsewhere, holds implausible values, or covers less than 99 % of a
        polygon and the source says no `missing`. With `missing`, uncovered parts of such polygons count with it.
    """
    operation = _operation(statistic)
    energy = source.kind == "noise" and operation == "mean"
    flat = ~(shapely.area(np.asarray(shapes.geometry.array)) > 0)
    if flat.any():
        raise GeodataError(f"shapes: {_names(ids, flat)} without an area; polygons are expected")
    with _opened(source) as data:
        cells = _in_cells(data, source, shapes)
        area = shapely.area(cells)
        near = _near(data, cells)
        _must_overlap(data, source, shapes, near)
        west, south, east, north = shapely.bounds(cells).T
        large = near & ((east - west) * (north - south) > MOST_CELLS)
        if large.any():
            raise GeodataError(
                f"{source.file}: {_names(ids, large)} spans more than {MOST_CELLS:,} cells; divide it, or give a coarser raster"
            )
        values, covered = np.full(len(cells), np.nan), np.zeros(len(cells))
        low, high = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
        found = _extract(_Cells(data, source, energy=energy), cells[near], ["count", operation, "min", "max"])
        covered[near] = np.minimum(found[0] / area[near], 1.0)
        values[near], low[near], high[near] = found[1:]
        lacking = covered < COVERED
        if source.missing is not None and (lacking & near).any():
            rest = lacking & near
            filled = _Cells(data, source, energy=energy, fill=source.missing, around=cells[rest])
            values[rest] = _extract(filled, cells[rest], [operation])[0]
        if energy:
            # Energies of values that are no levels may be 0 or infinite; the message needs the values.
            if (low == 0).any() or np.isinf(high).any():
                low[near], high[near] = _extract(_Cells(data, source), cells[near], ["min", "max"])
            else:
                low, high = 10 * np.log10(low), 10 * np.log10(high)
            with np.errstate(divide="ignore"):
                values = 10 * np.log10(values)
    if source.missing is not None:
        values[~near] = source.missing
    seen = covered > 0
    _must_be_plausible(source, np.concatenate([low[seen], high[seen]]))
    return Readings(values, covered, _assumed(source, ids, lacking))


def _operation(statistic: str) -> str:
    """Return what exactextract calls a statistic."""
    if statistic in ("mean", "min", "max"):
        return statistic
    rank = re.fullmatch(r"percentile (\d+(?:\.\d+)?)", statistic)
    if rank is None or float(rank[1]) > 100:
        raise GeodataError(f"statistic = {statistic!r}; 'mean', 'min', 'max' or 'percentile 90' is expected")
    return f"quantile(q={float(rank[1]) / 100!r})"


@contextmanager
def _opened(source: RasterSource) -> Iterator[Any]:
    """Open a raster whose place on Earth is known and that has the band."""
    if not source.file.exists():
        raise GeodataError(f"{source.file}: no such file; give the path of a raster")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            data = rasterio.open(source.file)
        except RasterioIOError as error:
            raise GeodataError(
                f"{source.file}: not a raster that GDAL reads ({error}); a GeoTIFF is expected"
            ) from error
    with data:
        if not 1 <= source.band <= data.count:
            raise GeodataError(f"{source.file}: band = {source.band}; the file has bands 1 to {data.count}")
        if data.crs is None:
            raise GeodataError(
                f"{source.file}: no coordinate reference system; add one, e.g. gdal_edit.py -a_srs EPSG:25832 FILE"
            )
        if data.transform == Affine.identity():
            raise GeodataError(f"{source.file}: no georeference (cell size and corner); export it as GeoTIFF with one")
        stated = data.units[source.band - 1]
        if UNITS.get(source.kind, {}).get(stated, source.stored_unit) != source.stored_unit:
            raise GeodataError(
                f"{source.file}: unit = {source.unit!r}, but the file says {stated!r}; use that, or mend the file"
            )
        yield data


def _in_cells(data: Any, source: RasterSource, places: gpd.GeoSeries | gpd.GeoDataFrame) -> NDArray[Any]:
    """Return places in columns and negative rows of a raster, where turned and mirrored grids are plain."""
    if places.crs is None:
        raise GeodataError("places: no coordinate reference system; add one to their file")
    try:
        moved = places.geometry.to_crs(pyproj.CRS.from_wkt(data.crs.to_wkt()))
    except pyproj.exceptions.ProjError as error:
        raise GeodataError(
            f"{source.file}: coordinate reference system not usable ({error}); reproject the file"
        ) from error
    a, b, c, d, e, f = tuple(~data.transform)[:6]

    def cells(xy: FloatArray) -> FloatArray:
        x, y = xy.T
        with np.errstate(invalid="ignore"):
            return np.column_stack([a * x + b * y + c, -(d * x + e * y + f)])

    return np.asarray(shapely.transform(np.asarray(moved.array), cells))


def corner_bounds(data: Any) -> tuple[float, float, float, float]:
    """Return west, south, east and north of the four corners of an open raster, also of a turned one, in its CRS."""
    a, b, c, d, e, f = tuple(data.transform)[:6]
    x = [a * column + b * row + c for column in (0, data.width) for row in (0, data.height)]
    y = [d * column + e * row + f for column in (0, data.width) for row in (0, data.height)]
    return min(x), min(y), max(x), max(y)


def _near(data: Any, cells: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which places touch the raster; coordinates that the raster's CRS cannot express do not."""
    west, south, east, north = shapely.bounds(cells).T
    return np.asarray((west <= data.width) & (east >= 0) & (south <= 0) & (north >= -data.height))


def _must_overlap(
    data: Any, source: RasterSource, places: gpd.GeoSeries | gpd.GeoDataFrame, near: NDArray[np.bool_]
) -> None:
    if near.any():
        return
    there = transform_bounds(data.crs, "EPSG:4326", *corner_bounds(data))
    here = places.to_crs("EPSG:4326").total_bounds
    raise GeodataError(
        f"{source.file}: a raster of another place: it spans {_extent(there)}, the places {_extent(here)} (degrees); "
        "give the raster of this district, or correct a wrong coordinate reference system"
    )


def _extent(bounds: Sequence[float]) -> str:
    west, south, east, north = bounds
    return f"{west:.4f} to {east:.4f} east and {south:.4f} to {north:.4f} north"


class _Cells(CellSource):  # type: ignore[misc]
    """Values of a raster in its own columns and rows, read as they are asked for.

    Attributes
    ----------
    energy : bool
        Give 10^(L/10) in place of the level L.
    fill : float, optional
        In place of no value, also beyond the edges of the raster, as far as `around` reaches.
    """

    def __init__(
        self, data: Any, source: RasterSource, energy: bool = False, fill: float | None = None, around: Any = None
    ) -> None:
        super().__init__()
        self.data, self.source, self.energy, self.fill = data, source, energy, fill
        self.scale = source.scale if source.scale is not None else data.scales[source.band - 1]
        self.offset = source.offset if source.offset is not None else data.offsets[source.band - 1]
        self.box = (0, -data.height, data.width, 0)
        if around is not None:
            west, south, east, north = shapely.total_bounds(around)
            self.box = (
                min(0, math.floor(west)),
                min(-data.height, math.floor(south)),
                max(data.width, math.ceil(east)),
                max(0, math.ceil(north)),
            )

    def res(self) -> tuple[float, float]:
        return 1.0, 1.0

    def extent(self) -> tuple[float, float, float, float]:
        west, south, east, north = self.box
        return float(west), float(south), float(east), float(north)

    def nodata_value(self) -> None:
        return None

    def srs_wkt(self) -> None:
        return None

    def read_window(self, x0: int, y0: int, nx: int, ny: int) -> FloatArray:
        """Return values, shape (ny, nx), NaN where there is none; x0 and y0 count from the corner of the box."""
        left, top = x0 + self.box[0], y0 - self.box[3]
        levels = np.full((ny, nx), np.nan)
        first, last = max(left, 0), min(left + nx, self.data.width)
        upper, lower = max(top, 0), min(top + ny, self.data.height)
        if first < last and upper < lower:
            levels[upper - top : lower - top, first - left : last - left] = self.levels(
                upper, first, lower - upper, last - first
            )
        if self.fill is not None:
            levels[np.isnan(levels)] = self.fill
        if not self.energy:
            return levels
        with np.errstate(over="ignore"):
            return np.asarray(10 ** (levels / 10))

    def levels(self, row: int, column: int, height: int, width: int) -> FloatArray:
        """Return part of the raster in dB(A), µg/m³ or plain numbers; NaN where there is none."""
        try:
            stored = self.data.read(self.source.band, window=Window(column, row, width, height), masked=True)
        except RasterioIOError as error:
            raise GeodataError(
                f"{self.source.file}: cannot be read to its end ({error}); fetch the file anew"
            ) from error
        values = np.asarray(stored.astype(np.float64).filled(np.nan)) * self.scale + self.offset
        unit = self.source.stored_unit if self.source.kind != "number" else ""
        if unit == "Pa2":
            # No pressure at all has no level; maps use 0 for places that were not computed.
            with np.errstate(divide="ignore", invalid="ignore"):
                values = 10 * np.log10(values / REFERENCE_PRESSURE**2)
        elif unit == "mg/m³":
            values *= 1000.0
        elif unit == "ppb NO2":
            values *= NO2_FROM_PPB
        values[~np.isfinite(values)] = np.nan
        return values


def _extract(cells: _Cells, shapes: NDArray[Any], operations: list[str]) -> FloatArray:
    """Return statistics of polygons, shape (operations, polygons)."""
    features = [{"type": "Feature", "properties": {}, "geometry": shape.__geo_interface__} for shape in shapes]
    once = list(dict.fromkeys(operations))
    found = exact_extract(cells, JSONFeatureSource(features), once, output="pandas", max_cells_in_memory=2 * MOST_CELLS)
    return np.asarray(found.to_numpy(dtype=float).T[[once.index(operation) for operation in operations]])


def _pick(cells: _Cells, row: NDArray[np.int64], column: NDArray[np.int64], block: int = 512) -> FloatArray:
    """Return the values of single cells, reading each block that holds one of them once."""
    values = np.empty(len(row))
    across = -(-cells.data.width // block)
    key = (row // block) * across + column // block
    order = np.argsort(key, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        if len(group):
            top, left = int(row[group].min()), int(column[group].min())
            part = cells.levels(top, left, int(row[group].max()) - top + 1, int(column[group].max()) - left + 1)
            values[group] = part[row[group] - top, column[group] - left]
    return values


def _must_be_plausible(source: RasterSource, values: FloatArray) -> None:
    """Refuse a raster without values or with values that its unit cannot mean."""
    if not len(values):
        raise GeodataError(f"{source.file}: no data under any of the places; give a raster that has values there")
    if source.kind not in PLAUSIBLE:
        return
    low, high = float(values.min()), float(values.max())
    least, most = PLAUSIBLE[source.kind]
    everywhere, swapped, other = {
        "dB(A)": (f"not below {QUIETEST_MAXIMUM:g}", high < QUIETEST_MAXIMUM, "squared pressure: unit = 'Pa2'"),
        "Pa2": (f"not above {LOUDEST_MINIMUM:g}", low > LOUDEST_MINIMUM, "levels: unit = 'dB(A)'"),
        "µg/m³": (f"not below {CLEANEST_MAXIMUM:g}", high < CLEANEST_MAXIMUM, "milligrams: unit = 'mg/m3'"),
        "mg/m³": (f"not below {CLEANEST_MAXIMUM:g}", high > most, "micrograms: unit = 'µg/m3'"),
        "ppb NO2": (f"not below {CLEANEST_MAXIMUM:g}", high < CLEANEST_MAXIMUM, "parts per million: scale = 1000"),
    }[source.stored_unit]
    if low < least:
        swapped, other = True, "a no-data value that the file does not declare, or a wrong scale or offset"
    if swapped or high > most:
        hint = other if swapped else "a wrong band, scale or unit"
        raise GeodataError(
            f"{source.file}: read as {source.stored_unit}, values under the places run from {low:.4g} to {high:.4g} "
            f"{source.read_unit}; expected {least:g} to {most:g}, and {everywhere} everywhere; the file may hold {hint}"
        )


def _names(ids: Sequence[str], which: NDArray[np.bool_]) -> str:
    rows = np.flatnonzero(which)
    rest = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return ", ".join(str(ids[row]) for row in rows[:NAMED]) + rest


def _assumed(source: RasterSource, ids: Sequence[str], lacking: NDArray[np.bool_]) -> tuple[str, ...]:
    """Say how many places got an assumed value; without one to assume, they are an error."""
    count = int(lacking.sum())
    if not count:
        return ()
    if source.missing is None:
        raise GeodataError(
            f"{source.file}: {count} of {len(lacking)} places not covered ({_names(ids, lacking)}); "
            f"give a raster that covers them, or say with 'missing' which {source.read_unit} to assume there"
        )
    return (
        f"{source.file.name}: {count} of {len(lacking)} places not covered, {source.missing:g} {source.read_unit} assumed "
        f"where the raster has no value ({_names(ids, lacking)})",
    )
