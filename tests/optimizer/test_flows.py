"""Flows of a plan: what they move is the audit's transport problem, and their ways are shortest by networkx."""

import networkx as nx
import numpy as np
import pytest

import optimizer
from optimizer.files import read_layers, write_plan
from optimizer.flows import along, linked
from optimizer.uses import Linkage
from tests.districts import lots, study

SERVED = {"proximity": 1.0, "mixing": 0.0, "density": 0.2}


@pytest.fixture(scope="module")
def plan():
    asked = study(
        rules=[{"kind": "programme", "min_share": {"shops": 0.2, "making": 0.2, "homes": 0.2}}], objective=SERVED
    )
    return optimizer.solve(asked, lots(9, columns=3, max_far=[0.6] * 9, storeys=[0] * 9))


def test_what_flows_is_what_the_transport_problem_serves(plan):
    layers = plan.layers()
    for link in plan.study.linkage_list:
        served = sum(part.served.sum() for part in plan.evidence.proximity[1] if part.linkage == link)
        own = [
            f.loc[(f["client_use"] == link.client) & (f["supplier_use"] == link.supplier), "served_m2"].sum()
            for f in (layers["flows"], layers["flows_inside"])
        ]
        assert sum(own) == pytest.approx(served, abs=0.5 * len(plan.action) ** 2 + 1e-6)
        shown = next(
            x
            for x in linked(plan.study, plan.to_frame(), layers)
            if (x.client, x.supplier) == (link.client, link.supplier)
        )
        asked = link.demand * plan.to_frame()[f"gfa_{link.client}"]
        assert shown.inside + shown.outside + shown.unmet == pytest.approx(asked.to_numpy(), abs=0.01)
    assert len(layers["flows"]) > 0


def test_a_flow_walks_a_shortest_way_and_streets_carry_the_sum(plan):
    layers = plan.layers()
    walks, flows, sites = layers["walks"], layers["flows"], layers["sites"]
    graph = nx.Graph()
    for edge in walks.itertuples():
        graph.add_edge(edge.from_node, edge.to_node, weight=edge.length_m)
    door = {(s.parcel_id, s.site): (s.door_node, s.access_m) for s in sites.itertuples()}
    carried = 0.0
    for flow in flows.itertuples():
        (a, far), (b, back) = door[flow.client_parcel, flow.client_site], door[flow.supplier_parcel, flow.supplier_site]
        length = nx.shortest_path_length(graph, a, b, weight="weight")
        assert flow.walk_m == pytest.approx(far + length + back, abs=0.02)
        # Access is a walk to the street, drawn as the straight line from the building's middle.
        assert flow.geometry.length <= flow.walk_m + 0.05
        carried += flow.served_m2 * length
    streets = sum(walks[along(link)] for link in plan.study.linkage_list)
    assert float((streets * walks["length_m"]).sum()) == pytest.approx(carried, rel=1e-3)


def test_the_package_holds_the_same_layers(plan, tmp_path):
    write_plan(plan, tmp_path / "plan")
    read, own = read_layers(tmp_path / "plan"), plan.layers()
    assert set(read) == {*own, "floors"}
    for name in ("flows", "flows_inside"):
        assert read[name]["served_m2"].to_numpy() == pytest.approx(own[name]["served_m2"].to_numpy())
        assert read[name].geometry.is_valid.all() and read[name].crs == own[name].crs
    again = linked(plan.study, plan.to_frame(), read)
    assert np.concatenate([x.along for x in again]) == pytest.approx(
        np.concatenate([x.along for x in linked(plan.study, plan.to_frame(), own)])
    )


def test_no_two_linkages_share_a_column():
    """Names with underscores: a_b on c, and a on b_c."""
    ends = [("a_b", "c"), ("a", "b_c")]
    links = [Linkage(client, supplier, 0.5, 100.0, 1.0) for client, supplier in ends]
    assert len({along(link) for link in links}) == 2
