"""A written plan in other formats, chosen by a file's ending; each file appears whole or not at all."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from geodata.export import DIGITS, SHAPEFILE, write_csv, write_geojson, write_geoparquet, write_shapefile
from geodata.language import ENGLISH, Language
from geodata.solids import Place, write_cityjson
from optimizer.errors import StudyError
from optimizer.files import FILES, read_folder, read_slabs
from optimizer.sheet import write_sheet

TABLES = {".parquet": "GeoParquet", ".geojson": "GeoJSON", ".csv": "CSV", ".shp": "Shapefile"}
SHEETS = {".svg": "SVG", ".png": "PNG"}
CITYJSON = ".city.json"
ENDINGS = ", ".join([*TABLES, CITYJSON, *SHEETS])


def convert(
    folder: Path,
    file: Path,
    *,
    layer: str | None = None,
    scale: float | None = None,
    shorten: bool = False,
    words: Language = ENGLISH,
) -> list[Path]:
    """Write a plan in the format that a file's ending names.

    Parameters
    ----------
    folder : Path
        Of a written plan.
    file : Path
        ``.parquet``, ``.geojson``, ``.csv``, ``.shp``: a layer of ``plan.gpkg``; ``.city.json``: CityJSON with
        every storey as a solid; ``.svg``, ``.png``: the map for print.
    layer : str, optional
        ``parcels`` by default; a CSV of parcels then has its floors in a file beside it.
    scale : float, optional
        Of the map, 5000 for 1:5,000.
    shorten : bool
        Whether a shapefile may have shortened names, which a file beside it lists.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    StudyError, geodata.errors.GeodataError
        When the folder holds no plan, or the format does not hold what is asked.
    """
    ending = CITYJSON if file.name.lower().endswith(CITYJSON) else file.suffix.lower()
    _check(folder, file, ending, layer, scale, shorten)
    study, frame, _ = read_folder(folder)
    study.check_spared(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".upstairs-") as place:
            draft = Path(place) / file.name
            if ending in SHEETS:
                write_sheet(study, frame, draft, scale, words)
            elif ending == CITYJSON:
                write_cityjson(read_slabs(folder)[0], draft, Place(study.name, study.attribution))
            else:
                _write_table(folder, draft, ending, layer)
            parts = sorted(Path(place).iterdir(), key=lambda part: (part.name != file.name, part.name))
            # What was asked for comes last: where it is, the others are.
            for part in reversed(parts):
                part.replace(file.parent / part.name)
    except OSError as error:
        raise StudyError(f"{file}: cannot be written: {error.strerror or error}") from None
    return [file.parent / part.name for part in parts]


def _check(folder: Path, file: Path, ending: str, layer: str | None, scale: float | None, shorten: bool) -> None:
    """Make sure that what is asked goes together."""
    if ending == ".gpkg":
        raise StudyError(f"{file}: {folder / 'plan.gpkg'} is the plan as a GeoPackage; copy it")
    if ending not in (*TABLES, CITYJSON, *SHEETS):
        raise StudyError(f"{file}: no format ends in {ending or 'nothing'}; {ENDINGS} are known")
    if file.name in FILES and file.absolute().parent.resolve() == folder.resolve():
        raise StudyError(f"{file}: is a file of the plan itself; name another")
    if scale is not None and ending not in SHEETS:
        raise StudyError(f"--scale {scale:g}: {file} is no map for print; {' and '.join(SHEETS)} are")
    if layer is not None and ending not in TABLES:
        raise StudyError(f"--layer {layer}: {file} is of the whole plan; {', '.join(TABLES)} hold a layer")
    if shorten and ending != ".shp":
        raise StudyError(f"--shorten: {file} holds names as they are; only a shapefile cannot")
    if ending == ".shp" and not shorten:
        raise StudyError(
            f"{file}: a shapefile has {SHAPEFILE}, which a plan does not keep to. Give a file that ends in .parquet or "
            f".geojson, take {folder / 'plan.gpkg'}, or let names be shortened with --shorten"
        )


def _write_table(folder: Path, draft: Path, ending: str, layer: str | None) -> None:
    name = layer or "parcels"
    frame = _read(folder, name)
    if ending == ".csv":
        write_csv(_placed(frame.drop(columns="stack", errors="ignore")), draft)
        if layer is None:
            write_csv(_placed(_read(folder, "floors")), draft.with_name(f"{draft.stem}_floors.csv"))
    elif ending == ".geojson":
        write_geojson(frame, draft)
    elif ending == ".parquet":
        write_geoparquet(frame, draft)
    else:
        key = "parcel_id" if name == "parcels" else None
        write_csv(write_shapefile(frame, draft, key), draft.with_name(f"{draft.stem}_names.csv"))


def _read(folder: Path, layer: str) -> gpd.GeoDataFrame:
    """Read a layer of a plan's package, stacks as lists."""
    file = folder / "plan.gpkg"
    try:
        spatial = pyogrio.list_layers(file)
        there = [name for name, geometry in spatial if geometry is not None]
        if layer not in there:
            raise StudyError(
                f"{file}: no layer {layer!r}; {', '.join(there)} are there"
                + ("; write the plan again with `upstairs solve`" if layer == "floors" else "")
            )
        frame = gpd.read_file(file, layer=layer, engine="pyogrio")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise StudyError(f"{file}: cannot be read: {error}") from None
    if "stack" in frame:
        frame["stack"] = frame["stack"].map(json.loads)
    return frame


def _placed(frame: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return a table with a point inside each shape in place of it, degrees (WGS84)."""
    inside = frame.geometry.representative_point().to_crs(4326)
    longitude, latitude = np.round(shapely.get_coordinates(inside.to_numpy()), DIGITS).T
    return pd.DataFrame(frame.drop(columns=frame.geometry.name)).assign(longitude=longitude, latitude=latitude)
