"""Maps of a plan: Folium, one file, readable without a base map. The only importer of Folium."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
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
from folium.plugins import DualMap
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
    offline: bool = False,
    language: Language = ENGLISH,
) -> folium.Map:
    """Draw a plan: today, the plan and what changes, building by building, with what floors draw on along the streets.

    Parameters
    ----------
    plan : GeoDataFrame
        One row a parcel: ``parcel_id``, ``action``, ``floors``, ``far``, ``max_far``, ``zone``, ``dominant_use``,
        ``today_dominant_use``, ``mix`` (0 to 1), ``gfa_<use>`` and ``today_<use>`` (m²) and ``stack``, a list of
        ``site``, ``use``, ``from``, ``to``, ``gfa_m2`` from the ground up; ``block_mix`` (0 to 1) where blocks are known. Any CRS.
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
    chart = folium.Map(location=[(south + north) / 2, (west + east) / 2], tiles=None, control_scale=True, zoom_start=16)
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

    number = {name: k for k, name in enumerate(names)}
    amounts = [[np.rint(part) for part in (k.inside, k.outside, k.unmet)] for k in links]
    return {
        "id": [str(v) for v in world["parcel_id"]],
        "shape": [shape(geometry) for geometry in world.geometry],
        "action": list(world["action"]),
        "floors": [int(v) for v in world["floors"]],
        "far": rounded("far", 3),
        "max_far": rounded("max_far", 3),
        "mix": rounded("mix", 3),
        "block": rounded("block_mix", 3),
        "zone": ["" if plain(v) is None else str(v) for v in world["zone"]],
        "dominant": [number.get(use, -1) for use in world["dominant_use"]],
        "dominant_today": [number.get(use, -1) for use in world["today_dominant_use"]],
        "gfa": [rounded(f"gfa_{name}", 2) for name in names],
        "today": [rounded(f"today_{name}", 2) for name in names],
        "stack": [
            [[s["site"], number[s["use"]], s["from"], s["to"], round(s["gfa_m2"], 1)] for s in stack]
            for stack in world["stack"]
        ],
        "links": [
            [
                [k, *(int(part[i]) for part in parts)]
                for k, parts in enumerate(amounts)
                if any(part[i] for part in parts)
            ]
            for i in range(len(world))
        ],
    }


def _shown(text: str) -> str:
    """Escape text for HTML that Folium passes through a template once more."""
    return escape(str(text)).replace("{", "&#123;")


def compared_map(
    sides: Sequence[tuple[str, gpd.GeoDataFrame]],
    uses: Mapping[str, tuple[str, str]],
    changed: Collection[str],
    title: str,
    attribution: str = "",
) -> DualMap:
    """Draw two plans side by side by dominant use, moved together; parcels that differ are outlined.

    Parameters
    ----------
    sides : two of (name, GeoDataFrame)
        ``parcel_id``, ``action``, ``dominant_use``, ``floors``, ``gfa_m2``. Any CRS.
    uses : mapping
        Label and colour of each use, and of none, which is the empty text.
    changed : collection of str
        Parcels to outline.
    """
    source = " | ".join(filter(None, [escape(attribution), "Plans: Upstairs"]))
    worlds = [frame.to_crs(4326) for _, frame in sides]
    west, south, east, north = worlds[0].total_bounds
    chart = DualMap(location=[(south + north) / 2, (west + east) / 2], tiles=None, zoom_start=16, control_scale=True)  # type: ignore[no-untyped-call]  # folium is untyped
    for part, (name, _), world in zip((chart.m1, chart.m2), sides, worlds, strict=True):
        folium.TileLayer("OpenStreetMap", control=False, opacity=0.35).add_to(part)
        shown = world[["action", "floors", "gfa_m2", "geometry"]].reset_index(drop=True)
        shown["parcel_id"] = [_shown(name) for name in world["parcel_id"]]
        shown["action"] = [_shown(action) for action in world["action"]]
        shown["use"] = [_shown(uses[use][0]) for use in world["dominant_use"].fillna("")]
        shown["colour"] = [uses[use][1] for use in world["dominant_use"].fillna("")]
        shown["differs"] = world["parcel_id"].isin(changed).to_numpy()
        folium.GeoJson(
            shown,
            style_function=lambda f: {
                "fillColor": f["properties"]["colour"],
                "fillOpacity": 0.85,
                "color": MARKED if f["properties"]["differs"] else "#666666",
                "weight": 3 if f["properties"]["differs"] else 0.5,
            },
            tooltip=folium.GeoJsonTooltip(
                ["parcel_id", "use", "action", "floors", "gfa_m2"], ["parcel", "use", "action", "floors", "m²"]
            ),
        ).add_to(part)
        part.fit_bounds([[south, west], [north, east]])
        _Caption(name, [uses[use] for use in uses]).add_to(part)
        _Attribution(source).add_to(part)
    root: Any = chart.get_root()
    root.header.add_child(folium.Element(f"<title>{_shown(title)}</title>"))
    return chart


class _Caption(MacroElement):
    """Name of a side and its legend, in the corner."""

    _template = Template(
        """{% macro script(this, kwargs) %}
        (function () {
          var box = L.control({position: "bottomleft"});
          box.onAdd = function () {
            var div = L.DomUtil.create("div");
            div.style.cssText = "background:#fff;padding:6px 8px;border-radius:4px;font:13px sans-serif";
            var head = div.appendChild(document.createElement("b"));
            head.textContent = {{ this.name }};
            {{ this.uses }}.forEach(function (use) {
              var line = div.appendChild(document.createElement("div"));
              var mark = line.appendChild(document.createElement("span"));
              mark.style.cssText = "display:inline-block;width:12px;height:12px;margin-right:6px;background:" + use[1];
              line.appendChild(document.createTextNode(use[0]));
            });
            var last = div.appendChild(document.createElement("div"));
            last.textContent = "outlined: differs";
            return div;
          };
          box.addTo({{ this._parent.get_name() }});
        })();
        {% endmacro %}"""
    )

    def __init__(self, name: str, uses: Sequence[tuple[str, str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca is untyped
        self.name, self.uses = script_json(name), script_json([list(use) for use in uses])


class _Attribution(MacroElement):
    """Credits in the map's corner."""

    _template = Template(
        "{% macro script(this, kwargs) %}{{ this._parent.get_name() }}.attributionControl.addAttribution({{ this.text }});"
        "{% endmacro %}"
    )

    def __init__(self, text: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca is untyped
        self.text = script_json(text)
