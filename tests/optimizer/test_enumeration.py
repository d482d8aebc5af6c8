"""The optimum against every plan there is: rules, entropy and transport written down again, independently."""

import itertools
import math

import networkx as nx
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optimizer.errors import InfeasibleError
from optimizer.problem import all_rules
from optimizer.reference import most_floor_area
from tests.districts import LINKS, USES, lots, problem_of, solve, study

NAMES = list(USES)
PLATE = 240.0
LAND = 400.0


def compositions(total, parts):
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)


@st.composite
def districts(draw):
    """Lots with limits and buildings, and one rule of any kind on top of the implied ones."""
    count = draw(st.integers(1, 4))
    most = {1: 4, 2: 3, 3: 2, 4: 1}[count]
    far = [draw(st.integers(1, most)) * PLATE / LAND for _ in range(count)]
    storeys = [draw(st.integers(0, 2)) for _ in range(count)]
    today = [draw(st.sampled_from(NAMES)) for _ in range(count)]
    park = [draw(st.integers(0, 9)) == 0 for _ in range(count)]
    share = draw(st.sampled_from([0.2, 0.34, 0.5]))
    use, other = draw(st.permutations(NAMES))[:2]
    where = draw(st.sampled_from([None, "parcel_id == 'L0'"]))
    rules = {
        "none": [],
        "far": [{"kind": "floor_area", "max_far": 1.2, "where": "parcel_id == 'L0'"}],
        "height": [{"kind": "height", "max_height": draw(st.sampled_from([7.0, 9.0])), "max_floors": 3}],
        "coverage": [{"kind": "coverage", "max_coverage": 0.5, "where": "parcel_id == 'L0'"}],
        "share": [{"kind": "programme", "min_share": {use: share}}],
        "cap": [{"kind": "programme", "max_share": {use: share}, "min_floor_area": 200}],
        "total": [{"kind": "programme", "max_floor_area": 900, "min_jobs": 5}],
        "homes": [{"kind": "programme", "min_homes": 3, "max_homes": 9}],
        "retention": [{"kind": "retention", "use": use, "share": share}],
        "each": [{"kind": "retention", "use": use, "share": 1.0, "each_parcel": True}],
        "demolition": [{"kind": "demolition", "max_share": share}],
        "locked": [{"kind": "locked", "where": "parcel_id == 'L0'"}],
        "banned": [{"kind": "banned", "uses": [use], "where": where}],
        "storey": [{"kind": "vertical_order", "highest": {use: 1}, "lowest": {other: 2}}],
        "order": [{"kind": "vertical_order", "not_over": [["homes", "making"]], "at_grade": ["shops", "making"]}],
        "noise": [{"kind": "noise", "limits": {"homes": draw(st.sampled_from([46.0, 48.0, 51.0]))}}],
        "open": [{"kind": "open_land", "min_share": share}],
    }
    family = draw(st.sampled_from(list(rules)))
    return far, storeys, today, park, rules[family], draw(st.integers(5, 120))


def plans_of(far, storeys, park):
    """Every (action, floors) of one lot."""
    options = [("keep", (0, 0, 0))]
    if park:
        return options
    if storeys:
        options += [("convert", f) for f in compositions(storeys, 3)] + [("clear", (0, 0, 0))]
    most = round(far * LAND / PLATE)
    options += [("redevelop", f) for n in range(1, most + 1) for f in compositions(n, 3)]
    return options


def holds(rule, action, floors, g, today, far, xy):
    """Whether one plan satisfies one rule; written from the rule's words."""
    total, stands = g.sum(), today.sum()
    first = [True] + [rule.get("where") is None] * (len(action) - 1)
    kind = rule["kind"]
    new = [a == "redevelop" for a in action]
    built = [a in ("redevelop", "convert") for a in action]
    if kind == "floor_area":
        return all(not (f and n) or x.sum() <= rule["max_far"] * LAND + 1e-6 for f, n, x in zip(first, new, g))
    if kind == "height":
        heights = floors @ np.array([u["storey_height"] for u in USES.values()])
        return all(not n or (h <= rule["max_height"] and f.sum() <= 3) for n, h, f in zip(new, heights, floors))
    if kind == "coverage":
        return not new[0]
    if kind == "programme":
        jobs = g[:, 0].sum() / 40 + g[:, 1].sum() / 20
        homes = g[:, 2].sum() / 80
        ok = all(g[:, NAMES.index(u)].sum() >= s * total - 1e-6 for u, s in rule.get("min_share", {}).items())
        ok &= all(g[:, NAMES.index(u)].sum() <= s * total + 1e-6 for u, s in rule.get("max_share", {}).items())
        ok &= rule.get("min_floor_area", 0) <= total <= rule.get("max_floor_area", math.inf)
        return (
            ok
            and jobs >= rule.get("min_jobs", 0)
            and rule.get("min_homes", 0) <= homes <= rule.get("max_homes", math.inf)
        )
    if kind == "retention":
        u = NAMES.index(rule["use"])
        if rule.get("each_parcel"):
            return bool((g[:, u] >= today[:, u] - 1e-6).all())
        return g[:, u].sum() >= rule["share"] * today[:, u].sum() - 1e-6
    if kind == "demolition":
        gone = sum(t.sum() for a, t in zip(action, today) if a in ("redevelop", "clear"))
        return gone <= rule["max_share"] * stands + 1e-6
    if kind == "locked":
        return action[0] == "keep"
    if kind == "banned":
        u = NAMES.index(rule["uses"][0])
        return all(not (c and a != "keep") or x[u] == 0 for c, a, x in zip(first, action, g))
    if kind == "vertical_order":
        for b, f in zip(built, floors):
            stack = [u for u, n in zip(NAMES, f) for _ in range(n)]
            if not b or not stack:
                continue
            for storey, use in enumerate(stack, 1):
                if storey > rule.get("highest", {}).get(use, 99) or storey < rule.get("lowest", {}).get(use, 1):
                    return False
            if rule.get("at_grade") and stack[0] not in rule["at_grade"]:
                return False
            if any([up, low] in rule.get("not_over", []) for low, up in itertools.pairwise(stack)):
                return False
        return True
    if kind == "noise":
        energy = 10 ** (rule["limits"]["homes"] / 10)
        for i in range(len(g)):
            heard = sum(g[j, 0] * 10**6 / (4 * math.pi * ((xy[i] - xy[j]) ** 2).sum()) for j in range(len(g)) if j != i)
            if g[i, 2] > 0 and heard > energy * (1 + 1e-9):
                return False
        return True
    if kind == "open_land":
        return (g.sum(axis=1) == 0).mean() >= rule["min_share"] - 1e-9
    raise AssertionError(kind)


