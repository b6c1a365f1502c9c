"""What CloudFormation refuses of a stack, a change set or a template, in the words of its operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

    Answer = tuple[int, dict[str, str], bytes]

_MESSAGES = {
    "DescribeChangeSet": "Stack [{}] does not exist",
    "DeleteChangeSet": "Stack [{}] does not exist",
    "ExecuteChangeSet": "Stack [{}] does not exist",
    "DescribeStackResource": "Stack '{}' does not exist",
    "DescribeStackResources": "Stack with id {} does not exist",
    "ListStackResources": "Stack with id {} does not exist",
    "GetTemplate": "Stack with id {} does not exist",
}
_FREE = (None, "DELETE_COMPLETE", "REVIEW_IN_PROGRESS")  # statuses of a name under which a stack can be created


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import cloudformation
    from ministack.services.cloudformation import changesets, handlers

    require(cloudformation, "_stacks")
    require(changesets, "_error", "_p", "_find_change_set", "_parse_template")
    require(handlers, "_ACTION_HANDLERS")
    errors = Errors(changesets, cloudformation._stacks)
    for action, message in _MESSAGES.items():
        _check(handlers, action, errors.missing_stack(message))
    _check(handlers, "ExecuteChangeSet", errors.failed_change_set)
    _check(handlers, "CreateChangeSet", errors.change_set_of_existing)
    _check(handlers, "CreateStack", errors.existing_stack)
    parse = changesets._parse_template

    def parsed(template_body: str) -> dict[str, Any]:
        return checked(parse(template_body))

    for module in (changesets, handlers):
        replace(module, "_parse_template", parsed, "template_body")


PATCH = Patch(
    name="stack_errors",
    aws=(
        "A change set of a stack that does not exist is refused because of the stack, by a ValidationError; each "
        "operation on a stack has its own message about that. A stack whose creation was rolled back exists, so that "
        "none of its name can be created. A resource of a template is an object."
    ),
    engine=(
        "The change set is refused as one that does not exist; most operations have one message. A stack whose "
        "creation was rolled back can be created again. A template with another resource ends the request with an "
        "error of Python's."
    ),
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


class Errors:
    """Checks before the engine's own operations; each returns the answer that refuses a request, or None."""

    def __init__(self, changesets: Any, stacks: Any) -> None:
        self._changesets = changesets
        self._stacks = stacks

    def missing_stack(self, message: str) -> Callable[[Any], Answer | None]:
        """A check that the stack exists. message: the operation's own."""

        def check(params: Any) -> Answer | None:
            name, change_set = self._given(params, "StackName"), self._given(params, "ChangeSetName")
            is_named = name and not name.startswith("arn:") and not change_set.startswith("arn:")
            if is_named and name not in self._stacks:
                return self._refused("ValidationError", message.format(name))
            return None

        return check

    def failed_change_set(self, params: Any) -> Answer | None:
        """ExecuteChangeSet."""
        name = self._given(params, "ChangeSetName")
        _, found = self._changesets._find_change_set(name, self._given(params, "StackName"))
        if not found or found.get("Status") != "FAILED":
            return None
        words = f"ChangeSet [{name}] cannot be executed in its current status of [FAILED]"
        return self._refused("InvalidChangeSetStatus", words)

    def change_set_of_existing(self, params: Any) -> Answer | None:
        """CreateChangeSet."""
        name, change_set = self._given(params, "StackName"), self._given(params, "ChangeSetName")
        if self._given(params, "ChangeSetType") != "CREATE" or self._status(name) in _FREE:
            return None
        words = f"Stack [{name}] already exists and cannot be created again with the changeSet [{change_set}]."
        return self._refused("ValidationError", words)

    def existing_stack(self, params: Any) -> Answer | None:
        """CreateStack."""
        name = self._given(params, "StackName")
        if self._status(name) in _FREE:
            return None
        return self._refused("AlreadyExistsException", f"Stack [{name}] already exists")

    def _status(self, name: str) -> str | None:
        stack = self._stacks.get(name)
        return None if stack is None else str(stack.get("StackStatus"))

    def _given(self, params: Any, name: str) -> str:
        return str(self._changesets._p(params, name) or "")

    def _refused(self, code: str, message: str) -> Answer:
        answer: Answer = self._changesets._error(code, message, 400)
        return answer


def checked(template: dict[str, Any]) -> dict[str, Any]:
    """The template, each of whose resources is an object. Raises ValueError, whose text the engine completes."""
    resources = template.get("Resources")
    if isinstance(resources, dict) and not all(isinstance(each, dict) for each in resources.values()):
        raise ValueError("Any Resources member must be an object.")
    return template


def _check(handlers: Any, action: str, check: Callable[[Any], Answer | None]) -> None:
    handler = handlers._ACTION_HANDLERS[action]
    handlers._ACTION_HANDLERS[action] = lambda params: check(params) or handler(params)
