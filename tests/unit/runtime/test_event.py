"""Identity of events, and refusal of texts that are not events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.runtime import event, wire
from rtp.runtime.event import EmitError, Event, Identity, InvalidEventError

FALLBACK = Identity("request-1", 1_700_000_000_123)
UUID7 = "0190163d-8694-739b-aea5-966c26f8ad91"


def parse(value: Any) -> Event:
    return event.parse(value if isinstance(value, str) else json.dumps(value), FALLBACK)


def refused(value: Any) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as error:
        parse(value)
    return error.value


@pytest.mark.parametrize(
    ("given", "identity"),
    [
        ({}, FALLBACK),
        ({"timestamp": 5}, Identity("request-1", 5)),
        ({"id": "a", "timestamp": 5}, Identity("a", 5)),
        ({"id": "a", "timestamp": 0}, Identity("a", 0)),
        ({"id": UUID7}, Identity(UUID7, 0x0190163D8694)),
        ({"id": UUID7.upper()}, Identity(UUID7.upper(), 0x0190163D8694)),
        ({"id": UUID7, "timestamp": 7}, Identity(UUID7, 7)),
    ],
)
def test_identity(given: dict[str, Any], identity: Identity) -> None:
    assert parse({"type": "t", "data": {}, **given}).identity == identity


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ("nonsense", ["$"]),
        ([], ["$"]),
        (None, ["$"]),
        ({}, ["$.type", "$.data"]),
        ({"type": "", "data": {}}, ["$.type"]),
        ({"type": "x" * 129, "data": {}}, ["$.type"]),
        ({"type": "t", "data": []}, ["$.data"]),
        ({"type": "t", "data": None}, ["$.data"]),
        ({"type": "t", "data": {}, "id": 5}, ["$.id"]),
        ({"type": "t", "data": {}, "id": ""}, ["$.id"]),
        ({"type": "t", "data": {}, "timestamp": "5"}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "timestamp": True}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "timestamp": 5.5}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "timestamp": -1}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "timestamp": 10**15}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "timestamp": 1_764_100_000}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "id": "a"}, ["$.timestamp"]),
        ({"type": "t", "data": {}, "extra": 1, "b c": 2}, ["$.extra", '$["b c"]']),
    ],
)
def test_an_invalid_event_is_refused_with_its_paths(given: Any, paths: list[str]) -> None:
    assert [problem.path for problem in refused(given).problems] == paths


@pytest.mark.parametrize(
    ("given", "unit", "meant"),
    [
        ("1764100000", "seconds", "1764100000000"),
        ("1764100000.25", "seconds", "1764100000250"),
        ("1764100000123456", "microseconds", "1764100000123"),
        ("1764100000123456789", "nanoseconds", "1764100000123"),
    ],
)
def test_a_timestamp_in_another_unit_is_refused_with_the_milliseconds_that_it_means(
    given: str, unit: str, meant: str
) -> None:
    (problem,) = refused(f'{{"type":"t","data":{{}},"timestamp":{given}}}').problems
    assert f"; {given} looks like {unit}, which would be {meant}" in problem.message


@pytest.mark.parametrize("given", ["946684799", "4102444801", "86400000", "253402300799999"])
def test_a_time_long_ago_or_far_ahead_is_a_time(given: str) -> None:
    assert parse(f'{{"type":"t","data":{{}},"timestamp":{given}}}').timestamp == int(given)


@pytest.mark.parametrize(
    ("given", "identity", "type"),
    [
        ("nonsense", FALLBACK, ""),
        ('{"id":"a","timestamp":5,"type":"t","data":{"n":NaN}}', Identity("a", 5), "t"),
        ('{"id":"a","timestamp":5,"id":"a"}', Identity("a", 5), ""),
        ('{"id":"\\ud800","timestamp":5}', Identity("request-1", 5), ""),
        ({"id": "a", "timestamp": 5, "type": "t"}, Identity("a", 5), "t"),
        ({"id": "a", "type": "t", "data": {}}, Identity("a", FALLBACK.timestamp), "t"),
        ({"id": 5, "timestamp": "x", "type": 7}, FALLBACK, ""),
    ],
)
def test_an_invalid_event_has_an_identity_for_its_dead_record(given: Any, identity: Identity, type: str) -> None:
    error = refused(given)

    assert (error.identity, error.type) == (identity, type)


@given(st.text() | st.binary())
def test_any_text_is_an_event_or_refused(text: str | bytes) -> None:
    try:
        event.parse(text, FALLBACK)
    except InvalidEventError as error:
        assert error.problems


def test_emitted_ids_are_the_same_on_every_attempt_and_otherwise_different() -> None:
    def ids(attempt: int) -> list[str]:
        source = Event[Any](type="t", data={}, id="a", timestamp=5, attempt=attempt)
        return [source.emit("u", {"n": 1}), source.emit("u", {"n": 1}), source.emit("v", {"n": 1})]

    assert ids(1) == ids(2)
    assert len(set(ids(1))) == 3


def test_an_emitted_event_is_a_valid_event() -> None:
    source = Event[Any](type="t", data={}, id="a", timestamp=5)
    source.emit("u", {"price": 0.1})

    emitted_event = parse(source.emitted[0].body)

    assert (emitted_event.type, str(emitted_event.data["price"]), emitted_event.timestamp) == ("u", "0.1", 5)


@pytest.mark.parametrize(("type", "data"), [("", {}), ("u", [1]), ("u", {"x": "x" * 300_000})])
def test_emitting_an_invalid_event_fails(type: str, data: Any) -> None:
    with pytest.raises(EmitError):
        Event(type="t", data={}, id="a", timestamp=5).emit(type, data)


def test_a_loop_of_emitted_events_is_stopped() -> None:
    with pytest.raises(EmitError, match="loop"):
        Event(type="t", data={}, id="a", timestamp=5, depth=wire.MAX_DEPTH).emit("t", {})
