"""Where a stack stands after a deploy or destroy that did not come to its end, and the command that goes on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rtp.ops.stack.apply.follow import GONE, Stage
from rtp.ops.stack.teardown.intake import State
from rtp.text.elements import advice, line, many, strong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.ops.stack.deploy import Deploy
    from rtp.ops.stack.teardown.destroy import Destroy
    from rtp.ops.stack.teardown.empty import Removed
    from rtp.terminal.output import Output

_ASKED = "CloudFormation was told to, and its answer has not come."


@contextmanager
def after_deploy(out: Output, work: Deploy) -> Iterator[None]:
    """Tell it after an interrupt, and after an error that leaves something half-way."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) or work.underway.going_on or _half_emptied(work.removed):
            _deploy(out, work)
        raise


@contextmanager
def after_destroy(out: Output, work: Destroy) -> Iterator[None]:
    """Tell it after an interrupt, and after an error that leaves something half-way."""
    try:
        yield
    except BaseException as error:
        touched = work.stopped or work.intake is not State.UNTOUCHED
        half_way = _half_emptied(work.removed) or (touched and not work.removed.begun)
        if not isinstance(error, Exception) or work.underway.going_on or half_way:
            _destroy(out, work)
        raise


def _deploy(out: Output, work: Deploy) -> None:
    stack, stage = strong(work.environment.names.stack), work.underway.stage
    hint = "`rtp deploy` goes on from there; `rtp status` shows it."
    if work.underway.going_on:
        said = "is still being changed by CloudFormation, which goes on by itself."
        out.say(line(stack, f" {said}" if stage is Stage.WORKING else f" may be changing: {_ASKED}"))
        hint = "`rtp deploy` waits for it and goes on from there; `rtp status` shows it."
    elif _half_emptied(work.removed):
        out.say(line(stack, " was not deleted, but", _emptied(work.removed)))
    elif stage is Stage.DONE:
        out.say(line(stack, " has been changed, and CloudFormation is done with it."))
    else:
        out.say(line(stack, " was not changed."))
        hint = "`rtp deploy` starts again."
    out.say(advice(hint))


def _destroy(out: Output, work: Destroy) -> None:
    stack, removed = strong(work.environment.names.stack), work.removed
    hint = "`rtp destroy` goes on from there."
    if work.underway.going_on:
        what = "deleted" if removed.begun else "changed"
        said = f"is being {what} by CloudFormation, which goes on by itself."
        working = work.underway.stage is Stage.WORKING
        out.say(line(stack, f" {said}" if working else f" may be being {what}: {_ASKED}"))
        hint = "`rtp destroy` waits for it and proves what is gone."
    elif removed.status == GONE:
        out.say(line(stack, " is deleted; that nothing is left was not proven."))
        hint = "`rtp destroy` names what is still there."
    elif removed.begun:
        out.say(line(stack, " is deleted in part."))
    else:
        out.say(line(stack, f" was not deleted; its event source {'may stand still' if work.stopped else 'runs'}."))
        if removed.objects:
            out.say(line("But", _emptied(removed)))
        hint = "`rtp destroy` starts again."
        if work.intake is State.OPENED:
            out.say(line("The API's intake is open again."))
        if work.intake is State.CLOSED:
            out.say(line("The API's intake may still be closed: then every request gets 429."))
        if work.intake is State.CLOSED and work.stopped:
            hint = "`rtp destroy` starts again; `rtp deploy` opens the intake and enables the event source."
        elif work.intake is State.CLOSED:
            hint = "`rtp destroy` starts again; `rtp deploy` opens the intake."
        elif work.stopped:
            hint = "`rtp destroy` starts again; `rtp deploy` has its queue worked off again."
    out.say(advice(hint))


def _half_emptied(removed: Removed) -> bool:
    return bool(removed.objects) and not removed.begun


def _emptied(removed: Removed) -> str:
    return f" {many(removed.objects, 'object version')} in its buckets are gone already."
