"""What every rule is: a constraint on the model and an independent check of a finished plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

    from optimizer.district import Bools, District, Floats
    from optimizer.model import Model
    from optimizer.uses import Use

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Evidence:
    """A finished plan as its files tell it: tables, nothing of the model.

    Attributes
    ----------
    parcels : GeoDataFrame, index parcel_id
        Facts (``site_area``, ``zone``, ``max_far``, ``max_height``, ``max_floors``, ``coverage``, ``protected``,
        ``year``, ``use_code``, ``storeys_today``, ``today_<use>`` m²) and the plan (``action``, ``gfa_<use>`` m²).
    buildings : DataFrame
        One row a building site: ``parcel_id``, ``site``, ``action``, ``x``, ``y`` (m), ``plate`` (m² of one storey
        of the plan), ``gfa_<use>`` (m²) and ``storeys``, the uses from the ground up (empty when kept).
    uses : dict
        Name to `Use`.
    """

    parcels: gpd.GeoDataFrame
    buildings: pd.DataFrame
    uses: Mapping[str, Use]

    def chosen(self, where: str | None, rule: str) -> np.ndarray:
        """Return the parcels an expression selects, shape (P,)."""
        from optimizer.district import select

        return select(self.parcels.reset_index(), where, rule)


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
    """

    name: str
    scope: str
    value: float
    limit: float
    unit: str
    sense: str = "<="
    places: int = 1
    broken: tuple[str, ...] = ()

    @property
    def satisfied(self) -> bool:
        """Whether the rule holds everywhere."""
        return not self.broken


TOLERANCE = 1e-5
"""Relative excess over a limit put down to the solver's feasibility tolerance and rounding in files."""


def compare(
    name: str,
    scopes: Sequence[str],
    values: Floats,
    limits: Floats,
    unit: str,
    sense: str = "<=",
    absolute: float = 1e-6,
) -> Check | None:
    """Compare values with limits place by place; report the place nearest to its limit, or None without places."""
    if len(values) == 0:
        return None
    excess = (values - limits) if sense == "<=" else (limits - values)
    allowed = absolute + TOLERANCE * np.abs(limits)
    broken = excess > allowed
    relative = excess / np.maximum(np.abs(limits), absolute / TOLERANCE)
    # The first of those that tie, so that rounding in files does not move the place.
    worst = int(np.flatnonzero(relative >= relative.max() - TOLERANCE)[0])
    return Check(
        name=name,
        scope=scopes[worst],
        value=float(values[worst]),
        limit=float(limits[worst]),
        unit=unit,
        sense=sense,
        places=len(values),
        broken=tuple(np.asarray(scopes, dtype=object)[broken]),
    )


class Rule(BaseModel):
    """One regulation.

    Subclasses set ``kind`` (what a study calls it) and write ``constrain`` and ``check``, which share nothing
    but the numbers of the study. Rules marked ``implied`` hold in every study.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]
    implied: ClassVar[bool] = False

    name: str | None = None
    where: str | None = None

    @property
    def label(self) -> str:
        """Name in tables: the study's, or the kind."""
        return self.name or self.kind

    def constrain(self, model: Model) -> None:
        """Add the rule's inequalities to the model."""
        raise TypeError(f"{type(self).__name__} states no inequality")

    def check(self, evidence: Evidence) -> Iterator[Check]:
        """Yield what the rule made of a finished plan."""
        raise TypeError(f"{type(self).__name__} states no check")

    def named_uses(self) -> list[tuple[str, str]]:
        """Return (key, use) for every use the rule names."""
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

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as a study writes it."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_none=True)}
