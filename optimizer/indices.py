"""The indices of a district as people read them: names, units and formats; how much room rules leave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def index_rows(states: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str, list[float]]]:
    """Yield name, unit and format of each index, and its value in each state of a district; 0 of a use that it lacks."""

    def row(label: str, unit: str, *path: str, style: str) -> tuple[str, str, str, list[float]]:
        values = []
        for state in states:
            value: Any = state
            for key in path[:-1]:
                value = value[key]
            value = value.get(path[-1], 0.0) if path[0] == "floor_area_m2" else value[path[-1]]
            values.append(float(value))
        return label, unit, style, values

    yield row("proximity", "0 to 1", "proximity", "index", style=".3f")
    for key, label in (
        ("same_building", "  demand met upstairs"),
        ("next_door", "  next door, up to 50 m"),
        ("within_400_m", "  50 to 400 m"),
        ("further", "  further"),
        ("unserved", "  not met"),
    ):
        yield row(label, "share", "proximity", "shares", key, style=".1%")
    for key in ("building", "block", "neighbourhood"):
        yield row(f"mixing by {key}", "0 to 1", "mixing", key, style=".3f")
    yield row("floor area", "m²", "density", "floor_area_m2", style=",.0f")
    for use in dict.fromkeys(use for state in states for use in state["floor_area_m2"]):
        yield row(f"  {use}", "m²", "floor_area_m2", use, style=",.0f")
    yield row("floor area ratio", "m²/m²", "density", "far", style=".2f")
    yield row("jobs", "jobs", "density", "jobs", style=",.0f")
    yield row("homes", "homes", "density", "homes", style=",.0f")


def room(rule: Mapping[str, Any]) -> float:
    """Return how much a rule of ``result.json`` leaves where it binds most, in its unit; negative where it is missed."""
    value, limit = float(rule["value"]), float(rule["limit"])
    return limit - value if rule["sense"] == "<=" else value - limit


def index_columns(state: dict[str, Any]) -> dict[str, float]:
    """Return the indices of a state of a district by names that do for columns of a table; areas end in ``_m2``."""
    named = {}
    for label, unit, _, (value,) in index_rows([state]):
        name = re.sub(r"\W+", "_", label.strip().replace("m²", "m2"))
        named[f"{name}_m2" if unit == "m²" else name] = value
    return named
