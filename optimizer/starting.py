"""Studies to start from: a commented template, the shipped examples, synthetic districts."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from geodata.detect import Proposal, propose
from geodata.synthetic import synthetic_district
from optimizer.errors import StudyError
from optimizer.proposed import Today, study_text, today
from optimizer.template import STREETS, filled_template, off_lines
from optimizer.uses import default_uses

EXAMPLES = ("quanzhi",)
"""Examples that ship with the distribution."""


def example_study(name: str, stack: ExitStack) -> Path:
    """Return the study file of a shipped example, there until the stack closes.

    Raises
    ------
    StudyError
        Naming the examples that ship.
    """
    if name not in EXAMPLES:
        raise StudyError(f"--example {name!r}: no such example; shipped are {', '.join(EXAMPLES)}")
    shipped = files("optimizer").joinpath("examples", name)
    if not shipped.is_dir():  # a working tree keeps them at its top
        shipped = files("optimizer").joinpath("..", "examples", name)
    return stack.enter_context(as_file(shipped)) / "study.toml"


def write_new(folder: Path, example: str | None = None, parcels: int | None = None, seed: int = 0) -> Path:
    """Write a study to edit into a new folder; return the study file.

    Parameters
    ----------
    example : str, optional
        Copy a shipped example.
    parcels : int, optional
        Make a synthetic district of that many parcels.

    Raises
    ------
    StudyError
        When the folder holds something already, or the example is unknown.
    """
    _check_new(folder)
    with ExitStack() as stack:
        source = example_study(example, stack) if example else None
        _make(folder)
        if source is not None:
            for name in ("study.toml", "parcels.geojson"):
                shutil.copyfile(source.with_name(name), folder / name)
            return folder / "study.toml"
    study = folder / "study.toml"
    study.write_text(_template(folder.resolve().name, parcels), encoding="utf-8")
    if parcels is not None:
        lots, streets = synthetic_district(parcels, seed)
        lots.to_file(folder / "parcels.gpkg", layer="parcels", driver="GPKG")
        streets.to_file(folder / "streets.gpkg", layer="streets", driver="GPKG")
    return study


def write_from(folder: Path, file: Path, layer: str | None = None) -> tuple[Path, Proposal, Today]:
    """Write a study of someone's parcels into a new folder, with what their columns seem to mean.

    Nothing is written before the file was looked at.

    Returns
    -------
    Path
        The study file.
    Proposal
        What it rests on.
    Today
        What stands there if it is read so.

    Raises
    ------
    StudyError
        When the folder holds something already.
    GeodataError
        When the file holds no parcels that can be read.
    """
    _check_new(folder)
    found = propose(file, layer)
    stands = today(found)
    text = study_text(folder, found, stands)
    _make(folder)
    study = folder / "study.toml"
    study.write_text(text, encoding="utf-8")
    return study, found, stands


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(f"{folder}: exists and is not empty; name a new folder")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{folder}: cannot be written: {error.strerror}") from None


def _template(name: str, parcels: int | None) -> str:
    made = parcels is not None
    columns = ["id", "zone", "max_far", "max_height", "coverage", "storeys", "year", "protected"]
    title = f"Synthetic district of {parcels} parcels" if made else name
    off = "" if made else "# "
    return filled_template(
        title,
        columns="".join(f'{off if c != "id" else ""}{c} = "{c}"\n' for c in columns),
        existing="".join(f'{off}{use} = "gfa_{use}"\n' for use in default_uses()),
        defaults="" if made else "max_far = 2.0\n",
        streets=STREETS if made else off_lines(STREETS),
    )
