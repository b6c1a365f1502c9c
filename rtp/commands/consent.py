"""Consent before events move: the account must be right, and a protected environment's name is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.ops.access import guard

if TYPE_CHECKING:
    from rtp.commands.session import Session

Confirm = Annotated[
    str | None, typer.Option("--confirm", metavar="STACK", help="The stack's name, where a protected one asks for it.")
]


def ask(session: Session, question: str, *, wide: bool, yes: bool, confirm: str | None) -> None:
    """Go on only with consent. wide: it touches more than what was named one by one."""
    environment = session.environment
    stack = environment.names.stack
    guard.named(environment, confirm)
    guard.account(session.aws, environment)
    if environment.protected and wide:
        session.out.confirm_name(f"{question} in {stack}?", stack, given=confirm)
    elif environment.protected or (wide and session.out.interactive):
        session.out.confirm(f"{question} in {stack}?", yes=yes)
    _recheck(session)


def ask_always(session: Session, question: str, *, yes: bool, confirm: str | None) -> None:
    """As `ask`, for what destroys: without a terminal and without --yes it is refused everywhere."""
    environment = session.environment
    stack = environment.names.stack
    guard.named(environment, confirm)
    guard.account(session.aws, environment)
    if environment.protected:
        session.out.confirm_name(f"{question} in {stack}?", stack, given=confirm)
    else:
        session.out.confirm(f"{question} in {stack}?", yes=yes)
    _recheck(session)


def _recheck(session: Session) -> None:
    """A prompt can wait for an answer for hours, and the stack be another's by then."""
    if session.out.interactive:
        session.recheck()
