"""The filters of a log query: a pattern for CloudWatch where it can decide, and a test of each line here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import UsageError
from rtp.ops import releases
from rtp.ops.telemetry.logevent import LEVELS, LogEvent, level_name
from rtp.ops.telemetry.surrounding import Errors, Neighbours
from rtp.text import regexes

if TYPE_CHECKING:
    from rtp.ops.telemetry.surrounding import Selector

_VERBATIM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")  # has one spelling in JSON, and is safe in a pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines to read. A line must match every filter. Times in epoch ms, both inclusive.

    functions: `processor`, `worker` or full names of functions; empty means both. pattern: CloudWatch filter pattern.
    grep: regular expression. exclude: regular expression of lines to leave out. level: minimum level.
    release: hash, or its beginning, of the code that wrote it.
    context: lines before and after each that matches. errors: only errors, each with the other lines of its event.
    """

    since: int
    until: int | None = None
    functions: tuple[str, ...] = ()
    pattern: str | None = None
    grep: str | None = None
    exclude: str | None = None
    context: int = 0
    errors: bool = False
    level: str | None = None
    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    release: str | None = None


class Filter:
    """The filters of a query. Raises UsageError for an invalid level or regular expression."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._minimum = _minimum_level(query.level)
        self._grep = None if query.grep is None else regexes.compiled(query.grep, option="--grep")
        self._exclude = None if query.exclude is None else regexes.compiled(query.exclude, option="--exclude")
        others = (
            query.level
            or query.grep
            or query.exclude
            or query.id
            or query.request_id
            or query.trace_id
            or query.release
        )
        self._matches_all = not others
        # Without the request id: a print within a request does not contain it.
        self._verbatim_ids = [i for i in (query.id, query.trace_id) if i and _VERBATIM.fullmatch(i)]

    @property
    def pattern(self) -> str | None:
        """CloudWatch filter pattern: the operator's, or one of the ids, so that few lines are transferred."""
        if self._query.context:
            return None  # the lines around those that match are needed too
        if self._query.pattern:
            return self._query.pattern
        return " ".join(f'"{i}"' for i in self._verbatim_ids) or None

    def may_match(self, raw: str) -> bool:
        """Whether an unparsed line can match; False is final."""
        return bool(self._query.context) or not self._verbatim_ids or all(i in raw for i in self._verbatim_ids)

    def matches(self, event: LogEvent) -> bool:
        """Whether a parsed line matches every filter."""
        query = self._query
        return self._matches_all or (
            LEVELS.get(event.level, 0) >= self._minimum
            and _has_id(query.id, event.id, event)
            and _has_id(query.request_id, event.request_id, event)
            and _has_id(query.trace_id, event.trace_id, event)
            and releases.matches(event.release, query.release)
            and (self._grep is None or self._grep.matches(event.raw) or self._grep.matches(event.message))
            and not self._excludes(event)
        )

    def _excludes(self, event: LogEvent) -> bool:
        exclude = self._exclude
        return exclude is not None and (exclude.matches(event.raw) or exclude.matches(event.message))

    def selector(self) -> Selector | None:
        """What decides which lines of one stream are shown; None where those that match are all."""
        if self._query.context:
            return Neighbours(self.matches, self._query.context)
        return Errors(self.matches) if self._query.errors else None


def _has_id(expected: str | None, actual: str | None, event: LogEvent) -> bool:
    if expected is None or actual == expected:
        return True
    return actual is None and event.kind != "metrics" and expected in event.raw


def _minimum_level(level: str | None) -> int:
    if level is None:
        return 0
    name = level_name(level)
    if name is None:
        raise UsageError(f"{level!r} is not a log level.", hint=f"Use one of {', '.join(LEVELS)}.")
    return LEVELS[name]
