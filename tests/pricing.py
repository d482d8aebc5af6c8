"""What the model charges for a plan, against what a rule's words say it misses: many plans, one by one."""

import random

import numpy as np
import scipy.optimize
from hypothesis import strategies as st

from tests.districts import checked, lots, problem_of, study
from tests.enumeration import COLUMNS, LAND, NAMES, NEAR, PLATE, Situation, plans_of, walking

PRICE = 0.01


def charge(problem, action, floors):
    """The least that slacks cost once every decision on a parcel is fixed, in score; infinite where rows forbid it.

    A study without weights scores nothing else.
    """
    arrays, model = problem.arrays(), problem.model
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    at = np.array(action)[problem.district.parcel_of]
    fixed = [(getattr(model, a), [x == a for x in action]) for a in ("keep", "convert", "redevelop")]
    for block, kind in ((model.new, "redevelop"), (model.converted, "convert")):
        fixed.append((block, np.where((at == kind)[:, None], floors, 0)))
    for block, value in fixed:
        lower[block] = upper[block] = np.asarray(value, dtype=float)
    if (lower < arrays.lower).any() or (upper > arrays.upper).any():
        return np.inf
    rows = scipy.optimize.LinearConstraint(arrays.matrix, arrays.row_lower, arrays.row_upper)
    bounds = scipy.optimize.Bounds(lower, upper)
    found = scipy.optimize.milp(-arrays.cost, integrality=arrays.integer, bounds=bounds, constraints=rows)
    return found.fun / 100.0 if found.success else np.inf


def drawn(rule_of):
    """The rules of ``rule_of(rng)`` as a strategy."""
    return st.integers(0, 2**32).map(lambda seed: rule_of(random.Random(seed)))


def draw(rng):
    """A few lots, some built with several uses: frame and what makes a `Situation` of it."""
    count = rng.choice([1, 2, 2, 3, 3, 4, 4])
    far = [rng.randint(1, 4) * PLATE / LAND for _ in range(count)]
    storeys = [rng.randint(0, 3) for _ in range(count)]
    park = [rng.random() < 0.1 for _ in range(count)]
    zone = [rng.choice("AB") for _ in range(count)]
    today = np.array([np.bincount([rng.randrange(3) for _ in range(n)], minlength=3) for n in storeys]) * PLATE
    facts = {f"gfa_{u}": today[:, k] for k, u in enumerate(NAMES)}
    gap = float(rng.randint(5, 120))
    frame = lots(count, gap=gap, max_far=far, storeys=storeys, protected=park, zone=zone, **facts)
    return frame, far, storeys, park, zone


def any_plan(rng, far, storeys, park):
    """An action and floors for each lot, actions alike often."""
    chosen = []
    for f, n, p in zip(far, storeys, park):
        options = plans_of(round(f * LAND / PLATE), n, p)
        kind = rng.choice(sorted({a for a, _ in options}))
        chosen.append(rng.choice([o for o in options if o[0] == kind]))
    return [a for a, _ in chosen], np.array([f for _, f in chosen])


def charged(rule_of, missed, *, price=PRICE, districts=60, plans=8):
    """Return a test: on random districts, model and check both charge every plan what it misses by the rule's words.

    Parameters
    ----------
    rule_of : callable
        ``rule_of(rng)``: a rule of the family as a study writes it, drawn with a `random.Random`.
    missed : callable
        As of `tests.enumeration.family`.
    """

    def test():
        rng = random.Random(0)
        for _ in range(districts):
            frame, far, storeys, park, zone = draw(rng)
            rule = rule_of(rng)
            if isinstance(rule.get("where"), str) and "A" not in zone:
                continue
            hard, soft = (
                study(rules=[r], lot_columns=COLUMNS, objective={"proximity": 0, "mixing": 0, "density": 1e-12})
                for r in (rule, {**rule, "price": price})
            )
            problems = [problem_of(asked, frame) for asked in (hard, soft)]
            district = problems[0].district
            kept = district.existing
            walk = walking(district.network, len(far))
            for _ in range(plans):
                action, floors = any_plan(rng, far, storeys, park)
                area = np.where(np.array([a == "keep" for a in action])[:, None], kept, PLATE * floors)
                s = Situation(
                    action, floors, area, kept, np.array(far), storeys, district.xy, walk, zone, district.groups
                )
                amount = missed(rule, s)
                said = f"{rule}\n{storeys} {far} {zone}\n{kept.tolist()}\n{action} {floors.tolist()}: {amount}"
                assert (charge(problems[0], action, floors) < np.inf) == (amount <= NEAR), said
                assert abs(charge(problems[1], action, floors) / price - amount) <= 1e-3, said
                found = checked(soft, frame, action, floors, district)
                assert abs(sum(c.missed for c in found) - amount) <= 1e-3, (said, found)
                assert all(c.satisfied for c in found) == (amount <= NEAR), (said, found)

    return test
