"""Presets of publishers' parcel data: which columns there are, and what they mean.

A preset is a TOML file of the folder ``sources``. Its table ``parcels`` says what ``[parcels]`` of a study says; ``optional``
names columns that only some editions have, or that people join; ``detect`` the columns by which the data are recognised.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

FLOOR_AREA = ("existing", "codes", "unmapped")
"""Keys that say what stands on parcels today."""


@dataclass(frozen=True)
class Preset:
    """What a publisher's columns mean.

    Attributes
    ----------
    name, title, publisher, source, licence, attribution : str
        ``source`` is the address of the publisher's own page; a licence that was not confirmed is left out.
    notes : list of str
        What a reader of a map made from the data must know.
    detect : dict
        ``all``: columns that must be there; ``any``: of these one must be.
    parcels : dict
        As ``[parcels]`` of a study: columns, existing, codes, defaults, units, working CRS.
    optional : dict
        ``columns`` and ``existing`` that count where the data have them.
    published_crs : str
        CRS in which the data are published; it may be in feet or degrees.
    """

    name: str
    title: str
    publisher: str
    detect: Mapping[str, list[str]]
    parcels: Mapping[str, Any]
    optional: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    attribution: str = ""
    published_crs: str = ""
    notes: list[str] = field(default_factory=list)

    def fits(self, columns: Collection[str]) -> bool:
        """Whether the columns are those of this publisher, in capitals or not."""
        there = [spelled(column, columns) for column in self.detect["all"]]
        one = [spelled(column, columns) for column in self.detect.get("any", [])]
        return None not in there and (not one or any(one))

    def missing(self, columns: Collection[str]) -> dict[str, str]:
        """Return keys such as ``columns.year`` to the columns that the data do not have, though the publisher does."""
        absent = {}
        for table in ("columns", "existing"):
            for key, given in self.parcels.get(table, {}).items():
                for column in [given] if isinstance(given, str) else given:
                    if spelled(column, columns) is None:
                        absent[f"{table}.{key}"] = column
        return absent

    def table(self, columns: Collection[str] | None = None) -> dict[str, Any]:
        """Return ``[parcels]`` of a study.

        Parameters
        ----------
        columns : collection of str, optional
            Columns of the data: names are spelled as they are there, and optional ones taken where they are. Those that the
            data lack stay as published. Without them, the table is as the publisher has it.
        """
        found = deepcopy(dict(self.parcels))
        if columns is None:
            return found
        for table in ("columns", "existing"):
            optional = {k: v for k, v in self.optional.get(table, {}).items() if spelled(v, columns)}
            merged = {**found.get(table, {}), **optional}
            if merged:
                found[table] = {key: _as_spelled(given, columns) for key, given in merged.items()}
        return found


@cache
def presets() -> dict[str, Preset]:
    """Return the shipped presets by name."""
    found = {}
    for file in sorted(files("geodata").joinpath("sources").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = Preset(name=name, **tomllib.loads(file.read_text(encoding="utf-8")))
    return found


def fitting(columns: Collection[str]) -> Preset | None:
    """Return the preset that fits columns best: the one that asks for most of them."""
    fit = [preset for preset in presets().values() if preset.fits(columns)]
    return max(fit, key=lambda preset: len(preset.detect["all"]), default=None)


def spelled(column: str, columns: Collection[str]) -> str | None:
    """Return a column as the data spell it; None where they have none of that name, or several but for capitals."""
    if column in columns:
        return column
    alike = [other for other in columns if other.lower() == column.lower()]
    return alike[0] if len(alike) == 1 else None


def _as_spelled(given: str | list[str], columns: Collection[str]) -> str | list[str]:
    if isinstance(given, str):
        return spelled(given, columns) or given
    return [spelled(column, columns) or column for column in given]


def filled(own: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's ``[parcels]`` with what it does not say itself filled in from a preset's.

    Columns and defaults are filled key by key. What stands on parcels today is one statement: where the study has
    ``existing``, the preset's ``existing``, ``codes`` and ``columns.gfa`` give way; where it has ``codes`` or ``columns.gfa``, the
    preset's ``existing`` does. Codes need columns of use code and floor area, and are left out without them. A limit that the
    study joins from a table is not taken from a column.
    """
    base = deepcopy(dict(preset))
    columns, given = dict(base.get("columns", {})), _table(own, "columns")
    if own.get("existing"):
        columns.pop("gfa", None)
        _leave_out(base, FLOOR_AREA)
    if own.get("codes"):
        _leave_out(base, FLOOR_AREA)
    if "gfa" in given:
        _leave_out(base, ("existing",))
    for limit in _table(_table(own, "limits"), "columns"):
        columns.pop(limit, None)
    columns |= given
    if not {"gfa", "use_code"} <= set(columns):
        _leave_out(base, ("codes", "unmapped"))
    merged = base | dict(own)
    for key, table in (("columns", columns), ("defaults", {**base.get("defaults", {}), **_table(own, "defaults")})):
        if table and isinstance(own.get(key, {}), Mapping):
            merged[key] = table
    return merged


def _table(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a table of a study; empty where it has none, or something else that is refused later."""
    found = values.get(key)
    return dict(found) if isinstance(found, Mapping) else {}


def _leave_out(values: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        values.pop(key, None)
