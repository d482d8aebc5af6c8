"""What a file of parcels seems to hold: a publisher's preset, or the meaning of its columns by their names and contents.

Everything is a proposal with a confidence and a reason. *Sure* follows from name and contents together, or from a publisher's
columns; *likely* from one of them with nothing against it; a *guess* is for a person to decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd

from geodata.layers import read_layer
from geodata.parcels import MOST_STOREYS, in_metres, plain_text
from geodata.presets import Preset, filled, fitting
from geodata.units import AREA, LENGTH

Confidence = Literal["sure", "likely", "guess"]
OLDEST = 1700
"""Earliest year of construction that is taken for one."""
FEW = 60
"""More different texts than this name no zones."""
STOREY = (2.4, 6.5)
"""Height of a storey, m: least and most."""

NAMES = {
    "id": r"(parcel|lot|plot|site|map|tax|gml|national)?_?(id|number|no|nr|key)|p?in|apn|bbl|uprn|fid|gid|(map)?blklot|"
    r"identificatie|flurstue?ckskennzeichen|refcat|idu|local_?id|objectid|ogc_fid",
    "zone": r"zon(e|ing)(_?(code|class|type|dist(rict)?_?1?|name|sim))?|base_?zone|zone_?dist_?1?|plan_?zone|bestemming",
    "use_code": r"(land_?|bldg_?|building_?|prop(erty)?_?)?(use|usage|class)(_?(code|type|cd|class))?|lu_?code|luc|"
    r"nutzung|gebruiksdoel|gebae?udefunktion|usage_?1",
    "storeys": r"(num_?|nb_?|no_?(of_?)?|bldg_?|building_?)?(stor(e?y|ies|eys)|floors?|levels?|etages?|geschosse|bouwlagen)"
    r"(_?(today|count|num|above(_ground)?))?",
    "year": r"(year|yr|jahr)(_?(built|bui|constr(ucted|uction)?))?|bouwjaar|baujahr|built|construction_?year|annee_construction",
    "site_area": r"(lot|land|site|parcel|plot|calc|gis|shape)?_*(area|acres|acreage|size|flae?che|oppervlak)_?(m2|ft2|sq_?ft|sf|ha)?|"
    r"sup(erficie)?|contenance|areavalue",
    "gfa": r"gfa(_?total)?|bgf|(gross|floor|bldg|building|total|living|fin(ished)?|res|usable)_?(floor)?_?(area|sq_?ft|sf|size)_?(m2|ft2|sq_?ft|sf|total)?|"
    r"oppervlakte|geschossflae?che|surface_plancher",
    "max_far": r"(max|permitted|allowed)?_?(far|fsr|fsi|floor_?area_?ratio|plot_?ratio|gfz)_?(max|limit|allowed)?",
    "max_height": r"(max|permitted|allowed)_?(building_?|bldg_?)?(height|hgt|ht)_?(m|ft|feet)?|height_?(limit|max)_?(m|ft)?|hoe?he_?max",
    "max_floors": r"(max|permitted|allowed)_?(num_?)?(stor(ey|ie|eye)?s|stories|floors|levels)|(stor(eys|ies)|floors?)_?(limit|max)",
    "coverage": r"(max_?)?(lot_?|site_?|building_?|plot_?)?cov(erage)?|bcr|grz",
    "protected": r"protected|listed|landmark|heritage|monument|is_?(protected|listed)",
}
"""Names of columns by what they mean, in small letters with _ between words."""
ROW_NUMBER = r"objectid|ogc_?fid|fid|gid"
"""Names of ids that only count rows."""
USES = {
    "housing": r"resid|\bres\b|(?<!ware)hous|home|dwell|apart|condo|famil|woon|wohn|dorm|logement|living",
    "workshop": r"industr|manuf|factor|workshop|making|ware|storage|strge|craft|repair|produc",
    "rnd": r"research|\bres\w* & dev|rnd|r_?(&|and)_?d\b|\blab|scien|technolog",
    "services": r"office|retail|shop|store|comm|service|hotel|school|educ|medic|health|public|civic|univ|institut|winkel|kantoor",
    "none": r"vacant|park|open|garage|road|street|right.of.way|water|undev|none|unknown|missing|agric|farm|forest",
}
"""Words in codes and names of columns by use."""


KEYS = (
    *("id", "zone", "use_code", "gfa", "storeys", "year", "site_area"),
    *("max_far", "max_height", "max_floors", "coverage", "protected"),
)
"""What a column may be, in the order in which it is told."""
ORDER = ("crs", "area_unit", "length_unit", *(f"columns.{key}" for key in KEYS))


@dataclass(frozen=True)
class Guess:
    """One thing proposed for ``[parcels]`` of a study.

    Attributes
    ----------
    key : str
        Such as ``columns.year`` or ``area_unit``.
    value : str or list
        None where nothing can be proposed.
    confidence : str
        ``sure``, ``likely`` or ``guess``.
    reason : str
    """

    key: str
    value: Any
    confidence: Confidence
    reason: str


@dataclass(frozen=True)
class Proposal:
    """What a layer of parcels seems to hold.

    Attributes
    ----------
    file : Path
    layer : str or None
        As asked for; None where the file has one.
    preset : Preset or None
    guesses : tuple of Guess
    parcels : dict
        ``[parcels]`` of a study made of what is sure or likely, without the file.
    features : int
    land : float
        Area of the polygons, m².
    """

    file: Path
    layer: str | None
    preset: Preset | None
    guesses: tuple[Guess, ...]
    parcels: Mapping[str, Any]
    features: int
    land: float


def propose(file: Path, layer: str | None = None) -> Proposal:
    """Look at a file of parcels and propose what it means.

    Raises
    ------
    GeodataError
        No such file or layer, no polygons, no CRS, degrees taken for metres: naming what was expected and what to do.
    """
    frame = read_layer(file, layer)
    metric = in_metres(frame, file.name)
    columns = [str(column) for column in frame.columns if column != frame.geometry.name]
    preset = fitting(columns)
    table = pd.DataFrame(frame.drop(columns=frame.geometry.name))
    found = [_crs(frame, metric, preset)]
    area = metric.geometry.area.to_numpy()
    if preset:
        found += [_against_contents(guess, preset, table, area, frame) for guess in _of_preset(preset, columns)]
    else:
        found += list(_of_columns(table, area, frame))
    parcels = _parcels(found, preset, columns)
    uncounted = _uncounted(table, parcels)
    if uncounted:
        found.append(uncounted)
        parcels["unmapped"] = "none"
    land = float(metric.geometry.area.sum())
    found.sort(key=lambda guess: ORDER.index(guess.key) if guess.key in ORDER else len(ORDER))
    return Proposal(file, layer, preset, tuple(found), parcels, len(frame), land)


def _crs(frame: gpd.GeoDataFrame, metric: gpd.GeoDataFrame, preset: Preset | None) -> Guess:
    """Propose a working CRS."""
    if preset and "crs" in preset.parcels:
        return Guess("crs", preset.parcels["crs"], "sure", f"the preset's, in metres; the file has {frame.crs.name}")
    code = metric.crs.to_authority()
    if metric.crs == frame.crs:
        return Guess("crs", None, "sure", f"{frame.crs.name} is in metres and stays")
    name = ":".join(code) if code else None
    return Guess("crs", name, "sure", f"fitting UTM zone; the file has {frame.crs.name}, which is not in true metres")


def _of_preset(preset: Preset, columns: Sequence[str]) -> Iterator[Guess]:
    """Propose what a publisher's columns mean."""
    absent, table = preset.missing(columns), preset.table(columns)
    for key in ("area_unit", "length_unit"):
        if key in table:
            said = f"as published by {preset.publisher}" if preset.source else f"as preset {preset.name} has it"
            yield Guess(key, table[key], "sure", said)
    for part in ("columns", "existing"):
        for name, given in table.get(part, {}).items():
            key = f"{part}.{name}"
            there = [given] if isinstance(given, str) else [column for column in given if column in columns]
            if isinstance(given, str) and given not in columns:
                yield Guess(key, None, "sure", f"{absent[key]} is not in the file")
            elif there:
                yield Guess(
                    key, given if isinstance(given, str) else there, "sure", f"a column of preset {preset.name}"
                )
    named = table.get("columns", {})
    if {named.get("gfa"), named.get("use_code")} <= set(columns):
        for use, codes in table.get("codes", {}).items():
            yield Guess(f"codes.{use}", codes, "sure", f"codes of preset {preset.name}")


