"""Draw the lots of the example: python make_parcels.py. Made up, in the size of the park; not a survey."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from shapely.affinity import rotate

ORIGIN = (794_000.0, 2_517_000.0)
CRS = "EPSG:32649"
LANE = 12.0


def main() -> None:
    rows = []
    north = 0.0
    for row, depth in enumerate((72.0, 66.0)):
        west = 0.0
        for column, width in enumerate((92.0, 100.0, 84.0, 108.0)):
            tower = (row, column) == (0, 1)
            today = (row, column) in ((0, 0), (1, 3))
            size = width * depth
            rows.append(
                {
                    "id": f"{'ABC'[row]}{column + 1}",
                    "zone": "tower" if tower else "workshops",
                    "storeys_max": 23 if tower else 5,
                    "coverage": 0.25 if tower else 0.574,
                    "storeys": 3 if today else 0,
                    "year": 1992 if today else 0,
                    "gfa_workshop": round(0.5 * size * 3) if today else 0,
                    "geometry": shapely.box(west, north, west + width, north + depth),
                }
            )
            west += width + LANE
        north += depth + LANE
    frame = gpd.GeoDataFrame(rows, crs=CRS)
    frame.geometry = [rotate(shape, 12, origin=(0, 0)) for shape in frame.geometry]
    frame.geometry = frame.geometry.translate(*ORIGIN)
    frame = frame.to_crs(4326)
    frame.geometry = shapely.set_precision(np.asarray(frame.geometry.array), 1e-7)
    frame.to_file(Path(__file__).with_name("parcels.geojson"), driver="GeoJSON", RFC7946="YES")


if __name__ == "__main__":
    main()
