"""One use a building, as conservation planning allots one zone to each planning unit: what stacks are worth.

prioritizr (Hanson and others, Conservation Biology 39, 2025) and Marxan with Zones (Watts and others, Environmental
Modelling and Software 24, 2009) choose one zone a unit. The same choice here: our own study with one more rule, that no
two uses share a building that is new or converted. Buildings that are kept stay as they are, mixed ones included.

Made fair: same solver, time and bound. What stacks are worth is proved from both sides: at least our plan with stacks over
the bound without them, at most our bound with stacks over the plan without them.
"""

from __future__ import annotations

import itertools

from common import Case, Ours, Row, arguments, chosen, judge, solve_ours, table


def single(case: Case) -> Case:
    """The case with at most one use in each new or converted building."""
    pairs = [list(pair) for pair in itertools.combinations((use.name for use in case.study.use_list), 2)]
    rule = {"kind": "stacking", "name": "one use a building", "never_with": pairs}
    return case.asking(rules=[*case.study.to_dict()["rules"], rule])


def run(case: Case, ours: Ours, seconds: float) -> list[Row]:
    alone = solve_ours(single(case), seconds)
    score = judge(case, alone.plan.action, alone.plan.floors, ours.bound)
    at_least, at_most = ours.score / alone.bound - 1, ours.bound / score - 1
    what = f"score, at most {alone.bound:.5f} by its own bound; stacks are worth {at_least:+.1%} to {at_most:+.1%}"
    return [Row("one use a building", case.name, what, score, ours.score, ours.bound, alone.seconds, ours.seconds)]


def main() -> None:
    asked = arguments(__doc__, 60).parse_args()
    case = chosen(asked)
    print(table(run(case, solve_ours(case, asked.seconds), asked.seconds)))


if __name__ == "__main__":
    main()
