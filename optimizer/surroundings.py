"""What pollution meets on its way: air and ground, screens, wind, background, facades and places to protect.

The table ``[pollution]`` of a study, and what is read for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict, Field, model_validator

from geodata.errors import GeodataError
from geodata.facades import facade_points, footprints
from geodata.layers import hashes, read_layer
from geodata.plume import WindRose
from geodata.propagation import Air, Conditions
from geodata.rasters import RasterSource, sample, summarise
from geodata.screening import Screens
from geodata.units import LENGTH
from optimizer.emissions import HOURS
from optimizer.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
At = Literal["facades", "middles", "places"]

FURTHEST_PLACE = 20_000.0
"""Distance from the district beyond which places are taken for those of another, m."""
SCREEN_STOREY = 3.0
"""Height of a storey of a building that screens, where its height is not known, m: low, which errs on the safe side."""


class Part(BaseModel):
    """A table of the study; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WindClass(Part):
    """Hours of one stability and wind speed."""

    stability: Literal["A", "B", "C", "D", "E", "F"]
    speed: Positive
    frequency: Annotated[list[float], Field(min_length=16, max_length=16)]


class WindSection(Part):
    """A wind rose: share of all hours by sector the wind comes from (north first, clockwise) and class."""

    classes: Annotated[list[WindClass], Field(min_length=1)]
    calm: float = 0.0

    @model_validator(mode="after")
    def _whole(self) -> WindSection:
        _ = self.rose
        return self

    @property
    def rose(self) -> WindRose:
        """The wind rose as physics takes it."""
        return WindRose(
            frequency=np.array([c.frequency for c in self.classes], dtype=float).T,
            stability=tuple(c.stability for c in self.classes),
            speed=np.array([c.speed for c in self.classes]),
            calm=self.calm,
        )


class BackgroundSection(Part):
    """A raster of what is there already."""

    file: str
    unit: str
    band: Annotated[int, Field(ge=1)] = 1
    scale: float | None = None
    offset: float | None = None
    missing: float | None = None
    statistic: Annotated[str, Field(pattern=r"^(point|mean|max|percentile [0-9]+)$")] = "point"


class ScreensSection(Part):
    """Buildings that screen sound; those on parcels that the plan may change are left out."""

    file: str
    layer: str | None = None
    height: str | None = None
    storeys: str | None = None
    length_unit: Literal["m", "ft"] = "m"

    @model_validator(mode="after")
    def _some_height(self) -> ScreensSection:
        if (self.height is None) == (self.storeys is None):
            raise ValueError("name the column of heights with height, or that of storeys with storeys; one of them")
        return self


class PlacesSection(Part):
    """Points to protect: schools, playgrounds, parks."""

    file: str
    layer: str | None = None
    column: str | None = None


class PeriodHours(Part):
    """Lengths of the periods of a day, h."""

    day: Positive = HOURS["day"]
    evening: NonNegative = HOURS["evening"]
    night: Positive = HOURS["night"]

    @model_validator(mode="after")
    def _a_day(self) -> PeriodHours:
        total = self.day + self.evening + self.night
        if abs(total - 24) > 1e-6:
            raise ValueError(f"day, evening and night add to {total:g} h; 24 h are expected")
        return self


class PollutionSection(Part):
    """Conditions under which pollution spreads."""

    temperature: Annotated[float, Field(ge=-30, le=50)] = 10.0
    humidity: Annotated[float, Field(ge=5, le=100)] = 70.0
    ground: Share = 0.0
    reflection: Annotated[float, Field(ge=0, le=10)] = 0.0
    max_screening: Annotated[float, Field(ge=0, le=25)] = 20.0
    spacing: Annotated[float, Field(ge=1, le=1000)] = 20.0
    hours: PeriodHours = PeriodHours()
    terrain: Literal["urban", "rural"] = "urban"
    mixing_height: Annotated[float, Field(ge=50, allow_inf_nan=False)] = 800.0
    wind: WindSection | None = None
    background: dict[str, BackgroundSection] = {}
    screens: ScreensSection | None = None
    places: dict[str, PlacesSection] = {}
    step: Positive = 10.0
    margin: NonNegative = 100.0
    height: Positive = 4.0

    @property
    def conditions(self) -> Conditions:
        """Conditions of sound outdoors."""
        air = Air(temperature=self.temperature, humidity=self.humidity)
        return Conditions(air=air, ground=self.ground, reflection=self.reflection, most_screening=self.max_screening)

    @property
    def period_hours(self) -> dict[str, float]:
        """Lengths of the periods, h."""
        return self.hours.model_dump()

    def rose(self, rule: str) -> WindRose:
        """Return the wind rose.

        Raises
        ------
        StudyError
            When the study has none.
        """
        if self.wind is None:
            raise StudyError(
                f"pollution.wind: missing, and {rule} needs it; give [[pollution.wind.classes]] with stability, speed and "
                "16 frequencies"
            )
        return self.wind.rose


