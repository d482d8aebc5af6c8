"""Siting against what others published: OR-Library's p-median problems, a plan of Beijing's HLG community, spopt."""

import json

import geopandas as gpd
import numpy as np
import pulp
import pytest
import shapely
from scipy.spatial.distance import cdist

import optimizer
from geodata.walking import WalkingNetwork
from optimizer.district import read_district
from optimizer.plan import Plan
from optimizer.pulp_bridge import PULP_4

CRS = "EPSG:32650"
ORIGIN = np.array([500_000.0, 4_400_000.0])
GAP = 1e-6
TYPES = {
    4: "residential",
    5: "business",
    6: "office",
    9: "school",
    10: "hospital_l",
    11: "hospital_s",
    12: "recreation",
}
SERVICES = [["business"], ["office"], ["school"], ["hospital_l", "hospital_s"], ["recreation"]]


def lots(points, **facts):
    """Square lots of 100 m² about points, m: one storey of 100 m² at most."""
    shapes = [shapely.Point(p).buffer(5, cap_style="square") for p in ORIGIN + points]
    return gpd.GeoDataFrame({"id": [f"L{i}" for i in range(len(points))], **facts}, geometry=shapes, crs=CRS)


def study(rules, uses=("facility",), columns=(), existing=()):
    """A study of such lots that asks for nothing but its rules."""
    return optimizer.load_study(
        {
            "name": "Published",
            "parcels": {
                "columns": {c: c for c in ("id", *columns)},
                "existing": {use: f"gfa_{use}" for use in existing},
                "defaults": {"max_floors": 1, "max_far": 1, "coverage": 1},
            },
            "uses": {use: {"label": use, "storey_height": 3.0} for use in uses},
            "linkages": [],
            "objective": {"proximity": 0, "mixing": 0},
            "rules": [{"kind": "siting", **rule} for rule in rules],
            "solve": {"gap": GAP, "time_limit": 120},
        }
    )


def read_pmed(file):
    """Return the number of facilities and the graph as a walking network: nodes in a grid, doors at the nodes."""
    (count, _, facilities), *edges = [
        [int(v) for v in line.split()] for line in file.read_text().splitlines() if line.strip()
    ]
    length = {(min(i, j) - 1, max(i, j) - 1): cost for i, j, cost in edges}  # the last of several costs counts
    side = int(np.ceil(np.sqrt(count)))
    points = 20.0 * np.column_stack(np.divmod(np.arange(count), side))
    ends, costs = np.array(list(length)), np.array(list(length.values()), dtype=float)
    none = np.empty(0, dtype=np.int64)
    network = WalkingNetwork(ORIGIN + points, ends, costs, np.arange(count), np.zeros(count), none, "OR-Library", ())
    return facilities, points, network


@pytest.mark.shared
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, pytest.param(6, marks=pytest.mark.slow)])
def test_p_median_of_or_library(shared, number):
    folder = shared / "bench/pmed"
    published = dict(line.split() for line in (folder / "pmedopt.txt").read_text().splitlines()[1:])
    facilities, points, network = read_pmed(folder / f"pmed{number}.txt")
    asked = study([{"use": "facility", "goal": "median", "weight": 1.0, "count": facilities}])
    plan = optimizer.solve(asked, lots(points), network=network)
    stated = next(rule for rule in plan.result["rules"] if rule["scope"] == "least mean distance")
    optimum, most = int(published[f"pmed{number}"]), len(points) * stated["limit"]
    assert stated["value"] * len(points) == pytest.approx(optimum)
    assert (1 - plan.result["objective"]) * most == pytest.approx(optimum)
    # Costs are whole numbers, so a bound less than one below proves the optimum.
    assert (1 - plan.result["bound"]) * most > optimum - 0.5
    assert (plan.floors > 0).sum() == facilities


@pytest.fixture(scope="module")
def community(shared):
    """Blocks of the published plan that are homes or one of five services: names of types and centroids, m."""
    features = json.loads((shared / "bench/drl/result_hlg.geojson").read_text())["features"]
    blocks = [f for f in features if f["properties"]["type"] in TYPES and f["properties"]["existence"]]
    middles = [shapely.geometry.shape(f["geometry"]).centroid for f in blocks]
    return np.array([TYPES[f["properties"]["type"]] for f in blocks]), shapely.get_coordinates(middles)


