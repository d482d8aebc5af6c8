"""The command: python -m tests.benchmarks [NAME ...] [--sizes N ...] [--time-limit S] [--scheduler ADDRESS] [--out FOLDER] [--list]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from optimizer.errors import UpstairsError
from tests.benchmarks import (  # noqa: F401  (each registers its benchmarks)
    covers,
    curves,
    engines,
    formulation,
    growth,
    noise_limits,
    shipped,
)
from tests.benchmarks.apart import CaseFailed
from tests.benchmarks.registry import BENCHMARKS, Options, Row, Table

DEFAULT = ("demo", "kendall", "flow_against_pairs", "thousand", "kernels", "pollution")
"""What runs when none is named: those that end within minutes."""


SIZED = ("growth",)
"""What runs when none is named but sizes are."""


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Run benchmarks; print a table.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"default: {' '.join(DEFAULT)}; growth with --sizes")
    parser.add_argument("--sizes", metavar="N", type=int, nargs="+", help="parcels, of benchmarks that have sizes")
    parser.add_argument("--time-limit", metavar="S", type=float, help="seconds of solving, each case")
    parser.add_argument("--threads", metavar="N", type=int, default=2, help="threads of the solver; default: 2")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, or 'local', for growth; default: threads")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="write measurements.csv and figures there")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"{unknown[0]}: no such benchmark; there are {', '.join(BENCHMARKS)}")
    if asked.sizes and min(asked.sizes) < 1:
        parser.error(f"--sizes {min(asked.sizes)}: a district has at least 1 parcel")
    if asked.time_limit is not None and asked.time_limit <= 0:
        parser.error(f"--time-limit {asked.time_limit:g}: more than 0 seconds are expected")
    return asked


def main(arguments: list[str] | None = None) -> int:
    """Run the named benchmarks and tell their measurements as they come."""
    asked = parsed(arguments)
    if asked.list:
        for each in BENCHMARKS.values():
            sizes = f" ({', '.join(f'{n:,}' for n in each.sizes)} parcels)" if each.sizes else ""
            print(f"{each.name}{sizes}: {each.about}")
        return 0
    table = Table(asked.out)
    table.head()
    for name in asked.names or (SIZED if asked.sizes else DEFAULT):
        each = BENCHMARKS[name]
        sizes = tuple(dict.fromkeys(asked.sizes)) if asked.sizes and each.sizes else each.sizes
        try:
            for row in each.function(Options(sizes, asked.time_limit, asked.threads, asked.scheduler, asked.out)):
                table.add(name, row)
        except (UpstairsError, CaseFailed) as error:  # the others may still run
            table.add(name, Row("", f"no result: {error}", None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
