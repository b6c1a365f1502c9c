"""One list of characters decides what a terminal, a page and a stored error never show as it is."""

from __future__ import annotations

import json
import sys
import unicodedata

from rtp.commands.render import html_page
from rtp.runtime import characters, errors
from rtp.terminal import width
from rtp.text import json_values, suggest
from rtp.text.sanitize import printable

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
ATTACKS = {
    "escape": "\x1b[2J",
    "C1": "\x9b31m",
    "override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "tags": "a\U000e0041\U000e0042",
    "Hangul filler": "a\u3164b",
    "Braille blank": "a\u2800b",
    "combining joiner": "a\u034fb",
    "variation selector": "a\ufe0fb",
    "variation selector 17": "a\U000e0100b",
    "soft hyphen": "a\u00adb",
    "interlinear": "\ufff9a\ufffb",
    "line separator": "a\u2028b",
    "surrogate": "a\ud800",
    "private use": "a\ue000",
    "noncharacter": "a\uffff",
    "invisible times": "a\u2062b",
    "Arabic letter mark": "a\u061cb",
}


def test_the_list_is_that_of_the_categories_and_the_fillers() -> None:
    wrong = []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        by_category = unicodedata.category(character) in HIDDEN and character not in "\t\n"
        if characters.is_hidden(character) != (by_category or bool(characters.FILLERS.match(character))):
            wrong.append(hex(code))
    assert wrong == []


def test_no_output_has_a_hidden_character() -> None:
    for name, text in ATTACKS.items():
        page = html_page.text(text)
        outputs = (printable(text), page, errors.sanitised(text), json_values.dumps({"k": text}))
        assert [o for o in outputs if any(map(characters.is_hidden, o))] == [], name
        assert suggest.quote(text) is None, name


def test_json_with_hidden_characters_is_lossless() -> None:
    for text in ATTACKS.values():
        value = {"k": text, text: 1}
        assert json.loads(json_values.dumps(value)) == value


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    text = "naïve Größe 日本語 العربية हिन्दी 한국어 👍 a\u00a0b\u3000c"
    assert printable(text) == text
    assert errors.sanitised(text) == text


def test_the_width_is_that_of_what_is_drawn() -> None:
    assert width.columns("abc") == 3
    assert width.columns("日本") == 4
    assert width.columns("e\u0301") == 1
    assert width.columns("\x1b") == len(r"\x1b")
    assert width.left("日本", 6) == "日本  "
    assert width.right("日本", 6) == "  日本"
    assert width.cut("日本語", 4) == "日…"
    assert width.cut("ab", 4) == "ab"
