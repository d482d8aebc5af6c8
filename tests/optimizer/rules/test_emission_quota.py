"""Emission quotas: levels and classes worked by hand, and every plan of small districts."""

import math

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import strategies as st

from optimizer.errors import InfeasibleError, StudyError
from optimizer.rules.emission_quota import quotas
from tests.districts import CRS, ORIGIN, area, checked, lots, problem_of, solve, study
from tests.enumeration import NAMES, family

DENSE = {"proximity": 0, "mixing": 0, "density": 1}
RULE = {"kind": "emission_quota", "limits": {"homes": {"day": 50}}}
LEVELS = {"making": {"day": 60.0, "night": 57.0}, "shops": {"day": 54.0}}
USES = {
    "making": {"label": "Making", "storey_height": 5.0, "floor_per_job": 40.0, "sound_power": LEVELS["making"], "rank": 1},
    "shops": {"label": "Shops", "storey_height": 4.0, "floor_per_job": 20.0, "sound_power": LEVELS["shops"], "rank": 2},
    "homes": {"label": "Homes", "storey_height": 3.0, "floor_per_home": 80.0, "rank": 3},
}  # fmt: skip


@st.composite
def rules(draw):
    limits = st.sampled_from([42.0, 45.0, 48.0, 51.0, 55.0])
    levels = {
        m: draw(limits) for m in draw(st.sampled_from([["day"], ["night"], ["day", "night"], ["day", "loudest"]]))
    }
    rule = {
        "kind": "emission_quota",
        "limits": dict.fromkeys(draw(st.sampled_from([["homes"], ["shops"], ["homes", "shops"]])), levels),
        "classes": draw(st.sampled_from([[50, 55, 60, 65], [48, 52, 56, 60, 64], [50, 57, 60], [45, 60]])),
    }
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """Multiples of the limit's energy at buildings, of the highest class's at lots of 400 m²."""
    total = 0.0
    metrics = next(iter(rule["limits"].values()))
    for metric in metrics:
        quota = np.zeros(len(s.action))
        for i in np.flatnonzero(s.chosen(rule)):
            floors = zip(s.area[i], NAMES)
            period = "day" if metric == "loudest" else metric
            own = sum(a * 10 ** (LEVELS[u][period] / 10) for a, u in floors if period in LEVELS.get(u, {})) / 400.0
            if own > 0:
                classes = [10 ** (c / 10) for c in rule["classes"]]
                quota[i] = 400.0 * min([c for c in classes if own <= c * 1.001], default=classes[-1])
                total += max(own / classes[-1] - 1.0, 0.0)
        for use, levels in rule["limits"].items():
            for i in np.flatnonzero(s.area[:, NAMES.index(use)] > 0):
                away = [j for j in range(len(s.action)) if j != i]
                heard = sum(quota[j] / (4 * math.pi * ((s.xy[i] - s.xy[j]) ** 2).sum()) for j in away)
                total += max(heard / 10 ** (levels[metric] / 10) - 1.0, 0.0)
    return total


def with_shops(**sections):
    """A study where shops sound by day too, and only making by night."""
    return study(uses=USES, **sections)


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.02, 0.5), examples=40, study_of=with_shops)


def test_the_least_class_that_covers_a_plot_counts_at_the_receptor():
    """480 m² of 60 dB(A)/m² on 400 m² of site are 60.79: class 65. Homes 25 m away hear 65 + 10 lg 400 - 10 lg(4 pi 25²)."""
    found = checked(study(rules=[RULE]), lots(2), ["redevelop"] * 2, [[2, 0, 0], [0, 0, 1]])
    assert [(c.name, c.scope, c.value, c.limit, c.unit) for c in found[:1]] == [
        ("emission_quota of plots, day", "L0", 65.0, 65.0, "dB(A)/m²")
    ]
    level = 65 + 10 * math.log10(400) - 10 * math.log10(4 * math.pi * 25**2)
    assert found[1].name == "emission_quota at homes, day" and found[1].scope == "L1/1"
    assert found[1].value == pytest.approx(level, abs=1e-6) and level == pytest.approx(52.07, abs=0.01)
    assert not found[1].satisfied and found[1].missed == pytest.approx(10 ** ((level - 50) / 10) - 1)


