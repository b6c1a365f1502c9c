"""Whether the API accepts a key yet, and whether a client still uses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import api, api_keys, logs
from rtp.errors import AwsError, RtpError, WaitTimeoutError
from rtp.ops.events.identity import trace_header, trace_id
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import every
from rtp.text import json_values, times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rtp.aws import Aws
    from rtp.aws.api import Answer
    from rtp.aws.logs import Page
    from rtp.config import Environment
    from rtp.ops.work.clock import Clock

PROBE = b"{}"  # not an event: the API answers 400 once it accepts the key, and queues nothing
TIMEOUT_S = 120.0
_TIMES = 3  # in a row: one host of API Gateway may know a key, and the next not yet
_RECENT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Use:
    """Requests with a key in the last hour, by the access log. last: epoch ms. address: of the last one."""

    count: int
    last: int
    address: str

    def __str__(self) -> str:
        where = f" from {self.address}" if self.address else ""
        return f"used {many(self.count, 'time')} in the last hour, last {times.ago(self.last)} ago{where}"


def wait(
    aws: Aws,
    outputs: Mapping[str, str],
    key_id: str,
    notify: Callable[[str], None],
    *,
    ask: Callable[[], Answer] | None = None,
    clock: Clock = SYSTEM,
) -> None:
    """Wait until the API accepts a key. Each request counts towards its quota. Raises WaitTimeoutError, EndpointError.

    notify: takes a sentence about the wait, once.
    """
    ask = ask or _asker(aws, outputs, key_id)
    in_a_row, status = 0, 0
    for left_s in every(0.2 if aws.local else 2.0, timeout_s=TIMEOUT_S, clock=clock):
        status = ask().status
        in_a_row = 0 if status == 403 else in_a_row + 1
        if in_a_row == _TIMES:
            return
        if status == 403 and left_s == TIMEOUT_S:
            notify("The key is new and API Gateway does not know it yet, for up to a minute; trying again.")
    raise WaitTimeoutError(
        f"The API does not accept the key {key_id} yet, {TIMEOUT_S:.0f} s after its creation (HTTP {status}).",
        hint="If allowed_cidrs leaves out this machine's address, try it from the client; `rtp keys list` shows it.",
        code="key-not-accepted",
    )


def recent_use(
    aws: Aws,
    environment: Environment,
    key_id: str,
    *,
    now: int | None = None,
    pages: Callable[..., Iterable[Page]] = logs.pages,
) -> Use | None:
    """How a key was used in the last hour; None where it was not. Raises AwsError where that is not known."""
    now = times.now_ms() if now is None else now
    if not environment.settings.api_logs:
        raise AwsError("the API writes no access log (api_logs = false)", code="no-access-log")
    pattern = f'{{ $.api_key_id = "{key_id}" }}'
    lines = [
        line
        for page in pages(aws, environment.names.access_log_group, since=now - _RECENT_MS, pattern=pattern)
        for line in page.lines
    ]
    if not lines:
        return None
    last = max(lines, key=lambda line: line.at)
    return Use(len(lines), last.at, _address(last.message))


def is_not_checkable(error: RtpError) -> bool:
    """Whether an error says only that the API or its log cannot be asked from here."""
    return error.code in ("endpoint", "access-denied", "no-access-log", "missing-resource")


def _asker(aws: Aws, outputs: Mapping[str, str], key_id: str) -> Callable[[], Answer]:
    key = api.Key(api_keys.value(aws, key_id))

    def ask() -> Answer:
        """Send one request over a new connection, which may reach another of the gateway's hosts."""
        client = api.Client(api.url(outputs, aws), key, connections=1, local=aws.local, in_flight=aws.in_flight)
        return client.post("events", PROBE, trace_header=trace_header(trace_id(), sampled=False))

    return ask


def _address(line: str) -> str:
    try:
        return str(json_values.loads(line).get("source_ip", ""))
    except (ValueError, AttributeError):
        return ""
