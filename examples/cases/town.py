"""Draw made-up lots in street blocks: what the cases' own make_parcels.py share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely.affinity import rotate

Facts = Callable[[int, int, int, np.random.Generator], dict[str, Any]]


def town(
    folder: Path,
    *,
    crs: str,
    origin: tuple[float, float],
    blocks: tuple[int, int],
    lots: tuple[int, int],
    lot: tuple[float, float],
    facts: Facts,
    street: float = 14.0,
    turn: float = 0.0,
    seed: int = 0,
) -> None:
    """Write parcels.geojson and streets.geojson into a folder.

    Parameters
    ----------
    crs, origin
        Metric CRS and the lower left corner in it.
    blocks, lots
        Numbers of blocks, and of lots in a block, across and up.
    lot
        Width and depth of a lot, m; varied by up to a fifth.
    facts
        Told block column, block row, lot number in the block and a random generator; returns the lot's columns
        (``zone``, ``max_far``, ``storeys``, ``gfa_<use>`` ...). ``gfa_<use>`` may be a share of plate x storeys, below 10.
    turn
        Degrees by which the town is turned.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    widths = rng.uniform(0.85, 1.15, (blocks[0], lots[0])) * lot[0]
    depths = rng.uniform(0.85, 1.15, (blocks[1], lots[1])) * lot[1]
    west = np.concatenate([[0.0], np.cumsum(widths.sum(axis=1) + street)])
    south = np.concatenate([[0.0], np.cumsum(depths.sum(axis=1) + street)])
    for column in range(blocks[0]):
        for row in range(blocks[1]):
            for number in range(lots[0] * lots[1]):
                i, j = number % lots[0], number // lots[0]
                x = west[column] + widths[column, :i].sum()
                y = south[row] + depths[row, :j].sum()
                shape = shapely.box(x, y, x + widths[column, i], y + depths[row, j])
                table = facts(column, row, number, rng)
                plate = shape.area * table.get("coverage", 0.6)
                for key in [k for k in table if k.startswith("gfa_") and table[k] < 10]:
                    table[key] = round(table[key] * plate * table["storeys"])
                name = f"{chr(65 + row)}{column + 1}-{number + 1:02d}"
                rows.append({"id": name, **table, "geometry": shape})
    lines = [
        shapely.LineString([(x - street / 2, -street / 2), (x - street / 2, south[-1] - street / 2)]) for x in west
    ]
    lines += [
        shapely.LineString([(-street / 2, y - street / 2), (west[-1] - street / 2, y - street / 2)]) for y in south
    ]
    for name, frame in (
        ("parcels", gpd.GeoDataFrame(rows, crs=crs)),
        ("streets", gpd.GeoDataFrame({"name": [f"S{k + 1}" for k in range(len(lines))]}, geometry=lines, crs=crs)),
    ):
        for column in frame.columns.drop("geometry"):
            if column.startswith("gfa_"):
                frame[column] = frame[column].fillna(0)
        frame.geometry = [rotate(shape, turn, origin=(0, 0)) for shape in frame.geometry]
        frame.geometry = frame.geometry.translate(*origin)
        frame = frame.to_crs(4326)
        frame.geometry = shapely.set_precision(np.asarray(frame.geometry.array), 1e-7)
        frame.to_file(folder / f"{name}.geojson", driver="GeoJSON", RFC7946="YES")