@pytest.mark.parametrize(("distance", "level"), {25: 61, 50: 55, 100: 49, 200: 43}.items())
def test_a_hectare_of_60_db_a_square_metre_is_heard_as_the_fact_sheet_has_it(distance, level):
    """A plot 1 km long and 10 m wide, one storey of 6,000 m² of 60 dB(A)/m², and homes across from its middle."""
    frame = lots(2)
    x, y = ORIGIN
    frame.loc[0, "geometry"] = shapely.box(x - 500, y - 5, x + 500, y + 5)
    frame.loc[1, "geometry"] = shapely.box(x - 10, y + distance - 10, x + 10, y + distance + 10)
    asked = study(rules=[{**RULE, "classes": [50, 60]}], sites={"plate": 1e6})
    found = checked(asked, frame, ["redevelop"] * 2, [[1, 0, 0], [0, 0, 1]])
    assert found[0].value == 60 and round(found[1].value) == level


@pytest.mark.parametrize(
    ("limit", "storeys"), [(46.9, 0), (47.1, 1), (52.0, 1), (52.1, 4), (46.9 + 3, 1), (51.0, 1), (57.0, 4)]
)
def test_the_optimum_fills_its_class(limit, storeys):
    """Homes 25 m away that stay hear 47.07 dB(A) of class 60 and 52.07 of class 65; a storey is 240 m² on 400 of site."""
    rules = [
        {"kind": "emission_quota", "limits": {"homes": {"day": limit, "loudest": 70}}, "classes": [60, 65]},
        {"kind": "locked", "where": ["L1"]},
        {"kind": "banned", "uses": ["homes", "shops"], "where": ["L0"]},
    ]
    plan = solve(study(rules=rules, objective=DENSE), lots(2, gfa_homes=[0.0, 240.0], storeys=[0, 1]))
    assert area(plan, "making") == 240 * storeys


@pytest.mark.parametrize(("limit", "storeys"), [(51.9, 0), (52.1, 1)])
def test_a_plot_far_below_the_lowest_class_counts_with_that_class(limit, storeys):
    """One storey, the most, is 57.8 dB(A)/m² of site; there is class 65 alone, which is heard at 52.07 dB(A)."""
    rules = [
        {"kind": "emission_quota", "limits": {"homes": {"day": limit}}, "classes": [65]},
        {"kind": "locked", "where": ["L1"]},
        {"kind": "banned", "uses": ["homes", "shops"], "where": ["L0"]},
    ]
    plan = solve(study(rules=rules, objective=DENSE), lots(2, gfa_homes=[0.0, 240.0], storeys=[0, 1], max_far=0.6))
    assert area(plan, "making") == 240 * storeys


@pytest.mark.parametrize(("limit", "possible"), [(46.9, False), (47.1, True)])
def test_a_building_that_stays_has_a_quota_like_any_other(limit, possible):
    """One storey of 57.8 dB(A)/m² of site stays: class 60, heard at 47.07 dB(A) where homes are to be built."""
    rules = [
        {"kind": "emission_quota", "limits": {"homes": {"day": limit}}},
        {"kind": "locked", "where": ["L0"]},
        {"kind": "programme", "min_area": {"homes": 240}},
    ]
    asked, frame = study(rules=rules), lots(2, gfa_making=[240.0, 0.0], storeys=[1, 0])
    if possible:
        assert area(solve(asked, frame), "making") >= 240
    else:
        with pytest.raises(InfeasibleError):
            solve(asked, frame)


