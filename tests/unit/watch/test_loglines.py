"""What each kind of line says, and that no line, however hostile, breaks who reads it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ops.telemetry.logevent import LogEvent, level_name
from rtp.ops.telemetry.loglines import parse
from rtp.text import json_values, times

AT = 1_800_000_000_000
REQUEST = "0f8fad5b-d9cb-469f-a165-70867728950e"


def line(raw: str) -> LogEvent:
    return parse(raw, at=AT, function="worker")


def test_rtps_own_line() -> None:
    event = line(
        json.dumps(
            {
                "timestamp": "2027-01-15T07:59:59.500Z",
                "level": "WARNING",
                "event_id": "e-1",
                "event_type": "order.created",
                "request_id": REQUEST,
                "trace_id": "1-69000000-0123456789abcdef01234567",
                "step": "process",
                "message": "failed, will be retried",
                "error_type": "ValueError",
                "error": "no total",
                "stack": ["processors.py:7 enrich", "processors.py:9 total"],
                "size": 12,
            }
        )
    )

    assert event.timestamp == "2027-01-15T07:59:59.500Z"
    assert (event.level, event.function, event.kind, event.step) == ("WARNING", "worker", "rtp", "process")
    assert (event.id, event.event_type, event.request_id) == ("e-1", "order.created", REQUEST)
    assert event.trace_id == "1-69000000-0123456789abcdef01234567"
    assert event.message == "failed, will be retried"
    assert event.stack == "processors.py:7 enrich\nprocessors.py:9 total"
    assert event.fields == {"error_type": "ValueError", "error": "no total", "size": 12}


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        ("2027-01-15T07:59:59.123Z", "2027-01-15T07:59:59.123Z"),
        ("2027-01-15T09:00:00+01:00", "2027-01-15T08:00:00.000Z"),
        ("2027-01-15T08:00:01Z", "2027-01-15T08:00:01.000Z"),
        ("2027-01-15T07:59:99.123Z", "2027-01-15T08:00:00.000Z"),
        ("2027-01-15T08:00:01.0000", "2027-01-15T08:00:00.000Z"),  # no zone: nobody knows when
        ("2027-01-15T08:00:0١.000Z", "2027-01-15T08:00:00.000Z"),
    ],
)
def test_a_valid_time_in_the_line_counts(own: str, seen: str) -> None:
    event = line(json.dumps({"level": "INFO", "message": "m", "timestamp": own}))

    assert event.timestamp == seen
    assert times.iso(event.when) == seen


def test_an_impossible_time_in_the_line_is_ignored() -> None:
    assert line('{"message": "m", "level": "INFO", "timestamp": "1999-01-01T00:00:00.000Z"}').timestamp == (
        "2027-01-15T08:00:00.000Z"
    )
    assert line('{"message": "m", "level": "INFO", "timestamp": 17}').timestamp == "2027-01-15T08:00:00.000Z"


@pytest.mark.parametrize(
    ("raw", "kind", "level", "message"),
    [
        (f"START RequestId: {REQUEST} Version: $LATEST\n", "platform", "INFO", "START"),
        (f"END RequestId: {REQUEST}\n", "platform", "INFO", "END"),
        (
            f"REPORT RequestId: {REQUEST}\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\t"
            "Max Memory Used: 89 MB\tInit Duration: 401.22 ms\t\nXRAY TraceId: 1-69000000-0123456789abcdef01234567\t"
            "SegmentId: 1234567890abcdef\tSampled: true\t\n",
            "platform",
            "INFO",
            "REPORT 12.34 ms init 401.22 ms 89 MB",
        ),
        (
            f"REPORT RequestId: {REQUEST}\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\tMemory Size: 512 MB\t"
            "Max Memory Used: 89 MB\tStatus: timeout\n",
            "platform",
            "ERROR",
            "REPORT timeout 3000.00 ms 89 MB",
        ),
        (
            "INIT_START Runtime Version: python:3.13.v50\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:abc\n",
            "platform",
            "INFO",
            "INIT_START Runtime Version: python:3.13.v50",
        ),
        (f"2026-01-15T08:00:00.000Z {REQUEST} Task timed out after 3.00 seconds\n\n", "text", "ERROR", "Task timed"),
        (f"[WARNING]\t2026-01-15T08:00:00.000Z\t{REQUEST}\tcareful\n", "text", "WARNING", "careful"),
        ("[ERROR] Runtime.ImportModuleError: Unable to import module 'x'\n", "text", "ERROR", "Runtime.Import"),
        ("just a print\n", "text", "INFO", "just a print"),
        ("", "text", "INFO", ""),
    ],
)
def test_foreign_lines(raw: str, kind: str, level: str, message: str) -> None:
    event = line(raw)

    assert (event.kind, event.level) == (kind, level)
    assert event.message.startswith(message)
    if REQUEST in raw:
        assert event.request_id == REQUEST
    if "XRAY" in raw:
        assert event.trace_id == "1-69000000-0123456789abcdef01234567"


def test_the_lines_of_a_traceback_of_lambda_are_separated() -> None:
    raw = (
        "[ERROR] ValueError: no total\rTraceback (most recent call last):\r"
        '\xa0\xa0File "/var/task/processors.py", line 7, in enrich\r\xa0\xa0\xa0\xa0raise ValueError("no total")\n'
    )

    event = line(raw)

    assert (event.level, event.message) == ("ERROR", "ValueError: no total")
    assert event.stack is not None
    assert event.stack.split("\n")[1] == '  File "/var/task/processors.py", line 7, in enrich'


def test_a_bare_traceback_is_an_error_named_by_its_last_line() -> None:
    event = line('Traceback (most recent call last):\n  File "x.py", line 1, in f\nKeyError: "total"\n')

    assert (event.level, event.message) == ("ERROR", 'KeyError: "total"')


def test_a_platform_line_in_json() -> None:
    event = line(
        json.dumps(
            {
                "time": "2027-01-15T08:00:00.100Z",
                "type": "platform.report",
                "record": {
                    "requestId": REQUEST,
                    "metrics": {"durationMs": 30.5, "maxMemoryUsedMB": 77},
                    "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-69000000-0123456789abcdef01234567"},
                    "status": "timeout",
                },
            }
        )
    )

    assert (event.kind, event.level, event.request_id) == ("platform", "ERROR", REQUEST)
    assert event.message == "REPORT timeout 30.5 ms 77 MB"
    assert event.trace_id == "1-69000000-0123456789abcdef01234567"


def test_a_processors_line_in_lambdas_json() -> None:
    event = line(
        json.dumps(
            {"timestamp": "2027-01-15T08:00:00Z", "level": "WARN", "message": "hm", "logger": "x", "requestId": REQUEST}
        )
    )

    assert (event.level, event.message, event.request_id) == ("WARNING", "hm", REQUEST)


def test_metrics_in_embedded_format() -> None:
    event = line(
        json.dumps(
            {
                "_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "EventsProcessed"}, {"Name": "ProcessingTime"}]}]},
                "EventsProcessed": 3,
                "ProcessingTime": [1.5, 2],
                "env": "dev",
            }
        )
    )

    assert (event.kind, event.message) == ("metrics", "EventsProcessed 3, ProcessingTime 1.5+2")


def test_unknown_json_is_shown_unchanged() -> None:
    event = line('{"total": 3.10}')

    assert (event.kind, event.message, event.fields) == ("text", '{"total": 3.10}', {"total": Decimal("3.10")})


def test_numbers_keep_their_digits_in_json() -> None:
    raw = '{"level":"INFO","message":"m","total":1234567890123456789.123456789,"bad":NaN}'

    assert '"total": 1234567890123456789.123456789, "bad": "NaN"' in json_values.dumps(line(raw))


def test_levels_have_one_name() -> None:
    assert [level_name(v) for v in ("warn", "FATAL", "info", "LOUD", 3, None)] == [
        "WARNING",
        "CRITICAL",
        "INFO",
        None,
        None,
        None,
    ]


values_of_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KNOWN = (
    "level", "message", "step", "event_id", "request_id", "trace_id", "timestamp", "stack", "_aws", "record",
    "type", "errorType", "time", "event_type",
)  # fmt: skip


@given(st.one_of(st.text(), st.dictionaries(st.sampled_from(KNOWN), values_of_json).map(lambda d: json.dumps(d))))
def test_every_line_is_parsed_and_can_be_written_as_json(raw: str) -> None:
    event = line(raw)

    document = json.loads(json_values.dumps(event))
    assert isinstance(document["message"], str)
    assert document["level"] in ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    assert all(document[k] is None or isinstance(document[k], str) for k in ("id", "request_id", "trace_id", "stack"))


@pytest.mark.parametrize(
    "raw", ['{"a":' * 5_000 + "1" + "}" * 5_000, '{"a":[' * 90 + "]}" * 90, '{"n":' + "9" * 9_000 + "}"]
)
def test_a_line_that_is_too_deep_or_too_long_is_text(raw: str) -> None:
    event = line(raw)

    assert event.message == raw
    assert json_values.dumps(event)
