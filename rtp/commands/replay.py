"""rtp replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion, consent, engine_end, journals
from rtp.commands.consent import Impact
from rtp.commands.count_options import Release
from rtp.commands.operation import conduct, exit_if, returned
from rtp.commands.options import Since, Until, new_app, option_group, with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import ExitCode, UsageError
from rtp.text import times
from rtp.text.elements import advice, line, many

if TYPE_CHECKING:
    from rtp.ops.events.planned import Planned
    from rtp.ops.events.replay import ReplayRequest

app = new_app()


@option_group
class Selection:
    """Which archived events to replay."""

    ids: Annotated[
        list[str] | None,
        typer.Option("--id", help="Only this event; repeatable.", autocompletion=completion.event_ids),
    ] = None
    since: Since = None
    until: Until = None
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only this event type; repeatable.", autocompletion=completion.types),
    ] = None
    statuses: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="Only events whose record has this status: processing, processed, failed or dead; `missing`: events "
            "without a record. Repeatable.",
            autocompletion=completion.statuses,
        ),
    ] = None
    release: Release = None

    def request(self) -> ReplayRequest:
        """The request. Raises UsageError where nothing is selected."""
        from rtp.ops import releases
        from rtp.ops.events.replay import ReplayRequest

        if not self.ids and self.since is None:
            raise UsageError(
                "Select events with --id or --since.", hint="For example `rtp replay --since 1h --status dead`."
            )
        return ReplayRequest(
            ids=tuple(self.ids or ()),
            types=tuple(self.types or ()),
            statuses=tuple(self.statuses or ()),
            release=None if self.release is None else releases.parsed(self.release),
            since=times.parse_when(self.since, option="--since") if self.since else None,
            until=times.parse_when(self.until or "now", option="--until"),
        )


@app.command()
@with_session
def replay(
    session: Session,
    *,
    selection: Selection,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, metavar="N", help="Maximum number of events per second.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Continue an interrupted replay: queue the rest, under its name."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be replayed; change nothing.")] = False,
    approval: consent.Approval,
) -> None:
    """Process archived raw events again.

    Events that were processed are processed again too, unless --status excludes them.
    """
    from rtp.commands.render import replay as render_replay
    from rtp.ops.access import guard
    from rtp.ops.events import replay as op
    from rtp.ops.events import replay_journal
    from rtp.ops.events.replay import Replay

    if run is not None and selection != Selection():
        raise UsageError("--run continues a replay with the events that it selected.", hint="Leave the others out.")
    request = selection.request() if run is None else None
    out, aws, outputs = session.out, session.aws, session.outputs
    store = journals.store(session, "replay")
    owner = session.environment.names.stack, guard.account(aws, session.environment)
    restored_ms = engine_end.restored_ms(session.environment)
    if request is None:
        planned = replay_journal.load(store, owner, run or "", restored_ms=restored_ms).planned
    else:
        if (interrupted := replay_journal.interrupted(store, owner, warn=out.warn)) is not None:
            out.warn(render_replay.interrupted(interrupted.run, len(interrupted.planned)))
        with out.live() as live:
            planned = returned(op.plan(aws, outputs, request), lambda step: live.update(render_replay.found(step)))
    if dry_run or not planned:
        out.result(Replay(None, dry_run, planned), render_replay.replay)
        return
    _warn_of_dlq_messages(session, planned)
    # Events that were processed have had their effect already.
    is_selected = request is not None and bool(request.ids)
    is_lasting = not is_selected and any(event.status == "processed" for event in planned)
    impact = Impact.LASTING if is_lasting else Impact.SELECTED if is_selected else Impact.MANY
    consent.ask(session, f"Replay {render_replay.counted(planned)}", approval, impact)
    with recorded(session, "replay", selection, {"rate": rate, "run": run}, reason=approval.reason) as entry:
        if run is None:
            journal = replay_journal.begin(store, owner, planned, journals.operator(session))
        else:
            journal = replay_journal.load(store, owner, run, restored_ms=restored_ms)
            journal.resume(journals.operator(session))
        result, interruption = conduct(
            out,
            lambda stop: op.replay(aws, outputs, journal, rate=rate, stop=stop),
            lambda step: render_replay.queued(step, len(planned)),
        )
        entry.result = f"run {result.run}: {result.replayed:,} queued, {len(result.failed):,} failed"
        out.result(result, render_replay.replay)
        exit_if(interruption)
        if result.stopped_by:
            raise typer.Exit(ExitCode.INTERRUPTED)
        if result.failed:
            raise typer.Exit(ExitCode.FAILED)


def _warn_of_dlq_messages(session: Session, planned: list[Planned]) -> None:
    """Dead events may still have their messages in the DLQ, which a replay leaves there.

    SQS's counts lag by up to a minute: where they say that there is no message, the records' notes of theirs decide.
    """
    from rtp.contract import Output
    from rtp.ops.dlq import inspect, notes

    dead, table = [event.identity for event in planned if event.status == "dead"], session.outputs[Output.TABLE]
    if dead and (inspect.depth(session.aws, session.outputs) or notes.has_any(session.aws, table, dead)):
        what, out = many(len(dead), "dead event"), session.out
        out.warn(f"{what} may still have a message in the dead-letter queue, which stays there")
        out.say(line("  ", advice("`rtp dlq redrive`"), " processes them and removes the message"))
