"""Pages that hold figures, tables and maps together. They ask no other host for anything; text is escaped."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

from geodata.language import ENGLISH, Language

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.front import Front
    from optimizer.scenarios import Benchmark

pages = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
COMPARED = ("proximity", "mixing_by_building", "floor_area_m2", "jobs", "homes")
"""Indices that stand in the report of a benchmark; its table has all."""
OF_A_CELL = ("status", "score", "bound", "gap", "seconds", *COMPARED, "message")
"""Columns that stand there, after district, rule set, parameters and seed."""
STATUS = {"limit": "time was up"}
"""What a status is called, where not by its own name."""
NOTHING = 1e-9
"""Amount that a table of a report shows as 0."""
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; color: #1a1a1a; }
h1 { font-size: 1.3em; } h2 { font-size: 1.1em; }
table { border-collapse: collapse; } th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ccc; }
th:first-child, td:first-child { text-align: left; } a { color: #005a9c; }
svg { max-width: 100%; height: auto; } .note { color: #444; }
"""
FRONT = pages.from_string(
    """<!DOCTYPE html>
<html lang="{{ words.code }}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: {{ words("trade-off") }}</title>
<style>{{ style }}
main { display: flex; flex-wrap: wrap; height: 100vh; } section { flex: 1 1 26em; padding: 1em; overflow: auto; box-sizing: border-box; }
iframe { flex: 2 1 30em; min-height: 24em; border: 0; border-left: 1px solid #ccc; }</style></head>
<body><main>
<section>
<h1>{{ name }}: {{ words("trade-off") }}</h1>
<p>{{ words("Click a point, in the figure or the table, and see its plan.") }}{% if knee %} {{ words("The point marked is the knee.") }}{% endif %}</p>
{{ figure }}
<table><thead><tr><th>{{ words("point") }}</th>{% for head in heads %}<th>{{ head }}</th>{% endfor %}<th>{{ words("gap") }}</th></tr></thead>
<tbody>{% for row in rows %}
<tr><td><a href="{{ row.map }}" target="plan">{{ row.number }}{% if row.knee %} ({{ words("knee") }}){% endif %}</a></td>
{% for value in row.cells %}<td>{{ value }}</td>{% endfor %}<td>{{ row.gap }}</td></tr>{% endfor %}
</tbody></table>
{% for note in notes %}<p class="note">{{ note }}</p>
{% endfor %}
</section>
<iframe name="plan" title="{{ words("Map of the plan") }}" src="{{ first }}"></iframe>
</main></body></html>
"""
)
BENCH = pages.from_string(
    """<!DOCTYPE html>
<html lang="{{ words.code }}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: {{ words("rules compared") }}</title>
<style>{{ style }}
body { max-width: 76em; margin: 0 auto; padding: 1em; } div.wide { overflow-x: auto; } td.text { min-width: 26em; text-align: left; }</style></head>
<body>
<h1>{{ name }}</h1>
{% for note in notes %}<p class="note">{{ note }}</p>
{% endfor %}
<p>{{ said }}</p>
{% for title, about, heads, rows in tables %}
<h2>{{ title }}</h2>
<p class="note">{{ about }}</p>
<div class="wide"><table><thead><tr>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}<td{% if cell | length > 40 %} class="text"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% if loop.index0 < figures | length %}<figure>{{ figures[loop.index0][0] }}<figcaption class="note">{{ figures[loop.index0][1] }}</figcaption></figure>{% endif %}
{% endfor %}
</body></html>
"""
)


def named_status(status: Any) -> str:
    """Return what a status is called."""
    return STATUS.get(status, str(status))


def inline(figure: Figure) -> Markup:
    """Return a figure as SVG to stand in a page; its links lead to the frame named plan."""
    text = io.StringIO()
    figure.savefig(text, format="svg", dpi=200, bbox_inches="tight", metadata={"Date": None})
    svg = text.getvalue()
    return Markup(svg[svg.index("<svg") :].replace("<a xlink:href", '<a target="plan" xlink:href'))


