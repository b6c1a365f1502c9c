"""Run an operation of rtp/ops that yields its steps and returns its result."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import typer

from rtp.commands import interrupts
from rtp.text.elements import dim, line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rtp.commands.interrupts import Interruption, Notify
    from rtp.ops.work.pool import Stop
    from rtp.terminal.output import Elements, Output

_REDRAW_S = 0.1
_Step = TypeVar("_Step")
_Result = TypeVar("_Result")


def conduct(
    out: Output, operation: Callable[[Stop], Generator[_Step, None, _Result]], render: Callable[[_Step], Elements]
) -> tuple[_Result, Interruption]:
    """Run an operation to its end, with its latest step on a live line. Ctrl-C and SIGTERM end it gracefully."""
    with interrupts.graceful(remark(out)) as interruption, out.live() as live:
        drawn = time.monotonic()

        def show(step: _Step) -> None:
            nonlocal drawn
            if live.visible and time.monotonic() - drawn >= _REDRAW_S:  # steps may come by thousands a second
                live.update(render(step))
                drawn = time.monotonic()

        result = returned(operation(interruption.stop), show)
    return result, interruption


def returned(steps: Generator[_Step, None, _Result], show: Callable[[_Step], None]) -> _Result:
    """Show each step that a generator yields. Returns what it returns; closes it whatever happens."""
    with closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: _Result = end.value
                return result
            show(step)


def remark(out: Output) -> Notify:
    """A function that prints a remark on stderr."""
    return lambda text: out.say(line(dim(text)))


def exit_if(interruption: Interruption) -> None:
    """Exit with the signal's code after an interruption."""
    if interruption:
        raise typer.Exit(interruption.exit_code)
