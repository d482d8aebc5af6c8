"""Parcels from any vector format: columns mapped, units converted, faults found, named and repaired where safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pyproj

from geodata.database import Table
from geodata.errors import GeodataError
from geodata.layers import hashes, layer_name, nearest, read_source
from geodata.repairs import Finding, repair_geometry
from geodata.units import AREA, LENGTH

LIMITS = ("max_far", "max_height", "max_floors", "coverage")
DEFAULT_COVERAGE = 0.6
MOST_STOREYS = 200
"""Above this a number of storeys stands for an unknown one."""
NUMBERS = (*LIMITS, "site_area", "gfa", "storeys", "year")
"""Columns that hold numbers."""


@dataclass(frozen=True)
class LimitsTable:
    """A zoning table joined on a key.

    Attributes
    ----------
    file : Path
    key, on : str
        Column of the table, and column of the parcels (canonical name) that it is joined on.
    columns : dict
        Limit (``max_far``, ``max_height``, ``max_floors``, ``coverage``) to column of the table.
    length_unit : str
        Unit of heights, ``m`` or ``ft``.
    """

    file: Path
    key: str
    on: str
    columns: Mapping[str, str]
    length_unit: str = "m"
    layer: str | None = None


@dataclass(frozen=True)
class ParcelSource:
    """Where parcels come from and what their columns mean.

    Attributes
    ----------
    file : Path, Table or None
        None when a GeoDataFrame is given.
    crs : str or None
        Working CRS, projected and metric; a fitting UTM zone when None and the data are geographic.
    area_unit, length_unit : str
        Units of area and length columns.
    columns : dict
        Canonical name to column of the file.
    largest : dict
        Limit (``max_far``, ``max_height``, ``max_floors``) to columns of which the largest counts.
    existing : dict
        Use to the column of its floor area today, or to several that are added up.
    codes : dict
        Use (or ``none``) to use codes, compared as text.
    unmapped : str or None
        Use given to codes in no list; an error names them when None.
    defaults : dict
        Values where a limit, coverage or number of storeys is missing.
    min_area : float
        Polygons below this are slivers, m².
    max_far_today : float
        Today's floor area above this multiple of the site area cannot fit and is cut down to it.
    """

    file: Path | Table | None
    layer: str | None = None
    crs: str | None = None
    area_unit: str = "m2"
    length_unit: str = "m"
    columns: Mapping[str, str] = field(default_factory=dict)
    largest: Mapping[str, Sequence[str]] = field(default_factory=dict)
    existing: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    codes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unmapped: str | None = None
    limits: LimitsTable | None = None
    defaults: Mapping[str, float] = field(default_factory=dict)
    min_area: float = 20.0
    max_far_today: float = 15.0
    uses: Sequence[str] = ()


@dataclass(frozen=True)
class Parcels:
    """Canonical parcels and what was found on the way.

    Attributes
    ----------
    frame : GeoDataFrame
        ``parcel_id`` (unique text), ``zone``, ``use_code``, ``site_area`` (m²), ``max_far``, ``max_height`` (m),
        ``max_floors`` (NaN: no limit), ``coverage`` (0 to 1), ``protected``, ``year`` (NaN: unknown),
        ``storeys_today``, ``gfa_<use>`` (m² today), ``geometry`` (valid 2-D polygons, metric CRS).
    findings : tuple of Finding
    inputs : dict
        File, or table of a database, to SHA-256.
    site_area_from : str
        ``geometry`` or the column.
    """

    frame: gpd.GeoDataFrame
    findings: tuple[Finding, ...]
    inputs: Mapping[str, str]
    site_area_from: str


def in_metres(frame: gpd.GeoDataFrame, origin: str) -> gpd.GeoDataFrame:
    """Return polygons in a CRS in metres: the data's own where it is one, a fitting UTM zone otherwise.

    Raises
    ------
    GeodataError
        No polygons, degrees or feet taken for metres, or no sizes of parcels.
    """
    projected = _metric(frame, None, origin, [])
    area = projected.geometry.area.to_numpy()
    _plausible(area[area > 0] if (area > 0).any() else area, projected.geometry, origin)
    return projected


def read_parcels(source: ParcelSource, frame: gpd.GeoDataFrame | None = None) -> Parcels:
    """Read parcels into the canonical table.

    Parameters
    ----------
    source : ParcelSource
    frame : GeoDataFrame, optional
        Parcels from Python in place of ``source.file``.

    Raises
    ------
    GeodataError
        Naming file, column or parcel, value, what was expected and what to do.
    """
    inputs: dict[str, str] = {}
    if frame is None:
        if source.file is None:
            raise GeodataError("parcels: neither a file nor a GeoDataFrame was given")
        frame, inputs = read_source(source.file, source.layer)
        origin = source.file.name
    else:
        origin = "GeoDataFrame"
        if not isinstance(frame, gpd.GeoDataFrame):
            raise GeodataError(f"parcels: a GeoDataFrame is expected, not {type(frame).__name__}")
        if frame.active_geometry_name is None:
            raise GeodataError("parcels: the GeoDataFrame has no geometry; name one with frame.set_geometry(...)")
        if frame.empty:
            raise GeodataError("parcels: the GeoDataFrame is empty")
        if frame.crs is None:
            raise GeodataError("parcels: the GeoDataFrame has no CRS; set one with frame.set_crs(...)")
    keys = [(f"columns.{key}", column) for key, column in source.columns.items()]
    keys += [(f"columns.{key}", column) for key, several in source.largest.items() for column in several]
    keys += [(f"existing.{use}", column) for use, given in source.existing.items() for column in as_listed(given)]
    for key, column in keys:
        if column not in frame.columns:
            names = [str(c) for c in frame.columns if c != frame.geometry.name]
            raise GeodataError(
                f"{origin}: parcels.{key} = {column!r}: no such column{nearest(column, names)}; "
                f"it has {', '.join(names)}"
            )
        if column == frame.geometry.name:
            raise GeodataError(f"{origin}: parcels.{key} = {column!r}: the geometry is no such column")
    findings: list[Finding] = []
    frame = frame.reset_index(drop=True)
    named = [column for key, column in keys if key.removeprefix("columns.") in NUMBERS or key.startswith("existing.")]
    for column in named:
        _numbers(frame, column, origin)  # names the row of the file, before any is dropped or split
    ids = _ids(frame, source.columns.get("id"))
    frame = _metric(frame, source.crs, origin, findings)
    geometry, row, ids = repair_geometry(frame.geometry, ids, source.min_area, origin, findings)
    table = frame.iloc[row].reset_index(drop=True)
    share = ~pd.Series(row).duplicated().to_numpy()
    area = geometry.area.to_numpy()
    _plausible(area, geometry, origin)

    out = pd.DataFrame({"parcel_id": ids})
    out["zone"] = _text(table, source.columns.get("zone"))
    out["use_code"] = _text(table, source.columns.get("use_code"))
    out["site_area"] = _site_area(table, source, area, row, ids, origin, findings)
    for name in LIMITS:
        values = _largest(table, source.largest.get(name, ()), origin)
        values = np.fmax(values, _numbers(table, source.columns.get(name), origin))
        out[name] = values * (LENGTH[source.length_unit] if name == "max_height" else 1.0)
    if source.limits:
        _join_limits(out, source.limits, source.columns, inputs, findings)
    for name in LIMITS:
        if name in source.defaults:
            out[name] = out[name].fillna(source.defaults[name])
    out["coverage"] = out["coverage"].fillna(DEFAULT_COVERAGE)
    _valid_limits(out, origin)
    protected = source.columns.get("protected")
    out["protected"] = _flags(table[protected], origin) if protected else np.zeros(len(out), dtype=bool)
    year = _numbers(table, source.columns.get("year"), origin)
    out["year"] = np.where(year > 0, year, np.nan)
    out["storeys_today"] = 0
    _floor_area(out, table, source, share, origin, findings)
    _storeys(out, _numbers(table, source.columns.get("storeys"), origin), source, findings)
    order = [c for c in out.columns if not c.startswith("gfa_")] + [f"gfa_{u}" for u in source.uses]
    result = gpd.GeoDataFrame(out[order], geometry=geometry.reset_index(drop=True), crs=geometry.crs)
    return Parcels(result, tuple(findings), inputs, source.columns.get("site_area", "geometry"))


def as_listed(columns: str | Sequence[str]) -> tuple[str, ...]:
    """Return the columns that are named where one may be, or several."""
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _plain(values: pd.Series) -> pd.Series:
    """Return values as text, whole numbers without a decimal point, missing ones empty."""

    def text(value: object) -> str:
        if value is None or value is pd.NA or value != value:
            return ""
        if isinstance(value, (float, np.floating)) and float(value).is_integer():
            return str(int(value))
        return str(value).strip()

    return values.map(text).astype(str)


def plain_text(values: pd.Series) -> pd.Series:
    """Return a column as the text in which codes and ids are compared: whole numbers without a point, missing ones empty."""
    return _plain(values.astype(object))


def _text(table: pd.DataFrame, column: str | None) -> pd.Series:
    return _plain(table[column].astype(object)) if column else pd.Series("", index=table.index)


def _ids(frame: gpd.GeoDataFrame, column: str | None) -> list[str]:
    return _plain(frame[column].astype(object)).tolist() if column else [str(i + 1) for i in range(len(frame))]


def _numbers(table: pd.DataFrame, column: str | None, origin: str) -> np.ndarray:
    if column is None:
        return np.full(len(table), np.nan)
    if pd.api.types.is_datetime64_any_dtype(table[column]):
        raise GeodataError(f"{origin}: column {column!r} holds dates; numbers are expected")
    values = pd.to_numeric(table[column], errors="coerce")
    wrong = values.isna() & table[column].notna() & (table[column].astype(str).str.strip() != "")
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise GeodataError(
            f"{origin}: column {column!r}, row {row + 1} = {table[column].iloc[row]!r}: a number is expected"
        )
    result = values.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(result).any():
        raise GeodataError(f"{origin}: column {column!r} holds an infinite value; a finite number is expected")
    return np.asarray(result)


def _largest(table: pd.DataFrame, columns: Sequence[str], origin: str) -> np.ndarray:
    """Return the largest of some columns in each row, NaN where none has a value."""
    found = [_numbers(table, None, origin), *(_numbers(table, column, origin) for column in columns)]
    return np.asarray(np.fmax.reduce(found))


def _flags(values: pd.Series, origin: str) -> np.ndarray:
    known = {"true": True, "1": True, "yes": True, "y": True, "t": True, "": False, "false": False, "0": False}
    known |= {"no": False, "n": False, "f": False}
    text = _plain(values.astype(object)).str.lower()
    wrong = ~text.isin(list(known))
    if wrong.any():
        raise GeodataError(f"{origin}: column {values.name!r} = {text[wrong].iloc[0]!r}: true or false is expected")
    return np.asarray(text.map(known), dtype=bool)


def _metric(frame: gpd.GeoDataFrame, crs: str | None, origin: str, findings: list[Finding]) -> gpd.GeoDataFrame:
    """Project to a metric CRS and say so."""
    present = frame.geometry[~(frame.geometry.isna() | frame.geometry.is_empty)]
    if present.empty:
        raise GeodataError(f"{origin}: no feature has a geometry; polygons are expected")
    kinds = set(present.geom_type.unique())
    if not kinds & {"Polygon", "MultiPolygon", "GeometryCollection"}:
        raise GeodataError(f"{origin}: geometry is {', '.join(sorted(kinds))}; polygons are expected")
    west, south, east, north = present.total_bounds
    inside = west >= -180 and east <= 180 and south >= -90 and north <= 90
    if frame.crs.is_projected and inside and max(east - west, north - south) < 10:
        raise GeodataError(
            f"{origin}: coordinates {west:.5g}, {south:.5g} look like degrees but the CRS is {frame.crs.name}, in "
            "metres; correct the CRS of the file (EPSG:4326 for longitude and latitude)"
        )
    if frame.crs.is_geographic and not inside:
        raise GeodataError(
            f"{origin}: coordinates {west:.6g}, {south:.6g} are no degrees but the CRS is {frame.crs.name}; "
            "correct the CRS of the file"
        )
    if crs is not None:
        try:
            target = gpd.GeoSeries([], crs=crs).crs
        except Exception:  # pyproj raises several kinds
            raise GeodataError(
                f"parcels.crs = {crs!r}: not a CRS; an EPSG code such as EPSG:32632 is expected"
            ) from None
        if not target.is_projected or {axis.unit_name for axis in target.axis_info} != {"metre"}:
            raise GeodataError(f"parcels.crs = {crs!r} ({target.name}): a projected CRS in metres is expected")
        if not _true_to_area(target, present):
            raise GeodataError(f"parcels.crs = {crs!r} ({target.name}): it distorts areas; take a national or UTM CRS")
    elif (
        frame.crs.is_geographic
        or {axis.unit_name for axis in frame.crs.axis_info} != {"metre"}
        or (not _true_to_area(frame.crs, present))
    ):
        target = present.estimate_utm_crs()
    else:
        return frame
    if target == frame.crs:
        return frame
    findings.append(Finding("projected", (), f"{frame.crs.name} to {target.name}", "projected to a CRS in metres"))
    return frame.to_crs(target)


def _true_to_area(crs: pyproj.CRS, geometry: gpd.GeoSeries) -> bool:
    """Whether areas measured in a CRS are true within 1 % where the geometry lies (those of Web Mercator are not)."""
    if not crs.is_projected:
        return True
    west, south, east, north = geometry.total_bounds
    to_degrees = pyproj.Transformer.from_crs(geometry.crs, crs.geodetic_crs, always_xy=True)
    centre = to_degrees.transform((west + east) / 2, (south + north) / 2)
    return bool(abs(pyproj.Proj(crs).get_factors(*centre).areal_scale - 1) < 0.01)


def _plausible(area: np.ndarray, geometry: gpd.GeoSeries, origin: str) -> None:
    median = float(np.median(area))
    if not 5.0 <= median <= 1e6:
        raise GeodataError(
            f"{origin}: the median parcel measures {median:.3g} m², which is no parcel; is the CRS ({geometry.crs.name}) "
            "right, or are degrees or feet taken for metres?"
        )


def _site_area(
    table: pd.DataFrame,
    source: ParcelSource,
    area: np.ndarray,
    row: np.ndarray,
    ids: list[str],
    origin: str,
    findings: list[Finding],
) -> np.ndarray:
    """Return site areas, m²; the parts of a split parcel share what its column says by their size."""
    column = source.columns.get("site_area")
    if column is None:
        return area
    values = _numbers(table, column, origin) * AREA[source.area_unit] * area / np.bincount(row, area)[row]
    known = np.isfinite(values) & (values > 0)
    if known.any():
        ratio = float(np.median(values[known] / area[known]))
        for unit, size in AREA.items():
            if (
                unit != source.area_unit
                and not 0.7 < ratio < 1.4
                and abs(ratio * size / AREA[source.area_unit] - 1) < 0.15
            ):
                raise GeodataError(
                    f"{origin}: column {column!r} is {ratio:.3g} times the polygons' area, so it looks like {unit}; "
                    f'set parcels.area_unit = "{unit}"'
                )
        if not 0.7 < ratio < 1.4:
            raise GeodataError(
                f"{origin}: column {column!r} is {ratio:.3g} times the polygons' area, which no unit explains; "
                "is the CRS right, or are feet taken for metres?"
            )
    if not known.all():
        names = tuple(np.array(ids, dtype=object)[~known])
        findings.append(
            Finding(
                "missing_site_area", names, f"{len(names)} without a site area in {column!r}", "polygon's area taken"
            )
        )
    return np.where(known, values, area)


def _join_limits(
    out: pd.DataFrame,
    limits: LimitsTable,
    columns: Mapping[str, str],
    inputs: dict[str, str],
    findings: list[Finding],
) -> None:
    if not limits.file.exists():
        raise GeodataError(f"{limits.file}: no such file (parcels.limits.file)")
    inputs |= hashes(limits.file)
    layer = layer_name(limits.file, limits.layer)
    try:
        table = pyogrio.read_dataframe(limits.file, layer=layer, read_geometry=False)
    except RuntimeError as error:
        raise GeodataError(f"{limits.file}: {error} (parcels.limits.file)") from None
    for column in [limits.key, *limits.columns.values()]:
        if column not in table.columns:
            names = [str(c) for c in table.columns]
            raise GeodataError(
                f"{limits.file.name}: no column {column!r}{nearest(column, names)}; it has {', '.join(names)}"
            )
    if limits.on not in out.columns:
        raise GeodataError(f"parcels.limits.on = {limits.on!r}: zone, use_code or parcel_id is expected")
    if limits.on in ("zone", "use_code") and limits.on not in columns:
        raise GeodataError(
            f"parcels.limits.on = {limits.on!r}: parcels.columns.{limits.on} is not given; name the column that holds it"
        )
    table = table.assign(**{limits.key: _plain(table[limits.key].astype(object))})
    twice = table[limits.key][table[limits.key].duplicated()]
    if len(twice):
        raise GeodataError(f"{limits.file.name}: {limits.key} = {twice.iloc[0]!r} stands there twice")
    for name, column in limits.columns.items():
        values = pd.Series(_numbers(table, column, limits.file.name), index=table[limits.key])
        _in_range(name, values, f"{limits.file.name}: {limits.key}")
        factor = LENGTH[limits.length_unit] if name == "max_height" else 1.0
        out[name] = out[name].fillna(out[limits.on].map(values) * factor)
    unknown = ~out[limits.on].isin(table[limits.key])
    if unknown.any():
        keys = sorted(set(out[limits.on][unknown]))
        findings.append(
            Finding(
                "missing_limit",
                tuple(out["parcel_id"][unknown]),
                f"{limits.on} {', '.join(map(repr, keys))} not in {limits.file.name}",
                "defaults of the study taken",
            )
        )


def _in_range(name: str, values: pd.Series, whose: str) -> None:
    """Refuse a limit out of range; `values` are indexed by what the message names."""
    bad = (values < 0) | ((values > 1) | (values == 0) if name == "coverage" else False)
    if bad.any():
        expected = "a share above 0 and at most 1" if name == "coverage" else "a number of at least 0"
        raise GeodataError(
            f"{whose} {values.index[bad][0]!r}: {name} = {values[bad].iloc[0]:g}: {expected} is expected"
        )


def _valid_limits(out: pd.DataFrame, origin: str) -> None:
    for name in LIMITS:
        _in_range(name, out.set_index("parcel_id")[name], f"{origin}: parcel")
    unbounded = out[["max_far", "max_height", "max_floors"]].isna().all(axis=1)
    if unbounded.any():
        i = int(np.flatnonzero(unbounded)[0])
        zone = f" in zone {out['zone'][i]!r}" if out["zone"][i] else ""
        raise GeodataError(
            f"{origin}: {int(unbounded.sum())} parcels, such as {out['parcel_id'][i]!r}{zone}, have no floor-area ratio, "
            "height or storey limit; map a column, join a zoning table or set parcels.defaults.max_far"
        )


def _floor_area(
    out: pd.DataFrame,
    table: pd.DataFrame,
    source: ParcelSource,
    first: np.ndarray,
    origin: str,
    findings: list[Finding],
) -> None:
    """Fill gfa_<use> from a column a use, or from one column and use codes."""
    ids = out["parcel_id"].to_numpy(dtype=object)
    unit = AREA[source.area_unit]

    def cleaned(column: str, expected: np.ndarray) -> np.ndarray:
        values = np.where(first, _numbers(table, column, origin) * unit, 0.0)
        for kind, where, what in (
            ("missing_floor_area", np.isnan(values) & expected, "no floor area"),
            ("negative_floor_area", values < 0, "a negative floor area"),
        ):
            if where.any():
                findings.append(
                    Finding(kind, tuple(ids[where]), f"{int(where.sum())} with {what} in {column!r}", "taken as 0 m²")
                )
        return np.where(values > 0, values, 0.0)

    for use in source.uses:
        out[f"gfa_{use}"] = 0.0
        for column in as_listed(source.existing.get(use, ())):
            out[f"gfa_{use}"] += cleaned(column, np.ones(len(out), dtype=bool))
    if "gfa" in source.columns:
        if "use_code" not in source.columns:
            raise GeodataError(
                "parcels.columns.gfa: today's use is unknown; give parcels.columns.use_code and parcels.codes, "
                "or a column for each use under parcels.existing"
            )
        values = cleaned(source.columns["gfa"], out["use_code"].to_numpy() != "")
        listed_codes = [str(code) for codes in source.codes.values() for code in codes]
        twice = {code for code in listed_codes if listed_codes.count(code) > 1}
        if twice:
            raise GeodataError(f"parcels.codes: {', '.join(sorted(twice))} stands under more than one use; keep one")
        lookup = {str(code): use for use, codes in source.codes.items() for code in codes}
        use_of = out["use_code"].map(lookup).fillna(source.unmapped or "")
        unknown = (use_of == "") & (values > 0)
        if unknown.any():
            counts = out["use_code"][unknown].value_counts()
            listed = ", ".join(f"{code!r} ({n} parcels)" for code, n in counts.items())
            raise GeodataError(
                f"{origin}: use codes that parcels.codes does not name, on parcels with floor area: {listed}; add each to a "
                'use or to "none", or set parcels.unmapped'
            )
        dropped = (use_of == "none").to_numpy() & (values > 0)
        if dropped.any():
            findings.append(
                Finding(
                    "uncounted_floor_area",
                    tuple(ids[dropped]),
                    f"{values[dropped].sum():,.0f} m² of floor under codes of no use",
                    "not counted",
                    float(values[dropped].sum()),
                )
            )
        for use in source.uses:
            out[f"gfa_{use}"] += np.where(use_of == use, values, 0.0)
    columns = [f"gfa_{use}" for use in source.uses]
    total = out[columns].sum(axis=1).to_numpy()
    most = source.max_far_today * out["site_area"].to_numpy()
    over = total > most
    for i in np.flatnonzero(over):
        findings.append(
            Finding(
                "impossible_floor_area",
                (ids[i],),
                f"{total[i]:,.0f} m² of floor on {out['site_area'][i]:,.0f} m² of land, a ratio of {total[i] / out['site_area'][i]:.1f}",
                f"cut to a ratio of {source.max_far_today:g}",
                float(total[i]),
            )
        )
        out.loc[i, columns] = out.loc[i, columns] * (most[i] / total[i])


def _storeys(out: pd.DataFrame, given: np.ndarray, source: ParcelSource, findings: list[Finding]) -> None:
    """Fill storeys_today: whole, at least one where anything stands, enough for plates to fit the lot."""
    ids = out["parcel_id"].to_numpy(dtype=object)
    area = out[[f"gfa_{use}" for use in source.uses]].sum(axis=1).to_numpy()
    land = out["site_area"].to_numpy()
    built = area > 0
    given = np.where((given >= 1) & (given <= MOST_STOREYS), given, source.defaults.get("storeys", np.nan))
    estimate = np.ceil(area / (out["coverage"].to_numpy() * land) - 1e-9)
    unknown = built & np.isnan(given)
    storeys = np.where(np.isnan(given), np.clip(estimate, 1, MOST_STOREYS), np.maximum(np.round(given), 1))
    least = np.ceil(area / land - 1e-9)
    tight = built & (storeys < least)
    storeys = np.where(built, np.maximum(storeys, least), 0)
    if unknown.any():
        findings.append(
            Finding(
                "unknown_storeys",
                tuple(ids[unknown]),
                f"{int(unknown.sum())} with floor area but no number of storeys from 1 to {MOST_STOREYS}",
                "estimated from floor area and coverage",
            )
        )
    if tight.any():
        findings.append(
            Finding(
                "too_few_storeys",
                tuple(ids[tight]),
                f"{int(tight.sum())} whose plate would be larger than the lot",
                "storeys raised until it fits",
            )
        )
    out["storeys_today"] = storeys.astype(int)
