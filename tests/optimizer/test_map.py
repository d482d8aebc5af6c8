"""The map of a written plan in a browser, against the plan's own files: stacks by parcel, totals of the legend."""

import json
import re

import pytest

from optimizer.files import redraw, rewrite_report
from tests.contrast import FAINT
from tests.geodata.test_maps import look_at

pytestmark = pytest.mark.browser

SECTIONS = """
    const m = upstairsMap, found = {};
    m.data.parcels.id.forEach((id, i) => {
      m.open(i);
      found[id] = [...document.querySelectorAll(".up-floors")].map(list => [...list.children].map(li => [...li.querySelectorAll("span")].map(s => s.textContent)));
    });
    const totals = {};
    for (const view of ["plan", "today"]) {
      m.show(view);
      totals[view] = [...document.querySelectorAll(".up-legend tr")].slice(1).map(tr => [...tr.children].map(td => td.textContent));
    }
    return [found, totals];
"""


def test_sections_are_the_stacks_and_totals_are_the_results(plan_folder, tmp_path):
    page = redraw(plan_folder, offline=True).read_text(encoding="utf-8")
    answer, errors = look_at(page, tmp_path, SECTIONS)
    assert errors == []
    found, totals = answer["found"]
    features = json.loads((plan_folder / "plan.geojson").read_text())["features"]
    label = {use["name"]: use["label"] for use in json.loads(_data(page))["uses"]}
    assert len(found) == len(features)
    for feature in features:
        stack = feature["properties"]["stack"]
        sites = list(dict.fromkeys(item["site"] for item in stack))
        shown = found[feature["properties"]["parcel_id"]]
        assert len(shown) == len(sites)
        for site, lines in zip(sites, shown):
            own = [item for item in reversed(stack) if item["site"] == site]
            for item, (use, storeys, area, _) in zip(own, lines, strict=True):
                assert use == label[item["use"]]
                assert storeys.split()[-1] in (f"{item['from']}–{item['to']}", str(item["from"]))
                assert int(area.removesuffix(" m²").replace(",", "")) == pytest.approx(item["gfa_m2"], abs=0.51)
    result = json.loads((plan_folder / "result.json").read_text())
    for view, state in (("plan", "indices"), ("today", "existing")):
        areas = {name: area for _, name, _, area in totals[view][:-2]}
        for use, area in result[state]["floor_area_m2"].items():
            assert int(areas[label[use]].replace(",", "")) == pytest.approx(area, abs=1)
        _, _, count, area = totals[view][-1]
        assert int(count) == len(features)
        assert int(area.replace(",", "")) == pytest.approx(result[state]["density"]["floor_area_m2"], abs=1)


def test_text_stands_out_from_what_is_behind_it(plan_folder, tmp_path):
    # One that must be found, or the others prove nothing.
    faint = """const p = document.body.appendChild(document.createElement("p"));
      p.textContent = "faint"; p.style.cssText = "position: fixed; color: #999";"""
    open_all = "upstairsMap.open(0); document.querySelectorAll('.up-tick input').forEach(box => box.click());"
    for page, first in ((redraw(plan_folder, offline=True), open_all), (rewrite_report(plan_folder), "")):
        answer, errors = look_at(page.read_text(encoding="utf-8"), tmp_path, first + faint + FAINT)
        assert errors == []
        looked, found = answer["found"]
        assert looked > 50 and [text for text, *_ in found] == ["faint"]


def _data(page):
    return re.search(r'id="up-data">(.*?)</script>', page, re.DOTALL).group(1)
