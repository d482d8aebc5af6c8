"""Grain: how large the units of a use are, and how many doors a street has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import shapely
from pydantic import Field, model_validator

from optimizer.rules.base import TOLERANCE, Check, Evidence, PlacedRule, Places, Positive, Rule, Share

if TYPE_CHECKING:
    from optimizer.district import Bools, Floats, Ints
    from optimizer.model import Model

Term = tuple[Any, Any, Any]

HOLDS = 0.01
"""Floor area from which a building stands, or holds a use, m²; as much may a small unit exceed its size."""
TOUCH = 1.0
"""Parcels this near one another share a boundary, m."""


class Grain(PlacedRule):
    """Units are neither too small nor too large, some of them small, and doors follow one another along the street.

    A unit is the floor of one use in one building. With g its floor area (m²), z = 1 where there is one:

    least and largest unit:     min_unit z <= g <= max_unit
    small units of a place:     sum of l >= min_small_share sum of g,   l = g where g <= small, else 0
    doors of a place:           buildings that stand >= doors_per_100m L / 100

    L is the frontage (m): the length of the outer boundary of the place's chosen parcels joined together, built or not,
    without the rings of courts inside; parcels within 1 m of one another are joined, and a parcel whose buildings lie
    in two places lengthens both. With plate a, n floors, N the most of them and K the most that are small:
    a n <= a K b + a N (1 - b) and l <= a K b. ``as_of_right`` leaves kept buildings out of the least and the largest
    unit; in small shares and among doors every building counts.

    One binary a site and use, for new and for converted floors, for ``min_unit`` where one floor is less, another for
    ``small`` where some floors are small and more are not; one a site for ``doors_per_100m``; none for ``max_unit``
    and for kept buildings. Missed by m², or by doors; a price holds for one of them.

    At least 5,000 sq ft (465 m²) of contiguous industrial floor: New York, Zoning Resolution 74-965 (confirmed). At most
    10,000 sq ft (929 m²) of artisan production: Vancouver, Washington, municipal code 20.430.050 (confirmed). Of about
    3,500 works in Ota, Tokyo, 82 % have at most 9 staff (confirmed; a share of works, not of floor area).
    """

    kind: ClassVar[str] = "grain"
    example: ClassVar[str] = 'kind = "grain"\nuses = ["workshop"]\nmin_unit = 465\nas_of_right = true'
    stricter: ClassVar[Mapping[str, int]] = {"doors_per_100m": 1}

    uses: list[str] = Field(default=[], description="uses whose units count; all by default")
    min_unit: Positive | None = Field(default=None, description="least floor area of a unit, m²")
    max_unit: Positive | None = Field(default=None, description="most floor area of a unit, m²")
    small: Positive | None = Field(default=None, description="floor area up to which a unit is small, m²")
    min_small_share: Share | None = Field(
        default=None, description="least share of the uses' floor area that stands in small units, m²/m²"
    )
    doors_per_100m: Positive | None = Field(
        default=None, description="least number of buildings, whatever their uses, per 100 m of a place's frontage"
    )

    @model_validator(mode="after")
    def _sizes_agree(self) -> Grain:
        if (self.small is None) != (self.min_small_share is None):
            given, missing = ("small", "min_small_share") if self.small else ("min_small_share", "small")
            raise ValueError(f"{given} is given without {missing}; give both")
        for key in ("max_unit", "small"):
            most = getattr(self, key)
            if self.min_unit and most is not None and self.min_unit > most:
                raise ValueError(f"min_unit = {self.min_unit:g} is above {key} = {most:g}")
        areas = any(v is not None for v in (self.min_unit, self.max_unit, self.small))
        if not areas and self.doors_per_100m is None:
            raise ValueError("none of min_unit, max_unit, min_small_share and doors_per_100m is given; give one")
        if areas and self.doors_per_100m is not None and self.price is not None:
            raise ValueError(f"price = {self.price:g}: per m² or per door? Give units and doors a rule each")
        if self.doors_per_100m is not None and self.by == "building":
            raise ValueError("by = 'building': a building has one door; count doors by = 'block' for instance")
        if len(set(self.uses)) < len(self.uses):
            raise ValueError(f"uses = {self.uses}: a use is named twice")
        return self

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses whose units count."""
        return [(f"uses[{i}]", use) for i, use in enumerate(self.uses)]

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find a least unit above the largest unit that another rule allows the same uses in the same place."""
        for rule in rules:
            if not isinstance(rule, Grain) or rule.where != self.where or rule.price or self.price:
                continue
            same = not self.uses or not rule.uses or bool(set(self.uses) & set(rule.uses))
            if same and self.min_unit and rule.max_unit and self.min_unit > rule.max_unit:
                return (
                    f"rules ({self.label}, {rule.label}): min_unit = {self.min_unit:g} is above "
                    f"max_unit = {rule.max_unit:g} of the same uses"
                )
        return None

    def constrain(self, model: Model) -> None:
        """Add the rows of units, site by site, and of small shares and doors, place by place."""
        places = model.district.places(self.by, self.where, self.label)
        floors = [floors for u in self._counted(model) for floors in _floors(model, u, places.of >= 0)]
        for units in floors:
            self._sizes(model, units)
        if not self.as_of_right:
            self._kept_sizes(model, places)
        if self.small is not None:
            self._small_share(model, places, floors)
        if self.doors_per_100m is not None:
            self._doors(model, places)

    def _counted(self, model: Model) -> list[int]:
        d = model.district
        return [d.use_index[use] for use in self.uses] or list(range(len(d.uses)))

    def _sizes(self, model: Model, units: _Floors) -> None:
        """Bound new or converted units; hard bounds are whole floors, which is stronger."""
        from optimizer.model import AREA

        if self.min_unit is not None:
            least = np.ceil(self.min_unit / units.plate - 1e-6)
            never = (least > units.limit) & (self.price is None)
            at = np.flatnonzero(never)
            model.program.rows(
                [f"{self.label}_{n}" for n in units.names("never", at)],
                (np.arange(len(at)), units.floors[at], 1.0),
                upper=0.0,
            )
            at = np.flatnonzero((least > 1) & ~never)
            needed = (units.plate * least)[at] if self.price is None else np.full(len(at), self.min_unit)
            rows = np.arange(len(at))
            if len(at):
                present = model.presence(units.kind, units.use)[units.sites]
                self.rows(
                    model,
                    units.names("least", at),
                    (rows, units.floors[at], units.plate[at] * AREA),
                    (rows, present[at], -needed * AREA),
                    lower=0.0,
                    unit=AREA,
                )
        if self.max_unit is not None:
            most = np.floor(self.max_unit / units.plate + 1e-6)
            at = np.flatnonzero(units.limit > most)
            allowed = (units.plate * most)[at] if self.price is None else np.full(len(at), self.max_unit)
            rows = np.arange(len(at))
            self.rows(
                model,
                units.names("largest", at),
                (rows, units.floors[at], units.plate[at] * AREA),
                (rows, units.action[at], -allowed * AREA),
                upper=0.0,
                unit=AREA,
            )

    def _kept_sizes(self, model: Model, places: Places) -> None:
        """Let no building stand as it is where one of its units is too small or too large."""
        from optimizer.model import AREA

        d = model.district
        for u in self._counted(model):
            area = d.existing_at[:, u]
            short = np.zeros(len(area)) if self.min_unit is None else self.min_unit - area
            over = np.zeros(len(area)) if self.max_unit is None else area - self.max_unit
            for label, excess, bound in (("least", short, self.min_unit), ("largest", over, self.max_unit)):
                at = np.flatnonzero((places.of >= 0) & (area > HOLDS) & (excess > TOLERANCE * (bound or 0.0)))
                names = [f"{label}_kept_{d.uses[u].name}_{model.site_names[s]}" for s in at]
                terms = (np.arange(len(at)), model.keep[d.parcel_of[at]], excess[at] * AREA)
                self.rows(model, names, terms, upper=0.0, unit=AREA)

    def _small_share(self, model: Model, places: Places, floors: list[_Floors]) -> None:
        from optimizer.model import AREA

        d = model.district
        limit, share = (self.small or 0.0) + HOLDS, self.min_small_share or 0.0
        weight = np.zeros(len(d.uses))
        weight[self._counted(model)] = 1.0
        terms: list[Term] = model.weighted_floor(-share * weight, places.of)
        inside = np.flatnonzero(places.of >= 0)
        today = (d.existing_at * (d.existing_at <= limit)) @ weight
        terms.append((places.of[inside], model.keep[d.parcel_of[inside]], today[inside] * AREA))
        for units in floors:
            most = np.floor(limit / units.plate)
            always = most >= units.limit
            terms.append((places.of[units.sites], units.floors, np.where(always, units.plate, 0.0) * AREA))
            at = np.flatnonzero((most > 0) & ~always)
            small = self._small_floors(model, units, at, most[at])
            terms.append((places.of[units.sites[at]], small, units.plate[at] * AREA))
        self.rows(model, [f"small_{n}" for n in places.names], *terms, lower=0.0, unit=AREA)

    def _small_floors(self, model: Model, units: _Floors, at: Ints, most: Floats) -> Ints:
        """Add columns equal to the floors of a unit where it is small, else 0."""
        program, rows, names = model.program, np.arange(len(at)), units.names("{}", at)
        names = [f"{self.label}_{name}" for name in names]
        binary = program.columns([n.format("is_small") for n in names], upper=1.0, integer=True)
        small = program.columns([n.format("small") for n in names], upper=most)
        floors, limit = units.floors[at], units.limit[at].astype(float)
        program.rows([n.format("no_more") for n in names], (rows, small, 1.0), (rows, floors, -1.0), upper=0.0)
        program.rows([n.format("if_small") for n in names], (rows, small, 1.0), (rows, binary, -most), upper=0.0)
        program.rows(
            [n.format("else_large") for n in names],
            (rows, floors, 1.0),
            (rows, small, -1.0),
            (rows, binary, limit),
            upper=limit,
        )
        return small

    def _doors(self, model: Model, places: Places) -> None:
        d = model.district
        inside = np.flatnonzero(places.of >= 0)
        stands, parcel, rows = model.standing()[inside], d.parcel_of[inside], np.arange(len(inside))
        names = [f"{self.label}_stands_{model.site_names[s]}" for s in inside]
        model.program.rows(
            [f"{n}_floors" for n in names],
            (rows, stands, 1.0),
            (rows[:, None], model.new[inside], -1.0),
            upper=0.0,
        )
        model.program.rows(
            [f"{n}_action" for n in names], (rows, stands, 1.0), (rows, model.redevelop[parcel], -1.0), upper=0.0
        )
        today = (d.existing_at.sum(axis=1) > HOLDS)[inside].astype(float)
        place, shapes = places.of[inside], np.asarray(d.parcels.geometry.array)
        length = [frontage(shapes[np.unique(parcel[place == k])]) for k in range(len(places.names))]
        self.rows(
            model,
            [f"doors_{n}" for n in places.names],
            (place, stands, 1.0),
            (place, model.convert[parcel], today),
            (place, model.keep[parcel], today),
            lower=np.array(length) * (self.doors_per_100m or 0.0) / 100.0,
        )

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Measure every unit, add small ones up by place and count buildings along each place's frontage."""
        places = evidence.places(self.by, self.where, self.label)
        uses = self.uses or list(evidence.uses)
        columns = [list(evidence.uses).index(use) for use in uses]
        area = evidence.floor_area(self.as_of_right)[:, columns]
        building, use = np.nonzero((area > HOLDS) & (places.of >= 0)[:, None])
        scopes = [f"{evidence.building_names[s]}, {uses[u]}" for s, u in zip(building, use, strict=True)]
        for label, bound, sense in (("least", self.min_unit, ">="), ("largest", self.max_unit, "<=")):
            if bound is not None:
                name = f"{self.label}, {label} unit"
                yield from self.verdict(scopes, area[building, use], bound, "m²", sense, name=name)
        if self.small is not None:
            yield from self._check_small(places, evidence.floor_area()[:, columns])
        if self.doors_per_100m is not None:
            yield from self._check_doors(evidence, places)

    def _check_small(self, places: Places, area: Floats) -> Iterator[Check]:
        small = places.sum(np.where(area <= (self.small or 0.0) + HOLDS, area, 0.0).sum(axis=1))
        whole, least = places.sum(area.sum(axis=1)), self.min_small_share or 0.0
        held = whole > HOLDS
        yield from self.verdict(
            [n for n, h in zip(places.names, held, strict=True) if h],
            small[held] / whole[held],
            least,
            "m²/m²",
            ">=",
            missed=(least * whole - small)[held],
            missed_unit="m²",
            name=f"{self.label}, small units",
        )

    def _check_doors(self, evidence: Evidence, places: Places) -> Iterator[Check]:
        stands = evidence.floor_area().sum(axis=1) > HOLDS
        owner = evidence.buildings["parcel_id"]
        needed = [
            frontage(evidence.parcels.geometry.loc[owner[places.of == k].unique()].to_numpy())
            * (self.doors_per_100m or 0.0)
            / 100.0
            for k in range(len(places.names))
        ]
        doors = places.sum(stands.astype(float))
        yield from self.verdict(places.names, doors, needed, "doors", ">=", name=f"{self.label}, doors")


