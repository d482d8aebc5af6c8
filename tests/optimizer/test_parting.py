"""Uses that keep one another away: parted for a whole district, against the relaxation, the rows themselves and branch and bound."""

import numpy as np
import pytest

from optimizer.cluster import threads
from optimizer.decompose import BREAKS, Decomposition
from optimizer.highs import Clock, load, run
from optimizer.parting import ROOM, WHOLE, _Parting, part, parting_rows
from tests.optimizer.test_decompose import problem

LOUD = {"kind": "noise", "method": "din45691", "limits": {"housing": 52}}
APART = {"kind": "separation", "distances": [{"use": "housing", "from": "workshop", "distance": 50}]}


def priced(rules):
    """A search whose master is solved."""
    search = Decomposition(problem(rules=rules), Clock(300), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    return search


def test_no_other_rules_ask_for_it():
    search = priced([])
    before = search.master.x
    assert not len(parting_rows(search.master))
    assert part(search.master, Clock(60), 60, 0) == (False, None)
    assert search.master.x is before


def test_every_use_stands_or_does_not_and_no_pair_is_too_near():
    master = priced([APART]).master
    rows = parting_rows(master)
    names = [master.arrays.row_names[int(row)] for row in rows]
    assert names and all(name.startswith("separation") for name in names)
    columns = np.unique(master.arrays.matrix[rows].indices)
    columns = columns[master.stacks.owner[columns] >= 0]
    assert (np.abs(master.x[columns] - np.rint(master.x[columns])) > 0.1).any()
    asked, x = part(master, Clock(60), 60, 0)
    assert asked
    # A stack with homes may be mixed with one without: what stands by a trace stands, and none of its pairs does.
    parting = _Parting(master, Clock(60), 0)
    assert (parting.less @ (parting.holds @ x > WHOLE) <= 1 + 1e-9).all()
    assert not (master.arrays.violated(x, BREAKS) & master.coupling & ~master.arrays.cut).any()
    assert master.score_of(x) <= master.bound


def test_a_dive_comes_near_to_branch_and_bound(monkeypatch):
    monkeypatch.setattr("optimizer.parting.ROOM", 0.0)
    master = priced([APART]).master
    parting = _Parting(master, Clock(60), 0)
    assert parting.asked
    assert not parting.liftable  # all may not stand at once
    program = parting.free(walks=True)
    highs = load(program, threads=1)
    highs.setOptionValue("mip_rel_gap", 0.005)
    best = run(highs, Clock(15), 15)
    asked, x = part(master, Clock(60), 60, 0)
    assert asked
    assert best.x is not None and program.integer.sum() == len(parting.columns) + len(parting.kept)
    assert master.score_of(x) <= best.bound + 1e-6 * abs(best.bound)
    assert master.score_of(x) >= 0.95 * float(program.cost @ best.x)


def test_a_plan_under_separation_is_near_the_bound():
    search = priced([APART])
    made = search.make()
    arrays = search.master.arrays
    assert not (arrays.violated(made, BREAKS) & ~arrays.cut).any()
    assert search.master.score_of(made) >= 0.93 * search.master.bound


@pytest.mark.parametrize("seconds", [0.0, 1e-3])
def test_without_time_nothing_is_parted(seconds):
    master = priced([APART]).master
    before = master.mixture
    assert part(master, Clock(60), seconds, 0) == (True, None)
    assert master.mixture is before


def test_the_program_knows_which_uses_are_settled():
    parting = _Parting(priced([APART]).master, Clock(60), 0)
    assert parting.asked
    use = parting.master.problem.district.use_index["workshop"]
    parting.where = parting._standing(parting.use != use)
    answer = run(load(parting.settled(), relaxed=True), Clock(60), 60)
    x = parting._full(answer.x)
    stood = parting.holds @ x
    assert stood[parting.use == use].max() <= 1e-6 < stood[parting.use != use].max()


def test_homes_are_parted_from_what_is_too_loud_for_them():
    master = priced([LOUD]).master
    rows = parting_rows(master)
    parting = _Parting(master, Clock(60), 0)
    assert parting.asked and len(parting.columns)
    asked, x = part(master, Clock(60), 60, 0)
    assert asked
    every, a, others = np.append(parting.columns, parting.kept), master.arrays, x.copy()
    others[every] = 0.0
    heard = a.matrix[rows] @ others + parting.less @ (parting.holds @ x > WHOLE)
    assert (a.beyond(heard, rows) <= BREAKS).all()
    assert len(master.standing.rows) and np.isin(master.standing.rows, rows).all()
    assert master.score_of(x) <= master.bound


def test_where_homes_stand_some_of_what_they_bear_is_left_to_pieces():
    parting = _Parting(priced([LOUD]).master, Clock(60), 0)
    assert parting.asked and parting.lift(60.0)
    known, a = np.flatnonzero(parting._in & (parting.where.less > 0)), parting.master.arrays
    parting.settle(60.0)
    every, x, rows = np.append(parting.kept, parting.columns), parting.best.x, parting.rows[known]
    bears = a.row_upper[rows] - parting.best.where.less[known]
    heard = a.matrix[rows] @ x - a.matrix[rows][:, every] @ x[every]
    assert len(known)
    assert (heard <= (1 - ROOM) * bears + WHOLE).all()
    assert (heard > 0.9 * (1 - ROOM) * bears).any()


def test_giving_uses_up_where_their_limits_cost_more_comes_near_to_branch_and_bound(monkeypatch):
    monkeypatch.setattr("optimizer.parting.ROOM", 0.0)
    parting = _Parting(priced([LOUD]).master, Clock(120), 0)
    assert parting.asked
    parting._in[:] = True
    highs = load(parting.free(walks=True), threads=1)
    highs.setOptionValue("mip_rel_gap", 0.005)
    best = run(highs, Clock(15), 15)
    assert best.x is not None and parting.lift(60.0)
    first = parting.less.shape[1]
    parting.settle(60.0)
    score, allowed = parting.best.score, parting.best.where.standing.sum()
    assert parting.best.rank[:2] == (True, True) and 0 < allowed < first
    # What is taken in on the way is worth a little more than the stacks that branch and bound knew.
    assert 0.95 * best.objective <= score <= 1.02 * best.bound


@pytest.mark.parametrize("batch", [0.0, 0.3])
def test_what_must_stand_stands_and_what_cannot_beside_it_is_given_up(monkeypatch, batch):
    monkeypatch.setattr("optimizer.parting.BATCH", batch)
    old = "year < 1980"  # loud ones among them
    parting = _Parting(priced([LOUD, {"kind": "locked", "where": old}]).master, Clock(60), 0)
    d = parting.master.problem.district
    stays = d.select(old, "")[d.parcel_of[parting.site]] & (d.existing_at[parting.site, parting.use] > 0)
    assert stays.any() and parting.asked and parting.liftable and parting.lift(60.0)
    assert (parting.must == stays).all()
    assert not parting.where.standing.all() and parting.where.standing[stays].all()
    parting.settle(60.0)
    assert parting.best is not None


def test_neighbours_that_are_too_near_today_may_both_stay():
    rules = [APART, {"kind": "locked", "where": "year < 1980"}]
    master = priced(rules).master
    asked, x = part(master, Clock(60), 60, 0)
    assert asked and x is not None
    assert not (master.arrays.violated(x, BREAKS) & master.coupling & ~master.arrays.cut).any()


def test_where_parting_fails_the_master_is_left_as_it_was(monkeypatch):
    monkeypatch.setattr("optimizer.parting._Parting.settle", lambda *_: None)
    monkeypatch.setattr("optimizer.parting._Parting.choose", lambda *_: False)
    master = priced([LOUD]).master
    before = master.mixture, master.weight, master.guide
    assert part(master, Clock(60), 60, 0) == (True, None)
    assert (master.mixture, master.weight, master.guide) == before


def test_another_plan_than_the_one_made_is_improved_where_uses_may_stand_anywhere():
    search = priced([LOUD])
    _, x = part(search.master, Clock(60), 60, 0)
    search.pieces.hold(search.master.standing)
    settled = search.pieces.arrays
    loud = x.copy()
    loud[search.problem.model.new[:, 0]] = 9.0
    assert (settled.violated(loud, BREAKS) & ~settled.cut).any()
    search.improve(loud, lambda _: True, lambda: True)
    assert not search.pieces.parted


def test_pieces_hear_no_more_than_what_may_stand_beside_them_bears():
    search = priced([LOUD])
    asked, x = part(search.master, Clock(60), 60, 0)
    assert asked
    standing, source = search.master.standing, search.master.arrays
    search.pieces.hold(standing)
    settled = search.pieces.arrays
    assert search.pieces.parted and settled is not source
    # Where uses stand as settled the rows say the same of every plan, and more of one in which they do not.
    stands = x.copy()
    every = np.unique(standing.takes.indices)
    stands[every] = 0.0
    rows = standing.rows
    assert np.allclose(settled.matrix[rows] @ x, source.matrix[rows] @ stands)
    assert (settled.row_upper[rows] <= source.row_upper[rows] + 1e-9).all()
    assert not (settled.violated(x, BREAKS)[rows]).any()
    search.pieces.release()
    assert not search.pieces.parted and search.pieces.arrays is source


def test_a_plan_among_loud_neighbours_keeps_every_limit():
    search = priced([LOUD])
    made = search.make()
    arrays = search.master.arrays
    assert not (arrays.violated(made, BREAKS) & ~arrays.cut).any()


def test_uses_stay_parted_until_pieces_of_every_size_no_longer_help(monkeypatch):
    monkeypatch.setattr("optimizer.decompose.FRUITLESS", 1)
    monkeypatch.setattr("optimizer.decompose.LARGEST", 1)
    monkeypatch.setattr("optimizer.decompose.PIECE_SECONDS", 1.0)
    search = priced([LOUD])
    made, parted = search.make(), []

    def watch():
        parted.append(search.pieces.parted)
        return False

    search.improve(made, lambda x: True, watch)
    assert parted[:2] == [True, True]  # dives, then branch and bound
    assert not parted[-1] and search.tired_out
    assert parted == sorted(parted, reverse=True)


def test_what_hardly_stands_in_the_way_is_not_parted():
    quiet = LOUD | {"limits": {"housing": 61}}
    master = priced([quiet]).master
    assert len(parting_rows(master))
    assert part(master, Clock(60), 60, 0) == (False, None)
