"""Files of what plans are compared, priced, traded off and benchmarked by; every folder whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import tomli_w

from geodata.export import plain, write_csv, write_geojson
from geodata.language import ENGLISH, Language
from optimizer import scenarios
from optimizer.errors import StudyError
from optimizer.figures import effects_figure, front_figure, lettered, pareto_figure, save, tornado
from optimizer.files import check_only, drafted, write_plan
from optimizer.indices import index_rows
from optimizer.pages import bench_page, front_page
from optimizer.plan_maps import draw_comparison
from optimizer.pollution import Say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.compare import Comparison
    from optimizer.front import Front
    from optimizer.price import Prices
    from optimizer.scenarios import Benchmark
    from optimizer.scoring import Score

COMPARISON = ("changes.geojson", "changes.csv", "uses.csv", "indices.csv", "compare.html")
"""Of plans beside one another."""
PRICES = ("prices.csv", "tornado.png", "tornado.svg", "study.toml")
"""Of what each rule costs."""
FRONT = ("front.csv", "solves.csv", "front.json", "front.png", "front.svg", "front.html", "points", "study.toml")
"""Of a trade-off; ``points`` holds a folder a plan."""
BENCH = (
    *("bench.toml", "table.parquet", "table.csv", "ranking.csv", "effects.csv"),
    *("pareto.png", "pareto.svg", "effects.png", "effects.svg", "report.html", "cells", "running"),
)
"""Of a benchmark; ``cells`` holds a row a file, ``running`` the number of the process that works there."""


def write_comparison(found: Comparison, folder: Path, *, offline: bool = False, words: Language = ENGLISH) -> Path:
    """Write a comparison of plans: what changed by parcel (GeoJSON, CSV), uses and indices (CSV), a map of first and last.

    Raises
    ------
    StudyError
        When the folder holds something else or cannot be written.
    """
    check_only(folder, COMPARISON, "a comparison")
    with drafted(folder) as draft:
        write_geojson(found.changes, draft / "changes.geojson")
        write_csv(pd.DataFrame(found.changes.drop(columns="geometry")), draft / "changes.csv")
        write_csv(found.moves, draft / "uses.csv")
        names = [plan.name for plan in found.plans]
        rows = index_rows([plan.result["indices"] for plan in found.plans])
        table = [(label.strip(), unit, *values) for label, unit, _, values in rows]
        write_csv(
            pd.DataFrame(table, columns=["index", "unit", *(f"plan {name}" for name in names)]), draft / "indices.csv"
        )
        draw_comparison(found, offline=offline, words=words).save(str(draft / "compare.html"))
    return folder


def write_prices(found: Prices, folder: Path, words: Language = ENGLISH) -> Path:
    """Write what each rule costs: a table (CSV), a figure (PNG, SVG) and the study as solved.

    Raises
    ------
    StudyError
        When the folder holds something else or cannot be written.
    """
    check_only(folder, PRICES, "prices of rules")
    with drafted(folder) as draft:
        write_csv(found.table, draft / "prices.csv")
        (draft / "study.toml").write_text(tomli_w.dumps(found.study.to_dict()), encoding="utf-8")
        with lettered(words) as spoken:
            save(tornado(found, spoken), draft / "tornado")
    return folder


def write_front(
    found: Front, folder: Path, say: Say | None = None, *, offline: bool = False, words: Language = ENGLISH
) -> Path:
    """Write a trade-off: tables (CSV, JSON), figure (PNG, SVG), a page that links figure and maps, and every plan's folder.

    Raises
    ------
    StudyError
        When the folder holds something else or cannot be written.
    """
    check_only(folder, FRONT, "a trade-off")
    with drafted(folder) as draft:
        places = [f"points/{number:02d}" for number in range(1, len(found.points) + 1)]
        for place, point in zip(places, found.points, strict=True):
            if say is not None:
                say(words("writing {place}", place=place))
            assert point.plan is not None, "points have plans"
            write_plan(point.plan, draft / place, offline=offline, words=words)
        write_csv(found.table, draft / "front.csv")
        write_csv(found.solved, draft / "solves.csv")
        (draft / "front.json").write_text(
            json.dumps(plain(found.to_dict()), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        (draft / "study.toml").write_text(tomli_w.dumps(found.study.to_dict()), encoding="utf-8")
        with lettered(words) as spoken:
            figure = front_figure(found, [f"{place}/map.html" for place in places], spoken)
            save(figure, draft / "front")
            page = front_page(found, figure, places, words)
        (draft / "front.html").write_text(page, encoding="utf-8")
    return folder


def write_bench(asked: Benchmark, found: pd.DataFrame, folder: Path, words: Language = ENGLISH) -> Path:
    """Write the table of a benchmark (Parquet, CSV), ranking and effects (CSV), figures (PNG, SVG), and what was asked."""
    with drafted(folder) as draft:
        values = asked.model_dump(mode="json", exclude_none=True)
        for part in values["districts"].values():
            part["study"] = (asked.folder / part["study"]).resolve().as_posix()
        (draft / "bench.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
        found.to_parquet(draft / "table.parquet", index=False)
        write_csv(found, draft / "table.csv")
        write_csv(scenarios.ranking(found, asked), draft / "ranking.csv")
        effects = scenarios.effects(found, asked)
        write_csv(effects, draft / "effects.csv")
        with lettered(words) as spoken:
            save(_pareto(asked, found, spoken), draft / "pareto")
            save(effects_figure(effects, spoken), draft / "effects")
    return folder


def _pareto(asked: Benchmark, found: pd.DataFrame, words: Language) -> Figure:
    x, y = "proximity", "mixing_by_building"
    shown = found.reindex(columns=list(dict.fromkeys([*found.columns, x, y])))
    shown["unbeaten"] = scenarios.pareto(shown, x, y)
    return pareto_figure(shown, list(asked.rulesets), list(asked.parameters), x, y, words)


def write_report(folder: Path, words: Language = ENGLISH) -> Path:
    """Write ``report.html`` of a benchmark's folder; return it.

    Raises
    ------
    StudyError
        When the folder holds no table.
    """
    if not (folder / "table.parquet").is_file():
        raise StudyError(f"{folder}: no benchmark here; `upstairs bench BENCH.toml --out {folder}` writes one")
    asked = scenarios.read_benchmark(folder / "bench.toml")
    try:
        found = pd.read_parquet(folder / "table.parquet")
    except (OSError, ValueError) as error:  # of Arrow's too
        raise StudyError(
            f"{folder / 'table.parquet'}: cannot be read ({error}); run the benchmark again to write it"
        ) from None
    ranked, effects = scenarios.ranking(found, asked), scenarios.effects(found, asked)
    with drafted(folder) as draft, lettered(words) as spoken:
        figures = [_pareto(asked, found, spoken), effects_figure(effects, spoken)]
        page = bench_page(asked, found, ranked, effects, figures, words)
        (draft / "report.html").write_text(page, encoding="utf-8")
    return folder / "report.html"


def write_score(found: Score, file: Path) -> Path:
    """Write what a plan is worth as JSON.

    Raises
    ------
    StudyError
        When the file cannot be written.
    """
    text = json.dumps(plain(found.to_dict()), indent=2, ensure_ascii=False) + "\n"
    draft = file.with_name(f".{file.name}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise StudyError(f"{file}: cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return file
