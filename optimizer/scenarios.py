"""Benchmarks of rules: districts x rule sets x parameters x seeds, every cell a study solved and proved.

A benchmark is one TOML file:

    name, seeds, [solve]        as in a study, for every cell
    [districts.NAME]            study = FILE, without = rules of it that are left out, and, where its parcels are to be
                                made up, parcels = N and seed = K
    [rulesets.NAME]             what a study that extends the district's says: rules, without, rulesets, objective ...
    [parameters.NAME]           key = "rules.RULE.KEY" or another key of the study, values = [...]
    baseline                    rule set that the others are compared with; the first by default

Scores of one district are divided by the same floor area, that of the district's own study, so that they are of one kind.
Every cell has a name made of all that it depends on; its row is a file, written at once when the cell is done. A run that
was killed goes on where it was, and no cell is solved twice. What fails is a row that says why.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import tomllib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geodata.database import read_table
from geodata.errors import GeodataError
from geodata.export import plain
from geodata.language import ENGLISH, Language
from geodata.layers import sha256
from geodata.synthetic import synthetic_district
from optimizer import __version__
from optimizer.api import solve_district
from optimizer.cluster import connected
from optimizer.district import read_district
from optimizer.errors import InfeasibleError, LimitError, SolverError, StudyError, UpstairsError, known_name, nearest
from optimizer.indices import index_columns
from optimizer.pages import named_status
from optimizer.price import with_reference
from optimizer.study import Study, load_study
from optimizer.variants import extended

Values = dict[str, Any]
Say = Callable[[str], None]
CELLS = "cells"
LOCK = "running"
VERSIONS = ("pulp", "highspy", "geopandas", "shapely", "numpy", "scipy")
ROW = (
    *("cell", "district", "ruleset", "seed", "status", "message", "upstairs", "python", "parcels", "sites", "inputs"),
    *("score", "bound", "gap", "seconds", "solver", "proximity", "demand_met_upstairs", "next_door_up_to_50_m"),
    *("50_to_400_m", "further", "not_met", "mixing_by_building", "mixing_by_block", "mixing_by_neighbourhood"),
    *("floor_area_ratio", "jobs", "homes"),
)
"""Columns of the table, but for those that end in ``_m2`` or begin with ``before_`` or ``version_``."""
SUMMED = ("proximity", "mixing_by_building", "mixing_by_neighbourhood", "floor_area_m2", "jobs", "homes")
"""Indices whose means stand in the ranking."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DistrictPart(_Part):
    """A district: a study, rules of it that are left out, and how many parcels are to be made up for it."""

    study: str
    without: list[str] = []
    parcels: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0


class Parameter(_Part):
    """A key of the study that takes several values."""

    key: str
    values: Annotated[list[Any], Field(min_length=1)]


class Benchmark(_Part):
    """What a benchmark file says."""

    name: Annotated[str, Field(min_length=1)]
    notes: list[str] = []
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0]
    solve: Values = {}
    districts: Annotated[dict[str, DistrictPart], Field(min_length=1)]
    rulesets: Annotated[dict[str, Values], Field(min_length=1)]
    parameters: dict[str, Parameter] = {}
    baseline: str | None = None
    folder: Path = Field(default=Path(), exclude=True)


@dataclass(frozen=True)
class Cell:
    """One study of a benchmark.

    Attributes
    ----------
    name : str
        Of all that its answer depends on.
    facts : dict
        ``district``, ``ruleset``, parameters by name, ``seed``.
    study : dict
        Plain values; files by their full paths.
    parcels : (int, int) or None
        Number of parcels to make up and their seed.
    """

    name: str
    facts: dict[str, Any]
    study: Values
    parcels: tuple[int, int] | None


