"""Sends one event through the deployed pipeline, from its API to its record."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops.events import outcome, payload, send
from rtp.ops.events.send import SendRequest
from rtp.ops.stack.steps import Smoke
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import poll
from rtp.ops.work.pool import Stop
from rtp.runtime.event import Identity
from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.ops.events.sent import Sent
    from rtp.ops.work.clock import Clock

TYPE = "rtp.smoke"
_TIMEOUT_S = 60.0
_TRIES, _PAUSE_S = 10, 3.0


def smoke(aws: Aws, outputs: dict[str, str]) -> Smoke:
    """Send the event and wait for its record. Raises RtpError where it was not processed."""
    sent = answered(_asker(aws, outputs))
    status, reason = sent.status, (sent.error or {}).get("message", "")
    if status == "queued":  # the first attempt failed; the queue retries
        for record in outcome.wait(
            aws, outputs[Output.TABLE], [Identity(sent.id, sent.timestamp)], timeout_s=_TIMEOUT_S, stop=Stop()
        ):
            status = str(record["status"])
            reason = str((record.get("error") or {}).get("message", ""))
    if status != "processed":
        raise RtpError(
            f"The deploy is done, but the smoke event {sent.id} ended as {status}{f': {reason}' if reason else ''}.",
            hint=suggest.sentence("See {}.", suggest.command("rtp", "show", values=(sent.id,))),
            code="smoke-failed",
        )
    return Smoke(sent.id, status, sent.latency_ms)


def answered(ask: Callable[[], Sent], clock: Clock = SYSTEM) -> Sent:
    """Send an event, again while the gateway does not know its new key or stage yet, which takes seconds."""
    return poll(
        ask,
        lambda sent: sent.http_status not in (403, 404),
        repeat(_PAUSE_S, _TRIES - 1),
        timeout_s=_TIMEOUT_S,
        clock=clock,
    )


def _asker(aws: Aws, outputs: dict[str, str]) -> Callable[[], Sent]:
    def ask() -> Sent:
        event = payload.of_data('{"smoke": true}', TYPE)
        (sent,) = send.send(aws, outputs, event, SendRequest(concurrency=1, timeout_s=_TIMEOUT_S), stop=Stop())
        return sent

    return ask
