"""Prices of stacks and plans made of pieces, against the whole program solved by branch and bound and by enumeration."""

import itertools
import tomllib

import numpy as np
import pytest
from scipy import sparse

from optimizer import solving
from optimizer.api import solve
from optimizer.errors import InfeasibleError, LimitError, StudyError
from optimizer.highs import Clock, load, run
from optimizer.master import Master
from optimizer.model import SCORE
from optimizer.rules import rule_kinds
from optimizer.stacks import Stacks, count
from tests.benchmarks.covers import VIOLATED, Knapsacks, cover
from tests.benchmarks.formulation import facets
from tests.districts import USES, lots, problem_of, study
from tests.enumeration import COLUMNS, PLATE, best_score, situations

NAMED = {"workshop": "making", "rnd": "shops", "housing": "homes", "services": "shops"}
KINDS = sorted(rule_kinds())
GAP = 0.01


def renamed(value):
    """A rule's content over the uses of the tests."""
    if isinstance(value, dict):
        return {NAMED.get(key, key): renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item) for item in value]
    return NAMED.get(value, value) if isinstance(value, str) else value


def example(kind):
    """A rule kind's own example."""
    return renamed(tomllib.loads(rule_kinds()[kind].example))


def district(seed, count=5):
    rng = np.random.default_rng(seed)
    storeys = np.where(rng.random(count) < 0.6, rng.integers(1, 4, count), 0)
    side = rng.choice([20.0, 24.0])
    frame = lots(count, columns=4, side=side, storeys=storeys, max_far=rng.choice([1.2, 1.8, 2.4], count))
    for i in range(count):
        if storeys[i]:
            use = rng.choice(["making", "shops", "homes"])
            frame.loc[i, f"gfa_{use}"] = 200.0 * storeys[i]
    return frame


def asked(seed, rules):
    kinds = [{"kind": "programme", "max_today": 1.5}, *rules]
    return study(
        rules=kinds, solve={"gap": GAP, "time_limit": 2.0, "threads": 1}, sites={"plate": 150.0 + 100.0 * (seed % 2)}
    )


def outcome(problem_study, frame):
    try:
        return solve(problem_study, parcels=frame).result
    except InfeasibleError:
        return None


def by_pieces(monkeypatch):
    """Let every program be solved the way large ones are, its first pieces a few sites each."""
    monkeypatch.setattr(solving, "SMALL", -1)
    monkeypatch.setattr(solving, "LARGE", -1)
    monkeypatch.setattr("optimizer.decompose.SMALLEST", 3)


SEEDS = [*range(len(KINDS)), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(len(KINDS), 100))]


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_and_the_whole_agree(monkeypatch, seed):
    kind = KINDS[seed % len(KINDS)]
    try:
        problem = asked(seed, [example(kind)])
        frame = district(seed)
        whole = outcome(problem, frame)
    except StudyError as error:
        pytest.skip(f"{kind} asks for what these lots do not have: {str(error)[:60]}")
    except LimitError as error:
        pytest.skip(f"{kind}: the whole has no plan in time: {str(error)[:60]}")
    by_pieces(monkeypatch)
    pieces = outcome(problem, frame)
    assert (whole is None) == (pieces is None)
    if whole is None:
        return
    slack = 1e-6
    assert pieces["objective"] <= whole["bound"] + slack
    assert whole["objective"] <= pieces["bound"] + slack
    if "price" not in example(kind):
        assert all(rule["satisfied"] for rule in pieces["rules"])


