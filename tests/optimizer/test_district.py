"""A district on several walking networks is one district, and is told so."""

import io

import numpy as np
import pytest
from rich.console import Console

import optimizer
from geodata.walking import WalkingNetwork
from optimizer import screen
from tests.districts import lots, study

FRAME = lots(4, gap=60.0)
EDGES = np.array([[0, 1], [2, 3]])


def walks(edges):
    xy = np.column_stack([FRAME.centroid.x, FRAME.centroid.y])
    length = np.full(len(edges), 80.0)
    return WalkingNetwork(xy, edges, length, np.arange(4), np.full(4, 5.0), np.arange(0), "measured", ("a gap",))


def test_parts_of_the_network_are_named_by_check():
    found = optimizer.check(study(), FRAME, network=walks(EDGES[:1]))
    assert found.network.findings == (
        "a gap",
        "The walking network falls into 3 parts that no walk joins; 2 doors are on the largest, apart from it are "
        "parcels L2; L3",
    )
    told = io.StringIO()
    screen.district(Console(file=told, width=200), found)
    assert "3 parts that no walk joins" in told.getvalue()
    joined = walks(np.array([[0, 1], [1, 2], [2, 3]]))
    assert optimizer.check(study(), FRAME, network=joined).network.findings == ("a gap",)


def test_parts_are_planned_as_one_district():
    """Two parts, one programme: what it asks of all floors together holds over both, and demand is met in its own."""
    asked = study(
        linkages=[{"client": "homes", "supplier": "shops", "demand": 1.0, "reach": 120.0}],
        objective={"proximity": 1.0, "mixing": 0.0},
        rules=[{"kind": "programme", "max_floor_area": 960.0, "min_share": {"homes": 0.5, "shops": 0.5}}],
    )
    plan = optimizer.solve(asked, parcels=FRAME, network=walks(EDGES))
    area = plan.floor_area
    assert area.sum(axis=0)[1:] == pytest.approx([480.0, 480.0])
    assert plan.result["indices"]["proximity"]["shares"]["unserved"] == pytest.approx(0.0, abs=1e-6)
    assert sum("parts that no walk joins" in text for text in plan.result["walking"]["findings"]) == 1


@pytest.mark.parametrize(("chosen", "said"), [("parcel_id == 'L1'", False), ("parcel_id == 'L9'", True)])
def test_open_land_that_no_parcel_is_is_found(chosen, said):
    asked = study()
    parcels = asked.parcels.model_copy(update={"open_land": chosen})
    found = optimizer.check(asked.model_copy(update={"parcels": parcels}), FRAME)
    assert found.parcels["protected"].tolist() == [False, not said, False, False]
    assert [f.kind for f in found.found.findings if "open_land" in f.kind] == ["no_open_land"] * said
