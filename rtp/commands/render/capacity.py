"""Render the capacity of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands.render.headings import heading
from rtp.text import times
from rtp.text.elements import Cell, Column, Element, Heading, Style, Table, Text, bad, dim, good, line, warn

if TYPE_CHECKING:
    from rtp.ops.capacity.limits import Limit
    from rtp.ops.capacity.load import Load
    from rtp.ops.capacity.report import Capacity


def capacity(result: Capacity) -> list[Element]:
    """The verdict, the limits, what to change, the latency and the cost."""
    load = result.load
    first = next(limit for limit in result.limits if limit.name == result.first)
    elements: list[Element] = [heading("capacity", result.env, _load(load))]
    rate = f"{_number(load.rate)} events/s"
    text = f"{first.name} is the first limit, at {_number(result.max_rate)} events/s"
    elements.append(
        line(good(f"{rate} fit"), f"; {text}") if result.fits else line(bad(f"{rate} do not fit"), f": {text}")
    )
    columns = (
        Column("LIMIT", whole=True),
        Column("PART", drop=1),
        Column("EVENTS/S", right=True, whole=True),
        Column("USED", right=True, whole=True),
        Column("QUOTA", right=True, whole=True, drop=3),
        Column("UNIT", drop=2),
        Column("BEYOND IT", drop=4),
    )
    elements += [Heading("Limits"), Table(columns, [_row(limit) for limit in result.limits])]
    marks = [mark for kind, mark in _KINDS.items() if any(limit.kind == kind for limit in result.limits)]
    elements += [line(dim(mark)) for mark in marks]
    changes = [n for n in result.limits if n.change]
    if changes:
        elements += [Heading("To change"), *(line(f"{n.name}: ", _styled(n.change, n)) for n in changes)]
    if result.contradictions:
        elements += [Heading("Settings that contradict each other"), *(line(warn(t)) for t in result.contradictions)]
    elements += [Heading("Latency"), *_latency(result)]
    rows: list[list[Cell]] = [[cost.part, f"{cost.dollars:,.2f}", dim(cost.units)] for cost in result.costs]
    rows.append(
        ["total", f"{result.total:,.2f}", dim(f"{_number(load.average)} events/s, batches of {result.batch:.1f}")]
    )
    cost = (Column("PART", whole=True), Column("US DOLLARS", right=True, whole=True), Column("", long=True, drop=1))
    elements += [Heading(f"Cost a month (prices of {result.prices}, without free tiers)"), Table(cost, rows)]
    return [*elements, *(line(dim(note)) for note in result.notes)]


_KINDS = {
    "start": "* a load that begins all at once; AWS scales within minutes, and --check does not look at it",
    "comparison": "= what it would be without the data-key reuse and the bucket key, which the stack has",
    "estimate": "~ AWS does not document how this counts, so --check does not look at it",
}
_MARKS = {"steady": "", "start": " *", "comparison": " =", "estimate": " ~"}


def _load(load: Load) -> list[str]:
    parts = [f"{_number(load.rate)} events/s", f"{load.size_bytes:,} bytes", f"{load.duration_ms:,.4g} ms"]
    parts += [f"{load.failing * 100:.3g} % of the attempts fail"] if load.failing else []
    parts += [{"events": "POST /events", "process": "POST /process", "queue": "directly into the queue"}[load.via]]
    return [*parts, *([f"{load.keys} keys"] if load.keys > 1 else [])]


def _row(limit: Limit) -> list[Cell]:
    used = limit.needed / limit.quota if limit.quota else float("inf")
    style = (Style.BAD if limit.kind == "steady" else Style.WARN) if limit.exceeded else Style.PLAIN
    at = "any" if limit.max_rate is None else _number(limit.max_rate)
    return [
        Text(limit.name + _MARKS[limit.kind], style),
        limit.part,
        at,
        Text(f"{used:.0%}" if used >= 0.01 or used == 0 else "<1%", style) if used < 1000 else Text("over", style),
        _number(limit.quota),
        limit.unit,
        limit.effect,
    ]


def _styled(text: str, limit: Limit) -> Text:
    return Text(text, Style.STRONG if limit.kind == "steady" else Style.DIM)


def _latency(result: Capacity) -> list[Element]:
    latency = result.latency
    elements: list[Element] = [line(f"answer to the client in about {_ms(latency.accepted_ms)}")]
    if latency.refused:
        elements.append(line(bad(f"{_number(latency.refused)} events/s are refused")))
    if latency.processed_ms is None:
        elements += [line(bad(f"the queue grows by {_number(latency.backlog)} events/s"))] if latency.backlog else []
    else:
        wait = f", of which {_ms(latency.wait_ms)} wait for a worker" if latency.wait_ms else ""
        elements.append(line(f"processed in about {_ms(latency.processed_ms)}{wait}"))
    if latency.scaled_s:
        scaled = times.span(latency.scaled_s * 1000)
        elements.append(line(dim(f"a rate that begins all at once has its pollers after {scaled}")))
    return elements


def _ms(value: float | None) -> str:
    return f"{value or 0:,.0f} ms" if (value or 0) >= 1 or not value else "less than 1 ms"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
