"""The sections of a study file and what each key holds; `optimizer.study` puts them together."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from geodata.database import is_address
from geodata.walking import DEFAULT_SNAP
from optimizer.emissions import PERIODS
from optimizer.rules.base import NonNegative, Share
from optimizer.uses import Use

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Action = Literal["keep", "convert", "redevelop", "clear"]
Period = Literal["day", "evening", "night"]
Pollutant = Literal["pm25", "pm10", "no2", "odour"]
SEVERAL = ("max_far", "max_height", "max_floors")
"""Limits of which the largest counts where several columns are named."""
_SEVERAL_FOR = f"{', '.join(SEVERAL)} (the largest counts) and for a use of parcels.existing (they are added up)"
Decibel = Annotated[float, Field(ge=0, le=140, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of the study; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class LimitsSection(Section):
    """A zoning table joined on a key."""

    file: str
    key: str
    on: str = "zone"
    columns: dict[Literal["max_far", "max_height", "max_floors", "coverage"], str]
    length_unit: Literal["m", "ft"] = "m"
    layer: str | None = None


class SourceSection(Section):
    """A layer of a file, or a table of a database."""

    file: str | None = None
    layer: str | None = None
    table: str | None = None

    @model_validator(mode="after")
    def _table_of_database(self) -> SourceSection:
        database = self.file is not None and is_address(self.file)
        if database and (self.table is None or self.layer is not None):
            raise ValueError(
                f'file = {self.file!r} is a database; name its table, such as table = "public.parcels", and no layer'
            )
        if self.table is not None and not database:
            raise ValueError(
                f"table = {self.table!r}: only a database has tables; file is postgresql://host/database then"
            )
        return self


class ParcelsSection(SourceSection):
    """Where the parcels come from and what their columns mean; a preset is filled in before."""

    preset: None = None
    crs: str | None = None
    area_unit: Literal["m2", "ft2", "ha", "acre"] = "m2"
    length_unit: Literal["m", "ft"] = "m"
    columns: dict[
        Literal[
            "id",
            "zone",
            "use_code",
            "gfa",
            "storeys",
            "year",
            "site_area",
            "max_far",
            "max_height",
            "max_floors",
            "coverage",
            "protected",
        ],
        str | list[str],
    ] = {}
    existing: dict[str, str | list[str]] = {}
    codes: dict[str, list[str]] = {}
    unmapped: str | None = None
    limits: LimitsSection | None = None
    defaults: dict[Literal["max_far", "max_height", "max_floors", "coverage", "storeys"], Positive] = {}
    min_area: NonNegative = 20.0
    max_far_today: Positive = 15.0
    open_land: str | None = None

    @field_validator("columns", "existing")
    @classmethod
    def _several_where_they_combine(cls, value: dict[str, str | list[str]], info: ValidationInfo) -> Any:
        for key, columns in value.items():
            if isinstance(columns, list) and (not columns or (info.field_name == "columns" and key not in SEVERAL)):
                raise ValueError(f"{key} = {columns}: one column is expected; several may be named for {_SEVERAL_FOR}")
        return value

    @field_validator("codes", mode="before")
    @classmethod
    def _codes_as_text(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: [str(c) for c in v] if isinstance(v, list) else v for k, v in value.items()}
        return value


class StreetsSection(SourceSection):
    """Street centre lines people walk on; without them parcels are linked to their neighbours."""

    file: str
    snap: Positive = DEFAULT_SNAP


class LayerSection(Section):
    """A layer that says something of parcels: fact ``layer_<name>``."""

    file: str
    layer: str | None = None
    column: str | None = None
    within: NonNegative = 0.0


class SitesSection(Section):
    """How large parcels are divided into building sites."""

    plate: Positive = 1500.0


class UseSection(Section):
    """A use; a shipped one inherits what is not given."""

    label: str
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] = "#56B4E9"
    storey_height: Annotated[float, Field(gt=0, le=50, allow_inf_nan=False)]
    floor_per_job: NonNegative = 0.0
    floor_per_home: NonNegative = 0.0
    residents_per_home: NonNegative = 2.0
    sound_power: dict[Period, Decibel] = {}
    sound_per_establishment: dict[Period, Decibel] = {}
    floor_per_establishment: Positive | None = None
    hours: dict[Period, NonNegative] = {}
    spectrum: Annotated[list[Annotated[float, Field(ge=-200, le=200)]], Field(min_length=8, max_length=8)] | None = None
    roof_share: Share = 0.0
    heavy_trips: dict[Period, NonNegative] = {}
    sound_per_trip: Decibel = 80.0
    emissions: dict[Pollutant, NonNegative] = {}
    stack_height: NonNegative | None = None
    rank: Annotated[float, Field(allow_inf_nan=False)] = 0.0

    @field_validator("sound_power", "sound_per_establishment", "heavy_trips", mode="before")
    @classmethod
    def _all_day(cls, value: Any) -> Any:
        return dict.fromkeys(PERIODS, value) if isinstance(value, (int, float)) else value

    @field_validator("hours")
    @classmethod
    def _within_periods(cls, value: dict[str, float]) -> dict[str, float]:
        for period, hours in value.items():
            if hours > 24:
                raise ValueError(f"{period} = {hours:g} h is longer than a day")
        return value

    @model_validator(mode="after")
    def _power_once(self) -> UseSection:
        if bool(self.sound_per_establishment) != (self.floor_per_establishment is not None):
            raise ValueError("sound_per_establishment and floor_per_establishment (m²) go together; give both")
        if self.sound_per_establishment and self.sound_power:
            raise ValueError("sound_power (per m²) and sound_per_establishment are both given; give one")
        return self

    def use(self, name: str) -> Use:
        """Return the use, its sound per m² of floor."""
        power: dict[str, float] = {str(period): level for period, level in self.sound_power.items()}
        if self.floor_per_establishment is not None:
            spread = 10 * math.log10(self.floor_per_establishment)
            power = {str(period): level - spread for period, level in self.sound_per_establishment.items()}
        own = {"sound_power", "sound_per_establishment", "floor_per_establishment", "spectrum"}
        return Use(name=name, sound_power=power, spectrum=tuple(self.spectrum or ()), **self.model_dump(exclude=own))


class LinkageSection(Section):
    """A client use drawing on a supplier use."""

    client: str
    supplier: str
    demand: Positive
    strength: Positive = 1.0
    reach: Positive
    shared: bool = False


class MixingScales(Section):
    """Weights of the scales at which mixing is measured; they are divided by their sum."""

    building: NonNegative = 0.5
    block: NonNegative = 0.0
    neighbourhood: NonNegative = 0.5


class ReferenceSection(Section):
    """Floor area that the score's terms are divided by, m², where scores of several studies must be of one kind."""

    total: Positive
    uses: dict[str, NonNegative]


