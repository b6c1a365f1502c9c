"""The credential scope of a signed request to a function URL: its service and region."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local.patches import api_signatures
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_PARAMETERS = "url_id method path headers body query_params resolved source_ip"


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import lambda_svc

    require(lambda_svc, "resolve_function_url")

    async def handle(
        url_id: str,
        method: str,
        path: str,
        headers: Any,
        body: bytes,
        query_params: Any,
        resolved: Any = None,
        **more: Any,
    ) -> Any:
        resolved = resolved or lambda_svc.resolve_function_url(url_id)
        if resolved is not None and resolved[4].get("AuthType") == "AWS_IAM" and method != "OPTIONS":
            signed = api_signatures.of_request(headers or {}, query_params or {})
            if signed and (why := api_signatures.refusal(signed, resolved[1], "lambda")):
                answer = {"Content-Type": "application/json", "x-amzn-ErrorType": "InvalidSignatureException"}
                return 403, answer, json.dumps({"message": why}).encode()
        return await handle_one(url_id, method, path, headers, body, query_params, resolved=resolved, **more)

    handle_one = replace(lambda_svc, "handle_function_url_request", handle, _PARAMETERS)


PATCH = Patch(
    name="url_signatures",
    aws="A signature for another service or region is refused by a function URL with AWS_IAM.",
    engine="Any signature is accepted.",
    test="tests/local/engine/test_patches.py::a_signature_for_another_service_calls_a_function_url",
    install=install,
)
