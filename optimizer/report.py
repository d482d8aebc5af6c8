"""The report of a plan: a page for those who decide, then tables and figures for those who check."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
from markupsafe import Markup

from geodata.language import Language
from geodata.maps import ACTIONS
from optimizer.flows import has_flows
from optimizer.indices import index_rows, room
from optimizer.laws import MEASURES
from optimizer.pages import STYLE, inline, pages
from optimizer.plan_figures import inked, linkage_figure, plan_figure, storeys_figure, walks_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from optimizer.study import Study

TIGHT = 8
"""Rules on the first page."""


@dataclass(frozen=True)
class Row:
    """Cells of a line of a table, and whether it tells of something that is missed."""

    cells: tuple[str, ...]
    missed: bool = False


@dataclass(frozen=True)
class Table:
    """A table: heads, lines, and the columns that hold text, not numbers."""

    heads: tuple[str, ...]
    rows: list[Row]
    text: frozenset[int] = frozenset({0})


@dataclass(frozen=True)
class Drawn:
    """A figure in the page and what stands under it."""

    drawn: Markup
    caption: str


def report_page(
    study: Study,
    frame: gpd.GeoDataFrame,
    result: dict[str, Any],
    layers: Mapping[str, gpd.GeoDataFrame],
    notes: Sequence[str],
    words: Language,
) -> str:
    """Return the report of a plan as a page that asks no other host for anything.

    Parameters
    ----------
    frame : GeoDataFrame
        Parcels as ``plan.geojson`` holds them.
    result : dict
        As ``result.json`` holds it.
    layers : mapping
        ``sites``, ``walks`` and, where they are known, ``flows`` and ``flows_inside`` of ``plan.gpkg``.
    notes : sequence of str
        What a reader must know first.
    """
    rules = [_rule(row, words) for row in result["rules"]]
    order = np.argsort([slack for slack, _ in rules], kind="stable")
    heads = (
        words("rule"),
        words("where it binds most"),
        words("value"),
        words("limit"),
        words("room"),
        words("places"),
    )
    more = len(rules) - TIGHT
    return pages.from_string(_template()).render(
        w=words,
        lang=words.code,
        name=study.name,
        style=Markup(STYLE),
        notes=notes,
        summary=_summary(frame, result, words),
        figures=_figures(study, frame, layers, words),
        amounts=_amounts(study, frame, result, words),
        laws=_laws(result, words),
        tight=Table(heads, [rules[k][1] for k in order[:TIGHT]], frozenset({0, 1})),
        more_rules=words("{n} more rules are listed below.", n=more) if more > 0 else "",
        indices=_indices(study, result, words),
        rules=Table(heads, [row for _, row in rules], frozenset({0, 1})),
        found=_how(study, result, words),
        numbers=_numbers(result, words),
        repairs=_repairs(result, words),
        remarks=[*result.get("notes", []), *result.get("walking", {}).get("findings", [])],
        inputs=Table(
            (words("file"), "SHA-256"),
            [Row((item["file"], item["sha256"])) for item in result.get("inputs", [])],
            frozenset({0, 1}),
        ),
        credits=" | ".join(filter(None, [study.attribution, words("Plan: Upstairs")])),
    )


def _template() -> str:
    return resources.files("optimizer").joinpath("templates", "report.html").read_text(encoding="utf-8")


def _summary(frame: gpd.GeoDataFrame, result: dict[str, Any], words: Language) -> list[str]:
    """Say in a few sentences what happens, how much of it, and how good it is known to be."""
    before, after = result["existing"]["density"], result["indices"]["density"]
    count = frame["action"].value_counts()
    stands = frame["stack"].map(len) > 0
    sentences = [
        words(
            "Of {all} parcels {keep} stay as they are, {convert} are converted, {redevelop} are built anew and {clear} cleared.",
            all=words.number(len(frame)),
            **{action: words.number(int(count.get(action, 0))) for action in ACTIONS},
        ),
        words(
            "Floor area goes from {a} to {b} m², jobs from {c} to {d}, homes from {e} to {f}; {n} parcels then hold a building.",
            a=words.number(before["floor_area_m2"]),
            b=words.number(after["floor_area_m2"]),
            c=words.number(before["jobs"]),
            d=words.number(after["jobs"]),
            e=words.number(before["homes"]),
            f=words.number(after["homes"]),
            n=words.number(int(stands.sum())),
        ),
        words(
            "Of what floors need from one another, {upstairs} is met in the same building and {near} within 400 m.",
            upstairs=words.percent(result["indices"]["proximity"]["shares"]["same_building"], 0),
            near=words.percent(
                sum(
                    result["indices"]["proximity"]["shares"][key]
                    for key in ("same_building", "next_door", "within_400_m")
                ),
                0,
            ),
        ),
    ]
    if result["gap"] is None or result.get("bound_is_trivial"):
        sentences.append(words("How much better a plan under the same rules could be was not proved."))
    else:
        sentences.append(
            words(
                "It is proved that no plan under the same rules scores more than {gap} better.",
                gap=words.percent(result["gap"], 2),
            )
        )
    missed = sum(not row["satisfied"] for row in result["rules"])
    if missed:
        sentences.append(words("{n} rules with a price are missed in part; the price is in the score.", n=missed))
    return sentences


def _rule(row: dict[str, Any], words: Language) -> tuple[float, Row]:
    """Return how much room a rule leaves, as a share of its limit, and its line."""
    value, limit = float(row["value"]), float(row["limit"])
    left = room(row)

    def told(amount: float) -> str:
        return words.number(amount, 0 if abs(amount) >= 100 else 3)

    unit = row["unit"]
    cells = (
        row["name"],
        row["scope"],
        f"{told(value)} {unit}",
        f"{'≤' if row['sense'] == '<=' else '≥'} {told(limit)} {unit}",
        told(max(left, 0.0)) if row["satisfied"] else words("not met"),
        words.number(row["places"]),
    )
    return (left / abs(limit) if limit else left), Row(cells, not row["satisfied"])


def _amounts(study: Study, frame: gpd.GeoDataFrame, result: dict[str, Any], words: Language) -> Table:
    """Floor area by use, jobs and homes, and how much is kept, converted, pulled down and built."""
    rows = []
    states = result["existing"], result["indices"]

    def line(label: str, values: Sequence[float]) -> Row:
        old, new = values
        sign = "+" if new > old else ""
        return Row((label, words.number(old), words.number(new), sign + words.number(new - old)))

    for name, use in study.uses.items():
        rows.append(line(words(use.label) + ", m²", [s["floor_area_m2"].get(name, 0.0) for s in states]))
    for label, key in ((words("Floor area, m²"), "floor_area_m2"), (words("Jobs"), "jobs"), (words("Homes"), "homes")):
        rows.append(line(label, [s["density"][key] for s in states]))
    today = sum(frame[f"today_{name}"].astype(float) for name in study.uses)
    for label, action in (
        (words("of today's floor area stays, m²"), "keep"),
        (words("of today's floor area is converted, m²"), "convert"),
    ):
        rows.append(Row((label, "", words.number(float(today[frame["action"] == action].sum())), "")))
    gone = frame["action"].isin(["redevelop", "clear"])
    rows.append(
        Row((words("of today's floor area is pulled down, m²"), "", words.number(float(today[gone].sum())), ""))
    )
    built = frame.loc[frame["action"] == "redevelop", "gfa_m2"].astype(float).sum()
    rows.append(Row((words("new floor area is built, m²"), "", words.number(float(built)), "")))
    return Table(("", words("today"), words("plan"), words("change")), rows)


def _laws(result: dict[str, Any], words: Language) -> Table:
    rows = []
    for m in MEASURES:
        values = [state["laws"][m.law][m.key] for state in (result["existing"], result["indices"])]
        digits = 0 if m.style.endswith(".0f") else 2
        cells = [words.number(value, digits) for value in values]
        law = words(m.law.replace("_", " "))
        rows.append(Row((law, words(m.label), *cells, words(m.unit), words(m.sentence))))
    heads = (words("law"), words("measure"), words("today"), words("plan"), words("unit"), words("what it says"))
    return Table(heads, rows, frozenset({0, 1, 4, 5}))


def _indices(study: Study, result: dict[str, Any], words: Language) -> Table:
    rows = []
    for label, unit, style, values in index_rows([result["existing"], result["indices"]]):
        name = label.strip()
        told = words(study.uses[name].label) if name in study.uses else words(name)
        if style.endswith("%"):
            cells = [words.percent(value) for value in values]
        else:
            cells = [words.number(value, int(style[-2])) for value in values]
        rows.append(Row((told, *cells, words(unit))))
    return Table((words("index"), words("today"), words("plan"), words("unit")), rows, frozenset({0, 3}))


def _how(study: Study, result: dict[str, Any], words: Language) -> list[tuple[str, str]]:
    score, bound = (words.number(result[key], 5) for key in ("objective", "bound"))
    return [
        (
            words("Score"),
            words(
                "{score}, at most {bound} possible (gap {gap})",
                score=score,
                bound=bound,
                gap=words.percent(result["gap"], 3),
            ),
        ),
        (words("Time"), words("{n} s", n=words.number(result["seconds"], 1))),
        (words("Solver"), str(result["solver"])),
        (
            words("Asked for"),
            words(
                "gap {gap} within {n} s", gap=words.percent(study.solve.gap, 2), n=words.number(study.solve.time_limit)
            ),
        ),
        (words("Versions"), ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items())),
        (words("Site area from"), str(result.get("site_area_from", ""))),
        (words("Walks over"), str(result.get("walking", {}).get("source", ""))),
        (words("Written"), words.date(datetime.date.today())),
    ]


def _numbers(result: dict[str, Any], words: Language) -> Table:
    rows = [
        Row((n["name"], f"{n['value']:,g}", n["unit"], n["status"], n["meaning"], n["source"]))
        for n in result.get("numbers", [])
    ]
    heads = (words("number"), words("value"), words("unit"), words("status"), words("meaning"), words("source"))
    return Table(heads, rows, frozenset({0, 2, 3, 4, 5}))


def _repairs(result: dict[str, Any], words: Language) -> Table:
    rows = []
    for found in result.get("repairs", []):
        names = ", ".join(found["parcels"][:6]) + (" …" if len(found["parcels"]) > 6 else "")
        rows.append(Row((found["kind"].replace("_", " "), names or words("all"), found["message"], found["action"])))
    heads = (words("finding"), words("parcels"), words("what"), words("what was done"))
    return Table(heads, rows, frozenset({0, 1, 2, 3}))


def _figures(
    study: Study, frame: gpd.GeoDataFrame, layers: Mapping[str, gpd.GeoDataFrame], words: Language
) -> dict[str, Drawn]:
    uses = study.use_list
    made = {
        "plan": (
            plan_figure(frame, uses, words),
            words("Parcels by the use with most floor area, today and planned. Hatching tells uses apart in grey."),
        ),
        "storeys": (storeys_figure(frame, uses, words), words("Floor area of each storey by use, from the ground up.")),
    }
    if has_flows(layers):
        made["linkages"] = (
            linkage_figure(study, frame, layers, words),
            words(
                "Who supplies whom, m² of floor served: in the building (full), along streets (pale). What is not met ends in grey."
            ),
        )
        made["walks"] = (
            walks_figure(study, layers, words),
            words(
                "How far linked floors are from one another, m² served by length of the walk; 0 is the same building."
            ),
        )
    return {key: Drawn(_inline(figure, caption), caption) for key, (figure, caption) in made.items()}


def _inline(figure: Figure, caption: str) -> Markup:
    """Return a figure whose text stays text, in the page's font, with its caption for those who cannot see it."""
    with inked():
        svg = inline(figure)
    label = Markup('<svg role="img" aria-label="{}"').format(caption)
    return Markup(svg.replace("<svg", label, 1))
