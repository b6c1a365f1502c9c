"""rtp secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.consent import Approval
from rtp.commands.options import new_app, with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import ExitCode, UsageError
from rtp.text import times
from rtp.text.elements import Column, Element, Style, Table, Text, advice, dim, line, name

if TYPE_CHECKING:
    from rtp.ops import secrets as op

app = new_app(no_args_is_help=True, help="Set, list and delete the secrets of the functions.")

_STYLES = {"set": Style.GOOD, "missing": Style.BAD, "unchecked": Style.WARN, "undeclared": Style.DIM}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the secret, as rtp.toml declares it.")]


@app.command("set")
@with_session
def set_(
    session: Session,
    *,
    words: Annotated[list[str], typer.Argument(metavar="NAME", help="Name of the secret, as rtp.toml declares it.")],
    approval: Approval,
) -> None:
    """Set a secret. The value is asked for without echo, or read from standard input; it is never an argument.

    Functions use it at the next fetch, within six minutes, or at once after a failed attempt.
    Starts the local engine if the environment uses it.
    """
    from rtp.ops import secrets as op
    from rtp.ops.access import guard

    secret = words[0]
    if len(words) > 1 or not _NAME.fullmatch(secret):  # the value, which no error may repeat
        raise UsageError(
            "`rtp secrets set` takes a name alone. If that was the value: your shell's history has it now.",
            hint="Change the value that was typed, then run `rtp secrets set` with the name; it asks for the value.",
        )
    environment, out = session.environment, session.out
    guard.named(environment, approval.confirm)
    op.declared_source(environment, secret)
    aws = session.start()
    guard.account(aws, environment)
    if session.is_protected:
        out.confirm(f"Set {secret} of {environment.names.stack}?", yes=approval.yes or approval.confirm is not None)
    value = out.secret(f"Value of {secret} (not shown): ")
    with recorded(session, "secrets set", {"name": secret}, reason=approval.reason) as run:
        change = op.set_value(aws, environment, secret, value)
        run.result = change.status
        out.result(change, _changed)


@app.command("list")
@with_session
def list_(
    session: Session,
    *,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if a declared secret has no value.")] = False,
) -> None:
    """List the secrets: where each is, whether it is set and since when. Values are not read."""
    from rtp.ops import secrets as op

    listing = op.listing(session.guarded, session.environment)
    session.out.result(listing, lambda found: _render(found, session.environment.name))
    if fail and listing.missing:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
@with_session
def delete(session: Session, *, secret: Name, approval: Approval) -> None:
    """Delete a secret's value. Events that use it fail from then on."""
    from rtp.ops import secrets as op
    from rtp.ops.access import guard

    environment, out = session.environment, session.out
    stack, question = environment.names.stack, f"Delete the secret {secret} of {environment.names.stack}?"
    guard.named(environment, approval.confirm)
    guard.account(session.aws, environment)
    if session.is_protected:
        out.confirm_name(question, stack, given=approval.confirm)
    else:
        out.confirm(question, yes=approval.yes or approval.confirm is not None)
    with recorded(session, "secrets delete", {"name": secret}, reason=approval.reason) as run:
        change = op.delete(session.aws, environment, secret)
        run.result = change.status
        out.result(change, _changed)


def _changed(change: op.Change) -> Element:
    return line(name(change.name), f" {change.status}  ", dim(change.source))


def _render(listing: op.Secrets, env: str) -> list[Element]:
    from rtp.commands.render.headings import count, heading
    from rtp.ops import secrets as op

    rows = [
        (
            Text(secret.name, Style.NAME),
            Text(secret.state, _STYLES[secret.state]),
            _age(secret.changed),
            secret.source,
            secret.note,
        )
        for secret in listing.secrets
    ]
    columns = (
        "NAME",
        Column("STATE", whole=True),
        Column("AGE", right=True, whole=True, drop=1),
        Column("SOURCE", drop=2),
        Column("NOTE", fold=True),
    )
    missing = f"{len(listing.missing)} without a value" if listing.missing else ""
    elements: list[Element] = [heading("secrets", env, count(len(rows)), missing)]
    elements.append(Table(columns, rows, empty=f"{listing.stack} has no secrets"))
    if listing.missing:
        names = [secret.name for secret in listing.missing]
        elements.append(line(advice(op.how_to_set(names, local=False))))
    return elements


def _age(changed: str | None) -> str:
    return "" if changed is None else times.span(max(0, times.now_ms() - times.parse_when(changed)))
