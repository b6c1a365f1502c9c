"""rtp rehearse."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion, ids, interrupts, known_types
from rtp.commands.count_options import ErrorText, Group, Release
from rtp.commands.operation import exit_if, remark, returned
from rtp.commands.options import Since, Until, new_app, option_group, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode, NotFoundError, RefusedError, RtpError
from rtp.text import times
from rtp.text.elements import dim, line, many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.commands.interrupts import Interruption
    from rtp.ops.rehearse.rehearse import Allowed, Progress
    from rtp.ops.rehearse.report import Rehearsal
    from rtp.ops.rehearse.selection import Request

app = new_app()

LIMIT = 1000
_REDRAW_S = 0.2
_SAY_S = 10.0  # between two lines of progress where no region is redrawn


@option_group
class Selection:
    """Which events to rehearse."""

    group: Group = None
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="Only records of this status: dead (the default), failed or processed; repeatable.",
            autocompletion=completion.statuses,
        ),
    ] = None
    kind: Annotated[
        str | None, typer.Option("--type", help="Only this event type.", autocompletion=completion.types)
    ] = None
    event_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", help="Only this event, whatever its status; repeatable.", autocompletion=completion.event_ids
        ),
    ] = None
    error: ErrorText = None
    release: Release = None
    since: Since = None
    until: Until = None
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="Run at most the newest N of them.")
    ] = LIMIT

    def request(self, session: Session) -> Request:
        """The request. Raises UsageError."""
        from rtp.ops import causes, releases
        from rtp.ops.events.record_filters import RecordFilters
        from rtp.ops.rehearse.selection import Request

        whole = Request(limit=self.limit)
        return Request(
            statuses=tuple(dict.fromkeys(self.status or ())),
            kind=self.kind,
            ids=tuple(ids.event_id(session, text) for text in self.event_ids or ()),
            since=whole.since if self.since is None else times.parse_when(self.since, option="--since"),
            until=whole.until if self.until is None else times.parse_when(self.until, option="--until"),
            limit=self.limit,
            filters=RecordFilters(
                error=self.error,
                group=None if self.group is None else causes.parsed(self.group),
                release=None if self.release is None else releases.parsed(self.release),
            ),
        )


@app.command()
@with_session
def rehearse(
    session: Session,
    *,
    selection: Selection,
    allow_network: Annotated[
        bool,
        typer.Option("--allow-network", help="Allow connections, and AWS calls with your credentials."),
    ] = False,
    with_variables: Annotated[
        bool, typer.Option("--with-variables", help="Give processors the environment variables of rtp.toml.")
    ] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Give processors the secrets that .env.local has values of.")
    ] = False,
    secrets_file: Annotated[
        Path | None,
        typer.Option("--secrets-file", metavar="FILE", help="Give processors the secrets of this file."),
    ] = None,
) -> None:
    """Run archived events through this folder's code; store, send and emit nothing.

    Runs what is dead, or what the options select, and compares with the records. Exits with 1 if an event fails, with 4
    if nothing is what the options name, with 6 if messages of the dead-letter queue could not be read.
    """
    from rtp.commands.render import rehearse as render
    from rtp.ops.rehearse.rehearse import Allowed

    request = selection.request(session)
    given = secrets(session, secrets_file) if with_secrets or secrets_file is not None else {}
    aws = session.aws.environment() if allow_network else None
    allowed = Allowed(aws=aws, variables=with_variables, secrets=given)
    try:
        result, interruption = conduct(session, request, allowed)
    except NotFoundError as error:
        if error.code == "nothing-rehearsed":
            known_types.warn_nothing_found(session, selection.kind)
        raise
    name, root, shown = session.environment.name, str(session.environment.root), render.filters(request)
    session.out.result(result, lambda r: render.rehearsal(r, name, shown, root))
    exit_if(interruption)
    if not result.is_good:
        raise typer.Exit(ExitCode.FAILED)
    if result.unseen:
        raise typer.Exit(ExitCode.TIMED_OUT)
    if result.missing:
        raise typer.Exit(ExitCode.NOT_FOUND)


class Given(StrEnum):
    """What a rehearsal before a deploy gives to processors."""

    NETWORK = "network"
    VARIABLES = "variables"
    SECRETS = "secrets"


Rehearse = Annotated[
    bool,
    typer.Option(
        "--rehearse", help="Before an update, run the dead events through the new code; deploy only if none fails."
    ),
]
RehearseWith = Annotated[
    list[Given] | None,
    typer.Option(
        "--rehearse-with",
        help="Allow or give this in the rehearsal, as `rtp rehearse` does; repeatable.",
        metavar="WHAT",
    ),
]


def before_deploy(session: Session, given: Sequence[Given]) -> None:
    """Rehearse the dead events before an update of the stack. Without a stack there is nothing to rehearse.

    Raises RtpError where an event fails, RefusedError where the folder was changed meanwhile.
    """
    from rtp.aws import stacks
    from rtp.commands.render import rehearse as render
    from rtp.ops.rehearse.rehearse import Allowed
    from rtp.ops.rehearse.selection import Request
    from rtp.ops.stack.code import watch as watching
    from rtp.ops.stack.code.watched import watched

    session.start()
    stack = stacks.describe(session.guarded, session.environment.names.stack)
    if stack is None or not stack.state.usable:
        session.out.say(line(dim("no deployed stack, so there is nothing to rehearse")))
        return
    allowed = Allowed(
        aws=session.aws.environment() if Given.NETWORK in given else None,
        variables=Given.VARIABLES in given,
        secrets=secrets(session, None) if Given.SECRETS in given else {},
    )
    request, files = Request(limit=LIMIT), watching.snapshot(watched(session.environment))
    result, interruption = conduct(session, request, allowed)
    name, root, shown = session.environment.name, str(session.environment.root), render.filters(request)
    session.out.event("rehearsal", result, lambda r: render.rehearsal(r, name, shown, root))
    exit_if(interruption)
    if not result.is_good:
        failing = result.newly_failing + result.still_dead
        lacking = f", and {result.not_rehearsed:,} could not be rehearsed" if result.not_rehearsed else ""
        raise RtpError(
            f"{many(failing, 'event')} would fail in the code of this folder{lacking}; nothing was deployed.",
            hint="Correct the processor and repeat; without --rehearse it is deployed as it is.",
            code="rehearsal-failed",
        )
    if watching.snapshot(watched(session.environment)) != files:
        raise RefusedError(
            "A file was changed during the rehearsal, so other code would be deployed.",
            hint="Repeat the command; nothing was deployed.",
        )


def conduct(session: Session, request: Request, allowed: Allowed) -> tuple[Rehearsal, Interruption]:
    """Run the events, with what was found so far on the terminal; in a pipe with a line each ten seconds."""
    from rtp.commands.render import rehearse as render
    from rtp.ops.rehearse import rehearse as op

    out, env, root = session.out, session.environment.name, str(session.environment.root)
    with interrupts.graceful(remark(out)) as interruption, out.live() as live:
        drawn, said = 0.0, time.monotonic()
        live.update([line(dim(f"rehearse {env}: looking for the stack"))])

        def show(step: Progress) -> None:
            nonlocal drawn, said
            now = time.monotonic()
            text = ", ".join([f"{step.count:,} run"] * (step.count > 0) + [step.now] * bool(step.now))
            if not live.visible:
                if step.count and now - said >= _SAY_S:
                    out.say(line(dim(text)))
                    said = now
            elif not step.count:
                live.update([line(dim(f"rehearse {env}: {text}"))])
            elif step.now or now - drawn >= _REDRAW_S:
                live.update([line(dim(text)), *render.rehearsal(step.report(), env, root=root)])
                drawn = now

        steps = op.rehearse(
            session.aws, session.outputs_to_read, session.environment, request, allowed, stop=interruption.stop
        )
        return returned(steps, show), interruption


def secrets(session: Session, file: Path | None) -> Mapping[str, str]:
    """The declared secrets that a file has, or .env.local. Raises ConfigError."""
    from rtp.ops import envfile

    environment = session.environment
    values = envfile.of_project(environment.root) if file is None else envfile.read(file)
    return {name: values[name] for name in environment.settings.secrets if name in values}
