"""Contiguity: parcels that hold certain uses lie together."""

import itertools

import networkx as nx
import numpy as np
import pytest
import shapely
from hypothesis import strategies as st

from optimizer.errors import InfeasibleError, StudyError
from tests.districts import checked, lots, solve, study
from tests.enumeration import NAMES, PLATE, family

DENSE = {"proximity": 0, "mixing": 0, "density": 1}


@st.composite
def rules(draw, extra=()):
    rule = {"kind": "contiguity", "uses": draw(st.permutations(NAMES))[: draw(st.integers(1, 2))]}
    rule |= {"parts": draw(st.integers(1, 2)), "gap": draw(st.sampled_from([30.0, 60.0, 130.0]))}
    rule |= draw(st.sampled_from([{}, {"min_floor": 300.0}, {"min_floor": 480.0}]))
    rule |= draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"roots": ["L0"]}]))
    for key, values in extra:
        rule[key] = draw(st.sampled_from(values))
    return rule


def missed(rule, s):
    """Parts beyond those allowed, parts without a root, m of perimeter and m of radius."""
    floor = s.area[:, [NAMES.index(u) for u in rule["uses"]]].sum(axis=1)
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(s.chosen(rule) & (floor >= rule.get("min_floor", 1.0))))
    graph.add_edges_from((i, j) for i in graph for j in graph if i < j and s.xy[j, 0] - s.xy[i, 0] - 20 <= rule["gap"])
    parts = list(nx.connected_components(graph))
    total = float(max(len(parts) - rule["parts"], 0))
    if "roots" in rule:
        total += sum(0 not in part for part in parts)
    if "max_perimeter" in rule:
        total += max(80.0 * len(graph) - rule["max_perimeter"], 0.0)
    if "max_radius" in rule:
        for part in parts:
            roots = part & {0} if "roots" in rule and 0 in part else part
            radius = min(max(abs(s.xy[i, 0] - s.xy[j, 0]) for i in part) for j in roots)
            total += max(radius - rule["max_radius"], 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.02, 0.5), examples=60)
test_same_optimum_with_a_perimeter = family(rules([("max_perimeter", [80.0, 100.0, 200.0])]), missed, examples=40)
test_same_optimum_with_a_radius = family(
    rules([("max_radius", [10.0, 45.0, 80.0, 150.0])]), missed, prices=(), examples=60
)


def outline(cells):
    return shapely.union_all([shapely.box(20 * x, 20 * y, 20 * x + 20, 20 * y + 20) for x, y in cells]).length


def reach(cells, roots, side):
    """Furthest member from the best root of a part, m."""
    return min(max(side * np.hypot(a[0] - b[0], a[1] - b[1]) for b in cells) for a in roots)


