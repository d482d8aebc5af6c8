"""Banned uses take up no new floor, and may stay where they are."""

from hypothesis import strategies as st

from tests.districts import checked, lots, solve, study
from tests.enumeration import NAMES, family

RULE = {"kind": "banned", "uses": ["making", "shops"], "where": "parcel_id == 'L0'"}


def test_the_optimum_avoids_them_where_banned():
    frame = solve(study(rules=[RULE]), lots(2)).to_frame()
    assert frame[["gfa_making", "gfa_shops"]].iloc[0].tolist() == [0, 0]
    assert frame[["gfa_making", "gfa_shops"]].iloc[1].sum() > 0


def test_new_floor_is_found_and_old_floor_is_let_be():
    frame = lots(1, gfa_making=240.0, storeys=1)
    assert all(c.satisfied for c in checked(study(rules=[RULE]), frame, ["keep"], [[0, 0, 0]]))
    found = checked(study(rules=[RULE]), frame, ["redevelop"], [[2, 0, 1]])
    assert [c.broken for c in found] == [("L0, making",), ()]


@st.composite
def rules(draw):
    rule = {"kind": "banned", "uses": draw(st.permutations(NAMES))[: draw(st.integers(1, 2))]}
    return rule | draw(st.sampled_from([{}, {"where": "zone == 'A'"}, {"where": ["L0"]}]))


def missed(rule, s):
    """m² of the uses in new and converted buildings."""
    changed = s.chosen(rule) & [a != "keep" for a in s.action]
    return s.area[changed][:, [NAMES.index(u) for u in rule["uses"]]].sum()


test_same_optimum_as_every_plan_tried = family(rules(), missed, examples=40)
