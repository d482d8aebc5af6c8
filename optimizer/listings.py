"""What the command line lists and explains: rule families, rule sets, presets of parcel data."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING

import tomli_w
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geodata.presets import presets
from optimizer.rules import Rule, rule_kinds
from optimizer.rulesets import MEANING, rulesets
from optimizer.screen import notes
from optimizer.study import INTERNAL

if TYPE_CHECKING:
    from geodata.presets import Preset


def families(console: Console) -> None:
    """Print every rule family with its sentence."""
    table = Table("rule", "what it asks", title="Rule families", title_justify="left")
    for kind, family in rule_kinds().items():
        table.add_row(kind, Text(_paragraphs(family)[0]))
    console.print(table)
    console.print("upstairs rules NAME prints a family's inequality, keys, an example and sources.", highlight=False)


def family(console: Console, kind: str) -> None:
    """Print a rule family: sentence, inequality, keys, an example that runs, sources."""
    found = rule_kinds()[kind]
    sentence, *rest = _paragraphs(found)
    console.print(f"{kind}: {sentence}", style="bold", markup=False, highlight=False)
    for paragraph in rest:
        console.print(f"\n{paragraph}", markup=False, highlight=False)
    table = Table("key", "default", "what it is", title="Keys", title_justify="left")
    for name, item in found.model_fields.items():
        if name not in INTERNAL:
            default = "required" if item.is_required() else json.dumps(item.get_default(call_default_factory=True))
            table.add_row(name, Text("none" if default == "null" else default), Text(item.description or ""))
    console.print()
    console.print(table)
    if found.example:
        console.print("Example, for any study with the shipped uses (upstairs new DIR --synthetic 40 makes one):\n")
        console.print(f"[[rules]]\n{found.example}\n", markup=False, highlight=False, soft_wrap=True)


def _paragraphs(family: type[Rule]) -> list[str]:
    """Return the paragraphs of a family's docstring, each on one line; what is set in stays as written."""
    parts = (inspect.getdoc(family) or "").split("\n\n")
    return [part if part.startswith(" ") else " ".join(part.split()) for part in parts]


def ruleset_list(console: Console) -> None:
    """Print every rule set with its sentence."""
    table = Table("rule set", "what it is", "numbers", title="Rule sets", title_justify="left")
    for name, found in rulesets().items():
        count = {s: sum(n.status == s for n in found.numbers.values()) for s in MEANING}
        told = ", ".join(f"{k} {status}" for status, k in count.items() if k)
        table.add_row(name, Text(f"{found.title}. {found.summary} {found.caution}".strip()), told)
    console.print(table)
    _statuses(console)


def ruleset(console: Console, name: str) -> None:
    """Print a rule set: its rules, and each number with source and status."""
    found = rulesets()[name]
    console.print(f"{name}: {found.title}", style="bold", markup=False, highlight=False)
    console.print(found.summary, markup=False, highlight=False)
    if found.caution:
        console.print(f"Caution: {found.caution}", style="yellow", markup=False, highlight=False)
    console.print("\nNumbers:", highlight=False)
    for key, n in found.numbers.items():
        status = "M, illustrative" if n.illustrative else n.status
        console.print(f"  {key} = {n.value:,g} {n.unit} [{status}]: {n.meaning}", markup=False, highlight=False)
        console.print(f"      {n.source}", markup=False, highlight=False, soft_wrap=True, style="dim")
    _statuses(console)
    for title, items in (
        ("Uses that a study may map to its own (roles)", found.roles.items()),
        ("Places that a study may set (places)", ((k, f"{p.where}   {p.meaning}") for k, p in found.places.items())),
    ):
        if items:
            console.print(f"\n{title}:", highlight=False)
            for key, text in items:
                console.print(f"  {key} = {text}", markup=False, highlight=False, soft_wrap=True)
    console.print("\nRules:", highlight=False)
    console.print(tomli_w.dumps({"rules": found.rules}), markup=False, highlight=False, soft_wrap=True)
    console.print(f'In a study:\n\n[[rulesets]]\nname = "{name}"\n', markup=False, highlight=False)


def preset_list(console: Console) -> None:
    """Print every preset with its publisher."""
    table = Table("preset", "data", "publisher", title="Presets of parcel data", title_justify="left")
    for name, found in presets().items():
        table.add_row(name, Text(found.title), Text(found.publisher))
    console.print(table)
    console.print(
        "upstairs presets NAME shows one; upstairs new DIR --from FILE finds the one that fits.", highlight=False
    )


def preset(console: Console, found: Preset) -> None:
    """Print a preset: source, notes, and what a study takes from it."""
    console.print(f"{found.name}: {found.title}", style="bold", markup=False, highlight=False)
    published = f"published in {found.published_crs}" if found.published_crs else ""
    for line in (found.publisher, found.source, found.licence, published):
        if line:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print("\nKnow that:", highlight=False)
    notes(console, [f"  {note}" for note in found.notes])
    one = f" and one of {', '.join(found.detect['any'])}" if "any" in found.detect else ""
    console.print(f"\nRecognised by: {', '.join(found.detect['all'])}{one}", markup=False, highlight=False)
    console.print("\nIt stands for:\n", highlight=False)
    console.print(tomli_w.dumps({"parcels": found.parcels}), markup=False, highlight=False, soft_wrap=True)
    if found.optional:
        console.print("And, where the data have these columns:\n", highlight=False)
        console.print(tomli_w.dumps({"parcels": found.optional}), markup=False, highlight=False, soft_wrap=True)
    console.print(
        f'In a study, which may say any of this otherwise:\n\n[parcels]\nfile = "..."\npreset = "{found.name}"\n',
        markup=False,
        highlight=False,
    )


def _statuses(console: Console) -> None:
    for status, meaning in MEANING.items():
        if status != "own":
            console.print(f"  {status}  {meaning}", markup=False, highlight=False)
