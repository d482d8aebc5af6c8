"""Rasters of pollution: what the floors of a plan, and those of today, send out over the district.

Sound by ISO 9613-2, air by Gaussian plumes, as the rules noise and air have them, with three differences. Floors
stand on the storeys that they have, not on the worst that they may have. A building is heard and smelt inside and
near itself too. And each building and use is one source in the middle of its site, at the mean height of the
middles of its storeys (a roof's share at the roof, a stack above it); nearer than half the building's width, the root of
its plate, counts as that far, so that no cell is left out and none has a peak that is only the formula's. The level within an
outline is therefore that at its facade. What is there already is never added.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from geodata.fields import Palette, change_palette, difference, noise_palette, palette_of, write_field
from geodata.language import ENGLISH, Language
from geodata.overlays import Overlay, overlay
from geodata.plume import annual
from geodata.propagation import transmission
from geodata.screening import screening
from geodata.shadows import maybe_screened, nearest_screens
from optimizer.emissions import emission, loud, sound_energy, spectrum
from optimizer.scene import BELOW_LID, Scene, State, scene_of_folder, scene_of_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from optimizer.plan import Plan
    from optimizer.study import Study

    Floats = NDArray[np.float64]

Say = Callable[[str], None]

SUFFIXES = {"plan": "", "today": "_today", "change": "_change"}
"""Ends of file names."""
ENDINGS = (".tif", ".qml", ".colours.txt")
"""What is written for each raster: the cells, a QGIS style, colours for GDAL."""
PAIRS = 1 << 20
"""Cells times sources looked at in one go; with screens their arrays take some 300 MB."""
BLOCK = 1 << 12
"""Cells looked at in one go."""
CHANGES = (1.0, 3.0, 6.0)
"""Class edges of changes of a level, dB."""
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0)
"""Class edges of what floors add to the air, as shares of the limit: they alone seldom come near it. TA Luft (2021,
4.2.2) calls 3 % of an annual limit irrelevant."""
BLUES = ("#FFFFCC", "#C7E9B4", "#7FCDBB", "#41B6C4", "#1D91C0", "#225EA8", "#0C2C84")
"""ColorBrewer's YlGnBu in seven classes, which the colour-blind can tell apart."""


class Measure(NamedTuple):
    """One thing that is mapped."""

    stem: str
    """Of its files."""
    label: str
    kind: Literal["noise", "air"]
    key: str
    """Metric of sound or pollutant."""
    unit: str
    limits: tuple[str, ...]
    """Metrics or pollutants whose limits are drawn on it."""
    usual: float = 0.0
    """Annual limit by which classes are set where the study has none, µg/m³."""


MEASURES = (
    Measure("noise_lden", "Noise Lden", "noise", "den", "dB(A)", ("den",)),
    Measure("noise_night", "Noise Lnight", "noise", "night", "dB(A)", ("night", "night_hour")),
    # Directive (EU) 2024/2881, annex I, from 2030.
    Measure("air_pm25", "PM2.5", "air", "pm25", "µg/m³", ("pm25",), 10.0),
    Measure("air_pm10", "PM10", "air", "pm10", "µg/m³", ("pm10",), 20.0),
    Measure("air_no2", "NO2", "air", "no2", "µg/m³", ("no2",), 20.0),
)
FILES = tuple(m.stem + end + ending for m, end, ending in product(MEASURES, SUFFIXES.values(), ENDINGS))
"""Every name that a raster's files can have."""
ANNUAL = "{air}, annual mean"
LIMIT_NAMES = {"den": "Lden", "night": "Lnight", "night_hour": "in the loudest hour of the night, drawn on Lnight"}


def measures(study: Study) -> list[Measure]:
    """Return what a study's floors send out: sound if any use does, a pollutant if any use does and there is a wind."""
    uses = study.use_list
    sound = any(loud(use) for use in uses)
    wind = study.pollution.wind is not None
    return [m for m in MEASURES if (sound if m.kind == "noise" else wind and any(emission(use, m.key) for use in uses))]


