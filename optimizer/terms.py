"""Terms of the score that are linear in floors and decisions; each is divided by the most that it can be.

``density`` floor area, ``jobs``, ``homes``; ``preserved``, today's floor area in buildings that are not pulled down; and
``unchanged``, today's floor area that stays as it is used. Proximity and mixing have files of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optimizer.district import District, Floats
from optimizer.model import AREA, SCORE, Model
from optimizer.rules.base import Quantity, per_floor
from optimizer.uses import Use


@dataclass(frozen=True)
class Term:
    """One such term.

    Attributes
    ----------
    name : str
        As a study weights it.
    counts : str or None
        What of new, converted and kept floor it counts, as `optimizer.rules.base.per_floor` has it.
    stays : tuple of str
        Where it counts today's floor area instead: on parcels with these actions.
    """

    name: str
    counts: Quantity | None = None
    stays: tuple[str, ...] = ()


TERMS = (
    Term("density", counts="floor_area"),
    Term("jobs", counts="jobs"),
    Term("homes", counts="homes"),
    Term("preserved", stays=("keep", "convert")),
    Term("unchanged", stays=("keep",)),
)


def most(term: Term, district: District, over: Floats) -> float:
    """Return the most that a term can be, in its unit, where floor area is at most ``over``, by use and in total (m²)."""
    if term.counts is None:
        return float(district.existing.sum())
    return fullest(district.uses, term.counts, over)


def fullest(uses: Sequence[Use], counts: Quantity, over: Floats) -> float:
    """Return the most of a quantity in floor area that is at most ``over``, by use and, last, in total, m²."""
    rate, left, total = per_floor(uses, counts), float(over[-1]), 0.0
    for use in np.argsort(-rate, kind="stable"):
        area = min(left, float(over[use]))
        total, left = total + area * float(rate[use]), left - area
    return total


def add_term(model: Model, term: Term, weight: float, over: Floats) -> None:
    """Add a weighted term to the objective; one that is always 0 adds nothing."""
    d, top = model.district, most(term, model.district, over)
    if weight == 0 or top == 0:
        return
    value = SCORE * weight / top
    if term.counts is None:
        for action in term.stays:
            columns = {"keep": model.keep, "convert": model.convert}[action]
            model.program.reward(columns, value * d.existing.sum(axis=1))
        return
    sites, rate = np.arange(len(d.sites)), per_floor(d.uses, term.counts)
    for use in np.flatnonzero(rate):
        for _, column, area in model.floor_area_terms(int(use), sites):
            model.program.reward(column, value / AREA * rate[use] * area)
