"""The emptier empties buckets only while the whole stack is deleted, and responds to every request."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import emptier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answers = tuple[str, list[dict[str, Any]]]

STACK_ID = "arn:aws:cloudformation:us-east-1:111122223333:stack/shop-dev/5b0a"
TAG = "rtp:empty-on-delete"
MARK = {"Key": TAG, "Value": STACK_ID}

# Every documented status of a stack, and whether a stack has it only while all of it is deleted.
STATUSES = {
    "CREATE_COMPLETE": False,
    "CREATE_FAILED": False,
    "CREATE_IN_PROGRESS": False,
    "DELETE_COMPLETE": False,
    "DELETE_FAILED": False,
    "DELETE_IN_PROGRESS": True,
    "IMPORT_COMPLETE": False,
    "IMPORT_IN_PROGRESS": False,
    "IMPORT_ROLLBACK_COMPLETE": False,
    "IMPORT_ROLLBACK_FAILED": False,
    "IMPORT_ROLLBACK_IN_PROGRESS": False,
    "REVIEW_IN_PROGRESS": False,
    "ROLLBACK_COMPLETE": False,
    "ROLLBACK_FAILED": False,
    "ROLLBACK_IN_PROGRESS": True,
    "UPDATE_COMPLETE": False,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": False,
    "UPDATE_FAILED": False,
    "UPDATE_IN_PROGRESS": False,
    "UPDATE_ROLLBACK_COMPLETE": False,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": False,
    "UPDATE_ROLLBACK_FAILED": False,
    "UPDATE_ROLLBACK_IN_PROGRESS": False,
}


def refused(code: str, operation: str = "DescribeStacks") -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code, "Message": code}}, operation)


def unreachable(kind: str) -> Exception:
    import botocore.exceptions

    error: Exception = getattr(botocore.exceptions, kind)(endpoint_url="https://cloudformation")
    return error


class Bucket:
    """An S3 client with one versioned bucket. tags: the bucket's tags, or the error of reading them."""

    class exceptions:
        NoSuchBucket = type("NoSuchBucket", (Exception,), {})

    def __init__(self, count: int, *, is_missing: bool = False, refuses: bool = False, tags: Any = (MARK,)) -> None:
        self.objects = [{"Key": f"k{n}", "VersionId": f"v{n}"} for n in range(count)]
        self.is_missing, self.refuses, self.tags = is_missing, refuses, tags
        self.calls = 0

    def get_bucket_tagging(self, Bucket: str) -> dict[str, Any]:
        assert Bucket == "b"
        if isinstance(self.tags, Exception):
            raise self.tags
        return {"TagSet": list(self.tags)}

    def get_paginator(self, _name: str) -> Bucket:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        if self.is_missing:
            raise self.exceptions.NoSuchBucket
        pages = [self.objects[n : n + emptier.PAGE] for n in range(0, len(self.objects), emptier.PAGE)] or [[]]
        for page in pages:
            half = len(page) // 2
            yield {"Versions": page[:half], "DeleteMarkers": page[half:]}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        assert Bucket == "b"
        if self.refuses:
            return {"Errors": [{"Code": "AccessDenied", "Message": "no"}]}
        self.objects = [one for one in self.objects if one not in Delete["Objects"]]
        return {}


class Stack:
    """A CloudFormation client that returns one status of a stack, or raises an error. stale: statuses before that."""

    def __init__(self, status: str | Exception, *, stack_id: str = STACK_ID, stale: tuple[str, ...] = ()) -> None:
        self.status, self.stack_id, self.stale = status, stack_id, list(stale)

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        assert StackName == STACK_ID  # by id: a later stack may have the name
        if isinstance(self.status, Exception):
            raise self.status
        status = self.stale.pop(0) if self.stale else self.status
        stack = {"StackName": "shop-dev", "StackId": self.stack_id, "StackStatus": status}
        return {"Stacks": [stack] if self.status else []}


class Context:
    def __init__(self, remaining_ms: int = 900_000) -> None:
        self.get_remaining_time_in_millis = lambda: remaining_ms


