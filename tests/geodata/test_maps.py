"""The map as a browser shows it: views, legends that count, sections, flows, and names that do no harm."""

import http.server
import json
import re
import subprocess
import threading
import time
import urllib.parse

import geopandas as gpd
import numpy as np
import pytest
import shapely

from geodata.fields import noise_palette, write_field
from geodata.language import language
from geodata.maps import ACTIONS, Linked, RuleLine, UseStyle, plan_map
from geodata.overlays import overlay

pytestmark = pytest.mark.browser
USES = [
    UseStyle("making", "Making", "#D55E00", 5.0, jobs=1 / 40),
    UseStyle("homes", "Homes & <b>more</b>", "#009E73", 3.0, homes=1 / 80),
]
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
        "max_far": [2.5, np.nan],
        "zone": ["IA-1", "OS"],
        "dominant_use": ["homes", ""],
        "today_dominant_use": ["making", ""],
        "mix": [0.97, 0.0],
        "block_mix": [0.97, np.nan],
        "stack": [stack, []],
        "gfa_making": [800.0, 0.0],
        "gfa_homes": [1200.0, 0.0],
        "today_making": [300.0, 0.0],
        "today_homes": [0.0, 0.0],
        **changes,
    }
    boxes = [shapely.box(500_000, 5_300_000, 500_040, 5_300_020), shapely.box(500_050, 5_300_000, 500_090, 5_300_020)]
    return gpd.GeoDataFrame(table, geometry=boxes, crs="EPSG:32632")


def drawn(frame=None, **given):
    """A map that asks no network: what a test sees does not depend on there being one."""
    return plan_map(plan() if frame is None else frame, **{"uses": USES, "title": "Town", "offline": True, **given})


def look(chart, folder, script, size="1200,800"):
    """Open a map, run a script, return what it found and what the console said."""
    return look_at(chart.get_root().render(), folder, script, size)


