"""Make rasters of what is there already around Kendall Square: python background.py [--step METRES].

Needs data/kendall.gpkg (see get_data.py); writes data/traffic_den.tif, data/traffic_night.tif (dB(A)) and data/pm25.tif
(µg/m³). A sketch with a method that fits on a page, not a noise map:

* Roads and rail are lines that radiate evenly: a piece of length l adds W l / (2 pi d²) at distance d, a half space of
  hard ground, no buildings in between. W follows from the level 25 m off an endless line, W = 50 * 10^(L25 / 10).
* L25 of a road: RLS-90, 37.3 + 10 lg(M (1 + 0.082 p)) dB(A) for M vehicles an hour with p per cent lorries, less 4 dB
  at 50 km/h (formula from memory). M is 6 % of a day's traffic by day and 1.1 % by night, p 10 and 3 %.
* A day's traffic is a guess by the class of the street (MajorRoad): the city's file has no counts. Rail: 55 dB(A)
  at 25 m by day, 50 at night, a guess.
* Lden from day (12 h), evening (4 h, 2 dB below the day) and night (8 h).
* PM2.5: 6.5 µg/m³ and, near roads, up to 2 more, falling by e every 60 m: a guess.
"""

import argparse
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import cKDTree

from geodata.fields import write_field
from geodata.propagation import day_evening_night, energy, level

DATA = Path(__file__).resolve().parent / "data"
VEHICLES = {1.0: 22_000, 2.0: 9_000, None: 1_200}
"""Vehicles a day by class of street: guesses."""
PIECE = 10.0
MARGIN = 60.0
CRS = "EPSG:26986"


def at_25_m(vehicles: float, share: float, lorries: float) -> float:
    return 37.3 + 10 * np.log10(vehicles * share * (1 + 0.082 * lorries)) - 4.0


def pieces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middles of pieces of all lines, and their sound power by day and by night."""
    xy, powers = [], []
    streets = gpd.read_file(DATA / "kendall.gpkg", layer="streets").to_crs(CRS)
    rail = gpd.read_file(DATA / "kendall.gpkg", layer="rail").to_crs(CRS)
    for kind, line in [
        *zip(streets["MajorRoad"], streets.geometry, strict=True),
        *(("rail", g) for g in rail.geometry),
    ]:
        if kind == "rail":
            levels = (55.0, 50.0)
        else:
            vehicles = VEHICLES.get(kind, VEHICLES[None])
            levels = (at_25_m(vehicles, 0.06, 10.0), at_25_m(vehicles, 0.011, 3.0))
        for part in shapely.get_parts(line):
            count = max(int(np.ceil(part.length / PIECE)), 1)
            middles = shapely.line_interpolate_point(part, (np.arange(count) + 0.5) / count, normalized=True)
            xy.append(shapely.get_coordinates(middles))
            powers.append(np.tile(50.0 * energy(np.array(levels)) * part.length / count, (count, 1)))
    return np.concatenate(xy), *np.concatenate(powers).T


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=float, default=5.0, help="side of a cell, m")
    step = parser.parse_args().step
    if not (DATA / "kendall.gpkg").is_file():
        print("data/kendall.gpkg: no such file; run get_data.py first", file=sys.stderr)
        return 2
    parcels = gpd.read_file(DATA / "kendall.gpkg", layer="parcels").to_crs(CRS)
    west, south, east, north = parcels.total_bounds
    bounds = (west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN)
    xy, day, night = pieces()
    tree = cKDTree(xy)

    def heard(x: np.ndarray, y: np.ndarray, power: np.ndarray) -> np.ndarray:
        total = np.zeros(x.size)
        for k, (px, py) in enumerate(xy):
            total += power[k] / (2 * np.pi * np.maximum((x.ravel() - px) ** 2 + (y.ravel() - py) ** 2, 16.0))
        return total.reshape(x.shape)

    def den(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        by_day, by_night = heard(x, y, day), heard(x, y, night)
        return level(day_evening_night(by_day, by_day * energy(-2.0), by_night))

    def fine_dust(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        distance = tree.query(np.column_stack([x.ravel(), y.ravel()]))[0].reshape(x.shape)
        return 6.5 + 2.0 * np.exp(-distance / 60.0)

    for name, compute, unit, what in (
        ("traffic_den.tif", den, "dB(A)", "Lden of roads and rail, a sketch"),
        ("traffic_night.tif", lambda x, y: level(heard(x, y, night)), "dB(A)", "Lnight of roads and rail, a sketch"),
        ("pm25.tif", fine_dust, "µg/m³", "PM2.5, annual mean, a sketch"),
    ):
        found = write_field(DATA / name, compute, bounds, CRS, step, unit=unit, description=what)
        print(f"data/{name}  {found.minimum:.1f} to {found.maximum:.1f} {unit}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
