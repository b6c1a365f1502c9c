"""rtp destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.progress import Progress
from rtp.commands.session import Session
from rtp.ops import destroy as op
from rtp.ops import guard
from rtp.ops.remains import Item, Plan, Proof
from rtp.view import Heading, Table, View, bad, dim, good, line, name, strong

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
    try:
        with progress.running():
            for step in work.steps():
                if isinstance(step, Plan):
                    _told(out, "plan", step, _plan(step))
                elif isinstance(step, Proof):
                    _told(out, "proof", step, _proof(step))
                else:
                    progress.tell(step)
    except BaseException as error:
        if not isinstance(error, Exception):
            _stands(out, work)
        raise


def _told(out: Output, kind: str, data: Plan | Proof, views: list[View]) -> None:
    if out.json:
        out.event(kind, data, lambda _: None)
    else:
        out.say(*views)


def _plan(plan: Plan) -> list[View]:
    views: list[View] = [line(strong(plan.stack), f": {plan.resources} resources go, with what they hold")]
    views += [_items(plan.goes)]
    if plan.stays:
        views += [line(strong("stays:")), _items(plan.stays)]
    for item in plan.lost:
        views.append(line(bad("lost: "), f"{item.note} in {item.name}; --drain works the queue off first"))
    return views


def _items(items: tuple[Item, ...]) -> Table:
    return Table(("", "", ""), [(dim(f"  {i.kind}"), name(i.name), i.note) for i in items])


def _proof(proof: Proof) -> list[View]:
    views: list[View] = [line(good("gone"), f": {proof.gone} resources, each asked of its own service")]
    if proof.left:
        views.append(Heading("Still there"))
        views.append(
            Table(
                ("", "", ""),
                [(dim(f"  {i.kind}"), name(i.name), i.why if i.expected else bad(i.why)) for i in proof.left],
            )
        )
    return views


def _stands(out: Output, work: op.Destroy) -> None:
    stack = work.environment.names.stack
    if work.deleting:
        out.say(line(strong(stack), " is being deleted by CloudFormation, which goes on by itself."))
        out.say(dim("`rtp destroy` waits for it and proves what is gone."))
    else:
        out.say(line(strong(stack), " was not deleted; its event source runs."))
        out.say(dim("`rtp destroy` starts again."))
