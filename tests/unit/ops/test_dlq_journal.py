"""The journal of a redrive or a purge: what it records, when, and what is read from it."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws.queues import Message, attribute
from rtp.errors import NotFoundError
from rtp.ops.dlq import journal
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.target import Target
from rtp.runtime.event import Identity
from rtp.text.times import now_ms
from tests.unit.ops.fakes import OUTPUTS, FakeAws, MemoryJournals, event

if TYPE_CHECKING:
    from rtp.ops.dlq.messages import DlqMessage

HOUR_MS = 3_600_000
OWNER = {"stack": "shop-dev", "account": "1"}


@dataclass
class Journals(MemoryJournals):
    """Remembers of each write whether it began a journal, and whether it had to outlast a crash."""

    writes: list[tuple[str, bool]] = field(default_factory=list)

    def begin(self, run: str, batch: bytes, *, durable: bool) -> None:
        assert run not in self.journals
        self.writes.append(("begin", durable))
        super().append(run, batch, durable=durable)

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:
        self.writes.append(("append", durable))
        super().append(run, batch, durable=durable)

    def lines(self) -> list[dict[str, Any]]:
        (content,) = self.journals.values()
        return [json.loads(line) for line in content.split(b"\n") if line]


def target(store: MemoryJournals, **options: Any) -> Target:
    return Target(aws=FakeAws(), outputs=OUTPUTS, journals=store, **{**OWNER, **options})


def message(number: int, **attributes: Any) -> DlqMessage:
    found = {"mine": attribute("x"), **attributes}
    return dlq.read(Message(f"m{number}", f"r{number}", event(number), found, 5, 1, f"Root=1-{number}"))


def test_a_journal_has_each_step_in_order_and_a_head() -> None:
    store, began = Journals(), now_ms()
    with journal.Writer(target(store), "redrive") as writer:
        assert store.journals == {}
        writer.taken([message(0), message(1)])
        writer.sent({"m0": "new-0"})
        writer.deleted(["m0"])
        writer.deleted([])
        writer.sent({"m1": "new-1"})
        writer.deleted(["m1"])
        assert writer.where == f"memory/{writer.run}"
    head, *steps = store.lines()
    assert began <= head.pop("started") <= now_ms()
    assert {**head, "step": "head", "what": "redrive", **OWNER} == head
    assert [(step["step"], step.get("message_id")) for step in steps] == [
        ("took", "m0"), ("took", "m1"), ("sent", "m0"), ("deleted", "m0"), ("sent", "m1"), ("deleted", "m1"),
        ("ended", None),
    ]  # fmt: skip
    assert re.fullmatch(r"\d{8}T\d{6}Z-redrive-[0-9a-f]{6}", writer.run)
    assert store.writes == [("begin", False), *[("append", False)] * 3]


def test_what_is_read_is_what_is_needed_to_send_each_message_again() -> None:
    store = Journals()
    binary = {"DataType": "Binary", "BinaryValue": bytes(range(256))}
    with journal.Writer(target(store), "purge", durable=True) as writer:
        writer.taken([message(0, b=binary), message(1)])
        writer.deleted(["m0"])
    found = journal.load(store, writer.run)
    assert (found.run, found.what, found.stack, found.account) == (writer.run, "purge", "shop-dev", "1")
    assert found.ended and 0 < found.started <= now_ms()
    first, second = found.entries.values()
    assert (first.message_id, first.identity, second.identity) == ("m0", Identity("e0", 0), Identity("e1", 1))
    assert first.outgoing.body == event(0)
    assert first.outgoing.attributes == {"mine": attribute("x"), "b": binary}
    assert first.outgoing.trace_header == "Root=1-0"
    assert (first.deleted, second.deleted, first.sent_id, first.restoring_since) == (True, False, "", 0)
    assert store.writes == [("begin", True), ("append", True)]


def test_a_run_that_takes_nothing_leaves_no_journal_and_one_that_fails_has_no_end() -> None:
    store = Journals()
    with journal.Writer(target(store), "redrive") as writer:
        writer.taken([])
    assert store.journals == {}
    with pytest.raises(KeyError), journal.Writer(target(store), "redrive") as writer:
        writer.taken([message(0)])
        writer.deleted(["m0"])
        raise KeyError
    found = journal.load(store, None)
    assert (found.run, found.ended) == (writer.run, False)
    assert found.entries["m0"].deleted  # although no batch followed


def restored(store: MemoryJournals, run: str) -> tuple[journal.Journal, journal.Restoring]:
    found = journal.load(store, run)
    return found, journal.Restoring(store, found)


def test_an_undo_records_what_it_is_about_to_send_at_once_and_what_is_done_with_the_next_batch() -> None:
    store = Journals()
    with journal.Writer(target(store), "purge") as writer:
        writer.taken([message(n) for n in range(3)])
    del store.writes[:]
    found, restoring = restored(store, writer.run)
    entries = list(found.entries.values())

    restoring.about_to([], 70)
    restoring.about_to(entries[:2], 70)
    assert store.lines()[-2:] == [{"step": "restoring", "message_id": f"m{n}", "since": 70} for n in range(2)]
    restoring.done(entries[:1])
    assert entries[0].restored and not entries[1].restored
    assert [entry.restored for entry in journal.load(store, None).entries.values()] == [False] * 3
    restoring.about_to(entries[1:2], 90)
    restoring.flush()
    restoring.done(entries[1:2])
    restoring.flush()
    restoring.flush()

    assert store.writes == [("append", True)] * 3
    again = journal.load(store, None).entries.values()
    assert [entry.restored for entry in again] == [True, True, False]
    assert [entry.restoring_since for entry in again] == [70, 70, 0]  # the first time counts


def test_the_latest_run_is_read_unless_another_is_named() -> None:
    store = Journals()
    runs = []
    for what in ("purge", "redrive"):
        with journal.Writer(target(store), what) as writer:
            writer.taken([message(0)])
        runs.append(writer.run)
    assert [journal.load(store, run).what for run in (None, *runs)] == ["redrive", "purge", "redrive"]
    with pytest.raises(NotFoundError, match=r"no run none in memory/\."):
        journal.load(store, "none")
    with pytest.raises(NotFoundError, match=r"no redrive or purge to undo in memory/\."):
        journal.load(Journals(), None)
    store.journals["half"] = b'{"st'
    with pytest.raises(NotFoundError, match="memory/half is not the journal of a run"):
        journal.load(store, None)


def test_steps_of_a_message_that_was_not_taken_are_nothing() -> None:
    store = Journals()
    with journal.Writer(target(store), "redrive") as writer:
        writer.taken([message(0)])
        writer.sent({"m9": "new"})
    assert list(journal.load(store, None).entries) == ["m0"]


class Killed(BaseException):
    """The process ends here."""


def killed_run(store: MemoryJournals, what: str = "redrive", age_ms: int = 0, **owner: str) -> str:
    """A run that was killed after it sent the first of its three messages, and deleted the second."""
    with contextlib.suppress(Killed), journal.Writer(target(store, **owner), what) as writer:
        writer.taken([message(n) for n in range(3)])
        writer.sent({"m0": "new-0", "m1": "new-1"})
        writer.deleted(["m1"])
        raise Killed
    lines = [json.loads(line) for line in store.journals[writer.run].split(b"\n") if line]
    lines[0]["started"] -= age_ms
    store.journals[writer.run] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return writer.run


def test_of_a_killed_redrive_the_messages_that_may_be_in_both_queues_are_found() -> None:
    store = Journals()
    run = killed_run(store)
    (found,) = journal.killed_redrives(target(store))
    assert found.run == run
    assert {name: entry.sent_id for name, entry in found.entries.items()} == {"m0": "new-0", "m2": ""}
    # And what an undo restored is not among them
    _, restoring = restored(store, run)
    restoring.done([found.entries["m2"]])
    restoring.flush()
    (found,) = journal.killed_redrives(target(store))
    assert list(found.entries) == ["m0"]


def test_other_runs_leave_nothing_in_both_queues() -> None:
    store = Journals()
    killed_run(store, "purge")
    killed_run(store, stack="shop-prod")
    killed_run(store, account="2")
    killed_run(store, age_ms=12 * HOUR_MS)
    with journal.Writer(target(store), "redrive") as writer:
        writer.taken([message(0)])
    store.journals["half"] = b'{"st'
    assert journal.killed_redrives(target(store)) == []
    # Then those after them all the same
    run = killed_run(store, age_ms=12 * HOUR_MS - 60_000)
    assert [found.run for found in journal.killed_redrives(target(store))] == [run]


def test_only_the_latest_runs_are_read() -> None:
    store = Journals()
    runs = [killed_run(store) for _ in range(21)]
    assert [found.run for found in journal.killed_redrives(target(store))] == runs[1:]


def test_what_was_sent_before_the_queues_went_back_to_an_earlier_save_is_not_looked_for() -> None:
    store = Journals()
    killed_run(store)
    (found,) = journal.killed_redrives(target(store))
    assert journal.killed_redrives(target(store, restored_ms=found.started)) == []
    assert len(journal.killed_redrives(target(store, restored_ms=found.started - 1))) == 1
