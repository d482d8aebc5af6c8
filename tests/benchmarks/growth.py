"""How time and memory grow with the number of parcels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tests.benchmarks.case import relaxation, rows, whole
from tests.benchmarks.registry import Options, Row, benchmark, load
from tests.benchmarks.studies import label
from tests.benchmarks.trace import Point

LEAST = {"s": 0.005, "GiB": 0.005}
"""Below this a measurement is noise and no exponent is fitted to it."""
PER_PARCEL, SHORTEST = 0.06, 60.0
"""Time limit of a size, s, when none is asked for: so much a parcel, and at least so much."""
DRAWN = (
    "read, district", "assemble", "hand over to HiGHS", "read the plan, audit", "write", "audit of the files",
    "one LP relaxation", "time to 5%", "time to 1%",
)  # fmt: skip
HELD = ("memory to build", "peak memory", "one LP relaxation, peak memory")
UNFITTED = {
    "memory of imports", "score", "bound", "final gap", "faults found", "first plan after", "one LP relaxation, optimum",
}  # fmt: skip
Measured = dict[str, dict[int, float]]


def exponent(values: Mapping[int, float]) -> tuple[float, float]:
    """Return p and c of value = c parcels^p by least squares on logarithms; values by number of parcels."""
    slope, level = np.polyfit(np.log(list(values)), np.log(list(values.values())), 1)
    return float(slope), float(np.exp(level))


@benchmark(200, 1000, 5000, 10_000)
def growth(options: Options) -> Iterator[Row]:
    """Synthetic districts of each size: seconds of every stage, memory, gaps over time, and growth exponents."""
    found: Measured = {}
    units: dict[str, str] = {}
    by_clock: set[int] = set()
    for size in options.sizes:
        limit = options.time_limit or max(SHORTEST, PER_PARCEL * size)
        asked = {"district": str(size), "noise": None, "time_limit": limit, "threads": options.threads}
        values: dict[str, float | None] = {}
        case, points = label(str(size)), list[Point]()
        yield Row(case, "time limit", limit, "s")
        yield Row(case, "load of the machine before", load())
        for function, extra in ((whole, {"written": True, "scheduler": options.scheduler}), (relaxation, {})):
            for row in rows(case, function, points, **asked, **extra):
                values[row.what] = row.value
                units[row.what] = row.unit
                yield row
        reached, once = values.get("time to 1%"), values.get("one LP relaxation")
        if once is not None:
            ratio = None if reached is None else reached / once
            yield Row(case, "time to 1% / one LP relaxation", ratio)
        if reached is None:
            by_clock.add(size)
        base = values.get("memory of imports") or 0.0
        for what, value in values.items():
            if value is not None:
                found.setdefault(what, {})[size] = value - (base if units[what] == "GiB" else 0.0)
    yield from _exponents(found, units, by_clock, len(options.sizes))
    if options.out:
        draw(found, options.out)


def _exponents(found: Measured, units: dict[str, str], by_clock: set[int], sizes: int) -> Iterator[Row]:
    """Fit what was measured, over all sizes and over the last two, whose fixed costs hide less.

    Seconds of a solve that the clock ended say nothing of growth, nor do gaps that some sizes did not reach.
    """
    for what, values in found.items():
        if what in UNFITTED:
            continue
        if what.startswith("solve") and by_clock:
            continue
        if what.startswith("time to ") and len(values) < sizes:
            continue
        kept = {n: v for n, v in values.items() if v > LEAST.get(units[what], 0.0)}
        if len(kept) >= 2:
            above = " above that of imports" if units[what] == "GiB" else ""
            for part in [kept] if len(kept) == 2 else [kept, dict(sorted(kept.items())[-2:])]:
                span = f"{min(part):,} to {max(part):,} parcels"
                yield Row(span, f"growth exponent of {what}{above}", round(exponent(part)[0], 3))


def draw(found: Measured, folder: Path) -> None:
    """Draw seconds and memory over parcels, both logarithmic, powers where every size has a value."""
    from tests.benchmarks.figures import figure, save

    drawing, axes = figure(1, 2)
    left, right = axes[0]
    sizes = max(map(len, found.values()), default=0)
    for each, whats in ((left, DRAWN), (right, HELD)):
        for what in whats:
            values = {n: v for n, v in found.get(what, {}).items() if v > 0}
            if values:
                power = f", n^{exponent(values)[0]:.2f}" if len(values) == sizes > 1 else ""
                each.plot(list(values), list(values.values()), marker="o", label=f"{what}{power}")
    left.set_ylabel("seconds")
    right.set_ylabel("GiB above that of imports")
    for each in (left, right):
        each.set(xscale="log", yscale="log", xlabel="parcels")
        each.grid(True, which="both", alpha=0.3)
        if each.lines:
            each.legend(fontsize="small")
    save(drawing, folder, "growth")
