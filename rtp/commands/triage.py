"""rtp triage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import ListGroup, new_app, with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import ExitCode, NotFoundError, UsageError
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.ops.triage.actions import Said
    from rtp.ops.triage.report import Triage

app = new_app(cls=ListGroup, help="Show what is red, since when and since which release, and the groups of failures.")

Group = Annotated[
    str, typer.Argument(metavar="GROUP", help="The group's id, or a beginning of it that only one group has.")
]
Message = Annotated[str | None, typer.Option("--message", "-m", metavar="TEXT", help="Why; others can read it.")]
_VERBS = {"acked": "ack", "muted": "mute", "resolved": "resolve", "reopened": "reopen", "note": "note"}
_STATES = ("new", "known", "acked", "muted", "resolved", "regressed")


End = Annotated[
    str | None,
    typer.Option("--until", metavar="END", help="Until a time from now (2h), or so many more failures (100x)."),
]
FailOn = Annotated[
    str | None,
    typer.Option(
        "--fail-on",
        metavar="STATES",
        help="Exit with 1 if a group is in one of these states, such as new,regressed; for CI after a deploy.",
    ),
]


@app.callback(invoke_without_command=True)
@with_session
def triage(session: Session, *, ctx: typer.Context, fail_on: FailOn = None) -> None:
    """Show what is red, since when and since which release, and the groups of failures.

    A group is failures of one cause: one type of event, one type of error, one function of the project.
    `rtp triage GROUP` shows one.
    """
    from rtp.commands.render import triage as render
    from rtp.config import Overrides
    from rtp.ops import shown

    if ctx.invoked_subcommand is not None:
        if session.overrides != Overrides() or session.out.json or fail_on is not None:
            raise UsageError(f"Options go after `{ctx.invoked_subcommand}`.")
        return
    failing, now = _states(fail_on), times.now_ms()
    found = _read(session, session.outputs_to_read, now)
    groups = [group for group in found.groups if group.newest.id]
    newest = [
        shown.Shown(g.newest.id, at=times.parse_when(g.last), status="dead" if g.dead else "", type=g.type)
        for g in groups
    ]
    shown.remember(session.environment, newest)
    session.out.result(found, lambda each: render.elements(each, now=now))
    if any(group.state in failing for group in found.groups):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
@with_session
def show(
    session: Session,
    *,
    group: Group,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Say what its events have in their data that the processed ones have not."),
    ] = False,
    suspect: Annotated[
        bool,
        typer.Option("--suspect", help="List the commits between the last good release and the first one that failed."),
    ] = False,
    fail_on: FailOn = None,
) -> None:
    """Show one group in full."""
    from rtp.commands.render import triage as render
    from rtp.contract import Output
    from rtp.ops import causes
    from rtp.ops.triage import compare as comparing
    from rtp.ops.triage import quiet, suspects

    failing, part, now = _states(fail_on), causes.parsed(group), times.now_ms()
    outputs = session.outputs_to_read
    found = _read(session, outputs, now)
    one = quiet.one(session.guarded, outputs[Output.TABLE], found, part, now=now)
    if compare:
        if not one.failures:
            raise NotFoundError(
                f"The group {one.id} has no event whose data could be compared.",
                hint="Leave --compare out: the rest of the group is shown without it.",
            )
        shards = session.environment.settings.index_shards
        compared = comparing.read(session.aws, outputs, one.failures, one.type, shards=shards, now=now)
        one = replace(one, comparison=compared)
    if suspect:
        one = replace(one, suspects=suspects.read(session.guarded, session.environment, one.release))
    session.out.result(one, lambda each: render.one(each, found, now=now))
    if one.state in failing:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
@with_session
def ack(
    session: Session,
    *,
    group: Group,
    until: End = None,
    message: Message = None,
) -> None:
    """Say that somebody works on a group."""
    _say(session, group, "acked", message, until)


@app.command()
@with_session
def mute(
    session: Session,
    *,
    group: Group,
    until: End = None,
    message: Message = None,
) -> None:
    """Say that nobody has to look at a group. Failures that come ten times as fast end that."""
    _say(session, group, "muted", message, until)


@app.command()
@with_session
def resolve(session: Session, *, group: Group, message: Message = None) -> None:
    """Say that the release that runs now has the correction; a failure of it or of a later one is a regression."""
    _say(session, group, "resolved", message)


@app.command()
@with_session
def reopen(session: Session, *, group: Group, message: Message = None) -> None:
    """Take back what was said of a group: it is known, and neither acked, muted nor resolved."""
    _say(session, group, "reopened", message)


@app.command()
@with_session
def note(session: Session, *, group: Group, message: Message = None) -> None:
    """Keep a note on a group."""
    if not message:
        raise UsageError("A note has a text.", hint="Give it with -m TEXT.")
    _say(session, group, "note", message)


def _say(session: Session, group: str, what: Said, message: str | None, until: str | None = None) -> None:
    from rtp.commands.render import triage as render
    from rtp.contract import Output
    from rtp.ops import causes
    from rtp.ops.triage import actions, quiet

    part = causes.parsed(group)
    saying = actions.Saying(what, message or "", actions.End() if until is None else actions.end(until))
    now = times.now_ms()
    found = _read(session, session.outputs, now)
    one = quiet.one(session.aws, session.outputs[Output.TABLE], found, part, now=now)
    with recorded(session, f"triage {_VERBS[what]}", {"group": one.id}, reason=message) as run:
        done = actions.say(session.aws, session.outputs[Output.TABLE], one, found, saying, now=now)
        run.result = f"{one.id} {what}"
        session.out.result(done, render.said)


def _read(session: Session, outputs: Mapping[str, str], now: int) -> Triage:
    from rtp.ops.stack.build import local_code
    from rtp.ops.triage import report

    code = local_code.read(session.environment)
    return report.read(session.guarded, session.environment, outputs, code, now=now)


def _states(text: str | None) -> tuple[str, ...]:
    """The states of --fail-on. Raises UsageError."""
    states = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    for state in states:
        if state not in _STATES:
            raise UsageError(f"{state!r} is not a state of a group.", hint=f"Use some of {', '.join(_STATES)}.")
    return states
