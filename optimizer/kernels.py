"""What arrives at receptors of what buildings give off: the physics of `geodata` over a district's sites.

Which storey will hold the source or the protected use is open until the plan is made, and may change after. So a
floor counts from the storey at which it does most, at the storey that it reaches most of: `loudest` and
`nearest_heights` of the ranges of heights that the buildings may have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from geodata.plume import annual, hourly, nearest_heights, sector_hour
from geodata.propagation import distance_kernel_din45691, loudest
from geodata.screening import screening
from geodata.shadows import maybe_screened, nearest_screens

if TYPE_CHECKING:
    from optimizer.district import District, Floats, Ints

NEAR = 2.0
"""Multiples of a building's largest dimension within which its facades are heard one by one (ISO 9613-2, clause 4)."""
PLACE_HEIGHT = 4.0
"""Height above ground at places that the plan does not build, m (Directive 2002/49/EC, annex I)."""


def heights(d: District) -> tuple[Floats, Floats]:
    """Return the least and the greatest height of the middle of a storey at each site, m, shape (S,)."""
    low = np.full(len(d.sites), d.storey_height.min() / 2)
    return low, np.maximum(low, d.tallest - low)


def receptor_heights(d: District, site: Ints) -> tuple[Floats, Floats]:
    """Return the range of heights of receptors, m, shape (R,)."""
    low, high = heights(d)
    return np.where(site < 0, PLACE_HEIGHT, low[site]), np.where(site < 0, PLACE_HEIGHT, high[site])


def divergence_kernel(d: District, site: Ints, xy: Floats) -> Floats:
    """Return what arrives of sound energy by distance between middles alone (DIN 45691), 1/m², shape (R, S)."""
    return _without_own(distance_kernel_din45691(cdist(xy, d.xy)), site)


def divergence_within(d: District, site: Ints, xy: Floats, reach: float) -> tuple[sparse.csr_matrix, Floats]:
    """Return what `divergence_kernel` has within a reach, m, sparse, (R, S), and what counts for sources beyond, (R,)."""
    trees = cKDTree(xy), cKDTree(d.xy)
    near = trees[0].sparse_distance_matrix(trees[1], reach * (1 + 1e-12), output_type="ndarray")
    near = near[site[near["i"]] != near["j"]]
    kernel = sparse.csr_matrix(
        (distance_kernel_din45691(near["v"]), (near["i"], near["j"])), shape=(len(xy), len(d.sites))
    )
    return kernel, np.full(len(xy), distance_kernel_din45691(reach))


def sound_kernel(
    d: District, site: Ints, xy: Floats, spectrum: tuple[float, ...], roof_share: float, reach: float | None
) -> tuple[Floats, Floats]:
    """Return what arrives of A-weighted sound energy after ISO 9613-2.

    A building nearer than twice its largest dimension radiates from the points of its facades in equal parts, and
    from the middle of its roof; one further away from its middle alone. Screens lie between middles and receptors; what
    is near is taken as unscreened. Nothing arrives from a receptor's own building.

    Parameters
    ----------
    site : ndarray of int, shape (R,)
        Site of each receptor, -1 for none.
    xy : ndarray, shape (R, 2)
    spectrum : tuple, length 8
        Shares of energy by octave band.
    roof_share : float
    reach : float or None
        Distance beyond which sources are not told apart, m.

    Returns
    -------
    kernel : ndarray, shape (R, S)
        Per unit of A-weighted power; 0 beyond reach.
    far : ndarray, shape (R,)
        The most that arrives from beyond reach.
    """
    around = d.around
    key = (site.tobytes(), xy.tobytes(), spectrum, roof_share, reach)
    if key in around.kernels:
        kernel, far = around.kernels[key]
        return kernel.copy(), far.copy()
    conditions = around.section.conditions
    s_low, s_high = heights(d)
    r_low, r_high = receptor_heights(d, site)
    distance = cdist(xy, d.xy)
    kernel = loudest(distance, (s_low, s_high), (r_low[:, None], r_high[:, None]), spectrum, conditions)
    far = np.zeros(len(xy))
    if len(around.screens.heights):
        sources, receptors = np.column_stack([d.xy, s_high]), np.column_stack([xy, r_high])
        pairs = maybe_screened(nearest_screens(around.screens, sources, float(r_high.min())), sources, receptors)
        if reach is not None:
            pairs = pairs[distance[pairs[:, 1], pairs[:, 0]] <= reach]
        row, loss = screening(around.screens, sources, receptors, pairs, conditions, (s_low, r_low))
        source, at = pairs[row].T
        ranges = (s_low[source], s_high[source]), (r_low[at], r_high[at])
        kernel[at, source] = loudest(distance[at, source], *ranges, spectrum, conditions, loss)
    at, source = np.nonzero(distance < NEAR * around.size[None, :])
    owner, points = around.facades
    first, count = np.searchsorted(owner, np.arange(len(d.sites))), np.bincount(owner, minlength=len(d.sites))
    pair = np.repeat(np.arange(len(at)), count[source])
    point = np.arange(len(pair)) - np.repeat(np.cumsum(count[source]) - count[source], count[source])
    point += first[source[pair]]
    apart = np.linalg.norm(points[point] - xy[at[pair]], axis=1)
    ranges = (s_low[source[pair]], s_high[source[pair]]), (r_low[at[pair]], r_high[at[pair]])
    facade = loudest(apart, *ranges, spectrum, conditions)
    mean = np.bincount(pair, facade, minlength=len(at)) / np.maximum(count[source], 1)
    whole = loudest(
        distance[at, source], (s_low[source], s_high[source]), (r_low[at], r_high[at]), spectrum, conditions
    )
    kernel[at, source] = (1.0 - roof_share) * mean + roof_share * whole
    if reach is not None:
        # Falls with distance, so that the nearest beyond reach is the most; over soft ground not strictly, hence all.
        beyond = distance > reach
        far = np.where(beyond, kernel, 0.0).max(axis=1, initial=0.0)
        kernel[beyond] = 0.0
    around.kernels[key] = _without_own(kernel, site), far
    return kernel.copy(), far.copy()


