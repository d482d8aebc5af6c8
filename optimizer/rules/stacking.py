"""Vertical order: which storeys a use may take, and what may share a building or stand directly over what."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from optimizer.rules.base import Check, Evidence, Positive, Rule

if TYPE_CHECKING:
    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model

Storey = Annotated[int, Field(ge=1)]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]


class Stacking(Rule):
    """New and converted buildings stack their uses in one order from the ground up.

    With F_v floors of use v in the building, v < u below u in the order, z_u = 1 where u is present, w = 1 where the
    building is new (or converted), and N the most storeys that the uses below u can fill:

    highest storey h of u:      sum of F_v over v <= u  <=  max(N, h) - max(N - h, 0) z_u
    lowest storey l of u:       sum of F_v over v < u   >=  (l - 1) z_u
    a not directly over b:      sum of F_v over b < v < a  >=  z_a + z_b - 1
    a never with b:             z_a + z_b  <=  w
    u not at grade:             sum of F_v over v < u, v allowed at grade  >=  z_u
    units of k storeys:         F_u  =  k q_u, q_u integer

    ``loads`` and ``capacity`` (kg/m²) give each use a highest storey: the last whose slab carries it; nothing that
    has a load stands above the last storey of ``capacity``. What trucks or hoists reach is said by ``highest``.

    One binary a site and use that highest, lowest, not_over, never_with or at_grade asks for, for new and for converted
    floors; one integer a site and use of ``unit_storeys``. Buildings that are kept stay as they are. The order itself
    is never missed. Missed by storeys out of place, building by building: by how many storeys the topmost floor of a
    use lies too high, or its lowest too low; 1 for each pair that not_over or never_with forbids and 1 for a ground
    floor that at_grade does not allow; the floors left over from whole units.

    Dwellings never under commerce nor with heavy industry: New York, Zoning Resolution 134-161 (confirmed). Housing
    from a storey upwards, none at the street: BauNVO 6a(4) (confirmed). 2,500 kg/m² on storeys 1 to 3 and 650 above,
    trucks to storey 3: Pingshan, Shenzhen (reported by sznews.com). Production on storeys 1 to 5, R&D on 6 and 7: Han's
    Laser, Bao'an (reported). Units of three storeys: Jurong, as the project's founding essay tells, its only source.
    """

    kind: ClassVar[str] = "stacking"
    example: ClassVar[str] = 'kind = "stacking"\nnot_over = [["housing", "workshop"]]\nhighest = { workshop = 3 }'
    stricter: ClassVar[Mapping[str, int]] = {"highest": -1, "lowest": 1}

    order: list[str] = Field(default=[], description="uses from the ground up; those left out follow by rank")
    highest: dict[str, Storey] = Field(default={}, description="highest storey by use, counted from 1 at grade")
    lowest: dict[str, Storey] = Field(default={}, description="lowest storey by use, counted from 1 at grade")
    not_over: list[Pair] = Field(default=[], description="pairs [a, b]: a does not stand directly over b")
    never_with: list[Pair] = Field(default=[], description="pairs of uses that never share a building")
    at_grade: list[str] = Field(
        default=[], description="uses allowed on the ground floor, an active one for instance; all by default"
    )
    unit_storeys: dict[str, Annotated[int, Field(ge=2)]] = Field(
        default={}, description="storeys of one unit by use: a building holds whole units of it"
    )
    loads: dict[str, Positive] = Field(default={}, description="load of a use's floors by use, kg/m²")
    capacity: list[tuple[Storey, Positive]] = Field(
        default=[], description="[storey, kg/m²] from the ground up: what slabs carry up to that storey; falling"
    )

    @model_validator(mode="after")
    def _storeys_in_order(self) -> Stacking:
        self._loads_carried()
        for use, low in self.lowest.items():
            if low > self._reach.get(use, low):
                raise ValueError(f"lowest.{use} = {low} is above its highest storey, {self._reach[use]}")
        for key, why in (("not_over", "a use may stand over itself"), ("never_with", "a use is with itself")):
            for a, b in getattr(self, key):
                if a == b:
                    raise ValueError(f"{key} = [{a!r}, {b!r}]: {why}; name two uses")
        for key in ("order", "at_grade"):
            uses = getattr(self, key)
            if len(set(uses)) < len(uses):
                raise ValueError(f"{key} = {uses}: a use is named twice")
        return self

    def _loads_carried(self) -> None:
        if bool(self.loads) != bool(self.capacity):
            given, missing = ("loads", "capacity") if self.loads else ("capacity", "loads")
            raise ValueError(f"{given} is given without {missing}; give both")
        for (low, more), (high, less) in itertools.pairwise(self.capacity):
            if high <= low or less >= more:
                raise ValueError(
                    f"capacity = {[list(item) for item in self.capacity]}: storeys rise and kg/m² fall from the ground up"
                )
        for use, load in self.loads.items():
            if load > self.capacity[0][1]:
                raise ValueError(
                    f"loads.{use} = {load:g} kg/m² is above {self.capacity[0][1]:g} kg/m², the capacity at grade; "
                    "to leave the use out, say kind = 'banned'"
                )

    @property
    def _reach(self) -> dict[str, int]:
        """Highest storey by use, by ``highest`` and by load."""
        reach = dict(self.highest)
        for use, load in self.loads.items():
            carried = max(storey for storey, capacity in self.capacity if capacity >= load)
            reach[use] = min(reach.get(use, carried), carried)
        return reach

    def named_uses(self) -> list[tuple[str, str]]:
        """Return every use of the lists and tables."""
        named = [(f"{key}[{i}]", u) for key in ("order", "at_grade") for i, u in enumerate(getattr(self, key))]
        named += [
            (f"{key}.{u}", u) for key in ("highest", "lowest", "unit_storeys", "loads") for u in getattr(self, key)
        ]
        pairs = ("not_over", "never_with")
        return named + [(f"{key}[{i}]", u) for key in pairs for i, pair in enumerate(getattr(self, key)) for u in pair]

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Find a lowest storey above the highest storey that another rule allows in the same place."""
        for rule in rules:
            if not isinstance(rule, Stacking) or rule.where != self.where or rule.price or self.price:
                continue
            for use, low in self.lowest.items():
                if low > rule._reach.get(use, low):
                    return (
                        f"rules ({self.label}, {rule.label}): lowest.{use} = {low} is above its highest storey, "
                        f"{rule._reach[use]}; to leave the use out, say kind = 'banned'"
                    )
        return None

    def stack_order(self, district: District) -> tuple[Bools, list[str]]:
        """Return the parcels the rule holds on and the uses from the ground up."""
        ranked = [u.name for u in sorted(district.uses, key=lambda u: u.rank)]
        order = [*self.order, *(u for u in ranked if u not in self.order)]
        return district.select(self.where, self.label), order

    def constrain(self, model: Model) -> None:
        """Add the rows of new and of converted buildings."""
        d = model.district
        chosen, order = self.stack_order(d)
        sites = np.flatnonzero((chosen & ~d.parcels["protected"].to_numpy(dtype=bool))[d.parcel_of])
        columns = [d.use_index[use] for use in order]
        today = np.repeat(d.storeys_today[d.parcel_of][sites, None], len(order), axis=1)
        for kind, floors, limit in (
            ("new", model.new, d.storey_limit[sites][:, columns]),
            ("conv", model.converted, today),
        ):
            stacks = _Stacks(model, kind, sites, order, floors[sites][:, columns], limit)
            self._hold_storeys(stacks)
            self._part(stacks)
            self._open_ground_floors(stacks)
        self._whole_units(model, sites)

    def _hold_storeys(self, stacks: _Stacks) -> None:
        for use, h in self._reach.items():
            u = stacks.order.index(use)
            under = stacks.most(slice(u))
            at = stacks.has(use) & (stacks.most(slice(u + 1)) > h)
            room = np.maximum(under - h, 0)[at]
            rows = np.arange(len(room))
            held = [(rows, stacks.present(use)[at], room)] if room.any() else []
            upto = (rows[:, None], stacks.floors[at, : u + 1], 1.0)
            self.rows(stacks.model, stacks.names(f"highest_{use}", at), upto, *held, upper=np.maximum(under, h)[at])
        for use, low in self.lowest.items():
            if low > 1:
                u, at = stacks.order.index(use), stacks.has(use)
                rows = np.arange(at.sum())
                self.rows(
                    stacks.model,
                    stacks.names(f"lowest_{use}", at),
                    (rows[:, None], stacks.floors[at, :u], -1.0),
                    (rows, stacks.present(use)[at], low - 1.0),
                    upper=0.0,
                )

    def _part(self, stacks: _Stacks) -> None:
        """Keep forbidden pairs from adjoining storeys, or out of one building."""
        for over, under in self.not_over:
            low, high = stacks.order.index(under), stacks.order.index(over)
            if low < high:
                rows, at, both = self._both(stacks, over, under)
                between = (rows[:, None], stacks.floors[at, low + 1 : high], -1.0)
                self.rows(stacks.model, stacks.names(f"{over}_over_{under}", at), *both, between, upper=1.0)
        for a, b in self.never_with:
            rows, at, both = self._both(stacks, a, b)
            built = (rows, stacks.action[at], -1.0)
            self.rows(stacks.model, stacks.names(f"{a}_with_{b}", at), *both, built, upper=0.0)

    @staticmethod
    def _both(stacks: _Stacks, a: str, b: str) -> tuple[Ints, Bools, list[tuple[Ints, Ints, float]]]:
        at = stacks.has(a) & stacks.has(b) & (stacks.most(slice(None)) > 1)
        rows = np.arange(at.sum())
        return rows, at, [(rows, stacks.present(use)[at], 1.0) for use in (a, b)]

    def _open_ground_floors(self, stacks: _Stacks) -> None:
        """Put an allowed use under every other; what a building misses is one slack that all its rows share."""
        if not self.at_grade:
            return
        program, everywhere = stacks.model.program, np.ones(len(stacks.sites), dtype=bool)
        label = f"{self.label}_{{}}"
        slack = None
        if self.price is not None:
            slack = self.missed(stacks.model, stacks.names("missed_grade", everywhere))
        allowed = np.array([use in self.at_grade for use in stacks.order])
        for u, use in enumerate(stacks.order):
            if use not in self.at_grade:
                at = stacks.has(use)
                rows, base = np.arange(at.sum()), np.flatnonzero(allowed[:u])
                program.rows(
                    [label.format(n) for n in stacks.names(f"grade_{use}", at)],
                    (rows[:, None], stacks.floors[at][:, base], -1.0),
                    (rows, stacks.present(use)[at], 1.0),
                    *([] if slack is None else [(rows, slack[at], -1.0)]),
                    upper=0.0,
                )

    def _whole_units(self, model: Model, sites: Ints) -> None:
        d, rows = model.district, np.arange(len(sites))
        for use, k in self.unit_storeys.items():
            u = d.use_index[use]
            most = np.maximum(d.storey_limit[sites, u], d.storeys_today[d.parcel_of[sites]])
            names = [f"units_{use}_{model.site_names[s]}" for s in sites]
            units = model.program.columns([f"{self.label}_{n}" for n in names], upper=most // k, integer=True)
            terms = [(rows, model.new[sites, u], 1.0), (rows, model.converted[sites, u], 1.0), (rows, units, -float(k))]
            model.program.rows([f"{self.label}_least_{n}" for n in names], *terms, lower=0.0)
            self.rows(model, names, *terms, upper=0.0)

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Read each stack from the ground up and count storeys out of place."""
        ranked = [u.name for u in sorted(evidence.uses.values(), key=lambda u: u.rank)]
        order = [*self.order, *(u for u in ranked if u not in self.order)]
        table = evidence.buildings
        held = evidence.chosen_buildings(self.where, self.label) & table["action"].isin(["redevelop", "convert"])
        scopes, wrong = [], []
        for scope, stack, h in zip(evidence.building_names, table["storeys"], held, strict=True):
            if h and stack:
                scopes.append(scope)
                wrong.append(float(self._out_of_place(list(stack), order)))
        yield from self.verdict(scopes, wrong, 0.0, "storeys out of place")

    def _out_of_place(self, stack: list[str], order: list[str]) -> int:
        first = {use: stack.index(use) + 1 for use in set(stack)}
        last = {use: len(stack) - stack[::-1].index(use) for use in first}
        adjoining = set(zip(stack[1:], stack[:-1], strict=True))
        count = sum(max(last[use] - h, 0) for use, h in self._reach.items() if use in last)
        count += sum(max(low - first[use], 0) for use, low in self.lowest.items() if use in first)
        count += sum((over, under) in adjoining for over, under in self.not_over)
        count += sum(a in first and b in first for a, b in self.never_with)
        count += bool(self.at_grade) and stack[0] not in self.at_grade
        count += sum(stack.count(use) % k for use, k in self.unit_storeys.items())
        return count + sum(order.index(upper) < order.index(lower) for upper, lower in adjoining)


@dataclass(frozen=True)
class _Stacks:
    """New or converted buildings of some sites, columns ordered from the ground up.

    Attributes
    ----------
    kind : str
        ``new`` or ``conv``.
    sites : ndarray of int, shape (sites,)
    order : list of str, length U
    floors : ndarray of int, shape (sites, U)
        Columns of the program.
    limit : ndarray of int, shape (sites, U)
        Most floors of each use.
    """

    model: Model
    kind: str
    sites: Ints
    order: list[str]
    floors: Ints
    limit: Ints

    @property
    def action(self) -> Ints:
        """Columns that decide on the buildings, shape (sites,)."""
        model = self.model
        columns = model.redevelop if self.kind == "new" else model.convert
        return np.asarray(columns[model.district.parcel_of[self.sites]])

    def present(self, use: str) -> Ints:
        """Columns that are 1 where a use is present, shape (sites,)."""
        return np.asarray(self.model.presence(self.kind, self.model.district.use_index[use])[self.sites])

    def has(self, use: str) -> Bools:
        """Return whether a use can be present, shape (sites,)."""
        return np.asarray(self.limit[:, self.order.index(use)] > 0)

    def most(self, uses: slice) -> Floats:
        """Return the most storeys that some uses can fill together, shape (sites,)."""
        return np.asarray(self.limit[:, uses].max(axis=1, initial=0), dtype=float)

    def names(self, label: str, at: Bools) -> list[str]:
        """Return a name for each chosen building."""
        return [f"{self.kind}_{label}_{self.model.site_names[s]}" for s in self.sites[at]]
