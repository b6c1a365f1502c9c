"""The input of `rtp send`: recognised, checked before anything is sent, and kept to the byte."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import UsageError
from rtp.ops.events import payload
from rtp.runtime.wire import uuid7_timestamp


def of(text: str | bytes) -> payload.Payload:
    return payload.of_stream(io.BytesIO(text.encode() if isinstance(text, str) else text), "input")


def refusal(text: str | bytes) -> UsageError:
    with pytest.raises(UsageError) as caught:
        of(text)
    return caught.value


def test_one_event_an_array_and_lines_are_distinguished() -> None:
    one = '{"type": "a", "data": {}}'

    assert len(of(one)) == 1
    assert len(of(json.dumps(json.loads(one), indent=4))) == 1
    assert len(of(f"[{one}, {one}\n,{one}]")) == 3
    assert len(of(f"{one}\n{one}\n\n{one}\n")) == 3
    assert len(of(f"\ufeff  {one}\r\n{one}")) == 2


def test_an_event_without_an_id_gets_one_that_contains_its_time() -> None:
    (event,) = of('{"type": "a", "data": {}}')

    assert json.loads(event.body) == {"id": event.id, "type": "a", "data": {}}
    assert uuid7_timestamp(event.id) == event.timestamp
    assert event.type == "a"


def test_the_type_of_drills_is_refused_before_anything_is_sent() -> None:
    assert "rtp.drill is reserved for `rtp drill`" in refusal('{"type": "rtp.drill", "data": {}}').message


def test_an_event_with_an_id_is_sent_unchanged() -> None:
    text = '{ "id":"x",  "timestamp": 5, "type":"a", "data":{"n":1.10}}'

    (event,) = of(text)

    assert (event.body, event.id, event.timestamp) == (text, "x", 5)


@pytest.mark.parametrize("number", ["0.1000", "1e2", "-0.0", "1E-130", "12345678901234567890123456789012345678"])
def test_numbers_are_sent_as_they_were_written(number: str) -> None:
    for text in (f'{{"type":"a","data":{{"n":{number}}}}}', f'[{{"type":"a","data":{{"n": {number} }}}}]'):
        (event,) = of(text)

        assert number in event.body


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=8,
    )
)
def test_data_of_any_shape_arrives_unchanged(value: object) -> None:
    created = {"type": "a", "data": {"v": value}}

    for text in (
        json.dumps(created),
        json.dumps([created], indent=1),
        json.dumps(created) + "\n" + json.dumps(created),
    ):
        for event in of(text):
            assert json.loads(event.body)["data"] == {"v": value}


def test_a_bad_line_is_named_by_number_and_problem() -> None:
    good = '{"type": "a", "data": {}}'

    error = refusal("\n".join([good, '{"type": "a"}', good, "{oops", good, '{"type": 5, "data": {}}']))

    assert "3 of 6 are not events" in error.message
    assert "line 2: $.data: required" in error.message
    assert "line 4: not JSON" in error.message
    assert "line 6: $.type" in error.message
    assert "None was sent" in error.hint


def test_many_bad_lines_are_counted_and_a_few_are_shown() -> None:
    error = refusal("\n".join(['{"type": "a", "data": {}}'] + ["{}"] * 50))

    assert "50 of 51" in error.message
    assert "and 45 more" in error.message


def test_a_bad_first_line_is_found_too() -> None:
    assert "line 1: not JSON" in refusal('{"type": \n{"type": "a", "data": {}}').message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("  \n ", "is empty"),
        ("[]", "the array is empty"),
        ('{"type": "a", "data": {}', "not JSON"),
        ('[{"type": "a", "data": {}}', "not JSON"),
        ('[{"type": "a", "data": {}}] x', "Extra data"),
        ('[{"type": "a", "data": {}} {}]', "Expecting ','"),
        ("[1]", "an event is a JSON object"),
        ('"text"', "an event is a JSON object"),
        ("null", "an event is a JSON object"),
        ('{"data": {}}', "$.type: required"),
        ('{"type": "a", "data": 1}', "$.data: must be an object"),
        ('{"type": "a", "data": {}, "x": 1}', "$.x: unknown"),
        ('{"type": "a", "data": {}, "id": "mine"}', "$.timestamp: required"),
        ('{"type": "a", "data": {}, "timestamp": 1.5}', "$.timestamp"),
        ('{"type": "a", "data": {"n": NaN}}', "not a JSON number"),
        ('{"type": "a", "data": {"n": 1e400}}', "out of range"),
        ('{"type": "a", "type": "b", "data": {}}', "duplicate key"),
        ('{"type": "a", "data": {"s": "\\ud800"}}', "surrogate"),
        ('{"type": "a", "data": {"d": ' + "[" * 100_000 + "]" * 100_000 + "}}", "nested"),
        ("[" * 100_000, "nested"),
        (b'{"type": "\xff", "data": {}}', "not UTF-8"),
        ('{"type": "a", "data": {"s": "' + "x" * 262_144 + '"}}', "too large: 262,"),
    ],
)
def test_a_text_that_is_not_an_event_is_refused_with_the_reason(text: str | bytes, problem: str) -> None:
    error = refusal(text)

    assert problem in error.message
    assert error.exit_code == 2


def test_the_size_limit_includes_the_inserted_id() -> None:
    frame = len('{"type":"a","data":{"s":""}}')
    room = 262_144 - len('"id":"",') - 36

    (event,) = of('{"type":"a","data":{"s":"' + "x" * (room - frame) + '"}}')

    assert len(event.body.encode()) == 262_144
    assert "too large" in refusal('{"type":"a","data":{"s":"' + "x" * (room - frame + 1) + '"}}').message


def test_data_and_type_make_an_event() -> None:
    (event,) = payload.of_data(' {"n": 1.10}\n', 'or"der')

    assert json.loads(event.body)["type"] == 'or"der'
    assert '"data":{"n": 1.10}' in event.body
    assert len(payload.of_data('{"type": "a", "data": {}}', None)) == 1


@pytest.mark.parametrize("data", ["", "[]", "1", "{", '{}, "id": "x"', '{}} {"a": {}'])
def test_data_that_is_not_an_object_is_refused(data: str) -> None:
    with pytest.raises(UsageError, match="--data") as caught:
        payload.of_data(data, "a")
    assert caught.value.code == "not-an-event"


def test_a_problem_in_data_is_located_in_the_text_as_given() -> None:
    with pytest.raises(UsageError, match=r"--data: not JSON: .* at line 1 column 6$"):
        payload.of_data('{"a":}', "order.created")


def test_data_cannot_add_to_the_event_around_it() -> None:
    with pytest.raises(UsageError, match="not JSON"):
        payload.of_data('{}, "timestamp": 5', "a")


def test_repeated_events_are_new_ones() -> None:
    events = list(of('{"type": "a", "data": {}}').repeated(50))

    assert len({e.id for e in events}) == 50


def test_an_event_with_an_id_cannot_be_repeated() -> None:
    with pytest.raises(UsageError, match="the same event"):
        of('{"id": "x", "timestamp": 1, "type": "a", "data": {}}').repeated(2)


def test_a_stream_that_is_not_seekable_can_be_read() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    pipe = Pipe(b'{"type": "a", "data": {}}\n' * 3)

    assert [e.line for e in payload.of_stream(cast("BinaryIO", pipe), "-")] == [1, 2, 3]


def test_a_file_that_grows_is_read_up_to_where_it_was_checked(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text('{"type": "a", "data": {}}\n{"type": "a", "data": {}}\n')
    events = payload.of_file(file)
    with file.open("a") as more:
        more.write("not an event\n")

    assert len(list(events)) == len(events) == 2


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        payload.of_file(tmp_path / "none.json")
    with pytest.raises(UsageError, match="is a folder"):
        payload.of_file(tmp_path)


def test_a_pipe_is_read_once() -> None:
    """As a shell gives one: `rtp send <(…)`."""
    reader, writer = os.pipe()
    os.write(writer, b'{"type": "a", "data": {}}\n{"type": "b", "data": {}}\n')
    os.close(writer)
    try:
        assert [event.type for event in payload.of_file(Path(f"/dev/fd/{reader}"))] == ["a", "b"]
    finally:
        os.close(reader)


def test_a_timestamp_in_seconds_is_refused_before_anything_is_sent() -> None:
    refused = refusal('{"type": "a", "id": "x", "timestamp": 1764100000, "data": {}}')
    assert "1764100000 looks like seconds, which would be 1764100000000" in refused.message
