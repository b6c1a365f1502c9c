"""What a save writes of the large services is read again as it was, and what cannot be read is left to the engine."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rtp.local import saved_state
from rtp.local.items import Items
from rtp.local.log_lines import Lines
from rtp.local.patches import saving

EVENTS = [{"timestamp": n, "message": f"line {n}", "ingestionTime": n, "eventId": str(n)} for n in range(700)]


def engine() -> Any:
    """The engine's own reader and writer."""
    from ministack.core import persistence

    return persistence


def scoped(name: str, resource: dict[str, Any]) -> Any:
    from ministack.core.responses import AccountRegionScopedDict

    one = AccountRegionScopedDict()
    one.set_scoped("000000000000", "us-east-1", name, resource)
    return one


def read(service: str, text: bytes) -> Any:
    known = engine()._state_format_version(service)
    state = saved_state.load(service, text, known, engine()._json_object_hook)
    return next(iter(state.values()))._data[("000000000000", "us-east-1", "one")]


def written(service: str, state: dict[str, Any], version: int | None = None) -> bytes:
    known = saved_state.version(service, engine()._state_format_version(service))
    wrapped = {"__ministack_format__": known if version is None else version, "payload": state}
    return saving.encoded(service, wrapped, engine()._json_default)


@pytest.mark.parametrize("note", ["plain", "é\u2028", "half \ud800"], ids=["plain", "beyond", "half"])
def test_items_are_read_as_they_were(note: str) -> None:
    items = {
        "p": {"s": {"id": {"S": "p"}, "note": {"S": "n"}}},
        "q": {"s": {"id": {"S": "q"}}, "t": {"id": {"S": "q"}}},
    }
    table = read("dynamodb", written("dynamodb", {"tables": scoped("one", {"note": note, "items": Items(items)})}))
    assert table["note"] == note
    assert {pk: dict(bucket) for pk, bucket in table["items"].items()} == items


@pytest.mark.parametrize("note", ["plain", "half \ud800"], ids=["plain", "half"])
def test_lines_are_read_as_they_were(note: str) -> None:
    group = {"note": note, "streams": {"s": {"events": Lines(EVENTS)}}}
    again = read("cloudwatch_logs", written("cloudwatch_logs", {"log_groups": scoped("one", group)}))
    assert again["note"] == note
    assert isinstance(again["streams"]["s"]["events"], Lines)
    assert list(again["streams"]["s"]["events"]) == EVENTS


def test_lines_of_an_older_save_are_read() -> None:
    group = {"streams": {"s": {"events": EVENTS}}}
    again = read("cloudwatch_logs", written("cloudwatch_logs", {"log_groups": scoped("one", group)}, 3))
    assert list(again["streams"]["s"]["events"]) == EVENTS


def test_values_have_the_types_that_the_engine_gives_them() -> None:
    nested = {"a": scoped("x", {}), "b": b"\x00", "c": [1, 2.5, None]}
    state = {"tables": scoped("one", {"items": Items()}), "others": nested, "plain": {"__bytes__": "text"}, "none": {}}
    text = json.dumps(
        {"__ministack_format__": 2, "payload": state}, default=saved_state.encoder(engine()._json_default, raw=False)
    )
    known = saved_state.load("dynamodb", text.encode(), 2, engine()._json_object_hook)
    slow = json.loads(text, object_hook=engine()._json_object_hook)["payload"]
    assert known["others"]["a"]._data == slow["others"]["a"]._data
    assert [known[name] for name in ("plain", "none")] == [slow[name] for name in ("plain", "none")]
    assert (known["others"]["b"], known["others"]["c"]) == (b"\x00", [1, 2.5, None])


@pytest.mark.parametrize(
    "text",
    [b"{", b"[]", b'{"payload": {}}', b'{"__ministack_format__": 9, "payload": {}}'],
    ids=["cut", "list", "unversioned", "newer"],
)
def test_what_is_of_no_known_form_is_left_to_the_engine(text: bytes) -> None:
    with pytest.raises(saved_state.UnknownFormatError):
        saved_state.load("dynamodb", text, 2, engine()._json_object_hook)


def test_the_text_of_a_state_is_json_whatever_is_in_it() -> None:
    state = {"tables": scoped("one", {"items": Items({"p": {"s": {"id": {"S": "\ud800"}}}})})}
    assert json.loads(written("dynamodb", state))["payload"]["tables"]["data"]
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(written("dynamodb", state))
