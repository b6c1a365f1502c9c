"""A canary before the rest of a redrive, one operator at a time, and events edited before they are redriven."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import leases
from rtp.aws.leases import Holder
from rtp.commands.render import dlq as render
from rtp.errors import ConfigError, RefusedError, UsageError
from rtp.ops.access import lease
from rtp.ops.causes import Cause
from rtp.ops.dlq import edit
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.messages import DlqMessage
from rtp.ops.dlq.outcomes import Pending
from rtp.ops.dlq.redrive import RedriveRequest, Report, redrive
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.ops.work.pool import Stop
from rtp.text import times
from tests.unit.ops.fakes import DLQ, OUTPUTS, QUEUE, TABLE, FakeAws, event, result
from tests.unit.ops.test_dlq_messages import message

if TYPE_CHECKING:
    from collections.abc import Callable


def redriven(aws: FakeAws, place: Path, *, timeout_s: float = 1.0, **options: Any) -> Report:
    target = Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=JournalFiles(place))
    request = RedriveRequest(filters=Filters(), timeout_s=timeout_s, **options)
    return result(redrive(target, request, stop=Stop(), clock=aws.clock))


def pipeline(aws: FakeAws, outcome: Callable[[int], str], error_of: Callable[[int], str] = lambda _: "again") -> None:
    """A worker that takes each message as soon as it is sent. error_of: the message of a dead event's error."""

    def work(operation: str, when: str) -> None:
        if operation != "send_message_batch" or when != "after":
            return
        for sent in aws.queues[QUEUE]:
            found = json.loads(sent.body)
            status = outcome(found["timestamp"])
            error = {"error": {"type": "E", "message": error_of(found["timestamp"])}} if status == "dead" else {}
            values = {"type": found["type"], "attempt_count": 4, **error}
            aws.record(found["id"], found["timestamp"], status=status, **values)
        aws.queues[QUEUE].clear()

    aws.fault = work


def dead(count: int) -> FakeAws:
    aws = FakeAws()
    for n in range(count):
        aws.put(DLQ, event(n))
        aws.record(f"e{n}", n, status="dead", attempt_count=3, error={"type": "E", "message": "before"})
    return aws


def test_the_rest_follows_a_canary_that_is_processed(tmp_path: Path) -> None:
    aws = dead(30)
    pipeline(aws, lambda _: "processed")

    done = redriven(aws, tmp_path, wait=True)

    assert (done.redriven, done.outcomes, done.pending, done.has_failures) == (30, {"processed": 30}, 0, False)
    assert done.canary is not None
    assert done.canary.status == "processed"
    assert aws.bodies(DLQ) == []


@pytest.mark.parametrize(("limit", "has_canary"), [(1, False), (2, True), (7, True)])
def test_the_canary_counts_against_the_limit(tmp_path: Path, limit: int, has_canary: bool) -> None:
    aws = dead(30)
    pipeline(aws, lambda _: "processed")

    done = redriven(aws, tmp_path, limit=limit)

    assert (done.redriven, len(aws.bodies(DLQ))) == (limit, 30 - limit)
    assert (done.canary is not None) is has_canary
    assert done.missing == []


def test_the_rest_stays_when_the_canary_dies_again(tmp_path: Path) -> None:
    aws = dead(30)
    pipeline(aws, lambda _: "dead")

    done = redriven(aws, tmp_path)

    assert (done.redriven, done.outcomes, done.has_failures) == (1, {"dead": 1}, True)
    assert done.stopped == "the canary died again: E: again"
    assert aws.visible(DLQ) == len(aws.bodies(DLQ)) == 29


def test_the_rest_stays_when_the_canary_has_no_outcome(tmp_path: Path) -> None:
    aws = dead(5)  # the record says dead from before: that is no news

    done = redriven(aws, tmp_path, timeout_s=0.1)

    assert (done.redriven, done.pending) == (1, 1)
    assert "no outcome within" in done.stopped
    assert aws.visible(DLQ) == 4


