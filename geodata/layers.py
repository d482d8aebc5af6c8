"""Layers of any vector file, and tables of databases, with digests of what was read."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pyogrio

from geodata.database import Table, read_table
from geodata.errors import GeodataError

PARQUET = (".parquet", ".geoparquet")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hashes(file: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that makes up a source: a folder's, or a Shapefile's, whose values lie beside it."""
    if file.is_dir():
        parts = [part for part in file.rglob("*") if part.is_file()]
    elif file.suffix.lower() == ".shp":
        beside = (".shx", ".dbf", ".prj", ".cpg")
        parts = [file, *(p for p in file.parent.glob(f"{file.stem}.*") if p.suffix.lower() in beside)]
    else:
        parts = [file]
    return {part.as_posix(): sha256(part) for part in sorted(parts)}


def read_source(source: Path | Table, layer: str | None = None) -> tuple[gpd.GeoDataFrame, dict[str, str]]:
    """Read a layer of a file, or a table of a database; return it and the SHA-256 of what was read.

    Raises
    ------
    GeodataError
        As `read_layer` and `geodata.database.read_table` do.
    """
    if isinstance(source, Table):
        frame, digest = read_table(source)
        return frame, {str(source): digest}
    return read_layer(source, layer), hashes(source)


def read_layer(file: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read one layer of any vector file that GDAL knows, or a GeoParquet file.

    Raises
    ------
    GeodataError
        No such file, not a vector file, several layers and none named, unknown or empty layer, no CRS.
    """
    if not file.exists():
        raise GeodataError(f"{file}: no such file; name a vector file (GeoPackage, GeoJSON, Shapefile, ...)")
    if file.suffix.lower() in PARQUET:
        name, frame = file.stem, _parquet(file, layer)
    else:
        name = layer_name(file, layer)
        try:
            frame = gpd.read_file(file, layer=name, engine="pyogrio")
        except RuntimeError as error:  # all of pyogrio's errors
            raise GeodataError(
                f"{file}: layer {name!r} cannot be read to its end: {error}; is the file whole?"
            ) from None
    if not isinstance(frame, gpd.GeoDataFrame):
        raise GeodataError(f"{file}: layer {name!r} has no geometry")
    if frame.empty:
        raise GeodataError(f"{file}: layer {name!r} is empty")
    if frame.crs is None:
        raise GeodataError(
            f"{file}: no coordinate reference system; add one to the file, e.g. `ogr2ogr -a_srs EPSG:26986 out.gpkg in`"
        )
    return frame


def columns_of(file: Path, layer: str | None = None) -> list[str]:
    """Return the names of a layer's columns without reading its features.

    Raises
    ------
    GeodataError
        No such file, not a vector file, several layers and none named, unknown layer.
    """
    if not file.exists():
        raise GeodataError(f"{file}: no such file; name a vector file (GeoPackage, GeoJSON, Shapefile, ...)")
    name = layer_name(file, layer)
    try:
        return [str(column) for column in pyogrio.read_info(file, layer=name)["fields"]]
    except RuntimeError as error:  # all of pyogrio's errors
        raise GeodataError(f"{file}: layer {name!r} cannot be read: {error}; is the file whole?") from None


def _parquet(file: Path, layer: str | None) -> gpd.GeoDataFrame:
    """Read a GeoParquet file, which GDAL's Python packages leave out."""
    if layer is not None:
        raise GeodataError(f"{file}: a GeoParquet file has no layers; leave `layer` out")
    try:
        return gpd.read_parquet(file)
    except (ValueError, OSError, TypeError) as error:  # pyarrow's errors are among them
        raise GeodataError(f"{file}: not a GeoParquet file that can be read: {error}") from None


def layer_name(file: Path, layer: str | None) -> str:
    """Return the name of the layer that is meant."""
    try:
        layers = [str(name) for name in pyogrio.list_layers(file)[:, 0]]
    except pyogrio.errors.DataSourceError as error:
        raise GeodataError(f"{file}: not a vector file that GDAL can read: {error}") from None
    if not layers:
        raise GeodataError(f"{file}: holds no layer")
    if layer is None and len(layers) > 1:
        raise GeodataError(f"{file}: holds {len(layers)} layers ({', '.join(layers)}); say which with `layer`")
    if layer is not None and layer not in layers:
        raise GeodataError(f"{file}: no layer {layer!r}{nearest(layer, layers)}; it holds {', '.join(layers)}")
    return layer or layers[0]


def nearest(name: str, valid: Sequence[str]) -> str:
    """Return words that name the nearest of some names; none where all are far."""
    lower = {v.lower(): v for v in valid}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.5)
    return f" (did you mean {lower[close[0]]!r}?)" if close else ""
