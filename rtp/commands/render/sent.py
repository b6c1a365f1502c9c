"""Render the result of sending events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rtp.ops.events import outcome
from rtp.ops.events.denied import missing_permission
from rtp.text import json_values, suggest, times
from rtp.text.elements import Element, Line, Style, Text, advice, bad, cause, dim, line, name, next_step, warn

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.events.batch import Progress
    from rtp.ops.events.sent import Sent
    from rtp.ops.events.summary import Summary

_STYLES = {"processed": Style.GOOD, "accepted": Style.GOOD, "queued": Style.WARN, "failed": Style.BAD}
_REASONS = 5
LISTED = 5  # failed events that are listed one by one
_RESULT_CHARACTERS = 2000
_FIXES = {
    403: "`rtp deploy` restores the stack's key; allowed_cidrs and auth in rtp.toml say who may call",
    404: "`rtp deploy` restores the API",
    409: "an event with other content needs an id of its own",
    413: "an event may have 256 KiB",
    429: "--via sqs  avoids the API and its limits; --rate  keeps within them",
    503: "`rtp status` shows what fails",
    None: "`rtp status` shows whether the stack exists",
}


def progress(step: Progress) -> list[Element]:
    """Progress of many events; nothing for a single one."""
    if step.total == 1:
        return []
    parts = [f"{step.sent:,} of {step.total:,} sent", f"{step.rate:,.0f}/s"]
    if step.outcomes:
        parts.append(", ".join(f"{n:,} {status}" for status, n in sorted(step.outcomes.items())))
    elif step.sent < step.total and step.rate:
        parts.append(f"{times.span((step.total - step.sent) / step.rate * 1000)} left")
    failed = [bad(f" · {step.failed:,} failed")] if step.failed else []
    return [line(" · ".join(parts), *failed)]


def summary(result: Summary, rest: Path | None = None) -> list[Element]:
    """The story of a single event, or counts, reasons and first failures of many. rest: a file with all of them."""
    if result.single and result.last is not None:
        return _one(result.last, result.record)
    return [*_many(result), *_failures(result, rest)]


def _failures(result: Summary, rest: Path | None) -> list[Element]:
    """The first events that failed, and where all of them are; a few are named by their reasons alone."""
    if len(result.failed) < 2:
        return []
    elements: list[Element] = [
        line(dim(f"line {sent.line}  " if sent.line else ""), name(sent.id), f"  {cause(sent.error)}", indent=2)
        for sent in result.failed[:LISTED]
    ]
    if rest is not None:
        elements.append(line(dim(f"and {len(result.failed) - LISTED:,} more; all of them in "), str(rest), indent=2))
    return elements


def _took(sent: Sent, record: dict[str, Any] | None) -> str:
    """How long the answer took, and of an event whose record was waited for, how long it took to its end."""
    if not sent.http_status:
        return ""
    ended = record and (record.get("processed_at") or record.get("attempted_at"))
    if not record or not ended or sent.status == "processed":
        return f"  {sent.latency_ms:.0f} ms"
    span = times.span(max(0, int(ended) - int(record.get("accepted_at") or ended)))
    return f"  answered in {sent.latency_ms:.0f} ms, {record['status']} after {span}"


def _one(sent: Sent, record: dict[str, Any] | None) -> list[Element]:
    status = str(record["status"]) if record else sent.status
    elements: list[Element] = [
        line(
            Text(status, _STYLES.get(status, Style.BAD)),
            "  ",
            name(sent.id),
            f"  {sent.kind}",
            dim(_took(sent, record)),
        )
    ]
    if sent.repeat:
        elements.append(line(warn("repeat  "), "it was processed before; this is the stored result", indent=2))
    error = (record or {}).get("error") if record else sent.error
    if error:
        elements.append(line(bad(str(error.get("type", ""))), f": {error.get('message', '')}", indent=2))
        if permission := missing_permission(str(error.get("message", ""))):
            elements.append(line(dim("fix     "), f"{permission}  in rtp.toml, then deploy", indent=2))
    result = (record or {}).get("result", sent.result)
    if result is not None:
        text = json_values.dumps(result)
        elements.append(line(dim("result  "), text[:_RESULT_CHARACTERS], indent=2))
    if sent.trace_id:
        elements.append(line(dim(f"trace   {sent.trace_id}"), indent=2))
    if (fix := _fix(sent)) in _FIXES:
        elements.append(line(dim("fix     "), advice(_FIXES[fix]), indent=2))
    if status != "processed" and (sent.recorded or status == "conflict"):
        elements += next_step("next    ", suggest.command("rtp", "show", values=(sent.id,)), indent=2)
    return elements


def _fix(sent: Sent) -> int | None:
    """The status of HTTP by which the fix is found; 0 without one."""
    if sent.status == "conflict":
        return 409
    return sent.http_status if sent.status == "failed" else 0


def _many(result: Summary) -> list[Element]:
    counts = "  ".join(f"{n:,} {status}" for status, n in result.by_status.items())
    elements: list[Element] = [line(f"{result.sent:,} sent: {counts}") if result.sent else line("nothing was sent")]
    if result.repeats:
        repeats = warn(f"{result.repeats:,} of them were processed before: ")
        elements.append(line(repeats, "answered with the stored results"))
    if result.waits and result.outcomes:
        outcomes = "  ".join(f"{n:,} {status}" for status, n in sorted(result.outcomes.items()))
        pending = warn(f"  {len(result.pending):,} pending") if result.pending else ""
        elements.append(line(f"records: {outcomes}", pending))
    if result.sent:
        duration = f"{times.span(result.elapsed_s * 1000)}, {result.rate:,.0f}/s"
        latency = f"p50 {result.percentile(50):.0f} ms, p99 {result.percentile(99):.0f} ms"
        elements.append(dim(f"in {duration}, {latency}"))
    if result.unsent:
        elements.append(line(warn(f"{result.unsent:,} not sent")))
    statuses = {_fix(sent) for sent in result.failed}
    fixes = [line(dim("fix: "), advice(fix), indent=2) for status, fix in _FIXES.items() if status in statuses]
    return [*elements, *_reasons(result), *fixes]


def _reasons(result: Summary) -> list[Line]:
    """The most frequent errors, each with one event that has it."""
    counts: Counter[str] = Counter()
    example: dict[str, str] = {}
    for sent in result.failed:
        reason = cause(sent.error)
        counts[reason] += 1
        example.setdefault(reason, f"line {sent.line}, {sent.id}" if sent.line else sent.id)
    failed = {(sent.id, sent.timestamp) for sent in result.failed}
    for record in result.dead:
        if outcome.identity(record) not in failed:
            reason = f"dead: {cause(record.get('error'))}"
            counts[reason] += 1
            example.setdefault(reason, str(record["id"]))
    lines = [
        line(bad(f"{n:,} × "), reason, dim(f"  such as {example[reason]}"), indent=2)
        for reason, n in counts.most_common(_REASONS)
    ]
    more = len(counts) - _REASONS
    return lines + ([line(dim(f"and {more} more reasons"), indent=2)] if more > 0 else [])
