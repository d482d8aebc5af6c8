"""Pages that hold figures, tables and maps together. They ask no other host for anything; text is escaped."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.frontier import Front

_pages = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; color: #1a1a1a; }
h1 { font-size: 1.3em; } h2 { font-size: 1.1em; }
table { border-collapse: collapse; } th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ccc; }
th:first-child, td:first-child { text-align: left; } a { color: #005a9c; }
svg { max-width: 100%; height: auto; } .note { color: #444; }
"""
FRONT = _pages.from_string(
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


def inline(figure: Figure) -> Markup:
    """Return a figure as SVG to stand in a page; its links lead to the frame named plan."""
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
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
