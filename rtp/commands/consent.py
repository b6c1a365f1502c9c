"""Consent before events are moved or deleted: the account is checked, and a protected stack's name is typed."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, option_group
from rtp.commands.recorded import Reason

if TYPE_CHECKING:
    from rtp.commands.session import Session


class Impact(Enum):
    """What a command does to events, which decides how consent is given."""

    SELECTED = auto()  # moves events that were named one by one: asks only in a protected environment
    MANY = auto()  # moves more than that: asks where there is a terminal
    LASTING = auto()  # deletes messages or repeats effects: without a terminal it needs --yes


@option_group
class Approval:
    """The options that answer a question before it is asked, and say why."""

    yes: Yes = False
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="STACK", help="Confirm with the stack's name, if protected.")
    ] = None
    reason: Reason = None


def is_asked(session: Session, approval: Approval, impact: Impact) -> bool:
    """Whether a person would see the question and has not answered it by an option."""
    if not session.out.interactive:
        return False
    if session.is_protected and impact is not Impact.SELECTED:
        return approval.confirm is None
    return not approval.yes and (session.is_protected or impact is not Impact.SELECTED)


def ask(session: Session, question: str, approval: Approval, impact: Impact) -> None:
    """Return with consent. Raises RefusedError without it, in another account, or for another stack's name."""
    from rtp.ops.access import guard

    environment, out = session.environment, session.out
    stack = environment.names.stack
    guard.named(environment, approval.confirm)
    guard.account(session.aws, environment)
    if session.is_protected and impact is not Impact.SELECTED:
        out.confirm_name(f"{question} in {stack}?", stack, given=approval.confirm)
    elif session.is_protected or impact is Impact.LASTING or (impact is Impact.MANY and out.interactive):
        out.confirm(f"{question} in {stack}?", yes=approval.yes)
    if out.interactive:  # the prompt may have waited for hours, and another project may have taken the stack over
        session.recheck()
