"""What each rule costs, against studies solved from scratch by another solver; steps of rules against plans."""

import threading
import tomllib

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.audit import recompute
from optimizer.cli import app
from optimizer.district import read_district
from optimizer.errors import SolverError, StudyError
from optimizer.highs import Clock
from optimizer.indices import index_columns
from optimizer.outcomes import PRICES, write_prices
from optimizer.plan import Plan
from optimizer.price import Answer, Change, Prices, _compared, changes, price, with_reference
from optimizer.ranges import UNKNOWN, ranges
from optimizer.rules import rule_kinds
from optimizer.study import load_study
from tests.districts import USES, lots, random_lots, study
from tests.enumeration import COLUMNS, PLATE, situations

RULES = [
    {"kind": "programme", "max_floor_area": 2000, "min_share": {"shops": 0.2}},
    {"kind": "share", "name": "homes in part", "uses": ["homes"], "min": 0.3, "max": 0.6},
    {"kind": "demolition", "max_share": 0.3},
    {"kind": "banned", "uses": ["making"], "where": ["L0"]},
]
FACTS = ("max_far", "max_height", "coverage", "storeys", "year", "zone", "protected")
SHIPPED = ("workshop", "rnd", "housing", "services")


@pytest.mark.parametrize("seed", range(2))
def test_prices_agree_with_studies_solved_from_scratch_by_another_solver(seed):
    frame = random_lots(np.random.default_rng(seed), 4)
    asked = study(rules=RULES)
    found = price(asked, frame)
    assert len(found.prices) >= 4 + 2 * 2

    def best(of):
        values = {**of.to_dict(), "solve": {"solver": "PULP_CBC_CMD", "gap": 1e-6, "time_limit": 60}}
        try:
            return optimizer.solve(load_study(values, of.folder), frame).result["objective"]
        except optimizer.InfeasibleError:
            return None

    own = best(with_reference(asked, read_district(asked, frame)))
    assert found.base.low - 1e-5 <= own <= found.base.high + 1e-5
    for item in found.prices:
        changed = best(item.change.study)
        if changed is None:
            assert item.verdict() == "no plan is left"
            continue
        assert item.answer.low - 1e-5 <= changed <= item.answer.high + 1e-5
        assert item.least - 1e-5 <= changed - own <= item.most + 1e-5, item.change
        if item.change.stricter is not None:
            assert (own - changed if item.change.stricter else changed - own) >= -1e-5
        if item.verdict().startswith(("worth at", "costs")):
            assert abs(changed - own) > 1e-6


BOTH = {"proximity": 0.6, "mixing": 0.4, "scales": {"building": 0.5, "neighbourhood": 0.5}}
RANGED = [
    *[(seed, [], BOTH) for seed in range(2)],
    (2, [{"kind": "share", "uses": ["homes"], "min": 0.5, "price": 0.3}], BOTH),
    (3, [{"kind": "siting", "use": "shops", "goal": "cover", "weight": 0.3, "radius": 60, "clients": "homes"}], BOTH),
    (4, [{"kind": "proximity", "min_index": 0.5}], {"proximity": 0.3, "mixing": 0.2, "homes": 0.5}),
    (
        5,
        [{"kind": "demolition", "max_share": 0.3, "price": 0.001}],
        {"proximity": 0.0, "mixing": 1.0, "scales": {"block": 1.0}},
    ),
]


