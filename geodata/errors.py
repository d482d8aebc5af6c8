"""Errors of reading and preparing data."""


class GeodataError(ValueError):
    """Data that cannot be used; the message says what, where, what was expected and what to do."""
