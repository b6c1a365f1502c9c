"""rtp rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion
from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.recorded import Reason, recorded
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text import suggest, times
from rtp.text.elements import Column, Style, Table, Text, advice, dim, line, name, next_step

if TYPE_CHECKING:
    from rtp.ops.stack.roll_back import Release, Releases
    from rtp.ops.stack.steps import Step
    from rtp.text.elements import Cell, Element

app = new_app()


@app.command()
@with_session
def rollback(
    session: Session,
    *,
    release: Annotated[
        str | None,
        typer.Argument(
            metavar="RELEASE",
            help="Name such as r42, or its hash or the beginning. Default: the release before the one that runs.",
            autocompletion=completion.releases,
        ),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the releases that are kept, the one deployed last first.")
    ] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    smoke: Annotated[
        bool | None,
        typer.Option("--smoke/--no-smoke", help="Send one event through the pipeline afterwards (default on AWS)."),
    ] = None,
    reason: Reason = None,
) -> None:
    """Go back to the code, layer and settings of an earlier release.

    Needs no code of the project: template and assets of the last 10 releases are in rtp's own bucket. Where only code
    differs and the environment is not protected, the functions are updated directly; else CloudFormation does it.
    Refuses where a table, bucket, key or queue would be replaced or deleted.
    """
    from rtp.commands.render import stack_state
    from rtp.commands.render.headings import unreadable
    from rtp.commands.render.progress import Progress
    from rtp.ops import shown
    from rtp.ops.stack import roll_back as op
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.options import SESSION_S, Options
    from rtp.ops.stack.steps import Phase

    environment = session.environment
    if list_:
        if release is not None or dry_run:
            raise UsageError("--list takes no release and no --dry-run.", hint="Leave one of them out.")
        listed = op.releases(session.guarded, environment)
        shown.remember(
            environment,
            [shown.Shown(r.release, "release", times.parse_when(r.deployed), "", "") for r in listed.releases],
        )
        if listed.unreadable:
            session.out.warn(unreadable(listed.unreadable, "no release", "no releases"))
        session.out.result(listed, _list)
        return
    progress = Progress(session.out)
    operation = Operation(lambda question: progress.ask(question, yes=yes), command="rtp rollback")
    options = Options(
        dry_run=dry_run, smoke=not environment.local if smoke is None else smoke, smoke_always=smoke is True, keep=False
    )
    if not environment.local:
        session.aws.sign_in(at_least_s=SESSION_S)
    arguments = {"release": release, "dry_run": dry_run, "smoke": smoke}
    with recorded(session, "rollback", arguments, reason=reason, later=True) as run:

        def show(step: Step) -> None:
            is_checked = not isinstance(step, Phase) or step.name != op.FIRST_PHASE  # the account is right
            if is_checked and not dry_run:
                run.begin(session.aws)
            progress.show(step)

        with stack_state.after_deploy(session.out, environment, operation):
            progress.follow(op.roll_back(session.aws, environment, release, options, operation), show)
        if progress.result is not None:
            run.result, run.release = progress.result.status, progress.result.release
    if progress.result is not None and not session.out.json:
        session.out.say(*_end(progress.result.release))


def _end(release: str) -> list[Element]:
    """What runs now, and the command to run next."""
    if not release:
        return []
    return [
        line("runs ", name(release), dim("; a deploy of a folder brings that folder's code")),
        *next_step("next  ", suggest.literal("rtp status")),
    ]


def _list(listed: Releases) -> list[Element]:
    from rtp.commands.render.headings import count, heading

    rows: list[list[Cell]] = [
        [r.name, name(r.release), times.recent(times.parse_when(r.deployed)), r.user, _mark(r)] for r in listed.releases
    ]
    columns = [
        Column("NAME", whole=True),
        Column("RELEASE", whole=True),
        Column("DEPLOYED", whole=True),
        Column("BY", long=True, drop=1),
        Column("", whole=True),
    ]
    elements: list[Element] = [heading("releases", listed.env, count(len(rows), more=False))]
    if rows:
        elements.append(Table(columns, rows))
    default = next((r.name for r in listed.releases if r.is_default), "")
    if default:
        elements.append(line(dim("without a name, "), advice("`rtp rollback`"), dim(f" goes to {default}")))
    if not listed.known:
        elements.append(line(dim("what runs now is none of them")))
    return elements


def _mark(release: Release) -> Text:
    if release.runs:
        return Text("runs now", Style.GOOD)
    return Text("default", Style.DIM) if release.is_default else Text("")
