"""Remove from JSON what is not to be passed on: values under names of secrets and persons, and texts in known forms."""

from __future__ import annotations

import re
from typing import Any

from rtp.text import addresses

MASK = "***"
_NAMES = re.compile(
    r"pass(word|wd|phrase|code)|pass$|pwd|secret|token|jwt|bearer|(?:^|[^a-z])(?:pin|otp)(?:$|[^a-z])"
    r"|authori[sz]ation|api[-_ ]?key|private[-_ ]?key|credential|cookie|session|signature|card|cvc|cvv|iban|ssn"
    r"|e-?mail|phone|birth",
    re.IGNORECASE,
)
# A member in a text that is not JSON as a whole, such as an event that was cut off.
_IN_TEXT = re.compile(
    r"""(?P<start>(?P<mark>["'])(?P<name>[^"'\\]{1,100})(?P=mark)\s*:\s*)"""
    r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[\w.+-]+)"""
)
_KEPT = ("signature",)  # of an error: rtp's own, without values
_TEXTS = (
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),  # AWS access key ids
    re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"),  # JSON Web Tokens
    re.compile(r"(?<=Bearer )[\w.~+/=-]+", re.IGNORECASE),
    re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),  # e-mail addresses
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)


def redacted(value: Any) -> Any:
    """A JSON value with `***` in place of what is not to be passed on; keys, numbers and structure stay."""
    if isinstance(value, dict):
        return {name: _member(str(name), each) for name, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    return text(value) if isinstance(value, str) else value


def text(value: str) -> str:
    """A text without passwords of addresses, keys, tokens and e-mail addresses."""
    value = _IN_TEXT.sub(_masked_member, addresses.masked(value))
    for form in _TEXTS:
        value = form.sub(MASK, value)
    return value


def _masked_member(match: re.Match[str]) -> str:
    return f'{match["start"]}"{MASK}"' if _NAMES.search(match["name"]) else match[0]


def _member(name: str, value: Any) -> Any:
    if value is None or name in _KEPT or not _NAMES.search(name):
        return redacted(value)
    return MASK
