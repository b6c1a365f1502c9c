"""REST APIs: one request id, one trace, metrics, an access log, and API Gateway's size limit."""

from __future__ import annotations

import base64
import re
import secrets
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.local import mapping
from rtp.local.metrics import Place
from rtp.local.patches import function_logs
from rtp.local.patches.patch import Patch, replace, require
from rtp.local.tracing import header, services

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry
    from rtp.local.tracing.header import TraceHeader

MAX_BODY_BYTES = 10 * 1024 * 1024
_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]+)")
_CALLS = {"lambda": ("Lambda", "Invoke"), "sqs": ("SQS", "SendMessage")}


@dataclass(slots=True)
class Call:
    """One request while it is served."""

    api_id: str
    api_name: str
    stage_name: str
    stage: dict[str, Any]
    method: str
    path: str
    headers: dict[str, str]
    place: Place
    started: float
    trace: TraceHeader
    source_ip: str
    api_key_id: str | None  # of the key in the request, where the engine has it
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_request_id: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(11)).decode())
    segment_ids: tuple[str, str] = field(default_factory=services.new_ids)
    request: dict[str, Any] = field(default_factory=dict)  # the engine's request, filled in while it is routed
    integration: tuple[str, float] | None = None  # its service, and when it was called
    override: dict[str, Any] = field(default_factory=dict)  # `$context.responseOverride` of the last template

    @property
    def traced(self) -> bool:
        """Whether the stage writes segments."""
        return bool(self.stage.get("tracingEnabled")) and self.trace.recorded

    def context(self) -> dict[str, Any]:
        """`$context` of mapping templates and access logs."""
        return {
            "requestId": self.request_id,
            "extendedRequestId": self.extended_request_id,
            "requestTimeEpoch": str(int(self.started * 1000)),
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(self.started)),
            "httpMethod": self.method,
            "resourcePath": self.request.get("resource_path") or self.path,
            "path": f"/{self.stage_name}{self.path}",
            "stage": self.stage_name,
            "apiId": self.api_id,
            "accountId": self.place.account,
            "protocol": "HTTP/1.1",
            "domainName": self.headers.get("host", ""),
            "xrayTraceId": f"Root={self.trace.root}",
            "identity": {
                "sourceIp": self.source_ip,
                "userAgent": self.headers.get("user-agent", ""),
                "apiKeyId": self.api_key_id,
            },
        }


_call: ContextVar[Call | None] = ContextVar("rtp_api_call", default=None)


