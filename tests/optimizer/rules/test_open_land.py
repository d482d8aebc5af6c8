"""Open land: protected parcels stay unbuilt, and a share of the land stays open."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import USES, checked, lots, solve, study
from tests.enumeration import LAND, NAMES, family

COLUMNS = ("id", "max_far", "coverage", "storeys", "protected")
DENSE = {"proximity": 0, "mixing": 0, "density": 1}


MEASURES = {
    "share": st.fixed_dictionaries({"min_share": st.sampled_from([0.2, 0.34, 0.5, 1.0])}),
    "residents": st.fixed_dictionaries({"min_per_resident": st.sampled_from([20.0, 50.0, 100.0])}),
    "reach": st.fixed_dictionaries(
        {"reach": st.sampled_from([60.0, 150.0, 400.0])},
        optional={"client": st.just(["shops", "making"]), "max_unserved": st.just(0.4)},
    ),
}


@st.composite
def rules(draw, measure):
    rule = {"kind": "open_land", "as_of_right": draw(st.booleans()), **draw(MEASURES[measure])}
    rule |= draw(st.sampled_from([{}, {}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))
    if draw(st.integers(0, 5)) == 0:
        rule |= draw(MEASURES["share"])
    if draw(st.booleans()):
        rule |= {"min_patch": draw(st.sampled_from([600.0, 400.0, 800.0, 1200.0]))}
        rule |= {"gap": draw(st.sampled_from([40.0, 130.0]))}
    rule["by"] = draw(st.sampled_from(["district", "district", "zone", "neighbourhood"]))
    return rule


def counted(rule, s):
    """Lots that are open, chosen and in a large enough patch."""
    graph = nx.Graph()
    graph.add_nodes_from(i for i in range(len(s.action)) if s.area[i].sum() == 0 and s.chosen(rule)[i])
    graph.add_edges_from(
        (i, j) for i in graph for j in graph if i < j and abs(s.xy[i] - s.xy[j]).max() - 20 <= rule.get("gap", 1.0)
    )
    patches = nx.connected_components(graph)
    return {i for patch in patches if len(patch) * LAND >= rule.get("min_patch", 0) for i in patch}


def missed(rule, s):
    land = counted(rule, s)
    stands = [a == "keep" and t.sum() > 0 and rule["as_of_right"] for a, t in zip(s.action, s.today)]
    floor = s.counted(rule)
    total = 0.0
    if "min_share" in rule:
        for place in s.places(rule):
            base = LAND * sum(not stands[i] for i in place)
            total += max(rule["min_share"] * base - LAND * len(land & set(place)), 0.0)
    if "min_per_resident" in rule:
        for place in s.places({"by": rule["by"]}):
            residents = 2.0 * floor[place, 2].sum() / USES["homes"]["floor_per_home"]
            total += max(rule["min_per_resident"] * residents - LAND * len(land & set(place)), 0.0)
    if "reach" in rule:
        client = floor[:, [NAMES.index(u) for u in rule.get("client", ["homes"])]].sum(axis=1)
        unserved = sum(f for i, f in enumerate(client) if not any(s.walk[i, j] <= rule["reach"] for j in land))
        total += max(unserved - rule.get("max_unserved", 0.0) * client.sum(), 0.0)
    return total


test_same_optimum_with_a_share_of_land = family(rules("share"), missed, examples=50)
test_same_optimum_with_land_for_residents = family(rules("residents"), missed, examples=50)
test_same_optimum_with_land_in_reach = family(rules("reach"), missed, examples=60)


def test_protected_parcels_and_a_share_stay_open():
    frame = lots(4, protected=[True, False, False, False])
    asked = study(lot_columns=COLUMNS, rules=[{"kind": "open_land", "min_share": 0.5}])
    built = solve(asked, frame).to_frame()["floors"] > 0
    assert not built.iloc[0]
    assert built.sum() == 2


def test_open_land_is_measured():
    asked = study(rules=[{"kind": "open_land", "min_share": 0.5}])
    plan = (["redevelop", "keep", "keep"], [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    check = checked(asked, lots(3), *plan)[-1]
    assert check.value == pytest.approx(2 / 3)
    assert check.satisfied
    protected = study(lot_columns=COLUMNS, rules=[{"kind": "open_land"}])
    (broken,) = checked(protected, lots(3, protected=[True, False, False]), *plan)
    assert broken.broken == ("L0",)
    assert broken.value == 240


@pytest.mark.parametrize("seed", range(12))
def test_patches_of_a_grid_as_every_choice_of_open_lots_tried(seed):
    """Nine lots of different worth in a square, 5 m apart: which of them stay open, of 512 choices."""
    rng = np.random.default_rng(seed)
    storeys = rng.integers(1, 4, 9)
    rule = {"kind": "open_land", "min_share": rng.choice([2, 3, 4]) / 9, "gap": 6.0}
    rule |= {"min_patch": float(rng.choice([800, 1200, 1600, 2000]))}
    price = float(rng.choice([0.0, 1e-4, 1e-3]))
    priced = rule | ({"price": price} if price else {})
    asked = study(rules=[priced], objective=DENSE, solve={"gap": 0, "threads": 1})
    plan = solve(asked, lots(9, columns=3, max_far=0.6 * storeys))
    grid = nx.grid_2d_graph(3, 3)
    best = -1.0
    for choice in itertools.product([False, True], repeat=9):
        graph = grid.subgraph((i // 3, i % 3) for i in range(9) if choice[i])
        large = sum(len(c) for c in nx.connected_components(graph) if len(c) * LAND >= rule["min_patch"])
        short = max(rule["min_share"] * 9 - large, 0.0) * LAND
        if price or short < 1e-6:
            best = max(best, storeys[~np.array(choice)].sum() / storeys.sum() - price * short)
    assert plan.result["objective"] == pytest.approx(best, abs=1e-6)
    assert plan.result["bound"] == pytest.approx(best, abs=1e-6)


def test_lots_at_a_corner_are_no_patch_unless_the_gap_says_so():
    """Four lots in a square, 5 m apart: those across lie 7.1 m from one another."""
    action, floors = ["keep", "redevelop", "redevelop", "keep"], [[0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    for gap, value in ((6.0, 0.0), (7.2, 0.5)):
        rule = {"kind": "open_land", "min_share": 0.5, "min_patch": 800, "gap": gap}
        (check,) = checked(study(rules=[rule]), lots(4, columns=2), action, floors)
        assert check.value == pytest.approx(value)


def test_a_parcel_of_several_sites_is_open_where_none_is_built_on():
    frame = lots(2, side=40.0, gap=5.0, max_far=2.4)
    rules = [{"kind": "open_land", "min_share": 0.5}, {"kind": "programme", "min_share": {"homes": 0.5}}]
    asked = study(rules=rules, objective=DENSE, sites={"plate": 240.0})
    plan = solve(asked, frame)
    assert len(plan.district.sites) == 8
    assert sorted(plan.to_frame()["gfa_m2"]) == pytest.approx([0.0, 2.4 * 1600])
    floors = [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], *4 * [[0, 0, 0]]]
    (check, _) = checked(asked, frame, ["redevelop", "keep"], floors)
    assert (check.value, check.satisfied) == (0.5, True)


def test_residents_are_counted_where_they_live_and_land_where_it_is_chosen():
    """Two storeys of homes are 12 people; the lot that is chosen is open."""
    rule = {"kind": "open_land", "min_per_resident": 30.0, "where": ["L1"]}
    (check,) = checked(study(rules=[rule]), lots(2), ["redevelop", "keep"], [[0, 0, 2], [0, 0, 0]])
    assert check.value == pytest.approx(400 / 12)
    assert check.satisfied
    plan = solve(study(rules=[rule], objective=DENSE), lots(2))
    homes = plan.to_frame()["gfa_homes"]
    assert 30.0 * 2 * homes.sum() / 80 <= 400 * (plan.to_frame()["gfa_m2"].iloc[1] == 0) + 1e-6


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"min_patch": 500.0}, "nothing is measured"),
        ({"price": 0.1}, "nothing is measured"),
        ({"min_share": 0.1, "client": ["homes"]}, "give reach"),
        ({"min_share": 0.1, "max_unserved": 0.1}, "give reach"),
        ({"min_share": 0.1, "gap": 5.0}, "give min_patch"),
        ({"reach": 100.0, "client": ["hoems"]}, "did you mean 'homes'"),
        ({"min_share": 1.5}, "min_share"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "open_land", **rule}])


@pytest.mark.parametrize(
    ("rule", "said"), [({"reach": 100.0}, "no use has homes"), ({"min_per_resident": 1.0}, "no use has any")]
)
def test_uses_without_homes_need_no_open_land(rule, said):
    uses = {name: {k: v for k, v in use.items() if k != "floor_per_home"} for name, use in USES.items()}
    with pytest.raises(StudyError, match=said):
        solve(study(rules=[{"kind": "open_land", **rule}], uses=uses), lots(2))
