"""The study that a file of parcels suggests: what its columns seem to mean, written for a person to correct."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geodata.detect import KEYS, Guess, Proposal
from geodata.errors import GeodataError
from geodata.parcels import read_parcels
from optimizer.study import load_study
from optimizer.template import PLACES, STREETS, comment, filled_template, off_lines, setting

FAR = 2.0
"""Floor-area ratio of an example, where the data have no limit."""
BOUNDLESS = 1e9
"""Floor-area ratio that stands for none while the parcels are read."""
WIDTH = 110
"""Longest line of a list of codes."""
CODES = "# [parcels.codes]           # wait for columns of floor area (gfa) and use code\n"


@dataclass(frozen=True)
class Today:
    """What stands on parcels when they are read as proposed.

    Attributes
    ----------
    floor_area : float
        m².
    unlimited : bool
        Whether some parcels have no limit of floor-area ratio, height or storeys.
    fault : str
        What reading says where it fails; empty otherwise.
    """

    floor_area: float
    unlimited: bool
    fault: str = ""


def today(found: Proposal) -> Today:
    """Read parcels as proposed, and say what stands there."""
    defaults = {"max_far": BOUNDLESS, **found.parcels.get("defaults", {})}
    parcels = {**found.parcels, "file": found.file.resolve().as_posix(), "defaults": defaults}
    if found.layer:
        parcels["layer"] = found.layer
    try:
        frame = read_parcels(load_study({"name": "proposal", "parcels": parcels}).parcel_source()).frame
    except GeodataError as error:
        return Today(0.0, True, str(error))
    floors = frame[[column for column in frame if column.startswith("gfa_")]].to_numpy()
    unlimited = (frame["max_far"] == BOUNDLESS) & frame[["max_height", "max_floors"]].isna().all(axis=1)
    return Today(float(floors.sum()), bool(unlimited.any()))


def study_text(folder: Path, found: Proposal, stands: Today) -> str:
    """Return a study with comments: what is sure or likely said, what is a guess commented out.

    Parameters
    ----------
    folder : Path
        Where the study will lie; it names the file of parcels from there.
    """
    parcels = found.parcels
    preset = found.preset
    places = {
        "notes": "\n".join(_list("x", _notes(found, stands))).removeprefix("x = "),
        "attribution": setting("x", preset.attribution if preset else "").removeprefix("x = "),
        "parcels": setting("x", _from(folder, found.file)).removeprefix("x = "),
        "columns": _table(found, "columns", f"as of preset {preset.name}: {preset.title}" if preset else None),
        "existing": _table(found, "existing"),
        "codes": _codes(found),
        "streets": off_lines(STREETS),
    }
    if found.layer:
        places["layer"] = setting("layer", found.layer)
    for key in ("crs", "open_land"):
        if key in parcels:
            places[key] = setting(key, parcels[key])
    for guess in found.guesses:
        if guess.key in ("area_unit", "length_unit"):
            line = setting(guess.key, guess.value)
            places[guess.key] = f"# {_said(guess)}\n{line}"
            if guess.confidence == "guess":
                places[guess.key] = f"# {_said(guess)}: {line}\n{PLACES[guess.key]}"
        if guess.key == "unmapped":
            places["unmapped"] = f"{setting('unmapped', guess.value)}  # {_said(guess)}\n"
    defaults = dict(parcels.get("defaults", {}))
    if "coverage" in defaults:
        places["coverage"] = setting("coverage", defaults.pop("coverage"))
    places["defaults"] = "".join(f"{setting(key, value)}\n" for key, value in defaults.items())
    if "max_far" not in defaults:
        example = (
            setting("max_far", FAR)
            + "               # an example where the data have no limit: put the zoning's here and take the note out\n"
        )
        places["defaults"] += example if stands.unlimited else f"# {example}"
    if stands.floor_area <= 0:
        most = round(found.land * FAR / 2, -2) or 100.0
        places["programme"] = (
            f"max_floor_area = {most:.0f}      # m²: an example, since no floor area of today is known\n"
        )
    return filled_template(folder.resolve().name, **places)


def _notes(found: Proposal, stands: Today) -> list[str]:
    """Return what a reader of a map must know."""
    notes = list(found.preset.notes) if found.preset else []
    if stands.unlimited and "max_far" not in found.parcels.get("defaults", {}):
        notes.append(
            f"A floor-area ratio of {FAR:g}, where the data have no limit, is an example and no rule of the place."
        )
    return notes


def _from(folder: Path, file: Path) -> str:
    """Return a file's name as seen from a folder; in full where there is no way from one to the other."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return file.resolve().as_posix()


def _said(guess: Guess) -> str:
    return comment(f"{guess.confidence}: {guess.reason}")


def _table(found: Proposal, table: str, heading: str | None = None) -> str:
    """Return the lines of ``[parcels.columns]`` or ``[parcels.existing]``."""
    lines = [f"# {comment(heading)}"] if heading else []
    keys = []
    for guess in found.guesses:
        part, _, key = guess.key.rpartition(".")
        if part != table:
            continue
        keys.append(key)
        if guess.value is None:
            lines.append(f"# {key}: {comment(guess.reason)}")
        else:
            off = "# " if guess.confidence == "guess" else ""
            why = "" if found.preset and guess.confidence == "sure" else f"  # {_said(guess)}"
            lines.append(f"{off}{setting(key, guess.value)}{why}")
    if table == "columns":
        absent = [key for key in KEYS if key not in keys]
        lines += [f"# not found: {', '.join(absent)}"] if absent else []
    return "".join(f"{line}\n" for line in lines)


def _codes(found: Proposal) -> str:
    """Return ``[parcels.codes]``, commented out where there is nothing that codes would divide."""
    codes = found.parcels.get("codes", {})
    if codes:
        return "[parcels.codes]             # codes by use, none of them twice; none: not counted\n" + _lists(codes)
    waiting = found.preset.parcels.get("codes", {}) if found.preset else {}
    return CODES + off_lines(_lists(waiting)) if waiting else PLACES["codes"]


def _lists(codes: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for use, listed in codes.items() for line in _list(use, listed))


def _list(use: str, codes: Sequence[str]) -> Iterator[str]:
    """Give a list on as many lines as it takes."""
    whole = setting(use, list(codes))
    if len(whole) <= WIDTH:
        yield whole
        return
    yield f"{use} = ["
    line = ""
    for code in codes:
        item = setting("x", code).removeprefix("x = ") + ","
        if line and len(line) + len(item) + 5 > WIDTH:
            yield f"    {line}"
            line = ""
        line += f" {item}" if line else item
    yield f"    {line}"
    yield "]"
