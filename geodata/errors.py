"""Errors of the package."""


class GeodataError(ValueError):
    """Input that cannot be used: says where, what was found, what was expected and what to do."""
