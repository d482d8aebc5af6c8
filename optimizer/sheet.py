"""The plan's map for print: a sheet of paper at an exact scale, with legend, scale bar, north, title and attribution."""

from __future__ import annotations

import math
import re
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib as mpl
import pyproj
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from geodata.language import ENGLISH, Language
from geodata.maps import EMPTY
from geodata.qgis import inert, round_down
from optimizer.errors import StudyError
from optimizer.figures import eastern_fonts
from optimizer.package import built
from optimizer.plan_figures import INK, hatch_of, parcels_by_use
from optimizer.plan_maps import what_to_know
from optimizer.study import Study

MM = 1 / 25.4
"""Inches in a millimetre."""
SCALES = (200, 250, 500, 1000, 1500, 2000, 2500, 5000, 7500, 10_000, 15_000, 20_000, 25_000, 50_000, 100_000, 200_000)
A3 = (380.0, 240.0)
"""Room for a map on A3, mm: what the scale is chosen for where none is asked."""
LONGEST = 1189.0
"""Side of the largest sheet, A0, mm."""
MARGIN, HEAD, ROOM, NARROWEST = 10.0, 19.0, 5.0, 150.0
"""Border of a sheet, height of its title, what is seen around the buildings, its least width, mm."""
ENTRY, LINE = 48.0, 5.0
"""Width and height of an entry of the legend, mm."""
NOTE, NOTES, LETTER = 6, 3, 0.2
"""Points of small print, lines of notes, and how wide a letter is at most on average, mm a point."""
DPI = 300
CHINESE = re.compile("[\u2e80-\u9fff]")