def _against_contents(
    guess: Guess, preset: Preset, table: pd.DataFrame, area: np.ndarray, frame: gpd.GeoDataFrame
) -> Guess:
    """Return what a preset says of the unit of areas, or what the contents say against it.

    A publisher's word stands, with a doubt; names that anyone may use say nothing of units where the contents do.
    """
    if guess.key != "area_unit":
        return guess
    known = preset.table(list(table.columns))
    columns = {key: _column(table[name]) for key, name in known["columns"].items() if name in list(table)}
    given = [[names] if isinstance(names, str) else names for names in known.get("existing", {}).values()]
    existing = [_column(table[name]) for names in given for name in names if name in table]
    told = _area_unit(columns, existing, area, frame)
    if preset.source:
        doubtful = told.confidence != "guess" and told.value != guess.value
        against = f"{guess.reason}, but {told.value} fits better: {told.reason}"
        return replace(guess, confidence="likely", reason=against) if doubtful else guess
    if told.value != guess.value:
        return told
    return guess if told.confidence != "guess" else replace(guess, confidence="likely")


def _parcels(found: Sequence[Guess], preset: Preset | None, columns: Sequence[str]) -> dict[str, Any]:
    """Return ``[parcels]`` of what is sure or likely."""
    parcels: dict[str, Any] = {}
    for guess in found:
        if guess.value is not None and guess.confidence != "guess":
            table, _, key = guess.key.rpartition(".")
            (parcels.setdefault(table, {}) if table else parcels)[key] = guess.value
    if preset:
        there = {k: v for k, v in preset.table(columns).items() if k not in ("columns", "existing")}
        parcels = filled(parcels, there)
    return parcels


