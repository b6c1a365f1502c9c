"""The indexed messages of a queue answer as a list does that is read as a whole, and read only what they return."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import msgspec
import pytest

from rtp.local.message_list import Counts, Messages, messages_of, with_lists


def message(n: int, *, visible_at: float = 0.0, **changes: Any) -> dict[str, Any]:
    return {"id": str(n), "sent_at": float(n), "visible_at": visible_at, "receive_count": 0} | changes


def ids(messages: Messages) -> list[str]:
    return [m["id"] for m in messages]


def receive(messages: Messages, now: float, hidden_s: float, handle: str) -> str | None:
    taken = messages.take(now)
    if taken is None:
        return None
    taken |= {"visible_at": now + hidden_s, "receive_count": taken["receive_count"] + 1, "receipt_handle": handle}
    messages.changed(taken)
    return str(taken["id"])


def test_messages_are_taken_in_order_of_arrival_and_again_when_they_are_visible() -> None:
    messages = Messages(message(n) for n in range(3))
    assert [receive(messages, 10, 5, f"a{n}") for n in range(4)] == ["0", "1", "2", None]
    assert receive(messages, 14.9, 5, "b") is None
    assert [receive(messages, 15, 5, f"c{n}") for n in range(3)] == ["0", "1", "2"]


def test_a_handle_is_valid_until_the_next_receive_or_the_deletion() -> None:
    messages = Messages([message(0)])
    receive(messages, 10, 0, "first")
    receive(messages, 10, 5, "second")
    assert messages.with_handle("first") is None
    current = messages.with_handle("second")
    assert current is not None
    messages.remove(dict(current))  # a copy, as pollers have it
    assert messages.with_handle("second") is None
    assert (len(messages), messages.take(100)) == (0, None)
    with pytest.raises(ValueError, match="not in the queue"):
        messages.remove(current)


def test_messages_are_counted_by_what_hides_them() -> None:
    messages = Messages([message(0), message(1, visible_at=20), message(2)])
    receive(messages, 10, 15, "h")
    assert messages.counts(10) == Counts(visible=1, in_flight=1, delayed=1)
    assert messages.counts(20) == Counts(visible=2, in_flight=1, delayed=0)
    assert messages.counts(25) == Counts(visible=3, in_flight=0, delayed=0)


def test_the_oldest_is_one_that_was_not_received_too_often() -> None:
    messages = Messages([message(5), message(6)])
    for n in range(4):
        receive(messages, 10, 0, str(n))
    assert messages.oldest() == 6
    messages.clear()
    assert messages.oldest() is None


def test_what_is_older_than_the_retention_is_removed() -> None:
    messages = Messages([message(5), message(50, sent_at=1, enqueued_at=50), message(7)])
    messages.expire(6)
    assert ids(messages) == ["50", "7"]


def test_a_new_order_loses_and_doubles_nothing() -> None:
    messages = Messages(message(n) for n in range(20))
    messages.shuffle(10, random.Random(1).shuffle, 50)  # noqa: S311 - no secret
    order = [receive(messages, 50, 100, str(n)) for n in range(20)]
    assert sorted(order, key=str) == sorted(map(str, range(20)))
    assert order[10:] == [str(n) for n in range(10, 20)]
    assert order[:10] != [str(n) for n in range(10)]


def test_a_copy_for_the_saved_state_is_a_plain_list() -> None:
    queue = {"messages": [message(0)]}
    messages_of(queue)
    saved = copy.deepcopy(queue)
    assert saved == {"messages": [message(0)]}
    assert type(saved["messages"]) is list
    # Where it is written without a copy, too
    assert json.loads(json.dumps(queue, default=with_lists(str))) == saved


def test_a_saved_state_is_read_again_as_it_was() -> None:
    messages = Messages([message(0), message(1, group_id="g", text="\ud800"), message(2, visible_at=1e12), message(3)])
    receive(messages, 10, 5, "h")
    whole = Messages(one for one in messages if "text" not in one)
    written = msgspec.json.encode(whole.saved(raw=True))
    assert json.loads(written) == whole.saved(raw=False) == list(whole)
    for again in (Messages.from_json(written), Messages(messages.saved(raw=False))):
        assert again.counts(10) == Counts(visible=len(again) - 2, in_flight=1, delayed=1)
        held = again.with_handle("h")
        assert held is not None
        assert (held["id"], again.oldest()) == ("0", 1.0 if len(again) == 4 else 2.0)


def test_a_message_that_was_stored_is_found_by_its_handle() -> None:
    messages = Messages([message(0)])
    receive(messages, 10, 30, "h")
    held = messages.with_handle("h")
    assert held is not None
    messages.changed(held)
    held["visible_at"] = 12.0
    assert messages.counts(20).visible == 0
    messages.changed(held)
    assert messages.counts(20).visible == 1


def test_random_operations_answer_as_a_list_does() -> None:
    draw = random.Random(17)  # noqa: S311 - no secret
    messages, model = Messages(), []
    now = 0.0
    for n in range(5_000):
        now += draw.random()
        kind = draw.randrange(5)
        if kind < 2:
            group = {"group_id": "g"} if draw.random() < 0.5 else {}
            new = message(n, visible_at=now + draw.choice([0, 0, 3]), sent_at=now, **group)
            model.append(new)
            messages.append(new if group else dict(new))
        elif kind == 2:
            visible = next((m for m in model if m["visible_at"] <= now), None)
            hidden_s, count = draw.choice([0, 1, 30]), visible and visible["receive_count"] + 1
            assert receive(messages, now, hidden_s, str(n)) == (visible and visible["id"])
            if visible is not None:
                visible |= {"visible_at": now + hidden_s, "receive_count": count, "receipt_handle": str(n)}
        elif chosen := [
            m for m in draw.choices(model, k=min(len(model), 3)) if "group_id" in m or "receipt_handle" in m
        ]:
            if kind == 3:
                model.remove(chosen[-1])
                messages.remove(chosen[-1])
            else:
                chosen[-1]["visible_at"] = now + draw.choice([0, 10])
                messages.changed(chosen[-1] if "group_id" in chosen[-1] else dict(chosen[-1]))
        visible_count = sum(m["visible_at"] <= now for m in model)
        delayed = sum(m["visible_at"] > now and not m["receive_count"] for m in model)
        assert messages.counts(now) == (visible_count, len(model) - visible_count - delayed, delayed)
    assert list(messages) == model


class Counted(dict[str, Any]):
    """A message that counts how often it is read."""

    reads = 0

    def get(self, *args: Any) -> Any:
        type(self).reads += 1
        return super().get(*args)


@pytest.mark.parametrize("count", [1_000, 20_000])
def test_no_operation_reads_other_messages(count: int) -> None:
    messages = Messages(Counted(message(n, group_id="g")) for n in range(count))  # not kept as text
    for n in range(500):  # hidden at the front
        receive(messages, 1, 1000, str(n))
    messages.counts(1)
    Counted.reads = 0
    for n in range(500, 600):
        receive(messages, 2, 1000, str(n))
        hidden = messages.with_handle(str(n))
        assert hidden is not None
        messages.changed(hidden)
        messages.counts(2)
        messages.oldest()
        messages.remove(hidden)
        messages.expire(0)
    assert Counted.reads < 3_000