@dataclass(frozen=True)
class Surroundings:
    """What lies around the buildings of a district.

    Attributes
    ----------
    section : PollutionSection
    sites : GeoDataFrame, S rows
        Building sites.
    xy : ndarray, shape (S, 2)
        Their points, m.
    screens : Screens
        Buildings the plan cannot change.
    places : GeoDataFrame
        Points to protect: ``group``, ``place`` (name), geometry.
    folder : callable
        Resolves a file of the study.
    notes : list of str
        Values that had to be assumed, and how limits at receptors were written down.
    kernels : dict
        What `optimizer.kernels` found already.
    """

    section: PollutionSection
    sites: gpd.GeoDataFrame
    xy: Floats
    screens: Screens
    places: gpd.GeoDataFrame
    folder: Callable[[str], Path]
    notes: list[str] = field(default_factory=list)
    kernels: dict[Any, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def footprints(self) -> NDArray[np.object_]:
        """Where each site's building stands: set back evenly from the site's edge, its plate in area, shape (S,)."""
        plates = self.sites["plate"].to_numpy(dtype=float)
        return footprints(np.asarray(self.sites.geometry.array, dtype=object), plates)

    @cached_property
    def size(self) -> Floats:
        """Largest dimension of each footprint, m, shape (S,)."""
        return np.asarray(2.0 * shapely.minimum_bounding_radius(self.footprints))

    @cached_property
    def facades(self) -> tuple[Ints, Floats]:
        """Points of all facades: their site, shape (R,), and where they are, m, shape (R, 2)."""
        return facade_points(self.footprints, self.section.spacing)

    def receptors(self, at: At) -> tuple[list[str], Ints, Floats]:
        """Return points where levels are looked at: names, site of each (-1 for places), where they are (m).

        Parameters
        ----------
        at : str
            ``facades`` of all buildings, ``middles`` of their sites, or ``places`` to protect.
        """
        names = self.sites["site_id"].tolist()
        if at == "middles":
            return names, np.arange(len(names)), self.xy
        if at == "facades":
            site, xy = self.facades
            first = np.unique(site, return_index=True)[1]
            number = np.arange(len(site)) - np.repeat(first, np.bincount(site)[np.unique(site)]) + 1
            return [f"{names[s]} facade {k}" for s, k in zip(site, number, strict=True)], site, xy
        return (
            self.places["place"].tolist(),
            np.full(len(self.places), -1),
            shapely.get_coordinates(self.places.geometry),
        )

    def group(self, name: str) -> NDArray[np.bool_]:
        """Return which places belong to a table of ``[pollution.places]``, shape (places,)."""
        return np.asarray(self.places["group"] == name, dtype=bool)

    def background(self, name: str | float | None, kind: Literal["noise", "air"], at: At, key: str) -> Floats | None:
        """Return what is there already at receptors, dB(A) or µg/m³: a raster of the study, or one number.

        Raises
        ------
        StudyError, geodata.errors.GeodataError
            When there is no such background, or the raster does not fit.
        """
        if name is None:
            return None
        labels, site, xy = self.receptors(at)
        if not isinstance(name, str):
            return np.full(len(xy), float(name))
        if name not in self.section.background:
            known = ", ".join(self.section.background) or "none"
            raise StudyError(f"{key} = {name!r}: no such table in pollution.background; known are {known}")
        section = self.section.background[name]
        given = section.model_dump(exclude={"file", "statistic"})
        try:
            source = RasterSource(self.folder(section.file), kind, **given)
            if section.statistic == "point" or at == "places":
                found = sample(source, gpd.GeoSeries(shapely.points(xy), crs=self.sites.crs), labels)
                values = found.values
            else:
                found = summarise(source, self.sites, self.sites["site_id"].tolist(), section.statistic)
                values = found.values[site]
        except GeodataError as error:
            raise StudyError(f"pollution.background.{name}: {error}") from None
        self.notes.extend(found.findings)
        return np.asarray(values, dtype=float)


def receptor_tables(
    around: Surroundings, backgrounds: Sequence[tuple[str, Literal["noise", "air"], At]]
) -> dict[str, gpd.GeoDataFrame]:
    """Return receptors as a plan's files have them, with what rasters say is there already."""
    tables: dict[str, gpd.GeoDataFrame] = {}
    kinds: tuple[At, ...] = ("facades", "middles", "places")
    for at in kinds:
        names, site, xy = around.receptors(at)
        facts = {"receptor": names, "building": site, "x": xy[:, 0], "y": xy[:, 1]}
        facts |= {"group": around.places["group"].to_numpy()} if at == "places" else {}
        for name, kind, where in backgrounds:
            if where == at:
                facts[f"background_{name}"] = around.background(name, kind, at, f"pollution.background.{name}")
        tables[at] = gpd.GeoDataFrame(facts, geometry=shapely.points(xy), crs=around.sites.crs)
    return tables


def read_surroundings(
    section: PollutionSection,
    folder: Callable[[str], Path],
    parcels: gpd.GeoDataFrame,
    sites: gpd.GeoDataFrame,
    xy: Floats,
) -> tuple[Surroundings, dict[str, str]]:
    """Read screens and places to protect; return them and the hashes of the files.

    Raises
    ------
    StudyError, geodata.errors.GeodataError
        Naming file, key and value.
    """
    files: list[Any] = [*section.background.values(), *section.places.values()]
    files += [section.screens] if section.screens else []
    inputs: dict[str, str] = {}
    for item in files:
        if folder(item.file).is_file():  # the reader says so where it is not
            inputs |= hashes(folder(item.file))
    screens = _read_screens(section.screens, folder, parcels) if section.screens else _standing(parcels)
    places = [
        _read_places(name, item, folder, parcels.crs, parcels.total_bounds) for name, item in section.places.items()
    ]
    empty = gpd.GeoDataFrame({"group": [], "place": []}, geometry=[], crs=parcels.crs)
    together = gpd.GeoDataFrame(pd.concat(places, ignore_index=True)) if places else empty
    return Surroundings(section, sites, xy, screens, together, folder), inputs


def _standing(parcels: gpd.GeoDataFrame) -> Screens:
    """Return the buildings of protected parcels as screens: today's plate, low storeys."""
    today = parcels[[c for c in parcels if c.startswith("gfa_")]].to_numpy(dtype=float).sum(axis=1)
    storeys = parcels["storeys_today"].to_numpy(dtype=float)
    fixed = np.flatnonzero(parcels["protected"].to_numpy(dtype=bool) & (today > 0) & (storeys > 0))
    shapes = np.asarray(parcels.geometry.array, dtype=object)[fixed]
    plates = np.minimum(today[fixed] / storeys[fixed], shapely.area(shapes))
    return _screens(footprints(shapes, plates), storeys[fixed] * SCREEN_STOREY)


def _screens(shapes: NDArray[np.object_], height: Floats) -> Screens:
    parts, building = shapely.get_parts(shapes, return_index=True)
    whole = (shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)
    return Screens(parts[whole], height[building[whole]])


def _layer(key: str, section: Any, folder: Callable[[str], Path], crs: Any) -> gpd.GeoDataFrame:
    try:
        layer = read_layer(folder(section.file), section.layer)
    except GeodataError as error:
        raise StudyError(f"{key}: {error}") from None
    if layer.crs is None:
        raise StudyError(f"{key}.file: no coordinate reference system; add one to the file")
    for name in (getattr(section, c, None) for c in ("column", "height", "storeys")):
        if name is not None and name not in layer:
            raise StudyError(f"{key}: column {name!r} is not in the file; columns are {', '.join(layer.columns)}")
    return layer[~(layer.geometry.isna() | layer.geometry.is_empty)].to_crs(crs).reset_index(drop=True)


def _read_screens(section: ScreensSection, folder: Callable[[str], Path], parcels: gpd.GeoDataFrame) -> Screens:
    layer = _layer("pollution.screens", section, folder, parcels.crs)
    column = section.height or section.storeys
    factor = LENGTH[section.length_unit] if section.height else SCREEN_STOREY
    height = pd.to_numeric(layer[column], errors="coerce").to_numpy(dtype=float) * factor
    shapes = np.asarray(shapely.make_valid(np.asarray(layer.geometry.array)), dtype=object)
    may_change = np.asarray(parcels.geometry.array)[~parcels["protected"].to_numpy(dtype=bool)]
    changing, _ = shapely.STRtree(may_change).query(shapes, predicate="intersects")
    fixed = (shapely.get_dimensions(shapes) == 2) & (height > 0)
    fixed[changing] = False
    return _screens(shapes[fixed], height[fixed])


def _read_places(
    name: str, section: PlacesSection, folder: Callable[[str], Path], crs: Any, bounds: Floats
) -> gpd.GeoDataFrame:
    layer = _layer(f"pollution.places.{name}", section, folder, crs)
    if layer.empty:
        raise StudyError(f"pollution.places.{name}: the file has no place; leave the table out")
    labels = layer[section.column].astype(str) if section.column else [f"{name} {k + 1}" for k in range(len(layer))]
    points = shapely.point_on_surface(np.asarray(layer.geometry.array))
    west, south, east, north = bounds
    away = float(shapely.distance(shapely.box(west, south, east, north), points).min())
    if away > FURTHEST_PLACE:
        raise StudyError(
            f"pollution.places.{name}: the nearest place is {away / 1000:,.0f} km from the district; check the file's CRS"
        )
    return gpd.GeoDataFrame({"group": name, "place": list(labels)}, geometry=points, crs=crs)
