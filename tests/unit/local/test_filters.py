"""Filter expressions of X-Ray."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.local.tracing.filters import FilterError, compile_filter
from rtp.local.tracing.tree import Trace

ROOT = "1-5759e988-bd862e3fe1be46a994272793"


def segment(segment_id: str, name: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"trace_id": ROOT, "id": segment_id, "name": name, "start_time": 10.0, "end_time": 12.5, **more}
    return body | {"parent_id": parent} if parent else body


def trace() -> Trace:
    return Trace(
        ROOT,
        [
            segment(
                "a",
                "api/prod",
                origin="AWS::ApiGateway::Stage",
                http={"request": {"url": "http://x/prod/events", "method": "POST"}, "response": {"status": 202}},
            ),
            segment(
                "b",
                "worker",
                "a",
                origin="AWS::Lambda::Function",
                fault=True,
                end_time=14.0,
                user="ann",
                annotations={"event_id": "order 7", "tries": 3, "late": True},
                subsegments=[{"id": "c", "name": "DynamoDB", "namespace": "aws", "start_time": 11, "end_time": 12}],
            ),
        ],
    )


@pytest.mark.parametrize(
    "expression",
    [
        "",
        None,
        "fault",
        "fault = true",
        "!error",
        "error = false AND throttle != true",
        "!partial",
        "duration >= 4 AND duration < 5",
        "responsetime = 2.5",
        "http.status = 202",
        'http.url CONTAINS "/events" AND http.method = "POST"',
        'http.url BEGINSWITH "http://" AND http.url ENDSWITH "events"',
        'annotation.event_id = "order 7"',
        'annotation[event_id] = "order 7"',
        "annotation.event_id = 'order 7'",
        "annotation.tries > 2 AND annotation.late = true",
        "annotation.tries",
        'user = "ann"',
        f'id = "{ROOT}"',
        'service("worker")',
        'service("worker") { fault }',
        'service("worker") { fault AND responsetime > 3 } AND !service("api/prod") { fault }',
        'service(id(name: "worker", type: "AWS::Lambda::Function"))',
        "service() { fault }",
        'service("DynamoDB")',
        'edge("api/prod", "worker") { fault = true }',
        'edge("worker", "DynamoDB")',
        "(error OR fault) AND (duration > 1)",
        "fault !partial duration > 1",
        'name = "worker" and type = "AWS::Lambda::Function"',
    ],
)
def test_it_matches(expression: str | None) -> None:
    assert compile_filter(expression)(trace())


@pytest.mark.parametrize(
    "expression",
    [
        "ok",
        "error",
        "fault = false",
        "partial",
        "duration > 4",
        "http.status >= 400",
        'annotation.event_id = "order"',
        'annotation.other = "order 7"',
        "annotation.event_id > 3",
        'service("nobody")',
        'service("api/prod") { fault }',
        'edge("worker", "api/prod")',
        'service(id(name: "worker", type: "AWS::EC2::Instance"))',
    ],
)
def test_it_does_not(expression: str) -> None:
    assert not compile_filter(expression)(trace())


@pytest.mark.parametrize(
    "expression",
    ["nonsense", "fault AND", "(fault", "duration >", "duration > x", 'service("a"', "= 3", "fault }", 'http.url "x"'],
)
def test_nonsense_is_refused(expression: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(expression)


@given(st.text(alphabet='abfault servicedg().{}"=<>!&|, AND OR 0129[]:-', max_size=60))
def test_no_expression_breaks_it(expression: str) -> None:
    with contextlib.suppress(FilterError):
        compile_filter(expression)(trace())
