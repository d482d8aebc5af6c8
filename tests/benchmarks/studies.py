"""The districts that are measured: real ones, and synthetic ones under the terms of examples/synthetic."""

from __future__ import annotations

import geopandas as gpd

from geodata.synthetic import synthetic_district
from optimizer.study import Study, load_study
from tests.benchmarks.registry import ROOT

FILES = {"Kendall": "examples/cambridge/kendall.toml", "East Cambridge": "examples/cambridge/east.toml"}
NOISE = 63.0
"""Limit of the shipped studies, dB(A)."""
Layers = tuple[gpd.GeoDataFrame | None, gpd.GeoDataFrame | None]


def ask(district: str, noise: float | None, **solve: object) -> Study:
    """Return the study of a district: a name of `FILES`, or a number of synthetic parcels.

    Parameters
    ----------
    noise : float or None
        Limit at homes, dB(A), in place of the study's; None drops the rule.
    solve
        Changes of the study's ``[solve]``.
    """
    shipped = f"examples/synthetic/district-1000{'' if noise is None else '-noise'}.toml"
    study = load_study(ROOT / FILES.get(district, shipped))
    data = study.to_dict()
    data["rules"] = [rule for rule in data["rules"] if rule["kind"] != "noise" or noise is not None]
    for rule in data["rules"]:
        if rule["kind"] == "noise":
            rule["limits"] = {"housing": noise}
    if district not in FILES:
        data["name"] = f"Synthetic district of {district} parcels"
        del data["parcels"]["file"], data["streets"]
    data["solve"] |= {key: value for key, value in solve.items() if value is not None}
    return load_study(data)


def layers(district: str) -> Layers:
    """Return parcels and streets of a synthetic district; none of a real one, whose study names its files."""
    return (None, None) if district in FILES else synthetic_district(int(district))


def there(district: str) -> bool:
    """Whether a district's data have been fetched."""
    if district not in FILES:
        return True
    study = ask(district, None)
    return study.path(study.parcels.file or "").is_file()


def label(district: str) -> str:
    return district if district in FILES else f"{int(district):,} parcels"
