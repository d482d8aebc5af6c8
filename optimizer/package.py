"""``plan.gpkg``: what its layers and columns are, how QGIS draws them, and the project that opens them together."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from xml.etree.ElementTree import Element

import geopandas as gpd
import numpy as np
import pyproj

from geodata.export import plain
from geodata.language import ENGLISH, Language
from geodata.maps import ACTIONS, EMPTY
from geodata.package import Column, Layer, write_geopackage
from geodata.qgis import (
    LONGEST_LABEL,
    Kind,
    MapLayer,
    Project,
    Symbol,
    categorised,
    filled,
    graduated,
    inert,
    qml,
    quoted,
    round_up,
    single,
)
from optimizer.flows import along
from optimizer.plan_maps import what_to_know

if TYPE_CHECKING:
    from optimizer.study import Study

ABSTRACT = (
    "Which uses go on which floors of which parcels, made by Upstairs. Areas in m², lengths and heights in m. Amounts of "
    "flows need not be unique, their value is."
)
NO_FLOW, OUTLINE = "#C8C8C8", "#555555"
PLAN, TODAY, CHANGE = "Plan by dominant use", "Today by dominant use", "What changes"
STREETS = "Streets by what is drawn on over them"
CLASSES = 4
"""Of streets by what walks them."""
WIDEST = {"street": 1.6, "line": 3.0, "marker": 6.0}
"""What is drawn by how much it carries, mm."""

TITLES: dict[str, tuple[str, str, str]] = {
    "parcels": ("Parcels", "The plan and today, one row a parcel", "MultiPolygon"),
    "sites": ("Building sites", "Where buildings stand, one row a site: floors and floor area by use", "MultiPolygon"),
    "floors": (
        "Floors",
        "One row a storey and use, storey 1 on the ground; the shape is the building's site",
        "MultiPolygon",
    ),
    "flows": (
        "Flows between buildings",
        "What floors draw on elsewhere, one row a linkage and two buildings, along streets",
        "LineString",
    ),
    "flows_inside": (
        "Flows in buildings",
        "What floors draw on in their own building, one row a linkage and building",
        "Point",
    ),
    "walks": ("Streets", "The walking network and how much floor draws over each edge", "LineString"),
    "screens": ("Screens", "Buildings that the plan cannot change and that hold sound off", "MultiPolygon"),
    "receptors_facades": ("Receptors at facades", "Points where noise and air are looked at", "Point"),
    "receptors_middles": ("Receptors at middles of sites", "Points where noise and air are looked at", "Point"),
    "receptors_places": ("Receptors at places", "Places to protect, where noise and air are looked at", "Point"),
}
"""Title, description and geometry of each layer."""

COLUMNS: dict[str, Column] = {
    "parcel_id": Column("Parcel", "Name of the parcel in the study's file"),
    "site": Column("Building site", "Counted from 1 on each parcel"),
    "action": Column("Action", "What happens to what stands there today", "action"),
    "floors": Column("Storeys", "Of the tallest building on the parcel"),
    "gfa_m2": Column("Floor area (m²)", "Gross floor area"),
    "far": Column("Floor area ratio (1)", "Gross floor area over site area"),
    "height_m": Column("Height (m)", "Of the tallest building on the parcel"),
    "dominant_use": Column(
        "Dominant use", "Use with most floor area in the plan; empty where nothing stands", "dominant_use"
    ),
    "today_dominant_use": Column(
        "Dominant use today", "Use with most floor area today; empty where nothing stands", "dominant_use"
    ),
    "stack": Column("Stack (JSON)", "Site, use, first and last storey and m², from the ground up"),
    "mix": Column("Mix of uses (0 to 1)", "Entropy of the shares of uses over its largest value"),
    "site_area": Column("Site area (m²)"),
    "zone": Column("Zone", "As the study's file has it"),
    "use_code": Column("Use code", "As the study's file has it"),
    "max_far": Column("Allowed floor area ratio (1)"),
    "max_height": Column("Allowed height (m)"),
    "max_floors": Column("Allowed storeys"),
    "coverage": Column("Allowed coverage (0 to 1)", "Share of the site that a building may stand on"),
    "protected": Column("Protected", "Whether today's building must stay"),
    "year": Column("Year built"),
    "storeys_today": Column("Storeys today"),
    "shadow_price": Column(
        "Shadow price (score)", "No plan that leaves the parcel empty scores more than the bound less this"
    ),
    "storey": Column("Storey", "1 is the ground floor"),
    "use": Column("Use", "", "dominant_use"),
    "from_m": Column("Height from (m)", "Lower end of the storey above ground"),
    "to_m": Column("Height to (m)", "Upper end of the storey above ground"),
    "jobs": Column("Jobs", "Floor area over floor area of a job; not rounded"),
    "homes": Column("Homes", "Floor area over floor area of a home; not rounded"),
    "x": Column("x (m)", "In the layer's coordinate reference system"),
    "y": Column("y (m)", "In the layer's coordinate reference system"),
    "plate_m2": Column("Floor area of a storey (m²)"),
    "block": Column("Block", "Number of the block"),
    "neighbourhood": Column("Neighbourhood", "Number of the neighbourhood"),
    "door_node": Column("Node at the door", "Of the walking network"),
    "access_m": Column("Way from the door (m)", "From the door to the walking network"),
    "reached": Column("On the network", "Whether streets lead to the building"),
    "from_node": Column("From node", "Of the walking network"),
    "to_node": Column("To node", "Of the walking network"),
    "length_m": Column("Length (m)"),
    "client_use": Column("Client", "Use that draws on another", "dominant_use"),
    "supplier_use": Column("Supplier", "Use that is drawn on", "dominant_use"),
    "client_parcel": Column("Client's parcel"),
    "client_site": Column("Client's building site"),
    "supplier_parcel": Column("Supplier's parcel"),
    "supplier_site": Column("Supplier's building site"),
    "served_m2": Column("Served (m²)", "Floor area of the supplier that the client draws on"),
    "walk_m": Column("Walk (m)", "Shortest walk between the two doors"),
    "receptor": Column("Receptor"),
    "building": Column("Building site", "Row of the layer sites, counted from 0; -1 where it is none"),
    "group": Column("Group", "Key of the study's pollution.places"),
}
"""Of all layers, by name; those that are named after uses, linkages and layers come from the study."""


def write_package(
    study: Study,
    tables: Mapping[str, gpd.GeoDataFrame],
    result: Mapping[str, Any],
    file: Path,
    words: Language = ENGLISH,
) -> None:
    """Write a plan's layers as a GeoPackage that QGIS opens as a finished map.

    Parameters
    ----------
    tables : dict of GeoDataFrame
        By layer, see `TITLES`; in one CRS, in metres.
    result : dict
        Of ``result.json``.
    words : Language
        Of titles, legends and sentences; names of layers and columns are the same in all.
    """
    label = {use.name: inert(words(use.label), LONGEST_LABEL) for use in study.use_list}
    looks = {name: _looks(study, name, table, words) for name, table in tables.items()}
    own = {
        name: Column(words(c.title), c.description and words(c.description), c.domain) for name, c in COLUMNS.items()
    }
    names = {**_named(study, label, words), **own}
    layers, aliases = {}, {}
    for name, table in tables.items():
        title, description, geometry = TITLES[name]
        columns = {c: names.get(c) or _other(c, words) for c in table.columns if c != table.geometry.name}
        aliases[name] = {key: column.title for key, column in columns.items()}
        styles = {style: qml(renderer, aliases[name]) for style, renderer in looks[name].items()}
        layers[name] = Layer(table, words(title), words(description), _geometry(geometry), columns, styles)
    write_geopackage(
        layers,
        file,
        domains={
            "action": {action: words(told) for action, (told, _) in ACTIONS.items()},
            "dominant_use": label | {"": words("No building")},
        },
        metadata=_metadata(study, result, words),
        project=_project(study, tables, looks, aliases, result, words),
    )


def _geometry(name: str) -> Literal["Point", "LineString", "MultiPolygon"]:
    return "Point" if name == "Point" else "LineString" if name == "LineString" else "MultiPolygon"


def _named(study: Study, label: Mapping[str, str], words: Language) -> dict[str, Column]:
    """Return columns that carry the name of a use, linkage or layer."""
    found = {f"gfa_{u}": Column(words("{use}: floor area (m²)", use=told)) for u, told in label.items()}
    of_storeys = words("Of new and converted buildings, and of kept parcels")
    found |= {f"floors_{u}": Column(words("{use}: storeys", use=told), of_storeys) for u, told in label.items()}
    found |= {f"today_{u}": Column(words("{use}: floor area today (m²)", use=told)) for u, told in label.items()}
    for link in study.linkage_list:
        title = words("{client} on {supplier} (m²)", client=label[link.client], supplier=label[link.supplier])
        found[along(link)] = Column(title, words("Floor area of the supplier that is drawn on over this edge"))
    return found


def _other(column: str, words: Language) -> Column:
    """Return what is known of a column by its beginning."""
    for start, told in (("layer_", words("Layer {name}")), ("background_", words("Background of {name}"))):
        if column.startswith(start):
            return Column(told.replace("{name}", inert(column.removeprefix(start), LONGEST_LABEL)))
    return Column(inert(column, LONGEST_LABEL))


def _looks(study: Study, name: str, table: gpd.GeoDataFrame, words: Language) -> dict[str, Element]:
    """Return how a layer may be drawn, the first by default."""
    uses = {use.name: (words(use.label), use.colour) for use in study.use_list}
    actions = {action: (words(told), colour) for action, (told, colour) in ACTIONS.items()}
    all_uses = {**uses, "": (words("No building"), EMPTY)}
    if name == "parcels":
        return {
            "Plan": filled("dominant_use", all_uses),
            "Today": filled("today_dominant_use", all_uses),
            "Change": filled("action", actions),
        }
    if name == "floors":
        return {"Use": filled("use", uses, first="storey")}
    if name == "sites":
        drawn = {
            action: (label, Symbol("fill", colour, OUTLINE, 0.2, alpha=0.7))
            for action, (label, colour) in actions.items()
        }
        return {"Action": categorised("action", drawn)}
    if name in ("flows", "flows_inside"):
        kind: Kind = "line" if name == "flows" else "marker"
        most = max(float(table["served_m2"].max()) if len(table) else 0.0, 1.0)
        by = f"scale_linear(sqrt({quoted('served_m2')}), 0, {most**0.5!r}, 0.3, {WIDEST[kind]})"
        drawn = {
            use: (words("by {use}", use=label), Symbol(kind, colour, OUTLINE, 1.2, by, 0.8))
            for use, (label, colour) in uses.items()
        }
        return {"Supplier": categorised("supplier_use", drawn)}
    if name == "walks":
        return {"Flow": _street_look(study, table, words)}
    if name == "screens":
        return {"Screens": single(Symbol("fill", "#8A8A8A", OUTLINE))}
    size, colour = {"receptors_places": (3.0, "#D55E00"), "receptors_middles": (1.6, "#0072B2")}.get(
        name, (0.7, "#333333")
    )
    return {"Receptors": single(Symbol("marker", colour, width=size))}


def _street_look(study: Study, table: gpd.GeoDataFrame, words: Language) -> Element:
    """Return streets by how much floor is drawn on over them."""
    columns = [c for c in dict.fromkeys(along(link) for link in study.linkage_list) if c in table]
    quiet = Symbol("line", NO_FLOW, width=0.25)
    total = table[columns].sum(axis=1).to_numpy(dtype=float) if columns else np.zeros(len(table))
    if not (total > 0).any():
        return single(quiet)
    most = round_up(float(total.max()))
    edges = [round_up(most * (k / CLASSES) ** 2) for k in range(1, CLASSES)] + [most]
    classes = [(0.0, 0.0, words("nothing"), quiet)]
    low = 0.0
    for k, high in enumerate(dict.fromkeys(edges), 1):
        told = words("{low} to {high} {unit}", low=f"{low:,.0f}", high=f"{high:,.0f}", unit="m²")
        classes.append((low, high, told, Symbol("line", "#333333", width=WIDEST["street"] * k / CLASSES)))
        low = high
    # A street with 0 lies in the first two classes; QGIS takes the first.
    return graduated(" + ".join(f"coalesce({quoted(c)}, 0)" for c in columns), classes)


def _project(
    study: Study,
    tables: Mapping[str, gpd.GeoDataFrame],
    looks: Mapping[str, Mapping[str, Element]],
    aliases: Mapping[str, Mapping[str, str]],
    result: Mapping[str, Any],
    words: Language,
) -> Project:
    def layer(name: str, style: str, title: str = "", **more: Any) -> list[MapLayer]:
        """Return a layer, where there is one."""
        if name not in tables:
            return []
        kind: Kind = {"MultiPolygon": "fill", "LineString": "line", "Point": "marker"}[TITLES[name][2]]  # type: ignore[assignment]
        return [MapLayer(title or words(TITLES[name][0]), name, kind, looks[name][style], aliases[name], **more)]

    flows = [TITLES[name][0] for name in ("flows", "flows_inside")]
    plan, today, change, streets = words(PLAN), words(TODAY), words(CHANGE), words(STREETS)
    shown: dict[str, Any] = {"shown": True, "printed": True}
    groups = {
        words("Flows"): [
            *layer("flows_inside", "Supplier"),
            *layer("flows", "Supplier"),
            *layer("walks", "Flow", streets, **shown),
        ],
        words("Plan"): [
            *layer("floors", "Use", words("Ground floors by use"), only='"storey" = 1'),
            *layer("floors", "Use", words("Floors by use, the highest on top")),
            *layer("sites", "Action", words("Building sites by action")),
            *layer("parcels", "Change", change),
            *layer("parcels", "Plan", plan, **shown),
        ],
        words("Today"): layer("parcels", "Today", today),
        words("Surroundings"): [
            *layer("receptors_places", "Receptors"),
            *layer("receptors_middles", "Receptors"),
            *layer("receptors_facades", "Receptors"),
            *layer("screens", "Screens"),
        ],
    }
    parcels = tables["parcels"]
    west, south, east, north = (float(edge) for edge in built(study, parcels).total_bounds)
    room = 0.03 * max(east - west, north - south)
    return Project(
        study.name,
        pyproj.CRS(parcels.crs),
        (west - room, south - room, east + room, north + room),
        groups,
        words(ABSTRACT),
        " | ".join(filter(None, [study.attribution, words("Plan: Upstairs")])),
        [
            _proof(result, words),
            *what_to_know(study, words),
            words("Drawn {date}", date=words.date(datetime.date.today())),
        ],
        {
            words("Plan"): [plan, streets],
            words("Today"): [today],
            words("Change"): [change],
            words("Flows"): [plan, *(words(title) for title in flows)],
        },
    )


def built(study: Study, parcels: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the parcels on which something stands, today or in the plan; all where nothing does."""
    columns = ["gfa_m2", *(f"today_{use}" for use in study.uses)]
    stands = (parcels[columns].astype(float) > 0).any(axis=1)
    return parcels[stands] if stands.any() else parcels


