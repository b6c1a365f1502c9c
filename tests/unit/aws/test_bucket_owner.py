"""A stranger has taken the name of a bucket that was deleted: rtp gives it nothing, and believes nothing of it."""

from __future__ import annotations

import http.server
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws, buckets, lookups, objects
from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT, STRANGER = "111122223333", "444455556666"
_IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    f"<Arn>arn:aws:iam::{ACCOUNT}:user/ann</Arn><UserId>A</UserId><Account>{ACCOUNT}</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
_REFUSED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_TAKEN: dict[str, str] = {"GET": "<ListBucketResult/>", "POST": "<DeleteResult/>", "PUT": "", "HEAD": ""}


@pytest.fixture
def strangers() -> Iterator[tuple[Aws, list[str]]]:
    """AWS where every bucket is the stranger's and open to all; and the requests that the stranger took."""
    taken: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if b"GetCallerIdentity" in body:
                self._answer(200, _IDENTITY)
            elif self.headers.get("x-amz-expected-bucket-owner", STRANGER) != STRANGER:
                self._answer(403, _REFUSED)
            else:
                taken.append(f"{self.command} {self.path}")
                self._answer(200, _TAKEN[self.command])

        do_GET = do_HEAD = do_POST = do_PUT = _serve

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Aws(region="us-east-1", endpoint_url=f"http://127.0.0.1:{server.server_port}", local=True), taken
    server.shutdown()
    server.server_close()


def put(aws: Aws, folder: Path) -> None:
    (folder / "code.zip").write_bytes(b"code")
    buckets.put(aws, "b", "k", folder / "code.zip")


CALLS: dict[str, Callable[[Aws, Path], Any]] = {
    "the code of functions": put,
    "a template": lambda aws, _: buckets.publish(aws, b"{}", ".json"),
    "whether code is there": lambda aws, _: buckets.exists(aws, "b", "k"),
    "versions": lambda aws, _: list(buckets.versions(aws, "b")),
    "deletion of versions": lambda aws, _: buckets.delete(aws, "b", [{"Key": "k", "VersionId": "1"}], lambda _: None),
    "a count": lambda aws, _: buckets.count(aws, "b"),
    "a policy": lambda aws, _: buckets.has_policy(aws, "b"),
    "an archived event": lambda aws, _: objects.get(aws, "b", "k"),
    "archived keys": lambda aws, _: list(objects.keys(aws, "b", "raw/")),
    "what a drill wrote": lambda aws, _: objects.written(aws, "b", "raw/", since=datetime.now(UTC)),
    "deletion of objects": lambda aws, _: objects.delete(aws, "b", ["k"]),
    "whether a bucket is there": lambda aws, _: lookups.by("s3", "head_bucket", "Bucket")(aws, "b"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_bucket_of_another_account_is_refused(
    call: Callable[[Aws, Path], Any], strangers: tuple[Aws, list[str]], tmp_path: Path
) -> None:
    aws, taken = strangers
    with pytest.raises(AwsError):
        call(aws, tmp_path)
    assert taken == []
