"""Buffers: distances worked by hand, and every plan of small districts."""

import math

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import strategies as st

import optimizer
from optimizer.audit import audit_folder
from optimizer.errors import StudyError
from tests.districts import CRS, ORIGIN, area, checked, lots, problem_of, solve, study
from tests.enumeration import NAMES, family

RULE = {"kind": "buffer", "uses": ["making"], "from_where": ["L0"], "distance": 30}
DENSE = {"proximity": 0, "mixing": 0, "density": 1}


@st.composite
def rules(draw):
    rule = {
        "kind": "buffer",
        "uses": draw(st.permutations(NAMES))[: draw(st.integers(1, 2))],
        "from_where": draw(st.sampled_from(["zone == 'B'", "today_homes > 0", "storeys_today == 0"])),
        "distance": draw(st.sampled_from([20.0, 60.0, 140.0])),
    }
    return rule | draw(st.sampled_from([{}, {}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m² of the uses in new and converted buildings of lots, 20 m square and in one line, too near to another."""
    today_homes = s.today[:, NAMES.index("homes")] > 0
    others = {
        "zone == 'B'": [z == "B" for z in s.zone],
        "today_homes > 0": today_homes,
        "storeys_today == 0": s.today.sum(axis=1) == 0,
    }[rule["from_where"]]
    total = 0.0
    for i in np.flatnonzero(s.chosen(rule)):
        gaps = [abs(s.xy[i][0] - s.xy[j][0]) - 20.0 for j in np.flatnonzero(others) if j != i]
        if s.action[i] != "keep" and min(gaps, default=math.inf) < rule["distance"] - 1e-3:
            total += s.area[i, [NAMES.index(u) for u in rule["uses"]]].sum()
    return total


test_same_optimum_as_every_plan_tried = family(rules(), missed, examples=40)


def school(tmp_path, *points):
    """A layer of points, m from the corner of the first lot."""
    shapes = [shapely.Point(ORIGIN[0] + x, ORIGIN[1] + y) for x, y in points]
    tmp_path.mkdir(exist_ok=True)
    file = tmp_path / "schools.gpkg"
    gpd.GeoDataFrame({"name": [f"School {k}" for k in range(len(points))]}, geometry=shapes, crs=CRS).to_file(file)
    return {"places": {"schools": {"file": str(file), "column": "name"}, "parks": {"file": str(file)}}}


FROM_SCHOOLS = {"kind": "buffer", "uses": ["making"], "from_places": ["schools"], "distance": 50}


@pytest.mark.parametrize(("distance", "free"), [(4.9, "012345"), (5.1, "12345"), (10, "12345"), (29.9, "12345")])
def test_the_line_goes_from_the_boundary_to_the_point(tmp_path, distance, free):
    """The school stands 5 m west of the first of six lots 20 m square with 5 m between them: 5, 30, 55 ... m."""
    asked = study(
        rules=[{**FROM_SCHOOLS, "distance": distance}, {"kind": "banned", "uses": ["shops", "homes"]}],
        pollution=school(tmp_path, (-5, 10)),
        objective=DENSE,
    )
    plan = solve(asked, lots(6)).to_frame()
    assert "".join(str(i) for i in np.flatnonzero(plan["gfa_making"] > 0)) == free


def test_distance_across_a_corner_is_the_hypotenuse(tmp_path):
    """3 m west and 4 m south of a lot's corner."""
    (check,) = checked(
        study(rules=[FROM_SCHOOLS], pollution=school(tmp_path, (-3, -4))), lots(1), ["redevelop"], [[1, 0, 2]]
    )
    assert check.value == pytest.approx(5.0) and check.limit == 50.0 and check.sense == ">="
    assert (check.broken, check.missed, check.missed_unit) == (("L0",), 240.0, "m²")


def test_a_place_on_the_parcel_is_0_m_away_and_only_the_named_groups_count(tmp_path):
    frame = lots(2, gap=100.0)
    pollution = school(tmp_path, (10, 10))
    found = checked(study(rules=[FROM_SCHOOLS], pollution=pollution), frame, ["redevelop"] * 2, [[1, 0, 0]] * 2)
    assert [(c.value, c.scope, c.broken, c.places) for c in found] == [(0.0, "L0", ("L0",), 2)]
    far = {"schools": {"file": school(tmp_path / "far", (900, 10))["places"]["schools"]["file"]}}
    mixed = {"places": {**far, "parks": pollution["places"]["parks"]}}
    plan = solve(study(rules=[FROM_SCHOOLS], pollution=mixed, objective=DENSE), frame)
    assert area(plan, "making") + area(plan, "shops") + area(plan, "homes") == 1920


@pytest.mark.parametrize(("distance", "free"), [(4.9, [0, 1, 2]), (5.1, [0, 2]), (29.9, [0, 2]), (30.1, [0])])
def test_a_chosen_parcel_keeps_no_distance_from_itself(distance, free):
    rules = [{**RULE, "distance": distance}, {"kind": "banned", "uses": ["shops", "homes"]}]
    plan = solve(study(rules=rules, objective=DENSE), lots(3)).to_frame()
    assert np.flatnonzero(plan["gfa_making"] > 0).tolist() == free


def test_chosen_parcels_keep_the_distance_from_one_another():
    rule = {**RULE, "from_where": ["L0", "L1"], "distance": 10}
    found = checked(study(rules=[rule]), lots(3), ["redevelop"] * 3, [[1, 0, 0]] * 3)
    assert found[0].broken == ("L0", "L1", "L2") and found[0].value == pytest.approx(5.0)


def test_old_floor_is_let_be_and_converted_floor_is_not():
    frame = lots(2, gfa_making=240.0, storeys=1)
    assert checked(study(rules=[RULE]), frame, ["keep"] * 2, [[0, 0, 0]] * 2) == []
    (check,) = checked(study(rules=[RULE]), frame, ["keep", "convert"], [[0, 0, 0], [1, 0, 0]])
    assert not check.satisfied and check.missed == 240


def test_a_buffer_with_places_alone_is_written_and_audited(tmp_path):
    rules = [FROM_SCHOOLS, {"kind": "programme", "min_area": {"making": 240}}]
    plan = optimizer.solve(study(rules=rules, pollution=school(tmp_path, (-5, 10))), parcels=lots(3))
    plan.save(tmp_path / "plan")
    found = audit_folder(tmp_path / "plan")
    assert not found.faults
    (check,) = [c for c in found.checks if c.name == "buffer of making"]
    assert (check.scope, check.places) == ("L2", 1) and check.value == pytest.approx(55.0)


def test_no_binary_and_a_row_for_each_site_that_is_too_near():
    with_, without = (problem_of(study(rules=r), lots(3)).model.program for r in ([RULE], []))
    assert with_.width == without.width and with_.height == without.height + 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"from_where": None}, "from_places and from_where are both missing"),
        ({"from_places": ["schools"]}, r"rules\[0\].from_places\[0\] = 'schools': unknown"),
        ({"distance": 0}, "distance = 0"),
        ({"uses": ["makers"]}, r"rules\[0\].uses\[0\] = 'makers': unknown"),
        ({"uses": []}, "uses"),
    ],
)
def test_bad_input_is_named(keys, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[{**RULE, **keys}])


@pytest.mark.parametrize(
    ("chosen", "said"), [(["L9"], "'L9', which the district does not have"), ("zoned > 1", "from_where")]
)
def test_parcels_that_are_not_there_are_named(chosen, said):
    with pytest.raises(StudyError, match=said):
        problem_of(study(rules=[{**RULE, "from_where": chosen}]), lots(2))
