"""Journals that another program wrote or that are damaged.

A command that names one gets a clear error, and nothing is changed. One that looks for earlier runs skips them, says
which and why, and goes on with the others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError, ConfigError, RtpError
from rtp.ops.access import lock
from rtp.ops.dlq import earlier_runs, runs, undo
from rtp.ops.dlq import journal as dlq_journal
from rtp.ops.dlq.target import Target
from rtp.ops.events import replay_journal, send_journal
from rtp.ops.events.planned import Planned
from rtp.ops.events.send_journal import Sending
from rtp.ops.journal_store import JournalFiles
from rtp.ops.triage import repaired
from rtp.text import times
from tests.unit.ops.fakes import OUTPUTS, TABLE, FakeAws

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.ops.journal_store import Document, JournalStore

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


def plant(store: JournalFiles, lines: list[Any], name: str = "planted") -> None:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    store.begin(name, text.encode() + b"\n", durable=False)


def target(store: JournalStore, warn: Callable[[str], None] = lambda _: None) -> Target:
    return Target(aws=FakeAws(), outputs=OUTPUTS, stack=OWNER[0], account=OWNER[1], journals=store, warn=warn)


def check(error: RtpError, store: JournalFiles) -> None:
    assert error.code == "unreadable-journal" and isinstance(error, ConfigError)
    assert store.where("planted") in error.message and "move it" in error.hint


@pytest.mark.parametrize("lines", OF_DLQ.values(), ids=OF_DLQ)
def test_a_redrive_that_is_named(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, lines)
    with pytest.raises(ConfigError) as caught:
        undo.load(target(store), "planted")
    check(caught.value, store)


@pytest.mark.parametrize("lines", OF_DLQ.values(), ids=OF_DLQ)
def test_the_newest_of_redrives(store: JournalFiles, lines: list[Any]) -> None:
    # Given an interrupted redrive, and after it a journal that rtp did not write / When earlier runs are looked for
    good = {**TOOK, "message_id": "good"}
    plant(store, [HEAD, good], "20260101T000000Z-redrive-aaaaaa")
    plant(store, lines)
    said = list[str]()
    latest = undo.load(target(store, said.append), None, is_asked=True)
    killed = earlier_runs.killed_redrives(target(store, said.append))
    # Then those with right journals are used, and nothing of the other one, which is named with the reason
    assert [run.run for run in (latest, *killed)] == ["20260101T000000Z-redrive-aaaaaa"] * 2
    assert all(list(run.entries) == ["good"] for run in (latest, *killed))
    assert len(said) == 2
    assert all(line.startswith(f"Skipped: {store.where('planted')} cannot be read: ") for line in said)


def test_an_older_run_is_not_undone_in_place_of_an_unreadable_one_unless_a_person_sees_its_name(
    store: JournalFiles,
) -> None:
    plant(store, [HEAD, TOOK], "20260101T000000Z-redrive-aaaaaa")
    plant(store, next(iter(OF_DLQ.values())))
    with pytest.raises(ConfigError) as caught:
        undo.load(target(store), None)
    assert caught.value.code == "unreadable-journal"
    assert "rtp dlq undo --run=20260101T000000Z-redrive-aaaaaa" in (caught.value.hint or "")


@pytest.mark.parametrize("lines", OF_DLQ.values(), ids=OF_DLQ)
def test_the_only_one_is_an_error_of_the_undo_and_not_of_a_redrive(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, lines)
    with pytest.raises(ConfigError) as caught:
        undo.load(target(store), None)
    check(caught.value, store)
    assert earlier_runs.killed_redrives(target(store)) == []


def test_a_run_of_another_stack_is_not_the_latest_one_of_this(store: JournalFiles) -> None:
    said = list[str]()
    plant(store, [HEAD, TOOK], "20260101T000000Z-redrive-aaaaaa")
    plant(store, [{**HEAD, "account": "444455556666"}, TOOK])
    assert undo.load(target(store, said.append), None, is_asked=True).run == "20260101T000000Z-redrive-aaaaaa"
    assert said == [f"Skipped: planted ran on shop-dev in account 444455556666, not on shop-dev in {OWNER[1]}."]


def test_what_is_no_file_or_has_no_head_is_skipped_too(store: JournalFiles, tmp_path: Path) -> None:
    plant(store, [HEAD, TOOK], "20260101T000000Z-redrive-aaaaaa")
    plant(store, ["cut off {"])
    (tmp_path / ".rtp" / "x" / "dev" / "000009-folder.jsonl").mkdir()
    said = list[str]()
    assert undo.load(target(store, said.append), None, is_asked=True).run == "20260101T000000Z-redrive-aaaaaa"
    assert len(earlier_runs.killed_redrives(target(store, said.append))) == 1
    assert [line.split(".jsonl ")[1] for line in said] == [
        "cannot be read: is neither a file nor a folder.",
        "is not the journal of a redrive or purge.",
        "cannot be read: is neither a file nor a folder.",
    ]


class Closed(JournalFiles):
    """Of one journal AWS says that this identity may not read it: it is encrypted by a key of somebody else."""

    def head(self, run: str) -> Document | None:
        if run == "planted":
            raise AwsError(
                "s3 GetObject: not authorized to perform kms:Decrypt", code=self.code, service_code=self.service_code
            )
        return super().head(run)

    code: str | None = "access-denied"
    service_code = ""


@pytest.mark.parametrize("code", ["InvalidRequest", "KMS.DisabledException", "KMS.KMSInvalidStateException"])
def test_an_object_whose_key_is_gone_is_skipped(tmp_path: Path, code: str) -> None:
    """The key of a stack that was deleted, for one; or a key that whoever wrote the object has kept to himself."""
    store, said = Closed(tmp_path / ".rtp" / "x" / "dev"), list[str]()
    store.code, store.service_code = None, code
    plant(store, [HEAD, TOOK], "20260101T000000Z-redrive-aaaaaa")
    plant(store, [HEAD, TOOK])
    assert len(earlier_runs.killed_redrives(target(store, said.append))) == len(said) == 1
    listed = runs.listed(runs.Stores(store, JournalFiles(tmp_path / ".rtp" / "replay" / "dev")), OWNER, limit=9)
    assert (len(listed.runs), listed.unreadable) == (1, ["planted"])


def test_an_object_that_cannot_be_decrypted_is_skipped_and_a_failure_of_aws_is_not(tmp_path: Path) -> None:
    store, said = Closed(tmp_path / ".rtp" / "x" / "dev"), list[str]()
    plant(store, [HEAD, TOOK], "20260101T000000Z-redrive-aaaaaa")
    plant(store, [HEAD, TOOK])
    assert undo.load(target(store, said.append), None, is_asked=True).run == "20260101T000000Z-redrive-aaaaaa"
    assert said == [
        f"Skipped: {store.where('planted')} cannot be read: s3 GetObject: not authorized to perform kms:Decrypt"
    ]
    store.code = "throttled"
    for use in (lambda: undo.load(target(store), None), lambda: earlier_runs.killed_redrives(target(store))):
        with pytest.raises(AwsError):
            use()


@pytest.mark.parametrize("lines", OF_DLQ.values(), ids=OF_DLQ)
def test_the_newest_run_to_follow_or_to_stop(store: JournalFiles, tmp_path: Path, lines: list[Any]) -> None:
    plant(store, [HEAD, TOOK], "20260101T000000Z-redrive-aaaaaa")
    plant(store, lines, "20990101T000000Z-redrive-bbbbbb")
    said = list[str]()
    stores = runs.Stores(store, JournalFiles(tmp_path / ".rtp" / "replay" / "dev"))
    found = runs.find(stores, OWNER, None, warn=said.append)
    if found.run.endswith("bbbbbb"):  # only what comes after its head is wrong, and that is not read here
        assert said == []
    else:
        assert found.run.endswith("aaaaaa")


@pytest.mark.parametrize("lines", OF_DLQ.values(), ids=OF_DLQ)
def test_the_report_of_an_incident(store: JournalFiles, tmp_path: Path, lines: list[Any]) -> None:
    # Given a redrive that repaired an event, and a journal that rtp did not write / When an incident is reported
    aws = FakeAws()
    failed = {"n": {"N": "1"}, "at": {"N": "5"}, "error": {"M": {"type": {"S": "KeyError"}}}}
    item = {"id": {"S": "e1"}, "timestamp": {"N": "1"}, "type": {"S": "a"}, "status": {"S": "processed"}}
    aws.items["e1", "1"] = {**item, "attempts": {"L": [{"M": failed}]}}
    plant(store, [HEAD, {**TOOK, "group": "4f9a1c22"}], "20260101T000000Z-redrive-aaaaaa")
    plant(store, lines, "20990101T000000Z-redrive-bbbbbb")
    stores = runs.Stores(store, JournalFiles(tmp_path / ".rtp" / "replay" / "dev"))
    found = repaired.read(aws, TABLE, stores, OWNER, since=HEAD["started"])
    # Then the event is in it, and the other journal is named with the reason
    assert [(each.group, each.failure.id, each.failure.status) for each in found.seen] == [
        ("4f9a1c22", "e1", "processed")
    ]
    (why,) = found.skipped
    assert why.startswith(f"{store.where('20990101T000000Z-redrive-bbbbbb')} cannot be read: ")


@pytest.mark.parametrize("lines", OF_SEND.values(), ids=OF_SEND)
def test_of_a_send(store: JournalFiles, lines: list[Any]) -> None:
    # Given one journal, which cannot be read / When a send looks for an earlier one / Then that is skipped
    plant(store, lines)
    said = list[str]()
    assert send_journal.interrupted(store, SENDING, warn=said.append) is None
    assert len(said) == 1 and store.where("planted") in said[0]
    # But --resume cannot know what was sent
    with pytest.raises(ConfigError) as caught:
        send_journal.resume(store, SENDING)
    check(caught.value, store)


@pytest.mark.parametrize("lines", OF_SEND.values(), ids=OF_SEND)
def test_the_newest_of_sends(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, [HEAD, {"step": "id", "n": 1, "id": "good"}], "20260101T000000Z-send-aaaaaa")
    plant(store, lines)
    for found in (send_journal.interrupted(store, SENDING), send_journal.resume(store, SENDING)):
        assert found is not None and found.ids == {1: "good"}


@pytest.mark.parametrize("lines", OF_REPLAY.values(), ids=OF_REPLAY)
def test_of_a_replay(store: JournalFiles, lines: list[Any]) -> None:
    plant(store, [HEAD, PLANNED], "20260101T000000Z-replay-aaaaaa")
    plant(store, lines)
    with pytest.raises(ConfigError) as caught:
        replay_journal.load(store, OWNER, "planted")
    check(caught.value, store)
    said = list[str]()
    found = replay_journal.interrupted(store, OWNER, warn=said.append)
    assert found is not None and found.run.endswith("aaaaaa")
    assert len(said) == 1 and store.where("planted") in said[0]


def test_what_is_as_rtp_writes_it_is_read(store: JournalFiles) -> None:
    """The rows above differ from this in one value each. What is no JSON at all was cut off by a kill."""
    plant(store, [HEAD, "cut off {", PLANNED, {"step": "id", "n": 1, "id": "e1"}])
    assert send_journal.resume(store, SENDING).ids == {1: "e1"}
    assert replay_journal.load(store, OWNER, "planted").planned == [Planned("e1", 1, "a", "missing", "raw/x")]
    store.begin("another", f"{json.dumps(HEAD)}\n9{'9' * 5000}\n{json.dumps(TOOK)}\n".encode(), durable=False)
    assert list(dlq_journal.load(store, "another").entries) == ["m1"]


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