class ObjectiveSection(Section):
    """Weights of the score's terms."""

    proximity: NonNegative = 0.6
    mixing: NonNegative = 0.4
    density: NonNegative = 0.0
    jobs: NonNegative = 0.0
    homes: NonNegative = 0.0
    preserved: NonNegative = 0.0
    unchanged: NonNegative = 0.0
    scales: MixingScales = MixingScales()
    neighbourhood_size: Positive = 250.0
    reference: ReferenceSection | None = None

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term by its name."""
        names = ("proximity", "mixing", "density", "jobs", "homes", "preserved", "unchanged")
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _mixing_at_some_scale(self) -> ObjectiveSection:
        if self.mixing > 0 and self.scales.building + self.scales.block + self.scales.neighbourhood <= 0:
            raise ValueError("mixing is weighted but every one of its scales is 0")
        return self


class ActionsSection(Section):
    """What may be done with a parcel."""

    allowed: Annotated[list[Action], Field(min_length=1)] = ["keep", "convert", "redevelop", "clear"]


class SolveSection(Section):
    """When to stop, and with which solver."""

    gap: Share = 0.01
    time_limit: Positive = 300.0
    work_limit: Annotated[int, Field(ge=1)] | None = None
    solver: str = "HiGHS"
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    mixing_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.002
    seed: Annotated[int, Field(ge=0)] = 0


class DiagnoseSection(Section):
    """What it costs that a rule gives, where no plan satisfies all of them."""

    prices: dict[str, Annotated[float, Field(gt=0)]] = {}
