"""Constants of a study that stand below fractions: the most floor area its rules and limits allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from optimizer.district import District, Floats
from optimizer.errors import StudyError
from optimizer.rules import Rule

if TYPE_CHECKING:
    from optimizer.study import Study


def most_floor_area(district: District, rules: Sequence[Rule]) -> Floats:
    """Return the most floor area by use and, last, in total, m², shape (U + 1,).

    The programme's upper bounds, or what parcels can hold where it gives none: the larger of today's floor area
    and what the floor-area ratio (or the storeys that fit) allows.

    Raises
    ------
    StudyError
        When it is none.
    """
    d = district
    storeys = (d.plate[:, None] * d.storey_limit).max(axis=1)
    room = np.minimum(
        np.bincount(d.parcel_of, storeys, minlength=len(d.parcels)), (d.max_far + d.extra_far) * d.site_area
    )
    capacity = float(np.maximum(room, d.existing.sum(axis=1)).sum())
    most = np.full(len(d.uses) + 1, capacity)
    for rule in rules:
        most = np.minimum(most, rule.most_floor_area(d))
    if most[-1] <= 0:
        raise StudyError(
            "the programme allows no floor area at all (max_today counts from today's, and 0 m² may stand here today); "
            "give the programme a max_floor_area"
        )
    return np.asarray(np.minimum(most, most[-1]))


def reference_floor_area(study: Study, most: Floats) -> Floats:
    """Return the floor area that the score's terms are divided by, by use and, last, in total, m², shape (U + 1,).

    What the study says, or the most that its rules allow.

    Parameters
    ----------
    most : ndarray, shape (U + 1,)
        Of `most_floor_area`.
    """
    reference = study.objective.reference
    if reference is None:
        return most
    return np.array([*(reference.uses[use] for use in study.uses), reference.total])
