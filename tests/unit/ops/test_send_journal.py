"""An interrupted send of a file goes on: ids are kept, what was answered is not sent again, and all of it arrives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rtp.errors import NotFoundError
from rtp.ops.events import payload, send_journal
from rtp.ops.events.send_journal import Sending
from rtp.ops.events.sent import Sent
from rtp.ops.journal_store import JournalFiles

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.events.payload import Event
    from rtp.ops.events.send_journal import SendJournal

SENDING = Sending("digest", 4, "api", "shop-dev", "111122223333")


def lines(folder: Path) -> payload.Payload:
    """Four events: two without an id, one with its own, one without."""
    events = [{"type": "a", "data": {"n": n}} | ({"id": "own", "timestamp": 5} if n == 2 else {}) for n in range(4)]
    file = folder / "events.ndjson"
    file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return payload.of_file(file)


def answer(event: Event, status: str = "processed", http: int | None = 200) -> Sent:
    return Sent(event.id, event.timestamp, status, http, "", 1.0)


def journal(folder: Path) -> SendJournal:
    return send_journal.begin(JournalFiles(folder / "journals"), SENDING)


def test_a_killed_send_goes_on_with_its_ids_and_without_what_was_answered(tmp_path: Path) -> None:
    # Given a send of which the first event was answered, the second one's answer was lost, and the rest not begun
    events, first = lines(tmp_path), journal(tmp_path)
    sent = iter(events.recorded(first))
    answered, lost = next(sent), next(sent)
    first.note(answer(answered))
    first.flush()
    # When it goes on, in another process
    again = send_journal.resume(JournalFiles(tmp_path / "journals"), SENDING)
    rest = events.recorded(again)
    # Then the answered one is not sent again, and the lost one has the identity that it had
    assert len(rest) == 3 and again.left == 3
    remaining = list(rest)
    assert (remaining[0].id, remaining[0].timestamp) == (lost.id, lost.timestamp)
    assert remaining[0].body == lost.body and remaining[1].id == "own"
    assert answered.id not in {e.id for e in remaining} and len({e.id for e in remaining}) == 3
    # And when it is interrupted once more before any answer, the ids stay
    third = send_journal.resume(JournalFiles(tmp_path / "journals"), SENDING)
    assert [e.id for e in events.recorded(third)] == [e.id for e in remaining]


@pytest.mark.parametrize(
    ("status", "http", "is_final"),
    [
        ("processed", 200, True),
        ("queued", 202, True),
        ("accepted", 200, True),
        ("rejected", 422, True),
        ("conflict", 409, True),
        ("failed", 413, True),
        ("failed", 429, False),
        ("failed", 503, False),
        ("failed", None, False),
    ],
)
def test_only_a_final_answer_ends_an_event(tmp_path: Path, status: str, http: int | None, is_final: bool) -> None:
    events, kept = lines(tmp_path), journal(tmp_path)
    event = next(iter(events.recorded(kept)))
    kept.note(answer(event, status, http))
    assert (event.id in kept.answered, kept.unanswered) == (is_final, 0 if is_final else 1)


def test_a_send_that_has_ended_or_is_of_another_file_or_stack_is_not_gone_on_with(tmp_path: Path) -> None:
    store = JournalFiles(tmp_path / "journals")
    kept = journal(tmp_path)
    for other in ("other file", "other stack"):
        changed = {"digest": "x"} if other == "other file" else {"stack": "shop-prod"}
        sending = Sending(**{name: changed.get(name, getattr(SENDING, name)) for name in Sending.__slots__})
        assert send_journal.interrupted(store, sending) is None
    assert send_journal.interrupted(store, SENDING) is not None
    kept.flush(has_ended=True)
    assert send_journal.interrupted(store, SENDING) is None
    with pytest.raises(NotFoundError) as caught:
        send_journal.resume(store, SENDING)
    assert caught.value.code == "nothing-to-resume"


def test_what_was_answered_before_the_engine_went_back_to_a_save_is_sent_again(tmp_path: Path) -> None:
    events, kept = lines(tmp_path), journal(tmp_path)
    for event in events.recorded(kept):
        kept.note(answer(event))
    kept.flush()
    store = JournalFiles(tmp_path / "journals")
    again = send_journal.interrupted(store, SENDING, restored_ms=10**15)
    assert again is not None and again.left == 4
    assert len({e.id for e in events.recorded(again)} & kept.answered) == 4
