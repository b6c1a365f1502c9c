"""The resource policy of a REST API: which addresses may call it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_PARAMETERS = (
    "api_id stage_name method_obj method request_path resource headers body query_params path_params stage "
    "owner_account_id owner_region"
)


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import iam_evaluator, responses
    from ministack.core.arn import execute_api_arn
    from ministack.services import apigateway_v1 as apigw

    require(apigw, "rest_api_policy_for_arn", "_gw_error")
    require(iam_evaluator, "EvalContext", "evaluate_resource_policy")
    require(responses, "get_request_client_ip")

    def refusal(decision: str, arn: str) -> Any:
        why = "an explicit deny" if decision == "Deny" else "no allow"
        return apigw._gw_error("ACCESS_DENIED", f"not authorized to perform execute-api:Invoke on {arn}: {why}")

    async def authorize(api_id: str, stage: str, method_obj: dict[str, Any], method: str, path: str, *args: Any) -> Any:
        arn = execute_api_arn(args[-1], args[-2], api_id, stage, method, path)
        policy = (apigw.rest_api_policy_for_arn(arn) or ("",))[0]
        if policy:
            address = responses.get_request_client_ip()
            caller = iam_evaluator.EvalContext("*", "Anonymous", "", "execute-api:Invoke", arn, args[-1], address)
            decision = iam_evaluator.evaluate_resource_policy(policy, caller).decision
            # A signed call that the policy does not allow may be allowed by a policy of its caller.
            is_open = str(method_obj.get("authorizationType") or "NONE").upper() == "NONE"
            if decision == "Deny" or (is_open and decision != "Allow"):
                return refusal(decision, arn), None
        return await authorize_one(api_id, stage, method_obj, method, path, *args)

    functools.update_wrapper(authorize, apigw._authorize_request_v1, (), ())  # api_signatures checks its parameters
    authorize_one = replace(apigw, "_authorize_request_v1", authorize, _PARAMETERS)


PATCH = Patch(
    name="api_access",
    aws="The resource policy of a REST API decides by the caller's address, whatever the method's authorization.",
    engine="The resource policy is evaluated under AUTH=true alone.",
    test="tests/local/engine/test_patches.py::a_resource_policy_of_an_api_is_ignored",
    install=install,
)
