"""What every rule is: a constraint on the model and an independent check of a finished plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optimizer.surroundings import PollutionSection

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from numpy.typing import ArrayLike

    from optimizer.district import Bools, District, Floats, Ints
    from optimizer.model import Model
    from optimizer.transport import Shipments, Walks
    from optimizer.uses import Linkage, Use

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Names = Annotated[list[str], Field(min_length=1)]
Quantity = Literal["floor_area", "jobs", "homes", "residents"] | Names
"""What is counted: a quantity of all uses, or the floor area of the uses named."""


def per_floor(uses: Sequence[Use], quantity: Quantity) -> Floats:
    """Return how much of a quantity one m² of floor of each use holds, shape (U,)."""
    if isinstance(quantity, list):
        return np.array([float(use.name in quantity) for use in uses])
    if quantity == "floor_area":
        return np.ones(len(uses))
    if quantity == "jobs":
        return np.array([1.0 / use.floor_per_job if use.floor_per_job else 0.0 for use in uses])
    homes = np.array([1.0 / use.floor_per_home if use.floor_per_home else 0.0 for use in uses])
    return homes if quantity == "homes" else homes * np.array([use.residents_per_home for use in uses])


@dataclass(frozen=True)
class Places:
    """What a rule counts together.

    Attributes
    ----------
    of : ndarray of int, shape (S,)
        Place of each building site; -1 outside the rule.
    names : list of str
    land : ndarray, shape (S,)
        Site area that goes with each building site, m²: its part of the parcel.
    """

    of: Ints
    names: list[str]
    land: Floats

    def sum(self, values: Floats) -> Floats:
        """Add values of building sites, shape (S,), up by place, shape (places,)."""
        inside = self.of >= 0
        return np.asarray(np.bincount(self.of[inside], values[inside], minlength=len(self.names)), dtype=float)

    @classmethod
    def by(
        cls, by: str, parcel_ids: Sequence[str], sites: pd.DataFrame, facts: pd.DataFrame, chosen: Bools, land: Floats
    ) -> Places:
        """Group building sites.

        Parameters
        ----------
        by : str
            ``district``, ``parcel``, ``building``, ``block``, ``neighbourhood`` or a column of facts.
        parcel_ids : sequence of str, length S
        sites : DataFrame, S rows
            With ``site``, ``block`` and ``neighbourhood``.
        facts : DataFrame, S rows
            Facts of each site's parcel.
        chosen : ndarray of bool, shape (S,)
        land : ndarray, shape (S,)

        Raises
        ------
        StudyError
            When there is no such grouping.
        """
        from optimizer.errors import StudyError

        if by == "district":
            labels = ["district"] * len(chosen)
        elif by == "parcel":
            labels = list(parcel_ids)
        elif by == "building":
            labels = [f"{p}/{s}" for p, s in zip(parcel_ids, sites["site"], strict=True)]
        elif by in ("block", "neighbourhood"):
            labels = [f"{by} {int(k) + 1}" for k in sites[by]]
        elif by in facts:
            labels = [str(v) for v in facts[by]]
        else:
            raise StudyError(
                f"by = {by!r}: unknown; known are district, parcel, building, block, neighbourhood, {', '.join(facts)}"
            )
        names = list(dict.fromkeys(np.asarray(labels, dtype=object)[chosen].tolist()))
        place = {name: i for i, name in enumerate(names)}
        of = np.array([place[v] if c else -1 for v, c in zip(labels, chosen, strict=True)], dtype=np.int64)
        return cls(of, names, land)


@dataclass(frozen=True)
class Evidence:
    """A finished plan as its files tell it: tables, nothing of the model.

    Attributes
    ----------
    parcels : GeoDataFrame, index parcel_id
        Facts (``site_area``, ``zone``, ``max_far``, ``max_height``, ``max_floors``, ``coverage``, ``protected``,
        ``year``, ``use_code``, ``storeys_today``, ``today_<use>`` m², ``layer_<name>``) and the plan (``action``,
        ``gfa_<use>`` m²); geometry in metres.
    buildings : DataFrame
        One row a building site: ``parcel_id``, ``site``, ``action``, ``x``, ``y`` (m), ``plate`` (m² of one storey
        of the plan), ``gfa_<use>`` (m²), ``storeys``, the uses from the ground up (empty when kept), ``block``,
        ``neighbourhood``, ``door_node``, ``access`` (m), ``reached``.
    uses : dict
        Name to `Use`.
    walks : DataFrame
        Walking edges: ``from_node``, ``to_node``, ``length_m``.
    rules : tuple of Rule
        All rules of the study.
    pollution : PollutionSection
        Conditions under which pollution spreads.
    receptors : dict
        Tables of receptors ``facades``, ``middles`` and ``places``: ``receptor`` (name), ``building`` (row; -1 for none),
        ``x``, ``y`` (m), ``background_<name>`` (dB(A) or µg/m³), ``group`` (of places). Where a rule asks for them,
        ``buildings`` has a column ``footprint``.
    screens : list of (polygon, height in m)
        Buildings that the plan cannot change.
    linkages : tuple of Linkage
        Of the study.
    heard : dict
        What `optimizer.heard` found already.
    """

    parcels: gpd.GeoDataFrame
    buildings: pd.DataFrame
    uses: Mapping[str, Use]
    walks: pd.DataFrame
    rules: tuple[Rule, ...] = ()
    pollution: PollutionSection = field(default_factory=PollutionSection)
    receptors: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    screens: Sequence[tuple[Any, float]] = ()
    linkages: tuple[Linkage, ...] = ()
    heard: dict[Any, dict[Any, Floats]] = field(default_factory=dict, repr=False)

    def places_in(self, group: str) -> pd.DataFrame:
        """Return the receptors at the places of one table of ``[pollution.places]``."""
        table = self.receptors["places"]
        return table[np.asarray(table["group"] == group, dtype=bool)]

    def chosen(self, where: str | list[str] | None, rule: str) -> np.ndarray:
        """Return the parcels an expression or a list of ids selects, shape (P,)."""
        from optimizer.district import select

        return np.asarray(select(self.parcels.reset_index(), where, rule))

    def chosen_buildings(self, where: str | list[str] | None, rule: str) -> np.ndarray:
        """Return the buildings on the chosen parcels, shape (S,)."""
        picked = self.parcels.index[self.chosen(where, rule)]
        return np.asarray(self.buildings["parcel_id"].isin(picked))

    @property
    def building_names(self) -> list[str]:
        """``parcel/site`` of each building."""
        return [f"{p}/{s}" for p, s in zip(self.buildings["parcel_id"], self.buildings["site"], strict=True)]

    def of_buildings(self, column: str) -> np.ndarray:
        """Return a column of parcels for each building, shape (S,)."""
        return np.asarray(self.parcels.loc[self.buildings["parcel_id"], column])

    def floor_area(self, as_of_right: bool = False) -> Floats:
        """Return floor area by building and use, m², shape (S, U); without kept buildings where these are exempt."""
        area = self.buildings[[f"gfa_{use}" for use in self.uses]].to_numpy(dtype=float)
        exempt = as_of_right & (self.buildings["action"] == "keep").to_numpy()
        return np.asarray(np.where(exempt[:, None], 0.0, area))

    def today(self) -> Floats:
        """Return today's floor area by building site and use, m², shape (S, U)."""
        whole = np.stack([self.of_buildings(f"today_{use}") for use in self.uses], axis=1).astype(float)
        return np.asarray(whole * self._share[:, None])

    @property
    def _share(self) -> Floats:
        count = self.buildings.groupby("parcel_id")["site"].transform("size")
        return np.asarray(1.0 / count.to_numpy(dtype=float))

    def land(self) -> Floats:
        """Return the site area that goes with each building, m², shape (S,)."""
        return np.asarray(self.of_buildings("site_area").astype(float) * self._share)

    def places(self, by: str, where: str | list[str] | None, rule: str) -> Places:
        """Group the buildings on the chosen parcels."""
        from optimizer.district import facts

        known = facts(self.parcels.reset_index()).set_index("parcel_id", drop=False)
        ids = self.buildings["parcel_id"].tolist()
        return Places.by(by, ids, self.buildings, known.loc[ids], self.chosen_buildings(where, rule), self.land())

    @cached_property
    def doors(self) -> Walks:
        """The buildings' doors on the walking network, and the walks between them."""
        from optimizer.transport import Walks

        return Walks(self)

    @cached_property
    def proximity(self) -> tuple[float, list[Shipments]]:
        """Value of the plan's proximity, m², and what its linkages move, by the transport problem over all pairs."""
        from optimizer.transport import transport

        return transport(self.linkages, list(self.uses), self.floor_area(), self.doors)


