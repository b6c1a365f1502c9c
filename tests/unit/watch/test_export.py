"""An event as a zip file to attach to a ticket: every part that there is, without secrets."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from rtp.ops.events.archive import RawEvent
from rtp.ops.telemetry import export
from rtp.ops.telemetry.logevent import LogEvent
from rtp.ops.telemetry.story import Story
from rtp.text import redaction

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"
RECORD: dict[str, Any] = {
    "id": "e1",
    "timestamp": 1,
    "status": "dead",
    "attempts": [{"n": 1, "outcome": "failed"}],
    "error": {"type": "KeyError", "message": "'a'", "signature": "KeyError: *"},
    "data": {"order": 7, "password": "hunter2", "nested": [{"apiKey": "k", "note": f"Bearer {TOKEN}"}]},
    "result": "mail to ann@example.com",
}


def files(story: Story) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(export.archive(story))) as found:
        return {name: found.read(name).decode() for name in found.namelist()}


def test_every_part_is_a_file_and_secrets_are_masked() -> None:
    line = LogEvent("", "INFO", "worker", "https://u:secret@host/ called", id="e1", fields={"session": "abc"})
    raw = RawEvent("e1", 1, "order.created", 2, '{"id": "e1", "data": {"password": "hunter2"}}', "raw/x.ndjson.gz#0")
    found = files(Story("e1", records=[RECORD], lines=[line], raw=raw, gaps=["traces: no"]))
    assert set(found) == {
        "README.txt", "record.json", "attempts.json", "logs.ndjson", "data.json", "result.json", "raw.json",
        "gaps.json",
    }  # fmt: skip
    assert json.loads(found["raw.json"])["body"] == {"id": "e1", "data": {"password": "***"}}
    assert json.loads(found["data.json"]) == {
        "order": 7,
        "password": "***",
        "nested": [{"apiKey": "***", "note": "Bearer ***"}],
    }
    assert json.loads(found["result.json"]) == "mail to ***"
    assert json.loads(found["record.json"])["error"]["signature"] == "KeyError: *"
    log = json.loads(found["logs.ndjson"])
    assert log["fields"] == {"session": "***"} and "secret" not in log["message"]
    whole = "".join(found.values())
    assert not any(secret in whole for secret in ("hunter2", TOKEN, "ann@", ":secret@"))


def test_the_same_event_is_the_same_file() -> None:
    assert export.archive(Story("e1", records=[RECORD])) == export.archive(Story("e1", records=[RECORD]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"total": 1, "tokens_used": 5}, {"total": 1, "tokens_used": "***"}),
        ({"Authorization": None}, {"Authorization": None}),
        ({"customer": {"email": "a@b.example", "name": "Ann"}}, {"customer": {"email": "***", "name": "Ann"}}),
        ("key AKIAABCDEFGHIJKLMNOP here", "key *** here"),
        ("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----", "***"),
        (["plain", 1, True, None], ["plain", 1, True, None]),
    ],
)
def test_structure_and_harmless_values_stay(value: Any, expected: Any) -> None:
    assert redaction.redacted(value) == expected


def test_a_text_that_is_no_json_is_masked_by_its_names_too() -> None:
    for text in (
        '{"id": "e1", "data": {"password": "hun\\"ter2", "n": 1',
        "{'api_key': 'hunter2', 'n': 1}",
        '{"pin": 1234, "user": {"db_password_old" : "hunter2", "note": "x"',
        '"Authorization":"hunter2',
    ):
        assert "ter2" not in redaction.text(text) and "1234" not in redaction.text(text)
        assert ("note" not in text) or '"note": "x"' in redaction.text(text)
    redaction.text('"a":' * 100_000 + '"' + '"x": "' * 50_000)  # in time that grows with it


def test_the_id_of_an_event_is_masked_and_escaped_in_the_page_that_says_what_is_there() -> None:
    readme = files(Story("ann@example.com\x1b[2J\u202e", records=[RECORD]))["README.txt"]
    assert "ann@" not in readme and "***\\x1b[2J\\u202e" in readme
