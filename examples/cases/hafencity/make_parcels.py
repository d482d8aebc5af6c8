"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of HafenCity."""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng: np.random.Generator) -> dict:
    """A quay of low sheds in the south, brick warehouses in the north-west, land cleared by the port between them."""
    lot = {"zone": f"quarter {column + 1}", "max_far": float(rng.choice([4.0, 4.8, 5.6])), "coverage": 0.8}
    if row == 0 and number < 4 and rng.random() < 0.7:
        return lot | {"storeys": 1, "year": 1960, "gfa_work": 0.95}
    if row == 1 and column == 0 and number >= 4:
        return lot | {"storeys": 5, "year": 1890, "gfa_work": 0.8}
    return lot | {"storeys": 0, "year": 0, "gfa_work": 0.0}


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:25832",
        origin=(565_900.0, 5_932_700.0),
        blocks=(3, 2),
        lots=(4, 2),
        lot=(27.0, 36.0),
        facts=facts,
        street=16.0,
        turn=-12.0,
        seed=5,
    )
