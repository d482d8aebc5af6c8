"""Benchmarks of rules: killed and gone on with, failures as rows, rankings by hand."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import psutil
import pytest
import shapely

from optimizer import scenarios
from optimizer.errors import SolverError, StudyError
from optimizer.outcomes import BENCH, write_bench, write_report
from optimizer.scenarios import LOCK, cells, effects, pareto, ranking, read_benchmark, run, solve_cell

TERMS = """
name = "made up"
[parcels.columns]
id = "id"
zone = "zone"
max_far = "max_far"
max_height = "max_height"
coverage = "coverage"
storeys = "storeys"
[parcels.existing]
workshop = "gfa_workshop"
rnd = "gfa_rnd"
housing = "gfa_housing"
services = "gfa_services"
[[rules]]
kind = "programme"
max_today = 1.3
[[rules]]
kind = "demolition"
name = "stock"
max_share = 0.3
"""
FILE = """
name = "Rules <b>compared</b>"
baseline = "free"
[solve]
gap = 0.001
work_limit = 40
[districts.three]
study = "terms.toml"
parcels = 3
seed = 1
[districts.four]
study = "terms.toml"
without = ["stock"]
parcels = 4
seed = 2
[rulesets.free]
[rulesets.homes]
rules = [{ kind = "share", uses = ["housing"], min = 0.5 }]
[rulesets.impossible]
rules = [{ kind = "programme", name = "too much", min_floor_area = 1e9 }]
[parameters.intensity]
key = "rules.programme.max_today"
values = [1.1, 1.4]
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "terms.toml").write_text(TERMS)
    (tmp_path / "bench.toml").write_text(FILE)
    return tmp_path / "bench.toml"


SHORT = FILE[: FILE.index("[districts.four]")] + FILE[FILE.index("[rulesets.free]") :]
"""One district alone."""


def bare(found):
    """What two runs must have in common."""
    return found.drop(columns=["seconds"])


def test_every_cell_has_its_row_and_what_fails_says_why(file, tmp_path):
    asked = read_benchmark(file)
    found = run(asked, tmp_path / "out", workers=2)
    assert len(found) == 2 * 3 * 2
    assert set(found[found["ruleset"] == "impossible"]["status"]) == {"infeasible"}
    assert found[found["ruleset"] == "impossible"]["message"].str.contains("too much").all()
    planned = found[found["ruleset"] != "impossible"]
    assert (planned["status"] == "optimal").all()
    assert (planned["score"] <= planned["bound"] + 1e-9).all()
    assert (planned["floor_area_m2"] <= planned["intensity"] * planned["before_floor_area_m2"] * (1 + 1e-6)).all()
    homes = planned[planned["ruleset"] == "homes"]
    assert (homes["housing_m2"] >= 0.5 * homes["floor_area_m2"] - 0.1).all()
    # Scores are of one kind within a district: the same plan scores the same at any intensity, so more room is no loss.
    free = planned[planned["ruleset"] == "free"].sort_values(["district", "intensity"])
    assert (free["bound"].to_numpy()[1::2] >= free["score"].to_numpy()[::2] - 1e-9).all()
    assert not (tmp_path / "out" / LOCK).exists()
    # A change of the file solves what is new alone.
    before = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out/cells").iterdir()}
    file.write_text(FILE.replace("values = [1.1, 1.4]", "values = [1.1, 1.4, 1.2]"))
    more = run(read_benchmark(file), tmp_path / "out", workers=2)
    after = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out/cells").iterdir()}
    assert len(more) == 18 and len(after) == 18
    assert all(after[name] == at for name, at in before.items())


