"""The files of a plan, written whole or not at all, and the map drawn from them."""

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
import numpy as np
import tomli_w

from geodata.export import plain, qml_categorised, read_geojson, write_geojson, write_geopackage
from geodata.maps import EMPTY, UseStyle, plan_map
from optimizer.errors import StudyError
from optimizer.pollution import FILES as RASTERS
from optimizer.pollution import Say, overlays, write_rasters
from optimizer.scene import Scene, scene_of_folder
from optimizer.surroundings import receptor_tables

if TYPE_CHECKING:
    import folium

    from optimizer.diagnose import Diagnosis
    from optimizer.plan import Plan
    from optimizer.study import Study

FILES = ("plan.geojson", "plan.gpkg", "map.html", "result.json", "study.toml")
"""Of every plan; one whose rules look at pollution has rasters too, see `optimizer.pollution.FILES`."""
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


def write_plan(plan: Plan, folder: Path, say: Say | None = None) -> Path:
    """Write a plan into a folder; it appears whole, in place of an earlier plan, or not at all.

    Where a rule looks at pollution, its rasters are among the files. ``say`` is told what is going on.

    Raises
    ------
    StudyError
        When the folder holds something that is not a plan, or cannot be written.
    """
    check_target(folder)
    with drafted(folder) as draft:
        frame = plan.to_frame()
        write_geojson(frame, draft / "plan.geojson")
        write_geopackage(
            {"parcels": frame, "sites": plan.sites_frame(), "walks": _walks(plan), **_around(plan)},
            draft / "plan.gpkg",
            {"parcels": qml_categorised("dominant_use", categories(plan.study))},
        )
        (draft / "study.toml").write_text(tomli_w.dumps(plan.study.to_dict()), encoding="utf-8")
        (draft / "result.json").write_text(
            json.dumps(plain(plan.result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if plan.study.polluted:
            write_rasters(plan, draft, say)
        draw(plan.study, frame, plan.result, draft).save(str(draft / "map.html"))
    return folder


def write_diagnosis(study: Study, found: Diagnosis, folder: Path) -> Path:
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
            way = found.cheapest
            plan_map(
                way.plan.to_frame(),
                uses=_styles(study),
                title=f"{study.name}: what would have to give",
                facts=[(give.rule, str(give)) for give in way.gives],
                notes=["Not a plan: it breaks the rules above, and proximity and mixing were not looked at."],
                attribution=study.attribution,
                marks=way.marks(),
            ).save(str(draft / "where.html"))
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
            for name in (*DIAGNOSIS, *RASTERS):
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


def _walks(plan: Plan) -> gpd.GeoDataFrame:
    """Return the walking network's edges with their nodes and lengths, m."""
    import shapely

    network = plan.district.network
    lines = shapely.linestrings(np.stack([network.xy[network.edges[:, 0]], network.xy[network.edges[:, 1]]], axis=1))
    table = {"from_node": network.edges[:, 0], "to_node": network.edges[:, 1], "length_m": network.length}
    return gpd.GeoDataFrame(table, geometry=lines, crs=plan.district.parcels.crs)


def categories(study: Study) -> dict[str, tuple[str, str]]:
    """Return label and colour of each dominant use, by its name."""
    return {**{name: (use.label, use.colour) for name, use in study.uses.items()}, "": ("No building", EMPTY)}


def draw(study: Study, frame: gpd.GeoDataFrame, result: dict[str, Any], rasters: Path | None = None) -> folium.Map:
    """Draw a plan's table as a map, with the rasters of a folder where there are any."""
    indices, before = result["indices"], result["existing"]

    def moved(label: str, group: str, key: str, unit: str = "") -> tuple[str, str]:
        return label, f"{before[group][key]:,.3g}{unit} today, {indices[group][key]:,.3g}{unit} planned"

    facts = [
        ("Score", f"{result['objective']:.4f}, at most {result['bound']:.4f} possible (gap {percent(result['gap'])})"),
        moved("Proximity", "proximity", "index"),
        moved("Mixing in buildings", "mixing", "building"),
        moved("Mixing in neighbourhoods", "mixing", "neighbourhood"),
        (
            "Floor area",
            f"{before['density']['floor_area_m2']:,.0f} m² today, {indices['density']['floor_area_m2']:,.0f} m² planned",
        ),
    ]
    return plan_map(
        frame,
        uses=_styles(study),
        title=study.name,
        facts=facts,
        notes=[*study.notes, *_illustrative(study)],
        attribution=study.attribution,
        overlays=overlays(study, rasters) if rasters else (),
    )


def _styles(study: Study) -> list[UseStyle]:
    return [UseStyle(name, use.label, use.colour) for name, use in study.uses.items()]


def _illustrative(study: Study) -> list[str]:
    said = study.illustrative
    return [f"Illustrative, confirmed by nobody: {'; '.join(said)}."] if said else []


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
    missing = [name for name in FILES if name != "map.html" and not (folder / name).is_file()]
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


def redraw(folder: Path) -> Path:
    """Draw ``map.html`` of a written plan again, with the rasters that are there; return it."""
    study, frame, result = read_folder(folder)
    file = folder / "map.html"
    draft = folder / ".map.html"
    draw(study, frame, result, folder).save(str(draft))
    draft.replace(file)
    return file
