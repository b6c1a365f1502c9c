"""rtp deploy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import watch_loop
from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.recorded import Reason, recorded
from rtp.commands.rehearse import Rehearse, RehearseWith, before_deploy
from rtp.commands.session import Session
from rtp.errors import RefusedError, UsageError
from rtp.text import suggest, times
from rtp.text.elements import next_step

if TYPE_CHECKING:
    from rtp.config import Environment
    from rtp.ops.stack.options import Options
    from rtp.ops.stack.steps import Result, Step
    from rtp.text.elements import Element

app = new_app()

_PROTECTED_WATCH = "5m"
_RUNS = ("created", "updated", "hotswapped", "restored", "unchanged")  # results after which the folder's code runs


@app.command()
@with_session
def deploy(  # noqa: PLR0913 - a parameter for each option
    session: Session,
    *,
    yes: Yes = False,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm",
            help="Name of the stack: confirms a loss of data in a protected environment, or --take-over.",
            metavar="NAME",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the change set; apply nothing.")] = False,
    hotswap: Annotated[
        bool, typer.Option("--hotswap", help="Update the functions' code directly if nothing else differs.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="After the deploy, hotswap whenever a file is saved that decides what is deployed."
        ),
    ] = False,
    no_rollback: Annotated[
        bool, typer.Option("--no-rollback", help="If the deploy fails, leave the stack as it is.")
    ] = False,
    smoke: Annotated[
        bool | None,
        typer.Option("--smoke/--no-smoke", help="Send one event through the pipeline afterwards (default on AWS)."),
    ] = None,
    watch_alarms: Annotated[
        str | None,
        typer.Option(
            "--watch-alarms",
            help="Roll back if an alarm fires within TIME (default 5m if protected; 0s disables).",
            metavar="TIME",
        ),
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take table, bucket and key that an earlier stack left into the new stack.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Take over another project's stack, for example after a rename; its name must be typed."
        ),
    ] = False,
    make_logging_role: Annotated[
        bool,
        typer.Option(
            "--make-logging-role", help="Give API Gateway a role for its logs if the account has none in the region."
        ),
    ] = False,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Deploy the built-in pipeline to AWS although there is no rtp.toml.")
    ] = False,
    rehearse: Rehearse = False,
    rehearse_with: RehearseWith = None,
    outputs_file: Annotated[
        Path | None,
        typer.Option("--outputs-file", "-O", help="Write the stack's outputs to this file, as JSON.", metavar="F"),
    ] = None,
    reason: Reason = None,
) -> None:
    """Deploy the pipeline.

    Synthesises, publishes the assets, prepares a change set and applies it. Asks for confirmation where data or
    permissions are at risk. Starts the local engine if the environment uses it.
    """
    from rtp.ops.access import guard
    from rtp.ops.stack.code import watch as watching
    from rtp.ops.stack.code.watched import watched
    from rtp.ops.stack.options import Options

    environment = session.environment
    guard.named(environment, confirm)
    if (hotswap or watch) and environment.protected:
        raise UsageError(
            f"{environment.name} is protected, so its code changes through CloudFormation only.",
            hint="Leave out --hotswap and --watch.",
        )
    if adopt and (watch or hotswap):
        raise UsageError("--adopt cannot be combined with --hotswap or --watch.", hint="Leave one of them out.")
    if dry_run and (watch or hotswap):
        raise UsageError("--dry-run cannot be combined with --hotswap or --watch.", hint="Leave one of them out.")
    options = Options(
        dry_run=dry_run,
        hotswap=hotswap,
        rollback=not no_rollback,
        outputs_file=outputs_file,
        smoke=not environment.local if smoke is None else smoke,
        smoke_always=smoke is True,
        watch_alarms_s=_watch_s(watch_alarms, environment),
        adopt=adopt,
        take_over=take_over,
        make_logging_role=make_logging_role,
    )
    if environment.file is None:
        session.out.warn("no rtp.toml in this folder or a parent folder: this is the built-in pipeline")
        if not environment.local and not built_in:
            _ask_about_built_in(session, environment)
    files = watching.snapshot(watched(environment)) if watch else {}  # what is saved during the deploy is not missed
    if rehearse or rehearse_with:
        before_deploy(session, rehearse_with or ())
    _once(session, environment, options, yes=yes, confirm=confirm, reason=reason)
    if watch:
        watch_loop.run(session, files, yes=yes, reason=reason)


def _ask_about_built_in(session: Session, environment: Environment) -> None:
    """Ask before the built-in pipeline is deployed to AWS: this may be the wrong folder. Raises RefusedError."""
    if not session.out.interactive:
        raise RefusedError(
            f"There is no rtp.toml here or above, and the built-in pipeline would be deployed to {environment.name}.",
            hint="Run it in the project's folder, name that with --project-dir, or repeat the command with --built-in.",
        )
    session.out.confirm(f"Deploy the built-in pipeline to {environment.name}?", yes=False)


def _once(
    session: Session,
    environment: Environment,
    options: Options,
    *,
    yes: bool,
    confirm: str | None,
    reason: str | None,
) -> None:
    from rtp.commands.render import stack_state
    from rtp.commands.render.progress import Progress
    from rtp.ops.stack import deploy as op
    from rtp.ops.stack.build import local_code
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.options import SESSION_S
    from rtp.ops.stack.steps import Phase

    progress = Progress(session.out)
    operation = Operation(lambda question: progress.ask(question, yes=yes, confirm=confirm))
    if not environment.local:
        session.start().sign_in(at_least_s=SESSION_S)
    with recorded(session, "deploy", options, reason=reason, later=True) as run:

        def show(step: Step) -> None:
            is_checked = not isinstance(step, Phase) or step.name != op.FIRST_PHASE  # account and bootstrap are right
            if is_checked and not options.dry_run:
                run.begin(session.aws)
            progress.show(step)

        with stack_state.after_deploy(session.out, environment, operation):
            progress.follow(op.deploy(environment, session.start, options, operation), show)
        if progress.result is not None:
            run.result = progress.result.status
            run.release = local_code.read(environment).release if run.result in _RUNS else ""
    if progress.result is not None and not session.out.json:
        session.out.say(*_next(progress.result, environment))


def _next(result: Result, environment: Environment) -> list[Element]:
    """The command that most people run next."""
    first = environment.root / "payloads"
    payloads = sorted(first.glob("*.json")) if result.status == "created" and first.is_dir() else []
    if payloads:
        shown = os.path.relpath(payloads[0])
        return next_step("next  ", suggest.command("rtp", "send", values=[Path(shown)], wait=True))
    if result.status in ("created", "updated", "restored", "unchanged"):
        return next_step("next  ", suggest.literal("rtp status"))
    if result.status == "hotswapped":
        return next_step("next  ", suggest.literal("rtp logs --follow"))
    return next_step("next  ", suggest.literal("rtp deploy")) if result.status == "dry-run" else []


def _watch_s(text: str | None, environment: Environment) -> int:
    if text is None:
        text = _PROTECTED_WATCH if environment.protected and not environment.local else "0s"
    seconds = round(times.parse_duration(text) / 1000)
    if seconds > 180 * 60:
        raise UsageError("--watch-alarms takes at most 180m.", hint="CloudFormation watches no longer than that.")
    return seconds
