"""Requests to an API that wants signatures: what is signed, and with whose credentials."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from rtp.aws import Aws, api
from rtp.aws.signing import Signature
from rtp.contract import Output
from rtp.errors import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message


@pytest.fixture
def server() -> Iterator[tuple[str, list[Message]]]:
    """A server that keeps the headers of every request."""
    received: list[Message] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.headers)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/", received
    running.shutdown()
    running.server_close()


def test_a_signed_request_has_a_signature_and_no_key(server: tuple[str, list[Message]]) -> None:
    url, received = server
    aws = Aws(region="eu-west-1", local=True, keys=("AKIAEXAMPLE", "secret"))
    access = api.access(aws, {Output.API_AUTH: "iam"})
    answer = api.Client(url, access, connections=1, local=True).post("process", b'{"a": 1}', trace_header="Root=1-2-3")
    assert answer.status == 200
    (headers,) = received
    assert "x-api-key" not in headers
    authorization = headers["Authorization"]
    assert "Credential=AKIAEXAMPLE/" in authorization
    assert "/eu-west-1/execute-api/aws4_request" in authorization
    assert headers["X-Amz-Date"]
    # The trace header changes on the way, so it must not be signed.
    assert "x-amzn-trace-id" not in authorization.partition("SignedHeaders=")[2].partition(",")[0]
    assert headers["X-Amzn-Trace-Id"] == "Root=1-2-3"


def test_the_body_is_part_of_the_signature() -> None:
    signature = Signature(Aws(region="us-east-1", local=True, keys=("AKIA", "secret")))
    first, second = (signature.headers("https://a/prod/process", body, {})["Authorization"] for body in (b"1", b"2"))
    assert first.rpartition("=")[2] != second.rpartition("=")[2]


def test_no_credentials_are_an_error_with_a_fix(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    signature = Signature(Aws(region="us-east-1"))
    with pytest.raises(CredentialsError):
        signature.headers("https://a/prod/process", b"", {})


def test_an_api_of_an_earlier_version_wants_its_key() -> None:
    class Fake(Aws):
        def call(self, *_: str, **__: object) -> dict[str, str]:
            return {"value": "v"}

    access = api.access(Fake(region="us-east-1", local=True), {Output.API_KEY_ID: "k"})
    assert access.headers("https://a", b"", {"a": "b"}) == {"a": "b", "x-api-key": "v"}
    assert "v" not in repr(access).replace("is_new", "").replace("value", "")
