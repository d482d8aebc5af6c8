"""Maps of a plan: Folium, one file, readable without a base map. The only importer of Folium."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import folium
import geopandas as gpd
import matplotlib as mpl
import shapely
from branca.element import MacroElement
from folium.plugins import DualMap
from folium.template import Template

from geodata.export import plain
from geodata.overlays import Overlay

EMPTY = "#E8E8E8"
"""Colour of parcels without a building."""
RAMP = "viridis"
"""Perceptually even and readable for the colour-blind."""
MARKED = "#111111"
"""Outline of parcels to look at."""
OPACITY = 0.6
"""Of fields that lie over the parcels."""
LEAFLET = "https://cdn.jsdelivr.net/npm/leaflet@1.9.4/dist/"


@dataclass(frozen=True)
class UseStyle:
    """How a use is shown: key in columns, label, colour (``#rrggbb``)."""

    name: str
    label: str
    colour: str


def _script(data: Any) -> str:
    """Return data as JSON that neither ends the script it stands in nor is a template to Folium, which renders twice."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    # Outside strings JSON never has these pairs.
    return re.sub(r"\{(?=[{%#])", r"\\u007b", text)


class _Views(MacroElement):
    """Parcels in several views with one table of properties, a legend each, stacks on click."""

    _template = Template(
        """
        {% macro script(this, kwargs) %}
        (function () {
          const map = {{ this._parent.get_name() }};
          const data = {{ this.data }};
          const text = v => String(v).replace(/[&<>"']/g, c => "&#" + c.charCodeAt(0) + ";");
          const number = v => v == null ? "–" : Math.round(v).toLocaleString("en");
          const label = Object.fromEntries(data.uses.map(u => [u.name, u.label]));
          const colour = Object.fromEntries(data.uses.map(u => [u.name, u.colour]));
          const ramp = t => data.ramp[Math.max(0, Math.min(data.ramp.length - 1, Math.floor((t || 0) * data.ramp.length)))];
          const views = {
            "Plan: dominant use": p => colour[p.dominant_use] || data.empty,
            "Plan: mix in the building": p => p.dominant_use ? ramp(p.mix) : data.empty,
            "Plan: storeys": p => p.floors ? ramp(p.floors / data.storeys) : data.empty,
            "Plan: what happens": p => data.actions[p.action][1],
            "Today: dominant use": p => colour[p.today_dominant_use] || data.empty
          };
          const keys = data.uses.map(u => [u.label, u.colour]).concat([["No building", data.empty]]);
          const scale = (low, high) => data.ramp.map((c, i) =>
            [i === 0 ? low : i === data.ramp.length - 1 ? high : "", c]);
          const legends = {
            "Plan: dominant use": keys,
            "Plan: mix in the building": scale("one use", "all uses, equal shares").concat([["No building", data.empty]]),
            "Plan: storeys": scale("1", data.storeys + " storeys").concat([["No building", data.empty]]),
            "Plan: what happens": Object.values(data.actions),
            "Today: dominant use": keys
          };
          function stack(p) {
            const sites = {};
            p.stack.forEach(s => (sites[s.site] = sites[s.site] || []).push(s));
            return Object.entries(sites).map(([site, list]) => "<div class='up-site'>" +
              list.slice().reverse().map(s => {
                const n = s.to - s.from + 1;
                return "<div class='up-floor' style='background:" + (colour[s.use] || data.empty) + ";min-height:" +
                  Math.min(16 * n, 90) + "px'><span>" + text(label[s.use] || s.use) + "</span><span>" +
                  (n > 1 ? "storeys " + s.from + "–" + s.to : "storey " + s.from) + "</span><span>" +
                  number(s.gfa_m2) + " m²</span></div>";
              }).join("") + "<div class='up-ground'>building " + text(site) + ", ground</div></div>").join("");
          }
          function popup(p) {
            const rows = data.uses.map(u => "<tr><td>" + text(u.label) + "</td><td>" + number(p["today_" + u.name]) +
              "</td><td>" + number(p["gfa_" + u.name]) + "</td></tr>").join("");
            return "<b>Parcel " + text(p.parcel_id) + "</b><br>" + text(data.actions[p.action][0]) + "; " + p.floors +
              " storeys, " + number(p.gfa_m2) + " m², FAR " + p.far.toFixed(2) +
              (p.zone ? "; zone " + text(p.zone) : "") + "<div class='up-stack'>" +
              (stack(p) || "No building") + "</div><table class='up-table'><tr><th>Floor area, m²</th><th>today</th>" +
              "<th>plan</th></tr>" + rows + "</table>";
          }
          const layers = {};
          for (const [name, fill] of Object.entries(views)) {
            layers[name] = L.geoJSON(data.parcels, {
              style: f => ({ fillColor: fill(f.properties), fillOpacity: 0.85, color: "#444", weight: 0.6 }),
              onEachFeature: (f, layer) => {
                const p = f.properties;
                layer.bindTooltip("<b>" + text(p.parcel_id) + "</b>: " + text(data.actions[p.action][0]) + "<br>" +
                  (p.stack.length ? p.stack.map(s => text(label[s.use] || s.use) + " " + s.from + "–" + s.to +
                  ", " + number(s.gfa_m2) + " m²").reverse().slice(0, 12).join("<br>") : "No building"), { sticky: true });
                layer.bindPopup(() => popup(p), { maxWidth: 380, maxHeight: 420 });
              }
            });
          }
          const first = Object.keys(views)[0];
          layers[first].addTo(map);
          // Fields lie over the parcels and let clicks through; while one is shown the parcels step back, for its colours' sake.
          const pane = (name, order) => {
            map.createPane(name).style.zIndex = order;
            map.getPane(name).style.pointerEvents = "none";
          };
          pane("up-fields", 450);
          pane("up-lines", 460);
          const fields = {};
          data.fields.forEach(f => {
            const parts = [L.imageOverlay(f.image, f.bounds, { opacity: data.opacity, pane: "up-fields", className: "up-field" })];
            f.lines.filter(l => l.shape.coordinates.length).forEach(l => {
              [["#fff", 4.5, 0.8], ["#000", 1.8, 1]].forEach(([color, weight, opacity]) =>
                parts.push(L.geoJSON(l.shape, { pane: "up-lines", interactive: false, style: { color, weight, opacity, fill: false } })));
              l.shape.coordinates.slice().sort((a, b) => b.length - a.length).slice(0, 12).forEach(line => {
                const [x, y] = line[Math.floor(line.length / 2)];
                parts.push(L.marker([y, x], { pane: "up-lines", interactive: false,
                  icon: L.divIcon({ className: "up-level", html: text(l.value), iconSize: null }) }));
              });
            });
            fields[f.name] = L.layerGroup(parts);
          });
          // The control takes names for HTML.
          const named = Object.fromEntries(Object.entries(fields).map(([name, field]) => [text(name), field]));
          L.control.layers(layers, named, { collapsed: false }).addTo(map);
          // Roads and rivers among the parcels reach far beyond what is built, and the title takes the left side.
          const stands = layers[first].getLayers().filter(l => l.feature.properties.stack.length);
          const bounds = (stands.length ? L.featureGroup(stands) : layers[first]).getBounds();
          map.fitBounds(bounds, { paddingTopLeft: [Math.min(430, map.getSize().x * 0.3), 20], paddingBottomRight: [20, 20] });
          const legend = L.control({ position: "bottomright" });
          legend.onAdd = () => L.DomUtil.create("div", "up-box up-legend");
          legend.addTo(map);
          L.DomEvent.disableScrollPropagation(legend.getContainer());
          let view = first;
          function part(name, rows, opacity) {
            const tight = rows.length > 9 && opacity === 1;
            return "<b>" + text(name) + "</b>" + rows.map(([l, c]) =>
              "<div" + (tight && l !== "No building" ? " class='up-tight'" : "") + "><i style='background:" + c +
              (opacity < 1 ? ";opacity:" + opacity : "") + "'></i>" + text(l) + "</div>").join("");
          }
          function show() {
            const shown = data.fields.filter(f => map.hasLayer(fields[f.name]));
            legend.getContainer().innerHTML = part(view, legends[view], 1) + shown.map(f =>
              part(f.name + ", " + f.unit, f.classes, data.opacity) + f.lines.map(l =>
              "<div><i class='up-line'></i>" + text(l.label) + (l.shape.coordinates.length ? "" : ", not reached") +
              "</div>").join("")).join("");
            const fillOpacity = shown.length ? 0.1 : 0.85;
            Object.values(layers).forEach(layer => layer.setStyle({ fillOpacity }));
          }
          show();
          map.on("baselayerchange", e => { view = e.name; show(); });
          map.on("overlayadd overlayremove", show);
          // The colours of two fields at once are in no legend. The control is still at work when it tells of a click.
          let latest = null;
          map.on("overlayadd", e => {
            latest = e.layer;
            setTimeout(() => Object.values(fields).forEach(field => field === latest || field.remove()));
          });
          const box = L.control({ position: "topleft" });
          box.onAdd = () => {
            const div = L.DomUtil.create("div", "up-box up-title");
            div.innerHTML = "<h1>" + text(data.title) + "</h1><table>" + data.facts.map(([k, v]) =>
              "<tr><td>" + text(k) + "</td><td>" + text(v) + "</td></tr>").join("") + "</table>" +
              data.notes.map(n => "<p>" + text(n) + "</p>").join("");
            L.DomEvent.disableClickPropagation(div);
            return div;
          };
          box.addTo(map);
          window.upstairsLayers = layers;
          window.upstairsFields = fields;
        })();
        {% endmacro %}
        """
    )

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca is untyped
        self.data = _script(plain(data))


STYLE = """
<style>
.up-box { background: rgba(255,255,255,.93); padding: 8px 12px; border-radius: 4px; box-shadow: 0 1px 4px rgba(0,0,0,.35);
  font: 13px/1.35 system-ui, sans-serif; color: #222; max-width: 400px; }
.up-title h1 { font-size: 18px; margin: 0 0 4px; overflow-wrap: anywhere; }
.up-title td { padding: 0 8px 1px 0; vertical-align: top; } .up-title p { margin: 4px 0 0; font-size: 12px; color: #444; }
.up-legend { max-height: 70vh; overflow-y: auto; } .up-legend b:not(:first-child) { display: block; margin-top: 6px; }
.up-legend i.up-line { height: 0; border: 0; border-top: 2px solid #000; vertical-align: middle; }
.up-field { image-rendering: pixelated; }
.leaflet-control-layers-expanded { font: 13px/1.25 system-ui, sans-serif; max-height: 60vh; overflow-y: auto; }
.up-level { font: 600 11px system-ui, sans-serif; color: #000; white-space: nowrap; transform: translate(-50%, -50%);
  text-shadow: 0 0 2px #fff, 0 0 2px #fff, 0 0 3px #fff, 0 0 3px #fff; }
.up-legend i { display: inline-block; width: 16px; height: 12px; margin-right: 6px; border: 1px solid #777; }
.up-legend .up-tight { line-height: 11px; } .up-legend .up-tight i { border: 0; height: 11px; vertical-align: top; }
.up-stack { display: flex; flex-wrap: wrap; gap: 8px; margin: 6px 0; align-items: flex-end; }
.up-site { min-width: 210px; } .up-floor { display: flex; justify-content: space-between; gap: 8px; align-items: center;
  padding: 0 6px; border: 1px solid #fff; color: #fff; font-size: 12px; text-shadow: 0 0 3px #000, 0 0 2px #000; }
.up-ground { border-top: 3px solid #555; font-size: 11px; color: #555; }
.up-table td, .up-table th { padding: 0 8px 0 0; text-align: right; font-size: 12px; }
.up-table td:first-child, .up-table th:first-child { text-align: left; }
.folium-map.leaflet-container { background: #f7f6f2; }
</style>
"""

ACTIONS = {
    "keep": ("Kept as it is", "#BBBBBB"),
    "convert": ("Converted", "#E69F00"),
    "redevelop": ("Built new", "#0072B2"),
    "clear": ("Cleared", "#F0E442"),
}


def plan_map(
    plan: gpd.GeoDataFrame,
    *,
    uses: Sequence[UseStyle],
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    attribution: str = "",
    overlays: Sequence[Overlay] = (),
    marks: Mapping[str, Sequence[str]] | None = None,
) -> folium.Map:
    """Draw a plan: uses, mix, storeys and actions of the plan, and the uses of today, as views to switch.

    Parameters
    ----------
    plan : GeoDataFrame
        One row a parcel: ``parcel_id``, ``action``, ``floors``, ``gfa_m2``, ``far``, ``zone``, ``dominant_use``,
        ``today_dominant_use``, ``mix`` (0 to 1), ``gfa_<use>`` and ``today_<use>`` (m²) and ``stack``, a list of
        ``site``, ``use``, ``from``, ``to``, ``gfa_m2`` from the ground up. Any CRS.
    uses : sequence of UseStyle
    title, attribution : str
    facts : sequence of (label, value)
        Shown under the title.
    notes : sequence of str
        What a reader must know, such as where a number is illustrative.
    overlays : sequence of Overlay
        Fields to switch on over any view, one at a time, each with its legend; none is on at first.
    marks : mapping, optional
        Parcels that are outlined, and what is said of each when pointed at.

    Returns
    -------
    folium.Map
        Names are escaped wherever they are shown. Street tiles load when there is a network; without one the
        parcels stand on a plain ground.
    """
    world = plan.to_crs(4326)
    west, south, east, north = world.total_bounds
    source = " | ".join(filter(None, [escape(attribution), "Plan: Upstairs"]))
    chart = folium.Map(
        location=[(south + north) / 2, (west + east) / 2],
        tiles=None,
        control_scale=True,
        prefer_canvas=False,
        zoom_start=16,
    )
    chart.default_js = [("leaflet", f"{LEAFLET}leaflet.js")]
    chart.default_css = [("leaflet_css", f"{LEAFLET}leaflet.css")]
    folium.TileLayer("OpenStreetMap", control=False, opacity=0.35).add_to(chart)
    columns = [
        "parcel_id",
        "action",
        "floors",
        "gfa_m2",
        "far",
        "zone",
        "dominant_use",
        "today_dominant_use",
        "mix",
        "stack",
    ]
    columns += [f"{kind}_{use.name}" for kind in ("gfa", "today") for use in uses]
    shapes = shapely.set_precision(world.geometry.to_numpy(), 1e-6)
    features = [
        {"type": "Feature", "properties": record, "geometry": json.loads(shapely.to_geojson(shape))}
        for record, shape in zip(world[columns].to_dict("records"), shapes, strict=True)
    ]
    steps = 12
    colours = mpl.colormaps[RAMP]
    _Views(
        {
            "parcels": {"type": "FeatureCollection", "features": features},
            "uses": [{"name": u.name, "label": u.label, "colour": u.colour} for u in uses],
            "ramp": [mpl.colors.to_hex(colours(1 - k / (steps - 1))) for k in range(steps)],
            "storeys": int(max(world["floors"].max(), 1)),
            "empty": EMPTY,
            "actions": ACTIONS,
            "title": title,
            "facts": [list(fact) for fact in facts],
            "notes": list(notes),
            "fields": [item.plain() for item in overlays],
            "opacity": OPACITY,
        }
    ).add_to(chart)
    if marks:
        _outlined(world[world["parcel_id"].isin(marks)], marks).add_to(chart)
    _Attribution(source).add_to(chart)
    root: Any = chart.get_root()
    # What is added here is a template once more.
    root.header.add_child(folium.Element(STYLE + f"<title>{_shown(title)}</title>"))
    return chart


def _shown(text: str) -> str:
    """Escape text for HTML that Folium passes through a template once more."""
    return escape(str(text)).replace("{", "&#123;")


def _outlined(parcels: gpd.GeoDataFrame, marks: Mapping[str, Sequence[str]]) -> folium.GeoJson:
    """Return a layer of outlines that say something when pointed at and let clicks inside them through."""
    said = [_shown("; ".join(marks[name])) for name in parcels["parcel_id"]]
    layer = gpd.GeoDataFrame({"said": said}, geometry=parcels.geometry.to_numpy(), crs=parcels.crs)
    return folium.GeoJson(
        layer,
        style_function=lambda _: {"fill": False, "color": MARKED, "weight": 4},
        tooltip=folium.GeoJsonTooltip(["said"], labels=False, sticky=True),
    )


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
        self.name, self.uses = _script(name), _script([list(use) for use in uses])


class _Attribution(MacroElement):
    """Credits in the map's corner."""

    _template = Template(
        "{% macro script(this, kwargs) %}{{ this._parent.get_name() }}.attributionControl.addAttribution({{ this.text }});"
        "{% endmacro %}"
    )

    def __init__(self, text: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca is untyped
        self.text = _script(text)
