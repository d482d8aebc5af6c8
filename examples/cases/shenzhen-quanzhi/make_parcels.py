"""Draw the lots of the case: python make_parcels.py. Made up, in the size of the park; not a survey."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Lots for factories of eight to eleven storeys, two towers, flats in a corner; some old sheds stand."""
    lot = {"zone": "factory", "storeys_max": 8 + int(rng.integers(4)), "coverage": 0.36, "storeys": 0, "year": 0}
    if (column, row, number) in ((1, 0, 1), (1, 1, 0)):
        lot |= {"zone": "tower", "storeys_max": 23, "coverage": 0.25}
    elif (column, row, number) == (2, 1, 1):
        lot |= {"zone": "living", "storeys_max": 12, "coverage": 0.3}
    elif (column + row + number) % 2 == 0:
        lot |= {"storeys": int(rng.integers(1, 4)), "year": int(rng.integers(1988, 2000)), "gfa_parts": 0.9}
    return lot


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:32649",
        origin=(794_000.0, 2_517_000.0),
        blocks=(3, 2),
        lots=(2, 1),
        lot=(68.0, 70.0),
        facts=facts,
        turn=12.0,
        seed=3,
    )
