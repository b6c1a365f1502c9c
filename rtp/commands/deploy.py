"""rtp deploy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp import config, times
from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.progress import Progress
from rtp.commands.session import Session
from rtp.errors import RtpError, UsageError
from rtp.ops.stack import deploy as op
from rtp.ops.stack import watch as watching
from rtp.ops.stack.steps import Note, Outputs, Phase, Plan, Result
from rtp.view import command, dim, good, line, name, strong

if TYPE_CHECKING:
    from rtp.config import Environment
    from rtp.ops.stack.steps import Question, Step
    from rtp.output import Output

app = new_app()

_PROTECTED_WATCH = "5m"


@app.command()
@with_session
def deploy(
    session: Session,
    *,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Prepare and show the change set, apply nothing.")] = False,
    hotswap: Annotated[
        bool, typer.Option("--hotswap", help="Change the functions' code directly where nothing else differs.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then hotswap whenever a file of the project is saved.")
    ] = False,
    no_rollback: Annotated[
        bool, typer.Option("--no-rollback", help="Leave a failed stack as it is, to look at and go on from.")
    ] = False,
    smoke: Annotated[
        bool | None,
        typer.Option("--smoke/--no-smoke", help="Send one event through afterwards; on AWS unless told otherwise."),
    ] = None,
    watch_alarms: Annotated[
        str | None,
        typer.Option(
            "--watch-alarms",
            help="Take an update back when an alarm rings within this time; 5m where protected, 0s for not at all.",
            metavar="TIME",
        ),
    ] = None,
    outputs_file: Annotated[
        Path | None, typer.Option("--outputs-file", "-O", help="Write the outputs here, as JSON.", metavar="F")
    ] = None,
) -> None:
    """Deploy the pipeline.

    Synthesises, publishes the assets, prepares a change set, has it approved where it is dangerous, and applies it.
    An environment on this machine gets its engine started.
    """
    environment = session.environment
    if (hotswap or watch) and environment.protected:
        raise UsageError(
            f"{environment.name} is protected, so its code changes through CloudFormation only.",
            hint="Leave out --hotswap and --watch.",
        )
    if dry_run and (watch or hotswap):
        raise UsageError("--dry-run does not go with --hotswap or --watch.", hint="Leave one of them out.")
    options = op.Options(
        dry_run=dry_run,
        hotswap=hotswap,
        rollback=not no_rollback,
        outputs_file=outputs_file,
        smoke=not environment.local if smoke is None else smoke,
        watch_alarms_s=_watch_s(watch_alarms, environment),
    )
    _once(session, environment, options, yes=yes)
    if watch:
        _watch(session, yes=yes)


def _once(session: Session, environment: Environment, options: op.Options, *, yes: bool) -> None:
    out = session.out
    progress = Progress(out, environment.names.stack)
    work = op.Deploy(
        environment,
        session.start,
        lambda question: _consent(out, progress, question, yes=yes),
        options,
    )
    try:
        with progress.running():
            for step in work.steps():
                progress.tell(step)
    except BaseException as error:
        if not isinstance(error, Exception):
            _stands(out, work)
        raise


def _watch(session: Session, *, yes: bool) -> None:
    """Deploy again, the short way, at each save; what goes wrong is said, and watching goes on."""
    out, environment = session.out, session.environment
    out.say(dim(f"watching {', '.join(_relative(p, environment.root) for p in _watched(environment))}; Ctrl-C ends"))

    def paths() -> list[Path]:
        return _watched(environment)

    for files in watching.changes(paths):
        began = time.monotonic()
        saved = ", ".join(_relative(Path(f), environment.root) for f in files[:3])
        try:
            environment = config.resolve(session.overrides)
            work = op.Deploy(
                environment,
                session.start,
                lambda question: _consent(out, None, question, yes=yes),
                op.Options(hotswap=True),
            )
            for step in work.steps():
                _tell_watch(out, step, saved, began)
        except RtpError as error:
            out.say(line(dim(times.clock(times.now_ms())), "  ", name(saved)))
            out.error(error)


def _tell_watch(out: Output, step: Step, saved: str, began: float) -> None:
    """A line for each save; the outputs are known already."""
    if isinstance(step, Phase | Note | Outputs):
        return
    if isinstance(step, Result) and not out.json:
        took = f"{step.status} in {time.monotonic() - began:.1f} s"
        out.say(line(dim(times.clock(times.now_ms())), "  ", name(saved), "  ", good(took)))
    elif not isinstance(step, Plan) or out.json:
        Progress(out, "").tell(step)


def _watched(environment: Environment) -> list[Path]:
    wanted = (environment.file or environment.root / config.FILE, environment.processors, environment.requirements)
    return [p for p in wanted if p is not None]


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _watch_s(text: str | None, environment: Environment) -> int:
    if text is None:
        text = _PROTECTED_WATCH if environment.protected and not environment.local else "0s"
    seconds = round(times.parse_duration(text) / 1000)
    if seconds > 180 * 60:
        raise UsageError("--watch-alarms takes at most 180m.", hint="CloudFormation watches no longer than that.")
    return seconds


def _consent(out: Output, progress: Progress | None, question: Question, *, yes: bool) -> None:
    """Say what it is about and ask, in place of the table."""
    if progress is None:
        for text in question.about:
            out.say(text)
        out.confirm(question.text, yes=yes)
        return
    with progress.paused():
        _consent(out, None, question, yes=yes)


def _stands(out: Output, work: op.Deploy) -> None:
    """After an interrupt: the state the stack is in, and the command that goes on."""
    stack = work.environment.names.stack
    if work.applying:
        out.say(line(strong(stack), " is still being changed by CloudFormation, which goes on by itself."))
        out.say(command("`rtp deploy` waits for it and goes on from there; `rtp status` shows it."))
    else:
        out.say(line(strong(stack), " was not changed."))
        out.say(command("`rtp deploy` starts again."))