def write_sheet(
    study: Study, parcels: gpd.GeoDataFrame, file: Path, scale: float | None = None, words: Language = ENGLISH
) -> float:
    """Draw parcels by dominant use as SVG or PNG, by the file's ending; return the scale's denominator.

    The page is as large as the map needs. Lengths are true at the middle of the district: the map has a transverse
    Mercator projection of its own, north is up.

    Parameters
    ----------
    parcels : GeoDataFrame
        Columns of ``plan.geojson``. Any CRS.
    scale : float, optional
        5000 for 1:5,000; by default the largest usual one at which the map fits on A3.

    Raises
    ------
    StudyError
        When the sheet would be larger than A0, or a PNG needs Chinese characters that no font of the machine has.
    """
    vector, eastern = file.suffix.lower() == ".svg", eastern_fonts()
    texts = [
        study.name,
        study.attribution,
        *what_to_know(study, words),
        *(words(u.label) for u in study.use_list),
        words("No building"),
    ]
    if not vector and not eastern and any(map(CHINESE.search, texts)):
        raise StudyError(
            f"{file.name}: no font of this machine has Chinese characters; install one (Debian: fonts-noto-cjk) or write "
            "an .svg, whose reader brings its own"
        )
    local = parcels.to_crs(_own_projection(parcels))
    west, south, east, north = built(study, local).total_bounds
    if scale is None:
        least = 1000 * max((east - west) / (A3[0] - 2 * ROOM), (north - south) / (A3[1] - 2 * ROOM))
        scale = float(next((s for s in SCALES if s >= least), math.ceil(least)))
    across, down = ((b - a) * 1000 / scale + 2 * ROOM for a, b in ((west, east), (south, north)))
    width = max(across + 2 * MARGIN, NARROWEST)
    uses = study.use_list
    columns = max(1, int((width - 2 * MARGIN) // ENTRY))
    notes = textwrap.wrap(
        inert(" ".join(what_to_know(study, words))), int((width - 2 * MARGIN) / (NOTE * LETTER)), max_lines=NOTES
    )
    foot = LINE * -(-(len(uses) + 1) // columns) + 3.0 * len(notes) + 19.0
    height = down + HEAD + foot
    if max(width, height) > LONGEST:
        fits = math.ceil(scale * max(width, height) / LONGEST / 500) * 500
        raise StudyError(
            f"--scale {scale:g}: the sheet would be {width / 1000:.1f} m × {height / 1000:.1f} m, larger than A0; "
            f"ask for {fits:g} or more"
        )
    ink = {**INK, "font.family": [*mpl.rcParams["font.sans-serif"][:1], *eastern], "svg.hashsalt": "upstairs"}
    with mpl.rc_context({**ink, "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # boxes stand for what no font has
        figure = Figure(figsize=(width * MM, height * MM))
        left, bottom = (width - across) / 2, foot
        ax = figure.add_axes((left / width, bottom / height, across / width, down / height))
        ax.set_gid("map")
        parcels_by_use(ax, local, "dominant_use", uses)
        half = ROOM * scale / 1000
        ax.set(xlim=(west - half, east + half), ylim=(south - half, north + half), aspect="auto")
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        page = figure.add_axes((0, 0, 1, 1), facecolor="none")
        page.set(xlim=(0, width), ylim=(0, height))
        page.set_axis_off()
        _furnish(page, study, words, scale, (width, height, foot), columns, notes)
        figure.savefig(file, dpi=DPI, metadata={"Date": None} if vector else None)
    return scale


def _own_projection(frame: gpd.GeoDataFrame) -> pyproj.CRS:
    west, south, east, north = frame.to_crs(4326).total_bounds
    return pyproj.CRS(
        f"+proj=tmerc +lat_0={(south + north) / 2:.7f} +lon_0={(west + east) / 2:.7f} +k=1 +ellps=WGS84 +units=m"
    )


def _furnish(
    page: Any,
    study: Study,
    words: Language,
    scale: float,
    size: tuple[float, float, float],
    columns: int,
    notes: Sequence[str],
) -> None:
    """Write title, legend, scale bar, north and attribution; sizes in mm."""
    width, height, foot = size

    def fitting(text: str, points: float, room: float) -> str:
        told, most = " ".join(inert(text).split()), int(room / (points * LETTER))
        return told if len(told) <= most else told[: most - 1] + "…"

    page.text(MARGIN, height - 11, fitting(study.name, 14, width - 2 * MARGIN - 12), fontsize=14, va="center")
    page.annotate(
        words("N"),
        (width - MARGIN - 4, height - 5),
        (width - MARGIN - 4, height - 13),
        arrowprops={"arrowstyle": "-|>", "color": "black"},
        ha="center",
        fontsize=8,
    )
    handles = [
        Patch(facecolor=u.colour, hatch=hatch_of(k), edgecolor="white", label=fitting(words(u.label), 8, ENTRY - 10))
        for k, u in enumerate(study.use_list)
    ]
    handles.append(Patch(facecolor=EMPTY, edgecolor="#777777", label=words("No building")))
    page.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(MARGIN, foot - 1),
        bbox_transform=page.transData,
        ncols=columns,
        frameon=False,
        fontsize=8,
        borderpad=0,
        borderaxespad=0.3,
    )
    length = round_down(scale * 0.03)
    bar, low = length * 1000 / scale, 9.0 + 3.0 * len(notes)
    for k, colour in enumerate(("black", "white")):
        part = Rectangle((MARGIN + k * bar / 2, low), bar / 2, 1.5, facecolor=colour, edgecolor="black", linewidth=0.5)
        part.set_gid("scale bar" if k == 0 else None)
        page.add_patch(part)
    # Readers of SVG draw several spaces as one.
    told = f"{words.number(length)} m,  1 : {words.number(scale)}".replace("  ", "\u2003")
    page.text(MARGIN + bar + 2, low + 0.6, told, fontsize=8, va="center")
    said = " | ".join(filter(None, [study.attribution, words("Plan: Upstairs")]))
    small = [*notes, fitting(said, NOTE, width - 2 * MARGIN)]
    for k, line in enumerate(reversed(small)):
        page.text(MARGIN, 5.5 + 3.0 * k, line, fontsize=NOTE, va="center")
