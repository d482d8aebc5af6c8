"""Transfer: unused floor area moves from some parcels to others."""

import numpy as np
import pytest
from hypothesis import strategies as st

from optimizer.errors import StudyError
from tests.districts import checked, lots, solve, study
from tests.enumeration import LAND, family

DENSE = {"proximity": 0, "mixing": 0, "density": 1}
RULE = {"kind": "transfer", "send": ["L0"], "receive": ["L1"], "cap": 1.2}


def sides(rule, s):
    """Lots that send and that receive."""
    return (
        {int(i[1:]) for i in rule[key]} if isinstance(rule[key], list) else set(range(1, len(s.action)))
        for key in ("send", "receive")
    )


def balance(rule, s):
    """m² that receivers take beyond what senders leave."""
    send, receive = sides(rule, s)
    beyond = np.maximum(s.area.sum(axis=1) - s.far * LAND, 0.0)
    unused = np.maximum(s.far * LAND - s.area.sum(axis=1), 0.0)
    taken = sum(beyond[j] for j in receive if s.action[j] == "redevelop")
    return max(taken - sum(unused[i] for i in send), 0.0)


def missed(rule, s):
    """The same, and m² of new floor beyond what a lot may have with all that it may receive."""
    _, receive = sides(rule, s)
    total = balance(rule, s)
    for i, action in enumerate(s.action):
        if action == "redevelop":
            more = rule["cap"] if i in receive else 0.0
            total += max(s.area[i].sum() - (s.far[i] + more) * LAND, 0.0)
    return total


test_same_optimum_as_every_plan_tried = family(
    st.sampled_from(
        [
            {"kind": "transfer", "send": send, "receive": receive, "cap": cap}
            for cap in (0.6, 0.4)
            for send, receive in ((["L0"], ["L1"]), (["L0"], "parcel_id != 'L0'"), ("parcel_id != 'L0'", ["L0"]))
        ]
    ),
    missed,
    said=balance,
    prices=(),
    extra_far=0.6,
    least=2,
    most=3,
    examples=60,
)


@pytest.mark.parametrize(
    ("stands", "storeys"),
    [(0, 6), (1, 6), (2, 6), (3, 5), (4, 4), (5, 4)],
)
def test_what_a_landmark_leaves_unused_is_built_next_door(stands, storeys):
    """Both lots may have four storeys; a landmark of so many stays on the first, and two more at most move."""
    frame = lots(2, gfa_homes=[240.0 * stands, 0.0], storeys=[stands, 0])
    rules = [RULE] + (
        [{"kind": "locked", "where": ["L0"]}]
        if stands
        else [{"kind": "banned", "uses": ["making", "shops", "homes"], "where": ["L0"]}]
    )
    plan = solve(study(rules=rules, objective=DENSE), frame)
    assert plan.to_frame()["gfa_m2"].iloc[1] == 240.0 * storeys


def test_what_is_received_is_compared_with_what_is_left():
    frame = lots(2, gfa_homes=[720.0, 0.0], storeys=[3, 0])
    for storeys, holds in ((5, True), (6, False)):
        check = checked(study(rules=[RULE]), frame, ["keep", "redevelop"], [[0, 0, 0], [0, 0, storeys]])[0]
        assert (check.value, check.limit) == pytest.approx((240.0 * (storeys - 4), 240.0))
        assert check.satisfied == holds


def test_a_parcel_of_several_sites_receives_into_one_account():
    """Four sites of 240 m² on 1,600 m²; 0.6 of that is four storeys more than the four that the ratio allows."""
    frame = lots(2, side=40.0, max_far=0.6, gfa_homes=[1.0, 0.0], storeys=[1, 0])
    rules = [RULE | {"cap": 0.6}, {"kind": "locked", "where": ["L0"]}]
    plan = solve(study(rules=rules, objective=DENSE, sites={"plate": 240.0}), frame)
    assert plan.to_frame()["gfa_m2"].iloc[1] == 240.0 * 7


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"price": 0.1}, "a transfer has no price"),
        ({"where": ["L0"]}, "name parcels in send and receive"),
        ({"cap": 0}, "cap"),
    ],
)
def test_what_a_transfer_does_not_have_is_said(rule, said):
    with pytest.raises(StudyError, match=said):
        study(rules=[RULE | rule])


@pytest.mark.parametrize(
    ("rule", "others", "said"),
    [
        ({"receive": ["L0"]}, [], "'L0' both sends and receives"),
        ({"receive": "site_area < 1"}, [], "no parcel receives"),
        ({"send": "site_area < 1"}, [], "no parcel sends"),
        ({}, [{"kind": "bonus", "provide": ["making"], "cap": 1.0}], "'L0' sends, but a bonus"),
    ],
)
def test_a_parcel_sends_or_receives(rule, others, said):
    with pytest.raises(StudyError, match=said):
        solve(study(rules=[RULE | rule, *others]), lots(2))
