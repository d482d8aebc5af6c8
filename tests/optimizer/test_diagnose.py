"""Why no plan satisfies the rules, against every plan of small districts tried."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from optimizer.diagnose import diagnose_rules
from optimizer.district import read_district
from optimizer.errors import StudyError
from optimizer.files import write_diagnosis
from tests.districts import lots, study
from tests.enumeration import COLUMNS, LAND, NAMES, PLATE, plans_of, situations, small_districts, tries

NEAR = 1e-6


def _gone(s):
    return sum(s.today[i].sum() for i, action in enumerate(s.action) if action in ("redevelop", "clear"))


def _most(use):
    return lambda rule, s: max(0.0, s.area[:, NAMES.index(use)].sum() - rule["max_area"][use])


MISSED = {
    "least floor area": lambda rule, s: max(0.0, rule["min_floor_area"] - s.area.sum()),
    "most floor area": lambda rule, s: max(0.0, s.area.sum() - rule["max_floor_area"]),
    "least homes": lambda rule, s: max(0.0, rule["min_area"]["homes"] - s.area[:, 2].sum()),
    "most making": _most("making"),
    "shops stay": lambda rule, s: max(0.0, rule.get("share", 1.0) * s.today[:, 1].sum() - s.area[:, 1].sum()),
    "what stands": lambda rule, s: max(0.0, _gone(s) - rule["max_share"] * s.today.sum()),
}
"""By how much a plan misses a rule of this name, m²; written from the rule's words."""
AREA = st.integers(0, 20).map(lambda n: 100.0 * n)
RULES = {
    "least floor area": st.fixed_dictionaries({"kind": st.just("programme"), "min_floor_area": AREA.filter(bool)}),
    "most floor area": st.fixed_dictionaries({"kind": st.just("programme"), "max_floor_area": AREA.filter(bool)}),
    "least homes": st.fixed_dictionaries(
        {"kind": st.just("programme"), "min_area": st.fixed_dictionaries({"homes": AREA.filter(bool)})}
    ),
    "most making": st.fixed_dictionaries(
        {"kind": st.just("programme"), "max_area": st.fixed_dictionaries({"making": AREA})}
    ),
    "shops stay": st.fixed_dictionaries(
        {"kind": st.just("retention"), "use": st.just("shops"), "share": st.sampled_from([0.5, 1.0])}
    ),
    "what stands": st.fixed_dictionaries({"kind": st.just("demolition"), "max_share": st.sampled_from([0.0, 0.3])}),
}


