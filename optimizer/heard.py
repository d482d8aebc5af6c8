"""What arrives at receptors of a finished plan, source by source: the audit's own physics.

Written from the standards once more, sharing nothing with the kernels of the model: one receptor after the other,
every building's floor as it stands, every band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import shapely

from optimizer.emissions import energy, sound_energy, spectrum

if TYPE_CHECKING:
    import pandas as pd

    from optimizer.district import Floats
    from optimizer.rules.base import Evidence

OCTAVES = [63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0]
PLACE = 4.0
"""Height above ground at places that the plan does not build, m."""
CONTAINS = 1e-9


def by_divergence(evidence: Evidence, table: pd.DataFrame, metric: str) -> Floats:
    """Return the sound energy at receptors by distance from the middles of other buildings alone, shape (R,)."""
    buildings = evidence.buildings
    power = np.zeros(len(buildings))
    for name, use in evidence.uses.items():
        each = sound_energy(use, metric, evidence.pollution.period_hours)  # type: ignore[arg-type]
        power += buildings[f"gfa_{name}"].to_numpy(dtype=float) * each
    heard = np.zeros(len(table))
    x, y = buildings["x"].to_numpy(dtype=float), buildings["y"].to_numpy(dtype=float)
    for k, row in enumerate(table.itertuples()):
        squared = np.maximum((x - row.x) ** 2 + (y - row.y) ** 2, 1.0)
        arriving = power / (4.0 * math.pi * squared)
        heard[k] = arriving.sum() - (arriving[row.building] if row.building >= 0 else 0.0)
    return heard


def by_iso9613(evidence: Evidence, table: pd.DataFrame, metric: str) -> Floats:
    """Return the sound energy at receptors after ISO 9613-2, shape (R,)."""
    scene = Scene(evidence)
    heard = np.zeros(len(table))
    kinds: dict[tuple[tuple[float, ...], float], Floats] = {}
    for name, use in evidence.uses.items():
        each = sound_energy(use, metric, evidence.pollution.period_hours)  # type: ignore[arg-type]
        if each:
            power = kinds.setdefault((spectrum(use), use.roof_share), np.zeros(len(evidence.buildings)))
            power += evidence.buildings[f"gfa_{name}"].to_numpy(dtype=float) * each
    for (bands, roof), power in kinds.items():
        for k, row in enumerate(table.itertuples()):
            others = power.copy()
            if row.building >= 0:
                others[row.building] = 0.0
            at = (float(row.x), float(row.y))
            for b in np.flatnonzero(others):
                heard[k] += others[b] * scene.arriving(at, int(row.building), int(b), bands, roof)
    return heard


@dataclass
class Scene:
    """Buildings, their possible heights and what stands between them."""

    evidence: Evidence

    def __post_init__(self) -> None:
        self._known: dict[tuple[float, float, int, int, tuple[float, ...], float], float] = {}
        section = self.evidence.pollution
        self.absorption = [_absorption(f, section.temperature, section.humidity) for f in _exact_octaves()]
        table = self.evidence.buildings
        self.x, self.y = table["x"].to_numpy(dtype=float), table["y"].to_numpy(dtype=float)
        self.size = [2.0 * shapely.minimum_bounding_radius(shape) for shape in table["footprint"]]
        points = self.evidence.receptors["facades"]
        self.facades: dict[int, list[tuple[float, float]]] = {}
        for b, x, y in zip(points["building"], points["x"], points["y"], strict=True):
            self.facades.setdefault(int(b), []).append((float(x), float(y)))
        self.low, self.high = storeys_between(self.evidence)

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Index of the screens."""
        return shapely.STRtree([shape for shape, _ in self.evidence.screens])

    def arriving(self, at: tuple[float, float], own: int, b: int, bands: tuple[float, ...], roof: float) -> float:
        """Return what arrives of one unit of sound power of building b."""
        key = (*at, own, b, bands, roof)
        if key not in self._known:
            low, high = (PLACE, PLACE) if own < 0 else (self.low[own], self.high[own])
            middle = (self.x[b], self.y[b])
            apart = math.dist(at, middle)
            if apart < 2.0 * self.size[b]:
                whole = self._path(at, low, high, middle, b, bands, screened=False)
                points = self.facades[b]
                facade = sum(self._path(at, low, high, p, b, bands, screened=False) for p in points) / len(points)
                self._known[key] = (1.0 - roof) * facade + roof * whole
            else:
                self._known[key] = self._path(at, low, high, middle, b, bands, screened=True)
        return self._known[key]

    def _path(
        self,
        at: tuple[float, float],
        low: float,
        high: float,
        source: tuple[float, float],
        b: int,
        bands: tuple[float, ...],
        *,
        screened: bool,
    ) -> float:
        """Return what arrives along one path, each of its terms at the storeys where it takes least away."""
        section = self.evidence.pollution
        along = math.dist(at, source)
        s_low, s_high = self.low[b], self.high[b]
        apart = max(math.hypot(along, max(s_low - high, low - s_high, 0.0)), 1.0)
        divergence = 20.0 * math.log10(apart) + 11.0
        soil = _soil(section.ground, (s_low, s_high), (low, high), along)
        screens = self._screens(at, (low, high), source, (s_low, s_high)) if screened else [0.0] * 8
        total = 0.0
        for share, absorbed, ground, screen in zip(bands, self.absorption, soil, screens, strict=True):
            behind = max(screen - max(ground, 0.0), 0.0)
            total += share * energy(section.reflection - divergence - absorbed * apart - ground - behind)
        return total

    def _screens(
        self,
        at: tuple[float, float],
        heights: tuple[float, float],
        source: tuple[float, float],
        from_: tuple[float, float],
    ) -> list[float]:
        """Return by how many dB the building that screens most does so, band by band."""
        best = [0.0] * 8
        if not self.evidence.screens:
            return best
        line = shapely.LineString([source, at])
        ends = shapely.Point(source), shapely.Point(at)
        for k in self.tree.query(line, predicate="intersects"):
            shape, top = self.evidence.screens[int(k)]
            if any(shape.distance(end) <= CONTAINS for end in ends):
                continue
            found = self._screen(shape, top, line, heights, from_)
            best = [max(a, c) for a, c in zip(best, found, strict=True)]
        return best

    def _screen(
        self,
        shape: shapely.Polygon,
        top: float,
        line: shapely.LineString,
        heights: tuple[float, float],
        from_: tuple[float, float],
    ) -> list[float]:
        """Return what one building takes away, dB by band: least over the ranges of heights."""
        cap = self.evidence.pollution.max_screening
        crossed = shapely.intersection(line, shape)
        ends = shapely.points(shapely.get_coordinates(crossed))
        along = shapely.line_locate_point(line, ends)
        enter, leave = float(along.min()), float(along.max())
        if leave <= enter:
            return [0.0] * 8
        ways = _around(line, shape)
        rise = max(from_[1] - heights[0], heights[1] - from_[0])
        return _diffracted(line.length, from_[1], heights[1], rise, enter, leave, top, ways, cap)


