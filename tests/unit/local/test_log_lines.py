"""The compressed lines of a stream answer as a list of events does, and are saved and read again without a change."""

from __future__ import annotations

import copy
import json
import random
from bisect import bisect_left, bisect_right
from typing import Any

import pytest

from rtp.local import log_lines
from rtp.local.log_lines import BLOCK, Lines


def event(at: int, n: int) -> dict[str, Any]:
    return {
        "timestamp": at,
        "message": f"line {n} é\ud800" if n % 97 == 0 else f"line {n}",
        "ingestionTime": n,
        "eventId": f"e{n}",
    }


def time(of: Any) -> int:
    return int(of["timestamp"])


def check(lines: Lines, model: list[dict[str, Any]], draw: random.Random) -> None:
    assert (len(lines), lines.size) == (len(model), sum(len(one["message"]) for one in model))
    for _ in range(5):
        low = draw.randrange(len(model) + 1)
        high = draw.randrange(low, len(model) + 1)
        assert lines[low:high] == list(lines.between(low, high)) == model[low:high]
        at = draw.randrange(1_000)
        assert lines.first_from(at) == bisect_left(lines, at, key=time) == bisect_left(model, at, key=time)
        assert lines.first_after(at) == bisect_right(model, at, key=time)
        assert list(log_lines.between(lines, at, at + 100)) == list(log_lines.between(model, at, at + 100))
    if model:
        number = draw.randrange(len(model))
        assert {**lines[number]} == lines.event(number) == model[number]
        assert lines[-1].get("message") == model[-1]["message"]
        assert lines.with_id(model[number]["eventId"]) == model[number]


def test_random_operations_answer_as_a_list_does() -> None:
    draw = random.Random(3)  # noqa: S311 - no secret
    lines, model = Lines(), list[dict[str, Any]]()
    n = 0
    for turn in range(60):
        late = draw.random() < 0.3
        batch = [event(draw.randrange(1_000) if late else 10 * turn, n + k) for k in range(draw.randrange(2 * BLOCK))]
        n += len(batch)
        lines.append(batch)
        model = sorted([*model, *batch], key=time)
        if draw.random() < 0.3:
            dropped = draw.randrange(len(model) + 1)
            del lines[:dropped]
            del model[:dropped]
        check(lines, model, draw)
        if turn % 10 == 0:
            lines = Lines.from_saved(json.loads(json.dumps(lines.saved())))
            check(lines, model, draw)
    assert list(copy.deepcopy(lines)) == list(lines) == model


def test_a_reader_goes_on_with_the_lines_of_its_moment() -> None:
    lines = Lines(event(n, n) for n in range(3 * BLOCK))
    reading = iter(lines)
    assert next(reading)["timestamp"] == 0
    lines.drop_first(2 * BLOCK)
    lines.append(event(n, n) for n in range(5 * BLOCK))
    assert [time(one) for one in reading] == list(range(1, 3 * BLOCK))


def test_lengths_are_added_up_without_reading_the_lines() -> None:
    lines = Lines(event(n, n) for n in range(10))
    expected = sum(len(one["message"]) for one in lines)
    with log_lines.counting():
        assert [len(one["message"]) for one in lines] == [expected]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine's module with an empty group and the patch, whose own functions are restored."""
    from ministack.services import cloudwatch_logs as module

    from rtp.local.patches import stored_lines

    replaced = ("_append_log_events", "_collect_query_records", "_restore_state", "_log_records", "_log_groups")
    for name in (*replaced, "_describe_log_groups", "_describe_log_streams"):
        monkeypatch.setattr(module, name, getattr(module, name))
    module._log_groups = type(module._log_groups)()
    stored_lines.PATCH.install(None)  # type: ignore[arg-type]  # it reports nothing
    assert module._create_log_group({"logGroupName": "g"})[0] == 200
    assert module._create_log_stream({"logGroupName": "g", "logStreamName": "s"})[0] == 200
    return module


def call(handler: Any, **data: Any) -> Any:
    status, _, body = handler(data)
    assert status == 200, body
    return json.loads(body)


def test_the_engine_reads_what_it_stored(logs: Any) -> None:
    events: list[dict[str, Any]] = [{"timestamp": n, "message": f"line {n}"} for n in range(3 * BLOCK)]
    call(logs._put_log_events, logGroupName="g", logStreamName="s", logEvents=events)
    assert isinstance(logs._log_groups["g"]["streams"]["s"]["events"], Lines)
    expected = sum(len(str(one["message"])) for one in events)
    assert call(logs._describe_log_groups)["logGroups"][0]["storedBytes"] == expected
    assert call(logs._describe_log_streams, logGroupName="g")["logStreams"][0]["storedBytes"] == expected
    read, token = [], None
    for _ in range(20):
        options: dict[str, Any] = {"nextToken": token} if token else {}
        page = call(logs._get_log_events, logGroupName="g", logStreamName="s", startFromHead=True, limit=400, **options)
        read += [one["message"] for one in page["events"]]
        if token == page["nextForwardToken"]:
            break
        token = page["nextForwardToken"]
    assert read == [one["message"] for one in events]
    records = logs._collect_query_records(["g"], 0, 1)
    assert [one["@message"] for one in records] == [f"line {n}" for n in range(1001)]
    found = call(logs._get_log_record, logRecordPointer=records[700]["@ptr"])["logRecord"]
    assert found == {name: value for name, value in records[700].items() if not name.startswith("_")}
    assert logs._get_log_record({"logRecordPointer": "none"})[0] == 400


def test_a_saved_state_is_taken_as_it_is(logs: Any) -> None:
    call(logs._put_log_events, logGroupName="g", logStreamName="s", logEvents=[{"timestamp": 1, "message": "a"}])
    state = logs.get_state()
    logs._log_groups.clear()
    logs.load_persisted_state(state)
    events = logs._log_groups["g"]["streams"]["s"]["events"]
    assert isinstance(events, Lines)
    assert [one["message"] for one in events] == ["a"]
