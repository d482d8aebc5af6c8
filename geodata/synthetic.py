"""Reproducible districts of any size: lots in street blocks, with limits and today's buildings."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geodata.errors import GeodataError

LOTS_ACROSS, LOTS_DEEP = 4, 2
STREET = 14.0
"""Width of a street, m."""
ZONES = {"IA": (2.0, 24.0, 0.6), "MX": (3.5, 40.0, 0.55), "RES": (1.8, 18.0, 0.45)}
"""Floor-area ratio, height (m) and coverage of each made-up zone."""


def synthetic_district(
    parcels: int, seed: int = 0, uses: Sequence[str] = ("workshop", "rnd", "housing", "services")
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Make a district.

    Parameters
    ----------
    parcels : int
        Number of lots, at least 1.
    seed : int
    uses : sequence of str
        Uses that stand there today.

    Returns
    -------
    GeoDataFrame
        Lots: ``id``, ``zone``, ``max_far``, ``max_height`` (m), ``coverage``, ``storeys``, ``year``, ``protected``,
        ``gfa_<use>`` (m²); metric CRS.
    GeoDataFrame
        Street centre lines between the blocks.
    """
    if parcels < 1:
        raise GeodataError(f"parcels = {parcels}: a district has at least 1 parcel")
    rng = np.random.default_rng(seed)
    count = -(-parcels // (LOTS_ACROSS * LOTS_DEEP))
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    x = np.concatenate([[0.0], np.cumsum(rng.uniform(100, 170, columns) + STREET)])
    y = np.concatenate([[0.0], np.cumsum(rng.uniform(50, 85, rows) + STREET)])
    block = np.repeat(np.arange(count), LOTS_ACROSS * LOTS_DEEP)[:parcels]
    lot = np.tile(np.arange(LOTS_ACROSS * LOTS_DEEP), count)[:parcels]
    bx, by = block % columns, block // columns
    cuts = np.sort(rng.uniform(0.12, 0.3, (count, LOTS_ACROSS)), axis=1)
    cuts = np.concatenate([np.zeros((count, 1)), np.cumsum(cuts, axis=1) / cuts.sum(axis=1, keepdims=True)], axis=1)
    i, j = lot % LOTS_ACROSS, lot // LOTS_ACROSS
    west, east = x[bx] + STREET / 2, x[bx + 1] - STREET / 2
    south, north = y[by] + STREET / 2, y[by + 1] - STREET / 2
    left, right = west + (east - west) * cuts[block, i], west + (east - west) * cuts[block, i + 1]
    low, high = south + (north - south) * j / LOTS_DEEP, south + (north - south) * (j + 1) / LOTS_DEEP
    shapes = shapely.box(left, low, right, high)

    zone = rng.choice(list(ZONES), count, p=[0.3, 0.45, 0.25])[block]
    limits = np.array([ZONES[z] for z in zone])
    park = rng.random(parcels) < 1 / 40
    vacant = park | (rng.random(parcels) < 0.15)
    storeys = np.where(vacant, 0, rng.integers(1, 6, parcels))
    area = shapely.area(shapes) * limits[:, 2] * rng.uniform(0.5, 1.0, parcels) * storeys
    main, second = rng.integers(0, len(uses), (2, parcels))
    split = np.where((storeys > 1) & (rng.random(parcels) < 0.05), 0.5, 0.0)
    floor = np.zeros((parcels, len(uses)))
    floor[np.arange(parcels), main] += area * (1 - split)
    floor[np.arange(parcels), second] += area * split
    table = pd.DataFrame(
        {
            "id": [f"P{k + 1:05d}" for k in range(parcels)],
            "zone": zone,
            "max_far": limits[:, 0],
            "max_height": limits[:, 1],
            "coverage": limits[:, 2],
            "storeys": storeys,
            "year": np.where(vacant, 0, rng.integers(1900, 2020, parcels)),
            "protected": park,
            **{f"gfa_{use}": floor[:, k].round(1) for k, use in enumerate(uses)},
        }
    )
    lines = [shapely.LineString([(a, y[0]), (a, y[-1])]) for a in x] + [
        shapely.LineString([(x[0], b), (x[-1], b)]) for b in y
    ]
    crs = "EPSG:32632"
    origin = (500_000.0, 5_400_000.0)
    lots = gpd.GeoDataFrame(table, geometry=shapes, crs=crs)
    streets = gpd.GeoDataFrame({"name": [f"S{k + 1}" for k in range(len(lines))]}, geometry=lines, crs=crs)
    for layer in (lots, streets):
        layer.geometry = layer.geometry.translate(*origin)
    return lots, streets
