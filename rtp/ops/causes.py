"""Why events fail, and which failures have the same cause."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rtp.errors import NotFoundError, UsageError
from rtp.runtime import errors, groups
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rtp.runtime.groups import Group

T = TypeVar("T")
_LEAST = 4  # hexadecimal digits that stand for a group's id


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


def of(error: object) -> Cause:
    """The cause in the `error` of a record or attempt; empty without one."""
    if not isinstance(error, dict):
        return Cause("", "")
    return Cause(*(str(error.get(name) or "") for name in ("type", "message", "at", "signature")))


def group(kind: str, cause: Cause) -> Group:
    """The group of a failure."""
    return groups.group(kind, cause.type, at=cause.at, signature=cause.signature)


def group_of(record: Mapping[str, Any]) -> str:
    """The id of the group of a record's error."""
    return group(str(record.get("type", "")), of(record.get("error"))).id


def grouped(items: Iterable[T], of_item: Callable[[T], Group]) -> list[tuple[Group, list[T]]]:
    """The groups and the items of each in the given order, the largest group first."""
    found: dict[Group, list[T]] = {}
    for item in items:
        found.setdefault(of_item(item), []).append(item)
    return sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))


def parsed(text: str) -> str:
    """The id of a group, or its beginning, that an option gives. Raises UsageError."""
    given = text.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_LEAST},{groups.LENGTH}}}", given):
        raise UsageError(
            f"{text!r} is not a group of failures.",
            hint=f"Give its {groups.LENGTH} hexadecimal digits, or the first {_LEAST} of them: `rtp triage` has them.",
        )
    return given


def is_whole(group: str) -> bool:
    """Whether the id of a group has all its digits."""
    return len(group) == groups.LENGTH


def ambiguous(part: str, ids: Sequence[str]) -> NotFoundError:
    """The error for a beginning that several groups have."""
    return NotFoundError(
        f"{part} stands for several groups of failures: {', '.join(ids)}.",
        hint="Give more of the id: a beginning that only one group has. `rtp triage` lists the groups.",
    )
