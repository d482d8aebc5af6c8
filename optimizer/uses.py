"""Uses of floor space and the linkages between them, with the numbers Upstairs ships.

The shipped numbers stand in ``catalogue.toml``, each with its source and status.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Use:
    """A kind of floor.

    Attributes
    ----------
    name, label, colour : str
        Key in files, name for people, colour on maps (``#rrggbb``).
    storey_height : float
        Floor to floor, m.
    floor_per_job, floor_per_home : float
        Gross floor area of one job or dwelling, m²; 0 when the use has none.
    residents_per_home : float
        People in one dwelling.
    sound_power : dict
        A-weighted sound power radiated per m² of floor while it operates, dB(A), by period (``day``, ``evening``,
        ``night``); silent in a period that is left out.
    hours : dict
        Hours for which it operates in each period; the whole period where left out.
    spectrum : tuple of float, length 8
        A-weighted octave-band levels from 63 to 8,000 Hz, dB, up to a constant; empty for equal bands.
    roof_share : float
        Share of the sound that leaves by the roof, the rest by the facades.
    heavy_trips : dict
        Movements of heavy vehicles per 100 m² of floor in each period.
    sound_per_trip : float
        Sound power of one movement averaged over an hour, dB(A).
    emissions : dict
        By pollutant: g per m² of floor and year (``pm25``, ``pm10``, ``no2``) or odour units per m² of floor and hour
        of operation (``odour``).
    stack_height : float or None
        Height of the outlet above the roof, m; None where air leaves by the facades.
    rank : float
        Place in a building: lower ranks nearer the ground.
    """

    name: str
    label: str
    colour: str
    storey_height: float
    floor_per_job: float = 0.0
    floor_per_home: float = 0.0
    residents_per_home: float = 2.0
    sound_power: Mapping[str, float] = field(default_factory=dict)
    hours: Mapping[str, float] = field(default_factory=dict)
    spectrum: tuple[float, ...] = ()
    roof_share: float = 0.0
    heavy_trips: Mapping[str, float] = field(default_factory=dict)
    sound_per_trip: float = 80.0
    emissions: Mapping[str, float] = field(default_factory=dict)
    stack_height: float | None = None
    rank: float = 0.0


@dataclass(frozen=True)
class Linkage:
    """A client use that draws on a supplier use within walking reach.

    Attributes
    ----------
    client, supplier : str
        Names of uses.
    demand : float
        m² of the supplier drawn on by one m² of the client.
    strength : float
        Weight of one m² of demand served at distance zero.
    reach : float
        Walking distance at which a served m² is worth nothing, m.
    shared : bool
        Whether many clients draw on the same floor at once (an anchor, a park).
    """

    client: str
    supplier: str
    demand: float
    strength: float
    reach: float
    shared: bool = False

    @property
    def name(self) -> str:
        """``client<supplier``, as in tables."""
        return f"{self.client}<{self.supplier}"


@cache
def catalogue() -> dict[str, Any]:
    """Return the shipped uses and linkages as written in ``catalogue.toml``, sources included."""
    return tomllib.loads(files("optimizer").joinpath("catalogue.toml").read_text(encoding="utf-8"))


@cache
def default_uses() -> dict[str, dict[str, Any]]:
    """Return the shipped uses as plain values: a mapping of name to the fields of `Use`."""
    return {
        name: {key: item["value"] if isinstance(item, dict) else item for key, item in fields.items()}
        for name, fields in catalogue()["uses"].items()
    }


@cache
def default_linkages() -> tuple[dict[str, Any], ...]:
    """Return the shipped linkages as plain values."""
    return tuple(
        {key: item for key, item in fields.items() if key not in ("source", "status")}
        for fields in catalogue()["linkages"]
    )
