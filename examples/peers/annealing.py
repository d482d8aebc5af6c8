"""Simulated annealing over the same decisions.

Kirkpatrick, Gelatt and Vecchi (Science 220, 1983); for allotting land, Aerts and Heuvelink (International Journal of
Geographical Information Science 16, 2002). One random move, or two at once so that floor area can be exchanged where a
limit of the district binds; a worse plan is taken with probability exp(difference / temperature); the temperature falls
geometrically with the clock.

Made fair: ten times our time; starts from greedy's first lawful plan; its first temperature is set by trial moves; the score of every
plan is exact (see `moves.Proximity`), and moves that break a limit of the district are refused before they are scored.
"""

from __future__ import annotations

import numpy as np
from common import Case, Ours, Row, Stopwatch, alone
from greedy import first_plan
from moves import Choice, Search, Town

TRIALS = 60
FIRST, LAST = 0.3, 3e-4
"""Temperature at first and at last, of the median difference that a trial move makes."""


def anneal(search: Search, start: Choice, rng: np.random.Generator) -> None:
    """Improve a lawful plan until the search's time is up."""
    town, watch = search.town, search.watch
    current, score = start, search.score(start)
    differences = []
    while len(differences) < TRIALS and watch.share < 1:
        trial = moved(town, current, rng)
        if town.keeps_rules(trial):
            differences.append(abs(search.score(trial) - score))
    scale = float(np.median(differences)) if differences else 1.0
    begun = watch.share
    while watch.share < 1:
        trial = moved(town, current, rng)
        if not town.keeps_rules(trial):
            continue
        value = search.score(trial)
        done = (watch.share - begun) / (1 - begun)
        temperature = scale * FIRST * (LAST / FIRST) ** done
        if value >= score or rng.random() < np.exp((value - score) / temperature):
            current, score = trial, value


def moved(town: Town, choice: Choice, rng: np.random.Generator) -> Choice:
    trial = choice.copy()
    for _ in range(rng.integers(1, 3)):
        town.move(trial, rng)
    return trial


def run(case: Case, ours: Ours, seconds: float, seed: int = 0) -> list[Row]:
    """Ten times ``seconds``, greedy's start included."""
    search = Search(Town(case), Stopwatch(10 * seconds))
    start = first_plan(search, seed)
    anneal(search, start, np.random.default_rng(seed))
    return search.rows("annealing", ours, seconds)


if __name__ == "__main__":
    alone(__doc__, run)
