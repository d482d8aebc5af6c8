"""NSGA-II by pymoo over the same decisions, with proximity and mixing as its two objectives.

Deb, Pratap, Agarwal and Meyarivan (IEEE Transactions on Evolutionary Computation 6, 2002), in pymoo (Blank and Deb, IEEE
Access 8, 2020); for land use, Cao and others (International Journal of Geographical Information Science 25, 2011). Two
parents are crossed along a straight line through the district, so that neighbourhoods are inherited whole.

Made fair: ten times our time; moves are those of annealing; the first population holds greedy's first lawful plan, today's plan as far
as the rules allow it, and random plans at every distance from greedy's; crossed and mutated plans are repaired, so no
evaluation is lost on a plan that breaks a rule; every evaluation is exact; the plan reported is the best by the study's
own weights of all that were ever evaluated.
"""

from __future__ import annotations

import numpy as np
from common import Case, Ours, Row, Stopwatch, alone
from greedy import first_plan
from moves import Choice, Search, Town
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import ElementwiseDuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.problem import ElementwiseProblem
from pymoo.core.termination import Termination
from pymoo.optimize import minimize

POPULATION = 60
MOVES = 2.0
"""Mean number of moves of a mutation."""


class Allotment(ElementwiseProblem):
    """Maximise proximity and mixing; one variable, a `Choice`."""

    def __init__(self, search: Search) -> None:
        super().__init__(n_var=1, n_obj=2, n_ieq_constr=0, vtype=object)
        self.search = search

    def _evaluate(self, x, out, *args, **kwargs) -> None:
        out["F"] = [-term for term in self.search.terms(x[0])]


class AlongALine(Crossover):
    """Children take one side of a random straight line from one parent and the other side from the other."""

    def __init__(self, town: Town, rng: np.random.Generator) -> None:
        super().__init__(n_parents=2, n_offsprings=2)
        self.town, self.rng = town, rng
        sites = town.district.parcel_of
        self.xy = np.column_stack([np.bincount(sites, axis) / np.bincount(sites) for axis in town.district.xy.T])

    def _do(self, problem, X, *args, **kwargs):
        children = np.empty_like(X)
        for k in range(X.shape[1]):
            parents = X[0, k, 0], X[1, k, 0]
            angle, through = self.rng.uniform(0, np.pi), self.rng.integers(len(self.xy))
            side = (self.xy - self.xy[through]) @ (np.cos(angle), np.sin(angle)) > 0
            for j, (own, other) in enumerate((parents, parents[::-1])):
                child = own.copy()
                child.take(side, side[self.town.district.parcel_of], other)
                children[j, k, 0] = self.town.repair(child, own)
        return children


class Moves(Mutation):
    """A few random moves; those that break a limit of the district are taken back."""

    def __init__(self, town: Town, rng: np.random.Generator) -> None:
        super().__init__()
        self.town, self.rng = town, rng

    def _do(self, problem, X, *args, **kwargs):
        mutated = X.copy()
        for k in range(len(X)):
            child = X[k, 0].copy()
            for _ in range(self.rng.poisson(MOVES)):
                self.town.move(child, self.rng)
            mutated[k, 0] = self.town.repair(child, X[k, 0])
        return mutated


class Same(ElementwiseDuplicateElimination):
    def is_equal(self, a, b) -> bool:
        a, b = a.X[0], b.X[0]
        return np.array_equal(a.action, b.action) and np.array_equal(a.floors, b.floors)


class TimeIsUp(Termination):
    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch

    def _update(self, algorithm) -> float:
        return self.watch.share


def first_population(town: Town, start: Choice, rng: np.random.Generator) -> np.ndarray:
    """Greedy's plan, today's, and random ones: ever more parcels changed at random, repaired towards greedy's."""
    plans = [start, town.repair(town.today(), start)]
    for share in np.linspace(0.02, 1.0, POPULATION - len(plans)):
        plan = start.copy()
        for parcel in town.free[rng.random(len(town.free)) < share]:
            town.act(plan, parcel, rng.choice(town.actions[parcel]), rng)
        plans.append(town.repair(plan, start))
    population = np.empty((len(plans), 1), dtype=object)
    population[:, 0] = plans
    return population


def evolve(search: Search, start: Choice, rng: np.random.Generator) -> None:
    """Evolve plans from a lawful one until the search's time is up."""
    town = search.town
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=first_population(town, start, rng),
        crossover=AlongALine(town, rng),
        mutation=Moves(town, rng),
        eliminate_duplicates=Same(),
    )
    minimize(Allotment(search), algorithm, TimeIsUp(search.watch), seed=int(rng.integers(2**31)), copy_algorithm=False)


def run(case: Case, ours: Ours, seconds: float, seed: int = 0) -> list[Row]:
    """Ten times ``seconds``, greedy's start included."""
    search = Search(Town(case), Stopwatch(10 * seconds))
    start = first_plan(search, seed)
    evolve(search, start, np.random.default_rng(seed))
    return search.rows("NSGA-II (pymoo)", ours, seconds)


if __name__ == "__main__":
    alone(__doc__, run)
