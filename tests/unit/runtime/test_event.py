"""Identity of events, and refusal of texts that are not events."""

from __future__ import annotations

import json
from decimal import Decimal
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
    assert problem.message.endswith(f"; {given} looks like {unit}, which would be {meant}")


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


@pytest.mark.parametrize("length", [1, 128])
def test_an_id_and_a_type_may_have_128_characters(length: int) -> None:
    found = parse({"type": "t" * length, "data": {}, "id": "i" * length, "timestamp": 1})
    assert (len(found.type), len(found.id)) == (length, length)
    for name in ("type", "id"):
        error = refused({"type": "t", "data": {}, "timestamp": 1, name: "x" * 129})
        assert [str(problem.path) for problem in error.problems] == [f"$.{name}"]
        assert "1 to 128 characters" in error.problems[0].message


@pytest.mark.parametrize(
    ("timestamp", "accepted"),
    [
        ("0", True),
        ("946684799", True),
        ("946684800", False),
        ("4102444800", False),
        ("4102444801", True),
        ("253402300799999", True),
        ("253402300800000", False),
        ("1.0", False),
    ],
)
def test_the_limits_of_a_timestamp(timestamp: str, accepted: bool) -> None:
    text = f'{{"type": "t", "data": {{}}, "timestamp": {timestamp}}}'
    if accepted:
        assert parse(text).timestamp == int(timestamp)
        return
    (problem,) = refused(text).problems
    assert (problem.path, "milliseconds since 1970" in problem.message) == ("$.timestamp", True)


@pytest.mark.parametrize(
    ("timestamp", "unit"),
    [
        ("946684800", "seconds"),
        ("4102444800", "seconds"),
        ("946684800.5", "seconds"),
        ("946684799.9", ""),
        ("946684800000000", "microseconds"),
        ("4102444800000000", "microseconds"),
        ("4102444800000001", ""),
        ("946684800000000000", "nanoseconds"),
        ("4102444801000000000", ""),
        ('"1764100000"', ""),
        ("true", ""),
        ("-1764100000", ""),
    ],
)
def test_another_unit_is_named_only_for_the_years_from_2000_to_2100(timestamp: str, unit: str) -> None:
    message = refused(f'{{"type": "t", "data": {{}}, "timestamp": {timestamp}}}').problems[0].message
    assert ("looks like" in message) is bool(unit)
    assert f"looks like {unit}," in message if unit else message.endswith("since 1970")


def test_only_the_first_twenty_unknown_names_are_named_each_cut() -> None:
    names = {f"{'x' * 130}{n:02}": 1 for n in range(1)} | {f"y{n:02}": 1 for n in range(25)}
    error = refused({"type": "t", "data": {}, **names})
    assert [problem.path for problem in error.problems] == [f"$.{'x' * 128}", *(f"$.y{n:02}" for n in range(19))]
    assert "unknown" in error.problems[0].message


def test_every_problem_of_an_event_is_named_with_its_path() -> None:
    error = refused({"id": 5, "type": 7, "data": [], "timestamp": "x", "more": 1})
    assert [p.path for p in error.problems] == ["$.more", "$.type", "$.id", "$.data", "$.timestamp"]
    assert "; $.type: must be" in str(error)
    assert "object" in refused([]).problems[0].message


def test_an_event_says_that_its_timestamp_is_missing() -> None:
    (problem,) = refused({"id": "a", "type": "t", "data": {}}).problems
    assert (problem.path, "required" in problem.message) == ("$.timestamp", True)
    assert [p.message for p in refused({}).problems] == ["required", "required"]


def test_an_event_has_the_digest_of_its_type_and_data_alone() -> None:
    first = parse({"type": "t", "data": {"n": 1}, "id": "a", "timestamp": 1})
    assert first.digest == parse({"type": "t", "data": {"n": 1}}).digest != ""
    assert first.digest != parse({"type": "u", "data": {"n": 1}}).digest
    assert first.digest != parse({"type": "t", "data": {"n": 2}}).digest


def test_a_name_has_no_lone_surrogate_and_its_identity_is_that_of_the_request() -> None:
    error = refused('{"type": "\\ud800", "data": {}, "id": "a", "timestamp": 5}')
    assert (error.type, error.identity, error.problems[0].path) == ("", Identity("a", 5), "$.type")


@pytest.mark.parametrize(
    ("change", "same"),
    [({}, True), ({"id": "b"}, False), ({"timestamp": 6}, False), ({"depth": 2, "attempt": 4}, True)],
)
def test_an_emitted_id_depends_on_the_events_identity_the_type_and_the_number(
    change: dict[str, Any], same: bool
) -> None:
    base: dict[str, Any] = {"type": "t", "data": {}, "id": "a", "timestamp": 5}
    first, second = (Event[Any](**values) for values in (base, {**base, **change}))
    own = first.emit("u", {})
    assert (own == second.emit("u", {"other": 1})) is same
    assert len(own) == 32 and int(own, 16) >= 0
    assert len({own, first.emit("u", {}), Event[Any](**base).emit("v", {})}) == 3


def test_an_emitted_event_keeps_its_time_and_counts_its_depth_up_to_the_limit() -> None:
    source = Event[Any](type="t", data={}, id="a", timestamp=5, depth=wire.MAX_DEPTH - 1)
    id = source.emit("u", {"n": Decimal("1.10")})
    (emitted,) = source.emitted
    assert (emitted.id, emitted.timestamp, emitted.type, emitted.depth) == (id, 5, "u", wire.MAX_DEPTH)
    assert emitted.data == {"n": Decimal("1.10")}
    assert json.loads(emitted.body) == {"id": id, "timestamp": 5, "type": "u", "data": {"n": 1.1}}
    assert event.Emitted(id, 5, "u", emitted.data, 1).body == emitted.body == emitted.text
    with pytest.raises(EmitError, match=f"longer than {wire.MAX_DEPTH}"):
        Event[Any](type="t", data={}, depth=wire.MAX_DEPTH).emit("u", {})


def test_an_emitted_event_may_be_as_large_as_any_and_is_what_it_was_when_it_was_emitted() -> None:
    source = Event[Any](type="t", data={}, id="a", timestamp=5)
    source.emit("u", data := {"x": ""})
    room = wire.MAX_BODY_BYTES - len(source.emitted[0].body.encode())
    data["x"] = "changed"
    assert '"changed"' not in source.emitted[0].body
    source.emit("u", {"x": "y" * room})
    assert len(source.emitted[1].body.encode()) == wire.MAX_BODY_BYTES
    with pytest.raises(EmitError, match=f"{wire.MAX_BODY_BYTES + 1} bytes"):
        source.emit("u", {"x": "y" * (room + 1)})
    assert len(source.emitted) == 2


def test_the_reserved_type_and_what_is_no_event_cannot_be_emitted() -> None:
    source = Event[Any](type="t", data={}, id="a", timestamp=5)
    with pytest.raises(EmitError, match="reserved"):
        source.emit(wire.DRILL, {})
    with pytest.raises(EmitError, match=r"\$\.type: .*; \$\.data: "):
        source.emit("", [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\$\.data\.n"):
        source.emit("u", {"n": float("nan")})
    assert source.emitted == []
