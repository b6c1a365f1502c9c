"""What is counted of a group of failures, when a message about it is due, and the message's text. No IO.

A message has no text that an event or an exception can contain: the type of the error and the line of code name the
cause, `rtp triage` shows the rest to those who may read the records.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import attributes, dlqnote, errors, groups
from rtp.runtime.groups import Count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.runtime.groups import Group

WINDOW_MS = 15 * 60_000  # in which a group has one message
MOST = 10  # messages of all groups in that time: unknown types of events make any number of groups
_EPISODE_MS = 14 * 86_400_000  # without a failure, after which counting begins again
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_LATEST_MS = 10**13  # the year 2286
_MOST_TYPE, _MOST_SUBJECT = 60, 100  # characters; SNS takes 100 for a subject
_LINKED = re.compile(r"[/`@]|(?<=www)\.", re.IGNORECASE)  # what begins a link, or ends code


class Failure(NamedTuple):
    """An event that died. at: the line of code. failed_at: of its last attempt. lost_at: SQS deletes its message then.

    Times are epoch ms. id: of the change of its record.
    """

    id: str
    group: Group
    at: str
    release: str
    failed_at: int
    lost_at: int


class Said(NamedTuple):
    """What was said of a group by `rtp triage`; the fields of its item."""

    said: str = ""
    at: int = 0
    until: int = 0
    until_count: int = 0
    rate: float = 0.0
    release: str = ""
    before: tuple[str, ...] = ()


class Notice(NamedTuple):
    """What is counted of a group. total: failures since `first`. release: of the first one. last: the newest one.

    unsent, lost_at: failures that no message has counted, and when the first of their messages is lost. sent: the time
    of the last message. batch: that was counted last. said_at, since: what was said last, and the failures since then;
    hour, in_hour: the same within an hour that began then. Times are epoch ms; 0 for none.
    """

    total: int = 0
    first: int = 0
    last: int = 0
    release: str = ""
    unsent: int = 0
    lost_at: int = 0
    sent: int = 0
    batch: str = ""
    said_at: int = 0
    since: int = 0
    hour: int = 0
    in_hour: int = 0
    version: int = 0


class Message(NamedTuple):
    """A message to people. subject: for a mail."""

    subject: str
    text: str


def failure(change: Mapping[str, Any], retention_days: int) -> Failure | None:
    """The event that died by this change of an item of the table, as the table's stream has it; None for any other.

    A dead record also changes when its message reaches the DLQ, and when another event comes with its identity.
    """
    images = change.get("dynamodb") or {}
    new, old = images.get("NewImage") or {}, images.get("OldImage") or {}
    if not _is_dead(new) or _is_dead(old):
        return None
    try:
        return _failure(str(change.get("eventID", "")), new, retention_days)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return None  # another program wrote it, and the others still have their message


def _failure(id: str, item: Mapping[str, Any], retention_days: int) -> Failure | None:
    """The failure in a dead record. Raises what values of other types raise."""
    values = {name: attributes.unpack(item[name]) for name in _ATTRIBUTES if name in item}
    error = values.get("error")
    if not isinstance(error, dict):
        return None
    kind, signature = str(error.get("type") or ""), str(error.get("signature") or "")
    at = str(error.get("at") or "")
    failed_at = int(values.get("attempted_at") or values.get("accepted_at") or values["timestamp"])
    note = dlqnote.read(values.get(dlqnote.ATTRIBUTE) or {})
    sent_at = failed_at if note is None else note.sent_at
    return Failure(
        id=id,
        group=groups.group(str(values.get("type", "")), kind, at=at, signature=signature),
        at=at,
        release=str(values.get("release") or ""),
        failed_at=failed_at,
        lost_at=sent_at + retention_days * _DAY_MS,
    )


_ATTRIBUTES = ("timestamp", "type", "error", "release", "attempted_at", "accepted_at", dlqnote.ATTRIBUTE)


def _is_dead(image: Mapping[str, Any]) -> bool:
    """Whether a record is dead, and not only claimed for its last attempt."""
    return image.get("status") == {"S": "dead"} and image.get("lease_until", {"N": "0"}) == {"N": "0"}


def counted(notice: Notice, said: Said, failures: Sequence[Failure], now: int) -> Notice:
    """Count failures of one group; a batch that Lambda repeats is counted once."""
    batch = failures[0].id
    if batch and batch == notice.batch:
        return notice
    if now - notice.last > _EPISODE_MS:
        notice = Notice(version=notice.version)
    if said.at != notice.said_at:
        notice = notice._replace(said_at=said.at, since=0, hour=0, in_hour=0)
    if now - notice.hour > _HOUR_MS:
        notice = notice._replace(hour=now, in_hour=0)
    later = sum(failure.failed_at > said.at for failure in failures)
    first = min(failures, key=lambda failure: failure.failed_at)
    lost = [failure.lost_at for failure in failures] + ([notice.lost_at] if notice.unsent else [])
    return notice._replace(
        total=notice.total + len(failures),
        first=notice.first or first.failed_at,
        release=notice.release if notice.first else first.release,
        last=max(notice.last, *(failure.failed_at for failure in failures)),
        unsent=notice.unsent + len(failures),
        lost_at=min(lost),
        batch=batch,
        since=notice.since + later,
        in_hour=notice.in_hour + later,
    )


def is_due(notice: Notice, said: Said, failures: Sequence[Failure], now: int) -> bool:
    """Whether people are to get a message: of a group that needs somebody, and none of it in the last 15 minutes."""
    if not notice.unsent or 0 <= now - notice.sent < WINDOW_MS:
        return False
    if said.said == "resolved":
        return is_regressed(said, failures)
    count = Count(notice.since, notice.in_hour)
    return not said.said or groups.is_over(
        said.said, count, until=said.until, until_count=said.until_count, rate=said.rate, now=now
    )


def is_regressed(said: Said, failures: Sequence[Failure]) -> bool:
    """Whether a group fails again that was resolved."""
    return said.said == "resolved" and any(
        groups.is_regression(f.release, f.failed_at, release=said.release, at=said.at, before=said.before)
        for f in failures
    )


def message(stack: str, command: str, notice: Notice, said: Said, failures: Sequence[Failure], now: int) -> Message:
    """How many events died of what, since which release, until when, and what to run. command: the id follows it."""
    newest = failures[-1]
    kind = _as_code(_plain(newest.group.kind)) or "no type"
    error = _plain(newest.group.error) or "an error"
    place = groups.place(newest.at)
    where = "" if place is None else f" at {_plain(place.file)}:{place.line} {_plain(place.function)}"
    events = "1 event" if notice.unsent == 1 else f"{notice.unsent:,} events"
    died = f"{events} of type {kind} died in {stack}: {error}{where}"
    again = "Regressed: it was resolved" + (f" by release {_plain(said.release)[:12]}. " if said.release else ". ")
    since = f"since release {_plain(notice.release)[:12]}, " if notice.release else ""
    lines = [
        f"{died} (group {newest.group.id}).",
        f"{again if is_regressed(said, failures) else ''}{notice.total:,} {since}first at {_time(notice.first)}.",
        f"The first of these messages is lost at {_time(notice.lost_at)}, in {_span(notice.lost_at - now)}.",
        f"Run: {command} {newest.group.id}",
    ]
    subject = f"{stack}: {events} died, {error}{where}"
    return Message(_ascii(subject)[:_MOST_SUBJECT], "\n".join(lines))


def overflow(stack: str) -> Message:
    """Says that more groups fail than have a message."""
    text = (
        f"More than {MOST} groups of failures in {stack} within 15 minutes: the others have no message.\n"
        "`rtp triage` lists them."
    )
    return Message(_ascii(f"{stack}: more groups of failures")[:_MOST_SUBJECT], text)


def _as_code(kind: str) -> str:
    """A type of events, which a client chose, as code: chats make no link, name or image of it; nor do mails."""
    plain = _LINKED.sub(" ", kind)[:_MOST_TYPE].strip()
    return f"`{plain}`" if plain else ""


def _plain(text: str) -> str:
    """A text of the events or the project on one line, without secrets."""
    return errors.sanitised(text)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _time(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(min(ms, _LATEST_MS) / 1000))


def _span(ms: int) -> str:
    minutes = max(0, ms) // 60_000
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
