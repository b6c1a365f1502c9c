"""Secrets of processors: fetched once, renewed, and hidden in what is stored, logged and traced."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import Event, Reject, SecretError, errors, logs, masking, secret, testing, xray
from rtp.runtime import secrets as runtime_secrets
from rtp.runtime.masking import masked
from rtp.runtime.secrets import Secrets
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import message, world

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUE = "hunter2-canary"
SOURCES = {"TOKEN": "ssm:/shop/dev/TOKEN"}


@pytest.fixture(autouse=True)
def nothing_hidden() -> Iterator[None]:
    yield
    masking.forget()


class Store:
    """Values that can change, and failures."""

    def __init__(self) -> None:
        self.value = VALUE
        self.failure: Exception | None = None
        self.reads = 0
        self.now = 1000.0
        self.secrets = Secrets(SOURCES, self.read, clock=lambda: self.now)

    def read(self, source: str) -> str:
        assert source == "ssm:/shop/dev/TOKEN"
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return self.value

    @property
    def token(self) -> str:
        return self.secrets.get("TOKEN")


def test_a_value_is_fetched_at_first_use_and_kept_for_minutes() -> None:
    store = Store()
    assert store.reads == 0
    assert [store.token for _ in range(5)] == [VALUE] * 5
    store.now += 200
    assert (store.token, store.reads) == (VALUE, 1)
    store.value = "rotated"
    store.now += 200
    assert (store.token, store.reads) == ("rotated", 2)


def test_a_failed_attempt_has_a_rotated_value_fetched_but_a_poisoned_event_does_not_hammer_the_service() -> None:
    store = Store()
    assert store.token == VALUE
    store.value = "rotated"
    store.now += 5
    store.secrets.attempt_failed()
    assert store.token == VALUE  # fetched a moment ago
    store.now += 6
    store.secrets.attempt_failed()
    assert (store.token, store.reads) == ("rotated", 2)
    for _ in range(100):
        store.secrets.attempt_failed()
        assert store.token == "rotated"
    assert store.reads == 2


def test_an_old_value_survives_a_throttle_and_is_renewed_after_it() -> None:
    store = Store()
    assert store.token == VALUE
    store.now += 1000
    store.failure = fakes.error("ThrottlingException")
    assert [store.token for _ in range(3)] == [VALUE] * 3
    assert store.reads == 2  # and the service is left alone for a while
    store.failure, store.value = None, "rotated"
    store.now += 31
    assert store.token == "rotated"


@pytest.mark.parametrize("code", ["ParameterNotFound", "AccessDeniedException", "ResourceNotFoundException"])
def test_a_value_that_was_withdrawn_is_not_used_on(code: str) -> None:
    store = Store()
    assert store.token == VALUE
    store.now += 1000
    store.failure = fakes.error(code)
    with pytest.raises(SecretError, match="TOKEN"):
        _ = store.token


def test_a_missing_value_is_named_with_the_command_that_sets_it_and_found_once_it_is_set() -> None:
    store = Store()
    store.failure = fakes.error("ParameterNotFound")
    with pytest.raises(SecretError, match=r"secret TOKEN is not set .*: set it with `rtp secrets set`"):
        _ = store.token
    store.failure = None
    assert store.token == VALUE


def test_an_undeclared_name_is_an_error_with_the_setting() -> None:
    with pytest.raises(SecretError, match=r"'OTHER' is not declared: add it to `secrets` in rtp\.toml"):
        Store().secrets.get("OTHER")


def test_many_threads_fetch_once() -> None:
    store = Store()
    reading, release = threading.Event(), threading.Event()

    def slow(_: str) -> str:
        store.reads += 1
        reading.set()
        assert release.wait(30)
        return VALUE

    together = Secrets(SOURCES, slow)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(together.get, "TOKEN") for _ in range(8)]
        assert reading.wait(30)
        release.set()
        assert {future.result(30) for future in futures} == {VALUE}
    assert store.reads == 1


class Client:
    """Of SSM and Secrets Manager."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked: list[dict[str, Any]] = []

    def get_parameter(self, **given: Any) -> dict[str, Any]:
        self.asked.append(given)
        return {"Parameter": {"Value": self.text}}

    def get_secret_value(self, **given: Any) -> dict[str, Any]:
        self.asked.append(given)
        return {"SecretString": self.text} if self.text is not None else {"SecretBinary": b"x"}


ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf"


@pytest.mark.parametrize(
    ("source", "text", "service", "region", "asked", "value"),
    [
        ("ssm:/a/b", "v", "ssm", "", {"Name": "/a/b", "WithDecryption": True}, "v"),
        ("secretsmanager:db", '{"p": 1}', "secretsmanager", "", {"SecretId": "db"}, '{"p": 1}'),
        ("secretsmanager:db#p", '{"p": "v"}', "secretsmanager", "", {"SecretId": "db"}, "v"),
        ("secretsmanager:db#port", '{"port": 5432}', "secretsmanager", "", {"SecretId": "db"}, "5432"),
        (f"secretsmanager:{ARN}#p", '{"p": "v"}', "secretsmanager", "eu-west-1", {"SecretId": ARN}, "v"),
    ],
)
def test_each_form_of_source_is_read(
    source: str, text: str, service: str, region: str, asked: dict[str, Any], value: str
) -> None:
    client, places = Client(text), []

    def client_of(*place: str) -> Client:
        places.append(place)
        return client

    assert runtime_secrets.fetch(source, client_of) == value
    assert (places, client.asked) == ([(service, region)], [asked])


