"""U+FFFE and U+FFFF, which JSON allows and SQS refuses: the same characters are stored, whatever way an event takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.ops.events.identity import uuid7
from tests.local.conftest import is_count
from tests.local.events.conftest import eventually, post, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.events.conftest import Pipeline

TEXT = "a\ufffe\uffffb"


def event(kind: str, **data: Any) -> dict[str, Any]:
    return {"id": uuid7(), "type": kind, "data": {"text": TEXT, TEXT: 1, **data}}


def record(pipeline: Pipeline, event_id: object) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.project.rtp("show", str(event_id), "--json").json["record"]
    return found


def attempts(pipeline: Pipeline, event_id: object) -> list[str]:
    return [a["outcome"] for a in pipeline.project.rtp("show", str(event_id), "--json").json["attempts"]]


@pytest.mark.parametrize("via", ["api", "events", "sqs"])
def test_they_are_stored_as_they_were_sent(pipeline: Pipeline, via: str) -> None:
    sent = event("note")
    text = json.dumps(sent, ensure_ascii=False)
    pipeline.project.rtp("send", "-", "--via", via, "--wait", "--json", stdin=text)
    assert record(pipeline, sent["id"])["data"] == sent["data"]


@pytest.mark.parametrize(("path", "status"), [("process", 200), ("events", 202)])
def test_a_client_sends_them_to_both_doors(pipeline: Pipeline, path: str, status: int) -> None:
    sent = event("note")
    assert post(pipeline, path, json.dumps(sent, ensure_ascii=False).encode())[0] == status
    shown = ("records", "--type", "note", "--limit", "5", "--json")
    eventually(lambda: sent["id"] in [r["id"] for r in pipeline.project.rtp(*shown).json["records"]], expected=True)
    assert record(pipeline, sent["id"])["data"] == sent["data"]


@pytest.mark.long
def test_they_survive_a_failure_an_edit_and_a_replay(pipeline: Pipeline, tmp_path: Path) -> None:
    # Given an event that fails on its way through the API, is queued and dies
    sent = event("order.created", n=1)
    assert post(pipeline, "process", json.dumps(sent, ensure_ascii=False).encode())[0] == 202
    wait_for(lambda: is_count(len(pipeline.dlq), 1))
    (message, *copies) = pipeline.project.rtp("dlq", "inspect", "--json").json["messages"]
    assert is_count(1 + len(copies), 1)  # SQS may deliver one twice
    assert json.loads(message["body"])["data"] == sent["data"]
    assert record(pipeline, sent["id"])["data"] == sent["data"]
    # When it is edited and redriven / Then only what was edited has changed
    pipeline.fix()
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i \'s/"n": 1/"n": 2/\' "$1"\n')
    editor.chmod(0o700)
    options = ("--id", str(sent["id"]), "--edit", "--wait", "--json")
    done = pipeline.project.rtp("dlq", "redrive", *options, env={"EDITOR": str(editor)})
    assert set(done.json["outcomes"]) == {"processed"} and is_count(done.json["outcomes"]["processed"], 1)
    assert record(pipeline, sent["id"])["data"] == {**sent["data"], "n": 2}
    # When it is replayed / Then it is processed again as it is
    before = attempts(pipeline, sent["id"])
    pipeline.project.rtp("replay", "--id", str(sent["id"]), "--json")
    wait_for(lambda: attempts(pipeline, sent["id"]) == [*before, "processed"])
    assert record(pipeline, sent["id"])["data"] == {**sent["data"], "n": 2}
