"""What arrives at receptors of a finished plan, source by source: the audit's own physics.

Written from the standards once more, sharing nothing with the kernels of the model: one receptor after the other,
every building's floor as it stands, every band. What the buildings' heights leave open is taken as the rule states it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely

from optimizer.emissions import energy, sound_energy, spectrum

if TYPE_CHECKING:
    from optimizer.district import Floats, Ints
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
    heard = np.zeros(len(table))
    kinds: dict[tuple[tuple[float, ...], float], Floats] = {}
    for name, use in evidence.uses.items():
        each = sound_energy(use, metric, evidence.pollution.period_hours)  # type: ignore[arg-type]
        if each:
            power = kinds.setdefault((spectrum(use), use.roof_share), np.zeros(len(evidence.buildings)))
            power += evidence.buildings[f"gfa_{name}"].to_numpy(dtype=float) * each
    for kind, power in kinds.items():
        # What arrives is the same whatever the level: it is found once a receptor and kind of sound.
        known = evidence.heard.setdefault((*kind, tuple(np.flatnonzero(power))), {})
        scene = None
        for k, row in enumerate(table.itertuples()):
            sources = np.flatnonzero(power)
            sources = sources[sources != row.building]
            if not len(sources):
                continue
            here = (float(row.x), float(row.y), int(row.building))
            if here not in known:
                scene = scene or Scene(evidence)
                known[here] = scene.arriving(here[:2], here[2], sources, *kind)
            heard[k] += float(known[here] @ power[sources])
    return heard


class Scene:
    """Buildings, their possible heights and what stands between them."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        section = evidence.pollution
        self.absorption = np.array([_absorption(f, section.temperature, section.humidity) for f in _exact_octaves()])
        table = evidence.buildings
        self.xy = table[["x", "y"]].to_numpy(dtype=float)
        self.size = 2.0 * np.array([shapely.minimum_bounding_radius(shape) for shape in table["footprint"]])
        points = evidence.receptors["facades"]
        self.facades = {
            int(b): group[["x", "y"]].to_numpy(dtype=float) for b, group in pd.DataFrame(points).groupby("building")
        }
        self.low, self.high = storeys_between(evidence)
        self.tree = shapely.STRtree([shape for shape, _ in evidence.screens])

    def arriving(
        self, at: tuple[float, float], own: int, sources: Ints, bands: tuple[float, ...], roof: float
    ) -> Floats:
        """Return what arrives at a point of one unit of sound power of some buildings, shape (sources,)."""
        heights = (PLACE, PLACE) if own < 0 else (float(self.low[own]), float(self.high[own]))
        apart = np.hypot(*(self.xy[sources] - at).T)
        near = apart < 2.0 * self.size[sources]
        result = np.zeros(len(sources))
        result[~near] = self._paths(at, heights, self.xy[sources[~near]], sources[~near], bands, screened=True)
        for k in np.flatnonzero(near):
            b = int(sources[k])
            points = np.vstack([self.xy[b], self.facades[b]])
            found = self._paths(at, heights, points, np.full(len(points), b), bands, screened=False)
            result[k] = roof * found[0] + (1.0 - roof) * found[1:].mean()
        return result

    def _paths(
        self,
        at: tuple[float, float],
        heights: tuple[float, float],
        points: Floats,
        buildings: Ints,
        bands: tuple[float, ...],
        *,
        screened: bool,
    ) -> Floats:
        """Return what arrives from some points, each term of a path at the storeys where it takes least away."""
        section = self.evidence.pollution
        low, high = heights
        along = np.hypot(*(points - at).T)
        s_low, s_high = self.low[buildings], self.high[buildings]
        rise = np.maximum(np.maximum(s_low - high, low - s_high), 0.0)
        apart = np.maximum(np.hypot(along, rise), 1.0)
        soil = _soil(section.ground, (s_low, s_high), heights, along)
        loss = np.zeros((len(points), 8))
        if screened and self.evidence.screens and len(points):
            lines = shapely.linestrings(np.stack([points, np.broadcast_to(at, points.shape)], axis=1))
            for k, screen in self.tree.query(lines, predicate="intersects").T:
                shape, top = self.evidence.screens[int(screen)]
                ends = shapely.points(shapely.get_coordinates(lines[k]))
                if (shapely.distance(shape, ends) > CONTAINS).all():
                    found = self._screen(shape, top, lines[k], heights, (float(s_low[k]), float(s_high[k])))
                    loss[k] = np.maximum(loss[k], found)
        behind = np.maximum(loss - np.maximum(soil, 0.0), 0.0)
        lost = (20.0 * np.log10(apart) + 11.0 - section.reflection)[:, None] + np.outer(apart, self.absorption)
        return np.asarray(10.0 ** (-(lost + soil + behind) / 10.0) @ np.array(bands))

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


def _soil(g: float, source: tuple[Floats, Floats], receptor: tuple[float, float], along: Floats) -> Floats:
    """Return the attenuation by ground, dB, shape (paths, 8): ISO 9613-2, table 3, the least of each term over the storeys."""
    lowest = 30.0 * (source[0] + receptor[0])
    q = np.where(along > lowest, 1.0 - lowest / np.maximum(along, 1.0), 0.0)
    result = np.outer(q, [-3.0] + [-3.0 * (1.0 - g)] * 7)
    for low, high in (source, receptor):
        tried = [low, high, *(np.clip(h, low, high) for h in (2.0, 2.75, 3.5))]
        result += np.min([_end(g, np.broadcast_to(h, along.shape), along) for h in tried], axis=0)
    return np.asarray(result)


def _end(g: float, h: Floats, along: Floats) -> Floats:
    """Return the attenuation by the ground around sources or a receptor, dB, shape (paths, 8)."""
    if g == 0:
        return np.full((len(along), 8), -1.5)
    near, far = 1.0 - np.exp(-along / 50.0), 1.0 - np.exp(-2.8e-6 * along**2)
    shapes = np.full((8, len(along)), 1.5)
    shapes[0] = 0.0
    shapes[1] += 3.0 * np.exp(-0.12 * (h - 5.0) ** 2) * near + 5.7 * np.exp(-0.09 * h**2) * far
    for band, factor, fall in ((2, 8.6, 0.09), (3, 14.0, 0.46), (4, 5.0, 0.9)):
        shapes[band] += factor * np.exp(-fall * h**2) * near
    return np.asarray(-1.5 + g * shapes.T)
