"""One trace as X-Ray keeps it: API, processor, queue and worker, a failed attempt and a line of each kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.ops.telemetry.loglines import parse
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.telemetry.logevent import LogEvent

ID = "1-6b045e5f-7a5a88bd9818ebcad589f3dd"
EVENT = "01a20910-a6c9-7b0e-9789-605eeaa13111"
START_S = 1_795_448_415.0
REQUEST = "2b9884d4-27ef-495f-bbe2-88cfb4ec8b24"


def segment(key: str, start: float, end: float | None, **extra: Any) -> dict[str, Any]:
    """A segment document named `key`; times in seconds from the trace's start."""
    made: dict[str, Any] = {
        "id": key.encode().hex()[:16].ljust(16, "0"),
        "name": key,
        "start_time": START_S + start,
        "trace_id": ID,
    }
    made |= {"in_progress": True} if end is None else {"end_time": START_S + end}
    return made | extra


def documents() -> list[str]:
    """The documents, in no order."""
    failed = segment(
        "test.fail",
        0.12,
        0.13,
        fault=True,
        cause={
            "exceptions": [
                {"type": "ValueError", "message": "no total", "stack": [{"path": "p.py", "line": 7, "label": "f"}]}
            ]
        },
    )
    event = segment("event", 0.1, 0.2, annotations={"event_id": EVENT, "event_type": "test.fail"})
    event["subsegments"] = [segment("DynamoDB", 0.105, 0.11, namespace="aws", aws={"operation": "PutItem"}), failed]
    api = segment(
        "a", 0.0, 0.3, name="shop-dev-api/prod", origin="AWS::ApiGateway::Stage", http={"response": {"status": 500}}
    )
    service = segment(
        "s",
        0.05,
        0.25,
        name="shop-dev-processor",
        origin="AWS::Lambda",
        parent_id=api["id"],
        aws={"request_id": REQUEST},
    )
    function = segment(
        "f", 0.06, 0.24, name="shop-dev-processor", origin="AWS::Lambda::Function", parent_id=service["id"], fault=True
    )
    function["subsegments"] = [event]
    queue = segment("q", 0.2, 0.21, name="shop-dev-queue", origin="AWS::SQS::Queue", parent_id=event["id"])
    worker = segment("w", 0.5, None, name="shop-dev-worker", origin="AWS::Lambda::Function", parent_id=queue["id"])
    return [json.dumps(d) for d in (worker, queue, function, api, service)]


def logs() -> list[LogEvent]:
    """Lines of the processor's request, one of them without a home of its own."""

    def line(ms: int, raw: str, function: str = "processor") -> LogEvent:
        return parse(raw, at=round(START_S * 1000) + ms, function=function)

    own = {"level": "INFO", "step": "s", "event_id": EVENT, "trace_id": ID}
    return [
        line(102, json.dumps(own | {"message": "received"})),
        line(130, json.dumps(own | {"message": "no total", "level": "ERROR", "stack": ["p.py:7 f"]})),
        line(240, f"REPORT RequestId: {REQUEST}\tDuration: 180 ms\tMax Memory Used: 70 MB"),
        line(510, json.dumps(own | {"message": "again"}), "worker"),
    ]


START_MS = times.parse_when(times.iso(START_S * 1000))
