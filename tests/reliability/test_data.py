"""Events are stored exactly as sent, for extreme and large values (C14, C15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.ops.events.identity import uuid7
from rtp.ops.events.records import whole
from rtp.text import json_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.reliability.conftest import Rig


ACCEPTED = [
    "0.1",
    "-0.0",
    "1.10",
    "1e125",
    "1e-130",
    "9" * 38,
    "-" + "9" * 38,
    "0." + "1" * 37,
    "1" + "0" * 100,
    '"\\u0000\\u0001\\u007f"',
    '"\\u202e\\u2066 right to left \\ud83d\\ude00"',
    '""',
    "[]",
    "{}",
    "null",
    "true",
    '{"":1}',
    '{"' + "k" * 65_000 + '":1}',
    '{"' + "k" * 70_000 + '":1}',
    "[" * 40 + "]" * 40,
]
REFUSED = [
    "NaN",
    "Infinity",
    "1e400",
    "1e-200",
    "1" * 39,
    "0." + "1" * 39,
    '"\\ud800"',
    '{"a":1,"a":2}',
    "[" * 80 + "]" * 80,
]


@pytest.mark.long
def test_extreme_values_in_valid_events(rig: Rig, account: Callable[..., None]) -> None:
    """C14. Stored and read back equal, or dead with an error that names the path; the others are unaffected."""
    accepted = {uuid7(): text for text in ACCEPTED}
    refused = {uuid7(): text for text in REFUSED}
    queue = rig.outputs["QueueUrl"]
    for id, text in (accepted | refused).items():
        body = f'{{"id":"{id}","type":"extreme","data":{{"x":{text}}}}}'
        rig.sent[id] = {"data": {"x": json_values.loads(text)} if id in accepted else None}
        rig.aws.call("sqs", "send_message", QueueUrl=queue, MessageBody=body)
    rig.drain()

    stored = {record["id"]: record for record in whole(rig.aws, rig.outputs["BucketName"], rig.records())}
    for id, text in accepted.items():
        assert stored[id]["status"] == "processed", text
        assert stored[id]["data"] == {"x": json_values.loads(text)}
    for id in list(accepted)[:2] + list(accepted)[-2:]:
        assert show(rig, id)["data"] == stored[id]["data"]
    for id, text in refused.items():
        assert stored[id]["status"] == "dead", text
        assert stored[id]["error"]["message"].startswith("$.data.x"), text
    account(rig.ledger(), len(refused), "bodies refused")


@pytest.mark.parametrize("size", [150_000, 300_000, 450_000, 1_000_000])
def test_large_results_are_stored_in_s3_and_shown_whole(rig: Rig, account: Callable[..., None], size: int) -> None:
    """C15. An item holds 400 KB; commands show larger values as if they were in the record."""
    event: dict[str, Any] = {"id": uuid7(), "type": "large", "data": {"bytes": size}}
    rig.send([event])
    rig.drain()

    (record,) = [record for record in rig.records() if record["id"] == event["id"]]
    assert "result" not in record
    assert record["result_key"].startswith("processed/items/")
    assert show(rig, event["id"])["result"] == {"text": "é" * (size // 2)}
    account(rig.ledger(), 1, "values in S3")


def test_the_largest_event_is_stored_in_s3(rig: Rig, account: Callable[..., None]) -> None:
    """C15. As many numbers as fit in 256 KiB."""
    event: dict[str, Any] = {"id": uuid7(), "type": "numbers", "data": {"x": [1] * 80_000}}
    rig.send([event])
    rig.drain()

    (record,) = [record for record in rig.records() if record["id"] == event["id"]]
    assert "data_key" in record
    assert show(rig, event["id"])["data"] == event["data"]
    account(rig.ledger(), 1, "values in S3")


def show(rig: Rig, id: str) -> dict[str, Any]:
    """Return the record as `rtp show` prints it."""
    shown = json_values.loads(rig.project.rtp("show", id, "--json").stdout)
    record: dict[str, Any] = shown["record"]
    return record