class Sources(NamedTuple):
    """Points that send out the same way, n of them."""

    xy: Floats
    """Shape (n, 2), m."""
    height: Floats
    """Above ground, shape (n,), m."""
    width: Floats
    """Shape (n,), m; 0 for a stack."""
    power: Floats
    """What each sends out in each field, shape (n, fields): energy re 1 pW, dB(A), or g/s."""


Field = tuple[Measure, State]


def _sources(scene: Scene, fields: Sequence[Field]) -> Iterator[tuple[tuple[float, ...], Sources]]:
    """Yield the sources of fields of one kind by spectrum; what stands in both states, once."""
    hours, uses = scene.study.pollution.period_hours, scene.uses
    air = fields[0][0].kind == "air"
    parts: dict[tuple[float, ...], list[pd.DataFrame]] = {}
    for (name, use), (state, floors) in product(uses.items(), scene.floors.items()):
        rows = floors[floors["use"] == name]
        per_area = np.zeros(len(fields))
        for i, (measure, of) in enumerate(fields):
            if of == state:
                each = emission(use, measure.key) if air else sound_energy(use, measure.key, hours)  # type: ignore[arg-type]
                per_area[i] = each
        if not per_area.any() or rows.empty:
            continue
        outlets = [(rows["height"], 1.0 - use.roof_share, rows["width"]), (rows["roof"], use.roof_share, rows["width"])]
        if air and use.stack_height is not None:
            outlets = [(rows["roof"] + use.stack_height, 1.0, 0.0 * rows["width"])]
        elif air:
            outlets = [(rows["height"], 1.0, rows["width"])]
        for height, share, width in outlets:
            if share:
                # To the micrometre, so that what stands in both states is the same.
                table = pd.DataFrame({"x": rows["x"], "y": rows["y"], "height": height, "width": width}).round(6)
                power = np.outer(rows["area"] * share, per_area)
                table[list(range(len(fields)))] = power
                parts.setdefault(() if air else spectrum(use), []).append(table)
    for kind, tables in parts.items():
        place = ["x", "y", "height", "width"]
        whole = pd.concat(tables).groupby(place, as_index=False).sum()
        xy, height, width = (whole[c].to_numpy(dtype=float) for c in (["x", "y"], "height", "width"))
        yield kind, Sources(xy, height, width, whole[list(range(len(fields)))].to_numpy(dtype=float))


def _heard(scene: Scene, sources: Sources, shares: tuple[float, ...], cells: Floats) -> Floats:
    """Return the sound energy that arrives at cells, shape (cells, fields)."""
    section = scene.study.pollution
    conditions, height = section.conditions, section.height
    distance = np.maximum(cdist(cells, sources.xy), sources.width / 2)
    kernel = transmission(distance, sources.height, height, shares, conditions)
    if len(scene.screens.heights):
        ends = np.column_stack([sources.xy, sources.height]), np.column_stack([cells, np.full(len(cells), height)])
        pairs = maybe_screened(nearest_screens(scene.screens, ends[0], height), *ends)
        row, loss = screening(scene.screens, *ends, pairs, conditions)
        source, at = pairs[row].T
        kernel[at, source] = transmission(
            distance[at, source], sources.height[source], height, shares, conditions, loss
        )
    return np.asarray(kernel @ sources.power)


def _breathed(scene: Scene, sources: Sources, cells: Floats) -> Floats:
    """Return concentrations at cells, µg/m³, shape (cells, fields)."""
    section = scene.study.pollution
    east, north = (cells[:, None, k] - sources.xy[None, :, k] for k in (0, 1))
    # What leaves above the lid stays there; counted as just below it, it errs on the safe side.
    release = np.minimum(sources.height, BELOW_LID * section.mixing_height)
    rose = section.rose("a raster of air")
    found = annual(east, north, release, section.height, sources.width, rose, section.terrain, section.mixing_height)
    return np.asarray(found @ sources.power)