def _diffracted(
    ground: float,
    z_source: float,
    z_at: float,
    rise: float,
    enter: float,
    leave: float,
    top: float,
    ways: tuple[float, float],
    cap: float,
) -> list[float]:
    """Return what a building takes away from one line, dB by band: over the top and around both sides together.

    Over the top from and to the highest storeys, around the sides with the greatest rise: there it is least.
    """
    straight = math.hypot(ground, z_at - z_source)
    sight = [z_source + (z_at - z_source) * d / ground for d in (enter, leave)]
    if top <= min(sight):
        return [0.0] * 8
    sides = [math.hypot(way, rise) - math.hypot(ground, rise) for way in ways]
    loss = []
    for octave in OCTAVES:
        wave = 340.0 / octave
        edges = []
        for d, z in zip((enter, leave), sight, strict=True):
            there, back = math.hypot(d, top - z_source), math.hypot(ground - d, top - z_at)
            longer = math.copysign(there + back - straight, top - z)
            weather = math.exp(-math.sqrt(there * back * straight / (2.0 * longer)) / 2000.0) if longer > 0 else 1.0
            edges.append(min(10.0 * math.log10(max(3.0 + 20.0 / wave * longer * weather, 1.0)), cap))
        around = [10.0 * math.log10(3.0 + 20.0 / wave * max(side, 0.0)) for side in sides]
        together = energy(-max(edges)) + sum(energy(-side) for side in around)
        loss.append(min(max(-10.0 * math.log10(together), 0.0), cap))
    return loss


def _around(line: shapely.LineString, shape: shapely.Polygon) -> tuple[float, float]:
    """Return the ways around both sides of a building by its furthest corner, along the ground, m.

    Of one that also stands behind an end of the line only the piece between the ends counts.
    """
    (ax, ay), (bx, by) = line.coords
    length = line.length
    ux, uy = (bx - ax) / length, (by - ay) / length
    far = 10.0 * (length + math.dist(shape.bounds[:2], shape.bounds[2:]))
    beyond = [
        shapely.LineString([(ax, ay), (ax - far * ux, ay - far * uy)]),
        shapely.LineString([(bx, by), (bx + far * ux, by + far * uy)]),
    ]
    corners = list(shape.exterior.coords)
    if any(ray.intersects(shape) for ray in beyond):
        strip = shapely.Polygon(
            [(x + s * far * uy, y - s * far * ux) for x, y, s in ((ax, ay, -1), (bx, by, -1), (bx, by, 1), (ax, ay, 1))]
        )
        pieces = shapely.get_parts(shape.intersection(strip))
        corners = [c for piece in pieces if piece.intersects(line) for c in shapely.get_coordinates(piece).tolist()]
    ways = [length, length]
    for x, y in corners:
        beside = ux * (y - ay) - uy * (x - ax)
        if beside:
            side = 0 if beside > 0 else 1
            ways[side] = max(ways[side], math.dist((ax, ay), (x, y)) + math.dist((x, y), (bx, by)))
    return ways[0], ways[1]


