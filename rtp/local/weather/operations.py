"""Identifies a request: service, operation and parameters, by botocore's models where a path says it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, unquote

from rtp.local import models

if TYPE_CHECKING:
    from rtp.local.asgi import Scope
    from rtp.local.weather.call import Protocol

_SCOPE = re.compile(r"Credential=[^/,\s]+(?:/[^/,\s]+){2}/([^/,\s]+)/aws4_request")
_SIGNED_AS = {"monitoring": "cloudwatch", "tagging": "resourcegroupstaggingapi"}  # and boto3's names
_REST = ("lambda", "apigateway", "s3", "xray")
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/([A-Za-z0-9]+)")
_API_PATHS = ("/_aws/execute-api/", "/restapis/")

Identity = tuple[str, str, "Protocol", dict[str, Any]]


def identify(scope: Scope, headers: dict[str, str], body: bytes) -> Identity:
    """Service, operation, protocol and parameters of a request; empty texts for what is unknown."""
    service = _service(headers)
    target = headers.get("x-amz-target", "")
    if target:
        return service, target.rpartition(".")[2], "json", _json(body)
    path = scope["path"]
    rpc = _CBOR_PATH.fullmatch(path)
    if rpc:
        return service, rpc[1], "cbor", {}
    if not service and (path.startswith(_API_PATHS) or ".execute-api." in headers.get("host", "")):
        return "execute-api", f"{scope['method']} /{path.rpartition('/')[2]}", "http", {}
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if service in _REST:
        return _rest(service, scope, query, headers, body)
    form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    flat = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) if form else {}
    flat |= {name: values[0] for name, values in query.items()}
    return service, flat.pop("Action", ""), "query", dict(flat)


def _service(headers: dict[str, str]) -> str:
    """The service in the credential scope, under boto3's name."""
    found = _SCOPE.search(headers.get("authorization", ""))
    return _SIGNED_AS.get(found[1], found[1]) if found else ""


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


@dataclass(frozen=True, slots=True)
class _Route:
    operation: str
    method: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    required: dict[str, str]  # query parameters that belong to the operation, and their values; any if empty
    query: dict[str, str]  # names in the query and those of the parameters
    weight: int


def _rest(service: str, scope: Scope, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> Identity:
    protocol: Protocol = "rest-xml" if service == "s3" else "rest-json"
    operation, params = rest_call(service, scope["method"], scope["path"], query, headers)
    return service, operation, protocol, (_json(body) if operation and protocol == "rest-json" else {}) | params


def rest_call(
    service: str, method: str, path: str, query: dict[str, list[str]], headers: dict[str, str]
) -> tuple[str, dict[str, Any]]:
    """The operation of a REST service at this address, and the parameters in the address; "" if there is none."""
    path = path.rstrip("/") or "/"
    best: tuple[_Route, re.Match[str]] | None = None
    for route in routes(service):
        if route.method != method or (best is not None and route.weight <= best[0].weight):
            continue
        if ("Copy" in route.operation) != ("x-amz-copy-source" in headers) and service == "s3":
            continue
        match = route.path.fullmatch(path)
        if match and all(n in query and (not v or v in query[n]) for n, v in route.required.items()):
            best = route, match
    if best is None:
        return "", {}
    route, match = best
    params = {name: unquote(value) for name, value in zip(route.labels, match.groups(), strict=True)}
    params |= {route.query[name]: values[0] for name, values in query.items() if name in route.query}
    return route.operation, params


@cache
def routes(service: str) -> tuple[_Route, ...]:
    """The operations of a REST service."""
    model = models.service(service)
    return tuple(_route(name, operation, model["shapes"]) for name, operation in model["operations"].items())


def _route(name: str, operation: dict[str, Any], shapes: dict[str, Any]) -> _Route:
    path, _, required = operation["http"]["requestUri"].partition("?")
    members = shapes[operation["input"]["shape"]]["members"] if "input" in operation else {}
    in_uri = {m.get("locationName", key): key for key, m in members.items() if m.get("location") == "uri"}
    in_query = {m.get("locationName", key): key for key, m in members.items() if m.get("location") == "querystring"}
    labels: list[str] = []
    pattern = ""
    for piece in re.split(r"(\{[^}]+\})", path.rstrip("/") or "/"):
        if piece.startswith("{"):
            label = piece.strip("{}+")
            labels.append(in_uri.get(label, label))
            pattern += "(.+)" if piece.endswith("+}") else "([^/]+)"
        else:
            pattern += re.escape(piece)
    needed = dict(parse_qsl(required, keep_blank_values=True))
    literals = sum(1 for segment in path.split("/") if segment and "{" not in segment)
    weight = 100 * len(needed) + 10 * literals + len(labels)
    return _Route(name, operation["http"]["method"], re.compile(pattern), tuple(labels), needed, in_query, weight)