@pytest.fixture
def answers() -> Iterator[Answers]:
    """Serve the response URL; yields it with the responses that it gets."""
    responses: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            responses.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with served(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, responses


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """Run a server during the block, and yield its URL."""
    thread = threading.Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def delete(
    answers: Answers, stack: Any, s3: Any, context: Context | None = None, **properties: Any
) -> tuple[str, str, str]:
    """Send a Delete, and return the response: status, reason and physical id."""
    event = {
        "RequestType": "Delete",
        "ResponseURL": answers[0],
        "StackId": STACK_ID,
        "RequestId": "r",
        "LogicalResourceId": "l",
        "PhysicalResourceId": "p",
        "ResourceProperties": {"Buckets": ["b"], "Tag": TAG, **properties},
    }
    clients = {"cloudformation": stack, "s3": s3}.__getitem__
    emptier.guarded_handler(event, context or Context(), clients, sleep=lambda _: None)
    (answer,) = answers[1]
    return answer["Status"], answer["Reason"], answer["PhysicalResourceId"]


@pytest.mark.parametrize(("status", "is_emptied"), STATUSES.items())
def test_it_empties_only_while_the_whole_stack_is_deleted(status: str, is_emptied: bool, answers: Answers) -> None:
    # Given a bucket with objects, and a stack with this status / When CloudFormation sends Delete
    s3 = Bucket(3)
    answer = delete(answers, Stack(status), s3)
    # Then the objects are deleted only if the whole stack is, and the response is SUCCESS for any status
    assert len(s3.objects) == (0 if is_emptied else 3)
    assert answer == ("SUCCESS", "done", "p")


@pytest.mark.parametrize(
    ("before", "status", "left"),
    [
        ("CREATE_COMPLETE", "DELETE_IN_PROGRESS", 0),
        ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", 0),
        ("UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", 3),
    ],
)
def test_a_status_from_before_the_operation_is_asked_for_again(
    before: str, status: str, left: int, answers: Answers
) -> None:
    s3, stack = Bucket(3), Stack(status, stale=(before, before))
    assert delete(answers, stack, s3)[0] == "SUCCESS"
    assert (len(s3.objects), stack.stale) == (left, [])


@pytest.mark.parametrize(
    "status",
    [
        "",  # no such stack
        "A_STATUS_OF_NEXT_YEAR_IN_PROGRESS",
        "delete_in_progress",
        refused("ValidationError"),  # Stack with id ... does not exist
        refused("AccessDenied"),
        refused("Throttling"),
        refused("InternalFailure"),
        unreachable("EndpointConnectionError"),
        unreachable("ConnectTimeoutError"),
        KeyError("Stacks"),
    ],
    ids=str,
)
def test_it_deletes_nothing_if_the_status_is_unknown(status: Any, answers: Answers) -> None:
    s3 = Bucket(3)
    assert delete(answers, Stack(status), s3)[0] == "SUCCESS"
    assert (len(s3.objects), s3.calls) == (3, 0)


def test_the_status_of_another_stack_with_the_name_is_ignored(answers: Answers) -> None:
    s3 = Bucket(3)
    assert delete(answers, Stack("DELETE_IN_PROGRESS", stack_id=f"{STACK_ID}-later"), s3)[0] == "SUCCESS"
    assert s3.calls == 0


def test_it_responds_if_no_client_can_be_created(answers: Answers) -> None:
    def no_client(_service: str) -> Any:
        raise RuntimeError("no credentials")

    event = {"RequestType": "Delete", "ResponseURL": answers[0], "StackId": STACK_ID, "RequestId": "r"}
    emptier.guarded_handler({**event, "LogicalResourceId": "l"}, Context(), no_client)
    assert [a["Status"] for a in answers[1]] == ["SUCCESS"]


@pytest.mark.parametrize(
    "tags",
    [
        [],
        [{"Key": TAG, "Value": "true"}],
        [{"Key": TAG, "Value": f"{STACK_ID}-earlier"}],  # retained by an earlier stack, and imported
        [{"Key": "Project", "Value": STACK_ID}],
        refused("NoSuchTagSet", "GetBucketTagging"),
        refused("NoSuchBucket", "GetBucketTagging"),
        refused("AccessDenied", "GetBucketTagging"),
        refused("SlowDown", "GetBucketTagging"),
    ],
    ids=str,
)
def test_a_bucket_without_the_tag_of_the_stack_is_not_emptied(tags: Any, answers: Answers) -> None:
    s3 = Bucket(3, tags=tags)
    assert delete(answers, Stack("DELETE_IN_PROGRESS"), s3)[0] == "SUCCESS"
    assert (len(s3.objects), s3.calls) == (3, 0)


@pytest.mark.parametrize("properties", [{"Tag": None}, {"Tag": ""}, {"Buckets": []}])
def test_without_a_tag_or_a_bucket_in_the_template_nothing_is_deleted(
    properties: dict[str, Any], answers: Answers
) -> None:
    s3 = Bucket(3)
    assert delete(answers, Stack("DELETE_IN_PROGRESS"), s3, **properties)[0] == "SUCCESS"
    assert s3.calls == 0


def test_every_version_and_delete_marker_is_deleted() -> None:
    s3 = Bucket(2500)
    assert emptier.empty(s3, "b", lambda: 900_000) == 2500
    assert (s3.objects, s3.calls) == ([], 3)


def test_a_missing_bucket_is_empty() -> None:
    assert emptier.empty(Bucket(0, is_missing=True), "b", lambda: 900_000) == 0


def test_a_refused_deletion_is_a_failure(answers: Answers) -> None:
    status, reason, _ = delete(answers, Stack("DELETE_IN_PROGRESS"), Bucket(1, refuses=True))
    assert status == "FAILED" and "AccessDenied" in reason


def test_it_stops_in_time_to_respond(answers: Answers) -> None:
    status, reason, _ = delete(answers, Stack("DELETE_IN_PROGRESS"), Bucket(1), Context(emptier.MARGIN_MS - 1))
    assert status == "FAILED" and "too many objects" in reason


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_only_a_delete_calls_aws(kind: str, answers: Answers) -> None:
    event = {"RequestType": kind, "ResponseURL": answers[0], "StackId": STACK_ID, "RequestId": "r"}
    clients: dict[str, Any] = {}
    emptier.guarded_handler({**event, "LogicalResourceId": "l"}, None, clients.__getitem__)
    assert [(a["Status"], a["PhysicalResourceId"]) for a in answers[1]] == [("SUCCESS", "l")]


_DESCRIBED = f"""<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeStacksResult><Stacks><member><StackName>shop-dev</StackName><StackId>{STACK_ID}</StackId>
<CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>DELETE_IN_PROGRESS</StackStatus></member></Stacks>
</DescribeStacksResult></DescribeStacksResponse>"""
_THROTTLED = """<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
<Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"""


@pytest.fixture
def throttling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Serve a CloudFormation that throttles the first call; yields a function that counts the calls."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            calls.append(self.path)
            status, text = (400, _THROTTLED) if len(calls) == 1 else (200, _DESCRIBED)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield lambda: len(calls)


def test_a_throttled_call_is_retried(throttling: Callable[[], int]) -> None:
    assert emptier.stack_status(emptier._client("cloudformation"), STACK_ID) == "DELETE_IN_PROGRESS"
    assert throttling() == 2
