"""What QGIS reads: styles of layers (QML), and a project with groups, legend and a print layout.

Written as plain XML, so that QGIS need not be there; the files follow what QGIS 3.22 writes.
"""

from __future__ import annotations

import io
import math
import re
import uuid
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import pyproj

Kind = Literal["fill", "line", "marker"]
VERSION = "3.22.16"
"""Of the QGIS whose format this is."""
HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
GEOMETRY = {"fill": ("Polygon", "MultiPolygon"), "line": ("Line", "LineString"), "marker": ("Point", "Point")}
SYMBOL_LAYER = {"fill": "SimpleFill", "line": "SimpleLine", "marker": "SimpleMarker"}
WIDTH = {"fill": ("outlineWidth", "4"), "line": ("outlineWidth", "3"), "marker": ("size", "2")}
"""What of a symbol an expression may set: its key, and its number where QGIS wants one."""
PAGE, MAP, COLUMN = (420.0, 297.0), (12.0, 24.0, 298.0, 250.0), (318.0, 24.0, 90.0)
"""Of the print layout, A3 across: page; left, top, width, height of the map; left, top, width of the legend, mm."""
TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of what is written after them."""
LONGEST_LABEL, LONGEST_TITLE = 48, 120
"""Letters that a legend and a title have room for."""


def inert(text: str, longest: int | None = None) -> str:
    """Return text that XML may hold, in which QGIS finds no expression and that turns no other text; cut where asked."""
    told = TURNS.sub("", str(text))
    told = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]", "\ufffd", told)
    told = told.replace("[%", "[ %")
    return told if longest is None or len(told) <= longest else told[: longest - 1] + "…"


def quoted(column: str) -> str:
    """Return the name of a column as an expression of QGIS has it."""
    return '"' + column.replace('"', '""') + '"'


def _options(parent: Element, values: Mapping[str, Any]) -> None:
    """Write a map of options: text, numbers and maps."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _options(SubElement(parent, "Option", type="Map", name=name), value)
        elif isinstance(value, bool):
            SubElement(parent, "Option", type="bool", name=name, value=str(value).lower())
        else:
            SubElement(parent, "Option", type="QString", name=name, value=inert(value))


def _rgba(colour: str, alpha: float = 1.0) -> str:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"{red},{green},{blue},{round(255 * alpha)}"


@dataclass(frozen=True)
class Symbol:
    """How a feature is drawn.

    Attributes
    ----------
    kind : str
        ``fill``, ``line`` or ``marker``.
    colour, outline : str
        ``#rrggbb``.
    width : float
        Of the line or outline, or diameter of the marker, mm.
    by : str
        Expression that gives the width instead, mm.
    alpha : float
        0 (not to be seen) to 1.
    """

    kind: Kind
    colour: str
    outline: str = "#ffffff"
    width: float = 0.2
    by: str = ""
    alpha: float = 1.0

    def element(self, name: str) -> Element:
        """Return the symbol as QGIS has it."""
        symbol = Element("symbol", type=self.kind, name=name, alpha=f"{self.alpha:g}", clip_to_extent="1")
        layer = SubElement(symbol, "layer", {"class": SYMBOL_LAYER[self.kind], "enabled": "1", "pass": "0"})
        if self.kind == "line":
            look = {"line_color": _rgba(self.colour), "line_width": f"{self.width:g}", "line_width_unit": "MM"}
            look |= {"capstyle": "round", "joinstyle": "round"}
        elif self.kind == "fill":
            look = {"color": _rgba(self.colour), "style": "solid", "outline_color": _rgba(self.outline)}
            look |= {"outline_width": f"{self.width:g}", "outline_width_unit": "MM"}
        else:
            look = {"color": _rgba(self.colour), "name": "circle", "size": f"{self.width:g}", "size_unit": "MM"}
            look |= {"outline_color": _rgba(self.outline), "outline_width": "0.1"}
        _options(SubElement(layer, "Option", type="Map"), look)
        if self.by:
            key, number = WIDTH[self.kind]
            defined = SubElement(SubElement(layer, "data_defined_properties"), "Option", type="Map")
            _options(defined, {"name": "", "properties": {key: {"active": True, "expression": self.by}}})
            where = defined.find(f"Option[@name='properties']/Option[@name='{key}']")
            assert where is not None
            SubElement(where, "Option", type="int", name="type", value=number)
            SubElement(defined, "Option", type="QString", name="type", value="collection")
        return symbol


