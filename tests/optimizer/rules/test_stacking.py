"""Vertical order: ranks put making under shops under homes."""

import itertools

import pytest

from tests.districts import checked, lots, solve, study


def stack(plan):
    return [item["use"] for item in plan.to_frame()["stack"].iloc[0] for _ in range(item["from"], item["to"] + 1)]


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"at_grade": ["shops"]}, lambda s: s[0] == "shops"),
        ({"lowest": {"homes": 3}}, lambda s: "homes" not in s[:2]),
        ({"highest": {"shops": 1}, "order": ["shops", "making", "homes"]}, lambda s: "shops" not in s[1:]),
        ({"not_over": [["homes", "making"]]}, lambda s: ("making", "homes") not in list(itertools.pairwise(s))),
    ],
)
def test_the_optimum_is_stacked_by_the_rule(rule, holds):
    order = {"order": ["shops", "making", "homes"]} if "at_grade" in rule else {}
    shares = {"kind": "programme", "min_share": {"homes": 0.25, "making": 0.25}}
    plan = solve(study(rules=[{"kind": "stacking", **order, **rule}, shares]), lots(1))
    assert len(stack(plan)) == 4
    assert holds(stack(plan))


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ({}, 0),
        ({"at_grade": ["shops"]}, 1),
        ({"highest": {"homes": 2}}, 2),
        ({"lowest": {"shops": 3}}, 1),
        ({"not_over": [["shops", "making"]]}, 1),
    ],
)
def test_storeys_out_of_place_are_counted(rule, wrong):
    (check,) = checked(study(rules=[{"kind": "stacking", **rule}]), lots(1), ["redevelop"], [[1, 1, 2]])
    assert check.value == wrong
    assert check.satisfied == (wrong == 0)
