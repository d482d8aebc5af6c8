"""What a benchmark is, what it measures, and how measurements are told: a table, a CSV file."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("upstairs", "highspy", "pulp", "numpy", "scipy", "geopandas")
COLUMNS = ("benchmark", "case", "what", "value", "unit", "date", "machine", "versions")


@dataclass(frozen=True)
class Row:
    """One measurement; no value where there is none to tell, as of a gap that was not reached."""

    case: str
    what: str
    value: float | None
    unit: str = ""

    def text(self) -> str:
        """The value for people."""
        if self.value is None:
            return "none"
        if self.unit == "%":
            return f"{self.value:.2f}%"
        if (float(self.value).is_integer() and (not self.unit or abs(self.value) >= 1000)) or abs(self.value) >= 100:
            number = f"{self.value:,.0f}"
        elif abs(self.value) >= 10:
            number = f"{self.value:.1f}"
        elif self.unit:
            number = f"{self.value:.2f}"
        else:
            number = f"{self.value:.6g}"
        return f"{number} {self.unit}".strip()


@dataclass(frozen=True)
class Options:
    """What the command line asks of a benchmark."""

    sizes: tuple[int, ...] = ()
    time_limit: float | None = None
    threads: int = 2
    scheduler: str | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Benchmark:
    """A function that yields measurements, under its name; `sizes` are its own, in parcels."""

    name: str
    function: Callable[[Options], Iterator[Row]]
    sizes: tuple[int, ...] = ()

    @property
    def about(self) -> str:
        """First line of the docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0]


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(*sizes: int) -> Callable[[Callable[[Options], Iterator[Row]]], Callable[[Options], Iterator[Row]]]:
    """Register a function under its name, with the sizes it takes when none are asked for."""

    def register(function: Callable[[Options], Iterator[Row]]) -> Callable[[Options], Iterator[Row]]:
        BENCHMARKS[function.__name__] = Benchmark(function.__name__, function, sizes)
        return function

    return register


def machine() -> str:
    """Processor, cores and memory, without the machine's name."""
    try:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        memory = f", {gib:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        memory = ""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{memory}"


def versions() -> str:
    """Versions of Python and of what solves."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)])


def load() -> float | None:
    """Mean number of processes that wanted a core in the last minute: what else this machine was doing."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@dataclass
class Table:
    """Measurements as they come: lines of Markdown on the screen and, with a folder, rows of a CSV file."""

    out: Path | None = None
    date: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d}")

    def head(self) -> None:
        print(f"{self.date}, {machine()}, {versions()}\n")
        print("| benchmark | case | what | result |\n|---|---|---|---:|", flush=True)
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
            self._write(COLUMNS, "w")

    def add(self, name: str, row: Row) -> None:
        print(f"| {name} | {row.case} | {row.what} | {row.text()} |", flush=True)
        value = "" if row.value is None else repr(float(row.value))
        self._write((name, row.case, row.what, value, row.unit, self.date, machine(), versions()), "a")

    def _write(self, row: tuple[str, ...], mode: str) -> None:
        if self.out:
            with (self.out / "measurements.csv").open(mode, newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(row)
