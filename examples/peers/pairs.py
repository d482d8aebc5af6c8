"""The textbook: one variable a pair of parcels, in PuLP, solved by CBC and by HiGHS.

Proximity as the transport problem over all pairs of doors within reach (Hitchcock, Journal of Mathematics and Physics 20,
1941), integer floors and one action a parcel around it, as an optimisation course would write it down:

    maximise  sum over linkages l, pairs ij of s_l (1 - d_ij / R_l) t_lij
    sum over j of t_lij <= alpha_l g_i,client     sum over l, i of t_lij <= g_j,supplier

Mixing, where it is weighted, is bounded by Gibbs' cuts at a fixed set of shares, E <= sum of g_u (-ln s_u).

Made fair: the same study, walking distances, limits and rules; the bounds of storeys that the district works out; the same
solver and threads, and several times our time, or until it has the gap that we proved. The seconds told, its and ours, are
those to the gap that it ended with. With ``--gap`` we are asked for a gap of our own; where the pair form has not come to the one
that we proved by its limit, its seconds are the least that it takes, if it comes there at all. How many times ours they are depends on
that gap. Its incumbent is scored by the audit, which takes entropies exactly; its bound is the
solver's and stays valid, since the cuts only bound from above. Beside it stands the relaxation of our flow formulation,
before cuts are added, handed to the same interior point through PuLP: the formulation alone.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pulp
from common import THREADS, TRUST, Case, Ours, Row, Stopwatch, arguments, chosen, judge, solve_ours, table
from moves import Town
from scipy.sparse import csgraph, csr_matrix

from optimizer.problem import all_rules, assemble, mixing_weights
from optimizer.proximity import reference_value
from optimizer.pulp_bridge import to_pulp
from optimizer.reference import most_floor_area

STOREYS = {"building": 4, "neighbourhood": 10, "block": 8}
"""Cuts stand at every way to share so many storeys among the uses."""
ABSENT = 5e-4
"""Share of an absent use in a cut."""
WHOLE = 1e-4
"""How near to whole the numbers of a plan are. At its limit CBC hands a relaxation over where it has no plan."""
SOLVERS = ("HiGHS", "CBC")
THOUSAND, HUNDRED = 1e-3, 100.0
"""Units of the program: thousand m², hundredths of a score, which keep coefficients near one."""


@dataclass
class Pairs:
    """The textbook program and its decisions."""

    problem: pulp.LpProblem
    action: dict[str, list[pulp.LpVariable]]
    new: np.ndarray
    converted: np.ndarray
    pairs: int

    def plan(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Action by parcel and floors by site and use; None where the solver found none, or left fractions."""
        if self.problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
            return None
        value = np.vectorize(lambda v: np.nan if v.varValue is None else v.varValue, otypes=[float])
        taken = value(np.array(list(self.action.values())))
        floors = value(self.new) + value(self.converted)
        if not all((np.abs(part - np.rint(part)) < WHOLE).all() for part in (taken, floors)):
            return None
        row = np.where(taken.max(axis=0) > 0.5, taken.argmax(axis=0), len(taken))
        return np.array([*self.action, "clear"], dtype=object)[row], np.rint(floors).astype(np.int64)


def walked(case: Case) -> np.ndarray:
    """Walking distance between all doors, m, by Dijkstra; 0 within a building."""
    net = case.district.network
    nodes = len(net.xy)
    graph = csr_matrix((net.length, net.edges.T), shape=(nodes, nodes))
    distance = csgraph.dijkstra(graph, directed=False, indices=net.door)[:, net.door]
    distance += net.access[:, None] + net.access[None, :]
    distance[net.unreached, :] = distance[:, net.unreached] = np.inf
    np.fill_diagonal(distance, 0.0)
    return distance