@dataclass(frozen=True)
class _Floors:
    """New or converted floors of one use at some sites: columns and the most of them, plates in m², shape (sites,)."""

    kind: str
    use: int
    sites: Ints
    floors: Ints
    limit: Ints
    plate: Floats
    action: Ints
    labels: list[str]

    def names(self, label: str, at: Ints) -> list[str]:
        """Return a name for each chosen unit."""
        return [f"{label}_{self.labels[k]}" for k in at]


def _floors(model: Model, use: int, chosen: Bools) -> list[_Floors]:
    """Return new and converted floors of a use at the chosen sites that can have any."""
    d = model.district
    free = chosen & ~d.parcels["protected"].to_numpy(dtype=bool)[d.parcel_of]
    found = []
    for kind, floors, limit, plate, action in (
        ("new", model.new[:, use], d.storey_limit[:, use], d.plate, model.redevelop),
        ("conv", model.converted[:, use], d.storeys_today[d.parcel_of], d.plate_today, model.convert),
    ):
        at = np.flatnonzero(free & (limit > 0) & (plate > 0))
        labels = [f"{kind}_{d.uses[use].name}_{model.site_names[s]}" for s in at]
        found.append(_Floors(kind, use, at, floors[at], limit[at], plate[at], action[d.parcel_of[at]], labels))
    return found


def frontage(shapes: np.ndarray) -> float:
    """Return the length of the outer boundary of some parcels joined together, m."""
    joined = shapely.union_all(shapely.buffer(shapes, TOUCH / 2, join_style="mitre"))
    parts = shapely.get_parts(shapely.buffer(joined, -TOUCH / 2, join_style="mitre"))
    return float(shapely.length(shapely.get_exterior_ring(parts)).sum())
