"""Send events, wait for their outcomes if requested, and sum up the result."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops.events import outcome
from rtp.ops.events.records import whole
from rtp.ops.events.send import send
from rtp.ops.events.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from rtp.aws import Aws
    from rtp.ops.events.payload import Payload
    from rtp.ops.events.send import SendRequest
    from rtp.ops.events.send_journal import SendJournal
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True)
class Progress:
    """Step: how far the run is. rate: events per second; outcomes: number of records by status, with `wait`."""

    sent: int
    total: int
    failed: int
    rate: float
    outcomes: dict[str, int]


def send_all(
    aws: Aws,
    outputs: Mapping[str, str],
    payload: Payload,
    request: SendRequest,
    *,
    stop: Stop,
    journal: SendJournal | None = None,
) -> Generator[Progress, None, Summary]:
    """Send every event. Returns the summary, also of a run that `stop` or an error ended after the first event.

    journal: gets the events that were answered. Raises what ends the run before any event was sent.
    """
    summary = Summary(len(payload), waits=request.wait)
    began = time.monotonic()
    try:
        for sent in send(aws, outputs, payload, request, stop=stop):
            summary.add(sent)
            if journal is not None:
                journal.note(sent)
            summary.elapsed_s = time.monotonic() - began
            yield _progress(summary)
    except RtpError as error:
        if not summary.sent:
            raise
        summary.failure = error
    finally:
        if journal is not None:
            journal.flush(has_ended=not summary.unsent and not journal.unanswered)
    if not stop.drain.is_set():
        pending = sorted(summary.pending)
        records = outcome.wait(
            aws, outputs[Output.TABLE], pending, timeout_s=request.timeout_s, stop=stop, has_ended=summary.has_ended
        )
        for record in records:
            summary.end(record)
            yield _progress(summary)
    if summary.single and summary.record is not None:
        (summary.record,) = whole(aws, outputs[Output.BUCKET], [summary.record])
    return summary


def _progress(summary: Summary) -> Progress:
    return Progress(summary.sent, summary.total, len(summary.failed), summary.rate, dict(summary.outcomes))
