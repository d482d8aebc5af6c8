"""Fronts, against every plan of small districts tried, and fronts that are known."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from optimizer.district import read_district
from optimizer.errors import InfeasibleError, StudyError
from optimizer.front import Front, Point, axis, dominated_volume, nondominated
from optimizer.frontier import BEYOND, frontier
from optimizer.problem import all_rules
from optimizer.reference import most_floor_area
from tests.districts import LINKS, lots, study
from tests.enumeration import (
    COLUMNS,
    LAND,
    NAMES,
    PLATE,
    entropy,
    plans_of,
    situations,
    small_districts,
    transport_value,
    tries,
)

OBJECTIVE = {"proximity": 0.5, "mixing": 0.5, "scales": {"building": 0.5, "neighbourhood": 0.5}}
PAIRS = [
    ("mixing", "homes"),
    ("proximity", "mixing"),
    ("homes", "demolished"),
    ("jobs", "changed"),
    ("proximity", "jobs"),
]
TRIPLES = [("jobs", "homes", "changed"), ("mixing", "homes", "demolished")]
NEAR = 2e-5


def shares_of(s, names, most, groups):
    """What a plan reaches of the most that each axis can be, from the axes' words."""
    g = s.area
    stays = [e.sum() if a in ("keep", "convert") else 0.0 for e, a in zip(s.today, s.action)]
    same = [e.sum() if a == "keep" else 0.0 for e, a in zip(s.today, s.action)]
    jobs, homes = g[:, 0].sum() / 40 + g[:, 1].sum() / 20, g[:, 2].sum() / 80

    def fullest(rates):
        left, total = most[-1], 0.0
        for rate, area in sorted(zip(rates, most[:-1]), reverse=True):
            total, left = total + rate * min(area, left), left - min(area, left)
        return total

    def value():
        top = sum(k["strength"] * k["demand"] * most[NAMES.index(k["client"])] for k in LINKS)
        return transport_value(g, s.walk) / top

    def mixing():
        summed = np.array([g[groups == k].sum(axis=0) for k in np.unique(groups)])
        return 0.5 * (entropy(g).sum() + entropy(summed).sum()) / (most[-1] * math.log(3))

    found = {
        "proximity": value,
        "mixing": mixing,
        "jobs": lambda: jobs / fullest([1 / 40, 1 / 20, 0.0]),
        "homes": lambda: homes / fullest([0.0, 0.0, 1 / 80]),
        "demolished": lambda: sum(stays) / s.today.sum(),
        "changed": lambda: sum(same) / s.today.sum(),
    }
    return [found[name]() for name in names]


def agrees(case, names, budget):
    far, storeys, today, park, zone, gap = case
    tallest = [math.floor(f * LAND / PLATE + 1e-9) for f in far]
    count = math.prod(len(plans_of(*lot)) for lot in zip(tallest, storeys, park))
    assume(2 <= count <= (120 if "proximity" in names else 500) and sum(storeys) > 0)
    assume(not {"jobs", "homes"} & set(names) or max(tallest) > 0)
    facts = {f"gfa_{u}": [PLATE * s * (u == t) for s, t in zip(storeys, today)] for u in NAMES}
    frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
    rules = [{"kind": "programme", "max_floor_area": budget}] if budget else []
    asked = study(rules=rules, objective=OBJECTIVE, lot_columns=COLUMNS)
    district = read_district(asked, frame)
    most = most_floor_area(district, all_rules(asked))
    found = [s for s in situations(district, far, storeys, park, zone) if s.area.sum() <= (budget or 1e9) + 1e-6]
    assume(found)
    every = np.array([shares_of(s, names, most, district.groups["neighbourhood"]) for s in found])
    best = np.unique(np.round(every[nondominated(every)], 9), axis=0)
    front = frontier(asked, names, None, frame)
    assert front.complete
    ours = np.array([p.shares for p in front.points])
    for point in ours:
        # A plan like it exists, and none beats it by more than rounding.
        assert np.abs(every - point).max(axis=1).min() < NEAR
        assert not ((every >= point - NEAR).all(axis=1) & (every > point + 10 * NEAR).any(axis=1)).any(), (names, point)
    for point in best:
        # What beats a found point by less than levels are apart, or than the other axes weigh, may be left out.
        assert (ours >= point - BEYOND - NEAR).all(axis=1).any(), (names, point, ours)
    low, high = front.hypervolume
    assert 0 <= low <= high <= 1 + 1e-9
    sides = np.array([top for _, top in front.ideal]) - front.nadir
    if sides.min() > 0.05:
        assert high - low < 0.02