def _renderer(kind: str, symbols: Sequence[Symbol], **attributes: str) -> Element:
    """Return a renderer with its symbols; ``first`` names a column that is drawn from low to high."""
    first = attributes.pop("first", "")
    facts = {"type": kind, "enableorderby": "1" if first else "0", "forceraster": "0"}
    root = Element("renderer-v2", facts | attributes)
    listed = SubElement(root, "symbols")
    for k, symbol in enumerate(symbols):
        listed.append(symbol.element(str(k)))
    if first:
        clause = SubElement(SubElement(root, "orderby"), "orderByClause", asc="1", nullsFirst="0")
        clause.text = quoted(first)
    return root


def single(symbol: Symbol) -> Element:
    """Return a renderer that draws all features alike."""
    return _renderer("singleSymbol", [symbol])


def categorised(column: str, categories: Mapping[str, tuple[str, Symbol]], first: str = "") -> Element:
    """Return a renderer by the value of a column.

    Parameters
    ----------
    categories : dict
        Value to label and symbol.
    first : str
        Column whose low values are drawn under its high ones.
    """
    symbols = [symbol for _, symbol in categories.values()]
    root = _renderer("categorizedSymbol", symbols, attr=inert(column), first=first)
    listed = SubElement(root, "categories")
    for k, (value, (label, _)) in enumerate(categories.items()):
        facts = {"value": inert(value), "label": inert(label, LONGEST_LABEL), "symbol": str(k)}
        SubElement(listed, "category", facts, render="true", type="string")
    return root


def graduated(expression: str, classes: Sequence[tuple[float, float, str, Symbol]]) -> Element:
    """Return a renderer by classes of a number: lower end, upper end, label, symbol."""
    symbols = [symbol for *_, symbol in classes]
    root = _renderer("graduatedSymbol", symbols, attr=expression, graduatedMethod="GraduatedSize")
    listed = SubElement(root, "ranges")
    for k, (low, high, label, _) in enumerate(classes):
        facts = {"lower": repr(float(low)), "upper": repr(float(high)), "label": inert(label, LONGEST_LABEL)}
        SubElement(listed, "range", facts, symbol=str(k), render="true")
    return root


def filled(column: str, categories: Mapping[str, tuple[str, str]], first: str = "") -> Element:
    """Return a renderer that colours polygons by a column: value to label and colour (``#rrggbb``)."""
    drawn = {value: (label, Symbol("fill", colour)) for value, (label, colour) in categories.items()}
    return categorised(column, drawn, first)


def _with_aliases(root: Element, aliases: Mapping[str, str]) -> None:
    """Add the names of columns for people."""
    listed = SubElement(root, "aliases")
    for k, (column, title) in enumerate(aliases.items(), 1):  # 0 is the feature id
        SubElement(listed, "alias", index=str(k), field=inert(column), name=inert(title, LONGEST_TITLE))


def qml(renderer: Element, aliases: Mapping[str, str] | None = None) -> str:
    """Return a style of a layer as text.

    Parameters
    ----------
    aliases : dict, optional
        Column to its name for people, in the order of the table.
    """
    parts = "Symbology|Fields" if aliases else "Symbology"
    root = Element("qgis", version=VERSION, styleCategories=parts)
    root.append(renderer)
    if aliases:
        _with_aliases(root, aliases)
    return HEAD + ElementTree.tostring(root, encoding="unicode")


