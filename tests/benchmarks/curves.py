"""How a solve goes on: incumbent, bound and gap over time, with and without a limit on noise."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.case import rows, whole
from tests.benchmarks.registry import Options, Row, benchmark, load
from tests.benchmarks.studies import NOISE, label, there
from tests.benchmarks.trace import Point

DISTRICTS = ("Kendall", "East Cambridge", "1000")
TO_THE_END = 1e-4
"""Gap that no curve reaches early, so that the clock ends it."""
SECONDS = 120.0
"""Time limit when none is asked for."""
TOLD = ("solve", "score", "bound", "final gap", "first plan after", "rows", "columns", "peak memory")
"""Measurements of a case that are told; times to gaps are too."""
Curves = dict[str, dict[float | None, list[Point]]]


def measured(case: str, points: list[Point], options: Options, district: str, noise: float | None) -> Iterator[Row]:
    """Solve one study for the time allowed, in a fresh process; yield what matters of it, keep its points."""
    limit = options.time_limit or SECONDS
    asked = {"district": district, "noise": noise, "written": False, "gap": TO_THE_END, "time_limit": limit}
    yield Row(case, "load of the machine before", load())
    for row in rows(case, whole, points, **asked, threads=options.threads):
        if row.what in TOLD or row.what.startswith(("time to ", "no plan", "failed")):
            yield row


@benchmark()
def curves(options: Options) -> Iterator[Row]:
    """Gap over time: Kendall, East Cambridge and 1,000 synthetic parcels, without and with a limit on noise."""
    found: Curves = {}
    for district in DISTRICTS:
        if not there(district):
            yield Row(label(district), "its data have not been fetched", None)
            continue
        for noise in (None, NOISE):
            case = f"{label(district)}, {'no limit on noise' if noise is None else f'{noise:g} dB(A) at homes'}"
            points = found.setdefault(district, {}).setdefault(noise, [])
            yield from measured(case, points, options, district, noise)
    if options.out:
        write(found, options.out / "curves.csv")
        draw(found, options.out)


def write(found: Curves, file: Path) -> None:
    """Write every point of every curve; what is unknown yet is empty."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(("district", "noise_limit_dBA", "seconds", "phase", "incumbent", "bound", "gap"))
        for district, by_noise in found.items():
            for noise, points in by_noise.items():
                for p in points:
                    numbers = (repr(v) if math.isfinite(v) else "" for v in (p.incumbent, p.bound, p.gap))
                    table.writerow((label(district), noise or "", f"{p.seconds:.3f}", p.phase, *numbers))


def draw(found: Curves, folder: Path) -> None:
    """Draw gap over time above, incumbent and bound below; a column each district."""
    from tests.benchmarks.figures import figure, save

    if not found:
        return
    drawing, axes = figure(2, len(found))
    for (upper, lower), (district, by_noise) in zip(axes.T, found.items()):
        for colour, (noise, points) in zip(("#0072B2", "#D55E00"), by_noise.items()):
            name = "no limit on noise" if noise is None else f"{noise:g} dB(A) at homes"
            seconds = [p.seconds for p in points]
            line = {"drawstyle": "steps-post", "color": colour}
            upper.plot(seconds, [_known(100 * p.gap) for p in points], label=name, **line)
            lower.plot(seconds, [_known(p.bound) for p in points], linestyle="--", label=f"bound, {name}", **line)
            lower.plot(seconds, [_known(p.incumbent) for p in points], label=f"best plan, {name}", **line)
        upper.axhline(1.0, color="grey", linewidth=0.8)
        upper.set(title=label(district), yscale="log", ylabel="gap, %", xlabel="seconds of solving")
        lower.set(ylabel="score", xlabel="seconds of solving")
        end = max((p.seconds for points in by_noise.values() for p in points), default=0.0)
        for each in (upper, lower):
            each.set_xlim(0.0, end or 1.0)
            each.grid(True, alpha=0.3)
            each.legend(fontsize="small")
    save(drawing, folder, "curves")


def _known(value: float) -> float:
    return value if math.isfinite(value) else math.nan