def test_the_canarys_record_from_before_is_reported_as_such(tmp_path: Path) -> None:
    # Given an event that died before, whose next attempt does not come in time
    aws = dead(2)
    target = Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=JournalFiles(tmp_path))
    request = RedriveRequest(filters=Filters(), timeout_s=0.1)
    # When it is redriven / Then no step shows the error of then as one of now
    pending = [step for step in redrive(target, request, stop=Stop(), clock=aws.clock) if isinstance(step, Pending)]
    assert pending and all(step.is_before and step.is_error_old for step in pending)


def test_without_a_canary_all_are_redriven_and_dead_events_are_reported(tmp_path: Path) -> None:
    aws = dead(10)
    pipeline(aws, lambda n: "dead" if n % 2 else "processed")

    done = redriven(aws, tmp_path, canary=False, wait=True)

    assert (done.redriven, done.outcomes, done.has_failures) == (10, {"processed": 5, "dead": 5}, True)
    assert done.canary is None


def test_events_that_die_of_something_new_are_counted_apart(tmp_path: Path) -> None:
    aws = dead(10)
    pipeline(aws, lambda n: "dead" if n % 2 else "processed", lambda n: "before" if n < 6 else "new")

    done = redriven(aws, tmp_path, canary=False, wait=True)

    assert (done.outcomes, len(done.dead), done.dead_of_another_cause) == ({"processed": 5, "dead": 5}, 5, 2)
    shown = "".join(part.text for part in render.redrive(done)[1].parts)  # type: ignore[union-attr]
    assert shown == "outcomes: 3 dead again  2 dead of another cause  5 processed"


def test_a_second_operator_is_refused_and_sees_who_holds_the_lease() -> None:
    aws = FakeAws()

    with lease.held(aws, TABLE, "dlq redrive", Stop()):
        assert (found := lease.current(aws, TABLE)) is not None
        assert "dlq redrive" in lease.described(found)
        with pytest.raises(RefusedError, match=f"process {os.getpid()}") as caught, lease.held(aws, TABLE, "x", Stop()):
            pass

    assert caught.value.code == "locked"
    assert lease.current(aws, TABLE) is None
    with lease.held(aws, TABLE, "dlq redrive", Stop()):
        pass


def test_a_lost_lease_stops_the_work_and_is_an_error_at_its_end() -> None:
    # Given an operator whose lease another one has taken
    aws, stop = FakeAws(), Stop()
    with pytest.raises(RefusedError, match="`rtp dlq redrive` stopped before its end") as caught:  # noqa: SIM117
        with lease.held(aws, TABLE, "dlq redrive", stop, renew_s=0.01):
            now = times.now_ms()
            other = Holder("t2", "bob", "desk", 7, "dlq purge", now, now + 30_000)
            assert leases.take(aws, TABLE, lease.NAME, other, instead_of=leases.read(aws, TABLE, lease.NAME))
            # When it is renewed / Then the work is told to end
            assert stop.drain.wait(10)
    # Then the error names who has it now
    assert caught.value.code == "lease-lost"
    assert "`rtp dlq purge` of " in caught.value.message


def test_the_lease_of_a_killed_process_of_this_machine_is_taken() -> None:
    aws = FakeAws()
    killed = lease.held(aws, TABLE, "dlq redrive", Stop())
    killed.__enter__()
    key = leases.key(lease.NAME)
    aws.items[key["id"]["S"], key["timestamp"]["N"]]["started"] = {"S": "another time"}

    with lease.held(aws, TABLE, "dlq purge", Stop()):
        assert (found := lease.current(aws, TABLE)) is not None
        assert found.what == "dlq purge"


def dlq_messages() -> list[DlqMessage]:
    return [
        dlq.read(message('{"type": "a", "data": {"n": 1.10}}', rtp_request_id="first")),
        DlqMessage("m2", "e2", "a", event(2), 1, "", Cause("", ""), "", *(_inner())),
    ]


def _inner() -> tuple[Any, ...]:
    other = dlq.read(message(event(2)))
    return (2, event(2), "queue", other.fallback, other.message)


