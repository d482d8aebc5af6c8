"""Plans by other tools: judged as our own audit judges, faults found."""

import copy
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from geodata.synthetic import synthetic_district
from optimizer.cli import app
from optimizer.errors import StudyError
from optimizer.scoring import score_plan
from tests.districts import lots, solve, study

RULES = [
    {"kind": "programme", "max_floor_area": 3000},
    {"kind": "stacking", "lowest": {"homes": 2}},
    {"kind": "share", "uses": ["shops"], "min": 0.1},
]
FRAME = lots(4, columns=2, storeys=[2, 0, 1, 1], gfa_homes=[0.0, 0.0, 0.0, 240.0], gfa_making=[480.0, 0.0, 240.0, 0.0])
ASKED = study(rules=RULES, sites={"plate": 150})


@pytest.fixture(scope="module")
def plan():
    return solve(ASKED, FRAME)


@pytest.fixture
def features(plan, tmp_path):
    plan.save(tmp_path / "plan")
    return json.loads((tmp_path / "plan/plan.geojson").read_text())


def judged(data, tmp_path, asked=ASKED):
    file = tmp_path / "other.geojson"
    file.write_text(json.dumps(data))
    return score_plan(file, asked, FRAME)


def test_our_own_plan_scores_what_its_result_says(plan, features, tmp_path):
    for feature in features["features"]:
        keep = ("parcel_id", "action", "stack")
        feature["properties"] = {key: feature["properties"][key] for key in keep}
        feature["geometry"] = None  # geometry is the study's
    features["features"].reverse()
    found = judged(features, tmp_path)
    assert not found.faults, found.faults
    assert found.audit.objective == pytest.approx(plan.result["objective"], abs=1e-9)
    shares = found.audit.indices["proximity"]["shares"]
    assert shares == pytest.approx(plan.result["indices"]["proximity"]["shares"], abs=1e-6)
    assert found.to_dict()["valid"] is True


def test_the_folder_of_a_plan_will_do(plan, tmp_path):
    folder = plan.save(tmp_path / "plan")
    assert score_plan(folder, plan.study, FRAME).audit.objective == pytest.approx(plan.result["objective"])


def test_floors_by_use_will_do_where_a_parcel_has_one_building(tmp_path):
    asked = study(rules=RULES[:1])
    own = solve(asked, FRAME)
    own.save(tmp_path / "plan")
    data = json.loads((tmp_path / "plan/plan.geojson").read_text())
    for feature in data["features"]:
        del feature["properties"]["stack"]
    assert judged(data, tmp_path, asked).audit.objective == pytest.approx(own.result["objective"], abs=1e-9)
    with pytest.raises(StudyError, match="which floor is where"):
        judged(data, tmp_path)


def test_the_order_of_storeys_is_the_files_own(features, tmp_path):
    built = next(
        f
        for f in features["features"]
        if any(item["use"] == "homes" for item in f["properties"]["stack"]) and f["properties"]["action"] == "redevelop"
    )
    site = next(item["site"] for item in built["properties"]["stack"] if item["use"] == "homes")
    others = [item for item in built["properties"]["stack"] if item["site"] != site]
    count = max(item["to"] for item in built["properties"]["stack"] if item["site"] == site)
    built["properties"]["stack"] = [*others, {"site": site, "use": "homes", "from": 1, "to": count}]
    assert any("stacking" in fault for fault in judged(features, tmp_path).faults)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.update(action="clear"), "cleared, but floors"),
        (lambda p: p["stack"].append({"site": 1, "use": "shops", "from": 9, "to": 9}), "do not follow one another"),
        (lambda p: p["stack"].append({"site": 1, "use": "shops", "from": 3, "to": 40}), "breaks it"),
        (lambda p: p.update(action="convert"), "storeys converted where"),
        (lambda p: p["stack"][0].update(site=7), "has no building site 7"),
        (lambda p: p.update(stack=[]), "built anew, but has no floors"),
        (
            lambda p: p.update(stack=None, **{key: 0 for key in p if key.startswith("floors_")}),
            "built anew, but has no floors",
        ),
        (
            lambda p: p.update(action="keep", stack=[{"use": "shops", "from": 1, "to": 1}]),
            "today's building has no shops",
        ),
        (lambda p: p.update(action="keep", stack=[{"use": "making", "from": 1, "to": 9}]), "than the"),
    ],
)
def test_faults_are_found(change, said, features, tmp_path):
    data = copy.deepcopy(features)
    chosen = next(f for f in data["features"] if f["properties"]["action"] == "redevelop")
    change(chosen["properties"])
    found = judged(data, tmp_path)
    assert any(said in fault for fault in found.faults), found.faults
    assert "no plan of this study" in found.sentence()


