"""Draw a case's picture and print its table: python examples/cases/draw.py NAME OUT [FILE], after upstairs solve ... --out OUT."""

import json
import sys
from pathlib import Path

import geopandas as gpd
import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Patch

from optimizer.study import load_study

ROWS = (
    ("proximity, 0 to 1", ("proximity", "index"), ".3f"),
    ("demand met in the same building", ("proximity", "shares", "same_building"), ".1%"),
    ("mix in buildings, 0 to 1", ("mixing", "building"), ".3f"),
    ("mix in neighbourhoods, 0 to 1", ("mixing", "neighbourhood"), ".3f"),
    ("uses that count (Hill number)", ("laws", "diverse", "hill_1"), ".2f"),
    ("walk to a supplier, m", ("laws", "extremely_mixed", "reach_m"), ",.0f"),
    ("floor area, m²", ("density", "floor_area_m2"), ",.0f"),
    ("floor area ratio, m²/m²", ("density", "far"), ".2f"),
    ("jobs", ("density", "jobs"), ",.0f"),
    ("homes", ("density", "homes"), ",.0f"),
)


def table(result: dict) -> str:
    """Return a Markdown table of today and plan."""
    lines = ["| | today | plan |", "|---|---:|---:|"]
    for label, path, style in ROWS:
        values = []
        for group in ("existing", "indices"):
            value = result[group]
            for key in path:
                value = value[key]
            values.append(format(value, style))
        lines.append(f"| {label} | {values[0]} | {values[1]} |")
    uses = result["indices"]["floor_area_m2"]
    lines += [f"| {use}, m² | {result['existing']['floor_area_m2'][use]:,.0f} | {uses[use]:,.0f} |" for use in uses]
    return "\n".join(lines)


def picture(folder: Path, file: Path) -> None:
    """Draw today and plan by dominant use, and the plan's stacks side by side from the ground up."""
    study = load_study(folder / "study.toml")
    parcels = gpd.read_file(folder / "plan.gpkg", layer="parcels", engine="pyogrio")
    colour = {name: use.colour for name, use in study.uses.items()}
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), width_ratios=[1, 1, 1.15], layout="constrained")
    # Roads and rivers among real parcels reach far beyond what is built.
    built = (parcels["dominant_use"].fillna("") != "") | (parcels["today_dominant_use"].fillna("") != "")
    west, south, east, north = parcels[built].total_bounds
    for axis, column, title in (
        (axes[0], "today_dominant_use", "Today: dominant use"),
        (axes[1], "dominant_use", "Plan: dominant use"),
    ):
        fill = [colour.get(use, "#E8E8E8") for use in parcels[column]]
        parcels.plot(ax=axis, color=fill, edgecolor="white", linewidth=0.5)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
        axis.set_xlim(west - 20, east + 20)
        axis.set_ylim(south - 20, north + 20)
    stacks = [json.loads(s) if isinstance(s, str) else s for s in parcels["stack"]]
    buildings: dict[tuple[int, int], list] = {}
    for k, items in enumerate(stacks):
        for item in items:
            buildings.setdefault((k, item["site"]), []).append(item)
    ordered = sorted(buildings.values(), key=lambda b: -max(i["to"] for i in b))
    for x, items in enumerate(ordered):
        # By floor area, since the uses of a kept building may share a storey.
        top, each = 0.0, max(i["to"] for i in items) / sum(i["gfa_m2"] for i in items)
        for item in items:
            axes[2].bar(x, item["gfa_m2"] * each, bottom=top, width=0.92, color=colour[item["use"]], linewidth=0)
            top += item["gfa_m2"] * each
    axes[2].set_title("Plan: every building, storey by storey", fontsize=10)
    axes[2].set_ylabel("storey")
    axes[2].set_xticks([])
    axes[2].yaxis.get_major_locator().set_params(integer=True)
    for side in ("top", "right"):
        axes[2].spines[side].set_visible(False)
    keys = [Patch(color=use.colour, label=use.label) for use in study.uses.values()]
    keys.append(Patch(color="#E8E8E8", label="no building"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False, fontsize=9)
    figure.suptitle(study.name, fontsize=11)
    figure.savefig(file, dpi=110)


def main() -> None:
    """Draw into the case's folder."""
    case, folder = Path(__file__).parent / sys.argv[1], Path(sys.argv[2])
    picture(folder, case / (sys.argv[3] if len(sys.argv) > 3 else "picture.png"))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    print(f"Gap {result['gap']:.2%} after {result['seconds']:.0f} s.\n")
    print(table(result))


if __name__ == "__main__":
    main()
