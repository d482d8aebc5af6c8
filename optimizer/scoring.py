"""Plans by other tools, judged: GeoJSON with the contract's columns, the rules and the score of a study.

A plan needs ``parcel_id``, ``action`` and ``stack`` (from the ground up: ``use``, ``from``, ``to``, and ``site`` where a
parcel has several buildings). Where there is no stack, ``floors_<use>`` will do on parcels with one building: uses
then stand in the order of their ranks. All else is computed here: geometry, limits and what stands today are the
study's, whatever the file says of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geodata.export import read_geojson
from geodata.language import ENGLISH, Language
from optimizer.audit import Audit, recompute
from optimizer.district import District, read_district
from optimizer.errors import StudyError, known_name
from optimizer.plan import Plan
from optimizer.study import Study

ACTIONS = ("keep", "convert", "redevelop", "clear")
MOST_STOREYS = 500
"""Of a building."""
MOST_NAMED = 3
"""Parcels that a message names."""


@dataclass(frozen=True)
class Score:
    """What a plan is worth.

    Attributes
    ----------
    plan : str
        File.
    audit : Audit
    faults : list of str
        What is wrong with it: floors that cannot be, rules that are broken.
    """

    plan: str
    audit: Audit
    faults: list[str]

    def sentence(self, words: Language = ENGLISH) -> str:
        """Return what it comes to."""
        score = f"{self.audit.objective:.5f}"
        if self.faults:
            return words(
                "{plan} is no plan of this study; faults: {n}. Its score would be {score}.",
                plan=self.plan,
                n=len(self.faults),
                score=score,
            )
        return words("Score {score}; every rule of the study holds.", score=score)

    def to_dict(self) -> dict[str, Any]:
        """Return a row of a leaderboard."""
        return {
            "plan": self.plan,
            "score": self.audit.objective,
            "valid": not self.faults,
            "faults": self.faults,
            "indices": self.audit.indices,
            "rules": [
                {
                    "name": c.name,
                    "scope": c.scope,
                    "value": c.value,
                    "limit": c.limit,
                    "unit": c.unit,
                    "satisfied": c.satisfied,
                }
                for c in self.audit.checks
            ],
        }


def score_plan(
    file: Path,
    study: Study,
    parcels: gpd.GeoDataFrame | None = None,
    streets: gpd.GeoDataFrame | None = None,
) -> Score:
    """Judge a plan by a study; ``file`` may be the folder of a plan of ours.

    Raises
    ------
    StudyError
        When the file cannot be read, a column is missing, or parcels are not those of the study.
    """
    district = read_district(study, parcels, streets)
    file = file / "plan.geojson" if file.is_dir() else file
    table = _read(file, district)
    storeys, faults = _storeys(table, district, study)
    uses = [use.name for use in district.uses]
    floors = np.array([[stack.count(use) for use in uses] for stack in storeys], dtype=np.int64).reshape(-1, len(uses))
    plan = Plan(study, district, table["action"].to_numpy(dtype=object), floors, {})
    evidence = plan.evidence
    # Storeys as the file has them, from the ground up, not as a plan of ours would be stacked.
    audit = recompute(study, replace(evidence, buildings=evidence.buildings.assign(storeys=storeys)))
    faults += [
        f"{c.name}: {place} breaks it (worst {c.scope}: {c.value:,.6g} {c.unit}, limit {c.sense} {c.limit:,.6g})"
        for c in audit.checks
        if c.faulty
        for place in c.broken[:MOST_NAMED]
    ]
    return Score(file.name, audit, faults)


def _read(file: Path, district: District) -> pd.DataFrame:
    """Return the plan's rows in the order of the district's parcels: ``parcel_id``, ``action`` and what says its floors."""
    try:
        found = pd.DataFrame(read_geojson(file).drop(columns="geometry", errors="ignore"))
    except OSError:
        raise StudyError(f"{file}: no such file") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StudyError(f"{file}: not a GeoJSON FeatureCollection") from None
    for column in ("parcel_id", "action"):
        if column not in found:
            raise StudyError(f"{file}: no property {column}; a plan has parcel_id, action and stack on every feature")
    nameless = int(found["parcel_id"].isna().sum())
    if nameless:
        raise StudyError(f"{file}: features without parcel_id: {nameless}; a plan has it on every feature")
    floors = [str(column) for column in found.columns if str(column).startswith("floors_")]
    for column in floors:
        known_name(column, [f"floors_{use.name}" for use in district.uses], f"{file}: property")
    if "stack" not in found and not floors:
        raise StudyError(f"{file}: neither stack nor floors_<use> on any feature, so its floors are not known")
    ids, own = found["parcel_id"].astype(str), district.parcels["parcel_id"].tolist()
    for wrong, what in (
        (ids[ids.duplicated()].tolist(), "there twice"),
        (sorted(set(ids) - set(own)), "no parcel of the study"),
        (sorted(set(own) - set(ids)), "missing; a plan has every parcel of the study"),
    ):
        if wrong:
            raise StudyError(f"{file}: parcels ({len(wrong)}) {_some(wrong)}: {what}")
    table = found.assign(parcel_id=ids).set_index("parcel_id", drop=False).loc[own]
    for name, action in zip(own, table["action"], strict=True):
        known_name(str(action), ACTIONS, f"{file}: action of {name}")
    return table


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "")


def _storeys(table: pd.DataFrame, district: District, study: Study) -> tuple[list[list[str]], list[str]]:
    """Return each building's uses from the ground up, one a storey, none where it is kept; and what cannot be."""
    faults: list[str] = []
    stacks: list[list[str]] = [[] for _ in district.parcel_of]
    on: dict[int, list[int]] = {}
    for s, p in enumerate(district.parcel_of.tolist()):
        on.setdefault(p, []).append(s)
    for p, row in enumerate(table.to_dict("records")):
        label, action, sites = f"parcel {row['parcel_id']}", row["action"], on.get(p, [])
        number = {int(district.sites["site"].iloc[s]): s for s in sites}
        if action not in study.actions.allowed and action != "keep":
            faults.append(f"{label}: action {action!r} is not allowed in this study")
        if bool(district.parcels["protected"].iloc[p]) and action != "keep":
            faults.append(f"{label}: is protected and stays as it is")
        told, today = _told(row, label, district, len(sites), study), int(district.storeys_today[p])
        faults += [f"{label}: has no building site {k}" for k in sorted({item.site for item in told} - set(number))]
        if action == "keep":
            faults += _unlike_today(told, label, district, p)
            continue
        if action == "clear" and told:
            faults.append(f"{label}: cleared, but floors stand on it")
            continue
        if action == "redevelop" and not told:
            faults.append(f"{label}: built anew, but has no floors")
        for k, s in number.items():
            stacks[s] = _laid([item for item in told if item.site == k], f"{label}, building {k}", faults)
            if action == "convert" and (not today or len(stacks[s]) != today):
                faults.append(f"{label}, building {k}: {len(stacks[s])} storeys converted where {today} stand")
    return stacks, faults


