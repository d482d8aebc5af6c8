"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any place in Ota."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Works and houses lot by lot; shops along the southern street; one public lot."""
    public = (column, row, number) == (0, 1, 5)
    shop = row == 0 and number < 4
    works = not shop and rng.random() < 0.6
    storeys = 2 if public else int(rng.integers(1, 3)) if works else int(rng.integers(2, 4))
    return {
        "zone": "PUBLIC" if public else "STREET" if shop else "LANE",
        "max_far": 3.0 if shop else 1.8,
        "coverage": 0.6,
        "storeys": storeys,
        "year": int(rng.integers(1955, 2000)),
        "gfa_workshop": 0.9 if works and not public and number % 3 else 0.0,
        "gfa_finishing": 0.9 if works and not public and not number % 3 else 0.0,
        "gfa_centre": 0.9 if public else 0.0,
        "gfa_services": 0.4 if shop else 0.0,
        "gfa_housing": 0.5 if shop else 0.9 if not works and not public else 0.0,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:6677",
        origin=(-10_630.0, -49_270.0),
        blocks=(3, 2),
        lots=(4, 2),
        lot=(18.0, 26.0),
        facts=facts,
        street=6.0,
        turn=-12.0,
        seed=5,
    )
