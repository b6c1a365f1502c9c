"""The commands that changed what runs, and which release ran when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtp.ops.history import Entry
    from rtp.ops.telemetry import running_code
    from rtp.ops.triage.failures import Failure

_CHANGES = ("deploy", "destroy", "rollback", "secrets set", "secrets delete", "keys rotate", "keys revoke")
_BEFORE, _MOST = 2, 5


@dataclass(frozen=True, slots=True)
class RecentChange:
    """A command that changed the environment.

    at: when it began, ISO 8601. run: its name. command: such as deploy. outcome: how it ended. release: that it made;
    empty where not known. who: the AWS identity. reason: text of --reason.
    """

    at: str
    run: str
    command: str
    outcome: str
    release: str
    who: str
    reason: str


def relevant(entries: Sequence[Entry], begins: Iterable[int]) -> list[RecentChange]:
    """The last changes before the first of some failures, and all since, the newest first. begins: epoch ms."""
    changing = [e for e in entries if e.command in _CHANGES and e.outcome != "refused"]
    first = min(begins, default=None)
    if first is None:
        chosen = changing[:_BEFORE]
    else:
        before = [e for e in changing if times.parse_when(e.at) <= first]
        since = [e for e in changing if times.parse_when(e.at) > first]
        chosen = [*since[: _MOST - _BEFORE], *before[:_BEFORE]]
    return [RecentChange(e.at, e.run, e.command, e.outcome, e.release, e.identity or e.user, e.reason) for e in chosen]


def groups(entries: Iterable[Entry]) -> list[str]:
    """The ids of the groups of which something was said."""
    said = (e.arguments.get("group") for e in entries if e.command.startswith("triage ") and e.outcome == "succeeded")
    return list(dict.fromkeys(group for group in said if isinstance(group, str)))


def running(code: running_code.Code | None, entries: Sequence[Entry]) -> str:
    """The release that runs: of the functions' own code where it was packed here, else that of the last deploy."""
    if code is not None and code.release:
        return code.release
    return next((e.release for e in entries if e.release and e.outcome == "succeeded"), "")


def running_at(at: int, entries: Sequence[Entry]) -> str:
    """The release that ran at a time (epoch ms), by the last change that had ended; empty where not known.

    entries: the newest first.
    """
    ended = (e for e in entries if e.release and e.outcome == "succeeded")
    return next((e.release for e in ended if times.parse_when(e.at) + (e.duration_s or 0) * 1000 <= at), "")


def of_its_time(failure: Failure, entries: Sequence[Entry]) -> Failure:
    """A failure that names no release is of the one that ran then."""
    ran = "" if failure.releases else running_at(failure.last, entries)
    return replace(failure, releases=(ran,)) if ran else failure
