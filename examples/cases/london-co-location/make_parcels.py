"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any place in London."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Industrial estates in the east, theatres in the north-west, terraces and a high street elsewhere."""
    if column == 2 or (column, row) == (1, 1):
        strategic = (column, row) == (2, 0)
        return {
            "zone": "SIL" if strategic else "LSIS",
            "max_far": 1.8 if strategic else 3.0,
            "coverage": 0.6,
            "storeys": int(rng.integers(1, 3)),
            "year": int(rng.integers(1935, 1990)),
            "gfa_workshop": 0.9,
        }
    theatres = (column, row) == (0, 1)
    shop = row == 0 and number < 4
    return {
        "zone": "WEST END" if theatres else "TOWN",
        "max_far": 3.0 if theatres else 2.0,
        "coverage": 0.6 if theatres else 0.5,
        "storeys": 3,
        "year": 1905,
        "gfa_services": 0.3 if theatres or shop else 0.0,
        "gfa_culture": 0.6 if theatres and number % 3 == 0 else 0.0,
        "gfa_housing": 0.56 if shop else 0.0 if theatres and number % 3 == 0 else 0.6 if theatres else 0.85,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:27700",
        origin=(537_200.0, 183_900.0),
        blocks=(3, 2),
        lots=(4, 2),
        lot=(26.0, 34.0),
        facts=facts,
        turn=8.0,
        seed=11,
    )
