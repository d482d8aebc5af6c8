"""Plans beside one another: which floors differ where, and what that does to the indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geodata.language import ENGLISH, Language
from optimizer.errors import StudyError
from optimizer.files import read_folder, read_layers
from optimizer.rules import Rule

if TYPE_CHECKING:
    from optimizer.study import Study

SAME = 0.05
"""Floor area of a use by which a parcel does not change, m²: files round to less."""
OF_OBJECTIVE = ("objective", "linkages", "uses")
"""What two studies must have in common for their scores to be of one kind."""
NOT_ASKED = ("name", "notes", "attribution", "numbers", "solve", "diagnose")
"""Of a study: what changes neither its plans nor their scores."""


@dataclass(frozen=True)
class Written:
    """A plan as its files tell it.

    Attributes
    ----------
    name : str
        Of its folder.
    folder : Path
    parcels : GeoDataFrame, index parcel_id
        Of ``plan.geojson``.
    result : dict
    """

    name: str
    folder: Path
    study: Study
    parcels: gpd.GeoDataFrame
    result: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Plans set against the first of them."""

    plans: tuple[Written, ...]

    @property
    def uses(self) -> list[str]:
        """Uses of any of the plans."""
        return list(dict.fromkeys(use for plan in self.plans for use in plan.study.uses))

    @cached_property
    def changes(self) -> gpd.GeoDataFrame:
        """One row a plan and parcel that differs from the first plan, m².

        ``plan``, ``parcel_id``, ``action_before``, ``action``, ``dominant_use_before``, ``dominant_use``,
        ``floors_before``, ``floors``, and the change of floor area by use, ``change_<use>``.
        """
        first, parts = self.plans[0], []
        for plan in self.plans[1:]:
            ids = [name for name in first.parcels.index if name in plan.parcels.index]
            old, new = first.parcels.loc[ids], plan.parcels.loc[ids]
            change = self.floor_area(new) - self.floor_area(old)
            table = {"plan": plan.name, "parcel_id": ids}
            for column in ("action", "dominant_use", "floors"):
                table[f"{column}_before"] = old[column].to_numpy()
                table[column] = new[column].to_numpy()
            table |= {f"change_{use}": change[:, u].round(2) for u, use in enumerate(self.uses)}
            differs = (np.abs(change) > SAME).any(axis=1) | (old["action"] != new["action"]).to_numpy()
            parts.append(gpd.GeoDataFrame(table, geometry=new.geometry.to_numpy(), crs=new.crs)[differs])
        return gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=first.parcels.crs)

    def floor_area(self, parcels: gpd.GeoDataFrame) -> np.ndarray:
        """Return floor area by parcel and use, m², shape (parcels, uses); 0 of a use that the plan does not know."""
        known = (parcels.get(f"gfa_{use}", pd.Series(0.0, index=parcels.index)) for use in self.uses)
        return np.stack([np.asarray(column, dtype=float) for column in known], axis=1)

    @cached_property
    def moves(self) -> pd.DataFrame:
        """One row a plan and use: floor area before and after, gained and lost by parcels that gain or lose, m²."""
        rows, first = [], self.plans[0]
        for plan in self.plans[1:]:
            ids = first.parcels.index.intersection(plan.parcels.index)
            old, new = (self.floor_area(p.parcels.loc[ids]) for p in (first, plan))
            for u, use in enumerate(self.uses):
                change = new[:, u] - old[:, u]
                gained, lost = np.maximum(change, 0.0).sum(), np.maximum(-change, 0.0).sum()
                rows.append((plan.name, use, old[:, u].sum(), new[:, u].sum(), gained, lost))
        return pd.DataFrame(rows, columns=["plan", "use", "before_m2", "after_m2", "gained_m2", "lost_m2"])

    @property
    def streets(self) -> gpd.GeoDataFrame:
        """Streets that people walk on, of the last plan."""
        return read_layers(self.plans[-1].folder)["walks"]

    def sentences(self, words: Language = ENGLISH) -> list[str]:
        """Return what must be said beside the numbers: parcels that are missing, and what the gaps leave open."""
        said, first = [], self.plans[0]
        for plan in self.plans[1:]:
            missing = len(first.parcels.index.symmetric_difference(plan.parcels.index))
            if missing:
                said.append(
                    words(
                        "{n} parcels are in only one of {a} and {b}; they are left out.",
                        n=missing,
                        a=first.name,
                        b=plan.name,
                    )
                )
            said.append(_scores(first, plan, words))
        return said


