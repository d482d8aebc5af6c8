"""The command line: ``upstairs``."""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from geodata.browser import print_pdf
from geodata.database import is_address, without_password
from geodata.errors import GeodataError
from geodata.language import ENGLISH, LANGUAGES, Language, language
from geodata.parcels import read_parcels
from geodata.presets import presets
from optimizer import __version__, listings, screen
from optimizer.api import check as check_study
from optimizer.api import solve as solve_study
from optimizer.audit import audit_folder
from optimizer.compare import read_plans
from optimizer.convert import ENDINGS
from optimizer.convert import convert as convert_plan
from optimizer.diagnose import Diagnosis
from optimizer.district import read_district
from optimizer.errors import InfeasibleError, LimitError, StudyError, UpstairsError, known_name
from optimizer.files import (
    FILES,
    check_only,
    check_target,
    read_folder,
    redraw,
    rewrite_report,
    write_diagnosis,
    write_plan,
    write_pollution,
    write_solid,
)
from optimizer.front import AXES
from optimizer.frontier import frontier as frontier_of
from optimizer.interrupt import undisturbed
from optimizer.outcomes import (
    BENCH,
    FRONT,
    PRICES,
    write_bench,
    write_comparison,
    write_front,
    write_prices,
    write_report,
    write_score,
)
from optimizer.pollution import measures
from optimizer.price import price as prices_of
from optimizer.problem import assemble
from optimizer.publish import SCHEMA
from optimizer.publish import publish as publish_plan
from optimizer.pulp_bridge import write_program
from optimizer.rules import rule_kinds
from optimizer.rulesets import rulesets
from optimizer.scenarios import effects, ranking, read_benchmark
from optimizer.scenarios import run as run_benchmark
from optimizer.scenarios import table as table_of
from optimizer.scene import grid_of, scene_of_today
from optimizer.scoring import score_plan
from optimizer.starting import EXAMPLES, example_study, write_from, write_new
from optimizer.study import Study, load_study

