"""The peers of examples/peers: their plans keep every rule, their scores are the audit's, and no bound is beaten."""

import csv
import importlib.util
import sys

import numpy as np
import pulp
import pytest

from optimizer.audit import transport
from tests.benchmarks.registry import ROOT

sys.path.insert(0, str(ROOT / "examples/peers"))

import common
import greedy
import moves
import pairs
import pmedian
import single_use

ROUNDING = 1e-6


@pytest.fixture(scope="module")
def case():
    return common.synthetic(16)


@pytest.fixture(scope="module")
def town(case):
    return moves.Town(case)


@pytest.fixture(scope="module")
def ours(case):
    return common.solve_ours(case, 3)


@pytest.fixture(scope="module")
def small():
    return common.synthetic(4)


@pytest.fixture(scope="module")
def small_ours(small):
    return common.solve_ours(small, 10)


@pytest.fixture(scope="module")
def lawful(town):
    return next(greedy.greedy(town, common.Stopwatch(60)))


def scattered(town, rng):
    """A plan in which every parcel that may change does something at random."""
    plan = town.today()
    for parcel in town.free:
        town.act(plan, parcel, rng.choice(town.actions[parcel]), rng)
        town.nudge(plan, parcel, rng)
    return plan


def test_our_plan_is_judged_as_it_was_written(case, ours):
    score = common.judge(case, ours.plan.action, ours.plan.floors, ours.bound)
    assert score == pytest.approx(ours.score, abs=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_random_plans_are_repaired(case, town, lawful, seed):
    plan = scattered(town, np.random.default_rng(seed))
    mended = town.repair(plan, lawful)
    assert town.keeps_rules(mended)
    score = common.judge(case, mended.action, mended.floors)  # raises where the audit finds a rule broken
    assert score == pytest.approx(town.score(mended), abs=ROUNDING)
    if not town.keeps_rules(plan):
        with pytest.raises(AssertionError, match="breaks"):
            common.judge(case, plan.action, plan.floors)


def test_repair_gives_back_no_more_than_it_must(town, lawful):
    assert town.repair(lawful, town.today()).action.tolist() == lawful.action.tolist()
    plan = scattered(town, np.random.default_rng(3))
    mended = town.repair(plan, lawful)
    assert not town.keeps_rules(plan)
    same = (mended.action == plan.action) & [(mended.floors[s] == plan.floors[s]).all() for s in town.sites]
    assert 0 < same.sum() < len(same)


def test_moves_keep_floor_area_ratio_height_and_storeys(case):
    case = case.asking(sites={"plate": 200.0})  # several buildings draw on one account of floor area
    town, d = moves.Town(case), case.district
    assert d.sites_on.max() > 1
    rng, plan = np.random.default_rng(1), town.today()
    for _ in range(400):
        town.move(plan, rng)
    built = (plan.action == "redevelop")[d.parcel_of]
    assert built.any()
    assert (plan.floors @ d.storey_height <= d.max_height[d.parcel_of] + 1e-9)[built].all()
    area = np.bincount(d.parcel_of, np.where(built, plan.floors.sum(axis=1) * d.plate, 0.0))
    assert (area <= d.max_far * d.site_area + 1e-6).all()
    converted = (plan.action == "convert")[d.parcel_of]
    assert (plan.floors.sum(axis=1) == d.storeys_today[d.parcel_of])[converted].all()
    protected = d.parcels["protected"].to_numpy(dtype=bool)
    assert (plan.action[protected] == "keep").all()


def test_proximity_is_the_transport_over_all_pairs(case, town):
    distance = pairs.walked(case)
    links, uses = case.study.linkage_list, [use.name for use in case.district.uses]
    for seed in range(3):  # one after another: each goes on from the basis before it
        area = town.area(scattered(town, np.random.default_rng(seed)))
        assert town.proximity(area) == pytest.approx(transport(links, uses, area, distance)[0], rel=1e-6)


def test_rows_of_the_district_say_what_its_rules_say(case, town):
    today = case.district.existing.sum()
    shares = case.study.rules[0].min_share
    totals = np.append(today * np.array([shares[use.name] for use in case.district.uses]), 0.4 * today)
    totals[2] += today * (1 - sum(shares.values()))  # the rest is homes: just lawful on every count
    assert town.missed(totals) == pytest.approx(0, abs=1e-6)
    short = totals - np.eye(5)[0]
    assert town.missed(short) == pytest.approx(0.9 + 1.0, abs=1e-6)  # a tenth less is due, and the total too is short
    assert town.missed(totals + np.eye(5)[4]) == pytest.approx(1.0, abs=1e-6)


def test_greedy_stays_below_our_bound(case, ours):
    first, *_, last = greedy.run(case, ours, 1.0)
    assert first.score <= last.score <= ours.bound + ROUNDING


def test_greedy_stays_below_our_plan_where_it_is_proved(small, small_ours):
    assert small_ours.plan.result["status"] == "optimal"
    assert all(row.score <= small_ours.score * (1 + 1e-3) for row in greedy.run(small, small_ours, 1.0))


def test_greedy_says_when_time_is_up(case, ours):
    (row,) = greedy.run(case, ours, 1e-9)
    assert row.score is None
    assert "no lawful plan" in row.what


def test_annealing_never_ends_below_its_start_nor_above_our_bound(case, ours, town, lawful):
    import annealing

    rows = annealing.run(case, ours, 0.25)
    assert town.score(lawful) - ROUNDING <= rows[-1].score <= ours.bound + ROUNDING


@pytest.mark.filterwarnings("ignore")
def test_nsga2_never_ends_below_its_start_nor_above_our_bound(case, ours, town, lawful):
    pytest.importorskip("pymoo", reason="pymoo is not installed")
    import nsga2

    rows = nsga2.run(case, ours, 0.3)
    assert town.score(lawful) - ROUNDING <= rows[-1].score <= ours.bound + ROUNDING


@pytest.mark.filterwarnings("ignore")
def test_pairs_and_ours_reach_one_optimum(small):
    alone, _ = pairs.variants(small)[0]
    ours = common.solve_ours(alone, 10)
    rows = pairs.run(alone, ours, 10, mixing=False)  # asserts that our plan is below the solvers' bounds
    assert [row.peer for row in rows] == ["pairs, HiGHS", "pairs, HiGHS", "pairs, CBC"]
    assert all(row.score == pytest.approx(ours.score, rel=3e-3) for row in rows[1:])
    # Where today's and new floors may not serve one another, the relaxation can only be lower.
    assert ours.score <= rows[0].our_score + ROUNDING <= rows[0].score + 2 * ROUNDING


@pytest.mark.filterwarnings("ignore")
def test_pairs_that_do_not_come_to_our_gap_take_their_seconds_at_least(small, small_ours, monkeypatch):
    optimise = pairs.optimise

    def proving(bound):
        return lambda *given: (bound, optimise(*given)[1])

    monkeypatch.setattr(pairs, "TRUST", 1.0)
    for bound, late in (0.0, False), (1.5, True):
        monkeypatch.setattr(pairs, "optimise", proving(bound))
        _, row = pairs.run(small, small_ours, 10, True, ["HiGHS"], to_ours=True)
        assert (" at least, as it stands at " in row.what) == late and "to our gap of" in row.what
        assert row.our_seconds == small_ours.seconds


def test_the_pair_form_holds_our_plan_at_its_own_score(case, ours):
    written = pairs.write(case)
    d = case.district
    for name, columns in written.action.items():
        for column, does in zip(columns, ours.plan.action == name):
            column.lowBound = column.upBound = int(does)
    for kind, action in ((written.new, "redevelop"), (written.converted, "convert")):
        at = (ours.plan.action == action)[d.parcel_of]
        for column, count in zip(kind.ravel(), np.where(at[:, None], ours.plan.floors, 0).ravel()):
            column.lowBound = column.upBound = int(count)
    written.problem.solve(pulp.HiGHS(msg=False, threads=1))
    assert written.problem.status == pulp.LpStatusOptimal
    value = -pulp.value(written.problem.objective) / pairs.HUNDRED
    # Gibbs' cuts at a few shares bound the entropy from above, closely.
    assert ours.score - ROUNDING <= value <= 1.05 * ours.score


def test_fractions_are_no_plan(small):
    written = pairs.write(small)
    assert written.plan() is None
    written.problem.solve(pulp.HiGHS(mip=False, msg=False, threads=1))
    assert written.plan() is None


@pytest.mark.parametrize(
    ("log", "bound"),
    [
        ("Objective value:                -4.0\nLower bound:                    -5.5\nGap:  0.1\n", -5.5),
        ("Continuous objective value is -9.9\nObjective value:                -4.0\n", -4.0),
        ("Continuous objective value is -9.9 - 0.1 seconds\n", -9.9),
        ("", -np.inf),
    ],
)
def test_cbc_says_what_it_proved(log, bound):
    assert pairs.cbc_bound(log) == bound


def test_one_use_a_building(case, ours, monkeypatch):
    assert ((ours.plan.floors > 0).sum(axis=1) > 1).any()
    with pytest.raises(AssertionError, match="one use a building"):
        common.judge(single_use.single(case), ours.plan.action, ours.plan.floors)
    eight = common.synthetic(8)
    stacked, alone = common.solve_ours(eight, 2), common.solve_ours(single_use.single(eight), 4)
    assert ((alone.plan.floors > 0).sum(axis=1) <= 1).all()
    monkeypatch.setattr(single_use, "solve_ours", lambda case, seconds: alone)
    (row,) = single_use.run(eight, stacked, 1)
    assert row.score <= stacked.bound + ROUNDING
    assert f"{stacked.score / alone.bound - 1:+.1%} to" in row.what


@pytest.mark.filterwarnings("ignore")
def test_p_median_of_a_small_grid():
    pytest.importorskip("spopt", reason="spopt is not installed")
    instance = pmedian.grid(nodes=30, facilities=2, candidates=6)
    (row,) = pmedian.run(instance, 20)
    distance = instance.distances()
    pair = [(i, j) for i in range(6) for j in range(i)]
    optimum = min(np.minimum(distance[:, i], distance[:, j]).sum() for i, j in pair)
    assert row.score == pytest.approx(optimum)
    assert row.our_score == pytest.approx(optimum)
    assert "ours proved" in row.what


def test_pmed_absent_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(pmedian, "grid", lambda: None)
    monkeypatch.setattr(pmedian, "run", lambda instance, limit: [])
    (row,) = pmedian.run_all(tmp_path, 1)
    assert "not run" in row.what


def test_table_and_csv(tmp_path):
    rows = [
        common.Row("a", "b", "score", 0.5, 0.6, 0.625, 20.0, 2.0),
        common.Row("longer name", "b", "not run: no data"),
    ]
    lines = common.table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "25.00%" in lines[2]
    assert lines[2].rstrip(" |").endswith("10.0")
    common.write_csv(rows, tmp_path / "out/peers.csv")
    with (tmp_path / "out/peers.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert float(first["gap_to_bound"]) == pytest.approx(0.25)
    assert float(first["times"]) == 10
    assert second["score"] == ""
    assert "highspy" in second["versions"]


@pytest.mark.skipif(importlib.util.find_spec("pymoo") is None, reason="needs pymoo")
def test_no_plan_of_nsga2_lies_beyond_the_exact_front():
    import fronts

    small = common.synthetic(8).asking(solve={"time_limit": 10, "gap": 0.01, "threads": 1})
    front, _ = fronts.ours(small, 4)
    search = fronts.theirs(small, 4.0, 0)
    every = fronts.shares(small, search)
    reached, other, open_ = fronts.volumes(front, every)
    assert 0 <= other <= open_ + 1e-9 and 0 <= reached <= open_ + 1e-9
    best = front.points[0].shares[0] + 0.2, front.points[-1].shares[1] + 0.2
    with pytest.raises(AssertionError, match="beats the bound"):
        fronts.volumes(front, np.array([best]))
