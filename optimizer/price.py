"""What each rule costs: the study solved again without it, with it looser and with it stricter.

Every study is divided by the same constants, so that scores are of one kind. A solve leaves a gap, so each answer is an
interval, [score of the plan found, bound proved]. What is known of one study tells of others: a plan under stricter rules
is one under looser rules, and a bound under looser rules holds under stricter ones; not so where a rule that rewards is
dropped. The difference that a change makes lies between the ends of two such intervals; where it may be none, that is
said.

Prices of the relaxation (duals) stand beside: what a step is worth at the margin where floors come in fractions.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd

from geodata.errors import GeodataError
from geodata.language import ENGLISH, Language
from optimizer.api import solve_district
from optimizer.audit import relative_gap
from optimizer.district import District, Floats, read_district
from optimizer.errors import InfeasibleError, LimitError, StudyError, UpstairsError
from optimizer.highs import Clock
from optimizer.indices import index_columns
from optimizer.model import SCORE, Arrays
from optimizer.plan import Plan
from optimizer.problem import all_rules, assemble
from optimizer.ranges import UNKNOWN, Range, ranges
from optimizer.reference import most_floor_area
from optimizer.relaxation import Relaxation
from optimizer.rules import Rule
from optimizer.sections import ReferenceSection
from optimizer.solving import Progress, Report, Start
from optimizer.study import Study, load_study
from optimizer.together import LARGE, Together

Kind = Literal["dropped", "looser", "stricter"]
STEPS: tuple[Kind, ...] = ("looser", "stricter")
NOTHING = 5e-6
"""Difference of two scores that is none: what solvers and files round."""
RELAXING = 0.25
"""Share of the time limit after which the relaxation is taken as it is."""
SAME = 1e-4
"""Share of an index by which it is not said to move."""
RANGING = 3.0
"""Time for ranges of indices of one study, in its time limits."""
DUAL = 1e-9
"""Price of a row, model units, that is none."""


@dataclass(frozen=True)
class Change:
    """One rule of a study dropped, loosened or tightened.

    Attributes
    ----------
    number : int
        Of the rule in the study.
    rule : str
        Its name in tables.
    kind : str
        ``dropped``, ``looser`` or ``stricter``.
    text : str
        Which numbers became what.
    study : Study or str
        Or why there is none: what is left contradicts itself.
    stricter : bool or None
        Whether the study allows fewer plans, or more; None where it rewards others, so that neither tells of the other.
    """

    number: int
    rule: str
    kind: Kind
    text: str
    study: Study | str
    stricter: bool | None

    def told(self, words: Language = ENGLISH) -> str:
        """Return rule and kind for people."""
        return f"{self.rule}, {words(self.kind)}"


@dataclass(frozen=True)
class Answer:
    """What is known of the best plan of a study.

    Attributes
    ----------
    low, high : float
        Scores between which the best plan lies; minus infinity where none is known or there is none.
    status : str
        ``optimal``, ``feasible``, ``infeasible``, ``limit`` or ``error``.
    plan : Plan or None
    seconds : float
    message : str
        What went wrong.
    ranges : dict
        Between which values indices lie in every plan that scores no less than ``plan``, where that was asked for.
    """

    low: float
    high: float
    status: str
    plan: Plan | None
    seconds: float
    message: str = ""
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Price:
    """What a change of one rule is worth.

    Attributes
    ----------
    change : Change
    answer : Answer
    least, most : float
        Between which the difference of the best scores lies; minus infinity where no plan is left.
    marginal : float or None
        The same by the prices of the relaxation, for the same step; None where that is not known.
    """

    change: Change
    answer: Answer
    least: float
    most: float
    marginal: float | None

    def verdict(self, words: Language = ENGLISH) -> str:
        """Return what may be said of the difference."""
        if self.answer.status == "infeasible":
            return words("no plan is left")
        if self.answer.status == "error":
            return words("cannot be asked: {why}", why=self.answer.message)
        if self.answer.plan is None:
            return words("no plan was found in time")
        if self.most <= NOTHING and self.least >= -NOTHING:
            return words("worth nothing")
        if self.least > NOTHING:
            return words("worth at least {n}", n=f"{self.least:.5f}")
        if self.most < -NOTHING:
            return words("costs at least {n}", n=f"{-self.most:.5f}")
        return words("none beyond the gaps")


def _told(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Prices:
    """What every rule of a study costs.

    Attributes
    ----------
    study : Study
        With the constants that all scores are divided by.
    base : Answer
    prices : tuple of Price
    interrupted : bool
        Whether changes are missing since Ctrl-C ended the work.
    """

    study: Study
    base: Answer
    prices: tuple[Price, ...]
    interrupted: bool

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a change: interval of its score and of the difference, verdict, margin, and what each index became."""
        rows = [self._row(None, self.base)] + [self._row(price, price.answer) for price in self.prices]
        return pd.DataFrame(rows).astype({"number": "Int64"})

    def _row(self, price: Price | None, answer: Answer) -> dict[str, Any]:
        row: dict[str, Any] = {
            "rule": "the study" if price is None else price.change.rule,
            "number": None if price is None else price.change.number,
            "change": "none" if price is None else price.change.kind,
            "what": "" if price is None else price.change.text,
            "status": answer.status,
            "score_at_least": answer.low if np.isfinite(answer.low) else None,
            "score_at_most": answer.high if np.isfinite(answer.high) else None,
            "difference_at_least": None if price is None or not np.isfinite(price.least) else price.least,
            "difference_at_most": None if price is None or not np.isfinite(price.most) else price.most,
            "verdict": "" if price is None else price.verdict(),
            "difference_by_duals": None if price is None else price.marginal,
            "message": answer.message,
            "seconds": round(answer.seconds, 1),
        }
        if answer.plan is None:
            return row
        row |= index_columns(answer.plan.result["indices"])
        for index, (least, most) in answer.ranges.items():
            known = (end if np.isfinite(end) else None for end in (least, most))
            row |= dict(zip((f"{index}_at_least", f"{index}_at_most"), known, strict=True))
        return row

    @property
    def lacking(self) -> int:
        """Ranges of indices that were asked for and not found in time."""
        found = [end for answer in (self.base, *(p.answer for p in self.prices)) for end in answer.ranges.values()]
        return sum(not np.isfinite(end).all() for end in found)

    def moved(self, words: Language = ENGLISH) -> list[str]:
        """Say which indices a change surely moves: those of all plans as good lie on one side of those without it."""
        said = []
        for price in self.prices:
            for index, (low, high) in price.answer.ranges.items():
                least, most = self.base.ranges.get(index, UNKNOWN)
                apart = max(low - most, least - high)
                # The floor area ratio is the floor area once more.
                if (
                    index != "floor_area_ratio"
                    and np.isfinite(apart)
                    and apart > SAME * max(*(abs(end) for end in (low, high, least, most) if np.isfinite(end)), 0.0)
                ):
                    now, before = (
                        words("{low} to {high}", low=_told(a), high=_told(b)) for a, b in ((low, high), (least, most))
                    )
                    told = {"change": price.change.told(words), "index": index, "now": now, "before": before}
                    if low > most:
                        said.append(words("{change}: {index} is more, {now} instead of {before}", **told))
                    else:
                        said.append(words("{change}: {index} is less, {now} instead of {before}", **told))
        return said