@pytest.mark.parametrize(("seed", "rules", "objective"), RANGED)
def test_no_plan_that_scores_as_much_has_an_index_out_of_its_range(seed, rules, objective):
    rng = np.random.default_rng(seed)
    far, storeys, park = [0.6, 1.2], rng.integers(0, 3, 2).tolist(), [False, False]
    today = {f"gfa_{use}": [PLATE * n * (k == u) for k, n in enumerate(storeys)] for u, use in enumerate(USES)}
    frame = lots(2, gap=30.0, max_far=far, storeys=storeys, protected=park, zone="A", **today)
    solving = {"gap": 1e-6, "time_limit": 20, "threads": 1}
    asked = study(rules=rules, lot_columns=COLUMNS, objective=objective, solve=solving)
    best = optimizer.solve(asked, frame)
    plans = []
    for s in situations(best.district, far, storeys, park, ["A", "A"], 0.0):
        plan = Plan(asked, best.district, np.array(s.action, dtype=object), s.floors, {})
        found = recompute(asked, plan.evidence)
        if any(not check.satisfied and check.price is None for check in found.checks):
            continue
        plans.append((found.objective, index_columns(found.indices)))
    score = best.result["objective"]
    assert max(value for value, _ in plans) == pytest.approx(score, abs=1e-6)
    for least in (0.6 * score, 0.9 * score, score):
        as_good = [indices for value, indices in plans if value >= least - 1e-9]
        known = ranges(asked, best.district, least, Clock(60))
        mixed = {f"mixing_by_{scale}" for scale in objective.get("scales", {"building": 1})}
        assert {"floor_area_m2", "making_m2", "jobs", "homes", *mixed} <= set(known)
        assert ("proximity" in known) == (objective["proximity"] > 0)
        for name, (low, high) in known.items():
            reached = [indices[name] for indices in as_good]
            assert low - 1e-5 * max(abs(low), 1) <= min(reached), name
            assert max(reached) <= high + 1e-5 * max(abs(high), 1), name
        # They are not wide beyond use: of floor area, which comes in storeys, a few are left open.
        area = [indices["floor_area_m2"] for indices in as_good]
        low, high = known["floor_area_m2"]
        assert rules or (min(area) - low <= 2 * PLATE and high - max(area) <= 2 * PLATE)


def test_a_change_whose_numbers_contradict_one_another_is_a_row():
    frame = lots(2, storeys=0)
    most = {"kind": "programme", "max_floor_area": 1200, "min_share": {"homes": 0.5, "shops": 0.45}}
    found = price(study(rules=[most]), frame)
    by_kind = {item.change.kind: item for item in found.prices}
    assert set(by_kind) == {"dropped", "looser", "stricter"}
    assert by_kind["stricter"].verdict().startswith("cannot be asked: ")
    row = found.table.set_index("change").loc["stricter"]
    assert row["status"] == "error" and "minimum shares" in row["message"]


def test_ranges_that_were_not_found_in_time_are_said_to_be_unknown():
    asked, frame = study(), lots(2)
    stop = threading.Event()
    stop.set()
    district = read_district(asked, frame)
    for clock in (Clock(60, stop=stop), Clock(0)):
        known = ranges(asked, district, 0.0, clock)
        assert set(known.values()) == {UNKNOWN}
    answer = Answer(0.5, 0.6, "optimal", None, 1.0, ranges=known)
    found = Prices(asked, answer, (), False)
    assert found.lacking == len(known) and found.moved() == []


def test_what_surely_moves_is_said():
    frame = lots(4, storeys=[2, 2, 0, 0], gfa_making=[480.0, 480.0, 0.0, 0.0])
    asked = study(rules=[{"kind": "programme", "max_floor_area": 1200}], solve={"gap": 1e-4, "time_limit": 20})
    found = price(asked, frame, indices=True)
    table = found.table.set_index("change")
    assert table.loc["none", "floor_area_m2_at_most"] <= 1200 + 1e-3
    more = [said for said in found.moved() if said.startswith("programme, dropped: floor_area_m2 is more")]
    assert len(more) == 1 and table.loc["dropped", "floor_area_m2_at_least"] > 1200


def test_scores_are_of_one_kind_whatever_a_programme_allows():
    frame = lots(3, gfa_homes=240.0, storeys=1)
    asked = study(rules=[{"kind": "programme", "max_floor_area": 1200}])
    own = optimizer.solve(asked, frame)
    fixed = with_reference(asked, read_district(asked, frame))
    assert optimizer.solve(fixed, frame).result["objective"] == pytest.approx(own.result["objective"], abs=1e-9)
    (free,) = (change.study for change in changes(fixed) if change.kind == "dropped")
    more = optimizer.solve(free, frame).result
    # Of the same plans the score is the same: what is allowed stands nowhere below a fraction.
    assert more["objective"] >= own.result["objective"] - 1e-9
    assert more["bound"] > 1.0 or more["objective"] > 1.0


