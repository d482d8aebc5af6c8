"""Screens against a plain reading of ISO 9613-2, published cases and shortest ways around from another library."""

import math
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import shapely
from shapely import affinity

import geodata.screening as module
from geodata.errors import GeodataError
from geodata.propagation import (
    A_WEIGHTING,
    BANDS,
    Air,
    Conditions,
    diffraction,
    energy,
    level,
    loudest,
    shares,
    transmission,
)
from geodata.screening import Screens, screening

SPECTRUM = shares([85, 88, 90, 91, 89, 86, 80, 70])
BLOCK = shapely.box(0, 0, 40, 30)
SHAPES = {
    "block": BLOCK,
    "slab": shapely.box(0, 0, 60, 9),
    "angle": shapely.Polygon([(0, 0), (40, 0), (40, 10), (12, 10), (12, 35), (0, 35)]),
    "court": shapely.Polygon([(0, 0), (40, 0), (40, 35), (30, 35), (30, 10), (10, 10), (10, 35), (0, 35)]),
    "perimeter": BLOCK.difference(shapely.box(10, 8, 30, 22)),
    "triangle": shapely.Polygon([(0, 0), (30, 5), (8, 25)]),
}


def screens(*buildings):
    """Screens of pairs of footprint and height."""
    return Screens(np.array([b for b, _ in buildings], dtype=object), np.array([float(h) for _, h in buildings]))


def one(buildings, source, receptor, **more):
    """D_z of one pair by band; zeros where nothing screens."""
    row, loss = screening(
        screens(*buildings), np.array([source], float), np.array([receptor], float), np.array([[0, 0]]), **more
    )
    assert row.tolist() in ([], [0])
    return loss[0] if len(row) else np.zeros(8)


def district(rng, count, size, kinds=tuple(SHAPES)):
    """Turned buildings anywhere, some in one another's way."""
    for _ in range(count):
        shape = affinity.rotate(SHAPES[rng.choice(kinds)], rng.uniform(0, 360))
        yield affinity.translate(shape, *rng.uniform(0, size, 2)), rng.uniform(3, 30)


def points(rng, count, size, top=15):
    return np.column_stack([rng.uniform(0, size, (count, 2)), rng.uniform(0.5, top, count)])


def every(sources, receptors):
    return np.stack(np.meshgrid(np.arange(len(sources)), np.arange(len(receptors)), indexing="ij"), -1).reshape(-1, 2)


# A plain reading, one pair and one building at a time


