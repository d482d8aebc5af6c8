"""A study's rules as a program in which each may be missed, place by place, by columns of its own.

Proximity and mixing are left out: whether there is a plan depends on neither, unless a rule asks for walks, and without
them the program is small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError
from scipy import sparse

from optimizer.district import Bools, District, Floats, Ints
from optimizer.highs import Answer, Clock, load, run
from optimizer.model import Model
from optimizer.proximity import add_proximity
from optimizer.rules import Rule, implied_rules
from optimizer.rules.receptors import ReceptorRule

if TYPE_CHECKING:
    from optimizer.study import Study

NOTHING = 1e-6
"""Share of its limit by which a rule that is missed is not."""
LAZY = 4
"""Rounds in which the rows that one broke are taken in before all are: without an objective each breaks others (80 rounds and half
of all the time of a p-median of 100)."""


def softened(rule: Rule) -> Rule | None:
    """Return a rule that may be missed at a price in place of a hard one; None where it cannot be missed by degrees."""
    if rule.price is not None:
        return rule
    if isinstance(rule, ReceptorRule) and rule.exceeded == "exclude":
        return None  # what it excludes it excludes at any price
    keys = {key: value for key, value in rule.to_dict().items() if key != "kind"}
    try:
        soft = type(rule).model_validate({**keys, "price": 1.0})
    except ValidationError:
        return None
    return None if soft.contradiction([soft]) and not rule.contradiction([rule]) else soft


@dataclass(frozen=True)
class Members:
    """Hard rules that can be missed by degrees, one member a place where each may be.

    Attributes
    ----------
    rule : ndarray of int, shape (M,)
        Number in the study.
    place : tuple of str, length M
    column : ndarray of int, shape (M,)
        What is missed there, in the rule's unit.
    limit : ndarray, shape (M,)
        Size of the limit in the same unit; 1 where it is 0.
    """

    rule: Ints
    place: tuple[str, ...]
    column: Ints
    limit: Floats


class Elastic:
    """The program, and which of its members can hold together.

    Attributes
    ----------
    model : Model
    members : Members
    firm : tuple of int
        Numbers of hard rules that cannot be missed by degrees; they hold, like the limits of parcels.
    """

    def __init__(self, study: Study, district: District) -> None:
        soft = [softened(rule) for rule in study.rules]
        rules = [rule if found is None else found for rule, found in zip(study.rules, soft, strict=True)]
        self.threads = study.solve.threads
        said = len(district.around.notes)
        self.model = model = Model(district, frozenset(study.actions.allowed), [*implied_rules(), *rules])
        for rule in model.rules:
            rule.declare(model)
        add_proximity(model, 0.0, np.zeros(len(district.uses)))
        for rule in implied_rules():
            rule.constrain(model)
        firm = list[int]()
        number, place, column = list[int](), list[str](), list[int]()
        for i, (hard, rule) in enumerate(zip(study.rules, rules, strict=True)):
            first, known = model.program.height, len(model.misses)
            rule.constrain(model)
            if hard.price is not None:
                continue
            for _, columns, names in model.misses[known:]:
                number += [i] * len(names)
                place += names
                column += columns.tolist()
            if soft[i] is None and model.program.height > first:
                firm.append(i)
        del model.notes[said:]  # the district's, who heard them when its own model was written
        self.firm = tuple(firm)
        self.arrays = model.program.arrays()
        columns, numbers = np.array(column, dtype=np.int64), np.array(number, dtype=np.int64)
        limits = self._limits(columns)
        # Noise and air are missed by multiples of the limit.
        limits[np.isin(numbers, [i for i, rule in enumerate(rules) if rule.kind in ("noise", "air")])] = 1.0
        self.members = Members(numbers, tuple(place), columns, limits)

    def _limits(self, columns: Ints) -> Floats:
        """Return the size of each member's limit in the unit it is missed by, from the row that it stands in, shape (M,)."""
        a, limit = self.arrays, np.zeros(len(columns))
        part = sparse.coo_matrix(a.matrix[:, columns])
        bound = np.abs(np.where(np.isfinite(a.row_upper), a.row_upper, a.row_lower))
        # A share or a ratio has no number on its right side: what it asks of the district as it stands is its size.
        kept = np.zeros(a.matrix.shape[1])
        kept[self.model.keep] = 1.0
        today = np.maximum(a.matrix.minimum(0) @ -kept, 0.0)
        size = np.where(bound > NOTHING, bound, today)
        np.maximum.at(limit, part.col, size[part.row] / np.abs(part.data))
        return np.where(limit > 0, limit, 1.0)

    def solve(
        self,
        held: Bools,
        weight: Floats,
        clock: Clock,
        seconds: float,
        *,
        relaxed: bool,
        gap: float = 0.0,
    ) -> Answer:
        """Find the least weighted sum of what members are missed by while some of them hold.

        Parameters
        ----------
        held : ndarray of bool, shape (M,)
        weight : ndarray, shape (M,)
            Of a unit of what is missed.
        relaxed : bool
            Whether fractions of floors will do.
        """
        a, m = self.arrays, self.members
        cost, upper = np.zeros(len(a.cost)), a.upper.copy()
        cost[m.column] = -weight / weight.max(initial=1e-300)
        upper[m.column[held]] = 0.0
        program = replace(a, cost=cost, upper=upper)
        now = np.isinf(program.lazy)
        until = clock.elapsed + seconds
        rounds = 0
        while True:
            highs = load(program.rows(now), relaxed=relaxed, threads=self.threads)
            highs.setOptionValue("mip_rel_gap", gap)
            highs.setOptionValue("mip_abs_gap", 0.0)
            answer = run(highs, clock, until - clock.elapsed)
            if answer.x is None:
                return answer
            broken = program.violated(answer.x, NOTHING) & ~now
            if not broken.any():
                return answer
            rounds += 1
            now |= broken | (rounds >= LAZY)

    def can_hold(self, held: Bools, clock: Clock, seconds: float, *, relaxed: bool) -> bool | None:
        """Whether members can hold together; None where time was up before that was known."""
        answer = self.solve(held, np.zeros(len(held)), clock, seconds, relaxed=relaxed)
        if answer.status == "infeasible":
            return False
        return True if answer.x is not None else None

    def missed(self, x: Floats) -> Floats:
        """Return what each member is missed by in a solution, shape (M,)."""
        found = x[self.members.column]
        return np.where(found > NOTHING * self.members.limit, found, 0.0)
