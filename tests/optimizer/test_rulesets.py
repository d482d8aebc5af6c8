"""Rule sets: every number named once with source and status, every rule valid on a district."""

import re

import pytest

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.errors import StudyError
from optimizer.rulesets import rulesets
from optimizer.study import load_study
from tests.districts import checked, lots, solve, study

EVERYWHERE = "site_area > 0"


def asked(name, **sections):
    places = dict.fromkeys(rulesets()[name].places, EVERYWHERE)
    names = ("max_far", "max_height", "coverage", "storeys", "year", "zone")
    return load_study(
        {
            "name": name,
            "parcels": {
                "columns": {"id": "id", **{c: c for c in names}},
                "existing": {u: f"gfa_{u}" for u in ("workshop", "rnd", "housing", "services")},
            },
            "rulesets": [{"name": name, "places": places}],
            **sections,
        }
    )


def leaves(value):
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in [k, *leaves(v)]]
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", list(rulesets()))
def test_every_number_of_a_rule_is_named_and_sourced_and_every_name_is_used(name):
    found = rulesets()[name]
    used = set()
    for rule in found.rules:
        values = leaves({k: v for k, v in rule.items() if k != "price"})
        assert not [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)], rule
        used |= {v[1:] for v in values if isinstance(v, str) and v.startswith(("$", "@"))}
    used |= {m for place in found.places.values() for m in re.findall(r"@(\w+)", place.where)}
    assert used == {*found.numbers, *found.places, *found.roles}
    for number in found.numbers.values():
        assert len(number.source) > 10
        assert number.illustrative == (number.status == "M")


@pytest.mark.parametrize("name", list(rulesets()))
def test_every_rule_set_can_be_applied_to_a_district(name):
    frame, streets = synthetic_district(24)
    district = optimizer.check(asked(name), parcels=frame, streets=streets)
    assert len(district.parcels) == 24


def test_a_study_maps_uses_sets_places_and_numbers_and_leaves_rules_out():
    mapped = study(
        rulesets=[
            {
                "name": "london-co-location",
                "roles": {"industry": "making", "homes": "homes"},
                "places": {"strategic": "zone == 'A'", "elsewhere": ["L1"]},
                "numbers": {"plot_ratio": 0.4},
                "without": ["agent of change"],
            }
        ],
        rules=[{"kind": "locked", "where": ["L0"]}],
    )
    kinds = [rule.kind for rule in mapped.rules]
    assert kinds == ["retention", "banned", "stacking", "locked"]
    assert mapped.rules[0].use == "making"
    assert mapped.rules[0].where == "today_making > 0"
    assert mapped.rules[0].plot_ratio == 0.4
    assert {n.name: n.status for n in mapped.numbers} == {"plot_ratio": "own", "existing_kept": "S"}
    assert any("As drafted" in note for note in mapped.notes)
    again = load_study(mapped.to_dict())
    assert (again.rules, again.notes, again.numbers) == (mapped.rules, mapped.notes, mapped.numbers)


def test_illustrative_numbers_are_marked_wherever_they_are_shown():
    frame = lots(2, gfa_making=[480.0, 0.0], storeys=[2, 0])
    marked = study(rulesets=[{"name": "germany-urban-area", "roles": {"business": "making", "homes": "homes"}}])
    assert any("which a plan may set" in said and "(germany-urban-area)" in said for said in marked.illustrative)
    plan = solve(marked, frame)
    assert [r["illustrative"] for r in plan.result["rules"] if r["name"].startswith(("homes", "GFZ"))] == [False, True]
    assert any(n["status"] == "M" for n in plan.result["numbers"])
    assert "confirmed by nobody" in plan.explore().get_root().render()


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"name": "london"}, "unknown; known are .*london-co-location"),
        ({"name": "new-york-garment", "roles": {"makers": "making"}}, "roles = 'makers': unknown; known are making"),
        ({"name": "new-york-garment", "numbers": {"x": 1}}, "known are kept_for_converted"),
        ({"name": "new-york-garment"}, "rule set new-york-garment; map it in its roles = 'workshop'"),
        ({"name": "new-york-garment", "roles": {"making": "making"}, "without": ["all"]}, "known are one for one"),
        ({"place": "x"}, "known are name, roles"),
        ("london", "a table such as"),
    ],
)
def test_a_wrong_rule_set_is_named(item, said):
    with pytest.raises(StudyError, match=said):
        study(rulesets=[item])


def test_a_soft_rule_costs_what_it_is_missed_by():
    frame = lots(1, gfa_making=[480.0], storeys=[2])
    hard = study(rules=[{"kind": "retention", "use": "making"}])
    soft = study(rules=[{"kind": "retention", "use": "making", "price": 1e-4}])
    kept, free = solve(hard, frame), solve(study(), frame)
    priced = solve(soft, frame)
    (row,) = [r for r in priced.result["rules"] if r["name"] == "retention"]
    assert kept.result["objective"] <= priced.result["objective"] + 1e-6 <= free.result["objective"] + 2e-6
    gone = 480 - priced.to_frame()["gfa_making"].iloc[0]
    assert row["missed"] == pytest.approx(max(gone, 0.0))
    (check,) = checked(soft, frame, ["redevelop"], [[0, 1, 1]])
    assert (check.missed, check.cost, check.faulty) == (480.0, pytest.approx(0.048), False)
