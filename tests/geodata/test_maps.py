"""The map as a browser shows it: views, legends, stacks on click, and names that do no harm."""

import json
import re
import subprocess

import geopandas as gpd
import pytest
import shapely

from geodata.maps import LEAFLET, UseStyle, plan_map
from tests.conftest import LEAFLET_FILES

pytestmark = pytest.mark.browser
USES = [UseStyle("making", "Making", "#D55E00"), UseStyle("homes", "Homes & <b>more</b>", "#009E73")]
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">{{ 7 * 7 }}"


def plan(**changes):
    stack = [
        {"site": 1, "use": "making", "from": 1, "to": 2, "gfa_m2": 800.0},
        {"site": 1, "use": "homes", "from": 3, "to": 5, "gfa_m2": 1200.0},
    ]
    table = {
        "parcel_id": ["A1", "A2"],
        "action": ["redevelop", "keep"],
        "floors": [5, 0],
        "gfa_m2": [2000.0, 0.0],
        "far": [2.5, 0.0],
        "zone": ["IA-1", "OS"],
        "dominant_use": ["homes", ""],
        "today_dominant_use": ["making", ""],
        "mix": [0.97, 0.0],
        "stack": [stack, []],
        "gfa_making": [800.0, 0.0],
        "gfa_homes": [1200.0, 0.0],
        "today_making": [300.0, 0.0],
        "today_homes": [0.0, 0.0],
        **changes,
    }
    boxes = [shapely.box(500_000, 5_300_000, 500_040, 5_300_020), shapely.box(500_050, 5_300_000, 500_090, 5_300_020)]
    return gpd.GeoDataFrame(table, geometry=boxes, crs="EPSG:32632")


def look(chart, folder, script):
    """Open a map, run a script, return what it found and what the console said."""
    html = chart.get_root().render().replace(LEAFLET, f"file://{LEAFLET_FILES}/")
    run = f"""<script>window.addEventListener("load", () => {{
      const found = (() => {{ {script} }})();
      const out = document.createElement("pre");
      out.id = "found";
      out.textContent = JSON.stringify({{ found, title: document.title }});
      document.body.appendChild(out);
    }});</script>"""
    file = folder / "map.html"
    file.write_text(html.replace("</html>", run + "</html>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr"]
    ended = subprocess.run(
        ["chromium", *flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{file}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    text = re.search(r'<pre id="found">(.*?)</pre>', ended.stdout, re.DOTALL).group(1)
    for entity, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, plain)
    return json.loads(text), [line for line in ended.stderr.splitlines() if "CONSOLE" in line and "Uncaught" in line]


SWITCH = """
    const seen = {};
    document.querySelectorAll(".leaflet-control-layers-base input").forEach(input => {
      input.click();
      const paths = [...document.querySelectorAll("path.leaflet-interactive")].map(p => p.getAttribute("fill"));
      seen[input.parentElement.textContent.trim()] = [paths, document.querySelector(".up-legend").textContent];
    });
    return seen;
"""


def test_every_view_paints_what_its_legend_says(tmp_path):
    answer, errors = look(plan_map(plan(), uses=USES, title="Town"), tmp_path, SWITCH)
    seen = answer["found"]
    assert errors == []
    assert answer["title"] == "Town"
    assert list(seen) == [
        "Plan: dominant use",
        "Plan: mix in the building",
        "Plan: storeys",
        "Plan: what happens",
        "Today: dominant use",
    ]
    assert seen["Plan: dominant use"][0] == ["#009E73", "#E8E8E8"]
    assert seen["Today: dominant use"][0] == ["#D55E00", "#E8E8E8"]
    assert seen["Plan: what happens"][0] == ["#0072B2", "#BBBBBB"]
    assert "Homes & <b>more</b>" in seen["Plan: dominant use"][1]
    assert "5 storeys" in seen["Plan: storeys"][1]
    assert "Built new" in seen["Plan: what happens"][1]


CLICK = """
    const parcel = Object.values(upstairsLayers)[0].getLayers()[0];
    parcel.openPopup();
    return [...document.querySelectorAll(".up-floor")].map(f => [...f.children].map(c => c.textContent));
"""


def test_a_click_shows_the_stack_top_floor_first(tmp_path):
    answer, errors = look(plan_map(plan(), uses=USES, title="Town"), tmp_path, CLICK)
    assert errors == []
    assert answer["found"] == [
        ["Homes & <b>more</b>", "storeys 3–5", "1,200 m²"],
        ["Making", "storeys 1–2", "800 m²"],
    ]


def test_names_are_shown_and_never_run(tmp_path):
    frame = plan(parcel_id=[HOSTILE, "A2"], zone=[HOSTILE, "OS"])
    chart = plan_map(frame, uses=USES, title=HOSTILE, facts=[(HOSTILE, HOSTILE)], notes=[HOSTILE], attribution=HOSTILE)
    script = """
      const parcel = Object.values(upstairsLayers)[0].getLayers()[0];
      parcel.openPopup();
      parcel.openTooltip();
      return [".up-title h1", ".up-title td", ".up-title p", ".leaflet-popup-content b", ".leaflet-tooltip b",
        ".leaflet-control-attribution"].map(where => document.querySelector(where).textContent);
    """
    answer, errors = look(chart, tmp_path, script)
    assert errors == []
    assert answer["title"] == HOSTILE
    assert all(HOSTILE in text for text in answer["found"]), answer["found"]