def test_a_run_that_is_killed_at_random_times_ends_with_the_same_table(file, tmp_path):
    file.write_text(SHORT)
    whole = run(read_benchmark(file), tmp_path / "whole", workers=2)
    words = [
        sys.executable,
        "-m",
        "optimizer.cli",
        "bench",
        str(file),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "2",
    ]
    rng, kept = random.Random(3), {}
    for _ in range(3):
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(rng.uniform(4.0, 9.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        cells_there = {f.name: f.stat().st_mtime_ns for f in (tmp_path / "out").glob("cells/*.json")}
        assert all(cells_there[name] == at for name, at in kept.items())
        kept = cells_there
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert all((tmp_path / "out/cells" / name).stat().st_mtime_ns == at for name, at in kept.items())
    found = pd.read_parquet(tmp_path / "out/table.parquet")
    pd.testing.assert_frame_equal(bare(found), bare(whole), check_dtype=False, rtol=2e-3)
    assert f"done before: {len(kept)}" in ended.stderr


def test_ctrl_c_keeps_the_rows_and_says_how_to_go_on(file, tmp_path):
    words = [
        sys.executable,
        "-m",
        "optimizer.cli",
        "bench",
        str(file),
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "1",
    ]
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in a shell's background would ignore it
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heeding)
    until = time.monotonic() + 60
    while not list((tmp_path / "out").glob("cells/*.json")) and time.monotonic() < until:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    done = len(list((tmp_path / "out").glob("cells/*.json")))
    if done < 12:
        assert process.returncode == 4
        assert "goes on" in said
        assert len(pd.read_parquet(tmp_path / "out/table.parquet")) == done


def test_a_dask_cluster_gives_the_same_table(file, tmp_path):
    file.write_text(SHORT.replace("values = [1.1, 1.4]", "values = [1.1]"))
    asked = read_benchmark(file)
    cores, cluster = run(asked, tmp_path / "a", workers=2), run(asked, tmp_path / "b", scheduler="local")
    pd.testing.assert_frame_equal(bare(cores), bare(cluster), rtol=2e-3)  # where bounds were heard last varies


def test_a_scheduler_that_does_not_answer_is_said_soon_and_work_is_kept(file, tmp_path):
    asked = read_benchmark(file)
    (tmp_path / "out/cells").mkdir(parents=True)
    row = solve_cell(cells(asked)[0])
    (tmp_path / "out/cells" / f"{row['cell']}.json").write_text(json.dumps(row, default=float))
    began = time.monotonic()
    with pytest.raises(SolverError, match="no Dask scheduler answers"):
        run(asked, tmp_path / "out", scheduler="tcp://127.0.0.1:9")
    assert time.monotonic() - began < 12  # the message within 10 s, and reading
    assert len(list((tmp_path / "out/cells").iterdir())) == 1
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rules.programme.max_today", "rules.programme.max_tody", "did you mean 'max_today'"),
        ("rules.programme.max_today", "rules.program.max_today", "did you mean 'programme'"),
        ("rules.programme.max_today", "objectiv.mixing", "did you mean 'objective'"),
        ("[parameters.intensity]", "[parameter.intensity]", "did you mean 'parameters'"),
        ('baseline = "free"', 'baseline = "fre"', "did you mean 'free'"),
        ('without = ["stock"]', 'without = ["stok"]', "stok"),
        ("parcels = 3", "parcel = 3", "did you mean 'parcels'"),
        ('kind = "share"', 'kind = "shar"', "did you mean 'share'"),
        ("rules = [{ kind", "rule = [{ kind", "did you mean 'rules'"),
        ("gap = 0.001", "gapp = 0.001", "did you mean 'gap'"),
        ("values = [1.1, 1.4]", "values = [1.1, 1.1]", "one and the same"),
        ('"terms.toml"', '"term.toml"', "no such study"),
        ('"terms.toml"', '"own.toml"', "own.toml has parcels.file"),
        ("[parameters.intensity]", "[parameters.district]", "column already"),
        ("[parameters.intensity]", "[parameters.homes]", "column already"),
        ("[parameters.intensity]", "[parameters.before_far]", "column already"),
        ('name = "Rules', "name = Rules", "not valid TOML"),
    ],
)
def test_a_misspelt_file_is_answered_with_the_nearest_name(old, new, said, file):
    file.with_name("own.toml").write_text(
        TERMS.replace("[parcels.columns]", '[parcels]\nfile = "lots.gpkg"\n[parcels.columns]')
    )
    file.write_text(FILE.replace(old, new, 1))
    with pytest.raises(StudyError, match=said):
        cells(read_benchmark(file))


