"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any place in Rotterdam."""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng: np.random.Generator) -> dict:
    """Works of one and two storeys on every lot; four in the third column still run."""
    runs = column == 2 and number % 2 == 0
    return {
        "zone": "running" if runs else "idle",
        "max_far": 3.0,
        "coverage": 0.5,
        "storeys": int(rng.integers(1, 3)),
        "year": int(rng.integers(1920, 1975)),
        "gfa_workshop": 0.9,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:28992",
        origin=(89_600.0, 436_000.0),
        blocks=(4, 2),
        lots=(2, 2),
        lot=(36.0, 40.0),
        facts=facts,
        turn=20.0,
        seed=9,
    )
