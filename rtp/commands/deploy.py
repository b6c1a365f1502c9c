"""rtp deploy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.progress import Progress
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.ops import deploy as op
from rtp.view import dim, line, strong

if TYPE_CHECKING:
    from rtp.ops.steps import Question
    from rtp.output import Output

app = new_app()


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
    no_rollback: Annotated[
        bool, typer.Option("--no-rollback", help="Leave a failed stack as it is, to look at and go on from.")
    ] = False,
    outputs_file: Annotated[
        Path | None, typer.Option("--outputs-file", "-O", help="Write the outputs here, as JSON.", metavar="F")
    ] = None,
) -> None:
    """Deploy the pipeline: synthesise, publish, apply, with live progress."""
    environment, out = session.environment, session.out
    if hotswap and environment.protected:
        raise UsageError(
            f"{environment.name} is protected, so its code changes through CloudFormation only.",
            hint="Leave out --hotswap.",
        )
    progress = Progress(out, environment.names.stack)
    work = op.Deploy(
        environment,
        session.start,
        lambda question: _consent(out, progress, question, yes=yes),
        op.Options(dry_run=dry_run, hotswap=hotswap, rollback=not no_rollback, outputs_file=outputs_file),
    )
    try:
        with progress.running():
            for step in work.steps():
                progress.tell(step)
    except BaseException as error:
        if not isinstance(error, Exception):
            _stands(out, work)
        raise


def _consent(out: Output, progress: Progress, question: Question, *, yes: bool) -> None:
    """Say what it is about and ask, in place of the table."""
    with progress.paused():
        for text in question.about:
            out.say(text)
        out.confirm(question.text, yes=yes)


def _stands(out: Output, work: op.Deploy) -> None:
    """After an interrupt: the state the stack is in, and the command that goes on."""
    stack = work.environment.names.stack
    if work.applying:
        out.say(line(strong(stack), " is still being changed by CloudFormation, which goes on by itself."))
        out.say(dim("`rtp deploy` waits for it and goes on from there; `rtp status` shows it."))
    else:
        out.say(line(strong(stack), " was not changed."))
        out.say(dim("`rtp deploy` starts again."))
