"""Reading: merged, lazy, complete however the service cuts its pages."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.errors import AwsError, UsageError
from rtp.ops.telemetry import logs
from tests.unit.watch.fakes import OUTPUTS, PROCESSOR, START, WORKER, FakeLogs, Time

if TYPE_CHECKING:
    from rtp.aws import Aws


def read(fake: FakeLogs, **query: Any) -> list[logs.LogEvent]:
    return list(logs.read(cast("Aws", fake), OUTPUTS, logs.LogQuery(**{"since": START, **query})))


def rtp_line(**fields: Any) -> str:
    return json.dumps({"timestamp": "x", "level": "INFO", "step": "s", "message": "m", **fields})


def test_the_lines_of_both_functions_are_merged_in_time_order() -> None:
    fake = FakeLogs(Time(START + 60_000))
    for n in range(20):
        fake.put(PROCESSOR if n % 3 else WORKER, n * 10, f"line {n}")

    found = read(fake)

    assert [e.message for e in found] == [f"line {n}" for n in range(20)]
    assert {e.function for e in found} == {"processor", "worker"}


@pytest.mark.parametrize("with_ids", [True, False])
def test_a_service_that_cuts_pages_without_a_token_is_read_to_the_end(with_ids: bool) -> None:
    from rtp.aws import logs as aws_logs

    fake = FakeLogs(Time(START + 60_000), page=7, tokens=False, with_ids=with_ids)
    for n in range(50):
        fake.put(WORKER, n // 5, f"line {n}" if n % 2 else "the same")

    pages = aws_logs.pages(cast("Aws", fake), WORKER, since=START, limit=7)
    lines = [line for page in pages for line in page.lines]

    assert len(lines) == 50
    assert len({line.event_id for line in lines}) == 50


def test_reading_is_lazy() -> None:
    fake = FakeLogs(Time(START + 60_000), page=10)
    for n in range(10_000):
        fake.put(WORKER, n, f"line {n}")

    some = list(itertools.islice(logs.read(cast("Aws", fake), OUTPUTS, logs.LogQuery(since=START)), 5))

    assert [e.message for e in some] == [f"line {n}" for n in range(5)]
    assert sum(call["logGroupName"] == WORKER for call in fake.calls) <= 4


def test_only_the_requested_function_is_read() -> None:
    fake = FakeLogs(Time(START + 60_000))
    fake.put(PROCESSOR, 0, "one")
    fake.put(WORKER, 1, "two")

    assert [e.message for e in read(fake, functions=("worker",))] == ["two"]
    assert [e.message for e in read(fake, functions=("shop-dev-processor",))] == ["one"]
    with pytest.raises(UsageError, match="no function 'foo'"):
        read(fake, functions=("foo",))


def test_no_line_after_until_is_read() -> None:
    fake = FakeLogs(Time(START + 60_000))
    for n in range(5):
        fake.put(WORKER, n, f"line {n}")

    assert len(read(fake, until=START + 2)) == 3


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"id": "evt-1"}, ["about evt-1"]),
        ({"level": "warning"}, ["careful", "broken"]),
        ({"level": "WARN"}, ["careful", "broken"]),
        ({"level": "ERROR"}, ["broken"]),
        ({"grep": "care|brok"}, ["careful", "broken"]),
        ({"grep": r'^say "hi"$'}, ['say "hi"']),
        ({"trace_id": "1-68000000-aaaaaaaaaaaaaaaaaaaaaaaa"}, ["careful"]),
        ({"id": "evt-1", "level": "ERROR"}, []),
        ({"pattern": "careful"}, ["careful"]),
    ],
)
def test_a_line_must_match_every_filter(query: dict[str, Any], wanted: list[str]) -> None:
    fake = FakeLogs(Time(START + 60_000))
    fake.put(WORKER, 0, rtp_line(event_id="evt-1", message="about evt-1"))
    fake.put(WORKER, 1, rtp_line(event_id="evt-10", message="about another"))
    fake.put(WORKER, 2, rtp_line(level="WARNING", message="careful", trace_id="1-68000000-aaaaaaaaaaaaaaaaaaaaaaaa"))
    fake.put(WORKER, 3, rtp_line(level="ERROR", message="broken"))
    fake.put(WORKER, 4, rtp_line(message='say "hi"'))

    assert [e.message for e in read(fake, **query)] == wanted


def test_an_id_with_several_spellings_in_json_is_filtered_here() -> None:
    fake = FakeLogs(Time(START + 60_000))
    fake.put(WORKER, 0, rtp_line(event_id='naïve "id"', message="found"))

    assert [e.message for e in read(fake, id='naïve "id"')] == ["found"]
    assert all("filterPattern" not in call for call in fake.calls)


def test_a_print_belongs_to_the_request_that_wrote_it() -> None:
    request = "11111111-2222-3333-4444-555555555555"
    fake = FakeLogs(Time(START + 60_000), page=100)
    fake.put(WORKER, 0, "print before", stream="a")
    fake.put(WORKER, 1, f"START RequestId: {request} Version: $LATEST", stream="a")
    fake.put(WORKER, 2, "print within", stream="a")
    fake.put(WORKER, 3, "print elsewhere", stream="b")
    fake.put(WORKER, 4, f"END RequestId: {request}", stream="a")
    fake.put(WORKER, 5, "print after", stream="a")

    found = {e.message: e.request_id for e in read(fake)}
    asked = [e.message for e in read(fake, request_id=request)]

    assert found["print within"] == request
    assert [found[m] for m in ("print before", "print elsewhere", "print after")] == [None] * 3
    assert asked == ["START", "print within", "END"]


def test_a_group_that_does_not_exist_has_no_lines() -> None:
    fake = FakeLogs(Time(START + 60_000))
    del fake.groups[WORKER]
    fake.put(PROCESSOR, 0, "here")

    assert [e.message for e in read(fake)] == ["here"]


def test_any_other_error_ends_the_reading() -> None:
    fake = FakeLogs(Time(START + 60_000))
    fake.failures = [AwsError("no", code="access-denied")] * 2

    with pytest.raises(AwsError, match="no"):
        read(fake)


def test_an_invalid_expression_or_level_is_reported_before_anything_is_read() -> None:
    fake = FakeLogs(Time())

    with pytest.raises(UsageError, match="--grep"):
        logs.read(cast("Aws", fake), OUTPUTS, logs.LogQuery(since=0, grep="("))
    with pytest.raises(UsageError, match="'LOUD' is not a log level"):
        logs.read(cast("Aws", fake), OUTPUTS, logs.LogQuery(since=0, level="LOUD"))
    assert fake.calls == []


def test_reading_starts_at_the_time_in_the_id() -> None:
    def since(**given: str) -> int:
        return START - logs.since_of(
            **{"id": None, "request_id": None, "trace_id": None, "now": START, **given}  # type: ignore[arg-type]
        )

    at = START - 7_200_000
    assert since() == 600_000
    assert since(id="order-7") == 86_400_000
    assert since(id=f"{at:012x}"[:8] + "-" + f"{at:012x}"[8:] + "-7abc-8def-0123456789ab") == 7_260_000
    assert since(trace_id=f"1-{at // 1000:08x}-0123456789abcdef01234567") == 7_260_000
