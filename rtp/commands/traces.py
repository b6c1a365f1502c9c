"""rtp traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion, ids, page
from rtp.commands.count_options import Release
from rtp.commands.options import ListGroup, Since, Until, new_app, option_group, with_session
from rtp.commands.page import Html
from rtp.commands.reader import end_with_reader
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.terminal import width as width_of
from rtp.text import times
from rtp.text.elements import Cell, Column, Element, Table, Text, dim, line, name

if TYPE_CHECKING:
    from rtp.ops.telemetry import trace_list

app = new_app(cls=ListGroup, help="List traces, or show one.")


@option_group
class TraceOptions:
    """Which traces to list."""

    since: Since = None
    until: Until = None
    errors: Annotated[bool, typer.Option("--errors", help="Only traces with an error or a fault.")] = False
    slow: Annotated[
        int | None, typer.Option("--slow", min=0, metavar="MS", help="Only traces of at least this duration.")
    ] = None
    expression: Annotated[
        str | None,
        typer.Option("--filter-expression", metavar="TEXT", help="X-Ray filter expression that must match too."),
    ] = None
    release: Release = None
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=100_000, metavar="N", help="Maximum number of traces, the newest first."),
    ] = 50

    def query(self, *, follow: bool) -> trace_list.TraceQuery:
        """The query; `follow` starts now. Raises UsageError."""
        from rtp.ops.telemetry import trace_list

        query = trace_list.TraceQuery(
            since=times.parse_when(self.since or ("now" if follow else times.DEFAULT_WINDOW), option="--since"),
            until=times.parse_when(self.until or "now", option="--until"),
            errors=self.errors,
            slow_ms=self.slow,
            expression=self._expression(),
            limit=self.limit,
        )
        if query.until < query.since:
            raise times.backwards(query.since, query.until)
        return query

    def _expression(self) -> str | None:
        """The filter expression with the release. Raises UsageError."""
        from rtp.ops import releases

        if self.release is None:
            return self.expression
        annotated = releases.annotated(releases.parsed(self.release))
        return annotated if self.expression is None else f"({self.expression}) AND {annotated}"


@app.callback(invoke_without_command=True)
@with_session
def traces(
    session: Session,
    *,
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep listing new traces.")] = False,
    options: TraceOptions,
) -> None:
    """List traces, or show one.

    Lists this stack's traces, the latest changed first. `rtp traces ID` shows one, as `rtp traces show ID` does.
    """
    from rtp.config import Overrides
    from rtp.ops.telemetry import trace_list

    if ctx.invoked_subcommand is not None:
        if session.overrides != Overrides() or session.out.json:
            raise UsageError(f"Options go after `{ctx.invoked_subcommand}`.")
        return
    if follow and options.until is not None:
        raise UsageError("--follow and --until exclude each other.", hint="Leave one of them out.")
    out, stack = session.out, session.environment.names.stack
    query = options.query(follow=follow)
    _ = session.outputs_to_read  # raises where the stack does not exist
    if follow:
        end_with_reader()
        if out.animated:
            out.say(line(dim("following; Ctrl-C ends")))
        for summary in trace_list.follow(session.aws, stack, query, notify=out.warn):
            out.event("trace", summary, lambda s: _row(s, stack))
        return
    result = trace_list.find(session.aws, stack, query)
    ids.remember_traces(session, result.traces)
    out.result(result, lambda found: _list(found, query, session.environment.name, stack))
    if result.more and not out.json:
        out.say(line(dim("raise --limit or narrow the time to see the others")))
    if isinstance(result.note, str) and not out.json:
        out.say(line(dim(result.note)))


@app.command()
@with_session
def show(
    session: Session,
    *,
    trace_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A trace's id, or an event's; or a beginning or end of it that only one has.",
            autocompletion=completion.trace_ids,
        ),
    ],
    html: Html = None,
) -> None:
    """Show one trace as a waterfall with its exceptions and log lines."""
    from rtp.commands.render import trace as render_trace
    from rtp.commands.render import trace_page as render_trace_page
    from rtp.ops.telemetry import tracelogs
    from rtp.ops.telemetry import traces as op

    page.check(html)
    out, stack, block = session.out, session.environment.names.stack, session.out.glyph("█", "=")
    trace_id = ids.trace_or_event_id(session, trace_id)
    trace = op.resolve(session.aws, session.outputs_to_read, stack, trace_id)
    lines, more = tracelogs.TraceLines([])
    if html or not out.json:
        lines, more = tracelogs.of(session.aws, session.outputs_to_read, trace)
    with page.written(out, html, lambda: render_trace_page.page(trace, lines)):
        out.result(trace, lambda t: render_trace.waterfall(t, lines, width=out.width, block=block, stack=stack))
    if more and not out.json:
        out.say(line(dim("there are more log lines; `rtp logs --trace-id` has them all")))


def _list(result: trace_list.Traces, query: trace_list.TraceQuery, env: str, stack: str) -> list[Element]:
    from rtp.commands.render.headings import count, heading, window

    rows: list[list[Cell]] = [
        [
            times.recent(times.parse_when(s.updated)),
            times.span(s.duration_ms),
            _outcome(s),
            _request(s, stack),
            name(s.id),
            s.event_type or "",
            dim(s.event_id or ""),
            s.cause or "",
        ]
        for s in result.traces
    ]
    columns = [
        Column("CHANGED", whole=True),
        Column("TOOK", right=True, drop=4),
        Column("OUTCOME", whole=True),
        Column("REQUEST", drop=2),
        Column("TRACE", tail=True),
        Column("TYPE", drop=3),
        Column("EVENT", tail=True, drop=1),
        Column("ERROR", long=True, least=10),
    ]
    filters = [
        "with errors" if query.errors else "",
        f"of at least {times.span(query.slow_ms)}" if query.slow_ms is not None else "",
        f"matching {query.expression}" if query.expression else "",
    ]
    first = heading("traces", env, count(len(rows), more=result.more), filters, window(query.since, query.until))
    return [first, Table(columns, rows)] if rows else [first]


def _row(s: trace_list.Summary, stack: str) -> Element:
    """A line of --follow."""
    how = _outcome(s)
    return line(
        dim(times.clock(times.parse_when(s.updated)) + " "),
        times.span(s.duration_ms).rjust(8) + "  ",
        Text(how.text.ljust(7) + " ", how.style),
        width_of.left(_request(s, stack), 17) + " ",
        name(s.id),
        dim(f"  {s.event_id}" if s.event_id else ""),
    )


def _outcome(s: trace_list.Summary) -> Text:
    from rtp.commands.render import trace as render_trace

    return render_trace.outcome(fault=s.fault, error=s.error, throttle=s.throttle, partial=s.partial)


def _request(s: trace_list.Summary, stack: str) -> str:
    from rtp.contract import API_STAGE

    if s.method and s.path:
        return f"{s.method} {s.path.removeprefix('/' + API_STAGE)} {s.http_status or ''}".strip()
    return (s.entry or "").removeprefix(f"{stack}-")