def read_benchmark(file: Path) -> Benchmark:
    """Read a benchmark file.

    Raises
    ------
    StudyError
        Naming the key, its value and what was expected.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        asked = Benchmark.model_validate({**values, "folder": file.resolve().parent})
    except OSError:
        raise StudyError(f"{file}: no such benchmark file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{file}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        at, last = [str(part) for part in first["loc"]], str(first["loc"][-1])
        if first["type"] == "extra_forbidden":
            part = {1: Benchmark}.get(len(at), DistrictPart if at[0] == "districts" else Parameter)
            known = [name for name in part.model_fields if name != "folder"]
            raise StudyError(
                f"{file}: {'.'.join(at)}: unknown key{nearest(last, known)}; known are {', '.join(known)}"
            ) from None
        told = "missing; it must be given" if first["type"] == "missing" else first["msg"]
        raise StudyError(f"{file}: {'.'.join(at)}: {told}") from None
    if asked.baseline is not None:
        known_name(asked.baseline, asked.rulesets, f"{file}: baseline")
    for name in asked.parameters:
        if name in ROW or name.endswith("_m2") or name.startswith(("before_", "version_")):
            raise StudyError(f"{file}: parameters.{name}: that is a column already; take another name")
    return asked


def cells(asked: Benchmark) -> list[Cell]:
    """Return every cell of a benchmark.

    Raises
    ------
    StudyError
        When a study, a rule set or a parameter's key is wrong, naming the nearest one.
    """
    found = []
    for name, part in asked.districts.items():
        file = asked.folder / part.study
        base, parcels = load_study(file), None if part.parcels is None else (part.parcels, part.seed)
        own = base.to_dict()
        its_own = {"parcels.file": base.parcels.file, "streets": base.streets}
        for key in [key for key, given in its_own.items() if parcels is not None and given is not None]:
            raise StudyError(
                f"districts.{name}.parcels = {part.parcels}: parcels would be made up, but {part.study} has {key}; leave "
                "out one of them"
            )
        own = _varied(own, {"without": part.without}, f"districts.{name}")
        own = with_reference(load_study(own), read_district(load_study(own), *_made(parcels))).to_dict()
        made_up = f"synthetic {parcels[0]} {parcels[1]}" if parcels else None
        data = made_up or " ".join(read_table(table)[1] for table in base.tables)
        options = [
            [
                (key, parameter.key, value, shown)
                for value, shown in zip(parameter.values, _shown(parameter), strict=True)
            ]
            for key, parameter in asked.parameters.items()
        ]
        for ruleset, seed, *chosen in itertools.product(asked.rulesets, asked.seeds, *options):
            where = f"rulesets.{ruleset} in {name}"
            values = _varied(own, asked.rulesets[ruleset], where)
            reference = values["objective"]["reference"]
            # A use that the rule set adds may be all there is.
            reference["uses"] = {**dict.fromkeys(values.get("uses", {}), reference["total"]), **reference["uses"]}
            values["solve"] = {**values.get("solve", {}), "threads": 1, **asked.solve, "seed": seed}
            for key, path, value, _ in chosen:
                _set(values, path, value, f"parameters.{key}.key")
            try:
                study = load_study(values, base.folder).to_dict()
            except StudyError as error:
                raise StudyError(f"{where}: {error}") from None
            facts = {"district": name, "ruleset": ruleset, **{key: shown for key, _, _, shown in chosen}, "seed": seed}
            found.append(Cell(_named(study, data), facts, study, parcels))
    names = [cell.name for cell in found]
    for cell in found:
        if names.count(cell.name) > 1:
            same = [c.facts for c in found if c.name == cell.name][:2]
            raise StudyError(f"two cells are one and the same study: {same[0]} and {same[1]}; leave one out")
    return found


@cache
def _made(parcels: tuple[int, int] | None) -> tuple[gpd.GeoDataFrame | None, gpd.GeoDataFrame | None]:
    return (None, None) if parcels is None else synthetic_district(*parcels)


def _shown(parameter: Parameter) -> list[Any]:
    """Return a parameter's values as a column of a table holds them: numbers, or texts; all else as JSON."""
    for kind in (bool, (int, float), str):
        if all(isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) for value in parameter.values):
            return parameter.values
    return [json.dumps(value, ensure_ascii=False) for value in parameter.values]


