"""Hide the values of fetched secrets in texts that are stored, logged or traced."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any, TextIO

MASK = "***"
MIN_CHARACTERS = 4  # a shorter value would hide too much of every text
_MIN_LINE = 12  # of a value with several lines, such as a private key
_MAX_FORMS = 400  # of all values; rotations add some, and the oldest are dropped
_forms: tuple[str, ...] = ()  # the longest first
_order: dict[str, None] = {}
_lock = threading.Lock()


def hide(value: str) -> None:
    """Hide a value from now on, also as JSON, URLs and Python's repr spell it, and the members of a JSON object."""
    global _forms
    forms = [form for text in _parts(value) for form in _spellings(text) if len(form) >= MIN_CHARACTERS]
    with _lock:
        for form in forms:
            _order.pop(form, None)
            _order[form] = None
        for oldest in list(_order)[:-_MAX_FORMS]:
            del _order[oldest]
        _forms = tuple(sorted(_order, key=len, reverse=True))


def forget() -> None:
    """Hide nothing any more, for the next test in one interpreter."""
    global _forms
    with _lock:
        _order.clear()
        _forms = ()


def active() -> bool:
    """Whether there is anything to hide."""
    return bool(_forms)


def masked(text: str) -> str:
    """Return the text with each hidden value replaced."""
    for form in _forms:
        if form in text:
            text = text.replace(form, MASK)
    return text


def guard_streams() -> None:
    """Mask what processors and libraries print, such as the traceback of a thread; logs.py writes past this."""
    if not isinstance(sys.stdout, MaskedStream):
        sys.stdout = MaskedStream(sys.stdout)
    if not isinstance(sys.stderr, MaskedStream):
        sys.stderr = MaskedStream(sys.stderr)


class MaskedStream:
    """A text stream that masks what is written. unmasked: the stream below it."""

    def __init__(self, stream: TextIO) -> None:
        self.unmasked = stream

    def write(self, text: str) -> int:
        """Write a text, masked."""
        return self.unmasked.write(masked(text))

    def writelines(self, lines: Any) -> None:
        """Write each text, masked."""
        self.unmasked.writelines(masked(line) for line in lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unmasked, name)


def _parts(value: str) -> list[str]:
    lines = [line.strip() for line in value.splitlines()]
    parts = [value, value.strip(), *(line for line in lines if len(lines) > 1 and len(line) >= _MIN_LINE)]
    if value.lstrip().startswith("{"):
        try:
            members = json.loads(value)
        except ValueError:
            return parts
        parts += [member for member in members.values() if isinstance(member, str)]
    return parts


def _spellings(text: str) -> set[str]:
    from urllib.parse import quote, quote_plus  # most cold starts have no secret

    as_json = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    return {text, *as_json, repr(text)[1:-1], quote(text, safe=""), quote(text), quote_plus(text)}
