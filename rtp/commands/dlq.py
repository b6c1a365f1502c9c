"""rtp dlq."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import (
    consent,
    count_options,
    dlq_counts,
    dlq_questions,
    dlq_runs,
    ids,
    interrupts,
    journals,
    known_types,
)
from rtp.commands.consent import Impact
from rtp.commands.count_options import CountOptions
from rtp.commands.dlq_options import FilterOptions, Limit, RedriveOptions, Selection
from rtp.commands.operation import conduct, exit_if, remark
from rtp.commands.options import new_app, with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import ExitCode, NotFoundError
from rtp.text.elements import dim, line, many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.commands.interrupts import Interruption
    from rtp.ops.dlq.ending import Patience
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.inspect import Inspection
    from rtp.ops.dlq.purge import Purged
    from rtp.ops.dlq.redrive import RedriveRequest, Report

app = new_app(no_args_is_help=True, help="Inspect, redrive and purge the dead-letter queue.")


_INSPECT_LIMIT = 1000


@app.command("inspect")
@with_session
def inspect_(
    session: Session,
    *,
    filters: FilterOptions,
    counting: CountOptions,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Maximum number of messages.")] = _INSPECT_LIMIT,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Also write the messages to a file as NDJSON.")
    ] = None,
) -> None:
    """Show the messages in the dead-letter queue and why they failed.

    Nothing is consumed. Counts are approximate, as SQS's are.
    """
    from rtp.commands.render import dlq as render_dlq
    from rtp.contract import Output
    from rtp.ops import files, shown
    from rtp.ops.access import lease
    from rtp.ops.dlq import inspect
    from rtp.ops.dlq.ending import BRIEF, Patience
    from rtp.ops.dlq.filters import facts
    from rtp.ops.events.tally import tally
    from rtp.text import json_values

    if export is not None:
        files.check(export)
    out, env, by = session.out, session.environment.name, counting.expression()
    selected = filters.filters()
    parts = tuple(shown.stripped(event_id) for event_id in selected.ids)
    selected = replace(selected, ids=parts, with_parts=bool(parts))
    limit = inspect.UNLIMITED if counting.given else limit
    holder = lease.current(session.aws, session.outputs[Output.TABLE])
    if holder is not None:
        out.warn(f"{lease.described(holder)} is moving messages; some of these may be gone in a moment")
    patience = BRIEF if holder is None else Patience(0.0)  # what the holder's command hides, it hides on purpose
    if counting.given and export is None:
        counts, unseen, interruption = dlq_counts.counted(session, selected, by, patience)
        if not counts.total:
            known_types.warn_nothing_found(session, *selected.types)
        out.result(counts, lambda t: count_options.tally(t, "dlq", env, filters.described()))
        exit_if(interruption)
        _exit_unseen(unseen)
        return
    inspection, interruption = _inspected(session, selected, limit, patience)
    if export is not None:
        files.write(export, "".join(f"{json_values.dumps(m)}\n" for m in inspection.messages), private=True)
        out.say(line(dim(f"{many(len(inspection.messages), 'message')} written to {export}")))
    ids.remember_messages(session, inspection.messages)
    if not inspection.messages:
        known_types.warn_nothing_found(session, *selected.types)
    if counting.given:
        counts = tally(map(facts, inspection.messages), by)
        out.result(counts, lambda t: count_options.tally(t, "dlq", env, filters.described()))
    else:
        out.result(inspection, lambda i: render_dlq.inspection(i, env, filters.described()))
    exit_if(interruption)
    _exit_unseen(inspection.unseen)


@app.command()
@with_session
def redrive(session: Session, *, selection: Selection, options: RedriveOptions, approval: consent.Approval) -> None:
    """Move messages from the dead-letter queue back to the queue.

    Each is deleted from the dead-letter queue only after SQS has confirmed the new message.
    """
    from rtp.commands.render import dlq as render_dlq
    from rtp.ops.dlq import redrive as redriving
    from rtp.ops.dlq.ending import BRIEF
    from rtp.ops.dlq.redrive import Report

    target = journals.target(session)
    selection, options, resumed = dlq_runs.continued(session, target, selection, options)
    given = None if options.edit else selection.options() | ({"limit": options.limit} if options.limit else {})
    request = replace(options.request(selection.filters()), options=given, resumed=resumed)
    if options.dry_run:
        with interrupts.graceful(remark(session.out)) as interruption, session.out.live() as live:
            report = redriving.preview(
                target,
                request,
                stop=interruption.stop,
                notify=lambda n: live.update(render_dlq.read(n)),
                patience=replace(BRIEF, notify=remark(session.out)),
            )
    else:
        impact = Impact.SELECTED if selection.ids else Impact.MANY
        selected = _selected(session, selection, request.selected, request.limit, approval, impact)
        if selected is None:
            _end_redrive(session, Report(run=None, missing=request.filters.missing(())))
            return
        consent.ask(session, f"Redrive {selected}", approval, impact)
        with (
            _edited(session, request, edit_first=options.edit) as (request, note),
            recorded(session, "dlq redrive", selection, options, reason=approval.reason) as run,
        ):
            report, interruption = conduct(
                session.out,
                lambda stop: redriving.redrive(target, request, stop=stop, notify=remark(session.out)),
                render_dlq.redrive_step,
            )
            note(report.redriven)
            run.result = f"run {report.run}: {report.redriven:,} redriven, {len(report.failed):,} failed"
            _end_redrive(session, report, interruption, continues=not options.edit)
        return
    _end_redrive(session, report, interruption)


@app.command()
@with_session
def undo(
    session: Session,
    *,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="The redrive or purge to undo; default: the latest.")
    ] = None,
    approval: consent.Approval,
) -> None:
    """Restore the messages of a redrive or purge to the dead-letter queue. Processed events stay processed."""
    from rtp.commands.render import dlq as render_dlq
    from rtp.ops.dlq import undo as undoing

    target = journals.target(session)
    journal_ = undoing.load(target, run, is_asked=consent.is_asked(session, approval, Impact.MANY))
    question = f"Restore {many(len(journal_.entries), 'message')} of {journal_.run} to the dead-letter queue"
    consent.ask(session, question, approval, Impact.MANY)
    with recorded(session, "dlq undo", {"run": journal_.run}, reason=approval.reason) as entry:
        with interrupts.graceful(remark(session.out)) as interruption:
            undone = undoing.undo(target, journal_, stop=interruption.stop, notify=remark(session.out))
        entry.result = f"{undone.what} {undone.run}: {undone.back:,} restored, {undone.processed:,} stay processed"
        session.out.result(undone, render_dlq.undone)
        exit_if(interruption)
        _exit_unseen(undone.unseen)


@app.command()
@with_session
def purge(session: Session, *, selection: Selection, limit: Limit = None, approval: consent.Approval) -> None:
    """Delete messages from the dead-letter queue, after a backup from which `rtp dlq undo` restores them."""
    from rtp.commands.render import dlq as render_dlq
    from rtp.ops.dlq import purge as purging
    from rtp.ops.dlq.purge import Purged, PurgeRequest

    request = PurgeRequest(filters=selection.filters(), limit=limit)
    target = journals.target(session)
    selected = _selected(session, selection, request.filters, limit, approval, Impact.LASTING)
    if selected is None:
        _end_purge(session, Purged("", 0, 0, "", request.filters.missing(())))
        return
    consent.ask(session, f"Delete {selected}", approval, Impact.LASTING)
    with recorded(session, "dlq purge", selection, {"limit": limit}, reason=approval.reason) as run:
        purged, interruption = conduct(
            session.out,
            lambda stop: purging.purge(target, request, stop=stop, notify=remark(session.out)),
            render_dlq.purge_step,
        )
        run.result = f"run {purged.run}: {purged.deleted:,} deleted, {purged.kept:,} kept"
        _end_purge(session, purged, interruption)


app.command()(dlq_runs.runs)
app.command()(dlq_runs.follow)
app.command()(dlq_runs.stop)


def _end_purge(session: Session, purged: Purged, interruption: Interruption | None = None) -> None:
    """Print the result and exit with its code."""
    from rtp.commands.render import dlq as render_dlq

    session.out.result(purged, render_dlq.purged)
    if interruption is not None:
        exit_if(interruption)
    if purged.stopped_by:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if purged.kept:
        raise typer.Exit(ExitCode.FAILED)
    _exit_unseen(purged.unseen)
    if purged.missing:
        raise typer.Exit(ExitCode.NOT_FOUND)


def _selected(
    session: Session,
    selection: Selection,
    filters: Filters,
    limit: int | None,
    approval: consent.Approval,
    impact: Impact,
) -> str | None:
    """The selected messages, for a question; None where a person would be asked and no message matches."""
    if not consent.is_asked(session, approval, impact):
        return dlq_questions.described(session, selection)
    inspection = dlq_questions.counted(session, filters, limit)
    if not inspection.messages and not inspection.unseen:
        return None
    return dlq_questions.show(session, inspection, limit)


def _end_redrive(
    session: Session, report: Report, interruption: Interruption | None = None, *, continues: bool = False
) -> None:
    """Print the report and exit with its code. continues: whether it can be continued where it was cut."""
    from rtp.commands.render import dlq as render_dlq

    is_cut = bool(interruption) or bool(report.stopped_by)
    session.out.result(report, lambda r: render_dlq.redrive(r, continues=continues and is_cut))
    if interruption is not None:
        exit_if(interruption)
    if report.stopped_by:
        raise typer.Exit(ExitCode.INTERRUPTED)
    _exit_redrive(report)


def _inspected(
    session: Session, filters: Filters, limit: int, patience: Patience | None = None
) -> tuple[Inspection, Interruption]:
    from rtp.commands.render import dlq as render_dlq
    from rtp.ops.dlq import inspect
    from rtp.ops.dlq.ending import BRIEF

    with interrupts.graceful(remark(session.out)) as interruption, session.out.live() as live:
        inspection = inspect.inspect(
            session.aws,
            session.outputs,
            filters,
            limit=limit,
            stop=interruption.stop,
            patience=replace(patience or BRIEF, notify=remark(session.out)),
            notify=lambda n: live.update(render_dlq.read(n)),
        )
    return inspect.with_deadlines(inspection, session.environment.settings.raw_expiry_days), interruption


@contextlib.contextmanager
def _edited(
    session: Session, request: RedriveRequest, *, edit_first: bool
) -> Iterator[tuple[RedriveRequest, Callable[[int], None]]]:
    """Open the selected events in the editor: a request for those that were left in the file.

    The file stays, and is named, unless the function is called with as many messages as were left in it.
    """
    from rtp.ops.dlq import edit
    from rtp.ops.dlq.filters import Filters

    if not edit_first:
        yield request, lambda _: None
        return
    too_many = edit.MAX_MESSAGES + 1
    inspection, _ = _inspected(session, request.filters, min(request.limit or too_many, too_many))
    if not inspection.messages:
        raise NotFoundError(
            "No message in the dead-letter queue matches.", hint="`rtp dlq inspect` lists the messages."
        )
    edits, redriven = edit.edited(inspection.messages), 0

    def note(number: int) -> None:
        nonlocal redriven
        redriven = number

    try:
        session.recheck()  # the editor may have been open for hours
        yield replace(request, filters=Filters(message_ids=frozenset(edits.texts)), edited=edits.texts), note
    finally:
        if remark_ := edits.end(redriven):
            session.out.say(remark_)


def _exit_redrive(report: Report) -> None:
    if report.pending and not (report.dead or report.failed or report.outcomes.get("conflict")):
        raise typer.Exit(ExitCode.TIMED_OUT)
    if report.has_failures:
        raise typer.Exit(ExitCode.FAILED)
    _exit_unseen(report.unseen)
    if report.missing:
        raise typer.Exit(ExitCode.NOT_FOUND)


def _exit_unseen(unseen: int) -> None:
    """The queue was not read to its end in time: as for every wait, the command can be repeated later."""
    if unseen:
        raise typer.Exit(ExitCode.TIMED_OUT)