def _without_own(kernel: Floats, site: Ints) -> Floats:
    rows = np.flatnonzero(site >= 0)
    kernel[rows, site[rows]] = 0.0
    return kernel


@dataclass(frozen=True)
class Plume:
    """Geometry of air pollution from every site to receptors: arrays that broadcast to (R, S), m."""

    east: Floats
    north: Floats
    release: Floats
    receptor: Floats
    width: Floats
    site: Ints


def plume(d: District, site: Ints, xy: Floats, stack_height: float | None) -> Plume:
    """Return the geometry from sites to receptors.

    Air leaves by the facades of any storey, spread over the building's width, or by a stack above the roof of
    any height that the building may have.
    """
    s_low, s_high = heights(d)
    r_low, r_high = receptor_heights(d, site)
    width = np.sqrt(d.plate)
    if stack_height is not None:
        s_low, s_high = 2 * s_low + stack_height, np.maximum(d.tallest, 2 * s_low) + stack_height
        width = np.zeros(len(d.sites))
    release, receptor = nearest_heights((s_low, s_high), (r_low[:, None], r_high[:, None]))
    offset = xy[:, None, :] - d.xy[None, :, :]
    return Plume(offset[..., 0], offset[..., 1], release, receptor, width, site)


def annual_kernel(d: District, of: Plume, rule: str) -> Floats:
    """Return annual mean concentrations, µg/m³ for 1 g/s, shape (R, S); nothing from a receptor's own building."""
    section = d.around.section
    found = annual(
        of.east, of.north, of.release, of.receptor, of.width, section.rose(rule), section.terrain, section.mixing_height
    )
    return _without_own(found, of.site)


def hours(d: District, of: Plume, rule: str) -> Iterator[tuple[str, Floats]]:
    """Yield name and concentrations, µg/m³ for 1 g/s, shape (R, S), of each wind that blows: centre of sector and class."""
    section = d.around.section
    rose = section.rose(rule)
    for k, (stability, speed) in enumerate(rose.classes):
        for sector in np.flatnonzero(rose.with_calms[:, k]):
            found = hourly(
                of.east, of.north, of.release, of.receptor, of.width, 22.5 * sector, stability, speed, section.terrain,
                section.mixing_height,
            )  # fmt: skip
            yield f"{22.5 * sector:g}_{stability}_{k}", _without_own(found, of.site)


def sectors(d: District, of: Plume, rule: str) -> Iterator[tuple[str, float, Floats]]:
    """Yield name, share of the year and mean concentrations, shape (R, S), of the hours of each sector and class."""
    section = d.around.section
    rose = section.rose(rule)
    for k, (stability, speed) in enumerate(rose.classes):
        for sector in np.flatnonzero(rose.with_calms[:, k]):
            found = sector_hour(
                of.east, of.north, of.release, of.receptor, of.width, int(sector), stability, speed, section.terrain,
                section.mixing_height,
            )  # fmt: skip
            yield f"{22.5 * sector:g}_{stability}_{k}", float(rose.with_calms[sector, k]), _without_own(found, of.site)