@settings(
    max_examples=tries(60),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(small_districts(3, 1), st.sampled_from(PAIRS), st.sampled_from([0, 480, 720, 960]))
def test_all_points_of_two_axes_and_only_those_are_found(case, names, budget):
    agrees(case, names, budget)


@settings(
    max_examples=tries(30),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(small_districts(2, 1), st.sampled_from(TRIPLES), st.sampled_from([0, 480, 720]))
def test_all_points_of_three_axes_and_only_those_are_found(case, names, budget):
    agrees(case, names, budget)


def test_the_front_of_a_knapsack_is_that_of_dynamic_programming():
    """Each lot is kept (today's floor) or redeveloped for homes: a knapsack of two objectives, all of its front."""
    rng = np.random.default_rng(7)
    storeys, most = rng.integers(1, 4, 7), rng.integers(1, 5, 7)
    facts = {"gfa_making": PLATE * storeys, "storeys": storeys, "max_far": most * PLATE / LAND}
    asked = study(
        rules=[{"kind": "banned", "uses": ["making", "shops"]}],
        objective=OBJECTIVE,
        actions={"allowed": ["keep", "redevelop"]},
    )
    front = frontier(asked, ["homes", "changed"], None, lots(7, **facts))
    # States that no other beats, lot by lot (Nemhauser and Ullmann 1969), in m² of homes and of floor that stays.
    states = {(0, 0)}
    for stay, homes in zip(storeys.tolist(), most.tolist()):
        states = {(h + homes, s) for h, s in states} | {(h, s + stay) for h, s in states}
        states = {a for a in states if not any(b != a and b[0] >= a[0] and b[1] >= a[1] for b in states)}
    homes = [round(p.plan.floor_area[:, 2].sum() / PLATE) for p in front.points]
    gone = [round(front.value(1, p.shares[1]) / PLATE) for p in front.points]
    assert set(zip(homes, gone)) == {(h, int(storeys.sum()) - s) for h, s in states}
    assert front.complete


def _loud_lots(loudest):
    """Three lots in a row, a limit at homes, and of every plan that keeps it the mixing and how far below the limit it is."""
    far, storeys, park, zone = [1.2, 1.2, 1.8], [1, 0, 0], [False] * 3, ["A"] * 3
    facts = {"gfa_homes": [PLATE, 0.0, 0.0], "gfa_making": [0.0] * 3, "gfa_shops": [0.0] * 3}
    frame = lots(3, gap=5.0, max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
    rule = {"kind": "noise", "method": "din45691", "limits": {"homes": loudest}}
    asked = study(rules=[rule], objective=OBJECTIVE, lot_columns=COLUMNS)
    district = read_district(asked, frame)
    most, every = most_floor_area(district, all_rules(asked)), []
    for s in situations(district, far, storeys, park, zone):
        heard = [1.0]
        for i in np.flatnonzero(s.area[:, 2] > 0):
            away = [j for j in range(3) if j != i]
            heard.append(sum(s.area[j, 0] * 1e6 / (4 * math.pi * ((s.xy[i] - s.xy[j]) ** 2).sum()) for j in away))
        below = loudest - 10 * math.log10(max(*heard, 1.0))
        if below >= 0:
            every.append((*shares_of(s, ["mixing"], most, district.groups["neighbourhood"]), below / loudest))
    return asked, frame, np.array(every)


def test_all_points_of_noise_and_mixing_are_those_of_every_plan():
    asked, frame, every = _loud_lots(50.0)
    front = frontier(asked, ["quiet", "mixing"], None, frame)
    best = np.unique(np.round(every[nondominated(every)], 9), axis=0)
    ours = np.array([p.shares[::-1] for p in front.points])
    assert front.complete and len(best) > 3
    for point in ours:
        assert np.abs(every - point).max(axis=1).min() < NEAR
        assert not ((every >= point - NEAR).all(axis=1) & (every > point + 10 * NEAR).any(axis=1)).any()
    for point in best:
        assert (ours >= point - BEYOND - NEAR).all(axis=1).any()


def test_noise_falls_by_a_decibel_a_level_and_its_bounds_hold():
    asked, frame, every = _loud_lots(50.0)
    front = frontier(asked, ["mixing", "quiet"], 4, frame)
    asks = [50.0 * p.levels[1] for p in front.solves[1:]]
    assert np.diff(asks) == pytest.approx([-1.0, -1.0], abs=1e-3)
    assert asks[-1] == pytest.approx(50.0 * front.solves[0].shares[1] + 1.0, abs=1e-3)
    for point in front.solves:
        beyond = every[every[:, 1] >= point.levels[1] - 1e-9]
        assert point.bound == pytest.approx(beyond[:, 0].max(), abs=NEAR)


@pytest.mark.parametrize("names", [["homes", "mixing"], ["jobs", "changed", "mixing"], ["changed", "homes"]])
@pytest.mark.parametrize("give", [0.0, 0.3])
def test_one_axis_after_the_other_is_that_of_every_plan(names, give):
    far, storeys, park, zone = [1.2, 0.6, 1.8], [1, 2, 0], [False] * 3, ["A"] * 3
    facts = {"gfa_homes": [0.0, 2 * PLATE, 0.0], "gfa_making": [PLATE, 0.0, 0.0], "gfa_shops": [0.0] * 3}
    frame = lots(3, gap=5.0, max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
    asked = study(objective=OBJECTIVE, lot_columns=COLUMNS)
    district = read_district(asked, frame)
    most = most_floor_area(district, all_rules(asked))
    found = situations(district, far, storeys, park, zone)
    every = np.array([shares_of(s, names, most, district.groups["neighbourhood"]) for s in found])
    front = frontier(asked, names, None, frame, in_order=give)
    assert len(front.solves) == len(names) and not front.complete
    for k, point in enumerate(front.solves):
        assert point.shares[k] == pytest.approx(every[:, k].max(), abs=2e-3)
        every = every[every[:, k] >= (1 - give) * every[:, k].max() - 1e-6]


def test_a_grid_has_its_points_between_the_ends_each_with_its_proof():
    frame = lots(
        4, columns=2, storeys=[2, 0, 1, 1], gfa_homes=[480.0, 0.0, 240.0, 0.0], gfa_making=[0.0, 0.0, 0.0, 240.0]
    )
    rules = [{"kind": "programme", "max_floor_area": 2000, "min_share": {"shops": 0.1}}]
    asked = study(rules=rules, objective=OBJECTIVE)
    front = frontier(asked, ["proximity", "mixing"], 5, frame)
    assert len(front.solves) == 5 and {p.main for p in front.solves[2:]} == {1}
    levels = [p.levels[0] for p in front.solves[2:]]
    assert levels == sorted(levels, reverse=True)
    every = frontier(asked, ["proximity", "mixing"], None, frame)
    low, high = front.hypervolume
    # Of the same box: what the grid reaches, what all points reach, what the grid cannot rule out.
    box = front.nadir, np.array([top for _, top in front.ideal])
    size = float(np.prod(box[1] - box[0]))
    whole = dominated_volume(np.array([p.shares for p in every.points]), *box) / size
    assert low - 1e-3 <= whole <= high + 1e-3
    for point in front.points:
        assert point.bound >= point.shares[point.main] - 1e-9
        if point.main == 1:
            assert all(p.shares[1] <= point.bound + 1e-6 for p in every.points if p.shares[0] >= point.levels[0])


def _point(main, levels, shares, bound):
    return Point(main, levels, "optimal", shares, bound, object(), 0.0)


def test_volumes_knee_and_ends_of_a_front_by_hand():
    ends = [_point(0, (0.0, 0.0), (1.0, 0.0), 1.0), _point(1, (0.0, 0.0), (0.0, 1.0), 1.0)]
    middle = _point(0, (0.0, 0.5), (0.8, 0.5), 0.9)
    front = Front(study(), (axis("mixing"), axis("jobs")), (1.0, 200.0), (*ends, middle), False, False)
    assert front.knee == 1 and front.points[1] is middle
    assert front.nadir.tolist() == [0.0, 0.0] and front.ideal == [(1.0, 1.0), (1.0, 1.0)]
    # Reached: 0.8 by 0.5. Ruled out: what lies above 0.9 from 0.5 on.
    assert front.hypervolume == (pytest.approx(0.4), pytest.approx(0.5 * 1.0 + 0.5 * 0.9))
    assert front.value(1, 0.5) == 100.0
    points = np.array([[1, 1, 0.5], [0.5, 1, 1], [1, 0.5, 1], [0.5, 0.5, 0.5], [1, 1, 0.5]])
    assert nondominated(points).tolist() == [True, True, True, False, False]
    volume = dominated_volume(points, np.zeros(3), np.ones(3))
    cells = np.array(list(itertools.product((0.25, 0.75), repeat=3)))
    assert volume == pytest.approx(np.mean([(points >= cell).all(axis=1).any() for cell in cells]))


@pytest.mark.parametrize(
    ("axes", "points", "said"),
    [
        (["proximity", "mxing"], 5, "did you mean 'mixing'"),
        (["mixing"], 5, "two or three"),
        (["mixing", "mixing"], 5, "different"),
        (["mixing", "homes"], 1, "at least 2"),
        (["mixing", "demolished"], 5, "is 0 in every plan"),
        (["mixing", "quiet"], 5, "rules noise, and the study has none"),
    ],
)
def test_what_makes_no_front_is_said(axes, points, said):
    with pytest.raises(StudyError, match=said):
        frontier(study(objective=OBJECTIVE), axes, points, lots(2))


def test_what_has_no_order_is_said():
    asked = study(rules=[{"kind": "noise", "limits": {"homes": 50}}], objective=OBJECTIVE)
    with pytest.raises(StudyError, match="comes last"):
        frontier(asked, ["mixing", "jobs"], None, lots(2), in_order=0.0)
    with pytest.raises(StudyError, match="cannot be maximised"):
        frontier(asked, ["jobs", "quiet"], None, lots(2), in_order=0.0)
    with pytest.raises(StudyError, match="from 0 up to 1"):
        frontier(asked, ["jobs", "mixing"], None, lots(2), in_order=1.0)


def test_all_points_are_exact_whatever_gap_the_study_asks_for():
    frame = lots(
        4, columns=2, storeys=[2, 0, 1, 1], gfa_homes=[0.0, 0.0, 0.0, 240.0], gfa_making=[480.0, 0.0, 240.0, 0.0]
    )
    rules = [{"kind": "programme", "max_floor_area": 3000}]
    rough = study(rules=rules, objective=OBJECTIVE, solve={"gap": 0.2})
    fronts = [
        frontier(asked, ["mixing", "homes"], None, frame) for asked in (rough, study(rules=rules, objective=OBJECTIVE))
    ]
    shares = [np.array([p.shares for p in front.points]) for front in fronts]
    assert shares[0] == pytest.approx(shares[1], abs=1e-6) and all(front.complete for front in fronts)


def test_axes_are_over_what_the_rules_allow_whatever_scores_are_divided_by():
    frame = lots(3)
    small = {"total": 500.0, "uses": dict.fromkeys(NAMES, 500.0)}
    fronts = [
        frontier(study(objective=o), ["jobs", "homes"], None, frame)
        for o in (OBJECTIVE, OBJECTIVE | {"reference": small})
    ]
    shares = [np.array([p.shares for p in front.points]) for front in fronts]
    assert len(shares[0]) > 2 and shares[0] == pytest.approx(shares[1], abs=1e-6)
    assert max(high for front in fronts for _, high in front.ideal) <= 1 + 1e-9


def test_a_level_may_be_reached_but_for_a_hair():
    frame = lots(3, storeys=[4, 4, 1], gfa_homes=[960.0, 960.0, 0.5], gfa_making=0.0)
    front = frontier(study(objective=OBJECTIVE), ["jobs", "demolished"], None, frame)
    assert len(front.points) > 1


def test_a_wish_is_a_finite_number():
    with pytest.raises(StudyError, match="finite"):
        frontier(study(objective=OBJECTIVE), ["mixing", "homes"], 2, lots(2), wishes={"mixing": 0.5, "homes": math.nan})


def test_where_nothing_is_allowed_there_is_no_front():
    with pytest.raises(StudyError, match="allows no floor area at all"):
        frontier(study(rules=[{"kind": "programme", "max_today": 1.2}]), ["mixing", "homes"], 2, lots(2))


def test_a_study_that_no_plan_satisfies_has_no_front():
    asked = study(rules=[{"kind": "programme", "min_floor_area": 1e6}], objective=OBJECTIVE)
    with pytest.raises(InfeasibleError, match="instead of at least"):
        frontier(asked, ["mixing", "homes"], 3, lots(2))


@pytest.mark.parametrize("parts", [(0.5, 0.5), (0.9, 0.1), (1.2, 1.2), (-0.1, 0.3)])
def test_the_plan_nearest_to_wishes_is_that_of_all_points(parts):
    frame = lots(
        4, columns=2, storeys=[2, 0, 1, 1], gfa_homes=[480.0, 0.0, 240.0, 0.0], gfa_making=[0.0, 0.0, 0.0, 240.0]
    )
    asked = study(rules=[{"kind": "programme", "max_floor_area": 2000}], objective=OBJECTIVE)
    names = ["mixing", "changed"]
    every = frontier(asked, names, None, frame)
    shares = np.array([p.shares for p in every.points])
    low, span = shares.min(axis=0), shares.max(axis=0) - shares.min(axis=0)
    wish = low + np.array(parts) * span
    wanted = {name: every.value(k, wish[k]) for k, name in enumerate(names)}
    best = ((wish - shares) / span).max(axis=1).min()
    front = frontier(asked, names, 2, frame, wishes=wanted)
    assert front.wish.least - 1e-3 <= best <= front.wish.short + 1e-3
    assert front.wish.short - front.wish.least <= 0.02
    assert any("Nearest to the wishes" in said for said in front.sentences())


def test_wishes_name_every_axis():
    with pytest.raises(StudyError, match="did you mean 'homes'"):
        frontier(study(objective=OBJECTIVE), ["mixing", "homes"], 2, lots(2), wishes={"mixing": 0.5, "home": 3})
    with pytest.raises(StudyError, match="homes missing"):
        frontier(study(objective=OBJECTIVE), ["mixing", "homes"], 2, lots(2), wishes={"mixing": 0.5})


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "share", "uses": ["shops"], "min": 0.2, "price": 0.01},
        {"kind": "siting", "use": "shops", "goal": "cover", "weight": 0.3, "radius": 100, "clients": "homes"},
    ],
)
def test_rules_that_score_by_themselves_have_no_front(rule):
    with pytest.raises(StudyError, match="leave its price or weight out"):
        frontier(study(rules=[rule], objective=OBJECTIVE), ["mixing", "homes"], 2, lots(2))
