"""What a study file leaves to others to say: another study that it extends, a preset of its parcels.

A study with ``extends = "other.toml"`` says only what differs.

Tables are merged key by key, and what the variant says counts. A rule takes the place of the other study's rule of the same
name, or of the same kind where neither has one; one that the other study does not have is added. ``without`` names rules to
leave out. All other lists are the variant's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geodata.errors import GeodataError
from geodata.layers import columns_of
from geodata.presets import filled, presets
from optimizer.errors import StudyError, known_name
from optimizer.uses import default_uses

Values = dict[str, Any]


def extended(data: Values, folder: Path, read: Callable[[Path], Values], seen: tuple[Path, ...] = ()) -> Values:
    """Return a study's values with those of the study that it extends.

    Parameters
    ----------
    data : dict
        A study as written. Without ``extends`` it is returned as it is.
    folder : Path
        Of the study; the one that it extends lies there too, so that file names mean the same in both.
    read : callable
        Reads a TOML file.
    seen : tuple of Path
        Studies on the way here.

    Raises
    ------
    StudyError
        When the other study is not there, lies elsewhere or extends this one in turn, or has no rule that is left out.
    """
    if "extends" not in data:
        if "without" in data:
            raise StudyError("without is for a study that extends another; leave the rules out of this one")
        return data
    own = {key: value for key, value in data.items() if key not in ("extends", "without", "rules")}
    name, rules, without = data["extends"], data.get("rules", []), data.get("without", [])
    if not isinstance(name, str) or Path(name).name != name:
        raise StudyError(f"extends = {name!r}: the name of a study file in the same folder is expected")
    if not isinstance(without, list) or not isinstance(rules, list):
        key = "rules" if isinstance(without, list) else "without"
        raise StudyError(f"{key} = {data[key]!r}: a list is expected")
    file = (folder / name).resolve()
    if file in seen:
        others = " and ".join(p.name for p in seen)
        raise StudyError(f"extends = {name!r}: {others} {'extends itself' if len(seen) == 1 else 'extend each other'}")
    base = extended(read(file), folder, read, (*seen, file))
    before = base.pop("rules", [])
    for k, each in enumerate(without):
        known_name(str(each), [_label(rule) for rule in before], f"without[{k}]")
    kept = [rule for rule in before if _label(rule) not in without]
    places: dict[str, list[int]] = {}
    for k, rule in enumerate(kept):
        places.setdefault(_label(rule), []).append(k)
    for rule in rules:
        if places.get(_label(rule)):
            kept[places[_label(rule)].pop(0)] = rule
        else:
            kept.append(rule)
    return _merged(base, own) | ({"rules": kept} if kept or before else {})


def _label(rule: Any) -> str:
    """Return what a rule goes by: its name, or its kind; nothing where it has neither."""
    return str(rule.get("name") or rule.get("kind") or "") if isinstance(rule, dict) else ""


def _merged(base: Values, own: Values) -> Values:
    both = {key: _merged(base[key], value) for key, value in own.items() if _tables(base.get(key), value)}
    return base | own | both


def _tables(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def with_preset(data: dict[str, Any], folder: Path) -> dict[str, Any]:
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
