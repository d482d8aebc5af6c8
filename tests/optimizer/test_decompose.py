"""Plans made and improved by pieces: the same under a work limit, on threads and on a cluster that loses a worker."""

import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from geodata.synthetic import synthetic_district
from optimizer import cluster
from optimizer.cluster import crew, on_cluster, threads
from optimizer.decompose import BREAKS, TRIES, Decomposition
from optimizer.district import read_district
from optimizer.errors import SolverError
from optimizer.highs import Clock
from optimizer.master import EXACTLY
from optimizer.mixing import separate, slack
from optimizer.model import SCORE
from optimizer.pieces import solve_task
from optimizer.problem import assemble
from optimizer.search import kept, nearest
from optimizer.solving import solve_problem
from optimizer.study import load_study

COLUMNS = ("id", "zone", "max_far", "max_height", "coverage", "storeys", "year", "protected")
USES = ("workshop", "rnd", "housing", "services")


def problem(parcels=40, rules=(), **solve):
    """A synthetic district's program, large enough for pieces."""
    asked = load_study(
        {
            "name": "Pieces",
            "parcels": {"columns": {c: c for c in COLUMNS}, "existing": {u: f"gfa_{u}" for u in USES}},
            "rules": [
                {"kind": "programme", "min_today": 1.0, "max_today": 1.5, "min_share": {"housing": 0.3}},
                {"kind": "demolition", "max_share": 0.4},
                *rules,
            ],
            "solve": {"gap": 0.04, "time_limit": 60, "threads": 1, **solve},
        }
    )
    layers = synthetic_district(parcels, 3)
    return assemble(asked, read_district(asked, *layers))


def searched(asked, workers, turns=3):
    """A plan after some turns of pieces, and its search."""
    search = Decomposition(asked, Clock(300), workers)
    search.prove(lambda _: False, np.inf, 0.0)
    made = search.make()
    left = iter(range(turns))
    kept = [made]

    def offer(x):
        kept.append(x)
        return True

    search.improve(made, offer, lambda: next(left, None) is None)
    return kept[-1], search


def score(asked, x):
    """A solution's score, entropies taken exactly."""
    arrays = asked.arrays()
    return (float(arrays.cost @ x[: len(arrays.cost)]) - slack(asked.scales, x, arrays.cost)) / SCORE


def test_a_plan_is_made_and_every_step_keeps_every_row():
    asked = problem()
    x, search = searched(asked, threads(1))
    arrays = search.master.arrays
    assert not (arrays.violated(x, 5e-6) & ~arrays.cut).any()
    assert np.abs(x[arrays.integer] - np.rint(x[arrays.integer])).max() == 0
    assert search.master.score_of(x) <= search.master.bound
    assert search.master.bound - search.master.score_of(x) <= 0.04 * search.master.score_of(x)


