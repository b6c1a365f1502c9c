"""Which lines a query wants: a pattern for the service where it can decide, and a test for each line here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtp.errors import UsageError
from rtp.ops.telemetry.logevent import LEVELS, LogEvent, level_name

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")  # written the same in any JSON, and safe in a pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines. Times in epoch ms, both included; every filter that is given must hold.

    functions: `processor`, `worker` or a function's full name; none means both. pattern: CloudWatch's filter pattern.
    grep: regular expression over the line. level: the least one.
    """

    since: int
    until: int | None = None
    functions: tuple[str, ...] = ()
    pattern: str | None = None
    grep: str | None = None
    level: str | None = None
    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None


class Filter:
    """A query's filters. Raises UsageError on a level or an expression that is none."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._least = _least(query.level)
        self._grep = _compiled(query.grep)
        self._everything = not (query.level or query.grep or query.id or query.request_id or query.trace_id)
        # Not the request's id: a print within a request does not name it.
        self._plain_ids = [i for i in (query.id, query.trace_id) if i and _PLAIN.fullmatch(i)]

    @property
    def pattern(self) -> str | None:
        """CloudWatch's filter pattern: the operator's own, or the ids, so that few lines travel."""
        if self._query.pattern:
            return self._query.pattern
        return " ".join(f'"{i}"' for i in self._plain_ids) or None

    def may(self, raw: str) -> bool:
        """Whether a line is worth understanding; False is final."""
        return not self._plain_ids or all(i in raw for i in self._plain_ids)

    def wants(self, event: LogEvent) -> bool:
        """Whether all filters hold."""
        query = self._query
        return self._everything or (
            LEVELS.get(event.level, 0) >= self._least
            and _is(query.id, event.id, event)
            and _is(query.request_id, event.request_id, event)
            and _is(query.trace_id, event.trace_id, event)
            and (self._grep is None or bool(self._grep.search(event.raw) or self._grep.search(event.message)))
        )


def _is(wanted: str | None, own: str | None, event: LogEvent) -> bool:
    if wanted is None or own == wanted:
        return True
    return own is None and event.kind != "metrics" and wanted in event.raw


def _least(level: str | None) -> int:
    if level is None:
        return 0
    name = level_name(level)
    if name is None:
        raise UsageError(f"{level!r} is not a level.", hint=f"One of {', '.join(LEVELS)}.")
    return LEVELS[name]


def _compiled(expression: str | None) -> re.Pattern[str] | None:
    if expression is None:
        return None
    try:
        return re.compile(expression)
    except re.error as error:
        raise UsageError(
            f"--grep: {error} in {expression!r}.", hint="It takes a regular expression; quote \\ and ( ."
        ) from None