def test_a_stack_as_text_is_the_same_plan(plan, features, tmp_path):
    for feature in features["features"]:
        feature["properties"]["stack"] = json.dumps(feature["properties"]["stack"])
    assert judged(features, tmp_path).audit.objective == pytest.approx(plan.result["objective"], abs=1e-9)


def _built(**stack):
    def change(data):
        built = next(f for f in data["features"] if f["properties"]["action"] == "redevelop")
        built["properties"]["stack"][0].update(stack)

    return change


def _floors(**counts):
    def change(data):
        for feature in data["features"]:
            feature["properties"].pop("stack")
            feature["properties"].update(counts)

    return change


def _without(key):
    return lambda data: [f["properties"].pop(key) for f in data["features"]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("action"), "no property action"),
        (lambda d: d["features"].pop(), "missing; a plan has every parcel"),
        (lambda d: d["features"].append(d["features"][0]), "there twice"),
        (lambda d: d["features"][0]["properties"].update(parcel_id="X"), "no parcel of the study"),
        (lambda d: d["features"][0]["properties"].update(action="keeep"), "did you mean 'keep'"),
        (lambda d: d["features"][0]["properties"].pop("parcel_id"), "features without parcel_id: 1"),
        (lambda d: d.update(features=3), "not a GeoJSON"),
        (_built(to=2.5), "a whole number from 0 to"),
        (_built(to=2_000_000_000), "a whole number from 0 to"),
        (_built(to=float("inf")), "a whole number from 0 to"),
        (_built(site="one"), "a whole number from 0 to"),
        (_floors(floors_homes=-3), "a whole number from 0 to"),
        (_floors(floors_homes="three"), "a whole number from 0 to"),
        (_floors(floors_homes=[3, 4]), "a whole number from 0 to"),
        (_floors(floors_hoems=3), "did you mean 'floors_homes'"),
        (lambda d: d["features"][0]["properties"].update(stack="[1"), "no JSON list"),
        (
            lambda d: d["features"][0]["properties"].update(
                action="redevelop", stack=[{"use": "hom", "from": 1, "to": 1}]
            ),
            "hom",
        ),
        (
            lambda d: d["features"][0]["properties"].update(action="redevelop", stack=[{"from": 1}]),
            "is not { site, use",
        ),
    ],
)
def test_what_is_no_plan_is_said(change, said, features, tmp_path):
    change(features)
    with pytest.raises(StudyError, match=said):
        judged(features, tmp_path)


def test_the_command_judges_a_plan_of_a_study(tmp_path):
    frame, _ = synthetic_district(6, seed=1)
    frame.to_file(tmp_path / "lots.gpkg")
    names = "".join(f'{key} = "{key}"\n' for key in ("id", "max_far", "max_height", "coverage", "storeys"))
    uses = "".join(f'{u} = "gfa_{u}"\n' for u in ("workshop", "rnd", "housing", "services"))
    text = f'name = "x"\n[parcels]\nfile = "lots.gpkg"\n[parcels.columns]\n{names}[parcels.existing]\n{uses}'
    (tmp_path / "study.toml").write_text(text + '[[rules]]\nkind = "programme"\nmax_today = 1.0\n')
    today = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": None, "properties": {"parcel_id": name, "action": "keep", "stack": []}}
            for name in frame["id"]
        ],
    }
    (tmp_path / "today.geojson").write_text(json.dumps(today))
    words = [
        "score",
        str(tmp_path / "today.geojson"),
        str(tmp_path / "study.toml"),
        "--out",
        str(tmp_path / "score.json"),
    ]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    assert "every rule of the study holds" in " ".join(ended.output.split())
    told = json.loads((tmp_path / "score.json").read_text())
    assert told["valid"] and told["indices"]["density"]["floor_area_m2"] == pytest.approx(
        float(np.sum([frame[f"gfa_{u}"].sum() for u in ("workshop", "rnd", "housing", "services")]))
    )
    built = int(np.flatnonzero(frame["storeys"] > 0)[0])
    today["features"][built]["properties"]["action"] = "convert"
    (tmp_path / "today.geojson").write_text(json.dumps(today))
    ended = CliRunner().invoke(app, words[:3])
    assert ended.exit_code == 1 and "0 storeys converted" in ended.output
    for command, option in (("score", "--out"), ("export", "--lp")):
        own = {name: (tmp_path / name).read_bytes() for name in ("study.toml", "lots.gpkg")}
        given = words[1:3] if command == "score" else words[2:3]
        for name, before in own.items():
            ended = CliRunner().invoke(app, [command, *given, option, str(tmp_path / name)])
            assert isinstance(ended.exception, StudyError) and "would be lost" in str(ended.exception)
            assert (tmp_path / name).read_bytes() == before
