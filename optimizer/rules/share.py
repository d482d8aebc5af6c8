"""Share: how much of a place's floor, or of its land, certain uses take."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from optimizer.rules.base import Check, Evidence, Names, NonNegative, PlacedRule, Places, Rule

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats
    from optimizer.model import Model

Storey = Annotated[int, Field(ge=1)]


class Share(PlacedRule):
    """Certain uses take at least, or at most, a share of a place's floor area or site area.

    With G_T the floor area of the uses T in a place (m²) and G its whole floor area, or its site area where
    ``of = "site_area"``:  min G <= G_T <= max G.

    ``over`` (m²) holds only places whose floor area exceeds it: one binary y a place, G <= over + (Gmax - over) y with
    Gmax the most the place can hold; the row may then be missed by (1 - y) of the most that it can be missed by.
    ``above_storey`` = k counts storeys above the k-th only, ``up_to_storey`` = k those up to it: each use's new and
    converted floors f_u are split into low_u + high_u, with sum of low_u <= k, high_u <= N q_u,
    low_v <= N (1 - q_u) for v above u in the order of stacking, sum of low_u >= k q_u: one binary a site, use and kind
    of floor. Kept buildings count their storeys by rank. Missed by m².

    Modelled on Singapore's 60:40 (URA, confirmed), Barcelona's 22@, BauNVO 6a(4) (confirmed) and others; no number is
    implied.
    """

    kind: ClassVar[str] = "share"
    example: ClassVar[str] = 'kind = "share"\nuses = ["workshop", "rnd"]\nmin = 0.3\nby = "neighbourhood"'

    uses: Names = Field(description="uses that count")
    min: NonNegative | None = Field(default=None, description="least share, m²/m²")
    max: NonNegative | None = Field(default=None, description="most share, m²/m²")
    of: Literal["floor_area", "site_area"] = Field(default="floor_area", description="what it is a share of")
    over: NonNegative | None = Field(default=None, description="floor area from which a place is held to it, m²")
    above_storey: Storey | None = Field(default=None, description="count only storeys above this one")
    up_to_storey: Storey | None = Field(default=None, description="count only storeys up to this one")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Share:
        if self.min is None and self.max is None:
            raise ValueError("neither min nor max is given; give at least one")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min = {self.min:g} is above max = {self.max:g}")
        if self.of == "floor_area" and (self.min or 0) > 1:
            raise ValueError(f"min = {self.min:g} is above 1, the whole floor area")
        if self.above_storey is not None and self.up_to_storey is not None:
            raise ValueError("above_storey and up_to_storey are both given; give one of them")
        if self._storey is not None and self.of == "site_area":
            raise ValueError("of = 'site_area' counts whole buildings; leave above_storey and up_to_storey out")
        if len(set(self.uses)) < len(self.uses):
            raise ValueError(f"uses = {self.uses}: a use is named twice")
        return self

    @property
    def _storey(self) -> int | None:
        return self.above_storey if self.above_storey is not None else self.up_to_storey

    def named_uses(self) -> list[tuple[str, str]]:
        """Return the uses that count."""
        return [(f"uses[{i}]", use) for i, use in enumerate(self.uses)]

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find least shares of disjoint uses that add to more than 1, and a least above a most, in the same place."""
        if self.price is not None or self.of != "floor_area":
            return None

        def same(rule: Rule) -> bool:
            keys = ("by", "where", "of", "over", "as_of_right", "above_storey", "up_to_storey", "price")
            return isinstance(rule, Share) and all(getattr(rule, k) == getattr(self, k) for k in keys)

        taken, total = set(self.uses), self.min or 0.0
        for rule in rules:
            if not isinstance(rule, Share) or rule is self or not same(rule):
                continue
            if (
                rule.max is not None
                and self.min is not None
                and set(self.uses) <= set(rule.uses)
                and self.min > rule.max
            ):
                return f"rules ({self.label}, {rule.label}): min = {self.min:g} is above max = {rule.max:g} of the same uses"
            if rule.min is not None and not taken & set(rule.uses):
                taken |= set(rule.uses)
                total += rule.min
        if total > 1 + 1e-9:
            return f"rules ({self.label} and others): least shares add to {total:g}; at most 1 is possible"
        return None

    def stack_order(self, district: District) -> tuple[Bools, list[str]] | None:
        """Return the order by rank where storeys are counted."""
        if self._storey is None:
            return None
        return district.select(self.where, self.label), [u.name for u in sorted(district.uses, key=lambda u: u.rank)]

    def constrain(self, model: Model) -> None:
        """Add a row a place and bound."""
        from optimizer.model import AREA

        d = model.district
        places = d.places(self.by, self.where, self.label)
        counted = np.array([float(use.name in self.uses) for use in d.uses])
        floor = self._floor(model, places)
        most = self._most(model, places) * AREA
        land = places.sum(places.land) * AREA
        rows = np.arange(len(places.names))
        held = None
        if self.over is not None:
            held = model.program.columns([f"{self.label}_held_{n}" for n in places.names], upper=1.0, integer=True)
            room = np.maximum(most - self.over * AREA, 0.0)
            names = [f"{self.label}_over_{n}" for n in places.names]
            whole = self._weighted(floor, np.ones(len(d.uses)))
            model.program.rows(names, *whole, (rows, held, -room), upper=self.over * AREA)
        for label, bound, sign in (("least", self.min, -1.0), ("most", self.max, 1.0)):
            if bound is None:
                continue
            # sign (G_T - bound G) <= 0, or sign (G_T - bound A) <= 0
            if self.of == "floor_area":
                weight, right = sign * (counted - bound), np.zeros(len(rows))
                worst = most * max(float(weight.max()), 0.0)
            else:
                weight, right = sign * counted, sign * bound * land
                worst = np.maximum((most if sign > 0 else 0.0) - right, 0.0)
            terms = self._weighted(floor, weight)
            if held is not None:
                terms.append((rows, held, worst))
                right = right + worst
            self.rows(model, [f"{label}_{n}" for n in places.names], *terms, upper=right, unit=AREA)

    def _most(self, model: Model, places: Places) -> Floats:
        """Return the most floor area each place can hold, m², shape (places,)."""
        d = model.district
        new = d.plate * d.storey_limit.max(axis=1)
        return places.sum(np.maximum(new, d.existing_at.sum(axis=1)))

    @staticmethod
    def _weighted(floor: list[tuple[Any, Any, Any, int]], weight: Floats) -> list[tuple[Any, Any, Any]]:
        return [(row, column, area * weight[u]) for row, column, area, u in floor]

    def _floor(self, model: Model, places: Places) -> list[tuple[Any, Any, Any, int]]:
        """Return terms (row, column, model area, use) of the floor area that counts."""
        from optimizer.model import AREA

        d = model.district
        inside = np.flatnonzero(places.of >= 0)
        row = places.of[inside]
        storey, upper = self._storey, self.above_storey is not None
        floor = []
        if not self.as_of_right:
            kept = (
                d.existing_at if storey is None else _kept(d.existing_at, d.plate_today, _order(model), storey, upper)
            )
            kept = kept[inside] * AREA
            keep = model.keep[d.parcel_of[inside]]
            floor += [(row, keep, kept[:, u], u) for u in range(len(d.uses))]
        for kind, columns, plate in (("new", model.new, d.plate), ("conv", model.converted, d.plate_today)):
            part = columns[inside]
            if storey is not None:
                low, high = self._split(model, kind, part, inside, storey)
                part = high if upper else low
            floor += [(row, part[:, u], plate[inside] * AREA, u) for u in range(len(d.uses))]
        return floor

    def _split(
        self, model: Model, kind: str, floors: np.ndarray, sites: np.ndarray, storey: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add columns for floors up to a storey and above it, each of shape (sites, U)."""
        d, program = model.district, model.program
        most = d.storey_limit.max(axis=1) if kind == "new" else d.storeys_today[d.parcel_of]
        most = most[sites].astype(float)
        above = np.maximum(most - storey, 0.0)
        rows, low, high, split = (
            np.arange(len(sites)),
            np.empty_like(floors),
            np.empty_like(floors),
            np.empty_like(floors),
        )
        for u, use in enumerate(d.uses):
            names = [f"{self.label}_{kind}_{{}}_{use.name}_{model.site_names[s]}" for s in sites]
            low[:, u] = program.columns([n.format("low") for n in names], upper=np.minimum(storey, most))
            high[:, u] = program.columns([n.format("high") for n in names], upper=above)
            split[:, u] = program.columns([n.format("split") for n in names], upper=above > 0, integer=True)
            program.rows(
                [n.format("floors") for n in names],
                (rows, low[:, u], 1.0),
                (rows, high[:, u], 1.0),
                (rows, floors[:, u], -1.0),
                lower=0.0,
                upper=0.0,
            )
            program.rows(
                [n.format("above") for n in names], (rows, high[:, u], 1.0), (rows, split[:, u], -above), upper=0
            )
        order = _order(model)
        for below, over in itertools.pairwise(order):
            names = [f"{self.label}_{kind}_{{}}_{d.uses[over].name}_{model.site_names[s]}" for s in sites]
            program.rows(
                [n.format("then") for n in names], (rows, split[:, below], 1.0), (rows, split[:, over], -1.0), upper=0.0
            )
            least = np.minimum(storey, most)
            program.rows(
                [n.format("none_low") for n in names],
                (rows, low[:, over], 1.0),
                (rows, split[:, below], least),
                upper=least,
            )
        names = [f"{self.label}_{kind}_{{}}_{model.site_names[s]}" for s in sites]
        program.rows([n.format("low") for n in names], (rows[:, None], low, 1.0), upper=float(storey))
        top = split[:, order[-1]]
        program.rows(
            [n.format("full") for n in names], (rows[:, None], low, 1.0), (rows, top, -float(storey)), lower=0.0
        )
        return low, high

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Add each place's floor area up by use and compare shares."""
        places = evidence.places(self.by, self.where, self.label)
        area = self._counted(evidence)
        counted = [use in self.uses for use in evidence.uses]
        part, whole = places.sum(area[:, counted].sum(axis=1)), places.sum(area.sum(axis=1))
        base = whole if self.of == "floor_area" else places.sum(places.land)
        held = base > 0.01
        if self.over is not None:
            held &= whole > self.over * (1 + 1e-6) + 0.01
        scopes = [name for name, h in zip(places.names, held, strict=True) if h]
        share = part[held] / base[held]
        for bound, sense in ((self.min, ">="), (self.max, "<=")):
            if bound is not None:
                short = (bound - share if sense == ">=" else share - bound) * base[held]
                yield from self.verdict(scopes, share, bound, "m²/m²", sense, missed=short, missed_unit="m²")

    def _counted(self, evidence: Evidence) -> Floats:
        """Return the floor area that counts by building and use, m², shape (S, U)."""
        area = evidence.floor_area(self.as_of_right)
        if self._storey is None:
            return area
        uses = list(evidence.uses)
        table, today = evidence.buildings, evidence.today()
        order = sorted(range(len(uses)), key=lambda u: evidence.uses[uses[u]].rank)
        counted = np.zeros_like(area)
        for s, (action, storeys, plate) in enumerate(
            zip(table["action"], table["storeys"], table["plate"], strict=True)
        ):
            if action != "keep":
                for number, use in enumerate(storeys, start=1):
                    if (number > self._storey) == (self.above_storey is not None):
                        counted[s, uses.index(use)] += plate
            elif not self.as_of_right and today[s].sum() > 0:
                plate = today[s].sum() / max(int(evidence.parcels.loc[table["parcel_id"].iloc[s], "storeys_today"]), 1)
                top = 0.0
                for u in order:
                    base, top = top, top + today[s, u]
                    low = min(top, self._storey * plate) - min(base, self._storey * plate)
                    counted[s, u] = today[s, u] - low if self.above_storey is not None else low
        return counted


def _order(model: Model) -> list[int]:
    uses = model.district.uses
    return sorted(range(len(uses)), key=lambda u: uses[u].rank)


def _kept(existing: Floats, plate: Floats, order: list[int], storey: int, upper: bool) -> Floats:
    """Return today's floor area above a storey, or up to it, m², shape (S, U)."""
    stacked = np.cumsum(existing[:, order], axis=1)
    base = stacked - existing[:, order]
    limit = (storey * plate)[:, None]
    low = np.minimum(stacked, limit) - np.minimum(base, limit)
    counted = np.zeros_like(existing)
    counted[:, order] = existing[:, order] - low if upper else low
    return counted
