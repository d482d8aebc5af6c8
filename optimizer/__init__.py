"""Upstairs: which uses go on which floors of which parcels, and how good that is at best.

>>> import optimizer
>>> plan = optimizer.solve("study.toml")  # doctest: +SKIP
>>> plan.explore()  # doctest: +SKIP
"""

from geodata.errors import GeodataError
from optimizer.api import check, solve
from optimizer.errors import InfeasibleError, LimitError, SolverError, StudyError, UpstairsError
from optimizer.plan import Plan
from optimizer.study import Study, load_study

__all__ = [
    "GeodataError",
    "InfeasibleError",
    "LimitError",
    "Plan",
    "SolverError",
    "Study",
    "StudyError",
    "UpstairsError",
    "check",
    "load_study",
    "solve",
]
__version__ = "0.1.0"
