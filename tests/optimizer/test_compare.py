"""Plans side by side: every difference found again from their files."""

import csv
import dataclasses
import json
import subprocess
import sys

import geopandas as gpd
import pandas as pd
import pytest

from optimizer import StudyError
from optimizer.compare import Comparison, read_plans
from optimizer.outcomes import COMPARISON, write_comparison
from tests.districts import USES, lots, solve, study
from tests.geodata.test_maps import look_at

FRAME_IDS = ["=1+1", "@b", "+{{ 6 * 7 }}", "-<b>{% raw %}"]
FRAME = lots(4, columns=2, gfa_homes=480.0, storeys=2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A plan, one under another rule, and the first once more; every parcel has a name that spreadsheets take for a formula."""
    place = tmp_path_factory.mktemp("plans")
    frame = FRAME.copy()
    frame["id"] = FRAME_IDS
    most = {"kind": "programme", "max_floor_area": 2400}
    stock = {"kind": "demolition", "max_share": 0.0}
    for name, rules in (("free", [most]), ("more", [most, stock]), ("again", [most])):
        solve(study(rules=rules), frame).save(place / name)
    return place


def test_every_change_is_in_the_files(folders, tmp_path):
    found = read_plans([folders / "free", folders / "more"])
    write_comparison(found, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == set(COMPARISON)
    before, after = (
        {
            f["properties"]["parcel_id"]: f["properties"]
            for f in json.loads((folders / n / "plan.geojson").read_text())["features"]
        }
        for n in ("free", "more")
    )
    told = json.loads((tmp_path / "out/changes.geojson").read_text())["features"]
    changed = {f["properties"]["parcel_id"]: f["properties"] for f in told}
    for name, old in before.items():
        difference = [after[name][f"gfa_{use}"] - old[f"gfa_{use}"] for use in USES]
        if any(abs(d) > 0.05 for d in difference) or old["action"] != after[name]["action"]:
            row = changed.pop(name)
            assert [row[f"change_{use}"] for use in USES] == pytest.approx(difference, abs=0.006)
            assert (row["action_before"], row["action"]) == (old["action"], after[name]["action"])
    assert not changed
    moves = pd.read_csv(tmp_path / "out/uses.csv")
    assert (moves["after_m2"] - moves["before_m2"]).tolist() == pytest.approx(
        (moves["gained_m2"] - moves["lost_m2"]).tolist()
    )
    for name, column in (("free", "before_m2"), ("more", "after_m2")):
        result = json.loads((folders / name / "result.json").read_text())
        assert moves[column].tolist() == pytest.approx(list(result["indices"]["floor_area_m2"].values()), abs=0.01)


def test_tables_hold_no_formula(folders, tmp_path):
    write_comparison(read_plans([folders / "free", folders / "more"]), tmp_path)
    raw = (tmp_path / "changes.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(raw.decode("utf-8-sig").splitlines()))
    assert len(rows) > 1
    assert all(row[1][0] == "'" and row[1][1] in "=@+-" for row in rows[1:])


@pytest.mark.browser
def test_the_map_shows_both_plans_and_what_differs(folders, tmp_path):
    found = read_plans([folders / "free", folders / "more"])
    write_comparison(found, tmp_path / "out", offline=True)
    page = (tmp_path / "out/compare.html").read_text(encoding="utf-8")
    script = """
      const m = upstairsMap, seen = {};
      m.show("differs");
      m.data.parcels.id.forEach((id, i) => {
        m.open(i);
        const heads = [...document.querySelectorAll(".up-section h3")].map(h => h.textContent);
        const same = m.colour(i) === m.views.differs.classes[0][1];
        seen[id] = [heads, document.querySelector(".up-section h2").textContent, same];
      });
      return [seen, performance.getEntriesByType("resource").map(e => e.name)];
    """
    answer, errors = look_at(page, tmp_path, script)
    assert errors == []
    seen, fetched = answer["found"]
    assert fetched == []
    changed = set(found.changes["parcel_id"])
    assert set(seen) == set(FRAME_IDS) and len(changed) > 0
    for name, (heads, title, same) in seen.items():
        assert heads[:2] == ["free", "more"] and title == f"Parcel {name}"
        assert same == (name not in changed)


def test_scores_of_different_kinds_are_not_compared(folders, tmp_path):
    frame = gpd.read_file(folders / "free/plan.geojson")
    assert len(frame) == 4
    other = FRAME.assign(id=frame["parcel_id"].to_numpy())
    solve(study(rules=[{"kind": "programme", "max_floor_area": 4800}]), other).save(tmp_path / "larger")
    assert "theirs are not compared" in read_plans([folders / "free", tmp_path / "larger"]).sentences()[-1]
    with pytest.raises(StudyError, match="named twice"):
        read_plans([folders / "free", folders / "free"])


def test_a_plan_does_not_differ_from_itself(folders, tmp_path):
    found = read_plans([folders / "free", folders / "again"])
    assert found.changes.empty
    write_comparison(found, tmp_path / "out")
    assert json.loads((tmp_path / "out/changes.geojson").read_text())["features"] == []


def test_the_command_says_what_differs(folders, tmp_path):
    words = [
        sys.executable,
        "-m",
        "optimizer.cli",
        "compare",
        folders / "free",
        folders / "more",
        "--out",
        tmp_path / "out",
    ]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    count = len(read_plans([folders / "free", folders / "more"]).changes)
    assert f"{count} parcels differ between free and more." in ended.stdout
    assert (tmp_path / "out/compare.html").is_file()


def test_gaps_are_respected(folders):
    first, second = read_plans([folders / "free", folders / "more"]).plans

    def said(low, high, least, most):
        a = dataclasses.replace(first, result={**first.result, "objective": low, "bound": high})
        b = dataclasses.replace(second, result={**second.result, "objective": least, "bound": most})
        return Comparison((a, b)).sentences()[-1]

    assert "at least 0.10000" in said(0.5, 0.6, 0.7, 0.8)
    assert "at least 0.10000" in said(0.7, 0.8, 0.5, 0.6)
    assert "may be worth the same" in said(0.5, 0.6, 0.59, 0.8)


@pytest.mark.parametrize(
    ("same", "told"), [(True, "plans of one study: the best plan scores 0.52000 to 0.58000"), (False, "of free")]
)
def test_runs_of_one_study_tell_of_one_best_plan(folders, same, told):
    first, second = read_plans([folders / "free", folders / "again"]).plans
    files = [{"file": "lots.gpkg", "sha256": "a1"}], [{"file": "lots.gpkg", "sha256": "a1" if same else "b2"}]
    a = dataclasses.replace(first, result={**first.result, "objective": 0.5, "bound": 0.58, "inputs": files[0]})
    b = dataclasses.replace(second, result={**second.result, "objective": 0.52, "bound": 0.6, "inputs": files[1]})
    assert told in Comparison((a, b)).sentences()[-1]


def test_other_folders_are_named(folders, tmp_path):
    with pytest.raises(StudyError, match="two plans or more"):
        read_plans([folders / "free"])
    with pytest.raises(StudyError, match="no such folder"):
        read_plans([folders / "free", tmp_path / "none"])
    solve(study(), FRAME.assign(id=["A", "B", "C", "D"])).save(tmp_path / "other")
    with pytest.raises(StudyError, match="in common"):
        read_plans([folders / "free", tmp_path / "other"])
    with pytest.raises(StudyError, match="other things than a comparison"):
        write_comparison(read_plans([folders / "free", folders / "more"]), folders / "free")
