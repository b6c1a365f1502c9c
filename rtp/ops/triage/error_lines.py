"""The newest error lines of a function's log, read within limits.

CloudWatch gives the lines of a time oldest first, and may need many requests for a time in which nothing matches. So
the last minutes are read first, then what is before them, until there are enough lines or the time is up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from rtp.aws import logs
from rtp.errors import NotFoundError

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.logs import LogLine
    from rtp.ops.work.clock import Clock

MOST = 1_000  # lines of one kind of a function
SPANS_MS = (300_000, 3_600_000, 86_400_000)  # how far back: each is read after the one before
SECONDS = 0.5  # after which no further request is begun
_PAGES = 10  # of one span
_HALVES = 4  # of a span with more lines than that, its newer half is read instead
_AHEAD_MS = 60_000  # CloudWatch's clock may be ahead of this machine's

# What rtp writes of an event's last attempt is on its record. A pattern cannot have both: alternatives of terms are
# ignored beside an exclusion.
OF_FUNCTIONS = (
    '{ ($.level = "ERROR" || $.level = "CRITICAL") && ($.step NOT EXISTS || $.step != "dead") }',
    '?"[ERROR]" ?"[CRITICAL]" ?"[FATAL]" ?"Task timed out" ?"Status: timeout" ?"Status: error" ?"Runtime." '
    '?"Traceback (most recent call last)"',
)


@dataclass(frozen=True, slots=True)
class ErrorLines:
    """The newest lines, oldest first. since: from when all were read, epoch ms. more: whether older ones may exist."""

    lines: list[LogLine] = field(default_factory=list)
    since: int = 0
    more: bool = False


def newest(
    aws: Aws, group: str, pattern: str, *, now: int, until_s: float, clock: Clock, since: int | None = None
) -> ErrorLines:
    """The newest lines that match a pattern; none of a log group that does not exist. until_s: of the clock.

    since: the oldest that are read, epoch ms; by default of 24 hours. Raises AwsError where the log cannot be read.
    """
    found: list[LogLine] = []
    end = now + _AHEAD_MS
    whole = SPANS_MS[-1] if since is None else max(1, now - since)
    for span in (*(each for each in SPANS_MS if each < whole), whole):
        start = now - span
        try:
            lines, since, is_whole = _of_span(aws, group, pattern, start, end, until_s=until_s, clock=clock)
        except NotFoundError:
            return ErrorLines(since=now - whole)
        found = [*lines, *found]
        if len(found) > MOST:
            return ErrorLines(found[-MOST:], found[-MOST].at, more=True)
        if not is_whole:
            return ErrorLines(found, min(since, now), more=True)
        end = start - 1
        if span != whole and clock.monotonic() >= until_s:
            return ErrorLines(found, start, more=True)
    return ErrorLines(found, now - whole)


def _of_span(
    aws: Aws, group: str, pattern: str, start: int, end: int, *, until_s: float, clock: Clock
) -> tuple[list[LogLine], int, bool]:
    """The newest lines of a time, from when all are among them, and whether that is from its start."""
    first = start
    kept: deque[LogLine] = deque(maxlen=MOST + 1)
    for _ in range(_HALVES):
        kept.clear()
        pages = logs.pages(aws, group, since=first, until=end, pattern=pattern, limit=MOST)
        for page in islice(pages, _PAGES):
            kept.extend(page.lines)
            if page.is_last:
                return list(kept), first, first == start
            if clock.monotonic() >= until_s:
                return list(kept), end + 1, False
        first = (first + end) // 2
    return list(kept), end + 1, False
