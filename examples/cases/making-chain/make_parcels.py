"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of Cambridge."""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng: np.random.Generator) -> dict:
    """A research centre with its workshop, old mills beside it, houses in the north, car parks between them."""
    lot = {
        "zone": "north" if row == 1 else "yards",
        "max_far": float(rng.choice([3.6, 4.5])),
        "coverage": 0.45,
        "storeys": 0,
        "year": 0,
    }
    lot |= {"gfa_design": 0.0, "gfa_prototype": 0.0, "gfa_housing": 0.0}
    if (column, row) == (0, 0) and number in (2, 3, 7):
        year = 1958 if number == 2 else 1965
        return lot | {"zone": "centre", "storeys": 4, "year": year, "gfa_design": 0.6, "gfa_prototype": 0.3}
    if column == 1 and row == 0 and number < 4:
        return lot | {"zone": "mills", "storeys": 4, "year": 1911, "gfa_prototype": 0.5}
    if row == 1 and number >= 4:
        return lot | {"storeys": 3, "year": 1925, "gfa_housing": 0.9}
    return lot


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:26986",
        origin=(235_450.0, 900_500.0),
        blocks=(2, 2),
        lots=(4, 2),
        lot=(30.0, 36.0),
        facts=facts,
        turn=-25.0,
        seed=7,
    )