@pytest.fixture(scope="module")
def plans():
    """A district of the shipped uses, and plans of it at random."""
    frame, streets = synthetic_district(16, seed=3)

    def drawn(asked):
        rng = np.random.default_rng(5)
        d = read_district(asked, frame, streets)
        out = []
        for _ in range(12):
            new = np.zeros((len(d.sites), len(d.uses)), dtype=np.int64)
            for s in range(len(d.sites)):
                for _ in range(int(rng.integers(0, 4))):
                    new[s, rng.integers(len(d.uses))] += 1
            action = np.where(rng.random(len(d.parcels)) < 0.5, "keep", "redevelop").astype(object)
            out.append(Plan(asked, d, action, np.where((action == "keep")[d.parcel_of][:, None], 0, new), {}))
        return out

    return drawn


def _asked(rules):
    return load_study(
        {
            "name": "steps",
            "parcels": {
                "columns": {"id": "id", **{c: c for c in FACTS}},
                "existing": {u: f"gfa_{u}" for u in SHIPPED},
            },
            "rules": rules,
        }
    )


EXAMPLES = {kind: tomllib.loads(family.example) for kind, family in rule_kinds().items()}


@pytest.mark.parametrize("kind", list(EXAMPLES))
def test_a_stricter_rule_is_missed_by_no_less_and_a_looser_one_by_no_more(kind, plans):
    asked = _asked([EXAMPLES[kind]])
    (rule,) = asked.rules
    forms = [rule.stepped(False), (rule, ""), rule.stepped(True)]
    if not rule.limits_given:
        assert forms[0] is forms[2] is None
        return
    missed = []
    for form in forms:
        if form is not None:
            of = _asked([form[0]])
            checks = [[c for r in of.rules for c in r.check(plan.evidence)] for plan in plans(of)]
            missed.append([sum(c.missed for c in found) for found in checks])
    assert len(missed) >= 2
    assert (np.diff(missed, axis=0) >= -1e-6 * (1 + np.abs(missed[:-1]))).all(), missed


def test_a_step_is_a_tenth_or_a_decibel_and_shares_stay_shares():
    rules = _asked(
        [
            {"kind": "noise", "limits": {"housing": 63}},
            {"kind": "programme", "min_share": {"workshop": 0.95}, "max_today": 1.3},
            {"kind": "stacking", "highest": {"workshop": 2}},
            {"kind": "demolition", "max_share": 0.0},
        ]
    ).rules
    noise, programme, stacking, demolition = rules
    assert "63 to 62" in noise.stepped(True)[1] and "63 to 64" in noise.stepped(False)[1]
    assert programme.stepped(True)[0].min_share == {"workshop": 1.0}
    assert programme.stepped(False)[0].max_today == pytest.approx(1.43)
    assert programme.stepped(True, [("max_today",)])[1] == "max_today 1.3 to 1.17"
    assert stacking.stepped(True)[0].highest == {"workshop": 1}
    assert demolition.stepped(True) is None and demolition.stepped(False) is None


def test_a_step_that_contradicts_itself_says_so():
    (rule,) = _asked([{"kind": "programme", "min_area": {"workshop": 1000}, "max_area": {"workshop": 1050}}]).rules
    why, text = rule.stepped(True)
    assert "workshop" in why and "1000 to 1100" in text
    assert not isinstance(rule.stepped(False)[0], str)


def test_answers_learn_from_one_another_and_gaps_are_respected():
    asked = study(rules=RULES[:1])
    found_plan = optimizer.solve(asked, random_lots(np.random.default_rng(1), 4))

    def answer(low, high):
        return Answer(low, high, "optimal", found_plan, 0.0)

    def change(kind):
        return Change(0, "programme", kind, "", asked, kind == "stricter")

    found = _compared(
        asked,
        answer(0.50, 0.60),
        [
            (change("dropped"), answer(0.55, 0.58), None),
            (change("looser"), answer(0.49, 0.70), None),
            (change("stricter"), answer(0.52, 0.65), None),
        ],
        False,
    )
    assert (found.base.low, found.base.high) == (0.52, 0.58)
    assert {price.answer.status for price in found.prices} == {"feasible"}
    dropped, looser, stricter = found.prices
    assert (dropped.least, dropped.most) == (0.0, pytest.approx(0.06))
    assert looser.answer.low == 0.52 and stricter.answer.high == 0.58
    assert (stricter.least, stricter.most) == (pytest.approx(-0.06), 0.0)


