"""Errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.diagnose import Diagnosis


class UpstairsError(Exception):
    """Something the user can put right; the message says what, where, what was expected and what to do."""

    exit_status = 2


class StudyError(UpstairsError):
    """A study file that cannot be used."""


class InfeasibleError(UpstairsError):
    """No plan satisfies the rules.

    Attributes
    ----------
    diagnosis : Diagnosis or None
        Why, and what would have to give (`optimizer.diagnose`).
    """

    exit_status = 3

    def __init__(self, message: str, diagnosis: Diagnosis | None = None) -> None:
        super().__init__(message)
        self.diagnosis = diagnosis


class LimitError(UpstairsError):
    """A limit was reached before any plan was found."""

    exit_status = 4


class SolverError(UpstairsError):
    """A solver that is missing or failed."""


def known_name(name: str, valid: Collection[str], key: str) -> None:
    """Make sure that a name is known.

    Raises
    ------
    StudyError
        Naming the key, the nearest name and all of them.
    """
    if name not in valid:
        raise StudyError(f"{key} = {name!r}: unknown{nearest(name, valid)}; known are {', '.join(valid) or 'none'}")


def nearest(name: str, valid: Collection[str]) -> str:
    """Return a question that offers the nearest valid name; nothing where none is near."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
