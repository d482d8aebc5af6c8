"""The benchmarks measure what they say; the synthetic studies have one set of terms and can be made and read."""

import csv
import hashlib
import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest

import optimizer
from geodata.synthetic import synthetic_district
from optimizer.solving import Progress
from optimizer.study import load_study
from tests.benchmarks import __main__ as command
from tests.benchmarks import case, curves, growth, noise_limits
from tests.benchmarks.apart import CaseFailed, Workers, apart
from tests.benchmarks.growth import _exponents, exponent
from tests.benchmarks.registry import BENCHMARKS, COLUMNS, ROOT, Benchmark, Options, Row, Table
from tests.benchmarks.studies import ask
from tests.benchmarks.trace import Point, Trace

SYNTHETIC = ROOT / "examples/synthetic"
TERMS = {"district-1000": (0.01, 60), "district-5000": (0.01, 300), "district-10000": (0.01, 600)} | {
    "district-30000": (0.02, 2700),
    "district-1000-noise": (0.01, 60),
}
PROBE = """
import numpy as np
from tests.benchmarks.apart import peak_memory

def holding(mebibytes):
    ballast = np.ones(mebibytes * 2**17)
    print("what a solver prints is no result")
    yield [float(ballast[0]), peak_memory()]

def breaking():
    yield "before"
    raise MemoryError
"""


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """Cases for a process of its own that import little."""
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "probe"


def test_an_exact_power_gives_its_exponent():
    assert exponent({n: 3e-4 * n**1.25 for n in (200, 1000, 5000, 10_000)}) == pytest.approx((1.25, 3e-4))


def test_least_squares_by_hand():
    """Logarithms to base 10: x = 1, 2, 3 and y = 0, 2, 2, so slope 1 and, at x = 0, -2/3."""
    assert exponent({10: 1.0, 100: 100.0, 1000: 100.0}) == pytest.approx((1.0, 10 ** (-2 / 3)))


def test_exponents_of_the_last_two_sizes_show_what_fixed_costs_hide():
    found = {"assemble": {n: 0.2 + 1e-8 * n**2 for n in (200, 1000, 5000, 10_000)}}
    whole, last = _exponents(found, {"assemble": "s"}, set(), 4)
    assert whole.case == "200 to 10,000 parcels"
    assert last.case == "5,000 to 10,000 parcels"
    assert last.value == pytest.approx(math.log(1.2 / 0.45) / math.log(2), abs=5e-4)
    assert whole.value < last.value


def test_what_the_clock_ended_or_not_every_size_reached_has_no_exponent():
    found = {
        "solve: tiles": {200: 1.0, 1000: 20.0},
        "time to 1%": {200: 4.0, 1000: 9.0},
        "arrays": {200: 1e-4, 1000: 1},
    }
    units = dict.fromkeys(found, "s")
    assert [row.what for row in _exponents(found, units, set(), 2)] == [
        "growth exponent of solve: tiles",
        "growth exponent of time to 1%",
    ]
    assert list(_exponents(found, units, {1000}, 3)) == []


def test_a_trace_by_hand():
    """Phases and points of a solve whose clock is ours; names of phases are whatever comes."""
    now = iter([100.0, 101.0, 103.0, 106.0, 110.0, 115.0])
    trace = Trace(clock=lambda: next(now))
    trace(Progress("weaving", -np.inf, 1.0, 0.0, 60.0))  # after 1 s
    trace(Progress("weaving", 0.5, 1.0, 0.0, 60.0))  # after 3 s
    trace(Progress("knitting", 0.5, 0.52, 0.0, 60.0))  # after 6 s: 4 %
    trace(Progress("weaving", 0.5, 0.52, 0.0, 60.0))  # after 10 s
    trace.stop()  # after 15 s
    trace.finish(0.515, 0.52)
    assert trace.phases == {"before the first report": 1.0, "weaving": 2.0 + 3.0 + 5.0, "knitting": 4.0}
    assert sum(trace.phases.values()) == trace.seconds == 15.0
    assert [trace.time_to(gap) for gap in (1.0, 0.05, 0.01, 0.001)] == [3.0, 6.0, 15.0, None]
    assert trace.first_plan == 3.0
    assert [p.gap for p in trace.points] == pytest.approx([math.inf, 1.0, 0.04, 0.04, 0.04, 0.005 / 0.515])
    assert [p.seconds for p in trace.points] == [1.0, 3.0, 6.0, 10.0, 15.0, 15.0]