def look_at(page, folder, script, size="1200,800"):
    """The same of a page."""
    run = f"""<script>window.addEventListener("load", async () => {{
      const found = await (async () => {{ {script} }})();
      const out = document.createElement("pre");
      out.id = "found";
      out.textContent = JSON.stringify({{ found, title: document.title }});
      document.body.appendChild(out);
    }});</script>"""
    file = folder / "map.html"
    file.write_text(page.replace("</html>", run + "</html>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={size}"]
    ended = subprocess.run(
        ["chromium", *flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{file}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    text = re.search(r'<pre id="found">(.*?)</pre>', ended.stdout, re.DOTALL).group(1)
    for entity, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, plain)
    return json.loads(text), [
        line for line in ended.stderr.splitlines() if "CONSOLE" in line and "Canvas2D" not in line
    ]


SWITCH = """
    const m = upstairsMap, seen = {};
    for (const name of Object.keys(m.views)) {
      m.show(name);
      seen[m.views[name].title] = [m.parcels.map((_, i) => m.colour(i)), document.querySelector(".up-legend").innerText];
    }
    return seen;
"""


def test_every_view_paints_what_its_legend_says(tmp_path):
    answer, errors = look(drawn(), tmp_path, SWITCH)
    seen = answer["found"]
    assert errors == []
    assert answer["title"] == "Town"
    assert {name: colours for name, (colours, _) in seen.items()} == {
        "Plan: dominant use": ["#009E73", "#E8E8E8"],
        "Today: dominant use": ["#D55E00", "#E8E8E8"],
        "Plan: what happens": ["#0072B2", "#BBBBBB"],
        "Change of floor area": ["#2d004b", "#E8E8E8"],
        "Plan: share of one use": ["#2ab07f", "#E8E8E8"],
        "Plan: storeys": ["#440154", "#E8E8E8"],
        "Plan: mix in the building": ["#440154", "#E8E8E8"],
        "Plan: mix in the block": ["#440154", "#E8E8E8"],
        "Plan: floor area of what zoning allows": ["#440154", "#E8E8E8"],
    }
    legend = {name: text for name, (_, text) in seen.items()}
    assert re.search(r"Homes & <b>more</b>\s+1\s+1,200", legend["Plan: dominant use"])
    assert re.search(r"Making\s+0\s+800", legend["Plan: dominant use"])
    assert re.search(r"together\s+2\s+2,000", legend["Plan: dominant use"])
    assert re.search(r"Making\s+1\s+300", legend["Today: dominant use"])
    assert "5 storeys" in legend["Plan: storeys"]
    assert re.search(r"Built new\s+1", legend["Plan: what happens"])
    assert "1,700 m² more" in legend["Change of floor area"]


def test_the_canvas_has_the_colour_of_the_legend_where_the_parcel_is(tmp_path):
    script = """
      const m = upstairsMap, canvas = document.querySelector(".leaflet-overlay-pane canvas");
      const at = i => {
        const c = m.parcels[i].getBounds().getCenter(), q = m.map.latLngToContainerPoint(c), b = canvas.getBoundingClientRect();
        const scale = canvas.width / b.width;
        return [...canvas.getContext("2d", { willReadFrequently: true }).getImageData((q.x - b.left) * scale, (q.y - b.top) * scale, 1, 1).data];
      };
      m.map.fitBounds(L.latLngBounds(m.parcels.map(p => p.getBounds().getCenter())), { padding: [50, 50], animate: false });
      await new Promise(done => setTimeout(done, 500));
      return m.parcels.map((_, i) => at(i));
    """
    answer, errors = look(drawn(), tmp_path, script)
    assert errors == []
    built, empty = answer["found"]
    assert built == pytest.approx([0x00, 0x9E, 0x73, 0.85 * 255], abs=2)
    assert empty == pytest.approx([0xE8, 0xE8, 0xE8, 0.85 * 255], abs=2)


OPEN = """
    upstairsMap.open(0);
    const text = where => [...document.querySelectorAll(where)].map(e => e.innerText.replace(/\\s+/g, " "));
    const rects = [...document.querySelectorAll(".up-drawing rect")];
    return { floors: text(".up-floors li"), heights: rects.map(r => +r.getAttribute("height")), fills: rects.map(r => r.getAttribute("fill")),
      links: text(".up-section ul li"), about: text(".up-section p") };
"""


def test_the_section_shows_storeys_from_the_ground_up_to_scale(tmp_path):
    links = [Linked("homes", "making", np.zeros(0), np.array([500.0, 0]), np.array([100.0, 0]), np.array([0.0, 0]))]
    answer, errors = look(drawn(links=links), tmp_path, OPEN)
    assert errors == []
    found = answer["found"]
    assert found["floors"] == ["Homes & <b>more</b> storeys 3–5 1,200 m² 15 homes", "Making storeys 1–2 800 m² 20 jobs"]
    assert found["fills"] == ["#D55E00"] * 2 + ["#009E73"] * 3
    heights = np.array(found["heights"])
    assert heights / heights[-1] == pytest.approx([5 / 3, 5 / 3, 1, 1, 1])
    assert found["links"] == [
        "Homes & <b>more</b>, storeys 3–5 draws on Making: in the building, storeys 1–2: 500 m²; elsewhere within reach: 100 m²"
    ]
    assert "FAR 2.5 of 2.5" in found["about"][0] and "20 jobs; 15 homes" in found["about"][0]


def test_many_buildings_of_a_parcel_stay_to_scale_side_by_side(tmp_path):
    stack = [{"site": k, "use": "making", "from": 1, "to": 2, "gfa_m2": 800.0} for k in range(1, 9)]
    script = """
      upstairsMap.open(0);
      const widths = [...document.querySelectorAll(".up-drawing rect")].map(r => +r.getAttribute("width"));
      const heights = [...document.querySelectorAll(".up-drawing rect")].map(r => +r.getAttribute("height"));
      return [widths.length, widths[0] / heights[0], document.querySelectorAll(".up-floors").length,
        [...document.querySelectorAll(".up-section details")].map(d => d.open)];
    """
    answer, errors = look(drawn(plan(stack=[stack, []])), tmp_path, script)
    assert errors == []
    count, ratio, lists, open_ = answer["found"]
    assert count == 16 and lists == 8 and open_ == [True] + [False] * 7
    assert ratio == pytest.approx(20 / 5)  # a floor of 400 m² is 20 m wide, 5 m high


def test_names_are_shown_and_never_run(tmp_path):
    frame = plan(parcel_id=[HOSTILE, "A2"], zone=[HOSTILE, "OS"])
    uses = [UseStyle("making", HOSTILE, "#D55E00"), UseStyle("homes", "\u202eHomes", "#009E73")]
    chart = drawn(
        frame,
        uses=uses,
        title=HOSTILE,
        facts=[(HOSTILE, HOSTILE), (HOSTILE, HOSTILE, HOSTILE)],
        notes=[HOSTILE],
        attribution=HOSTILE,
        rules=[RuleLine(HOSTILE, HOSTILE, False)],
        marks={HOSTILE: [HOSTILE]},
        links=[Linked("homes", "making", np.zeros(0), np.array([500.0, 0]), np.zeros(2), np.zeros(2))],
    )
    script = """
      upstairsMap.open(0);
      upstairsMap.parcels[0].openTooltip();
      document.querySelectorAll("input[type=checkbox]").forEach(i => i.click());
      return [".up-panel summary", ".up-facts th", ".up-facts td", ".up-note", ".up-rules th", ".up-rules td", ".up-section h2", ".up-section p",
        ".up-section ul", ".up-floors", ".up-legend", ".up-panel select", ".leaflet-tooltip", ".leaflet-control-attribution"]
        .map(where => document.querySelector(where).textContent).concat(String(document.querySelectorAll("img[src=x]").length));
    """
    answer, errors = look(chart, tmp_path, script)
    assert errors == []
    assert answer["title"] == HOSTILE
    *texts, images = answer["found"]
    assert images == "0"
    # The list of views holds no name.
    assert [HOSTILE in text for text in texts].count(False) == 1, texts


def test_a_filter_counts_and_a_search_opens_the_section(tmp_path):
    script = """
      const [has, what, room] = [...document.querySelectorAll(".up-panel details")].find(d => d.querySelector(".up-search")).querySelectorAll("select");
      const set = (select, value) => { select.value = value; select.dispatchEvent(new Event("change")); };
      const m = upstairsMap, seen = [];
      const note = () => seen.push([[...m.hidden], document.querySelector("[role=status]").textContent, document.querySelector(".up-total").innerText.replace(/\\s+/g, " ").trim()]);
      set(has, "1"); note();
      set(has, ""); set(what, "keep"); note();
      set(what, ""); set(room, "none"); note();
      set(room, "some"); note();
      set(room, ""); note();
      const search = document.querySelector(".up-search");
      search.value = "a2"; search.dispatchEvent(new Event("change"));
      const first = m.opened();
      search.value = "Z"; search.dispatchEvent(new Event("change"));
      return [seen, first, document.querySelector("[role=status]").textContent];
    """
    answer, errors = look(drawn(), tmp_path, script)
    assert errors == []
    seen, opened, said = answer["found"]
    one = "1 of 2 parcels shown"
    assert seen == [
        [[1], one, "together 1 2,000"],
        [[0], one, "together 1 0"],
        [[1], one, "together 1 2,000"],
        [[0, 1], "0 of 2 parcels shown", "together 0 0"],
        [[], "", "together 2 2,000"],
    ]
    assert opened == 1 and said == "No parcel is called Z"


def test_linkages_are_drawn_along_streets_and_as_rings(tmp_path):
    ends = [[(500_000, 5_300_000), (500_040, 5_300_000)], [(500_040, 5_300_000), (500_090, 5_300_000)]]
    streets = gpd.GeoDataFrame(geometry=shapely.linestrings(ends), crs="EPSG:32632")
    inside = np.array([500.0, 0.0])
    links = [Linked("homes", "making", np.array([0.0, 80.0]), inside, np.array([80.0, 0]), np.zeros(2))]
    script = """
      const box = [...document.querySelectorAll("input[type=checkbox]")].find(i => i.parentElement.textContent === "Making to Homes & <b>more</b>");
      box.click();
      return [upstairsMap.flows[0].group.getLayers().map(l => l.getRadius ? ["ring", l.getRadius(), l.options.color] : ["line", l.options.weight,
        l.getLatLngs().map(p => [p.lng, p.lat])]), document.querySelector(".up-legend").textContent];
    """
    answer, errors = look(drawn(streets=streets, links=links), tmp_path, script)
    assert errors == []
    (line, ring), legend = answer["found"]
    assert ring == ["ring", 16, "#D55E00"] and line[:2] == ["line", 14]
    assert np.ravel(line[2]) == pytest.approx(
        np.ravel(shapely.get_coordinates(streets.to_crs(4326).geometry[1])), abs=2e-6
    )
    assert "Widest line: 80 m²; largest ring: 500 m²" in legend


def test_offline_it_asks_no_other_host_for_anything(tmp_path):
    answer, errors = look(drawn(), tmp_path, "return performance.getEntriesByType('resource').map(e => e.name);")
    assert errors == [] and answer["found"] == []
    page = (tmp_path / "map.html").read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", page)
    assert "tile.openstreetmap" not in page
    assert "url(" not in re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)
    assert "tile.openstreetmap" in drawn(offline=False).get_root().render()


def test_prices_of_land_are_shown_where_they_are_known(tmp_path):
    frame = plan(shadow_price=[0.0123, -0.002], site_area=[800.0, 800.0])
    script = """
      const m = upstairsMap;
      m.show("price");
      const legend = document.querySelector(".up-legend").innerText;
      m.open(0);
      return [m.colour(0), m.colour(1), legend, document.querySelector(".up-section p").textContent];
    """
    answer, errors = look(drawn(frame), tmp_path, script)
    dear, cheap, legend, section = answer["found"]
    assert errors == [] and (dear, cheap) == ("#440154", "#fde725")
    assert "0.154 of the score a hectare" in legend and "shadow price 0.0123" in section


def test_two_plans_stand_on_two_sides_of_a_line(tmp_path):
    frame = plan(
        action_before=["redevelop", "convert"],
        stack_before=[[{"site": 1, "use": "making", "from": 1, "to": 3, "gfa_m2": 2000.0}], []],
        today_making=[2000.0, 0.0],
    )
    script = """
      const m = upstairsMap, line = document.querySelector(".up-swipe");
      const seen = [!line.hidden];
      m.open(0);
      seen.push([...document.querySelectorAll(".up-section h3")].map(h => h.textContent));
      seen.push([...document.querySelectorAll(".up-floors")].map(list => list.innerText));
      m.show("differs");
      seen.push(line.hidden, m.parcels.map((_, i) => m.colour(i)), document.querySelector(".up-legend").innerText);
      m.swipe(true);
      return [...seen, document.querySelector(".up-legend").innerText];
    """
    answer, errors = look(drawn(frame, sides=("first <b>", "second")), tmp_path, script)
    assert errors == []
    swiping, heads, lists, hidden, colours, legend, again = answer["found"]
    assert swiping and hidden and heads == ["first <b>", "second"]
    assert "2,000" in lists[0] and "Homes" not in lists[0] and "800" in lists[1] and "1,200" in lists[1]
    # As much floor area for other uses; nothing stands on either side, but what is done to the parcel differs.
    assert colours == ["#E69F00", "#CC79A7"]
    assert re.search(r"the same\s+0", legend) and re.search(r"as much floor area\s+1", legend)
    assert again.startswith("second: dominant use")


def test_today_and_the_plan_on_two_sides_of_a_line(tmp_path):
    script = """
      upstairsMap.swipe(true);
      const clip = name => document.querySelector(".leaflet-" + name + "-pane").style.clip;
      const line = document.querySelector(".up-swipe"), seen = [clip("up-today"), clip("overlay"), line.hidden];
      line.value = 100; line.dispatchEvent(new Event("input"));
      seen.push(clip("up-today"));
      upstairsMap.swipe(false);
      return [...seen, clip("overlay"), line.hidden];
    """
    answer, errors = look(drawn(), tmp_path, script)
    assert errors == []
    half, right, hidden, whole, gone, again = answer["found"]
    sides = [[float(v) for v in re.findall(r"-?[\d.]+(?=px)", text)] for text in (half, right, whole)]
    assert not hidden and again and gone == ""
    # rect(top, right, bottom, left): today's right end is where the plan's left end is, in the middle of the map.
    assert sides[0][1] == sides[1][3] and sides[0][1] - sides[0][3] == 600
    assert sides[2][1] - sides[2][3] == 1200


@pytest.mark.parametrize("code", ["en", "zh"])
def test_on_a_phone_everything_fits_in_the_width(tmp_path, code):
    script = """
      upstairsMap.open(0);
      const wide = [...document.querySelectorAll(".up-panel, .up-section, .up-section *, .up-panel *")].filter(e => e.getBoundingClientRect().width > 0)
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5);
      return [innerWidth, wide.map(e => e.className + e.tagName), document.documentElement.lang];
    """
    chart = drawn(facts=[("Score", "0.4533, at most 0.4535"), ("Floor area", "1", "2")], language=language(code))
    # Headless windows are 500 px wide at least: a frame of 375 px stands in for a phone.
    inner = chart.get_root().render()
    run = f"""<script>addEventListener("load", () => {{ parent.postMessage(JSON.stringify((() => {{ {script} }})()), "*"); }});</script>"""
    page = (inner + run).replace("&", "&amp;").replace('"', "&quot;")
    file = tmp_path / "phone.html"
    file.write_text(
        f"""<iframe style="width:375px;height:667px;border:0" srcdoc="{page}"></iframe><script>
        addEventListener("message", e => {{ const out = document.createElement("pre"); out.id = "found"; out.textContent = e.data; document.body.append(out); }});
        </script>""",
        encoding="utf-8",
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    ended = subprocess.run(["chromium", *flags, f"file://{file}"], capture_output=True, text=True, timeout=120)
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', ended.stdout, re.DOTALL).group(1))
    assert found == [375, [], code]


def test_all_can_be_reached_by_keyboard_and_is_named(tmp_path):
    script = """
      document.querySelectorAll("details").forEach(d => d.open = true);
      upstairsMap.open(0);
      const named = e => e.getAttribute("aria-label") || e.textContent.trim() || (e.closest("label") || {}).textContent || e.title;
      const controls = [...document.querySelectorAll("input, select, button, summary, a")].filter(e => !e.hidden);
      document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
      return [controls.filter(e => e.tabIndex < 0).length, controls.filter(e => !named(e)).map(e => e.outerHTML), document.querySelector(".up-section").hidden,
        upstairsMap.map.getContainer().tabIndex];
    """
    answer, errors = look(drawn(), tmp_path, script)
    assert errors == [] and answer["found"] == [0, [], True, 0]


def field(folder, name, value):
    """A field that grows eastwards by 0.1 dB(A) a metre from a value at the parcels' western edge."""
    file = folder / f"{value}.tif"
    bounds = (499_980, 5_299_980, 500_110, 5_300_040)
    write_field(file, lambda x, y: value + (x - 500_000) / 10, bounds, "EPSG:32632", 5, unit="dB(A)", description=name)
    return overlay(
        file, noise_palette(name), {value + 5: f"{value + 5:g} dB(A): limit & <i>more</i>", 99.0: "too loud"}
    )


TOGGLE = """
    const seen = [], m = upstairsMap;
    const look = () => seen.push([
      [...document.querySelectorAll("img.up-field")].map(i => [i.src.slice(0, 22), +i.style.opacity]),
      m.fields[0].group.getLayers().filter(l => l instanceof L.GeoJSON && m.map.hasLayer(l)).length,
      [...document.querySelectorAll(".up-level")].map(e => e.textContent),
      document.querySelector(".up-legend").innerText,
      m.parcels[0].options.fillOpacity]);
    const boxes = [...document.querySelectorAll("summary")].find(s => s.textContent === "Noise and air").parentElement.querySelectorAll("input");
    look();
    boxes[0].click();
    look();
    m.show("floors");
    look();
    boxes[1].click();
    const one = [...boxes].map(b => b.checked);
    boxes[1].click();
    look();
    const b = m.fields[0].group.getLayers().find(l => l instanceof L.ImageOverlay).getBounds();
    return [seen, [...boxes].map(i => i.parentElement.textContent.trim()), [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()],
      getComputedStyle(document.querySelector(".leaflet-up-fields-pane")).pointerEvents, one];
"""


def test_fields_lie_over_the_parcels_with_their_legend_and_limit(tmp_path):
    fields = [field(tmp_path, "Noise Lden: plan", 50.0), field(tmp_path, HOSTILE, 40.0)]
    answer, errors = look(drawn(overlays=fields), tmp_path, TOGGLE)
    assert errors == []
    seen, names, bounds, pointer, one = answer["found"]
    assert names == ["Noise Lden: plan", HOSTILE]
    assert one == [False, True], "the colours of two fields at once are in no legend"
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


def test_colours_of_actions_are_told_apart_by_the_colour_blind():
    """Machado 2009's matrices at full severity; CIE76 difference in Lab."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    colours = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for _, c in ACTIONS.values()])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for name, matrix in matrices.items():
        xyz = np.clip(linear @ np.array(matrix).T, 0, 1) @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(len(lab), 1)]
        assert apart.min() > 10, name


@pytest.mark.slow
def test_13_000_parcels_open_soon_and_are_dragged_smoothly(tmp_path):
    count = 13_000
    column, line = np.arange(count) % 130, np.arange(count) // 130
    x, y = 500_000 + 25.0 * column, 5_300_000 + 25.0 * line
    rows = plan().iloc[[0] * count].reset_index(drop=True)
    rows["parcel_id"] = [f"P{k:05d}" for k in range(count)]
    chart = drawn(rows.set_geometry(shapely.box(x, y, x + 20, y + 20), crs="EPSG:32632"))
    told = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            told.append(json.loads(urllib.parse.unquote(self.path[2:])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # What a drag does with every move of the mouse, for three seconds.
    script = f"""<script>addEventListener("load", () => requestAnimationFrame(() => requestAnimationFrame(() => {{
      const opened = performance.now(), map = upstairsMap.map;
      let frames = 0;
      const step = () => {{
        frames++;
        const spent = performance.now() - opened;
        if (spent > 3000) return fetch("http://127.0.0.1:{server.server_address[1]}/?" + encodeURIComponent(JSON.stringify([opened, 1000 * frames / spent])), {{ mode: "no-cors" }});
        map._rawPanBy(L.point(6, 3));
        map.fire("move");
        requestAnimationFrame(step);
      }};
      step();
    }})));</script>"""
    file = tmp_path / "map.html"
    file.write_text(chart.get_root().render().replace("</html>", script + "</html>"), encoding="utf-8")
    assert file.stat().st_size < 15e6
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,850"]
    browser = subprocess.Popen(
        ["chromium", *flags, f"file://{file}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while not told and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()
    (opened, rate) = told[0]
    print(f"opened in {opened / 1000:.1f} s, {rate:.0f} frames/s, {file.stat().st_size / 1e6:.1f} MB")
    assert opened < 5000 and rate > 30
