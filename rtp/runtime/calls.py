"""AWS clients that record each call in the traces of the events it is made for."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.runtime.tracing import Trace

_traces: ContextVar[tuple[Trace, ...]] = ContextVar("rtp_traces", default=())


class Traced(Protocol):
    """Something that has a trace."""

    @property
    def trace(self) -> Trace:
        """Its trace."""


@contextmanager
def on_behalf_of(items: Iterable[Traced]) -> Iterator[None]:
    """Record the AWS calls of this block, in this thread, in the traces of these items."""
    token = _traces.set(tuple(item.trace for item in items))
    try:
        yield
    finally:
        _traces.reset(token)


class TracedClient:
    """A botocore client. resource: fields that describe the target of a call in the trace, such as table_name."""

    def __init__(self, client: Any, service: str, **resource: str) -> None:
        self._client = client
        self._service = service
        self._resource = resource

    @property
    def exceptions(self) -> Any:
        """The client's exception classes."""
        return self._client.exceptions

    def __getattr__(self, method: str) -> Any:
        def call(**parameters: Any) -> Any:
            traces = _traces.get()
            if not traces:
                return getattr(self._client, method)(**parameters)
            failure, started = None, time.time()
            try:
                return getattr(self._client, method)(**parameters)
            except Exception as error:
                failure = None if _is_condition(error) else error
                raise
            finally:
                ended = time.time()
                target = {"queue_url": parameters["QueueUrl"]} if "QueueUrl" in parameters else self._resource
                for trace in traces:
                    trace.call(self._service, _operation(method), started, ended, failure, **target)

        return call


class LazyClient:
    """A client that is created at its first call: most invocations send nothing to SQS."""

    def __init__(self, create: Any) -> None:
        self._create = create

    def __getattr__(self, method: str) -> Any:
        return getattr(self._create(), method)


def _is_condition(error: Exception) -> bool:
    """Whether a conditional write was refused, which is a result and not a failure."""
    response = getattr(error, "response", None) or {}
    return bool(response.get("Error", {}).get("Code") == "ConditionalCheckFailedException")


@cache
def _operation(method: str) -> str:
    """Return the API's name of a client's method: PutItem for put_item."""
    return "".join(word.title() for word in method.split("_"))
