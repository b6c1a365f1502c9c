"""Journals that another program wrote or that are damaged: a clear error names the file, and nothing is changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import ConfigError, RtpError
from rtp.ops.access import lock
from rtp.ops.dlq import journal as dlq_journal
from rtp.ops.dlq.target import Target
from rtp.ops.events import replay_journal, send_journal
from rtp.ops.events.planned import Planned
from rtp.ops.events.send_journal import Sending
from rtp.ops.journal_store import JournalFiles
from rtp.text import times
from tests.unit.ops.fakes import OUTPUTS, FakeAws

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENDING = Sending("digest", 4, "api", "shop-dev", "111122223333")
OWNER = ("shop-dev", "111122223333")
HEAD: dict[str, Any] = {
    "step": "head", "what": "redrive", "stack": OWNER[0], "account": OWNER[1], "started": times.now_ms(),
    "digest": "digest", "count": 4, "via": "api",
}  # fmt: skip
TOOK: dict[str, Any] = {
    "step": "took", "message_id": "m1", "id": "e1", "timestamp": 1, "type": "a", "body": "{}",
    "attributes": {"x": {"DataType": "String", "StringValue": "y"}}, "trace_header": "",
}  # fmt: skip
PLANNED: dict[str, Any] = {"step": "planned", "event": ["e1", 1, "a", "missing", "raw/x"]}
HUGE = 10**400

OF_ANY: dict[str, list[Any]] = {
    "a list": [[]],
    "a number": [7],
    "deep": ['{"step":' * 5000 + "1" + "}" * 5000],
    "step": [{**HEAD, "step": ["head"]}],
    "started as text": [{**HEAD, "started": "yesterday"}],
    "started of 400 digits": [{**HEAD, "started": HUGE}],
    "started before all times": [{**HEAD, "started": -1}],
    "started as a fraction": [{**HEAD, "started": 1.5}],
}
OF_DLQ: dict[str, list[Any]] = OF_ANY | {
    "no stack": [{**HEAD, "stack": None}],
    "what as a list": [{**HEAD, "what": []}],
    "an unknown kind": [{**HEAD, "what": "replay"}],
    **{
        f"{name} {value!r:.10}": [HEAD, {**TOOK, name: value}]
        for name, value in (
            ("message_id", 5), ("id", None), ("timestamp", "1"), ("timestamp", HUGE), ("timestamp", True), ("body", {}),
            ("attributes", []), ("attributes", {"x": "y"}), ("attributes", {"x": {"StringValue": 1}}),
            ("attributes", {"x": {"DataType": "Binary", "BinaryValue": "ä"}}), ("trace_header", 3),
        )
    },
    "sent to a list": [HEAD, TOOK, {"step": "sent", "message_id": "m1", "sent_id": []}],
    "restored since never": [HEAD, TOOK, {"step": "restoring", "message_id": "m1", "since": HUGE}],
}  # fmt: skip
OF_SEND: dict[str, list[Any]] = OF_ANY | {
    "a number that is text": [HEAD, {"step": "id", "n": "1", "id": "e1"}],
    "a number of 400 digits": [HEAD, {"step": "id", "n": HUGE, "id": "e1"}],
    "no id": [HEAD, {"step": "id", "n": 1}],
    "ids that are text": [HEAD, {"step": "answered", "ids": "e1"}],
    "ids that are lists": [HEAD, {"step": "answered", "ids": [[]]}],
    "no ids": [HEAD, {"step": "answered"}],
}
OF_REPLAY: dict[str, list[Any]] = OF_ANY | {
    "no stack": [{**HEAD, "stack": None}],
    "no event": [HEAD, {"step": "planned"}],
    "half an event": [HEAD, {"step": "planned", "event": ["e1", 1]}],
    "an event of other types": [HEAD, {"step": "planned", "event": [1, "e1", [], {}, None]}],
    "a timestamp of 400 digits": [HEAD, {"step": "planned", "event": ["e1", HUGE, "a", "", "raw/x"]}],
    "queued without its key": [HEAD, PLANNED, {"step": "queued"}],
}


@pytest.fixture
def store(tmp_path: Path) -> JournalFiles:
    return JournalFiles(tmp_path / ".rtp" / "x" / "dev")


def plant(store: JournalFiles, lines: list[Any]) -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    store.begin("planted", text.encode() + b"\n", durable=False)


def target(store: JournalFiles) -> Target:
    return Target(aws=FakeAws(), outputs=OUTPUTS, stack=OWNER[0], account=OWNER[1], journals=store)


def check(error: RtpError, store: JournalFiles) -> None:
    assert error.code == "unreadable-journal" and isinstance(error, ConfigError)
    assert store.where("planted") in error.message and "move it" in error.hint


@pytest.mark.parametrize("lines", OF_DLQ.values(), ids=OF_DLQ)
def test_of_a_redrive(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, lines)
    for use in (lambda: dlq_journal.load(store, None), lambda: dlq_journal.killed_redrives(target(store))):
        with pytest.raises(ConfigError) as caught:
            use()
        check(caught.value, store)


@pytest.mark.parametrize("lines", OF_SEND.values(), ids=OF_SEND)
def test_of_a_send(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, lines)
    uses: list[Callable[[], object]] = [
        lambda: send_journal.interrupted(store, SENDING),
        lambda: send_journal.resume(store, SENDING),
    ]
    for use in uses:
        with pytest.raises(ConfigError) as caught:
            use()
        check(caught.value, store)


@pytest.mark.parametrize("lines", OF_REPLAY.values(), ids=OF_REPLAY)
def test_of_a_replay(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, lines)
    uses: list[Callable[[], object]] = [
        lambda: replay_journal.load(store, OWNER, "planted"),
        lambda: replay_journal.interrupted(store, OWNER),
    ]
    for use in uses:
        with pytest.raises(ConfigError) as caught:
            use()
        check(caught.value, store)


def test_what_is_as_rtp_writes_it_is_read(store: JournalFiles) -> None:
    """The rows above differ from this in one value each. What is no JSON at all was cut off by a kill."""
    plant(store, [HEAD, "cut off {", PLANNED, {"step": "id", "n": 1, "id": "e1"}])
    assert send_journal.resume(store, SENDING).ids == {1: "e1"}
    assert replay_journal.load(store, OWNER, "planted").planned == [Planned("e1", 1, "a", "missing", "raw/x")]
    store.begin("another", f"{json.dumps(HEAD)}\n9{'9' * 5000}\n{json.dumps(TOOK)}\n".encode(), durable=False)
    assert list(dlq_journal.load(store, None).entries) == ["m1"]


HOLDERS = ["", "[]", "{}", '{"since": 1e400}', '{"since": true}', "[" * 5000, '{"what":1,"user":2,"pid":3,"since":"x"}']


@pytest.mark.parametrize(
    "holder",
    [*HOLDERS, *(json.dumps({"what": "deploy", "user": "ann", "pid": 1, "since": s}) for s in (HUGE, 10**30, -1, "x"))],
    ids=range(len(HOLDERS) + 4),
)
def test_a_lock_whose_holder_cannot_be_read_is_another_rtp_s(tmp_path: Path, holder: str) -> None:
    with lock.held(tmp_path / ".rtp", "dev", "deploy"):
        (tmp_path / ".rtp" / "deploy-dev.lock").write_text(holder)
        with (
            pytest.raises(RtpError, match="dev is being changed by another rtp"),
            lock.held(tmp_path / ".rtp", "dev", "destroy"),
        ):
            pass
