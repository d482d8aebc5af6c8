"""Figures of one plan for print: where which use is, storeys, linkages, walks. Hatching tells uses apart in grey."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator

from geodata.language import Language
from geodata.maps import EMPTY
from optimizer.figures import shortened
from optimizer.flows import linked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from optimizer.study import Study
    from optimizer.uses import Use

HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oooo", "----")
PATCHES = 1.49
"""Order of drawing below which all is a picture in the figure: browsers print each hatched shape as one of its own."""
STEP = 50.0
"""Width of a bar of walks, m."""
GREY = "#9a9a9a"
INK: Any = {"hatch.linewidth": 0.4, "hatch.color": "white", "text.parse_math": False, "svg.fonttype": "none"}


@contextmanager
def inked() -> Iterator[None]:
    """Draw with our hatching, text as text, and letters that the measuring font lacks left to the reader's."""
    with mpl.rc_context(INK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


@inked()
def plan_figure(frame: gpd.GeoDataFrame, uses: Sequence[Use], words: Language) -> Figure:
    """Return parcels by dominant use, today and planned, side by side, with scale bar and north."""
    local = frame.to_crs(frame.estimate_utm_crs())
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    stands = (local["gfa_m2"].astype(float) > 0) | (sum(local[f"today_{u.name}"].astype(float) for u in uses) > 0)
    west, south, east, north = local[stands if stands.any() else slice(None)].total_bounds
    room = 0.04 * max(east - west, north - south)
    for ax, title, column in zip(
        figure.subplots(1, 2), (words("Today"), words("Plan")), ("today_dominant_use", "dominant_use"), strict=True
    ):
        ax.set_rasterization_zorder(PATCHES)
        parcels_by_use(ax, local, column, uses)
        ax.set_xlim(west - room, east + room)
        ax.set_ylim(south - room, north + room)
        ax.set_title(title, loc="left", fontsize=11)
        ax.set_axis_off()
        _scale(ax, east - west, words)
    handles = [
        Patch(facecolor=u.colour, hatch=hatch_of(k), edgecolor="white", label=shortened(words(u.label)))
        for k, u in enumerate(uses)
    ]
    handles.append(Patch(facecolor=EMPTY, edgecolor="#777777", label=words("No building")))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False, fontsize=9)
    # What a hatch looks like is settled when it is drawn.
    figure.draw_without_rendering()
    return figure


def hatch_of(k: int) -> str:
    """Return the hatching of the use of a number."""
    return HATCHES[k % len(HATCHES)]


def parcels_by_use(ax: Axes, local: gpd.GeoDataFrame, column: str, uses: Sequence[Use]) -> None:
    """Draw parcels by the use that a column names, coloured and hatched."""
    drawn = {"linewidth": 0.3, "ax": ax, "aspect": "equal"}
    empty = local[~local[column].isin([u.name for u in uses])]
    if len(empty):
        empty.plot(color=EMPTY, edgecolor="#bbbbbb", **drawn)
    for k, use in enumerate(uses):
        own = local[local[column] == use.name]
        if len(own):
            own.plot(color=use.colour, edgecolor="white", hatch=hatch_of(k), **drawn)


def _scale(ax: Axes, width: float, words: Language) -> None:
    """Draw a bar of a round length, and which way is north."""
    length = max(
        round_
        for round_ in (1, 2, 5, *(k * 10**e for e in range(1, 6) for k in (1, 2, 5)))
        if round_ <= max(width / 4, 1)
    )
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    x, y = left + 0.02 * (right - left), bottom + 0.02 * (top - bottom)
    ax.plot([x, x + length], [y, y], color="black", linewidth=2, solid_capstyle="butt")
    ax.text(x + length / 2, y + 0.012 * (top - bottom), f"{length:g} m", ha="center", va="bottom", fontsize=8)
    ax.annotate(
        words("N"),
        (0.97, 0.98),
        (0.97, 0.88),
        "axes fraction",
        "axes fraction",
        {"arrowstyle": "-|>", "color": "black"},
        ha="center",
        fontsize=9,
    )


@inked()
def storeys_figure(frame: gpd.GeoDataFrame, uses: Sequence[Use], words: Language) -> Figure:
    """Return floor area of every storey by use, the ground at the bottom."""
    names = [u.name for u in uses]
    top = max((item["to"] for stack in frame["stack"] for item in stack), default=1)
    area = np.zeros((top, len(uses)))
    for stack in frame["stack"]:
        for item in stack:
            area[item["from"] - 1 : item["to"], names.index(item["use"])] += item["gfa_m2"] / (
                item["to"] - item["from"] + 1
            )
    figure = Figure(figsize=(8, min(1.4 + 0.22 * top, 9)), layout="constrained")
    ax = figure.add_subplot()
    ax.set_rasterization_zorder(PATCHES)
    left = np.zeros(top)
    for k, use in enumerate(uses):
        style: dict[str, Any] = {"color": use.colour, "hatch": hatch_of(k), "edgecolor": "white", "linewidth": 0.3}
        ax.barh(np.arange(1, top + 1), area[:, k], left=left, height=0.9, label=shortened(words(use.label)), **style)
        left += area[:, k]
    ax.set_ylim(0.4, top + 0.6)
    ax.set_xlabel(words("floor area, m²"))
    ax.set_ylabel(words("storey"))
    ax.xaxis.set_major_formatter(lambda v, _: words.number(v))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    figure.draw_without_rendering()
    return figure


