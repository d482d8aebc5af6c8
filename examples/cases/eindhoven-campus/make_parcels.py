"""Draw the lots of the case: python make_parcels.py. Made up; not a survey of any campus in Eindhoven."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from town import town  # noqa: E402


def facts(column: int, row: int, number: int, rng) -> dict:
    """A firm's laboratories in the middle, car parks and small laboratories around them, old houses in the west."""
    middle = (column, row) == (1, 1)
    anchor = middle and number in (1, 2, 4)
    town_side = column == 0
    park = not town_side and (column + row) % 2 == 1 and number == 5
    hall = (column + row) % 2 == 0 and number == 3
    empty = park or (not anchor and not town_side and rng.random() < 0.5)
    return {
        "zone": "ANCHOR" if anchor else "TOWN" if town_side else "PARK" if park else "HALL" if hall else "CAMPUS",
        "max_far": 1.8 if anchor else 1.2 if town_side else 2.0,
        "coverage": 0.6 if anchor else 0.4,
        "storeys": 4 if anchor else 0 if empty else int(rng.integers(1, 3)),
        "protected": park,
        "year": 0 if empty else 1998 if anchor else int(rng.integers(1930, 2000)),
        "gfa_anchor": 0.95 if anchor else 0.0,
        "gfa_firms": 0.9 if not (anchor or town_side or empty) else 0.0,
        "gfa_housing": 0.9 if town_side else 0.0,
    }


if __name__ == "__main__":
    town(
        FOLDER,
        crs="EPSG:28992",
        origin=(159_650.0, 380_050.0),
        blocks=(3, 3),
        lots=(3, 2),
        lot=(34.0, 40.0),
        facts=facts,
        street=16.0,
        turn=20.0,
        seed=9,
    )
