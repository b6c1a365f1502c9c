"""The credential scope of a signed request to an API of API Gateway's second version: HTTP APIs and WebSocket APIs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local.patches import api_signatures
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_CONNECTIONS = "execute-api:ManageConnections"
_ENFORCE = "api_id stage method execute_path headers query_params iam_action"
_EXECUTE = "api_id stage path method headers body query_params owner_account_id owner_region raw_query_string"


def install(_: Telemetry) -> None:
    """Install the patch."""
    import ministack.app
    from ministack.services import apigateway as apigw

    require(apigw, "route_authorization_type", "find_api_scope", "_jwt_forbidden")

    async def execute(
        api_id: str, stage: str, path: str, method: str, headers: Any, body: Any, query_params: Any, *args: Any
    ) -> Any:
        # OPTIONS is answered for CORS, and a request without a signature is refused by what this replaces. Of a route
        # without authorization the header is the application's own.
        signed = "" if method == "OPTIONS" else api_signatures.of_request(headers or {}, query_params or {})
        is_wrong = bool(signed and api_signatures.refusal(signed, args[1]))
        if is_wrong and apigw.route_authorization_type(api_id, stage, method, path) == "AWS_IAM":
            return apigw._jwt_forbidden()
        return await execute_one(api_id, stage, path, method, headers, body, query_params, *args)

    execute_one = replace(apigw, "_handle_execute_in_scope", execute, _EXECUTE)

    def connect(scope: Any, connect_arn: str, headers: Any, query_params: Any, region: str) -> Any:
        refused = connect_one(scope, connect_arn, headers, query_params, region)
        if refused is not None:
            return refused
        why = api_signatures.refusal(api_signatures.of_request(headers or {}, query_params or {}), region)
        return (403, why) if why else None

    connect_one = replace(apigw, "_authorize_ws_iam", connect, "scope connect_arn headers query_params region")

    def enforce(
        api_id: str,
        stage: str,
        method: str,
        execute_path: str,
        headers: Any,
        query_params: Any,
        iam_action: str = "execute-api:Invoke",
    ) -> Any:
        signed = api_signatures.of_request(headers or {}, query_params or {})
        owner = apigw.find_api_scope(api_id) if signed and iam_action == _CONNECTIONS else None
        if owner is not None and (why := api_signatures.refusal(signed, owner[1])):
            answer = {"Content-Type": "application/json", "x-amzn-ErrorType": "InvalidSignatureException"}
            return 403, answer, json.dumps({"message": why}).encode()
        return enforce_one(api_id, stage, method, execute_path, headers, query_params, iam_action)

    enforce_one = replace(ministack.app, "_enforce_execute_api", enforce, _ENFORCE)


PATCH = Patch(
    name="http_signatures",
    aws="A signature for another service or region is refused by a route of an HTTP API with AWS_IAM, by a WebSocket "
    "API's `$connect` with AWS_IAM, and where messages are posted to its clients.",
    engine="Any signature is accepted.",
    test="tests/local/engine/test_patches.py::a_signature_for_another_service_calls_an_http_api",
    install=install,
)
