"""Queries of CloudWatch Logs Insights: rows, failures, and an end to the waiting."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rtp.aws import Aws
from rtp.errors import AwsError, NotFoundError
from rtp.ops.telemetry import transaction_search
from rtp.ops.work.clock import Clock


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """AWS whose CloudWatch Logs is stubbed, with the stubber."""
    from botocore.stub import Stubber

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    aws = Aws(region="us-east-1")
    stubber = Stubber(aws.client("logs"))
    stubber.activate()
    return aws, stubber


def ask(aws: Aws) -> list[dict[str, str]]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = Clock(monotonic=lambda: now[0], sleep=sleep)
    return transaction_search.query(aws, "fields @message", since=1_500, until=2_500, clock=clock)


STARTED = {
    "logGroupName": "aws/spans",
    "startTime": 1,
    "endTime": 3,
    "queryString": "fields @message",
    "limit": 10_000,
}


def test_a_query_is_waited_for_and_its_rows_are_returned(stub: Any) -> None:
    aws, stubber = stub
    rows = [[{"field": "@message", "value": "{}"}, {"field": "@ptr", "value": "x"}]]
    stubber.add_response("start_query", {"queryId": "q"}, STARTED)
    for status, results in (("Scheduled", []), ("Running", rows[:0]), ("Complete", rows)):
        stubber.add_response("get_query_results", {"status": status, "results": results}, {"queryId": "q"})

    assert ask(aws) == [{"@message": "{}", "@ptr": "x"}]
    stubber.assert_no_pending_responses()


def test_a_query_that_fails_says_how(stub: Any) -> None:
    aws, stubber = stub
    stubber.add_response("start_query", {"queryId": "q"}, STARTED)
    stubber.add_response("get_query_results", {"status": "Timeout", "results": []}, {"queryId": "q"})

    with pytest.raises(AwsError, match="ended as Timeout"):
        ask(aws)


def test_a_query_without_an_end_is_stopped(stub: Any) -> None:
    aws, stubber = stub
    stubber.add_response("start_query", {"queryId": "q"}, STARTED)
    for _ in range(121):
        stubber.add_response("get_query_results", {"status": "Running", "results": []}, {"queryId": "q"})
    stubber.add_response("stop_query", {"success": True}, {"queryId": "q"})

    with pytest.raises(AwsError, match="longer than 60 s"):
        ask(aws)
    stubber.assert_no_pending_responses()


def test_without_the_log_group_there_is_nothing(stub: Any) -> None:
    aws, stubber = stub
    stubber.add_client_error("start_query", "ResourceNotFoundException", "no such group")

    with pytest.raises(NotFoundError, match="aws/spans"):
        ask(cast("Aws", aws))
