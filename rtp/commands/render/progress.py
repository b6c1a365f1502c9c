"""How a deploy or destroy is shown while it runs: a table in place on a terminal, plain lines elsewhere, NDJSON."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from rtp.ops.stack import steps as s
from rtp.ops.stack.compare.approval import Plan
from rtp.ops.work.background import repeating
from rtp.text.elements import Column, Fields, Style, Table, Text, bad, dim, good, line, many, name, strong

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from rtp.ops.access.question import Question
    from rtp.terminal.live import Live
    from rtp.terminal.output import Output
    from rtp.text.elements import Element, Line

_Step = TypeVar("_Step")
_ROWS = 10
_REDRAW_S = 0.2
_HEARTBEAT_S = 30.0


class Progress:
    """Shows the steps of a deploy or destroy as they come, and asks its questions."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._phase = ""
        self._since = time.monotonic()
        self._spoke = time.monotonic()
        self._counted = (0, 0)
        self._waiting = ""
        self._open: dict[str, tuple[s.Event, float]] = {}
        self._paused = False
        self.result: s.Result | None = None

    def follow(self, steps: Generator[_Step, None, None], show: Callable[[_Step], None]) -> None:
        """Show every step. On a terminal the running phase is redrawn meanwhile."""
        with self._running(), closing(steps):
            for step in steps:
                show(step)

    def ask(self, question: Question, *, yes: bool, confirm: str | None = None) -> None:
        """Show what a question is about and ask it, in place of the running phase. Raises RefusedError."""
        with self._stopped():
            for text in question.about:
                self._out.say(text)
            if question.typed:
                self._out.confirm_name(question.text, question.typed, given=confirm)
            else:
                self._out.confirm(question.text, yes=yes and question.answered_by_yes)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """While steps are shown: the region on the terminal, and a thread that keeps its clock running."""
        if not self._out.animated:
            yield
            return
        with self._out.live() as self._live:
            try:
                with repeating(self._draw, _REDRAW_S):
                    yield
            finally:
                self._live.update([])
                self._live = None

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """While a question is asked: nothing is redrawn."""
        with self._lock:
            self._paused = True
            if self._live is not None:
                self._live.update([])
        try:
            yield
        finally:
            with self._lock:
                self._paused = False

    def settle(self) -> None:
        """The running phase is over; what follows is said below its line."""
        self._begin("")

    def show(self, step: s.Step) -> None:
        """Show one step."""
        out = self._out
        match step:
            case s.Phase():
                self._begin(step.name)
            case s.Note():
                if not out.json:
                    self.settle()
                    out.say(dim(step.message))
            case s.Warn():
                if out.json:
                    out.event("warning", step, lambda _: None)
                else:
                    out.warn(step.message)
            case Plan():
                self.settle()
                out.event("changeset", step, lambda _: None)
                if not out.json:
                    out.say(*plan_views(step))
            case s.Event():
                out.event("event", step, lambda _: None)
                self._event(step)
            case s.Tick():
                self._idle(step)
            case s.Waiting():
                self._wait(step.message)
            case s.Drained():
                self.settle()
                out.event("drained", step, lambda _: None)
                if not out.json:
                    out.say(*drained_views(step))
            case s.Emptied():
                out.event("emptied", step, lambda _: None)
                if not out.json:
                    out.say(
                        line("emptied ", name(step.bucket), dim(f": {many(step.objects, 'object version')} deleted"))
                    )
            case s.Smoke():
                self.settle()
                out.event("smoke", step, lambda _: None)
                if not out.json:
                    took = dim(f" in {step.latency_ms:.0f} ms")
                    out.say(line(good(step.status), " smoke event ", name(step.id), took))
            case s.Outputs():
                self.settle()
                out.event("outputs", step, outputs_views)
            case s.Result():
                self.result = step
                self.settle()
                out.event("result", step, lambda _: None)
                if not out.json:
                    out.say(*result_views(step))

    def _begin(self, phase: str) -> None:
        took = time.monotonic() - self._since
        if self._phase and self._live is not None and took >= 0.1:
            self._out.say(line(dim(f"{self._phase:<50}{took:>6.1f} s")))
        with self._lock:
            self._phase, self._since, self._counted = phase, time.monotonic(), (0, 0)
            self._waiting = ""
            self._open.clear()
        if phase and not self._out.animated and not self._out.json:
            self._out.say(dim(f"{phase} …"))
        self._draw()

    def _event(self, event: s.Event) -> None:
        ended = not event.status.busy
        with self._lock:
            self._counted = (event.done, event.total)
            if ended:
                self._open.pop(event.logical_id, None)
            else:
                began = self._open.get(event.logical_id, (event, time.monotonic()))[1]
                self._open[event.logical_id] = (event, began)
        if self._out.animated:
            if event.status.failed:
                self._out.say(event_line(event))
        elif ended and not self._out.json:
            self._spoke = time.monotonic()
            self._out.say(event_line(event))

    def _idle(self, tick: s.Tick) -> None:
        """Elsewhere than on a terminal: a word now and then, so that a log shows life."""
        if self._out.animated or self._out.json or time.monotonic() - self._spoke < _HEARTBEAT_S:
            return
        self._spoke = time.monotonic()
        waiting = ", ".join(e.path or e.logical_id for e, _ in list(self._open.values())[:3])
        self._out.say(dim(f"{tick.done}/{tick.total} after {tick.elapsed_s:.0f} s; waiting for {waiting or 'AWS'}"))

    def _wait(self, message: str) -> None:
        """On a terminal beside the phase; elsewhere now and then a line, so that a log shows life."""
        with self._lock:
            self._waiting = message
        if not (self._out.animated or self._out.json) and time.monotonic() - self._spoke >= _HEARTBEAT_S:
            self._spoke = time.monotonic()
            self._out.say(dim(message))

    def _draw(self) -> None:
        with self._lock:
            if self._live is not None and not self._paused:
                self._live.update(self._views())

    def _views(self) -> list[Element]:
        if not self._phase:
            return []
        took = time.monotonic() - self._since
        done, total = self._counted
        count = f"  {min(done, total)}/{total} resources" if total else ""
        waiting = f"  {self._waiting}" if self._waiting else ""
        head = line(strong(self._phase), count, dim(f"  {_clock(took)}{waiting}"))
        if not self._open:
            return [head]
        now = time.monotonic()
        rows = [
            (Text(f"  {event.status}", Style.DIM), name(event.path or event.logical_id), f"{_clock(now - began)}")
            for event, began in list(self._open.values())[-_ROWS:]
        ]
        return [head, Table(("", "", Column("", right=True)), rows)]