@st.composite
def impossible(draw):
    """A district, rules that no plan of it satisfies, a price for each, and what every plan misses: plans by rules."""
    far, storeys, today, park, zone, gap = draw(small_districts(3, 1))
    tallest = [math.floor(f * LAND / PLATE + 1e-9) for f in far]
    assume(math.prod(len(plans_of(*lot)) for lot in zip(tallest, storeys, park)) <= 800)
    names = draw(st.permutations(list(RULES)))[: draw(st.integers(2, 5))]
    rules = [{**draw(RULES[name]), "name": name} for name in names]
    prices = {name: draw(st.sampled_from([0.5, 1.0, 3.0])) for name in names}
    facts = {f"gfa_{u}": [PLATE * s * (u == t) for s, t in zip(storeys, today)] for u in NAMES}
    frame = lots(len(far), gap=float(gap), max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
    asked = study(rules=rules, lot_columns=COLUMNS, solve={"threads": 1}, diagnose={"prices": prices})
    district = read_district(asked, frame)
    found = situations(district, far, storeys, park, zone)
    missed = np.array([[MISSED[rule["name"]](rule, s) for rule in rules] for s in found])
    assume((missed > NEAR).any(axis=1).all())
    assume((missed <= NEAR).any(axis=0).all() or draw(st.integers(0, 5)) == 0)
    return asked, district, missed, np.array([prices[name] for name in names])


@settings(
    max_examples=tries(200),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(impossible())
def test_every_plan_of_small_districts_agrees_with_the_diagnosis(case):
    asked, district, missed, price = case
    kept, cost = missed <= NEAR, missed @ price
    found = diagnose_rules(asked, district)
    conflict = [c.number for c in found.conflict]
    assert found.irreducible
    assert not kept[:, conflict].all(axis=1).any()
    for number in conflict:
        assert kept[:, [other for other in conflict if other != number]].all(axis=1).any()
        others = kept[:, [other for other in range(len(price)) if other != number]].all(axis=1)
        way = found.alone[number]
        assert (way is None) == (not others.any())
        if way is not None:
            assert {give.number for give in way.gives} == {number}
            assert way.cost == pytest.approx(cost[others].min(), rel=2e-3)
            assert sum(give.missed for give in way.gives) == pytest.approx(missed[others, number].min(), rel=2e-3)
    assert found.cheapest.least
    assert found.cheapest.cost == pytest.approx(cost.min(), rel=2e-4)
    assert sum(price[give.number] * give.missed for give in found.cheapest.gives) == pytest.approx(cost.min(), rel=2e-4)
    fewest = (~kept).sum(axis=1).min()
    assert len({give.number for give in found.fewest.gives}) == fewest
    assert found.fewest.cost >= cost.min() * (1 - 2e-3)
    assert all(rule.label in "\n".join(found.sentences) for i, rule in enumerate(asked.rules) if i in conflict)


def test_rules_that_can_hold_have_no_diagnosis():
    asked = study(rules=[{"kind": "programme", "min_floor_area": 240}], lot_columns=COLUMNS)
    assert (
        diagnose_rules(asked, read_district(asked, lots(2, max_far=1.2, storeys=0, zone="A", protected=False))) is None
    )


@pytest.mark.parametrize("least", [240, 480, 720])
def test_only_places_that_take_part_are_in_the_conflict(least):
    """Three lots of two storeys that may be converted; two hold shops that stay, each on its lot."""
    rules = [
        {"kind": "retention", "use": "shops", "by": "parcel"},
        {"kind": "programme", "name": "making", "min_area": {"making": 240 + least}},
    ]
    frame = lots(3, max_far=1.2, storeys=[1, 1, 1], protected=False, zone="A", gfa_shops=[240.0, 240.0, 0.0])
    frame["gfa_homes"] = [0.0, 0.0, 240.0]
    asked = study(rules=rules, lot_columns=COLUMNS, actions={"allowed": ["keep", "convert"]}, solve={"threads": 1})
    found = diagnose_rules(asked, read_district(asked, frame))
    if least == 720:
        assert [(c.number, len(c.places)) for c in found.conflict] == [(1, 1)]
        return
    stays, making = found.conflict
    # 480 m² of making need the third lot and one of the shops', 720 m² need all lots.
    assert set(stays.places) <= {"under_shops_L0", "under_shops_L1"} and making.number == 1
    assert len(stays.places) == (2 if least == 240 else 1)
    assert {give.number for give in found.alone[0].gives} == {0}


def test_what_the_parcels_do_not_allow_is_put_down_to_no_rule():
    frame = lots(2, max_far=1.2, storeys=[1, 0], protected=False, zone="A", gfa_homes=[240.0, 0.0])
    rules = [{"kind": "programme", "min_floor_area": 240}, {"kind": "banned", "uses": ["homes"]}]
    asked = study(rules=rules, lot_columns=COLUMNS, actions={"allowed": ["keep"]})
    assert diagnose_rules(asked, read_district(asked, frame)) is None


def test_a_rule_that_cannot_be_missed_by_degrees_holds_and_is_named():
    """Homes may stand on neither lot: every one of them has a limit outside that its own background breaks."""
    frame = lots(2, max_far=1.2, storeys=[0, 0], protected=False, zone="A")
    rules = [
        {"kind": "noise", "name": "quiet", "limits": {"homes": 55}, "background": 60.0, "exceeded": "exclude"},
        {"kind": "programme", "name": "growth", "min_area": {"homes": 240}},
    ]
    asked = study(rules=rules, lot_columns=COLUMNS)
    found = diagnose_rules(asked, read_district(asked, frame))
    assert found.firm == ("quiet",) and [c.rule for c in found.conflict] == ["growth"]
    assert any("what never gave: the limits of parcels and quiet" in sentence for sentence in found.sentences)
    assert "whatever" not in found.sentences[0]
    assert {give.number for give in found.cheapest.gives} == {1}


def test_what_is_not_known_in_time_is_not_called_impossible(monkeypatch):
    rules = [
        {"kind": "programme", "name": "growth", "min_floor_area": 960},
        {"kind": "demolition", "name": "stock", "max_share": 0.0},
    ]
    frame = lots(2, max_far=1.2, storeys=[1, 1], protected=False, zone="A", gfa_homes=240.0)
    monkeypatch.setattr("optimizer.diagnose._Search.way", lambda self, held, gap: (None, False))
    asked = study(rules=rules, lot_columns=COLUMNS)
    said = "\n".join(diagnose_rules(asked, read_district(asked, frame)).sentences)
    assert "whether growth alone can give enough was not known in time" in said
    assert "cannot give enough" not in said


def test_an_amount_that_is_not_proved_least_says_so():
    asked = study(rules=[{"kind": "programme", "min_floor_area": 5000}])
    found = diagnose_rules(asked, read_district(asked, lots(3)))
    assert "less may do" not in "\n".join(found.sentences)
    guessed = {i: replace(way, least=False) for i, way in found.alone.items()}
    assert "less may do" in "\n".join(replace(found, alone=guessed).sentences)


def test_the_notes_of_a_district_are_not_told_twice():
    frame = lots(2, max_far=1.2, storeys=[1, 0], protected=False, zone="A", gfa_homes=[240.0, 0.0])
    asked = study(rules=[{"kind": "noise", "limits": {"homes": 55}}], lot_columns=COLUMNS)
    district = read_district(asked, frame)
    diagnose_rules(asked, district)
    assert not district.around.notes


def test_a_rule_whose_price_is_infinite_never_gives():
    rules = [
        {"kind": "programme", "name": "growth", "min_floor_area": 960},
        {"kind": "demolition", "name": "stock", "max_share": 0.0},
    ]
    frame = lots(2, max_far=1.2, storeys=[1, 1], protected=False, zone="A", gfa_homes=240.0)
    for firm, gives in (("growth", 1), ("stock", 0)):
        asked = study(rules=rules, lot_columns=COLUMNS, diagnose={"prices": {firm: math.inf}})
        found = diagnose_rules(asked, read_district(asked, frame))
        assert {give.number for give in found.cheapest.gives} == {gives}
        assert {give.number for give in found.fewest.gives} == {gives}


def test_a_diagnosis_replaces_no_file_of_others(tmp_path):
    asked = study(rules=[{"kind": "programme", "min_floor_area": 5000}])
    found = diagnose_rules(asked, read_district(asked, lots(3)))
    (tmp_path / "study.toml").write_text("mine")
    with pytest.raises(StudyError, match="holds no plan"):
        write_diagnosis(asked, found, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["study.toml"]
    assert (tmp_path / "study.toml").read_text() == "mine"
    write_diagnosis(asked, found, write_diagnosis(asked, found, tmp_path / "why"))
