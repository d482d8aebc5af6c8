"""Small made-up samples with the columns of publishers' parcel data, and what they come to in canonical columns."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely

SQUARE_FOOT = 0.3048**2
SIDES = (20.0, 30.0)
LAND = SIDES[0] * SIDES[1]
"""m² of every lot."""


def squares_in(crs, corner, count):
    """Lots in a row, 5 m apart, south-western corner at longitude and latitude."""
    point = gpd.GeoSeries([shapely.Point(corner)], crs=4326).to_crs(crs).iloc[0]
    step = SIDES[0] + 5
    return gpd.GeoSeries(
        [
            shapely.box(point.x + i * step, point.y, point.x + i * step + SIDES[0], point.y + SIDES[1])
            for i in range(count)
        ],
        crs=crs,
    )


def feet(*square_metres):
    return [value / SQUARE_FOOT for value in square_metres]


@dataclass(frozen=True)
class Sample:
    """Columns as published, in a CRS as published, and what is read from them."""

    crs: str
    published: str
    corner: tuple[float, float]
    columns: dict
    read: dict
    layer: str = "parcels"

    def frame(self):
        shapes = squares_in(self.crs, self.corner, len(next(iter(self.columns.values()))))
        return gpd.GeoDataFrame(self.columns, geometry=shapes, crs=self.crs).to_crs(self.published)

    def write(self, folder):
        file = folder / "published.gpkg"
        self.frame().to_file(file, layer=self.layer)
        return file


SAMPLES = {
    "cambridge": Sample(
        "EPSG:26986",
        "EPSG:4326",
        (-71.086, 42.362),
        {
            "ML": ["71-20", "71-21", "71-22", "---"],
            "POLY_TYPE": ["", "", "", "TAX"],
            "Zone": ["IB", "IB", "C-1", "OS"],
            "UseCode": [401.0, 404.0, 102.0, np.nan],
            "LandArea": feet(LAND, LAND, LAND, LAND),
            "GrossArea": [*feet(900, 1200, 300), np.nan],
            "BldgStories": [3.0, 4.0, 1.0, np.nan],
            "YearBuilt": [1908.0, 1999.0, 1930.0, np.nan],
        },
        {
            "parcel_id": ["71-20", "71-21", "71-22", "---"],
            "zone": ["IB", "IB", "C-1", "OS"],
            "use_code": ["401", "404", "102", ""],
            "year": [1908, 1999, 1930, np.nan],
            "storeys_today": [3, 4, 1, 0],
            "coverage": [0.6] * 4,
            "gfa_workshop": [900, 0, 0, 0],
            "gfa_rnd": [0, 1200, 0, 0],
            "gfa_housing": [0, 0, 300, 0],
            "gfa_services": [0, 0, 0, 0],
        },
    ),
    "mappluto": Sample(
        "EPSG:32118",
        "EPSG:2263",
        (-73.99, 40.73),
        {
            "BBL": [1000010010.0, 1000010011.0, 3000010012.0],
            "ZoneDist1": ["M1-1", "C6-2", "R6"],
            "LandUse": ["06", "05", "02"],
            "LotArea": feet(LAND, LAND, LAND),
            "BldgArea": feet(1000, 1500, 800),
            "ComArea": feet(1000, 1500, 0),
            "ResArea": feet(0, 0, 800),
            "OfficeArea": feet(0, 1200, 0),
            "RetailArea": feet(0, 200, 0),
            "GarageArea": feet(50, 0, 0),
            "StrgeArea": feet(250, 0, 0),
            "FactryArea": feet(700, 0, 0),
            "OtherArea": feet(0, 100, 0),
            "NumFloors": [2.0, 5.0, 2.5],
            "YearBuilt": [1931, 1960, 0],
            "ResidFAR": [0.0, 6.02, 2.43],
            "CommFAR": [1.0, 6.0, 0.0],
            "FacilFAR": [2.4, 6.5, 4.8],
        },
        {
            "parcel_id": ["1000010010", "1000010011", "3000010012"],
            "zone": ["M1-1", "C6-2", "R6"],
            "site_area": [LAND] * 3,
            "max_far": [2.4, 6.5, 4.8],
            "storeys_today": [2, 5, 2],
            "year": [1931, 1960, np.nan],
            "gfa_workshop": [950, 0, 0],
            "gfa_rnd": [0, 0, 0],
            "gfa_housing": [0, 0, 800],
            "gfa_services": [0, 1500, 0],
        },
        "MapPLUTO",
    ),
    "san_francisco": Sample(
        "EPSG:7131",
        "EPSG:4326",
        (-122.41, 37.77),
        {
            "blklot": ["3701001", "3701002", "3701003", "3701004"],
            "mapblklot": ["3701001", "3701002", "3701003", "3701004"],
            "resunits": [0, 12, 0, 0],
            "bldgsqft": feet(500, 1200, 2400, 0),
            "yrbuilt": [1912, 1924, 1986, 0],
            "total_uses": feet(500, 0, 2400, 0),
            "landuse": ["PDR", "RESIDENT", "MIPS", "OpenSpace"],
            "cie": [0, 0, 0, 0],
            "mips": feet(0, 0, 2400, 0),
            "pdr": feet(500, 0, 0, 0),
        },
        {
            "parcel_id": ["3701001", "3701002", "3701003", "3701004"],
            "use_code": ["PDR", "RESIDENT", "MIPS", "OpenSpace"],
            "year": [1912, 1924, 1986, np.nan],
            "gfa_workshop": [500, 0, 0, 0],
            "gfa_rnd": [0, 0, 0, 0],
            "gfa_housing": [0, 1200, 0, 0],
            "gfa_services": [0, 0, 2400, 0],
        },
    ),
    "bag": Sample(
        "EPSG:28992",
        "EPSG:28992",
        (4.9, 52.37),
        {
            "identificatie": ["0363100012061242", "0363100012061243", "0363100012061244"],
            "bouwjaar": [1650, 1931, 2005],
            "status": ["Pand in gebruik"] * 3,
            "gebruiksdoel": ["woonfunctie", "winkelfunctie", "industriefunctie"],
            "aantal_verblijfsobjecten": [4, 1, 2],
            "oppervlakte": [480.0, 120.0, 600.0],
        },
        {
            "parcel_id": ["0363100012061242", "0363100012061243", "0363100012061244"],
            "use_code": ["woonfunctie", "winkelfunctie", "industriefunctie"],
            "year": [1650, 1931, 2005],
            "coverage": [1.0] * 3,
            "gfa_workshop": [0, 0, 600],
            "gfa_rnd": [0, 0, 0],
            "gfa_housing": [480, 0, 0],
            "gfa_services": [0, 120, 0],
        },
        "pand",
    ),
    "inspire_cp": Sample(
        "EPSG:25832",
        "EPSG:25832",
        (9.99, 53.54),
        {
            "gml_id": ["cp.1", "cp.2"],
            "areaValue": [598.0, np.nan],
            "areaValue_uom": ["m2", None],
            "inspireId_localId": ["1", "2"],
            "label": ["12", "13/2"],
            "nationalCadastralReference": ["02123400012", "02123400013"],
        },
        {
            "parcel_id": ["02123400012", "02123400013"],
            "site_area": [598.0, LAND],
            "zone": ["", ""],
            "gfa_housing": [0, 0],
        },
        "CadastralParcel",
    ),
    "osm": Sample(
        "EPSG:32632",
        "EPSG:4326",
        (9.99, 48.4),
        {
            "osm_id": [None, None, "77"],
            "osm_way_id": ["101", "102", None],
            "building": ["apartments", "industrial", "yes"],
            "landuse": [None, None, None],
            "building_levels": ["4", "1", None],
            "other_tags": [None, '"addr:street"=>"A"', None],
        },
        {
            "parcel_id": ["101", "102", "parcel"],
            "use_code": ["apartments", "industrial", "yes"],
            "zone": ["", "", ""],
            "gfa_housing": [0, 0, 0],
        },
        "multipolygons",
    ),
    "geofabrik": Sample(
        "EPSG:32632",
        "EPSG:4326",
        (9.99, 48.4),
        {
            "osm_id": ["201", "202"],
            "code": [7203, 7204],
            "fclass": ["residential", "industrial"],
            "name": ["", "Hafen"],
        },
        {"parcel_id": ["201", "202"], "zone": ["residential", "industrial"], "gfa_workshop": [0, 0]},
        "gis_osm_landuse_a_free_1",
    ),
    "plain": Sample(
        "EPSG:32632",
        "EPSG:32632",
        (9.0, 47.8),
        {
            "id": ["A", "B", "C"],
            "zone": ["MX", "IA", "MX"],
            "max_far": [2.0, 3.0, np.nan],
            "max_height": [21.0, 30.0, np.nan],
            "coverage": [0.5, 0.7, np.nan],
            "storeys": [2, 0, 3],
            "year": [1950, 0, 1999],
            "protected": [True, False, False],
            "gfa_workshop": [400.0, 0.0, 0.0],
            "gfa_housing": [100.0, 0.0, 900.0],
        },
        {
            "parcel_id": ["A", "B", "C"],
            "max_far": [2.0, 3.0, 2.0],
            "max_height": [21.0, 30.0, np.nan],
            "coverage": [0.5, 0.7, 0.6],
            "storeys_today": [2, 0, 3],
            "year": [1950, np.nan, 1999],
            "protected": [True, False, False],
            "gfa_workshop": [400, 0, 0],
            "gfa_rnd": [0, 0, 0],
            "gfa_housing": [100, 0, 900],
        },
    ),
}
