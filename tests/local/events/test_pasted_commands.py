"""The commands that rtp suggests for an event are pasted into a real shell and run, whatever the event's id is."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from rtp.contract import Output
from tests.local.watch.conftest import on_terminal, until
from tests.shells import HOSTILE, OMITTED

if TYPE_CHECKING:
    from tests.local.events.conftest import Pipeline
    from tests.shells import Shell


SAFE = (
    "second command", "substitution", "backticks", "single quote", "backslash", "long option", "dash",
    "history after a quote", "glob", "spaces", "umlaut", "longest of quotes",
)  # fmt: skip
UNSAFE = ("newline", "bidi", "escape", "tab", "c1", "zero width")
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def fill_dlq(pipeline: Pipeline, ids: list[str]) -> None:
    """Send events with these ids to the dead-letter queue."""
    pipeline._put(Output.DLQ_URL, [{"id": i, "timestamp": 1_700_000_000_000, "type": "note", "data": {}} for i in ids])


def pasted(shell: Shell, shown: str) -> list[list[str]]:
    """The commands that run when the rest of each `next` line is pasted."""
    return [ran for each in re.findall(r"^ *next +(.*)$", shown, re.M) for ran in shell.paste(each)]


def inspected(pipeline: Pipeline, shell: Shell, event_id: str) -> list[list[str]]:
    """The commands that an inspection of one event shows."""
    return pasted(shell, pipeline.project.rtp("dlq", "inspect", f"--id={event_id}").stdout)


def shown(pipeline: Pipeline, shell: Shell, command: list[str]) -> list[list[str]]:
    """The commands that showing one event shows; none where it is not found, since its message may be hidden."""
    return pasted(shell, pipeline.project.rtp(*command, ok=False).stdout)


@pytest.mark.long
def test_the_suggested_commands_lead_from_the_queue_to_the_outcome(pipeline: Pipeline, shell: Shell) -> None:
    # Given dead events with such ids
    ids = [HOSTILE[name] for name in SAFE]
    assert not OMITTED & set(SAFE)
    pipeline.fix()
    fill_dlq(pipeline, ids)
    taken = []
    for value in ids:
        # When one is looked at / Then what is shown next has exactly its id
        # (again where it is not found yet: an inspection ends by SQS's counts, which may lag)
        (show,) = until(partial(inspected, pipeline, shell, value))
        assert show == ["rtp", "show", *(["--"] if value.startswith("-") else []), value]
        # And that command works, and shows the next one
        (redrive,) = until(partial(shown, pipeline, shell, show[1:]))
        assert redrive == ["rtp", "dlq", "redrive", f"--id={value}"]
        taken += redrive[3:]
    # And with all of them, each event comes to its end
    done = pipeline.project.rtp("dlq", "redrive", *taken, "--wait", "--json").json
    assert sorted(m["id"] for m in done["messages"]) == sorted(ids)
    every = ("records", "--since", "2023-01-01", "--type", "note", "--limit", "1000", "--json")

    def processed() -> bool:  # the index of records may lag
        return set(ids) <= {r["id"] for r in pipeline.project.rtp(*every).json["records"] if r["status"] == "processed"}

    until(processed)


@pytest.mark.parametrize("name", ["single quote", "spaces", "longest of quotes"])
def test_a_narrow_terminal_breaks_no_command(pipeline: Pipeline, shell: Shell, name: str) -> None:
    value = f"narrow {HOSTILE[name]}"[:128]
    fill_dlq(pipeline, [value])
    screen = on_terminal(pipeline.project, "show", "--env=local", "--", value, columns=40)
    (ran,) = pasted(shell, _CODES.sub("", screen.text).replace("\r\n", "\n"))
    assert ran == ["rtp", "dlq", "redrive", "--env=local", f"--id={value}"]


def test_the_command_suggested_after_send_can_be_pasted(pipeline: Pipeline, shell: Shell) -> None:
    for name in ("second command", "option", "backticks"):
        event = {"id": HOSTILE[name], "timestamp": 1_700_000_000_000, "type": "note", "data": {}}
        shown = pipeline.project.rtp("send", "-", "--via", "events", stdin=json.dumps(event)).stdout
        (show,) = pasted(shell, shown)
        assert show[-1] == HOSTILE[name]
        # A trace is asked for in the same way
        missing = pipeline.project.rtp("traces", "show", "--", f"-no-{HOSTILE[name]}", ok=False)
        assert missing.code == 4 and "no-trace" not in missing.stderr
        suggested = re.findall(r"`([^`]*)`", missing.stderr.partition("fix:")[2])
        ran = [shell.paste(each) for each in suggested]
        assert ran == ([] if "`" in HOSTILE[name] else [[["rtp", "show", "--", f"-no-{HOSTILE[name]}"]]])


def test_what_cannot_be_pasted_is_not_suggested(pipeline: Pipeline) -> None:
    ids = [HOSTILE[name] for name in UNSAFE]
    assert set(UNSAFE) <= OMITTED
    fill_dlq(pipeline, ids)
    for value in ids:
        looks = [("show", "--", value)] + ([("dlq", "inspect", f"--id={value}")] if value == ids[0] else [])
        for look in looks:
            shown = pipeline.project.rtp(*look).stdout
            assert "no reason is recorded" in shown
            assert not re.search(r"^ *next", shown, re.M) and "rtp " not in shown


def test_lists_of_events_suggest_nothing_and_break_no_line(pipeline: Pipeline) -> None:
    ids = [HOSTILE[name] for name in (*SAFE, *UNSAFE)]
    fill_dlq(pipeline, ids)
    for command in (("dlq", "inspect"), ("records",), ("traces",), ("dlq", "redrive", "--all", "--dry-run")):
        shown = pipeline.project.rtp(*command).stdout
        assert not re.search(r"^ *(rtp|next) ", shown, re.M)
