"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any place in Vancouver, Washington."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Shops along the middle street, houses behind them, two lots of joiners and smiths in the east."""
    shop = (row == 0 and number > 3) or (row == 1 and number < 4)
    yard = column == 2 and not shop and number % 2 == 0
    storeys = 1 if yard else int(rng.integers(1, 4)) if shop else int(rng.integers(1, 3))
    return {
        "zone": "SHOPS" if shop else "YARD" if column == 2 else "HOMES",
        "max_far": 2.8 if shop else 2.1 if column == 2 else 1.5,
        "coverage": 0.7 if shop or column == 2 else 0.5,
        "storeys": storeys,
        "year": int(rng.integers(1920, 2005)),
        "gfa_heard": 0.9 if yard else 0.0,
        "gfa_artisan": 0.3 if shop and number % 4 == 1 and storeys > 1 else 0.0,
        "gfa_services": 0.45 if shop else 0.0,
        "gfa_housing": 0.2 if shop else 0.0 if yard else 0.9,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:32610",
        origin=(525_400.0, 5_052_650.0),
        blocks=(3, 2),
        lots=(4, 2),
        lot=(22.0, 32.0),
        facts=facts,
        street=16.0,
        seed=3,
    )