def front_page(found: Front, figure: Figure, places: Sequence[str], words: Language = ENGLISH) -> str:
    """Return the page of a front: its figure and table, each point linked to the map of its plan."""
    rows = []
    for number, (point, place) in enumerate(zip(found.points, places, strict=True)):
        cells = [found.told(k, value) for k, value in enumerate(point.shares)]
        row = {"number": number + 1, "knee": found.bends and number == found.knee, "map": f"{place}/map.html"}
        rows.append({**row, "cells": cells, "gap": found.gap_of(point, words)})
    first = f"{places[found.knee]}/map.html"
    return FRONT.render(
        name=found.study.name,
        style=Markup(STYLE),
        figure=inline(figure),
        heads=found.heads(words),
        rows=rows,
        knee=found.bends,
        first=first,
        notes=found.sentences(words),
        words=words,
    )


def bench_page(
    asked: Benchmark,
    found: pd.DataFrame,
    ranked: pd.DataFrame,
    effects: pd.DataFrame,
    figures: Sequence[Figure],
    words: Language = ENGLISH,
) -> str:
    """Return the report of a benchmark: ranking, effects, figures, every cell."""
    counts = found["status"].value_counts().to_dict() if len(found) else {}
    versions = found.filter(regex="^(upstairs|python|version_)").drop_duplicates().to_dict("records")
    told = "; ".join(
        ", ".join(f"{key.removeprefix('version_')} {value}" for key, value in row.items()) for row in versions
    )
    said = words(
        "Cells: {cells} ({counts}). Districts: {districts}. Rule sets: {rulesets}. Seeds: {seeds}. {versions}.",
        cells=len(found),
        counts=", ".join(f"{words(named_status(status))} {n}" for status, n in counts.items()),
        districts=len(asked.districts),
        rulesets=len(asked.rulesets),
        seeds=", ".join(map(str, asked.seeds)),
        versions=told,
    )
    facts = ["district", "ruleset", *asked.parameters, "seed"]
    columns = [c for c in (*facts, *OF_A_CELL) if c in found]
    tables = [
        (
            words("Ranking"),
            words(
                "Within a block, cells that differ by their rule set alone, one surely beats another where its score is above "
                "the other's bound. Ranks are means over blocks of the best and the worst that the gaps leave."
            ),
            *_rows(ranked, {}, words),
        ),
        (
            words("Effects"),
            words(
                "Difference of the best scores from the baseline's, over blocks: means of the least and the most that the "
                "gaps leave, in score and as a share; blocks in which there is no doubt; Cohen's d for pairs."
            ),
            *_rows(effects, {"least_share": ".1%", "most_share": ".1%"}, words),
        ),
        (
            words("Cells"),
            words(
                "Every cell. Scores of a district are divided by the same floor area; those of different districts are not of "
                "one kind."
            ),
            *_rows(found[columns], {"gap": ".2%", "seconds": ".0f"}, words),
        ),
    ]
    captions = (
        words("Plans by two indices. Indices are of the plans found; other plans as good may have others."),
        words("Effect of each rule set on the best score; a bar that touches 0 may be none."),
    )
    drawn = [(inline(figure), caption) for figure, caption in zip(figures, captions, strict=True)]
    return BENCH.render(
        name=asked.name, notes=asked.notes, said=said, style=Markup(STYLE), tables=tables, figures=drawn, words=words
    )


def head(column: str) -> str:
    """Return a column's name as the head of a table for people."""
    return column.replace("_m2", ", m²").replace("_", " ")


def _rows(frame: pd.DataFrame, styles: dict[str, str], words: Language) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of a table for people."""

    def cell(name: str, value: Any) -> str:
        if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, float):
            value = 0.0 if abs(value) < NOTHING else value
            return format(value, styles.get(name, ",.0f" if abs(value) >= 1000 else ".4g"))
        return str(value)

    return [words(head(name)) for name in frame.columns], [
        [cell(k, v) for k, v in row.items()] for row in frame.to_dict("records")
    ]
