"""The files of a plan, written whole or not at all, and drawn again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pyogrio
import tomli_w

from geodata.export import plain, read_geojson, write_geojson
from geodata.language import ENGLISH, Language
from geodata.solids import Place, page_3d, slabs
from optimizer.errors import StudyError
from optimizer.package import write_package
from optimizer.plan_maps import draw, draw_way, use_styles, what_to_know
from optimizer.pollution import FILES as RASTERS
from optimizer.pollution import Say, write_rasters
from optimizer.report import report_page
from optimizer.scene import Scene, scene_of_folder
from optimizer.surroundings import receptor_tables

if TYPE_CHECKING:
    from optimizer.diagnose import Diagnosis
    from optimizer.plan import Plan
    from optimizer.study import Study

FILES = ("plan.geojson", "plan.gpkg", "map.html", "report.html", "result.json", "study.toml")
"""Of every plan; one whose rules look at pollution has rasters too, see `optimizer.pollution.FILES`."""
DRAWN_LATER = ("map3d.html", "report.pdf")
"""Of a plan that they were asked for; they go when another plan takes its place."""
DIAGNOSIS = ("diagnosis.json", "where.html")
"""Where there is no plan, beside the study."""


def percent(gap: float | None) -> str:
    """Return a gap for people; none is known where the score is 0."""
    return "unknown" if gap is None else f"{gap:.2%}"


def check_target(folder: Path) -> None:
    """Make sure that a plan may be written into a folder.

    Raises
    ------
    StudyError
        When it holds something that is not a plan.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not _ours(folder)):
        raise StudyError(f"{folder}: exists and holds no plan; name another folder with --out")
    _check_writable(folder)


def _ours(folder: Path) -> bool:
    """Whether a folder holds a plan, or the reason why there is none."""
    return any((folder / name).is_file() for name in ("result.json", "diagnosis.json"))


def _check_writable(folder: Path) -> None:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise StudyError(
            f"{folder}: cannot be written, since {there} is no folder that may be written to; name another"
        )