def test_a_rule_that_a_parameter_names_is_the_only_one_of_that_name(file):
    two = '{ kind = "share", uses = ["housing"], min = 0.2 }, { kind = "share", uses = ["rnd"], min = 0.1 }'
    text = FILE.replace("[rulesets.homes]\nrules = [", f"[rulesets.homes]\nrules = [{two}, ")
    file.write_text(
        text.replace("rules.programme.max_today", "rules.share.min")
        .replace("[rulesets.free]\n", "")
        .replace('"free"', '"homes"')
    )
    with pytest.raises(StudyError, match="3 rules are called share"):
        cells(read_benchmark(file))


def test_two_runs_do_not_share_a_folder(file, tmp_path):
    (tmp_path / "out").mkdir()
    parent = psutil.Process(os.getppid())
    (tmp_path / "out" / LOCK).write_text(f"{parent.pid} {parent.create_time()}")
    with pytest.raises(StudyError, match="works there"):
        run(read_benchmark(file), tmp_path / "out")
    (tmp_path / "out" / LOCK).write_text(f"{parent.pid} 5.0")  # killed long ago, and its number used again
    small = SHORT.replace("values = [1.1, 1.4]", "values = [1.1]")
    file.write_text(small[: small.index("[rulesets.homes]")] + small[small.index("[parameters") :])
    assert len(run(read_benchmark(file), tmp_path / "out", workers=1)) == 1


def test_a_cell_is_named_by_what_its_files_hold(file, tmp_path):
    ways = gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (9, 9)])], crs="EPSG:32619")
    ways.to_file(tmp_path / "ways.gpkg")
    text = FILE.replace("[rulesets.free]", '[rulesets.free]\nstreets = { file = "ways.gpkg" }', 1)
    file.write_text(text)
    before = [cell.name for cell in cells(read_benchmark(file))]
    assert before == [cell.name for cell in cells(read_benchmark(file))]
    ways.geometry = [shapely.LineString([(0, 0), (9, 8)])]
    ways.to_file(tmp_path / "ways.gpkg")
    after = [cell.name for cell in cells(read_benchmark(file))]
    free = [cell.facts["ruleset"] == "free" for cell in cells(read_benchmark(file))]
    assert [a != b for a, b in zip(before, after)] == free


def test_values_of_no_one_kind_are_text_and_solve_may_vary(file):
    file.write_text(FILE.replace("rules.programme.max_today", "solve.gap").replace("[1.1, 1.4]", "[0.1, 0.2]"))
    found = cells(read_benchmark(file))
    assert sorted({cell.study["solve"]["gap"] for cell in found}) == [0.1, 0.2]
    mixed = '[["keep", "redevelop"], ["keep", "convert"]]'
    file.write_text(FILE.replace("rules.programme.max_today", "actions.allowed").replace("[1.1, 1.4]", mixed))
    shown = {cell.facts["intensity"] for cell in cells(read_benchmark(file))}
    assert shown == {'["keep", "redevelop"]', '["keep", "convert"]'}


def test_a_cell_whose_process_dies_is_a_row_and_the_others_are_solved(file, tmp_path, monkeypatch):
    asked = read_benchmark(file)
    few = [
        cell for cell in cells(asked) if cell.facts["district"] == "three" and cell.facts["ruleset"] != "impossible"
    ][:3]
    monkeypatch.setattr(scenarios, "solve_cell", _dies_of_homes)
    rows = {row["cell"]: row for row in scenarios._on_cores(few, 2)}
    assert len(rows) == 3
    for cell in few:
        died = cell.facts["ruleset"] == "homes"
        assert ("process died" in rows[cell.name]["message"]) == died


def _dies_of_homes(cell):
    if cell.facts["ruleset"] == "homes":
        os._exit(9)
    return {"cell": cell.name, **cell.facts, "status": "optimal", "message": ""}


def _table(rows):
    columns = [
        "district",
        "ruleset",
        "intensity",
        "seed",
        "status",
        "score",
        "bound",
        "proximity",
        "mixing_by_building",
    ]
    columns += ["mixing_by_neighbourhood", "floor_area_m2", "jobs", "homes"]
    filled = [[*row[:2], 1.1, 0, "optimal", *row[2:4], *row[4:6], 0.5, 1000.0, 10.0, 5.0] for row in rows]
    found = pd.DataFrame(filled, columns=columns)
    found.loc[found["score"].isna(), "status"] = "infeasible"
    return found


