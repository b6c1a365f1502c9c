"""The stored form of an exception: type, safe message, and a signature that groups similar failures."""

from __future__ import annotations

import re
from typing import NamedTuple

from rtp.runtime.masking import masked

MAX_MESSAGE = 500
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_VARIABLE = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b|\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"", re.IGNORECASE
)


class ErrorInfo(NamedTuple):
    """An error as records, DLQ messages and responses show it. The stack trace is in the log only."""

    type: str
    message: str
    signature: str


class OutOfTimeError(Exception):
    """The function's time ran out before the processor finished."""


class BlockedLoopError(Exception):
    """An async processor blocked its event loop until the function's time ran out."""


def describe(error: BaseException) -> ErrorInfo:
    """Return the ErrorInfo of an exception."""
    try:
        message = str(error) or "(no message)"
    except Exception:
        message = "(the message cannot be read)"
    return info(type(error).__name__, message)


def info(type: str, message: str) -> ErrorInfo:
    """Create an ErrorInfo with a message that is safe to store and print."""
    safe = sanitised(message)
    return ErrorInfo(sanitised(type)[:100], safe, f"{type}: {_VARIABLE.sub('*', safe)[:120]}")


def sanitised(text: str) -> str:
    """One line of at most 500 characters without control characters and secrets; SQS accepts it as an attribute."""
    return _UNSAFE.sub(" ", masked(text)[: 4 * MAX_MESSAGE])[:MAX_MESSAGE]