def edited(change: Callable[[dict[str, Any]], object], messages: list[DlqMessage] | None = None) -> dict[str, str]:
    def editor(argv: list[str]) -> int:
        assert argv[0] == "ed"
        file = Path(argv[-1])
        assert file.stat().st_mode & 0o777 == 0o600
        after = change(json.loads(file.read_text()))
        file.write_text(after if isinstance(after, str) else json.dumps(after))
        return 0

    edits = edit.edited(messages or dlq_messages(), environ={"EDITOR": "ed"}, call=editor)
    assert edits.end(0) == f"your edits are in {edits.file}" and edits.file.exists()
    assert edits.end(len(edits.texts)) == "" and not edits.file.exists()
    return edits.texts


def test_an_event_that_was_not_edited_keeps_its_text() -> None:
    def change(events: dict[str, Any]) -> object:
        events["m2"]["data"] = {"n": 9}
        return events

    assert edited(change)["m1"] == '{"type": "a", "data": {"n": 1.10}}'


def test_without_an_edit_nothing_is_redriven() -> None:
    with pytest.raises(RefusedError, match="No event was edited"):
        edited(lambda events: events)


def test_an_edit_cannot_change_the_identity_of_an_event() -> None:
    def renamed(events: dict[str, Any]) -> object:
        events["m2"]["id"] = "another"
        return events

    def moved(events: dict[str, Any]) -> object:
        events["m3"] = events.pop("m2")
        return events

    with pytest.raises(UsageError, match="would be another event"):
        edited(renamed)
    with pytest.raises(UsageError, match="m3 is not among the edited"):
        edited(moved)


def test_edited_events_are_sent_edited_and_deleted_ones_stay() -> None:
    def change(events: dict[str, Any]) -> object:
        events["m1"]["data"] = {"n": 2}
        del events["m2"]
        return events

    assert {k: json.loads(v) for k, v in edited(change).items()} == {"m1": {"type": "a", "data": {"n": 2}}}


@pytest.mark.parametrize("after", ["{", "[]", '{"m1": {"type": "a"}}', '{"m1": {"type": "", "data": {}}}'])
def test_an_edit_that_is_not_an_event_is_refused_and_its_file_stays(after: str) -> None:
    with pytest.raises(UsageError) as caught:
        edited(lambda _: after)

    file = Path(caught.value.hint.removeprefix("Your edits are in ").removesuffix("."))
    assert file.read_text() == after
    file.unlink()


TWICE = [
    '{"m1": {"type": "a", "data": {"n": 2}}, "m1": {"type": "a", "data": {"n": 3}}}',
    '{"m1": {"type": "a", "data": {"n": 2, "n": 3}}}',
]


@pytest.mark.parametrize("after", TWICE, ids=["message", "member"])
def test_an_edit_that_says_two_things_of_one_name_is_refused(after: str) -> None:
    with pytest.raises(UsageError, match="is in one object twice; nothing was changed") as caught:
        edited(lambda _: after)
    Path(caught.value.hint.removeprefix("Your edits are in ").removesuffix(".")).unlink()


def test_an_event_with_a_name_twice_is_edited_as_its_text() -> None:
    twice = '{"type": "a", "data": {"n": 1, "n": 2}}'

    def see(events: dict[str, Any]) -> object:
        assert events == {"m1": twice}
        return {"m1": '{"type": "a", "data": {"n": 3}}'}

    assert edited(see, [dlq.read(message(twice, rtp_request_id="first"))]) == {"m1": '{"type": "a", "data": {"n": 3}}'}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_an_editor_that_fails_or_is_missing_changes_nothing(scratch: Path) -> None:
    with pytest.raises(RefusedError, match="nothing was changed"):
        edit.edited(dlq_messages(), environ={"EDITOR": f"{sys.executable} -c exit(3)"})
    with pytest.raises(ConfigError, match="cannot be run"):
        edit.edited(dlq_messages(), environ={"VISUAL": "/no/such/editor"})
    with pytest.raises(ConfigError, match="No closing quotation"):
        edit.edited(dlq_messages(), environ={"EDITOR": 'vi "x'})

    def none_named(argv: list[str]) -> int:
        assert argv[0] == "vi"
        Path(argv[-1]).unlink()
        return 0

    with pytest.raises(RefusedError, match="nothing was changed"):
        edit.edited(dlq_messages(), environ={"VISUAL": "", "EDITOR": "  "}, call=none_named)
    assert [*scratch.iterdir()] == []


