"""Pages that hold figures, tables and maps together. They ask no other host for anything; text is escaped."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.front import Front
    from optimizer.scenarios import Benchmark

pages = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
COMPARED = ("proximity", "mixing_by_building", "floor_area_m2", "jobs", "homes")
"""Indices that stand in the report of a benchmark; its table has all."""
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
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: trade-off</title>
<style>{{ style }}
main { display: flex; flex-wrap: wrap; height: 100vh; } section { flex: 1 1 26em; padding: 1em; overflow: auto; box-sizing: border-box; }
iframe { flex: 2 1 30em; min-height: 24em; border: 0; border-left: 1px solid #ccc; }</style></head>
<body><main>
<section>
<h1>{{ name }}: trade-off</h1>
<p>Click a point, in the figure or the table, and see its plan. The point marked is the knee.</p>
{{ figure }}
<table><thead><tr><th>plan</th>{% for head in heads %}<th>{{ head }}</th>{% endfor %}<th>gap</th></tr></thead>
<tbody>{% for row in rows %}
<tr><td><a href="{{ row.map }}" target="plan">{{ row.number }}{{ " (knee)" if row.knee }}</a></td>
{% for value in row.cells %}<td>{{ value }}</td>{% endfor %}<td>{{ row.gap }}</td></tr>{% endfor %}
</tbody></table>
{% for note in notes %}<p class="note">{{ note }}</p>
{% endfor %}
</section>
<iframe name="plan" title="Map of the plan" src="{{ first }}"></iframe>
</main></body></html>
"""
)
BENCH = pages.from_string(
    """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: rules compared</title>
<style>{{ style }}
body { max-width: 76em; margin: 0 auto; padding: 1em; } div.wide { overflow-x: auto; }</style></head>
<body>
<h1>{{ name }}</h1>
{% for note in notes %}<p class="note">{{ note }}</p>
{% endfor %}
<p>{{ said }}</p>
{% for title, about, heads, rows in tables %}
<h2>{{ title }}</h2>
<p class="note">{{ about }}</p>
<div class="wide"><table><thead><tr>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% if loop.index0 < figures | length %}<figure>{{ figures[loop.index0][0] }}<figcaption class="note">{{ figures[loop.index0][1] }}</figcaption></figure>{% endif %}
{% endfor %}
</body></html>
"""
)


def inline(figure: Figure) -> Markup:
    """Return a figure as SVG to stand in a page; its links lead to the frame named plan."""
    text = io.StringIO()
    figure.savefig(text, format="svg", dpi=200, bbox_inches="tight", metadata={"Date": None})
    svg = text.getvalue()
    return Markup(svg[svg.index("<svg") :].replace("<a xlink:href", '<a target="plan" xlink:href'))


def front_page(found: Front, figure: Figure, places: Sequence[str]) -> str:
    """Return the page of a front: its figure and table, each point linked to the map of its plan."""
    rows = []
    for number, (point, place) in enumerate(zip(found.points, places, strict=True)):
        share = point.shares[point.main]
        cells = [found.told(k, value) for k, value in enumerate(point.shares)]
        gap = f"{(point.bound - share) / share:.2%}" if share > 0 else "unknown"
        rows.append(
            {"number": number + 1, "knee": number == found.knee, "map": f"{place}/map.html", "cells": cells, "gap": gap}
        )
    heads = [f"{a.name}, {a.unit}" for a in found.axes]
    first = f"{places[found.knee]}/map.html"
    return FRONT.render(
        name=found.study.name,
        style=Markup(STYLE),
        figure=inline(figure),
        heads=heads,
        rows=rows,
        first=first,
        notes=found.sentences,
    )


def bench_page(
    asked: Benchmark, found: pd.DataFrame, ranked: pd.DataFrame, effects: pd.DataFrame, figures: Sequence[Figure]
) -> str:
    """Return the report of a benchmark: ranking, effects, figures, every cell."""
    counts = found["status"].value_counts().to_dict() if len(found) else {}
    versions = found.filter(regex="^(upstairs|python|version_)").drop_duplicates().to_dict("records")
    told = "; ".join(
        ", ".join(f"{key.removeprefix('version_')} {value}" for key, value in row.items()) for row in versions
    )
    said = (
        f"{len(found)} cells: {', '.join(f'{n} {status}' for status, n in counts.items())}. "
        f"{len(asked.districts)} districts, {len(asked.rulesets)} rule sets, seeds {', '.join(map(str, asked.seeds))}. {told}."
    )
    facts = ["district", "ruleset", *asked.parameters, "seed"]
    columns = [c for c in (*facts, "status", "score", "bound", "gap", "seconds", *COMPARED, "message") if c in found]
    tables = [
        (
            "Ranking",
            "Within a block, cells that differ by their rule set alone, one surely beats another where its score is above the "
            "other's bound. Ranks are means over blocks of the best and the worst that the gaps leave.",
            *_rows(ranked, {}),
        ),
        (
            "Effects",
            "Difference of the best scores from the baseline's, over blocks: means of the least and the most that the gaps "
            "leave, in score and as a share; blocks in which there is no doubt; Cohen's d for pairs.",
            *_rows(effects, {"least_share": ".1%", "most_share": ".1%"}),
        ),
        (
            "Cells",
            "Every cell. Scores of a district are divided by the same floor area; those of different districts are not of one kind.",
            *_rows(found[columns], {"gap": ".2%", "seconds": ".0f"}),
        ),
    ]
    captions = (
        "Plans by two indices. Indices are of the plans found; other plans as good may have others.",
        "Effect of each rule set on the best score; a bar that touches 0 may be none.",
    )
    drawn = [(inline(figure), caption) for figure, caption in zip(figures, captions, strict=True)]
    return BENCH.render(
        name=asked.name, notes=asked.notes, said=said, style=Markup(STYLE), tables=tables, figures=drawn
    )


def _rows(frame: pd.DataFrame, styles: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of a table for people."""

    def cell(name: str, value: Any) -> str:
        if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, float):
            value = 0.0 if abs(value) < NOTHING else value
            return format(value, styles.get(name, ",.0f" if abs(value) >= 1000 else ".4g"))
        return str(value)

    heads = [name.replace("_m2", ", m²").replace("_", " ") for name in frame.columns]
    return heads, [[cell(k, v) for k, v in row.items()] for row in frame.to_dict("records")]
