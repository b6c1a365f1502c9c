"""rtp logs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion, ids
from rtp.commands.count_options import Release
from rtp.commands.options import Since, Until, new_app, option_group, with_session
from rtp.commands.reader import end_with_reader
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text import suggest, times
from rtp.text.elements import dim, line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.ops.telemetry import logs as op
    from rtp.text.regexes import Regex

app = new_app()

_LONGER = ("1h", "1d", "7d")  # windows to suggest when no line matches


class Format(StrEnum):
    """Output format of log lines."""

    SHORT = "short"
    DETAILED = "detailed"
    RAW = "raw"
    JSON = "json"


@option_group
class LogOptions:
    """Which lines to print."""

    since: Since = None
    until: Until = None
    pattern: Annotated[
        str | None, typer.Option("--filter", metavar="TEXT", help="CloudWatch filter pattern, applied by the service.")
    ] = None
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that match this expression (RE2).")
    ] = None
    exclude: Annotated[
        str | None, typer.Option("--exclude", metavar="REGEX", help="No lines that match this expression (RE2).")
    ] = None
    errors: Annotated[bool, typer.Option("--errors", help="Only errors, each with the other lines of its event.")] = (
        False
    )
    context: Annotated[
        int,
        typer.Option(
            "--context", min=0, max=1000, metavar="N", help="Also N lines before and after each that matches."
        ),
    ] = 0
    highlight: Annotated[
        str | None, typer.Option("--highlight", metavar="REGEX", help="Mark what matches this expression (RE2).")
    ] = None
    level: Annotated[
        str | None,
        typer.Option(
            "--level", help="Minimum level: DEBUG, INFO, WARNING, ERROR or CRITICAL.", autocompletion=completion.levels
        ),
    ] = None
    event_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="Only lines of this event; a beginning or end of its id that only one event has is enough.",
            autocompletion=completion.event_ids,
        ),
    ] = None
    request_id: Annotated[str | None, typer.Option("--request-id", help="Only lines of this function request.")] = None
    trace_id: Annotated[str | None, typer.Option("--trace-id", help="Only lines of this trace.")] = None
    release: Release = None
    function: Annotated[
        list[str] | None,
        typer.Option(
            "--function", "-n", help="processor or worker (default: both).", autocompletion=completion.functions
        ),
    ] = None

    def query(self, event_id: str | None) -> op.LogQuery:
        """The query, for the event with this whole id. Raises UsageError."""
        from rtp.ops import releases
        from rtp.ops.telemetry import logs as op

        default = op.since_of(id=event_id, request_id=self.request_id, trace_id=self.trace_id)
        query = op.LogQuery(
            since=times.parse_when(self.since, option="--since") if self.since else default,
            until=times.parse_when(self.until, option="--until") if self.until else None,
            functions=tuple(self.function or ()),
            pattern=self.pattern,
            grep=self.grep,
            exclude=self.exclude,
            context=self.context,
            errors=self.errors,
            level=self.level,
            id=event_id,
            request_id=self.request_id,
            trace_id=self.trace_id,
            release=None if self.release is None else releases.parsed(self.release),
        )
        if query.until is not None and query.until < query.since:
            raise times.backwards(query.since, query.until)
        chosen = [name for name, value in (("--errors", self.errors), ("--context", self.context)) if value]
        if len(chosen) == 2:
            raise UsageError("--errors and --context exclude each other.", hint="Leave one of them out.")
        if chosen and self.pattern:
            hint = "Use --grep, which is applied here."
            raise UsageError(
                f"--filter is applied by CloudWatch, which then has no other lines for {chosen[0]}.", hint=hint
            )
        return query

    def mark(self) -> Regex | None:
        """What to mark: of --highlight, else of --grep. Raises UsageError."""
        from rtp.text import regexes

        name, text = ("--highlight", self.highlight) if self.highlight is not None else ("--grep", self.grep)
        return None if text is None else regexes.compiled(text, option=name)


@app.command()
@with_session
def logs(
    session: Session,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", "--tail", "-t", help="Keep printing new lines.")] = False,
    options: LogOptions,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.SHORT,
) -> None:
    """Show or follow the logs of both functions.

    Lines are merged in time order. The short format omits metrics and platform lines.
    """
    from rtp.ops.telemetry import logs as op

    if follow and options.until is not None:
        raise UsageError("--follow and --until exclude each other.", hint="Leave one of them out.")
    out = session.out
    out.json = out.json or form is Format.JSON
    event_id = None if options.event_id is None else ids.event_id(session, options.event_id)
    query, mark = options.query(event_id), options.mark()
    if follow:
        end_with_reader()
        if out.animated:
            out.say(line(dim("following; Ctrl-C ends")))
        _write(session, op.follow(session.aws, session.outputs_to_read, query, notify=out.warn), form, mark)
        return
    # The functions' names follow from the configuration; the stack is only looked up when no line matches.
    missing: set[str] = set()
    with out.gathered():
        count = _write(session, op.read(session.guarded, _functions(session), query, missing=missing), form, mark)
    if missing:
        _ = session.outputs_to_read  # without a stack, that is the error
        for group in sorted(missing):
            out.warn(f"There is no log group {group}. If it was deleted by hand, `rtp deploy` creates it again.")
    if not count:
        _ = session.outputs_to_read
        if not out.json:
            longer = next((t for t in _LONGER if times.parse_when(t) < query.since), "EARLIER")
            earlier = suggest.sentence("; to search further back, use {}", suggest.option("since", longer))
            out.say(line(dim(f"no matching lines since {times.stamp(query.since)}{earlier}")))


def _functions(session: Session) -> dict[str, str]:
    from rtp.contract import Output

    names = session.environment.names
    return {Output.PROCESSOR: names.processor, Output.WORKER: names.worker}


def _write(session: Session, events: Iterator[op.LogEvent], form: Format, mark: Regex | None) -> int:
    """Print events as they arrive; returns their number."""
    from rtp.commands.render import logs as render_logs

    out, count = session.out, 0
    render = (render_logs.detailed if form is Format.DETAILED else render_logs.short)(out.width, mark)
    for event in events:
        count += 1
        if form is Format.RAW and not out.json:
            out.verbatim(event.raw.rstrip("\n") + "\n")
        else:
            out.event("log", event, render)
    return count
