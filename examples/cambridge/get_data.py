"""Put the data of the Kendall Square example in place: python get_data.py --from DIR.

DIR holds the City of Cambridge layers (kendall.gpkg, east_cambridge.gpkg) and the zoning table (zone_limits.csv).
Every file's SHA-256 is checked.
"""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

HASHES = {
    "kendall.gpkg": "6ba2a48145e9d5e80574cbddf952fbc6b29a513f4975a2b41a846762e53f9f42",
    "east_cambridge.gpkg": "600151b10f1e93999412a49aca6466245e1834af7f9fbabcf8bb078fb8da3d83",
    "zone_limits.csv": "6a93acd84de46a5bb41df63b510ab5f8ff720e3c6cf8eacfac6a5a6794f241f0",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True, help="folder that holds the files")
    source = parser.parse_args().source
    target = Path(__file__).resolve().parent / "data"
    for name, expected in HASHES.items():
        file = source / name
        if not file.is_file():
            print(f"{file}: no such file; --from names the folder that holds {', '.join(HASHES)}", file=sys.stderr)
            return 2
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != expected:
            print(f"{file}: SHA-256 is {found}, expected {expected}; fetch the file again", file=sys.stderr)
            return 2
    target.mkdir(exist_ok=True)
    for name in HASHES:
        shutil.copyfile(source / name, target / name)
        print(f"{target.name}/{name}  checked and copied")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