def _uncounted(table: pd.DataFrame, parcels: Mapping[str, Any]) -> Guess | None:
    """Say which codes with floor area are in no list."""
    columns = parcels.get("columns", {})
    if not {"gfa", "use_code"} <= set(columns) or "unmapped" in parcels:
        return None
    known = {str(code) for codes in parcels.get("codes", {}).values() for code in codes}
    codes = plain_text(table[columns["use_code"]])
    floor = pd.to_numeric(table[columns["gfa"]], errors="coerce").fillna(0)
    lost = codes[(floor > 0) & ~codes.isin(known)].value_counts()
    if lost.empty:
        return None
    listed = ", ".join(f"{code or 'no code'} ({count})" for code, count in lost.head(12).items())
    more = f" and {len(lost) - 12} more codes" if len(lost) > 12 else ""
    return Guess("unmapped", "none", "likely", f"codes with floor area in no list are not counted: {listed}{more}")


# By names and contents


@dataclass(frozen=True)
class _Column:
    """What is known of one column.

    Attributes
    ----------
    name, words : str
        As in the data, and in small letters with _ between words.
    numbers : ndarray or None
        NaN where missing; None where it holds anything but numbers.
    texts : Series
    """

    name: str
    words: str
    numbers: np.ndarray | None
    texts: pd.Series

    @property
    def positive(self) -> np.ndarray:
        """Numbers above 0."""
        return np.empty(0) if self.numbers is None else self.numbers[self.numbers > 0]

    def within(self, least: float, most: float) -> bool:
        """Whether all numbers but 2 % lie between two bounds, 0 aside, and there are some."""
        values = self.positive
        return bool(len(values) and np.mean((values >= least) & (values <= most)) >= 0.98 and self.least >= 0)

    @property
    def spread(self) -> str:
        """Smallest and largest number above 0, for people."""
        low, high = self.positive.min(), self.positive.max()
        return f"{low:g} to {high:g}" if low < high else f"{low:g} throughout"

    @property
    def least(self) -> float:
        """Smallest number."""
        return float(np.nanmin(self.numbers)) if self.numbers is not None and np.isfinite(self.numbers).any() else 0.0


def _column(values: pd.Series) -> _Column:
    plain = unicodedata.normalize("NFKD", str(values.name)).encode("ascii", "ignore").decode()  # ä as a
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain)
    words = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    texts = plain_text(values)
    numbers = None
    if not pd.api.types.is_datetime64_any_dtype(values) and not pd.api.types.is_bool_dtype(values):
        read = pd.to_numeric(texts.where(texts != ""), errors="coerce")
        if not ((texts != "") & read.isna()).any() and read.notna().any() and np.isfinite(read.dropna()).all():
            numbers = read.to_numpy(dtype=float)
    return _Column(str(values.name), words, numbers, texts)


