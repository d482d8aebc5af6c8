"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any estate in Singapore."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Land-based factories of one or two storeys, a business park in one block, some lots vacant."""
    if (column, row) == (2, 1):
        return {
            "zone": "BPW",
            "plot_ratio": 2.5,
            "storeys_max": 9,
            "coverage": 0.32,
            "storeys": 4 if number == 0 else 0,
            "year": 2004 if number == 0 else 0,
            "gfa_rnd": 0.9 if number == 0 else 0.0,
        }
    vacant = (column + 2 * row + number) % 5 == 0
    return {
        "zone": "B2" if row == 0 else "B1",
        "plot_ratio": 2.5,
        "storeys_max": 10,
        "coverage": round(float(rng.uniform(0.25, 0.33)), 2),
        "storeys": 0 if vacant else int(rng.integers(1, 3)),
        "year": 0 if vacant else int(rng.integers(1972, 1992)),
        "gfa_workshop": 0.0 if vacant else 1.6,  # low sheds cover more of the lot than towers will
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:3414",
        origin=(22_400.0, 46_800.0),
        blocks=(3, 2),
        lots=(2, 2),
        lot=(64.0, 72.0),
        facts=facts,
        street=16.0,
        turn=-6.0,
        seed=5,
    )
