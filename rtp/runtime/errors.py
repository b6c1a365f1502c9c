"""The stored form of an exception: type, safe message, and a signature that groups similar failures."""

from __future__ import annotations

import re
from typing import NamedTuple

from rtp.runtime import characters
from rtp.runtime.masking import masked

MAX_MESSAGE = 500
_ONE_LINE = str.maketrans("\t\n", "  ")
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
    """One line of at most 500 characters without hidden characters and secrets; SQS accepts it as an attribute."""
    start = masked(text)[: 4 * MAX_MESSAGE]
    return characters.replaced(start, lambda _: " ").translate(_ONE_LINE)[:MAX_MESSAGE]
