"""Every plan of a small district tried, with entropy, transport and rules written down again, independently."""

import itertools
import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from optimizer.errors import InfeasibleError
from optimizer.problem import all_rules
from optimizer.reference import most_floor_area
from tests.districts import LINKS, USES, checked, lots, problem_of, solve, study

NAMES = list(USES)
PLATE = 240.0
LAND = 400.0
COLUMNS = ("id", "zone", "max_far", "coverage", "storeys", "protected")
NEAR = 1e-6
GAP = 1e-3
"""To which families are solved: the best of all plans must lie between plan and bound."""


@dataclass(frozen=True)
class Situation:
    """A plan of square lots L0, L1 ... of 400 m², one building each of 240 m² a storey.

    action : list of keep, convert, redevelop, clear
    floors : (P, 3) new or converted floors of making, shops, homes; 0 where kept
    area, today : (P, 3) m²
    far : (P,) floor-area ratios;  storeys : (P,) storeys today
    xy : (P, 2) middles, m;  walk : (P, P) walking distance, m (0 on the diagonal, inf where none)
    zone : list of A or B;  groups : dict of block and neighbourhood to (P,) numbers
    """

    action: list
    floors: np.ndarray
    area: np.ndarray
    today: np.ndarray
    far: np.ndarray
    storeys: list
    xy: np.ndarray
    walk: np.ndarray
    zone: list
    groups: dict

    def chosen(self, rule):
        """Lots that a rule's where names: none, a list of ids, or zone == 'A'."""
        where = rule.get("where")
        ids = [f"L{i}" for i in range(len(self.action))]
        if where is None:
            return np.ones(len(ids), dtype=bool)
        if isinstance(where, list):
            return np.array([i in where for i in ids])
        assert where == "zone == 'A'", where
        return np.array([z == "A" for z in self.zone])

    def places(self, rule):
        """Arrays of chosen lots that a rule adds up together."""
        by = rule.get("by", "district")
        chosen = self.chosen(rule)
        if by == "district":
            labels = np.zeros(len(chosen))
        elif by in ("parcel", "building"):
            labels = np.arange(len(chosen))
        elif by == "zone":
            labels = np.array([ord(z) for z in self.zone])
        else:
            labels = self.groups[by]
        return [np.flatnonzero(chosen & (labels == k)) for k in np.unique(labels[chosen])]

    def counted(self, rule):
        """Floor area (P, 3) that a rule counts: kept lots none where they stand as of right."""
        kept = np.array([a == "keep" for a in self.action])
        return np.where((kept & bool(rule.get("as_of_right")))[:, None], 0.0, self.area)

    def stack(self, i):
        """Uses of lot i's building from the ground up by rank, one a storey; today's where kept."""
        if self.action[i] == "keep":
            return [u for u, e in zip(NAMES, self.today[i]) for _ in range(round(e / PLATE))]
        return [u for u, n in zip(NAMES, self.floors[i]) for _ in range(n)]


def compositions(total, parts):
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)


def plans_of(most, storeys, park):
    """Every (action, floors) of one lot that may have so many storeys."""
    options = [("keep", (0, 0, 0))]
    if park:
        return options
    if storeys:
        options += [("convert", f) for f in compositions(storeys, 3)] + [("clear", (0, 0, 0))]
    options += [("redevelop", f) for n in range(1, most + 1) for f in compositions(n, 3)]
    return options


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


def walking(network, count):
    """Distances between doors by networkx, m."""
    graph = nx.Graph()
    graph.add_weighted_edges_from((a, b, w) for (a, b), w in zip(network.edges.tolist(), network.length))
    distance = np.zeros((count, count))
    for i in range(count):
        reach = nx.single_source_dijkstra_path_length(graph, int(network.door[i])) if network.door[i] in graph else {}
        for j in range(count):
            if i != j:
                walk = reach.get(int(network.door[j]), math.inf)
                distance[i, j] = walk + network.access[i] + network.access[j]
    return distance


def situations(district, far, storeys, park, zone, extra=0.0):
    """Every plan of the lots."""
    existing = district.existing
    walk = walking(district.network, len(far))
    options = [plans_of(math.floor((f + extra) * LAND / PLATE + 1e-9), s, p) for f, s, p in zip(far, storeys, park)]
    for combination in itertools.product(*options):
        action = [a for a, _ in combination]
        floors = np.array([f for _, f in combination])
        kept = np.array([a == "keep" for a in action])
        area = np.where(kept[:, None], existing, PLATE * floors)
        far_array = np.array(far)
        yield Situation(action, floors, area, existing, far_array, storeys, district.xy, walk, zone, district.groups)


def best_score(asked, district, found, score):
    """Best score over plans; ``score`` gives a plan what its rules add, None where it is not allowed."""
    most = most_floor_area(district, all_rules(asked))
    weights = asked.objective
    total, value = most[-1], sum(k["strength"] * k["demand"] * most[NAMES.index(k["client"])] for k in LINKS)
    groups = district.groups["neighbourhood"]
    candidates = []
    for s in found:
        extra = score(s)
        if extra is None:
            continue
        g = s.area
        summed = np.array([g[groups == k].sum(axis=0) for k in np.unique(groups)])
        mixing = (
            0.5 * weights.mixing * (entropy(g).sum() + entropy(summed).sum()) / (total * math.log(3)) if total else 0
        )
        top = sum(
            k["strength"]
            * min(k["demand"] * g[:, NAMES.index(k["client"])].sum(), g[:, NAMES.index(k["supplier"])].sum())
            for k in LINKS
        )
        fixed = mixing + extra
        candidates.append((fixed + weights.proximity * top / value if value else fixed, fixed, s))
    best = -math.inf
    for upper, fixed, s in sorted(candidates, key=lambda c: -c[0]):
        if upper <= best + 1e-12:
            break
        best = max(best, fixed + (weights.proximity * transport_value(s.area, s.walk) / value if value else 0.0))
    return best


