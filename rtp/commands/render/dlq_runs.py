"""Render the runs of every operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands.render.headings import count, heading
from rtp.ops.dlq.runs import CONTINUED
from rtp.text import json_values, suggest, times
from rtp.text.elements import Cell, Column, Element, Fields, Style, Table, Text, bad, dim, good, line, name, next_step

if TYPE_CHECKING:
    from rtp.ops.dlq.runs import Result, Runs, RunState, StopRequest
    from rtp.text.elements import Line

_STYLES = {"running": Style.WARN, "ended": Style.GOOD, "killed": Style.BAD, "failed": Style.BAD}
_DONE = {"redrive": "redriven", "purge": "deleted", "replay": "queued"}


def runs(listed: Runs, env: str) -> list[Element]:
    """A row per run."""
    first = heading("runs", env, count(len(listed.runs), more=listed.more))
    rows: list[list[Cell]] = [
        [
            times.recent(times.parse_when(r.began)),
            name(r.run),
            Text(r.state, _STYLES.get(r.state, Style.PLAIN)),
            _done(r),
            f"{r.failed:,} failed" if r.failed else "",
            r.operator.label,
            f"by {r.stopped_by}" if r.stopped_by else r.why,
        ]
        for r in listed.runs
    ]
    columns = [
        Column("BEGAN", whole=True, drop=4),
        Column("RUN", tail=True),
        Column("STATE", whole=True),
        Column("DONE", long=True),
        Column("FAILED", drop=2),
        Column("WHO", long=True, drop=3),
        Column("STOPPED", long=True, drop=1),
    ]
    return [first, Table(columns, rows)] if rows else [first]


def progress(state: RunState) -> Line:
    """How far a run is."""
    if state.result is not None:
        return line(f"{_done(state)}; waiting for the outcomes")
    quiet = f"  last sign of life {state.quiet_s:.0f} s ago" if state.quiet_s and state.quiet_s >= 10 else ""
    return line(f"{_done(state)}", dim(f"  {state.state}, of {state.operator.label}{quiet}"))


def run(state: RunState) -> list[Element]:
    """One run, and what became of its events."""
    pairs: list[tuple[str, Cell]] = [
        ("run", name(state.run)),
        ("state", Text(state.state, _STYLES.get(state.state, Style.PLAIN))),
        ("stopped by", state.stopped_by),
        ("why", state.why),
        ("began", f"{times.recent(times.parse_when(state.began))} ({state.began})"),
        ("who", " ".join(filter(None, (state.operator.label, state.identity)))),
        ("parts", str(state.parts) if state.parts > 1 else ""),
        ("done", _done(state)),
        ("failed", f"{state.failed:,}" if state.failed else ""),
        ("selected", json_values.dumps(state.options) if state.options else ""),
    ]
    elements: list[Element] = [Fields([pair for pair in pairs if pair[1] != ""])]
    if state.result is not None:
        elements.append(_result(state.result))
    elif state.what == "purge":
        elements.append(line("outcomes: ", dim("none; a purge deletes messages and runs no event")))
    if state.what == "redrive" and state.state in CONTINUED:
        elements += next_step("next  ", suggest.command("rtp", "dlq", "redrive", run=state.run), "continues it")
    if state.what == "replay" and state.state in CONTINUED:
        elements += next_step("next  ", suggest.command("rtp", "replay", run=state.run), "continues it")
    if state.what != "replay" and state.done and state.state != "undone":
        elements += next_step("undo  ", suggest.command("rtp", "dlq", "undo", run=state.run), "restores its messages")
    return elements


def stopping(request: StopRequest) -> Line:
    """While a run has not stopped yet."""
    return line(dim(f"{request.run} was asked to stop; it is {request.state}"))


def stopped(request: StopRequest) -> list[Element]:
    """Whether a run has stopped."""
    if request.state == "running":
        asked = f" was asked to stop by {request.asked_by} and has not ended yet"
        return [
            line(bad("not yet: "), name(request.run), asked),
            *next_step("next  ", suggest.command("rtp", "dlq", "follow", values=(request.run,)), "watches it"),
        ]
    return [line(good("stopped: "), name(request.run), f" after {request.done:,} messages; it is {request.state}")]


def _done(state: RunState) -> str:
    return f"{state.done:,} {_DONE.get(state.what, 'done')}"


def _result(result: Result) -> Element:
    parts = [
        good(f"{result.processed:,} processed"),
        bad(f"  {result.dead_again:,} dead again") if result.dead_again else "",
        bad(f"  {result.dead_of_another_cause:,} dead of another cause") if result.dead_of_another_cause else "",
        dim(f"  {result.unknown:,} unknown") if result.unknown else "",
    ]
    return line("outcomes: ", *(part for part in parts if part))