def price(
    study: Study | Path | str,
    parcels: gpd.GeoDataFrame | None = None,
    streets: gpd.GeoDataFrame | None = None,
    *,
    each: bool = False,
    indices: bool = False,
    report: Report | None = None,
    scheduler: str | None = None,
) -> Prices:
    """Return what every rule of a study costs, each changed alone.

    Parameters
    ----------
    study : Study or path
    parcels, streets : GeoDataFrame, optional
        As `optimizer.solve` takes them.
    each : bool
        Whether every number of a rule is moved by itself, or all numbers of a rule at once.
    indices : bool
        Whether to find, for every study, between which values indices lie in all plans that are as good.
    report : callable, optional
        Told the progress.

    Raises
    ------
    StudyError
        When the study has no rule, or is too large for ranges of indices.
    InfeasibleError
        When no plan satisfies the study itself.
    """
    asked = load_study(study)
    if not asked.rules:
        raise StudyError("rules: the study has none, so there is nothing to price; `upstairs rules` lists families")
    district = read_district(asked, parcels, streets)
    if indices and len(district.sites) > LARGE:
        raise StudyError(
            f"ranges of indices: {len(district.sites):,} building sites; they are found up to {LARGE:,}; ask without them"
        )
    fixed = with_reference(asked, district)
    plans = list(changes(fixed, each))
    steps = len(plans) + 1

    def told(step: int, what: str) -> Report | None:
        if report is None:
            return None
        return lambda p: report(replace(p, job=f"{step}/{steps} {what}"))

    base = solve_district(fixed, district, report=told(1, fixed.name), scheduler=scheduler)
    answers = list[tuple[Change, Answer, float | None]]()
    own = Answer(base.result["objective"], base.result["bound"], base.result["status"], base, base.result["seconds"])
    together = Together(fixed, len(district.sites), scheduler)

    def ranged(answer: Answer, of: Study, place: District, tell: Report | None) -> Answer:
        if not indices or answer.plan is None or together.stop.is_set():
            return answer
        clock = Clock(RANGING * of.solve.time_limit, stop=together.stop)
        if tell is not None:
            tell(Progress("ranges of indices", answer.low, answer.high, answer.seconds, clock.left))
        return replace(answer, ranges=ranges(of, place, answer.low, clock))

    interrupted, margin = bool(base.result["interrupted"]), None
    if not interrupted:
        tell = told(1, fixed.name)
        tasks = [lambda: (ranged(own, fixed, district, tell), Margin.of(fixed, district, together.stop))]
        ((own, margin),) = together.run(tasks)
        interrupted = together.stop.is_set()

    def answered(step: int, change: Change) -> tuple[Change, Answer, float | None]:
        start = Start(base.action, base.floors, own.high if change.stricter else np.inf, together.stop)
        try:
            if isinstance(change.study, str):
                raise StudyError(change.study)
            place = read_district(change.study, parcels, streets)
            shared, tell = together.share(change.study), told(step, change.rule)
            answer = ranged(_solved(shared, place, start, tell, scheduler), shared, place, tell)
            moved = None if margin is None or change.kind == "dropped" else margin.worth(change.study, place)
        except (UpstairsError, GeodataError) as error:
            # One change that cannot be is no reason to lose the others.
            return change, Answer(-np.inf, start.bound, "error", None, 0.0, str(error)), None
        return change, answer, moved

    for first in range(0, len(plans), together.workers):
        if not interrupted:
            batch = enumerate(plans[first : first + together.workers], first + 2)
            answers += together.run([partial(answered, *item) for item in batch])
            interrupted = together.stop.is_set()
    return _compared(fixed, own, answers, interrupted)


