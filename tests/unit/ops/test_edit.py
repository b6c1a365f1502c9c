"""Events in the operator's editor: what it is given, and what is made of what it leaves."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import ConfigError, RefusedError, UsageError
from rtp.ops.dlq import edit
from rtp.ops.dlq import messages as dlq
from rtp.runtime import wire
from rtp.text import json_values
from tests.unit.ops.fakes import event
from tests.unit.ops.test_dlq_messages import message as received

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.ops.dlq.messages import DlqMessage


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def message(body: str, message_id: str = "m1") -> DlqMessage:
    return dlq.read(replace(received(body), message_id=message_id))


def edited(
    messages: list[DlqMessage],
    change: Callable[[Any], object] = lambda found: found,
    environ: Mapping[str, str] | None = None,
) -> edit.Edits:
    def editor(argv: list[str]) -> int:
        file = Path(argv[-1])
        after = change(json.loads(file.read_text()))
        if after is not None:
            file.write_text(after if isinstance(after, str) else json.dumps(after), encoding="utf-8")
        return 0

    return edit.edited(messages, environ=environ or {"EDITOR": "ed"}, call=editor)


def put(found: Any, name: str, value: object) -> Any:
    return {**found, name: value}


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({}, ["vi"]),
        ({"EDITOR": " ed  -s "}, ["ed", "-s"]),
        ({"VISUAL": "'my editor' --wait", "EDITOR": "ed"}, ["my editor", "--wait"]),
        ({"VISUAL": " ", "EDITOR": ""}, ["vi"]),
    ],
)
def test_the_editor_is_visual_before_editor_with_its_arguments(environ: dict[str, str], command: list[str]) -> None:
    called: list[list[str]] = []

    def editor(argv: list[str]) -> int:
        called.append(argv)
        return 0

    with pytest.raises(RefusedError, match="No event was edited"):
        edit.edited([message(event(1))], environ=environ, call=editor)
    assert [argv[:-1] for argv in called] == [command]


def test_the_editor_gets_json_of_several_lines_in_a_file_that_is_named_like_it(scratch: Path) -> None:
    seen: list[str] = []

    def editor(argv: list[str]) -> int:
        file = Path(argv[-1])
        assert file.parent == scratch and file.name.startswith("rtp-redrive-") and file.suffix == ".json"
        seen.append(file.read_text(encoding="utf-8"))
        return 0

    with pytest.raises(RefusedError):
        edit.edited([message(event(1)), message("no event", "m2")], environ={}, call=editor)
    assert seen == [json.dumps({"m1": json.loads(event(1)), "m2": "no event"}, indent=2) + "\n"]


@pytest.mark.parametrize(("count", "refused"), [(edit.MAX_MESSAGES, False), (edit.MAX_MESSAGES + 1, True)])
def test_so_many_messages_fit_into_one_file(count: int, refused: bool) -> None:
    messages = [message(event(n), f"m{n}") for n in range(count)]
    if refused:
        with pytest.raises(UsageError, match="too many"):
            edited(messages)
        return
    edits = edited(messages, lambda found: put(found, "m0", {**found["m0"], "type": "b"}))
    assert len(edits.texts) == count


def test_a_message_that_is_deleted_from_the_file_is_left_out_and_those_after_it_stay() -> None:
    messages = [message(event(n), f"m{n}") for n in range(3)]
    edits = edited(messages, lambda found: {"m1": found["m1"], "m2": {**found["m2"], "type": "b"}})
    assert list(edits.texts) == ["m1", "m2"]
    assert edits.texts["m1"] == event(1) and json.loads(edits.texts["m2"])["type"] == "b"


def test_a_text_that_is_no_event_is_edited_as_text_and_sent_as_such() -> None:
    broken = message('{"type": "a", "data": {}')
    edits = edited([broken], lambda _: {"m1": '{"type": "a", "data": {"n": 1.10}}'})
    assert edits.texts == {"m1": '{"type": "a", "data": {"n": 1.10}}'}


@pytest.mark.parametrize(("before", "after"), [("ä", "ö"), ("\\u00e4", "\U0001f600")])
def test_other_characters_than_ascii_are_edited(before: str, after: str) -> None:
    one = message(f'{{"id": "e1", "timestamp": 1, "type": "a", "data": {{"n": "{before}"}}}}')
    edits = edited([one], lambda found: put(found, "m1", {**found["m1"], "data": {"n": after}}))
    assert json.loads(edits.texts["m1"])["data"] == {"n": after}


def of_size(size: int) -> dict[str, Any]:
    """An event that has so many bytes as a message, with characters of more than one byte, and one to escape."""
    value = {**json.loads(event(1)), "data": {"n": "\uffff"}}
    rest = size - len(wire.message_body(dumped(value)).encode())
    value["data"]["n"] += "ä" * (rest // 2) + "x" * (rest % 2)
    return value


def dumped(value: object) -> str:
    return json_values.dumps(value)


@pytest.mark.parametrize(("size", "refused"), [(wire.MAX_BODY_BYTES, False), (wire.MAX_BODY_BYTES + 1, True)])
def test_an_edited_event_may_be_as_large_as_any(size: int, refused: bool) -> None:
    value = of_size(size)
    assert len(wire.message_body(dumped(value)).encode()) == size
    if refused:
        with pytest.raises(UsageError, match="larger than 262,144 bytes"):
            edited([message(event(1))], lambda _: {"m1": value})
        return
    assert json.loads(edited([message(event(1))], lambda _: {"m1": value}).texts["m1"]) == value


@pytest.mark.parametrize(
    ("before", "after", "is_edit"),
    [
        ("1", "1.0", False),
        ("1", "true", True),
        ("0", "false", True),
        ("[1, 2]", "[1, 2]", False),
        ("[1, 2]", "[2, 1]", True),
        ("[1, 2]", "[1]", True),
        ("[[true]]", "[[1]]", True),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', False),
        ('{"a": 1}', '{"a": 1, "b": 2}', True),
        ('{"a": 1, "b": 2}', '{"a": 1, "c": 2}', True),
        ('{"a": {"b": 1}}', '{"a": {"b": true}}', True),
        ('"1"', "1", True),
        ("null", "false", True),
    ],
)
def test_what_is_an_edit(before: str, after: str, is_edit: bool) -> None:
    one = message(f'{{"id": "e1", "timestamp": 1, "type": "a", "data": {{"n": {before}}}}}')

    def change(found: Any) -> object:
        return {"m1": {**found["m1"], "data": {"n": json.loads(after)}}}

    if is_edit:
        assert list(edited([one], change).texts) == ["m1"]
        return
    with pytest.raises(RefusedError, match="No event was edited"):
        edited([one], change)


def test_an_event_without_an_id_keeps_its_identity_and_one_without_any_may_get_one(scratch: Path) -> None:
    own, without = message(event(1)), message('{"type": "a", "data": {}}', "m2")
    with pytest.raises(UsageError, match="another event, e1 of 2"):
        edited([own], lambda found: put(found, "m1", {**found["m1"], "timestamp": 2}))
    with pytest.raises(UsageError, match="another event"):
        edited([own, without], lambda found: put(found, "m2", {**found["m2"], "id": "x", "timestamp": 9}))
    with pytest.raises(UsageError, match="m2, m3 is not among"):
        edited([own], lambda found: {**found, "m3": {}, "m2": {}})
    assert len([*scratch.iterdir()]) == 3


def test_the_file_stays_until_all_edits_are_sent() -> None:
    messages = [message(event(n), f"m{n}") for n in range(2)]
    edits = edited(messages, lambda found: put(found, "m0", {**found["m0"], "type": "b"}))
    assert str(edits.file) in edits.end(1) and edits.file.exists()
    assert edits.end(2) == "" and not edits.file.exists()
    assert edits.end(3) == ""


def test_a_file_that_was_replaced_by_a_folder_is_not_what_was_written(scratch: Path) -> None:
    def editor(argv: list[str]) -> int:
        Path(argv[-1]).unlink()
        Path(argv[-1]).mkdir()
        return 1

    with pytest.raises(RefusedError, match="exit code 1") as caught:
        edit.edited([message(event(1))], environ={}, call=editor)
    assert str(scratch) in caught.value.hint and len([*scratch.iterdir()]) == 1


def test_a_file_that_the_editor_has_deleted_is_not_named(scratch: Path) -> None:
    def editor(argv: list[str]) -> int:
        Path(argv[-1]).unlink()
        return 1

    with pytest.raises(RefusedError, match="exit code 1") as caught:
        edit.edited([message(event(1))], environ={}, call=editor)
    assert str(scratch) not in caught.value.hint


def test_a_file_that_the_editor_could_not_read_does_not_stay(scratch: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be run"):
        edit.edited([message(event(1))], environ={"EDITOR": str(scratch / "none")})
    assert [*scratch.iterdir()] == []
