"""The report: its numbers are the result's, its text stays text, in both languages, and it prints."""

import html
import json
import re
import shutil

import pytest

import optimizer
from geodata.browser import print_pdf
from geodata.errors import GeodataError
from geodata.language import language
from optimizer.files import rewrite_report, write_plan
from optimizer.rulesets import rulesets
from tests.districts import lots, study

HOSTILE = "</script><img src=x onerror=alert(1)>{{ 7 * 7 }} $x_1$"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    asked = study(
        name=HOSTILE,
        attribution=HOSTILE,
        notes=[HOSTILE],
        rules=[{"kind": "programme", "max_floor_area": 3000, "min_share": {"shops": 0.2}, "name": HOSTILE}],
    )
    frame = lots(
        4, columns=2, storeys=[2, 0, 1, 1], gfa_homes=[480.0, 0.0, 240.0, 0.0], gfa_making=[0.0, 0.0, 0.0, 240.0]
    )
    frame["id"] = [f"{HOSTILE}{k}" for k in range(4)]
    return write_plan(optimizer.solve(asked, frame), tmp_path_factory.mktemp("plan") / "plan")


def cells(page, label):
    """Numbers of the row of a table that begins with a label."""
    row = re.search(rf"<tr[^>]*><td[^>]*>{re.escape(label)}</td>(.*?)</tr>", page, re.DOTALL).group(1)
    return [float(v.replace(",", "")) for v in re.findall(r"<td>([-+\d.,]+)</td>", row)]


def test_its_numbers_are_the_results(folder):
    page, result = (folder / "report.html").read_text(), json.loads((folder / "result.json").read_text())
    before, after = result["existing"]["density"], result["indices"]["density"]
    for label, key in (("Floor area, m²", "floor_area_m2"), ("Jobs", "jobs"), ("Homes", "homes")):
        old, new, change = cells(page, label)
        assert (old, new) == (round(before[key]), round(after[key])) and change == pytest.approx(new - old, abs=1)
    assert cells(page, "proximity") == [
        round(s["proximity"]["index"], 3) for s in (result["existing"], result["indices"])
    ]
    assert f"more than {100 * result['gap']:.2f}% better" in page
    # Every rule stands in the table of all rules.
    assert len(re.findall("<tr", page[page.index("Every rule") : page.index("How the plan was found")])) == 1 + len(
        result["rules"]
    )
    gone = sum(
        p["today_homes"] + p["today_making"] for p in _properties(folder) if p["action"] in ("redevelop", "clear")
    )
    assert cells(page, "of today&#39;s floor area is pulled down, m²")[0] == round(gone)


def _properties(folder):
    return [f["properties"] for f in json.loads((folder / "plan.geojson").read_text())["features"]]


@pytest.mark.parametrize("code", ["en", "zh"])
def test_text_stays_text_figures_have_words_and_nothing_is_fetched(folder, code):
    page = rewrite_report(folder, language(code)).read_text(encoding="utf-8")
    assert f'<html lang="{code}">' in page
    assert "<img src=x" not in page and "</script>" not in page and "{{ 7 * 7 }}" in page
    figures = re.findall(r'<svg role="img" aria-label="([^"]+)"', page)
    assert len(figures) == 4 and all(len(words) > 10 for words in figures)
    assert not re.findall(r"<(?:script|link|iframe)", page) and "http-equiv" not in page
    fetched = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(at.startswith(("#", "data:")) for at in fetched)


def test_numbers_of_rule_sets_stand_there_with_source_and_status(tmp_path):
    frame = lots(3, zone="A", storeys=[1, 0, 0], gfa_making=[240.0, 0.0, 0.0])
    name = "vienna-productive-city"
    kinds = dict.fromkeys(rulesets()[name].roles, "making")
    given = {"name": name, "roles": kinds} if kinds else {"name": name}
    plan = optimizer.solve(study(rulesets=[given]), frame)
    page = write_plan(plan, tmp_path / "plan").joinpath("report.html").read_text()
    for number in plan.study.numbers:
        assert number.name in page and html.escape(number.source[:30]) in page


@pytest.mark.browser
def test_it_prints_as_pdf(folder, tmp_path):
    file = print_pdf(folder / "report.html", tmp_path / "report.pdf")
    data = file.read_bytes()
    assert data.startswith(b"%PDF") and len(data) < 5e6
    assert [f.name for f in tmp_path.iterdir()] == ["report.pdf"]


def test_without_a_browser_that_is_said(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(GeodataError, match="no browser to print with"):
        print_pdf(folder / "report.html", tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())