def _proof(result: Mapping[str, Any], words: Language) -> str:
    """Return how good the plan is, in a sentence."""
    if result.get("objective") is None:
        return ""
    score, bound = words.number(result["objective"], 4), words.number(result["bound"], 4)
    gap = words.percent(result.get("gap"), 2)
    told = words("{score}, at most {bound} possible (gap {gap})", score=score, bound=bound, gap=gap)
    return f"{words('Score')} {told}"


def _metadata(study: Study, result: Mapping[str, Any], words: Language) -> dict[str, Any]:
    """Return what is known of a plan, as schema.org has a data set."""
    from optimizer import __version__

    facts = {key: result.get(key) for key in ("status", "objective", "bound", "gap")}
    measured = [{"@type": "PropertyValue", "name": key, "value": value} for key, value in facts.items()]
    versions = {"upstairs": __version__, **result.get("versions", {})}
    found: dict[str, Any] = plain(
        {
            "name": study.name,
            "description": words(ABSTRACT),
            "dateCreated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "creditText": study.attribution,
            "license": f"Of the sources: {study.attribution}" if study.attribution else "Not stated by the study",
            "disclaimer": what_to_know(study, words),
            "creator": {"@type": "SoftwareApplication", "name": "Upstairs", "softwareVersion": __version__},
            "measurementTechnique": result.get("solver"),
            "variableMeasured": measured,
            "versions": versions,
            "isBasedOn": [
                {"@type": "DataDownload", "name": Path(item["file"]).name, "sha256": item["sha256"]}
                for item in result.get("inputs", [])
            ],
        }
    )
    return found
