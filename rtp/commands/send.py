"""rtp send."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import known_types
from rtp.commands import send_resume as resuming
from rtp.commands.event_source import EventSource
from rtp.commands.operation import conduct, exit_if
from rtp.commands.options import new_app, option_group, with_session
from rtp.commands.session import Session
from rtp.errors import AwsError, ExitCode
from rtp.ops.events.sent import Via
from rtp.text.elements import line, warn

if TYPE_CHECKING:
    from rtp.ops.events.payload import Payload
    from rtp.ops.events.send import SendRequest

app = new_app()


@option_group
class SendOptions:
    """How to send the events."""

    via: Annotated[
        Via,
        typer.Option(
            "--via", help="api: answered when processed; events: answered when queued; sqs: to the queue, without API."
        ),
    ] = Via.API
    count: Annotated[
        int,
        typer.Option("--count", min=1, max=10_000_000, metavar="N", help="Send each event N times, with new ids."),
    ] = 1
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, metavar="N", help="Maximum number of events per second.")
    ] = None
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=256, metavar="N", help="Number of requests at once.")
    ] = 8
    wait: Annotated[bool, typer.Option("--wait", help="Wait until each event is processed or dead.")] = False
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Maximum time to retry one event, and for --wait."),
    ] = 60.0

    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted send of FILE: send what has no answer, with its ids."),
    ] = False

    def request(self, events: Payload) -> SendRequest:
        """The request that these options make."""
        from rtp.ops.events.send import SendRequest

        return SendRequest(
            via=self.via,
            concurrency=min(self.concurrency, len(events)),
            rate=self.rate,
            wait=self.wait,
            timeout_s=self.timeout,
        )


@app.command()
@with_session
def send(session: Session, *, source: EventSource, options: SendOptions) -> None:
    """Send events through the API with the stack's own key.

    Throttled and unanswered requests are retried; an event's id keeps it from running twice.
    """
    from rtp.commands.render import sent as render_sent
    from rtp.ops.events import batch

    events = source.payload().repeated(options.count)
    known_types.warn_unknown(session, source.kind)
    out, aws, outputs = session.out, session.aws, session.outputs
    journal = resuming.journal(session, source, options.via, len(events), resume=options.resume)
    if journal is not None:
        events = events.recorded(journal)
    request = replace(options.request(events), notify=out.warn)
    summary, interruption = conduct(
        out,
        lambda stop: batch.send_all(aws, outputs, events, request, stop=stop, journal=journal),
        render_sent.progress,
    )
    if out.json:
        out.document(summary.document())
    else:
        rest = resuming.write_failures(session, summary.failed) if len(summary.failed) > render_sent.LISTED else None
        out.show(render_sent.summary(summary, rest))
    if journal is not None and (summary.unsent or journal.unanswered):
        out.say(*resuming.suggestion(source, options.via, options.count, summary.unsent + journal.unanswered))
    if summary.failure is not None:
        out.warn(summary.failure.message)
    if not interruption and summary.is_pipeline_suspect:
        _name_missing(session)
    exit_if(interruption)
    if summary.failure is not None or summary.has_failures:
        raise typer.Exit(ExitCode.FAILED)
    if summary.pending:
        pending = f"{len(summary.pending):,} not processed within {request.timeout_s:g} s; the pipeline continues"
        out.say(line(warn("timed out: "), pending))
        raise typer.Exit(ExitCode.TIMED_OUT)


def _name_missing(session: Session) -> None:
    """Name what is missing of the stack: the answer of an API whose table or function is gone does not."""
    from rtp.ops.stack.compare import missing

    try:
        found = missing.find(session.aws, session.environment.names.stack)
    except AwsError:
        return  # what the send itself has met is the better message
    for each in found.missing:
        session.out.warn(f"{each.problem[0].upper()}{each.problem[1:]}.")