def storeys_between(evidence: Evidence) -> tuple[Floats, Floats]:
    """Return the least and greatest height of the middle of a storey of each building, by what its parcel allows, m."""
    heights = [use.storey_height for use in evidence.uses.values()]
    low = min(heights) / 2.0
    parcels = evidence.parcels
    facts = parcels.reset_index()
    extra = sum((rule.extra_far(facts) for rule in evidence.rules), np.zeros(len(parcels)))
    more = dict(zip(parcels.index, extra, strict=True))
    sites = evidence.buildings.groupby("parcel_id")["site"].size()
    tops = []
    for name in evidence.buildings["parcel_id"]:
        row = parcels.loc[name]
        plate = row["coverage"] * row["site_area"] / sites[name]
        top = row["storeys_today"] * max(heights) if sum(row[f"today_{u}"] for u in evidence.uses) > 0 else 0.0
        for height in heights:
            most = [200.0]
            if not math.isnan(row["max_height"]):
                most.append(row["max_height"] / height)
            if not math.isnan(row["max_floors"]):
                most.append(row["max_floors"])
            if not math.isnan(row["max_far"]):
                most.append((row["max_far"] + more[name]) * row["site_area"] / plate)
            top = max(top, math.floor(min(most) + 1e-9) * height)
        tops.append(max(low, top - low))
    return np.full(len(tops), low), np.array(tops, dtype=float)


def _exact_octaves() -> list[float]:
    return [1000.0 * 10.0 ** (0.3 * k) for k in range(-4, 4)]


def _absorption(frequency: float, celsius: float, humidity: float) -> float:
    """Return the attenuation of sound by air, dB/m: ISO 9613-1, at 101.325 kPa."""
    kelvin = celsius + 273.15
    ratio = kelvin / 293.15
    vapour = humidity * 10.0 ** (-6.8346 * (273.16 / kelvin) ** 1.261 + 4.6151)
    oxygen = 24.0 + 40_400.0 * vapour * (0.02 + vapour) / (0.391 + vapour)
    nitrogen = ratio**-0.5 * (9.0 + 280.0 * vapour * math.exp(-4.170 * (ratio ** (-1 / 3) - 1.0)))
    molecules = 0.01275 * math.exp(-2239.1 / kelvin) / (oxygen + frequency**2 / oxygen)
    molecules += 0.1068 * math.exp(-3352.0 / kelvin) / (nitrogen + frequency**2 / nitrogen)
    return 8.686 * frequency * frequency * float(1.84e-11 * math.sqrt(ratio) + math.pow(ratio, -2.5) * molecules)


def _soil(g: float, source: tuple[float, float], receptor: tuple[float, float], along: float) -> list[float]:
    """Return the attenuation by ground, dB by band: ISO 9613-2, table 3, the least of each term over the storeys."""
    lowest = 30.0 * (source[0] + receptor[0])
    q = 1.0 - lowest / along if along > lowest else 0.0
    result = []
    for band in range(8):
        middle = -3.0 * q if band == 0 else -3.0 * q * (1.0 - g)
        ends = 0.0
        for low, high in (source, receptor):
            tried = {low, high, *(min(max(h, low), high) for h in (2.0, 2.75, 3.5))}
            ends += min(_end(band, g, h, along) for h in tried)
        result.append(ends + middle)
    return result


def _end(band: int, g: float, h: float, along: float) -> float:
    """Return the attenuation by the ground around a source or a receptor, dB."""
    near, far = 1.0 - math.exp(-along / 50.0), 1.0 - math.exp(-2.8e-6 * along**2)
    if band == 0:
        return -1.5
    if band == 1:
        shape = 1.5 + 3.0 * math.exp(-0.12 * (h - 5.0) ** 2) * near + 5.7 * math.exp(-0.09 * h * h) * far
    elif band < 5:
        factor, fall = {2: (8.6, 0.09), 3: (14.0, 0.46), 4: (5.0, 0.9)}[band]
        shape = 1.5 + factor * math.exp(-fall * h * h) * near
    else:
        shape = 1.5
    return float(-1.5 + g * shape)
