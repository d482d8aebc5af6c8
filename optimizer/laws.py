"""The four laws as a scoreboard: diverse, extremely mixed, dense, at scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimizer.rules.base import Evidence, per_floor
from optimizer.uses import Linkage

if TYPE_CHECKING:
    from optimizer.district import Floats
    from optimizer.transport import Walks

TEN_MINUTES = 800.0
"""Walk of ten minutes at 4.8 km/h, m (the speed is illustrative)."""


@dataclass(frozen=True)
class Measure:
    """One number of the scoreboard.

    Attributes
    ----------
    law, key, label, unit : str
    formula, sentence : str
        How it is computed, and what it says.
    style : str
        Format of its value.
    """

    law: str
    key: str
    label: str
    unit: str
    formula: str
    sentence: str
    style: str = ",.2f"


MEASURES = (
    Measure("diverse", "uses", "uses", "uses", "number of u with p_u > 0", "How many uses there are.", ".0f"),
    Measure(
        "diverse",
        "hill_1",
        "uses that count",
        "uses",
        "exp(-sum p_u ln p_u), p_u share of floor area",
        "As many equal uses would be as diverse (Hill number of order 1).",
    ),
    Measure(
        "diverse",
        "hill_2",
        "uses that dominate",
        "uses",
        "1 / sum p_u^2",
        "As many equal uses would have two square metres differ as often (Hill number of order 2).",
    ),
    Measure("diverse", "evenness", "evenness", "0 to 1", "ln(hill_1) / ln(uses)", "1 where all uses are equal."),
    Measure(
        "extremely_mixed",
        "building",
        "mix in buildings",
        "0 to 1",
        "sum_b G_b H_b / (G ln U), H_b entropy of building b",
        "1 where every building holds all uses equally.",
        ".3f",
    ),
    Measure(
        "extremely_mixed",
        "block",
        "mix in blocks",
        "0 to 1",
        "the same by block",
        "1 where every block holds all uses equally.",
        ".3f",
    ),
    Measure(
        "extremely_mixed",
        "neighbourhood",
        "mix in neighbourhoods",
        "0 to 1",
        "the same by neighbourhood",
        "1 where every neighbourhood holds them equally.",
        ".3f",
    ),
    Measure(
        "extremely_mixed",
        "reach_m",
        "walk to a supplier",
        "m",
        "mean of min(d, R_l) over demand, d to the nearest floor of the supplier; 0 in the same building",
        "How far linked uses lie apart; beyond its reach a linkage counts as at its reach.",
        ",.0f",
    ),
    Measure("dense", "far", "floor area ratio", "m²/m²", "G / A", "Floor area on each square metre of land."),
    Measure("dense", "jobs_per_ha", "jobs", "1/ha", "jobs / A", "Jobs on a hectare.", ",.0f"),
    Measure("dense", "residents_per_ha", "residents", "1/ha", "residents / A", "Residents on a hectare.", ",.0f"),
    Measure(
        "dense",
        "people_per_ha",
        "jobs and residents",
        "1/ha",
        "(jobs + residents) / A",
        "Jobs and residents on a hectare.",
        ",.0f",
    ),
    Measure("at_scale", "floor_area_m2", "floor area", "m²", "G", "All floor area.", ",.0f"),
    Measure("at_scale", "jobs", "jobs", "jobs", "sum_u g_u / floor per job", "All jobs.", ",.0f"),
    Measure(
        "at_scale",
        "floor_area_10_min_m2",
        "floor area in 10 min",
        "m²",
        "mean over floor area of the floor area within 800 m on foot",
        "Floor area within ten minutes' walk of the average square metre.",
        ",.0f",
    ),
    Measure(
        "at_scale",
        "jobs_10_min",
        "jobs in 10 min",
        "jobs",
        "mean over floor area of the jobs within 800 m on foot",
        "Jobs within ten minutes' walk of the average square metre.",
        ",.0f",
    ),
)


@dataclass(frozen=True)
class TenMinutes:
    """Floor area, m², and jobs within ten minutes on foot of each building, shape (S,)."""

    floor_area: Floats
    jobs: Floats


def ten_minutes(evidence: Evidence, walks: Walks, areas: Sequence[Floats]) -> list[TenMinutes]:
    """Return what is near of each of several floor areas, (S, U), by one pass over all walks."""
    per_job = per_floor(list(evidence.uses.values()), "jobs")
    values = np.column_stack([part for area in areas for part in (area.sum(axis=1), area @ per_job)])
    found = walks.within(TEN_MINUTES, values).T
    return [TenMinutes(*found[k : k + 2]) for k in range(0, len(found), 2)]


def laws(
    evidence: Evidence,
    area: Floats,
    linkages: Sequence[Linkage],
    mixing: dict[str, float],
    walks: Walks,
    near: TenMinutes,
) -> dict[str, dict[str, float]]:
    """Return every measure by law and key.

    Parameters
    ----------
    area : ndarray, shape (S, U)
        Floor area by building and use, m².
    mixing : dict
        Entropy index by scale.
    """
    uses = list(evidence.uses.values())
    total = float(area.sum())
    share = area.sum(axis=0) / total if total else np.zeros(len(uses))
    present = share[share > 0]
    entropy = float(-(present * np.log(present)).sum())
    land = float(evidence.parcels["site_area"].sum()) / 1e4
    jobs, residents = (area @ per_floor(uses, quantity) for quantity in ("jobs", "residents"))
    weight = area.sum(axis=1) / total if total else np.zeros(len(area))
    return {
        "diverse": {
            "uses": float(len(present)),
            "hill_1": math.exp(entropy) if total else 0.0,
            "hill_2": float(1.0 / (present**2).sum()) if total else 0.0,
            "evenness": entropy / math.log(len(present)) if len(present) > 1 else 0.0,
        },
        "extremely_mixed": {
            **{scale: mixing[scale] for scale in ("building", "block", "neighbourhood")},
            "reach_m": _reach(evidence, area, linkages, walks),
        },
        "dense": {
            "far": total / (land * 1e4),
            "jobs_per_ha": float(jobs.sum()) / land,
            "residents_per_ha": float(residents.sum()) / land,
            "people_per_ha": float(jobs.sum() + residents.sum()) / land,
        },
        "at_scale": {
            "floor_area_m2": total,
            "jobs": float(jobs.sum()),
            "floor_area_10_min_m2": float(weight @ near.floor_area),
            "jobs_10_min": float(weight @ near.jobs),
        },
    }


def _reach(evidence: Evidence, area: Floats, linkages: Sequence[Linkage], walks: Walks) -> float:
    """Return the mean walk from demand to the nearest floor of its supplier, m; 0 without demand."""
    names = list(evidence.uses)
    walked = demand = 0.0
    for link in linkages:
        client = area[:, names.index(link.client)] * link.demand
        nearest = walks.nearest(area[:, names.index(link.supplier)] > 0)
        walked += float(client @ np.minimum(nearest, link.reach))
        demand += float(client.sum())
    return walked / demand if demand else 0.0