def with_reference(study: Study, district: District) -> Study:
    """Return a study whose score stays divided by what its rules allow now, whatever becomes of them."""
    if study.objective.reference is not None:
        return study
    most = most_floor_area(district, all_rules(study))
    reference = ReferenceSection(total=float(most[-1]), uses=dict(zip(study.uses, most[:-1].tolist(), strict=True)))
    return study.model_copy(update={"objective": study.objective.model_copy(update={"reference": reference})})


def changes(study: Study, each: bool = False) -> Iterator[Change]:
    """Yield every change of one rule: dropped, then looser and stricter, all its numbers at once or each by itself."""
    for number, rule in enumerate(study.rules):
        label = _label(study, number)
        dropped = _replaced(study, number, None)
        yield Change(number, label, "dropped", "", dropped, None if rule.most_reward > 0 else rule.grants)
        paths = rule.limits_given
        for only in [[path] for path in paths] if each else [paths] if paths else []:
            for kind in STEPS:
                moved = rule.stepped(kind == "stricter", only)
                if moved is None:
                    continue
                rule_or_why, text = moved
                changed = rule_or_why if isinstance(rule_or_why, str) else _replaced(study, number, rule_or_why)
                yield Change(number, label, kind, text, changed, kind == "stricter")


def _label(study: Study, number: int) -> str:
    """Return a rule's name in tables, and which it is where several share it."""
    label = study.rules[number].label
    return f"{label} (rules[{number}])" if sum(rule.label == label for rule in study.rules) > 1 else label


def _replaced(study: Study, number: int, rule: Rule | None) -> Study | str:
    """Return a study with a rule replaced, or left out; why not where what is left contradicts itself."""
    rules = [*study.rules[:number], *([] if rule is None else [rule]), *study.rules[number + 1 :]]
    prices = {name: value for name, value in study.diagnose.prices.items() if name in {r.label for r in rules}}
    values = {**study.to_dict(), "rules": rules, "diagnose": {"prices": prices}}
    try:
        return load_study(values, study.folder)
    except StudyError as error:
        return str(error)


