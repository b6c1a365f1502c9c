"""The credential scope of a signed request to a REST API: its service and region."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.telemetry import Telemetry

_PARAMETERS = (
    "api_id stage_name method_obj method request_path resource headers body query_params path_params stage "
    "owner_account_id owner_region"
)
_SERVICE = "execute-api"
# A signature of Version 4A names its regions in a header, and none here.
_SCOPE = re.compile(r"[^/,\s]+/\d{8}(?:/(?P<region>[^/,\s]+))?/(?P<service>[^/,\s]+)/aws4_request")
_FORM = "Authorization header requires 'Credential' parameter of the form KEY/DATE/REGION/SERVICE/aws4_request."


def refusal(credential: str, region: str, service: str = _SERVICE) -> str:
    """Why AWS refuses a signature with this credential, in its words; empty where it does not."""
    scope = _SCOPE.search(credential)
    if scope is None:
        return _FORM
    wrong = "" if scope["region"] in (None, region) else "Credential should be scoped to a valid region. "
    return wrong + (
        "" if scope["service"] == service else f"Credential should be scoped to correct service: '{service}'. "
    )


def of_request(headers: Mapping[str, Any], query: Mapping[str, Any]) -> str:
    """What a request was signed with: its header, or the credential of its query string; empty without one."""
    given = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    return str(given) or _presigned(query)


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import apigateway_v1 as apigw

    require(apigw, "_GatewayError", "_header_ci")

    async def authorize(api_id: str, stage: str, method_obj: dict[str, Any], *args: Any) -> Any:
        error, context = await authorize_one(api_id, stage, method_obj, *args)
        if error is not None or str(method_obj.get("authorizationType")).upper() != "AWS_IAM":
            return error, context
        _, _, _, headers, _, query, *_, region = args
        given = str(apigw._header_ci(headers, "authorization")) or _presigned(query or {})
        if why := refusal(given, region):
            return apigw._GatewayError("INVALID_SIGNATURE", why, "InvalidSignatureException"), None
        return error, context

    authorize_one = replace(apigw, "_authorize_request_v1", authorize, _PARAMETERS)


def _presigned(query: Mapping[str, Any]) -> str:
    given = query.get("X-Amz-Credential", "")
    return str(given[0] if isinstance(given, list) and given else given)


PATCH = Patch(
    name="api_signatures",
    aws="A signature that was made for another service or region is refused by a method with AWS_IAM.",
    engine="Any signature is accepted.",
    test="tests/local/engine/test_patches.py::a_signature_for_another_service_calls_an_api",
    install=install,
)
