"""What a file of parcels seems to hold: each proposal follows from how the data were made, and says how sure it is."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geodata.detect import propose, use_of
from geodata.errors import GeodataError
from tests.districts import CRS, lots
from tests.publishers import SAMPLES

FOOT = 0.3048
ACRE = 43_560 * FOOT**2
LOT = 400.0
"""m² of a lot of `tests.districts.lots`."""
COUNT = 12
STOREYS = np.array([1, 2, 3, 4] * 3)


def looked_at(tmp_path, layer=None, crs=CRS, **columns):
    """The proposal for lots with these columns and no others, by key."""
    frame = lots(COUNT)[["geometry"]].assign(**columns).to_crs(crs)
    frame.to_file(tmp_path / "lots.gpkg", layer="lots")
    found = propose(tmp_path / "lots.gpkg", layer)
    return {guess.key: guess for guess in found.guesses}, found


def said(guess):
    return guess.value, guess.confidence


@pytest.mark.parametrize("name", SAMPLES)
def test_a_publishers_columns_are_known(tmp_path, name):
    found = propose(SAMPLES[name].write(tmp_path))
    assert found.preset.name == name
    assert {guess.confidence for guess in found.guesses if guess.key != "unmapped"} == {"sure"}
    assert found.parcels["columns"]
    assert found.features == len(SAMPLES[name].frame())


def test_what_a_publisher_has_and_the_file_lacks_is_said(tmp_path):
    sample = SAMPLES["mappluto"].frame().drop(columns=["YearBuilt", "StrgeArea", "FacilFAR"])
    sample.to_file(tmp_path / "lots.gpkg")
    guesses = {guess.key: guess for guess in propose(tmp_path / "lots.gpkg").guesses}
    assert guesses["columns.year"].value is None
    assert "YearBuilt" in guesses["columns.year"].reason
    assert guesses["existing.workshop"].value == ["FactryArea"]
    assert guesses["columns.max_far"].value == ["ResidFAR", "CommFAR"]


def test_codes_of_a_preset_wait_for_floor_area(tmp_path):
    SAMPLES["bag"].frame().drop(columns="oppervlakte").to_file(tmp_path / "panden.gpkg")
    assert "codes" not in propose(tmp_path / "panden.gpkg").parcels


def test_codes_that_no_list_has_are_named(tmp_path):
    sample = SAMPLES["bag"].frame()
    sample.loc[0, "gebruiksdoel"] = "woonfunctie,winkelfunctie"
    sample.to_file(tmp_path / "panden.gpkg")
    found = propose(tmp_path / "panden.gpkg")
    (guess,) = [guess for guess in found.guesses if guess.key == "unmapped"]
    assert said(guess) == ("none", "likely")
    assert "woonfunctie,winkelfunctie (1)" in guess.reason
    assert found.parcels["unmapped"] == "none"


def test_names_and_contents_together_are_sure(tmp_path):
    guesses, found = looked_at(
        tmp_path,
        Parcel_ID=[f"P{i}" for i in range(COUNT)],
        Zoning=["R1", "M1", "R1"] * 4,
        NumStories=STOREYS,
        YearBuilt=np.arange(1900, 1900 + COUNT),
        LotArea=LOT,
        FAR=np.linspace(0.5, 3, COUNT),
        Coverage=0.4,
        Landmark=["yes", "no", ""] * 4,
    )
    assert found.preset is None
    for key, column in (
        ("id", "Parcel_ID"),
        ("zone", "Zoning"),
        ("storeys", "NumStories"),
        ("year", "YearBuilt"),
        ("site_area", "LotArea"),
        ("max_far", "FAR"),
        ("coverage", "Coverage"),
        ("protected", "Landmark"),
    ):
        assert said(guesses[f"columns.{key}"]) == (column, "sure"), key
        assert found.parcels["columns"][key] == column
    assert found.land == pytest.approx(COUNT * LOT)


def test_contents_alone_are_a_guess_and_not_used(tmp_path):
    guesses, found = looked_at(tmp_path, a=np.arange(1900, 1900 + COUNT), b=["X", "Y", "Z"] * 4)
    assert said(guesses["columns.year"]) == ("a", "guess")
    assert said(guesses["columns.zone"]) == ("b", "guess")
    assert "columns" not in found.parcels


def test_a_name_alone_does_not_outweigh_contents(tmp_path):
    guesses, _ = looked_at(
        tmp_path,
        year=1600.5,
        storeys=900,
        coverage=60.0,
        far=-1.0,
        protected="maybe",
        zone=[str(i) for i in range(COUNT)],
    )
    for key in ("year", "storeys", "coverage", "max_far", "protected"):
        assert f"columns.{key}" not in guesses, key


def test_an_id_must_be_there_and_differ(tmp_path):
    guesses, _ = looked_at(tmp_path, parcel_id=["A", *("B" * (COUNT - 1))], objectid=np.arange(COUNT))
    assert said(guesses["columns.id"]) == ("objectid", "likely")
    guesses, _ = looked_at(tmp_path, parcel_id=[None, *map(str, range(COUNT - 1))])
    assert said(guesses["columns.id"]) == ("parcel_id", "guess")


@pytest.mark.parametrize(("unit", "size"), [("m2", 1.0), ("ft2", FOOT**2), ("ha", 1e4), ("acre", ACRE)])
def test_the_unit_of_land_follows_from_the_polygons(tmp_path, unit, size):
    guesses, found = looked_at(tmp_path, lot_area=LOT / size)
    if unit in ("m2", "ft2"):
        assert said(guesses["area_unit"]) == (unit, "sure")
        assert found.parcels["columns"]["site_area"] == "lot_area"
    else:
        assert guesses["columns.site_area"].confidence == "guess"
        assert unit in guesses["columns.site_area"].reason


@pytest.mark.parametrize(("unit", "size"), [("m2", 1.0), ("ft2", FOOT**2)])
def test_the_unit_of_floors_follows_from_the_plate(tmp_path, unit, size):
    guesses, _ = looked_at(tmp_path, gross_area=0.5 * LOT * STOREYS / size, storeys=STOREYS, use=["office"] * COUNT)
    assert said(guesses["area_unit"]) == (unit, "likely")


@pytest.mark.parametrize(("unit", "size"), [("m2", 1.0), ("ft2", FOOT**2)])
def test_our_own_names_say_nothing_of_units_where_contents_do(tmp_path, unit, size):
    floors = 0.6 * LOT * STOREYS / size
    columns = {"id": [f"p{i}" for i in range(COUNT)], "max_far": 2.0, "storeys": STOREYS}
    found, proposal = looked_at(tmp_path, **columns, gfa_housing=floors / 3, gfa_services=floors * 2 / 3)
    assert proposal.preset.name == "plain"
    assert found["area_unit"].value == unit
    found, _ = looked_at(tmp_path, **{**columns, "storeys": 0}, gfa_housing=floors)
    assert said(found["area_unit"]) == ("m2", "likely")
    found, _ = looked_at(tmp_path, crs="EPSG:2263", **{**columns, "storeys": 0}, gfa_housing=floors)
    assert said(found["area_unit"]) == ("ft2", "guess")


def test_contents_cast_doubt_on_a_publishers_unit(tmp_path):
    sample = SAMPLES["mappluto"].frame()
    for column in sample.columns[sample.columns.str.endswith("Area")]:
        sample[column] *= FOOT**2
    sample.to_file(tmp_path / "lots.gpkg")
    unit = next(guess for guess in propose(tmp_path / "lots.gpkg").guesses if guess.key == "area_unit")
    assert said(unit) == ("ft2", "likely")
    assert "m2" in unit.reason


def test_land_in_acres_beside_floors_in_square_feet(tmp_path):
    guesses, found = looked_at(
        tmp_path, acres=LOT / ACRE, bldg_sqft=0.5 * LOT / FOOT**2, use=["office", "house", "office"] * 4
    )
    assert said(guesses["area_unit"]) == ("ft2", "sure")
    assert said(guesses["columns.site_area"]) == ("acres", "guess")
    assert found.parcels["columns"] == {"gfa": "bldg_sqft", "use_code": "use"}


@pytest.mark.parametrize(("unit", "storey"), [("m", 3.5), ("ft", 11.5)])
def test_the_unit_of_heights_follows_from_storeys(tmp_path, unit, storey):
    guesses, found = looked_at(tmp_path, max_height=STOREYS * storey + 1, max_floors=STOREYS)
    assert said(guesses["length_unit"]) == (unit, "likely")
    assert found.parcels["length_unit"] == unit


def test_the_unit_of_heights_by_name(tmp_path):
    assert said(looked_at(tmp_path, max_height_ft=50.0)[0]["length_unit"]) == ("ft", "sure")
    assert said(looked_at(tmp_path, height_limit=100.0)[0]["length_unit"]) == ("ft", "guess")
    assert said(looked_at(tmp_path, height_limit=20.0)[0]["length_unit"]) == ("m", "guess")


def test_codes_that_speak_are_given_uses(tmp_path):
    guesses, found = looked_at(
        tmp_path,
        land_use=["Single family", "Office", "Light industrial", "Mixed office and housing"] * 3,
        floor_area=100.0,
    )
    assert found.parcels["codes"] == {
        "housing": ["Single family"],
        "services": ["Office"],
        "workshop": ["Light industrial"],
    }
    assert found.parcels["unmapped"] == "none"
    assert "Mixed office and housing (3)" in guesses["unmapped"].reason


def test_names_with_other_letters(tmp_path):
    guesses, _ = looked_at(tmp_path, Fläche=LOT, Geschoßfläche=100.0, 建成年份=np.arange(1900, 1900 + COUNT))
    assert said(guesses["columns.site_area"]) == ("Fläche", "sure")
    assert said(guesses["columns.year"]) == ("建成年份", "guess")


def test_floor_area_without_a_use_is_not_taken(tmp_path):
    guesses, found = looked_at(tmp_path, floor_area=100.0)
    assert said(guesses["columns.gfa"]) == ("floor_area", "guess")
    assert found.parcels == {}


def test_floor_area_by_use(tmp_path):
    guesses, found = looked_at(
        tmp_path, gfa_total=400.0, residential_area=100.0, office_area=100.0, retail_area=200.0, use=["a", "b", "c"] * 4
    )
    assert found.parcels["existing"] == {"housing": "residential_area", "services": ["office_area", "retail_area"]}
    assert "gfa" not in found.parcels["columns"]
    assert "codes" not in found.parcels
    assert guesses["columns.gfa"].reason == "counted by use already"


def test_a_sum_of_others_is_not_added_to_them(tmp_path):
    _, found = looked_at(
        tmp_path, residential_area=50.0, commercial_area=300.0, office_area=100.0, retail_area=np.full(COUNT, 200.0)
    )
    assert found.parcels["existing"]["services"] == "commercial_area"


def test_the_working_crs(tmp_path):
    assert said(looked_at(tmp_path)[0]["crs"]) == (None, "sure")
    for crs in ("EPSG:4326", "EPSG:3857"):
        assert said(looked_at(tmp_path, crs=crs)[0]["crs"]) == ("EPSG:32632", "sure")


def test_dates_booleans_and_empty_columns_are_no_numbers(tmp_path):
    guesses, _ = looked_at(
        tmp_path, year=pd.Timestamp("1999-01-01"), floors=pd.array([None] * COUNT, dtype="Float64"), far=["x"] * COUNT
    )
    assert not {"columns.year", "columns.storeys", "columns.max_far"} & set(guesses)


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("WAREHOUSE", "workshop"),
        ("Row houses", "housing"),
        ("3-family", "housing"),
        ("RES-&-DEV-FC", None),
        ("R&D", "rnd"),
        ("Retail store", "services"),
        ("Vacant residential", None),
        ("101", None),
        ("", None),
    ],
)
def test_words_of_uses(text, use):
    assert use_of(text) == use


def written(tmp_path, frame):
    frame.to_file(tmp_path / "lots.gpkg", layer="lots")
    return tmp_path / "lots.gpkg"


def test_what_holds_no_parcels(tmp_path):
    degrees = lots(3).to_crs(4326).set_crs(CRS, allow_override=True)
    for frame, message in (
        (lots(3).iloc[:0], "empty"),
        (lots(3).set_geometry(lots(3).centroid), "geometry is Point; polygons are expected"),
        (lots(3).set_geometry(lots(3).boundary), "geometry is LineString; polygons are expected"),
        (degrees, "look like degrees"),
        (lots(3).to_crs(4326).scale(1e-6, 1e-6).to_frame("geometry"), "no parcel"),
        (lots(3).set_geometry([None] * 3, crs=CRS), "no feature has a geometry"),
    ):
        with pytest.raises(GeodataError, match=message):
            propose(written(tmp_path, frame))
        (tmp_path / "lots.gpkg").unlink()
    (tmp_path / "lots.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(GeodataError, match="empty"):
        propose(tmp_path / "lots.geojson")
    with pytest.raises(GeodataError, match="no such file"):
        propose(tmp_path / "nothing.gpkg")
    pd.DataFrame({"id": [1]}).to_csv(tmp_path / "table.csv")
    with pytest.raises(GeodataError, match="no geometry"):
        propose(tmp_path / "table.csv")


def test_a_missing_geometry_among_polygons(tmp_path):
    shapes = [*lots(2).geometry, None, shapely.Polygon()]
    frame = gpd.GeoDataFrame({"lot_area": [LOT] * 4}, geometry=shapes, crs=CRS)
    found = propose(written(tmp_path, frame))
    assert found.land == pytest.approx(2 * LOT)
    assert found.parcels["columns"]["site_area"] == "lot_area"
