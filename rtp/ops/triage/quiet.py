"""A group of which something was said, and of which no failure is among those that were read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops import causes
from rtp.ops.triage import memory, report
from rtp.ops.triage.report import FailureGroup, Newest
from rtp.runtime import groups
from rtp.text import times

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.ops.triage.memory import Memory
    from rtp.ops.triage.report import Triage


def one(aws: Aws, table: str, found: Triage, part: str, *, now: int) -> FailureGroup:
    """The group with this id, or one that begins so, also where nothing but what was said of it is left.

    A beginning stands for such a group where the newest commands of the history name it. Raises NotFoundError, and
    RtpError where what was said of it cannot be read.
    """
    if any(group.id.startswith(part) for group in found.groups):
        return report.one(found, part)
    ids = [part] if len(part) == groups.LENGTH else [group for group in found.said if group.startswith(part)]
    known = memory.read(aws, table, ids) if ids else memory.Known()
    if known.unreadable:
        raise memory.unreadable(table, *next(iter(known.unreadable.items())))
    if len(known.by_group) > 1:
        raise causes.ambiguous(part, list(known.by_group))
    if not known.by_group:
        return report.one(found, part)
    return _group(next(iter(known.by_group.values())), running=found.release, now=now)


def _group(known: Memory, *, running: str, now: int) -> FailureGroup:
    about = known.about
    return FailureGroup(
        id=known.group,
        state=memory.state(known, (), running=running, now=now),
        type=about.type,
        error=about.error,
        at=about.at,
        count=0,
        dead=0,
        waiting=0,
        logged=0,
        last_1h=0,
        last_3h=0,
        last_24h=0,
        last_7d=0,
        share=None,
        first="",
        last=times.iso(about.last) if about.last else "",
        release=about.releases[0] if about.releases else "",
        releases=list(about.releases),
        newest=Newest("", about.error),
        notes=list(known.notes),
    )
