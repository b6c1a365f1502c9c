"""Keeping the data of a stack that is deleted: CloudFormation keeps what the stack's template retains."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from rtp.aws import changesets, resource_types
from rtp.errors import RefusedError, RtpError
from rtp.ops.stack.apply import execute
from rtp.ops.stack.steps import Phase
from rtp.ops.stack.teardown.inventory import RETAINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws.stacks import Resource, Stack
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step


def check(stack: Stack, resources: list[Resource], keep: frozenset[str]) -> None:
    """Raises RefusedError for data that an unfinished update has added: only a template can keep a resource."""
    added = [
        r.logical_id
        for r in resources
        if resource_types.of(r.resource_type).kept_with_data and r.logical_id not in keep
    ]
    if added:
        raise RefusedError(
            f"{stack.name} is {stack.state}. Its template does not contain {', '.join(added)}, so "
            "that could not be kept; nothing was deleted.",
            hint="Run `rtp deploy`, which finishes the update, then `rtp destroy --keep-data` again.",
            code="not-kept",
        )


def in_template(target: Target, operation: Operation, template: dict[str, Any], keep: frozenset[str]) -> Iterator[Step]:
    """Update the stack so that its template retains the logical ids to keep. Raises RtpError when that fails."""
    changed = copy.deepcopy(template)
    for logical_id in keep:
        resource = changed["Resources"][logical_id]
        if resource.get("DeletionPolicy") not in RETAINS:
            resource["DeletionPolicy"] = "Retain"
            # CloudFormation makes no update for a policy alone.
            resource["Metadata"] = {**resource.get("Metadata", {}), "rtp:kept": "true"}
    if changed == template:
        return
    yield Phase("keeping the data")
    body = json.dumps(changed, separators=(",", ":"))
    outcome = yield from execute.run(
        target, operation, lambda token: changesets.update_now(target.aws, target.stack_id, body, token=token)
    )
    if not outcome.good:
        raise RtpError(
            f"CloudFormation did not agree to keep the data ({outcome.state}); nothing was deleted.",
            hint="Run `rtp deploy`, then `rtp destroy --keep-data` again.",
            code="destroy-failed",
        )
