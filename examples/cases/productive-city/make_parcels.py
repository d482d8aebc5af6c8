"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any place."""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402

QUARTERS = ("vienna", "brussels", "germany", "victoria")


def facts(column: int, row: int, number: int, rng: np.random.Generator) -> dict:
    """The same in every quarter: workshops of one and two storeys, a terrace of homes and a few shops."""
    lot = {"zone": QUARTERS[column], "max_far": (3.0, 4.0, 3.5)[number % 3], "coverage": 0.5}
    if row == 1 and number >= 3:
        return lot | {"storeys": 3, "year": 1905, "gfa_housing": 0.6, "gfa_services": 0.25}
    return lot | {"storeys": int(rng.integers(1, 3)), "year": int(rng.integers(1920, 1985)), "gfa_workshop": 0.9}


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:31256",
        origin=(10_100.0, 336_700.0),
        blocks=(4, 2),
        lots=(3, 2),
        lot=(30.0, 38.0),
        facts=facts,
        turn=15.0,
        seed=3,
    )
