"""rtp history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion
from rtp.commands.options import ListGroup, Since, new_app, with_session
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text import times
from rtp.text.elements import Cell, Column, Element, Fields, Style, Table, Text, dim, line, name

if TYPE_CHECKING:
    from rtp.ops.history import Entry, History

app = new_app(cls=ListGroup, help="List the commands that changed an environment, or show one.")

_LEAST_RUN = 3  # characters of a run's name
_STYLES = {"succeeded": Style.GOOD, "failed": Style.BAD, "refused": Style.WARN, "interrupted": Style.WARN}


@app.callback(invoke_without_command=True)
@with_session
def history(
    session: Session,
    *,
    ctx: typer.Context,
    since: Since = None,
    limit: Annotated[
        int,
        typer.Option("--limit", min=1, max=10_000, metavar="N", help="Maximum number, the newest first."),
    ] = 20,
) -> None:
    """List the commands that changed an environment, or show one.

    Deploys, redrives, purges, replays, changes of secrets and keys, and destroys, from every machine: who, from where,
    why and how they ended. The entries are in rtp's own bucket for 400 days, and outlive the stack.
    `rtp history RUN` shows one.
    """
    from rtp.commands.render.headings import unreadable
    from rtp.config import Overrides
    from rtp.ops import history as op
    from rtp.ops import shown

    if ctx.invoked_subcommand is not None:
        if session.overrides != Overrides() or session.out.json:
            raise UsageError(f"Options go after `{ctx.invoked_subcommand}`.")
        return
    start = times.parse_when(since, option="--since") if since else None
    listed = op.history(session.guarded, session.environment, since=start, limit=limit)
    entries = [shown.Shown(e.run, "run", times.parse_when(e.at), e.outcome, e.command) for e in listed.entries]
    shown.remember(session.environment, entries)
    if listed.unreadable:
        session.out.warn(unreadable(listed.unreadable, "no entry", "no entries"))
    session.out.result(listed, lambda history_: _list(history_, start))


@app.command()
@with_session
def show(
    session: Session,
    *,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="The run's name, or a beginning or end of it that only one has.",
            autocompletion=completion.runs,
        ),
    ],
) -> None:
    """Show one command with its arguments."""
    from rtp.ops import history as op
    from rtp.ops import shown

    part = shown.stripped(run)
    if len(part) < _LEAST_RUN:
        raise UsageError(f"{run!r} is too short for the name of a run.", hint="`rtp history` lists the names.")
    session.out.result(op.find(session.guarded, session.environment, part), _one)


def _list(listed: History, since: int | None) -> list[Element]:
    from rtp.commands.render.headings import count, heading, window
    from rtp.ops import releases

    rows: list[list[Cell]] = [
        [
            times.recent(times.parse_when(e.at)),
            name(e.run),
            e.command,
            _outcome(e),
            "" if e.duration_s is None else times.span(e.duration_s * 1000),
            releases.label(e.release),
            _who(e),
            _where(e),
            e.result,
            e.reason,
        ]
        for e in listed.entries
    ]
    columns = [
        Column("BEGAN", whole=True),
        Column("RUN", whole=True),
        Column("COMMAND", whole=True),
        Column("OUTCOME", whole=True),
        Column("TOOK", right=True, whole=True, drop=3),
        Column("RELEASE", drop=2),
        Column("WHO", long=True, drop=6),
        Column("FROM", long=True, drop=1),
        Column("RESULT", long=True, drop=4),
        Column("REASON", long=True, drop=5),
    ]
    if not any(e.release for e in listed.entries):
        rows, columns = [row[:5] + row[6:] for row in rows], columns[:5] + columns[6:]
    first = heading(
        "history", listed.env, count(len(rows), more=listed.more), window(since) if since is not None else ""
    )
    return [first, Table(columns, rows)] if rows else [first]


def _one(entry: Entry) -> list[Element]:
    from rtp.ops import releases
    from rtp.text import json_values

    at = times.parse_when(entry.at)
    pairs: list[tuple[str, Cell]] = [
        ("run", name(entry.run)),
        ("command", entry.command),
        ("began", f"{times.recent(at)} ({entry.at})"),
        ("outcome", _outcome(entry)),
        ("exit code", "" if entry.exit_code is None else str(entry.exit_code)),
        ("error", entry.error),
        ("result", entry.result),
        ("took", "" if entry.duration_s is None else times.span(entry.duration_s * 1000)),
        ("reason", entry.reason),
        ("identity", entry.identity),
        ("from", f"{entry.user}@{entry.host}" if entry.host else entry.user),
        ("job", entry.job),
        ("release", releases.described(entry.release)),
        ("rtp", entry.rtp),
    ]
    pairs += [
        (f"--{option}" if index == 0 else "", json_values.dumps(value) if not isinstance(value, str) else value)
        for option, given in entry.arguments.items()
        for index, value in enumerate(given if isinstance(given, list) else [given])
    ]
    fields: list[Element] = [Fields([pair for pair in pairs if pair[1] not in ("", Text(""))])]
    if entry.outcome == "unfinished":
        fields.append(line(dim("no end was recorded: it was killed, runs on another machine, or could not write it")))
    return fields


def _outcome(entry: Entry) -> Text:
    return Text(entry.outcome, _STYLES.get(entry.outcome, Style.PLAIN))


def _who(entry: Entry) -> str:
    """The identity's last part: a user's name, or role and session."""
    resource = entry.identity.rpartition(":")[2]
    return resource.partition("/")[2] or resource


def _where(entry: Entry) -> str:
    return f"{entry.user}@{entry.host}" if entry.host else entry.user
