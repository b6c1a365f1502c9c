"""What records traces can be exchanged: another backend than the X-Ray SDK gets all that an event's trace has."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT, MESSAGE = "1-00000001-000000000000000000000001", "1-00000002-000000000000000000000002"
INVOCATION = f"Root={ROOT};Parent=00000000000000aa;Sampled=1;Lineage=1:a:0"
HEADER = f"Root={MESSAGE};Parent=00000000000000bb;Sampled=1"


class Spans:
    """A recorder in OpenTelemetry's terms: spans with names, attributes and events; trace ids of 32 digits."""

    def __init__(self, part: tracing.Part) -> None:
        self.id = "00000000000000cc"
        self.part = part
        self.attributes: dict[str, str] = {}
        self.spans: list[tuple[str, Any]] = []
        self.ended: tuple[BaseException | None, bool] | None = None

    @property
    def trace_ids(self) -> list[str]:
        headers = [self.part.message] * self.part.in_message + [self.part.invocation] * self.part.in_invocation
        return [header["Root"][2:].replace("-", "") for header in headers]

    def annotate(self, name: str, value: str) -> None:
        self.attributes[name] = value

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            self.spans.append((name, str(error)))
            raise
        self.spans.append((name, None))

    def call(
        self,
        service: str,
        operation: str,
        started: float,
        ended: float,
        error: BaseException | None,
        aws: dict[str, object],
    ) -> None:
        self.spans.append((f"{service}.{operation}", (ended - started, error, aws)))

    def end(self, error: BaseException | None, *, rejected: bool) -> None:
        self.ended = (error, rejected)


class Otlp:
    """A backend."""

    def __init__(self) -> None:
        self.recorders: list[Spans] = []

    def enabled(self) -> bool:
        return True

    def prepare(self) -> None:
        """Nothing to import."""

    def begin(self, part: tracing.Part) -> Spans:
        self.recorders.append(Spans(part))
        return self.recorders[-1]


@pytest.fixture
def otlp(monkeypatch: pytest.MonkeyPatch) -> Otlp:
    monkeypatch.setenv(tracing.INVOCATION, INVOCATION)
    return Otlp()


def test_another_backend_gets_the_whole_of_an_event_s_trace(otlp: Otlp) -> None:
    trace = tracing.begin(HEADER, name="worker", event_id="e1", event_type="t", by=otlp)
    with trace.span("processor t"):
        trace.call("dynamodb", "UpdateItem", 1.0, 3.0, table="x")
    with pytest.raises(ValueError, match="no"), trace.span("other"):
        raise ValueError("no")
    trace.end(rejected=True)
    trace.end()

    (recorder,) = otlp.recorders
    assert recorder.attributes == {"event_id": "e1", "event_type": "t"}
    assert recorder.spans == [
        ("dynamodb.UpdateItem", (2.0, None, {"table": "x"})),
        ("processor t", None),
        ("other", "no"),
    ]
    assert recorder.ended == (None, True)
    assert recorder.trace_ids == ["00000002" + "0" * 23 + "2", "00000001" + "0" * 23 + "1"]
    # And what the event causes continues its trace under the backend's span
    assert trace.header == f"Root={MESSAGE};Parent=00000000000000cc;Sampled=1;Lineage=1:a:0"
    assert (trace.id, trace.invocation_id) == (MESSAGE, ROOT)


def test_a_backend_is_not_asked_for_what_is_not_sampled(otlp: Otlp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.INVOCATION, INVOCATION.replace("Sampled=1", "Sampled=0"))
    trace = tracing.begin(HEADER.replace("Sampled=1", "Sampled=0"), name="worker", by=otlp)
    with trace.span("x"):
        trace.call("s3", "PutObject", 0, 1)
    trace.end()
    assert otlp.recorders == []


def test_the_interface_needs_no_sdk() -> None:
    script = "import sys; from rtp.runtime import tracing, xray; print('aws_xray_sdk' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