def _solved(study: Study, district: District, start: Start, report: Report | None, scheduler: str | None) -> Answer:
    """Solve a changed study from the plan of the study itself, whose bound holds where it is stricter."""
    clock = Clock(np.inf)
    try:
        plan = solve_district(study, district, report=report, scheduler=scheduler, start=start, explained=False)
    except InfeasibleError:
        return Answer(-np.inf, -np.inf, "infeasible", None, clock.elapsed)
    except LimitError:
        return Answer(-np.inf, start.bound, "limit", None, clock.elapsed)
    return Answer(plan.result["objective"], plan.result["bound"], plan.result["status"], plan, clock.elapsed)


def _compared(
    study: Study, base: Answer, answers: Sequence[tuple[Change, Answer, float | None]], interrupted: bool
) -> Prices:
    """Set every answer against the study's own, after each has learnt from the others."""
    stricter = [a for change, a, _ in answers if change.stricter]
    looser = [a for change, a, _ in answers if change.stricter is False]
    low = max([base.low, *(a.low for a in stricter)])
    high = min([base.high, *(a.high for a in looser)])
    best = max([base, *stricter], key=lambda a: a.low)
    own = replace(base, low=low, high=max(low, high), plan=best.plan)
    prices = []
    for change, answer, marginal in answers:
        known = answer
        if change.stricter:
            known = replace(answer, high=min(answer.high, own.high))
        elif change.stricter is False:
            known = replace(answer, low=max(answer.low, own.low))
            if own.low > answer.low and answer.status != "error":
                # Its own search found less than what is known to be allowed.
                known = replace(known, plan=own.plan)
        least, most = known.low - own.high, known.high - own.low
        least = max(least, 0.0) if change.stricter is False else least
        most = min(most, 0.0) if change.stricter else most
        prices.append(Price(change, _proved(known, study.solve.gap), least, most, marginal))
    own = _proved(own, study.solve.gap)
    return Prices(study, own, tuple(prices), interrupted)


def _proved(answer: Answer, gap: float) -> Answer:
    """Return an answer whose status is that of the gap between what is known of the best score."""
    if answer.plan is None:
        return answer
    left = relative_gap(answer.high, answer.low)
    return replace(answer, status="optimal" if left is not None and left <= gap + 1e-9 else "feasible")


@dataclass(frozen=True)
class Margin:
    """The relaxation of a study at its end: solution, and prices of its rows by their names.

    Attributes
    ----------
    arrays : Arrays
        The study's program, without cuts that were added since.
    x : ndarray, shape (columns,)
    price : ndarray, shape (rows,)
    """

    arrays: Arrays
    x: Floats
    price: Floats

    @classmethod
    def of(cls, study: Study, district: District, stop: threading.Event) -> Margin | None:
        """Solve a study's relaxation; None where it is large (`LARGE` building sites) or not solved in time, or before a stop."""
        if len(district.sites) > LARGE:
            return None
        problem = assemble(study, district)
        arrays, limit = problem.arrays(), study.solve.time_limit
        relaxation, clock = Relaxation(problem, study.solve.threads, problem.tolerance), Clock(limit, stop=stop)
        while not relaxation.settled and clock.elapsed < RELAXING * limit:
            if relaxation.solve(clock).status != "optimal":
                return None
        assert relaxation.x is not None, "it was solved"
        return cls(arrays, relaxation.x, relaxation.prices[: len(arrays.row_lower)])

    def worth(self, study: Study, district: District) -> float | None:
        """Return what a changed study is worth more at the margin, score; None where its program is of another shape.

        By prices y of the rows: y (change of bounds - change of coefficients times x), at what the relaxation built.
        """
        before, after = self.arrays, assemble(study, district).arrays()
        if list(before.column_names) != list(after.column_names):
            return None
        priced = np.flatnonzero(np.abs(self.price) > DUAL)
        names, known = [before.row_names[int(row)] for row in priced], list(after.row_names)
        where = {name: row for row, name in enumerate(known)}
        count = Counter(known)
        if any(count[name] != 1 for name in names):
            return None
        other = np.array([where[name] for name in names], dtype=np.int64)
        price = self.price[priced]
        moved = np.where(price > 0, after.row_upper[other], after.row_lower[other])
        moved -= np.where(price > 0, before.row_upper[priced], before.row_lower[priced])
        load = (after.matrix[other] - before.matrix[priced]) @ self.x
        return float(price @ (moved - load)) / SCORE
