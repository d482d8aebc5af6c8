"""Fields as a map lays them over its ground: a picture, its legend, and lines of equal value."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import shapely
from rasterio.errors import RasterioError

from geodata.errors import GeodataError
from geodata.fields import Palette, Picture, contours, picture

SMOOTH = 0.25
"""Cells by which a line may be moved to have fewer corners."""


@dataclass(frozen=True)
class Overlay:
    """A field over a map.

    Attributes
    ----------
    picture : Picture
    palette : Palette
        Its title names the overlay.
    lines : tuple of (float, str, shapely geometry)
        Value, what it is, and where the field has it (degrees, WGS84; empty where nowhere).
    """

    picture: Picture
    palette: Palette
    lines: tuple[tuple[float, str, shapely.Geometry], ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: image as data URI, bounds as Leaflet has them, classes, lines."""
        west, south, east, north = self.picture.bounds
        return {
            "name": self.palette.title,
            "unit": self.palette.unit,
            "image": "data:image/png;base64," + base64.b64encode(self.picture.png).decode("ascii"),
            "bounds": [[south, west], [north, east]],
            "classes": [list(pair) for pair in zip(self.palette.labels, self.palette.colours, strict=True)],
            "lines": [
                {
                    "value": f"{value:g} {self.palette.unit}",
                    "label": label,
                    "shape": json.loads(shapely.to_geojson(shape)),
                }
                for value, label, shape in self.lines
            ],
        }


def overlay(file: Path, palette: Palette, levels: Mapping[float, str] | None = None) -> Overlay:
    """Return a field of a file as an overlay.

    Parameters
    ----------
    levels : dict, optional
        Values of which lines are drawn, and what each is.

    Raises
    ------
    GeodataError
        When the file cannot be read.
    """
    wanted = dict(levels or {})
    try:
        shown = picture(file, palette)
        with rasterio.open(file) as field:
            cell = abs(field.transform.a)
        found = contours(file, list(wanted))
    except (RasterioError, ValueError) as error:
        raise GeodataError(f"{file}: not a raster that can be shown ({error}); write it again, or remove it") from error
    found["geometry"] = found.geometry.simplify(SMOOTH * cell)
    world = found.to_crs(4326)
    lines = []
    for value, label in wanted.items():
        parts = world.geometry[world["level"] == value].to_numpy()
        lines.append((value, label, shapely.set_precision(shapely.multilinestrings(parts), 1e-6)))
    return Overlay(shown, palette, tuple(lines))
