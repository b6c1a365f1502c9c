"""Render stored records: as a list, or as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from rtp.commands.render.headings import count, heading, window
from rtp.text import json_values, times
from rtp.text.elements import Column, Element, Style, Table, Text, cause, dim

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.ops.events.records import RecordQuery, Records

_STATUS_STYLE = {"processed": Style.GOOD, "dead": Style.BAD, "failed": Style.WARN, "processing": Style.DIM}
_FORMULA = (*"=+-@\t\r\n", *"＝＋－＠")
_TIMES = ("timestamp", "accepted_at", "processed_at")
_HEADER = ("id", *_TIMES, "type", "status", "attempt_count", "error_type", "error_message", "data", "result")
COLUMNS = (
    Column("ID", tail=True),
    Column("TIME", whole=True, drop=3),
    Column("STATUS", whole=True),
    Column("TYPE", drop=2),
    Column("ATTEMPTS", right=True, drop=1),
    Column("ERROR", long=True),
)


def filters(query: RecordQuery) -> list[str]:
    """The filters of a query as the first line of a list shows them."""
    others = query.filters
    texts = [*query.statuses, f"type {query.kind}" if query.kind else ""]
    texts += [f"id {others.id_part}"] if others.id_part is not None else []
    texts += [f"error {others.error!r}"] if others.error is not None else []
    texts += [f"group {others.group}"] if others.group is not None else []
    texts += [f"matches {others.grep.expression!r}"] if others.grep is not None else []
    texts += [f"where {others.where.text}"] if others.where is not None else []
    texts += [f"release {others.release}"] if others.release is not None else []
    return [*texts, window(query.since, query.until)]


def records(result: Records, query: RecordQuery, env: str) -> list[Element]:
    """A row per record."""
    first = heading("records", env, count(len(result.records), more=result.more), filters(query))
    if not result.records:
        return [first]
    rows = [
        (
            Text(str(r["id"]), Style.NAME),
            times.brief(int(r["timestamp"])),
            Text(str(r["status"]), _STATUS_STYLE.get(str(r["status"]), Style.PLAIN)),
            str(r.get("type", "")),
            str(r.get("attempt_count", "")),
            cause(r.get("error")) if r["status"] in ("dead", "failed") else "",
        )
        for r in result.records
    ]
    elements: list[Element] = [first, Table(COLUMNS, rows)]
    return [*elements, dim("raise --limit or narrow the time to see the others")] if result.more else elements


def csv_text(found: Sequence[Mapping[str, Any]]) -> str:
    """Records as CSV with a header and RFC 4180's CRLF; times in ISO 8601, data and result as JSON."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(_HEADER)
    for record in found:
        stored = record.get("error")
        error = stored if isinstance(stored, dict) else {}
        values = {**record, "error_type": error.get("type"), "error_message": error.get("message")}
        writer.writerow([_cell(name, values.get(name)) for name in _HEADER])
    return stream.getvalue()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TIMES:
        return times.iso(int(value))
    if name in ("data", "result"):
        return json_values.dumps(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
