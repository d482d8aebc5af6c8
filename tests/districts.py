"""Small districts and studies for tests."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

import optimizer
from optimizer.district import read_district
from optimizer.plan import Plan
from optimizer.problem import assemble
from optimizer.study import load_study

CRS = "EPSG:32632"
ORIGIN = (500_000.0, 5_300_000.0)
USES = {
    "making": {"label": "Making", "storey_height": 5.0, "floor_per_job": 40.0, "sound_power": 60.0, "rank": 1},
    "shops": {"label": "Shops", "storey_height": 4.0, "floor_per_job": 20.0, "rank": 2},
    "homes": {"label": "Homes", "storey_height": 3.0, "floor_per_home": 80.0, "rank": 3},
}
LINKS = [
    {"client": "homes", "supplier": "shops", "demand": 0.4, "strength": 1.0, "reach": 120},
    {"client": "making", "supplier": "shops", "demand": 0.3, "strength": 0.5, "reach": 80},
    {"client": "making", "supplier": "homes", "demand": 0.5, "strength": 0.7, "reach": 300},
]


def lots(count, *, side=20.0, gap=5.0, columns=None, **facts):
    """Square lots in a grid; facts are columns, one value each or one for all."""
    columns = columns or count
    shapes = [
        shapely.box(x, y, x + side, y + side)
        for x, y in (
            (ORIGIN[0] + (side + gap) * (i % columns), ORIGIN[1] + (side + gap) * (i // columns)) for i in range(count)
        )
    ]
    table = {"id": [f"L{i}" for i in range(count)], "max_far": 2.4, "coverage": 0.6, "storeys": 0, **facts}
    for use in USES:
        table.setdefault(f"gfa_{use}", 0.0)
    return gpd.GeoDataFrame(table, geometry=shapes, crs=CRS)


def study(*, rules=(), lot_columns=("id", "max_far", "coverage", "storeys"), **sections):
    """A study over such lots."""
    data = {
        "name": "Test",
        "parcels": {
            "columns": {c: c for c in lot_columns},
            "existing": {use: f"gfa_{use}" for use in USES},
        },
        "uses": USES,
        "linkages": LINKS,
        "objective": {"proximity": 0.6, "mixing": 0.4, "scales": {"building": 0.5, "neighbourhood": 0.5}},
        "rules": list(rules),
        "solve": {"gap": 1e-6, "time_limit": 60, "threads": 1},
        **sections,
    }
    return load_study(data, Path())


def problem_of(asked, frame):
    """The program of a study over lots."""
    return assemble(asked, read_district(asked, frame))


def solve(asked, frame):
    return optimizer.solve(asked, parcels=frame)


def checked(asked, frame, action, floors, district=None):
    """What a study's rules say of a plan written by hand: checks by rule and scope."""
    plan = Plan(asked, district or read_district(asked, frame), np.array(action, dtype=object), np.array(floors), {})
    evidence = plan.evidence
    return [check for rule in asked.rules for check in rule.check(evidence)]


def area(plan, use):
    return float(plan.to_frame()[f"gfa_{use}"].sum())


def random_lots(rng, count=None):
    """A few lots with random limits and buildings."""
    count = count or int(rng.integers(2, 7))
    storeys = np.where(rng.random(count) < 0.5, rng.integers(1, 4, count), 0)
    frame = lots(count, columns=3, storeys=storeys, max_far=rng.choice([1.2, 1.8, 2.4], count))
    for i in range(count):
        if storeys[i]:
            use = rng.choice(list(USES))
            frame.loc[i, f"gfa_{use}"] = 240.0 * storeys[i]
    return frame
