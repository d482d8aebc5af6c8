"""Storeys as solids: a page that shows them in three dimensions (deck.gl by pydeck), and CityJSON for other tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import shapely
from jinja2 import Environment
from markupsafe import Markup
from shapely.geometry.polygon import orient

from geodata.errors import GeodataError
from geodata.facades import footprints
from geodata.language import ENGLISH, Language
from geodata.maps import UseStyle, script_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUND, STREETS = [226, 223, 214, 255], [176, 170, 156, 255]
"""Colours of parcels and streets under the buildings."""
SHADOW_GAP = 0.25
"""Gap between storeys that shows where one ends, m."""
SCALE = 0.001
"""Step of coordinates in CityJSON, m."""
PITCH, BEARING = 50, 20
"""How the view looks down and around at first, degrees."""
_pages = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True)
class Place:
    """What a page says of itself.

    Attributes
    ----------
    title, attribution : str
    notes : sequence of str
        What a reader must know.
    """

    title: str
    attribution: str = ""
    notes: Sequence[str] = ()


def slabs(floors: gpd.GeoDataFrame, sites: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return every storey of every building as a prism over the building's footprint.

    Uses that share a storey lie upon one another within it, as high as their shares of its floor.

    Parameters
    ----------
    floors : GeoDataFrame
        One row a storey and use: ``parcel_id``, ``site``, ``storey``, ``use``, ``gfa_m2``, ``from_m``, ``to_m`` (above the ground).
    sites : GeoDataFrame
        ``parcel_id``, ``site``, and the polygon that the building stands within, metric CRS.

    Returns
    -------
    GeoDataFrame
        The same rows with ``bottom_m`` and ``top_m``; polygons as large as the largest storey of their building.
    """
    keys = ["parcel_id", "site"]
    found = floors.drop(columns=floors.geometry.name).astype({"parcel_id": str})
    storey = found.groupby([*keys, "storey"])["gfa_m2"]
    share = found["gfa_m2"] / storey.transform("sum")
    high = found["to_m"] - found["from_m"]
    below = share.groupby([found[key] for key in (*keys, "storey")]).cumsum() - share
    found["bottom_m"] = (found["from_m"] + high * below).round(3)
    found["top_m"] = (found["from_m"] + high * (below + share)).round(3)
    plates = found.groupby([*keys, "storey"])["gfa_m2"].sum().groupby(level=keys).max()
    ground = sites.astype({"parcel_id": str}).set_index(keys).geometry.loc[plates.index]
    shapes = dict(zip(plates.index, footprints(ground.to_numpy(), plates.to_numpy(dtype=float)), strict=True))
    shape = [shapes[key] for key in zip(found["parcel_id"], found["site"], strict=True)]
    return gpd.GeoDataFrame(found, geometry=shape, crs=sites.crs)


def page_3d(
    storeys: gpd.GeoDataFrame,
    parcels: gpd.GeoDataFrame,
    streets: gpd.GeoDataFrame,
    uses: Sequence[UseStyle],
    place: Place,
    language: Language = ENGLISH,
) -> str:
    """Return a page of storeys in three dimensions, coloured by use, that asks no other host for anything.

    Parameters
    ----------
    storeys : GeoDataFrame
        As `slabs` returns them.
    parcels, streets : GeoDataFrame
        The ground. Any CRS.

    Raises
    ------
    GeodataError
        When pydeck is not installed.
    """
    try:
        import pydeck
    except ImportError:
        raise GeodataError("a view in three dimensions needs pydeck; pip install 'upstairs[solid]'") from None
    world = storeys.to_crs(4326)
    colour = {use.name: [*(int(use.colour[k : k + 2], 16) for k in (1, 3, 5)), 255] for use in uses}
    label = {use.name: use.label for use in uses}
    prisms = [
        {
            "p": [[*point, row.bottom_m] for point in ring],
            "h": max(row.top_m - row.bottom_m - SHADOW_GAP, 0.05),
            "c": colour[row.use],
            "t": f"{row.parcel_id}\\n{language('storey {n}', n=row.storey)}: {label[row.use]}\\n{language.number(row.gfa_m2)} m²".replace(
                "\\n", "\n"
            ),
        }
        for row, rings in zip(world.itertuples(), _outlines(world.geometry.to_numpy()), strict=True)
        for ring in rings
    ]
    ground = [{"p": ring} for rings in _outlines(parcels.to_crs(4326).geometry.to_numpy()) for ring in rings]
    lines = [{"p": np.round(shapely.get_coordinates(line), 6).tolist()} for line in streets.to_crs(4326).geometry]
    west, south, east, north = (float(v) for v in world.total_bounds)
    extent = max(east - west, (north - south) * 1.4, 1e-4)
    deck = pydeck.Deck(
        layers=[
            pydeck.Layer("SolidPolygonLayer", ground, get_polygon="p", get_fill_color=GROUND),
            pydeck.Layer("PathLayer", lines, get_path="p", get_color=STREETS, get_width=2, width_min_pixels=1),
            pydeck.Layer(
                "SolidPolygonLayer",
                prisms,
                get_polygon="p",
                get_elevation="h",
                get_fill_color="c",
                extruded=True,
                pickable=True,
                auto_highlight=True,
                material={"ambient": 0.55, "diffuse": 0.5, "shininess": 8},
            ),
        ],
        initial_view_state=pydeck.ViewState(
            longitude=(west + east) / 2,
            latitude=(south + north) / 2,
            zoom=float(np.log2(360.0 / extent) + 0.9),
            pitch=PITCH,
            bearing=BEARING,
        ),
        map_provider=None,
        map_style=None,
    )
    total = storeys.groupby("use")["gfa_m2"].sum()
    bundle = Path(pydeck.__file__).parent / "nbextension" / "static" / "index.js"
    page = resources.files("geodata").joinpath("page", "solids.html").read_text(encoding="utf-8")
    return _pages.from_string(page).render(
        w=language,
        lang=language.code,
        place=place,
        legend=[(u.label, u.colour, language.number(float(total.get(u.name, 0.0)))) for u in uses],
        bundle=Markup(bundle.read_text(encoding="utf-8").replace("</script", "<\\/script")),
        data=Markup(script_json(json.loads(deck.to_json()))),
    )