@pytest.mark.parametrize("seed", range(24))
def test_a_grid_as_every_choice_of_lots_tried(seed):
    """Nine built lots in a square: homes at some of them, of 512 choices.

    A lot with homes holds those of today or new ones; one without keeps its workshop, or is cleared. Every other
    district has lots side by side, where those at a corner touch; in the others a street of 5 m runs all around.
    """
    rng = np.random.default_rng(seed)
    apart = 5.0 * (seed % 2)
    new, today, homes = rng.integers(1, 4, 9), rng.integers(1, 4, 9), rng.random(9) < 0.3
    rule = {"kind": "contiguity", "uses": ["homes"], "gap": 6.0 if apart else 1.0, "parts": int(rng.integers(1, 3))}
    if rng.random() < 0.4:
        rule["roots"] = [f"L{i}" for i in sorted(rng.choice(9, 2, replace=False))]
    measure = rng.choice(["none", "perimeter", "radius"])
    price = float(rng.choice([0.0, 0.01, 0.1])) if measure != "radius" else 0.0
    if measure == "perimeter":
        rule["max_perimeter"] = float(rng.choice([160, 200, 240, 280]))
        price /= 100
    if measure == "radius":
        rule["max_radius"] = float(rng.choice([22, 29, 36, 45]))
    needed = int(rng.integers(6, 13))
    asked = study(
        rules=[
            rule | ({"price": price} if price else {}),
            {"kind": "banned", "uses": ["making", "shops"]},
            {"kind": "programme", "min_area": {"homes": PLATE * needed}},
        ],
        objective=DENSE,
        actions={"allowed": ["keep", "redevelop", "clear"]},
        solve={"gap": 0, "threads": 1, "time_limit": 60},
    )
    frame = lots(
        9,
        columns=3,
        gap=apart,
        max_far=0.6 * new,
        storeys=today,
        gfa_homes=PLATE * today * homes,
        gfa_making=PLATE * today * ~homes,
    )
    cells = [(i % 3, i // 3) for i in range(9)]
    grid = nx.Graph()
    for a, b in itertools.combinations(cells, 2):
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1 and (not apart or a[0] == b[0] or a[1] == b[1]):
            grid.add_edge(a, b)
    roots = {cells[int(i[1:])] for i in rule.get("roots", [])} or set(cells)
    inside, outside = np.where(homes, np.maximum(new, today), new), np.where(homes, 0, today)
    best = -np.inf
    for choice in itertools.product([False, True], repeat=9):
        at = np.array(choice)
        if inside[at].sum() < needed:
            continue
        held = {cells[i] for i in np.flatnonzero(at)}
        parts = list(nx.connected_components(grid.subgraph(held)))
        miss = max(len(parts) - rule["parts"], 0) + sum(not part & roots for part in parts)
        if measure == "perimeter":
            length = outline(held) if not apart else 80 * len(held)
            miss += max(length - rule["max_perimeter"], 0)
        if measure == "radius":
            miss += sum(reach(p, p & roots or p, 20 + apart) > rule["max_radius"] for p in parts)
        if price or miss < 1e-6:
            best = max(best, (inside[at].sum() + outside[~at].sum()) / np.maximum(new, today).sum() - price * miss)
    try:
        plan = solve(asked, frame)
    except InfeasibleError:
        assert best == -np.inf
        return
    assert plan.result["objective"] == pytest.approx(best, abs=1e-5)
    assert plan.result["bound"] == pytest.approx(best, abs=1e-5)


def test_floors_of_all_sites_of_a_parcel_add_up():
    """Two parcels of four sites each; three storeys of 240 m² and today's three are enough, two are not."""
    rule = {"kind": "contiguity", "uses": ["homes"], "min_floor": 700.0, "gap": 1.0}
    asked = study(rules=[rule], sites={"plate": 240.0})
    frame = lots(3, side=40.0, gap=5.0, gfa_homes=[0.0, 0.0, 720.0], storeys=[0, 0, 1])
    one = [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    three = [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]]
    none = [[0, 0, 0]] * 4
    action = ["redevelop", "redevelop", "keep"]
    for first, second, count in ((one, one, 1), (three, one, 2), (three, three, 3)):
        (check,) = checked(asked, frame, action, [*first, *second, *none])
        assert check.value == count
    plan = solve(
        study(
            rules=[rule, {"kind": "programme", "min_area": {"homes": 2000}, "max_floor_area": 2800}],
            sites={"plate": 240.0},
            actions={"allowed": ["keep", "redevelop"]},
            objective=DENSE,
        ),
        frame,
    )
    assert len(plan.district.sites) == 12
    assert (plan.to_frame()["gfa_homes"] >= 700).sum() == 1


@pytest.mark.parametrize(("radius", "holds"), [(56.0, False), (79.0, False), (79.1, True)])
def test_a_part_keeps_to_a_root_of_its_own(radius, holds):
    """A hook around one lot: each of its lots is within 56 m of that lot, but up to 79.06 m from the hook's own root."""
    hook = [(1, 1), (0, 1), (0, 2), (0, 3), (1, 3), (1, 4), (2, 4)]
    homes = np.zeros(25)
    homes[[5 * y + x for x, y in [*hook, (2, 2)]]] = PLATE
    frame = lots(25, columns=5, gfa_homes=homes, storeys=(homes > 0).astype(int))
    rule = {"kind": "contiguity", "uses": ["homes"], "parts": 2, "gap": 6.0, "roots": ["L6", "L12"]}
    asked = study(rules=[rule | {"max_radius": radius}, {"kind": "locked"}])
    check = checked(asked, frame, ["keep"] * 25, [[0, 0, 0]] * 25)[2]
    assert check.value == pytest.approx(25 * np.hypot(1, 3))
    assert check.satisfied == holds
    if holds:
        assert (solve(asked, frame).to_frame()["action"] == "keep").all()
    else:
        with pytest.raises(InfeasibleError):
            solve(asked, frame)


@pytest.mark.parametrize("storeys", [1, 2])
def test_a_lot_with_less_than_the_least_floor_connects_nothing(storeys):
    """Two storeys of homes stay on either side; the lot between connects them once it holds two as well."""
    rules = [
        {"kind": "contiguity", "uses": ["homes"], "gap": 6.0, "min_floor": 480.0},
        {"kind": "locked", "where": ["L0", "L2"]},
        {"kind": "programme", "max_area": {"homes": 960.0 + PLATE * storeys}},
    ]
    frame = lots(3, max_far=1.2, gfa_homes=[480.0, 0.0, 480.0], storeys=[2, 0, 2])
    if storeys == 2:
        assert solve(study(rules=rules), frame).to_frame()["gfa_homes"].tolist() == [480.0] * 3
    else:
        with pytest.raises(InfeasibleError):
            solve(study(rules=rules), frame)


def test_the_rule_holds_where_no_parcel_holds_the_uses():
    rule = {"kind": "contiguity", "uses": ["homes"], "roots": ["L0"]}
    assert checked(study(rules=[rule]), lots(2), ["redevelop"] * 2, [[1, 0, 0], [0, 1, 0]]) == []
    banned = [{"kind": "banned", "uses": ["homes"]}, {"kind": "programme", "max_area": {"homes": 0}}]
    assert solve(study(rules=[rule, *banned]), lots(2)).result["objective"] > 0


def test_parts_without_a_root_are_found():
    rule = {"kind": "contiguity", "uses": ["homes"], "roots": ["L0"], "parts": 2, "gap": 1.0}
    (parts, rootless) = checked(study(rules=[rule]), lots(3), ["redevelop"] * 3, [[0, 0, 1], [1, 0, 0], [0, 0, 1]])
    assert (parts.value, parts.satisfied) == (2, True)
    assert (rootless.value, rootless.satisfied) == (1, False)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"price": 0.1, "max_radius": 100.0}, "max_radius has no price"),
        ({"parts": 0}, "parts"),
        ({"uses": ["homes", "homes"]}, "named twice"),
        ({"roots": ["L0", "L0"]}, "named twice"),
        ({"uses": ["hoems"]}, "did you mean 'homes'"),
        ({"max_perimeter": -1.0}, "max_perimeter"),
    ],
)
def test_what_makes_no_sense_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{"kind": "contiguity", "uses": ["homes"], **rule}])


@pytest.mark.parametrize(
    ("rule", "said"),
    [({"roots": ["L7"]}, "'L7'; the district does not"), ({"roots": ["L0"], "where": ["L1"]}, "where does not choose")],
)
def test_a_root_is_one_of_the_chosen_parcels(rule, said):
    with pytest.raises(StudyError, match=said):
        solve(study(rules=[{"kind": "contiguity", "uses": ["homes"], **rule}]), lots(2))
