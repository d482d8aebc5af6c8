"""Maps of plans in a study's words: one plan against today, two plans against each other, where rules would have to give."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np

from geodata.language import ENGLISH, Language
from geodata.maps import RuleLine, UseStyle, plan_map
from optimizer.flows import has_flows, linked
from optimizer.indices import room
from optimizer.plan import entropy_index
from optimizer.pollution import overlays

if TYPE_CHECKING:
    import folium

    from optimizer.compare import Comparison
    from optimizer.diagnose import Way
    from optimizer.study import Study


def draw(
    study: Study,
    frame: gpd.GeoDataFrame,
    result: dict[str, Any],
    layers: Mapping[str, gpd.GeoDataFrame],
    rasters: Path | None = None,
    *,
    offline: bool = False,
    words: Language = ENGLISH,
) -> folium.Map:
    """Draw a plan's table as a map.

    Parameters
    ----------
    layers : mapping
        Of ``plan.gpkg``: ``walks``, ``sites`` and, where they are known, ``flows`` and ``flows_inside``.
    rasters : Path, optional
        Folder of rasters that are laid over it.
    offline : bool
        Whether the map must ask no other host for anything.
    """
    return plan_map(
        frame.assign(block_mix=_block_mix(study, frame, layers["sites"])),
        uses=use_styles(study, words),
        title=study.name,
        facts=_facts(result, words),
        notes=what_to_know(study, words),
        attribution=study.attribution,
        rules=[_rule_line(row, words) for row in result["rules"]],
        overlays=overlays(study, rasters, words) if rasters else (),
        streets=layers["walks"],
        links=linked(study, frame, layers) if has_flows(layers) else (),
        offline=offline,
        language=words,
    )


def draw_comparison(found: Comparison, *, offline: bool = False, words: Language = ENGLISH) -> folium.Map:
    """Draw the last of some plans against the first; parcels that are in only one of them are left out."""
    first, last = found.plans[0], found.plans[-1]
    ids = [name for name in first.parcels.index if name in last.parcels.index]
    old, frame = first.parcels.loc[ids], last.parcels.loc[ids].copy()
    styles = {style.name: style for plan in found.plans for style in use_styles(plan.study, words)}
    for plan in found.plans:
        for style in use_styles(plan.study, words):
            if (style.jobs, style.homes) != (styles[style.name].jobs, styles[style.name].homes):
                # Plans that count differently have no number in common.
                styles[style.name] = replace(styles[style.name], jobs=0.0, homes=0.0)
    for use, before, after in zip(found.uses, found.floor_area(old).T, found.floor_area(frame).T, strict=True):
        frame[f"today_{use}"], frame[f"gfa_{use}"] = before, after
    for column in ("action", "stack"):
        frame[f"{column}_before"] = old[column]
    frame["today_dominant_use"] = old["dominant_use"]
    names = first.name, last.name
    return plan_map(
        frame,
        uses=[styles[use] for use in found.uses],
        title=words("{a} and {b}", a=names[0], b=names[1]),
        facts=[
            ("", *names),
            (words("Score"), *(words.number(plan.result["objective"], 4) for plan in (first, last))),
            (words("Bound"), *(words.number(plan.result["bound"], 4) for plan in (first, last))),
            *_moved([first.result["indices"], last.result["indices"]], words),
            (words("Drawn"), words.date(datetime.date.today())),
        ],
        notes=found.sentences(words),
        attribution="; ".join(dict.fromkeys(filter(None, (plan.study.attribution for plan in found.plans)))),
        streets=found.streets,
        sides=names,
        offline=offline,
        language=words,
    )


def draw_way(study: Study, way: Way, *, offline: bool = False, words: Language = ENGLISH) -> folium.Map:
    """Draw where rules would have to give for a plan to exist."""
    return plan_map(
        way.plan.to_frame(),
        uses=use_styles(study, words),
        title=words("{study}: what would have to give", study=study.name),
        facts=[(give.rule, str(give)) for give in way.gives],
        notes=[words("Not a plan: it breaks the rules above, and proximity and mixing were not looked at.")],
        attribution=study.attribution,
        streets=way.plan.walks_frame(),
        marks=way.marks(),
        offline=offline,
        language=words,
    )


def _facts(result: dict[str, Any], words: Language) -> list[tuple[str, ...]]:
    """Return what stands under the title: score and bound, indices and floor area of today and of the plan."""
    score, bound = words.number(result["objective"], 4), words.number(result["bound"], 4)
    gap = words.percent(result["gap"], 2)
    return [
        (words("Score"), words("{score}, at most {bound} possible (gap {gap})", score=score, bound=bound, gap=gap)),
        ("", words("today"), words("plan")),
        *_moved([result["existing"], result["indices"]], words),
        (words("Drawn"), words.date(datetime.date.today())),
    ]


def _moved(states: Sequence[dict[str, Any]], words: Language) -> list[tuple[str, ...]]:
    """Return indices and floor area of states of a district side by side."""
    shown = (
        (words("Proximity"), "proximity", "index", 3),
        (words("Mixing in buildings"), "mixing", "building", 3),
        (words("Mixing in neighbourhoods"), "mixing", "neighbourhood", 3),
        (words("Floor area, m²"), "density", "floor_area_m2", 0),
        (words("Jobs"), "density", "jobs", 0),
        (words("Homes"), "density", "homes", 0),
    )
    return [(label, *(words.number(s[group][key], digits) for s in states)) for label, group, key, digits in shown]


def _rule_line(row: dict[str, Any], words: Language) -> RuleLine:
    """Return a rule and how much room it leaves where it binds most."""
    value, limit, unit = row["value"], row["limit"], row["unit"]

    def told(amount: float) -> str:
        return words.number(amount, 0 if abs(amount) >= 100 else 2)

    asked = words("at most {n} {unit}" if row["sense"] == "<=" else "at least {n} {unit}", n=told(limit), unit=unit)
    said = words("{value} of {asked}", value=told(value), asked=asked)
    slack = words("{n} left", n=told(max(room(row), 0.0))) if row["satisfied"] else words("not met")
    name = f"{row['name']}, {row['scope']}" if row["scope"] else row["name"]
    return RuleLine(name, f"{said}; {slack}", bool(row["satisfied"]))


def _block_mix(study: Study, frame: gpd.GeoDataFrame, sites: gpd.GeoDataFrame) -> np.ndarray:
    """Return the mix of the block in which a parcel's first building stands, 0 to 1; NaN where nothing stands there."""
    area = sites[[f"gfa_{use}" for use in study.uses]].to_numpy(dtype=float)
    block = sites["block"].to_numpy()
    of = dict(zip(sites["parcel_id"].astype(str)[::-1], block[::-1], strict=True))
    _, number = np.unique(block, return_inverse=True)
    total = np.zeros((number.max(initial=-1) + 1, area.shape[1]))
    np.add.at(total, number, area)
    mix = dict(zip(block, np.where(total.sum(axis=1) > 0, entropy_index(total), np.nan)[number], strict=True))
    return np.array([mix.get(of.get(str(name)), np.nan) for name in frame["parcel_id"]])


def use_styles(study: Study, words: Language = ENGLISH) -> list[UseStyle]:
    """Return how each use of a study is shown."""
    return [
        UseStyle(
            use.name,
            words(use.label),
            use.colour,
            use.storey_height,
            1.0 / use.floor_per_job if use.floor_per_job else 0.0,
            1.0 / use.floor_per_home if use.floor_per_home else 0.0,
        )
        for use in study.use_list
    ]


def what_to_know(study: Study, words: Language) -> list[str]:
    """Return what a reader must know first."""
    said = study.illustrative
    return [
        *study.notes,
        *([words("Illustrative, confirmed by nobody: {said}.", said="; ".join(said))] if said else []),
    ]