def test_a_hair_of_a_stack_opens_a_site_and_breaks_no_row():
    asked = problem()
    search = Decomposition(asked, Clock(300), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    search._price(EXACTLY)
    master, d, model = search.master, asked.district, asked.model
    x, open_ = search._snapped(master.x)
    keep, _, redevelop = master.actions
    settled = (x[keep] == 1) & (np.bincount(d.parcel_of, open_) == 0) & (master.upper[redevelop] > 0)
    storeys = d.storey_limit[:, 0] * settled[d.parcel_of]
    site = int(storeys.argmax())
    part = 1.5e-6 / storeys[site]  # the action is all but 0, its floors are not
    x[redevelop[d.parcel_of[site]]] += part
    x[keep[d.parcel_of[site]]] -= part
    x[model.new[site, 0]] += part * storeys[site]
    before = master.arrays.violated(x, BREAKS)
    after, open_ = search._snapped(x)
    assert storeys[site] >= 2
    assert open_[site]
    assert not (master.arrays.violated(after, BREAKS) & ~before & ~master.coupling).any()


def test_pieces_are_cut_out_of_the_program_as_it_has_grown():
    asked = problem()
    x, search = searched(asked, threads(1), turns=1)
    master, rows = search.master, len(search.pieces.needed)
    much = x.copy()
    for scale in master.groups:
        much[scale.entropy] += 1.0
    assert separate(asked.model, master.groups, much, 1e-9, "test")
    master.refresh()
    left = iter(range(2))
    search.improve(x, lambda _: True, lambda: next(left, None) is None)
    assert len(search.pieces.needed) == master.arrays.matrix.shape[0] > rows


def test_two_runs_under_a_work_limit_do_the_same(monkeypatch):
    monkeypatch.setattr("optimizer.solving.LARGE", -1)
    second, plans = Decomposition._second, []
    monkeypatch.setattr(Decomposition, "_second", lambda self: plans.append(second(self)) or plans[-1])
    runs = [solve_problem(problem(40, work_limit=8, gap=1e-4, threads=2)) for _ in range(2)]
    assert len([plan for plan in plans if plan is not None]) == 2
    assert runs[0].x.tobytes() == runs[1].x.tobytes()
    assert runs[0].bound == runs[1].bound


def test_where_no_plan_can_be_made_the_first_is_improved(monkeypatch):
    monkeypatch.setattr("optimizer.solving.LARGE", -1)
    monkeypatch.setattr(Decomposition, "make", lambda self, **_: None)
    for other in ("start", "improve"):
        monkeypatch.setattr(f"optimizer.solving._Run.{other}", lambda self: None)
    asked = problem(40, work_limit=4)
    first = nearest(asked, kept(asked), set(), Clock(60), 60.0, 1)
    better = solve_problem(asked).x
    assert not (asked.arrays().violated(better, 5e-6) & ~asked.arrays().cut).any()
    assert score(asked, better) > score(asked, first) + 0.1


def test_where_uses_cannot_be_parted_a_plan_is_made_only_if_there_is_none(monkeypatch):
    monkeypatch.setattr("optimizer.decompose.part", lambda *_: (True, None))
    search = Decomposition(problem(), Clock(300), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    assert search.make(planned=True) is None and search.solved == 0
    assert search.make() is not None and search.solved > 0
    assert search._second() is None


def test_a_plan_is_given_up_once_too_much_time_went_into_pieces_without_an_answer(monkeypatch):
    monkeypatch.setattr("optimizer.decompose.WASTED", 0.0)
    turns, whole, begun = [], Decomposition._whole, []
    monkeypatch.setattr(Decomposition, "_whole", lambda *given: begun.append(None) or whole(*given))

    def unanswered(tasks, clock, seconds):
        turns.append(len(tasks))
        return [None] * len(tasks)

    for options, most in ({}, TRIES), ({"work_limit": 50}, 50):
        search = Decomposition(problem(**options), Clock(300), cluster.Crew(1, unanswered))
        search.prove(lambda _: False, np.inf, 0.0)
        turns.clear()
        begun.clear()
        assert search.make() is None
        assert len(turns) == most if not options else 1 < len(turns) <= most
        assert options or len(begun) == TRIES


def test_a_plan_that_is_given_up_is_begun_anew_with_other_seeds(monkeypatch):
    monkeypatch.setattr("optimizer.decompose.WASTED", 0.0)
    seeds = []

    def unanswered_at_first(tasks, clock, seconds):
        seeds.extend(task.seed for task in tasks)
        return [None if len(seeds) == 1 else solve_task(task, clock, seconds) for task in tasks]

    asked = problem()
    search = Decomposition(asked, Clock(300), cluster.Crew(1, unanswered_at_first))
    search.prove(lambda _: False, np.inf, 0.0)
    made = search.make()
    assert not (asked.arrays().violated(made, BREAKS) & ~asked.arrays().cut).any()
    assert len(set(seeds)) == len(seeds) > 1


def test_a_piece_without_an_answer_is_tried_again_with_fewer_sites():
    counts = []

    def refused_once(tasks, clock, seconds):
        counts.append([int(task.program.integer.sum()) for task in tasks])
        return [None if len(counts) == 1 else solve_task(task, clock, seconds) for task in tasks]

    search = Decomposition(problem(80), Clock(300), cluster.Crew(1, refused_once))
    search.prove(lambda _: False, np.inf, 0.0)
    assert search.make() is not None
    assert 0 < max(counts[1]) < max(counts[0])


def test_a_piece_whose_answer_broke_a_row_left_out_is_solved_again_with_it():
    asked = problem()
    first = nearest(asked, kept(asked), set(), Clock(60), 60.0, 1)
    arrays = asked.arrays()
    (row,) = (i for i, name in enumerate(arrays.row_names) if name == "programme_most_today")
    search = Decomposition(asked, Clock(300), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    lazy, upper = search.master.arrays.lazy.copy(), search.master.arrays.row_upper.copy()
    lazy[row] = 0.0  # left out of pieces until an answer breaks it
    upper[row] = 1.02 * (arrays.matrix[[row]] @ first)[0]
    search.master.arrays = replace(search.master.arrays, lazy=lazy, row_upper=upper)
    turned, taken, left = [], [], iter(range(2))
    turn = search._turn
    search._turn = lambda *given: turned.append(turn(*given)) or turned[-1]
    search.improve(first, lambda x: taken.append(x) or True, lambda: next(left, None) is None)
    refused, again = ([sites.tolist() for _, sites in pieces] for pieces in turned)
    assert refused == again and len(taken) == 1
    assert search.pieces.needed[row] and not search.master.arrays.violated(taken[0], BREAKS)[row]


def test_the_master_leaves_out_rows_that_are_far_from_binding_and_takes_in_those_it_breaks(monkeypatch):
    bounds = []
    for near in (0.2, 0.5):
        monkeypatch.setattr("optimizer.master.NEAR", near)
        search = Decomposition(problem(rules=[{"kind": "noise", "limits": {"housing": 52}}]), Clock(300), threads(1))
        search.prove(lambda _: False, np.inf, 0.001)
        master = search.master
        a, held = master.arrays, master.held()
        slack, lazy = a.row_upper - a.matrix @ master.x, np.isfinite(a.lazy) & ~a.cut
        assert (slack[lazy & ~held] > near).all() and (slack[lazy & held] <= near).all()
        assert held[np.isinf(a.lazy)].all()
        assert np.array_equal(held[a.cut], a.pressing([master.x])[a.cut])
        bounds.append(master.bound)
    assert (lazy & held).any() and (lazy & ~held).any()
    assert bounds[0] == pytest.approx(bounds[1], rel=2e-3)


def test_pieces_choose_where_a_second_plan_differs(monkeypatch):
    asked = problem(80)
    search = Decomposition(asked, Clock(300), threads(2))
    search.prove(lambda _: False, np.inf, 0.0)
    first = search.make()
    second = search._second()
    assert search._second() is None  # once
    assert not (asked.arrays().violated(second, BREAKS) & ~asked.arrays().cut).any()
    assert score(asked, second) == pytest.approx(score(asked, first), rel=0.05)
    model, of = asked.model, asked.district.parcel_of
    decided = [(x[model.keep], x[model.convert], x[model.redevelop]) for x in (first, second)]
    floors = [np.column_stack([x[model.new], x[model.converted]]) for x in (first, second)]
    differ = (np.rint(decided[0]) != np.rint(decided[1])).any(axis=0)
    np.logical_or.at(differ, of, (np.rint(floors[0]) != np.rint(floors[1])).any(axis=1))
    assert differ.any() and not differ.all()
    monkeypatch.setattr("optimizer.decompose.CROSSED", 1.0)
    search._other = second
    for size in 5, 79:
        chosen = np.concatenate([sites for _, sites in search._turn(first, size, [])])
        assert len(chosen) >= size
        assert differ[of[chosen]].all() if size == 5 else differ[of[chosen]].sum() == differ[of].sum()


def test_no_second_plan_is_made_where_little_is_left(monkeypatch):
    search = Decomposition(problem(80, work_limit=40), Clock(300), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    assert search._second() is None  # nor before the first
    search.make()
    for work in search.solved, search.solved + search._took:
        search.work = work
        assert search._second() is None
    search.work, before = search.solved + 3 * search._took, search.solved
    assert search._second() is not None
    assert before < search.solved <= search.work


def test_the_largest_pieces_are_tried_whatever_a_second_plan_differs_by(monkeypatch):
    monkeypatch.setattr("optimizer.decompose.CROSSED", 1.0)
    asked, sizes = problem(), []
    search = Decomposition(asked, Clock(300), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    made = search.make()
    second = made.copy()
    second[asked.model.new[:14]] += 1.0
    plans = iter([second])
    monkeypatch.setattr(search, "_second", lambda: next(plans, None))
    monkeypatch.setattr(search.master, "score_of", lambda x: 0.0)
    search.crew = cluster.Crew(1, lambda tasks, clock, seconds: [None] * len(tasks))
    turn = search._turn

    def turned(*given):
        pieces = turn(*given)
        sizes.extend((len(sites), search._thorough) for _, sites in pieces)
        return pieces

    monkeypatch.setattr(search, "_turn", turned)
    search.improve(made, lambda x: True, lambda: False)
    assert search.tired_out and (len(asked.district.sites), True) in sizes
    assert min(sizes)[0] >= search.first_size


def test_a_second_plan_is_the_first_of_its_search_where_it_scores_more(monkeypatch):
    first, search = searched(problem(), threads(1), turns=0)
    better, taken = first.copy(), []
    better[search.problem.model.new[0]] += 1.0
    monkeypatch.setattr(search, "_second", lambda: better)
    monkeypatch.setattr(search.master, "score_of", lambda x: float(x is better))
    monkeypatch.setattr("optimizer.decompose.FRUITLESS", 0)
    watched = iter([False, True])
    search.improve(first, lambda x: taken.append(x) or True, lambda: next(watched))
    assert taken == [better] and search._other is first
    assert not search._tired.any()


def test_losses_are_where_the_plan_is_worse_than_the_prices():
    asked = problem()
    search = Decomposition(asked, Clock(120), threads(1))
    search.prove(lambda _: False, np.inf, 0.0)
    made = search.make()
    lost = search.losses(made)
    assert (lost >= 0).all()
    gap = search.master.bound - search.master.score_of(made)
    assert lost.sum() <= gap * 1.05 + 1e-6


def test_a_cluster_that_loses_a_worker_finds_the_same_plan():
    distributed = pytest.importorskip("distributed")
    alone, _ = searched(problem(), _in_turns_of(threads(1), 4))
    with (
        distributed.LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None, processes=True) as local,
        distributed.Client(local) as client,
    ):
        workers = on_cluster(client)
        assert workers.workers == 4
        pids = list(client.run(os.getpid).values())
        together, _ = searched(problem(), _losing(workers, pids[0]))
        assert pids[0] not in client.run(os.getpid).values()
    assert together.tobytes() == alone.tobytes()


def _losing(workers, pid):
    """A crew one of whose workers is killed while the second turn is solved."""
    turns = iter(range(99))

    def solve(tasks, clock, seconds):
        if next(turns) == 1:
            threading.Timer(0.1, os.kill, (pid, signal.SIGKILL)).start()
        return workers.solve(tasks, clock, seconds)

    return cluster.Crew(workers.workers, solve)


def _in_turns_of(workers, count):
    """A crew that takes turns of another size than it has workers."""
    return cluster.Crew(count, lambda tasks, clock, seconds: [workers.solve([t], clock, seconds)[0] for t in tasks])


def test_a_scheduler_that_is_not_there_is_named_within_ten_seconds():
    pytest.importorskip("distributed")
    started = time.monotonic()
    with pytest.raises(SolverError, match="no Dask scheduler answers"), crew("tcp://127.0.0.1:9", 1):
        pass
    assert time.monotonic() - started < 10
