"""Figures for print: what rules cost, fronts, benchmarks. Colours are those of Okabe and Ito, which colour-blind people can tell apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from geodata.language import ENGLISH, Language

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from optimizer.front import Front
    from optimizer.price import Prices

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
COLOURS = (BLUE, "#E69F00", GREEN, "#CC79A7", ORANGE, "#56B4E9", "#F0E442", "#000000")
MARKERS = "osD^vP*X"
ROW = 0.32
"""Height of a row of a figure, inches."""
LONGEST = 46
"""Letters of a label in a figure."""


EASTERN = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
)
"""Fonts with Chinese characters; the first that is there comes after matplotlib's own."""


def eastern_fonts() -> list[str]:
    """Return the font of this machine that has Chinese characters; none where there is none."""
    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:  # installed since matplotlib made its list
            with suppress(RuntimeError, OSError):
                manager.addfont(file)
    there = set(font_manager.get_font_names())
    return [name for name in EASTERN if name in there][:1]


@contextmanager
def lettered(words: Language) -> Iterator[Language]:
    """Draw with fonts that have a language's letters; give the language, or English where no font of this machine has them."""
    eastern = eastern_fonts() if words.code == "zh" else []
    family = [*mpl.rcParams["font.sans-serif"][:1], *eastern]
    with mpl.rc_context({"font.family": family, "text.parse_math": False}):
        yield words if eastern else ENGLISH


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as PNG and SVG."""
    for kind in (".png", ".svg"):
        figure.savefig(
            stem.with_suffix(kind), dpi=200, bbox_inches="tight", metadata={"Date": None} if kind == ".svg" else None
        )


def shortened(text: str) -> str:
    """Return a label no longer than a figure has room for."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def tornado(found: Prices, words: Language = ENGLISH) -> Figure:
    """Return a bar a change: how much of the difference is certain (full), and how much the gaps leave open (pale)."""
    known = [item for item in found.prices if np.isfinite(item.least) and np.isfinite(item.most)]
    known.sort(key=lambda item: max(abs(item.least), abs(item.most)))
    figure = Figure(figsize=(8, 1.6 + ROW * max(len(known), 1)), layout="constrained")
    ax = figure.add_subplot()
    for row, item in enumerate(known):
        colour = {True: ORANGE, False: BLUE, None: GREY}[item.change.stricter]
        certain = item.least if item.least > 0 else min(item.most, 0.0)
        ax.barh(row, item.most - item.least, left=item.least, height=0.55, color=colour, alpha=0.35, linewidth=0)
        ax.barh(row, certain, height=0.55, color=colour, linewidth=0)
        if item.marginal is not None:
            ax.plot(item.marginal, row, marker="D", markersize=4, color="black", linestyle="none")
    ax.use_sticky_edges = False
    ax.margins(x=0.05, y=0.02)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(known)), [shortened(item.change.told(words)) for item in known])
    ax.set_xlabel(words("change of the score of the best plan"))
    low, high = f"{found.base.low:.4f}", f"{found.base.high:.4f}"
    title = words("what each rule is worth; best plan under all rules {low} to {high}", low=low, high=high)
    ax.set_title(f"{shortened(found.study.name)}\n{title}", fontsize=10, loc="left")
    handles = [
        Patch(color=BLUE, label=words("more is allowed, certain")),
        Patch(color=BLUE, alpha=0.35, label=words("left open by the gaps")),
        Patch(color=ORANGE, label=words("less is allowed, certain")),
        Patch(color=ORANGE, alpha=0.35, label=words("left open by the gaps")),
        ax.plot([], [], "kD", markersize=4, linestyle="none", label=words("by duals"))[0],
    ]
    if any(item.change.stricter is None for item in known):
        handles.append(Patch(color=GREY, label=words("a reward goes")))
    ax.legend(
        handles=handles,
        fontsize=7,
        ncols=5,
        loc="upper center",
        bbox_to_anchor=(0.4, -0.35 / (0.3 + ROW * max(len(known), 1))),
        frameon=False,
    )
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)
    return figure


def front_figure(found: Front, links: Sequence[str] = (), words: Language = ENGLISH) -> Figure:
    """Return the front: its points by number, what they reach, and what is neither reached nor ruled out.

    Parameters
    ----------
    links : sequence of str, optional
        Where each point leads to, in an SVG.
    """
    figure = Figure(figsize=(6.5, 5), layout="constrained")
    ax = figure.add_subplot()
    x, y = (np.array([found.value(k, p.shares[k]) for p in found.points]) for k in (0, 1))
    if len(found.axes) == 2:
        _band(ax, found, words)
        dots = ax.scatter(x, y, s=60, color=BLUE, zorder=3, edgecolor="white")
    else:
        third = [found.value(2, p.shares[2]) for p in found.points]
        dots = ax.scatter(x, y, c=third, s=60, cmap="cividis", zorder=3, edgecolor="white")
        figure.colorbar(dots, ax=ax, label=_named(found, 2, words))
    if links:
        dots.set_urls(list(links))
    if found.bends:
        at = x[found.knee], y[found.knee]
        ax.scatter(*at, s=220, facecolor="none", edgecolor=ORANGE, linewidth=1.6, zorder=4, label=words("knee"))
    for number, (a, b) in enumerate(zip(x, y, strict=True), 1):
        ax.annotate(str(number), (a, b), xytext=(7, 5), textcoords="offset points", fontsize=8)
    ax.set_xlabel(_named(found, 0, words))
    ax.set_ylabel(_named(found, 1, words))
    low, high = found.hypervolume
    box = words(
        "of the box from nadir to ideal {low} is reached, {high} ruled out",
        low=words.percent(low, 0),
        high=words.percent(1 - high, 0),
    )
    ax.set_title(f"{shortened(found.study.name)}\n{box}", fontsize=10, loc="left")
    if ax.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def _named(found: Front, number: int, words: Language) -> str:
    axis = found.axes[number]
    unit = "" if axis.unit in ("0 to 1", axis.label) else f", {words(axis.unit)}"
    return f"{words(axis.label)}{unit}{words(' (less is better)') if axis.less else ''}"