@dataclass(frozen=True)
class _Item:
    """Storeys of one use in a building."""

    site: int
    use: str
    first: int
    last: int


def _told(row: dict[str, Any], label: str, district: District, sites: int, study: Study) -> list[_Item]:
    """Return what a feature says of a parcel's floors: its stack, or the floors of each use from the lowest rank up."""
    stack = row.get("stack")
    if isinstance(stack, str):  # as formats without lists hold it
        try:
            stack = json.loads(stack)
        except ValueError:
            raise StudyError(f"{label}: its stack is text that is no JSON list: {stack[:60]!r}") from None
    if isinstance(stack, list):
        return [_item(item, label, study) for item in stack]
    items, storey = list[_Item](), 1
    for use in sorted(district.uses, key=lambda use: use.rank):
        count = row.get(f"floors_{use.name}")
        number = 0 if count is None or count != count else _whole(count, f"{label}: floors_{use.name}")
        if number:
            items.append(_Item(1, use.name, storey, storey + number - 1))
            storey += number
    if sites > 1 and row["action"] == "keep":
        return []  # today's buildings
    if items and sites > 1:
        raise StudyError(
            f"{label} has {sites} building sites: floors_<use> does not say which floor is where; give a stack"
        )
    return items


def _item(item: Any, label: str, study: Study) -> _Item:
    if not isinstance(item, dict) or not {"use", "from", "to"} <= set(item):
        raise StudyError(f"{label}: an item of its stack is not {{ site, use, from, to }}: {str(item)[:80]}")
    known_name(str(item["use"]), list(study.uses), f"{label}: use")
    site, first, last = (_whole(item.get(key, 1), f"{label}: {key} of its stack") for key in ("site", "from", "to"))
    return _Item(site, str(item["use"]), first, last)


def _whole(value: Any, key: str) -> int:
    """Return a number of storeys."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_STOREYS
    if not known or value != int(value):
        raise StudyError(f"{key} = {str(value)[:40]}: a whole number from 0 to {MOST_STOREYS} is expected")
    return int(value)


def _unlike_today(told: Sequence[_Item], label: str, district: District, p: int) -> list[str]:
    """Return what a kept parcel's floors have that today's building does not."""
    stands = {use.name for use, area in zip(district.uses, district.existing[p], strict=True) if area > 0}
    storeys = int(district.storeys_today[p])
    other = sorted({item.use for item in told} - stands)
    found = [f"{label}: kept, but today's building has no {use}" for use in other]
    if max((item.last for item in told), default=0) > storeys:
        found.append(f"{label}: kept, but has more than the {storeys} storeys that stand")
    return found


def _laid(items: Sequence[_Item], label: str, faults: list[str]) -> list[str]:
    """Return one building's uses from the ground up; storeys that leave gaps or overlap are faults."""
    storeys: list[str] = []
    for item in sorted(items, key=lambda item: item.first):
        if item.first != len(storeys) + 1 or item.last < item.first:
            faults.append(f"{label}: storeys do not follow one another")
        storeys += [item.use] * max(item.last - item.first + 1, 0)
    return storeys
