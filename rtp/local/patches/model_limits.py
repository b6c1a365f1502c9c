"""Parameters are checked by the services' own models: lengths, ranges, value sets and patterns."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from rtp.local import constraints, models
from rtp.local.patches.patch import Patch, require
from rtp.local.weather import errors, operations

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry
    from rtp.local.weather.call import Protocol

_RPC = re.compile(r"/operation/([A-Za-z0-9]+)")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a service answers a parameter that its model refuses.

    engine: the engine's name of the service. service: boto3's name. code: the error. own: operations whose limits the
    service words itself, and the engine or another patch with it.
    """

    engine: str
    service: str
    code: str
    own: frozenset[str] = frozenset()


# SQS, SNS, S3 and API Gateway word each limit themselves: their models have hardly any.
SERVICES = (
    Rules("logs", "logs", "InvalidParameterException"),
    Rules("dynamodb", "dynamodb", "ValidationException"),
    # Lambda has another error for an unknown runtime.
    Rules("lambda", "lambda", "ValidationException", frozenset({"CreateFunction", "UpdateFunctionConfiguration"})),
    Rules("monitoring", "cloudwatch", "ValidationError", frozenset({"PutMetricData"})),
    Rules("cloudformation", "cloudformation", "ValidationError"),
    Rules("kms", "kms", "ValidationException"),
    Rules("ssm", "ssm", "ValidationException"),
    Rules("secretsmanager", "secretsmanager", "ValidationException"),
)


def install(_: Telemetry) -> None:
    """Install the patch."""
    import ministack.app

    require(ministack.app, "SERVICE_HANDLERS")
    handlers = ministack.app.SERVICE_HANDLERS
    for rules in SERVICES:
        if rules.engine in handlers:  # the environment may leave services out
            handlers[rules.engine] = _checked(rules, handlers[rules.engine])


PATCH = Patch(
    name="model_limits",
    aws=(
        "CloudFormation, CloudWatch, its logs, DynamoDB, KMS, Lambda, Secrets Manager and SSM check the length, range, "
        "value set and pattern of each parameter, and name all that fail in one message."
    ),
    engine="Few are checked, one by one; a limit of 10,001 events or an empty list of parameters is accepted.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


def _checked(rules: Rules, handler: Any) -> Any:
    async def checked(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        protocol, operation, params = _call(rules.service, method, path, headers, body, query)
        node = constraints.of(rules.service, operation) if operation and operation not in rules.own else None
        message = constraints.refusal(node, params) if node is not None else None
        if message is None:
            return await handler(method, path, headers, body, query)
        kind, content, more = errors.body(protocol, rules.service, rules.code, message, 400)
        named = {name.decode(): value.decode() for name, value in more}
        return 400, {"Content-Type": kind.decode(), **named}, content

    return checked


def _call(
    service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> tuple[Protocol, str, dict[str, Any]]:
    """Protocol, operation and parameters; the operation is empty if it is not checked."""
    target = headers.get("x-amz-target", "")
    if target:
        return "json", target.rpartition(".")[2], _document(body)
    rpc = _RPC.search(path)
    if rpc:
        return "cbor", rpc[1], _cbor(body)
    if headers.get("content-type", "").startswith(_FORM):
        return _query(body)
    operation, params = operations.rest_call(service, method, path, query, headers)
    described = models.service(service)["operations"].get(operation)
    if described is None:
        return "rest-json", "", {}
    shape = models.service(service)["shapes"][described["input"]["shape"]] if "input" in described else {}
    if "payload" not in shape:  # else the body is the caller's own
        located = {name for name, member in shape.get("members", {}).items() if "location" in member}
        params |= {name: value for name, value in _document(body).items() if name not in located}
    return "rest-json", operation, _numbers(service, shape, params)


def _query(body: bytes) -> tuple[Protocol, str, dict[str, Any]]:
    """The operation and parameters of a form: `Tags.member.1.Key` is in the first element of a list."""
    flat = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *folders, name = path.replace(".member.", ".").split(".")
        place = tree
        for folder in folders:
            inner = place.setdefault(folder, {})
            place = inner if isinstance(inner, dict) else {}
        place[name] = value
    return "query", flat.get("Action", ""), {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    """The value with each mapping of numbers as a list."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(each) for name, each in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner


def _numbers(service: str, shape: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with those of the address that are numbers as numbers."""
    shapes = models.service(service)["shapes"]
    for name, member in shape.get("members", {}).items():
        value = params.get(name)
        if "location" in member and isinstance(value, str) and shapes[member["shape"]]["type"] in ("integer", "long"):
            params[name] = int(value) if value.lstrip("-").isdigit() else None
    return params


def _document(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _cbor(body: bytes) -> dict[str, Any]:
    try:
        cbor2 = importlib.import_module("cbor2")
    except ImportError:  # the engine cannot read it either
        return {}
    try:
        parsed = cbor2.loads(body) if body else {}
    except (ValueError, EOFError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
