"""Studies that extend others, against the same study written out."""

from __future__ import annotations

import re

import pytest

from optimizer.errors import StudyError
from optimizer.study import load_study
from tests.benchmarks.registry import ROOT

BASE = """
name = "Base"
[parcels]
file = "lots.gpkg"
[parcels.defaults]
max_far = 2.0
coverage = 0.5
[objective]
proximity = 0.6
mixing = 0.4
[[rules]]
kind = "programme"
min_today = 1.0
[[rules]]
kind = "noise"
limits = { housing = 63 }
[[rules]]
kind = "share"
name = "homes"
uses = ["housing"]
min = 0.1
[[rules]]
kind = "demolition"
max_share = 0.4
"""


def loaded(folder, text, **others):
    for name, content in {"base": BASE, "variant": text, **others}.items():
        (folder / f"{name}.toml").write_text(content, encoding="utf-8")
    return load_study(folder / "variant.toml")


def test_what_a_variant_says_counts_and_the_rest_is_the_other_studys(tmp_path):
    said = """
extends = "base.toml"
name = "Variant"
without = ["demolition"]
[parcels.defaults]
max_far = 3.0
[[rules]]
kind = "noise"
limits = { housing = 55 }
[[rules]]
kind = "share"
uses = ["workshop"]
max = 0.3
[[rules]]
kind = "share"
name = "homes"
uses = ["housing"]
min = 0.2
[[rules]]
kind = "share"
uses = ["services"]
max = 0.3
"""
    written_out = BASE.replace('"Base"', '"Variant"').replace("max_far = 2.0", "max_far = 3.0")
    written_out = written_out.replace("housing = 63", "housing = 55").replace("min = 0.1", "min = 0.2")
    written_out = written_out[: written_out.index('[[rules]]\nkind = "demolition"')]
    for use in ("workshop", "services"):
        written_out += f'[[rules]]\nkind = "share"\nuses = ["{use}"]\nmax = 0.3\n'
    (tmp_path / "whole.toml").write_text(written_out, encoding="utf-8")
    found = loaded(tmp_path, said)
    assert found == load_study(tmp_path / "whole.toml")
    assert load_study(found.to_dict(), tmp_path).to_dict() == found.to_dict()  # what is written beside a plan is whole


def test_variants_of_variants_and_of_plain_values(tmp_path):
    last = {"extends": "variant.toml", "name": "Last", "objective": {"mixing": 0.0}}
    loaded(tmp_path, 'extends = "base.toml"\n[objective]\nproximity = 0.7\n')
    found = load_study(last, tmp_path)
    assert (found.name, found.objective.proximity, found.objective.mixing) == ("Last", 0.7, 0.0)
    assert len(found.rules) == 4


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ('extends = "bse.toml"', "bse.toml: no such study file"),
        ('extends = "../base.toml"', "in the same folder is expected"),
        ("extends = 3", "in the same folder is expected"),
        ('extends = "variant.toml"', "variant.toml extends itself"),
        ('extends = "other.toml"', "variant.toml and other.toml extend each other"),
        ('extends = "base.toml"\nwithout = ["demolitoin"]', "did you mean 'demolition'?"),
        ('extends = "base.toml"\nwithout = "noise"', "without = 'noise': a list is expected"),
        ('extends = "base.toml"\nrules = 3', "rules = 3: a list is expected"),
        ('without = ["noise"]', "without is for a study that extends another"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, said, wrong):
    with pytest.raises(StudyError, match=re.escape(wrong)) as error:
        loaded(tmp_path, said, other='extends = "variant.toml"')
    assert "variant.toml" in str(error.value)


@pytest.mark.parametrize("name", ["kendall", "east"])
def test_the_published_variants_change_the_limit_alone(name):
    milder, stricter = (load_study(ROOT / f"examples/cambridge/{name}{end}.toml").to_dict() for end in ("", "-55"))
    noise = [rule for rule in stricter["rules"] if rule["kind"] == "noise"]
    assert [rule["limits"] for rule in noise] == [{"housing": {"loudest": 55.0}}]
    noise[0]["limits"] = {"housing": {"loudest": 63.0}}
    assert stricter.pop("name") != milder.pop("name")
    assert stricter == milder
