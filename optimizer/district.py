"""The district as the model sees it: arrays over parcels, building sites, uses and linkages, all in SI units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geodata.groups import blocks, neighbourhoods
from geodata.layers import hashes, read_layer, read_source
from geodata.parcels import Parcels, read_parcels
from geodata.repairs import Finding
from geodata.sites import divide, inner_points
from geodata.walking import DEFAULT_SNAP, WalkingNetwork, apart, parcel_network, street_network
from optimizer.errors import StudyError
from optimizer.rules.base import Places
from optimizer.surroundings import Surroundings, read_surroundings
from optimizer.uses import Linkage, Use

if TYPE_CHECKING:
    from optimizer.rules import Rule
    from optimizer.sections import LayerSection
    from optimizer.study import Study

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STOREY_LIMIT = 200
"""Storeys of a building that only its floor-area ratio bounds."""


@dataclass(frozen=True)
class District:
    """Parcels, building sites and what links them.

    P parcels, S building sites, U uses. A parcel's sites share its floor plate, today's floors and new
    ones, equally; each has a stack and a door of its own.

    Attributes
    ----------
    parcels : GeoDataFrame, P rows
        Canonical parcels (see `geodata.parcels.read_parcels`), metric CRS.
    sites : GeoDataFrame, S rows
        Building sites with ``parcel`` (row of its parcel), ``site`` (from 1) and ``plate`` (m²).
    uses, linkages : tuple
        In the order of the study.
    network : WalkingNetwork
        One door a site, in the order of `sites`.
    groups : dict
        Name of a scale (``block``, ``neighbourhood``) to the group of each site, shape (S,).
    found : Parcels
        What was read: findings, hashes of inputs, origin of the site areas.
    inputs : dict
        File, or table of a database, to SHA-256.
    extra_far : ndarray, shape (P,)
        Most floor-area ratio that rules add to the parcels' own.
    around : Surroundings
        What pollution meets on its way.
    """

    parcels: gpd.GeoDataFrame
    sites: gpd.GeoDataFrame
    uses: tuple[Use, ...]
    linkages: tuple[Linkage, ...]
    network: WalkingNetwork
    groups: dict[str, Ints]
    found: Parcels
    inputs: dict[str, str]
    extra_far: Floats
    around: Surroundings

    def _column(self, name: str) -> Floats:
        return np.asarray(self.parcels[name].to_numpy(dtype=float))

    @cached_property
    def use_index(self) -> dict[str, int]:
        """Position of each use by name."""
        return {use.name: i for i, use in enumerate(self.uses)}

    @cached_property
    def site_area(self) -> Floats:
        """Site area of each parcel, m², shape (P,)."""
        return self._column("site_area")

    @cached_property
    def existing(self) -> Floats:
        """Today's floor area, m², shape (P, U)."""
        columns = [f"gfa_{use.name}" for use in self.uses]
        return np.asarray(self.parcels[columns].to_numpy(dtype=float))

    @cached_property
    def built(self) -> Bools:
        """Whether anything stands on a parcel today, shape (P,)."""
        return np.asarray(self.existing.sum(axis=1) > 0)

    @cached_property
    def storeys_today(self) -> Ints:
        """Storeys of today's building, shape (P,); 0 on vacant parcels."""
        return np.where(self.built, self._column("storeys_today"), 0).astype(np.int64)

    @cached_property
    def parcel_of(self) -> Ints:
        """Parcel of each site, shape (S,)."""
        return np.asarray(self.sites["parcel"], dtype=np.int64)

    @cached_property
    def sites_on(self) -> Ints:
        """Number of sites of each parcel, shape (P,)."""
        return np.bincount(self.parcel_of, minlength=len(self.parcels)).astype(np.int64)

    @cached_property
    def plate(self) -> Floats:
        """Plate of a new building on each site, m², shape (S,)."""
        return np.asarray(self.sites["plate"].to_numpy(dtype=float))

    @cached_property
    def existing_at(self) -> Floats:
        """Today's floor area at each site, m², shape (S, U)."""
        return np.asarray((self.existing / self.sites_on[:, None])[self.parcel_of])

    @cached_property
    def plate_today(self) -> Floats:
        """Plate of today's building at each site, m², shape (S,); 0 on vacant parcels."""
        storeys = np.maximum(self.storeys_today, 1)[self.parcel_of]
        return np.asarray(self.existing_at.sum(axis=1) / storeys)

    @cached_property
    def storey_height(self) -> Floats:
        """Storey height of each use, m, shape (U,)."""
        return np.array([use.storey_height for use in self.uses])

    @cached_property
    def storey_limit(self) -> Ints:
        """Most new floors of each use on each site, shape (S, U), by height, storeys and floor-area ratio."""
        p = self.parcel_of
        by_height = self._limit("max_height")[p, None] / self.storey_height[None, :]
        by_storeys = self._limit("max_floors")[p, None]
        area = (self._limit("max_far") + self.extra_far)[p, None] * self.site_area[p, None]
        by_area = np.divide(area, self.plate[:, None], out=np.zeros_like(area), where=self.plate[:, None] > 0)
        limit = np.minimum(np.minimum(by_height, by_storeys), by_area)
        return np.asarray(np.floor(np.minimum(limit, STOREY_LIMIT) + 1e-9), dtype=np.int64)

    def _limit(self, name: str) -> Floats:
        """Return a limit of each parcel, infinite where none is given."""
        values = self._column(name)
        return np.where(np.isnan(values), np.inf, values)

    @cached_property
    def max_far(self) -> Floats:
        """Floor-area ratio allowed, shape (P,); infinite where none is given."""
        return self._limit("max_far")

    @cached_property
    def max_height(self) -> Floats:
        """Height allowed, m, shape (P,); infinite where none is given."""
        return self._limit("max_height")

    @cached_property
    def max_floors(self) -> Floats:
        """Storeys allowed, shape (P,); infinite where no number is given."""
        return self._limit("max_floors")

    @cached_property
    def tallest(self) -> Floats:
        """Most height of any building at each site, of today or new, m, shape (S,)."""
        today = self.storeys_today[self.parcel_of] * self.storey_height.max()
        return np.asarray(np.maximum(today, (self.storey_limit * self.storey_height).max(axis=1)))

    @cached_property
    def xy(self) -> Floats:
        """A point inside each site, m, shape (S, 2)."""
        return inner_points(self.sites)

    @cached_property
    def land(self) -> Floats:
        """Site area that goes with each site, m², shape (S,): its part of the parcel."""
        return np.asarray((self.site_area / self.sites_on)[self.parcel_of])

    def places(self, by: str, where: str | list[str] | None, rule: str) -> Places:
        """Group the sites on the chosen parcels: ``district``, ``parcel``, ``building``, ``block`` ... or a fact."""
        p = self.parcel_of
        table = pd.DataFrame({"site": self.sites["site"].to_numpy(), **self.groups})
        known = facts(self.parcels).iloc[p]
        ids = self.parcels["parcel_id"].iloc[p].tolist()
        try:
            return Places.by(by, ids, table, known, self.select(where, rule)[p], self.land)
        except StudyError as error:
            raise StudyError(f"rules ({rule}): {error}") from None

    def select(self, where: str | list[str] | None, rule: str) -> Bools:
        """Return the parcels that an expression or a list of ids chooses, shape (P,).

        Raises
        ------
        StudyError
            When the expression cannot be evaluated or is not true or false for each parcel.
        """
        return select(self.parcels, where, rule)