def write(case: Case) -> Pairs:
    """Write the textbook program down."""
    d, town = case.district, Town(case)
    parcels, sites, uses = len(d.parcels), len(d.sites), len(d.uses)
    problem = pulp.LpProblem("pairs", pulp.LpMinimize)  # the score negated, so that bounds have one sign

    def binaries(name: str) -> list[pulp.LpVariable]:
        allowed = [name in town.actions[p] for p in range(parcels)]
        return [pulp.LpVariable(f"{name}_{p}", 0, int(may), pulp.LpInteger) for p, may in enumerate(allowed)]

    def whole(name: str, most: np.ndarray) -> np.ndarray:
        return np.array(
            [
                [pulp.LpVariable(f"{name}_{s}_{u}", 0, int(most[s, u]), pulp.LpInteger) for u in range(uses)]
                for s in range(sites)
            ]
        )

    action = {name: binaries(name) for name in ("keep", "convert", "redevelop")}
    keep, convert, redevelop = action.values()
    storeys_today = d.storeys_today[d.parcel_of]
    new, converted = whole("new", d.storey_limit), whole("conv", np.repeat(storeys_today[:, None], uses, axis=1))
    for p in range(parcels):
        taken = total([(1, keep[p]), (1, convert[p]), (1, redevelop[p])])
        problem += taken <= 1 if "clear" in town.actions[p] else taken == 1
        here = town.sites[p]
        problem += total((1, n) for n in new[here].ravel()) >= redevelop[p]
        if np.isfinite(town.area_limit[p]):
            floor = total((THOUSAND * d.plate[s], n) for s in here for n in new[s])
            problem += floor <= THOUSAND * town.area_limit[p] * redevelop[p]
    for s, p in enumerate(d.parcel_of):
        problem += total((1, m) for m in converted[s]) == int(storeys_today[s]) * convert[p]
        problem += total((1, n) for n in new[s]) <= int(town.storeys[s]) * redevelop[p]
        if np.isfinite(d.max_height[p]):
            problem += total(zip(d.storey_height, new[s], strict=True)) <= d.max_height[p] * redevelop[p]
        for u in range(uses):
            problem += new[s, u] <= int(d.storey_limit[s, u]) * redevelop[p]

    # Floor area of each use in each building, thousand m²: kept, converted and new.
    area = [
        [
            [
                (THOUSAND * d.existing_at[s, u], keep[p]),
                (THOUSAND * d.plate_today[s], converted[s, u]),
                (THOUSAND * d.plate[s], new[s, u]),
            ]
            for u in range(uses)
        ]
        for s, p in enumerate(d.parcel_of)
    ]
    district(problem, town, area, action)
    objective: list[tuple[float, pulp.LpVariable]] = []
    pairs = add_transport(problem, case, area, objective)
    add_mixing(problem, case, area, objective)
    problem.setObjective(total((-value, variable) for value, variable in objective))
    return Pairs(problem, action, new, converted, pairs)


def total(terms: Iterable[tuple[float, pulp.LpVariable]]) -> pulp.LpAffineExpression:
    """Sum of coefficient times variable; coefficients of one variable add up."""
    expression = pulp.LpAffineExpression()
    for value, variable in terms:
        if value:
            expression.addterm(variable, float(value))
    return expression


def district(problem: pulp.LpProblem, town: Town, area: list, action: dict[str, list[pulp.LpVariable]]) -> None:
    """Programme, retention and demolition: rows over the district's floor area, and over what is demolished."""
    d = town.district
    stands = THOUSAND * d.existing.sum(axis=1)
    for row, limit in zip(town.rows, town.limits, strict=True):
        terms = [(row[u] * a, v) for site in area for u, terms in enumerate(site) for a, v in terms]
        # Demolished is what is neither kept nor converted.
        kept = [(-row[-1] * stands[p], v[p]) for v in (action["keep"], action["convert"]) for p in range(len(stands))]
        problem += total([*terms, *kept]) <= THOUSAND * limit - row[-1] * stands.sum()