def plain(shape, top, a, b, most):
    """D_z by band of a convex building, by shapely and math; None if it does not screen."""
    line = shapely.LineString([a[:2], b[:2]])
    if shape.intersects(shapely.Point(a[:2])) or shape.intersects(shapely.Point(b[:2])):
        return None
    inside = line.intersection(shape)
    if inside.length == 0:
        return None
    run = math.dist(a[:2], b[:2])
    tops, clear = [], True
    for x, y in inside.coords:
        t = math.dist(a[:2], (x, y))
        sight = a[2] + (b[2] - a[2]) * t / run
        dss, dsr = math.dist(a, (x, y, top)), math.dist((x, y, top), b)
        z = (dss + dsr - math.dist(a, b)) * (1 if top > sight else -1)
        clear = clear and top <= sight
        tops.append((z, dss, dsr))
    if clear:
        return None
    sides = {1: run, -1: run}
    for x, y in shape.exterior.coords:
        cross = (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
        way = math.dist(a[:2], (x, y)) + math.dist((x, y), b[:2])
        if cross:
            sides[math.copysign(1, cross)] = max(sides[math.copysign(1, cross)], way)
    result = []
    for band in BANDS:
        wave = 340 / band
        over = []
        for z, dss, dsr in tops:
            met = math.exp(-math.sqrt(dss * dsr * math.dist(a, b) / (2 * z)) / 2000) if z > 0 else 1
            over.append(min(most, 10 * math.log10(max(3 + 20 / wave * z * met, 1))))
        carried = 10 ** (-max(over) / 10)
        for way in sides.values():
            z = math.sqrt(way**2 + (a[2] - b[2]) ** 2) - math.dist(a, b)
            carried += 1 / (3 + 20 / wave * z)
        result.append(min(most, max(0, -10 * math.log10(carried))))
    return result


def test_screening_is_the_plain_reading():
    rng = np.random.default_rng(2)
    most = 18.0
    buildings = list(district(rng, 12, 220, ("block", "slab", "triangle")))
    sources, receptors = points(rng, 18, 240), points(rng, 20, 240)
    pairs = every(sources, receptors)
    row, loss = screening(screens(*buildings), sources, receptors, pairs, Conditions(most_screening=most))
    found = np.zeros((len(pairs), 8))
    found[row] = loss
    expected = np.zeros((len(pairs), 8))
    for k, (i, j) in enumerate(pairs):
        for shape, top in buildings:
            single = plain(shape, top, tuple(sources[i]), tuple(receptors[j]), most)
            if single is not None:
                expected[k] = np.maximum(expected[k], single)
    assert found == pytest.approx(expected, abs=1e-6)
    assert row.tolist() == np.flatnonzero(expected.any(axis=1)).tolist()
    assert 100 < len(row) < len(pairs) - 50
    assert most - 0.5 < found.max() < most


# Published cases


def test_barrier_of_case_t08_of_iso_tr_17534_3():
    # A wall 6 m high from (100, 240) to (265, -180); D_z over its top as table 21 prints it. The ways around take 0.02 dB at most.
    wall = shapely.LineString([(100, 240), (265, -180)]).buffer(1e-3, cap_style="flat")
    found = one([(wall, 6)], (10, 10, 1), (200, 50, 4))
    assert found == pytest.approx([5.06, 5.33, 5.83, 6.68, 8.01, 9.84, 12.12, 14.71], abs=0.025)


def test_cube_of_case_t11_of_iso_tr_17534_3_is_on_the_safe_side():
    # Table 31 prints D_z over both edges of the top, and 41.30 dB(A) for all ways. One edge and one corner screen less.
    cube = shapely.box(55, 5, 65, 15)
    here = Conditions(air=Air(20, 70), ground=0.5)
    found = one([(cube, 10)], (50, 10, 1), (70, 10, 4), conditions=here)
    assert (found <= [15.36, 18.94, 23.32, 25, 25, 25, 25, 25]).all()
    power = level(energy(93 + A_WEIGHTING).sum())
    free, behind = (
        power + level(transmission(20.0, 1.0, 4.0, shares(np.full(8, 93)), here, screen)) for screen in (None, found)
    )
    assert 41.30 < behind < free - 10


# Ways around


def shortest(shape, a, b):
    """Shortest way on the ground that stays out of a footprint: a path in the graph of what sees what; inf if none."""
    corners = [a, b, *shape.exterior.coords[:-1], *(xy for ring in shape.interiors for xy in ring.coords[:-1])]
    inner = shape.buffer(-1e-6)
    graph = nx.Graph()
    graph.add_nodes_from(corners)
    for k, p in enumerate(corners):
        for q in corners[:k]:
            if not shapely.LineString([p, q]).intersects(inner):
                graph.add_edge(p, q, length=math.dist(p, q))
    return nx.dijkstra_path_length(graph, a, b, "length") if nx.has_path(graph, a, b) else math.inf


def ways(shape, a, b):
    """The ways around that the module takes, left and right."""
    built = screens((shape, 10))
    ends = np.array([a], float), np.array([b], float)
    none = np.zeros(1, dtype=np.int64)
    crossed = module._crossings(built, *ends, none, none)
    return (float(crossed.left[0]), float(crossed.right[0])) if len(crossed.row) else None


@pytest.mark.parametrize("kind", SHAPES)
def test_no_way_around_is_longer_than_the_shortest(kind):
    rng = np.random.default_rng(8)
    shape = SHAPES[kind]
    crossed = blocked = 0
    while crossed < 60:
        a, b = (tuple(p) for p in rng.uniform(-25, 65, (2, 2)))
        if shape.intersects(shapely.Point(a)) or shape.intersects(shapely.Point(b)):
            continue
        taken = ways(shape, a, b)
        assert (taken is None) == (shapely.LineString([a, b]).intersection(shape).length < 1e-9)
        if taken is not None:
            crossed += 1
            best = shortest(shape, a, b)
            blocked += best == math.inf
            assert math.dist(a, b) <= min(taken) <= best + 1e-6
    assert (blocked > 0) == (kind == "perimeter")


def test_ways_around_a_thin_wall_are_the_shortest():
    wall = shapely.box(10, -30, 10.001, 12)
    left, right = ways(wall, (0, 0), (25, 4))
    assert left == pytest.approx(math.hypot(10, 12) + math.hypot(15, 8), abs=0.01)
    assert right == pytest.approx(math.hypot(10, 30) + math.hypot(15, 34), abs=0.01)
    assert ways(wall, (25, 4), (0, 0)) == pytest.approx((right, left), abs=0.01)


def test_a_wing_at_the_back_does_not_lengthen_the_way_around_the_front():
    # A bracket around the receptor: a low wall in front, open at (10, 5), and an arm far to the left.
    bracket = shapely.Polygon(
        [(10, -5), (40, -5), (40, 60), (0, 60), (0, 55), (35, 55), (35, 0), (11, 0), (11, 3), (10, 3)]
    )
    a, b = (0, 1), (20, 1)
    left, right = ways(bracket, a, b)
    assert left == pytest.approx(shortest(bracket, a, b), abs=0.2)
    assert left < 22
    assert right > left


# What screens


def test_over_the_top_by_hand():
    # A wall without ends, 5 m high, 10 m from the source and 20 m from the receptor, both 1 m high.
    wall = shapely.box(10, -1e5, 10.001, 1e5)
    found = one([(wall, 5)], (0, 0, 1), (30, 0, 1))
    dss, dsr = math.sqrt(116), math.sqrt(416)
    assert found == pytest.approx(diffraction(dss + dsr - 30, d_ss=dss, d_sr=dsr, distance=30.0), abs=1e-3)
    assert found[4] == pytest.approx(
        10 * math.log10(3 + 58.82 * 1.1664 * math.exp(-math.sqrt(6589 / 2.333) / 2000)), abs=0.01
    )
    assert one([(wall, 1.5)], (0, 0, 1), (30, 0, 1)).any()
    assert not one([(wall, 0.99)], (0, 0, 1), (30, 0, 1)).any()
    # The line of sight rises from 1 m to 10 m: 4 m at the wall.
    assert not one([(wall, 3.99)], (0, 0, 1), (30, 0, 10)).any()
    assert one([(wall, 4.01)], (0, 0, 1), (30, 0, 10)).any()


def test_a_tall_slender_building_is_gone_around():
    mast = shapely.box(10, -1, 11, 1)
    low, high = (one([(mast, h)], (0, 0, 1), (30, 0, 1)) for h in (20, 200))
    assert low == pytest.approx(high, abs=0.3)
    z = math.hypot(10, 1) + math.hypot(20, 1) - 30
    assert (high[0] < 3) and (high[7] < 10 * math.log10((3 + 20 * 8000 / 340 * z) / 2))


def test_what_is_not_between_or_is_ones_own_does_not_screen():
    house = (BLOCK, 12)
    assert one([house], (-20, 15, 1), (60, 15, 1)).all()
    assert not one([house], (-20, 15, 1), (-5, 15, 1)).any()
    assert not one([house], (-20, 35, 1), (60, 35, 1)).any()
    for own in ((5, 15, 1), (40, 15, 1), (0, 0, 1)):
        assert not one([house], own, (60, 15, 1)).any()
        assert not one([house], (60, 15, 1), own).any()
    # One above the other, and along a wall.
    assert not one([house], (60, 15, 1), (60, 15, 9)).any()
    assert not one([house], (-20, 0, 1), (60, 0, 1)).any()
    assert not one([house], (60, 0, 1), (-20, 0, 1)).any()
    # In the court of a block: not inside it.
    assert one([(SHAPES["perimeter"], 12)], (20, 15, 1), (60, 15, 1))[4] > 10
    # A building's other part is in the way.
    two = shapely.MultiPolygon([shapely.box(-5, -5, 5, 5), shapely.box(20, -50, 25, 50)])
    assert one([(two, 12)], (0, 0, 1), (40, 0, 1)).all()
    assert one([(two, 12)], (0, 0, 1), (40, 0, 1)) == pytest.approx(one([(two.geoms[1], 12)], (0, 0, 1), (40, 0, 1)))


def test_higher_screens_more_and_two_screen_as_the_better_one():
    losses = [one([(BLOCK, h)], (-20, 15, 1), (60, 15, 1)) for h in (2, 4, 8, 16)]
    assert all((b > a).all() for a, b in pairwise([loss[:4] for loss in losses]))
    first, second = (shapely.box(-12, -80, -10, 80), 3.0), (BLOCK, 9.0)
    both = one([first, second], (-20, 15, 1), (60, 15, 1))
    alone = [one([b], (-20, 15, 1), (60, 15, 1)) for b in (first, second)]
    assert both == pytest.approx(np.maximum(*alone))


def test_screening_is_symmetric_and_turns_with_the_map():
    rng = np.random.default_rng(4)
    buildings = list(district(rng, 15, 250))
    sources, receptors = points(rng, 25, 250), points(rng, 25, 250)
    pairs = every(sources, receptors)
    row, loss = screening(screens(*buildings), sources, receptors, pairs)
    back_row, back = screening(screens(*buildings), receptors, sources, pairs[:, ::-1])
    assert row.tolist() == back_row.tolist()
    assert loss == pytest.approx(back, abs=1e-6)
    turn = np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]])
    shift = np.array([5e5, 5.3e6, 0])
    moved = [(shapely.transform(s, lambda xy: xy @ turn[:2, :2] + shift[:2]), h) for s, h in buildings]
    there_row, there = screening(screens(*moved), sources @ turn + shift, receptors @ turn + shift, pairs)
    assert row.tolist() == there_row.tolist()
    assert loss == pytest.approx(there, abs=1e-4)


