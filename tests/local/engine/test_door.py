"""The door: programs with the key get in, web pages do not, and admin paths need the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.local import engine as engines
from rtp.local.door import TOKEN_HEADER

if TYPE_CHECKING:
    from tests.local.engine.conftest import Lab

LIST_BUCKETS = ("GET", "/")
RESET = ("POST", "/_ministack/reset")


def own(lab: Lab, name: str = "127.0.0.1") -> str:
    return f"{name}:{lab.engine.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "bucket.s3.localhost"])
def test_the_engine_s_own_host_names_are_admitted(lab: Lab, host: str) -> None:
    assert lab.request(*LIST_BUCKETS, headers={"Host": own(lab, host), **lab.signature("s3")})[0] != 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""]
)
def test_a_rebound_name_is_refused(lab: Lab, host: str) -> None:
    headers = {"Host": host.format(port=lab.engine.port), **lab.signature("s3")}
    status, _, body = lab.request(*LIST_BUCKETS, headers=headers)
    assert (status, body) == (403, b'{"message": "This Host is not the engine\'s."}')


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_web_page_is_refused(lab: Lab, method: str, headers: dict[str, str]) -> None:
    status, answered, body = lab.request(method, "/", headers={"Host": own(lab), **headers, **lab.signature("s3")})
    assert status == 403
    assert b"web pages" in body
    assert "access-control-allow-origin" not in {name.lower() for name in answered}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        RESET,
        ("GET", "/_ministack/sqs/messages?QueueUrl=x"),
        ("POST", "/_ministack/config"),
        ("GET", "/_localstack/info"),
        ("GET", "/%5fministack/sqs/messages"),
        ("DELETE", "/_ministack/lambda-code/x"),
    ],
)
def test_admin_paths_need_the_token(lab: Lab, method: str, path: str) -> None:
    for headers in ({}, {TOKEN_HEADER: "wrong"}, {TOKEN_HEADER: ""}, lab.signature("s3")):
        status, _, body = lab.request(method, path, headers={"Host": own(lab), **headers})
        assert status == 403
        assert lab.engine.token.encode() not in body


def test_the_token_opens_them(lab: Lab) -> None:
    url, _ = lab.queue()
    lab.call("sqs", "send_message", QueueUrl=url, MessageBody="seen without being received")
    path = f"/_ministack/sqs/messages?QueueUrl={url}"
    status, _, body = lab.request("GET", path, headers={TOKEN_HEADER: lab.engine.token})
    assert status == 200
    assert b"seen without being received" in body


def test_health_is_open(lab: Lab) -> None:
    assert lab.request("GET", engines.HEALTH_PATH)[0] == 200


def test_only_loopback_is_bound(lab: Lab) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))  # any other address of this machine, so that the test needs no network
        probe.settimeout(2)
        with pytest.raises(OSError, match="refused"):
            probe.connect(("127.0.0.3", lab.engine.port))
