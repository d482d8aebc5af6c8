"""Plans by other tools, judged: GeoJSON with the contract's columns, the rules and the score of a study.

A plan needs ``parcel_id``, ``action`` and ``stack`` (from the ground up: ``use``, ``from``, ``to``, and ``site`` where a
parcel has several buildings). Where there is no stack, ``floors_<use>`` will do on parcels with one building: uses
then stand in the order of their ranks. All else is computed here: geometry, limits and what stands today are the
study's, whatever the file says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from geodata.export import read_geojson
from optimizer.audit import Audit, recompute
from optimizer.district import District, read_district
from optimizer.errors import StudyError, known_name
from optimizer.plan import Plan
from optimizer.study import Study

ACTIONS = ("keep", "convert", "redevelop", "clear")
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

    @property
    def sentence(self) -> str:
        """What it comes to."""
        if self.faults:
            return f"{self.plan} is no plan of this study: {len(self.faults)} faults. Its score would be {self.audit.objective:.5f}."
        return f"Score {self.audit.objective:.5f}; every rule of the study holds."

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
    """Judge a plan by a study.

    Raises
    ------
    StudyError
        When the file cannot be read, a column is missing, or parcels are not those of the study.
    """
    district = read_district(study, parcels, streets)
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
    if "stack" not in found and not any(str(column).startswith("floors_") for column in found.columns):
        raise StudyError(f"{file}: neither stack nor floors_<use> on any feature, so its floors are not known")
    ids, own = found["parcel_id"].astype(str), district.parcels["parcel_id"].tolist()
    for wrong, what in (
        (ids[ids.duplicated()].tolist(), "there twice"),
        (sorted(set(ids) - set(own)), "no parcel of the study"),
        (sorted(set(own) - set(ids)), "missing; a plan has every parcel of the study"),
    ):
        if wrong:
            raise StudyError(f"{file}: {len(wrong)} parcels, {_some(wrong)}: {what}")
    table = found.assign(parcel_id=ids).set_index("parcel_id", drop=False).loc[own]
    for name, action in zip(own, table["action"], strict=True):
        known_name(str(action), ACTIONS, f"{file}: action of {name}")
    return table


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "")


def _storeys(table: pd.DataFrame, district: District, study: Study) -> tuple[list[list[str]], list[str]]:
    """Return each building's uses from the ground up, one a storey, none where it is kept; and what cannot be."""
    faults: list[str] = []
    stacks: list[list[str]] = []
    rows = table.to_dict("records")
    sites_on = np.bincount(district.parcel_of, minlength=len(rows))
    for s, p in enumerate(district.parcel_of.tolist()):
        row, site = rows[p], int(district.sites["site"].iloc[s])
        label, action = f"parcel {row['parcel_id']}, building {site}", row["action"]
        if action not in study.actions.allowed and action != "keep":
            faults.append(f"{label}: action {action!r} is not allowed in this study")
        if bool(district.parcels["protected"].iloc[p]) and action != "keep":
            faults.append(f"{label}: is protected and stays as it is")
        told = row.get("stack")
        if not isinstance(told, list):
            told = None if action == "keep" else _by_rank(row, district, int(sites_on[p]))
        stack = [] if action == "keep" or told is None else _laid(told, site, label, study, faults)
        if action == "convert" and len(stack) != int(district.storeys_today[p]):
            faults.append(f"{label}: {len(stack)} storeys converted where {int(district.storeys_today[p])} stand")
        if action == "clear" and stack:
            faults.append(f"{label}: cleared, but floors stand on it")
            stack = []
        stacks.append(stack)
    return stacks, faults


def _by_rank(row: dict[str, Any], district: District, sites: int) -> list[dict[str, Any]]:
    """Return a stack by the floors of each use, from the lowest rank up."""
    if sites > 1:
        raise StudyError(
            f"parcel {row['parcel_id']} has {sites} building sites: floors_<use> does not say which floor is where; give a stack"
        )
    stack, storey = [], 1
    for use in sorted(district.uses, key=lambda use: use.rank):
        count = row.get(f"floors_{use.name}")
        number = 0 if count is None or pd.isna(count) else int(count)
        if number > 0:
            stack.append({"site": 1, "use": use.name, "from": storey, "to": storey + number - 1})
            storey += number
    return stack


def _laid(stack: Sequence[Any], site: int, label: str, study: Study, faults: list[str]) -> list[str]:
    """Return one building's uses from the ground up; storeys that leave gaps or overlap are faults."""
    storeys: list[str] = []
    for item in stack:
        try:
            at, use, first, last = int(item.get("site", 1)), str(item["use"]), int(item["from"]), int(item["to"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise StudyError(f"{label}: an item of its stack is not {{ site, use, from, to }}: {item!r}") from None
        if at != site:
            continue
        known_name(use, list(study.uses), f"{label}: use")
        if first != len(storeys) + 1 or last < first:
            faults.append(f"{label}: storeys do not follow one another")
        storeys += [use] * max(last - first + 1, 0)
    return storeys