@dataclass(frozen=True)
class MapLayer:
    """A layer of a project.

    Attributes
    ----------
    title : str
    table : str
        Of the package.
    kind : str
        Of its symbols.
    renderer : Element
    aliases : dict
        Column to its name for people.
    shown : bool
        Whether it is switched on at first.
    printed : bool
        Whether the print layout shows it.
    only : str
        SQL condition; all rows where it is empty.
    """

    title: str
    table: str
    kind: Kind
    renderer: Element
    aliases: Mapping[str, str] = field(default_factory=dict)
    shown: bool = False
    printed: bool = False
    only: str = ""

    @property
    def key(self) -> str:
        """What the parts of a project call it; QGIS finds no layer by letters beyond ASCII."""
        return f"{self.table}_{zlib.crc32(self.title.encode()):08x}"

    def source(self, file: str) -> str:
        """Return where its rows are, beside the project."""
        return f"./{file}|layername={self.table}" + (f"|subset={self.only}" if self.only else "")


@dataclass(frozen=True)
class Project:
    """A QGIS project.

    Attributes
    ----------
    title, abstract, attribution : str
    crs : CRS
        Projected, in metres.
    bounds : tuple of float
        What is shown at first: west, south, east, north, m.
    groups : dict
        Name to layers, the topmost first.
    themes : dict
        Name to the titles of the layers that are shown together.
    notes : sequence of str
        Printed under the legend.
    """

    title: str
    crs: pyproj.CRS
    bounds: tuple[float, float, float, float]
    groups: Mapping[str, Sequence[MapLayer]]
    abstract: str = ""
    attribution: str = ""
    notes: Sequence[str] = ()
    themes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def layers(self) -> list[MapLayer]:
        """All layers, the topmost first."""
        return [layer for group in self.groups.values() for layer in group]

    def xml(self, file: str) -> str:
        """Return the project as text; ``file`` is the name of the package it lies in."""
        title = inert(self.title, LONGEST_TITLE)
        root = Element("qgis", version=VERSION, projectname=title)
        SubElement(root, "homePath", path="")
        SubElement(root, "title").text = title
        self._crs(SubElement(root, "projectCrs"))
        tree = SubElement(root, "layer-tree-group")
        self._tree(tree, file, self.layers)
        canvas = SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
        SubElement(canvas, "units").text = "meters"
        self._extent(canvas, self.bounds)
        self._crs(SubElement(canvas, "destinationsrs"))
        listed = SubElement(root, "projectlayers")
        for layer in self.layers:
            listed.append(self._layer(layer, file))
        order = SubElement(root, "layerorder")
        for layer in self.layers:
            SubElement(order, "layer", id=layer.key)
        presets = SubElement(root, "visibility-presets")
        for name, titles in self.themes.items():
            preset = SubElement(presets, "visibility-preset", {"name": inert(name), "has-expanded-info": "0"})
            for layer in self.layers:
                if layer.title in titles:
                    SubElement(preset, "layer", id=layer.key, visible="1", style="default", expanded="1")
        settings = SubElement(root, "properties")
        SubElement(SubElement(settings, "Paths"), "Absolute", type="bool").text = "false"
        SubElement(SubElement(settings, "SpatialRefSys"), "ProjectionsEnabled", type="int").text = "1"
        about = SubElement(root, "projectMetadata")
        for name, text in (("type", "dataset"), ("title", title), ("abstract", inert(self.abstract))):
            SubElement(about, name).text = text
        if self.attribution:
            SubElement(about, "rights").text = inert(self.attribution)
        SubElement(root, "Layouts").append(self._layout(file))
        west, south, east, north = (f"{edge:.3f}" for edge in self.bounds)
        view = SubElement(root, "ProjectViewSettings", UseProjectScales="0", rotation="0")
        start = SubElement(view, "DefaultViewExtent", xmin=west, ymin=south, xmax=east, ymax=north)
        self._crs(start)
        return HEAD + ElementTree.tostring(root, encoding="unicode")

    def content(self, file: str, name: str) -> str:
        """Return the project as a package holds it: a zipped file, in hexadecimal digits."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.qgs", self.xml(file))
        return packed.getvalue().hex()

    def _crs(self, parent: Element) -> None:
        found = SubElement(parent, "spatialrefsys")
        authority = self.crs.to_authority()
        SubElement(found, "wkt").text = self.crs.to_wkt()
        SubElement(found, "authid").text = ":".join(authority) if authority else ""
        SubElement(found, "description").text = self.crs.name
        SubElement(found, "geographicflag").text = str(self.crs.is_geographic).lower()

    @staticmethod
    def _extent(parent: Element, bounds: Sequence[float]) -> None:
        extent = SubElement(parent, "extent")
        for name, edge in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
            SubElement(extent, name).text = f"{edge:.3f}"

    def _tree(self, tree: Element, file: str, wanted: Sequence[MapLayer], *, everywhere: bool = False) -> None:
        """Write groups and those of their layers that are wanted."""
        for name, layers in self.groups.items():
            own = [layer for layer in layers if layer in wanted]
            if not own:
                continue
            on = "Qt::Checked" if everywhere or any(layer.shown for layer in own) else "Qt::Unchecked"
            group = SubElement(tree, "layer-tree-group", name=inert(name), checked=on, expanded="1")
            for layer in own:
                SubElement(
                    group,
                    "layer-tree-layer",
                    id=layer.key,
                    name=inert(layer.title, LONGEST_LABEL),
                    source=layer.source(file),
                    providerKey="ogr",
                    checked="Qt::Checked" if everywhere or layer.shown else "Qt::Unchecked",
                    expanded="1" if layer.shown else "0",
                )

    def _layer(self, layer: MapLayer, file: str) -> Element:
        geometry, wkb = GEOMETRY[layer.kind]
        root = Element("maplayer", type="vector", geometry=geometry, wkbType=wkb, labelsEnabled="0", readOnly="0")
        SubElement(root, "id").text = layer.key
        SubElement(root, "datasource").text = layer.source(file)
        SubElement(root, "layername").text = inert(layer.title, LONGEST_LABEL)
        self._crs(SubElement(root, "srs"))
        SubElement(root, "provider", encoding="UTF-8").text = "ogr"
        # A renderer that a style of the package has too stands in both.
        root.append(layer.renderer)
        _with_aliases(root, layer.aliases)
        return root

    def _layout(self, file: str) -> Element:
        """Return a sheet of paper: map at a round scale, legend, scale bar, north, title, attribution."""
        left, top, width, height = MAP
        west, south, east, north = self.bounds
        scale = round_up(max((east - west) / width, (north - south) / height) * 1000)
        across, down = width * scale / 2000, height * scale / 2000
        x, y = (west + east) / 2, (south + north) / 2
        root = Element("Layout", name="Plan", units="mm", printResolution="200")
        page = _item("page", 65638, (0, 0, *PAGE))
        page.append(Symbol("fill", "#ffffff", width=0).element(""))
        SubElement(root, "PageCollection").append(page)
        printed = [layer for layer in self.layers if layer.printed]
        chart = _item("map", 65639, MAP, drawCanvasItems="true", keepLayerSet="true", frame="true")
        ends = (x - across, y - down, x + across, y + down)
        SubElement(
            chart, "Extent", dict(zip(("xmin", "ymin", "xmax", "ymax"), map("{:.3f}".format, ends), strict=True))
        )
        shown = SubElement(chart, "LayerSet")
        for layer in printed:
            facts = {"name": inert(layer.title, LONGEST_LABEL), "source": layer.source(file), "provider": "ogr"}
            SubElement(shown, "Layer", facts).text = layer.key
        legend = _item(
            "legend",
            65642,
            (*COLUMN, 150),
            map_uuid=_uuid("map"),
            resizeToContents="1",
            symbolWidth="6",
            symbolHeight="3.5",
        )
        styles = SubElement(legend, "styles")
        for name, size in (("title", 12), ("group", 11), ("subgroup", 9), ("symbol", 8), ("symbolLabel", 8)):
            aside = "2" if name == "symbolLabel" else "0"
            style = SubElement(styles, "style", name=name, marginTop="2", marginLeft=aside, alignment="1")
            _font(style, "styleFont", size)
        self._tree(SubElement(legend, "layer-tree-group"), file, printed, everywhere=True)
        length = round_down(scale * 0.02)
        bar = _item(
            "scale bar",
            65646,
            (COLUMN[0], PAGE[1] - 44, 80, 14),
            mapUuid=_uuid("map"),
            style="Single Box",
            unitType="meters",
            unitLabel="m",
            numSegments="2",
            numSegmentsLeft="0",
            numUnitsPerSegment=f"{length:g}",
            numMapUnitsPerScaleBarUnit="1",
            height="2",
            labelBarSpace="1.5",
            boxContentSpace="1",
        )
        text = SubElement(
            bar, "text-style", fontFamily="Sans", fontSize="8", fontSizeUnit="Point", textColor="0,0,0,255"
        )
        SubElement(text, "text-buffer", bufferDraw="0")
        arrow = _item(
            "north",
            65640,
            (left + width - 16, top + 4, 12, 14),
            file=":/images/north_arrows/layout_default_north_arrow.svg",
            mapUuid=_uuid("map"),
            mode="2",
            northMode="1",
            svgFillColor="0,0,0,255",
            svgBorderColor="0,0,0,255",
            svgBorderWidth="0.2",
        )
        said = [f"1 : {scale:,.0f} on A3", *(note for note in self.notes if note)]
        items = [
            chart,
            legend,
            bar,
            arrow,
            _label("title", self.title, (left, 8, PAGE[0] - 2 * left, 12), 16, LONGEST_TITLE),
            _label("notes", "\n".join(said), (COLUMN[0], PAGE[1] - 94, COLUMN[2], 48), 7, 900),
            _label("attribution", self.attribution, (left, PAGE[1] - 18, PAGE[0] - 2 * left, 12), 7, 500),
        ]
        for level, item in enumerate(items, 1):
            item.set("zValue", str(level))
            root.append(item)
        return root


def _uuid(name: str) -> str:
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, f"upstairs layout {name}")) + "}"


def _item(name: str, number: int, box: Sequence[float], **attributes: str) -> Element:
    """Return an item of a layout; QGIS knows its kind by a number, its place is in mm from the upper left."""
    left, top, width, height = box
    facts = {
        "type": str(number),
        "id": name,
        "uuid": _uuid(name),
        "templateUuid": _uuid(name),
        "position": f"{left:g},{top:g},mm",
        "positionOnPage": f"{left:g},{top:g},mm",
        "size": f"{width:g},{height:g},mm",
        "referencePoint": "0",
        "visibility": "1",
        "opacity": "1",
        "frame": "false",
        "background": "false",
        "outlineWidthM": "0.2,mm",
    }
    return Element("LayoutItem", facts | attributes)


def _font(parent: Element, tag: str, size: int) -> None:
    SubElement(parent, tag, description=f"Sans,{size},-1,5,50,0,0,0,0,0", style="")


def _label(name: str, text: str, box: Sequence[float], size: int, longest: int) -> Element:
    item = _item(name, 65641, box, labelText=inert(text, longest), htmlState="0", halign="1", valign="32")
    _font(item, "LabelFont", size)
    SubElement(item, "FontColor", red="0", green="0", blue="0", alpha="255")
    return item


def round_up(value: float) -> float:
    """Return the next number at or above that is 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-9)))
    steps = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8, 10)
    return float(next((step * power for step in steps if step * power >= value * (1 - 1e-9)), 10 * power))


def round_down(value: float) -> float:
    """Return the next number at or below that is 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-9)))
    return float(max(step * power for step in (1, 2, 5) if step * power <= value * (1 + 1e-9)))