def add_transport(problem: pulp.LpProblem, case: Case, area: list, objective: list) -> int:
    """One variable a pair of doors within reach; returns their number."""
    d, distance = case.district, walked(case)
    weight = case.study.objective.proximity
    if not weight:
        return 0
    value = HUNDRED * weight / (THOUSAND * reference_value(d, most_floor_area(d, all_rules(case.study))[:-1]))
    drawn: dict[object, list[list]] = {}
    count = 0
    for number, link in enumerate(d.linkages):
        client, supplier = d.use_index[link.client], d.use_index[link.supplier]
        taken: list[list] = [[] for _ in area]
        given = drawn.setdefault((number, supplier) if link.shared else (supplier,), [[] for _ in area])
        for i, j in np.argwhere(distance < link.reach).tolist():
            pair = pulp.LpVariable(f"t_{number}_{i}_{j}", 0)
            taken[i].append((1, pair))
            given[j].append((1, pair))
            objective.append((value * link.strength * (1 - distance[i, j] / link.reach), pair))
            count += 1
        for i, pairs in enumerate(taken):
            problem += total([*pairs, *((-link.demand * a, v) for a, v in area[i][client])]) <= 0
    for (*_, supplier), given in drawn.items():
        for j, pairs in enumerate(given):
            problem += total([*pairs, *((-a, v) for a, v in area[j][supplier])]) <= 0
    return count


def add_mixing(problem: pulp.LpProblem, case: Case, area: list, objective: list) -> None:
    """Entropy of each group, bounded by Gibbs' cuts."""
    d = case.district
    uses, most = len(d.uses), most_floor_area(d, all_rules(case.study))[-1]
    groups = {"building": np.arange(len(d.sites)), **d.groups}
    for name, weight in mixing_weights(case.study).items() if case.study.objective.mixing else ():
        cuts = shares(STOREYS[name], uses)
        for b in np.unique(groups[name]):
            inside = np.flatnonzero(groups[name] == b)
            entropy = pulp.LpVariable(f"entropy_{name}_{b}", 0)
            objective.append((HUNDRED * weight / (THOUSAND * most * np.log(uses)), entropy))
            floor = [[term for s in inside for term in area[s][u]] for u in range(uses)]
            if len(inside) > 1:  # a column for each sum keeps the many cuts short
                sums = [pulp.LpVariable(f"area_{name}_{b}_{u}", 0) for u in range(uses)]
                for u, column in enumerate(sums):
                    problem += total([(1, column), *((-a, v) for a, v in floor[u])]) == 0
                floor = [[(1, column)] for column in sums]
            for share in cuts:
                cut = ((np.log(s) * a, v) for s, terms in zip(share, floor, strict=True) for a, v in terms)
                problem += total([(1, entropy), *cut]) <= 0


def shares(storeys: int, uses: int) -> np.ndarray:
    """Every way to share storeys among uses, and the even one, shape (cuts, uses)."""
    ways = itertools.combinations_with_replacement(range(uses), storeys)
    found = np.array([np.bincount(way, minlength=uses) for way in ways] + [np.ones(uses)]) / storeys
    found = np.maximum(found, ABSENT)
    return found / found.sum(axis=1, keepdims=True)


def optimise(problem: pulp.LpProblem, solver: str, seconds: float, gap: float) -> tuple[float, float]:
    """Solve; return the solver's proved bound of the score, and seconds."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        asked = {"msg": False, "timeLimit": seconds, "gapRel": gap, "threads": THREADS}
        if solver == "HiGHS":
            problem.solve(pulp.HiGHS(**asked))
            bound = problem.solverModel.getInfo().mip_dual_bound
        else:
            problem.solve(pulp.PULP_CBC_CMD(**asked, logPath=str(log)))
            bound = cbc_bound(log.read_text(encoding="utf-8", errors="replace"))
    return -bound / HUNDRED, watch.elapsed


def cbc_bound(log: str) -> float:
    """Read the least objective that CBC holds possible off its log: at the end, in the tree, or the first relaxation.

    Where it says none of them at the end, it proved its plan to be the best.
    """
    for pattern in (
        r"^Lower bound: +(\S+)",
        r"^Objective value: +(\S+)",
        r"best possible (\S+?),? ",
        r"value is (\S+)",
    ):
        found = re.findall(pattern, log, re.MULTILINE)
        if found:
            return float(found[-1])
    return -np.inf


def relaxed(problem: pulp.LpProblem) -> tuple[float, float]:
    """Optimum of the linear relaxation as a score, and seconds, by HiGHS's interior point."""
    watch = Stopwatch()
    problem.solve(pulp.HiGHS(mip=False, msg=False, threads=THREADS, solver="ipm"))
    return abs(pulp.value(problem.objective)) / HUNDRED, watch.elapsed