def test_a_change_that_cannot_be_asked_is_a_row_and_the_others_stay(monkeypatch):
    from optimizer import price as module

    real = module.solve_district

    def broken(asked, *rest, **given):
        if not asked.rules:
            raise SolverError("the wheel came off")
        return real(asked, *rest, **given)

    monkeypatch.setattr(module, "solve_district", broken)
    found = price(study(rules=RULES[:1]), random_lots(np.random.default_rng(1), 4))
    dropped = found.table[found.table["change"] == "dropped"].iloc[0]
    assert dropped["status"] == "error" and "the wheel came off" in dropped["verdict"]
    assert (found.table["status"] == "optimal").sum() >= 2


def test_table_and_figure_are_written_and_nothing_of_others_is_replaced(tmp_path):
    found = price(study(rules=RULES), random_lots(np.random.default_rng(1), 4), each=True)
    write_prices(found, tmp_path / "prices")
    assert {file.name for file in (tmp_path / "prices").iterdir()} == set(PRICES)
    table = pd.read_csv(tmp_path / "prices/prices.csv")
    assert list(table["change"][:2]) == ["none", "dropped"]
    assert {"proximity", "jobs", "floor_area_m2"} <= set(table.columns)
    assert (table["difference_at_least"].dropna() <= table["difference_at_most"].dropna()).all()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").write_text("mine")
    with pytest.raises(StudyError, match="other things than prices"):
        write_prices(found, tmp_path / "other")


def test_a_study_without_rules_has_nothing_to_price(tmp_path):
    frame, streets = synthetic_district(6, seed=1)
    frame.to_file(tmp_path / "lots.gpkg")
    with pytest.raises(StudyError, match="nothing to price"):
        price(_asked([]), frame, streets)
    file = tmp_path / "study.toml"
    file.write_text('name = "x"\n[parcels]\nfile = "lots.gpkg"\n')
    ended = CliRunner().invoke(app, ["price", str(file), "--out", str(tmp_path / "out")])
    assert "nothing to price" in str(ended.exception) and not (tmp_path / "out").exists()


def test_duals_price_a_step_of_a_study_in_fractions():
    """One lot, housing worth its mixing alone: the relaxation's value is linear in the floor allowed."""
    frame = lots(2, gfa_homes=0.0, storeys=0, max_far=6.0)
    asked = study(
        rules=[{"kind": "programme", "max_floor_area": 1000}],
        objective={"proximity": 0.0, "mixing": 0.0, "density": 1.0},
    )
    found = price(asked, frame)
    worth = {item.change.kind: item.marginal for item in found.prices}
    assert worth["looser"] == pytest.approx(0.1, abs=1e-6) and worth["stricter"] == pytest.approx(-0.1, abs=1e-6)
    assert worth["dropped"] is None


def test_without_a_bonus_less_is_allowed_and_without_a_reward_scores_are_of_another_kind():
    frame = lots(4, max_far=1.2, gfa_homes=0.0, storeys=0)
    rules = [
        {"kind": "programme", "max_floor_area": 3000},
        {"kind": "bonus", "provide": ["making"], "ratio": 2.0, "cap": 1.2},
        {
            "kind": "siting",
            "use": "shops",
            "goal": "cover",
            "weight": 0.3,
            "radius": 100,
            "clients": "homes",
            "max_count": 2,
        },
    ]
    found = price(study(rules=rules), frame)
    dropped = {item.change.rule: item for item in found.prices if item.change.kind == "dropped"}
    assert dropped["bonus"].change.stricter and dropped["bonus"].most <= 0.0
    assert dropped["bonus"].least < -0.01, "the bonus is worth something here"
    assert dropped["siting"].change.stricter is None and dropped["siting"].most < 0.0
    for item in found.prices:
        alone = optimizer.solve(item.change.study, frame).result
        assert item.answer.low <= alone["bound"] + 1e-5 and alone["objective"] <= item.answer.high + 1e-5, item.change
