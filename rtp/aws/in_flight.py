"""The requests that have no answer yet, so that a command can say what it waits for."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEY = "rtp_request"
_READS = ("Get", "List", "Describe", "Head", "BatchGet", "Query", "Scan", "Filter", "Receive", "Lookup", "Detect")


@dataclass(frozen=True, slots=True)
class Request:
    """A request without an answer. what: service and operation. where: the endpoint. began: monotonic seconds.

    limit_s: when it is given up at the latest, retries included. is_read: it changes nothing.
    """

    number: int
    what: str
    where: str
    began: float
    limit_s: float
    is_read: bool


class InFlight:
    """The unanswered requests of all threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0
        self._requests: dict[int, Request] = {}

    def requests(self) -> list[Request]:
        """The unanswered requests, oldest first."""
        with self._lock:
            return list(self._requests.values())

    def begin(self, what: str, where: str, *, limit_s: float, is_read: bool) -> int:
        """Note a request before it is sent. Returns its number."""
        with self._lock:
            self._next += 1
            self._requests[self._next] = Request(self._next, what, where, self._clock(), limit_s, is_read)
            return self._next

    def end(self, number: int) -> None:
        """The request was answered, or given up."""
        with self._lock:
            self._requests.pop(number, None)

    @contextmanager
    def request(self, what: str, where: str, *, limit_s: float) -> Iterator[None]:
        """Around a request that botocore does not send, and that may change something."""
        number = self.begin(what, where, limit_s=limit_s, is_read=False)
        try:
            yield
        finally:
            self.end(number)

    def attach(self, session: Any, where: Callable[[str], str], *, limit_s: float) -> None:
        """Note each call of a botocore session's clients until it is answered or given up.

        A call that is to wait at the service, such as a long poll of SQS, is not noted.
        """

        def begin(model: Any, context: dict[str, Any], **_: Any) -> None:
            service, operation = model.service_model.service_name, model.name
            if operation != "ReceiveMessage":
                what = f"{service} {operation}"
                is_read = operation.startswith(_READS)
                context[_KEY] = self.begin(what, where(service), limit_s=limit_s, is_read=is_read)

        def end(context: dict[str, Any], **_: Any) -> None:
            number = context.pop(_KEY, None)
            if number is not None:
                self.end(number)

        session.register("before-call", begin)
        session.register("after-call", end)
        session.register("after-call-error", end)
