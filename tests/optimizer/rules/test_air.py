"""Air and odour: the audit's own plumes, every plan of small districts, closed formulas."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.breathed import annual_mean, centre_line, odour_hours, sector_mean, worst_hour
from optimizer.emissions import SECONDS, emission
from optimizer.errors import StudyError
from optimizer.kernels import annual_kernel, hours, plume, sectors
from optimizer.uses import Use
from tests.districts import USES, area, checked, lots, problem_of, solve, study
from tests.enumeration import NAMES, family
from tests.optimizer.rules.test_noise import evidence_by_hand

UNIFORM = {"classes": [{"stability": "D", "speed": 4.0, "frequency": [1 / 16] * 16}]}
WEST = {
    "classes": [
        {"stability": "D", "speed": 3.0, "frequency": [0.02] * 12 + [0.35] + [0.02] * 3},
        {"stability": "F", "speed": 2.0, "frequency": [0.0] * 8 + [0.3] + [0.0] * 7},
    ],
    "calm": 0.05,
}
DIRTY = {
    name: {**fields, "emissions": {"pm25": 400.0, "odour": 6000.0}} if name == "making" else fields
    for name, fields in USES.items()
}


def dusty(**sections):
    return study(**{"uses": DIRTY, "pollution": {"wind": WEST}, **sections})


def test_emissions_per_second_by_their_definitions():
    use = Use(
        "making",
        "Making",
        "#000000",
        5.0,
        hours={"day": 6, "evening": 0, "night": 0},
        emissions={"no2": 12.0, "odour": 7200.0},
    )
    assert emission(use, "no2") == pytest.approx(12.0 / SECONDS)
    assert emission(use, "no2", working=True) == pytest.approx(4 * 12.0 / SECONDS)
    assert emission(use, "odour") == 2.0


@pytest.mark.parametrize("stack", [None, 3.0])
@pytest.mark.parametrize("terrain", ["urban", "rural"])
def test_the_model_and_the_audit_breathe_the_same(stack, terrain):
    uses = {
        name: {**fields, "stack_height": stack} if name == "making" and stack else fields
        for name, fields in DIRTY.items()
    }
    asked = dusty(
        uses=uses,
        pollution={"wind": WEST, "terrain": terrain, "mixing_height": 90.0},
        rules=[{"kind": "air", "limits": {"homes": {"pm25": 50}}}],
    )
    district = problem_of(asked, lots(12, columns=4, storeys=1, gfa_making=240.0)).district
    floors = np.random.default_rng(3).integers(0, 3, (12, 3))
    action = np.where(floors.any(axis=1), "redevelop", "keep")
    evidence = evidence_by_hand(asked, district, action, floors)
    table = evidence.receptors["middles"]
    making = np.where(action == "keep", 240.0, floors[:, 0] * 240.0)
    flow = plume(district, np.arange(12), district.xy, stack)
    rate = making * emission(district.uses[0], "pm25")
    assert annual_mean(evidence, table, "pm25", "air") == pytest.approx(
        annual_kernel(district, flow, "air") @ rate, rel=1e-6
    )
    worst = np.max([kernel @ rate for _, kernel in hours(district, flow, "air")], axis=0)
    assert worst_hour(evidence, table, "pm25", "air") == pytest.approx(worst, rel=1e-6)
    odour = making * emission(district.uses[0], "odour") / 1e6
    smelt = sum(share * (kernel @ odour > 0.3) for _, share, kernel in sectors(district, flow, "air"))
    assert odour_hours(evidence, table, 0.3, "odour") == pytest.approx(smelt)
    assert 0 < smelt.max() <= 1


def test_a_uniform_rose_far_away_is_the_mean_over_the_circle():
    """Ground level, class D, urban: C = 2 q / (sqrt(2 pi) u sigma_z 2 pi x) in every direction."""
    x = 400.0
    up = 0.14 * x / math.sqrt(1 + 3e-4 * x)
    closed = 1e6 * 2 / (math.sqrt(2 * math.pi) * 4.0 * up * 2 * math.pi * x)
    section = study(pollution={"wind": UNIFORM}).pollution
    for angle in (0.0, 0.3, 2.0):
        source = (x * math.sin(angle), x * math.cos(angle), 0.0, 0.0, 0.0)
        found = sum(sector_mean(section, source, (k, "D", 4.0, 1 / 16)) / 16 for k in range(16))
        assert found == pytest.approx(closed, rel=1e-9)


def test_no_wind_carries_anything_upwind():
    section = study(pollution={"wind": UNIFORM}).pollution
    north = (0.0, 100.0, 2.0, 2.0, 15.0)
    assert centre_line(section, north, (0, "D", 4.0, 1.0)) == 0
    assert sector_mean(section, north, (0, "D", 4.0, 1.0)) == 0
    assert centre_line(section, north, (8, "D", 4.0, 1.0)) > 0 < sector_mean(section, north, (8, "D", 4.0, 1.0))


@st.composite
def rules(draw):
    limit = draw(st.sampled_from([0.5, 1.0, 2.0, 4.0, 8.0]))
    key = draw(st.sampled_from(["limits", "hourly"]))
    rule = {
        "kind": "air",
        key: {draw(st.sampled_from(["homes", "shops"])): {"pm25": limit * (8 if key == "hourly" else 1)}},
    }
    rule |= draw(st.sampled_from([{}, {}, {"background": {"pm25": 0.3}}]))
    return rule | draw(st.sampled_from([{}, {"where": "zone == 'A'"}]))


SECTION = study(pollution={"wind": WEST}).pollution
WINDS = [(k, "D", 3.0, f) for k, f in enumerate(WEST["classes"][0]["frequency"])] + [(8, "F", 2.0, 0.3)]
WINDS += [(k, "F", 1.0, 0.05 / 16) for k in range(16)]


def carried(s, i, of, concentration):
    """Each wind's concentration at lot i of what making emits, in the unit of the emission; all at 1.5 m, the lowest storey's middle."""
    found = []
    for wind in WINDS:
        total = 0.0
        for j in range(len(s.xy)):
            if j != i and s.area[j, 0]:
                east, north = s.xy[i] - s.xy[j]
                total += s.area[j, 0] * of * concentration(SECTION, (east, north, 1.5, 1.5, math.sqrt(240.0)), wind)
        found.append(total)
    return np.array(found)


def missed(rule, s):
    total = 0.0
    for key, concentration in (("limits", sector_mean), ("hourly", centre_line)):
        for use, limits in rule.get(key, {}).items():
            known = rule.get("background", {}).get("pm25", 0.0)
            room = limits["pm25"] - known
            for i in np.flatnonzero(s.chosen(rule) & (s.area[:, NAMES.index(use)] > 0)):
                each = carried(s, i, 400.0 / SECONDS, concentration)
                if key == "limits":
                    total += max(each @ [w[3] for w in WINDS] / room - 1.0, 0.0)
                else:
                    total += max(each.max() / room - 1.0, 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(), study_of=dusty, examples=100)


@st.composite
def odours(draw):
    limit = draw(st.sampled_from([0.0, 0.1, 0.3, 0.5]))
    rule = {
        "kind": "odour",
        "limits": {draw(st.sampled_from(["homes", "shops"])): limit},
        "threshold": draw(st.sampled_from([1, 3, 8])),
    }
    return rule | draw(st.sampled_from([{}, {"where": "zone == 'A'"}]))


def hours_missed(rule, s):
    total = 0.0
    for use, limit in rule["limits"].items():
        for i in np.flatnonzero(s.chosen(rule) & (s.area[:, NAMES.index(use)] > 0)):
            smelt = 4 * carried(s, i, 6000.0 / 3600, sector_mean) / 1e6 > rule["threshold"]
            total += max(sum(w[3] for w, b in zip(WINDS, smelt) if b) - limit, 0.0)
    return total


test_same_optimum_with_odour_as_every_plan_tried = family(
    odours(), hours_missed, prices=(0.05,), study_of=dusty, examples=60
)


def test_tightening_a_limit_never_raises_the_score():
    frame = lots(4, columns=2)
    scores = [
        solve(dusty(rules=[{"kind": "air", "limits": {"homes": {"pm25": limit}}}]), frame).result["objective"]
        for limit in (50.0, 4.0, 1.0, 0.2)
    ]
    assert all(a >= b - 0.011 * a for a, b in itertools.pairwise(scores)) and scores[0] > 1.02 * scores[-1]


def test_background_and_wind_are_asked_for():
    with pytest.raises(StudyError, match="not above background = 12"):
        dusty(rules=[{"kind": "air", "limits": {"homes": {"pm25": 10}}, "background": {"pm25": 12}}])
    with pytest.raises(StudyError, match=r"pollution\.wind: missing, and air needs it"):
        problem_of(study(uses=DIRTY, rules=[{"kind": "air", "limits": {"homes": {"pm25": 10}}}]), lots(3))
    for wind, said in (
        ({"classes": [{**UNIFORM["classes"][0], "frequency": [0.05] * 16}]}, r"add up to 0\.8"),
        ({"classes": [{**UNIFORM["classes"][0], "frequency": [-0.1] + [1.1 / 15] * 15}]}, "below 0"),
        ({"classes": [{**UNIFORM["classes"][0], "frequency": [0.1] * 10}]}, "16"),
    ):
        with pytest.raises(StudyError, match=said):
            study(pollution={"wind": wind})
    with pytest.raises(StudyError, match="greater than or equal to 0"):
        study(uses={**USES, "making": {**USES["making"], "emissions": {"pm25": -1.0}}})


def test_the_worst_hour_is_worse_than_the_year():
    asked = dusty(rules=[{"kind": "air", "limits": {"homes": {"pm25": 900}}, "hourly": {"homes": {"pm25": 900}}}])
    floors = np.array([[2, 0, 0], [0, 0, 1]])
    year, hour = checked(asked, lots(2), ["redevelop"] * 2, floors)
    assert hour.value > 3 * year.value > 0
    assert area(solve(asked, lots(2)), "homes") > 0


def test_the_worst_of_many_hours_has_no_price_and_backgrounds_belong_to_limits():
    with pytest.raises(StudyError, match="has no price"):
        dusty(rules=[{"kind": "air", "hourly": {"homes": {"pm25": 10}}, "price": 0.1}])
    with pytest.raises(StudyError, match=r"background\.no2: no limit names no2"):
        dusty(rules=[{"kind": "air", "limits": {"homes": {"pm25": 10}}, "background": {"no2": 3}}])


def test_work_of_short_days_emits_faster():
    use = Use("making", "Making", "#000000", 5.0, hours={"evening": 0, "night": 0}, emissions={"no2": 1.0})
    hours = {"day": 10.0, "evening": 6.0, "night": 8.0}
    assert emission(use, "no2", working=True, hours=hours) == pytest.approx(2.4 * emission(use, "no2"))
