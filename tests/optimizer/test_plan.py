"""A plan in Python: tables, maps and figures; the numbers that ship."""

import matplotlib as mpl
import numpy as np
import pytest

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.uses import catalogue
from tests.districts import lots, random_lots, solve, study

mpl.use("agg")


@pytest.fixture(scope="module")
def plan():
    return solve(study(), random_lots(np.random.default_rng(2), 5))


def test_frame_holds_the_contract(plan):
    frame = plan.to_frame()
    columns = {"parcel_id", "action", "floors", "gfa_m2", "far", "height_m", "dominant_use", "stack"}
    columns |= {f"{kind}_{use}" for kind in ("gfa", "floors") for use in ("making", "shops", "homes")}
    assert columns <= set(frame.columns)
    assert frame["gfa_m2"].tolist() == pytest.approx(frame.filter(regex="^gfa_(making|shops|homes)$").sum(axis=1))
    assert frame["far"].tolist() == pytest.approx((frame["gfa_m2"] / frame.area).round(4))
    for stack, total in zip(frame["stack"], frame["gfa_m2"]):
        assert sum(item["gfa_m2"] for item in stack) == pytest.approx(total)
        assert all(item["from"] <= item["to"] for item in stack)
    assert frame.crs.is_projected


def test_map_figure_and_notebook(plan):
    html = plan._repr_html_()
    assert "iframe" in html
    assert plan.study.name in plan.explore().get_root().render()
    axes = plan.plot()
    assert axes.get_title() == plan.study.name
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Making", "Shops", "Homes"]


def test_parcels_and_streets_from_python():
    lots_, streets = synthetic_district(12)
    uses = ("workshop", "rnd", "housing", "services")
    columns = {c: c for c in ("id", "max_far", "max_height", "coverage", "storeys")}
    asked = {
        "name": "From Python",
        "parcels": {"columns": columns, "existing": {u: f"gfa_{u}" for u in uses}},
        "rules": [{"kind": "programme", "min_today": 1.0, "max_today": 1.5}],
        "solve": {"gap": 0.05, "time_limit": 60},
    }
    result = optimizer.solve(asked, parcels=lots_, streets=streets).result
    assert result["walking"]["source"] == "streets"
    assert result["gap"] <= 0.05
    assert optimizer.check(asked, lots_).network.source == "parcels"


def test_linked_uses_stand_on_adjoining_floors():
    """Homes and making draw on shops; between them shops touch both."""
    links = [
        {"client": "homes", "supplier": "shops", "demand": 1.0, "reach": 100},
        {"client": "making", "supplier": "shops", "demand": 1.0, "reach": 100},
    ]
    asked = study(linkages=links, rules=[{"kind": "programme", "min_share": {"homes": 0.3, "making": 0.3}}])
    stack = solve(asked, lots(1, max_far=1.8)).to_frame()["stack"].iloc[0]
    assert [item["use"] for item in stack] == ["making", "shops", "homes"]


def test_every_shipped_number_has_a_source_and_a_status():
    known = {"confirmed", "reported", "illustrative"}
    for fields in catalogue()["uses"].values():
        numbers = [item for item in fields.values() if isinstance(item, dict)]
        assert len(numbers) >= 3
        assert all(item["status"] in known and item["source"] and item["unit"] for item in numbers)
    assert len(catalogue()["linkages"]) >= 5
    assert all(link["status"] in known and link["source"] for link in catalogue()["linkages"])