def _of_columns(table: pd.DataFrame, area: np.ndarray, frame: gpd.GeoDataFrame) -> Iterator[Guess]:
    """Propose what columns mean by their names and contents; ``area`` is that of the polygons, m²."""
    columns = [_column(table[name]) for name in table.columns]
    taken: dict[str, Guess] = {}
    for key, judge in JUDGES.items():
        free = [column for column in columns if column.name not in {guess.value for guess in taken.values()}]
        judged = [Guess(f"columns.{key}", c.name, *told) for c in free if (told := judge(c, area))]
        if judged:
            taken[key] = min(judged, key=lambda guess: ("sure", "likely", "guess").index(guess.confidence))
    by_name = {column.name: column for column in columns}
    found = {key: by_name[guess.value] for key, guess in taken.items()}
    existing = _existing(columns, taken)
    by_use = bool(existing) and (len(existing) > 1 or not {"gfa", "use_code"} <= set(taken))
    if not by_use:
        existing = [replace(guess, confidence="guess", reason="one use alone; codes are taken") for guess in existing]
    if "gfa" in taken and (by_use or "use_code" not in taken):
        reason = "counted by use already" if by_use else "no column says of which use it is"
        taken["gfa"] = replace(taken["gfa"], confidence="guess", reason=reason)
    by_use_names = [
        name for guess in existing for name in ([guess.value] if isinstance(guess.value, str) else guess.value)
    ]
    unit = _area_unit(found, [by_name[name] for name in by_use_names], area, frame)
    yield unit
    yield from _fitting_unit(taken, found, unit, area)
    yield from existing
    yield from _length_unit(found)
    if not by_use and {"gfa", "use_code"} <= set(taken):
        yield from _codes(found["use_code"])


def _named(column: _Column, key: str) -> bool:
    return re.fullmatch(NAMES[key], column.words) is not None