@st.composite
def small_districts(draw, most=4, least=1):
    """Facts of one to so many lots."""
    count = draw(st.integers(least, most))
    storeys_most = {1: 4, 2: 3, 3: 2, 4: 1}[count]
    far = [draw(st.integers(1, storeys_most)) * PLATE / LAND for _ in range(count)]
    storeys = [draw(st.integers(0, 2)) for _ in range(count)]
    today = [draw(st.sampled_from(NAMES)) for _ in range(count)]
    park = [draw(st.integers(0, 9)) == 0 for _ in range(count)]
    zone = [draw(st.sampled_from("AB")) for _ in range(count)]
    return far, storeys, today, park, zone, draw(st.integers(5, 120))


OTHERS = [
    [],
    [],
    [{"kind": "programme", "min_share": {"shops": 0.2}}],
    [{"kind": "programme", "max_share": {"homes": 0.5}, "min_floor_area": 200}],
    [{"kind": "banned", "uses": ["making"], "where": ["L0"]}],
]
"""Rules that stand beside the family under test."""


def _other(rule, s):
    """Whether a plan keeps one of `OTHERS`."""
    if rule["kind"] == "banned":
        return s.action[0] == "keep" or s.area[0, 0] == 0
    total = s.area.sum()
    ok = all(s.area[:, NAMES.index(u)].sum() >= v * total - NEAR for u, v in rule.get("min_share", {}).items())
    ok &= all(s.area[:, NAMES.index(u)].sum() <= v * total + NEAR for u, v in rule.get("max_share", {}).items())
    return ok and total >= rule.get("min_floor_area", 0)


def tries(number):
    """Return how many districts are drawn: all with ``--hypothesis-profile thorough``, else a quarter of them."""
    return number if settings.get_current_profile_name() == "thorough" else number // 4


def family(
    rules,
    missed,
    *,
    prices=(0.001, 0.01),
    reward=None,
    said=None,
    extra_far=0.0,
    examples=100,
    most=4,
    least=1,
    study_of=study,
):
    """Return a test: the optimum, and what `check` says of plans, against every plan of so many districts (see `tries`).

    Parameters
    ----------
    rules : strategy
        Draws one rule of the family as a study writes it, without a price.
    missed : callable
        ``missed(rule, situation)``: by how much a plan misses the rule, in the unit of its price; 0 where it is kept.
        Written from the rule's words, without its code.
    prices : sequence of float
        Tried beside the hard form; the last so high that a plan that keeps the rule is always better where there is
        one. Empty for a family without a soft form.
    reward : callable, optional
        ``reward(rule, situation)``: what the rule adds to the score.
    said : callable, optional
        By how much the rule's own checks call it missed, where other rules say the rest; ``missed`` by default.
    extra_far : float
        Most floor-area ratio that the rule can add to a lot's.
    """

    @settings(
        max_examples=tries(examples),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=[Phase.generate],
    )
    @given(small_districts(most, least), rules, st.sampled_from(OTHERS), st.sampled_from([None, *prices]), st.data())
    def test(case, rule, others, price, data):
        far, storeys, today, park, zone, gap = case
        tallest = [math.floor((f + extra_far) * LAND / PLATE + 1e-9) for f in far]
        assume(math.prod(len(plans_of(*lot)) for lot in zip(tallest, storeys, park)) <= 800)
        assume(not isinstance(rule.get("where"), list) or len(far) > max(int(i[1:]) for i in rule["where"]))
        assume(rule.get("where") != "zone == 'A'" or "A" in zone)
        facts = {f"gfa_{u}": [PLATE * s * (u == t) for s, t in zip(storeys, today)] for u in NAMES}
        frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
        priced = {**rule, "price": price} if price else rule
        stop = {"gap": GAP, "time_limit": 60, "threads": 1}
        asked = study_of(rules=[priced, *others], lot_columns=COLUMNS, solve=stop)
        alone = study_of(rules=[priced], lot_columns=COLUMNS, solve=stop)
        district = problem_of(asked, frame).district
        found = list(situations(district, far, storeys, park, zone, extra_far))

        def score(s):
            if not all(_other(other, s) for other in others):
                return None
            amount = missed(rule, s)
            if not price and amount > NEAR:
                return None
            return (reward(rule, s) if reward else 0.0) - (price or 0.0) * amount

        for s in data.draw(st.lists(st.sampled_from(found), min_size=3, max_size=3), label="plans"):
            own = [c for c in checked(alone, frame, s.action, s.floors, district) if c.name.startswith(rule["kind"])]
            amount = (said or missed)(rule, s)
            assert all(c.satisfied for c in own) == (amount <= NEAR), (rule, s, own)
            assert abs(sum(c.missed for c in own) - amount) <= 1e-3 + 1e-6 * amount, (rule, s, own)
        expected = best_score(asked, district, found, score)
        try:
            plan = solve(asked, frame)
        except InfeasibleError:
            assert expected == -math.inf
            return
        objective, bound = plan.result["objective"], plan.result["bound"]
        near = 2e-6 + 5e-6 * abs(expected) + (price or 0.0) * 2e-3
        assert objective - near <= expected <= bound + near
        assert bound - objective <= GAP * abs(objective) + near
        assert all(check["satisfied"] or check["price"] for check in plan.result["rules"])

    return test
