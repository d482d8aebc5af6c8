"""Every message that people read on the console, in a map or a report, found in the sources that say them."""

import ast
import re
from pathlib import Path
from typing import get_args

import pandas as pd

from geodata.detect import Confidence
from geodata.maps import ACTIONS, BY_CHOICE
from optimizer.front import AXES
from optimizer.indices import index_rows
from optimizer.laws import MEASURES
from optimizer.package import ABSTRACT, CHANGE, COLUMNS, PLAN, STREETS, TITLES, TODAY
from optimizer.pages import OF_A_CELL, STATUS, head
from optimizer.pollution import ANNUAL, LIMIT_NAMES, SUFFIXES
from optimizer.pollution import MEASURES as MEASURES_OF_POLLUTION
from optimizer.price import Kind
from optimizer.scenarios import Benchmark, effects, ranking
from optimizer.uses import default_uses

ROOT = Path(__file__).resolve().parents[1]


def _called(file: Path, names: set[str]) -> set[str]:
    """Texts that a Python file gives to a function or method of one of some names, its choices among them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if name in names:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.add(part.value)
    return found - {"sense", "<=", "_", " ", "en"}


def messages() -> set[str]:
    """All messages in English."""
    found = {"unknown", "optimal", "feasible", *BY_CHOICE}
    found |= _called(ROOT / "optimizer/solving.py", {"tell"})
    for file in [*(ROOT / "optimizer").glob("*.py"), *(ROOT / "geodata").glob("*.py")]:
        found |= _called(file, {"words", "language", "w"})
    script = (ROOT / "geodata/page/plan.js").read_text(encoding="utf-8")
    found |= set(re.findall(r'\b(?:t|put)\("([^"]+)"', script))
    pages = [ROOT / "optimizer/templates/report.html", ROOT / "geodata/page/solids.html"]
    page = "".join(file.read_text(encoding="utf-8") for file in pages)
    found |= set(re.findall(r'\bw\("([^"]+)"', page))
    found |= {label for label, _ in ACTIONS.values()}
    for m in MEASURES:
        found |= {m.law.replace("_", " "), m.label, m.unit, m.sentence}
    state = {
        "proximity": {
            "index": 0.0,
            "shares": dict.fromkeys(("same_building", "next_door", "within_400_m", "further", "unserved"), 0.0),
        },
        "mixing": dict.fromkeys(("building", "block", "neighbourhood"), 0.0),
        "density": dict.fromkeys(("floor_area_m2", "far", "jobs", "homes"), 0.0),
        "floor_area_m2": {},
    }
    for label, unit, _, _ in index_rows([state]):
        found |= {label.strip(), unit}
    found |= (
        {m.label for m in MEASURES_OF_POLLUTION if m.kind == "noise"}
        | set(LIMIT_NAMES.values())
        | set(SUFFIXES)
        | {ANNUAL}
    )
    found |= {text for title, description, _ in TITLES.values() for text in (title, description)}
    found |= {text for c in COLUMNS.values() for text in (c.title, c.description) if text}
    found |= {ABSTRACT, PLAN, TODAY, CHANGE, STREETS}
    for axis in AXES:
        found |= {axis.title, axis.label, axis.unit}
    found |= {*get_args(Kind), *get_args(Confidence), "infeasible", "error", *STATUS.values()}
    return found | _of_benchmarks() | {use["label"] for use in default_uses().values()}


def _of_benchmarks() -> set[str]:
    """Texts of the page of a benchmark and of the page of a front, heads of their tables among them."""
    asked = Benchmark.model_validate({"name": "none", "districts": {"a": {"study": "a"}}, "rulesets": {"b": {}}})
    nothing = pd.DataFrame({"ruleset": []})
    columns = [*ranking(nothing, asked), *effects(nothing, asked), "district", "seed", *OF_A_CELL]
    text = (ROOT / "optimizer/pages.py").read_text(encoding="utf-8")
    return {head(column) for column in columns} | set(re.findall(r'\{\{ words\("([^"]+)"\)', text))
