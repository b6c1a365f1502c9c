"""Make untrusted text safe for a terminal."""

from __future__ import annotations

import re

# C0 except tab and newline, DEL, C1, bidi controls, zero-width marks, line and paragraph separators, lone surrogates.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str, *, newlines: bool = False) -> str:
    r"""Replace every control character by an escape such as `\x1b`, so that the text cannot control the terminal.

    newlines: whether line feeds stay; otherwise they are escaped too, so that a value has one line.
    """
    safe = UNSAFE.sub(_escape, text)
    return safe if newlines else safe.replace("\n", "\\n")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
