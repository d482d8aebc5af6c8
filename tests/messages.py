"""Every message that people read in a map or report, found in the sources that say them."""

import ast
import re
from pathlib import Path

from geodata.maps import ACTIONS, BY_CHOICE
from optimizer.indices import index_rows
from optimizer.laws import MEASURES
from optimizer.uses import default_uses

ROOT = Path(__file__).resolve().parents[1]


def _called(file: Path, names: set[str]) -> set[str]:
    """Texts that a Python file gives to a function of one of some names, its choices among them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names and node.args:
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.add(part.value)
    return found - {"sense", "<=", "_", " ", "en"}


def messages() -> set[str]:
    """All messages in English."""
    found = {"unknown", *BY_CHOICE}
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
    return found | {use["label"] for use in default_uses().values()}
