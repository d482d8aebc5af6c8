"""The study file: what is asked of the optimizer, as validated values.

One TOML file names the parcels, the uses, the linkages, the rules, the objective and the limits of the solver.
Every error names the key, its value and what was expected.
"""

from __future__ import annotations

import math
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from geodata.database import Table, is_address, without_passwords
from geodata.errors import GeodataError
from geodata.parcels import LimitsTable, ParcelSource, as_listed
from optimizer.errors import StudyError, known_name, nearest
from optimizer.rules import Rule, rule_kinds
from optimizer.rules.receptors import ReceptorRule
from optimizer.rulesets import Sourced, apply
from optimizer.sections import (
    ActionsSection,
    DiagnoseSection,
    LayerSection,
    LinkageSection,
    ObjectiveSection,
    ParcelsSection,
    Section,
    SitesSection,
    SolveSection,
    SourceSection,
    StreetsSection,
    UseSection,
)
from optimizer.surroundings import At, PollutionSection
from optimizer.uses import Linkage, Use, default_linkages, default_uses
from optimizer.variants import extended, with_preset

INTERNAL = ("folder", "ruleset", "illustrative")
"""Fields that a study file does not ask for."""


class Study(Section):
    """Everything that is asked: a value, validated once."""

    name: Annotated[str, Field(min_length=1)]
    notes: list[str] = Field(default_factory=list)
    attribution: str = ""
    parcels: ParcelsSection = ParcelsSection()
    streets: StreetsSection | None = None
    layers: dict[str, LayerSection] = Field(default_factory=dict)
    sites: SitesSection = SitesSection()
    uses: dict[str, UseSection] = Field(default_factory=dict)
    linkages: list[LinkageSection] = Field(default_factory=list)
    objective: ObjectiveSection = ObjectiveSection()
    actions: ActionsSection = ActionsSection()
    pollution: PollutionSection = PollutionSection()
    rules: list[Any] = Field(default_factory=list)
    numbers: list[Sourced] = Field(default_factory=list)
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
            if (
                name in ("m2", "dominant_use", "floor_area")
                or sum(name.lower() == other.lower() for other in value) > 1
            ):
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
        for section in _with_files(data):
            section["file"] = self.path(section["file"]).as_posix()
        return data

    def check_spared(self, file: Path, *others: Path) -> None:
        """Make sure that a file to be written is none that the study is read from, nor one of some others.

        Raises
        ------
        StudyError
            Naming it.
        """
        read = [Path(section["file"]) for section in _with_files(self.to_dict())]
        if file.resolve() in {path.resolve() for path in (*read, *others)}:
            raise StudyError(f"{file}: is read here, and would be lost; name another file to write")


def _with_files(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sections of a study's values that name a file."""
    parcels, pollution = data["parcels"], data["pollution"]
    around = (pollution.get("screens"), *pollution["background"].values(), *pollution["places"].values())
    for section in (parcels, data.get("streets"), parcels.get("limits"), *data["layers"].values(), *around):
        if section and section.get("file") and not is_address(section["file"]):
            yield section


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
        data = with_preset(extended(data, folder, _toml, seen), folder)
        return Study.model_validate({**data, "folder": folder})
    except ValidationError as error:
        raise StudyError(f"{origin}: {_explain(error, Study)}") from None
    except StudyError as error:
        raise StudyError(f"{origin}: {error}") from None


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
