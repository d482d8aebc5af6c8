"""Gaussian plumes: mass balance, closed formulas, published values, a scalar reference and an outside program."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from geodata import plume
from geodata.errors import GeodataError
from geodata.plume import WindRose, annual, hourly, nearest_heights, sector_hour, sigma, wind_at

COMPASS = np.deg2rad(22.5 * np.arange(16))


def one_class(frequency, stability="D", speed=3.0, calm=0.0):
    return WindRose(np.reshape(frequency, (16, 1)), (stability,), np.array([speed]), calm)


def random_rose(seed=0, calm=0.05):
    random = np.random.default_rng(seed)
    frequency = random.random((16, 7)) ** 2
    frequency *= (1 - calm) / frequency.sum()
    return WindRose(frequency, tuple("ABCDDEF"), np.array([1.5, 2.0, 3.0, 4.0, 7.0, 2.5, 0.6]), calm)


# Published values


@pytest.mark.parametrize(
    ("terrain", "published"),
    [
        # test suite of GasDispersion.jl 0.3 (Briggs as in CCPS 1999), sigma_y and sigma_z at 1.2 m, A to F
        (
            "urban",
            [
                (0.38390787316433456, 0.2881727481910807),
                (0.38390787316433456, 0.2881727481910807),
                (0.26393666280048, 0.24),
                (0.19195393658216728, 0.16796976816235135),
                (0.13196833140024, 0.09591371646531512),
                (0.13196833140024, 0.09591371646531512),
            ],
        ),
        (
            "rural",
            [
                (0.2639841614254575, 0.24),
                (0.19198848103669636, 0.144),
                (0.13199208071272875, 0.09598848207318536),
                (0.09599424051834818, 0.07193528734898633),
                (0.07199568038876113, 0.03598704466392099),
                (0.04799712025917409, 0.019193090487424527),
            ],
        ),
    ],
)
def test_sigma_is_that_of_another_library(terrain, published):
    for stability, expected in zip("ABCDEF", published):
        assert sigma(stability, 1.2, terrain) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("terrain", "published"),
    [
        # test suite of GasDispersion.jl 0.3 (ISC3), 3 m/s brought to ten times the height, A to F
        (
            "urban",
            (4.237612633868263, 4.237612633868263, 4.754679577383341, 5.334838230116768) + 2 * (5.985786944906638,),
        ),
        (
            "rural",
            [
                3.5246926648185886,
                3.5246926648185886,
                3.776776235382502,
                4.237612633868263,
                6.716163415705019,
                10.6444016770,
            ],
        ),
    ],
)
def test_wind_rises_as_in_another_library(terrain, published):
    for stability, expected in zip("ABCDEF", published):
        assert wind_at(100.0, 3.0, stability, terrain) == pytest.approx(expected, rel=1e-9)


def test_wind_is_that_at_10_m_below_and_never_under_1():
    assert wind_at([0.0, 4.0, 10.0], 3.0, "F") == pytest.approx([3.0, 3.0, 3.0])
    assert wind_at(20.0, 0.2, "D") == pytest.approx(2**0.25)


# dgm-hrtm 0.1.0: class, x, y (m), wind towards x and y (m/s), release and receptor height (m), µg/m³ for 1 g/s
OUTSIDE = [
    ("A", 528, 604, 2.4, 2.5, 0.5, 9.6, 3.29124),
    ("A", -2, -130, -0.7, -3.6, 6.5, 5.9, 82.001),
    ("A", 81, 1350, -0.5, 3.8, 3.9, 12.3, 0.735542),
    ("A", 367, -778, 1.4, -3.5, 8.8, 1.6, 2.60031),
    ("B", 171, 348, 1.4, 3.0, 8.7, 0.5, 33.0986),
    ("B", 289, -730, 1.7, -4.0, 2.0, 8.1, 6.32193),
    ("B", 219, -166, 2.4, -1.5, 4.5, 20.0, 55.5927),
    ("B", -1007, -675, -2.1, -1.4, 5.1, 5.9, 4.72525),
    ("C", -128, 131, -3.9, 3.5, 3.7, 23.8, 47.3978),
    ("C", -218, 833, -0.8, 3.5, 7.4, 16.9, 14.0897),
    ("C", 372, -76, 1.5, -0.3, 1.1, 17.3, 145.412),
    ("C", 879, -832, 1.1, -1.0, 3.9, 19.9, 18.7266),
    ("D", -435, 836, -1.0, 1.7, 9.9, 18.1, 42.0501),
    ("D", 686, -843, 2.5, -2.8, 4.0, 13.8, 20.0223),
    ("D", -21, 516, -0.2, 3.7, 0.0, 10.5, 81.6053),
    ("D", 483, 1303, 1.1, 3.5, 9.9, 4.7, 13.6436),
    ("E", 440, -470, 2.6, -2.7, 8.6, 20.7, 64.674),
    ("E", -432, 5, -2.9, 0.2, 5.5, 2.7, 204.325),
    ("E", 608, -355, 2.9, -1.8, 0.0, 4.9, 113.033),
    ("E", -519, 1237, -1.3, 3.4, 4.5, 16.7, 28.7359),
    ("F", 1095, -499, 2.9, -1.3, 5.9, 18.4, 69.5571),
    ("F", -1, 1064, 0.0, 1.5, 0.4, 3.7, 389.751),
    ("F", -87, -97, -2.3, -2.4, 6.0, 22.2, 2.19961e-11),
    ("F", -479, -454, -1.2, -1.1, 7.9, 23.5, 83.2781),
]


@pytest.mark.parametrize("case", OUTSIDE)
def test_an_hour_is_that_of_another_program(case):
    stability, x, y, u, v, release, receptor, expected = case
    direction = math.degrees(math.atan2(-u, -v))
    found = hourly(x, y, release, receptor, 0.0, direction, stability, math.hypot(u, v), "rural")
    assert found == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize(
    ("x", "sigma_z", "sigma_y", "published"),
    [(260, 26.2, 45.9, 15.3), (280, 28.2, 49.0, 15.6), (300, 30.1, 52.2, 15.5)],
)
def test_worked_example(monkeypatch, x, sigma_z, sigma_y, published):
    """Boubel, Fox, Turner and Stern, Fundamentals of Air Pollution, 3rd ed., pp. 303-305: 0.37 g/s, 40 m, 2 m/s."""
    monkeypatch.setitem(plume.SIGMA_Y, "rural", ((sigma_y / x, 0.0),) * 6)
    monkeypatch.setitem(plume.SIGMA_Z, "rural", ((sigma_z / x, 0.0, 0.0),) * 6)
    found = 0.37 * hourly(0.0, -x, 40.0, 0.0, 0.0, 0.0, "B", 2.0 / 4**0.07, "rural")
    assert found == pytest.approx(published, abs=0.05)


# Closed formulas


@pytest.mark.parametrize("terrain", ["urban", "rural"])
@pytest.mark.parametrize("stability", "ABCDEF")
def test_ground_level_under_the_axis(stability, terrain):
    x = np.array([100.0, 700.0, 3000.0])
    s_y, s_z = sigma(stability, x, terrain)
    expected = 1e6 / (np.pi * 4.0 * s_y * s_z) * np.exp(-(8.0**2) / (2 * s_z**2))
    assert np.allclose(hourly(-x, 0.0, 8.0, 0.0, 0.0, 90.0, stability, 4.0, terrain), expected)


def test_far_off_a_lid_spreads_the_plume_evenly_below():
    """Then C = Q / (u r (pi/8) L) on the centre line of a sector, at any height."""
    z = np.linspace(0, 300, 7)
    found = sector_hour(0.0, -20_000.0, 10.0, z, 0.0, 0, "C", 5.0, mixing_height=301.0)
    assert np.allclose(found, 1e6 / (5.0 * 20_000 * (np.pi / 8) * 301.0), rtol=1e-5)


def test_stable_air_has_no_lid():
    for stability in "EF":
        args = (0.0, -5000.0, 20.0, 1.5, 30.0, 0, stability, 3.0, "urban")
        assert sector_hour(*args, mixing_height=60.0) == sector_hour(*args)
    assert sector_hour(*args[:6], "D", 3.0, mixing_height=60.0) > 1.5 * sector_hour(*args[:6], "D", 3.0)


def test_twice_the_wind_half_the_concentration():
    there = np.meshgrid(np.linspace(-400, 400, 9), np.linspace(-400, 390, 9))
    for concentration in (
        lambda u: hourly(*there, 5.0, 2.0, 30.0, 200.0, "C", u),
        lambda u: sector_hour(*there, 5.0, 2.0, 30.0, 9, "C", u),
        lambda u: annual(*there, 5.0, 2.0, 30.0, one_class(np.full(16, 1 / 16), speed=u)),
    ):
        assert np.allclose(concentration(2.0), 2 * concentration(4.0))
        assert concentration(2.0).max() > 0


@pytest.mark.parametrize("width", [0.0, 60.0])
def test_equal_winds_reach_all_sides_alike(width):
    angle = np.linspace(0, 2 * np.pi, 101)
    for r in (35.0, 70.0, 500.0):
        rose = one_class(np.full(16, 1 / 16))
        found = annual(r * np.sin(angle), r * np.cos(angle), 2.0, 5.0, width, rose)
        s_z = sigma("D", r)[1]
        vertical = np.exp(-(3.0**2) / (2 * s_z**2)) + np.exp(-(7.0**2) / (2 * s_z**2))
        expected = 1e6 * vertical / (np.sqrt(2 * np.pi) * s_z * 3.0 * 2 * np.pi * r) * (1 + (width / r) ** 2 / 8)
        assert np.allclose(found, expected, rtol=1e-6)


# Mass balance


@pytest.mark.parametrize(("width", "initial", "lid"), [(0.0, 0.0, np.inf), (50.0, 4.0, np.inf), (0.0, 0.0, 150.0)])
@pytest.mark.parametrize(("stability", "terrain"), [("A", "urban"), ("D", "urban"), ("B", "rural"), ("F", "rural")])
def test_what_passes_a_plane_across_the_wind_is_what_is_emitted(stability, terrain, width, initial, lid):
    top = lid if stability < "E" else np.inf
    s_y, s_z = sigma(stability, 800.0, terrain)
    y = np.linspace(-8 * s_y - 300, 8 * s_y + 300, 801)
    z = np.linspace(0, min(top, 8 * s_z + 100) - 1e-9, 801)
    found = hourly(y[:, None], 800.0, 9.0, z, width, 180.0, stability, 2.5, terrain, top, initial)
    assert 2.5 * np.trapezoid(np.trapezoid(found, z), y) == pytest.approx(1e6, rel=0.003)


@pytest.mark.parametrize(("width", "r"), [(0.0, 20.0), (0.0, 600.0), (40.0, 200.0), (40.0, 900.0)])
def test_what_passes_a_ring_in_a_year_is_what_is_emitted(width, r):
    random = np.random.default_rng(3)
    frequency = random.random(16)
    rose = one_class(frequency / frequency.sum(), "C", 4.0)
    angle = np.linspace(0, 2 * np.pi, 721)
    z = np.linspace(0, 8 * float(sigma("C", r)[1]) + 20, 400)
    found = annual(r * np.sin(angle)[:, None], r * np.cos(angle)[:, None], 6.0, z, width, rose)
    assert 4.0 * r * np.trapezoid(np.trapezoid(found, z), angle) == pytest.approx(
        1e6, rel=0.0005 if width == 0 else 0.01
    )


# Directions


@pytest.mark.parametrize("sector", range(16))
def test_wind_from_a_sector_blows_away_from_it(sector):
    """Sector 0 is wind from the north, 4 from the east: concentrations lie to the south, to the west."""
    r = 200.0
    at = sector_hour(r * np.sin(COMPASS), r * np.cos(COMPASS), 5.0, 2.0, 0.0, sector, "D", 3.0)
    assert np.argmax(at) == (sector + 8) % 16
    assert np.allclose(np.delete(at, (sector + 8) % 16), 0.0, atol=1e-3 * at.max())
    hour = hourly(r * np.sin(COMPASS), r * np.cos(COMPASS), 5.0, 2.0, 0.0, 22.5 * sector, "D", 3.0)
    assert np.argmax(hour) == (sector + 8) % 16
    between = COMPASS + np.pi / 16
    at_half = sector_hour(r * np.sin(between), r * np.cos(between), 5.0, 2.0, 0.0, sector, "D", 3.0)
    assert np.allclose(np.sort(at_half)[-3:], at.max() * np.array([0.0, 0.5, 0.5]))


@given(st.floats(0, 360), st.floats(-89.9, 89.9), st.floats(1, 3000), st.floats(0, 100))
def test_nothing_goes_upwind_in_an_hour(direction, off, r, width):
    bearing = np.deg2rad(direction + off)
    assert hourly(r * np.sin(bearing), r * np.cos(bearing), 5.0, 2.0, width, direction, "A", 2.0) == 0.0


@given(st.integers(0, 15), st.floats(-89, 89), st.floats(1, 20), st.floats(0, 100))
def test_nothing_goes_upwind_in_a_sector(sector, off, ratio, width):
    bearing, r = np.deg2rad(22.5 * sector + off), max(width, 1.0) * ratio
    assert sector_hour(r * np.sin(bearing), r * np.cos(bearing), 5.0, 2.0, width, sector, "A", 2.0) == 0.0


def test_within_a_source_the_spread_is_that_of_its_edge():
    inside = hourly(0.0, -np.array([0.5, 10.0, 19.0, 20.0, 21.0]), 5.0, 2.0, 40.0, 0.0, "D", 3.0)
    assert np.allclose(inside[:4], inside[3])
    assert inside[4] != pytest.approx(inside[3], rel=1e-3)


def test_a_sector_is_the_mean_of_its_hours():
    """Winds spread as a triangle over twice 22.5 degrees; the plume is narrow, so the formulas agree off its axis."""
    offset = np.linspace(-22.5, 22.5, 1801)
    weight = np.maximum(1 - np.abs(offset) / 22.5, 0)
    for off in (-11.25, 11.25, 6.0):
        east, north = 800 * np.sin(np.deg2rad(off)), 800 * np.cos(np.deg2rad(off))
        hours = [hourly(east, north, 5.0, 2.0, 0.0, 180 + d, "F", 2.0, "rural") for d in offset]
        mean = np.average(hours, weights=weight)
        assert sector_hour(east, north, 5.0, 2.0, 0.0, 8, "F", 2.0, "rural") == pytest.approx(mean, rel=0.02)


# Years


def test_a_year_is_the_sum_of_its_hours():
    """Six classes of wind, and calms of 1 m/s from everywhere in class F."""
    rose = random_rose()
    random = np.random.default_rng(1)
    there = (*random.uniform(-500, 500, (2, 300)), 12.0, random.uniform(0, 40, 300), 25.0)
    total = np.zeros(300)
    for i in range(16):
        for k, (stability, speed) in enumerate(zip(rose.stability, rose.speed)):
            total += rose.frequency[i, k] * sector_hour(*there, i, stability, speed, "urban", 250.0, 2.0)
        total += 0.05 / 16 * sector_hour(*there, i, "F", 1.0, "urban", 250.0, 2.0)
    assert np.allclose(total, annual(*there, rose, "urban", 250.0, 2.0), rtol=1e-9)


def test_a_year_of_calms():
    still = WindRose(np.zeros((16, 2)), ("C", "E"), np.array([2.0, 2.0]), 1.0)
    always = one_class(np.full(16, 1 / 16), "E", 1.0)
    there = (np.array([100.0, 3.0]), np.array([-50.0, 300.0]), 3.0, 2.0, 20.0)
    assert np.allclose(annual(*there, still), annual(*there, always))


# References written apart from the module


def reference_sigmas(stability, x, terrain):
    def power(value, b, c):
        return value * math.exp(c * math.log1p(b * x))

    if terrain == "rural":
        y = {"A": 0.22, "B": 0.16, "C": 0.11, "D": 0.08, "E": 0.06, "F": 0.04}[stability] * x
        z = {
            "A": lambda: 0.2 * x,
            "B": lambda: 0.12 * x,
            "C": lambda: power(0.08 * x, 2e-4, -0.5),
            "D": lambda: power(0.06 * x, 1.5e-3, -0.5),
            "E": lambda: power(0.03 * x, 3e-4, -1),
            "F": lambda: power(0.016 * x, 3e-4, -1),
        }[stability]()
        return power(y, 1e-4, -0.5), z
    y = {"A": 0.32, "B": 0.32, "C": 0.22, "D": 0.16, "E": 0.11, "F": 0.11}[stability] * x
    z = {
        "A": lambda: power(0.24 * x, 1e-3, 0.5),
        "C": lambda: 0.2 * x,
        "D": lambda: power(0.14 * x, 3e-4, -0.5),
        "E": lambda: power(0.08 * x, 1.5e-3, -0.5),
    }[{"B": "A", "F": "E"}.get(stability, stability)]()
    return power(y, 4e-4, -0.5), z


def reference_spread(stability, x, terrain, axis, initial):
    if initial == 0:
        return reference_sigmas(stability, x, terrain)[axis]
    start = brentq(lambda d: reference_sigmas(stability, d, terrain)[axis] - initial, 0.0, 1e5, xtol=1e-10)
    return reference_sigmas(stability, x + start, terrain)[axis]


def reference_vertical(release, receptor, s_z, stability, lid):
    images = range(-60, 61) if stability in "ABCD" and lid < math.inf else (0,)
    total = 0.0
    for m in images:
        shift = 0.0 if m == 0 else 2 * m * lid
        for source in (release, -release):
            total += math.exp(-((receptor - source - shift) ** 2) / (2 * s_z * s_z))
    return total


def reference_wind(height, speed, stability, terrain):
    p = dict(zip("ABCDEF", (15, 15, 20, 25, 30, 30) if terrain == "urban" else (7, 7, 10, 15, 35, 55)))[stability] / 100
    return max(speed, 1.0) * (height / 10) ** p if height > 10 else max(speed, 1.0)


def random_cases(seed, count):
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield {
            "east": random.uniform(-900, 900),
            "north": random.uniform(-900, 900),
            "release": random.uniform(0, 60),
            "receptor": random.uniform(0, 80),
            "width": random.choice([0.0, random.uniform(5, 120)]),
            "stability": str(random.choice(list("ABCDEF"))),
            "speed": random.uniform(0.5, 8),
            "terrain": str(random.choice(["urban", "rural"])),
            "lid": random.choice([math.inf, 90.0, 150.0, 600.0]),
            "initial": random.choice([0.0, random.uniform(0.5, 12)]),
            "random": random,
        }


def test_an_hour_is_that_of_the_reference():
    above = 0
    for c in random_cases(11, 300):
        offset = c["random"].normal(0, 12)
        towards = complex(c["north"], c["east"])
        direction = math.degrees(math.atan2(towards.imag, towards.real)) + 180 + offset
        heading = complex(math.cos(math.radians(direction + 180)), math.sin(math.radians(direction + 180)))
        along = towards * heading.conjugate()
        x = max(along.real, c["width"] / 2, 1.0)
        s_y = reference_spread(c["stability"], x, c["terrain"], 0, c["width"] / 4.3)
        s_z = reference_spread(c["stability"], x, c["terrain"], 1, c["initial"])
        expected = 1e6 * math.exp(-(along.imag**2) / (2 * s_y * s_y)) / (2 * math.pi * s_y * s_z)
        expected *= reference_vertical(c["release"], c["receptor"], s_z, c["stability"], c["lid"])
        expected /= reference_wind(c["release"], c["speed"], c["stability"], c["terrain"])
        if along.real <= 0:
            expected = 0.0
        found = hourly(
            *(c[k] for k in ("east", "north", "release", "receptor", "width")),
            direction,
            *(c[k] for k in ("stability", "speed", "terrain", "lid", "initial")),
        )
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-9)
        above += expected > 1
    assert above > 150


def test_a_sector_is_that_of_the_reference():
    """The share of the sector is averaged here over 20,000 directions to the source."""
    above = 0
    for c in random_cases(12, 200):
        r = math.hypot(c["east"], c["north"])
        if r < c["width"] / 2:
            continue
        wind_from = math.degrees(math.atan2(-c["east"], -c["north"]))
        sector = round(wind_from / 22.5 + c["random"].uniform(-1.5, 1.5)) % 16
        half = math.degrees(math.asin(c["width"] / 2 / r))
        directions = wind_from + half * (np.arange(20_000) + 0.5 - 10_000) / 10_000
        apart = np.abs((directions - 22.5 * sector + 180) % 360 - 180)
        share = np.clip(1 - apart / 22.5, 0, None).mean()
        s_z = reference_spread(c["stability"], max(r, 1.0), c["terrain"], 1, c["initial"])
        expected = 1e6 * share * (1 + (c["width"] / 2 / r) ** 2 / 2)
        expected *= reference_vertical(c["release"], c["receptor"], s_z, c["stability"], c["lid"])
        expected /= math.sqrt(2 * math.pi) * s_z * (math.pi / 8) * r
        expected /= reference_wind(c["release"], c["speed"], c["stability"], c["terrain"])
        found = sector_hour(
            *(c[k] for k in ("east", "north", "release", "receptor", "width")),
            sector,
            *(c[k] for k in ("stability", "speed", "terrain", "lid", "initial")),
        )
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
        above += expected > 1
    assert above > 80


@pytest.mark.parametrize("terrain", ["urban", "rural"])
def test_a_wide_source_is_the_mean_of_the_points_in_it(terrain):
    """Brute force over a square of 40 m: within 15 % from one width off, 35 % at its edge, 2 % on average further out."""
    rose, width = random_rose(calm=0.0), 40.0
    line = (np.arange(40) + 0.5) / 40 * width - width / 2
    east, north = (grid.ravel() for grid in np.meshgrid(line, line))
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)[:, None]
    for ratio, least, most in ((0.5, 0.85, 1.35), (1.0, 0.9, 1.15), (2.0, 0.95, 1.06), (6.0, 0.97, 1.03)):
        r = ratio * width
        points = annual(r * np.sin(angle) - east, r * np.cos(angle) - north, 3.0, 3.0, 0.0, rose, terrain, np.inf, 3.0)
        brute = points.mean(axis=1)
        found = annual(r * np.sin(angle[:, 0]), r * np.cos(angle[:, 0]), 3.0, 3.0, width, rose, terrain, np.inf, 3.0)
        assert (least < found / brute).all()
        assert (found / brute < most).all()
        if ratio >= 2:
            assert found.mean() == pytest.approx(brute.mean(), rel=0.02)


def test_in_the_middle_of_a_source_all_winds_count_alike():
    rose = random_rose()
    middle = annual(0.0, 0.0, 3.0, 3.0, 40.0, rose)
    ring = annual(20 * np.sin(COMPASS), 20 * np.cos(COMPASS), 3.0, 3.0, 40.0, rose)
    assert middle == pytest.approx(ring.mean(), rel=0.02)
    assert annual(1e-9, 0.0, 3.0, 3.0, 40.0, rose) == pytest.approx(annual(0.0, -1e-9, 3.0, 3.0, 40.0, rose))
    edge = annual(np.array([19.999, 20.001]), 0.0, 3.0, 3.0, 40.0, rose)
    assert edge[0] == pytest.approx(edge[1], rel=0.02)


# Storeys not known yet


@st.composite
def height_ranges(draw):
    heights = st.floats(0, 120)
    return [tuple(sorted((draw(heights), draw(heights)))) for _ in range(2)]


@settings(max_examples=200, deadline=None)
@given(height_ranges(), st.sampled_from("ABCDEF"), st.sampled_from([0.0, 300.0, np.inf]))
def test_no_heights_in_the_ranges_give_more(ranges, stability, lid):
    release, receptor = ranges
    if lid == 0:
        lid = 125.0 if release[1] + receptor[1] < 120 else 300.0
    height, place = nearest_heights(release, receptor)
    r = np.geomspace(20, 5000, 25)
    worst = sector_hour(0.0, -r, height, place, 20.0, 0, stability, 3.0, "urban", lid)
    grid = [np.linspace(*span, 15) for span in ranges]
    found = sector_hour(0.0, -r, grid[0][:, None, None], grid[1][:, None], 20.0, 0, stability, 3.0, "urban", lid)
    assert (found <= worst * (1 + 1e-9)).all()


def test_nearest_heights():
    def pair(*ranges):
        return tuple(float(v) for v in nearest_heights(*ranges))

    assert pair((20, 20), (5, 5)) == (20, 5)
    assert pair((5, 5), (20, 20)) == (5, 20)
    assert pair((10, 30), (10, 50)) == (10, 10)
    assert pair((0, 6), (20, 50)) == (0, 14)
    assert pair((40, 60), (0, 10)) == (35, 5)
    several = nearest_heights((np.array([[5.0], [20.0]]), np.array([[5.0], [20.0]])), (np.zeros(3), np.full(3, 2.0)))
    assert several[0].shape == several[1].shape == (2, 3)


# Arrays


@pytest.mark.parametrize("size", [7, 1 << 16])
def test_pieces_make_no_difference(monkeypatch, size):
    rose = random_rose()
    random = np.random.default_rng(2)
    east, north = random.uniform(-500, 500, (2, 6, 50))
    height, width, z = random.uniform(0, 30, (6, 1)), random.uniform(0, 60, (6, 1)), random.uniform(0, 40, 50)
    spread = random.uniform(0, 5, (6, 1)) * np.array([0, 1, 1, 1, 0, 1])[:, None]
    monkeypatch.setattr(plume, "CHUNK", size)
    whole = annual(east, north, height, z, width, rose, "rural", 400.0, spread)
    hour = hourly(east, north, height, z, width, 77.0, "B", 2.0, "rural", 400.0, spread)
    assert whole.shape == hour.shape == (6, 50)
    for i, j in ((0, 0), (1, 49), (5, 20), (3, 33)):
        here = (east[i, j], north[i, j], height[i, 0], z[j], width[i, 0])
        assert whole[i, j] == pytest.approx(annual(*here, rose, "rural", 400.0, spread[i, 0]))
        assert hour[i, j] == pytest.approx(hourly(*here, 77.0, "B", 2.0, "rural", 400.0, spread[i, 0]))


def test_numbers_and_nothing():
    rose = random_rose()
    assert np.shape(annual(30.0, 40.0, 3.0, 3.0, 0.0, rose)) == ()
    assert annual(np.zeros(0), np.zeros(0), 3.0, 3.0, 0.0, rose).shape == (0,)
    assert np.isfinite(annual(0.0, 0.0, 3.0, 3.0, 0.0, rose))


def test_a_spread_that_stable_air_never_reaches():
    """Rural class F never spreads beyond 53 m upwards; a larger source is taken to be as high as that."""
    s_z = 0.016 / 0.0003
    found = sector_hour(0.0, -500.0, 0.0, 0.0, 0.0, 0, "F", 2.0, "rural", initial_sigma_z=70.0)
    assert found == pytest.approx(2e6 / (np.sqrt(2 * np.pi) * s_z * 2.0 * 500 * np.pi / 8), rel=0.01)


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calm": 0.2}, "add up to 1.2"),
        ({"frequency": np.full((8, 1), 1 / 8)}, r"frequency \(16, classes\)"),
        ({"frequency": np.r_[-0.1, 0.1 + np.full(15, 1 / 15)][:, None]}, "frequency below 0"),
        ({"calm": -0.5, "frequency": np.full((16, 1), 1.5 / 16)}, "frequency below 0"),
        ({"speed": np.array([0.0])}, "speed 0 m/s"),
        ({"stability": ("G",)}, 'stability = "G"'),
        ({"frequency": np.full((16, 1), np.nan)}, "frequency below 0"),
    ],
)
def test_roses_that_are_none(change, message):
    right = {"frequency": np.full((16, 1), 1 / 16), "stability": ("D",), "speed": np.array([3.0]), "calm": 0.0}
    WindRose(**right)
    with pytest.raises(GeodataError, match=message):
        WindRose(**right | change)


def test_a_rose_may_be_rounded():
    assert WindRose(np.full((16, 1), 0.0625 - 4e-5), ("D",), np.array([3.0])).frequency.sum() < 1


def test_errors_name_what_is_wrong():
    with pytest.raises(GeodataError, match='terrain = "suburb"'):
        sigma("D", 100.0, "suburb")
    with pytest.raises(GeodataError, match="sector = 16"):
        sector_hour(0.0, 10.0, 1.0, 1.0, 0.0, 16, "D", 3.0)
    with pytest.raises(GeodataError, match=r"mixing_height = 50 m.*60 m"):
        annual(0.0, 10.0, 1.0, [1.0, 60.0], 0.0, random_rose(), mixing_height=50.0)
    with pytest.raises(GeodataError, match="mixing_height"):
        hourly(0.0, 10.0, 80.0, 1.0, 0.0, 0.0, "D", 3.0, mixing_height=50.0)
