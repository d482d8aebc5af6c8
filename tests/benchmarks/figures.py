"""Figures of benchmarks, without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def figure(down: int, across: int) -> tuple[Figure, Any]:
    """Return a figure and its axes, an array of shape (down, across)."""
    drawing = Figure(figsize=(6.5 * across, 4.5 * down), layout="constrained")
    FigureCanvasAgg(drawing)
    return drawing, drawing.subplots(down, across, squeeze=False)


def save(drawing: Figure, folder: Path, name: str) -> None:
    """Write name.png and name.svg."""
    for kind in ("png", "svg"):
        drawing.savefig(folder / f"{name}.{kind}", dpi=150)
