"""The state of a stack after a deploy or destroy that did not come to its end, and the command that goes on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rtp.commands import engine_end
from rtp.errors import AwsError
from rtp.ops.stack.operation import IntakeState, Stage
from rtp.text.elements import advice, line, many, strong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.config import Environment
    from rtp.ops.stack.operation import Operation
    from rtp.terminal.output import Output

_REQUESTED = "the request was sent to CloudFormation, and there is no response yet."


@contextmanager
def after_deploy(out: Output, environment: Environment, operation: Operation) -> Iterator[None]:
    """Report the state after an interrupt, and after an error that leaves something half-way."""
    try:
        yield
    except BaseException as error:
        if _is_restored(environment, error):
            raise
        if not isinstance(error, Exception) or operation.may_be_running or _half_emptied(operation):
            _deploy(out, environment.names.stack, operation)
        raise


@contextmanager
def after_destroy(out: Output, environment: Environment, operation: Operation) -> Iterator[None]:
    """Report the state after an interrupt, and after an error that leaves something half-way."""
    try:
        yield
    except BaseException as error:
        if _is_restored(environment, error):
            raise
        touched = operation.event_source_off or operation.intake is not IntakeState.UNTOUCHED
        half_way = _half_emptied(operation) or (touched and not operation.deletion_begun)
        if not isinstance(error, Exception) or operation.may_be_running or half_way:
            _destroy(out, environment.names.stack, operation)
        raise


def _is_restored(environment: Environment, error: BaseException) -> bool:
    """Whether the embedded engine has ended: its next start has the stack of its last save, not a changed one."""
    return isinstance(error, AwsError) and engine_end.ended(environment) is not None


def _deploy(out: Output, name: str, operation: Operation) -> None:
    stack, stage = strong(name), operation.stage
    again = operation.command
    hint = f"`{again}` goes on from there; `rtp status` shows it."
    if operation.may_be_running:
        running = "CloudFormation is still changing it, and goes on without rtp."
        out.say(line(stack, f": {running}" if stage is Stage.RUNNING else f" may be changing: {_REQUESTED}"))
        hint = f"`{again}` waits for it and goes on from there; `rtp status` shows it."
    elif _half_emptied(operation):
        out.say(line(stack, " was not deleted, but", _emptied(operation)))
    elif operation.is_swapping:
        out.say(line(stack, " was not changed, but one of its functions, or both, may run the new code already."))
        hint = f"`{again}` gives both the same code."
    elif stage is Stage.DONE:
        out.say(line(stack, " has been changed, and CloudFormation is done with it."))
    else:
        out.say(line(stack, " was not changed."))
        hint = f"`{again}` starts again."
    out.say(advice(hint))


def _destroy(out: Output, name: str, operation: Operation) -> None:
    stack = strong(name)
    hint = "`rtp destroy` goes on from there."
    if operation.may_be_running:
        verb = "deleted" if operation.deletion_begun else "changed"
        running = f"is being {verb} by CloudFormation, which goes on without rtp."
        said = running if operation.stage is Stage.RUNNING else f"may be being {verb}: {_REQUESTED}"
        out.say(line(stack, f" {said}"))
        hint = "`rtp destroy` waits for it and proves what is gone."
    elif operation.deleted:
        out.say(line(stack, " is deleted; it was not checked that nothing is left."))
        hint = "`rtp destroy` names what still exists."
    elif operation.deletion_begun:
        out.say(line(stack, " is deleted in part."))
    else:
        hint = _not_deleted(out, name, operation)
    out.say(advice(hint))


def _not_deleted(out: Output, name: str, operation: Operation) -> str:
    """Say what a destroy that deleted nothing has left switched off; returns the hint."""
    off = operation.event_source_off
    out.say(line(strong(name), f" was not deleted; its event source {'may be disabled' if off else 'is enabled'}."))
    if operation.objects_deleted:
        out.say(line("But", _emptied(operation)))
    if operation.intake is IntakeState.REOPENED:
        out.say(line("The API's intake is open again."))
    if operation.intake is IntakeState.CLOSED:
        out.say(line("The API's intake may still be closed: then every request gets 429."))
        enables = " and enables the event source" if off else ""
        return f"`rtp destroy` starts again; `rtp deploy` opens the intake{enables}."
    if off:
        return "`rtp destroy` starts again; `rtp deploy` enables the event source."
    return "`rtp destroy` starts again."


def _half_emptied(operation: Operation) -> bool:
    return bool(operation.objects_deleted) and not operation.deletion_begun


def _emptied(operation: Operation) -> str:
    return f" {many(operation.objects_deleted, 'object version')} in its buckets are deleted already."