def _scoring(plan: Written) -> list[Rule]:
    """Return the rules that a score depends on: by the most floor area they allow, their price or their reward."""
    by_rules = plan.study.objective.reference is None

    def counts(rule: Rule) -> bool:
        allows = by_rules and type(rule).most_floor_area is not Rule.most_floor_area
        return allows or rule.scores

    return [rule for rule in plan.study.rules if counts(rule)]


def _same_problem(a: Written, b: Written) -> bool:
    """Whether two plans answer one question: the same files, rules and terms, however long each was searched for."""

    def question(plan: Written) -> dict[str, Any]:
        return {key: value for key, value in plan.study.to_dict().items() if key not in NOT_ASKED}

    inputs = a.result.get("inputs")
    return bool(inputs) and inputs == b.result.get("inputs") and question(a) == question(b)


def _scores(a: Written, b: Written, words: Language) -> str:
    """Say what scores and bounds tell of two plans."""
    found = (a.result["objective"], b.result["objective"]), (a.result["bound"], b.result["bound"])
    if _same_problem(a, b) and max(found[0]) <= min(found[1]):
        return words(
            "{a} and {b} are plans of one study: the best plan scores {low} to {high}.",
            a=a.name,
            b=b.name,
            low=f"{max(found[0]):.5f}",
            high=f"{min(found[1]):.5f}",
        )
    same_objective = all(getattr(a.study, part) == getattr(b.study, part) for part in OF_OBJECTIVE)
    if not same_objective or _scoring(a) != _scoring(b) or set(a.parcels.index) != set(b.parcels.index):
        return words(
            "{a} and {b} differ in what a score is made of or divided by: theirs are not compared.", a=a.name, b=b.name
        )
    (low, high), (least, most) = ((plan.result["objective"], plan.result["bound"]) for plan in (a, b))
    ranges = words(
        "The best plan scores {low} to {high} under the rules of {a}, {least} to {most} under those of {b}",
        **{
            name: f"{v:.5f}" for name, v in zip(("low", "high", "least", "most"), (low, high, least, most), strict=True)
        },
        a=a.name,
        b=b.name,
    )
    if high < least or most < low:
        apart = f"{max(least - high, low - most):.5f}"
        return words("{ranges}: they differ by at least {n}.", ranges=ranges, n=apart)
    return words("{ranges}: within these gaps both may be worth the same.", ranges=ranges)


def read_plans(folders: Sequence[Path]) -> Comparison:
    """Read written plans to compare, the first of them with each other one.

    Raises
    ------
    StudyError
        When a folder holds no plan, only one is given, or two have no parcel in common.
    """
    if len(folders) < 2:
        raise StudyError("compare: name the folders of two plans or more, the one to compare with first")
    names = [folder.resolve().name for folder in folders]
    plans = list[Written]()
    for folder, name in zip(folders, names, strict=True):
        study, frame, result = read_folder(folder)
        known = name if names.count(name) == 1 else str(folder)
        if known in [plan.name for plan in plans]:
            raise StudyError(f"compare: {folder} is named twice")
        plans.append(Written(known, folder, study, frame.set_index("parcel_id", drop=False), result))
    for plan in plans[1:]:
        if not len(plans[0].parcels.index.intersection(plan.parcels.index)):
            raise StudyError(
                f"compare: {folders[0]} and {plan.name} have no parcel_id in common; are they of one district?"
            )
    return Comparison(tuple(plans))
