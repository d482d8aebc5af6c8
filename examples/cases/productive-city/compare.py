"""Compare the quarters of a plan: python compare.py OUT, after upstairs solve study.toml --out OUT."""

import json
import sys
from pathlib import Path

import numpy as np

USES = ("workshop", "services", "rnd", "housing")
HOME = 80.0  # m² of floor a home, as shipped


def main() -> None:
    """Print a Markdown table, one quarter a row."""
    lots = json.loads((Path(__file__).parent / "parcels.geojson").read_text(encoding="utf-8"))
    zone = {lot["properties"]["id"]: lot["properties"]["zone"] for lot in lots["features"]}
    plan = json.loads((Path(sys.argv[1]) / "plan.geojson").read_text(encoding="utf-8"))
    rows = [feature["properties"] for feature in plan["features"]]  # one building a lot
    print("| quarter | floor area, m² | mix in buildings, 0 to 1 | homes | homes, share | workshops, m² | tallest |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for quarter in dict.fromkeys(zone.values()):
        chosen = [row for row in rows if zone[row["parcel_id"]] == quarter]
        area = np.array([[row[f"gfa_{use}"] for use in USES] for row in chosen], dtype=float)
        share = area / np.maximum(area.sum(axis=1, keepdims=True), 1.0)
        entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1) / np.log(len(USES))
        total, homes = area.sum(), area[:, USES.index("housing")].sum()
        print(
            f"| {quarter} | {total:,.0f} | {(area.sum(axis=1) * entropy).sum() / total:.3f} | {homes / HOME:,.0f} "
            f"| {homes / total:.0%} | {area[:, 0].sum():,.0f} | {max(row['floors'] for row in chosen)} |"
        )


if __name__ == "__main__":
    main()
