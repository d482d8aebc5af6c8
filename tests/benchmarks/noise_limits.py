"""How a limit on noise that binds harder makes proof harder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.curves import measured
from tests.benchmarks.registry import Options, Row, benchmark
from tests.benchmarks.studies import label, there

DISTRICTS = ("Kendall", "East Cambridge")
LIMITS = (63.0, 60.0, 57.0, 55.0)
"""At homes, dB(A)."""
Found = dict[str, dict[float, dict[str, float]]]


@benchmark()
def noise_limits(options: Options) -> Iterator[Row]:
    """Kendall and East Cambridge at 63, 60, 57 and 55 dB(A) at homes: gap after a fixed time."""
    found: Found = {}
    for district in DISTRICTS:
        if not there(district):
            yield Row(label(district), "its data have not been fetched", None)
            continue
        for limit in LIMITS:
            values = found.setdefault(district, {}).setdefault(limit, {})
            for row in measured(f"{label(district)}, {limit:g} dB(A)", [], options, district, limit):
                if row.value is not None:
                    values[row.what] = row.value
                yield row
        yield from _compared(label(district), found[district])
    if options.out:
        draw(found, options.out)


def _compared(case: str, by_limit: dict[float, dict[str, float]]) -> Iterator[Row]:
    """Set the gap at each limit against the gap at the mildest, and say what the limit costs at least and at most."""
    mildest = by_limit[LIMITS[0]]
    for limit in LIMITS[1:]:
        values = by_limit[limit]
        if mildest.get("final gap") and "final gap" in values:
            what = f"gap at {limit:g} dB(A) against {LIMITS[0]:g}, times"
            yield Row(case, what, values["final gap"] / mildest["final gap"])


def draw(found: Found, folder: Path) -> None:
    """Draw the gap over the limit, stricter to the right; a cross at the top where no plan was found."""
    from tests.benchmarks.figures import figure, save

    drawing, axes = figure(1, 1)
    axes = axes[0, 0]
    for height, colour, (district, by_limit) in zip((0.97, 0.93), ("#0072B2", "#D55E00"), found.items()):
        known = {limit: values["final gap"] for limit, values in by_limit.items() if "final gap" in values}
        none = [limit for limit in by_limit if limit not in known]
        axes.plot(list(known), list(known.values()), marker="o", color=colour, label=label(district))
        if none:
            name = f"{label(district)}, no plan in the time allowed"
            across = {"transform": axes.get_xaxis_transform(), "linestyle": "none", "color": colour}
            axes.plot(none, [height] * len(none), marker="x", label=name, **across)
    axes.set(xlabel="limit at homes, dB(A)", ylabel="gap after the time allowed, %", yscale="log", xticks=LIMITS)
    axes.set_xlim(max(LIMITS) + 0.5, min(LIMITS) - 0.5)
    axes.grid(True, which="both", alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")
    save(drawing, folder, "noise_limits")
