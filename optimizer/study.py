"""The study file: what is asked of the optimizer, as validated values.

One TOML file names the parcels, the uses, the linkages, the rules, the objective and the limits of the solver.
Every error names the key, its value and what was expected.
"""

from __future__ import annotations

import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from geodata.database import Table, is_address, without_passwords
from geodata.errors import GeodataError
from geodata.layers import columns_of
from geodata.parcels import LimitsTable, ParcelSource, as_listed
from geodata.presets import filled, presets
from geodata.walking import DEFAULT_SNAP
from optimizer.emissions import PERIODS
from optimizer.errors import StudyError, known_name, nearest
from optimizer.rules import Rule, rule_kinds
from optimizer.rules.base import NonNegative, Share
from optimizer.rules.receptors import ReceptorRule
from optimizer.rulesets import Sourced, apply
from optimizer.surroundings import At, PollutionSection
from optimizer.uses import Linkage, Use, default_linkages, default_uses
from optimizer.variants import extended

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
INTERNAL = ("folder", "ruleset", "illustrative")
"""Fields that a study file does not ask for."""
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


class Study(Section):
    """Everything that is asked: a value, validated once."""

    name: Annotated[str, Field(min_length=1)]
    notes: list[str] = []
    attribution: str = ""
    parcels: ParcelsSection = ParcelsSection()
    streets: StreetsSection | None = None
    layers: dict[str, LayerSection] = {}
    sites: SitesSection = SitesSection()
    uses: dict[str, UseSection] = {}
    linkages: list[LinkageSection] = []
    objective: ObjectiveSection = ObjectiveSection()
    actions: ActionsSection = ActionsSection()
    pollution: PollutionSection = PollutionSection()
    rules: list[Any] = []
    numbers: list[Sourced] = []
    solve: SolveSection = SolveSection()
    diagnose: DiagnoseSection = DiagnoseSection()
    folder: Path = Field(default=Path(), exclude=True)

    @field_validator("uses", mode="before")
    @classmethod
    def _inherit_shipped_uses(cls, value: Any) -> Any:
        shipped = default_uses()
        if not isinstance(value, dict):
            return value
        chosen: dict[str, Any] = value or {name: {} for name in shipped}

        def inherited(name: str, fields: dict[str, Any]) -> dict[str, Any]:
            own = "sound_per_establishment" in fields
            taken = {k: v for k, v in shipped.get(name, {}).items() if not (own and k == "sound_power")}
            return {"label": name, **taken, **fields}

        return {n: inherited(n, fields) if isinstance(fields, dict) else fields for n, fields in chosen.items()}

    @field_validator("uses")
    @classmethod
    def _names_fit_columns(cls, value: dict[str, UseSection]) -> dict[str, UseSection]:
        for name in value:
            if not name.isidentifier():
                raise ValueError(f"use {name!r}: a name is letters, digits and _ since it becomes a column")
            if name in ("m2", "dominant_use") or sum(name.lower() == other.lower() for other in value) > 1:
                raise ValueError(f"use {name!r}: the name clashes with another column; take another name")
        return value

    @field_validator("rules", mode="before")
    @classmethod
    def _rules_by_kind(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return _listed(value)

    @model_validator(mode="before")
    @classmethod
    def _shipped_when_silent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            data = _with_rulesets(dict(data))
            data.setdefault("uses", {})
            names = set(data["uses"]) if data["uses"] and isinstance(data["uses"], dict) else set(default_uses())
            if "linkages" not in data:
                data["linkages"] = [link for link in default_linkages() if {link["client"], link["supplier"]} <= names]
        return data

    @model_validator(mode="after")
    def _names_agree(self) -> Study:
        names = list(self.uses)
        for i, link in enumerate(self.linkages):
            for end in ("client", "supplier"):
                known_name(getattr(link, end), names, f"linkages[{i}].{end}")
            if link.client == link.supplier:
                raise StudyError(
                    f"linkages[{i}]: client and supplier are both {link.client!r}; a use does not draw on itself"
                )
        pairs = [(link.client, link.supplier) for link in self.linkages]
        for i, pair in enumerate(pairs):
            if pair in pairs[:i]:
                raise StudyError(f"linkages[{i}]: {pair[0]} drawing on {pair[1]} is given twice; give it once")
        for table in ("existing", "codes"):
            for use in getattr(self.parcels, table):
                if not (table == "codes" and use == "none"):
                    known_name(use, names, f"parcels.{table}")
        if self.parcels.codes and not {"use_code", "gfa"} <= set(self.parcels.columns):
            raise StudyError(
                "parcels.codes: needs parcels.columns.use_code and parcels.columns.gfa to say what stands there"
            )
        columns = [column for given in self.parcels.existing.values() for column in as_listed(given)]
        for column in columns:
            if columns.count(column) > 1:
                raise StudyError(
                    f"parcels.existing: column {column!r} is named twice; its floor area would count twice"
                )
        if self.parcels.unmapped is not None and self.parcels.unmapped != "none":
            known_name(self.parcels.unmapped, names, "parcels.unmapped")
        for i, rule in enumerate(self.rules):
            for key, group in rule.named_places():
                known_name(group, list(self.pollution.places), f"rules[{i}].{key}")
            for name, _, _ in rule.backgrounds() if isinstance(rule, ReceptorRule) else []:
                known_name(name, list(self.pollution.background), f"rules[{i}].background")
            for key, use in rule.named_uses():
                origin = f" of rule set {rule.ruleset}; map it in its roles" if rule.ruleset else ""
                known_name(use, names, f"rules[{i}].{key}{origin}")
        weights = self.objective
        if sum(weights.weights.values()) + sum(rule.most_reward for rule in self.rules) <= 0:
            raise StudyError(f"objective: every weight is 0; give at least one of {', '.join(weights.weights)}")
        if weights.reference is not None and set(weights.reference.uses) != set(names):
            for use in weights.reference.uses:
                known_name(use, names, "objective.reference.uses")
            missing = ", ".join(use for use in names if use not in weights.reference.uses)
            raise StudyError(f"objective.reference.uses: {missing} missing; give the floor area of every use")
        for name in self.diagnose.prices:
            known_name(name, [rule.label for rule in self.rules], "diagnose.prices")
        for rule_error in (rule.contradiction(self.rules) for rule in self.rules):
            if rule_error:
                raise StudyError(rule_error)
        return self

    @property
    def illustrative(self) -> list[str]:
        """Say which numbers of rule sets nobody confirmed."""
        return [f"{n.meaning} {n.value:g} {n.unit} ({n.ruleset})" for n in self.numbers if n.illustrative]

    @property
    def polluted(self) -> bool:
        """Whether a rule looks at receptors: at what arrives there, or at places to protect."""
        return any(isinstance(rule, ReceptorRule) or rule.named_places() for rule in self.rules)

    @property
    def backgrounds(self) -> list[tuple[str, Literal["noise", "air"], At]]:
        """Rasters that rules read: name, kind and where."""
        asked = [item for rule in self.rules if isinstance(rule, ReceptorRule) for item in rule.backgrounds()]
        return list(dict.fromkeys(asked))

    @property
    def use_list(self) -> tuple[Use, ...]:
        """The uses in the order of the study."""
        return tuple(use.use(name) for name, use in self.uses.items())

    @property
    def linkage_list(self) -> tuple[Linkage, ...]:
        """The linkages in the order of the study."""
        return tuple(Linkage(**link.model_dump()) for link in self.linkages)

    def path(self, file: str) -> Path:
        """Resolve a file named in the study against the study's folder."""
        if is_address(file):
            raise StudyError(
                f"file = {file!r}: only parcels and streets are read from a database; export this one to a file"
            )
        return (self.folder / file).resolve() if not Path(file).is_absolute() else Path(file)

    def source(self, section: SourceSection, key: str) -> Path | Table:
        """Return the file or table that the study's section ``key`` names."""
        if section.file is None:
            raise StudyError(f"{key}.file: missing")
        return Table(section.file, section.table) if section.table is not None else self.path(section.file)

    @property
    def tables(self) -> list[Table]:
        """Tables of databases that the study reads."""
        return [
            Table(section.file, section.table)
            for section in (self.parcels, self.streets)
            if section is not None and section.file is not None and section.table is not None
        ]

    def parcel_source(self) -> ParcelSource:
        """Translate the parcels' section into what `geodata.parcels.read_parcels` takes."""
        section = self.parcels
        limits = section.limits and LimitsTable(
            file=self.path(section.limits.file),
            key=section.limits.key,
            on=section.limits.on,
            columns={str(k): v for k, v in section.limits.columns.items()},
            length_unit=section.limits.length_unit,
            layer=section.limits.layer,
        )
        return ParcelSource(
            file=self.source(section, "parcels") if section.file else None,
            layer=section.layer,
            crs=section.crs,
            area_unit=section.area_unit,
            length_unit=section.length_unit,
            columns={str(k): v for k, v in section.columns.items() if isinstance(v, str)},
            largest={str(k): v for k, v in section.columns.items() if not isinstance(v, str)},
            existing=section.existing,
            codes=section.codes,
            unmapped=section.unmapped,
            limits=limits or None,
            defaults={str(k): v for k, v in section.defaults.items()},
            min_area=section.min_area,
            max_far_today=section.max_far_today,
            uses=tuple(self.uses),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain values for TOML, files made absolute so that it can be read anywhere."""
        data = self.model_dump(mode="json", exclude_none=True, exclude={"rules"})
        data["rules"] = [rule.to_dict() for rule in self.rules]
        pollution = data["pollution"]
        around = [pollution.get("screens"), *pollution["background"].values(), *pollution["places"].values()]
        layers = data["layers"].values()
        for section in (data["parcels"], data.get("streets"), data["parcels"].get("limits"), *layers, *around):
            if section and section.get("file") and not is_address(section["file"]):
                section["file"] = self.path(section["file"]).as_posix()
        return data


def load_study(source: Path | str | Mapping[str, Any] | Study, folder: Path | None = None) -> Study:
    """Read and validate a study.

    Parameters
    ----------
    source : path, mapping or Study
        A TOML file, or the same content as plain values.
    folder : Path, optional
        Folder against which files named in a mapping are resolved; the TOML file's own folder by default.

    Raises
    ------
    StudyError
        Naming the key, its value, what was expected and the nearest valid key.
    """
    if isinstance(source, Study):
        return source
    if not isinstance(source, (str, Path, Mapping)):
        raise StudyError(f"study = {source!r}: a TOML file, a mapping or a Study is expected")
    if isinstance(source, Mapping):
        return _validated(_bare(dict(source), "study"), folder or Path(), "study")
    file = Path(source)
    return _validated(_toml(file), folder or file.resolve().parent, str(file), (file.resolve(),))


def _toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise StudyError(f"{file}: no such study file; `upstairs new DIR` writes one to start from")
    try:
        text = file.read_text(encoding="utf-8-sig")  # Windows puts a mark before the text
        return _bare(tomllib.loads(text), str(file))
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{file}: not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise StudyError(f"{file}: not a text file in UTF-8; a study is a TOML file") from None


def _bare(data: dict[str, Any], origin: str) -> dict[str, Any]:
    """Return values without the passwords of databases, before any of them is shown or kept."""
    try:
        return dict(without_passwords(data))
    except GeodataError as error:
        raise StudyError(f"{origin}: {error}") from None


def _validated(data: dict[str, Any], folder: Path, origin: str, seen: tuple[Path, ...] = ()) -> Study:
    if "folder" in data:
        raise StudyError(f"{origin}: folder: unknown key")
    try:
        data = _with_preset(extended(data, folder, _toml, seen), folder)
        return Study.model_validate({**data, "folder": folder})
    except ValidationError as error:
        raise StudyError(f"{origin}: {_explain(error, Study)}") from None
    except StudyError as error:
        raise StudyError(f"{origin}: {error}") from None


def _with_preset(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fill in what a preset says of the parcels, with its notes and its credits, so that the study stands by itself."""
    own = data.get("parcels")
    if not isinstance(own, dict) or own.get("preset") is None:
        return data
    name = str(own["preset"])
    known_name(name, presets(), "parcels.preset")
    preset, own = presets()[name], {key: value for key, value in own.items() if key != "preset"}
    table = filled(own, preset.table(_columns(own, folder)))
    uses = data["uses"] if isinstance(data.get("uses"), dict) and data["uses"] else default_uses()
    for key in ("existing", "codes"):
        for use in table[key] if key in table and key not in own else ():
            if use != "none":
                known_name(
                    use, uses, f"parcels.{key} of preset {name}; give parcels.{key} for the study's own uses: use"
                )
    found: dict[str, Any] = {"parcels": table, "attribution": data.get("attribution") or preset.attribution}
    notes = data.get("notes", [])
    if isinstance(notes, list):
        found["notes"] = [*notes, *(note for note in preset.notes if note not in notes)]
    return data | found


def _columns(parcels: Mapping[str, Any], folder: Path) -> list[str] | None:
    """Return the columns of a study's parcels; None where they cannot be read yet, which reading them then says."""
    file, layer = parcels.get("file"), parcels.get("layer")
    if not isinstance(file, str) or not isinstance(layer, str | None):
        return None
    try:
        return columns_of(folder / file, layer)
    except GeodataError:
        return None


def _with_rulesets(data: dict[str, Any]) -> dict[str, Any]:
    """Put the rules of rule sets before the study's own, and their numbers beside them."""
    asked = data.pop("rulesets", [])
    if not isinstance(asked, list):
        raise StudyError(f"rulesets = {asked!r}: a list of tables [[rulesets]] is expected")
    rules, numbers, notes = [], list(data.get("numbers", [])), data.get("notes", [])
    for i, item in enumerate(asked):
        key = f"rulesets[{i}]"
        found, sourced, caution = apply(item, key)
        if caution and isinstance(notes, list):
            notes = [*notes, caution]
        rules += [_rule(rule, f"{key} ({rule['ruleset']}), rule {k + 1}") for k, rule in enumerate(found)]
        numbers += sourced
    if asked:
        data |= {"notes": notes, "numbers": numbers, "rules": [*rules, *_listed(data.get("rules", []))]}
    return data


def _listed(rules: Any) -> list[Any]:
    return [_rule(rule, f"rules[{i}]") for i, rule in enumerate(rules)] if isinstance(rules, list) else [rules]


def _rule(item: Any, key: str) -> Rule:
    if isinstance(item, Rule):
        return item
    if not isinstance(item, dict):
        raise StudyError(f'{key} = {item!r}: a rule is a table such as {{ kind = "programme", ... }}')
    kinds = rule_kinds()
    kind = item.get("kind")
    if kind is None:
        raise StudyError(f"{key}: no kind; one of {', '.join(sorted(kinds))}")
    known_name(str(kind), sorted(kinds), f"{key}.kind")
    family = kinds[str(kind)]
    try:
        return family.model_validate({k: v for k, v in item.items() if k != "kind"})
    except ValidationError as error:
        raise StudyError(_explain(error, family, key)) from None


def _explain(error: ValidationError, root: type[BaseModel], prefix: str = "") -> str:
    """One sentence for the first thing that is wrong."""
    first = error.errors()[0]
    location = [part for part in first["loc"] if part not in ("[key]", "str", "list[str]")]
    key = prefix
    for part in location:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        valid = _keys_at(root, location[:-1])
        return f"{key}: unknown key{nearest(str(location[-1]), valid)}; known are {', '.join(valid)}"
    if first["type"] == "missing":
        return f"{key}: missing; it must be given"
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} = {value!r}: a table such as {{ ... }} is expected"
    if first["type"] == "string_pattern_mismatch":
        message = "a colour such as #0072B2 is expected"
    if isinstance(value, (dict, list, BaseModel)):
        return f"{key}: {message}" if key else message
    if isinstance(value, float) and not math.isfinite(value):
        message = "a finite number is expected"
    return f"{key} = {value!r}: {message}"


def _keys_at(root: type[BaseModel], location: list[Any]) -> list[str]:
    """Names of the fields valid at a place of the study."""
    model: type[BaseModel] | None = root
    for part in location:
        if model is None or part not in model.model_fields:
            continue
        model = _model_in(model.model_fields[part].annotation)
    return [name for name in model.model_fields if name not in INTERNAL] if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (list, dict, typing.Union, types.UnionType):
        return next((found for a in typing.get_args(annotation) if (found := _model_in(a))), None)
    return None
