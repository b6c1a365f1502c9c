"""rtp drill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import consent, engine_end, journals
from rtp.commands.consent import Impact
from rtp.commands.operation import conduct, exit_if, remark
from rtp.commands.options import new_app, with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import ExitCode, UsageError
from rtp.ops.drill.faults import Fault
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from rtp.ops.dlq.target import Target

app = new_app()

_SINCE = "7d"


@app.command()
@with_session
def drill(
    session: Session,
    *,
    fault: Annotated[
        Fault | None,
        typer.Argument(
            metavar="[FAULT]",
            help="poison: each attempt fails; flood: many at once; duplicate: each message twice; slow: almost the "
            "function's time; throttle: the first attempt fails; blocked: one in ten blocks the event loop.",
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=10_000, metavar="N", help="Number of events.")] = 20,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=1, max=7200, metavar="SECONDS", help="Maximum time for events to end and alarms to fire."
        ),
    ] = 600.0,
    remove: Annotated[
        bool,
        typer.Option(
            "--clean-up", help="Inject nothing: remove what drills left that were killed, or ended too early."
        ),
    ] = False,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="With --clean-up: of drills since then. Default: 7d.")
    ] = None,
    approval: consent.Approval,
) -> None:
    """Inject a fault into an environment that is not protected, and show what became of each event.

    Shows which alarms fired and after how long. Removes its messages, records and objects at the end.
    """
    from rtp.commands.render import drill as render_drill
    from rtp.ops.drill import run as op
    from rtp.ops.drill.run import DrillRequest

    out, environment = session.out, session.environment
    op.check(environment)
    if remove and fault is None:
        _clean_up(session, times.parse_when(since or _SINCE, option="--since"), approval)
        return
    if remove or fault is None:
        hint = f"A fault is one of {', '.join(Fault)}; `rtp drill --clean-up` removes what killed drills left."
        raise UsageError("Name a fault, or give --clean-up alone.", hint=hint)
    if since is not None:
        raise UsageError("--since goes with --clean-up.", hint="Leave it out.")
    target, drills = _target(session), journals.store(session, "drill")
    consent.ask(session, f"Send {many(count, 'event')} of the drill {fault.value}", approval, Impact.MANY)
    request = DrillRequest(fault=fault, count=count, timeout_s=timeout)
    given = {"fault": fault.value, "count": count}
    with recorded(session, "drill", given, reason=approval.reason) as run:
        result, interruption = conduct(
            out,
            lambda stop: op.drill(target, environment, request, drills=drills, stop=stop, notify=remark(out)),
            render_drill.progress,
        )
        ledger = result.ledger
        run.result = (
            f"{fault.value} {result.run}: {ledger.sent:,} sent, {ledger.lost:,} lost, {ledger.doubled:,} doubled"
        )
        out.result(result, lambda d: render_drill.drill(d, environment.name))
        exit_if(interruption)
        if result.is_late:
            raise typer.Exit(ExitCode.TIMED_OUT)
        if not result.is_as_expected:
            raise typer.Exit(ExitCode.FAILED)


def _clean_up(session: Session, since_ms: int, approval: consent.Approval) -> None:
    from rtp.commands.render import drill as render_drill
    from rtp.ops.drill import leftovers

    out, environment, target = session.out, session.environment, _target(session)
    drills = journals.store(session, "drill")
    consent.ask(
        session, "Remove what earlier drills left; one that runs now would lose its events", approval, Impact.MANY
    )
    with recorded(session, "drill", {"clean_up": True}, reason=approval.reason) as run:
        result, interruption = conduct(
            out,
            lambda stop: leftovers.clean_up(
                target, environment, drills=drills, since_ms=since_ms, stop=stop, notify=remark(out)
            ),
            render_drill.progress,
        )
        run.result = f"{result.removed.records:,} records, {result.removed.messages:,} messages removed"
        out.result(result, lambda r: render_drill.cleaned_up(r, environment.name))
        exit_if(interruption)
        if result.notes:
            raise typer.Exit(ExitCode.FAILED)
        if result.waiting or result.unseen:
            raise typer.Exit(ExitCode.TIMED_OUT)


def _target(session: Session) -> Target:
    """The stack, with a store of its own for the backups of messages: `rtp dlq undo` is not to restore a drill's."""
    from rtp.ops.access import guard
    from rtp.ops.dlq.target import Target
    from rtp.ops.drill import run as op
    from rtp.ops.journal_store import JournalFiles

    environment = session.environment
    op.check(environment, is_protected=session.is_protected)
    return Target(
        aws=session.aws,
        outputs=session.outputs,
        stack=environment.names.stack,
        account=guard.account(session.aws, environment),
        journals=JournalFiles(environment.state / "drill" / environment.name),
        restored_ms=engine_end.restored_ms(environment),
        who=journals.operator(session),
    )
