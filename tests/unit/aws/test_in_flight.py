"""What is said of requests without an answer: after three seconds, with a limit, and after an interrupt."""

from __future__ import annotations

import io
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws
from rtp.aws.in_flight import InFlight
from rtp.commands.session import Session
from rtp.config import Environment, Overrides
from rtp.errors import EndpointError
from rtp.ops.work.waiting import Slow
from rtp.terminal.output import Output
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_call_is_unanswered_until_its_connection_ends(silent: socket.socket) -> None:
    # Given a call of a service that does not answer
    url = f"http://127.0.0.1:{silent.getsockname()[1]}"
    aws = Aws(region="eu-west-1", endpoint_url=url, local=True)
    errors: list[Exception] = []

    def call() -> None:
        try:
            aws.call("dynamodb", "put_item", TableName="t", Item={"id": {"S": "e"}})
        except EndpointError as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    connection, _ = silent.accept()
    connection.recv(1)
    # Then it is known what is waited for, where, for how long at the most, and that it may change something
    (request,) = aws.in_flight.requests()
    assert (request.what, request.where, request.limit_s, request.is_read) == ("dynamodb PutItem", url, 120, False)
    # And when it is given up, nothing is waited for any more
    silent.close()
    connection.close()
    thread.join(180)
    assert len(errors) == 1 and aws.in_flight.requests() == []


def test_the_oldest_request_is_named_after_three_seconds_and_again_after_thirty() -> None:
    clock, said = FakeClock(), list[str]()
    flight = InFlight(clock.clock.monotonic)
    slow = Slow(said.append, clock.clock.monotonic)
    number = flight.begin("sqs SendMessage", "AWS sqs in eu-west-1", limit_s=120, is_read=False)
    for seconds in (2, 1, 1, 10, 16, 10):  # in sum 2, 3, 4, 14, 30 and 40
        clock.sleep(seconds)
        slow.look(flight.requests())
    assert [text.partition("; ")[0] for text in said] == [
        "waiting for AWS sqs in eu-west-1: no answer to sqs SendMessage for 3 s",
        "waiting for AWS sqs in eu-west-1: no answer to sqs SendMessage for 30 s",
    ]
    assert "gives up after 120 s" in said[0] and "Ctrl-C" in said[0]
    # When it is answered, and another one takes as long / Then that is named too
    flight.end(number)
    flight.begin("lambda Invoke", "AWS lambda in eu-west-1", limit_s=120, is_read=False)
    slow.look(flight.requests())
    clock.sleep(3)
    slow.look(flight.requests())
    assert len(said) == 3 and "lambda Invoke" in said[2]


def test_long_polls_are_no_wait() -> None:
    flight = InFlight()
    hooks: dict[str, Any] = {}
    session = type("Events", (), {"register": lambda _, name, hook: hooks.update({name: hook})})()
    flight.attach(session, lambda service: service, limit_s=1)
    model: Any = type("Model", (), {"name": "ReceiveMessage"})
    model.service_model = type("Service", (), {"service_name": "sqs"})
    hooks["before-call"](model=model, context={})
    assert flight.requests() == []


@pytest.mark.parametrize(
    ("operation", "is_read", "text"),
    [
        ("dynamodb PutItem", False, "no answer yet to dynamodb PutItem: it may have been carried out\n"),
        ("s3 Get", True, ""),
    ],
)
def test_an_interrupt_names_the_changes_that_may_have_been_made(
    tmp_path: Path, operation: str, is_read: bool, text: str
) -> None:
    stderr = io.StringIO()
    session = Session(Overrides(), Output(stderr=stderr))
    assert session.unanswered() == []  # before there is a connection
    flight = InFlight()
    flight.begin(operation, "AWS", limit_s=1, is_read=is_read)
    state = {
        "aws": type("Connected", (), {"in_flight": flight}),
        "environment": Environment(name="local", root=tmp_path),
    }
    session.__dict__.update(state)
    session.say_unanswered()
    assert stderr.getvalue() == text


@pytest.mark.parametrize(("name", "expected"), [("dev", "text\n"), ("local", "")])
def test_the_local_engine_is_named_only_where_a_person_looks_on(tmp_path: Path, name: str, expected: str) -> None:
    stderr = io.StringIO()
    session = Session(Overrides(), Output(stderr=stderr))
    session.__dict__["environment"] = Environment(name=name, root=tmp_path)
    session.say_waiting("text")
    assert stderr.getvalue() == expected