def test_two_plots_add_up_and_each_is_told_its_quota_by_level():
    """Day: 1 storey 57.8, 3 storeys 62.6; night 54.8 and 59.6; shops 51.8 by day, nothing by night."""
    asked = with_shops(
        rules=[{"kind": "emission_quota", "limits": {"homes": {"day": 70, "night": 70}}, "name": "DIN"}],
    )
    frame = lots(4)
    floors = [[1, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 1]]
    evidence = _evidence(asked, frame, floors)
    table = quotas(evidence)
    assert list(table.columns) == ["rule", "parcel_id", "L_EK day", "L_EK night"]
    assert table["rule"].unique().tolist() == ["DIN"] and table["parcel_id"].tolist() == ["L0", "L1", "L2", "L3"]
    assert table["L_EK day"].fillna(0).tolist() == [60, 65, 55, 0]
    assert table["L_EK night"].fillna(0).tolist() == [55, 60, 0, 0]
    night = next(c for c in asked.rules[0].check(evidence) if c.name == "DIN at homes, night")
    heard = 400 * (10**5.5 / 75**2 + 10**6 / 50**2) / (4 * math.pi)
    assert night.value == pytest.approx(10 * math.log10(heard), abs=1e-6)
    largest = [(c.scope, c.value, c.places) for c in asked.rules[0].check(evidence) if "plots" in c.name]
    assert largest == [("L1", 65.0, 3), ("L1", 60.0, 2)]
    assert quotas(_evidence(study(), frame, floors)).empty


def _evidence(asked, frame, floors):
    from optimizer.district import read_district
    from optimizer.plan import Plan

    district = read_district(asked, frame)
    return Plan(asked, district, np.array(["redevelop"] * len(floors), dtype=object), np.array(floors), {}).evidence


def test_a_plot_louder_than_the_highest_class_breaks_the_rule():
    rule = {**RULE, "classes": [50, 60]}
    frame = lots(1)
    (check,) = checked(study(rules=[rule]), frame, ["redevelop"], [[2, 1, 0]])
    own = 60 + 10 * math.log10(480 / 400)
    assert check.value == pytest.approx(own, abs=1e-6) and check.limit == 60 and check.broken == ("L0",)
    assert check.missed == pytest.approx(0.2, abs=1e-6) and check.missed_unit == "times the energy allowed"
    stays = lots(1, gfa_making=480.0, storeys=2, protected=True)
    with pytest.raises(InfeasibleError):
        solve(study(rules=[rule], lot_columns=("id", "max_far", "coverage", "storeys", "protected")), stays)


def test_levels_that_share_a_quota_are_missed_each_by_itself():
    """720 m² are 62.6: over class 60 by 0.8 of it, at each of two levels; heard at 47.07 for 42 and for 45."""
    price = 0.01
    limits = {"homes": {"day": 42, "loudest": 45}}
    rules = [
        {"kind": "emission_quota", "limits": limits, "classes": [50, 57, 60], "price": price},
        {"kind": "locked", "where": ["L1"]},
        {"kind": "banned", "uses": ["homes", "shops"], "where": ["L0"]},
        {"kind": "programme", "max_area": {"making": 720}},
    ]
    plan = solve(study(rules=rules, objective=DENSE), lots(2, gfa_homes=[0.0, 240.0], storeys=[0, 1]))
    assert area(plan, "making") == 720
    found = [c["missed"] for c in plan.result["rules"] if c["name"].startswith("emission")]
    heard = 60 + 10 * math.log10(400 / (4 * math.pi * 25**2))
    over = [10 ** ((heard - limit) / 10) - 1 for limit in (42, 45)]
    assert found == pytest.approx([0.8, over[0], 0.8, over[1]], rel=1e-4)
    assert plan.result["bound"] - plan.result["objective"] < price / 10


def test_plots_left_out_by_where_have_no_quota_and_do_not_count():
    rule = {**RULE, "where": ["L0"]}
    found = checked(study(rules=[rule]), lots(3), ["redevelop"] * 3, [[1, 0, 0], [4, 0, 0], [0, 0, 1]])
    assert [(c.places, c.scope) for c in found] == [(1, "L0"), (1, "L2/1")]
    assert found[1].value == pytest.approx(60 + 10 * math.log10(400 / (4 * math.pi * 50**2)))