def transport_value(g, distance):
    """Best value of the pairwise transport problem, by linprog over all pairs."""
    n = len(g)
    cost, bounds, rows, limits = [], [], [], []
    supply = {u: np.zeros((n, len(LINKS) * n * n)) for u in NAMES}
    for k, link in enumerate(LINKS):
        for i in range(n):
            row = np.zeros(len(LINKS) * n * n)
            for j in range(n):
                at = (k * n + i) * n + j
                near = distance[i, j] < link["reach"]
                cost.append(-link["strength"] * (1 - distance[i, j] / link["reach"]) if near else 0.0)
                bounds.append((0, None if near else 0))
                row[at] = 1
                supply[link["supplier"]][j, at] = 1
            rows.append(row)
            limits.append(link["demand"] * g[i, NAMES.index(link["client"])])
    for u in NAMES:
        rows.extend(supply[u])
        limits.extend(g[:, NAMES.index(u)])
    return -linprog(cost, A_ub=np.array(rows), b_ub=limits, bounds=bounds).fun


def entropy(g):
    total = g.sum(axis=-1, keepdims=True)
    share = np.divide(g, total, out=np.zeros_like(g), where=total > 0)
    return -(g * np.log(np.where(share > 0, share, 1.0))).sum(axis=-1)


def best_of_all(asked, district, storeys, today, park, far, raw_rules):
    existing = np.array([[PLATE * s * (u == t) for u in NAMES] for s, t in zip(storeys, today)])
    options = [plans_of(f, s, p) for f, s, p in zip(far, storeys, park)]
    most = most_floor_area(district, all_rules(asked))
    total, value = most[-1], sum(k["strength"] * k["demand"] * most[NAMES.index(k["client"])] for k in LINKS)
    graph = nx.Graph()
    graph.add_weighted_edges_from(
        (a, b, w) for (a, b), w in zip(district.network.edges.tolist(), district.network.length)
    )
    network = district.network
    distance = np.zeros((len(far), len(far)))
    for i in range(len(far)):
        reach = nx.single_source_dijkstra_path_length(graph, int(network.door[i])) if network.door[i] in graph else {}
        for j in range(len(far)):
            if i != j:
                walk = reach.get(int(network.door[j]), math.inf)
                distance[i, j] = walk + network.access[i] + network.access[j]
    groups = district.groups["neighbourhood"]
    candidates = []
    for combination in itertools.product(*options):
        action = [a for a, _ in combination]
        floors = np.array([f for _, f in combination])
        kept = np.array([a == "keep" for a in action])
        g = np.where(kept[:, None], existing, PLATE * floors)
        if not all(holds(r, action, floors, g, existing, far, district.xy) for r in raw_rules):
            continue
        summed = np.array([g[groups == k].sum(axis=0) for k in np.unique(groups)])
        mixing = 0.2 * (entropy(g).sum() + entropy(summed).sum()) / (total * math.log(3)) if total else 0.0
        top = sum(
            k["strength"]
            * min(k["demand"] * g[:, NAMES.index(k["client"])].sum(), g[:, NAMES.index(k["supplier"])].sum())
            for k in LINKS
        )
        candidates.append((mixing + 0.6 * top / value if value else mixing, mixing, g))
    best = -math.inf
    for upper, mixing, g in sorted(candidates, key=lambda c: -c[0]):
        if upper <= best + 1e-12:
            break
        best = max(best, mixing + (0.6 * transport_value(g, distance) / value if value else 0.0))
    return best


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(districts())
def test_same_optimum_and_same_feasibility_as_every_plan_tried(case):
    far, storeys, today, park, rules, gap = case
    size = math.prod(len(plans_of(f, s, p)) for f, s, p in zip(far, storeys, park))
    assume(size <= 1500)
    facts = {f"gfa_{u}": [PLATE * s * (u == t) for s, t in zip(storeys, today)] for u in NAMES}
    frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, **facts)
    columns = ("id", "max_far", "coverage", "storeys", "protected")
    asked = study(rules=rules, lot_columns=columns)
    district = problem_of(asked, frame).district
    expected = best_of_all(asked, district, storeys, today, park, far, rules)
    try:
        plan = solve(asked, frame)
    except InfeasibleError:
        assert expected == -math.inf
        return
    assert abs(plan.result["objective"] - expected) <= 3e-6 * max(abs(expected), 1e-3)
    assert plan.result["bound"] >= expected - 1e-7
