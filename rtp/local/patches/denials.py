"""A refusal of a role's permissions names the resource, as AWS's does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_PARAMETERS = (
    "service action principal_arn request_id error_code message headers resource_arn explicit_deny resource_policy_arn"
)


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import iam_actions

    require(iam_actions, "identity_denial_message")

    def access_denied_response(
        service: str, action: str, principal_arn: str, request_id: str, **options: Any
    ) -> tuple[Any, ...]:
        resource, explicit = options.get("resource_arn", "*"), bool(options.get("explicit_deny"))
        is_by_identity = not (explicit and options.get("resource_policy_arn"))
        if is_by_identity and not options.get("message") and not options.get("error_code"):
            options["message"] = iam_actions.identity_denial_message(action, principal_arn, resource, explicit)
        answer: tuple[Any, ...] = old(service, action, principal_arn, request_id, **options)
        return answer

    old = replace(iam_actions, "access_denied_response", access_denied_response, _PARAMETERS)


PATCH = Patch(
    name="denials",
    aws="The message of an AccessDenied names the action and the resource.",
    engine="Where permissions are enforced, the message names the action alone for most services.",
    test="tests/local/engine/test_auth.py::test_a_function_may_do_what_its_role_allows_and_nothing_else",
    install=install,
)
