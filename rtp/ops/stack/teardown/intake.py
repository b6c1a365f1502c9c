"""Closes the API's intake for a drain and opens it again, after the drain or in a later deploy."""

from __future__ import annotations

import os
import platform
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import api, intake
from rtp.aws.intake import Mark, Throttle
from rtp.contract import Output
from rtp.errors import AwsError, EndpointError, NotFoundError, RefusedError, RtpError, WaitTimeoutError
from rtp.ops.access.lock import user
from rtp.ops.events.identity import trace_header, trace_id
from rtp.ops.stack.operation import IntakeState
from rtp.ops.stack.steps import Warn
from rtp.ops.work.busy import when_free
from rtp.ops.work.clock import SYSTEM
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.api import Answer
    from rtp.config.settings import Settings
    from rtp.ops.work.clock import Clock

PROBE = b"{}"  # not an event: an open API answers 400 and queues nothing
_QUOTA_PAUSE_S = 10.0  # a 429 with a longer Retry-After is about the key's quota, not about the stage
_STAGE_TIMEOUT_S = 60.0
_NAME = 40  # characters of a user or host in the mark, which is a stage variable of limited length


@dataclass(frozen=True, slots=True)
class Observation:
    """How a closing is confirmed: `times` refusals in a row, `pause_s` apart, within `within_s`."""

    times: int
    pause_s: float
    within_s: float


@dataclass(slots=True)
class Intake:
    """The intake of one stack during one drain. since: epoch ms, by the service's clock, when it began to close.

    is_logged: whether the API writes an access log; known once the intake is closed.
    """

    aws: Aws
    outputs: Mapping[str, str]
    state: IntakeState = IntakeState.UNTOUCHED
    since: int = 0
    is_logged: bool = True
    _mark: Mark = field(
        default_factory=lambda: Mark(secrets.token_hex(8), user()[:_NAME], platform.node()[:_NAME], os.getpid(), 0)
    )

    def close(self) -> Iterator[Warn]:
        """Make the API refuse every request. Does nothing where the API is gone."""
        self.since = times.now_ms()
        stage = self._stage()
        if stage is None:
            return
        self.is_logged = stage.is_logged
        if stage.server_ms is not None and not stage.server_ms <= self.since < stage.server_ms + 2000:
            self.since = stage.server_ms  # our own clock is wrong
        if stage.mark is not None:
            yield Warn(f"The API's intake {closed_by(stage.mark)}; this drain takes over.")
        self.state = IntakeState.CLOSED
        self._mark = Mark(self._mark.token, self._mark.user, self._mark.host, self._mark.pid, self.since)
        _changed(self.aws, lambda: intake.close(self.aws, *self._place, stage, self._mark))

    def check(self) -> None:
        """Raises RefusedError where somebody else has opened the intake or taken it over."""
        if self.state is not IntakeState.CLOSED:
            return
        stage = self._stage()
        if stage is not None and not (stage.closed and self._is_ours(stage)):
            raise RefusedError(
                "The API's intake was opened, or taken over by another drain, while the queue was drained; "
                "nothing was deleted.",
                hint="Wait until nobody else deploys or destroys, then repeat the command.",
                code="intake-opened",
            )

    def open_again(self) -> None:
        """Restore the previous limits, unless somebody else has done so or holds the intake now."""
        if self.state is not IntakeState.CLOSED:
            return
        stage = self._stage()
        if stage is not None and self._is_ours(stage):
            _changed(self.aws, lambda: intake.open_again(self.aws, *self._place, stage))
        elif stage is not None and stage.closed:
            return  # by another drain, which opens it or deletes it
        self.state = IntakeState.REOPENED

    def observe(
        self,
        observation: Observation,
        *,
        ask: Callable[[], Answer] | None = None,
        clock: Clock = SYSTEM,
    ) -> Iterator[Warn]:
        """Wait until the API refuses all requests: API Gateway takes some seconds to apply a change of a stage.

        Warns where that cannot be confirmed from here in time. Raises WaitTimeoutError where the API still accepts
        requests after that time.
        """
        if self.state is not IntakeState.CLOSED:
            return
        ask = ask or self._ask
        began, refusals, last_verdict = clock.monotonic(), 0, ""
        while refusals < observation.times and clock.monotonic() - began < observation.within_s:
            verdict = _verdict(ask)
            refusals = refusals + 1 if verdict == "refused" else 0
            last_verdict = verdict
            clock.sleep(observation.pause_s)
        if refusals >= observation.times:
            return
        waited = f"{clock.monotonic() - began:.0f} s after its throttle was set to 0"
        if last_verdict == "taken":
            raise WaitTimeoutError(
                f"The API still takes requests {waited}; nothing was deleted.", hint="Repeat the command."
            )
        yield Warn(f"That the API refuses requests could not be confirmed {waited}: {last_verdict}.")

    @property
    def _place(self) -> tuple[str, str]:
        return self.outputs[Output.API_ID], self.outputs[Output.API_STAGE]

    def _stage(self) -> intake.Stage | None:
        return intake.read(self.aws, *self._place) if Output.API_ID in self.outputs else None

    def _is_ours(self, stage: intake.Stage) -> bool:
        return stage.mark is not None and stage.mark.token == self._mark.token

    def _ask(self) -> Answer:
        """Send one request over a new connection, which may reach another of the gateway's servers."""
        access = api.access(self.aws, self.outputs)
        client = api.Client(
            api.url(self.outputs, self.aws), access, connections=1, local=self.aws.local, in_flight=self.aws.in_flight
        )
        return client.post("events", PROBE, trace_header=trace_header(trace_id()))


