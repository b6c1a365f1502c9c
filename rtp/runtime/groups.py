"""Groups of failures, and what was said of them: the forms that the notifier and `rtp triage` agree on.

One cause is one error type at one function of the project, for one type of event: a line moves with each edit, and a
message has values in it. Where no line of the project is known, it is the error without its values.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

LENGTH = 8  # hexadecimal digits of a group's id
_PLACE = re.compile(r"(?P<file>[^:\x00]+):(?P<line>\d{1,9}) (?P<function>.+)", re.ASCII)
_LOUDER = 10  # times the rate at which a group was muted, after which the mute ends


class Group(NamedTuple):
    """What failures of one cause have in common. kind: the events' type. where: file and function, or signature."""

    kind: str
    error: str
    where: str

    @property
    def id(self) -> str:
        """The name by which commands take the group; the same in every release and on every machine."""
        return hashlib.sha256("\0".join(self).encode("utf-8", "surrogatepass")).hexdigest()[:LENGTH]


class Place(NamedTuple):
    """A line of the project's code. line: from 1."""

    file: str
    line: int
    function: str


def place(at: str) -> Place | None:
    """Read a line of the project's code; None where the text is none."""
    match = _PLACE.fullmatch(at)
    return None if match is None else Place(match["file"], int(match["line"]), match["function"])


def group(kind: str, error: str, *, at: str, signature: str) -> Group:
    """The group of a failure. error: its type. at: the line of the project's code; empty where it is not known."""
    line = place(at)
    return Group(kind, error, signature if line is None else f"{line.file} {line.function}")


class Count(NamedTuple):
    """Failures of a group. since: of those since something was said of it. last_hour: of the last hour of that time."""

    since: int
    last_hour: int


def is_over(said: str, count: Count, *, until: int, until_count: int, rate: float, now: int) -> bool:
    """Whether an acknowledgement or a mute has ended. until: epoch ms; 0 for never. until_count: 0 for never.

    rate: failures an hour when it was said.
    """
    if until and now >= until:
        return True
    if until_count and count.since >= until_count:
        return True
    return said == "muted" and count.last_hour > _LOUDER * max(1.0, rate)


def is_regression(newest: str, failed_at: int, *, release: str, at: int, before: Collection[str]) -> bool:
    """Whether a failure is of the release that resolved its group or of a later one. at: when it was resolved.

    newest: the last release that failed of it; empty where not known. before: the releases that had failed of it until
    then. Later ones are those that are not among them: an older one may still run on some instances, or come back by a
    rollback. Of the release itself only what failed after that counts.
    """
    if not newest or newest == release:
        return failed_at > at
    return newest not in before
