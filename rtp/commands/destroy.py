"""rtp destroy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.recorded import Reason, recorded
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text.elements import Element, advice, bad, dim, good, line, many, name, strong, warn

if TYPE_CHECKING:
    from rtp.config import Environment
    from rtp.ops.stack.steps import Step
    from rtp.ops.stack.teardown.inventory import Plan
    from rtp.ops.stack.teardown.proof import Proof
    from rtp.terminal.output import Output

app = new_app()


@app.command()
@with_session
def destroy(
    session: Session,
    *,
    yes: Yes = False,
    confirm: Annotated[
        str | None,
        typer.Option(
            "--confirm", help="Name of the stack; confirms the deletion, also of a protected one.", metavar="NAME"
        ),
    ] = None,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Keep the table, the buckets and the key.")] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="First close the intake and process all messages in the queue.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Time limit of --drain (default 900).")
    ] = None,
    reason: Reason = None,
) -> None:
    """Delete the pipeline and verify that it is gone.

    With --drain, clients get 429 until every accepted event has its record; if that fails, nothing is deleted.
    """
    from rtp.commands.render import stack_state
    from rtp.commands.render.progress import Progress
    from rtp.ops.access import guard
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.options import SESSION_S
    from rtp.ops.stack.teardown import destroy as op
    from rtp.ops.stack.teardown.drain import TIMEOUT_S
    from rtp.ops.stack.teardown.inventory import Plan
    from rtp.ops.stack.teardown.proof import Proof

    if timeout is not None and not drain:
        raise UsageError("--timeout needs --drain.", hint="Add --drain, or leave out --timeout.")
    environment, out = session.environment, session.out
    guard.named(environment, confirm)
    progress = Progress(out)
    # The stack's name is consent enough, also where it need not be typed.
    operation = Operation(
        lambda question: progress.ask(question, yes=yes or confirm is not None, confirm=confirm), command="rtp destroy"
    )
    options = op.Options(keep_data=keep_data, drain=drain, drain_s=timeout or TIMEOUT_S)

    session.aws.sign_in(at_least_s=SESSION_S)
    arguments = {"keep_data": keep_data, "drain": drain, "timeout": timeout}
    with recorded(session, "destroy", arguments, reason=reason, later=True) as run:

        def show(step: Step | Plan | Proof) -> None:
            run.begin(session.aws)  # the account is right
            if isinstance(step, Plan | Proof):
                progress.settle()
                _show(out, step, environment)
            else:
                progress.show(step)

        with stack_state.after_destroy(out, environment, operation):
            progress.follow(op.destroy(session.aws, environment, options, operation), show)
        run.result = progress.result.status if progress.result is not None else ""


def _show(out: Output, step: Plan | Proof, environment: Environment) -> None:
    from rtp.ops.stack.teardown.inventory import Plan

    if out.json:
        out.event("plan" if isinstance(step, Plan) else "proof", step, lambda _: None)
    else:
        out.say(*(plan_views(step, dlq=environment.names.dlq) if isinstance(step, Plan) else _proof(step)))


def plan_views(plan: Plan, *, dlq: str) -> list[Element]:
    """What is deleted, what is kept and what that means for the next deploy, and what could be saved before."""
    count = many(plan.resources, "resource")
    elements: list[Element] = [line(strong(plan.stack), f": {count} will be deleted, with all contents")]
    elements += [_item(i.kind, i.name, i.note) for i in plan.goes]
    if plan.unknown:
        elements.append(line(strong("not known whether it holds data:")))
        elements += [_item(i.kind, i.name, i.note) for i in plan.unknown]
    if plan.stays:
        elements += [line(strong("kept:")), *(_item(i.kind, i.name, i.note) for i in plan.stays)]
    if plan.blocks:
        elements.append(line(warn("while that exists, no pipeline of this name can be deployed again"), indent=2))
    if plan.drained is not None:
        messages = f" with {plan.drained.note}" if plan.drained.note else ""
        text = f"{plan.drained.name}{messages}; meanwhile clients of the API get 429"
        elements.append(line(strong("drained first: "), text))
        elements.append(
            line("events that fail for good meanwhile go to the DLQ, which is deleted with the stack", indent=2)
        )
    for item in plan.lost:
        way_out = "`rtp dlq inspect --export FILE` saves them" if item.name == dlq else "--drain processes them first"
        elements.append(line(bad("lost: "), f"{item.note} in {item.name}; ", advice(way_out)))
    return elements


def _item(kind: str, title: str, note: str, *, wrong: bool = False) -> Element:
    remark = bad(f"  {note}") if wrong else f"  {note}" if note else ""
    return line(dim(f"{kind:<10} "), name(title), remark, indent=2)


def _proof(proof: Proof) -> list[Element]:
    gone = proof.gone
    parts = f", {gone.with_parent:,} with the {_joined(gone.parents)} that they are part of" if gone.with_parent else ""
    asked = f"{gone.asked:,} by the answers of their own services"
    elements: list[Element] = [line(good("gone"), f": {many(gone.proven, 'resource')}: {asked}{parts}")]
    if gone.not_asked:
        elements.append(line(strong("not known whether it is gone:")))
        elements += [_item(i.kind, i.name, i.why) for i in gone.not_asked]
    if proof.left:
        elements.append(line(strong("still there:")))
        elements += [_item(i.kind, i.name, i.why, wrong=not i.expected) for i in proof.left]
    return elements


def _joined(kinds: tuple[str, ...]) -> str:
    """`function, topic or key`."""
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last