FACTS = ("parcel_id", "zone", "use_code", "site_area", "max_far", "max_height", "max_floors", "coverage", "protected")
"""Columns that an expression may use, with ``year``, ``storeys_today``, today's floor area ``today_<use>`` and what
layers say, ``layer_<name>``."""


def facts(parcels: pd.DataFrame) -> pd.DataFrame:
    """Return the facts of parcels, of a district or of a written plan alike, by the names that expressions use."""
    today = [c for c in parcels if c.startswith("today_") and c != "today_dominant_use"]
    layers = [c for c in parcels if c.startswith("layer_")]
    table = parcels[[*FACTS, "year", "storeys_today", *layers, *today]]
    if today:
        return pd.DataFrame(table)
    area = parcels[[c for c in parcels if c.startswith("gfa_")]]
    return pd.concat([table, area.rename(columns=lambda c: "today_" + c.removeprefix("gfa_"))], axis=1)


def select(parcels: pd.DataFrame, where: str | list[str] | None, rule: str) -> Bools:
    """Return the rows for which an expression such as ``zone == 'IA-1'`` is true, or whose ids a list names; all where it is None.

    ``rule`` names the key in errors.
    """
    if where is None:
        return np.ones(len(parcels), dtype=bool)
    if isinstance(where, list):
        ids = parcels["parcel_id"].astype(str)
        missing = sorted(set(where) - set(ids))
        if missing:
            raise StudyError(f"{rule}: where names parcel {missing[0]!r}, which the district does not have")
        return np.asarray(ids.isin(where))
    if "@" in where or "__" in where:
        raise StudyError(f"{rule}: where = {where!r}: only columns, values and comparisons are allowed")
    if re.search(r"(^|[^=<>!])=([^=]|$)", where):
        raise StudyError(f"{rule}: where = {where!r}: = compares nothing; is == meant?")
    table = facts(parcels)
    try:
        chosen = table.eval(where, engine="python")
    except Exception as error:  # any failure of the expression is the writer's to mend
        known = ", ".join(map(str, table.columns))
        raise StudyError(f"{rule}: where = {where!r}: {error}; columns are {known}") from None
    values = np.asarray(chosen)
    if values.dtype != bool or values.shape != (len(parcels),):
        raise StudyError(f"{rule}: where = {where!r}: an expression true or false for each parcel is expected")
    return values


