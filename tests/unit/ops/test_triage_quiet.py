"""A group of which something was said is known also when no failure of it is left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.commands.render import triage as render
from rtp.contract import Output
from rtp.errors import NotFoundError, RtpError
from rtp.ops.history import Entry
from rtp.ops.triage import actions, changes, memory, quiet
from rtp.ops.triage.actions import End, Saying
from rtp.terminal.draw import flat
from rtp.text import times
from tests.unit.ops.test_triage import Table
from tests.unit.ops.test_triage_screen import GROUP, NOW, TRIAGE

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.ops.triage.actions import Said
    from rtp.ops.triage.report import FailureGroup, Triage

EMPTY = replace(TRIAGE, groups=[], read=0, more=False)
LAST = times.iso(times.parse_when(GROUP.last))


class Stack(Table):
    """The table, and who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.answers["get_caller_identity"] = lambda: {"Arn": "arn:aws:sts::1:assumed-role/operator/ann"}

    def say(self, what: Said, group: FailureGroup = GROUP, found: Triage = TRIAGE, **more: Any) -> None:
        """As `rtp triage` does."""
        actions.say(cast("Aws", self), Output.TABLE, group, found, Saying(what, **more), now=NOW)

    def one(self, part: str = GROUP.id, found: Triage = EMPTY, *, later_ms: int = 0) -> FailureGroup:
        """The group."""
        return quiet.one(cast("Aws", self), Output.TABLE, found, part, now=NOW + later_ms)


def screen(group: FailureGroup) -> str:
    return "\n".join(flat(row) for row in render.one(group, EMPTY, now=NOW))


@pytest.mark.parametrize(
    ("what", "state"), [("acked", "acked"), ("muted", "muted"), ("resolved", "resolved"), ("note", "known")]
)
def test_what_was_said_of_a_group_without_failures_is_shown(what: Said, state: str) -> None:
    stack = Stack()
    stack.say(what, text="looking")
    one = stack.one()
    assert (one.state, one.type, one.error, one.at) == (state, GROUP.type, GROUP.error, GROUP.at)
    assert (one.count, one.first, one.last, one.releases) == (0, "", LAST, GROUP.releases)
    assert [(note.what, note.text) for note in one.notes] == [(what, "looking")]
    text = screen(one)
    assert (
        f"{GROUP.id}  {state}  order.created  KeyError: *" in text
        and "no failures since " in text
        and "looking" in text
    )
    assert ("next  rtp triage reopen 0becbc52" in text) is (what != "note")
    assert "dlq redrive" not in text and "rtp rollback" not in text


def test_it_is_reopened_muted_and_resolved_as_one_with_failures_and_stays_what_it_was() -> None:
    stack = Stack()
    stack.say("acked", text="looking")
    for what, state in (("reopened", "known"), ("muted", "muted"), ("resolved", "resolved"), ("note", "resolved")):
        stack.say(cast("Said", what), stack.one(), EMPTY, text=what)
        one = stack.one()
        assert (one.state, one.type, one.at, one.last) == (state, GROUP.type, GROUP.at, LAST)
    assert [note.what for note in one.notes] == ["acked", "reopened", "muted", "resolved", "note"]


def test_one_that_is_resolved_without_failures_regresses_by_the_releases_that_had_failed_before() -> None:
    stack = Stack()
    stack.say("acked", replace(GROUP, releases=["r1", "r2"]))
    stack.say("resolved", stack.one(), replace(EMPTY, release="r3"))
    (known,) = memory.read(cast("Aws", stack), Output.TABLE, [GROUP.id]).by_group.values()
    assert (known.release, known.before) == ("r3", ("r1", "r2"))


def test_an_end_passes_without_failures_too() -> None:
    stack = Stack()
    stack.say("acked", end=End(ms=60_000))
    assert [stack.one(later_ms=ms).state for ms in (59_999, 60_000)] == ["acked", "known"]


def test_its_beginning_stands_for_it_where_the_history_names_it() -> None:
    stack = Stack()
    stack.say("acked")
    stack.say("acked", replace(GROUP, id="0bec0000"))
    named = [
        Entry(f"run{n}", command, "2027-01-15T08:00:00Z", "succeeded", arguments={"group": group})
        for n, (command, group) in enumerate(
            (("triage ack", GROUP.id), ("triage note", GROUP.id), ("triage ack", "0bec0000"), ("replay", "0becffff"))
        )
    ]
    found = replace(EMPTY, said=changes.groups(named))
    assert found.said == [GROUP.id, "0bec0000"]
    assert stack.one("0becb", found).id == GROUP.id
    with pytest.raises(NotFoundError, match="0bec stands for several groups of failures"):
        stack.one("0bec", found)
    with pytest.raises(NotFoundError, match="No group of failures 0becb is among"):
        stack.one("0becb")


def test_one_with_failures_is_the_group_of_these_and_one_of_which_nothing_was_said_is_none() -> None:
    stack = Stack()
    stack.say("acked")
    assert stack.one(found=TRIAGE) is GROUP
    with pytest.raises(NotFoundError, match="No group of failures ffffffff is among the 0 failures"):
        stack.one("ffffffff")


def test_an_item_of_an_older_version_has_its_notes_and_one_that_rtp_did_not_write_is_named() -> None:
    stack = Stack()
    stack.say("acked", text="looking")
    (item,) = stack.items.values()
    about = item.pop("about")
    one = stack.one()
    assert (one.type, one.last, one.state) == ("", "", "acked") and "no failures, as far as" in screen(one)
    values: list[dict[str, Any]] = [{"L": []}, {"M": about["M"] | {"last": {"N": "-1"}}}, {"M": {"type": {"S": "x"}}}]
    for forged in values:
        item["about"] = forged
        with pytest.raises(RtpError, match="cannot be read") as caught:
            stack.one()
        assert caught.value.code == "unreadable-note"
