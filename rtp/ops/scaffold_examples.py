"""The examples of `rtp init --example`: processors with typed data, events to send, and tests that pass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Name(StrEnum):
    """The examples."""

    ORDERS = "orders"
    IOT = "iot"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Example:
    """One example. payloads: text of each event by name; the first one is processed. test: text of the tests."""

    processors: str
    payloads: dict[str, str]
    test: str

    @property
    def payload(self) -> str:
        """Name of the event to send first."""
        return next(iter(self.payloads))


_ORDERS = Example(
    processors='''\
"""What happens to each type of event. An event whose type has no processor is stored unchanged."""

from dataclasses import dataclass
from decimal import Decimal

from rtp.runtime import Event, Reject, processor


@dataclass
class Order:
    """The data of `order.created`. Other data is refused with 400 and the path of what is wrong."""

    total: Decimal
    order: str = ""


@processor("order.created", data=Order)
def price(event: Event[Order]) -> dict[str, int]:
    """The return value is stored as the result in the event's record.

    Reject is final: the event goes to the dead-letter queue with this reason.
    After any other exception the event is retried, with growing pauses, before it goes there.
    """
    total = event.data.total
    if total < 0:
        raise Reject("negative total")
    return {"total_cents": round(total * 100)}
''',
    payloads={
        "order": '{\n  "type": "order.created",\n  "data": {"order": "A-1001", "total": 12.50}\n}\n',
        "rejected": '{\n  "type": "order.created",\n  "data": {"order": "A-1002", "total": -1}\n}\n',
    },
    test='''\
"""Processors are plain functions. rtp.runtime.testing runs them as the worker does, without AWS."""

import pytest

from processors import price
from rtp.runtime import Reject
from rtp.runtime.testing import event, run


def test_a_total_becomes_cents() -> None:
    assert price(event("order.created", {"order": "A-1", "total": 12.50})) == {"total_cents": 1250}


def test_a_negative_total_is_rejected() -> None:
    with pytest.raises(Reject, match="negative total"):
        price(event("order.created", {"total": -1}))


def test_an_order_without_a_total_is_refused() -> None:
    result = run("order.created", {"order": "A-1"})
    assert result.outcome == "invalid"
    assert [problem.path for problem in result.problems] == ["$.data"]
''',
)

_IOT = Example(
    processors='''\
"""Readings of sensors: each is checked, and a hot one raises an alert, which is an event of its own."""

from dataclasses import dataclass
from decimal import Decimal

from rtp.runtime import Event, Reject, processor

HOT_CELSIUS = 80
LOWEST_CELSIUS = -273


@dataclass
class Reading:
    """The data of both events. Other data is refused with 400 and the path of what is wrong."""

    device: str
    celsius: Decimal


@processor("reading.received", data=Reading)
def check(event: Event[Reading]) -> dict[str, bool]:
    """Emitted events are sent once this one is stored, and a second attempt emits the same ones again, not more."""
    reading = event.data
    if reading.celsius < LOWEST_CELSIUS:
        raise Reject("below absolute zero")
    is_hot = reading.celsius > HOT_CELSIUS
    if is_hot:
        event.emit("alert.raised", {"device": reading.device, "celsius": reading.celsius})
    return {"is_hot": is_hot}


@processor("alert.raised", data=Reading)
def alert(event: Event[Reading]) -> dict[str, str]:
    """Here the device's owner would be notified; an exception is retried, with growing pauses."""
    return {"text": f"{event.data.device} has {event.data.celsius:.1f} degrees Celsius"}
''',
    payloads={
        "reading": '{\n  "type": "reading.received",\n  "data": {"device": "pump-7", "celsius": 21.5}\n}\n',
        "hot": '{\n  "type": "reading.received",\n  "data": {"device": "pump-7", "celsius": 93}\n}\n',
        "rejected": '{\n  "type": "reading.received",\n  "data": {"device": "pump-7", "celsius": -300}\n}\n',
    },
    test='''\