def _judge_id(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    texts = column.texts
    if (
        (texts == "").any()
        or texts.nunique() < len(texts)
        or (column.numbers is not None and np.any(column.numbers % 1))
    ):
        return ("guess", "name of an id, but empty or repeated values") if _named(column, "id") else None
    if _named(column, "id"):
        counted = re.fullmatch(ROW_NUMBER, column.words)
        reason = "the name of a row's number" if counted else "the name of an id"
        return ("likely" if counted else "sure"), f"{texts.nunique():,} different values, none empty, and {reason}"
    kind = column.numbers is None
    return ("likely" if kind and len(texts) > 1 else "guess"), f"{texts.nunique():,} different values, none empty"


def _judge_zone(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    texts = column.texts[column.texts != ""]
    few = 0 < texts.nunique() <= min(FEW, max(1, len(texts) // 2)) and column.numbers is None
    if _named(column, "zone") and 0 < texts.nunique() <= FEW * 5:
        return ("sure" if few else "likely"), f"{texts.nunique()} different texts, and the name of a zone"
    if few and texts.nunique() > 1 and texts.str.len().max() <= 12:
        return "guess", f"{texts.nunique()} different short texts"
    return None


def _judge_use(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    texts = column.texts[column.texts != ""]
    if not 0 < texts.nunique() <= FEW * 5 or (column.numbers is not None and np.any(column.positive % 1)):
        return None
    spoken = texts.map(use_of).notna().mean()
    if _named(column, "use_code"):
        return ("sure" if spoken > 0.5 else "likely"), f"{texts.nunique()} different codes, and the name of a use"
    return ("likely", f"{spoken:.0%} of its texts name a use") if spoken > 0.8 else None


def _judge_storeys(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    if not _named(column, "storeys") or not column.within(0.5, MOST_STOREYS):
        return None
    halves = np.mean(column.positive * 2 % 1 == 0) > 0.95
    return ("sure" if halves else "likely"), f"{column.spread}, and the name of storeys"


def _judge_year(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    values = column.positive
    if not column.within(OLDEST, date.today().year) or np.any(values % 1):
        return None
    reason = f"whole numbers from {values.min():.0f} to {values.max():.0f}"
    return ("sure", f"{reason}, and the name of a year") if _named(column, "year") else ("guess", reason)


def _judge_site_area(column: _Column, area: np.ndarray) -> tuple[Confidence, str] | None:
    unit = _unit_of_land(column, area)
    if unit is None or (_named(column, "gfa") and not _named(column, "site_area")):
        return None
    return ("sure" if _named(column, "site_area") else "likely"), f"equals the polygons' area read as {unit}"


def _unit_of_land(column: _Column, area: np.ndarray) -> str | None:
    """Return the unit in which a column is the area of the polygons, most of them within 5 %."""
    if column.numbers is None or not len(column.positive):
        return None
    known = (column.numbers > 0) & (area > 0)
    ratio = column.numbers[known] / area[known]
    for unit, size in AREA.items():
        if np.median(np.abs(ratio * size - 1)) < 0.05:
            return unit
    return None


def _judge_gfa(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    if not _named(column, "gfa") or use_of(column.words) or not column.within(1, 1e7):
        return None
    return "likely", "numbers of at least 0, and the name of a floor area"


def _judge_range(key: str, least: float, most: float, what: str) -> Callable[..., tuple[Confidence, str] | None]:
    def judge(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
        if not _named(column, key):
            return None
        if column.within(least, most):
            return "sure", f"{column.spread}, and the name of {what}"
        return None

    return judge


def _judge_protected(column: _Column, _: np.ndarray) -> tuple[Confidence, str] | None:
    flags = {"", "true", "false", "1", "0", "yes", "no", "y", "n", "t", "f"}
    fit = _named(column, "protected") and set(column.texts.str.lower()) <= flags
    return ("sure", "yes or no, and the name of protection") if fit else None


JUDGES: dict[str, Callable[[_Column, np.ndarray], tuple[Confidence, str] | None]] = {
    "max_far": _judge_range("max_far", 0.01, 40, "a floor-area ratio"),
    "max_height": _judge_range("max_height", 2, 2000, "a height limit"),
    "max_floors": _judge_range("max_floors", 1, MOST_STOREYS, "a limit of storeys"),
    "coverage": _judge_range("coverage", 0.01, 1, "coverage"),
    "protected": _judge_protected,
    "site_area": _judge_site_area,
    "storeys": _judge_storeys,
    "year": _judge_year,
    "gfa": _judge_gfa,
    "use_code": _judge_use,
    "id": _judge_id,
    "zone": _judge_zone,
}
"""How each column is told, in the order in which columns are given away."""


def use_of(text: str) -> str | None:
    """Return the use that a code's text names; None where it names none or several."""
    words = re.sub(r"[^a-z&]+", " ", text.lower())
    found = [use for use, pattern in USES.items() if re.search(pattern, words)]
    return found[0] if len(found) == 1 else None


def _existing(columns: Sequence[_Column], taken: Mapping[str, Guess]) -> list[Guess]:
    """Propose columns of floor area by use: a use and an area in the name."""
    names = {guess.value for guess in taken.values()}
    by_use: dict[str, list[_Column]] = {}
    for column in columns:
        use = use_of(column.words) if re.search(r"gfa|area|sq_?ft|_m2|_sf\b", column.words) else None
        if use and use != "none" and column.name not in names and column.within(1, 1e7):
            by_use.setdefault(use, []).append(column)
    return [_of_one_use(use, these) for use, these in by_use.items()]


def _of_one_use(use: str, columns: Sequence[_Column]) -> Guess:
    """Propose the columns of one use: all of them, or the one that is the sum of the others."""
    reason = "a use and an area in the name"
    floors = np.nan_to_num(np.array([column.numbers for column in columns], dtype=float))
    for column, own in zip(columns, floors, strict=True):
        if len(columns) > 2 and np.allclose(2 * own, floors.sum(axis=0), rtol=0.01):
            return Guess(f"existing.{use}", column.name, "likely", f"{reason}; the sum of the others of this use")
    names = [column.name for column in columns]
    several = "; these are added up, which is wrong where one holds another" if len(names) > 1 else ""
    return Guess(f"existing.{use}", names[0] if len(names) == 1 else names, "likely", reason + several)


def _area_unit(
    found: Mapping[str, _Column], existing: Sequence[_Column], area: np.ndarray, frame: gpd.GeoDataFrame
) -> Guess:
    """Propose the unit of areas: by the names of columns of floor area, by the polygons, by how much floor fits a lot."""
    floors = [found["gfa"]] if "gfa" in found else []
    names = [column.words for column in (*floors, *existing)]
    if any(re.search(r"sq_?ft|ft2|(^|_)sf(_|$)|sqft", name) for name in names):
        return Guess("area_unit", "ft2", "sure", "square feet in the name of a column of floor area")
    if any(re.search(r"_m2|sqm|qm", name) for name in names):
        return Guess("area_unit", "m2", "sure", "square metres in the name of a column of floor area")
    land = _unit_of_land(found["site_area"], area) if "site_area" in found else None
    if land in ("m2", "ft2"):
        return Guess("area_unit", land, "sure", f"{found['site_area'].name} equals the polygons' area read as {land}")
    counted = [column for column in floors or existing if column.numbers is not None]
    if counted and "storeys" in found:
        told = counted[0].name if len(counted) == 1 else f"{counted[0].name} to {counted[-1].name}, added up,"
        total = np.nansum(np.array([column.numbers for column in counted], dtype=float), axis=0)
        by_plate = _unit_of_floor(total, told, found["storeys"], area)
        if by_plate:
            return by_plate
    feet = {axis.unit_name for axis in frame.crs.axis_info} & {"foot", "US survey foot"}
    if feet:
        return Guess("area_unit", "ft2", "guess", "the CRS is in feet")
    return Guess("area_unit", "m2", "likely" if not names else "guess", "nothing says otherwise")


def _unit_of_floor(floor: np.ndarray, told: str, storeys: _Column, area: np.ndarray) -> Guess | None:
    """Tell m² from ft² by the plate: floor area over storeys is part of the lot; None where no plate is known."""
    if storeys.numbers is None:
        return None
    known = (floor > 0) & (storeys.numbers >= 1) & (area > 0)
    if not known.any():
        return None
    plate = float(np.median(floor[known] / storeys.numbers[known] / area[known]))
    reason = f"a storey of {told} measures {plate:.2f} times the lot"
    if plate > 1.2:
        return Guess("area_unit", "ft2", "likely", f"{reason}, too much for m² ({plate * AREA['ft2']:.2f} in ft²)")
    return Guess("area_unit", "m2", "likely" if plate > 0.1 else "guess", f"{reason} in m²")


def _fitting_unit(
    taken: Mapping[str, Guess], found: Mapping[str, _Column], unit: Guess, area: np.ndarray
) -> Iterator[Guess]:
    """Give the columns, the site area only where it has the unit of the floor areas."""
    for key, guess in taken.items():
        land = _unit_of_land(found[key], area) if key == "site_area" else unit.value
        if land == unit.value:
            yield guess
        else:
            yield Guess(guess.key, guess.value, "guess", f"in {land}, unlike floor area; the polygons' area is taken")


def _length_unit(found: Mapping[str, _Column]) -> Iterator[Guess]:
    """Tell metres from feet by the height of a storey."""
    height = found.get("max_height")
    if height is None:
        return
    assert height.numbers is not None
    if re.search(r"_(ft|feet)$", height.words) or re.search(r"_m$", height.words):
        unit = "m" if height.words.endswith("_m") else "ft"
        yield Guess("length_unit", unit, "sure", f"the name {height.name}")
        return
    storeys = found.get("max_floors") or found.get("storeys")
    known = np.zeros(0, dtype=bool)
    if storeys is not None and storeys.numbers is not None:
        known = (storeys.numbers >= 1) & (height.numbers > 0)
    if storeys is None or storeys.numbers is None or not known.any():
        feet = float(np.median(height.positive)) > 60
        yield Guess("length_unit", "ft" if feet else "m", "guess", f"a height limit of {np.median(height.positive):g}")
        return
    each = float(np.median(height.numbers[known] / storeys.numbers[known]))
    low, high = STOREY
    sure: Confidence = "likely" if "max_floors" in found else "guess"
    reason = f"{height.name} over {storeys.name} is {each:.1f} a storey"
    if low / LENGTH["ft"] <= each <= high / LENGTH["ft"]:
        yield Guess("length_unit", "ft", sure, reason)
    else:
        yield Guess("length_unit", "m", sure if low <= each <= high else "guess", reason)


def _codes(column: _Column) -> Iterator[Guess]:
    """Propose uses of codes by the words in them."""
    spoken: dict[str, list[str]] = {}
    for code in sorted(set(column.texts) - {""}):
        use = use_of(code)
        if use:
            spoken.setdefault(use, []).append(code)
    for use, codes in spoken.items():
        yield Guess(f"codes.{use}", codes, "likely", "words in the codes")
