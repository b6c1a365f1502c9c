"""rtp records."""

from __future__ import annotations

from typing import Annotated

import typer

from rtp.commands.options import Since, Until, new_app, with_session
from rtp.commands.render.headings import count, heading, window
from rtp.commands.session import Session
from rtp.ops.events import records as op
from rtp.text import times
from rtp.text.elements import Column, Element, Style, Table, Text, cause, dim

app = new_app()

_STATUS_STYLE = {"processed": Style.GOOD, "dead": Style.BAD, "failed": Style.WARN, "processing": Style.DIM}


@app.command()
@with_session
def records(
    session: Session,
    *,
    status: Annotated[list[str] | None, typer.Option("--status", help="Only this status; repeatable.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Only this event type.")] = None,
    since: Since = "24h",
    until: Until = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=100_000, metavar="N", help="Maximum number of records, the newest first."),
    ] = 50,
) -> None:
    """List stored records by status, type and time."""
    query = op.RecordQuery(
        statuses=tuple(status or ()),
        kind=kind,
        since=times.parse_when(since or "24h"),
        until=times.parse_when(until or "now"),
        limit=limit,
    )
    shards = session.environment.settings.index_shards
    result = op.find(session.aws, session.outputs_to_read, query, shards=shards, contents=session.out.json)
    session.out.result(result, lambda r: _render(r, query, session.environment.name))


def _render(result: op.Records, query: op.RecordQuery, env: str) -> list[Element]:
    first = heading(
        "records",
        env,
        count(len(result.records), more=result.more),
        query.statuses,
        f"type {query.kind}" if query.kind else "",
        window(query.since, query.until),
    )
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
    columns = (
        Column("ID", tail=True),
        Column("TIME", whole=True, drop=3),
        Column("STATUS", whole=True),
        Column("TYPE", drop=2),
        Column("ATTEMPTS", right=True, drop=1),
        Column("ERROR", long=True),
    )
    elements: list[Element] = [first, Table(columns, rows)]
    return [*elements, dim("raise --limit or narrow the time to see the others")] if result.more else elements
