"""Figures for print: what rules cost, fronts, benchmarks. Colours are those of Okabe and Ito, which colour-blind people can tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

if TYPE_CHECKING:
    from optimizer.price import Prices

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
ROW = 0.32
"""Height of a row of a figure, inches."""
LONGEST = 46
"""Letters of a label in a figure."""


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as PNG and SVG."""
    for kind in (".png", ".svg"):
        figure.savefig(
            stem.with_suffix(kind), dpi=200, bbox_inches="tight", metadata={"Date": None} if kind == ".svg" else None
        )


def shortened(text: str) -> str:
    """Return a label no longer than a figure has room for."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def tornado(found: Prices) -> Figure:
    """Return a bar a change: how much of the difference is certain (full), and how much the gaps leave open (pale)."""
    known = [item for item in found.prices if np.isfinite(item.least) and np.isfinite(item.most)]
    known.sort(key=lambda item: max(abs(item.least), abs(item.most)))
    figure = Figure(figsize=(8, 1.6 + ROW * max(len(known), 1)), layout="constrained")
    ax = figure.add_subplot()
    for row, item in enumerate(known):
        colour = ORANGE if item.change.kind == "stricter" else BLUE
        certain = item.least if item.least > 0 else min(item.most, 0.0)
        ax.barh(row, item.most - item.least, left=item.least, height=0.55, color=colour, alpha=0.35, linewidth=0)
        ax.barh(row, certain, height=0.55, color=colour, linewidth=0)
        if item.marginal is not None:
            ax.plot(item.marginal, row, marker="D", markersize=4, color="black", linestyle="none")
    ax.margins(x=0.05)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(range(len(known)), [shortened(str(item.change)) for item in known])
    ax.set_xlabel("change of the score of the best plan")
    ax.set_title(
        f"{found.study.name}: what each rule is worth\nbest plan under all rules {found.base.low:.4f} to {found.base.high:.4f}",
        fontsize=10,
        loc="left",
    )
    handles = [
        Patch(color=BLUE, label="dropped or looser, certain"),
        Patch(color=BLUE, alpha=0.35, label="left open by the gaps"),
        Patch(color=ORANGE, label="stricter, certain"),
        Patch(color=ORANGE, alpha=0.35, label="left open by the gaps"),
        ax.plot([], [], "kD", markersize=4, linestyle="none", label="by duals")[0],
    ]
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
