"""Send events through the stack's API or to its queue, and return the result of each."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING

from rtp.aws import api, queues
from rtp.contract import Output
from rtp.errors import AwsError, EndpointError
from rtp.ops.events.identity import trace_header, trace_id
from rtp.ops.events.sent import Sent, Via
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM, Backoff
from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.events.payload import Event
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_TRIES = {"connection": 5, "server": 6, "throttled": 10_000}  # a throttled event is retried until the timeout
_RETRYABLE = (429, 500, 502, 503, 504)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_SAMPLED = 10  # events of one command that are traced whatever the sampling rules decide
_USED_UP = ("quota", "limit exceeded")  # in the message of a 429: the stack's own, and API Gateway's


def _silent(_sentence: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """How to send events. concurrency: requests at once; rate: events per second.

    wait: whether to wait for outcomes too. timeout_s: longest time to retry one event, and longest wait.
    notify: takes a sentence about what a send waits for.
    """

    via: Via = Via.API
    concurrency: int = 8
    rate: float | None = None
    wait: bool = False
    timeout_s: float = 60.0
    notify: Callable[[str], None] = _silent


def send(
    aws: Aws, outputs: Mapping[str, str], events: Iterable[Event], request: SendRequest, *, stop: Stop
) -> Iterator[Sent]:
    """Send events and yield the result of each, in the order of the answers.

    Throttled and unanswered requests are retried with growing pauses for up to `timeout_s`; the events' ids make that
    safe. An answer that no other event would escape (a wrong key, a used-up quota, no endpoint) stops the run.
    """
    if request.via is Via.SQS:
        size = queues.BATCH if request.rate is None else max(1, min(queues.BATCH, int(request.rate)))
        return pool.each(
            _chunks(events, size),
            ToQueue(aws, outputs[Output.QUEUE_URL]),
            threads=request.concurrency,
            stop=stop,
            abandon=lambda chunk, error: [_unanswered(event, error) for event in chunk],
            rate=request.rate,
            weigh=len,
        )
    access = api.access(aws, outputs)
    client = api.Client(
        api.url(outputs, aws), access, connections=request.concurrency, local=aws.local, in_flight=aws.in_flight
    )
    return pool.each(
        events,
        ToApi(
            client.post,
            request.via,
            timeout_s=request.timeout_s,
            stop=stop,
            new_key=NewKey(request.notify) if access.is_new else None,
        ),
        threads=request.concurrency,
        stop=stop,
        abandon=lambda event, error: [_unanswered(event, error)],
        rate=request.rate,
    )


class NewKey:
    """An API key that API Gateway may not know yet, which takes up to a minute. Says once that a send waits for it."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._is_reported = False

    def refused(self) -> None:
        """A request got 403, which is temporary: one host of API Gateway may know the key, and the next not yet."""
        with self._lock:
            is_first, self._is_reported = not self._is_reported, True
        if is_first:
            self._notify("The API key is new and API Gateway does not know it yet; trying again.")