class _Windows:
    """Fields of one kind computed together, window by window; what is asked for later waits on disk."""

    def __init__(self, scene: Scene, fields: Sequence[Field], folder: Path, say: Say) -> None:
        self.scene, self.fields, self.folder, self.say = scene, fields, folder, say
        self.groups = list(_sources(scene, fields))
        self.done = 0

    def values(self, field: int, x: Floats, y: Floats) -> NDArray[np.floating[Any]]:
        """Return one field at cell centres, dB(A) or µg/m³."""
        file = self.folder / f"{x[0, 0]!r}_{y[0, 0]!r}.npy"
        if not file.exists():
            np.save(file, self._computed(x, y))
            self.done += x.size
            names = " and ".join(dict.fromkeys(m.label for m, _ in self.fields))
            of, count = self.scene.grid.width * self.scene.grid.height, sum(len(s.xy) for _, s in self.groups)
            self.say(f"{names}: {self.done:,} of {of:,} cells, {count:,} sources")
        return np.asarray(np.load(file, mmap_mode="r")[field])

    def _computed(self, x: Floats, y: Floats) -> NDArray[np.float32]:
        cells = np.column_stack([x.ravel(), y.ravel()])
        total = np.zeros((len(cells), len(self.fields)))
        noise = self.fields[0][0].kind == "noise"
        for (shares, sources), first in product(self.groups, range(0, len(cells), BLOCK)):
            here = slice(first, first + BLOCK)
            for start in range(0, len(sources.xy), PAIRS // BLOCK):
                some = Sources(*(array[start : start + PAIRS // BLOCK] for array in sources))
                found = (
                    _heard(self.scene, some, shares, cells[here]) if noise else _breathed(self.scene, some, cells[here])
                )
                total[here] += found
        if noise:
            total = 10.0 * np.log10(np.maximum(total, 1.0))
        return total.T.reshape(len(self.fields), *x.shape).astype(np.float32)


def write_rasters(source: Plan | Path | Scene, folder: Path, say: Say | None = None) -> list[Path]:
    """Write rasters of a plan and of today into a folder that exists.

    ``noise_lden.tif``, ``noise_night.tif``, ``air_pm25.tif``, ``air_pm10.tif``, ``air_no2.tif`` as far as any use sends
    that out, each with ``_today`` and ``_change`` (plan minus today): cloud-optimised GeoTIFF, a QGIS style beside it. Of a
    scene of today alone, only ``_today``. Memory does not grow with the grid.

    Parameters
    ----------
    source : Plan, Path or Scene
        A plan, the folder of a written one, or a scene.
    folder : Path
    say : callable, optional
        Told in a sentence what is going on.

    Returns
    -------
    list of Path
        The GeoTIFFs; empty where nothing is sent out.

    Raises
    ------
    StudyError, geodata.errors.GeodataError
        When the grid does not fit the study, or a file of the plan is broken.
    """
    if isinstance(source, Scene):
        scene = source
    else:
        scene = scene_of_folder(source) if isinstance(source, Path) else scene_of_plan(source)
    tell = say or (lambda _: None)
    grid = scene.grid
    bounds = (grid.west, grid.north - grid.height * grid.step, grid.west + grid.width * grid.step, grid.north)
    written: list[Path] = []
    for kind in ("noise", "air"):
        chosen = [m for m in measures(scene.study) if m.kind == kind]
        if not chosen:
            continue
        fields: list[Field] = list(product(chosen, scene.floors))
        with tempfile.TemporaryDirectory(prefix="upstairs-") as waiting:
            windows = _Windows(scene, fields, Path(waiting), tell)
            for i, (measure, state) in enumerate(fields):
                file = folder / f"{measure.stem}{SUFFIXES[state]}.tif"
                write_field(
                    file,
                    partial(windows.values, i),
                    bounds,
                    scene.crs,
                    grid.step,
                    unit=measure.unit,
                    description=_description(scene, measure, state),
                    palette=palette(scene.study, measure, state),
                    tags=_tags(scene, measure),
                )
                written.append(file)
        for measure in chosen if "plan" in scene.floors else ():
            plan, today, file = (folder / f"{measure.stem}{SUFFIXES[s]}.tif" for s in ("plan", "today", "change"))
            told = f"{measure.label} of the plan minus today"
            shown = palette(scene.study, measure, "change")
            difference(plan, today, file, description=told, palette=shown, tags=_tags(scene, measure))
            written.append(file)
    return written


def _description(scene: Scene, measure: Measure, state: State) -> str:
    whose = "the plan's floors" if state == "plan" else "today's floors"
    mean = "" if measure.kind == "noise" else ", annual mean"
    return f"{measure.label} of {whose}{mean}, {scene.study.pollution.height:g} m above ground, without background"


def _tags(scene: Scene, measure: Measure) -> dict[str, str]:
    """Return what a reader of the file must know."""
    common = (
        "One source a building and use in the middle of its site, at the mean height of its storeys; nearer than half the "
        "building's width counts as that far, also within its outline. Floors of the study alone, no background."
    )
    method = {
        "noise": "ISO 9613-2, octave bands. Screens are buildings that the plan cannot change. Below 0 dB(A) is written as 0.",
        "air": "Gaussian plumes over the wind rose (ISC3, Briggs). No chemistry, deposition, street canyons or wakes.",
    }[measure.kind]
    return {
        "SUBJECT": f"{scene.study.name}: {measure.label}",
        "METHOD": method,
        "SOURCES": common,
        "SOFTWARE": "Upstairs",
    }


def limits(study: Study, measure: Measure, words: Language = ENGLISH) -> dict[float, str]:
    """Return the limits that rules set on a measure, and what each is; a limit of another period is left out."""
    said: dict[float, list[str]] = {}
    for rule in study.rules:
        if rule.kind != measure.kind:
            continue
        for name, levels in (*rule.limits.items(), *rule.places.items()):
            place = words(study.uses[name].label) if name in study.uses else name
            for key, limit in levels.items() if isinstance(levels, Mapping) else ():
                if key in measure.limits:
                    what = words(LIMIT_NAMES[key]) if measure.kind == "noise" else words(ANNUAL, air=measure.label)
                    level = f"{limit:g} {measure.unit}"
                    text = words("{level}: limit at {place} ({what})", level=level, place=place, what=what)
                    said.setdefault(float(limit), []).append(text)
    return {limit: "; ".join(dict.fromkeys(texts)) for limit, texts in sorted(said.items())}


def palette(study: Study, measure: Measure, state: str, words: Language = ENGLISH) -> Palette:
    """Return how a raster is shown: levels in classes of 5 dB, air in shares of its limit, changes about 0."""
    title = words("{measure}: {state}", measure=words(measure.label), state=words(state))
    if measure.kind == "noise":
        return change_palette(CHANGES, "dB", title, words) if state == "change" else noise_palette(title, words)
    limit = min(limits(study, measure), default=measure.usual)
    # Rounded, since 0.03 times 10 is not 0.3 in binary.
    edges = [float(f"{share * limit:.6g}") for share in SHARES]
    return (
        change_palette(edges[:3], measure.unit, title, words)
        if state == "change"
        else palette_of(edges, BLUES, measure.unit, title, words)
    )


def overlays(study: Study, folder: Path, words: Language = ENGLISH) -> list[Overlay]:
    """Return the rasters of a folder as a map lays them over a plan, with limits as lines."""
    found = []
    for measure, (state, suffix) in product(MEASURES, SUFFIXES.items()):
        file = folder / f"{measure.stem}{suffix}.tif"
        if file.is_file():
            lines = {} if state == "change" else limits(study, measure, words)
            found.append(overlay(file, palette(study, measure, state, words), lines))
    return found
