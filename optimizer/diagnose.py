"""Why no plan satisfies the rules, and what would have to give.

1. A **conflict**: rules and places that cannot hold together though all but any one of them can. Rules that must be missed
   somewhere are collected until they cannot hold together, and what is not needed for that is left out again (elastic and
   deletion filter; Chinneck, Feasibility and Infeasibility in Optimization, 2008).
2. **Ways out**: the least that must give when all rules may, at the study's prices, or else a unit at one over the number that
   the rule's row is held to; what a single rule of the conflict would have to give if all others hold; and the fewest rules that must give, which are the
   smallest set that hits every conflict (implicit hitting sets; Reiter 1987).

What gives, and by how much in its own units, is read off the plan that each way leads to by the rules' own checks.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.district import Bools, District, Ints
from optimizer.elastic import Elastic
from optimizer.errors import InfeasibleError
from optimizer.highs import Clock
from optimizer.plan import Plan, read_solution

if TYPE_CHECKING:
    from optimizer.study import Study

SECONDS = 60.0
"""Time in which a diagnosis should be made."""
FINE, COARSE = 1e-4, 1e-3
"""Relative gap to which the cheapest way out is proved, and the others are."""
LARGE, QUICK = 2_000, 10.0
"""Sites beyond which the search finds out by itself (10,000 took 22 s of the 214 s of solving, 1,000 take 0.3 s), and most s."""
SHARE = 0.2
"""Most of the time left that one question is given."""
Feasible = Callable[[Bools], bool | None]


@dataclass(frozen=True)
class Give:
    """What one rule would have to give.

    Attributes
    ----------
    rule : str
        Its name in tables.
    number : int
        In the study.
    scope, value, limit, sense, unit
        The place where it gives most, as `optimizer.rules.Check` tells it.
    places : tuple of str
        Where it gives.
    missed, missed_unit
        By how much at all places together.
    """

    rule: str
    number: int
    scope: str
    value: float
    limit: float
    sense: str
    unit: str
    places: tuple[str, ...]
    missed: float
    missed_unit: str

    @property
    def share(self) -> float | None:
        """By how much of the limit, or None where the limit is 0."""
        return abs(self.value - self.limit) / abs(self.limit) if self.limit else None

    def __str__(self) -> str:
        """Say it in planning words: what there would be, and what was asked."""
        least = self.sense == ">="
        asked = f"{'at least' if least else 'at most'} {number(self.limit)}"
        part = f", {self.share:.1%} {'less' if least else 'more'}" if self.share and "dB" not in self.unit else ""
        text = f"{self.scope} {number(self.value)} {self.unit} instead of {asked}{part}"
        if len(self.places) > 1:
            text += f"; {len(self.places)} places, {number(self.missed)} {self.missed_unit} together"
        return text


@dataclass(frozen=True)
class Way:
    """A way out: what gives so that there is a plan.

    Attributes
    ----------
    gives : tuple of Give
    cost : float
        Sum of what is missed at its price (see the module).
    least : bool
        Whether it is proved that none is cheaper.
    plan : Plan
        To which it leads; proximity and mixing were not looked at.
    """

    gives: tuple[Give, ...]
    cost: float
    least: bool
    plan: Plan = dataclasses.field(repr=False)

    def marks(self) -> dict[str, list[str]]:
        """Return what to say of each parcel at which a rule gives; rules that give by district or zone name none."""
        marks: dict[str, list[str]] = {}
        ids = set(self.plan.district.parcels["parcel_id"])
        sites = self.plan.district.sites
        for give in self.gives:
            for place in give.places:
                kind, _, label = place.rpartition(" ")
                if kind in ("block", "neighbourhood") and label.isdigit():
                    there = sites["parcel"][sites[kind] == int(label) - 1]
                    named = set(self.plan.district.parcels["parcel_id"].iloc[there])
                else:
                    labels = (place, place.rsplit("/", 1)[0], place.split(", ")[0], place.split(" ")[0])
                    named = set([label for label in labels if label in ids][:1])
                for parcel in sorted(named):
                    marks.setdefault(parcel, []).append(f"{give.rule}: {place}")
        return marks

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``diagnosis.json`` holds it."""
        gives = [{**dataclasses.asdict(give), "share": give.share} for give in self.gives]
        return {"gives": gives, "cost": self.cost, "proved_least": self.least}


