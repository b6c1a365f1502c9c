"""Which messages of a killed run are in the DLQ: still there, or sent there again by an undo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws.queues import Attributes, Outgoing, attribute
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.journal import Entry
from rtp.ops.dlq.located import Located
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.ops.work.pool import Stop
from rtp.runtime.event import Identity
from tests.unit.ops.fakes import DLQ, OUTPUTS, FakeAws, event

if TYPE_CHECKING:
    from pathlib import Path

SINCE = 1_700_000_000_000


def entry(number: int, *, attributes: Attributes | None = None, since: int = SINCE) -> Entry:
    outgoing = Outgoing(event(number), {"mine": attribute("x")} if attributes is None else attributes)
    return Entry(f"old-{number}", Identity(f"e{number}", number), outgoing, restoring_since=since)


def original(aws: FakeAws, one: Entry) -> None:
    """The message of an entry, never deleted."""
    aws.put(DLQ, one.outgoing.body)
    aws.queues[DLQ][-1].message_id = one.message_id


def copy(aws: FakeAws, one: Entry, *, sent_at: int = SINCE, body: str = "", **changed: Any) -> None:
    """A message with an entry's content and another id."""
    aws.put(DLQ, body or one.outgoing.body)
    message = aws.queues[DLQ][-1]
    message.attributes, message.sent_at = {**one.outgoing.attributes, **changed}, sent_at


def located(aws: FakeAws, place: Path, entries: list[Entry], *, limit: int = 50) -> Located:
    target = Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=JournalFiles(place))
    found = Located(entries)
    found.search(target, limit=limit, patience=Patience(20.0, clock=aws.clock), stop=Stop())
    return found


def test_a_message_is_still_there_or_there_again_or_absent(tmp_path: Path) -> None:
    aws, entries = FakeAws(), [entry(n) for n in range(3)]
    original(aws, entries[0])
    copy(aws, entries[1])

    found = located(aws, tmp_path, entries)

    assert (found.originals, found.copies) == ({"old-0"}, {"old-1"})
    assert [found.is_absent(one) for one in entries] == [False, False, True]


BINARY = {"b": {"DataType": "Binary", "BinaryValue": b"1"}}


@pytest.mark.parametrize(
    ("changed", "is_copy"),
    [
        ({}, True),
        ({"sent_at": SINCE + 1}, True),
        ({"sent_at": SINCE - 1}, False),  # before the undo: a message of somebody else
        ({"body": event(8)}, False),
        ({"mine": attribute("y")}, False),
        ({"more": attribute("x")}, False),
        ({"b": {"DataType": "Binary", "BinaryValue": b"2"}}, False),
        ({"b": {"DataType": "Binary.png", "BinaryValue": b"1"}}, True),
    ],
)
def test_a_copy_has_the_entrys_content_and_was_sent_since(
    tmp_path: Path, changed: dict[str, Any], is_copy: bool
) -> None:
    aws, one = FakeAws(), entry(1, attributes={"mine": attribute("x"), **BINARY})
    copy(aws, one, **changed)
    found = located(aws, tmp_path, [one])
    assert found.copies == ({"old-1"} if is_copy else set())
    assert found.is_absent(one) is not is_copy


def test_a_copy_is_recognised_by_the_text_that_was_sent_where_sqs_does_not_carry_its_characters(
    tmp_path: Path,
) -> None:
    aws, one = FakeAws(), entry(1)
    one = replace(one, outgoing=Outgoing('{"a": "\uffff"}', {}))
    copy(aws, one, body=r'{"a": "\uffff"}')
    assert located(aws, tmp_path, [one]).copies == {"old-1"}


def test_each_copy_stands_for_one_of_several_entries_with_the_same_content(tmp_path: Path) -> None:
    aws, entries = FakeAws(), [replace(entry(1), message_id=name) for name in ("a", "b", "c")]
    for _ in range(2):
        copy(aws, entries[0])
    found = located(aws, tmp_path, entries)
    assert (found.copies, found.is_absent(entries[2])) == ({"a", "b"}, True)


def test_an_entry_that_no_undo_was_about_to_send_has_no_copy(tmp_path: Path) -> None:
    aws, one = FakeAws(), entry(1, since=0)
    copy(aws, one)
    assert located(aws, tmp_path, [one]).copies == set()


def test_the_search_ends_with_the_last_entry_and_what_may_be_hidden_is_not_absent(tmp_path: Path) -> None:
    aws, entries = FakeAws(), [entry(1), entry(2)]
    original(aws, entries[0])
    copy(aws, entries[1])
    for n in range(40):
        aws.put(DLQ, event(50 + n))
    located(aws, tmp_path, entries)
    assert aws.calls["receive_message"] == 1
    # Given another entry, and a message that another receiver hides
    aws.queues[DLQ][-1].hidden_until = aws.now + 40_000
    began, missing = aws.now, entry(3)
    found = located(aws, tmp_path, [*entries, missing], limit=100)
    assert not found.is_absent(missing)
    assert 20 <= aws.now - began < 30
    # Then one that was not looked for is known to be absent
    assert found.is_absent(entry(9))


def test_before_the_search_nothing_is_known_to_be_absent_and_a_stopped_one_does_not_say_it(tmp_path: Path) -> None:
    one = entry(1)
    assert not Located([one]).is_absent(one)
    assert Located([]).is_absent(one)
    stop = Stop()
    stop.drain.set()
    aws = FakeAws()
    target = Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=JournalFiles(tmp_path))
    found = Located([one])
    found.search(target, limit=9, patience=Patience(1.0, clock=aws.clock), stop=stop)
    assert not found.is_absent(one)