class ToApi:
    """Sends one event by HTTP, and retries temporary errors. new_key: set if the key may not be known yet."""

    def __init__(
        self,
        post: Callable[..., api.Answer],
        via: Via,
        *,
        timeout_s: float,
        stop: Stop,
        new_key: NewKey | None = None,
        clock: Clock = SYSTEM,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._post = post
        self._path = "process" if via is Via.API else "events"
        self._statuses = {
            200: "processed",
            202: "queued" if via is Via.API else "accepted",
            409: "conflict",
            422: "rejected",
        }
        self._timeout_s = timeout_s
        self._stop = stop
        self._new_key = new_key
        self._clock = clock
        self._jitter = jitter
        self._sent = count()

    def __call__(self, event: Event) -> list[Sent]:
        """Send an event. Returns its one result."""
        trace = trace_id()
        header = trace_header(trace, sampled=next(self._sent) < _SAMPLED)
        body = wire.request_body(event.body).encode()
        deadline = self._clock.monotonic() + self._timeout_s
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, jitter=0.5, random=self._jitter)
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._post(self._path, body, trace_header=header)
                answer: api.Answer | EndpointError = response
            except EndpointError as error:
                answer = error
            delay = self._delay(answer, attempt, next(backoff), deadline)
            if delay is None or self._clock.wait(self._stop.drain, delay):
                break
        if _fails_for_all(answer):
            self._stop.drain.set()
        if isinstance(answer, EndpointError):
            return [_failed(event, trace, "NoAnswer", answer.message)]
        return [self._outcome(event, trace, answer, first=attempt == 1)]

    def _delay(self, answer: api.Answer | EndpointError, attempt: int, pause: float, deadline: float) -> float | None:
        """Seconds until the next try; None: no further try."""
        retry_after = 0.0
        if isinstance(answer, EndpointError):
            tries = _TRIES["connection"]
        elif answer.status == 403 and self._new_key is not None:
            self._new_key.refused()
            tries = _TRIES["throttled"]
        elif _fails_for_all(answer) or answer.status not in _RETRYABLE:
            return None
        else:
            tries = _TRIES["throttled" if answer.status == 429 else "server"]
            retry_after = answer.retry_after or 0.0
        delay = max(retry_after, pause)
        return None if attempt >= tries or self._clock.monotonic() + delay > deadline else delay

    def _outcome(self, event: Event, trace: str, answer: api.Answer, *, first: bool) -> Sent:
        return Sent(
            event.id,
            event.timestamp,
            self._statuses.get(answer.status, "failed"),
            answer.status,
            str(answer.body.get("trace_id") or trace),
            answer.latency_ms,
            kind=event.type,
            line=event.line,
            error=None if answer.status in (200, 202) else _error(answer),
            result=answer.body.get("result"),
            repeat=answer.replayed and first,  # a retry may get the answer that the first try has stored
            digest=event.digest,
        )


class ToQueue:
    """Sends up to ten events in one SQS call."""

    def __init__(self, aws: Aws, url: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._aws = aws
        self._url = url
        self._clock = clock
        self._sent = count()

    def __call__(self, events: list[Event]) -> Iterator[Sent]:
        """Send events. Yields the result of each."""
        traces = [trace_id() for _ in events]
        headers = [trace_header(trace, sampled=next(self._sent) < _SAMPLED) for trace in traces]
        started = self._clock()
        receipts = queues.send(
            self._aws,
            self._url,
            [queues.Outgoing(e.body, {}, h) for e, h in zip(events, headers, strict=True)],
        )
        latency = (self._clock() - started) * 1000
        for event, trace, receipt in zip(events, traces, receipts, strict=True):
            if receipt.error:
                yield _failed(event, trace, "SqsError", receipt.error)
            else:
                yield Sent(
                    event.id,
                    event.timestamp,
                    "accepted",
                    200,
                    trace,
                    latency,
                    kind=event.type,
                    line=event.line,
                    digest=event.digest,
                )


def _fails_for_all(answer: api.Answer | EndpointError) -> bool:
    """Whether every other event would get the same answer."""
    if isinstance(answer, EndpointError):
        return True
    used_up = answer.status == 429 and any(words in answer.message.lower() for words in _USED_UP)
    return answer.status in (401, 403, 404) or used_up


def _failed(event: Event, trace: str, kind: str, message: str) -> Sent:
    error = {"type": kind, "message": message}
    return Sent(
        event.id, event.timestamp, "failed", None, trace, 0.0, event.type, event.line, error, digest=event.digest
    )


def _unanswered(event: Event, error: BaseException | None) -> Sent:
    """The result of an event without an answer. error: what AWS answered in its place; None for an interrupt."""
    if isinstance(error, AwsError):
        uncertain = "; it may have been accepted" if error.passes else ""
        return _failed(event, "", error.service_code or "NoAnswer", f"{error.message.rstrip('.')}{uncertain}")
    return _failed(event, "", "Interrupted", "interrupted before the answer came; it may have been accepted")


def _error(answer: api.Answer) -> dict[str, str]:
    error = answer.body.get("error")
    if isinstance(error, dict):
        return {"type": str(error.get("type", "")), "message": str(error.get("message", ""))}
    errors = answer.body.get("errors")
    message = answer.message
    if isinstance(errors, list):
        message += ": " + "; ".join(f"{e.get('path')}: {e.get('message')}" for e in errors[:5] if isinstance(e, dict))
    return {"type": f"Http{answer.status}", "message": message}


def _chunks(events: Iterable[Event], size: int) -> Iterator[list[Event]]:
    source = iter(events)
    while chunk := list(islice(source, size)):
        yield chunk