app = typer.Typer(
    name="upstairs",
    help="Which uses go on which floors of which parcels, and how close that is to the best possible plan.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console()
err = Console(stderr=True)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study.", show_default=False)]
PlanFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a written plan.", show_default=False)]
Gap = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Stop at this relative gap; default: the study's.")]
TimeLimit = Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds; default: the study's.")]
Solver = Annotated[str | None, typer.Option(help="HiGHS, CBC or another that PuLP knows; default: the study's.")]
Work = Annotated[
    int | None,
    typer.Option(min=1, help="Stop after so many pieces of work instead of a time: runs with one seed do the same."),
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler to solve on, or 'local'; default: threads.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the solver; default: the study's.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="A map that asks no other host for anything: no street tiles.")
]
Lang = Annotated[
    str,
    typer.Option(
        "--lang", envvar="UPSTAIRS_LANG", help=f"Language of console, map and report: {', '.join(LANGUAGES)}."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no tables; errors only.")]


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"upstairs {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Your upstream is your upstairs."""


def _solve(
    study: Study,
    folder: Path,
    quiet: bool,
    scheduler: str | None = None,
    offline: bool = False,
    words: Language = ENGLISH,
) -> None:
    check_target(folder)
    if study.polluted and measures(study) and study.parcels.file:
        # A plan that was searched for must not be lost to a raster that cannot be.
        grid_of(study, read_parcels(study.parcel_source()).frame.total_bounds)
    with screen.progress(err, quiet, words) as report:
        try:
            plan = solve_study(study, report=report, scheduler=scheduler)
        except InfeasibleError as error:
            if error.diagnosis is not None:
                told = _written(study, error.diagnosis, folder, offline, words)
                raise InfeasibleError(f"{error}\n{told}", error.diagnosis) from None
            raise
    with undisturbed(), screen.doing(err, quiet) as say:
        write_plan(plan, folder, say, offline=offline, words=words)
    audit = audit_folder(folder)
    if not quiet:
        screen.findings(out, plan.district.found.findings, words)
        screen.summary(out, study, plan.result, words)
        screen.rules(out, audit, words)
        screen.illustrative(out, study.illustrative, words)
    _faults(audit.faults, folder, words)
    if not quiet:
        if plan.result["interrupted"]:
            out.print(words("Stopped by Ctrl-C; this is the best plan found until then."))
        count = len(audit.checks)
        out.print(words("Audited: {n} checks recomputed from the files agree.", n=count), highlight=False)
        _said(words("Map"), folder / "map.html")
        _said(words("Report"), folder / "report.html")
        rasters = sum(file.suffix == ".tif" for file in folder.iterdir())
        if rasters:
            _said(words("Rasters"), words("{n} of noise and air in {folder}", n=rasters, folder=folder))


def _written(study: Study, found: Diagnosis, folder: Path, offline: bool, words: Language) -> str:
    """Write a diagnosis where that can be done; return where, or why not."""
    try:
        write_diagnosis(study, found, folder, offline=offline, words=words)
    except StudyError as error:
        return f"Not written: {error}"
    return f"Written: {folder / 'diagnosis.json'}" + (f", {folder / 'where.html'}" if found.cheapest else "")


def _faults(faults: list[str], folder: Path, words: Language = ENGLISH) -> None:
    if faults:
        failed = words("AUDIT FAILED: {folder} does not agree with its study and itself:", folder=folder)
        err.print(failed, style="bold red", markup=False, soft_wrap=True)
        for fault in faults:
            err.print(f"  {fault}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _asked(study: Study, **given: Any) -> Study:
    changes = {key: value for key, value in given.items() if value is not None}
    return load_study({**study.to_dict(), "solve": {**study.solve.model_dump(), **changes}}, study.folder)


def _placed(study: Study, parcels: str | None, table: str | None) -> Study:
    """Return a study whose parcels come from elsewhere; a file is looked for in the current folder."""
    if parcels is None and table is None:
        return study
    data = study.to_dict()
    section = data["parcels"]
    if parcels is not None:
        section = {key: value for key, value in section.items() if key not in ("layer", "table")}
        section["file"] = parcels if is_address(parcels) else str(Path(parcels).resolve())
    data["parcels"] = section | ({} if table is None else {"table": table})
    return load_study(data, study.folder)


@app.command()
def demo(lang: Lang = "en", quiet: Quiet = False) -> None:
    """Solve the shipped example into ./upstairs-demo and say where the map is."""
    words = language(lang)
    with ExitStack() as stack:
        folder = Path("upstairs-demo")
        _solve(load_study(example_study("quanzhi", stack)), folder, quiet, words=words)


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
    example: Annotated[str | None, typer.Option(help=f"Copy an example: {', '.join(EXAMPLES)}.")] = None,
    synthetic: Annotated[int | None, typer.Option(min=1, help="Make a district of so many parcels.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the synthetic district.")] = 0,
    parcels: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Look at your parcels and propose what their columns mean."),
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Of --from, where the file has several.")] = None,
    lang: Lang = "en",
) -> None:
    """Write a commented study to edit."""
    words = language(lang)
    if sum(given is not None for given in (example, synthetic, parcels)) > 1:
        raise StudyError("--example, --synthetic and --from: give one of them")
    if layer is not None and parcels is None:
        raise StudyError("--layer: is for --from FILE; give both")
    if parcels is not None:
        file, found, stands = write_from(folder, parcels, layer)
        screen.proposal(out, found, stands, words)
        _said(words("Wrote"), file)
        _said(words("Next"), words("read it, correct what is wrong, then: {command}", command=f"upstairs check {file}"))
        return
    file = write_new(folder, example, synthetic, seed)
    _said(words("Wrote"), file)
    if example or synthetic:
        _said(words("Next"), f"upstairs solve {file} --out {folder / 'plan'}")
    else:
        put = words("put your parcels beside it, name its columns, then: {command}", command=f"upstairs check {file}")
        _said(words("Next"), put)


@app.command()
def check(study: StudyFile, lang: Lang = "en") -> None:
    """Read, repair and validate; say what was found and changed; solve nothing."""
    words = language(lang)
    district = check_study(study)
    screen.findings(out, district.found.findings, words)
    screen.district(out, district, words)
    screen.notes(out, district.around.notes)
    asked = load_study(study)
    if asked.polluted:
        grid_of(asked, district.parcels.total_bounds)
    out.print(words("The study can be solved as far as reading can tell."))


@app.command()
def solve(
    study: StudyFile,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the plan goes.", show_default=False)],
    gap: Gap = None,
    time_limit: TimeLimit = None,
    solver: Solver = None,
    threads: Threads = None,
    work: Work = None,
    scheduler: Scheduler = None,
    offline: Offline = False,
    lang: Lang = "en",
    parcels: Annotated[
        str | None, typer.Option(metavar="FILE|postgresql://...", help="Parcels in place of the study's.")
    ] = None,
    table: Annotated[
        str | None, typer.Option(metavar="SCHEMA.NAME", help="Table of the database that parcels come from.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Find a plan, prove how good it is, audit it and write it."""
    words = language(lang)
    placed = _placed(load_study(study), parcels, table)
    asked = _asked(placed, gap=gap, time_limit=time_limit, solver=solver, threads=threads, work_limit=work)
    _solve(asked, folder, quiet, scheduler, offline, words)


@app.command()
def audit(folder: PlanFolder, lang: Lang = "en") -> None:
    """Recompute every index and rule of a plan from its files alone."""
    words = language(lang)
    found = audit_folder(folder)
    screen.today_and_plan(out, [read_folder(folder)[0]], found.existing, found.indices, words)
    out.print(screen.scoreboard(found.existing, found.indices, words))
    screen.rules(out, found, words)
    for note in found.notes:
        out.print(note, markup=False, highlight=False)
    _faults(found.faults, folder, words)
    score = f"{found.objective:.5f}"
    out.print(words("Score {score} recomputed; everything agrees with result.json.", score=score), highlight=False)


@app.command()
def rules(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One family.", show_default=False)] = None,
) -> None:
    """List the rule families, or explain one: inequality, keys, an example that runs, sources."""
    if name is None:
        listings.families(out)
    else:
        known_name(name, list(rule_kinds()), "rules NAME")
        listings.family(out, name)


@app.command("rulesets")
def show_rulesets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One rule set.", show_default=False)] = None,
) -> None:
    """List the rule sets, or show one: its rules, and every number with source and status."""
    if name is None:
        listings.ruleset_list(out)
    else:
        known_name(name, list(rulesets()), "rulesets NAME")
        listings.ruleset(out, name)


@app.command("presets")
def show_presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One preset.", show_default=False)] = None,
) -> None:
    """List the presets of publishers' parcel data, or show one: what its columns mean, and what to know."""
    if name is None:
        listings.preset_list(out)
    else:
        known_name(name, presets(), "presets NAME")
        listings.preset(out, presets()[name])


@app.command()
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR DIR ...", help="Plans; the first is compared with the others.", show_default=False),
    ],
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write tables, changes and a map there.")
    ] = None,
    offline: Offline = False,
    lang: Lang = "en",
) -> None:
    """Set plans side by side: indices, floors that differ by parcel and use, a map of both."""
    words = language(lang)
    found = read_plans(folders)
    if folder is not None:
        write_comparison(found, folder, offline=offline, words=words)
    screen.compared(out, found, words)
    if folder is not None:
        _said(words("Map"), folder / "compare.html")


@app.command()
def price(
    study: StudyFile,
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where table and figure go.", show_default=False)
    ],
    each: Annotated[
        bool, typer.Option("--each", help="Move every number of a rule by itself, not all at once.")
    ] = False,
    indices: Annotated[
        bool,
        typer.Option("--indices", help="Find between which values indices lie in all plans as good; takes longer."),
    ] = False,
    gap: Gap = None,
    time_limit: TimeLimit = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    lang: Lang = "en",
    quiet: Quiet = False,
) -> None:
    """Say what each rule costs: drop it, loosen it, tighten it, and solve again."""
    words = language(lang)
    check_only(folder, PRICES, "prices of rules")
    asked = _asked(load_study(study), gap=gap, time_limit=time_limit, threads=threads)
    with screen.progress(err, quiet, words) as report:
        found = prices_of(asked, each=each, indices=indices, report=report, scheduler=scheduler)
    with undisturbed():
        write_prices(found, folder, words)
    if not quiet:
        screen.prices(out, found, words)
        _said(words("Table"), folder / "prices.csv")
        _said(words("Figure"), folder / "tornado.png")


