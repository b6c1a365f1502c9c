"""Both functions' logs as one stream in time order: the existing lines, or new ones as they arrive."""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING

from rtp.aws import logs
from rtp.contract import Output
from rtp.errors import AwsError, NotFoundError, UsageError
from rtp.ops.telemetry.logcontext import Context
from rtp.ops.telemetry.logevent import LogEvent
from rtp.ops.telemetry.logfilter import Filter, LogQuery
from rtp.ops.telemetry.loglines import parse
from rtp.ops.telemetry.tail import Tail
from rtp.ops.work.background import Prefetch
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import FollowPace, every
from rtp.runtime import wire
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.logs import LogLine, Page
    from rtp.ops.telemetry.surrounding import Selector
    from rtp.ops.work.clock import Clock

__all__ = ["LogEvent", "LogQuery", "follow", "read", "since_of"]

_TRACE = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")


def read(
    aws: Aws, outputs: Mapping[str, str], query: LogQuery, *, missing: set[str] | None = None
) -> Iterator[LogEvent]:
    """Existing lines, merged in time order. Lazy: holds at most two pages per function.

    missing: gets the names of log groups that do not exist.
    """
    groups, filters = _groups(outputs, query.functions), Filter(query)

    def events() -> Iterator[LogEvent]:
        context, selector = Context(), filters.selector()
        ahead = {
            role: Prefetch(_pages(aws, group, query, filters.pattern, missing=missing))
            for role, group in groups.items()
        }
        try:
            flat = (_of(role, (line for page in pages for line in page.lines)) for role, pages in ahead.items())
            for role, line in heapq.merge(*flat, key=_moment):
                yield from _shown(role, line, context, filters, selector)
        finally:
            for pages in ahead.values():
                pages.close()

    return events()


def since_of(*, id: str | None, request_id: str | None, trace_id: str | None, now: int | None = None) -> int:
    """Where to start, epoch ms: a minute before the time in an id, a day ago for other ids, else 10 minutes ago."""
    now = times.now_ms() if now is None else now
    if id is not None and (created := wire.uuid7_timestamp(id)) is not None:
        return created - 60_000
    if trace_id is not None and _TRACE.fullmatch(trace_id):
        return int(trace_id[2:10], 16) * 1000 - 60_000
    if id or request_id or trace_id:
        return now - times.parse_duration("1d")
    return now - times.parse_duration(times.DEFAULT_WINDOW)


def follow(
    aws: Aws,
    outputs: Mapping[str, str],
    query: LogQuery,
    *,
    notify: Callable[[str], None] = lambda _: None,
    now: Callable[[], int] = times.now_ms,
    clock: Clock = SYSTEM,
) -> Iterator[LogEvent]:
    """As `read`, then new lines as they arrive, without end. notify: called about outages and missing log groups."""
    groups, filters = _groups(outputs, query.functions), Filter(query)
    pace = FollowPace(0.3, 1.5, notify) if aws.local else FollowPace(1.0, 5.0, notify)
    missing: set[str] = set()

    def tail(group: str) -> Tail:
        def fetch(since: int) -> Prefetch[Page]:
            return Prefetch(_existing_pages(aws, group, since, None, filters.pattern, missing=missing))

        return Tail(fetch, since=query.since, now=now)

    def events() -> Iterator[LogEvent]:
        tails = {role: tail(group) for role, group in groups.items()}
        context, selector, reported = Context(), filters.selector(), set[str]()
        for _ in every(pace, clock=clock):
            has_news = False
            try:
                merged = heapq.merge(*(_of(role, tail.poll()) for role, tail in tails.items()), key=_moment)
                for role, line in merged:
                    # A line counts as shown only when it is yielded, since a poll may fail at any line.
                    if tails[role].is_new(line):
                        has_news = True
                        yield from _shown(role, line, context, filters, selector)
            except AwsError as error:
                pace.failed(error)
                continue
            pace.succeeded(has_news=has_news)
            for group in sorted(missing - reported):
                notify(f"{group} does not exist yet; waiting for it.")
            reported |= missing

    return events()


def _groups(outputs: Mapping[str, str], functions: tuple[str, ...]) -> dict[str, str]:
    """Log groups by role. Raises UsageError for a function that the stack does not have."""
    names = {"processor": outputs[Output.PROCESSOR], "worker": outputs[Output.WORKER]}
    for function in functions:
        if function not in names and function not in names.values():
            raise UsageError(f"There is no function {function!r}.", hint="Use processor or worker.")
    chosen = {r: n for r, n in names.items() if not functions or r in functions or n in functions}
    return {role: f"/aws/lambda/{name}" for role, name in chosen.items()}


def _pages(aws: Aws, group: str, query: LogQuery, pattern: str | None, *, missing: set[str] | None) -> Iterator[Page]:
    """The pages of a log group that a query needs."""
    if query.request_id is None:
        yield from _existing_pages(aws, group, query.since, query.until, pattern, missing=missing)
        return
    # The few lines that name the request show its streams and times; every line there belongs to the request.
    spans: dict[str, tuple[int, int]] = {}
    for page in _existing_pages(aws, group, query.since, query.until, f'"{query.request_id}"', missing=missing):
        for line in page.lines:
            first, last = spans.get(line.stream, (line.at, line.at))
            spans[line.stream] = (min(first, line.at), max(last, line.at))
    for stream, (first, last) in sorted(spans.items(), key=lambda span: span[1]):
        yield from logs.pages(aws, group, since=first, until=last, pattern=pattern, stream=stream)


def _existing_pages(
    aws: Aws, group: str, since: int, until: int | None, pattern: str | None, *, missing: set[str] | None = None
) -> Iterator[Page]:
    """The pages of a log group; of one that does not exist none, and its name is added to `missing`."""
    try:
        yield from logs.pages(aws, group, since=since, until=until, pattern=pattern)
    except NotFoundError:
        if missing is not None:
            missing.add(group)


def _of(role: str, lines: Iterable[LogLine]) -> Iterator[tuple[str, LogLine]]:
    for line in lines:
        yield role, line


def _moment(entry: tuple[str, LogLine]) -> int:
    return entry[1].at


def _shown(
    role: str, line: LogLine, context: Context, filters: Filter, selector: Selector | None
) -> Iterable[LogEvent]:
    """What a line lets through: itself where it matches, or with a selector the lines around it too."""
    if not filters.may_match(line.message):
        return ()
    event = context.of(parse(line.message, at=line.at, function=role), line.stream)
    if selector is not None:
        return selector.add(event)
    return (event,) if filters.matches(event) else ()
