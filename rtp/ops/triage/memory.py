"""What was said of groups of failures: items of the table, written conditionally, that no event can be.

An item's id is longer than an event's may be, and it has no status, so no index and no list of records has it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from rtp.aws import versioned
from rtp.errors import RtpError
from rtp.runtime import groups, wire
from rtp.text import suggest
from rtp.text.given import Given, MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtp.aws import Aws
    from rtp.ops.triage.failures import Failure

Said = Literal["", "acked", "muted", "resolved"]
State = Literal["new", "known", "acked", "muted", "resolved", "regressed"]
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_NOTES, _MOST_TEXT = 20, 500  # and characters of a text
_TRIES = 3
_RELEASES = 100


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody said.

    at: epoch ms. by: the AWS identity. what: acked, muted, resolved, reopened or note. text: of -m.
    """

    at: int
    by: str
    what: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """A group as it was when something was said of it last, for the time when no failure of it is left.

    type: of the events. error: type and message, without values. at: the line of the project's code. last: when the
    newest failure was, epoch ms. releases: that had failed, oldest first. Empty or 0 where not known.
    """

    type: str = ""
    error: str = ""
    at: str = ""
    last: int = 0
    releases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a group.

    said: the state that somebody gave it; empty for none. at: when, epoch ms. until: when that ends, epoch ms; 0 for
    never. until_count: after how many failures it ends; 0 for never. rate: failures an hour when it was muted.
    release: that resolved it. before: releases that had failed of it until then. version: of the item. about: the group
    as it was then.
    """

    group: str
    said: Said = ""
    at: int = 0
    until: int = 0
    until_count: int = 0
    rate: float = 0.0
    release: str = ""
    before: tuple[str, ...] = ()
    notes: tuple[Note, ...] = field(default=())
    version: int = 0
    about: About = field(default=About())


def state(memory: Memory | None, failures: Sequence[Failure], *, running: str, now: int) -> State:
    """The state of a group with these failures. running: the release that runs now; empty where not known."""
    if memory is not None and memory.said == "resolved":
        return "regressed" if any(_is_later(memory, failure) for failure in failures) else "resolved"
    if memory is not None and memory.said and not _is_over(memory, failures, now=now):
        return memory.said
    if memory is not None and (memory.said or memory.notes):
        return "known"
    seen = {release for failure in failures for release in failure.releases}
    if running and seen:
        return "new" if seen == {running} else "known"
    return "new" if min((f.first for f in failures), default=0) > now - _DAY_MS else "known"


def _is_later(memory: Memory, failure: Failure) -> bool:
    """Whether a failure is of the release that resolved the group or of a later one."""
    newest = failure.releases[-1] if failure.releases else ""
    return groups.is_regression(newest, failure.last, release=memory.release, at=memory.at, before=memory.before)


def _is_over(memory: Memory, failures: Sequence[Failure], *, now: int) -> bool:
    """Whether an acknowledgement or a mute has ended."""
    count = groups.Count(
        sum(failure.last > memory.at for failure in failures),
        sum(failure.last > max(memory.at, now - _HOUR_MS) for failure in failures),
    )
    return groups.is_over(
        memory.said, count, until=memory.until, until_count=memory.until_count, rate=memory.rate, now=now
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of groups, by their ids. unreadable: why that of others cannot be read."""

    by_group: dict[str, Memory] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def read(aws: Aws, table: str, ids: Iterable[str]) -> Known:
    """What is known of groups; nothing of those of which nothing was said."""
    known = Known()
    for record in versioned.read(aws, table, [_key(group) for group in ids]):
        group = str(record.get("id")).removeprefix(wire.GROUP_MEMORY)
        try:
            known.by_group[group] = _of(record)
        except MalformedError as error:
            known.unreadable[group] = str(error)
    return known


def change(aws: Aws, table: str, group: str, new: Memory, note: Note) -> Memory:
    """Write what somebody says of a group. Raises RtpError where others keep changing it meanwhile."""
    for _ in range(_TRIES):
        found = read(aws, table, [group])
        if why := found.unreadable.get(group):
            raise unreadable(table, group, why)
        known = found.by_group.get(group, Memory(group))
        if note.what == "note":
            new = replace(known, about=new.about)
        written = replace(new, notes=(*known.notes, note)[-_NOTES:], version=known.version + 1)
        if versioned.put(aws, table, _key(group), _values(written), over=known.version):
            return written
    raise RtpError(
        f"The group {group} is being changed by others.",
        hint="Look at it again, and repeat the command.",
        code="changed-meanwhile",
    )


def unreadable(table: str, group: str, why: str) -> RtpError:
    """The error for an item that rtp did not write, with the command that deletes it."""
    key = {"id": {"S": _key(group)[0]}, "timestamp": {"N": str(_key(group)[1])}}
    return RtpError(
        f"What was said of the group {group} cannot be read: {why}. Nothing was changed.",
        hint=suggest.sentence(
            "Another program wrote it. Delete it with {}.",
            suggest.command("aws", "dynamodb", "delete-item", table_name=table, key=json.dumps(key)),
            otherwise="Another program wrote it. Delete that item of the table.",
        ),
        code="unreadable-note",
    )


def _key(group: str) -> tuple[str, int]:
    return wire.GROUP_MEMORY + group, 0


def _values(memory: Memory) -> dict[str, Any]:
    notes = [{"at": n.at, "by": n.by, "what": n.what, "text": n.text} for n in memory.notes]
    return {
        "group": memory.group,
        "said": memory.said,
        "at": memory.at,
        "until": memory.until,
        "until_count": memory.until_count,
        "rate": round(memory.rate * 1000),
        "release": memory.release,
        "before": list(memory.before),
        "notes": notes,
        "about": asdict(memory.about) | {"releases": list(memory.about.releases)},
    }


def _of(record: dict[str, Any]) -> Memory:
    """The memory in an item. Raises MalformedError where rtp did not write it."""
    values = Given(record)
    said, key = values.text("said"), _key(values.text("group"))
    if said not in ("", "acked", "muted", "resolved"):
        raise values.malformed("said is no state")
    if (values.text("id"), values.integer("timestamp")) != key:
        raise values.malformed("it names another group than its key")
    return Memory(
        group=values.text("group"),
        said=said,  # type: ignore[arg-type]
        at=values.integer("at"),
        until=values.integer("until"),
        until_count=values.integer("until_count"),
        rate=values.integer("rate") / 1000,
        release=values.text("release", most=wire.RELEASE_LENGTH),
        before=tuple(values.texts("before")),
        notes=tuple(_note(Given(note)) for note in values.elements("notes")[-_NOTES:]),
        version=values.integer("version", least=1),
        about=_about(values.member("about", {})),
    )


def _about(values: Given) -> About:
    """Nothing of an item that an older version of rtp wrote. Raises MalformedError."""
    if not values.values:
        return About()
    return About(
        type=values.text("type", most=wire.MAX_NAME),
        error=values.text("error", most=_MOST_TEXT),
        at=values.text("at", most=_MOST_TEXT),
        last=values.integer("last"),
        releases=tuple(release[: wire.RELEASE_LENGTH] for release in values.texts("releases")[:_RELEASES]),
    )


def _note(values: Given) -> Note:
    """Raises MalformedError."""
    return Note(
        values.integer("at"),
        values.text("by", most=_MOST_TEXT),
        values.text("what", most=_MOST_TEXT),
        values.text("text", most=_MOST_TEXT),
    )
