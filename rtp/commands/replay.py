"""rtp replay."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from rtp.commands import consent, interrupts
from rtp.commands.options import Since, Until, Yes, new_app, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode, UsageError
from rtp.ops.dlq import inspect
from rtp.ops.events import replay as op
from rtp.text import times
from rtp.text.elements import Column, Element, Table, advice, bad, dim, good, line, many, name

app = new_app()

_ROWS = 20


@app.command()
@with_session
def replay(
    session: Session,
    *,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this event; may be repeated.")] = None,
    since: Since = None,
    until: Until = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only this event type; may be repeated.")] = None,
    statuses: Annotated[
        list[str] | None, typer.Option("--status", help="Only where the record is so, or `missing`; may be repeated.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0.001, help="At most so many events a second.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which would run.")] = False,
    yes: Yes = False,
    confirm: consent.Confirm = None,
) -> None:
    """Run raw archived events again, as they came. Also what is processed runs again; --status narrows it."""
    if not ids and since is None:
        raise UsageError(
            "Say which events: --id, or --since.", hint="For example `rtp replay --since 1h --status dead`."
        )
    out, aws, outputs = session.out, session.aws, session.outputs
    with out.live() as live:
        planned = op.plan(
            aws,
            outputs,
            ids=tuple(ids or ()),
            types=tuple(types or ()),
            statuses=tuple(statuses or ()),
            since=times.parse_when(since) if since else None,
            until=times.parse_when(until or "now"),
            notify=lambda n: live.update(line(dim(f"{n:,} found"))),
        )
    if dry_run or not planned:
        out.result(op.Replay(None, dry_run, planned), _render)
        return
    dead = sum(p.status == "dead" for p in planned)
    if dead and inspect.depth(aws, outputs):
        out.warn(f"{many(dead, 'event')} of these may still have a message in the dead-letter queue, which stays there")
        out.say(line("  ", advice("`rtp dlq redrive`"), " runs them again and takes it out"))
    question = f"Run {_counted(planned)} again"
    if not ids and any(p.status == "processed" for p in planned):  # they have had their effect already
        consent.ask_always(session, question, yes=yes, confirm=confirm)
    else:
        consent.ask(session, question, wide=not ids, yes=yes, confirm=confirm)
    done = op.Replay(op.run_name(), dry_run, planned)
    with (
        interrupts.graceful(lambda text: out.say(line(dim(text)))) as interruption,
        out.live() as live,
    ):
        for event in op.replay(aws, outputs, planned, run=str(done.run), rate=rate, stop=interruption.stop):
            if event.error:
                done.failed.append({"id": event.event.id, "error": event.error})
            else:
                done.replayed += 1
            live.update(line(f"{done.replayed:,} of {len(planned):,} queued"))
    out.result(done, _render)
    if interruption:
        raise typer.Exit(interruption.exit_code)
    if done.failed:
        raise typer.Exit(ExitCode.FAILED)


def _counted(planned: list[op.Planned]) -> str:
    told = ", ".join(f"{n:,} {status}" for status, n in Counter(p.status for p in planned).most_common())
    return f"{many(len(planned), 'event')} ({told})"


def _render(done: op.Replay) -> list[Element]:
    if not done.events:
        return [line("no archived event matches")]
    if done.dry_run:
        rows = [(name(e.id), times.brief(e.timestamp), e.type, e.status) for e in done.events[:_ROWS]]
        elements: list[Element] = [line(f"{_counted(done.events)} would run again"), Table(_COLUMNS, rows)]
        more = len(done.events) - _ROWS
        return elements + ([dim(f"and {more:,} more")] if more > 0 else [])
    elements = [line(good(f"{done.replayed:,} queued again"), dim(f"  of {_counted(done.events)}; run {done.run}"))]
    for error, n in Counter(f["error"] for f in done.failed).most_common(5):
        elements.append(line(bad(f"{n:,} × "), error, indent=2))
    left = len(done.events) - done.replayed - len(done.failed)
    return elements + ([line(f"{left:,} not begun", indent=2)] if left else [])


_COLUMNS = ("ID", Column("TIME", whole=True), "TYPE", Column("STATUS", whole=True))
