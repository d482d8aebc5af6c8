"""Words in other languages: none is missing, none says less than the English does, numbers and dates as is usual there."""

import datetime
import re

import pytest

from geodata.errors import GeodataError
from geodata.language import LANGUAGES, language
from tests.messages import messages

OTHERS = [code for code in LANGUAGES if code != "en"]


@pytest.mark.parametrize("code", OTHERS)
def test_every_message_is_translated(code):
    assert not {text for text in messages() if text not in language(code).messages}


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_is_of_a_message_that_is_said_and_fills_in_the_same(code):
    known = messages()
    for text, told in language(code).messages.items():
        assert text in known, text
        assert sorted(re.findall(r"\{(\w+)\}", told)) == sorted(re.findall(r"\{(\w+)\}", text)), text


def test_numbers_and_dates_are_of_the_language():
    day = datetime.date(2026, 3, 9)
    english, chinese = language("en"), language("zh")
    assert (english.number(1234567.8), english.number(0.12345, 3), english.percent(0.1234)) == (
        "1,234,568",
        "0.123",
        "12.3%",
    )
    assert (english.date(day), chinese.date(day)) == ("March 9, 2026", "2026年3月9日")
    assert english.percent(None) == "unknown" and chinese.percent(None) == "未知"
    assert chinese("zone {n}", n="C-1") == "分区 C-1"


def test_a_language_that_is_not_known_is_said():
    with pytest.raises(GeodataError, match="en, zh are known"):
        language("fr")
