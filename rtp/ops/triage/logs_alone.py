"""Errors that are in the functions' logs alone: failed starts, time-outs, too little memory, and what processors log.

An error that a record has is left out, so that nothing counts twice: of an event whose failure was read, of an
invocation that attempted one, or with its text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from rtp.aws import logs
from rtp.contract import Output
from rtp.ops.telemetry import loglines
from rtp.ops.triage import error_lines, logged
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.aws import Aws
    from rtp.ops.triage.failures import Failure
    from rtp.ops.work.clock import Clock

_REQUESTS = 20  # failed invocations of a function of which the events are looked up: the newest, of as much time
_BEFORE_MS = 900_000  # the longest run of a function: its first line is so long before its end
_PAGES = 2


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the logs.

    failures: oldest first. events: ids of those of an invocation that Lambda ended. lines: error lines that were read.
    since: from when all were, epoch ms. more: whether there may be older ones of the time that was asked for.
    """

    failures: list[Failure] = field(default_factory=list)
    events: dict[str, list[str]] = field(default_factory=dict)
    lines: int = 0
    since: int = 0
    more: bool = False


def read(
    aws: Aws,
    outputs: Mapping[str, str],
    *,
    now: int,
    since: int | None = None,
    seconds: float = error_lines.SECONDS,
    clock: Clock = SYSTEM,
) -> Read:
    """Read the newest error lines of both functions. Raises AwsError where a log cannot be read.

    since: the oldest, epoch ms; by default of the 24 hours before now. seconds: after which no further call is begun.
    """
    functions = {"processor": outputs[Output.PROCESSOR], "worker": outputs[Output.WORKER]}
    until_s = clock.monotonic() + seconds
    aws.connect("logs")

    def of_function(role: str) -> Read:
        group = f"/aws/lambda/{functions[role]}"
        one = partial(error_lines.newest, aws, group, now=now, since=since, until_s=until_s, clock=clock)
        parts = list(pool.map(one, error_lines.OF_FUNCTIONS, threads=len(error_lines.OF_FUNCTIONS)))
        every = {line.event_id: line for part in parts for line in part.lines}
        found = list(logged.failures(sorted(every.values(), key=lambda line: line.at), role))
        return Read(
            found,
            _events(aws, group, found),
            len(every),
            max(part.since for part in parts),
            any(part.more for part in parts),
        )

    both = list(pool.map(of_function, functions, threads=len(functions)))
    return Read(
        sorted((failure for each in both for failure in each.failures), key=lambda failure: failure.last),
        {request: events for each in both for request, events in each.events.items()},
        sum(each.lines for each in both),
        max(each.since for each in both),
        any(each.more for each in both),
    )


def alone(found: Read, recorded: Sequence[Failure]) -> list[Failure]:
    """Those that no record has, each event and each invocation once for a cause."""
    ids = {failure.id for failure in recorded}
    requests = frozenset[str]().union(*(failure.requests for failure in recorded))
    texts = {failure.cause.message for failure in recorded}
    places = {(failure.cause.type, _function(failure.cause.at)) for failure in recorded if failure.cause.at}
    kept: dict[object, Failure] = {}
    for number, failure in enumerate(found.failures):
        request = next(iter(failure.requests), "")
        events = [failure.id] if failure.id else found.events.get(request, [])
        if events:
            is_known = not ids.isdisjoint(events) or (not failure.id and request in requests)
        elif request:
            is_known = request in requests
        else:
            place = (failure.cause.type, _function(failure.cause.at))
            is_known = failure.cause.message in texts or place in places
        if is_known:
            continue
        key = (failure.group, failure.id or request or number)
        before = kept.get(key, failure)
        kept[key] = replace(failure, id=next(reversed(events), ""), first=before.first)
    return list(kept.values())


def _function(at: str) -> str:
    """File and function of a line of the project's code."""
    place = groups.place(at)
    return f"{place.file} {place.function}" if place is not None else ""


def _events(aws: Aws, group: str, found: Sequence[Failure]) -> dict[str, list[str]]:
    """The events of the newest invocations that Lambda ended, in the order of the lines that they wrote before."""
    ended = [failure for failure in found if failure.requests and not failure.id]
    if not ended:
        return {}
    until = max(failure.last for failure in ended)
    ended = [failure for failure in ended if failure.last > until - _BEFORE_MS][-_REQUESTS:]
    requests = sorted({request for failure in ended for request in failure.requests})
    since = min(failure.first for failure in ended) - _BEFORE_MS
    pattern = " ".join(f'?"{request}"' for request in requests)
    events: dict[str, list[str]] = {}
    pages = logs.pages(aws, group, since=since, until=until, pattern=pattern, limit=error_lines.MOST)
    for page in islice(pages, _PAGES):
        for line in page.lines:
            event = loglines.parse(line.message, at=line.at, function="")
            if event.kind == "rtp" and event.id and event.request_id in requests:
                events.setdefault(str(event.request_id), []).append(event.id)
    return events
