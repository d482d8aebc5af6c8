"""The decisions as heuristics see them: an action and floors by parcel, moves, repair, and the exact score, fast.

Floor-area ratio, height, storeys and protection hold by construction: every move ends in `Town.fit`. Programme,
retention and demolition are rows over the district's totals; `Town.repair` restores them by giving parcels back, one by
one and the most helpful first, to a reference plan that keeps them, so it always ends in a plan that keeps every rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import highspy
import numpy as np
from common import Case, Ours, Row, Stopwatch, judge
from scipy import sparse

from optimizer.errors import StudyError
from optimizer.problem import all_rules, mixing_weights
from optimizer.proximity import reference_value
from optimizer.reference import most_floor_area

KEEP, CONVERT, REDEVELOP, CLEAR = ACTIONS = ("keep", "convert", "redevelop", "clear")
SLACK = 1e-6
"""m² by which a row over totals of floor area may be missed."""
THOUSAND = 1e-3


@dataclass
class Choice:
    """An action by parcel, shape (P,), and new or converted floors by site and use, shape (S, U)."""

    action: np.ndarray
    floors: np.ndarray

    def copy(self) -> Choice:
        return Choice(self.action.copy(), self.floors.copy())

    def take(self, parcel, sites, other: Choice) -> None:
        """Do on a parcel (or several) what another plan does there."""
        self.action[parcel], self.floors[sites] = other.action[parcel], other.floors[sites]


class Town:
    """A case: what may be done on each parcel, and what any choice is worth."""

    def __init__(self, case: Case) -> None:
        self.case, self.district = case, case.district
        d = self.district
        self.uses = len(d.uses)
        self.sites = [np.flatnonzero(d.parcel_of == p) for p in range(len(d.parcels))]
        protected = d.parcels["protected"].to_numpy(dtype=bool)
        allowed = case.study.actions.allowed
        able = {CONVERT: d.built, REDEVELOP: np.bincount(d.parcel_of, d.storey_limit.max(axis=1)) > 0, CLEAR: d.built}
        self.actions = [
            [KEEP, *(a for a, may in able.items() if a in allowed and may[p] and not protected[p])]
            for p in range(len(d.parcels))
        ]
        self.free = np.flatnonzero([len(actions) > 1 for actions in self.actions])
        self.rows, self.limits = _limits(case)
        self.storeys = np.minimum(d.storey_limit.max(axis=1), np.minimum(d.max_floors, 200.0)[d.parcel_of]).astype(int)
        self.area_limit = np.where(np.isfinite(d.max_far), d.max_far * d.site_area, np.inf)
        most = most_floor_area(d, all_rules(case.study))
        weights = case.study.objective
        if weights.density:
            raise StudyError(f"{case.name}: objective.density is not a term that the heuristics know; leave it out")
        self.proximity = Proximity(d)
        self.worth = weights.proximity / reference_value(d, most[:-1])
        groups = {"building": np.arange(len(d.sites)), **d.groups}
        self.scales = [
            (sparse.csr_matrix((np.ones(len(g)), (g, np.arange(len(g))))), w / (most[-1] * np.log(self.uses)))
            for g, w in ((groups[name], w) for name, w in mixing_weights(case.study).items())
        ]

    def today(self) -> Choice:
        """Everything kept."""
        d = self.district
        return Choice(np.full(len(d.parcels), KEEP, dtype=object), np.zeros((len(d.sites), self.uses), dtype=np.int64))

    # What a choice is worth and whether it may stand.

    def area(self, choice: Choice) -> np.ndarray:
        """Floor area, m², shape (S, U)."""
        d = self.district
        at = choice.action[d.parcel_of]
        plate = np.where(at == REDEVELOP, d.plate, d.plate_today)
        return np.where((at == KEEP)[:, None], d.existing_at, choice.floors * plate[:, None])

    def parts(self, choice: Choice) -> np.ndarray:
        """What each parcel adds to the totals: floor area by use and floor area demolished, m², shape (P, U + 1)."""
        d = self.district
        added = np.zeros((len(d.parcels), self.uses + 1))
        np.add.at(added[:, :-1], d.parcel_of, self.area(choice))
        added[:, -1] = np.where(np.isin(choice.action, (REDEVELOP, CLEAR)), d.existing.sum(axis=1), 0.0)
        return added

    def missed(self, totals: np.ndarray) -> np.ndarray:
        """By how much totals, shape (..., U + 1), miss the rows, m²."""
        return np.maximum(totals @ self.rows.T - self.limits, 0.0).sum(axis=-1)

    def keeps_rules(self, choice: Choice) -> bool:
        return bool(self.missed(self.parts(choice).sum(axis=0)) <= SLACK)

    def terms(self, choice: Choice) -> tuple[float, float]:
        """The score's two terms, exactly: proximity and mixing."""
        area = self.area(choice)
        mixing = sum(weight * _entropy(groups @ area) for groups, weight in self.scales)
        return self.worth * self.proximity(area), mixing

    def score(self, choice: Choice) -> float:
        return sum(self.terms(choice))

    # Moves: each changes one parcel and leaves it lawful.

    def act(self, choice: Choice, parcel: int, action: str, rng: np.random.Generator) -> None:
        """Give a parcel an action and, where it builds, random stacks."""
        here = self.sites[parcel]
        choice.action[parcel], choice.floors[here] = action, 0
        if action in (CONVERT, REDEVELOP):
            storeys = self.district.storeys_today[parcel] if action == CONVERT else self.storeys[here]
            for site, count in zip(here, np.broadcast_to(storeys, len(here)), strict=True):
                chosen = rng.permutation(self.uses)[: rng.integers(1, self.uses + 1)]
                choice.floors[site] = np.bincount(rng.choice(chosen, count), minlength=self.uses)
        self.fit(choice, parcel, rng)

    def nudge(self, choice: Choice, parcel: int, rng: np.random.Generator) -> None:
        """Change the use of one floor, or add or take one away where the building is new."""
        site = rng.choice(self.sites[parcel])
        floors = choice.floors[site]
        kinds = ("swap",) if choice.action[parcel] == CONVERT else ("swap", "add", "drop")
        kind = rng.choice(kinds)
        if kind != "add" and floors.sum() > 0:
            floors[rng.choice(np.flatnonzero(floors))] -= 1
        if kind != "drop":
            floors[rng.integers(self.uses)] += 1
        self.fit(choice, parcel, rng)

    def move(self, choice: Choice, rng: np.random.Generator) -> None:
        """One random move: a floor where something is built, else, and now and then, another action."""
        parcel = rng.choice(self.free)
        if choice.action[parcel] in (CONVERT, REDEVELOP) and rng.random() < 0.6:
            self.nudge(choice, parcel, rng)
        else:
            self.act(choice, parcel, rng.choice(self.actions[parcel]), rng)

    def fit(self, choice: Choice, parcel: int, rng: np.random.Generator) -> None:
        """Take floors away from a new building until height, storeys and floor-area ratio hold."""
        d, here = self.district, self.sites[parcel]
        if choice.action[parcel] != REDEVELOP:
            return
        floors = choice.floors[here]
        for k, site in enumerate(here):
            while floors[k].sum() > self.storeys[site] or floors[k] @ d.storey_height > d.max_height[parcel] + SLACK:
                floors[k, rng.choice(np.flatnonzero(floors[k]))] -= 1
        while d.plate[here] @ floors.sum(axis=1) > self.area_limit[parcel] + SLACK:
            k, use = rng.choice(np.argwhere(floors))
            floors[k, use] -= 1
        choice.floors[here] = floors
        if not floors.any():
            choice.action[parcel] = KEEP

    def repair(self, choice: Choice, reference: Choice) -> Choice:
        """Return the choice with parcels given back to a lawful reference, the most helpful first, until it is lawful."""
        mended = choice.copy()
        mine, theirs = self.parts(choice), self.parts(reference)
        totals = mine.sum(axis=0)
        differ = (mine != theirs).any(axis=1)
        while self.missed(totals) > SLACK and differ.any():
            change = np.where(differ, self.missed(totals + theirs - mine), np.inf)
            parcel = int(np.argmin(change))
            mended.take(parcel, self.sites[parcel], reference)
            totals += theirs[parcel] - mine[parcel]
            differ[parcel] = False
        return mended


