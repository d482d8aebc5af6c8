"""The main job in Python: from a study to a plan."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd

from geodata.walking import WalkingNetwork
from optimizer.audit import recompute, relative_gap
from optimizer.diagnose import diagnose_rules, plainly_impossible, unsatisfied
from optimizer.district import District, read_district
from optimizer.errors import InfeasibleError, LimitError, SolverError
from optimizer.interrupt import undisturbed
from optimizer.laws import MEASURES
from optimizer.memory import check_memory
from optimizer.plan import Plan, read_solution
from optimizer.problem import assemble
from optimizer.rules import Check
from optimizer.solving import Report, Solution, Start, solve_problem
from optimizer.study import Study, load_study


def solve(
    study: Study | Path | str | Mapping[str, Any],
    parcels: gpd.GeoDataFrame | None = None,
    streets: gpd.GeoDataFrame | None = None,
    *,
    network: WalkingNetwork | None = None,
    report: Report | None = None,
    scheduler: str | None = None,
) -> Plan:
    """Find a plan and prove how good it is.

    Parameters
    ----------
    study : Study, path or mapping
        A study file, its content, or what `load_study` returned.
    parcels : GeoDataFrame, optional
        Parcels in place of the study's file; any CRS, columns as the study maps them.
    streets : GeoDataFrame, optional
        Street centre lines in place of the study's file; any CRS.
    network : WalkingNetwork, optional
        Walking network measured otherwise, one door a building site in the order of the parcels.
    report : callable, optional
        Told the progress (`optimizer.solving.Progress`).
    scheduler : str, optional
        Address of a Dask scheduler whose workers solve the pieces of large districts, or ``local`` for processes of
        this machine; threads by default.

    Returns
    -------
    Plan
        With score, proved bound and gap in ``plan.result``.

    Raises
    ------
    StudyError, geodata.errors.GeodataError
        Bad input, naming key and value.
    InfeasibleError
        No plan satisfies the rules.
    LimitError
        Time was up before a plan was found.
    SolverError
        The solver is missing or failed.
    """
    started = time.monotonic()
    asked = load_study(study)
    district = read_district(asked, parcels, streets, network=network)
    return solve_district(asked, district, report=report, scheduler=scheduler, since=started)


def solve_district(
    study: Study,
    district: District,
    *,
    report: Report | None = None,
    scheduler: str | None = None,
    start: Start | None = None,
    since: float | None = None,
    explained: bool = True,
) -> Plan:
    """Find a plan of a district that was read for a study; see `solve`.

    Parameters
    ----------
    start : Start, optional
        A plan and a bound that are known.
    since : float, optional
        Time by `time.monotonic` that seconds are counted from; now by default.
    explained : bool
        Whether to find out why where no plan satisfies the rules.
    """
    started = time.monotonic() if since is None else since
    check_memory(district, study)
    problem = assemble(study, district)
    try:
        if plainly_impossible(study, district):
            raise InfeasibleError("no plan satisfies the rules")
        solution = solve_problem(problem, report, scheduler, start)
    except InfeasibleError as error:
        raise unsatisfied(study, district) if explained else error from None
    except LimitError:
        # What a search did not find in time need not be there: rules by themselves are a smaller question.
        found = diagnose_rules(study, district) if explained and not (start and start.stop) else None
        if found is None:
            raise
        raise InfeasibleError("\n  ".join(found.sentences), found) from None
    with undisturbed():
        action, floors = read_solution(problem.model, solution.x)
        plan = Plan(study, district, action, floors, {}, solution.shadow_prices)
        plan.result.update(_result(plan, solution, time.monotonic() - started))
        return plan


def check(
    study: Study | Path | str | Mapping[str, Any],
    parcels: gpd.GeoDataFrame | None = None,
    streets: gpd.GeoDataFrame | None = None,
    *,
    network: WalkingNetwork | None = None,
) -> District:
    """Read, repair and validate without solving; the findings are in ``district.found.findings``."""
    asked = load_study(study)
    district = read_district(asked, parcels, streets, network=network)
    assemble(asked, district)
    return district


def _result(plan: Plan, solution: Solution, seconds: float) -> dict[str, Any]:
    """Return what ``result.json`` holds; every number computed from the plan."""
    study, district = plan.study, plan.district
    found = recompute(study, plan.evidence)
    broken = [c for c in found.checks if c.faulty]
    if broken:
        worst = broken[0]
        raise SolverError(
            f"the solver's plan breaks rule {worst.name} at {worst.scope}: {worst.value:.6g} {worst.unit}, limit "
            f"{worst.sense} {worst.limit:.6g}; nothing was written; please report this study"
        )
    if solution.bound < found.objective - 1e-5 * max(abs(found.objective), 1.0):
        raise SolverError(
            f"the proved bound {solution.bound:.9g} is below the plan's score {found.objective:.9g}; nothing was written; "
            "please report this study"
        )
    # The tolerance of the solver may leave its bound a hair under the plan.
    bound = max(solution.bound, found.objective)
    gap = relative_gap(bound, found.objective)
    return {
        "status": "optimal" if gap is not None and gap <= study.solve.gap + 1e-9 else "feasible",
        "objective": found.objective,
        "bound": bound,
        "bound_is_trivial": solution.trivial and bound > found.objective,
        "gap": gap,
        "seconds": round(seconds, 3),
        "solver": solution.solver,
        "interrupted": solution.interrupted,
        "indices": found.indices,
        "existing": found.existing,
        "laws": [dataclasses.asdict(measure) for measure in MEASURES],
        "rules": [_row(check) for check in found.checks],
        "notes": list(dict.fromkeys(district.around.notes)),
        "numbers": [number.model_dump() for number in study.numbers],
        "site_area_from": district.found.site_area_from,
        "walking": {"source": district.network.source, "findings": list(district.network.findings)},
        "unreached": district.sites["site_id"].iloc[district.network.unreached].tolist(),
        "repairs": [
            {"kind": f.kind, "parcels": list(f.parcels), "message": f.message, "action": f.action, "value": f.value}
            for f in district.found.findings
        ],
        "inputs": [{"file": file, "sha256": digest} for file, digest in district.inputs.items()],
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("pulp", "highspy", "geopandas", "shapely", "numpy", "scipy", "folium")
        },
    }


def _row(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "scope": check.scope,
        "value": check.value,
        "limit": check.limit,
        "sense": check.sense,
        "unit": check.unit,
        "places": check.places,
        "satisfied": check.satisfied,
        "missed": check.missed,
        "missed_unit": check.missed_unit,
        "price": check.price,
        "illustrative": check.illustrative,
    }