def _named(study: Values, data: str) -> str:
    """Return a cell's name: a digest of its study, of what its files hold, how parcels are made up, and the program's version."""

    def bare(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: _content(value) if key == "file" else bare(value) for key, value in item.items()}
        return [bare(part) for part in item] if isinstance(item, list) else item

    text = json.dumps([bare(study), data, __version__], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(file: Any) -> str:
    """Return what stands for a file: a digest of what it holds, wherever it is; its name where it is missing."""
    place = Path(str(file))
    return _digest(place, place.stat().st_mtime_ns) if place.is_file() else place.name


@cache
def _digest(file: Path, _changed: int) -> str:
    return sha256(file)


def _varied(own: Values, variant: Values, where: str) -> Values:
    """Return a study's values as a variant of it says: see `optimizer.variants`."""
    for key in variant:
        known_name(key, [*Study.model_fields, "rulesets", "without"], where)
    try:
        return extended({**variant, "extends": "own"}, Path(), lambda _: json.loads(json.dumps(own)))
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None


def _set(values: Values, path: str, value: Any, where: str) -> None:
    """Put a value in its place: ``rules.RULE.KEY``, by the rule's name or kind, or a key of another table."""
    first, *rest = path.split(".")
    place: Any = values
    if first == "rules" and len(rest) > 1:
        labels = [str(rule.get("name") or rule["kind"]) for rule in values.get("rules", [])]
        rules = dict(zip(labels, values.get("rules", []), strict=True))
        known_name(rest[0], rules, where)
        if labels.count(rest[0]) > 1:
            raise StudyError(f"{where} = {path!r}: {labels.count(rest[0])} rules are called {rest[0]}; give them names")
        from optimizer.rules import rule_kinds

        keys = [
            name
            for name in rule_kinds()[rules[rest[0]]["kind"]].model_fields
            if name not in ("ruleset", "illustrative")
        ]
        known_name(rest[1], keys, where)
        place, rest = rules[rest[0]], rest[1:]
    else:
        rest = [first, *rest]
        known_name(first, Study.model_fields, where)
    for key in rest[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise StudyError(f"{where} = {path!r}: {key} is no table")
    place[rest[-1]] = value


def solve_cell(cell: Cell) -> Values:
    """Solve one cell; return its row. What fails is a row too."""
    row: Values = {"cell": cell.name, **cell.facts, "status": "error", "message": ""}
    row |= {"upstairs": __version__, "python": platform.python_version()}
    row |= {f"version_{name}": importlib.metadata.version(name) for name in VERSIONS}
    try:
        study = load_study(cell.study)
        district = read_district(study, *_made(cell.parcels))
        row |= {"parcels": len(district.parcels), "sites": len(district.sites)}
        row["inputs"] = " ".join(sorted(district.inputs.values()))
        plan = solve_district(study, district)
    except InfeasibleError as error:
        return row | {"status": "infeasible", "message": str(error)}
    except LimitError as error:
        return row | {"status": "limit", "message": str(error)}
    except (UpstairsError, GeodataError) as error:
        return row | {"message": str(error)}
    except Exception as error:  # a night's work does not end with one cell
        return row | {"message": f"{type(error).__name__}: {error}; please report this study"}
    result = plan.result
    row |= {"status": result["status"], "score": result["objective"], "bound": result["bound"], "gap": result["gap"]}
    row |= {"seconds": result["seconds"], "solver": result["solver"]}
    row |= index_columns(result["indices"])
    return row | {f"before_{key}": value for key, value in index_columns(result["existing"]).items()}


def run(
    asked: Benchmark,
    folder: Path,
    scheduler: str | None = None,
    workers: int | None = None,
    say: Say | None = None,
    words: Language = ENGLISH,
) -> pd.DataFrame:
    """Solve the cells of a benchmark that have no row yet; return the table.

    Parameters
    ----------
    folder : Path
        Where rows are, one file each.
    scheduler : str, optional
        Address of a Dask scheduler; its workers find the districts' files at the same paths. This machine's cores by default.
    workers : int, optional
        Processes of this machine; as many as it has cores by default.
    say : callable, optional
        Told what is done.

    Raises
    ------
    StudyError
        When the file or a study is wrong, or another run works in the folder.
    SolverError
        When no scheduler answers.
    """
    wanted = cells(asked)
    store = folder / CELLS
    store.mkdir(parents=True, exist_ok=True)
    tell = say or (lambda _: None)
    with _alone(folder):
        left = [cell for cell in wanted if not (store / f"{cell.name}.json").is_file()]
        done = len(wanted) - len(left)
        tell(words("Cells: {n}, of them done before: {done}", n=len(wanted), done=done))
        solved = _on_cluster(left, scheduler) if scheduler else _on_cores(left, workers)
        for row in solved:
            done += 1
            draft = store / f".{row['cell']}"
            draft.write_text(json.dumps(plain(row), ensure_ascii=False), encoding="utf-8")
            draft.replace(store / f"{row['cell']}.json")
            tell(f"{done}/{len(wanted)}  {_told(row, words)}")
    return _table(wanted, folder)


def _told(row: Values, words: Language) -> str:
    facts = ", ".join(str(row[key]) for key in list(row)[1 : list(row).index("seed")])
    if "score" not in row:
        return f"{facts}: {words(named_status(row['status']))}"
    score, gap = f"{row['score']:.4f}", words.percent(row["gap"], 2)
    return words("{cell}: score {score}, gap {gap}, {n} s", cell=facts, score=score, gap=gap, n=f"{row['seconds']:.0f}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make sure that no other run works in a folder while the block runs."""
    lock = folder / LOCK
    try:
        number, began = lock.read_text().split()
        # Numbers of processes are used again: it is the same one where it began when it says.
        works = int(number) != os.getpid() and abs(psutil.Process(int(number)).create_time() - float(began)) < 1.0
    except (OSError, ValueError, psutil.Error):
        works = False
    if works:
        raise StudyError(f"{folder}: process {number} works there; wait for it, or name another folder")
    lock.write_text(f"{os.getpid()} {psutil.Process().create_time()}")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _ready() -> None:
    """Leave Ctrl-C to the process that gave the work out."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_cores(left: list[Cell], workers: int | None) -> Iterator[Values]:
    """Yield rows as processes of this machine are done with them; a cell whose process dies is a row that says so."""
    waiting = deque(left)
    while waiting:
        suspects = yield from _at_once(waiting, workers or os.cpu_count() or 1)
        for cell in suspects:
            # Which of them it was that died shows when each is alone.
            alone = deque([cell])
            if (yield from _at_once(alone, 1)):
                yield _lost(cell, "its process died, of memory perhaps")


def _at_once(waiting: deque[Cell], workers: int) -> Generator[Values, None, list[Cell]]:
    """Yield rows, some cells at a time; return the cells that were at work when a process died."""
    count = min(workers, len(waiting))
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_ready) as pool:
        at_work: dict[Future[Values], Cell] = {}
        try:
            while waiting or at_work:
                while waiting and len(at_work) < count:
                    cell = waiting.popleft()
                    at_work[pool.submit(solve_cell, cell)] = cell
                ended, _ = wait(at_work, return_when=FIRST_COMPLETED)
                for future in ended:
                    row = future.result()
                    del at_work[future]
                    yield row
        except BrokenProcessPool:
            return list(at_work.values())
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()  # what it was at is not kept
            raise
    return []


def _lost(cell: Cell, message: str) -> Values:
    return {"cell": cell.name, **cell.facts, "status": "error", "message": message}


def _on_cluster(left: list[Cell], scheduler: str) -> Iterator[Values]:
    """Yield rows as workers of a Dask cluster are done with them; a lost worker's cell goes to another one.

    Raises
    ------
    SolverError
        When the cluster ends before the work does.
    """
    with connected(scheduler, os.cpu_count() or 1) as client:
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError

        of = {f"upstairs-{cell.name}": cell for cell in left}
        futures = [client.submit(solve_cell, cell, key=key, pure=False, retries=3) for key, cell in of.items()]
        for future in as_completed(futures):  # type: ignore[no-untyped-call]
            try:
                row = future.result()
            except KilledWorker:
                row = _lost(of[future.key], "every worker that solved it died, of memory perhaps")
            except (FutureCancelledError, CancelledError, OSError) as error:
                raise SolverError(
                    f"the scheduler at {scheduler} went away ({error}); rows are kept, run again to go on"
                ) from None
            yield row


def table(asked: Benchmark, folder: Path) -> pd.DataFrame:
    """Return the rows of a benchmark that are there, in its own order."""
    return _table(cells(asked), folder)


def _table(wanted: list[Cell], folder: Path) -> pd.DataFrame:
    rows = []
    for cell in wanted:
        file = folder / CELLS / f"{cell.name}.json"
        if file.is_file():
            rows.append({**json.loads(file.read_text(encoding="utf-8")), **cell.facts})
    return pd.DataFrame(rows)


# -- what the table says ---------------------------------------------------------------------------------------------


def blocks(found: pd.DataFrame, asked: Benchmark) -> list[pd.DataFrame]:
    """Return the rows that differ by their rule set alone, those with a plan, rule set as index; two rows at least."""
    keys = ["district", *asked.parameters, "seed"]
    if "score" not in found:
        return []
    planned = found[found["score"].notna()]
    groups = [part.set_index("ruleset") for _, part in planned.groupby(keys, sort=False)]
    return [part for part in groups if len(part) > 1]


def ranking(found: pd.DataFrame, asked: Benchmark) -> pd.DataFrame:
    """Return one row a rule set: means of score and indices, and of the best and worst rank that its gaps leave.

    Within a block a rule set surely beats another where its score is above the other's bound. Means are over the blocks in
    which every rule set has a plan that has one anywhere, ``blocks_in_means`` of them, so that they are of the same cells.
    """
    ranks: dict[str, list[tuple[int, int]]] = {name: [] for name in asked.rulesets}
    planning = set(found.loc[found["score"].notna(), "ruleset"]) if "score" in found else set()
    common = [block for block in blocks(found, asked) if set(block.index) == planning]
    if len(planning) == 1:  # it has no other to be in a block with
        common = [found[found["score"].notna()].set_index("ruleset")]
    for block in common if len(planning) > 1 else []:
        score, bound = block["score"].to_numpy(float), block["bound"].to_numpy(float)
        for k, name in enumerate(block.index):
            above, below = int((score > bound[k]).sum()), int((bound < score[k]).sum())
            ranks[name].append((1 + above, len(block) - below))
    rows = []
    for name in asked.rulesets:
        own = found[found["ruleset"] == name]
        having = int(own["score"].notna().sum()) if "score" in own else 0
        parts = [block.loc[[name]] for block in common if name in block.index]
        planned = pd.concat(parts) if parts else own.iloc[:0]
        row: Values = {"ruleset": name, "cells": len(own), "with_a_plan": having, "blocks_in_means": len(planned)}
        row |= {"score_mean": planned["score"].mean() if len(planned) else None}
        places = np.array(ranks[name], dtype=float).reshape(-1, 2)
        row |= {"rank_best_mean": places[:, 0].mean() if len(places) else None}
        row |= {"rank_worst_mean": places[:, 1].mean() if len(places) else None}
        row |= {f"{key}_mean": planned[key].mean() if len(planned) else None for key in SUMMED}
        rows.append(row)
    ordered = pd.DataFrame(rows)
    return ordered.sort_values(
        ["rank_worst_mean", "rank_best_mean"], kind="stable", na_position="last", ignore_index=True
    )


def effects(found: pd.DataFrame, asked: Benchmark) -> pd.DataFrame:
    """Return one row a rule set: how its best scores differ from the baseline's over blocks.

    ``least`` and ``most`` are means of the ends of the intervals that the gaps leave; ``surely_better`` and
    ``surely_worse`` count blocks whose interval leaves no doubt. ``d`` is Cohen's d for pairs: mean over standard
    deviation of the middles of the intervals.
    """
    base = asked.baseline or next(iter(asked.rulesets))
    rows = []
    for name in asked.rulesets:
        ends = []
        for block in blocks(found, asked):
            if name != base and {name, base} <= set(block.index):
                own, other = block.loc[name], block.loc[base]
                ends.append((own["score"] - other["bound"], own["bound"] - other["score"], abs(other["score"])))
        if not ends:
            continue
        least, most, unit = np.array(ends, dtype=float).T
        middle = (least + most) / 2
        spread = middle.std(ddof=1) if len(middle) > 1 else np.nan
        rows.append(
            {
                "ruleset": name,
                "against": base,
                "blocks": len(ends),
                "least": least.mean(),
                "most": most.mean(),
                "least_share": (least / unit).mean() if unit.all() else None,
                "most_share": (most / unit).mean() if unit.all() else None,
                "surely_better": int((least > 0).sum()),
                "surely_worse": int((most < 0).sum()),
                "d": middle.mean() / spread if spread > 0 else None,
            }
        )
    columns = ["ruleset", "against", "blocks", "least", "most", "least_share", "most_share", "surely_better"]
    return pd.DataFrame(rows, columns=[*columns, "surely_worse", "d"])


def pareto(found: pd.DataFrame, x: str = "proximity", y: str = "mixing_by_building") -> pd.Series:
    """Return which rows no other row of their district beats on both of two indices."""
    from optimizer.front import nondominated

    good = pd.Series(False, index=found.index)
    for _, part in found[found[x].notna()].groupby("district"):
        good[part.index] = nondominated(part[[x, y]].to_numpy(float))
    return good
