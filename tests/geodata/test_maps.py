"""The map as a browser shows it: views, legends, stacks on click, and names that do no harm."""

import json
import re
import subprocess

import geopandas as gpd
import pytest
import shapely

from geodata.fields import noise_palette, write_field
from geodata.maps import LEAFLET, UseStyle, plan_map
from geodata.overlays import overlay
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


def field(folder, name, value):
    """A field that grows eastwards by 0.1 dB(A) a metre from a value at the parcels' western edge."""
    file = folder / f"{value}.tif"
    bounds = (499_980, 5_299_980, 500_110, 5_300_040)
    write_field(file, lambda x, y: value + (x - 500_000) / 10, bounds, "EPSG:32632", 5, unit="dB(A)", description=name)
    return overlay(
        file, noise_palette(name), {value + 5: f"{value + 5:g} dB(A): limit & <i>more</i>", 99.0: "too loud"}
    )


TOGGLE = """
    const seen = [];
    const look = () => seen.push([
      [...document.querySelectorAll("img.up-field")].map(i => [i.src.slice(0, 22), +i.style.opacity]),
      document.querySelectorAll(".leaflet-up-lines-pane path").length,
      [...document.querySelectorAll(".up-level")].map(e => e.textContent),
      document.querySelector(".up-legend").textContent,
      +document.querySelector(".leaflet-overlay-pane path.leaflet-interactive").getAttribute("fill-opacity")]);
    const inputs = [...document.querySelectorAll(".leaflet-control-layers-overlays input")];
    look();
    inputs[0].click();
    look();
    document.querySelectorAll(".leaflet-control-layers-base input")[2].click();
    look();
    inputs[0].click();
    look();
    const image = upstairsFields["Noise Lden: plan"].getLayers().find(l => l instanceof L.ImageOverlay);
    const b = image.getBounds();
    return [seen, inputs.map(i => i.parentElement.textContent.trim()), [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()],
      getComputedStyle(document.querySelector(".leaflet-up-fields-pane")).pointerEvents];
"""


def test_fields_lie_over_the_parcels_with_their_legend_and_limit(tmp_path):
    fields = [field(tmp_path, "Noise Lden: plan", 50.0), field(tmp_path, HOSTILE, 40.0)]
    answer, errors = look(plan_map(plan(), uses=USES, title="Town", overlays=fields), tmp_path, TOGGLE)
    assert errors == []
    seen, names, bounds, pointer = answer["found"]
    assert names == ["Noise Lden: plan", HOSTILE]
    off, on, other, again = seen
    assert off[0] == again[0] == []
    assert off[4] == again[4] == 0.85
    assert on[0] == [["data:image/png;base64,", 0.6]]
    assert on[1:3] == [2, ["55 dB(A)"]]
    assert on[4] < 0.3
    for text in ("Noise Lden: plan, dB(A)", "50 to 55 dB(A)", "55 dB(A): limit & <i>more</i>", "too loud, not reached"):
        assert text in on[3]
        assert text in other[3]
        assert text not in off[3] + again[3]
    assert "Plan: storeys" in other[3]
    corners = gpd.GeoSeries([shapely.box(499_980, 5_299_980, 500_110, 5_300_040)], crs="EPSG:32632").to_crs(4326)
    assert bounds == pytest.approx(corners.total_bounds.tolist(), abs=2e-5)
    assert pointer == "none"
    assert answer["title"] == "Town"


def test_one_field_is_shown_at_a_time(tmp_path):
    fields = [field(tmp_path, name, 50.0) for name in ("plan", "today")]
    script = """
      setTimeout(() => {
        const out = document.getElementById("found");
        const boxes = [...document.querySelectorAll(".leaflet-control-layers-overlays input")].map(i => i.checked);
        out.textContent = JSON.stringify({ found: [boxes, document.querySelectorAll("img.up-field").length] });
      }, 500);
      document.querySelectorAll(".leaflet-control-layers-overlays input").forEach(i => i.click());
      return null;
    """
    answer, errors = look(plan_map(plan(), uses=USES, title="Town", overlays=fields), tmp_path, script)
    assert errors == []
    assert answer["found"] == [[False, True], 1]