@dataclass(frozen=True)
class Check:
    """What a rule made of a plan at the place where it binds most.

    Attributes
    ----------
    name, scope, unit : str
    value, limit : float
    sense : str
        ``<=`` or ``>=``.
    places : int
        Number of places checked.
    broken : tuple of str
        Places where it does not hold.
    missed : float
        By how much it is missed at all places together, in ``missed_unit``.
    price : float or None
        Score lost for each unit missed; None where the rule is hard.
    illustrative : bool
        Whether one of the rule's numbers is illustrative.
    """

    name: str
    scope: str
    value: float
    limit: float
    unit: str
    sense: str = "<="
    places: int = 1
    broken: tuple[str, ...] = ()
    missed: float = 0.0
    missed_unit: str = ""
    price: float | None = None
    illustrative: bool = False

    @property
    def satisfied(self) -> bool:
        """Whether the rule holds everywhere."""
        return not self.broken

    @property
    def faulty(self) -> bool:
        """Whether a hard rule is broken."""
        return self.price is None and not self.satisfied

    @property
    def cost(self) -> float:
        """Score lost because a soft rule is missed."""
        return 0.0 if self.price is None else self.price * self.missed


STEP, DECIBELS = 0.1, 1.0
"""A step by which a number of a rule is moved: its share, or dB where it is a level."""
HOLDS = 0.01
"""Floor area from which a finished building holds a use, m²."""
TOLERANCE = 1e-5
"""Relative excess over a limit put down to the solver's feasibility tolerance and rounding in files."""


