"""rtp traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import Since, Until, new_app, with_session
from rtp.commands.reader import end_with_reader
from rtp.commands.render.trace import outcome, waterfall
from rtp.commands.render.trace_page import page
from rtp.commands.session import Session
from rtp.config import Overrides
from rtp.contract import API_STAGE
from rtp.errors import UsageError
from rtp.ops import files
from rtp.ops.telemetry import tracelogs
from rtp.ops.telemetry import traces as op
from rtp.text import times
from rtp.text.elements import Cell, Column, Element, Table, Text, dim, line, name

app = new_app(help="List traces, or show one.")

_WIDE = 132  # columns from which on the event's id and the date fit too


@app.callback(invoke_without_command=True)
@with_session
def traces(
    session: Session,
    *,
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    since: Since = None,
    until: Until = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only those with an error or a fault.")] = False,
    slow: Annotated[
        int | None, typer.Option("--slow", min=0, metavar="MS", help="Only those that took so long.")
    ] = None,
    expression: Annotated[
        str | None, typer.Option("--filter-expression", help="X-Ray's filter expression, beside the other filters.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, newest first.")] = 50,
) -> None:
    """List traces, or show one.

    Only those of this stack are listed, the newest first.
    """
    if ctx.invoked_subcommand is not None:
        if session.overrides != Overrides() or session.out.json:
            raise UsageError(f"Options go after `{ctx.invoked_subcommand}`.")
        return
    if follow and until is not None:
        raise UsageError("--until ends what --follow goes on with.", hint="Leave one of them out.")
    out, names = session.out, session.environment.names
    query = op.TraceQuery(
        since=times.parse_when(since or ("now" if follow else times.DEFAULT_WINDOW)),
        until=times.parse_when(until or "now"),
        errors=errors,
        slow_ms=slow,
        expression=expression,
        limit=limit,
    )
    if query.until < query.since:
        raise times.backwards(query.since, query.until)
    _ = session.outputs_to_read  # so that a missing stack is reported as such
    if follow:
        end_with_reader()
        if out.animated:
            out.say(line(dim("following; Ctrl-C ends")))
        for summary in op.follow(session.aws, names.stack, query, notify=out.warn):
            out.event("trace", summary, lambda s: _row(s, names.stack))
        return
    found = op.find(session.aws, names.stack, query)
    out.result(found, lambda f: _list(f, query.since, names.stack, out.width))
    if found.more and not out.json:
        out.say(line(dim(f"there are more than {limit}; raise --limit or narrow the time")))


@app.command()
@with_session
def show(
    session: Session,
    *,
    trace: Annotated[str, typer.Argument(metavar="ID", help="A trace's id, or an event's.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page of its own to this file.")] = None,
) -> None:
    """Show one trace as a waterfall, with exceptions and the log lines in place."""
    if html is not None:
        files.check(html)
    out = session.out
    found = op.resolve(session.aws, session.outputs_to_read, session.environment.names.stack, trace)
    lines = tracelogs.of(session.aws, session.outputs_to_read, found) if html or not out.json else []
    if html is not None:
        files.write(html, page(found, lines), private=True)
    stack, block = session.environment.names.stack, out.glyph("█", "=")
    out.result(found, lambda f: waterfall(f, lines, width=out.width, block=block, stack=stack))
    if html is not None:
        out.say(line(dim("page "), name(str(html))))


def _list(found: op.Traces, since: int, stack: str, width: int) -> list[Element]:
    wide = width >= _WIDE
    rows: list[list[Cell]] = [
        [
            times.stamp(times.parse_when(s.start))[0 if wide else 11 :],
            times.span(s.duration_ms),
            _outcome(s),
            _request(s, stack),
            name(s.id),
            *([dim(s.event_id or "-")] if wide else []),
        ]
        for s in found.traces
    ]
    columns: list[Column | str] = [
        "TIME",
        Column("TOOK", right=True),
        "OUTCOME",
        "REQUEST",
        Column("TRACE", whole=True),
    ]
    columns += ["EVENT"] if wide else []
    return [Table(columns, rows, empty=f"no traces since {times.stamp(since)}")]


def _row(s: op.Summary, stack: str) -> Element:
    """One line of a stream."""
    how = _outcome(s)
    return line(
        dim(times.clock(times.parse_when(s.start)) + " "),
        times.span(s.duration_ms).rjust(8) + "  ",
        Text(how.text.ljust(7) + " ", how.style),
        _request(s, stack).ljust(17) + " ",
        name(s.id),
        dim(f"  {s.event_id}" if s.event_id else ""),
    )


def _outcome(s: op.Summary) -> Text:
    return outcome(fault=s.fault, error=s.error, throttle=s.throttle, partial=s.partial)


def _request(s: op.Summary, stack: str) -> str:
    if s.method and s.path:
        return f"{s.method} {s.path.removeprefix('/' + API_STAGE)} {s.http_status or ''}".strip()
    return (s.entry or "").removeprefix(f"{stack}-")