@inked()
def linkage_figure(
    study: Study, frame: gpd.GeoDataFrame, layers: Mapping[str, gpd.GeoDataFrame], words: Language
) -> Figure:
    """Return bands from suppliers to clients as wide as the floor area that is served."""
    flows = linked(study, frame, layers)
    label = {u.name: shortened(words(u.label)) for u in study.use_list}
    colour = {u.name: u.colour for u in study.use_list}
    amounts = [
        (f.supplier, f.client, float(f.inside.sum()), float(f.outside.sum()), float(f.unmet.sum())) for f in flows
    ]
    total = max(sum(a + b + c for _, _, a, b, c in amounts), 1.0)
    figure = Figure(figsize=(8, 0.9 + 0.62 * max(len(amounts), 2)), layout="constrained")
    ax = figure.add_subplot()
    ends: dict[tuple[int, str], float] = {}
    room = 0.08 * total

    def height(side: int, use: str) -> float:
        return sum(
            a + b + (c if side else 0.0)
            for supplier, client, a, b, c in amounts
            if (client if side else supplier) == use
        )

    for side in (0, 1):
        at = 0.0
        for use in label:
            size = height(side, use)
            if not size:
                continue
            x = 1.0 if side else 0.0
            ax.add_patch(_band(x - 0.012, x + 0.012, at, at, size, colour[use], 1.0))
            text = f"{label[use]}, {words.number(size)} m²"
            ax.text(
                x + (0.03 if side else -0.03),
                at + size / 2,
                text,
                ha="left" if side else "right",
                va="center",
                fontsize=9,
            )
            ends[side, use] = at
            at += size + room
    for supplier, client, inside, outside, unmet in amounts:
        for amount, strength in ((inside, 0.85), (outside, 0.4)):
            if amount:
                ax.add_patch(
                    _band(0.012, 0.988, ends[0, supplier], ends[1, client], amount, colour[supplier], strength)
                )
                ends[0, supplier] += amount
                ends[1, client] += amount
        if unmet:
            ax.add_patch(_band(0.93, 0.988, ends[1, client], ends[1, client], unmet, GREY, 0.6))
            ends[1, client] += unmet
    ax.text(0.0, -room * 0.4, words("supplier"), ha="center", va="top", fontsize=9)
    ax.text(1.0, -room * 0.4, words("client, by what it needs"), ha="center", va="top", fontsize=9)
    ax.set_xlim(-0.5, 1.5)
    ax.set_ylim(-room * 1.2, max(ends.values(), default=1.0) + room * 0.3)
    ax.set_axis_off()
    return figure


def _band(left: float, right: float, low: float, high: float, size: float, colour: str, alpha: float) -> PathPatch:
    """Return a band of one width between two heights, bent like a sigmoid."""
    middle = (left + right) / 2
    corners = [(left, low), (middle, low), (middle, high), (right, high)]
    back = [(right, high + size), (middle, high + size), (middle, low + size), (left, low + size), (left, low)]
    curve = [Outline.MOVETO, *[Outline.CURVE4] * 3, Outline.LINETO, *[Outline.CURVE4] * 3, Outline.CLOSEPOLY]
    return PathPatch(Outline(corners + back, curve), facecolor=colour, alpha=alpha, linewidth=0)


@inked()
def walks_figure(study: Study, layers: Mapping[str, gpd.GeoDataFrame], words: Language) -> Figure:
    """Return how much floor is served over which walk."""
    label = {u.name: shortened(words(u.label)) for u in study.use_list}
    colour = {u.name: u.colour for u in study.use_list}
    inside, flows = layers["flows_inside"], layers["flows"]
    longest = max(float(flows["walk_m"].max()) if len(flows) else 0.0, STEP)
    edges = np.arange(0.0, longest + STEP, STEP)
    figure = Figure(figsize=(8, 3), layout="constrained")
    ax = figure.add_subplot()
    ax.set_rasterization_zorder(PATCHES)
    below, own = np.zeros(len(edges) - 1), 0.0
    for k, name in enumerate(label):
        served = flows[flows["supplier_use"] == name]
        height, _ = np.histogram(served["walk_m"].astype(float), edges, weights=served["served_m2"].astype(float))
        here = float(inside.loc[inside["supplier_use"] == name, "served_m2"].sum())
        if not here and not height.sum():
            continue
        style: dict[str, Any] = {"color": colour[name], "hatch": hatch_of(k), "edgecolor": "white", "linewidth": 0.3}
        ax.bar(edges[:-1] + STEP / 2, height, STEP * 0.92, below, **style)
        ax.bar(-STEP, here, STEP * 0.92, own, label=words("by {use}", use=label[name]), **style)
        below, own = below + height, own + here
    ax.set_xticks(
        [-STEP, *edges[:: max(1, len(edges) // 8)]],
        [words("in the building"), *(words.number(e) for e in edges[:: max(1, len(edges) // 8)])],
    )
    ax.set_xlabel(words("walk, m"))
    ax.set_ylabel(words("floor area served, m²"))
    ax.yaxis.set_major_formatter(lambda v, _: words.number(v))
    ax.spines[["top", "right"]].set_visible(False)
    if own or below.any():
        ax.legend(frameon=False, fontsize=9)
    figure.draw_without_rendering()
    return figure
