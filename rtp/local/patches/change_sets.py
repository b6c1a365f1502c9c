"""A change set of a stack that does not exist is refused because of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_ACTIONS = ("DescribeChangeSet", "DeleteChangeSet", "ExecuteChangeSet")


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import cloudformation
    from ministack.services.cloudformation import changesets, handlers

    require(cloudformation, "_stacks")
    require(changesets, "_error", "_p")
    require(handlers, "_ACTION_HANDLERS")

    def checked(handler: Any) -> Any:
        def check(params: Any) -> Any:
            name, change_set = changesets._p(params, "StackName"), changesets._p(params, "ChangeSetName")
            if not change_set.startswith("arn:") and not name.startswith("arn:") and name not in cloudformation._stacks:
                return changesets._error("ValidationError", f"Stack [{name}] does not exist", 400)
            return handler(params)

        return check

    for action in _ACTIONS:
        handlers._ACTION_HANDLERS[action] = checked(handlers._ACTION_HANDLERS[action])


PATCH = Patch(
    name="change_sets",
    aws="A change set of a stack that does not exist is refused because of the stack, by a ValidationError.",
    engine="It is refused as a change set that does not exist.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)
