"""rtp run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode, UsageError
from rtp.ops.events import payload
from rtp.ops.events import run as op
from rtp.text import json_values
from rtp.text.elements import Block, Element, Heading, Style, Text, bad, dim, line, name

app = new_app()

_STYLES = {"processed": Style.GOOD, "invalid": Style.BAD, "rejected": Style.WARN, "failed": Style.BAD}


@app.command()
@with_session
def run(
    session: Session,
    *,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="One event; - is standard input.", show_default=False)
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="JSON", help="The data of one event, with --type.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="The type of --data.")] = None,
    attempt: Annotated[int, typer.Option("--attempt", min=1, help="The attempt the processor is told of.")] = 1,
) -> None:
    """Run one event through the processors in this interpreter.

    Nothing is stored or sent. Start it under a debugger, or put breakpoint() into the processor.
    """
    if (file is None) == (data is None):
        raise UsageError("Give one event: a FILE, - or --data.", hint="For example `rtp run payloads/order.json`.")
    if data is not None:
        events = payload.of_data(data, kind)
    elif file == "-":
        events = payload.of_stream(sys.stdin.buffer, "standard input")
    else:
        events = payload.of_file(Path(file or ""))
    if len(events) != 1:
        raise UsageError(f"{file} holds {len(events)} events; run takes one.", hint="`rtp send` takes many.")
    ran = op.run(session.environment.processors, next(iter(events)).body, attempt=attempt)
    session.out.result(ran, _render)
    if ran.outcome != "processed":
        raise typer.Exit(ExitCode.FAILED)


def _render(ran: op.Run) -> list[Element]:
    by = f"by {ran.processor}" if ran.processor else "no processor: stored as it came"
    elements: list[Element] = [line(Text(ran.outcome, _STYLES[ran.outcome]), "  ", name(ran.type), "  ", dim(by))]
    elements += [line(bad(e["path"]), f"  {e['message']}", indent=2) for e in ran.errors]
    if ran.error is not None:
        elements.append(Block(ran.error.stack or f"{ran.error.type}: {ran.error.message}", indent=2))
    if ran.result is not None:
        elements += [Heading("Result"), Block(json_values.dumps(ran.result, indent=2), indent=2)]
    if ran.emitted:
        elements += [Heading("Emitted"), Block(json_values.dumps(ran.emitted, indent=2), indent=2)]
    return elements
