"""An update deletes what it has replaced or removed at its end, in a phase of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
_STACK = "AWS::CloudFormation::Stack"


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services.cloudformation import _exports, _stacks, stacks

    require(stacks, "_add_event")

    def outputs(*args: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        resolved, exports = outputs_without(*args)
        *_, stack_name, stack_id = args
        stack = _stacks[stack_name]
        if stack["StackStatus"] == "UPDATE_IN_PROGRESS":
            stack["Outputs"] = resolved
            _exports.update(exports)
            stack["StackStatus"] = CLEANUP
            stacks._add_event(stack_id, stack_name, stack_name, _STACK, CLEANUP, physical_id=stack_id)
        return resolved, exports

    def delete(
        resource_type: str,
        physical_id: str,
        props: dict[str, Any],
        stack_name: str | None = None,
        logical_id: str | None = None,
    ) -> None:
        stack = _stacks.get(stack_name or "") or {}
        is_cleanup = stack.get("StackStatus") == CLEANUP

        def report(status: str) -> None:
            if is_cleanup:
                stacks._add_event(
                    stack["StackId"], stack_name, logical_id, resource_type, status, physical_id=physical_id
                )

        report("DELETE_IN_PROGRESS")
        delete_without(resource_type, physical_id, props, stack_name, logical_id)
        report("DELETE_COMPLETE")

    outputs_without = replace(
        stacks,
        "_resolve_stack_outputs",
        outputs,
        "outputs_defs conditions resources param_values mappings stack_name stack_id",
    )
    delete_without = replace(
        stacks, "_delete_resource", delete, "resource_type physical_id props stack_name logical_id"
    )


PATCH = Patch(
    name="stack_cleanup",
    aws=(
        "An update whose resources work is UPDATE_COMPLETE_CLEANUP_IN_PROGRESS, with its new outputs, while what it "
        "has replaced or removed is deleted; each deletion has its events."
    ),
    engine="Resources are deleted in UPDATE_IN_PROGRESS, without events.",
    test="tests/local/engine/test_patches.py::an_update_has_no_cleanup_phase",
    install=install,
)