def event_line(event: s.Event) -> Line:
    """One resource's step."""
    style = Style.BAD if event.status.failed else Style.GOOD
    return line(
        dim(f"{min(event.done, event.total):>3}/{event.total}  "),
        Text(f"{event.status:<16}", style),
        "  ",
        name(event.path or event.logical_id),
        f"  {event.reason}" if event.reason and style is Style.BAD else "",
    )


def plan_views(plan: Plan) -> list[Element]:
    """What would change: every resource of an update, the number of a new stack's; what widens; what is lost."""
    marks = {"add": good("+"), "modify": Text("~", Style.WARN), "replace": bad("!"), "remove": bad("-")}
    marks |= {"recreate": good("+"), "revert": Text("~", Style.WARN)}
    outside = {
        "recreate": Text("  created again: it was deleted outside CloudFormation", Style.WARN),
        "revert": Text("  set back: it was changed outside CloudFormation", Style.WARN),
    }
    elements: list[Element] = []
    if plan.operation == "create":
        elements.append(line("creates ", name(plan.stack), dim(f" with {many(len(plan.changes), 'resource')}")))
    else:
        elements.append(line("updates ", name(plan.stack), dim(f": {many(len(plan.changes), 'resource')}")))
        for change in plan.changes:
            named = ", ".join(p.path for p in change.properties[:4]) + (" …" if len(change.properties) > 4 else "")
            lost = bad("  data would be lost") if change.loses_data else ""
            replaced = bad("  replaced") if change.action == "replace" else ""
            elements.append(
                line(
                    marks.get(change.action, dim("?")),
                    " ",
                    name(change.path or change.logical_id),
                    dim(f"  {named}" if named else ""),
                    replaced,
                    outside.get(change.action, ""),
                    lost,
                    indent=2,
                )
            )
        if plan.widens:
            elements.append(line(Text("allows more than before:", Style.WARN)))
            elements += [
                line(bad("!"), " ", name(w.path or w.logical_id), f"  {w.what}", indent=2) for w in plan.widens
            ]
    return elements


def drained_views(drained: s.Drained) -> list[Element]:
    """What was found out about the events of a drain, and what could not be."""
    elements: list[Element] = [
        line(good("drained"), f": the queue stayed empty for {drained.empty_s:.0f} s, and a last receive found nothing")
    ]
    if drained.accepted is not None:
        said = f"{many(drained.accepted, 'request')} of clients since the intake began to close, by the access log"
        elements.append(line("accepted: ", said, indent=2))
    if drained.received is not None:
        ends = ", ".join(f"{count:,} {status}" for status, count in sorted(drained.by_status.items(), reverse=True))
        each = f"each of the {many(drained.received, 'event')} that the functions received since then has its record"
        said = f"{each}: {ends}" if drained.received else "no event was received since then"
        elements.append(line("records: ", said, indent=2))
    if drained.dlq:
        new = f", {drained.dlq_new:,} of them new" if drained.dlq_new else ""
        elements.append(line(bad("DLQ: "), f"{many(drained.dlq, 'message')}{new}, deleted with the stack", indent=2))
    return [*elements, *(line(Text("not checked: ", Style.WARN), said, indent=2) for said in drained.unchecked)]


def outputs_views(outputs: s.Outputs) -> list[Element] | None:
    """The outputs that are new or have another value: all of them after the first deploy."""
    changed = [(key, value) for key, value in outputs.outputs.items() if key in outputs.changed]
    return [Fields(changed)] if changed else None


def result_views(result: s.Result) -> list[Element]:
    """The last line; of a failure, what its function logged."""
    if result.status == "failed":
        cause = result.cause
        if cause is None or not cause.logs:
            return []
        return [
            line(Text(f"log of {cause.path or cause.logical_id}:", Style.DIM)),
            *(line(dim(text), indent=2) for text in cause.logs),
        ]
    if result.status == "restored":
        parts = ", ".join(result.restored)
        return [line(good("restored"), " ", name(result.stack), f": {parts}", dim(f", in {result.elapsed_s:.1f} s"))]
    count = f", {many(result.resources, 'resource')}" if result.resources else ""
    return [line(good(result.status), " ", name(result.stack), dim(f"{count} in {result.elapsed_s:.1f} s"))]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
