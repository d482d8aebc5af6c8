"""Draw the lots of the case: python make_parcels.py. Made up: four rules side by side in one district, nowhere in New York."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402

ZONES = {(0, 0): "GARMENT", (1, 0): "IBIA", (0, 1): "MX", (1, 1): "GOWANUS"}


def facts(column: int, row: int, number: int, rng) -> dict:
    """A garment block of lofts, a block of works, one of works and houses, one of low works by a canal."""
    zone = ZONES[column, row]
    lofts = zone == "GARMENT"
    rated = zone in ("MX", "IBIA") and number % 4 == 1
    homes = zone == "MX" and number % 3 == 0
    return {
        "zone": zone,
        "max_far": {"GARMENT": 4.0, "IBIA": 2.0, "MX": 3.6, "GOWANUS": 3.0}[zone],
        "coverage": {"GARMENT": 0.8, "IBIA": 0.6, "MX": 0.6, "GOWANUS": 0.55}[zone],
        "storeys": int(rng.integers(5, 8)) if lofts else int(rng.integers(1, 4)),
        "year": int(rng.integers(1905, 1965)),
        "gfa_rated": 0.9 if rated and not homes else 0.0,
        "gfa_workshop": 0.7 if lofts else 0.0 if rated or homes else 0.9,
        "gfa_office": 0.2 if lofts else 0.0,
        "gfa_housing": 0.85 if homes else 0.0,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:32618",
        origin=(585_200.0, 4_503_100.0),
        blocks=(2, 2),
        lots=(5, 2),
        lot=(26.0, 30.0),
        facts=facts,
        street=18.0,
        turn=-30.0,
        seed=7,
    )
