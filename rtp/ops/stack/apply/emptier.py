"""The function that empties the buckets of a deployed stack: an old one must not be called while the buckets stay.

The emptier of rtp 0.1.0 deletes every object whenever CloudFormation removes its custom resource: by an update, and
by the rollback of an update that added it. The handler's name is its version, in the template and at Lambda.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import functions, stacks
from rtp.contract import EMPTIER_HANDLER, EMPTIER_TYPE
from rtp.errors import AwsError, RefusedError
from rtp.ops.stack.apply import publish
from rtp.ops.stack.code import update
from rtp.ops.stack.compare.changes import is_guarded
from rtp.ops.stack.steps import Warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.aws.stacks import Stack
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.operation import Target


def check_removal(
    target: Target,
    stack: Stack,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    dry_run: bool = False,
) -> tuple[Warn, ...]:
    """Raises RefusedError when an update of the stack from the template `old` to `new` would call an old emptier.

    dry_run: nothing is going to be changed, so the refusal is returned as a warning.
    """
    environment = target.environment
    complete = stack.state.usable  # then the template lists all resources; an unfinished update may have added some
    removed = (set(_of_template(old)) if complete else _of_stack(target, stack)) - set(_of_template(new))
    if not removed:
        return ()
    try:
        is_old = functions.handler(target.aws, environment.names.emptier) not in (None, EMPTIER_HANDLER)
    except AwsError as error:
        if error.code != "access-denied" or not complete:
            raise
        is_old = not all(is_guarded(old["Resources"][id], old) for id in removed)
    if not is_old:
        return ()
    refusal = RefusedError(
        f"{environment.names.emptier} was deployed by an older rtp: it deletes every object of the stack's buckets "
        "when a deploy removes it, as this one would. Nothing was changed.",
        hint=f"Deploy once with `protected = false` under [env.{environment.name}], which brings the new function; "
        "then deploy with `protected = true`.",
        code="old-emptier",
    )
    if not dry_run:
        raise refusal
    return (Warn(f"A deploy would be refused: {refusal.message} {refusal.hint}"),)


def replace_before_rollback(target: Target, stack: Stack, built: Assembly) -> Iterator[Warn]:
    """Give an old emptier the code of the assembly, so that rolling an update of the stack back deletes no object.

    An ordinary deploy would do that, and is not possible before the rollback.
    """
    aws, name = target.aws, target.environment.names.emptier
    if not _of_stack(target, stack) or functions.handler(aws, name) in (None, EMPTIER_HANDLER):
        return
    update.code(aws, name, publish.code_of(built, target.environment.names.processor))
    # The old handler is not in that code: from here on the function deletes nothing.
    update.handler(aws, name, EMPTIER_HANDLER)
    yield Warn(f"{name} was deployed by an older rtp; it has new code, so that the rollback empties no bucket.")


def _of_template(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {k: r for k, r in template.get("Resources", {}).items() if r["Type"] == EMPTIER_TYPE}


def _of_stack(target: Target, stack: Stack) -> set[str]:
    """Logical ids, also of what an unfinished update has added."""
    resources = stacks.resources(target.aws, stack.id)
    return {r.logical_id for r in resources if r.resource_type == EMPTIER_TYPE}