"""Processors are plain functions. rtp.runtime.testing runs them as the worker does, without AWS."""

import pytest

from processors import alert, check
from rtp.runtime import Reject
from rtp.runtime.testing import event, run


def test_a_normal_reading_raises_no_alert() -> None:
    result = run("reading.received", {"device": "pump-7", "celsius": 21.5})
    assert result.result == {"is_hot": False}
    assert result.emitted == ()


def test_a_hot_reading_raises_an_alert() -> None:
    result = run("reading.received", {"device": "pump-7", "celsius": 93})
    assert [emitted.type for emitted in result.emitted] == ["alert.raised"]
    assert alert(event("alert.raised", result.emitted[0].data)) == {"text": "pump-7 has 93.0 degrees Celsius"}


def test_a_reading_that_cannot_be_is_rejected() -> None:
    with pytest.raises(Reject, match="absolute zero"):
        check(event("reading.received", {"device": "pump-7", "celsius": -300}))
''',
)

_WEBHOOKS = Example(
    processors='''\
"""Webhooks of a payment provider: each is checked and forwarded to bookkeeping, which gets every payment once."""

import json
import os
import urllib.request
from dataclasses import dataclass

from rtp.runtime import Event, Reject, processor


@dataclass
class Invoice:
    """The data of `invoice.paid`. Other data is refused with 400 and the path of what is wrong."""

    invoice: str
    amount_cents: int


@processor("invoice.paid", data=Invoice)
def forward(event: Event[Invoice]) -> dict[str, object]:
    """Forward the payment to BOOKKEEPING_URL, which `environment` of rtp.toml sets.

    When bookkeeping does not answer, the exception is retried with growing pauses. The event's id stays the same in
    each attempt, so that bookkeeping can recognise a payment that it has already.
    """
    if event.data.amount_cents <= 0:
        raise Reject("the amount is not positive")
    url = os.environ.get("BOOKKEEPING_URL")
    if url is None:
        return {"forwarded": False}
    body = {"invoice": event.data.invoice, "amount_cents": event.data.amount_cents}
    headers = {"Content-Type": "application/json", "Idempotency-Key": event.id}
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return {"forwarded": True, "status": response.status}
''',
    payloads={
        "invoice": '{\n  "type": "invoice.paid",\n  "data": {"invoice": "I-2001", "amount_cents": 1250}\n}\n',
        "rejected": '{\n  "type": "invoice.paid",\n  "data": {"invoice": "I-2002", "amount_cents": 0}\n}\n',
    },
    test='''\
"""Processors are plain functions. rtp.runtime.testing runs them as the worker does, without AWS."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from processors import forward
from rtp.runtime import Reject
from rtp.runtime.testing import event, given, run

PAYMENT = {"invoice": "I-2001", "amount_cents": 1250}


class Bookkeeping(BaseHTTPRequestHandler):
    """A stand-in for the service on this machine."""

    received: list[tuple[str | None, dict[str, object]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.append((self.headers["Idempotency-Key"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Bookkeeping)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/payments"
    server.shutdown()
    server.server_close()


def test_a_payment_is_forwarded_with_its_id(url: str) -> None:
    with given(variables={"BOOKKEEPING_URL": url}):
        result = run("invoice.paid", PAYMENT, id="e1")
    assert result.result == {"forwarded": True, "status": 200}
    assert Bookkeeping.received == [("e1", PAYMENT)]


def test_without_bookkeeping_the_event_is_retried() -> None:
    with given(variables={"BOOKKEEPING_URL": "http://127.0.0.1:9/"}):
        assert run("invoice.paid", PAYMENT).outcome == "failed"


def test_a_payment_of_nothing_is_rejected() -> None:
    with pytest.raises(Reject, match="not positive"):
        forward(event("invoice.paid", {"invoice": "I-2002", "amount_cents": 0}))
''',
)

EXAMPLES = {Name.ORDERS: _ORDERS, Name.IOT: _IOT, Name.WEBHOOKS: _WEBHOOKS}