def _band(ax: Axes, found: Front, words: Language) -> None:
    """Fill what the points reach, and what no bound rules out, between nadir and ideal."""
    main = found.solves[0].main
    other = 1 - main
    low, high = found.nadir, np.array([top for _, top in found.ideal])
    fences = [p for p in found.solves if p.main == main and p.bound < np.inf]
    edges = np.unique(
        np.clip(
            [low[other], high[other], *(p.levels[other] for p in fences), *(p.shares[other] for p in found.points)],
            low[other],
            high[other],
        )
    )
    reached, open_ = [], []
    for a, b in itertools.pairwise(edges):
        beyond = [p.shares[main] for p in found.points if p.shares[other] >= b - 1e-9]
        held = [p.bound for p in fences if p.levels[other] <= a + 1e-6]
        reached.append(max([low[main], *beyond]))
        open_.append(max(reached[-1], min([high[main], *held])))
    at = [found.value(other, edge) for edge in edges]
    floor, inner, outer = (
        [found.value(main, share) for share in np.append(shares, shares[-1:])]
        for shares in (np.full(len(reached), low[main]), np.array(reached), np.array(open_))
    )
    fill = ax.fill_between if main == 1 else ax.fill_betweenx
    fill(at, floor, inner, step="post", color=BLUE, alpha=0.15, linewidth=0, label=words("reached by a plan"))
    fill(at, inner, outer, step="post", color=GREY, alpha=0.3, linewidth=0, label=words("not known"))


def pareto_figure(
    found: pd.DataFrame, rulesets: Sequence[str], parameters: Sequence[str], x: str, y: str, words: Language = ENGLISH
) -> Figure:
    """Return plans by two indices, a frame a district; those that no other plan of the district beats are ringed.

    Parameters
    ----------
    found : DataFrame
        Rows of a benchmark, with a column ``unbeaten``.
    """
    districts = list(dict.fromkeys(found["district"]))
    across = min(2, len(districts))
    down = -(-len(districts) // across)
    figure = Figure(figsize=(4.2 * across, 3.4 * down + 0.8), layout="constrained")
    combinations = list(dict.fromkeys(tuple(row) for row in found[list(parameters)].itertuples(index=False)))
    for number, district in enumerate(districts, 1):
        ax = figure.add_subplot(down, across, number)
        for row in found[(found["district"] == district) & found[x].notna()].to_dict("records"):
            colour = COLOURS[list(rulesets).index(row["ruleset"]) % len(COLOURS)]
            marker = MARKERS[combinations.index(tuple(row[p] for p in parameters)) % len(MARKERS)]
            ax.scatter(row[x], row[y], color=colour, marker=marker, s=42, zorder=3)
            if row["unbeaten"]:
                ax.scatter(row[x], row[y], s=150, facecolor="none", edgecolor="black", linewidth=0.8, zorder=4)
        ax.set_title(shortened(district), fontsize=10, loc="left")
        ax.set_xlabel(words(x.replace("_", " ")))
        ax.set_ylabel(words(y.replace("_", " ")))
        for side in (ax.xaxis, ax.yaxis):
            side.set_major_locator(MaxNLocator(5))
        ax.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], color=COLOURS[k % len(COLOURS)], marker="o", linestyle="none", label=name)
        for k, name in enumerate(rulesets)
    ]
    handles += [
        Line2D(
            [],
            [],
            color=GREY,
            marker=MARKERS[k % len(MARKERS)],
            linestyle="none",
            label=", ".join(
                f"{p} {v:g}" if isinstance(v, float) else f"{p} {v}" for p, v in zip(parameters, values, strict=True)
            ),
        )
        for k, values in enumerate(combinations)
        if parameters
    ]
    handles.append(
        Line2D(
            [],
            [],
            color="black",
            marker="o",
            markersize=10,
            fillstyle="none",
            linestyle="none",
            label=words("beaten on both by none"),
        )
    )
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def effects_figure(found: pd.DataFrame, words: Language = ENGLISH) -> Figure:
    """Return an interval a rule set: mean of the ends between which its effect on the best score lies."""
    figure = Figure(figsize=(7, 1.4 + ROW * max(len(found), 1)), layout="constrained")
    ax = figure.add_subplot()
    for row, item in enumerate(found.iloc[::-1].itertuples()):
        ax.plot(
            [100 * item.least_share, 100 * item.most_share], [row, row], color=BLUE, linewidth=5, solid_capstyle="butt"
        )
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(found)), [shortened(name) for name in found["ruleset"][::-1]])
    against = found["against"].iloc[0] if len(found) else words("the baseline")
    said = words("difference of the best score from {name}, %: mean of the ends that the gaps leave", name=against)
    ax.set_xlabel(said)
    ax.margins(y=0.15)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return figure
