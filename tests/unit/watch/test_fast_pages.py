"""Pages are read as JSON at once, through the real botocore, and errors all the same as errors."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from rtp import fastpath
from rtp.aws import Aws, logs
from rtp.errors import AwsError, NotFoundError


def answering(status: int, body: dict[str, Any]) -> Aws:
    """AWS whose every FilterLogEvents has this answer; nothing leaves the process."""
    from botocore.awsrequest import AWSResponse, HeadersDict

    class Raw(io.BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    def send(**_: Any) -> Any:
        headers: Any = HeadersDict({"date": "Fri, 15 Jan 2027 08:00:00 GMT"})
        return AWSResponse("http://127.0.0.1:1", status, headers, Raw(json.dumps(body).encode()))

    aws = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:1", local=True)
    aws.client("logs").meta.events.register("before-send.cloudwatch-logs.FilterLogEvents", send)
    return aws


@pytest.mark.parametrize(("slow", "by_rtp"), [("", True), ("1", False)])
def test_both_ways_read_the_same_pages(slow: str, by_rtp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fastpath.SWITCH, slow)
    event = {"timestamp": 5, "message": "m", "logStreamName": "s", "eventId": "e"}
    aws = answering(200, {"events": [event], "unknown": 1})

    pages = list(logs.pages(aws, "g", since=0))

    assert [(line.at, line.message, line.stream, line.event_id) for p in pages for line in p.lines] == [
        (5, "m", "s", "e")
    ]
    assert pages[0].server_ms == 1_800_000_000_000
    # botocore leaves out what its model does not know
    assert ("unknown" in aws.call("logs", "filter_log_events", logGroupName="g")) == by_rtp


def test_errors_are_those_of_botocore() -> None:
    missing = {"__type": "ResourceNotFoundException", "message": "The specified log group does not exist."}
    with pytest.raises(NotFoundError, match="no log group g"):
        list(logs.pages(answering(400, missing), "g", since=0))

    refused = {"__type": "AccessDeniedException", "message": "not for you"}
    with pytest.raises(AwsError, match="not for you"):
        list(logs.pages(answering(400, refused), "g", since=0))
