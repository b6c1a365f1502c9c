"""CloudWatch Logs: log groups, and their lines page by page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws

PAGE = 10_000  # the most lines that FilterLogEvents returns
FIRST_PAGE = 200


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log event. at: epoch ms. event_id: unique within its group."""

    at: int
    message: str
    stream: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """One response. server_ms: AWS's clock, epoch ms; None where the response has no date. is_last: none follows."""

    lines: list[LogLine]
    server_ms: int | None
    is_last: bool = False


def pages(
    aws: Aws,
    group: str,
    *,
    since: int,
    until: int | None = None,
    pattern: str | None = None,
    stream: str | None = None,
    limit: int = PAGE,
) -> Iterator[Page]:
    """Yield a group's lines between two times (epoch ms, both included), oldest first. Pages may be empty.

    pattern: a filter pattern of CloudWatch. stream: only lines of this stream.
    Raises NotFoundError where the group does not exist, UsageError for an invalid pattern, otherwise AwsError.
    """
    # A short first page arrives sooner, so that its lines are shown while the rest is read.
    params: dict[str, Any] = {"logGroupName": group, "startTime": max(0, since), "limit": min(FIRST_PAGE, limit)}
    if until is not None:
        params["endTime"] = until
    if stream is not None:
        params["logStreamNames"] = [stream]
    if pattern:
        params["filterPattern"] = pattern
    repeated: set[str] = set()  # ids of lines that the next page returns once more
    while True:
        answer = _call(aws, group, params)
        lines = _lines(answer.get("events") or ())
        token, full = answer.get("nextToken"), len(lines) >= params["limit"]
        is_last = not token and not full
        new = [line for line in lines if line.event_id not in repeated] if repeated else lines
        yield Page(new, server_ms(answer), is_last)
        if is_last:
            return
        if token and params["limit"] == limit:
            params["nextToken"] = token
            continue
        # A token is valid for one page size only, and an engine may return a full page without one. So continue at the
        # last millisecond, and drop the lines of it that were yielded already.
        if lines:
            last = lines[-1].at
            stuck = last == params["startTime"] and params["limit"] == limit
            params["startTime"] = last + 1 if stuck else last
            repeated = set() if stuck else {line.event_id for line in lines if line.at == last}
        params["limit"] = limit


def groups(aws: Aws, prefix: str) -> Iterator[str]:
    """Names of the log groups that begin with a prefix."""
    for group in aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
        yield group["logGroupName"]


def delete_group(aws: Aws, name: str) -> None:
    """Delete a log group; does nothing where there is none of this name."""
    try:
        aws.call("logs", "delete_log_group", logGroupName=name)
    except AwsError as error:
        if error.service_code != "ResourceNotFoundException":
            raise


def messages(aws: Aws, group: str, *, since: int, limit: int) -> list[str]:
    """Text of a group's first lines since a time (epoch ms), in one call. Raises AwsError."""
    answer = aws.call("logs", "filter_log_events", logGroupName=group, startTime=since, limit=limit)
    return [str(event["message"]).rstrip() for event in answer.get("events", ())]


def _lines(events: Iterable[dict[str, Any]]) -> list[LogLine]:
    lines: list[LogLine] = []
    at, same = -1, Counter[tuple[str, str]]()
    for event in events:
        moment, message, stream = event["timestamp"], event.get("message", ""), event.get("logStreamName", "")
        event_id = event.get("eventId")
        if event_id is None:
            # An engine may give no id. The n-th equal line in a millisecond of a stream is the same at each reading.
            if moment != at:
                at, same = moment, Counter()
            same[stream, message] += 1
            event_id = f"{stream}:{moment}:{same[stream, message]}:{message}"
        lines.append(LogLine(moment, message, stream, event_id))
    return lines


def _call(aws: Aws, group: str, params: dict[str, Any]) -> dict[str, Any]:
    try:
        return aws.call("logs", "filter_log_events", **params)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            raise NotFoundError(
                f"There is no log group {group}.", hint="Run `rtp deploy`.", code="no-log-group"
            ) from error
        if error.service_code == "InvalidParameterException" and "filterPattern" in params:
            raise UsageError(
                f"CloudWatch does not accept the filter pattern {params['filterPattern']!r}: {error.message}",
                hint="Its regular expressions have no groups; --grep accepts any, and filters on this machine.",
                code="filter-pattern",
            ) from error
        raise


def server_ms(answer: dict[str, Any]) -> int | None:
    """AWS's clock in a response, epoch ms, truncated to the second; None where the response has no date."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return int(parsedate_to_datetime(date).timestamp() * 1000) if date else None
    except (ValueError, TypeError):
        return None
