"""Coverage: plates take 0.6 of each lot."""

import pytest
from hypothesis import strategies as st

from tests.districts import checked, lots, solve, study
from tests.enumeration import LAND, PLATE, family

RULE = {"kind": "coverage", "max_coverage": 0.5, "where": "parcel_id == 'L0'"}


def test_nothing_new_stands_where_plates_are_too_large():
    frame = solve(study(rules=[RULE]), lots(2)).to_frame()
    assert frame["floors"].tolist() == [0, 4]


def test_the_share_is_measured_on_new_buildings():
    (broken,) = checked(study(rules=[RULE]), lots(2), ["redevelop", "keep"], [[1, 0, 0], [0, 0, 0]])
    assert broken.value == pytest.approx(0.6)
    assert not broken.satisfied
    assert checked(study(rules=[RULE]), lots(1, gfa_shops=390.0, storeys=1), ["keep"], [[0, 0, 0]]) == []


@st.composite
def rules(draw):
    rule = {"kind": "coverage", "max_coverage": draw(st.sampled_from([0.0, 0.4, 0.5, 0.7]))}
    return rule | draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m²/m² of new plates beyond the share, lot by lot."""
    new = s.chosen(rule) & [a == "redevelop" for a in s.action]
    return new.sum() * max(PLATE / LAND - rule["max_coverage"], 0.0)


test_same_optimum_as_every_plan_tried = family(rules(), missed, prices=(0.1, 5.0), examples=40)


@pytest.mark.parametrize(("most", "buildings"), [(0.1, 0), (0.15, 1), (0.31, 2), (0.6, 4)])
def test_plates_of_all_sites_of_a_parcel_add_up(most, buildings):
    """Four sites on one parcel, each 0.15 of it; it takes four buildings of four storeys to use its FAR."""
    asked = study(
        lot_columns=("id", "max_far", "max_floors", "coverage", "storeys"),
        rules=[{"kind": "coverage", "max_coverage": most}],
        sites={"plate": 240.0},
        objective={"proximity": 0, "mixing": 0, "density": 1},
    )
    plan = solve(asked, lots(1, side=40.0, max_far=2.4, max_floors=4))
    assert (plan.sites_frame()[["floors_making", "floors_shops", "floors_homes"]].sum(axis=1) > 0).sum() == buildings
