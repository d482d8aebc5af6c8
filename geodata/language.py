"""Words and numbers in the reader's language, from message catalogues (gettext's .po files) in ``words``."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from babel import Locale, dates, numbers
from babel.messages import pofile

from geodata.errors import GeodataError

LANGUAGES = ("en", "zh")
"""English is what messages are written in; a file ``words/<code>.po`` adds another."""


@dataclass(frozen=True)
class Language:
    """A language to write for people in.

    Attributes
    ----------
    code : str
        As in ``lang`` of HTML.
    messages : dict
        English message to its translation.
    """

    code: str
    messages: dict[str, str] = field(repr=False)

    def __call__(self, text: str, **values: object) -> str:
        """Return a message in this language, its ``{names}`` filled in; a message without translation as it is."""
        told = self.messages.get(text, text)
        return told.format(**values) if values else told

    @property
    def locale(self) -> Locale:
        """Conventions for numbers and dates."""
        return Locale.parse({"zh": "zh_Hans_CN"}.get(self.code, self.code))

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with grouped thousands."""
        return str(numbers.format_decimal(value, format=f"#,##0.{'0' * digits}".rstrip("."), locale=self.locale))

    def percent(self, share: float | None, digits: int = 1) -> str:
        """Return a share as a percentage; None is unknown."""
        if share is None:
            return self("unknown")
        return str(numbers.format_percent(share, format=f"#,##0.{'0' * digits}".rstrip(".") + "%", locale=self.locale))

    def date(self, day: datetime.date) -> str:
        """Return a day in words."""
        return str(dates.format_date(day, format="long", locale=self.locale))


@cache
def language(code: str) -> Language:
    """Return a language by its code or by the name of a locale that has it, such as ``zh-CN`` or ``zh_CN.UTF-8``.

    Raises
    ------
    GeodataError
        When there is none of that code.
    """
    asked, code = code, re.split(r"[-_.@]", code.strip().lower())[0]
    if code not in LANGUAGES:
        raise GeodataError(f"language {asked!r}: {', '.join(LANGUAGES)} are known")
    if code == "en":
        return Language(code, {})
    with resources.files("geodata").joinpath("words", f"{code}.po").open("rb") as file:
        catalogue = pofile.read_po(file, locale=code)
    return Language(code, {str(m.id): str(m.string) for m in catalogue if m.id and m.string})


ENGLISH = language("en")