def _outlines(shapes: NDArray[np.object_]) -> list[list[list[list[float]]]]:
    """Return the outer rings of the parts of each shape, degrees."""
    return [
        [np.round(shapely.get_coordinates(part.exterior), 7).tolist() for part in shapely.get_parts(shape)]
        for shape in shapes
    ]


def write_cityjson(storeys: gpd.GeoDataFrame, file: Path, place: Place) -> None:
    """Write buildings and their storeys as CityJSON 2.0, each as a solid at LoD 1.2, in the CRS of the storeys.

    Parameters
    ----------
    storeys : GeoDataFrame
        As `slabs` returns them, with ``jobs``, ``homes`` and ``action``. Heights are above the ground, which is flat at 0.
    """
    corners = np.array([*storeys.total_bounds[:2], 0.0]).round(3)
    vertices: dict[tuple[int, int, int], int] = {}

    def at(x: float, y: float, z: float) -> int:
        steps = np.rint((np.array([x, y, z]) - corners) / SCALE).astype(int)
        return vertices.setdefault((int(steps[0]), int(steps[1]), int(steps[2])), len(vertices))

    def solid(shape: Any, bottom: float, top: float) -> dict[str, Any] | None:
        shells = [shell for part in shapely.get_parts(shape) if (shell := _shell(part, bottom, top, at))]
        if not shells:
            return None
        if len(shells) == 1:
            return {"type": "Solid", "lod": "1.2", "boundaries": [shells[0]]}
        return {"type": "MultiSolid", "lod": "1.2", "boundaries": [[shell] for shell in shells]}

    objects: dict[str, Any] = {}
    facts = [name for name in ("use", "storey", "gfa_m2", "jobs", "homes") if name in storeys]
    for (parcel, site), own in storeys.groupby(["parcel_id", "site"], sort=False):
        name = f"{parcel}/{site}"
        children = [f"{name}/{k}" for k in range(1, len(own) + 1)]
        whole = solid(own.geometry.iloc[0], 0.0, float(own["top_m"].max()))
        about: dict[str, Any] = {"parcel_id": str(parcel), "measuredHeight": float(own["top_m"].max())}
        about |= {"storeysAboveGround": int(own["storey"].max()), "gfa_m2": round(float(own["gfa_m2"].sum()), 2)}
        if "action" in own:
            about["action"] = str(own["action"].iloc[0])
        objects[name] = {
            "type": "Building",
            "attributes": about,
            "children": children,
            "geometry": [whole] if whole else [],
        }
        for child, row in zip(children, own.itertuples(), strict=True):
            part = solid(row.geometry, row.bottom_m, row.top_m)
            told = {key: value.item() if isinstance(value := getattr(row, key), np.generic) else value for key in facts}
            objects[child] = {
                "type": "BuildingStorey",
                "attributes": told,
                "parents": [name],
                "geometry": [part] if part else [],
            }
    code = storeys.crs.to_epsg() if storeys.crs is not None else None
    metadata: dict[str, Any] = {"title": place.title}
    if code is not None:
        metadata["referenceSystem"] = f"https://www.opengis.net/def/crs/EPSG/0/{code}"
    steps = np.array(list(vertices), dtype=int).reshape(-1, 3)
    if len(steps):
        low, high = (corners + SCALE * part for part in (steps.min(axis=0), steps.max(axis=0)))
        metadata["geographicalExtent"] = [round(float(v), 3) for v in (*low, *high)]
    body = {
        "type": "CityJSON",
        "version": "2.0",
        "transform": {"scale": [SCALE] * 3, "translate": [float(v) for v in corners]},
        "metadata": metadata,
        "CityObjects": objects,
        "vertices": steps.tolist(),
    }
    file.write_text(json.dumps(body, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def _shell(part: Any, bottom: float, top: float, at: Any) -> list[list[list[int]]]:
    """Return the faces of a prism, seen from outside counter-clockwise; none where steps of coordinates leave no volume."""
    part = orient(part)
    rings = [shapely.get_coordinates(ring)[:-1] for ring in (part.exterior, *part.interiors)]
    low = [_distinct([at(x, y, bottom) for x, y in ring]) for ring in rings]
    high = [_distinct([at(x, y, top) for x, y in ring]) for ring in rings]
    if len(low[0]) < 3 or low == high or [len(r) for r in low] != [len(r) for r in high]:
        return []
    pairs = [(a, b) for a, b in zip(low, high, strict=True) if len(a) >= 3]
    faces = [[b for _, b in pairs], [a[::-1] for a, _ in pairs]]
    for a, b in pairs:
        faces += [[[a[k - 1], a[k], b[k], b[k - 1]]] for k in range(len(a))]
    return faces


def _distinct(ring: list[int]) -> list[int]:
    """Return a ring without corners that fall on the one before."""
    return [v for k, v in enumerate(ring) if v != ring[k - 1]]
