"""Errors a user can act on."""


class UpstairsError(Exception):
    """Something the user can put right; the message says what, where, what was expected and what to do."""

    exit_status = 2


class StudyError(UpstairsError):
    """A study file that cannot be used."""


class InfeasibleError(UpstairsError):
    """No plan satisfies the rules."""

    exit_status = 3


class LimitError(UpstairsError):
    """A limit was reached before any plan was found."""

    exit_status = 4


class SolverError(UpstairsError):
    """A solver that is missing or failed."""