@app.command()
def frontier(
    study: StudyFile,
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the front goes.", show_default=False)],
    axes: Annotated[
        list[str],
        typer.Option("--axes", metavar="A B [C]", help=f"Of {', '.join(a.name for a in AXES)}.", show_default=False),
    ],
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    points: Annotated[str, typer.Option(metavar="N", help="Solves, or 'all' points of a small district.")] = "7",
    wish: Annotated[
        list[str] | None,
        typer.Option(metavar="AXIS=VALUE", help="Wanted of every axis: find the plan that is as near as possible."),
    ] = None,
    in_order: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="One axis after the other instead: each at its best where those before it give up this share of theirs.",
        ),
    ] = None,
    gap: Gap = None,
    time_limit: TimeLimit = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    offline: Offline = False,
    lang: Lang = "en",
    quiet: Quiet = False,
) -> None:
    """Trade two or three goals off exactly: plans that no other beats, and what no plan reaches."""
    words = language(lang)
    # Names after the first stand where arguments do; the study may, then, be among them.
    names = [str(study), *(more or [])]
    files = [name for name in names if name.endswith(".toml")] or names[:1]
    if not points.isdigit() and points != "all":
        raise StudyError(f"--points {points}: a number, or all, is expected")
    check_only(folder, FRONT, "a trade-off")
    asked = _asked(load_study(Path(files[0])), gap=gap, time_limit=time_limit, threads=threads)
    chosen = [*axes, *(name for name in names if name not in files)]
    with screen.progress(err, quiet, words) as report:
        found = frontier_of(
            asked,
            chosen,
            None if points == "all" else int(points),
            in_order=in_order,
            wishes=_wishes(wish),
            report=report,
            scheduler=scheduler,
        )
    with undisturbed(), screen.doing(err, quiet) as say:
        write_front(found, folder, say, offline=offline, words=words)
    if not quiet:
        screen.front(out, found, words)
    for number in range(1, len(found.points) + 1):
        place = folder / "points" / f"{number:02d}"
        _faults(audit_folder(place).faults, place, words)
    if not quiet:
        out.print(words("Audited: every plan agrees with its files."), highlight=False)
        _said(words("Page"), folder / "front.html")