def life_circle(types, points):
    """Share of the five services within 500 m of homes, averaged over homes."""
    distance = cdist(points[types == "residential"], points)
    return np.mean([(distance[:, np.isin(types, service)].min(axis=1) <= 500).mean() for service in SERVICES])


@pytest.mark.shared
def test_life_circle_of_the_hlg_community(community):
    types, points = community
    homes = types == "residential"
    count = {use: int((types == use).sum()) for use in TYPES.values()}
    cover = {"goal": "cover", "radius": 500.0, "metric": "straight", "weight": 0.2, "clients": ["residential"]}
    rules = []
    for service in SERVICES:
        number = sum(count[use] for use in service)
        counts = {"min_count": number, "max_count": number}
        rules.append({**cover, **counts, "name": service[0], "use": service, "where": "zone == 'residential'"})
    rules += [{"name": use, "use": use, "count": count[use]} for use in ("hospital_l", "hospital_s")]
    frame = lots(points, zone=np.where(homes, "residential", "service"), protected=homes, storeys=homes.astype(int))
    frame["gfa_residential"] = 100.0 * homes
    asked = study(rules, TYPES.values(), ("zone", "protected", "storeys"), ["residential"])

    district = read_district(asked, frame)
    label = dict(zip(frame["id"], types))
    floors = np.array(
        [[label[i] == u.name != "residential" for u in district.uses] for i in district.parcels["parcel_id"]]
    )
    action = np.where(floors.any(axis=1), "redevelop", "keep").astype(object)
    evidence = Plan(asked, district, action, floors.astype(int), {}).evidence
    assert sum(rule.reward(evidence) for rule in asked.rules) == pytest.approx(0.7100)
    assert life_circle(types, points) == pytest.approx(0.7100)
    assert all(check.satisfied for rule in asked.rules for check in rule.check(evidence))

    plan = optimizer.solve(asked, frame)
    assert plan.result["objective"] == pytest.approx(0.7800)
    assert plan.result["bound"] == pytest.approx(0.7800)
    table = plan.to_frame().set_index("parcel_id").loc[frame["id"]]
    found = table["dominant_use"].to_numpy()
    assert life_circle(found, points) == pytest.approx(0.7800)
    assert {use: int((found == use).sum()) for use in TYPES.values()} == count


@pytest.mark.skipif(PULP_4, reason="spopt writes its programs for PuLP 3")
@pytest.mark.parametrize("seed", range(20))
def test_spopt_agrees(seed):
    locate = pytest.importorskip("spopt.locate")
    rng = np.random.default_rng(seed)
    grid = rng.choice(900, int(rng.integers(8, 26)), replace=False)
    points = 40.0 * np.column_stack(np.divmod(grid, 30)) + rng.uniform(-10, 10, (len(grid), 2))
    distance, count, radius = cdist(points, points), int(rng.integers(1, 6)), float(rng.choice([150, 250, 400]))

    def ours(**rule):
        rule = {"use": "facility", "weight": 1.0, "metric": "straight", **rule}
        result = optimizer.solve(study([rule]), lots(points)).result
        assert result["bound"] <= result["objective"] + GAP
        return [row["value"] for row in result["rules"] if row["name"] == "siting"][-1]

    def theirs(problem):
        problem.solve(pulp.HiGHS(msg=False))
        return problem.problem.objective.value()

    weights = np.ones(len(points))
    assert ours(goal="median", count=count) * len(points) == pytest.approx(
        theirs(locate.PMedian.from_cost_matrix(distance, weights, p_facilities=count)), rel=1e-5
    )
    assert ours(goal="cover", radius=radius, count=count) * len(points) == pytest.approx(
        theirs(locate.MCLP.from_cost_matrix(distance, weights, service_radius=radius, p_facilities=count))
    )
    assert ours(goal="cover_all", radius=radius) == pytest.approx(
        theirs(locate.LSCP.from_cost_matrix(distance, service_radius=radius))
    )
    assert ours(goal="centre", count=count) == pytest.approx(
        theirs(locate.PCenter.from_cost_matrix(distance, p_facilities=count)), rel=1e-5
    )
