"""Storeys as solids: heights and volumes by hand, closed surfaces, and a page that a browser draws."""

import itertools
import json
import re
import subprocess
import sys

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geodata.maps import UseStyle
from geodata.solids import Place, page_3d, slabs, write_cityjson

USES = [UseStyle("making", "Making", "#D55E00"), UseStyle("homes", "Homes", "#009E73")]
HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">{{ 7 * 7 }}"
CRS = "EPSG:32632"


@pytest.fixture
def town():
    """A building of two storeys, the upper one shared, and one of one storey around a court."""
    court = shapely.box(500_050, 5_300_000, 500_090, 5_300_040) - shapely.box(500_060, 5_300_010, 500_080, 5_300_030)
    shapes = [shapely.box(500_000, 5_300_000, 500_040, 5_300_020), court]
    sites = gpd.GeoDataFrame({"parcel_id": ["A", HOSTILE], "site": [1, 1]}, geometry=shapes, crs=CRS)
    rows = [
        ("A", 1, 1, "making", 500.0, 0.0, 5.0),
        ("A", 1, 2, "making", 200.0, 5.0, 9.0),
        ("A", 1, 2, "homes", 300.0, 5.0, 9.0),
        (HOSTILE, 1, 1, "homes", 1200.0, 0.0, 3.0),
    ]
    columns = ["parcel_id", "site", "storey", "use", "gfa_m2", "from_m", "to_m"]
    table = pd.DataFrame(rows, columns=columns).assign(jobs=1.0, homes=0.0, action="redevelop")
    return gpd.GeoDataFrame(table, geometry=[shapes[0]] * 3 + [court], crs=CRS), sites


def test_a_storey_stands_on_the_one_below_and_what_shares_one_lies_within_it(town):
    found = slabs(*town)
    assert found["bottom_m"].tolist() == [0.0, 5.0, 6.6, 0.0]
    assert found["top_m"].tolist() == [5.0, 6.6, 9.0, 3.0]
    assert found.geometry.area.to_numpy() == pytest.approx([500.0, 500.0, 500.0, 1200.0], abs=1e-3)
    # Volume is that of the floors at their heights.
    volume = (found.geometry.area * (found["top_m"] - found["bottom_m"])).groupby(found["use"]).sum()
    assert volume.to_dict() == pytest.approx({"making": 500 * 5 + 200 * 4, "homes": 300 * 4 + 1200 * 3}, rel=1e-5)


def _volume_and_edges(shell, vertices):
    """Volume within a surface by the divergence theorem, and how often each of its edges runs each way."""
    volume, edges = 0.0, {}
    for rings in shell:
        for ring in rings:
            for a, b in zip(ring, ring[1:] + ring[:1]):
                edges[a, b] = edges.get((a, b), 0) + 1
            for b, c in itertools.pairwise(ring):
                volume += np.dot(vertices[ring[0]], np.cross(vertices[b], vertices[c])) / 6
    return volume, edges


def test_solids_are_closed_turned_outwards_and_as_large_as_the_storeys(town, tmp_path):
    found = slabs(*town)
    write_cityjson(found, tmp_path / "town.city.json", Place("Town"))
    data = json.loads((tmp_path / "town.city.json").read_text())
    transform = data["transform"]
    # Around the middle, so that the sum is of numbers as large as the result.
    vertices = np.array(data["vertices"]) * transform["scale"]
    storeys = [o for o in data["CityObjects"].values() if o["type"] == "BuildingStorey"]
    assert len(storeys) == 4 and len(data["CityObjects"]) == 6
    for part, row in zip(storeys, found.itertuples()):
        (geometry,) = part["geometry"]
        volume, edges = _volume_and_edges(geometry["boundaries"][0], vertices)
        assert volume == pytest.approx(row.geometry.area * (row.top_m - row.bottom_m), rel=1e-3)
        assert set(edges.values()) == {1} and all((b, a) in edges for a, b in edges)
        assert part["attributes"]["gfa_m2"] == row.gfa_m2
    heights = [o["attributes"]["measuredHeight"] for o in data["CityObjects"].values() if o["type"] == "Building"]
    assert heights == [9.0, 3.0]
    west, south, _, east, north, high = data["metadata"]["geographicalExtent"]
    assert [west, south, east, north] == pytest.approx(found.total_bounds.tolist(), abs=0.002) and high == 9.0


def test_cjio_reads_what_is_written(town, tmp_path):
    write_cityjson(slabs(*town), tmp_path / "town.city.json", Place(HOSTILE))
    # In a process of its own: cjio rounds every number that JSON writes thereafter to six decimals.
    ended = subprocess.run(
        [sys.executable, "-c", "from cjio.cjio import cli; cli()", str(tmp_path / "town.city.json"), "info"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout
    assert "CityJSON version = 2.0" in said and "EPSG = 32632" in said
    assert "Building (2)" in said and "BuildingStorey (4)" in said


@pytest.mark.browser
def test_the_page_draws_its_storeys_and_asks_no_host(town, tmp_path):
    storeys, sites = town
    page = page_3d(slabs(storeys, sites), sites, sites.iloc[:0], USES, Place(HOSTILE, HOSTILE, [HOSTILE]))
    probe = """<script>addEventListener("load", () => setTimeout(() => {
      const out = document.createElement("pre");
      out.id = "found";
      const layers = upstairsDeck.props.layers.map(l => [l.id, l.props.data.length]);
      out.textContent = JSON.stringify([document.title, document.querySelector("aside").innerText, layers, performance.getEntriesByType("resource").map(e => e.name),
        document.querySelectorAll("img").length, upstairsDeck.props.getTooltip({ object: { t: "<b>x</b>" }, picked: true, layer: {} })]);
      document.body.append(out);
    }, 1500));</script>"""
    file = tmp_path / "town.html"
    file.write_text(page.replace("</html>", probe + "</html>"), encoding="utf-8")
    gl = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
    flags = ["--headless", "--no-sandbox", *gl, "--virtual-time-budget=8000", "--window-size=900,600"]
    ended = subprocess.run(
        ["chromium", *flags, "--dump-dom", f"file://{file}"], capture_output=True, text=True, timeout=120
    )
    text = re.search(r'<pre id="found">(.*?)</pre>', ended.stdout, re.DOTALL).group(1)
    for entity, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, plain)
    title, legend, layers, fetched, images, tooltip = json.loads(text)
    assert title == HOSTILE and legend.count(HOSTILE) == 2
    assert "1,500 m²" in legend and "700 m²" in legend
    assert [count for _, count in layers] == [2, 0, 4]
    assert fetched == [] and images == 0
    assert "html" not in tooltip and tooltip["text"] == "<b>x</b>"
