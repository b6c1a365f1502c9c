"""A request for a stack that does not exist is refused in the words of its operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_MESSAGES = {
    "DescribeChangeSet": "Stack [{}] does not exist",
    "DeleteChangeSet": "Stack [{}] does not exist",
    "ExecuteChangeSet": "Stack [{}] does not exist",
    "DescribeStackResource": "Stack '{}' does not exist",
    "DescribeStackResources": "Stack with id {} does not exist",
    "ListStackResources": "Stack with id {} does not exist",
    "GetTemplate": "Stack with id {} does not exist",
}


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import cloudformation
    from ministack.services.cloudformation import changesets, handlers

    require(cloudformation, "_stacks")
    require(changesets, "_error", "_p")
    require(handlers, "_ACTION_HANDLERS")

    def checked(handler: Any, message: str) -> Any:
        def check(params: Any) -> Any:
            name, change_set = changesets._p(params, "StackName"), changesets._p(params, "ChangeSetName")
            is_named = name and not name.startswith("arn:") and not change_set.startswith("arn:")
            if is_named and name not in cloudformation._stacks:
                return changesets._error("ValidationError", message.format(name), 400)
            return handler(params)

        return check

    for action, message in _MESSAGES.items():
        handlers._ACTION_HANDLERS[action] = checked(handlers._ACTION_HANDLERS[action], message)


PATCH = Patch(
    name="stack_errors",
    aws=(
        "A change set of a stack that does not exist is refused because of the stack, by a ValidationError; each "
        "operation on a stack has its own message about that."
    ),
    engine="The change set is refused as one that does not exist; most operations have one message.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)
