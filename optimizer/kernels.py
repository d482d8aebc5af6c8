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
from geodata.propagation import distance_kernel_din45691, energy, loudest
from geodata.screening import screening
from geodata.shadows import may_be_screened, nearest_screens

if TYPE_CHECKING:
    from optimizer.district import District, Floats, Ints

NEAR = 2.0
"""Multiples of a building's largest dimension within which its facades are heard one by one (ISO 9613-2, clause 4)."""
PAIRS = 1 << 20
"""Receptors times sites looked at in one go."""
APPROXIMATE = 0.03
"""How far off `loudest` may be over porous ground, dB."""
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
) -> tuple[Floats | sparse.csr_matrix, Floats]:
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
        Distance beyond which sources are not told apart, m; a building that radiates from its facades always is.

    Returns
    -------
    kernel : ndarray, shape (R, S), or with a reach csr_matrix
        Per unit of A-weighted power; 0 beyond reach.
    far : ndarray, shape (R,)
        The most that arrives from beyond reach.
    """
    around = d.around
    key = (site.tobytes(), xy.tobytes(), spectrum, roof_share, reach)
    if key not in around.kernels:
        around.kernels[key] = _sound(d, site, xy, spectrum, roof_share, reach)
    kernel, far = around.kernels[key]
    return kernel.copy(), far.copy()


def _sound(
    d: District, site: Ints, xy: Floats, spectrum: tuple[float, ...], roof_share: float, reach: float | None
) -> tuple[Floats | sparse.csr_matrix, Floats]:
    pairs = Paths(d, site, xy, spectrum, roof_share)
    limit = np.inf if reach is None else np.maximum(reach, NEAR * d.around.size)
    blocks, all_there = [sparse.csr_matrix((0, len(d.sites)))], np.zeros(len(xy), dtype=bool)
    for rows in np.array_split(np.arange(len(xy)), max(len(xy) * len(d.sites) // PAIRS, 1)):
        apart = cdist(xy[rows], d.xy)
        at, source = np.nonzero((apart <= limit) & (site[rows, None] != np.arange(len(d.sites))))
        values = pairs.arriving(rows[at], source, apart[at, source])
        blocks.append(sparse.csr_matrix((values, (at, source)), shape=apart.shape))
        all_there[rows] = np.bincount(at, minlength=len(rows)) + (site[rows] >= 0) == len(d.sites)
    kernel = sparse.csr_matrix(sparse.vstack(blocks))
    if reach is None:
        return kernel.toarray(), np.zeros(len(xy))
    # At given heights less arrives from further away: divergence, air and ground all grow with distance.
    return kernel, np.where(all_there, 0.0, pairs.beyond(reach))


class Paths:
    """What arrives at receptors from sites, pair by pair."""

    def __init__(self, d: District, site: Ints, xy: Floats, spectrum: tuple[float, ...], roof_share: float) -> None:
        self.d, self.xy, self.spectrum, self.roof_share = d, xy, spectrum, roof_share
        self.low, self.high = heights(d)
        self.receptor_low, self.receptor_high = receptor_heights(d, site)
        self.sources = np.column_stack([d.xy, self.high])
        self.receptors = np.column_stack([xy, self.receptor_high])
        screens = d.around.screens
        lowest = float(self.receptor_high.min(initial=np.inf))
        self.nearest = nearest_screens(screens, self.sources, lowest) if len(screens.heights) else None

    def arriving(self, at: Ints, source: Ints, distance: Floats) -> Floats:
        """Return what arrives at some receptors from some sites so far away, shape (pairs,)."""
        kernel = self._loudest(at, source, distance)
        if self.nearest is not None:
            behind = np.flatnonzero(may_be_screened(self.nearest, self.sources, self.receptors, source, at))
            pairs = np.column_stack([source[behind], at[behind]])
            lowest = (self.low, self.receptor_low)
            conditions = self.d.around.section.conditions
            row, loss = screening(self.d.around.screens, self.sources, self.receptors, pairs, conditions, lowest)
            row = behind[row]
            kernel[row] = self._loudest(at[row], source[row], distance[row], loss)
        near = np.flatnonzero(distance < NEAR * self.d.around.size[source])
        kernel[near] = self._from_facades(at[near], source[near], distance[near])
        return kernel

    def beyond(self, reach: float) -> Floats:
        """Return the most that arrives from any site further away than a reach, shape (R,)."""
        highest = float(self.high.max(initial=0.0))
        ranges = (float(self.low.min(initial=highest)), highest), (self.receptor_low, self.receptor_high)
        distance = np.full(len(self.xy), reach)
        return loudest(distance, *ranges, self.spectrum, self.d.around.section.conditions) * energy(APPROXIMATE)

    def _loudest(self, at: Ints, source: Ints, distance: Floats, screening: Floats | None = None) -> Floats:
        ranges = (self.low[source], self.high[source]), (self.receptor_low[at], self.receptor_high[at])
        return loudest(distance, *ranges, self.spectrum, self.d.around.section.conditions, screening)

    def _from_facades(self, at: Ints, source: Ints, distance: Floats) -> Floats:
        """Return the mean over the points of each site's facades, and the roof's part from its middle, shape (pairs,)."""
        owner, points = self.d.around.facades
        every = np.arange(len(self.d.sites))
        first, count = np.searchsorted(owner, every), np.bincount(owner, minlength=len(every))
        pair = np.repeat(np.arange(len(at)), count[source])
        point = np.arange(len(pair)) - np.repeat(np.cumsum(count[source]) - count[source], count[source])
        point += first[source[pair]]
        apart = np.linalg.norm(points[point] - self.xy[at[pair]], axis=1)
        facade = self._loudest(at[pair], source[pair], apart)
        mean = np.bincount(pair, facade, minlength=len(at)) / np.maximum(count[source], 1)
        return (1.0 - self.roof_share) * mean + self.roof_share * self._loudest(at, source, distance)


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
