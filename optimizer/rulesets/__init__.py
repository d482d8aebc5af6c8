"""Rule sets: the rules of a place or policy as data, every number with its source and how far it is confirmed.

A rule set is a TOML file of this folder. Its rules may stand for

* ``"$name"``: a number of its table ``numbers`` or a place (an expression) of its table ``places``,
* ``"@role"``: a use of the study, named by its table ``roles`` (``today_@role`` in a place),

all of which a study may set to its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optimizer.errors import StudyError, known_name

Status = Literal["C", "S", "M", "D", "own"]
MEANING = {
    "C": "confirmed: read in the regulation, its author's text or a paper",
    "S": "reported: read in a secondary copy",
    "D": "arithmetic on the source's numbers",
    "M": "illustrative: unconfirmed, a default to start from",
    "own": "set by the study",
}
"""What each status means."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Number(_Part):
    """One number with its source.

    Attributes
    ----------
    value : float
    unit, meaning, source : str
    status : str
        See `MEANING`.
    """

    value: float
    unit: str
    meaning: str
    source: str
    status: Status

    @property
    def illustrative(self) -> bool:
        """Whether nobody confirmed it."""
        return self.status == "M"


class Place(_Part):
    """Parcels that rules of the set hold on."""

    where: str
    meaning: str


class RuleSet(_Part):
    """The rules of a place or policy."""

    name: str
    title: str
    summary: str
    caution: str = ""
    roles: dict[str, str] = {}
    places: dict[str, Place] = {}
    numbers: dict[str, Number] = {}
    rules: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Applied(_Part):
    """A rule set as a study asks for it."""

    name: str
    roles: dict[str, str] = {}
    places: dict[str, str | list[str]] = {}
    numbers: dict[str, float] = {}
    without: list[str] = []


class Sourced(Number):
    """A number that a study takes from a rule set."""

    name: str
    ruleset: str


@cache
def rulesets() -> dict[str, RuleSet]:
    """Return the shipped rule sets by name."""
    found = {}
    for file in sorted(files("optimizer.rulesets").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = RuleSet(name=name, **tomllib.loads(file.read_text(encoding="utf-8")))
    return found


def apply(asked: Any, key: str) -> tuple[list[dict[str, Any]], list[Sourced], str]:
    """Return the rules of a rule set as a study would write them, their numbers, and what a reader must know.

    Parameters
    ----------
    asked : mapping
        ``name`` and what the study sets (`Applied`).
    key : str
        Of the study, for errors.

    Raises
    ------
    StudyError
        Naming key, value and what was expected.
    """
    if not isinstance(asked, Mapping):
        raise StudyError(f'{key} = {asked!r}: a table such as {{ name = "london-co-location" }} is expected')
    try:
        wanted = Applied.model_validate(dict(asked))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StudyError(f"{key}.{where}: {first['msg']}; known are {', '.join(Applied.model_fields)}") from None
    known = rulesets()
    known_name(wanted.name, known, f"{key}.name")
    found = known[wanted.name]
    for table in ("roles", "places", "numbers"):
        for name in getattr(wanted, table):
            known_name(name, getattr(found, table), f"{key}.{table}")
    names = [str(rule.get("name", rule["kind"])) for rule in found.rules]
    for name in wanted.without:
        known_name(name, names, f"{key}.without")
    numbers = {
        name: number.model_copy(update={"value": wanted.numbers[name], "source": "the study", "status": "own"})
        if name in wanted.numbers
        else number
        for name, number in found.numbers.items()
    }
    roles = found.roles | wanted.roles
    places: dict[str, str | list[str]] = {name: place.where for name, place in found.places.items()}
    places |= wanted.places
    values: dict[str, Any] = {name: number.value for name, number in numbers.items()}
    values |= {name: _spelled(where, roles) for name, where in places.items()}
    rules, used = [], set()
    for name, rule in zip(names, found.rules, strict=True):
        if name in wanted.without:
            continue
        own: set[str] = set()
        written = _fill(rule, values, roles, own)
        used |= own & set(numbers)
        if any(numbers[n].illustrative for n in own & set(numbers)):
            written["illustrative"] = True
        rules.append({**written, "ruleset": found.name})
    sourced = [Sourced(name=k, ruleset=found.name, **n.model_dump()) for k, n in numbers.items() if k in used]
    return rules, sourced, f"{found.title}. {found.caution}" if found.caution else ""


def _spelled(where: str | list[str], roles: Mapping[str, str]) -> str | list[str]:
    """Return a place with the roles in it spelled out as uses."""
    return re.sub(r"@(\w+)", lambda m: roles.get(m[1], m[0]), where) if isinstance(where, str) else where


def _fill(value: Any, values: Mapping[str, Any], roles: Mapping[str, str], used: set[str]) -> Any:
    """Return a rule with its references replaced; names of numbers and places are added to ``used``."""
    if isinstance(value, dict):
        return {_fill(k, values, roles, used): _fill(v, values, roles, used) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, values, roles, used) for v in value]
    if isinstance(value, str) and value.startswith("@"):
        return roles[value[1:]]
    if isinstance(value, str) and value.startswith("$"):
        used.add(value[1:])
        found = values[value[1:]]
        return int(found) if isinstance(found, float) and found.is_integer() else found
    return value
