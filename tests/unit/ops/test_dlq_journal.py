"""The journal of a redrive or a purge: what it records, when, and what is read from it."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws.queues import Message, attribute
from rtp.errors import ConfigError, NotFoundError
from rtp.ops.causes import Cause
from rtp.ops.dlq import earlier_runs, journal, undo
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.target import Target
from rtp.ops.run_marks import Operator
from rtp.runtime import wire
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
    found = journal.load(store, store.runs()[-1])
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
    assert [entry.restored for entry in journal.load(store, store.runs()[-1]).entries.values()] == [False] * 3
    restoring.about_to(entries[1:2], 90)
    restoring.flush()
    restoring.done(entries[1:2])
    restoring.flush()
    restoring.flush()

    assert store.writes == [("append", True)] * 3
    again = journal.load(store, store.runs()[-1]).entries.values()
    assert [entry.restored for entry in again] == [True, True, False]
    assert [entry.restoring_since for entry in again] == [70, 70, 0]  # the first time counts


def test_the_latest_run_is_read_unless_another_is_named() -> None:
    store = Journals()
    runs = []
    for what in ("purge", "redrive"):
        with journal.Writer(target(store), what) as writer:
            writer.taken([message(0)])
        runs.append(writer.run)
    assert [undo.load(target(store), run).what for run in (None, *runs)] == ["redrive", "purge", "redrive"]
    with pytest.raises(NotFoundError, match=r"no run none in memory/\."):
        journal.load(store, "none")
    with pytest.raises(NotFoundError, match=r"no redrive or purge to undo in memory/\."):
        undo.load(target(Journals()), None)
    store.journals["half"] = b'{"st'
    with pytest.raises(NotFoundError, match="memory/half is not the journal of a run"):
        journal.load(store, store.runs()[-1])


def test_steps_of_a_message_that_was_not_taken_are_nothing() -> None:
    store = Journals()
    with journal.Writer(target(store), "redrive") as writer:
        writer.taken([message(0)])
        writer.sent({"m9": "new"})
    assert list(journal.load(store, store.runs()[-1]).entries) == ["m0"]


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
    (found,) = earlier_runs.killed_redrives(target(store))
    assert found.run == run
    assert {name: entry.sent_id for name, entry in found.entries.items()} == {"m0": "new-0", "m2": ""}
    # And what an undo restored is not among them
    _, restoring = restored(store, run)
    restoring.done([found.entries["m2"]])
    restoring.flush()
    (found,) = earlier_runs.killed_redrives(target(store))
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
    assert earlier_runs.killed_redrives(target(store)) == []
    # Then those after them all the same
    run = killed_run(store, age_ms=12 * HOUR_MS - 60_000)
    assert [found.run for found in earlier_runs.killed_redrives(target(store))] == [run]


def test_only_the_latest_runs_are_read() -> None:
    store = Journals()
    runs = [killed_run(store) for _ in range(21)]
    assert [found.run for found in earlier_runs.killed_redrives(target(store))] == runs[1:]


def test_what_was_sent_before_the_queues_went_back_to_an_earlier_save_is_not_looked_for() -> None:
    store = Journals()
    killed_run(store)
    (found,) = earlier_runs.killed_redrives(target(store))
    assert earlier_runs.killed_redrives(target(store, restored_ms=found.started)) == []
    assert len(earlier_runs.killed_redrives(target(store, restored_ms=found.started - 1))) == 1


def marks(store: MemoryJournals, run: str) -> dict[str, Any]:
    return {name: json.loads(content) for name, content in store.documents.get(run, {}).items()}


@pytest.mark.parametrize(("what", "done"), [("redrive", 3), ("purge", 2)])
def test_a_run_says_how_far_it_is_and_at_its_end_how_it_ended(what: str, done: int) -> None:
    # Given a run that has sent three messages, one of them twice, and deleted two
    store = Journals()
    with journal.Writer(target(store), what) as writer:
        assert writer.position() is None
        writer.taken([message(n) for n in range(4)])
        assert writer.position() == (writer.run, 1, 0)
        writer.sent({"m0": "n0", "m1": "n1", "m2": "n2"})
        writer.sent({"m1": "n3"})
        writer.deleted(iter(["m0", "m1"]))
        assert writer.position() == (writer.run, 1, done)
        writer.result = {"state": "ended", "failed": 1}
        assert marks(store, writer.run) == {}
    assert marks(store, writer.run) == {"1-end": {"done": done, "state": "ended", "failed": 1}}


@pytest.mark.parametrize(("error", "expected"), [(KeyError, {"1-failed": {"done": 1}}), (KeyboardInterrupt, {})])
def test_a_run_that_fails_says_so_and_an_interrupted_one_says_nothing(
    error: type[BaseException], expected: dict[str, Any]
) -> None:
    store = Journals()
    with pytest.raises(error), journal.Writer(target(store), "redrive") as writer:
        writer.taken([message(0)])
        writer.sent({"m0": "n0"})
        raise error
    assert marks(store, writer.run) == expected


def test_a_continued_run_keeps_its_name_and_its_count_and_takes_what_is_left() -> None:
    store, who = Journals(), Operator("arn", "ann", "desk")
    run = killed_run(store)
    before = list(store.writes)
    continued = journal.Continued(run, 2, frozenset({"m0", "m1"}))
    with journal.Writer(target(store, who=who), "redrive", resumed=continued) as writer:
        assert (writer.run, writer.position()) == (run, None)
        writer.taken([message(2)])
        assert marks(store, run)["2-begin"] == {"identity": "arn", "user": "ann", "host": "desk"}
        assert not journal.load(store, run).ended
        writer.sent({"m2": "new-2"})
        assert writer.position() == (run, 2, 3)
    assert marks(store, run)["2-end"] == {"done": 3}
    assert {name for name, _ in store.writes[len(before) :]} == {"append"}
    found = journal.load(store, run)
    assert found.ended and [entry.sent_id for entry in found.entries.values()] == ["new-0", "new-1", "new-2"]
    assert [line["step"] for line in store.lines()].count("resumed") == 1


def test_a_continuation_that_finds_nothing_left_ends_the_run_and_one_that_fails_at_once_leaves_it() -> None:
    store = Journals()
    run = killed_run(store)
    continued = journal.Continued(run, 3, frozenset({"m0"}))
    with pytest.raises(KeyError), journal.Writer(target(store), "redrive", resumed=continued):
        raise KeyError
    assert marks(store, run) == {} and not journal.load(store, run).ended
    with journal.Writer(target(store), "redrive", resumed=continued):
        pass
    assert set(marks(store, run)) == {"3-begin", "3-end"} and marks(store, run)["3-end"] == {"done": 1}
    assert journal.load(store, run).ended


@pytest.mark.parametrize("options", [None, {}, {"every": True}])
def test_a_run_keeps_the_options_by_which_it_selected_messages(options: dict[str, Any] | None) -> None:
    store = Journals()
    with journal.Writer(target(store), "redrive", options=options) as writer:
        writer.taken([message(0)])
    assert journal.load(store, store.runs()[-1]).options == options
    head = journal.load_head(store, writer.run)
    assert head is not None and (head.options, head.entries, head.what) == (options, {}, "redrive")
    assert journal.load_head(store, "none") is None


def test_what_was_expected_of_an_event_is_read_again() -> None:
    store, one = Journals(), replace(message(0), runs=4, error=Cause("E", "m"))
    with journal.Writer(target(store), "redrive") as writer:
        writer.taken([one, message(1)], {"m0": "digest-0"})
    first, second = journal.load(store, store.runs()[-1]).entries.values()
    assert (first.digest, first.runs, first.group) == ("digest-0", 4, one.group.id)
    assert (second.digest, second.runs) == ("", 0)


def test_a_journal_of_an_earlier_version_has_less() -> None:
    # Given a journal without the attributes that came later, with an event of the earliest time and one of the latest
    store = MemoryJournals()
    head = {"step": "head", "what": "redrive", **OWNER}
    took = {"step": "took", "id": "e", "body": "{}", "attributes": {}}
    lines = [
        head,
        {**took, "message_id": "m1", "timestamp": -1},
        {**took, "message_id": "m2", "timestamp": wire.MAX_TIMESTAMP},
        {"message_id": "m1"},
        {**took, "message_id": "m1", "timestamp": 5},
    ]
    store.journals["run"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    found = journal.load(store, "run")
    assert (found.started, found.options, found.ended) == (0, None, False)
    first, second = found.entries.values()
    assert (first.identity.timestamp, second.identity.timestamp) == (-1, wire.MAX_TIMESTAMP)
    assert (first.outgoing.trace_header, first.digest, first.runs, first.group) == ("", "", 0, "")
    assert not (first.restored or first.deleted or first.sent_id)
    for timestamp in (-2, wire.MAX_TIMESTAMP + 1):
        store.journals["run"] = b"".join(
            json.dumps(line).encode() + b"\n" for line in (head, {**took, "message_id": "m1", "timestamp": timestamp})
        )
        with pytest.raises(ConfigError):
            journal.load(store, "run")


@pytest.mark.parametrize("binary", ["ä", "AA=", "AA==\n", "A A="])
def test_a_binary_attribute_that_is_not_base64_is_refused(binary: str) -> None:
    store = MemoryJournals()
    took = {
        "step": "took", "message_id": "m1", "id": "e", "timestamp": 1, "body": "{}",
        "attributes": {"b": {"DataType": "Binary", "BinaryValue": binary}},
    }  # fmt: skip
    lines = [{"step": "head", "what": "redrive", **OWNER}, took]
    store.journals["run"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with pytest.raises(ConfigError, match="not base64"):
        journal.load(store, "run")


def test_a_journal_of_something_else_is_refused_or_none() -> None:
    store = MemoryJournals()
    store.journals["run"] = json.dumps({"step": "head", "what": "replay", **OWNER}).encode() + b"\n"
    with pytest.raises(ConfigError, match="neither of a redrive nor of a purge"):
        journal.load(store, "run")
    store.journals["run"] = b'{"what": "purge"}\n'
    with pytest.raises(NotFoundError):
        journal.load(store, "run")