@dataclass
class Search:
    """A heuristic's run: its clock, its exact evaluations, and every plan that was the best so far."""

    town: Town
    watch: Stopwatch
    evaluations: int = 0
    found: list[tuple[float, float, Choice]] = field(default_factory=list)

    def terms(self, choice: Choice) -> tuple[float, float]:
        """Proximity and mixing of a lawful choice, which is kept when it is the best so far."""
        terms = self.town.terms(choice)
        self.evaluations += 1
        if not self.found or sum(terms) > self.found[-1][1]:
            self.found.append((self.watch.elapsed, sum(terms), choice.copy()))
        return terms

    def score(self, choice: Choice) -> float:
        return sum(self.terms(choice))

    @property
    def best(self) -> Choice:
        return self.found[-1][2]

    def rows(self, peer: str, ours: Ours, seconds: float) -> list[Row]:
        """The best plans at our seconds and at the end, as the audit scores them."""
        case, rows = self.town.case, []
        for limit, when in ((seconds, "at our time"), (np.inf, f"at the end, {self.evaluations:,} evaluations")):
            spent = min(limit, self.watch.elapsed)
            found = [choice for at, _, choice in self.found if at <= limit]
            score = judge(case, found[-1].action, found[-1].floors, ours.bound) if found else None
            what = f"score {when}" if found else f"no plan yet {when}"
            rows.append(Row(peer, case.name, what, score, ours.score, ours.bound, spent, ours.seconds))
        return rows


