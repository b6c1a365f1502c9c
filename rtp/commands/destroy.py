"""rtp destroy."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import standing
from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.progress import Progress
from rtp.commands.session import Session
from rtp.ops.stack import destroy as op
from rtp.ops.stack import guard
from rtp.ops.stack.remains import Plan, Proof
from rtp.view import View, bad, dim, good, line, name, strong

if TYPE_CHECKING:
    from rtp.output import Output

app = new_app()


@app.command()
@with_session
def destroy(
    session: Session,
    *,
    yes: Yes = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", help="The stack's name, for a protected environment.", metavar="NAME")
    ] = None,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Leave table, buckets and key.")] = False,
    drain: Annotated[bool, typer.Option("--drain", help="Work the queue off first.")] = False,
) -> None:
    """Delete the pipeline and prove what is gone."""
    environment, out = session.environment, session.out
    aws = session.aws
    progress = Progress(out, environment.names.stack)

    def approve(plan: Plan) -> None:
        with progress.paused():
            if environment.protected:
                out.confirm_name(f"Delete {plan.stack}?", plan.stack, given=confirm)
            else:
                out.confirm(f"Delete {plan.stack} ({guard.where(aws, environment)})?", yes=yes or confirm == plan.stack)

    work = op.Destroy(environment, aws, approve, keep_data=keep_data, drain=drain)
    with standing.after_destroy(out, work), progress.running(), closing(work.steps()) as steps:
        for step in steps:
            if isinstance(step, Plan | Proof):
                progress.settle()
                _told(out, step)
            else:
                progress.tell(step)


def _told(out: Output, step: Plan | Proof) -> None:
    if out.json:
        out.event("plan" if isinstance(step, Plan) else "proof", step, lambda _: None)
    else:
        out.say(*(_plan(step) if isinstance(step, Plan) else _proof(step)))


def _plan(plan: Plan) -> list[View]:
    views: list[View] = [line(strong(plan.stack), f": {plan.resources} resources go, with what they hold")]
    views += [_item(i.kind, i.name, i.note) for i in plan.goes]
    if plan.stays:
        views += [line(strong("stays:")), *(_item(i.kind, i.name, i.note) for i in plan.stays)]
    for item in plan.lost:
        views.append(line(bad("lost: "), f"{item.note} in {item.name}; --drain works the queue off first"))
    return views


def _item(kind: str, title: str, note: str, *, wrong: bool = False) -> View:
    said = bad(f"  {note}") if wrong else f"  {note}" if note else ""
    return line(dim(f"{kind:<11}"), name(title), said, indent=2)


def _proof(proof: Proof) -> list[View]:
    views: list[View] = [line(good("gone"), f": {proof.gone} resources, each asked of its own service")]
    if proof.left:
        views.append(line(strong("still there:")))
        views += [_item(i.kind, i.name, i.why, wrong=not i.expected) for i in proof.left]
    return views