def test_an_editor_that_fails_after_it_saved_leaves_the_edits(scratch: Path) -> None:
    def saved(argv: list[str]) -> int:
        Path(argv[-1]).write_text("edited")
        return 1

    def removed(argv: list[str]) -> int:
        Path(argv[-1]).unlink()
        return 1

    with pytest.raises(RefusedError, match="exit code 1") as caught:
        edit.edited(dlq_messages(), environ={}, call=saved)
    (file,) = scratch.iterdir()
    assert caught.value.hint == f"Your edits are in {file}." and file.read_text() == "edited"
    file.unlink()
    with pytest.raises(RefusedError, match="exit code 1"):
        edit.edited(dlq_messages(), environ={}, call=removed)
    assert [*scratch.iterdir()] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"m1": "ä"}'.encode("latin-1"), "not UTF-8 text"),
        ('{"m1": {}}'.encode("utf-16"), "not UTF-8 text"),
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b'{"m1": ' * 3000 + b"1" + b"}" * 3000, "not JSON"),
        (b'{"m1": {"type": "a", "data": ' + b'{"a":' * 900 + b"1" + b"}" * 902, "nested|not JSON|not an event"),
        (b'{"m1": {"type": "a", "data": {"n": NaN}}}', "not JSON|not an event"),
        (b'{"m1": {"type": "a", "data": {"n": 1e9999}}}', "not an event"),
        (b'{"m1": {"type": "a", "data": {"n": ' + b"9" * 5000 + b"}}}", "not JSON"),
    ],
    ids=["Latin-1", "UTF-16", "empty", "binary", "deep", "nested", "NaN", "no float", "digits"],
)
def test_what_an_editor_may_leave_is_named_and_kept(scratch: Path, content: bytes, message: str) -> None:
    def editor(argv: list[str]) -> int:
        Path(argv[-1]).write_bytes(content)
        return 0

    with pytest.raises(UsageError, match=message) as caught:
        edit.edited(dlq_messages(), environ={}, call=editor)
    (file,) = scratch.iterdir()
    assert str(file) in caught.value.hint and file.read_bytes() == content


def test_a_pipe_in_place_of_the_file_holds_nobody_up(scratch: Path) -> None:
    def editor(argv: list[str]) -> int:
        Path(argv[-1]).unlink()
        os.mkfifo(argv[-1])
        return 0

    with pytest.raises(RefusedError, match="cannot be read"):
        edit.edited(dlq_messages(), environ={}, call=editor)
    assert len([*scratch.iterdir()]) == 1


def test_without_a_place_for_the_file_nothing_is_changed(scratch: Path) -> None:
    scratch.rmdir()
    with pytest.raises(ConfigError, match="No file can be written for the editor"):
        edit.edited(dlq_messages(), environ={}, call=lambda _: 0)


def test_a_number_that_becomes_true_is_an_edit() -> None:
    def editor(argv: list[str]) -> int:
        file = Path(argv[-1])
        file.write_text(file.read_text().replace('"n": 1', '"n": true'))
        return 0

    one = replace(dlq_messages()[1], event=event(2).replace('"n": 2', '"n": 1'))
    edits = edit.edited([one], environ={}, call=editor)
    assert '"n": true' in edits.texts["m2"] and edits.end(1) == ""


def test_an_event_that_is_nested_too_deeply_to_be_written_again_is_edited_as_text() -> None:
    deep = '{"type": "a", "data": {"a":' + "[" * 600 + "]" * 600 + "}}"
    (deep_message, _) = dlq_messages()
    deep_message = replace(deep_message, event=deep)
    seen: list[str] = []

    def editor(argv: list[str]) -> int:
        seen.append(Path(argv[-1]).read_text())
        return 0

    with pytest.raises(RefusedError, match="No event was edited"):
        edit.edited([deep_message], environ={}, call=editor)
    assert json.loads(seen[0])[deep_message.message_id] == deep