def read_district(
    study: Study,
    frame: gpd.GeoDataFrame | None = None,
    streets: gpd.GeoDataFrame | None = None,
    *,
    network: WalkingNetwork | None = None,
) -> District:
    """Read the study's parcels and streets, divide large parcels and link all doors.

    Parameters
    ----------
    study : Study
    frame : GeoDataFrame, optional
        Parcels from Python in place of the study's file.
    streets : GeoDataFrame, optional
        Street centre lines in place of the study's file.
    network : WalkingNetwork, optional
        Walking network measured otherwise, one door a building site in the order of the parcels; streets then only
        bound blocks.

    Raises
    ------
    StudyError, geodata.errors.GeodataError
        Naming file, key and value.
    """
    if frame is None and study.parcels.file is None:
        raise StudyError(
            "parcels.file: missing; name a vector file or a database, or pass parcels=GeoDataFrame from Python"
        )
    found = read_parcels(study.parcel_source(), frame)
    if study.parcels.open_land is not None:
        stays = select(found.frame, study.parcels.open_land, "parcels.open_land")
        if not stays.any():
            # A preset's words fit any district of its publisher; a study's own may be mistaken. Both are told.
            told = f"parcels.open_land = {study.parcels.open_land!r} chooses no parcel"
            found = replace(found, findings=(*found.findings, Finding("no_open_land", (), told, "no land stays open")))
        found.frame["protected"] |= stays
    inputs = dict(found.inputs)
    for name, section in study.layers.items():
        file = study.path(section.file)
        found.frame[f"layer_{name}"] = _overlay(found.frame, section, read_layer(file, section.layer), f"layers.{name}")
        inputs |= hashes(file)
    sites = divide(found.frame, study.sites.plate)
    if streets is None and study.streets is not None:
        streets, files = read_source(study.source(study.streets, "streets"), study.streets.layer)
        inputs |= files
    snap = study.streets.snap if study.streets else DEFAULT_SNAP
    if network is None:
        network = parcel_network(sites) if streets is None else street_network(streets, sites, snap)
    elif len(network.door) != len(sites):
        raise StudyError(
            f"network: {len(network.door)} doors for {len(sites)} building sites; give one door a site, in their order"
        )
    parted = apart(network, sites["parcel_id"].tolist())
    network = replace(network, findings=(*network.findings, *parted))
    around, files = read_surroundings(study.pollution, study.path, found.frame, sites, inner_points(sites))
    return District(
        parcels=found.frame,
        sites=sites,
        uses=study.use_list,
        linkages=study.linkage_list,
        network=network,
        groups={
            "block": blocks(sites, streets, snap),
            "neighbourhood": neighbourhoods(sites, study.objective.neighbourhood_size),
        },
        found=found,
        inputs=inputs | files,
        extra_far=_extra_far(found.frame, study.rules),
        around=around,
    )


def _extra_far(parcels: pd.DataFrame, rules: Sequence[Rule]) -> Floats:
    return sum((rule.extra_far(parcels) for rule in rules), np.zeros(len(parcels)))


def _overlay(parcels: gpd.GeoDataFrame, section: LayerSection, layer: gpd.GeoDataFrame, key: str) -> np.ndarray:
    """Return what a layer says of each parcel, shape (P,): a column's value at a point inside it, or whether it is there."""
    if layer.crs is None:
        raise StudyError(f"{key}.file: no coordinate reference system; add one to the file")
    if section.column is not None and section.column not in layer:
        raise StudyError(f"{key}.column = {section.column!r}: not in the file; columns are {', '.join(layer.columns)}")
    layer = layer[~(layer.geometry.isna() | layer.geometry.is_empty)].to_crs(parcels.crs)
    points = shapely.point_on_surface(np.asarray(parcels.geometry.array))
    tree = shapely.STRtree(np.asarray(layer.geometry.array))
    row = np.full(len(parcels), -1)
    if len(layer):
        near = tree.query_nearest(points, all_matches=False, max_distance=section.within or 1e-9)
        row[near[0]] = near[1]
    if section.column is None:
        return np.asarray(row >= 0)
    values = layer[section.column].to_numpy()
    return np.array([str(values[k]) if k >= 0 else "" for k in row], dtype=object)
