"""Records that other programs wrote into the table: known types alone reach what shows, counts and redrives them."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest

from rtp.aws import records
from rtp.errors import RtpError
from rtp.ops.events import archive
from rtp.ops.events import records as stored
from rtp.text import json_values
from tests.unit.ops.fakes import BUCKET, TABLE, FakeAws, event

GOOD: dict[str, Any] = {
    "id": {"S": "e1"}, "timestamp": {"N": "1"}, "status": {"S": "dead"}, "type": {"S": "a"},
    "attempt_count": {"N": "1"},
    "accepted_at": {"N": "1700000000000"}, "error": {"M": {"type": {"S": "KeyError"}, "message": {"S": "x"}}},
    "attempts": {"L": [{"M": {"n": {"N": "1"}, "at": {"N": "1700000000000"}, "duration_ms": {"N": "1.5"}}}]},
    "dlq_message": {"M": {"request_id": {"S": "r"}, "sent_at": {"N": "1700000000000"}, "is_sent": {"BOOL": True}}},
    "data": {"M": {"n": {"N": "1E+100"}, "b": {"B": b"\xff"}}},
}  # fmt: skip
WRONG: dict[str, list[dict[str, Any]]] = {
    "text": [{"N": "5"}, {"L": []}, {"M": {}}, {"NULL": True}, {"B": b"\xff"}, {"BOOL": True}],
    "number": [
        {"S": "x"},
        {"N": "-5"},
        {"N": "1E+100"},
        {"N": "9" * 38},
        {"N": "999999999999999"},
        {"N": "1.5"},
        {"L": []},
        {"SS": ["x"]},
    ],
    "object": [{"S": "x"}, {"L": [{"S": "x"}]}, {"N": "1"}, {"M": {"type": {"L": []}, "sent_at": {"S": "x"}}}],
    "list": [{"S": "x"}, {"L": [{"S": "x"}, {"M": {"at": {"S": "y"}, "n": {"N": "-1"}, "error": {"S": "z"}}}]}],
}
ATTRIBUTES = {
    "text": ["type", "source", "digest", "data_key", "raw_key", "release", "lease", "trace_id"],
    "number": ["attempt_count", "accepted_at", "attempted_at", "processed_at", "lease_until", "conflicts"],
    "object": ["error", "dlq_message"],
    "list": ["attempts"],
}
ROWS = [
    pytest.param(name, value, id=f"{name}-{index}")
    for kind, names in ATTRIBUTES.items()
    for name in names
    for index, value in enumerate(WRONG[kind])
]


def read(item: dict[str, Any]) -> list[dict[str, Any]]:
    aws = FakeAws()
    aws.items[item["id"].get("S", ""), item["timestamp"].get("N", "")] = item
    return records.by_id(aws, TABLE, "e1")


@pytest.mark.parametrize(("name", "value"), ROWS)
def test_an_attribute_of_another_type_counts_as_missing(name: str, value: dict[str, Any]) -> None:
    (record,) = read(GOOD | {name: value})
    others = records.item(GOOD)
    assert {n: v for n, v in record.items() if n != name} == {n: v for n, v in others.items() if n != name}
    assert name not in record or record[name] in ({}, [], [{}], {"sent_at": "x"}, {"type": []})  # unknown members stay
    json.loads(json_values.dumps(record))


def test_a_record_of_the_functions_stays_as_it_is() -> None:
    (record,) = read(GOOD)
    assert record["attempts"] == [{"n": 1, "at": 1_700_000_000_000, "duration_ms": Decimal("1.5")}]
    assert record["error"] == {"type": "KeyError", "message": "x"}
    assert record["dlq_message"] == {"request_id": "r", "sent_at": 1_700_000_000_000, "is_sent": True}
    assert record["data"] == {"n": Decimal("1E+100"), "b": None}


@pytest.mark.parametrize(
    "item",
    [{"timestamp": {"N": "1E+30"}}, {"timestamp": {"N": "-1"}}, {"status": {"N": "5"}}, {"status": {"NULL": True}}],
)
def test_an_item_with_a_key_that_no_event_has_or_without_a_status_is_no_record(item: dict[str, Any]) -> None:
    assert read(GOOD | item) == []


LINE: dict[str, Any] = {"id": "e1", "timestamp": 1, "received_at": 1_700_000_000_000, "body": event()}
FORGED = [
    "[" * 5000, "[]", "7", json.dumps({"id": "e1"}),
    *(
        json.dumps(LINE | {name: value})
        for name, value in (
            ("id", 5), ("timestamp", 10**400), ("timestamp", float("inf")), ("timestamp", "1"), ("timestamp", -1),
            ("received_at", 10**30), ("received_at", None), ("body", {}),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("line", FORGED, ids=range(len(FORGED)))
def test_a_line_of_the_archive_that_the_functions_did_not_write_is_no_event(line: str) -> None:
    aws = FakeAws()
    aws.objects["raw/x.ndjson.gz"] = gzip.compress(f"{line}\n{json.dumps(LINE)}\n".encode())
    assert [found.key for found in archive.read(aws, BUCKET, "raw/x.ndjson.gz")] == ["raw/x.ndjson.gz#1"]


def packed(text: bytes) -> bytes:
    return gzip.compress(text, mtime=0)


BOMBS = {
    "a bomb": gzip.compress(bytes(200_000_000), 1),
    "a bomb of parts": packed(bytes(1_000_000)) * 200,
    "a bomb of lines": packed(b"\n" * 50_000_000),
    "cut": packed(b"x" * 1000)[:-12],
    "followed by other bytes": packed(b"") + b"other",
    "no archive": b"x" * 1000,
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_an_archived_object_that_the_functions_did_not_write_is_named_within_limits(content: bytes) -> None:
    aws = FakeAws()
    aws.objects["raw/x.ndjson.gz"] = content
    tracemalloc.start()
    try:
        with pytest.raises(RtpError, match=r"The archived object raw/x\.ndjson\.gz cannot be read: it "):
            archive.read(aws, BUCKET, "raw/x.ndjson.gz")
        assert tracemalloc.get_traced_memory()[1] < 300_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["", "no JSON", "[" * 5000, '{"a":' * 600 + "1" + "}" * 600], ids=range(4))
def test_a_value_in_the_bucket_that_is_no_json_is_absent(text: str) -> None:
    aws = FakeAws()
    aws.objects["processed/items/x"] = text.encode()
    (row,) = stored.whole(aws, BUCKET, [{"id": "e1", "timestamp": 1, "data_key": "processed/items/x"}])
    assert row["data"] is None


@pytest.mark.parametrize(("opens", "closes"), [('{"a":', "}"), ("[", "]")])
def test_what_can_be_read_can_be_written(opens: str, closes: str) -> None:
    for depth in (64, 150, 200, 400, 900, 5000):
        try:
            value = json_values.loads(opens * depth + "1" + closes * depth)
        except ValueError as error:
            assert depth > 200 and "nested more deeply" in str(error)
        else:
            assert json_values.dumps(value, indent=2)
    assert json_values.loads("[" + "{}," * 1000 + "1]")[-1] == 1