@pytest.mark.parametrize(("text", "why"), [(None, "binary"), ("plain", "no member 'p'"), ('{"q": 1}', "no member 'p'")])
def test_what_is_not_the_value_is_an_error_that_does_not_show_it(text: str | None, why: str) -> None:
    with pytest.raises(SecretError, match=why) as caught:
        runtime_secrets.fetch("secretsmanager:db#p", lambda *_: Client(text))
    assert "plain" not in str(caught.value)


# hiding


@pytest.mark.parametrize(
    "text",
    ["plain {}", "GET https://x?token={}&y", "{}"],
)
@pytest.mark.parametrize("value", ["hunter2", "a\"b\\c'd", "sp ace/+&=é", "line one of a key\nline two of a key"])
def test_a_value_is_hidden_as_json_urls_and_repr_spell_it(text: str, value: str) -> None:
    from urllib.parse import quote, quote_plus

    masking.hide(value)
    for spelling in (value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value), quote_plus(value)):
        assert masked(text.format(spelling)) == text.format("***")


def test_the_lines_of_a_key_and_the_members_of_a_json_secret_are_hidden_alone() -> None:
    masking.hide('{"user": "admin-user", "password": "p4ssw0rd", "port": 5432}')
    assert masked("login of admin-user with p4ssw0rd at 5432") == "login of *** with *** at 5432"
    masking.hide("-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----\n")
    assert masked("bad key: MIIEvQIBADANBgkq") == "bad key: ***"


def test_a_value_across_the_cut_of_a_long_message_is_hidden() -> None:
    masking.hide(VALUE)
    described = errors.describe(RuntimeError("x" * (errors.MAX_MESSAGE - 5) + VALUE))
    assert "hunter2"[:4] not in described.message


def test_the_record_and_the_log_of_a_failed_attempt_do_not_show_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    # Given processors that put a secret into an exception, a rejection and a log line
    here = world()
    logs.set_level("INFO")

    def fail(_: Event) -> None:
        raise RuntimeError(f"401 for {secret('TOKEN')}")

    def refuse(_: Event) -> None:
        raise Reject(f"refused with {secret('TOKEN')}")

    here.processor("fail", fail)
    here.processor("refuse", refuse)
    # When events meet them
    with testing.given(secrets={"TOKEN": VALUE}):
        here.deliver(message(fakes.event("e1", "fail")), message(fakes.event("e2", "refuse")))
    # Then neither record, message nor log line has it
    assert here.dynamo.record("e1")["error"]["message"] == "401 for ***"
    assert here.dynamo.record("e2")["error"]["message"] == "refused with ***"
    assert VALUE not in str(here.dynamo.items) + str(here.sqs.calls) + capsys.readouterr().out


def test_a_trace_does_not_show_the_value() -> None:
    from aws_xray_sdk.core.models.segment import Segment
    from aws_xray_sdk.core.models.subsegment import Subsegment

    masking.hide(VALUE)
    segment = Segment("s")
    inner = Subsegment("call", "remote", segment)
    segment.add_subsegment(inner)
    inner.add_exception(RuntimeError(f"inner {VALUE}"), [])
    segment.add_exception(ValueError(f"outer {VALUE}"), [])
    xray._mask(segment)
    assert VALUE not in segment.serialize()
    assert "inner ***" in segment.serialize() and "outer ***" in segment.serialize()


def test_what_is_printed_does_not_show_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    masking.hide(VALUE)
    out, err = sys.stdout, sys.stderr
    try:
        masking.guard_streams()
        masking.guard_streams()
        sys.stdout.write(f"token {VALUE}\n")
        sys.stderr.writelines(["also ", VALUE])
        logs.emit({"type": VALUE})  # identifiers of metrics stay
    finally:
        sys.stdout, sys.stderr = out, err
    captured = capsys.readouterr()
    assert captured.out == f'token ***\n{{"type":"{VALUE}"}}\n'
    assert captured.err == "also ***"


def test_a_secret_that_cannot_be_read_is_an_outage_with_its_longer_pauses() -> None:
    here = world()
    here.processor("t", lambda _: secret("TOKEN"))
    here.deliver(message(fakes.event()))  # nothing was given
    assert here.delays()[0] >= 10
    assert here.dynamo.record("e1")["error"]["type"] == "SecretError"


# tests of processors


def test_tests_give_variables_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("PARTNER_URL", "before")

    @testing.given(variables={"PARTNER_URL": "https://partner.example"}, secrets={"TOKEN": "t"})
    def used() -> tuple[str, str]:
        with testing.given(variables={"MORE": "m"}, secrets={"OTHER": "o"}):
            assert (secret("OTHER"), os.environ["MORE"]) == ("o", "m")
        assert "MORE" not in os.environ
        return secret("TOKEN"), os.environ["PARTNER_URL"]

    assert used() == ("t", "https://partner.example")
    assert os.environ["PARTNER_URL"] == "before"
    with pytest.raises(SecretError, match=r"'TOKEN' has no value here: .*testing\.given\(secrets="):
        secret("TOKEN")
