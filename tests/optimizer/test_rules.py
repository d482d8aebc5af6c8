"""Every rule family explains itself, and its example runs as it stands."""

import inspect
import tomllib

import pytest
from typer.testing import CliRunner

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.cli import app
from optimizer.rules import rule_kinds
from optimizer.rulesets import rulesets
from optimizer.study import INTERNAL, load_study

FACTS = ("max_far", "max_height", "coverage", "storeys", "year", "zone", "protected")
KINDS = rule_kinds()


def run(*arguments):
    result = CliRunner().invoke(app, list(arguments), terminal_width=100)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_example_of_a_family_runs(kind):
    rule = tomllib.loads(KINDS[kind].example)
    assert rule["kind"] == kind
    asked = load_study(
        {
            "name": kind,
            "parcels": {
                "columns": {"id": "id", **{c: c for c in FACTS}},
                "existing": {u: f"gfa_{u}" for u in ("workshop", "rnd", "housing", "services")},
            },
            "objective": {"scales": {"neighbourhood": 1.0}},
            "rules": [rule, *([] if kind == "programme" else [{"kind": "programme", "max_today": 1.5}])],
            "solve": {"gap": 0.2, "time_limit": 30, "threads": 1},
        }
    )
    frame, streets = synthetic_district(16, seed=3)
    plan = optimizer.solve(asked, parcels=frame, streets=streets)
    assert all(check["satisfied"] or check["price"] for check in plan.result["rules"])


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_family_is_explained_with_every_key(kind):
    family = KINDS[kind]
    said = run("rules", kind)
    assert (inspect.getdoc(family) or "").splitlines()[0][:40] in said.replace("\n", " ")
    for name, field in family.model_fields.items():
        if name not in INTERNAL:
            assert name in said
            assert field.description, name
    assert f'kind = "{kind}"' in said


def test_families_and_rule_sets_are_listed():
    said = run("rules")
    assert all(kind in said for kind in KINDS)
    said = run("rulesets")
    assert all(name[:12] in said for name in rulesets())


@pytest.mark.parametrize("name", list(rulesets()))
def test_a_rule_set_shows_every_number_with_source_and_status(name):
    said = " ".join(run("rulesets", name).split())
    for key, number in rulesets()[name].numbers.items():
        assert f"{key} = {number.value:,g}" in said
        assert " ".join(number.source.split()) in said
        assert ("M, illustrative" in said) or not number.illustrative


@pytest.mark.parametrize(("command", "close"), [("rules", "bonsu"), ("rulesets", "hafen-city")])
def test_an_unknown_name_is_answered_with_the_nearest(command, close):
    result = CliRunner().invoke(app, [command, close])
    assert "did you mean" in str(result.exception)
