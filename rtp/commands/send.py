"""rtp send."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtp.commands import interrupts
from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.contract import Output
from rtp.errors import ExitCode, RtpError, UsageError
from rtp.ops.events import outcome, payload
from rtp.ops.events import send as op
from rtp.ops.events.records import whole
from rtp.ops.events.sent import Sent, Via
from rtp.ops.events.summary import Summary
from rtp.text import json_values, suggest, times
from rtp.text.elements import Element, Line, Style, Text, advice, bad, cause, dim, line, name, next_step, warn

if TYPE_CHECKING:
    from rtp.ops.events.payload import Payload
    from rtp.terminal.output import Live

app = new_app()

_STYLES = {"processed": Style.GOOD, "accepted": Style.GOOD, "queued": Style.WARN, "failed": Style.BAD}
_REDRAW_S = 0.1
_SHOWN = 5  # kinds of failure in the summary
_FIXES = {
    403: "`rtp deploy` puts the API key right",
    404: "`rtp deploy` puts the API right",
    413: "an event may have 256 KiB",
    429: "--via sqs  goes past the API and its limits; --rate  keeps within them",
    503: "`rtp status` shows what is not well",
    None: "`rtp status` shows whether anything is there",
}
_RESULT_CHARACTERS = 2000


@app.command()
@with_session
def send(
    session: Session,
    *,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="One event, a JSON array, or one event a line; - is standard input."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="JSON", help="The data of one event, with --type.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--type", help="The type of --data.")] = None,
    via: Annotated[
        Via, typer.Option("--via", help="api: answered when processed; events: when queued; sqs: past the API.")
    ] = Via.API,
    count: Annotated[
        int, typer.Option("--count", min=1, max=10_000_000, help="Send it so many times, each time a new event.")
    ] = 1,
    rate: Annotated[float | None, typer.Option("--rate", min=0.001, help="At most so many events a second.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=256, help="Requests at once.")] = 8,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until each event is processed or dead.")] = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Longest repeat of one event, and longest --wait."),
    ] = 60.0,
) -> None:
    """Send events through the API with the stack's own key.

    What is throttled or unanswered is sent again; its id keeps it from running twice.
    """
    events = _payload(file, data, kind)
    if count > 1:
        events = events.repeated(count)
    out, outputs, aws = session.out, session.outputs, session.aws
    summary = Summary(len(events), waits=wait)
    begun = time.monotonic()
    failure: RtpError | None = None
    with interrupts.graceful(lambda text: out.say(line(dim(text)))) as interruption, out.live() as live:
        draw = _Progress(live, summary)
        try:
            for sent in op.send(
                aws,
                outputs,
                events,
                via=via,
                concurrency=min(concurrency, len(events)),
                rate=rate,
                timeout_s=timeout,
                stop=interruption.stop,
            ):
                summary.add(sent)
                summary.elapsed_s = time.monotonic() - begun
                draw()
        except RtpError as error:
            if not summary.sent:
                raise
            failure = error  # told after what was sent
        if summary.pending and not interruption.stop.drain.is_set():
            for record in outcome.wait(
                aws, outputs[Output.TABLE], sorted(summary.pending), timeout_s=timeout, stop=interruption.stop
            ):
                summary.end(record)
                draw()
    if summary.single and summary.record is not None:
        (summary.record,) = whole(aws, outputs[Output.BUCKET], [summary.record])
    if out.json:
        out.document(summary.document())
    else:
        out.show(_story(summary))
    if failure is not None:
        out.warn(failure.message)
    if interruption:
        raise typer.Exit(interruption.exit_code)
    if failure is not None or summary.bad:
        raise typer.Exit(ExitCode.FAILED)
    if summary.pending:
        out.say(line(warn("timed out: "), f"{len(summary.pending)} not processed within {timeout:g} s; it goes on"))
        raise typer.Exit(ExitCode.TIMED_OUT)


def _payload(file: str | None, data: str | None, kind: str | None) -> Payload:
    if (file is None) == (data is None):
        raise UsageError(
            "Name a file, - or --data." if file is None else "Name a file or --data, not both.",
            hint="For example `rtp send event.json`, or `rtp send --type order.created --data '{\"total\": 12.5}'`.",
        )
    if data is not None:
        return payload.of_data(data, kind)
    if kind is not None:
        raise UsageError("--type belongs to --data.", hint="The events of a file have their own types.")
    if file == "-":
        return payload.of_stream(sys.stdin.buffer, "standard input")
    return payload.of_file(Path(str(file)))


class _Progress:
    """One line that is redrawn while many events are on their way."""

    def __init__(self, live: Live, summary: Summary) -> None:
        self._live = live
        self._summary = summary
        self._drawn = time.monotonic()

    def __call__(self) -> None:
        if not self._live.visible or self._summary.wanted == 1 or time.monotonic() - self._drawn < _REDRAW_S:
            return
        self._drawn = time.monotonic()
        s = self._summary
        parts = [f"{s.sent:,} of {s.wanted:,} sent", f"{s.rate:,.0f}/s"]
        if s.waits and s.outcomes:
            parts.append(", ".join(f"{n:,} {status}" for status, n in sorted(s.outcomes.items())))
        elif s.unsent and s.rate:
            parts.append(f"{times.span(s.unsent / s.rate * 1000)} left")
        failed = [bad(f" · {len(s.failed):,} failed")] if s.failed else []
        self._live.update(line(" · ".join(parts), *failed))


def _story(summary: Summary) -> list[Element]:
    if summary.single and summary.last is not None:
        return _one(summary.last, summary.record)
    return _many(summary)


def _one(sent: Sent, record: dict[str, Any] | None) -> list[Element]:
    status = str(record["status"]) if record else sent.status
    elements: list[Element] = [
        line(
            Text(status, _STYLES.get(status, Style.BAD)),
            "  ",
            name(sent.id),
            f"  {sent.kind}",
            dim(f"  {sent.latency_ms:.0f} ms" if sent.http_status else ""),
        )
    ]
    if sent.repeat:
        elements.append(line(warn("repeat  "), "it was processed before; this is the stored answer", indent=2))
    error = (record or {}).get("error") if record else sent.error
    if error:
        elements.append(line(bad(str(error.get("type", ""))), f": {error.get('message', '')}", indent=2))
    result = (record or {}).get("result", sent.result)
    if result is not None:
        text = json_values.dumps(result)
        elements.append(line(dim("result  "), text[:_RESULT_CHARACTERS], indent=2))
    if sent.trace_id:
        elements.append(line(dim(f"trace   {sent.trace_id}"), indent=2))
    if sent.status == "failed" and sent.http_status in _FIXES:
        elements.append(line(dim("fix     "), advice(_FIXES[sent.http_status]), indent=2))
    if status != "processed" and sent.recorded:
        elements += next_step("next    ", suggest.command("rtp", "show", values=(sent.id,)), indent=2)
    return elements


def _many(s: Summary) -> list[Element]:
    counts = "  ".join(f"{n:,} {status}" for status, n in s.by_status.items())
    elements: list[Element] = [line(f"{s.sent:,} sent: {counts}") if s.sent else line("nothing was sent")]
    if s.repeats:
        elements.append(line(warn(f"{s.repeats:,} of them were processed before: "), "answered with what is stored"))
    if s.waits and s.outcomes:
        counted = "  ".join(f"{n:,} {status}" for status, n in sorted(s.outcomes.items()))
        elements.append(line(f"records: {counted}", warn(f"  {len(s.pending):,} not yet") if s.pending else ""))
    if s.sent:
        took = f"{times.span(s.elapsed_s * 1000)}, {s.rate:,.0f}/s"
        elements.append(dim(f"in {took}, p50 {s.percentile(50):.0f} ms, p99 {s.percentile(99):.0f} ms"))
    if s.unsent:
        elements.append(line(warn(f"{s.unsent:,} not sent")))
    statuses = {f.http_status for f in s.failed if f.status == "failed"}
    fixes = [line(dim("fix: "), advice(fix), indent=2) for status, fix in _FIXES.items() if status in statuses]
    return [*elements, *_reasons(s), *fixes]


def _reasons(s: Summary) -> list[Line]:
    """Why events failed, the most frequent reason first, each with one id to look at."""
    counted: Counter[str] = Counter()
    example: dict[str, str] = {}
    for sent in s.failed:
        reason = cause(sent.error)
        counted[reason] += 1
        example.setdefault(reason, f"line {sent.line}, {sent.id}" if sent.line else sent.id)
    told = {(sent.id, sent.timestamp) for sent in s.failed}
    for record in s.dead:
        if outcome.identity(record) in told:
            continue
        reason = f"dead: {cause(record.get('error'))}"
        counted[reason] += 1
        example.setdefault(reason, str(record["id"]))
    lines = [
        line(bad(f"{n:,} × "), reason, dim(f"  such as {example[reason]}"), indent=2)
        for reason, n in counted.most_common(_SHOWN)
    ]
    return lines + ([line(dim(f"and {len(counted) - _SHOWN} more reasons"), indent=2)] if len(counted) > _SHOWN else [])