def _wishes(given: list[str] | None) -> dict[str, float]:
    """Read AXIS=VALUE."""
    wishes = {}
    for item in given or []:
        name, _, value = item.partition("=")
        try:
            wishes[name] = float(value)
        except ValueError:
            raise StudyError(f"--wish {item}: AXIS=VALUE with a number is expected, such as homes=1200") from None
    return wishes


@app.command()
def bench(
    file: Annotated[
        Path | None, typer.Argument(metavar="BENCH.toml", help="The benchmark.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where its rows and tables go.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Write the report of a benchmark that was run.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores by default.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler to solve on; this machine by default.")
    ] = None,
    lang: Lang = "en",
    quiet: Quiet = False,
) -> None:
    """Solve districts under rule sets, all of them, and rank the rule sets; goes on where it was stopped."""
    words = language(lang)
    if file is None and report is None:
        raise StudyError("bench: name a benchmark file, or with --report the folder of one that was run")
    if file is not None:
        if folder is None:
            raise StudyError("bench: say with --out where rows and tables go")
        check_only(folder, BENCH, "a benchmark")
        asked = read_benchmark(file)
        tell = (
            (lambda _: None) if quiet else (lambda said: err.print(said, highlight=False, markup=False, soft_wrap=True))
        )
        try:
            found = run_benchmark(asked, folder, scheduler, workers, tell, words)
        except KeyboardInterrupt:
            with undisturbed():
                found = table_of(asked, folder)
                if len(found):
                    write_bench(asked, found, folder, words)
            raise LimitError(f"stopped by Ctrl-C: {len(found)} cells are done; the same command goes on") from None
        with undisturbed():
            write_bench(asked, found, folder, words)
        if not quiet:
            screen.ranking(out, ranking(found, asked), effects(found, asked), words)
            _said(words("Table"), folder / "table.parquet")
    if report is not None:
        _said(words("Report"), write_report(report, words))


@app.command()
def score(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.geojson", help="A plan by any tool.", show_default=False)],
    study: StudyFile,
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write what was found, as JSON.")] = None,
    lang: Lang = "en",
) -> None:
    """Judge a plan that another tool made, by the rules and the score of a study."""
    words = language(lang)
    asked = load_study(study)
    if file is not None:
        asked.check_spared(file, study, plan, *(plan.parent / name for name in FILES))
    found = score_plan(plan, asked)
    if file is not None:
        write_score(found, file)
    screen.today_and_plan(out, [asked], found.audit.existing, found.audit.indices, words)
    screen.rules(out, found.audit, words)
    for fault in found.faults:
        err.print(fault, style="red", markup=False, highlight=False, soft_wrap=True)
    out.print(found.sentence(words), highlight=False, markup=False, soft_wrap=True)
    if found.faults:
        raise typer.Exit(1)


