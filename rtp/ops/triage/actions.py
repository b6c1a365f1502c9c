"""What somebody says of a group of failures: that it is worked on, needs nobody, is corrected or not, or a note."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rtp.aws import history_objects
from rtp.errors import UsageError
from rtp.ops.triage import memory
from rtp.ops.triage.memory import About, Memory, Note
from rtp.text import times

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.ops.triage.report import FailureGroup, Triage

Said = Literal["acked", "muted", "resolved", "reopened", "note"]
_COUNT = re.compile(r"(\d{1,9})x", re.ASCII)
_MOST_TEXT = 500  # characters of a message


@dataclass(frozen=True, slots=True)
class End:
    """When an acknowledgement or a mute ends. ms: from now; 0 for never. count: of failures; 0 for any number."""

    ms: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What was said of a group.

    group: its id. what: acked, muted, resolved, reopened or note. by: the AWS identity. until: when it ends, ISO 8601;
    null for never. until_count: after how many more failures it ends; null for any number. release: that resolved it;
    empty where not known.
    """

    group: str
    what: Said
    by: str
    until: str | None = None
    until_count: int | None = None
    release: str = ""


def end(text: str) -> End:
    """Read the end of an acknowledgement or a mute, such as `2h` or `100x`. Raises UsageError."""
    count = _COUNT.fullmatch(text.strip())
    if count is not None and int(count[1]) > 0:
        return End(count=int(count[1]))
    try:
        return End(ms=times.parse_duration(text))
    except UsageError:
        raise UsageError(
            f"{text!r} of --until is neither a time from now nor a number of failures.",
            hint="Examples: 2h, 3d, 100x for a hundred more failures.",
        ) from None


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be said. text: of the message; empty for none. end: of an acknowledgement or a mute."""

    what: Said
    text: str = ""
    end: End = End()


def say(aws: Aws, table: str, group: FailureGroup, found: Triage, saying: Saying, *, now: int) -> Done:
    """Write it beside what is known of the group. Raises RtpError where that cannot be written."""
    by, _ = history_objects.caller(aws)
    what, ends = saying.what, saying.end
    until = now + ends.ms if ends.ms else 0
    about = About(
        type=group.type,
        error=group.error[:_MOST_TEXT],
        at=group.at[:_MOST_TEXT],
        last=times.parse_when(group.last) if group.last else 0,
        releases=tuple(group.releases),
    )
    new = Memory(group.id, about=about)
    if what != "note":
        new = Memory(
            group.id,
            said=what if what != "reopened" else "",
            at=now,
            until=until,
            until_count=ends.count,
            rate=group.last_24h / 24,
            release=found.release if what == "resolved" else "",
            before=tuple(sorted(set(group.releases) - {found.release})) if what == "resolved" else (),
            about=about,
        )
    memory.change(aws, table, group.id, new, Note(now, by, what, saying.text[:_MOST_TEXT]))
    return Done(
        group.id,
        what,
        by,
        until=times.iso(until) if until else None,
        until_count=ends.count or None,
        release=new.release,
    )
