"""Zoning rules: one file a family, each with its inequality, its independent check and its test.

A module of this package that defines a `Rule` with a ``kind`` is found by itself; nothing else names it.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from optimizer.rules.base import Check, Evidence, Rule

__all__ = ["Check", "Evidence", "Rule", "implied_rules", "rule_kinds"]


@cache
def rule_kinds() -> dict[str, type[Rule]]:
    """Return every rule family by the ``kind`` a study calls it."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found = [family for family in _families(Rule) if "kind" in vars(family)]
    return {family.kind: family for family in sorted(found, key=lambda f: f.kind)}


def _families(family: type[Rule]) -> list[type[Rule]]:
    return [below for own in family.__subclasses__() for below in (own, *_families(own))]


def implied_rules() -> list[Rule]:
    """Return the rules that hold in every study because parcels carry their limits."""
    return [family() for family in rule_kinds().values() if family.implied]
