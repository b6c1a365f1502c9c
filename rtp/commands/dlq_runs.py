"""rtp dlq runs, follow and stop: the runs of every operator, from any machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion, consent, interrupts, journals
from rtp.commands.dlq_options import RedriveOptions, Selection
from rtp.commands.operation import conduct, exit_if, remark
from rtp.commands.options import with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import ExitCode, RefusedError, UsageError
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.ops.dlq.journal import Continued
    from rtp.ops.dlq.runs import RunState
    from rtp.ops.dlq.target import Target

_STOPS_S = 20.0  # a run looks for a request every 2 s, and then ends what it has begun
_LEAST = 3

RunName = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="The run's name, or a beginning or end of it that only one has; default: the newest.",
        autocompletion=completion.dlq_runs,
    ),
]


@with_session
def runs(
    session: Session,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="Maximum number of runs.")] = 20,
) -> None:
    """List the redrives, purges and replays of every operator: who, when, their state, and how many messages.

    A run without a sign of life for 30 seconds was killed; `rtp dlq redrive --run RUN` continues it.
    """
    from rtp.commands.render import dlq_runs as render
    from rtp.commands.render.headings import unreadable
    from rtp.ops.dlq import runs as op

    target = journals.target(session)
    listed = op.listed(journals.stores(session), (target.stack, target.account), limit=limit)
    _remember(session, listed.runs)
    if listed.unreadable:
        session.out.warn(unreadable(listed.unreadable, "no journal of a run", "no journals of runs"))
    session.out.result(listed, lambda found: render.runs(found, session.environment.name))


@with_session
def follow(
    session: Session,
    *,
    run: RunName = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Maximum wait for the outcomes of the events."),
    ] = 120.0,
) -> None:
    """Watch a redrive, purge or replay of any operator until it ends, and what becomes of the events that it sent.

    They are processed, dead again of the same cause, dead of another, or unknown: without an outcome. A purge sends
    none. Ctrl-C ends the watching and not the run.
    """
    from rtp.commands.render import dlq_runs as render
    from rtp.ops.dlq import following
    from rtp.ops.dlq import runs as op

    target, stores = journals.target(session), journals.stores(session)
    found = op.find(stores, (target.stack, target.account), _named(run), warn=session.out.warn)
    _remember(session, [found])
    state, interruption = conduct(
        session.out,
        lambda stop: following.follow(target, stores, found, timeout_s=timeout, stop=stop),
        render.progress,
    )
    session.out.result(state, render.run)
    exit_if(interruption)
    if state.state in ("killed", "failed") or state.failed:
        raise typer.Exit(ExitCode.FAILED)
    if (result := state.result) is not None:
        if result.dead_again or result.dead_of_another_cause:
            raise typer.Exit(ExitCode.FAILED)
        if result.unknown:
            raise typer.Exit(ExitCode.TIMED_OUT)


@with_session
def stop(session: Session, *, run: RunName = None, approval: consent.Approval) -> None:
    """Ask a redrive, purge or replay on any machine to stop at its next batch, and wait up to 20 seconds for that.

    What it has moved stays moved: `rtp dlq undo` restores it, `rtp dlq redrive --run RUN` continues the rest.
    """
    from rtp.commands.render import dlq_runs as render
    from rtp.ops.dlq import runs as op

    target, stores = journals.target(session), journals.stores(session)
    found = op.find(stores, (target.stack, target.account), _named(run), warn=session.out.warn)
    consent.ask(session, f"Stop {found.run} of {found.operator.label}", approval, consent.Impact.SELECTED)
    with recorded(session, "dlq stop", {"run": found.run}, reason=approval.reason) as entry:
        with interrupts.graceful(remark(session.out)), session.out.live() as live:
            last = None
            for request in op.ask_to_stop(stores, target, found, timeout_s=_STOPS_S):
                last = request
                live.update(render.stopping(request))
        if last is None:
            raise typer.Abort
        entry.result = f"run {last.run}: {last.state}"
        session.out.result(last, render.stopped)
        if last.state == "running":
            raise typer.Exit(ExitCode.TIMED_OUT)


def continued(
    session: Session, target: Target, selection: Selection, options: RedriveOptions
) -> tuple[Selection, RedriveOptions, Continued | None]:
    """What to redrive: with --run what the run has not moved yet. Raises UsageError, RefusedError, NotFoundError."""
    from rtp.ops.dlq import runs as op

    if options.run is None:
        return selection, options, None
    if selection != Selection() or options.limit is not None:
        raise UsageError("--run continues a redrive with the messages that it selected.", hint="Leave the others out.")
    found = op.find(journals.stores(session), (target.stack, target.account), _named(options.run))
    rest, given = op.resumed(target, found)
    done = len(rest.sent)
    limit = given.get("limit")
    if isinstance(limit, int) and limit <= done:
        raise RefusedError(f"{found.run} has moved all {limit:,} messages of its --limit.", hint="Begin another one.")
    left = limit - done if isinstance(limit, int) else None
    return Selection.of(given), replace(options, limit=left), rest


def _named(run: str | None) -> str | None:
    from rtp.ops import shown

    part = None if run is None else shown.stripped(run)
    if part is not None and len(part) < _LEAST:
        raise UsageError(f"{run!r} is too short for the name of a run.", hint="`rtp dlq runs` lists the names.")
    return part


def _remember(session: Session, states: Iterable[RunState]) -> None:
    from rtp.ops import shown

    entries = [shown.Shown(s.run, "dlq-run", times.parse_when(s.began), s.state, s.what) for s in states]
    shown.remember(session.environment, entries)
