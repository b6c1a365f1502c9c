"""rtp dlq."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import consent, interrupts
from rtp.commands.options import Since, Yes, new_app, with_session
from rtp.commands.render import dlq as render_dlq
from rtp.commands.session import Session
from rtp.contract import Output
from rtp.errors import ExitCode, NotFoundError, UsageError
from rtp.ops import files
from rtp.ops.access import guard, lease
from rtp.ops.dlq import edit, inspect, journal
from rtp.ops.dlq import purge as purging
from rtp.ops.dlq import redrive as redriving
from rtp.ops.dlq import undo as undoing
from rtp.ops.dlq.filters import Filters, pattern
from rtp.ops.dlq.repair import Repair, run
from rtp.text import json_values, times
from rtp.text.elements import cause, dim, line, many

if TYPE_CHECKING:
    from rtp.commands.interrupts import Interruption
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.events.outcome import Record

app = new_app(no_args_is_help=True, help="Inspect the dead-letter queue and put messages back.")

_LOOK = 1000
_EVERY = 10_000_000
Ids = Annotated[list[str] | None, typer.Option("--id", help="Only this event; may be repeated.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only this event type; may be repeated.")]
Cause = Annotated[str | None, typer.Option("--error", metavar="TEXT", help="Only those with this in their error.")]
Grep = Annotated[str | None, typer.Option("--grep", help="Only bodies that match this regular expression.")]
All = Annotated[bool, typer.Option("--all", help="Every message.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")]


@app.command("inspect")
@with_session
def inspect_(
    session: Session,
    *,
    ids: Ids = None,
    types: Types = None,
    error: Cause = None,
    grep: Grep = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many messages.")] = _LOOK,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write them to a file, one a line.")
    ] = None,
) -> None:
    """Show what is in the dead-letter queue and why. Nothing is consumed; numbers are approximate, as SQS's are."""
    if export is not None:
        files.check(export)
    out = session.out
    wanted = _wanted(ids, types, error, grep, since)
    busy = lease.current(session.aws, session.outputs[Output.TABLE])
    if busy is not None:
        out.warn(f"{lease.described(busy)} is moving messages; what is shown may be gone in a moment")
    found, interruption = _look(session, wanted, limit)
    if export is not None:
        files.write(export, "".join(f"{json_values.dumps(m)}\n" for m in found.messages), private=True)
        out.say(line(dim(f"{many(len(found.messages), 'message')} in {export}")))
    out.result(found, render_dlq.inspection)
    if interruption:
        raise typer.Exit(interruption.exit_code)


@app.command()
@with_session
def redrive(
    session: Session,
    *,
    every: All = False,
    ids: Ids = None,
    types: Types = None,
    error: Cause = None,
    grep: Grep = None,
    since: Since = None,
    limit: Most = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0.001, help="At most so many a second.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which would go.")] = False,
    edited: Annotated[bool, typer.Option("--edit", help="Fix the events in $EDITOR first.")] = False,
    canary: Annotated[
        bool, typer.Option("--canary/--no-canary", help="Put one back first, and the rest only if it is processed.")
    ] = True,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until each is processed or dead.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Longest wait.")] = 120.0,
    yes: Yes = False,
    confirm: consent.Confirm = None,
) -> None:
    """Put dead messages back into the queue. Each is deleted only once SQS has confirmed the new one."""
    wanted = _chosen(every, ids, types, error, grep, since)
    out, aws, outputs = session.out, session.aws, session.outputs
    if dry_run:
        found, interruption = _look(session, wanted, limit or _EVERY)
        repair = _dry(found.messages)
        repair.missing = [] if interruption else _missing(ids, [m.id for m in repair.messages])
        out.result(repair, render_dlq.repair)
        _exit(interruption, repair)
        return
    consent.ask(session, f"Put {_meant(session, every)} back", wide=not ids, yes=yes, confirm=confirm)
    bodies: dict[str, str] = {}
    if edited:
        found, _ = _look(session, wanted, min(limit or _EVERY, edit.MOST + 1))
        if not found.messages:
            raise NotFoundError("No such message is in the dead-letter queue.", hint="`rtp dlq inspect` shows what is.")
        bodies = edit.edited(found.messages)
        session.recheck()  # an editor stays open for long
        wanted = Filters(message_ids=frozenset(bodies))
    notify = _teller(session)
    with interrupts.graceful(notify) as interruption, _journal(session, "redrive") as writer:
        repair = Repair(writer.run)
        with lease.held(aws, outputs[Output.TABLE], "dlq redrive", interruption.stop), out.live() as live:
            work = redriving.Redrive(
                aws, outputs, writer, wanted=wanted, stop=interruption.stop, rate=rate, bodies=bodies, notify=notify
            )

            def waiting(record: Record) -> None:
                said = f"{record['id']}: {record['status']}, attempt {record.get('attempt_count', '')}"
                live.update(line(dim(said), f"  {cause(record.get('error'))}"))

            for _ in run(
                aws, outputs, work, repair, canary=canary, wait=wait, limit=limit, timeout_s=timeout,
                stop=interruption.stop, notify=waiting,
            ):  # fmt: skip
                live.update(line(f"{repair.redriven:,} put back"))
    if not (interruption or repair.stopped or limit or edited):
        repair.missing = _missing(ids, [m.id for m in repair.messages] + [f["id"] for f in repair.failed])
    out.result(repair, render_dlq.repair)
    _exit(interruption, repair)


