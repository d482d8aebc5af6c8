"""How much memory a study's program will take, known before it is written down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from optimizer.errors import StudyError
from optimizer.mixing import first_shares
from optimizer.problem import all_rules, mixing_weights
from optimizer.rules.noise import Noise

if TYPE_CHECKING:
    from optimizer.district import District, Ints
    from optimizer.study import Study

PER_ENTRY = 105.0
"""Bytes of memory for one entry of the program, its part of columns and rows among them, from `assemble` to a loaded
HiGHS. Measured on synthetic districts of 2,000 to 20,000 parcels: 105 to 107; 90 to 95 with limits on noise."""
GIB = 2.0**30


def memory_of_machine() -> float:
    """Return the memory of this machine, GiB; infinite where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    except (AttributeError, OSError, ValueError):
        return np.inf


def check_memory(district: District, study: Study) -> None:
    """Refuse a study that this machine cannot hold, before any of it is written down.

    Raises
    ------
    StudyError
        With both numbers and what to change.
    """
    needed, there = estimate_memory(district, study), memory_of_machine()
    if needed > there:
        raise StudyError(
            f"{len(district.parcels):,} parcels under these rules need about {needed:.1f} GiB of memory, and this machine "
            f"has {there:.1f} GiB; give limits on noise a `reach`, drop linkages or scales of mixing, raise sites.plate, or "
            "solve a part of the district"
        )


def estimate_memory(district: District, study: Study) -> float:
    """Return about how much memory writing down a study and handing it to HiGHS takes, GiB, without what solving adds."""
    return PER_ENTRY * (entries(district, study) + receptor_pairs(district, study)) / GIB


def entries(district: District, study: Study) -> int:
    """Return about how many numbers other than 0 a study's program has: decisions, proximity and mixing to the last one.

    A rule is taken to count each floor once. What limits on noise add is in `receptor_pairs`.
    """
    d = district
    sites, uses = len(d.sites), len(d.uses)
    kept, held = _floors(d)
    built = int((d.storeys_today[d.parcel_of] > 0).sum())
    decisions = 3 * len(d.parcels) + sites * uses + built
    decisions += sites * uses + int((d.storey_limit > 0).sum()) + sites * uses + len(d.parcels)
    total = decisions + int((kept + held).sum()) * len(all_rules(study))
    if study.objective.proximity:
        total += _proximity(d, kept, held)
    if study.objective.mixing and uses > 1:
        for scale in mixing_weights(study):
            if scale == "building":
                most = d.storeys_today[d.parcel_of], d.storey_limit.max(axis=1)
                plates = d.plate_today, d.plate
                counts = [int(((m > 1) & (plate > 0)).sum()) for m, plate in zip(most, plates, strict=True)]
            else:
                counts = [int(d.groups[scale].max()) + 1]
                total += counts[0] * uses + int((kept + held).sum())
            total += sum(count * len(first_shares(uses, count)) * (1 + uses) for count in counts if count)
    return total


def _floors(d: District) -> tuple[Ints, Ints]:
    """Return for each use how many sites have floor that may be kept, and how many columns of other floor count."""
    kept = (d.existing_at > 0).sum(axis=0)
    return kept, np.full(len(d.uses), int((d.plate_today > 0).sum() + (d.plate > 0).sum()))


def _proximity(d: District, kept: Ints, held: Ints) -> int:
    """Return the entries of the flow: balances, and demand and supply at doors and inside buildings."""
    sites, floors = len(d.sites), kept + held
    total, pools = 0, set()
    for link in d.linkages:
        client, supplier = d.use_index[link.client], d.use_index[link.supplier]
        total += 4 * len(d.network.edges) + 2 * sites  # balances
        total += (3 + 4) * sites + 2 * int(floors[client])  # demand inside, and at the door
        total += (3 + 4) * sites  # supply, the same
        if link.shared or supplier not in pools:
            total += 2 * int(floors[supplier])
        if not link.shared:
            pools.add(supplier)
    return total


def receptor_pairs(district: District, study: Study) -> int:
    """Return the pairs of receptors and sources that limits on noise look at: all of them where no reach is given."""
    total = 0
    for rule in study.rules:
        if not isinstance(rule, Noise):
            continue
        xy = district.around.facades[1] if rule.method == "iso9613" else district.xy
        if rule.reach is None:
            total += len(xy) * len(district.xy)
        else:
            total += int(cKDTree(xy).count_neighbors(cKDTree(district.xy), rule.reach))
    return total