class Rule(BaseModel):
    """One regulation.

    Subclasses set ``kind`` (what a study calls it) and write ``constrain`` and ``check``, which share nothing
    but the numbers of the study. Rules marked ``implied`` hold in every study.

    A docstring is what ``upstairs rules KIND`` prints: its first line the sentence, the rest the inequality with
    units, the number of binaries, and sources.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]
    implied: ClassVar[bool] = False
    grants: ClassVar[bool] = False
    """Whether the rule allows what is not allowed without it, so that a study without it is the stricter one."""
    asks_walks: ClassVar[bool] = False
    """Whether the rule looks at proximity, whose walks the model then has whatever it weighs in the score."""
    example: ClassVar[str] = ""
    """Lines of a study that uses the shipped uses; they run on any district."""
    stricter: ClassVar[Mapping[str, int]] = {}
    """Keys whose numbers make the rule stricter: 1 where larger ones do, -1 where smaller ones do, 0 where neither. Those
    whose names begin with min and max are known without."""
    in_decibels: ClassVar[bool] = False
    """Whether these numbers are levels, dB(A), so that a step of them is one of 1 dB."""

    name: str | None = Field(default=None, description="what tables call it; the kind by default")
    where: str | list[str] | None = Field(
        default=None,
        description="parcels it holds on: an expression over facts such as \"zone == 'IA-1'\" or a list of parcel ids; "
        "all by default",
    )
    price: Positive | None = Field(
        default=None, description="score lost per unit by which the rule is missed; without it the rule is hard"
    )
    ruleset: str | None = Field(default=None, description="rule set the rule came with")
    illustrative: bool = Field(
        default=False, description="whether a number of it is illustrative; said wherever it is shown"
    )

    @property
    def label(self) -> str:
        """Name in tables: the study's, or the kind, and the rule set it came with."""
        return (self.name or self.kind) + (f" ({self.ruleset})" if self.ruleset else "")

    def declare(self, model: Model) -> None:
        """Add columns and allowances that other rules count with; called for every rule before `constrain`."""

    def constrain(self, model: Model) -> None:
        """Add the rule's inequalities to the model."""
        raise TypeError(f"{type(self).__name__} states no inequality")

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Yield what the rule made of a finished plan."""
        raise TypeError(f"{type(self).__name__} states no check")

    def named_uses(self) -> list[tuple[str, str]]:
        """Return (key, use) for every use the rule names."""
        return []

    def named_places(self) -> list[tuple[str, str]]:
        """Return (key, group) for every group of places to protect that the rule names."""
        return []

    def contradiction(self, rules: Sequence[Rule]) -> str | None:
        """Return a sentence when the study's rules contradict one another whatever the district."""
        return None

    def most_floor_area(self, district: District) -> Floats:
        """Return the most floor area the rule allows by use and, last, in total, m², shape (U + 1,)."""
        return np.full(len(district.uses) + 1, np.inf)

    def stack_order(self, district: District) -> tuple[Bools, list[str]] | None:
        """Return parcels, shape (P,), and the order their buildings stack uses in, where the rule fixes one."""
        return None

    def extra_far(self, parcels: pd.DataFrame) -> Floats:
        """Return the most floor-area ratio the rule adds to each parcel's own, from facts alone, shape (P,)."""
        return np.zeros(len(parcels))

    def earned(self, evidence: Evidence) -> Floats:
        """Return the floor area that a plan earned each parcel beyond its ratio, m², shape (P,)."""
        return np.zeros(len(evidence.parcels))

    def reward(self, evidence: Evidence) -> float:
        """Return the score that a plan earns by the rule, recomputed from its tables."""
        return 0.0

    @property
    def most_reward(self) -> float:
        """The most score that any plan can earn by the rule."""
        return 0.0

    @property
    def scores(self) -> bool:
        """Whether the rule itself adds to the score or takes from it."""
        return self.price is not None or self.most_reward > 0

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as a study writes it."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)}

    @property
    def limits_given(self) -> list[tuple[str, ...]]:
        """Where the numbers stand that make it stricter or looser, as a study gives them: key, and what lies below it."""
        signs = {key: self._sign(key) for key in self.to_dict()}
        return [path for key, value in self.to_dict().items() if signs[key] for path in _paths(value, (key,))]

    def _sign(self, key: str) -> int:
        return self.stricter.get(key, {"min": 1, "max": -1}.get(key.split("_")[0], 0))

    def stepped(self, stricter: bool, only: Sequence[tuple[str, ...]] | None = None) -> tuple[Rule | str, str] | None:
        """Return the rule with its numbers moved by a step, and what they became; None where they cannot move.

        Where the moved numbers contradict one another the reason stands in place of the rule.

        A step is 1 dB of a level, one or a tenth of a count, a tenth of anything else; shares stay within 0 and 1.

        Parameters
        ----------
        only : sequence of tuple of str, optional
            Of `limits_given`; all by default.
        """
        paths = self.limits_given if only is None else only
        found: tuple[Rule | str, str] | None = None
        for most in (np.inf, 1.0):
            values, said = self.to_dict(), []
            for path in paths:
                *way, last = path
                place: Any = values
                for key in way:
                    place = place[key] if isinstance(place, dict) else place[int(key)]
                where: Any = last if isinstance(place, dict) else int(last)
                before = place[where]
                sign = self._sign(path[0]) if stricter else -self._sign(path[0])
                after = _moved(before, sign, self.in_decibels)
                place[where] = after = min(after, most) if before <= 1 else after
                if after != before:
                    said.append(f"{'.'.join(path)} {before:g} to {after:g}")
            if not said:
                break
            del values["kind"]
            try:
                return type(self).model_validate(values), ", ".join(said)
            except ValidationError as error:
                found = str(error.errors()[0]["msg"]).removeprefix("Value error, "), ", ".join(said)
        return found

    def missed(self, model: Model, names: Sequence[str], *, upper: ArrayLike = np.inf, times: float = 1.0) -> Ints:
        """Add columns, shape (names,), of what the rule is missed by, at so many times its price; the model keeps them.

        Parameters
        ----------
        names : sequence of str
            Side and place of each.
        """
        from optimizer.model import SCORE

        assert self.price is not None, "only what has a price can be missed"
        full = [f"{self.label}_{name}" for name in names]
        columns = model.program.columns(full, upper=upper, cost=-SCORE * self.price * times)
        model.misses.append((self, columns, tuple(names)))
        return columns

    def rows(
        self,
        model: Model,
        names: Sequence[str],
        *terms: tuple[ArrayLike, ArrayLike, ArrayLike],
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
        unit: ArrayLike = 1.0,
        lazy: float = np.inf,
    ) -> None:
        """Add rows named after the rule; where it has a price, each may be missed at that price.

        Parameters
        ----------
        names : sequence of str, one a row
        terms, lower, upper, lazy
            As `optimizer.model.Program.rows`.
        unit : float or array, one a row
            Model units of one unit that the rule is missed by.
        """
        slack: list[tuple[ArrayLike, ArrayLike, ArrayLike]] = []
        if self.price is not None:
            each = np.broadcast_to(np.asarray(unit, dtype=float), (len(names),))
            for side, bound, sign in (("over", upper, -1.0), ("under", lower, 1.0)):
                finite = np.isfinite(np.broadcast_to(np.asarray(bound, dtype=float), (len(names),)))
                limited = np.flatnonzero(finite)
                if len(limited):
                    columns = self.missed(model, [f"{side}_{names[int(i)]}" for i in limited])
                    slack.append((limited, columns, sign * each[limited]))
        model.program.rows(
            [f"{self.label}_{name}" for name in names], *terms, *slack, lower=lower, upper=upper, lazy=lazy
        )

    def verdict(
        self,
        scopes: Sequence[str],
        values: ArrayLike,
        limits: ArrayLike,
        unit: str,
        sense: str = "<=",
        *,
        missed: ArrayLike | None = None,
        missed_unit: str | None = None,
        absolute: float = 1e-6,
        name: str | None = None,
    ) -> Iterator[Check]:
        """Compare values with limits place by place; yield what holds at the place nearest to its limit.

        Parameters
        ----------
        scopes : sequence of str, one a place
            Nothing is yielded without places.
        values, limits : array, one a place
        missed : array, optional
            By how much the rule's inequality is missed at each place, where that is in another unit
            (``missed_unit``) than the values.
        absolute : float
            Excess put down to rounding where the limit is near 0.
        """
        value, limit = (
            np.broadcast_to(np.asarray(v, dtype=float), (len(scopes),)).astype(float) for v in (values, limits)
        )
        if not len(scopes):
            return
        excess = (value - limit) if sense == "<=" else (limit - value)
        broken = excess > absolute + TOLERANCE * np.abs(limit)
        relative = excess / np.maximum(np.abs(limit), absolute / TOLERANCE)
        # The first of those that tie, so that rounding in files does not move the place.
        worst = int(np.flatnonzero(relative >= relative.max() - TOLERANCE)[0])
        amount = excess if missed is None else np.broadcast_to(np.asarray(missed, dtype=float), (len(scopes),))
        yield Check(
            name=name or self.label,
            scope=str(scopes[worst]),
            value=float(value[worst]),
            limit=float(limit[worst]),
            unit=unit,
            sense=sense,
            places=len(scopes),
            broken=tuple(np.asarray(scopes, dtype=object)[broken]),
            missed=float(np.maximum(amount, 0.0)[broken].sum()),
            missed_unit=missed_unit or unit,
            price=self.price,
            illustrative=self.illustrative,
        )


def _paths(value: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return where numbers stand in a value as a study writes it."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _paths(item, (*path, key))]
    if isinstance(value, list):
        return [found for k, item in enumerate(value) for found in _paths(item, (*path, str(k)))]
    return [path] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def _moved(value: float, sign: int, level: bool) -> float:
    """Return a number moved up or down by a step."""
    if level:
        return value + sign * DECIBELS
    if isinstance(value, int):
        return value + sign * max(1, round(STEP * value))
    return float(f"{value + sign * STEP * abs(value):.10g}")


class PlacedRule(Rule):
    """A rule that adds floor up by place."""

    by: str = Field(
        default="district",
        description="what is added up together: district, parcel, building, block, neighbourhood, or a fact such as "
        "zone or layer_<name>",
    )
    as_of_right: bool = Field(
        default=False, description="whether buildings that are kept lawfully stand outside the rule"
    )
