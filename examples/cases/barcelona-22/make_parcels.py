"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of Poblenou."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """Blocks of about 113 m: low factories, two terraces of homes in each, yards that stand empty."""
    lot = {"zone": "22A", "storeys_max": 10, "coverage": round(float(rng.uniform(0.4, 0.52)), 2)}
    kind = (5 * column + 3 * row + number) % 6
    if kind == 0:
        return {**lot, "storeys": 0, "year": 0}
    if kind == 1:
        return {**lot, "storeys": 5, "year": 1930, "gfa_housing": 0.85, "gfa_services": 0.1}
    return {
        **lot,
        "storeys": int(rng.integers(2, 5)),
        "year": int(rng.integers(1900, 1965)),
        "gfa_workshop": 1.0,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:25831",
        origin=(432_600.0, 4_583_900.0),
        blocks=(3, 2),
        lots=(3, 2),
        lot=(37.7, 56.5),
        facts=facts,
        street=20.0,
        turn=-45.0,
        seed=22,
    )
