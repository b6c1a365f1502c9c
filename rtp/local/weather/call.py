"""A call of AWS's API at the edge, and the response to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlencode

from rtp.local.weather import errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rtp.local.asgi import Scope
    from rtp.local.weather.faults import Budget

_SIGNED_BODY = b"x-amz-content-sha256"
Protocol = Literal["json", "query", "rest-json", "rest-xml", "cbor", "http"]
"""json: X-Amz-Target. query: Action=. cbor: RPC v2, as CloudWatch. http: a deployed API (`execute-api`)."""


@dataclass(frozen=True)
class Response:
    """A whole response. cut: bytes of the body after which the connection is reset; -1 for no answer at all."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    cut: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the call succeeded, and its answer reaches the client."""
        return self.status < 300 and self.cut is None

    @cached_property
    def document(self) -> dict[str, Any]:
        """The body as JSON; an empty body is an empty document."""
        parsed: dict[str, Any] = json.loads(self.body or b"{}")
        return parsed

    def with_document(self, document: Mapping[str, Any]) -> Response:
        """The response with another JSON body."""
        return self.with_body(json.dumps(document).encode())

    def with_body(self, body: bytes) -> Response:
        """The response with another body, its length and without checksums of the old one."""
        return replace(self, headers=without(self.headers, b"content-length", b"x-amz-crc32"), body=body)

    def with_headers(self, **values: str) -> Response:
        """The response with these headers replaced; underscores in names stand for dashes."""
        new = {name.replace("_", "-").encode(): value.encode() for name, value in values.items()}
        return replace(self, headers=(*without(self.headers, *new), *new.items()))

    def header(self, name: str) -> str:
        """The value of a header, by its lower-case name; empty if there is none."""
        return next((v.decode("latin-1") for n, v in self.headers if n.lower() == name.encode()), "")


def without(headers: tuple[tuple[bytes, bytes], ...], *names: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The headers except for these, by their lower-case names."""
    return tuple((name, value) for name, value in headers if name.lower() not in names)


@dataclass
class Call:
    """One request of a client: what it asks for, and how to answer it.

    service, operation: as in boto3's models ("sqs", "ReceiveMessage"); empty if the request could not be identified.
    """

    service: str
    operation: str
    protocol: Protocol
    params: dict[str, Any]
    scope: Scope
    body: bytes
    engine: Callable[[Scope, bytes], Awaitable[Response]]
    budget: Budget
    headers: dict[str, str] = field(default_factory=dict)

    def named(self, service: str, *operations: str) -> bool:
        """Whether this is one of these operations; any of the service if none is given."""
        return self.service == service and (not operations or self.operation in operations)

    @property
    def resource(self) -> str:
        """What the call acts on, to keep state by: a queue's URL, a table, a function, an API or a stack."""
        names = ("QueueUrl", "TableName", "FunctionName", "UUID", "logGroupName", "restApiId", "StackName", "Bucket")
        return next((str(self.params[name]) for name in names if name in self.params), "")

    @property
    def attempt(self) -> str:
        """What the client's retries of this call have in common."""
        return self.headers.get("amz-sdk-invocation-id") or f"{self.service} {self.operation} {hash(self.body)}"

    def may_fail(self) -> bool:
        """Take one fault from the call's budget; False if the call has failed often enough."""
        return self.budget.take(self.attempt)

    async def send(self) -> Response:
        """The engine's answer to the call as it is."""
        return await self.engine(self.scope, self.body)

    async def again(self, **params: Any) -> Response:
        """The engine's answer to the call with other parameters (None removes one). JSON bodies alone."""
        document = json.loads(self.body or b"{}") | params
        return await self.with_body(
            json.dumps({name: value for name, value in document.items() if value is not None}).encode()
        )

    async def other(self, operation: str, **params: Any) -> Response:
        """The engine's answer to another operation of the same service. Services with X-Amz-Target alone."""
        target = f"{self.headers['x-amz-target'].rpartition('.')[0]}.{operation}".encode()
        headers = [*without(tuple(self.scope["headers"]), b"x-amz-target"), (b"x-amz-target", target)]
        return await self.with_body(json.dumps(params).encode(), {**self.scope, "headers": headers})

    async def with_query(self, **params: str) -> Response:
        """The engine's answer to the call with these parameters in the address."""
        query = dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)) | params
        return await self.engine({**self.scope, "query_string": urlencode(query).encode()}, self.body)

    async def with_body(self, body: bytes, scope: Scope | None = None) -> Response:
        """The engine's answer to the call with another body."""
        scope = self.scope if scope is None else scope
        headers = [
            (name, value)
            for name, value in without(tuple(scope["headers"]), b"content-length", b"content-md5", _SIGNED_BODY)
            if not name.lower().startswith((b"x-amz-checksum-", b"x-amz-sdk-checksum-"))
        ]
        headers.append((b"content-length", str(len(body)).encode()))
        return await self.engine({**scope, "headers": headers}, body)

    def answer(self, document: Mapping[str, Any]) -> Response:
        """A success with a JSON body."""
        kind = self.headers.get("content-type") if self.protocol == "json" else None
        headers = ((b"content-type", (kind or "application/json").encode()), *errors.request_id())
        return Response(200, headers, json.dumps(document).encode())

    def error(self, code: str, message: str, status: int = 400, **headers: str) -> Response:
        """An error in the call's protocol. headers: such as Retry_After="1"."""
        kind, body, more = errors.body(self.protocol, self.service, code, message, status)
        fixed = ((b"content-type", kind), *more, *errors.request_id())
        named = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        return Response(status, (*fixed, *named), body)
