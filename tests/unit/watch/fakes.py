"""A CloudWatch Logs of plain lists, with a clock that only moves when somebody sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

from rtp.contract import Output
from rtp.errors import AwsError
from rtp.local.log_patterns import compile_pattern

OUTPUTS = {Output.PROCESSOR.value: "shop-dev-processor", Output.WORKER.value: "shop-dev-worker"}
PROCESSOR, WORKER = "/aws/lambda/shop-dev-processor", "/aws/lambda/shop-dev-worker"
START = 1_800_000_000_000


@dataclass
class Time:
    """Epoch ms; `skew` is how far this machine's clock is ahead of the service's."""

    ms: int = START
    skew: int = 0
    slept: list[float] = field(default_factory=list)

    def now(self) -> int:
        """What the machine under test believes."""
        return self.ms + self.skew

    def sleep(self, seconds: float) -> None:
        """Time goes by."""
        self.slept.append(seconds)
        self.ms += round(seconds * 1000)


@dataclass(frozen=True)
class Stored:
    """A line in the service: stamped `at`, to be found from `visible` on."""

    at: int
    message: str
    visible: int
    event_id: str | None
    stream: str


class FakeLogs:
    """FilterLogEvents, as AWS answers it: sorted by time, in pages with tokens, empty pages in between."""

    local = False

    def __init__(
        self, clock: Time, *, page: int = 3, tokens: bool = True, with_ids: bool = True, dated: bool = True
    ) -> None:
        self.clock = clock
        self.page = page
        self.tokens = tokens
        self.with_ids = with_ids
        self.dated = dated
        self.groups: dict[str, list[Stored]] = {PROCESSOR: [], WORKER: []}
        self.calls: list[dict[str, Any]] = []
        self.failures: list[AwsError] = []  # raised by the calls that come, one each
        self._count = 0

    def connect(self, *_services: str) -> None:
        """As Aws.connect."""

    def client(self, _service: str) -> Any:
        """As Aws.client; nobody asks the fake to parse."""
        return SimpleNamespace(meta=SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None)))

    def put(self, group: str, at: int, message: str, *, late: int = 0, stream: str = "s") -> None:
        """Keep a line stamped START + at, which is found `late` ms after that."""
        self._count += 1
        event_id = f"{self._count:056d}" if self.with_ids else None
        self.groups[group].append(Stored(START + at, message, START + at + late, event_id, stream))

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """As Aws.call."""
        assert (service, operation) == ("logs", "filter_log_events")
        self.calls.append(dict(params))
        if self.failures:
            raise self.failures.pop(0)
        if params["logGroupName"] not in self.groups:
            raise AwsError("The specified log group does not exist.", service_code="ResourceNotFoundException")
        found = self._found(params)
        size = min(self.page, params["limit"])
        skip = int(params.get("nextToken", "0"))
        answer: dict[str, Any] = {"events": [self._event(s) for s in found[skip : skip + size]]}
        if self.tokens and skip + size < len(found):
            answer["nextToken"] = str(skip + size)
        if self.dated:
            answer["ResponseMetadata"] = {"HTTPHeaders": {"date": formatdate(self.clock.ms / 1000, usegmt=True)}}
        return answer

    def _found(self, params: dict[str, Any]) -> list[Stored]:
        matches = compile_pattern(str(params.get("filterPattern", "")))
        return sorted(
            (
                s
                for s in self.groups[params["logGroupName"]]
                if s.visible <= self.clock.ms
                and params["startTime"] <= s.at <= params.get("endTime", s.at)
                and s.stream in params.get("logStreamNames", [s.stream])
                and matches(s.message)
            ),
            key=lambda s: s.at,
        )

    def _event(self, stored: Stored) -> dict[str, Any]:
        ids = {"eventId": stored.event_id} if stored.event_id else {}
        return {"timestamp": stored.at, "message": stored.message, "logStreamName": stored.stream, **ids}


def throttled() -> AwsError:
    """What Aws.call raises once its own retries are used up."""
    return AwsError("logs filter_log_events was throttled by AWS, repeatedly.", code="throttled")