@dataclass(frozen=True)
class Conflict:
    """One rule of the conflict, and the places at which it takes part."""

    rule: str
    number: int
    places: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes
    ----------
    conflict : tuple of Conflict
        Empty where the limits of the parcels, and rules that cannot be missed by degrees, allow no plan.
    irreducible : bool
        Whether it is proved that all but any one member can hold together.
    in_fractions : bool
        Whether all rules could be satisfied if what is whole or all-or-nothing came in fractions.
    cheapest, fewest : Way or None
        None where no rule may give by degrees, or none was found in time.
    alone : dict
        Number of each rule of the conflict to the way out by it alone; None where that does not help.
    unknown : frozenset of int
        Rules of the conflict of which that was not known in time; None there too.
    firm : tuple of str
        Rules that cannot be missed by degrees: they were held, as the limits of parcels were.
    """

    conflict: tuple[Conflict, ...]
    irreducible: bool
    in_fractions: bool
    cheapest: Way | None
    fewest: Way | None
    alone: dict[int, Way | None]
    unknown: frozenset[int]
    firm: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """What to tell whoever asked the impossible."""
        held = f" and {' and '.join(self.firm)}, which cannot be missed by degrees" if self.firm else ""
        if not self.conflict:
            return [f"no plan satisfies the limits of the parcels{held}; look at actions.allowed and at those limits"]
        names = [c.rule + (f" ({len(c.places)} of its limits)" if len(c.places) > 1 else "") for c in self.conflict]
        if len(names) == 1:
            others = "" if self.firm else ", whatever the other rules say"
            said = [f"no plan satisfies the rules: {names[0]} cannot hold here{others}"]
        else:
            said = [f"no plan satisfies the rules: these cannot hold together: {'; '.join(names)}"]
            if self.irreducible:
                said.append("without any one of them the others could")
        if self.firm:
            said.append(f"what never gave: the limits of parcels{held}")
        if self.in_fractions:
            said.append(
                "only whole floors, or choices that are all or nothing, stand in the way: in fractions they could"
            )
        for c in self.conflict:
            way = self.alone[c.number]
            if way is not None:
                said.append(f"it works if {c.rule} gives: {_joined(way)}{'' if way.least else ' (less may do)'}")
            elif c.number in self.unknown:
                said.append(f"whether {c.rule} alone can give enough was not known in time")
            elif len(names) > 1:
                said.append(f"{c.rule} alone cannot give enough")
        if self.cheapest is not None and len({g.number for g in self.cheapest.gives}) > 1:
            said.append(
                f"{'least' if self.cheapest.least else 'least found'} when all may give: {_joined(self.cheapest)}"
            )
        if self.fewest is not None and len({g.number for g in self.fewest.gives}) > 1:
            said.append(f"the fewest rules that must give, in one such way: {_joined(self.fewest)}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return what ``diagnosis.json`` holds."""

        def way(found: Way | None) -> dict[str, Any] | None:
            return None if found is None else found.to_dict()

        return {
            "status": "infeasible",
            "sentences": self.sentences,
            "conflict": [dataclasses.asdict(c) for c in self.conflict],
            "irreducible": self.irreducible,
            "in_fractions": self.in_fractions,
            "held": list(self.firm),
            "cheapest": way(self.cheapest),
            "fewest": way(self.fewest),
            "alone": [
                {
                    "rule": c.rule,
                    "number": c.number,
                    "known": c.number not in self.unknown,
                    "way": way(self.alone[c.number]),
                }
                for c in self.conflict
            ],
        }