@pytest.mark.parametrize("seed", range(12))
def test_any_prices_prove_a_bound(seed):
    frame = district(seed, 4)
    plan = outcome(asked(seed, []), frame)
    problem = problem_of(asked(seed, []), frame)
    master = Master(problem, 1)
    rng = np.random.default_rng(seed)
    for size in (0.0, 0.01, 1.0, 30.0):
        prices = rng.normal(0.0, 1.0, problem.arrays().matrix.shape[0]) * size
        assert master.price(prices).bound >= plan["objective"] * SCORE - 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_no_plan_that_leaves_a_parcel_empty_is_worth_more_than_its_shadow_price_says(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    far, storeys, park = [0.6, 1.2, 1.2], rng.integers(0, 3, 3).tolist(), [seed % 4 == 0, False, False]
    today = {f"gfa_{use}": [PLATE * n * (k % 3 == u) for k, n in enumerate(storeys)] for u, use in enumerate(USES)}
    frame = lots(3, gap=30.0, max_far=far, storeys=storeys, protected=park, zone="A", **today)
    problem = study(rules=[], lot_columns=COLUMNS, solve={"gap": 0.001, "time_limit": 20, "threads": 1})
    by_pieces(monkeypatch)
    plan = solve(problem, parcels=frame)
    found = list(situations(plan.district, far, storeys, park, ["A"] * 3, 0.0))
    bound, prices = plan.result["bound"], plan.shadow_prices
    assert best_score(problem, plan.district, found, lambda s: 0.0) <= bound + 1e-6
    least = []
    for i in range(3):
        empty = [s for s in found if s.area[i].sum() == 0]
        if empty:
            best = best_score(problem, plan.district, empty, lambda s: 0.0)
            assert best <= bound - prices[i] + 1e-6
            least.append(bound - best)
    # They say much of what can be said: here an empty parcel loses all that would have stood there.
    assert max(prices) > 0.5 * max(least) > 0.05


@pytest.mark.parametrize("seed", range(10))
def test_the_master_ends_between_the_plan_and_the_relaxation_by_cuts(seed):
    problem = problem_of(asked(seed, []), district(seed, 8))
    arrays = problem.arrays()
    relaxed = run(load(arrays, relaxed=True), Clock(60), 60).objective
    master = Master(problem, 1)
    master.begin(0)
    for number in range(15):
        master.improve(Clock(60), 1e-7, f"t{number}")
    assert master.bound <= relaxed + 1e-6
    assert abs(master.bound - master.objective) <= 4e-4 * abs(master.objective)


def test_stacks_are_all_and_only_those_that_keep_the_rows_of_their_site():
    frame = lots(2, storeys=[0, 2], gfa_homes=[0.0, 400.0], max_far=[1.8, 1.2])
    problem = problem_of(study(), frame)
    stacks = Stacks(problem, problem.arrays())
    d = problem.district
    for site in range(2):
        far = d.max_far[site] * d.site_area[site]
        listed = {tuple(f) for f in stacks.floors[(stacks.kind == 2) & (stacks.site == site)].tolist()}
        limit = d.storey_limit[site]
        by_hand = {
            floors
            for floors in itertools.product(*(range(n + 1) for n in limit))
            if 1 <= sum(floors) <= limit.max() and sum(floors) * d.plate[site] <= far + 1e-6
        }
        assert listed == by_hand
    conv = {tuple(f) for f in stacks.floors[(stacks.kind == 1) & (stacks.site == 1)].tolist()}
    assert conv == {f for f in itertools.product(range(3), repeat=3) if sum(f) == 2}
    assert len(stacks.site) <= count(problem, problem.arrays())


def test_what_is_met_inside_is_the_best_there_is():
    """Against a linear program of one building's linkages, at random earnings."""
    from scipy.optimize import linprog

    problem = problem_of(study(), lots(1, max_far=3.0))
    stacks = Stacks(problem, problem.arrays())
    rng = np.random.default_rng(3)
    reduced = np.zeros(len(problem.arrays().cost))
    for route in stacks.routes:
        for columns in route.inside.values():
            reduced[columns] = rng.normal(0.5, 1.0)
    value, inside = stacks.values(reduced)
    new = np.flatnonzero(stacks.kind == 2)
    for k in rng.choice(new, 25):
        area = stacks.area[k]
        rows, limits = [], []
        for r, route in enumerate(stacks.routes):
            rows.append(np.eye(len(stacks.routes))[r])
            limits.append(route.demand * area[route.client])
        for use in range(3):
            rows.append([float(route.supplier == use) for route in stacks.routes])
            limits.append(area[use])
        earn = np.array([reduced[route.inside["new"][0]] for route in stacks.routes])
        best = -linprog(-earn, np.array(rows), limits).fun
        fixed = stacks.mixing[stacks.place[k]] * stacks.entropy[k]
        assert value[k] - fixed == pytest.approx(best, abs=1e-9)
        assert inside[k] @ earn == pytest.approx(best, abs=1e-9)


def test_the_best_whole_stack_is_the_best_within_the_facets_of_the_hull_of_its_floors():
    """Pricing whole stacks leaves out nothing that facets by enumeration would say."""
    from scipy.optimize import linprog

    frame = lots(3, max_far=[1.2, 1.8, 3.0], max_height=[9.0, 14.0, 30.0])
    problem = problem_of(study(objective={"proximity": 0, "mixing": 0, "density": 1}), frame)
    stacks = Stacks(problem, problem.arrays())
    rng = np.random.default_rng(5)
    for site in range(stacks.sites):
        place = 2 * stacks.sites + site
        floors = stacks.floors[stacks.first[place] : stacks.first[place + 1]]
        rows = facets(floors)
        assert len(rows) > floors.shape[1]
        for _ in range(10):
            reduced = np.zeros(len(problem.arrays().cost))
            price = reduced[problem.model.new[site]] = rng.normal(0.2, 1.0, floors.shape[1])
            best = stacks.values(reduced)[0][stacks.place == place].max()
            within = -linprog(-price, rows[:, :-1], rows[:, -1], bounds=(None, None)).fun
            assert max(best, 0.0) == pytest.approx(within, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_cover_found_is_the_least_short_of_all(seed):
    rng = np.random.default_rng(seed)
    count, allowed, most = 9, rng.choice([0.0, 0.5, 1.0, 2.0, 2.5]), rng.uniform(0.3, 2.0)
    gain, short, group = rng.integers(1, 5, count) / 4, rng.random(count), rng.integers(0, 6, count)
    short[:2] = 0.0
    every = [list(some) for size in range(count + 1) for some in itertools.combinations(range(count), size)]
    covers = [some for some in every if len(set(group[some])) == len(some) and gain[some].sum() > allowed]
    least = min((short[some].sum() for some in covers), default=np.inf)
    found = cover(gain, short, group, allowed, most)
    if found is None:
        assert least >= most
        return
    assert short[found].sum() == pytest.approx(least) and least < most
    assert len(set(group[found])) == len(found) and gain[found].sum() > allowed
    assert all(gain[np.setdiff1d(found, one)].sum() <= allowed + 1e-5 for one in found)  # no smaller one says more


@pytest.mark.parametrize("seed", range(10))
def test_covers_count_all_of_a_site_that_is_as_loud(seed):
    """Against every set of "so much or more arrives of this site", where stacks of a site are equally loud."""
    rng = np.random.default_rng(seed)
    group = np.array([9, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    arrives = np.append(0.0, rng.integers(1, 3, 9) * 0.3)
    x = np.append(rng.uniform(0.3, 1.0), rng.dirichlet([0.3] * 3, 3).ravel())
    asked = object.__new__(Knapsacks)
    asked.group, asked.allowed = group, np.array([rng.choice([0.3, 0.6, 0.9])])
    asked.arriving, asked.stands = sparse.csr_matrix(arrives), sparse.csr_matrix(np.arange(10) == 0, dtype=float)
    ways = [[None, *((g, t) for t in np.unique(arrives[group == g]))] for g in range(3)]
    most = 0.0
    for way in itertools.product(*ways):
        taken = [part for part in way if part is not None]
        if sum(least for _, least in taken) > asked.allowed[0] + 1e-9:
            columns = (((group == g) & (arrives >= least)) for g, least in taken)
            most = max(most, x[0] + sum(x[some].sum() for some in columns) - len(taken))
    found = list(asked.violated(x))
    assert len(found) == (most > VIOLATED)
    for columns, size in found:
        assert x[columns].sum() - size == pytest.approx(most)
