"""Emptying buckets before CloudFormation deletes them: it always answers, and deletes only on Delete."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import emptier

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bucket:
    """An S3 client with one versioned bucket."""

    class exceptions:
        NoSuchBucket = type("NoSuchBucket", (Exception,), {})

    def __init__(self, count: int, *, gone: bool = False, refuses: bool = False) -> None:
        self.left = [{"Key": f"k{n}", "VersionId": f"v{n}"} for n in range(count)]
        self.gone, self.refuses = gone, refuses
        self.calls = 0

    def get_paginator(self, _name: str) -> Bucket:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        if self.gone:
            raise self.exceptions.NoSuchBucket
        pages = [self.left[n : n + emptier.PAGE] for n in range(0, len(self.left), emptier.PAGE)] or [[]]
        for page in pages:
            half = len(page) // 2
            yield {"Versions": page[:half], "DeleteMarkers": page[half:]}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        assert Bucket == "b"
        if self.refuses:
            return {"Errors": [{"Code": "AccessDenied", "Message": "no"}]}
        self.left = [one for one in self.left if one not in Delete["Objects"]]
        return {}


def test_every_version_and_marker_goes() -> None:
    s3 = Bucket(2500)
    assert emptier.empty(s3, "b", lambda: 900_000) == 2500
    assert (s3.left, s3.calls) == ([], 3)


def test_a_bucket_that_is_gone_is_empty() -> None:
    assert emptier.empty(Bucket(0, gone=True), "b", lambda: 900_000) == 0


def test_a_refusal_is_told() -> None:
    with pytest.raises(RuntimeError, match="AccessDenied"):
        emptier.empty(Bucket(1, refuses=True), "b", lambda: 900_000)


def test_it_stops_in_time_to_answer() -> None:
    with pytest.raises(TimeoutError, match="too much"):
        emptier.empty(Bucket(1), "b", lambda: emptier.MARGIN_MS - 1)


@pytest.fixture
def answers() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What CloudFormation's address gets."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_but_a_delete_touches_anything(kind: str, answers: tuple[str, list[dict[str, Any]]]) -> None:
    url, got = answers
    event = {"RequestType": kind, "ResponseURL": url, "StackId": "s", "RequestId": "r", "LogicalResourceId": "l"}
    emptier.handler(event, None)
    assert [(a["Status"], a["PhysicalResourceId"]) for a in got] == [("SUCCESS", "l")]


def test_a_failure_is_an_answer_too(answers: tuple[str, list[dict[str, Any]]]) -> None:
    # Given: a delete that cannot work, for it names no buckets.
    url, got = answers
    event = {
        "RequestType": "Delete",
        "ResponseURL": url,
        "StackId": "s",
        "RequestId": "r",
        "LogicalResourceId": "l",
        "PhysicalResourceId": "p",
        "ResourceProperties": {},
    }

    # When
    emptier.handler(event, None)

    # Then: CloudFormation need not wait for an hour.
    assert [(a["Status"], a["PhysicalResourceId"]) for a in got] == [("FAILED", "p")]
    assert "Buckets" in got[0]["Reason"]