def install(telemetry: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import responses
    from ministack.services import apigateway_v1

    require(apigateway_v1, "_rest_apis", "_stages_v1", "_gw_error", "_resolve_api_key", "_api_key_from_request")
    require(responses, "get_request_client_ip")
    patch = ApiGateway(apigateway_v1, telemetry, responses.get_request_client_ip)
    patch.handle = replace(
        apigateway_v1,
        "_handle_execute_in_scope",
        patch.serve,
        "api_id stage_name method path headers body query_params owner_account_id owner_region",
    )
    patch.execute_one = replace(
        apigateway_v1,
        "_execute_in_scope",
        patch.execute,
        "request api_id stage_name method path headers body query_params owner_account_id owner_region",
    )
    replace(apigateway_v1, "_render_request_template_v1", patch.render, "template body_str params_map context")
    patch.build_event = replace(
        apigateway_v1,
        "_build_lambda_event_v1",
        patch.event,
        "api_id stage_name stage resource request_path method headers body query_params path_params "
        "binary_media_types authorizer_context caller_identity",
    )
    patch.invoke_queue = replace(
        apigateway_v1,
        "_invoke_sqs_v1",
        patch.to_queue,
        "integration api_id stage_name stage resource request_path method headers body query_params path_params "
        "owner_account_id owner_region binary_media_types authorizer_context caller_identity",
    )


PATCH = Patch(
    name="api_gateway",
    aws=(
        "A request has one id, in its response, in the function's event and in mapping templates. It is traced, "
        "measured and logged. A body over 10 MB is refused."
    ),
    engine=(
        "The response and the event have different ids; `$context` is empty in a mapping template, and templates "
        "know no `#if`. Nothing is traced, measured or logged. Larger bodies are passed on."
    ),
    test="tests/local/engine/test_patches.py::templates_have_no_context",
    install=install,
)


class ApiGateway:
    """Wraps each request to a deployed REST API."""

    handle: Any
    execute_one: Any
    build_event: Any
    invoke_queue: Any

    def __init__(self, apigw: Any, telemetry: Telemetry, client_ip: Any) -> None:
        self._apigw = apigw
        self._client_ip = client_ip
        self._telemetry = telemetry

    async def serve(  # noqa: PLR0913 - the parameters of the function that it replaces
        self,
        api_id: str,
        stage_name: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: Any,
        account: str,
        region: str,
    ) -> tuple[int, dict[str, Any], bytes]:
        """Serve one request, then report it."""
        call = Call(
            api_id,
            str((self._apigw._rest_apis.get(api_id) or {}).get("name", api_id)),
            stage_name,
            (self._apigw._stages_v1.get(api_id) or {}).get(stage_name) or {},
            method,
            path,
            headers,
            Place(account, region),
            time.time(),
            header.parse(headers.get(header.NAME)) or header.new(),
            self._client_ip(),
            (self._apigw._resolve_api_key(self._apigw._api_key_from_request(headers)) or {}).get("id"),
        )
        onwards = call.trace.child(call.segment_ids[1]) if call.traced else call.trace
        header.current.set(onwards)
        _call.set(call)
        headers = {**headers, header.NAME: str(onwards)}
        status, answered, content = await self.handle(
            api_id, stage_name, method, path, headers, body, query_params, account, region
        )
        answered.setdefault("x-amzn-requestid", call.request_id)
        answered.setdefault("x-amz-apigw-id", call.extended_request_id)
        answered["X-Amzn-Trace-Id"] = str(call.trace.child("") if call.traced else call.trace)
        self._report(call, status, content)
        return status, answered, content

    async def execute(self, request: dict[str, Any], *args: Any) -> Any:
        """Route the request and call the integration; gateway responses are made of `request`."""
        call = _call.get()
        if call is not None:
            request["request_id"] = call.request_id
            call.request = request
        body = args[5]
        if call is not None and call.stage and len(body or b"") > MAX_BODY_BYTES:
            request["stage"] = call.stage  # its deployment has the gateway responses
            return self._apigw._gw_error("REQUEST_TOO_LARGE", f"HTTP content length exceeded {MAX_BODY_BYTES} bytes.")
        return await self.execute_one(request, *args)

    def render(self, template: str, body_str: str, params_map: dict[str, Any], context: Any = None) -> str:
        """Render a mapping template with the request's `$context`."""
        call = _call.get()
        variables = (call.context() if call else {}) | (context or {})
        # The engine lower-cases header names; templates name this one as it is sent.
        params = {**params_map, "X-Amzn-Trace-Id": params_map.get(header.NAME, "")}
        text = mapping.render(template, mapping.Input(body_str, params), variables)
        if call is not None:
            call.override = variables.get("responseOverride") or {}
        return text

    def event(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The function's event, with the id and the time of the response."""
        event: dict[str, Any] = self.build_event(*args, **kwargs)
        call = _call.get()
        if call is not None:
            call.integration = ("lambda", time.time())
            event["requestContext"] |= {
                "requestId": call.request_id,
                "extendedRequestId": call.extended_request_id,
                "requestTimeEpoch": int(call.started * 1000),
            }
        return event

    async def to_queue(self, *args: Any, **kwargs: Any) -> Any:
        """Send to a queue."""
        call = _call.get()
        if call is not None:
            call.integration = ("sqs", time.time())
        status, answered, content = await self.invoke_queue(*args, **kwargs)
        override = call.override if call is not None else {}
        return int(override.get("status", status)), {**answered, **override.get("header", {})}, content

    def _report(self, call: Call, status: int, content: bytes) -> None:
        ended = time.time()
        latency = (ended - call.started) * 1000
        for dimensions in ({"ApiName": call.api_name}, {"ApiName": call.api_name, "Stage": call.stage_name}):
            for name, value, unit in (
                ("Count", 1, "Count"),
                ("4XXError", int(400 <= status < 500), "Count"),
                ("5XXError", int(status >= 500), "Count"),
                ("Latency", latency, "Milliseconds"),
            ):
                self._telemetry.metrics.record(call.place, "AWS/ApiGateway", name, value, unit, dimensions)
        if call.traced:
            self._telemetry.traces.add(_segment(call, status, content, ended))
        _access_log(call, status, content, latency)


def _segment(call: Call, status: int, content: bytes, ended: float) -> dict[str, Any]:
    name, operation = _CALLS[call.integration[0]] if call.integration else ("", "")
    return services.stage(
        call.trace,
        call.segment_ids,
        f"{call.api_name}/{call.stage_name}",
        (call.started, ended),
        {
            "request": {
                "method": call.method,
                "url": f"http://{call.headers.get('host', '')}/{call.stage_name}{call.path}",
                "client_ip": call.source_ip,
                "user_agent": call.headers.get("user-agent", ""),
                "x_forwarded_for": True,
            },
            "response": {"status": status, "content_length": len(content or b"")},
        },
        {
            "account_id": call.place.account,
            "region": call.place.region,
            "rest_api_id": call.api_id,
            "stage": call.stage_name,
            "request_id": call.request_id,
        },
        {"name": name, "start": call.integration[1], "aws": {"operation": operation}, "status": status}
        if call.integration
        else {},
    )


def _access_log(call: Call, status: int, content: bytes, latency: float) -> None:
    settings = call.stage.get("accessLogSettings") or {}
    group = str(settings.get("destinationArn") or "").partition(":log-group:")[2].removesuffix(":*")
    if not group or not settings.get("format"):
        return
    variables = call.context() | {
        "status": str(status),
        "responseLength": str(len(content or b"")),
        "responseLatency": str(int(latency)),
        "integrationLatency": str(int(latency)) if call.integration else "-",
    }

    def value(match: re.Match[str]) -> str:
        variable: Any = variables
        for part in match[1].split("."):
            variable = variable.get(part) if isinstance(variable, dict) else None
        return variable.replace('"', '\\"') if isinstance(variable, str) else "-"

    now = int(time.time() * 1000)
    function_logs.append(group, f"{call.api_id}_{call.stage_name}", [(now, _VARIABLE.sub(value, settings["format"]))])