def write_plan(
    plan: Plan, folder: Path, say: Say | None = None, *, offline: bool = False, words: Language = ENGLISH
) -> Path:
    """Write a plan into a folder; it appears whole, in place of an earlier plan, or not at all.

    Where a rule looks at pollution, its rasters are among the files. ``say`` is told what is going on. The map asks no
    other host for anything where it is to work offline.

    Raises
    ------
    StudyError
        When the folder holds something that is not a plan, or cannot be written.
    """
    check_target(folder)
    with drafted(folder) as draft:
        frame = plan.to_frame()
        layers = plan.layers()
        write_geojson(frame, draft / "plan.geojson")
        tables = {"parcels": frame, **layers, "floors": plan.floors_frame(), **_around(plan)}
        write_package(plan.study, tables, plan.result, draft / "plan.gpkg", words)
        (draft / "study.toml").write_text(tomli_w.dumps(plan.study.to_dict()), encoding="utf-8")
        (draft / "result.json").write_text(
            json.dumps(plain(plan.result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if plan.study.polluted:
            write_rasters(plan, draft, say)
        chart = draw(plan.study, frame, plan.result, layers, draft, offline=offline, words=words)
        chart.save(str(draft / "map.html"))
        page = report_page(plan.study, frame, plan.result, layers, what_to_know(plan.study, words), words)
        (draft / "report.html").write_text(page, encoding="utf-8")
    return folder


def write_diagnosis(
    study: Study, found: Diagnosis, folder: Path, *, offline: bool = False, words: Language = ENGLISH
) -> Path:
    """Write why no plan satisfies a study's rules; all of it or nothing.

    ``diagnosis.json``, the study, and a map of where the cheapest way out lets rules give, where there is one.

    Raises
    ------
    StudyError
        When the folder holds a plan, which stays, or something else, or cannot be written.
    """
    check_target(folder)
    check_only(folder, (*DIAGNOSIS, "study.toml"), "a diagnosis")
    with drafted(folder) as draft:
        (draft / "study.toml").write_text(tomli_w.dumps(study.to_dict()), encoding="utf-8")
        (draft / "diagnosis.json").write_text(
            json.dumps(plain(found.to_dict()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if found.cheapest is not None:
            draw_way(study, found.cheapest, offline=offline, words=words).save(str(draft / "where.html"))
    return folder


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """Give a folder to write into whose files then move to their place; rasters and a diagnosis that are there and not in it go."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".upstairs-", dir=folder.parent))
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        yield draft
        draft.chmod(0o755)
        if folder.is_dir():
            new = {file.name for file in draft.iterdir()}
            for name in (*DIAGNOSIS, *RASTERS, *DRAWN_LATER):
                if name not in new:
                    (folder / name).unlink(missing_ok=True)
            for name in sorted(new, key=lambda name: (FILES.index(name) if name in FILES else -1, name)):
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
                (draft / name).replace(folder / name)
        else:
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_pollution(source: Path | Scene, folder: Path, say: Say | None = None) -> list[Path]:
    """Write rasters of a written plan, or of a district as it stands, into a folder; all of them or none.

    Parameters
    ----------
    source : Path or Scene
        Folder of a plan; its rasters may go there too. Or a scene of today.
    folder : Path
        Its earlier rasters go.

    Returns
    -------
    list of Path
        The GeoTIFFs.

    Raises
    ------
    StudyError
        When nothing is sent out, or the folder holds something else or cannot be written.
    """
    own = isinstance(source, Path) and source.resolve() == folder.resolve()
    if own:
        _check_writable(folder)
    else:
        _check_raster_target(folder)
    scene = scene_of_folder(source) if isinstance(source, Path) else source
    with drafted(folder) as draft:
        written = write_rasters(scene, draft, say)
        if not written:
            raise StudyError(
                "no use radiates sound, and none emits pm25, pm10 or no2 in a study with pollution.wind; give uses "
                "sound_power, or emissions and a wind rose"
            )
    return [folder / file.name for file in written]


def _check_raster_target(folder: Path) -> None:
    """Make sure that rasters apart from a plan may be written into a folder."""
    if (folder / "result.json").is_file():
        raise StudyError(
            f"{folder}: holds a plan, whose rasters `upstairs pollution {folder}` writes; name another folder"
        )
    check_only(folder, RASTERS, "rasters")


def check_only(folder: Path, names: Sequence[str], what: str) -> None:
    """Make sure that a folder holds nothing else than some files and can be written."""
    if folder.is_file() or (folder.is_dir() and {file.name for file in folder.iterdir()} - set(names)):
        raise StudyError(f"{folder}: exists and holds other things than {what}; name another folder with --out")
    _check_writable(folder)


def _around(plan: Plan) -> dict[str, gpd.GeoDataFrame]:
    """Return screens, and receptors where a rule looks at them."""
    around = plan.district.around
    tables = receptor_tables(around, plan.study.backgrounds) if plan.study.polluted else {}
    screens = gpd.GeoDataFrame(
        {"height_m": around.screens.heights}, geometry=list(around.screens.footprints), crs=plan.district.parcels.crs
    )
    layers = {f"receptors_{at}": table for at, table in tables.items()} | {"screens": screens}
    return {name: layer for name, layer in layers.items() if len(layer)}


def read_folder(folder: Path) -> tuple[Study, gpd.GeoDataFrame, dict[str, Any]]:
    """Read a written plan: study, parcels (WGS84) and result.

    Raises
    ------
    StudyError
        When a file is missing or broken.
    """
    from optimizer.study import load_study

    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; `upstairs solve STUDY.toml --out DIR` writes one")
    missing = [name for name in FILES if name not in ("map.html", "report.html") and not (folder / name).is_file()]
    if missing:
        raise StudyError(f"{folder}: no plan here; {', '.join(missing)} missing")
    try:
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        frame = read_geojson(folder / "plan.geojson")
    except (ValueError, KeyError) as error:
        raise StudyError(f"{folder}: plan.geojson or result.json is broken: {error}") from None
    if not isinstance(result, dict):
        raise StudyError(f"{folder / 'result.json'}: an object is expected; write the plan again with `upstairs solve`")
    lacking = [key for key in ("objective", "bound", "indices", "existing", "rules") if key not in result]
    if lacking:
        raise StudyError(
            f"{folder / 'result.json'}: {', '.join(lacking)} missing; write the plan again with `upstairs solve`"
        )
    if frame.empty or "stack" not in frame or not frame["stack"].map(lambda s: isinstance(s, list)).all():
        raise StudyError(
            f"{folder / 'plan.geojson'}: a parcel has no stack; write the plan again with `upstairs solve`"
        )
    if (frame.geometry.isna() | frame.geometry.is_empty).any():
        raise StudyError(
            f"{folder / 'plan.geojson'}: a parcel has no geometry; write the plan again with `upstairs solve`"
        )
    return load_study(folder / "study.toml"), frame, result


def redraw(folder: Path, *, offline: bool = False, words: Language = ENGLISH) -> Path:
    """Draw ``map.html`` of a written plan again, with the rasters that are there; return it.

    Raises
    ------
    StudyError
        When the folder holds no plan.
    """
    study, frame, result = read_folder(folder)
    chart = draw(study, frame, result, read_layers(folder), folder, offline=offline, words=words)
    return _put(folder / "map.html", chart.get_root().render())


def write_solid(folder: Path, words: Language = ENGLISH) -> Path:
    """Write ``map3d.html`` of a written plan: its storeys in three dimensions; return it.

    Raises
    ------
    StudyError, geodata.errors.GeodataError
        When the folder holds no plan, or pydeck is not installed.
    """
    study, frame, _ = read_folder(folder)
    storeys, layers = read_slabs(folder)
    page = page_3d(storeys, frame, layers["walks"], use_styles(study, words), _place(study, words), words)
    return _put(folder / "map3d.html", page)


def _put(file: Path, text: str) -> Path:
    """Write a file whole, or leave the one that is there; return it."""
    draft = file.with_name(f".{file.name}")
    try:
        draft.write_text(text, encoding="utf-8")
        return draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def read_slabs(folder: Path) -> tuple[gpd.GeoDataFrame, dict[str, gpd.GeoDataFrame]]:
    """Read the storeys of a written plan as prisms, and the layers that they are from.

    Raises
    ------
    StudyError
        When the plan's package lacks storeys: earlier versions wrote none.
    """
    layers = read_layers(folder)
    if "floors" not in layers:
        raise StudyError(f"{folder / 'plan.gpkg'}: no layer floors; write the plan again with `upstairs solve`")
    return slabs(layers["floors"], layers["sites"]), layers


def _place(study: Study, words: Language) -> Place:
    return Place(study.name, study.attribution, what_to_know(study, words))


def rewrite_report(folder: Path, words: Language = ENGLISH) -> Path:
    """Write ``report.html`` of a written plan again; return it.

    Raises
    ------
    StudyError
        When the folder holds no plan.
    """
    study, frame, result = read_folder(folder)
    page = report_page(study, frame, result, read_layers(folder), what_to_know(study, words), words)
    return _put(folder / "report.html", page)


def read_layers(folder: Path) -> dict[str, gpd.GeoDataFrame]:
    """Read what a map shows of a plan's GeoPackage beside the parcels.

    Raises
    ------
    StudyError
        When it cannot be read, or lacks building sites or streets.
    """
    file = folder / "plan.gpkg"
    try:
        there = pyogrio.list_layers(file)[:, 0]
        wanted = [name for name in ("sites", "walks", "flows", "flows_inside", "floors") if name in there]
        layers = {name: gpd.read_file(file, layer=name, engine="pyogrio") for name in wanted}
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise StudyError(f"{file}: cannot be read: {error}") from None
    lacking = [name for name in ("sites", "walks") if name not in layers]
    if lacking:
        raise StudyError(f"{file}: no layer {' or '.join(lacking)}; write the plan again with `upstairs solve`")
    return layers
