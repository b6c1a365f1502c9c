"""Render a trace as one self-contained HTML page: no script, no network, every text escaped."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from rtp.ops.telemetry.waterfall import Row, rows, split
from rtp.text import json_values, times
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.telemetry.logevent import LogEvent
    from rtp.ops.telemetry.segments import Problem, Segment, Trace

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#667080;--line:#d9dee5;--ok:#2f7dd1;--warn:#b7791f;--bad:#c53030;
--page:#fff;--soft:#f4f6f9}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--dim:#93a0b0;--line:#303843;--ok:#63a4e8;--warn:#e0ab4a;
--bad:#f47272;--page:#14181d;--soft:#1c2229}}
body{margin:2rem auto;max-width:70rem;padding:0 1rem;background:var(--page);color:var(--ink);
font:14px/1.5 system-ui,sans-serif}
h1{font-size:1.15rem;margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere}
.sub{color:var(--dim);margin:.2rem 0 1.2rem}
details,.log{border-top:1px solid var(--line)}
summary,.log{display:grid;grid-template-columns:minmax(16rem,38%) 6rem 1fr;gap:.6rem;padding:.25rem .3rem;
align-items:center}
summary{cursor:pointer;list-style:none}
summary:hover{background:var(--soft)}
.name{overflow-wrap:anywhere}
.took{text-align:right;color:var(--dim);font-variant-numeric:tabular-nums}
.bar{display:block;width:100%;height:.8rem;background:var(--soft);border-radius:2px}
.bar rect{fill:var(--ok)}.error .bar rect{fill:var(--warn)}.fault .bar rect{fill:var(--bad)}
.fault>summary .name{color:var(--bad);font-weight:600}.error>summary .name{color:var(--warn);font-weight:600}
.more{padding:.2rem .3rem .6rem 1.5rem}
pre{margin:.3rem 0;padding:.5rem;background:var(--soft);border-radius:4px;overflow-x:auto;white-space:pre-wrap;
overflow-wrap:anywhere;font:12px/1.45 ui-monospace,monospace}
.problem{color:var(--bad);font-weight:600;margin:.3rem 0 0;overflow-wrap:anywhere}
.log{grid-template-columns:13rem 5rem 1fr;font:12px/1.45 ui-monospace,monospace;color:var(--dim);padding:.1rem .3rem}
.log.WARNING .text{color:var(--warn)}.log.ERROR .text,.log.CRITICAL .text{color:var(--bad)}
.text{white-space:pre-wrap;overflow-wrap:anywhere}
h2{font-size:1rem;margin:1.6rem 0 .4rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem .3rem;border-top:1px solid var(--line);
overflow-wrap:anywhere}
th{color:var(--dim);font-weight:400;white-space:nowrap}
.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--ok)}
footer{margin-top:1.5rem;color:var(--dim);font-size:12px}
"""
_BAR = 1000  # units across


def page(trace: Trace, logs: Sequence[LogEvent]) -> str:
    """Make the page."""
    running = "running" if trace.partial else "ok"
    how = "fault" if trace.fault else "error" if trace.error else "throttle" if trace.throttle else running
    events = f" · event {text(', '.join(trace.event_ids[:20]))}" if trace.event_ids else ""
    about = f"{text(trace.start)} · {text(times.span(trace.duration_ms))} · {how}{events}"
    return document(f"trace {trace.id}", trace.id, about, waterfall(trace, logs))


def document(title: str, heading: str, about: str, body: str) -> str:
    """Make a page. about and body: HTML; title and heading: text."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{text(heading)}</h1>
<p class="sub">{about}</p>
{body}
<footer>Times of log lines are UTC. Written by rtp.</footer>
</body>
</html>
"""


def waterfall(trace: Trace, logs: Sequence[LogEvent]) -> str:
    """The trace's rows as HTML, then those of its linked traces, which get the log lines of their time."""
    own, others = split(trace, logs)
    body = "\n".join(_row(row, trace) for row in rows(trace, own)) or "<p>no segments</p>"
    for linked, lines in others:
        body += f"\n<h2>Linked trace {text(linked.id)}</h2>\n" + "\n".join(_row(r, linked) for r in rows(linked, lines))
    return body


def log_line(log: LogEvent) -> str:
    """A log line as HTML."""
    return _log(log, 0)


def _row(row: Row, trace: Trace) -> str:
    if row.log is not None:
        return _log(row.log, row.depth)
    return _segment(row.segment, row.depth, trace) if row.segment is not None else ""


def _segment(segment: Segment, depth: int, trace: Trace) -> str:
    how = "fault" if segment.fault else "error" if segment.error or segment.throttle else "ok"
    took = times.span(segment.duration_ms) if segment.duration_ms is not None else "running"
    operation = segment.aws.get("operation")
    label = f"{segment.name} {operation}" if isinstance(operation, str) else segment.name
    opened = " open" if segment.exceptions else ""
    return (
        f'<details class="{how}"{opened}><summary>'
        f'<span class="name" style="padding-left:{depth * 1.1:.1f}rem">{text(label)}</span>'
        f'<span class="took">{text(took)}</span>{_bar(segment, trace)}</summary>'
        f'<div class="more">{"".join(_problem(p) for p in segment.exceptions)}{_details(segment)}</div></details>'
    )


def _bar(segment: Segment, trace: Trace) -> str:
    total = trace.duration_ms or 1.0
    first = max(0.0, min(_BAR - 2.0, segment.offset_ms / total * _BAR))
    length = _BAR - first if segment.duration_ms is None else segment.duration_ms / total * _BAR
    length = max(2.0, min(_BAR - first, length))
    return (
        f'<svg class="bar" viewBox="0 0 {_BAR} 10" preserveAspectRatio="none">'
        f'<rect x="{first:.1f}" width="{length:.1f}" height="10"/></svg>'
    )


def _details(segment: Segment) -> str:
    facts: dict[str, Any] = {
        "id": segment.id,
        "origin": segment.origin,
        "start": segment.start,
        "end": segment.end,
        "annotations": segment.annotations,
        "http": segment.http,
        "aws": segment.aws,
        "metadata": segment.metadata,
    }
    return f"<pre>{text(json_values.dumps({k: v for k, v in facts.items() if v}, indent=2))}</pre>"


def _problem(problem: Problem) -> str:
    stack = f"<pre>{text(chr(10).join(problem.stack))}</pre>" if problem.stack else ""
    return f'<p class="problem">{text(problem.type)}: {text(problem.message)}</p>{stack}'


def _log(log: LogEvent, depth: int) -> str:
    message = log.message if not log.stack else f"{log.message}\n{log.stack}"
    level, when = re.sub(r"\W", "", log.level), log.timestamp.replace("T", " ")
    return (
        f'<div class="log {level}" style="margin-left:{depth * 1.1:.1f}rem"><span>{text(when)}</span>'
        f'<span>{text(log.level)}</span><span class="text">{text(message)}</span></div>'
    )


def text(plain_text: str) -> str:
    """Escape text for HTML. Control characters, which browsers drop or obey, are shown as escapes."""
    return escape(printable(plain_text, newlines=True))
