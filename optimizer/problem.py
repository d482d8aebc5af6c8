"""A study's whole integer program: decisions, rules and objective in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from optimizer.district import Bools, District, Floats
from optimizer.errors import StudyError
from optimizer.mixing import Scale, add_mixing, separate
from optimizer.model import AREA, Arrays, Model
from optimizer.proximity import Flows, add_proximity, reference_value
from optimizer.reference import most_floor_area, reference_floor_area
from optimizer.rules import Rule, implied_rules
from optimizer.terms import TERMS, add_term
from optimizer.terms import most as largest

if TYPE_CHECKING:
    from optimizer.study import Study


def all_rules(study: Study) -> list[Rule]:
    """Return the rules of a study and, before them, the implied ones."""
    return [*implied_rules(), *study.rules]


def mixing_weights(study: Study) -> dict[str, float]:
    """Return the weight of mixing at each scale; they sum to the objective's weight of mixing."""
    scales = study.objective.scales.model_dump()
    total = sum(scales.values())
    return {name: study.objective.mixing * part / total for name, part in scales.items() if part > 0}


@dataclass
class Problem:
    """The program of a study over its district; grows by entropy cuts.

    Attributes
    ----------
    scales : list of Scale
        Where entropy is bounded.
    flows : Flows
        Columns of the flow that measures proximity.
    most : float
        Score that no plan exceeds, whatever it is: every term at the most that the study allows.
    """

    study: Study
    district: District
    model: Model
    scales: list[Scale]
    flows: Flows
    most: float

    def arrays(self) -> Arrays:
        """Return the program as it stands."""
        return self.model.program.arrays()

    @property
    def tolerance(self) -> float:
        """Excess of entropy that relaxations let pass, m²; plans are cut to the end."""
        total = float(self.district.site_area.sum())
        return self.study.solve.mixing_tolerance * total / 1000 + 1e-6

    def cut(self, x: Floats, tolerance: float, label: str) -> int:
        """Add the entropy cuts that a solution violates by more than a tolerance, m²; return their number."""
        return separate(self.model, self.scales, x, tolerance * AREA, label)


def assemble(study: Study, district: District) -> Problem:
    """Write a study's program down as arrays.

    Raises
    ------
    StudyError
        When a rule cannot be applied to the district.
    """
    rules = all_rules(study)
    _check_rules(study, district)
    model = Model(district, frozenset(study.actions.allowed), rules)
    most = most_floor_area(district, rules)
    over = reference_floor_area(study, most)
    flows = add_proximity(model, study.objective.proximity, over[:-1])
    scales = add_mixing(model, mixing_weights(study), float(over[-1])) if study.objective.mixing else []
    for term in TERMS:
        add_term(model, term, getattr(study.objective, term.name), over)
    for rule in rules:
        rule.declare(model)
    for rule in rules:
        rule.constrain(model)
    return Problem(study, district, model, scales, flows, _most_score(study, district, most, over))


def _most_score(study: Study, district: District, most: Floats, over: Floats) -> float:
    """Return what no score exceeds: no term exceeds its weight times the most allowed over what it is divided by."""
    weights, reference = study.objective, reference_value(district, over[:-1])
    near = weights.proximity * reference_value(district, most[:-1]) / reference if reference else 0.0
    rest = weights.mixing * most[-1] / over[-1] + sum(rule.most_reward for rule in study.rules)
    for term in TERMS:
        top = largest(term, district, over)
        rest += getattr(weights, term.name) * largest(term, district, most) / top if top else 0.0
    return float(near + rest)


def _check_rules(study: Study, district: District) -> None:
    """Find rules that reach no parcel, and orders of storeys that contradict one another.

    Raises
    ------
    StudyError
        Naming the rules.
    """
    orders: list[tuple[str, Bools, list[str]]] = []
    for i, rule in enumerate(study.rules):
        key = f"rules[{i}] ({rule.label})"
        if not district.select(rule.where, key).any():
            zones = ", ".join(sorted(set(district.parcels["zone"]))[:20])
            raise StudyError(f"{key}: where = {rule.where!r} is true of no parcel; zones are {zones}")
        fixed = rule.stack_order(district)
        if fixed is None:
            continue
        for other, holds, order in orders:
            both = np.flatnonzero(holds & fixed[0])
            if len(both) and order != fixed[1]:
                raise StudyError(
                    f"{other} and {key} stack uses in different orders on parcel "
                    f"{district.parcels['parcel_id'].iloc[both[0]]!r}; let one `where` leave it out"
                )
        orders.append((key, *fixed))