def reopened(aws: Aws, outputs: Mapping[str, str], settings: Settings) -> Iterator[Warn]:
    """Open an intake that a killed drain has left closed; CloudFormation does not know of it."""
    try:
        stage = intake.read(aws, outputs[Output.API_ID], outputs[Output.API_STAGE])
        if stage is None or not (stage.closed or stage.mark):
            return
        default = Throttle(intake.ALL, float(settings.throttle_rate), settings.throttle_burst)
        place = (outputs[Output.API_ID], outputs[Output.API_STAGE])
        _changed(aws, lambda: intake.open_again(aws, *place, stage, default))
    except AwsError as error:
        if error.code == "access-denied":  # a deploy works without this permission, by the CDK's roles
            return
        raise
    if stage.closed:
        why = closed_by(stage.mark) if stage.mark else "refused every request: its throttle was 0"
        yield Warn(f"The API's intake {why}; it is open again.")


def noticed(aws: Aws, outputs: Mapping[str, str]) -> str:
    """A sentence about a closed intake; empty where it is open. Raises AwsError."""
    stage = intake.read(aws, outputs[Output.API_ID], outputs[Output.API_STAGE])
    if stage is None or not stage.closed:
        return ""
    why = closed_by(stage.mark) if stage.mark else "refuses every request: its throttle is 0"
    return f"the API's intake {why}; `rtp deploy` opens it"


def closed_by(mark: Mark) -> str:
    """Who closed it and when, to follow `the intake`."""
    who = f"{mark.user}@{mark.host} (process {mark.pid})"
    return f"was closed by `rtp destroy --drain` of {who} at {times.stamp(mark.since)}"


def _changed(aws: Aws, change: Callable[[], None]) -> None:
    """Change the stage, again while API Gateway refuses because of a concurrent change. Raises WaitTimeoutError."""
    when_free(change, "The API's stage", 0.1 if aws.local else 2.0, timeout_s=_STAGE_TIMEOUT_S)


def _verdict(ask: Callable[[], Answer]) -> str:
    """`refused`, `taken`, or the reason why neither is certain."""
    try:
        answer = ask()
    except (EndpointError, NotFoundError) as error:
        return error.message.rstrip(".")
    except RtpError as error:
        if error.code == "access-denied":  # to the key's value
            return error.message.rstrip(".")
        raise
    if answer.status == 429:
        over_quota = (answer.retry_after or 0) > _QUOTA_PAUSE_S
        return "the daily quota of the stack's own key is used up" if over_quota else "refused"
    if answer.status in (403, 404) or answer.status >= 500:
        return f"it answered HTTP {answer.status}: {answer.message}"
    return "taken"
