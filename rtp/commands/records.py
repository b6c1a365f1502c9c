"""rtp records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion, count_options, ids, known_types
from rtp.commands.count_options import CountOptions, ErrorText, Group, OlderThan, Release, Where
from rtp.commands.options import Since, Until, new_app, option_group, with_session
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.events import records as op

app = new_app()


@option_group
class RecordOptions:
    """Which records to list."""

    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="Only this status: processing, processed, failed or dead; repeatable.",
            autocompletion=completion.statuses,
        ),
    ] = None
    kind: Annotated[
        str | None, typer.Option("--type", help="Only this event type.", autocompletion=completion.types)
    ] = None
    event_id: Annotated[
        str | None,
        typer.Option("--id", help="Only ids that begin or end with this.", autocompletion=completion.event_ids),
    ] = None
    error: ErrorText = None
    group: Group = None
    grep: Annotated[
        str | None,
        typer.Option("--grep", metavar="REGEX", help="Only records whose JSON matches this expression (RE2)."),
    ] = None
    where: Where = None
    release: Release = None
    since: Since = "24h"
    until: Until = None
    older_than: OlderThan = None
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=100_000, metavar="N", help="Maximum number of records, the newest first."),
    ] = 50

    def query(self) -> op.RecordQuery:
        """The query. Raises UsageError."""
        from rtp.ops import causes, releases, shown
        from rtp.ops.events import records as op
        from rtp.ops.events.record_filters import RecordFilters
        from rtp.text import queries, regexes

        until = count_options.end(self.until, self.older_than)
        return op.RecordQuery(
            statuses=tuple(self.status or ()),
            kind=self.kind,
            since=times.parse_when(self.since or "24h", option="--since"),
            until=times.now_ms() if until is None else until,
            limit=self.limit,
            filters=RecordFilters(
                id_part=None if self.event_id is None else shown.stripped(self.event_id),
                error=self.error,
                group=None if self.group is None else causes.parsed(self.group),
                grep=None if self.grep is None else regexes.compiled(self.grep, option="--grep"),
                where=None if self.where is None else queries.compiled(self.where, option="--where"),
                release=None if self.release is None else releases.parsed(self.release),
            ),
        )


@app.command()
@with_session
def records(
    session: Session,
    *,
    options: RecordOptions,
    counting: CountOptions,
    csv: Annotated[
        bool,
        typer.Option("--csv", help="Print CSV; text that a spreadsheet would run as a formula begins with a quote."),
    ] = False,
) -> None:
    """List stored records by status, type and time.

    --error, --group, --grep and --where are applied here, to the records that the other filters select.
    """
    from rtp.commands.render import records as render_records
    from rtp.ops.events import records as op
    from rtp.ops.events.tally import tally
    from rtp.text import json_values

    out, query, by = session.out, options.query(), counting.expression()
    if csv and (out.json or counting.given):
        raise UsageError("--csv excludes --json, --query, --count and --by.", hint="Leave one of them out.")
    shards, env = session.environment.settings.index_shards, session.environment.name
    if counting.given:
        found = op.stream(session.aws, session.outputs_to_read, query, shards=shards, contents=by is not None)
        counts = tally(found if by is None else map(json_values.to_json_types, found), by)
        if not counts.total:
            known_types.warn_nothing_found(session, options.kind)
        out.result(counts, lambda t: count_options.tally(t, "records", env, render_records.filters(query)))
        return
    result = op.find(session.aws, session.outputs_to_read, query, shards=shards, contents=out.json or csv)
    ids.remember(session, result.records)
    if not result.records:
        known_types.warn_nothing_found(session, options.kind)
    if csv:
        out.verbatim(render_records.csv_text(result.records))
    else:
        out.result(result, lambda r: render_records.records(r, query, env))
