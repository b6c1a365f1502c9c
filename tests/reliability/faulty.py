"""Faults of AWS and of the process, injected in a function through botocore's events.

Part of the test pipeline's processors. Environment variables switch the faults on:

FAULT_CRASH_AT   before_s3, after_s3, after_ddb or before_return: end the process there; of several, separated by
                 commas, each process takes one at which the fewest have crashed
FAULT_AWS        on: 500, throttling, broken connections and slow answers of DynamoDB and S3
FAULT_CHANCE     probability of each fault, 0..1
FAULT_LOG        a file that gets a line for each fault
"""

from __future__ import annotations

import functools
import io
import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTION, SERVER, THROTTLED, SLOW = "connection", "server", "throttled", "slow"
_THROTTLING = {
    "dynamodb": (
        400,
        b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"x"}',
    ),
    "s3": (503, b"<Error><Code>SlowDown</Code><Message>x</Message></Error>"),
}


def install() -> None:
    """Install the faults of the environment for all clients created afterwards."""
    import botocore.handlers

    if places := os.environ.get("FAULT_CRASH_AT"):
        place = _next(places.split(","))
        crash = functools.partial(_crash, place)
        add = botocore.handlers.BUILTIN_HANDLERS.append
        if place == "before_s3":
            add(("before-send.s3.PutObject", crash))
        elif place == "after_s3":
            add(("response-received.s3.PutObject", crash))
        elif place == "after_ddb":
            add(("response-received.dynamodb.*", crash))
        elif place == "before_return":
            sys.stdout = _CrashAtEnd(sys.stdout, crash)
    if os.environ.get("FAULT_AWS"):
        for service in ("dynamodb", "s3"):
            botocore.handlers.BUILTIN_HANDLERS.append((f"before-send.{service}.*", _fail))


def _is_due() -> bool:
    return random.random() < float(os.environ.get("FAULT_CHANCE", "0.1"))  # noqa: S311


def _log(what: str) -> None:
    with open(os.environ["FAULT_LOG"], "a") as log:  # noqa: PTH123
        log.write(f"{what}\n")


def _next(places: list[str]) -> str:
    """The place at which this process crashes: one of those with the fewest crashes.

    A count of all crashes does not do: processes that crash together would return to the same place.
    """
    with open(os.environ["FAULT_LOG"]) as log:  # noqa: PTH123
        crashes = log.read().split()
    return min(places, key=lambda place: (crashes.count(place), random.random()))  # noqa: S311


def _crash(place: str, **_: Any) -> None:
    if _is_due():
        _log(place)
        os._exit(137)


def _fail(request: Any, event_name: str, **_: Any) -> Any:
    if not _is_due():
        return None
    kind = random.choice((CONNECTION, SERVER, SERVER, THROTTLED, THROTTLED, SLOW))  # noqa: S311
    _log(kind)
    if kind == SLOW:
        time.sleep(0.5)
        return None
    if kind == CONNECTION:
        from botocore.exceptions import ConnectionClosedError

        raise ConnectionClosedError(endpoint_url=request.url)
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    status, body = (500, b"") if kind == SERVER else _THROTTLING[event_name.split(".")[1]]
    return AWSResponse(request.url, status, HTTPHeaders(), _Raw(body))


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Any:
        yield self.read()


class _CrashAtEnd:
    """Ends the process when the metrics are written, which is the end of an invocation."""

    def __init__(self, inner: Any, crash: Callable[[], None]) -> None:
        self._inner = inner
        self._crash = crash

    def write(self, text: str) -> int:
        if '"_aws"' in text:
            self._crash()
        return int(self._inner.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