def number(value: float) -> str:
    """Return a number for people: no more digits than matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _joined(way: Way) -> str:
    """Say what gives, each rule by its name where there are several."""
    if not way.gives:
        return "there is a plan that its own check accepts, though the program, which is stricter, has none"
    several = len({give.number for give in way.gives}) > 1
    return "; ".join((f"{give.rule}: " if several else "") + str(give) for give in way.gives)


def unsatisfied(study: Study, district: District, seconds: float = SECONDS) -> InfeasibleError:
    """Return what to raise where a solver found that no plan satisfies the rules."""
    found = diagnose_rules(study, district, seconds)
    if found is None:
        return InfeasibleError("no plan satisfies the rules; which of them conflict was not found")
    return InfeasibleError("\n  ".join(found.sentences), found)


def plainly_impossible(study: Study, district: District) -> bool:
    """Whether rules contradict one another even in fractions of floors: known in no time.

    Not asked of large districts: there it takes as long as part of the search.
    """
    if len(district.sites) > LARGE:
        return False
    elastic = Elastic(study, district)
    every = np.ones(len(elastic.members.rule), dtype=bool)
    return elastic.can_hold(every, Clock(study.solve.time_limit), QUICK, relaxed=True) is False


def diagnose_rules(study: Study, district: District, seconds: float = SECONDS) -> Diagnosis | None:
    """Return why no plan satisfies the rules and what would have to give; None where some plan does, or nothing was proved.

    Parameters
    ----------
    seconds : float
        After which no further question is asked.
    """
    return _Search(study, district, seconds).found()


class _Search:
    def __init__(self, study: Study, district: District, seconds: float) -> None:
        self.study, self.district = study, district
        self.elastic = Elastic(study, district)
        self.clock = Clock(seconds)
        members = self.elastic.members
        self.every = np.ones(len(members.rule), dtype=bool)
        price = np.array([study.diagnose.prices.get(rule.label, np.nan) for rule in study.rules])[members.rule]
        self.weight = np.where(np.isnan(price), 1.0 / members.limit, price)
        self.firm = np.isinf(self.weight)
        self.weight[self.firm] = 0.0

    def found(self) -> Diagnosis | None:
        relaxed = self._impossible(self.every)
        if relaxed is None:
            return None
        firm = tuple(self._name(i) for i in self.elastic.firm)
        chosen, proved = self.conflict(self.every, relaxed, refined=True)
        if not chosen.any():
            return Diagnosis((), proved, False, None, None, {}, frozenset(), firm)
        rules = np.unique(self.elastic.members.rule[chosen])
        cheapest, _ = self.way(self.firm, FINE)
        ways = {int(i): self.way(self._all_but([int(i)]), COARSE) for i in rules}
        alone = {i: way for i, (way, _) in ways.items()}
        unknown = frozenset(i for i, (way, known) in ways.items() if way is None and not known)
        fewest = None if unknown else self.fewest(rules, alone)
        return Diagnosis(self._told(chosen), proved, not relaxed, cheapest, fewest, alone, unknown, firm)

    def _can(self, *, relaxed: bool) -> Feasible:
        return lambda held: self.elastic.can_hold(held, self.clock, SHARE * self.clock.left, relaxed=relaxed)

    def _impossible(self, held: Bools) -> bool | None:
        """Return whether members cannot hold together even in fractions, or only whole (False); None where that is not so."""
        if self._can(relaxed=True)(held) is False:
            return True
        return False if self._can(relaxed=False)(held) is False else None

    def _all_but(self, rules: Sequence[int]) -> Bools:
        """Return the members of all rules but some, and those that must not give, shape (M,)."""
        return np.asarray(~np.isin(self.elastic.members.rule, rules) | self.firm)

    def conflict(self, among: Bools, relaxed: bool, *, refined: bool) -> tuple[Bools, bool]:
        """Return members, of some that cannot hold together, that cannot; and whether it is proved that no fewer do.

        Parameters
        ----------
        among : ndarray of bool, shape (M,)
        relaxed : bool
            Whether they cannot even in fractions.
        refined : bool
            Whether down to places, or to rules only.
        """
        of = self.elastic.members.rule
        chosen, proved = among, True
        ways = (True, False) if relaxed else (False,)
        for in_fractions in ways:
            chosen, proved = self._fewer(chosen, [of == i for i in np.unique(of[chosen])], in_fractions)
        if refined:
            for in_fractions in ways:
                if in_fractions:
                    chosen = self._narrowed(chosen)
                single = np.eye(len(of), dtype=bool)[chosen]
                chosen, proved = self._fewer(chosen, list(single), in_fractions)
        return chosen, proved

    def _fewer(self, chosen: Bools, groups: list[Bools], relaxed: bool) -> tuple[Bools, bool]:
        """Leave out each group without which the rest still cannot hold; tell whether every group was settled."""
        can, settled = self._can(relaxed=relaxed), True
        for group in groups:
            possible = can(chosen & ~group) if self.clock.left > 0 else None
            settled &= possible is not None
            if possible is False:
                chosen = chosen & ~group
        return chosen, settled

    def _narrowed(self, among: Bools) -> Bools:
        """Return members, of some, that must be missed where others hold, until in fractions they cannot hold together."""
        held, weight = ~self.every, np.maximum(self.weight, 1e-9 * self.weight.max(initial=1.0))
        while True:
            answer = self.elastic.solve(held, weight, self.clock, self.clock.left, relaxed=True)
            if answer.x is None:
                return held if answer.status == "infeasible" else among
            missed = (self.elastic.missed(answer.x) > 0) & among & ~held
            if not missed.any():
                return among
            held |= missed

    def way(self, held: Bools, gap: float) -> tuple[Way | None, bool]:
        """Return the cheapest way out while some members hold, and whether it is known that there is none where it is None."""
        if self.clock.left <= 0:
            return None, False
        answer = self.elastic.solve(held, self.weight, self.clock, SHARE * self.clock.left, relaxed=False, gap=gap)
        if answer.x is None:
            return None, answer.status == "infeasible"
        action, floors = read_solution(self.elastic.model, answer.x)
        plan = Plan(self.study, self.district, action, floors, {})
        cost = float(self.weight @ self.elastic.missed(answer.x))
        return Way(tuple(self._gives(plan)), cost, answer.status == "optimal", plan), True

    def _gives(self, plan: Plan) -> list[Give]:
        """Return which hard rules a plan misses, and by how much, as their own checks find it."""
        evidence, gives = plan.evidence, []
        for number, rule in enumerate(self.study.rules):
            for c in rule.check(evidence):
                if c.faulty:
                    gives.append(
                        Give(
                            c.name,
                            number,
                            c.scope,
                            c.value,
                            c.limit,
                            c.sense,
                            c.unit,
                            c.broken,
                            c.missed,
                            c.missed_unit,
                        )
                    )
        return gives

    def fewest(self, rules: Ints, alone: dict[int, Way | None]) -> Way | None:
        """Return a way out by the fewest rules: the fewest that hit every conflict; by one rule, the cheapest."""
        single = [way for way in alone.values() if way is not None]
        if single:
            return min(single, key=lambda way: way.cost)
        never = set(self.elastic.members.rule[self.firm].tolist())
        conflicts = [set(rules.tolist()) - never]
        while self.clock.left > 0 and all(conflicts):
            held = self._all_but(sorted(_hitting(conflicts)))
            relaxed = self._impossible(held)
            if relaxed is None:
                return self.way(held, COARSE)[0]
            further, _ = self.conflict(held, relaxed, refined=False)
            conflicts.append(set(self.elastic.members.rule[further].tolist()) - never)
        return None

    def _name(self, number: int) -> str:
        """Return a rule's name in tables, and which it is where several share it."""
        label = self.study.rules[number].label
        shared = sum(rule.label == label for rule in self.study.rules) > 1
        return f"{label} (rules[{number}])" if shared else label

    def _told(self, chosen: Bools) -> tuple[Conflict, ...]:
        members = self.elastic.members
        return tuple(
            Conflict(
                self._name(i),
                int(i),
                tuple(members.place[k] for k in np.flatnonzero(chosen & (members.rule == i))),
            )
            for i in np.unique(members.rule[chosen])
        )


def _hitting(conflicts: Sequence[set[int]]) -> set[int]:
    """Return a smallest set that has a member in every conflict."""
    everything = sorted(set().union(*conflicts))
    for size in range(1, len(everything) + 1):
        for some in itertools.combinations(everything, size):
            if all(set(some) & conflict for conflict in conflicts):
                return set(some)
    return set(everything)
