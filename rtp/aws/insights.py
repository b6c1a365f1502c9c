"""CloudWatch Logs Insights: start a query, read its rows, stop it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from rtp.aws import Aws

ROWS = 10_000  # the most that a query returns
_RUNNING = ("Scheduled", "Running", "Unknown")


@dataclass(frozen=True, slots=True)
class Answer:
    """A query so far. status: as AWS names it. rows: field -> value of each line."""

    status: str
    rows: list[dict[str, str]]

    @property
    def has_ended(self) -> bool:
        """Whether it does not run any more, successful or not."""
        return self.status not in _RUNNING

    @property
    def is_complete(self) -> bool:
        """Whether the rows are all that there are."""
        return self.status == "Complete"


def start(aws: Aws, group: str, text: str, *, since: int, until: int) -> str:
    """Start a query over the lines between two times (epoch ms). Returns its id.

    Raises NotFoundError without the group, otherwise AwsError.
    """
    try:
        started = aws.call(
            "logs",
            "start_query",
            logGroupName=group,
            startTime=max(0, since // 1000),
            endTime=max(0, -(-until // 1000)),
            queryString=text,
            limit=ROWS,
        )
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            raise NotFoundError(f"There is no log group {group}.", hint="", code="no-log-group") from error
        raise
    return str(started["queryId"])


def read(aws: Aws, query_id: str) -> Answer:
    """The state of a query, and its rows so far."""
    answer = aws.call("logs", "get_query_results", queryId=query_id)
    rows = [{str(f.get("field", "")): str(f.get("value", "")) for f in row} for row in answer.get("results") or ()]
    return Answer(str(answer.get("status", "Unknown")), rows)


def stop(aws: Aws, query_id: str) -> None:
    """Stop a query, if it still runs; it would end by itself after an hour."""
    with contextlib.suppress(AwsError):
        aws.call("logs", "stop_query", queryId=query_id)
