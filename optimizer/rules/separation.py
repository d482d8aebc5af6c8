"""Separation: least distances between uses, and which of two neighbours gives way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from scipy.spatial import cKDTree

from optimizer.rules.base import HOLDS, TOLERANCE, Check, Evidence, Positive, Rule

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model

Term = tuple[Any, Any, Any]

STEPS = [10.0, 30.0, 50.0, 100.0, 200.0, 300.0, 500.0, 700.0, 1000.0, 1500.0]
SEEN = 2.0
"""Multiple of a distance up to which a check measures, so that tables show by how much it holds."""
SELDOM = 0.5
"""Room that is left in the row of a pair, from which it may be left out for a while."""


class Distance(BaseModel):
    """One line of a table of distances."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    use: str = Field(description="use that is protected")
    from_: str = Field(alias="from", description="use that it keeps away from")
    distance: Positive = Field(description="least distance, m")

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"use": self.use, "from": self.from_, "distance": self.distance}


class Separation(Rule):
    """Uses that disturb one another keep a distance.

    For each line {use u, from v, distance D} and each pair of buildings i, j nearer than D (m):

    z_iu + z_jv <= 1,  with z = k e + z' + z''

    e = 1 where the building that stands today holds the use, k = 1 where it is kept, z' and z'' where new or converted
    floors hold it. Unless ``same_building`` (the slab parts them) one building does not hold both either: then
    z'_u + z'_v <= w for redeveloped and converted buildings alike. Distances are straight lines between ``doors`` (a
    point inside each building site), from parcel to parcel between ``boundaries`` (0 within a parcel of several
    buildings), or ``walking`` from door to door. ``where`` chooses the parcels of u; v counts everywhere.

    ``gives_way`` says which pairs are exempt: those of two kept buildings where the newcomer gives way (agent of
    change; two rows a pair whose buildings hold the uses today), those whose u, or whose v, stands in a kept building
    where only "use", or only "from", gives way; none where "both" do, so that one of two neighbours of today must go.
    On parcels of ``discount_where`` distances of u are ``discount`` steps shorter: mixed areas.

    One binary a site and use, for new and for converted floors; none for kept ones; at most two rows a pair; pairs
    that cannot both exist are left out. Missed by pairs of buildings, line by line.

    Homes 100 m and commerce or institutions 30 m from multi-storey industrial buildings: Hong Kong Planning Standards
    and Guidelines, chapter 9 (confirmed). 50 m around B1 industry: Singapore (URA, confirmed). 30, 50, 100 and 200 m by
    category, odour, dust, noise and danger apart: Netherlands, VNG list of 2009 (reported); its further steps and the
    discount of one step in mixed areas are illustrative, from memory. Agent of change: London Plan D13 (the policy
    exists; its wording from memory).
    """

    kind: ClassVar[str] = "separation"
    example: ClassVar[str] = (
        'kind = "separation"\n'
        'distances = [{ use = "housing", from = "workshop", distance = 50 }]\n'
        "same_building = true\nprice = 0.001"
    )
    stricter: ClassVar[Mapping[str, int]] = {"distances": 1}

    distances: Annotated[list[Distance], Field(min_length=1)] = Field(
        description="table of { use, from, distance }: use stands at least so many m from the use in `from`"
    )
    measure: Literal["doors", "boundaries", "walking"] = Field(
        default="doors", description="straight line between doors or between parcel boundaries, or walk between doors"
    )
    same_building: bool = Field(default=False, description="whether one building may hold both")
    gives_way: Literal["newcomer", "use", "from", "both"] = Field(
        default="newcomer", description="whose new or converted floors give way to what is kept"
    )
    discount_where: str | list[str] | None = Field(
        default=None, description="parcels of the protected use whose distances are shorter, as `where`"
    )
    discount: Annotated[int, Field(ge=1)] = Field(default=1, description="steps by which these are shorter")
    steps: Annotated[list[Positive], Field(min_length=1)] = Field(
        default=STEPS, description="rising distances, m; one step shorter than the first is none"
    )

    @model_validator(mode="after")
    def _pairs_once(self) -> Separation:
        pairs = [(item.use, item.from_) for item in self.distances]
        for i, (use, other) in enumerate(pairs):
            if use == other:
                raise ValueError(f"distances[{i}]: use and from are both {use!r}; name two uses")
            if (use, other) in pairs[:i]:
                raise ValueError(f"distances[{i}]: {use} from {other} is given twice; give it once")
        if any(high <= low for low, high in itertools.pairwise(self.steps)):
            raise ValueError(f"steps = {self.steps}: distances rise from step to step")
        for key in ("discount", "steps"):
            if key in self.model_fields_set and self.discount_where is None:
                raise ValueError(f"{key} is given without discount_where; say where distances are shorter")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return both uses of every line."""
        lines = enumerate(self.distances)
        return [(f"distances[{i}].{key}", u) for i, k in lines for key, u in (("use", k.use), ("from", k.from_))]

    def _limits(self, line: Distance, discounted: Bools) -> Floats:
        """Return the distance to keep, m, of each building of the protected use."""
        shorter = [0.0] * self.discount + [step for step in self.steps if step < line.distance]
        return np.where(discounted, shorter[-self.discount], line.distance)

    def constrain(self, model: Model) -> None:
        """Add the rows of each line's pairs of sites."""
        d = model.district
        chosen = d.select(self.where, self.label)[d.parcel_of]
        discounted = np.zeros(len(d.sites), dtype=bool)
        if self.discount_where is not None:
            discounted = d.select(self.discount_where, f"{self.label}.discount_where")[d.parcel_of]
        near = _near(d, self.measure, max(line.distance for line in self.distances))
        for line in self.distances:
            limit = self._limits(line, discounted)
            u, v = (_Side(model, d.use_index[use]) for use in (line.use, line.from_))
            i, j, distance = near
            pairs = (distance < limit[i] * (1.0 - TOLERANCE)) & chosen[i] & u.possible[i] & v.possible[j]
            i, j = i[pairs], j[pairs]
            apart = d.parcel_of[i] != d.parcel_of[j]
            self._across(model, line, u, v, i[apart], j[apart])
            i, j = i[~apart], j[~apart]
            if not self.same_building:
                both = np.flatnonzero(chosen & u.possible & v.possible)
                i, j = np.append(i, both), np.append(j, both)
            self._within(model, line, u, v, i, j)

    def _across(self, model: Model, line: Distance, u: _Side, v: _Side, i: Ints, j: Ints) -> None:
        """Part the buildings of different parcels; what a pair misses is one slack that its rows share."""
        if not len(i):
            return
        names, slack = self._slack(model, line, i, j)
        both = u.kept[i] & v.kept[j]
        rows: list[tuple[Bools, bool, bool]]
        if self.gives_way == "newcomer":
            # Where one side holds nothing today, the row with the other side's kept floors says all.
            rows = [(both | ~u.kept[i], False, True), (both | u.kept[i], True, False)]
        else:
            kept = {"use": (False, True), "from": (True, False), "both": (True, True)}[self.gives_way]
            rows = [(np.ones(len(i), dtype=bool), *kept)]
        for label, (held, u_kept, v_kept) in zip(("", "_kept"), rows, strict=False):
            at = np.flatnonzero(held)
            row = np.arange(len(at))
            model.program.rows(
                [names[k] + label for k in at],
                *u.terms(row, i[at], kept=u_kept),
                *v.terms(row, j[at], kept=v_kept),
                *([] if slack is None else [(row, slack[at], -1.0)]),
                upper=1.0,
                lazy=SELDOM if slack is None else np.inf,
            )

    def _within(self, model: Model, line: Distance, u: _Side, v: _Side, i: Ints, j: Ints) -> None:
        """Part the buildings of one parcel, or the floors of one building, which share the parcel's action."""
        if not len(i):
            return
        p = model.district.parcel_of[i]
        names, slack = self._slack(model, line, i, j)
        row = np.arange(len(i))
        stay = u.kept[i] & v.kept[j] & (self.gives_way == "both")
        model.program.rows(
            names,
            *u.terms(row, i, kept=False),
            *v.terms(row, j, kept=False),
            (row, model.redevelop[p], -1.0),
            (row, model.convert[p], -1.0),
            (row, model.keep[p], stay.astype(float)),
            *([] if slack is None else [(row, slack, -1.0)]),
            upper=0.0,
        )

    def _slack(self, model: Model, line: Distance, i: Ints, j: Ints) -> tuple[list[str], Ints | None]:
        site = model.site_names
        names = [f"{line.use}_{site[a]}_{line.from_}_{site[b]}" for a, b in zip(i, j, strict=True)]
        slack = None if self.price is None else self.missed(model, [f"{n}_missed" for n in names])
        return [f"{self.label}_{n}" for n in names], slack

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Measure from every building of a protected use to all that hold the other, line by line."""
        table = evidence.buildings
        kept = (table["action"] == "keep").to_numpy()
        chosen = evidence.chosen_buildings(self.where, self.label)
        discounted = np.zeros(len(table), dtype=bool)
        if self.discount_where is not None:
            discounted = evidence.chosen_buildings(self.discount_where, f"{self.label}.discount_where")
        names = np.asarray(evidence.building_names, dtype=object)
        for line in self.distances:
            own, other = (table[f"gfa_{use}"].to_numpy(dtype=float) > HOLDS for use in (line.use, line.from_))
            i, j = np.flatnonzero(own & chosen), np.flatnonzero(other)
            limit = self._limits(line, discounted)[i]
            a, b, distance = self._measured(evidence, i, j, SEEN * line.distance)
            counts = (i[a] != j[b]) & ~self._exempt(kept[i[a]], kept[j[b]])
            a, distance = a[counts], distance[counts]
            close = np.bincount(a[distance < limit[a] * (1.0 - TOLERANCE)], minlength=len(i))
            least = np.full(len(i), np.inf)
            np.minimum.at(least, a, distance)
            at = np.isfinite(least) & (limit > 0)
            label = f"{self.label} of {line.use} from {line.from_}"
            yield from self.verdict(
                list(names[i][at]),
                least[at],
                limit[at],
                "m",
                ">=",
                missed=close[at],
                missed_unit="pairs of buildings",
                absolute=0.0,
                name=label,
            )
            if not self.same_building:
                shared = other[i] & ~self._exempt(kept[i], kept[i])
                yield from self.verdict(
                    list(names[i]),
                    shared.astype(float),
                    0.0,
                    "buildings with both",
                    missed_unit="pairs of buildings",
                    name=f"{label} in one building",
                )

    def _exempt(self, use_kept: Bools, from_kept: Bools) -> Bools:
        if self.gives_way == "both":
            return np.zeros(len(use_kept), dtype=bool)
        if self.gives_way == "newcomer":
            return use_kept & from_kept
        return use_kept if self.gives_way == "use" else from_kept

    def _measured(self, evidence: Evidence, i: Ints, j: Ints, limit: float) -> tuple[Ints, Ints, Floats]:
        """Return pairs of buildings i and j no further than a limit, as places in i and j, and their distances, m."""
        table = evidence.buildings
        if self.measure == "walking":
            every = np.arange(len(table))
            a, b, distance = evidence.doors.pairs_to(np.isin(every, i), np.isin(every, j), limit)
            return np.searchsorted(i, a), np.searchsorted(j, b), distance
        if self.measure == "doors":
            xy = table[["x", "y"]].to_numpy(dtype=float)
            near = cKDTree(xy[i]).sparse_distance_matrix(cKDTree(xy[j]), limit, output_type="ndarray")
            return near["i"], near["j"], near["v"]
        shapes = evidence.parcels.geometry.loc[table["parcel_id"]].to_numpy()
        a, b = shapely.STRtree(shapes[j]).query(shapes[i], predicate="dwithin", distance=limit)
        return a, b, shapely.distance(shapes[i[a]], shapes[j[b]])


@dataclass(frozen=True)
class _Side:
    """One use of a line of distances, at every site."""

    model: Model
    use: int

    @property
    def kept(self) -> Bools:
        """Whether today's building holds the use, shape (S,)."""
        return np.asarray(self.model.district.existing_at[:, self.use] > HOLDS)

    @property
    def possible(self) -> Bools:
        """Whether any building at the site can hold the use, shape (S,)."""
        d = self.model.district
        free = ~d.parcels["protected"].to_numpy(dtype=bool)
        built = (d.storey_limit[:, self.use] > 0) | (d.storeys_today > 0)[d.parcel_of]
        return np.asarray(self.kept | (free[d.parcel_of] & built))

    def terms(self, row: Ints, sites: Ints, *, kept: bool) -> list[Term]:
        """Terms whose sum is 1 where a site holds the use, in new and converted floors or in kept ones too."""
        model, d = self.model, self.model.district
        terms: list[Term] = [(row, model.presence(kind, self.use)[sites], 1.0) for kind in ("new", "conv")]
        if kept:
            terms.append((row, model.keep[d.parcel_of[sites]], self.kept[sites].astype(float)))
        return terms


def _near(d: District, measure: str, limit: float) -> tuple[Ints, Ints, Floats]:
    """Return ordered pairs of different sites nearer than a limit, and their distances, m."""
    from geodata.walking import walking_distance

    if measure == "walking":
        found = walking_distance(d.network, limit).tocoo()
        return found.row.astype(np.int64), found.col.astype(np.int64), np.asarray(found.data)
    if measure == "doors":
        pairs = cKDTree(d.xy).query_pairs(limit, output_type="ndarray").astype(np.int64)
        i, j = np.concatenate([pairs, pairs[:, ::-1]]).T
        return i, j, np.linalg.norm(d.xy[i] - d.xy[j], axis=1)
    shapes = np.asarray(d.parcels.geometry.array)[d.parcel_of]
    i, j = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=limit).astype(np.int64)
    different = i != j
    i, j = i[different], j[different]
    return i, j, np.asarray(shapely.distance(shapes[i], shapes[j]))
