"""The one place that knows PuLP: arrays to an `LpProblem`, solvers by name, PuLP 3 and PuLP 4 alike."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pulp
from scipy import sparse

from optimizer.district import Floats
from optimizer.errors import SolverError, StudyError
from optimizer.model import Arrays

PULP_4 = int(pulp.__version__.split(".")[0]) >= 4
UNSAFE = re.compile(r"[^A-Za-z0-9_.#$%&();,!|~{}]")
"""Characters that LP files may not have in names, or that HiGHS 1.15 does not read there: < > /."""
MISREAD = re.compile(r"^(?=[0-9.eE_])")
"""Names that begin so are read as numbers by LP files, or taken for PuLP's own."""


def names_for_files(names: Sequence[str]) -> list[str]:
    """Return names that LP and MPS files accept, still readable and still unique."""
    safe = [MISREAD.sub("n_", UNSAFE.sub("_", name))[:230] for name in names]
    unique: dict[str, int] = {}
    count: dict[str, int] = {}
    for name in safe:
        label = name
        while label in unique:
            count[name] = count.get(name, 1) + 1
            label = f"{name}_{count[name]}"
        unique[label] = 1
    return list(unique)


def to_pulp(arrays: Arrays, *, minimise: bool = False) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    """Hand a program over to PuLP.

    Parameters
    ----------
    minimise : bool
        State the objective negated, as a minimisation.

    Returns
    -------
    LpProblem
        Rows with two different finite bounds become two constraints.
    list of LpVariable
        In the order of the columns.
    """
    problem = pulp.LpProblem("upstairs", pulp.LpMinimize if minimise else pulp.LpMaximize)
    make = problem.add_variable if PULP_4 else pulp.LpVariable
    variables = [
        make(
            label,
            None if low == -np.inf else float(low),
            None if high == np.inf else float(high),
            pulp.LpInteger if whole else pulp.LpContinuous,
        )
        for label, low, high, whole in zip(
            names_for_files(arrays.column_names), arrays.lower, arrays.upper, arrays.integer, strict=True
        )
    ]
    if not PULP_4:
        problem.addVariables(variables)
    used = np.flatnonzero(arrays.cost)
    problem.setObjective(_expression(variables, used, arrays.cost[used] * (-1 if minimise else 1)))
    matrix = sparse.csr_matrix(arrays.matrix)
    for row, label in enumerate(names_for_files(arrays.row_names)):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        columns, values = matrix.indices[part], matrix.data[part]
        low, high = float(arrays.row_lower[row]), float(arrays.row_upper[row])
        if not len(columns):
            if low > 1e-9 or high < -1e-9:
                columns, values = np.array([0]), np.array([0.0])
            else:
                continue
        if low == high:
            problem.addConstraint(_row(variables, columns, values, pulp.LpConstraintEQ, high), label)
            continue
        if high < np.inf:
            problem.addConstraint(_row(variables, columns, values, pulp.LpConstraintLE, high), label)
        if low > -np.inf:
            suffix = "" if high == np.inf else "..least"
            problem.addConstraint(_row(variables, columns, values, pulp.LpConstraintGE, low), label + suffix)
    return problem, variables


def _expression(variables: list[pulp.LpVariable], columns: Any, values: Floats) -> pulp.LpAffineExpression:
    pairs = [(variables[c], v) for c, v in zip(columns.tolist(), values.tolist(), strict=True)]
    return pulp.LpAffineExpression.from_list(pairs) if PULP_4 else pulp.LpAffineExpression(pairs)


def _row(variables: list[pulp.LpVariable], columns: Any, values: Floats, sense: int, bound: float) -> Any:
    expression = _expression(variables, columns, values)
    if not PULP_4:
        return pulp.LpConstraint(expression, sense, rhs=bound)
    if sense == pulp.LpConstraintEQ:
        return expression == bound
    return expression <= bound if sense == pulp.LpConstraintLE else expression >= bound


def solver_by_name(name: str, gap: float, seconds: float, threads: int) -> Any:
    """Return a PuLP solver other than the built-in HiGHS.

    Raises
    ------
    SolverError
        Naming the solvers that are there.
    """
    wanted = {"cbc": "COIN_CMD" if PULP_4 else "PULP_CBC_CMD"}.get(name.lower(), name)
    known = {solver.lower(): solver for solver in pulp.listSolvers()}
    here = ", ".join(["HiGHS", *sorted(s for s in pulp.listSolvers(onlyAvailable=True) if s != "HiGHS")])
    if wanted.lower() not in known:
        raise SolverError(f"solver {name!r} is not known to PuLP; on this machine: {here}")
    solver = pulp.getSolver(known[wanted.lower()], msg=False, gapRel=gap, timeLimit=seconds, threads=threads)
    if not solver.available():
        raise SolverError(
            f"solver {name!r} is not installed on this machine; `pip install 'upstairs[solvers]'` adds CBC; here: {here}"
        )
    return solver


def run_solver(arrays: Arrays, name: str, gap: float, seconds: float, threads: int) -> tuple[str, Floats | None]:
    """Solve a program with a solver of PuLP.

    Returns
    -------
    str
        ``optimal`` (within the gap), ``infeasible`` or ``limit``.
    ndarray or None
        Values, shape (columns,), whole where they must be; None where the solver gave none.

    Raises
    ------
    SolverError
        When the solver is missing or fails.
    """
    problem, variables = to_pulp(arrays)
    try:
        found = problem.solve(solver_by_name(name, gap, seconds, threads))
    except pulp.PulpSolverError as error:
        raise SolverError(f"solver {name} failed: {error}; try --solver HiGHS") from None
    status = found.status.name if PULP_4 else pulp.LpStatus[found]
    if not PULP_4 and problem.sol_status != pulp.LpSolutionOptimal and status == "Optimal":
        status = "Stopped"  # PuLP 3 calls the best solution at a time limit optimal
    if status == "Infeasible":
        return "infeasible", None
    values = [variable.varValue for variable in variables]
    # Columns that stand in no row and have no cost are left out by PuLP.
    used = np.bincount(arrays.matrix.indices, minlength=len(arrays.cost)) + (arrays.cost != 0) > 0
    if any(value is None and needed for value, needed in zip(values, used, strict=True)):
        return "limit", None
    x = np.array([0.0 if value is None else float(value) for value in values])
    x[arrays.integer] = np.rint(x[arrays.integer])
    return "optimal" if status in ("Optimal", "GapLimit") else "limit", x


def write_program(arrays: Arrays, file: Path, *, mps: bool) -> None:
    """Write a program as an LP or MPS file, whole or not at all.

    MPS files minimise; the objective is written negated there.
    """
    if not file.parent.is_dir() or file.is_dir() or not os.access(file.parent, os.W_OK):
        raise StudyError(f"{file}: cannot be written; name a file in a folder that exists and may be written to")
    problem, _ = to_pulp(arrays, minimise=mps)
    draft = file.with_name(f".{file.name}.part")
    try:
        if mps:
            problem.writeMPS(str(draft))
        else:
            problem.writeLP(str(draft))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