def run(
    case: Case,
    ours: Ours,
    seconds: float,
    mixing: bool,
    solvers: Sequence[str] = SOLVERS,
    to_ours: bool = False,
) -> list[Row]:
    """Rows for one case: relaxations, then each solver up to ``seconds`` for the gap that we proved.

    Parameters
    ----------
    to_ours : bool
        Whether seconds to our gap are told, at least those until the limit, instead of those to its own.
    """
    watch, terms = Stopwatch(), "proximity and mixing" if mixing else "proximity"
    pairs = write(case)
    wrote = watch.elapsed
    flow, _ = to_pulp(assemble(case.study, case.district).arrays())
    (optimum, spent), (ours_optimum, ours_spent) = relaxed(pairs.problem), relaxed(flow)
    rows = [
        Row(
            "pairs, HiGHS",
            case.name,
            f"{terms}: relaxation, {pairs.pairs:,} pairs, written in {wrote:.0f} s",
            optimum,
            ours_optimum,
            None,
            spent,
            ours_spent,
        )
    ]
    wanted = (ours.bound - ours.score) / ours.score
    for solver in solvers:
        pairs = write(case)  # a fresh one: PuLP keeps what a solver made of it
        bound, spent = optimise(pairs.problem, solver, seconds, wanted)
        plan = pairs.plan()
        if plan is None:
            what, score, ours_spent = f"{terms}: no plan, bound {bound:.5f}", None, None
        else:
            score = judge(case, *plan, ours.bound)
            gap = max(bound - score, 0.0) / score
            if to_ours:
                ours_spent = ours.seconds
                what = (
                    f"{terms}: to our gap of {wanted:.2%}"
                    + (gap > wanted + TRUST) * f" at least, as it stands at {gap:.2%}"
                )
            else:
                ours_spent = ours.seconds_to(gap)
                never = f"; we never were there, {wanted:.2%} after {ours.seconds:.0f} s"
                what = f"{terms}: seconds to a proved gap of {gap:.2%}" + (ours_spent is None) * never
        assert ours.score <= bound + TRUST * 10, f"{solver}: our plan of {ours.score} beats its bound {bound}"
        rows.append(Row(f"pairs, {solver}", case.name, what, score, ours.score, ours.bound, spent, ours_spent))
    return rows


def variants(case: Case) -> list[tuple[Case, bool]]:
    """Proximity alone, then with mixing as the study weighs it."""
    return [(case.asking(objective={"proximity": 1.0, "mixing": 0.0}), False), (case, True)]


def main() -> None:
    parser = arguments(__doc__, 30)
    parser.add_argument("--limit", type=float, default=300, help="seconds of each solver on the pair form (300)")
    parser.add_argument(
        "--gap", type=float, help="gap that we are asked for, and whose seconds are told (ours in its time)"
    )
    parser.add_argument("--solver", choices=SOLVERS, nargs="+", default=SOLVERS, help="of the pair form (both)")
    asked = parser.parse_args()
    gap = {} if asked.gap is None else {"gap": asked.gap}
    for case, mixing in variants(chosen(asked)):
        ours = solve_ours(case, asked.seconds, **gap)
        print(table(run(case, ours, asked.limit, mixing, asked.solver, to_ours=bool(gap))))


if __name__ == "__main__":
    main()