def _said(what: str, told: Path | str) -> None:
    """Say what stands where, below one another."""
    head = set_cell_size(f"{what}:", max(cell_len(what) + 1, 8))
    out.print(f"{head} {told}", highlight=False, markup=False, soft_wrap=True)


@app.command("map")
def draw_map(
    folder: PlanFolder,
    offline: Offline = False,
    solid: Annotated[bool, typer.Option("--3d", help="Its storeys in three dimensions too, in map3d.html.")] = False,
    lang: Lang = "en",
) -> None:
    """Draw the map of a plan again."""
    words = language(lang)
    _said(words("Map"), redraw(folder, offline=offline, words=words))
    if solid:
        _said("3D", write_solid(folder, words))


@app.command()
def report(
    folder: PlanFolder,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="As PDF too, printed by the Chromium or Chrome of the machine.")
    ] = False,
    lang: Lang = "en",
) -> None:
    """Write the report of a plan again: a page for those who decide, tables and figures for those who check."""
    words = language(lang)
    page = rewrite_report(folder, words)
    _said(words("Report"), page)
    if pdf:
        _said("PDF", print_pdf(page, page.with_suffix(".pdf")))


@app.command()
def convert(
    folder: PlanFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=f"Ends in {ENDINGS}.", show_default=False)],
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="A layer of plan.gpkg; default: parcels.")] = None,
    scale: Annotated[
        float | None,
        typer.Option(min=1.0, metavar="N", help="Draw the map at 1:N; default: as large as A3 has room for."),
    ] = None,
    shorten: Annotated[
        bool, typer.Option("--shorten", help="Shorten names for a shapefile, and list them beside it.")
    ] = False,
    lang: Lang = "en",
) -> None:
    """Write a plan as GeoParquet, GeoJSON, CSV, Shapefile or CityJSON, or its map for print at a scale as SVG or PNG."""
    words = language(lang)
    for part in convert_plan(folder, file, layer=layer, scale=scale, shorten=shorten, words=words):
        _said(words("Wrote"), part)


@app.command()
def publish(
    folder: PlanFolder,
    address: Annotated[str, typer.Argument(metavar="postgresql://...", help="A PostGIS database.", show_default=False)],
    schema: Annotated[str, typer.Option(help="Of the database; made where it is missing.")] = SCHEMA,
) -> None:
    """Write a plan into a PostGIS database, whole or not at all, with views and styles for QGIS."""
    found = publish_plan(folder, address, schema)
    for line in found.sentences:
        out.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def pollution(
    source: Annotated[
        Path,
        typer.Argument(metavar="STUDY.toml|DIR", help="A study, or the folder of a written plan.", show_default=False),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where rasters go; ./pollution, or the plan's folder, by default."),
    ] = None,
    lang: Lang = "en",
    quiet: Quiet = False,
) -> None:
    """Write rasters of noise and air: of a district as it stands, or of a plan, of today and the change."""
    words = language(lang)
    with screen.doing(err, quiet) as say:
        if source.is_dir():
            written = write_pollution(source, folder or source, say)
        else:
            study = load_study(source)
            written = write_pollution(scene_of_today(study, read_district(study)), folder or Path("pollution"), say)
    if not quiet:
        for file in written:
            _said(words("Raster"), file)


@app.command()
def export(
    study: StudyFile,
    lp: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an LP file.")] = None,
    mps: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an MPS file.")] = None,
) -> None:
    """Write the integer program for another solver, with readable names."""
    if lp is None and mps is None:
        raise StudyError("export: name a file with --lp FILE or --mps FILE")
    asked = load_study(study)
    for file in filter(None, (lp, mps)):
        asked.check_spared(file, study)
    arrays = assemble(asked, read_district(asked)).arrays()
    if lp is not None and mps is not None and lp.resolve() == mps.resolve():
        raise StudyError(f"--lp and --mps both name {lp}; name two files")
    for file in filter(None, (lp, mps)):
        write_program(arrays, file, mps=file is mps)
        out.print(
            f"{file}: {arrays.matrix.shape[0]:,} rows, {arrays.matrix.shape[1]:,} columns, {arrays.matrix.nnz:,} entries",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def main() -> None:
    """Run the command; one message and an exit status for everything a user can put right."""
    warnings.filterwarnings("ignore")
    try:
        app([without_password(word) for word in sys.argv[1:]])
    except (UpstairsError, GeodataError) as error:
        err.print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(getattr(error, "exit_status", 2))


if __name__ == "__main__":
    main()