def test_a_case_has_a_memory_of_its_own(probe):
    """Linux tells a child that it has held what its parent held; a measurement must not."""
    parent = np.ones(600 * 2**17)
    ((one, small),) = apart(f"{probe}:holding", mebibytes=1)
    ((_, large),) = apart(f"{probe}:holding", mebibytes=301)
    assert one == 1.0
    assert large - small == pytest.approx(300 / 1024, abs=0.02)
    assert small < parent.nbytes / 2**30


def test_the_memory_of_workers_is_watched():
    workers = Workers()
    held = "import time; held = bytearray(b'x') * 2**28; time.sleep(3)"
    with workers:
        subprocess.run([sys.executable, "-c", held], check=True)
    assert workers.most == pytest.approx(0.25, abs=0.1)


def test_a_case_that_breaks_is_told_after_what_it_measured(probe, capfd):
    told = []
    with pytest.raises(CaseFailed, match="status 1"):
        told.extend(apart(f"{probe}:breaking"))
    assert told == ["before"]
    assert "MemoryError" in capfd.readouterr().err


def test_the_table_and_the_file_tell_the_same(tmp_path, capsys):
    table = Table(tmp_path / "new")
    table.head()
    table.add("growth", Row("200 parcels", "assemble", 0.123456789, "s"))
    table.add("growth", Row("200 parcels", "time to 1%", None, "s"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "| growth | 200 parcels | assemble | 0.12 s |",
        "| growth | 200 parcels | time to 1% | none |",
    ]
    with (tmp_path / "new/measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["value"] for row in rows] == ["0.123456789", ""]
    assert "highspy" in rows[0]["versions"]
    assert rows[0]["date"] == table.date


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "%", "0.50%"),
        (1234.5, "s", "1,234 s"),
        (60.0, "s", "60.0 s"),
        (73228, "", "73,228"),
        (0.332963, "", "0.332963"),
    ],
)
def test_values_for_people(value, unit, text):
    assert Row("", "", value, unit).text() == text


def test_the_command_lists_and_refuses(capsys):
    assert command.main(["--list"]) == 0
    assert {"growth", "curves", "noise_limits", "demo", "kendall", "flow_against_pairs", "thousand"} <= set(BENCHMARKS)
    assert "growth (200, 1,000, 5,000, 10,000 parcels): " in capsys.readouterr().out
    for wrong, told in (
        (["groth"], "groth: no such"),
        (["--sizes", "0"], "at least 1"),
        (["--time-limit", "0"], "more than 0"),
    ):
        with pytest.raises(SystemExit, match="2"):
            command.main(wrong)
        assert told in capsys.readouterr().err


