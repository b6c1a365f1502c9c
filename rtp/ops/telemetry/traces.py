"""One trace as a tree, and the traces of an event: its message's and those of its invocations."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.aws import records, traces
from rtp.aws.traces import is_trace_id, quoted
from rtp.contract import Output
from rtp.errors import NotFoundError, UsageError
from rtp.ops.telemetry import linking, trace_list, transaction_search
from rtp.ops.telemetry.segments import trace
from rtp.runtime import wire
from rtp.text import suggest, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rtp.aws import Aws
    from rtp.ops.telemetry.segments import Trace

DAY_MS = 86_400_000
_MOST_LINKED = 20  # linked traces that are read to find an event's parts


def get(aws: Aws, trace_id: str) -> Trace:
    """Read a trace; where it has no event of its own, with the traces that it is linked with. Raises NotFoundError."""
    trees = _read(aws, [trace_id])
    if not trees:
        raise NotFoundError(
            f"X-Ray has no trace {trace_id}.",
            hint="X-Ray shows a trace some seconds after its event and keeps it for 30 days; `rtp traces` lists them."
            + _why_missing(aws),
            code="no-trace",
        )
    return trees[0] if trees[0].event_ids else linking.with_linked(trees[0], _linked(aws, trees))


def resolve(aws: Aws, outputs: Mapping[str, str], stack: str, text: str) -> Trace:
    """The trace with this id, or the newest trace of the event with this id. Raises NotFoundError."""
    if is_trace_id(text):
        return get(aws, text)
    if not 0 < len(text) <= wire.MAX_NAME:
        raise UsageError("This is neither the id of a trace nor of an event.", hint="`rtp traces` lists both.")
    candidates = for_event(aws, stack, text, records=records.by_id(aws, outputs[Output.TABLE], text))
    if not candidates:
        raise NotFoundError(
            f"X-Ray has no trace of event {text}.",
            hint=suggest.sentence("{} shows its record and log lines. ", suggest.command("rtp", "show", values=(text,)))
            + "A trace appears some seconds after its event, if it was sampled."
            + _why_missing(aws),
            code="no-trace",
        )
    return candidates[-1]


def for_event(
    aws: Aws,
    stack: str,
    event_id: str,
    *,
    records: Iterable[Mapping[str, Any]] = (),
    since: int | None = None,
    until: int | None = None,
) -> list[Trace]:
    """An event's traces, oldest first: those of its records and their links, or those that have its id.

    since, until: limits of that search, epoch ms; by default the last 24 hours.
    """
    message_of = pairs(records)
    trees = _read(aws, [*dict.fromkeys([*message_of.values(), *message_of])])
    if not trees:
        until = times.now_ms() if until is None else until
        query = trace_list.TraceQuery(
            since=until - DAY_MS if since is None else since,
            until=until,
            expression=f"annotation.event_id = {quoted(event_id)}",
        )
        trees = _read(aws, [s.id for s in trace_list.find(aws, stack, query).traces])
        if not trees and transaction_search.why_partial(aws):
            trees = transaction_search.of_event(aws, event_id, since=query.since, until=query.until)
    trees += [t for t in _linked(aws, trees) if event_id in t.event_ids]
    return linking.joined(event_id, trees, {i: m for i, m in message_of.items() if i != m})


def pairs(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Id of each trace in records and their attempts -> id of the message's trace, oldest first.

    An event that came without a message has the invocation's trace alone, which is its own.
    """
    message_of: dict[str, str] = {}
    for record in records:
        attempts = record.get("attempts")
        for one in (*(attempts if isinstance(attempts, list) else ()), record):
            message = str(one.get("trace_id") or "")
            if is_trace_id(message):
                message_of.setdefault(message, message)
                invocation = str(one.get("invocation_trace_id") or "")
                if is_trace_id(invocation):
                    message_of[invocation] = message
    return message_of


def _read(aws: Aws, trace_ids: list[str]) -> list[Trace]:
    """Traces by id: X-Ray's, and of those that it does not index the ones that their spans make."""
    documents = {
        str(raw["Id"]): [str(s.get("Document") or "") for s in raw["Segments"]] for raw in traces.whole(aws, trace_ids)
    }
    missing = [i for i in trace_ids if i not in documents]
    if missing and transaction_search.why_partial(aws):
        documents |= transaction_search.whole(aws, missing)
    return [trace(i, documents[i]) for i in trace_ids if i in documents]


def _linked(aws: Aws, trees: list[Trace]) -> list[Trace]:
    """The traces that these are linked with, without themselves."""
    known = {t.id for t in trees}
    links = dict.fromkeys(link for t in trees for link in t.links if is_trace_id(link) and link not in known)
    return _read(aws, list(islice(links, _MOST_LINKED)))


def _why_missing(aws: Aws) -> str:
    partial = transaction_search.why_partial(aws)
    return f" {partial}{transaction_search.READS}" if partial else ""
