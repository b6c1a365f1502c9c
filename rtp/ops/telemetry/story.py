"""Everything about one event: its record, attempts, log lines, traces, and its message in the dead-letter queue."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.aws import queues, records
from rtp.contract import Output
from rtp.errors import NotFoundError, RtpError, UsageError
from rtp.ops.dlq import inspect
from rtp.ops.dlq.ending import BRIEF
from rtp.ops.dlq.filters import Filters
from rtp.ops.events import archive
from rtp.ops.events.outcome import has_ended
from rtp.ops.events.records import whole
from rtp.ops.telemetry import logs, traces, transaction_search
from rtp.ops.work import pool
from rtp.text import times
from rtp.text.elements import many
from rtp.text.json_values import OMITTED, Omitted

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.events.archive import RawEvent
    from rtp.ops.events.outcome import Record
    from rtp.ops.telemetry.logs import LogEvent
    from rtp.ops.telemetry.segments import Trace
    from rtp.ops.work.pool import Stop

MOST_LINES, MOST_MESSAGES = 500, 200  # log lines shown, and messages of the DLQ read
_BEFORE_MS, _AFTER_MS = 60_000, 120_000  # around the attempts: clocks differ, and Lambda reports late
_LONGEST_ID = 2048  # bytes of a DynamoDB key


@dataclass(frozen=True, slots=True)
class StoryDocument:
    """All that is known of one event.

    record: the newest record of this id. attempts: those of that record. logs: the event's log lines, oldest first.
    trace: the newest trace. dlq: the event's message in the dead-letter queue.
    other_records, other_traces: older ones, oldest first, where there are any.
    gaps: what could not be read, and why.
    """

    record: Record | None
    attempts: list[dict[str, Any]]
    logs: list[LogEvent]
    trace: Trace | None
    dlq: DlqMessage | None
    other_records: list[Record] | Omitted = OMITTED
    other_traces: list[Trace] | Omitted = OMITTED
    gaps: list[str] | Omitted = OMITTED


@dataclass(slots=True)
class Story:
    """What was found about an event. raw: its newest delivery as archived. gaps: what could not be read, and why."""

    id: str
    records: list[dict[str, Any]] = field(default_factory=list)  # newest last
    lines: list[LogEvent] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)  # newest last
    dlq_message: DlqMessage | None = None
    raw: RawEvent | None = None
    gaps: list[str] = field(default_factory=list)

    @property
    def record(self) -> dict[str, Any] | None:
        """The newest record; an id that was used with several timestamps has several."""
        return self.records[-1] if self.records else None

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """The attempts of the newest record."""
        attempts = (self.record or {}).get("attempts")
        return attempts if isinstance(attempts, list) else []

    @property
    def trace(self) -> Trace | None:
        """The newest trace."""
        return self.traces[-1] if self.traces else None

    @property
    def exists(self) -> bool:
        """Whether anything was found."""
        return bool(self.records or self.lines or self.traces or self.dlq_message)

    def document(self) -> StoryDocument:
        """As JSON."""
        return StoryDocument(
            record=self.record,
            attempts=self.attempts,
            logs=self.lines,
            trace=self.trace,
            dlq=self.dlq_message,
            other_records=self.records[:-1] or OMITTED,
            other_traces=self.traces[:-1] or OMITTED,
            gaps=self.gaps or OMITTED,
        )


def read(aws: Aws, outputs: dict[str, str], stack: str, event_id: str, *, stop: Stop, with_raw: bool = False) -> Story:
    """Read all parts concurrently. Raises NotFoundError where nothing names the event.

    with_raw: also the archived text of its newest delivery.
    """
    _check(event_id)
    story = Story(event_id)
    stored = records.by_id(aws, outputs[Output.TABLE], event_id)
    since, until = _window(event_id, stored)

    def read_lines() -> None:
        query = logs.LogQuery(since=since, until=until, id=event_id)
        lines = (e for e in logs.read(aws, outputs, query) if e.kind != "metrics")
        story.lines = list(islice(lines, MOST_LINES))
        if next(lines, None) is not None:
            story.gaps.append(f"log lines: there are more than {MOST_LINES}; `rtp logs --id` has them all")

    def read_traces() -> None:
        story.traces = traces.for_event(aws, stack, event_id, records=stored, since=since, until=until)
        if not story.traces and (partial := transaction_search.why_partial(aws)):
            story.gaps.append(f"traces: {partial} Its spans are not in {transaction_search.GROUP} either.")

    def read_dlq_message() -> None:
        if stored and all(has_ended(r) and r["status"] == "processed" and "conflicts" not in r for r in stored):
            return  # inspecting a queue hides its messages for a moment, and there is no need to
        story.dlq_message, gap = dlq_message_of(aws, outputs, event_id, stop=stop)
        story.gaps += [gap] if gap else []

    def read_records() -> None:
        story.records = whole(aws, outputs[Output.BUCKET], stored)

    def read_raw() -> None:
        key = str(stored[-1].get("raw_key") or "") if stored else ""
        story.raw = archive.at(aws, outputs[Output.BUCKET], key) if key else None

    aws.connect("logs", "xray", "sqs", "s3")
    parts: dict[str, Callable[[], None]] = {
        "records": read_records,
        "log lines": read_lines,
        "traces": read_traces,
        "the dead-letter queue": read_dlq_message,
        **({"the archive": read_raw} if with_raw else {}),
    }
    for name, error in pool.gather(parts).items():
        if isinstance(error, RtpError):
            story.gaps.append(f"{name}: {error.message}")
        elif error is not None:
            raise error
    if not story.records:
        story.records = stored
    if not story.exists:
        raise _nothing(aws, outputs, event_id, story.gaps)
    return story


def dlq_message_of(
    aws: Aws, outputs: dict[str, str], event_id: str, *, stop: Stop, most: int = MOST_MESSAGES
) -> tuple[DlqMessage | None, str]:
    """The DLQ message of an event among about `most` that are read, and what to say where others were not read."""
    inspection = inspect.inspect(
        aws, outputs, Filters(ids=(event_id,)), limit=1, stop=stop, patience=replace(BRIEF, most=most)
    )
    if inspection.messages:
        return inspection.messages[0], ""
    if inspection.depth <= most:
        return None, ""
    return None, (
        f"the dead-letter queue: about {most:,} of {inspection.depth:,} messages were read; "
        "`rtp dlq inspect --id` reads all"
    )


def _check(event_id: str) -> None:
    try:
        size = len(event_id.encode())
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= _LONGEST_ID:
        raise UsageError("This cannot be the id of an event.", hint="An id has 1 to 128 characters; see `rtp records`.")


def _window(event_id: str, stored: list[dict[str, Any]]) -> tuple[int, int]:
    """Start and end of the log lines, from the attempts: an event's own timestamp may be any time. Epoch ms."""
    now = times.now_ms()
    moments = [int(a["at"]) for r in stored for a in r.get("attempts") or () if a.get("at")]
    moments += [int(r[name]) for r in stored for name in ("accepted_at", "attempted_at", "processed_at") if r.get(name)]
    if not moments:
        return min(now, logs.since_of(id=event_id, request_id=None, trace_id=None)), now
    is_running = not all(has_ended(r) for r in stored)
    return min(moments) - _BEFORE_MS, now if is_running else min(now, max(moments) + _AFTER_MS)


def _nothing(aws: Aws, outputs: dict[str, str], event_id: str, gaps: list[str]) -> NotFoundError:
    waiting = queues.depth(aws, outputs[Output.QUEUE_URL]).total
    hint = "`rtp records` lists the stored events."
    if waiting:
        hint = f"The queue has {many(waiting, 'message')}; the event may be among them: repeat the command in a moment."
    unread = f" (not read: {'; '.join(gaps)})" if gaps else ""
    return NotFoundError(
        f"Event {event_id} was not found: no record, log line, trace or DLQ message has this id{unread}.",
        hint=hint,
        code="no-event",
    )
