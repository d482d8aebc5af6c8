"""Make the parcels and streets of the synthetic studies: python make.py [N ...].

Each size becomes data/district-N.gpkg with layers parcels and streets. A size and a seed give the same file, byte for byte.
"""

import argparse
import sys
from pathlib import Path

import pyogrio

from geodata.errors import GeodataError
from geodata.synthetic import synthetic_district

SIZES = (1000, 5000, 10000, 30000)
DATA = Path(__file__).resolve().parent / "data"
WRITTEN = "2026-01-01T00:00:00.000Z"
"""When the files say they were written, so that their bytes do not depend on the day."""


def make(parcels: int, folder: Path, seed: int = 0) -> Path:
    lots, streets = synthetic_district(parcels, seed)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"district-{parcels}.gpkg"
    file.unlink(missing_ok=True)
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": WRITTEN})
    try:
        lots.to_file(file, layer="parcels", driver="GPKG", engine="pyogrio")
        streets.to_file(file, layer="streets", driver="GPKG", engine="pyogrio")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
    return file


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parcels", metavar="N", type=int, nargs="*", default=SIZES, help="sizes; default: all that ship"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", metavar="DIR", type=Path, default=DATA, help="folder of the files; default: data")
    asked = parser.parse_args()
    for parcels in asked.parcels:
        try:
            file = make(parcels, asked.to, asked.seed)
        except (GeodataError, OSError) as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
        print(f"{file.name}: {parcels:,} parcels")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
