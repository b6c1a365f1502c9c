"""Why events fail, and which failures have the same cause.

One cause is one error type at one function of the project, for one type of event: a line moves with each edit, and a
message has values in it. Where no line of the project is known, it is the error without its values.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rtp.errors import UsageError
from rtp.runtime import errors
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
_LENGTH = 8  # hexadecimal digits of a group's id
_LEAST = 4  # of them that stand for it
_PLACE = re.compile(r"(?P<file>[^:\x00]+):(?P<line>\d{1,9}) (?P<function>.+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an event failed.

    type: class of the exception; empty where no reason is recorded. message: its text.
    at: the line of the project's code, `file:line function`; empty where it is not known.
    stored: the signature that the runtime has stored; empty where it has not.
    """

    type: str
    message: str
    at: str = ""
    stored: str = field(default="", metadata=HIDDEN)

    @property
    def text(self) -> str:
        """Type and message."""
        return f"{self.type}: {self.message}" if self.type else self.message

    @property
    def signature(self) -> str:
        """The error without numbers, ids and quoted words, which is the same for similar failures."""
        return self.stored or (errors.info(self.type, self.message).signature if self.type else self.message)


class Group(NamedTuple):
    """What failures of one cause have in common. kind: the events' type. where: file and function, or signature."""

    kind: str
    error: str
    where: str

    @property
    def id(self) -> str:
        """The name by which commands take the group; the same in every release and on every machine."""
        return hashlib.sha256("\0".join(self).encode("utf-8", "surrogatepass")).hexdigest()[:_LENGTH]


class Place(NamedTuple):
    """A line of the project's code. line: from 1."""

    file: str
    line: int
    function: str


def of(error: object) -> Cause:
    """The cause in the `error` of a record or attempt; empty without one."""
    if not isinstance(error, dict):
        return Cause("", "")
    return Cause(*(str(error.get(name) or "") for name in ("type", "message", "at", "signature")))


def place(at: str) -> Place | None:
    """Read a line of the project's code; None where the text is none."""
    match = _PLACE.fullmatch(at)
    return None if match is None else Place(match["file"], int(match["line"]), match["function"])


def group(kind: str, cause: Cause) -> Group:
    """The group of a failure."""
    line = place(cause.at)
    return Group(kind, cause.type, cause.signature if line is None else f"{line.file} {line.function}")


def grouped(items: Iterable[T], of_item: Callable[[T], Group]) -> list[tuple[Group, list[T]]]:
    """The groups and the items of each in the given order, the largest group first."""
    groups: dict[Group, list[T]] = {}
    for item in items:
        groups.setdefault(of_item(item), []).append(item)
    return sorted(groups.items(), key=lambda each: (-len(each[1]), each[0]))


def parsed(text: str) -> str:
    """The id of a group, or its beginning, that an option gives. Raises UsageError."""
    given = text.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_LEAST},{_LENGTH}}}", given):
        raise UsageError(
            f"{text!r} is not a group of failures.",
            hint=f"Give its {_LENGTH} hexadecimal digits, or the first {_LEAST} of them: `rtp triage` shows them.",
        )
    return given