@app.command()
@with_session
def undo(
    session: Session,
    *,
    name: Annotated[
        str | None, typer.Option("--run", help="Which redrive or purge; the last one unless given.")
    ] = None,
    yes: Yes = False,
    confirm: consent.Confirm = None,
) -> None:
    """Put the messages of a redrive or a purge back where they were. What is processed stays processed."""
    out, aws, outputs = session.out, session.aws, session.outputs
    account = guard.account(aws, session.environment)
    run_ = journal.load(journal.folder(session.environment.state, session.environment.name), name)
    undoing.check(run_, stack=session.environment.names.stack, account=account)
    question = f"Put {many(len(run_.entries), 'message')} of {run_.run} back"
    consent.ask(session, question, wide=True, yes=yes, confirm=confirm)
    with (
        interrupts.graceful(_teller(session)) as interruption,
        lease.held(aws, outputs[Output.TABLE], "dlq undo", interruption.stop),
    ):
        done = undoing.undo(aws, outputs, run_, stop=interruption.stop)
    out.result(done, render_dlq.undone)
    if interruption:
        raise typer.Exit(interruption.exit_code)


@app.command()
@with_session
def purge(
    session: Session,
    *,
    every: All = False,
    ids: Ids = None,
    types: Types = None,
    error: Cause = None,
    grep: Grep = None,
    since: Since = None,
    limit: Most = None,
    yes: Yes = False,
    confirm: consent.Confirm = None,
) -> None:
    """Delete dead messages, after a backup that `rtp dlq undo` can put back."""
    wanted = _chosen(every, ids, types, error, grep, since)
    out, aws, outputs = session.out, session.aws, session.outputs
    consent.ask_always(session, f"Delete {_meant(session, every)}", yes=yes, confirm=confirm)
    with (
        interrupts.graceful(_teller(session)) as interruption,
        _journal(session, "purge", sync=True) as writer,
        lease.held(aws, outputs[Output.TABLE], "dlq purge", interruption.stop),
        out.live() as live,
    ):
        done = purging.purge(
            aws,
            outputs,
            writer,
            wanted=wanted,
            limit=limit,
            stop=interruption.stop,
            notify=lambda n: live.update(line(f"{n:,} deleted")),
            told=_teller(session),
        )
    out.result(done, render_dlq.purged)
    if interruption:
        raise typer.Exit(interruption.exit_code)
    if done.kept:
        raise typer.Exit(ExitCode.FAILED)
    if done.missing:
        raise typer.Exit(ExitCode.NOT_FOUND)


def _wanted(
    ids: list[str] | None, types: list[str] | None, error: str | None, grep: str | None, since: str | None
) -> Filters:
    return Filters(
        ids=tuple(ids or ()),
        types=tuple(types or ()),
        error=error,
        grep=pattern(grep),
        since=times.parse_when(since) if since else None,
    )


def _chosen(
    every: bool, ids: list[str] | None, types: list[str] | None, error: str | None, grep: str | None, since: str | None
) -> Filters:
    wanted = _wanted(ids, types, error, grep, since)
    if every and not wanted.all:
        raise UsageError("--all and a filter contradict each other.", hint="Leave one of them out.")
    if not every and wanted.all:
        raise UsageError(
            "Say which messages: --all, --id, --type, --error, --grep or --since.", hint="`rtp dlq inspect` shows them."
        )
    return wanted


def _meant(session: Session, every: bool) -> str:
    """The messages that are meant, in words."""
    count = inspect.depth(session.aws, session.outputs)
    return f"{'all' if every else 'the chosen ones'} of about {many(count, 'dead message')}"


def _look(session: Session, wanted: Filters, limit: int) -> tuple[inspect.Inspection, Interruption]:
    with interrupts.graceful() as interruption, session.out.live() as live:
        found = inspect.inspect(
            session.aws, session.outputs, wanted=wanted, limit=limit, stop=interruption.stop,
            notify=lambda n: live.update(line(dim(f"{n:,} looked at"))),
        )  # fmt: skip
    return found, interruption


def _journal(session: Session, what: str, *, sync: bool = False) -> journal.Writer:
    environment = session.environment
    place = journal.folder(environment.state, environment.name)
    return journal.Writer(place, what=what, stack=environment.names.stack, account=session.aws.account, sync=sync)


def _teller(session: Session) -> interrupts.Notify:
    return lambda text: session.out.say(line(dim(text)))


def _dry(dlq_messages: list[DlqMessage]) -> Repair:
    messages = [redriving.Moved(m.message_id, m.id, m.identity.timestamp, m.type) for m in dlq_messages]
    return Repair(None, dry_run=True, messages=messages)


def _exit(interruption: Interruption, repair: Repair) -> None:
    if interruption:
        raise typer.Exit(interruption.exit_code)
    if repair.pending and not repair.dead and not repair.failed:
        raise typer.Exit(ExitCode.TIMED_OUT)
    if repair.bad:
        raise typer.Exit(ExitCode.FAILED)
    if repair.missing:
        raise typer.Exit(ExitCode.NOT_FOUND)


def _missing(asked: list[str] | None, met: list[str]) -> list[str]:
    return [each for each in asked or () if each not in met]
