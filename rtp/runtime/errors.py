"""The stored form of an exception: type, safe message, and a signature that groups similar failures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rtp.runtime import characters
from rtp.runtime.masking import masked

if TYPE_CHECKING:
    from types import TracebackType

MAX_MESSAGE = 500
_MAX_PLACE = 200
_TASK = __file__.removesuffix("rtp/runtime/errors.py")  # the folder of rtp and of the project
_OWN = f"{_TASK}rtp/"
_ONE_LINE = str.maketrans("\t\n", "  ")
_VARIABLE = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b|\d+(?:\.\d+)?|'[^']*'|\"[^\"]*\"", re.IGNORECASE
)


class ErrorInfo(NamedTuple):
    """An error as records, DLQ messages and responses show it. The stack trace is in the log only.

    at: the line of the project's code that raised it or called what did, `file:line function`; empty where none did.
    """

    type: str
    message: str
    signature: str
    at: str = ""


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
    return info(type(error).__name__, message)._replace(at=place(error.__traceback__))


def place(traceback: TracebackType | None) -> str:
    """Return the innermost line of the project's own code in a traceback; empty without one."""
    innermost = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = code.co_filename
        if file.startswith(_TASK) and not file.startswith(_OWN) and "/site-packages/" not in file:
            innermost = f"{file.removeprefix(_TASK)}:{traceback.tb_lineno} {code.co_name}"
        traceback = traceback.tb_next
    return sanitised(innermost)[:_MAX_PLACE]


def info(type: str, message: str) -> ErrorInfo:
    """Create an ErrorInfo with a message that is safe to store and print."""
    safe = sanitised(message)
    return ErrorInfo(sanitised(type)[:100], safe, f"{type}: {_VARIABLE.sub('*', safe)[:120]}")


def sanitised(text: str) -> str:
    """One line of at most 500 characters without hidden characters and secrets; SQS accepts it as an attribute."""
    start = masked(text)[: 4 * MAX_MESSAGE]
    return characters.replaced(start, lambda _: " ").translate(_ONE_LINE)[:MAX_MESSAGE]
