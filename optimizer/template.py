"""The commented template of a study."""

from __future__ import annotations

from importlib.resources import files

import tomli_w

STREETS = '[streets]\nfile = "streets.gpkg"     # centre lines people walk on; without them parcels link to their neighbours\n'
PLACES = {
    "notes": "[]",
    "attribution": '""',
    "parcels": '"parcels.gpkg"',
    "layer": '# layer = "parcels"',
    "crs": '# crs = "EPSG:32632"',
    "area_unit": 'area_unit = "m2"',
    "length_unit": 'length_unit = "m"',
    "unmapped": "",
    "open_land": "# open_land = \"zone == 'OS'\"",
    "columns": "",
    "existing": "",
    "codes": "# [parcels.codes]           # or one code a parcel: use = [codes]; needs columns.use_code and columns.gfa\n"
    '# housing = ["101", "102"]\n',
    "coverage": "coverage = 0.6",
    "defaults": "",
    "streets": "",
    "programme": "min_today = 1.0             # total floor area against today's\nmax_today = 1.5\n",
}
"""What stands in the template where nothing else is asked for."""


def filled_template(name: str, **places: str) -> str:
    """Return a study as TOML with comments, places of the template filled in."""
    template = files("optimizer").joinpath("templates", "study.toml").read_text(encoding="utf-8")
    return template.format(name=name.replace("\\", "").replace('"', ""), **{**PLACES, **places})


def off_lines(text: str) -> str:
    """Return lines of TOML as comments."""
    return "".join(f"# {line}\n" for line in text.splitlines())


def setting(key: str, value: object) -> str:
    """Return ``key = value`` as one line of TOML."""
    if isinstance(value, list):
        return f"{key} = [{', '.join(setting('x', item).removeprefix('x = ') for item in value)}]"
    return tomli_w.dumps({key: value}).strip()


def comment(text: str) -> str:
    """Return a text for a comment: one line, no control characters."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