ROWS = [
    ("three", "free", 0.50, 0.52, 0.5, 0.5),
    ("three", "homes", 0.40, 0.45, 0.6, 0.4),
    ("three", "impossible", np.nan, np.nan, np.nan, np.nan),
    ("four", "free", 0.50, 0.60, 0.5, 0.5),
    ("four", "homes", 0.52, 0.55, 0.4, 0.4),
]


def test_ranks_and_effects_are_intervals_found_by_hand(file):
    asked, found = read_benchmark(file), _table(ROWS)
    ranked = ranking(found, asked).set_index("ruleset")
    assert ranked["blocks_in_means"].tolist() == [2, 2, 0]
    # In three, free surely beats homes; in four either may be first.
    assert ranked.loc["free", ["rank_best_mean", "rank_worst_mean"]].tolist() == [1.0, 1.5]
    assert ranked.loc["homes", ["rank_best_mean", "rank_worst_mean"]].tolist() == [1.5, 2.0]
    assert ranked.loc["impossible", "with_a_plan"] == 0 and ranked.index[-1] == "impossible"
    effect = effects(found, asked).set_index("ruleset").loc["homes"]
    least, most = [0.40 - 0.52, 0.52 - 0.60], [0.45 - 0.50, 0.55 - 0.50]
    assert effect["least"] == pytest.approx(np.mean(least)) and effect["most"] == pytest.approx(np.mean(most))
    assert (effect["surely_better"], effect["surely_worse"]) == (0, 1)
    middle = (np.array(least) + np.array(most)) / 2
    assert effect["d"] == pytest.approx(middle.mean() / middle.std(ddof=1))
    assert pareto(found).tolist() == [True, True, False, True, False]
    # Where homes have no plan, neither is in the means; below 0 what is better is still better.
    found.loc[4, ["score", "bound"]] = np.nan
    again = ranking(found, asked).set_index("ruleset")
    assert again["blocks_in_means"].tolist() == [1, 1, 0]
    assert again.loc["free", "score_mean"] == 0.50 and again.loc["homes", "score_mean"] == 0.40
    below = _table([("three", "free", -0.20, -0.19, 0.5, 0.5), ("three", "homes", -0.10, -0.09, 0.6, 0.4)])
    effect = effects(below, asked).iloc[0]
    assert effect["surely_better"] == 1 and effect["least_share"] > 0


def test_tables_figures_and_report_are_written_and_text_stays_text(file, tmp_path):
    asked, found = read_benchmark(file), _table(ROWS)
    (tmp_path / "out").mkdir()
    write_bench(asked, found, tmp_path / "out")
    page = write_report(tmp_path / "out").read_text(encoding="utf-8")
    assert {f.name for f in (tmp_path / "out").iterdir()} <= set(BENCH)
    assert "Rules &lt;b&gt;compared&lt;/b&gt;" in page and "<b>compared" not in page
    assert page.count("<svg") == 2 and "infeasible" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    again = read_benchmark(tmp_path / "out/bench.toml")
    assert Path(again.districts["three"].study) == file.parent / "terms.toml"
    with pytest.raises(StudyError, match="no benchmark here"):
        write_report(tmp_path)


def test_what_all_rule_sets_fail_at_is_a_table_all_the_same(file, tmp_path):
    found = _table(ROWS)
    found["score"] = found["bound"] = np.nan
    (tmp_path / "out").mkdir()
    asked = read_benchmark(file)
    write_bench(asked, found.drop(columns=["proximity", "mixing_by_building"]), tmp_path / "out")
    assert effects(found, asked).empty
    assert write_report(tmp_path / "out").is_file()


def test_the_benchmark_that_ships_is_one():
    asked = read_benchmark(Path(__file__).parents[2] / "examples/bench/rules.toml")
    made_up = {name: part for name, part in asked.districts.items() if part.parcels}
    found = cells(asked.model_copy(update={"districts": made_up}))
    assert len(found) == 3 * 6 * 2 and len(asked.districts) == 4
    assert {cell.facts["ruleset"] for cell in found} == set(asked.rulesets)
    vienna = next(cell for cell in found if cell.facts["ruleset"] == "productive-city")
    assert {"stacking", "height"} <= {rule["kind"] for rule in vienna.study["rules"]}
