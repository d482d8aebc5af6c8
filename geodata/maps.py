"""Maps of a plan: Folium, one file, readable without a base map. The only importer of Folium."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

import folium
import geopandas as gpd
import matplotlib as mpl
import numpy as np
import shapely
from branca.element import MacroElement
from folium.template import Template

from geodata.export import plain
from geodata.language import ENGLISH, Language
from geodata.overlays import Overlay

EMPTY = "#E8E8E8"
"""Colour of parcels without a building."""
RAMP = "viridis"
"""Perceptually even and readable for the colour-blind."""
MARKED = "#111111"
"""Outline of parcels to look at."""
TWO_WAYS = "PuOr"
"""For what may be more or less, likewise."""
STEPS = 12
OPACITY = 0.6
"""Of fields that lie over the parcels."""
TILES = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
TILES_BY = '&copy; <a href="https://www.openstreetmap.org/copyright">OpenStreetMap</a> contributors'
MANY, SIMPLER = 3000, 0.4
"""Parcels from which on shapes are drawn with fewer corners, and by how far they may move, m."""
BY_CHOICE = ["storey {n}", "storeys {n}"]
"""Words of ``page/plan.js`` that it chooses between."""


@dataclass(frozen=True)
class UseStyle:
    """How a use is shown: key in columns, label, colour (``#rrggbb``), height of a storey in m, jobs and homes per m²."""

    name: str
    label: str
    colour: str
    height: float = 3.5
    jobs: float = 0.0
    homes: float = 0.0


def script_json(data: Any) -> str:
    """Return data as JSON that neither ends the script it stands in nor is a template to Folium, which renders twice."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    # Outside strings JSON never has these pairs.
    return re.sub(r"\{(?=[{%#])", r"\\u007b", text)


class _Views(MacroElement):
    """What ``page/plan.js`` draws, from its data."""

    _template = Template(
        """
        {% macro script(this, kwargs) %}
        upstairs({{ this._parent.get_name() }}, JSON.parse(document.getElementById("up-data").textContent));
        {% endmacro %}
        """
    )


def _file(name: str) -> str:
    """Return a file of the page."""
    return resources.files("geodata").joinpath("page", name).read_text(encoding="utf-8")


ACTIONS = {
    "keep": ("Kept as it is", "#BBBBBB"),
    "convert": ("Converted", "#E69F00"),
    "redevelop": ("Built new", "#0072B2"),
    "clear": ("Cleared", "#F0E442"),
}


@dataclass(frozen=True)
class Linked:
    """What one linkage moves.

    Attributes
    ----------
    client, supplier : str
        Uses.
    along : ndarray, shape (streets,)
        m² of floor that walk each street.
    inside, outside, unmet : ndarray, shape (parcels,)
        m² that the client's floors draw on within their building, from elsewhere, and not at all.
    """

    client: str
    supplier: str
    along: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    unmet: np.ndarray


@dataclass(frozen=True)
class RuleLine:
    """A rule, what is said of it, and whether it is met."""

    name: str
    said: str
    met: bool


def plan_map(
    plan: gpd.GeoDataFrame,
    *,
    uses: Sequence[UseStyle],
    title: str,
    facts: Sequence[tuple[str, ...]] = (),
    notes: Sequence[str] = (),
    attribution: str = "",
    rules: Sequence[RuleLine] = (),
    overlays: Sequence[Overlay] = (),
    streets: gpd.GeoDataFrame | None = None,
    links: Sequence[Linked] = (),
    marks: Mapping[str, Sequence[str]] | None = None,
    sides: tuple[str, str] | None = None,
    offline: bool = False,
    language: Language = ENGLISH,
) -> folium.Map:
    """Draw a plan: today, the plan and what changes, building by building, with what floors draw on along the streets.

    Parameters
    ----------
    plan : GeoDataFrame
        One row a parcel: ``parcel_id``, ``action``, ``floors``, ``far``, ``max_far``, ``zone``, ``dominant_use``,
        ``today_dominant_use``, ``mix`` (0 to 1), ``gfa_<use>`` and ``today_<use>`` (m²) and ``stack``, a list of
        ``site``, ``use``, ``from``, ``to``, ``gfa_m2`` from the ground up; ``block_mix`` (0 to 1) where blocks are known,
        ``shadow_price`` (score) and ``site_area`` (m²) where prices are. Any CRS.
    uses : sequence of UseStyle
    title, attribution : str
    facts : sequence of (label, value) or (label, today, plan)
        Shown under the title.
    notes : sequence of str
        What a reader must know, such as where a number is illustrative.
    rules : sequence of RuleLine
    overlays : sequence of Overlay
        Fields to switch on over any view, one at a time, each with its legend; none is on at first.
    streets : GeoDataFrame, optional
        Lines that are drawn under the parcels. Any CRS.
    links : sequence of Linked
        What linkages move along those streets.
    marks : mapping, optional
        Parcels that are outlined, and what is said of each when pointed at.
    sides : two of str, optional
        Names of two plans: ``today_*`` of ``plan`` are then of the first, and ``action_before`` and ``stack_before`` as well.
    offline : bool
        Whether the file must not ask any other host for anything. If not, it shows street tiles where there is a network.
    language : Language

    Returns
    -------
    folium.Map
        One file with all that it needs but the tiles. Names from files are only ever shown as text.
    """
    # Shared borders stay shared where many parcels are drawn with fewer corners.
    frame = plan if len(plan) < MANY else plan.set_geometry(_simpler(plan.geometry.to_numpy()))
    world = frame.to_crs(4326)
    west, south, east, north = (float(v) for v in world.total_bounds)
    chart = folium.Map(
        location=[(south + north) / 2, (west + east) / 2], tiles=None, control_scale=True, zoom_start=16, zoom_snap=0.5
    )
    chart.default_js, chart.default_css = [], []
    colours, both = mpl.colormaps[RAMP], mpl.colormaps[TWO_WAYS]
    script = _file("plan.js")
    names = [use.name for use in uses]
    lines = np.asarray(streets.to_crs(4326).geometry.array) if streets is not None else np.empty(0, dtype=object)
    place = {str(name): k for k, name in enumerate(world["parcel_id"])}
    ramp = [mpl.colors.to_hex(colours(1 - k / (STEPS - 1))) for k in range(STEPS)]
    data = {
        "lang": language.code,
        "words": {text: language(text) for text in re.findall(r'\b(?:t|put)\("([^"]+)"', script) + BY_CHOICE},
        "title": title,
        "facts": [list(fact) for fact in facts],
        "notes": list(notes),
        "sides": sides,
        "rules": [vars(rule) for rule in rules],
        "uses": [vars(use) for use in uses],
        "actions": {action: [language(label), colour] for action, (label, colour) in ACTIONS.items()},
        "ramp": ramp,
        "both": [mpl.colors.to_hex(both(k / (STEPS - 2))) for k in range(STEPS - 1)],
        "empty": EMPTY,
        "marked": MARKED,
        "opacity": OPACITY,
        "origin": [west, south],
        "parcels": _columns(world, names, links, (west, south)),
        "streets": [_steps(shapely.get_coordinates(line), (west, south)) for line in lines],
        "linkages": [{"client": names.index(k.client), "supplier": names.index(k.supplier)} for k in links],
        "flows": [{"street": _amounts(k.along), "inside": _amounts(k.inside)} for k in links],
        "fields": [item.plain() for item in overlays],
        "marks": [[place[name], "; ".join(said)] for name, said in (marks or {}).items() if name in place],
        "tiles": None if offline else {"url": TILES, "attribution": TILES_BY},
        "attribution": " | ".join(filter(None, [escape(attribution), language("Plan: Upstairs")])),
    }
    _Views().add_to(chart)  # type: ignore[no-untyped-call]  # branca is untyped
    root: Any = chart.get_root()
    style = _file("leaflet.css") + _file("plan.css")
    # Elements are templates: {% raw %} keeps what stands in them as it is, and data never hold "{%".
    for text in (
        f"<title>{escape(title)}</title>",
        f"<style>{re.sub(r'[^{;]*url[^;}]*;?', '', style)}</style>",
        f"<script>{_file('leaflet.js')}</script>",
        f"<script>{script}</script>",
        f'<script type="application/json" id="up-data">{script_json(plain(data))}</script>',
    ):
        root.header.add_child(folium.Element(f"{{% raw %}}{text.replace('{%', '{ %')}{{% endraw %}}"))
    root.html.add_child(folium.Element(f'<script>document.documentElement.lang = "{language.code}";</script>'))
    return chart


def _simpler(shapes: np.ndarray) -> np.ndarray:
    """Return polygons with fewer corners; what borders on one another still does where they form a coverage."""
    if shapely.coverage_is_valid(shapes):
        return np.asarray(shapely.coverage_simplify(shapes, SIMPLER))
    return np.asarray(shapely.simplify(shapes, SIMPLER))


def _steps(points: np.ndarray, origin: tuple[float, float]) -> list[int]:
    """Return points, degrees, as steps from one to the next in millionths of a degree, the first from an origin."""
    return [int(v) for v in np.diff(np.rint((points - origin) * 1e6), axis=0, prepend=0.0).ravel()]


def _amounts(values: np.ndarray) -> list[list[float]]:
    """Return where there is something, and how much."""
    return [[int(k), round(float(values[k]))] for k in np.flatnonzero(values >= 0.5)]


def _columns(
    world: gpd.GeoDataFrame, names: Sequence[str], links: Sequence[Linked], origin: tuple[float, float]
) -> dict[str, Any]:
    """Return what is shown of parcels, column by column."""

    def shape(geometry: Any) -> list[list[list[int]]]:
        return [
            [_steps(shapely.get_coordinates(ring), origin) for ring in (part.exterior, *part.interiors)]
            for part in shapely.get_parts(geometry)
        ]

    def rounded(column: str, digits: int) -> list[Any]:
        if column not in world:
            return [None] * len(world)
        return [plain(round(v, digits)) for v in world[column].astype(float)]

    def stacks(column: str) -> list[Any]:
        return [
            [[s["site"], number[s["use"]], s["from"], s["to"], round(s["gfa_m2"], 1)] for s in stack]
            for stack in world.get(column, ())
        ]

    number = {name: k for k, name in enumerate(names)}
    amounts = [[np.rint(part) for part in (k.inside, k.outside, k.unmet)] for k in links]
    return {
        "id": [str(v) for v in world["parcel_id"]],
        "shape": [shape(geometry) for geometry in world.geometry],
        "action": list(world["action"]),
        "action_before": list(world.get("action_before", ())),
        "floors": [int(v) for v in world["floors"]],
        "far": rounded("far", 3),
        "max_far": rounded("max_far", 3),
        "mix": rounded("mix", 3),
        "block": rounded("block_mix", 3),
        "price": rounded("shadow_price", 6),
        "site": rounded("site_area", 1),
        "zone": ["" if plain(v) is None else str(v) for v in world["zone"]],
        "dominant": [number.get(use, -1) for use in world["dominant_use"]],
        "dominant_today": [number.get(use, -1) for use in world["today_dominant_use"]],
        "gfa": [rounded(f"gfa_{name}", 2) for name in names],
        "today": [rounded(f"today_{name}", 2) for name in names],
        "stack": stacks("stack"),
        "before": stacks("stack_before"),
        "links": [
            [
                [k, *(int(part[i]) for part in parts)]
                for k, parts in enumerate(amounts)
                if any(part[i] for part in parts)
            ]
            for i in range(len(world))
        ],
    }
