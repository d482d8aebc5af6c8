"""Whole studies: what is refused before solving, and odd districts that must come out right."""

import math

import numpy as np
import pytest

from optimizer.audit import audit_folder
from optimizer.errors import InfeasibleError, StudyError
from optimizer.pulp_bridge import names_for_files
from tests.districts import USES, lots, solve, study

REFUSED = {
    "no parcel": ([{"kind": "locked", "where": "parcel_id == 'nowhere'"}], "true of no parcel"),
    "two orders": (
        [{"kind": "stacking", "order": ["homes"]}, {"kind": "stacking", "order": ["shops"]}],
        "different orders on parcel 'L0'",
    ),
    "nothing allowed": ([{"kind": "programme", "max_floor_area": 0}], "max_floor_area"),
    "over itself": ([{"kind": "stacking", "not_over": [["homes", "homes"]]}], "two uses"),
    "assignment": ([{"kind": "locked", "where": "zone = 'A'"}], "is == meant"),
    "a plan's column": ([{"kind": "locked", "where": "gfa_homes > 0"}], "today_homes"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_before_solving(kind):
    rules, message = REFUSED[kind]
    with pytest.raises(StudyError, match=message):
        solve(study(rules=rules), lots(2))


def test_expressions_mean_today_in_model_and_check():
    frame = lots(2, gfa_homes=[240.0, 0.0], storeys=[1, 0])
    rule = {"kind": "banned", "uses": ["homes"], "where": "today_homes > 0"}
    plan = solve(study(rules=[rule], actions={"allowed": ["redevelop"]}), frame).to_frame()
    assert plan["gfa_homes"].iloc[0] == 0
    assert plan["gfa_homes"].iloc[1] > 0


@pytest.mark.parametrize(
    "sections",
    [
        {"linkages": [], "objective": {"proximity": 1.0, "mixing": 0.0}},
        {"rules": [{"kind": "open_land", "min_share": 1.0}], "actions": {"allowed": ["clear", "keep"]}},
        {"rules": [{"kind": "programme", "min_share": {"homes": 1.0}}]},
        {"rules": [{"kind": "programme", "max_share": {"homes": 0.0}}]},
    ],
)
def test_scores_of_nought_and_shares_of_all_are_audited_like_any(sections, tmp_path):
    plan = solve(study(**{"solve": {"time_limit": 3.0, "threads": 1}, **sections}), lots(2))
    assert np.isfinite(plan.result["objective"])
    assert plan.result["bound"] >= plan.result["objective"]
    assert audit_folder(plan.save(tmp_path / "plan")).faults == []


def test_rules_of_one_name_are_told_apart(tmp_path):
    rules = [
        {"kind": "programme", "where": "parcel_id == 'L0'", "min_share": {"homes": 0.2}},
        {"kind": "programme", "where": "parcel_id == 'L1'", "min_share": {"homes": 0.5}},
        {"kind": "height", "max_floors": 3},
    ]
    plan = solve(study(rules=rules), lots(2))
    assert audit_folder(plan.save(tmp_path / "plan")).faults == []


def test_floors_kept_on_many_sites_add_up(tmp_path):
    frame = lots(1, side=150.0, gfa_homes=1000 / 3, storeys=1)
    plan = solve(study(rules=[{"kind": "locked"}], sites={"plate": 1500}), frame)
    assert len(plan.district.sites) > 5
    assert audit_folder(plan.save(tmp_path / "plan")).faults == []


def test_sound_of_mixed_stacks_is_not_underestimated():
    """On 35 m, three 10 m floors of 70 dB and one 5 m floor of 66 dB are louder than seven of 66 or three of 70."""
    uses = {
        "loud": {"label": "Loud", "storey_height": 10.0, "sound_power": 70.0, "rank": 1},
        "low": {"label": "Low", "storey_height": 5.0, "sound_power": 66.0, "rank": 2},
        "homes": {**USES["homes"], "rank": 3},
    }
    power = 240 * (3 * 10**7.0 + 10**6.6)
    heard = 10 * math.log10(power / (4 * math.pi * 25**2))
    frame = lots(2, max_height=35.0, max_far=9.0, gfa_homes=[0.0, 240.0], storeys=[0, 1])
    parcels = {
        "columns": {c: c for c in ("id", "max_far", "coverage", "storeys", "max_height")},
        "existing": {"homes": "gfa_homes"},
    }

    def best(limit):
        rules = [
            {"kind": "noise", "method": "din45691", "limits": {"homes": limit}},
            {"kind": "locked", "where": "parcel_id == 'L1'"},
            {"kind": "banned", "uses": ["homes"], "where": "parcel_id == 'L0'"},
            {"kind": "programme", "min_area": {"loud": 720, "low": 240}},
        ]
        link = [{"client": "loud", "supplier": "low", "demand": 0.1, "reach": 100}]
        return solve(study(uses=uses, linkages=link, parcels=parcels, rules=rules), frame)

    assert best(heard + 0.05).to_frame()["gfa_loud"].iloc[0] == 720
    with pytest.raises(InfeasibleError, match=r"noise|whole floors"):
        best(heard - 0.05)


def test_whole_floors_alone_are_not_blamed_on_a_rule():
    rules = [
        {"kind": "programme", "min_floor_area": 250, "max_floor_area": 300},
        {"kind": "demolition", "max_share": 0.5},
    ]
    with pytest.raises(InfeasibleError, match="whole floors"):
        solve(study(rules=rules), lots(2))


def test_names_in_files_stay_unique():
    names = names_for_files(["a", "a", "a_2", "a b", "a_b", "a_b_2"])
    assert len(set(names)) == 6
