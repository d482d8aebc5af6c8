"""The optimum against every plan there is: rules, entropy and transport written down again, independently."""

import itertools
import math

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from optimizer.errors import InfeasibleError
from tests.districts import USES, lots, problem_of, solve, study
from tests.enumeration import LAND, NAMES, PLATE, best_score, plans_of, situations, tries


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
        "each": [{"kind": "retention", "use": use, "share": 1.0, "by": "parcel"}],
        "demolition": [{"kind": "demolition", "max_share": share}],
        "locked": [{"kind": "locked", "where": "parcel_id == 'L0'"}],
        "banned": [{"kind": "banned", "uses": [use], "where": where}],
        "storey": [{"kind": "stacking", "highest": {use: 1}, "lowest": {other: 2}}],
        "order": [{"kind": "stacking", "not_over": [["homes", "making"]], "at_grade": ["shops", "making"]}],
        "noise": [
            {"kind": "noise", "method": "din45691", "limits": {"homes": draw(st.sampled_from([46.0, 48.0, 51.0]))}}
        ],
        "open": [{"kind": "open_land", "min_share": share}],
    }
    family = draw(st.sampled_from(list(rules)))
    return far, storeys, today, park, rules[family], draw(st.integers(5, 120))


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
        if rule.get("by"):
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
    if kind == "stacking":
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


def best_of_all(asked, district, far, storeys, park, rules):
    def score(s):
        kept = all(holds(r, s.action, s.floors, s.area, s.today, far, s.xy) for r in rules)
        return 0.0 if kept else None

    return best_score(asked, district, situations(district, far, storeys, park, ["A"] * len(far)), score)


@settings(max_examples=tries(300), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(districts())
def test_same_optimum_and_same_feasibility_as_every_plan_tried(case):
    far, storeys, today, park, rules, gap = case
    size = math.prod(len(plans_of(round(f * LAND / PLATE), s, p)) for f, s, p in zip(far, storeys, park))
    assume(size <= 1500)
    facts = {f"gfa_{u}": [PLATE * s * (u == t) for s, t in zip(storeys, today)] for u in NAMES}
    frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, **facts)
    columns = ("id", "max_far", "coverage", "storeys", "protected")
    asked = study(rules=rules, lot_columns=columns)
    district = problem_of(asked, frame).district

    expected = best_of_all(asked, district, far, storeys, park, rules)
    try:
        plan = solve(asked, frame)
    except InfeasibleError:
        assert expected == -math.inf
        return
    assert abs(plan.result["objective"] - expected) <= 3e-6 * max(abs(expected), 1e-3)
    assert plan.result["bound"] >= expected - 1e-7