def _entropy(area: np.ndarray) -> float:
    """Sum of g ln(G / g) over groups and uses, m²."""
    total = area.sum(axis=1, keepdims=True)
    ratio = np.divide(total, area, out=np.ones_like(area), where=area > 0)
    return float((area * np.log(ratio)).sum())


def _limits(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Rules over the district's totals as rows: rows @ (floor area by use, demolished) <= limits, m²."""
    d = case.district
    names, width = [use.name for use in d.uses], len(d.uses) + 1
    every, today = np.append(np.ones(width - 1), 0.0), d.existing.sum()
    unit = {name: np.eye(width)[u] for u, name in enumerate(names)}
    rows, limits = [], []

    def at_most(row: np.ndarray, limit: float | None) -> None:
        if limit is not None:
            rows.append(row)
            limits.append(limit)

    def at_least(row: np.ndarray, limit: float | None) -> None:
        at_most(-row, None if limit is None else -limit)

    for rule in case.study.rules:
        if (
            rule.where is not None
            or rule.price is not None
            or rule.kind not in ("programme", "retention", "demolition")
        ):
            raise StudyError(f"{case.name}: rule {rule.label!r} is not one that the heuristics' repair knows; drop it")
        if rule.kind == "demolition":
            at_most(np.eye(width)[-1], rule.max_share * today)
        elif rule.kind == "retention":
            if rule.by != "district" or rule.as_of_right or rule.plot_ratio or rule.like_for_like:
                raise StudyError(
                    f"{case.name}: rule {rule.label!r}: only a share of today's, by district, is known here"
                )
            share = 1.0 if rule.share is None else rule.share
            at_least(unit[rule.use], share * d.existing[:, d.use_index[rule.use]].sum())
        else:
            at_least(every, rule.min_floor_area)
            at_most(every, rule.max_floor_area)
            at_least(every, None if rule.min_today is None else rule.min_today * today)
            at_most(every, None if rule.max_today is None else rule.max_today * today)
            for name in names:
                at_least(unit[name], rule.min_area.get(name))
                at_most(unit[name], rule.max_area.get(name))
                at_least(unit[name] - rule.min_share.get(name, 0.0) * every, 0.0 if name in rule.min_share else None)
                at_most(unit[name] - rule.max_share.get(name, 0.0) * every, 0.0 if name in rule.max_share else None)
    return np.array(rows), np.array(limits)


class Proximity:
    """Value of the best transport between doors for given floors, m², exactly.

    With floors fixed it is a linear program whose right-hand sides alone depend on them. One HiGHS holds it; a new plan
    changes those, and the dual simplex goes on from the last basis, which stays dual feasible: a few pivots for a small
    move, in place of a transport problem from nothing.
    """

    def __init__(self, district) -> None:
        d, net = district, district.network
        sites, nodes = len(d.sites), len(net.xy)
        tail, head = np.concatenate([net.edges, net.edges[:, ::-1]]).T
        length = np.tile(net.length, 2)
        reached = np.ones(sites, dtype=bool)
        reached[net.unreached] = False
        site, edge = np.arange(sites), np.arange(len(length))
        pools: dict[object, int] = {}
        cost, upper, entries, width = [], [], [], 0
        links = [(d.use_index[k.client], d.use_index[k.supplier], k) for k in d.linkages]
        for number, (_, supplier, link) in enumerate(links):
            pools.setdefault((number, supplier) if link.shared else supplier, len(pools))
        self.pools = [(key[1] if isinstance(key, tuple) else key) for key in pools]
        self.clients = [(client, link.demand) for client, _, link in links]
        demand_at, supply_at = 0, sites * len(links)
        balance_at = supply_at + sites * len(pools)
        for number, (_, supplier, link) in enumerate(links):
            demand = demand_at + number * sites + site
            supply = supply_at + pools[(number, supplier) if link.shared else supplier] * sites + site
            balance = balance_at + number * nodes
            served, given, inside = (width + k * sites + site for k in range(3))
            walk = width + 3 * sites + edge
            width = int(walk[-1]) + 1
            door = np.where(reached & (net.access < link.reach), np.inf, 0.0)
            step, path = net.access / link.reach, length / link.reach
            cost += [s * link.strength for s in (1.0 - step, -step, np.ones(sites), -path)]
            upper += [door, door, np.full(sites, np.inf), np.full(len(edge), np.inf)]
            entries += [
                *((demand, column, 1.0) for column in (served, inside)),
                *((supply, column, 1.0) for column in (given, inside)),
                *((balance + net.door, given, 1.0), (balance + net.door, served, -1.0)),
                *((balance + head, walk, 1.0), (balance + tail, walk, -1.0)),
            ]
        height = balance_at + nodes * len(links)
        row, column, value = (np.concatenate([np.broadcast_to(e[k], e[0].shape) for e in entries]) for k in range(3))
        matrix = sparse.csc_matrix((value, (row, column)), shape=(height, width))
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_, lp.sense_ = width, height, highspy.ObjSense.kMaximize
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.concatenate(cost), np.zeros(width), np.concatenate(upper)
        lp.row_lower_ = np.concatenate([np.full(balance_at, -np.inf), np.zeros(height - balance_at)])
        lp.row_upper_ = np.zeros(height)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        self.highs = highspy.Highs()
        for option, setting in (("output_flag", False), ("threads", 1), ("solver", "simplex"), ("presolve", "off")):
            self.highs.setOptionValue(option, setting)
        self.highs.passModel(lp)
        self.limits = np.zeros(balance_at)

    def __call__(self, area: np.ndarray) -> float:
        """Value of floor area, m², shape (S, U)."""
        limits = THOUSAND * np.concatenate(
            [*(demand * area[:, client] for client, demand in self.clients), *(area[:, use] for use in self.pools)]
        )
        rows = np.flatnonzero(limits != self.limits).astype(np.int32)
        if len(rows):
            self.highs.changeRowsBounds(len(rows), rows, np.full(len(rows), -np.inf), limits[rows])
            self.limits = limits
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"proximity: HiGHS says {self.highs.getModelStatus()}")
        return self.highs.getInfo().objective_function_value / THOUSAND