def test_the_own_plot_does_not_count_though_it_has_several_buildings():
    asked = study(rules=[RULE], sites={"plate": 240.0})
    frame = lots(2, side=40.0, gap=200.0, max_far=1.2)
    floors = np.zeros((8, 3), dtype=int)
    floors[0, 0], floors[1, 2] = 2, 1
    found = checked(asked, frame, ["redevelop", "keep"], floors)
    assert found[1].value == 0 and found[1].satisfied


def test_places_are_protected_whatever_is_built(tmp_path):
    """A school 61.3 m from the middles of two lots: class 60 of one is 39.28 dB(A) there, of both 42.29."""
    file = tmp_path / "schools.gpkg"
    point = shapely.Point(ORIGIN[0] + 22.5, ORIGIN[1] + 70)
    gpd.GeoDataFrame({"name": ["School"]}, geometry=[point], crs=CRS).to_file(file)
    pollution = {"places": {"schools": {"file": str(file), "column": "name"}}}
    for limit, storeys in ((39.2, 0), (39.4, 1), (42.2, 1), (42.4, 2)):
        rules = [
            {"kind": "emission_quota", "places": {"schools": {"day": limit}}, "classes": [60, 65]},
            {"kind": "banned", "uses": ["homes", "shops"]},
        ]
        plan = solve(study(rules=rules, pollution=pollution, objective=DENSE), lots(2))
        assert area(plan, "making") == 240 * storeys


def test_one_binary_a_plot_level_and_class_that_it_can_need():
    """1 storey a lot is 57.8 dB(A)/m²: of 45 to 65 it can need 45 to 60."""
    frame = lots(2, max_far=0.6)
    program = problem_of(study(rules=[RULE]), frame).model.program.arrays()
    open_ = [
        n for n, top in zip(program.column_names, program.upper) if n.startswith("emission_quota_day_") and top > 0
    ]
    assert len([n for n in open_ if n.count("_") == 4]) == 2 * 4


def test_uses_that_share_a_height_may_need_a_class_that_neither_needs_alone():
    """19 m: one floor of 10 m (57.8 dB(A)/m² of site), two of 9 m (57.8) or one of each (59.5)."""
    low = {**USES["shops"], "storey_height": 9.0, "sound_power": {"day": 57.0}}
    uses = {"making": {**USES["making"], "storey_height": 10.0}, "shops": low, "homes": USES["homes"]}
    asked = study(
        uses=uses,
        rules=[{**RULE, "classes": [58, 60, 63]}, {"kind": "banned", "uses": ["homes"]}],
        lot_columns=("id", "max_far", "coverage", "storeys", "max_height"),
        objective={"proximity": 0, "mixing": 1, "scales": {"building": 1, "neighbourhood": 0}},
    )
    plan = solve(asked, lots(1, max_height=19.0, max_far=9.0))
    assert area(plan, "making") == area(plan, "shops") == 240
    assert next(c for c in plan.result["rules"] if c["name"] == "emission_quota of plots, day")["value"] == 60


def test_the_table_of_quotas_is_a_frame_of_numbers():
    evidence = _evidence(study(rules=[RULE]), lots(1), [[1, 0, 0]])
    assert isinstance(quotas(evidence), pd.DataFrame) and quotas(evidence)["L_EK day"].dtype == float


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"limits": {}}, "limits and places are both missing"),
        ({"limits": {"homes": {}}}, "limits.homes"),
        ({"limits": {"homes": {"noon": 50}}}, r"limits.homes.noon = 'noon'"),
        ({"limits": {"flats": {"day": 50}}}, "limits.flats = 'flats': unknown"),
        ({"places": {"parks": {"day": 50}}}, "places.parks = 'parks': unknown"),
        ({"classes": [55, 50]}, "quotas rise from class to class"),
        ({"classes": [30, 65]}, "30 dB are the most"),
        ({"classes": []}, "classes"),
        ({"classes": [57.5]}, "57.5"),
    ],
)
def test_bad_input_is_named(keys, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{**RULE, **keys}])
