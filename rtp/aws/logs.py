"""CloudWatch Logs: a log group's lines, page by page."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from rtp import fastpath
from rtp.errors import AwsError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.aws import Aws

PAGE = 10_000  # FilterLogEvents' own limit
FIRST_PAGE = 200


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log event as CloudWatch keeps it. at: epoch ms. event_id: unique within its group."""

    at: int
    message: str
    stream: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. server_ms: the service's own clock, epoch ms, where it says; ours may be wrong."""

    lines: list[LogLine]
    server_ms: int | None


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
    """A group's lines between two times (epoch ms, both included), oldest first; pages may be empty.

    pattern: CloudWatch's filter pattern. stream: only this one.
    Raises NotFoundError where the group does not exist, UsageError where the pattern is none, else AwsError.
    """
    # A short first page shows its first lines while the rest still travels.
    params: dict[str, Any] = {"logGroupName": group, "startTime": max(0, since), "limit": min(FIRST_PAGE, limit)}
    if until is not None:
        params["endTime"] = until
    if stream is not None:
        params["logStreamNames"] = [stream]
    if pattern:
        params["filterPattern"] = pattern
    known: set[str] = set()  # lines of the last millisecond of a page that had to be asked for again
    if fastpath.enabled("log-pages"):
        _parse_fast(aws.client("logs"))
    while True:
        answer = _call(aws, group, params)
        lines = _lines(answer.get("events") or ())
        yield Page([line for line in lines if line.event_id not in known] if known else lines, server_ms(answer))
        token, full = answer.get("nextToken"), len(lines) >= params["limit"]
        if not token and not full:
            return
        if token and params["limit"] == limit:
            params["nextToken"] = token
            continue
        # A token belongs to the size of its page, and an engine may cut a full page without one: go on from the last
        # millisecond, leaving out what was seen of it.
        if lines:
            last = lines[-1].at
            stuck = last == params["startTime"] and params["limit"] == limit
            params["startTime"] = last + 1 if stuck else last
            known = set() if stuck else {line.event_id for line in lines if line.at == last}
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
            # An engine may give none. The n-th equal line of a stream's millisecond is the same one at each reading.
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
                f"CloudWatch does not take the filter pattern {params['filterPattern']!r}: {error.message}",
                hint="Its regular expressions have no groups; --grep takes any, and is decided on this machine.",
                code="filter-pattern",
            ) from error
        raise


def _parse_fast(client: Any) -> None:
    """Have a client's answers read as JSON at once: botocore walks each line's members, which takes ten times as long.

    It asks who is registered before it parses. Were that to change, it would parse by itself, as ever.
    """
    client.meta.events.register(
        "before-parse.cloudwatch-logs.FilterLogEvents", _parse, unique_id="rtp-filter-log-events"
    )


def _parse(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict.get("status_code") == 200:
        customized_response_dict.update(json.loads(response_dict["body"]))
        response_dict["body"] = b"{}"


def server_ms(answer: dict[str, Any]) -> int | None:
    """The service's own clock when it answered, epoch ms, cut to the second; None where it does not say."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return int(parsedate_to_datetime(date).timestamp() * 1000) if date else None
    except (ValueError, TypeError):
        return None
