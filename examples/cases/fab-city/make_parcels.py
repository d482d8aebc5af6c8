"""Draw the lots of the case: python make_parcels.py. Made up: one site in each block of 1 km²; not a survey of Poblenou."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Homes in the west, old workshops in the east, yards between them, one fab lab that stands."""
    lot = {"storeys_max": int(rng.integers(5, 9)), "coverage": round(float(rng.uniform(0.165, 0.205)), 3)}
    if (column, row) == (3, 5):
        return {**lot, "storeys": 2, "year": 1925, "gfa_fablab": 0.45, "gfa_design": 0.5}
    drawn = rng.random()
    if drawn < 0.3:
        return {**lot, "storeys": 0, "year": 0}
    if drawn < 0.4 + 0.12 * (6 - column):
        return {**lot, "storeys": int(rng.integers(4, 6)), "year": 1950, "gfa_homes": 0.85, "gfa_shops": 0.15}
    return {**lot, "storeys": int(rng.integers(1, 4)), "year": 1915, "gfa_making": 0.9}


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:25831",
        origin=(432_900.0, 4_583_700.0),
        blocks=(7, 7),
        lots=(1, 1),
        lot=(80.0, 80.0),
        facts=facts,
        street=63.0,  # the rest of each block and its streets
        turn=-45.0,
        seed=54,
    )