def test_pairs_and_chunks_make_no_difference(monkeypatch):
    rng = np.random.default_rng(6)
    built = screens(*district(rng, 20, 300))
    sources, receptors = points(rng, 30, 300), points(rng, 40, 300)
    everyone = every(sources, receptors)
    distance = np.linalg.norm(sources[everyone[:, 0], :2] - receptors[everyone[:, 1], :2], axis=1)
    pairs = everyone[distance <= 150]
    row, loss = screening(built, sources, receptors, pairs)
    whole_row, whole = screening(built, sources, receptors, everyone)
    inside = distance[whole_row] <= 150
    assert everyone[whole_row[inside]].tolist() == pairs[row].tolist()
    assert loss == pytest.approx(whole[inside])
    monkeypatch.setattr(module, "_PAIRS", 37)
    monkeypatch.setattr(module, "_EDGES", 11)
    few_row, few = screening(built, sources, receptors, pairs)
    assert few_row.tolist() == row.tolist()
    assert few == pytest.approx(loss)
    none_row, none = screening(built, sources, receptors, pairs[:0])
    assert none_row.shape == (0,) and none.shape == (0, 8)


# Ranges of heights


def test_no_heights_of_a_range_are_screened_less_or_louder():
    rng = np.random.default_rng(9)
    built = screens(*district(rng, 25, 260))
    sources, receptors = points(rng, 40, 260, 20), points(rng, 40, 260, 30)
    low = tuple(p[:, 2] * rng.uniform(0, 1, len(p)) for p in (sources, receptors))
    pairs = every(sources, receptors)
    row, least = screening(built, sources, receptors, pairs, lowest=low)
    i, j = pairs.T
    d = np.linalg.norm(sources[i, :2] - receptors[j, :2], axis=1)
    here = Conditions(ground=0.4)
    screen = np.zeros((len(pairs), 8))
    screen[row] = least
    heights = (low[0][i], sources[i, 2]), (low[1][j], receptors[j, 2])
    most = loudest(d, *heights, SPECTRUM, here, screen)
    sides = 0
    for _ in range(12):
        share = rng.random((2, len(sources))).round(int(rng.integers(0, 3)))
        some = [
            np.column_stack([p[:, :2], lo + s * (p[:, 2] - lo)]) for p, lo, s in zip((sources, receptors), low, share)
        ]
        at, loss = screening(built, *some, pairs)
        found = np.zeros((len(pairs), 8))
        found[at] = loss
        assert (found >= screen - 1e-6).all()
        energy_there = transmission(d, some[0][i, 2], some[1][j, 2], SPECTRUM, here, found)
        assert (level(energy_there) - level(most)).max() < 0.02
        sides += int((found > screen + 0.1).any(axis=1).sum())
    assert sides > 100
    # Without the lowest heights, ways around could seem longer than they are.
    _, high = screening(built, sources, receptors, pairs)
    assert (high >= least - 1e-9).all() and (high > least + 0.01).any()


# Errors


def test_no_screens_screen_nothing():
    row, loss = screening(screens(), np.ones((2, 3)), np.zeros((3, 3)), every(range(2), range(3)))
    assert row.shape == (0,) and loss.shape == (0, 8)


@pytest.mark.parametrize(
    ("shape", "height"),
    [
        (shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)]), 5.0),
        (shapely.Point(0, 0), 5.0),
        (shapely.Polygon(), 5.0),
        (None, 5.0),
        (BLOCK, math.nan),
    ],
)
def test_screens_that_are_none(shape, height):
    with pytest.raises(GeodataError, match=r"screens\[1\]"):
        Screens(np.array([BLOCK, shape], dtype=object), np.array([3.0, height]))


def test_screens_want_a_height_each():
    with pytest.raises(GeodataError, match="2 footprints, 1 heights"):
        Screens(np.array([BLOCK, BLOCK], dtype=object), np.array([3.0]))