def test_a_benchmark_without_a_result_lets_the_others_run(monkeypatch, capsys):
    def vain(options):
        """In vain."""
        yield Row("here", "before", 1.0)
        raise optimizer.LimitError("time was up")

    def sound(options):
        """Sound."""
        yield Row("there", "threads", options.threads)

    for function in (vain, sound):
        monkeypatch.setitem(BENCHMARKS, function.__name__, Benchmark(function.__name__, function))
    assert command.main(["vain", "sound", "--threads", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert lines == [
        "| vain | here | before | 1 |",
        "| vain |  | no result: time was up | none |",
        "| sound | there | threads | 3 |",
    ]


def test_growth_of_one_size_from_end_to_end(tmp_path):
    asked = ["growth", "--sizes", "8", "--time-limit", "5", "--threads", "1", "--out", str(tmp_path)]
    assert command.main(asked) == 0
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["benchmark"] for row in rows} == {"growth"}
    assert {row["case"] for row in rows} == {"8 parcels"}
    value = {row["what"]: float(row["value"]) for row in rows if row["value"]}
    assert sum(v for what, v in value.items() if what.startswith("solve: ")) == pytest.approx(value["solve"])
    # The relaxation of the whole program is solved by another method, without cuts: no bound of the solve is above it.
    assert value["score"] <= value["bound"] <= value["one LP relaxation, optimum"] * (1 + 1e-6)
    assert value["final gap"] == pytest.approx(100 * (value["bound"] / value["score"] - 1), rel=1e-6)
    assert value["faults found"] == 0
    assert min(value[stage] for stage in ("read, district", "assemble", "write", "audit of the files")) > 0
    assert value["memory of imports"] <= value["memory to build"] <= value["peak memory"]


def test_growth_of_sizes_made_up(tmp_path, monkeypatch):
    def made_up(name, function, points, district, **arguments):
        asked.append((district, function.__name__, arguments["time_limit"]))
        n = float(district)
        if function is growth.relaxation:
            yield Row(name, "one LP relaxation", n / 100, "s")
            return
        yield Row(name, "memory of imports", 0.25, "GiB")
        yield Row(name, "assemble", 1e-6 * n**2, "s")
        yield Row(name, "peak memory", 0.25 + 1e-5 * n, "GiB")
        yield Row(name, "time to 1%", n / 20, "s")

    asked = []
    monkeypatch.setattr(growth, "rows", made_up)
    told = {(r.case, r.what): r.value for r in growth.growth(Options((1000, 20_000), out=tmp_path))}
    assert asked == [
        ("1000", "whole", 60.0), ("1000", "relaxation", 60.0), ("20000", "whole", 1200.0), ("20000", "relaxation", 1200.0)
    ]  # fmt: skip
    assert told["20,000 parcels", "time to 1% / one LP relaxation"] == pytest.approx(5.0)
    span = "1,000 to 20,000 parcels"
    assert told[span, "growth exponent of assemble"] == 2.0
    assert told[span, "growth exponent of peak memory above that of imports"] == 1.0
    for name in ("growth.png", "growth.svg"):
        assert (tmp_path / name).stat().st_size > 1000


def test_curves_and_limits_are_drawn_and_written(tmp_path, monkeypatch):
    """With solves made up: the case at 60 dB(A) finds no plan."""
    asked = []

    def made_up(name, function, points, **arguments):
        asked.append((arguments["district"], arguments["noise"], arguments["time_limit"]))
        points += [Point(0.0, "start", -math.inf, 1.0), Point(2.0, "end", 0.5, 0.51)]
        none = arguments["noise"] == 60
        yield Row(name, "no plan: because", None) if none else Row(name, "final gap", arguments["noise"] or 1.0, "%")

    monkeypatch.setattr(curves, "rows", made_up)
    monkeypatch.setattr(curves, "there", lambda district: district != "Kendall")
    monkeypatch.setattr(noise_limits, "there", lambda district: district == "Kendall")
    told = [*curves.curves(Options(time_limit=7.0, out=tmp_path)), *noise_limits.noise_limits(Options(out=tmp_path))]
    assert asked[:4] == [
        ("East Cambridge", None, 7.0),
        ("East Cambridge", 63.0, 7.0),
        ("1000", None, 7.0),
        ("1000", 63.0, 7.0),
    ]
    assert asked[4:] == [("Kendall", limit, 120.0) for limit in (63.0, 60.0, 57.0, 55.0)]
    assert Row("Kendall", "its data have not been fetched", None) in told
    ratios = [row for row in told if "against" in row.what]
    assert [row.value for row in ratios] == pytest.approx([57 / 63, 55 / 63])
    with (tmp_path / "curves.csv").open(newline="", encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    assert len(points) == 8
    assert points[0]["gap"] == points[0]["incumbent"] == ""
    assert float(points[1]["gap"]) == pytest.approx(0.02)
    for name in ("curves.png", "curves.svg", "noise_limits.png", "noise_limits.svg"):
        assert (tmp_path / name).stat().st_size > 1000


def test_a_study_that_has_no_plan_is_told(monkeypatch):
    def in_vain(problem, report, scheduler):
        report(Progress("searching", -math.inf, 1.0, 0.0, 60.0))
        time.sleep(0.05)
        raise optimizer.LimitError("time was up")

    monkeypatch.setattr(case, "solve_problem", in_vain)
    *told, why, last = case.whole("16", None, False, threads=1)
    assert why["what"] == "no plan: time was up"
    assert [point[1:] for point in last["points"]] == [("searching", -math.inf, 1.0), ("end", -math.inf, 1.0)]
    seconds = {item["what"]: item["value"] for item in told}
    assert 0.05 <= seconds["solve: searching"] <= seconds["solve"]
    assert json.loads(json.dumps(last))["points"][0][2] == -math.inf


def test_what_is_asked_of_a_district():
    quiet, loud = ask("300", None, time_limit=5.0), ask("300", 57.0, gap=0.5, time_limit=None)
    assert [rule.kind for rule in quiet.rules] == ["programme", "demolition"]
    assert [rule.kind for rule in loud.rules] == ["programme", "demolition", "noise"]
    assert loud.rules[-1].to_dict()["limits"] == {"housing": {"loudest": 57.0}}
    assert (quiet.solve.time_limit, loud.solve.time_limit, loud.solve.gap) == (5.0, 60.0, 0.5)
    assert quiet.parcels.file is None
    real = ask("Kendall", 55.0)
    assert [rule.to_dict()["limits"] for rule in real.rules if rule.kind == "noise"] == [{"housing": {"loudest": 55.0}}]
    assert len(ask("Kendall", None).rules) == len(real.rules) - 1


def test_every_synthetic_study_is_known():
    assert {file.stem for file in SYNTHETIC.glob("*.toml")} == set(TERMS)


@pytest.mark.parametrize("name", TERMS)
def test_synthetic_studies_have_the_terms_of_the_template(name, tmp_path):
    """`upstairs new` writes the template; what differs is size, gap and time limit, and noise where it is asked."""
    from optimizer.starting import write_new

    study = load_study(SYNTHETIC / f"{name}.toml").to_dict()
    template = load_study(write_new(tmp_path / "new", None, 8)).to_dict()
    size = int(name.split("-")[1])
    assert f"{size:,}" in study["name"]
    for table, layer in (("parcels", "parcels"), ("streets", "streets")):
        assert study[table].pop("file") == str(SYNTHETIC / f"data/district-{size}.gpkg")
        del template[table]["file"]
        assert study[table].pop("layer") == layer
    if name.endswith("noise"):
        kendall = load_study(ROOT / "examples/cambridge/kendall.toml").to_dict()
        assert study["rules"].pop() == next(rule for rule in kendall["rules"] if rule["kind"] == "noise")
        assert study["uses"]["workshop"]["sound_power"]["day"] == 62
        study["uses"]["workshop"]["sound_power"] = template["uses"]["workshop"]["sound_power"]
    assert (study["solve"]["gap"], study["solve"]["time_limit"], study["solve"]["threads"]) == (*TERMS[name], 2)
    for key in ("parcels", "streets", "uses", "linkages", "objective", "rules"):
        assert study[key] == template[key], key


def make(folder, *arguments):
    done = subprocess.run(
        [sys.executable, SYNTHETIC / "make.py", *arguments, "--to", folder], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_district_is_made_the_same_each_time_and_can_be_solved_as_far_as_reading_tells(tmp_path):
    status, told, _ = make(tmp_path / "a", "40", "48")
    assert status == 0
    assert told.splitlines() == ["district-40.gpkg: 40 parcels", "district-48.gpkg: 48 parcels"]
    make(tmp_path / "b", "40")
    make(tmp_path / "c", "40", "--seed", "1")
    digests = [hashlib.sha256((tmp_path / at / "district-40.gpkg").read_bytes()).hexdigest() for at in "abc"]
    assert digests[0] == digests[1] != digests[2]
    for name in ("district-1000", "district-1000-noise"):
        study = load_study(SYNTHETIC / f"{name}.toml").to_dict()
        study["parcels"]["file"] = study["streets"]["file"] = str(tmp_path / "a/district-40.gpkg")
        district = optimizer.check(study)
        assert len(district.parcels) == 40
        lots, _ = synthetic_district(40, 0)
        assert district.existing.sum() == pytest.approx(lots.filter(like="gfa_").to_numpy().sum())
        assert not district.found.findings
        assert district.network.source == "streets"


def test_a_district_of_no_parcels_is_refused(tmp_path):
    status, _, told = make(tmp_path, "0")
    assert status == 2
    assert told.startswith("Error: parcels = 0")
