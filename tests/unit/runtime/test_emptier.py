"""Emptying buckets before CloudFormation deletes them: only while the whole stack goes, and it always answers."""

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

# Every status that CloudFormation documents for a stack, and whether it has it only while all of the stack is deleted.
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

    made: Exception = getattr(botocore.exceptions, kind)(endpoint_url="https://cloudformation")
    return made


class Bucket:
    """An S3 client with one versioned bucket. tags: its own, or what is raised when they are asked for."""

    class exceptions:
        NoSuchBucket = type("NoSuchBucket", (Exception,), {})

    def __init__(self, count: int, *, gone: bool = False, refuses: bool = False, tags: Any = (MARK,)) -> None:
        self.left = [{"Key": f"k{n}", "VersionId": f"v{n}"} for n in range(count)]
        self.gone, self.refuses, self.tags = gone, refuses, tags
        self.calls = 0

    def get_bucket_tagging(self, Bucket: str) -> dict[str, Any]:
        assert Bucket == "b"
        if isinstance(self.tags, Exception):
            raise self.tags
        return {"TagSet": list(self.tags)}

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


class Stack:
    """A CloudFormation client that says one thing of a stack, or raises it."""

    def __init__(self, said: str | Exception, *, stack_id: str = STACK_ID) -> None:
        self.said, self.stack_id = said, stack_id

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        assert StackName == STACK_ID  # by id: a name may be a later stack's
        if isinstance(self.said, Exception):
            raise self.said
        found = {"StackName": "shop-dev", "StackId": self.stack_id, "StackStatus": self.said}
        return {"Stacks": [found] if self.said else []}


class Context:
    def __init__(self, remaining_ms: int = 900_000) -> None:
        self.get_remaining_time_in_millis = lambda: remaining_ms


@pytest.fixture
def answers() -> Iterator[Answers]:
    """What CloudFormation's address gets."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with served(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, got


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    """The URL of a server that answers for as long as the block lasts."""
    thread = threading.Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def delete(
    answers: Answers, stack: Any, s3: Any, context: Context | None = None, **properties: Any
) -> tuple[str, str, str]:
    """What CloudFormation is answered to a Delete: status, reason and physical id."""
    event = {
        "RequestType": "Delete",
        "ResponseURL": answers[0],
        "StackId": STACK_ID,
        "RequestId": "r",
        "LogicalResourceId": "l",
        "PhysicalResourceId": "p",
        "ResourceProperties": {"Buckets": ["b"], "Tag": TAG, **properties},
    }
    emptier.guarded_handler(event, context or Context(), {"cloudformation": stack, "s3": s3}.__getitem__)
    (answer,) = answers[1]
    return answer["Status"], answer["Reason"], answer["PhysicalResourceId"]


@pytest.mark.parametrize(("status", "goes"), STATUSES.items())
def test_it_empties_only_while_the_whole_stack_is_deleted(status: str, goes: bool, answers: Answers) -> None:
    # Given a bucket with objects in it, and CloudFormation in this state / When it sends Delete
    s3 = Bucket(3)
    answer = delete(answers, Stack(status), s3)
    # Then objects go in the two states of a stack that goes as a whole, and in any state CloudFormation can go on
    assert len(s3.left) == (0 if goes else 3)
    assert answer == ("SUCCESS", "done", "p")


@pytest.mark.parametrize(
    "said",
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
def test_what_it_cannot_find_out_it_does_not_act_on(said: Any, answers: Answers) -> None:
    s3 = Bucket(3)
    assert delete(answers, Stack(said), s3)[0] == "SUCCESS"
    assert (len(s3.left), s3.calls) == (3, 0)


def test_another_stack_of_the_name_says_nothing_of_this_one(answers: Answers) -> None:
    s3 = Bucket(3)
    assert delete(answers, Stack("DELETE_IN_PROGRESS", stack_id=f"{STACK_ID}-later"), s3)[0] == "SUCCESS"
    assert s3.calls == 0


def test_a_client_that_cannot_be_made_is_an_answer_too(answers: Answers) -> None:
    def interruption(_service: str) -> Any:
        raise RuntimeError("no credentials")

    event = {"RequestType": "Delete", "ResponseURL": answers[0], "StackId": STACK_ID, "RequestId": "r"}
    emptier.guarded_handler({**event, "LogicalResourceId": "l"}, Context(), interruption)
    assert [a["Status"] for a in answers[1]] == ["SUCCESS"]


@pytest.mark.parametrize(
    "tags",
    [
        [],
        [{"Key": TAG, "Value": "true"}],
        [{"Key": TAG, "Value": f"{STACK_ID}-earlier"}],  # kept by an earlier stack, and imported
        [{"Key": "Project", "Value": STACK_ID}],
        refused("NoSuchTagSet", "GetBucketTagging"),
        refused("NoSuchBucket", "GetBucketTagging"),
        refused("AccessDenied", "GetBucketTagging"),
        refused("SlowDown", "GetBucketTagging"),
    ],
    ids=str,
)
def test_a_bucket_without_the_tag_of_the_stack_is_left_alone(tags: Any, answers: Answers) -> None:
    s3 = Bucket(3, tags=tags)
    assert delete(answers, Stack("DELETE_IN_PROGRESS"), s3)[0] == "SUCCESS"
    assert (len(s3.left), s3.calls) == (3, 0)


@pytest.mark.parametrize("properties", [{"Tag": None}, {"Tag": ""}, {"Buckets": []}])
def test_without_a_tag_or_a_bucket_in_the_template_nothing_is_deleted(
    properties: dict[str, Any], answers: Answers
) -> None:
    s3 = Bucket(3)
    assert delete(answers, Stack("DELETE_IN_PROGRESS"), s3, **properties)[0] == "SUCCESS"
    assert s3.calls == 0


def test_every_version_and_marker_goes() -> None:
    s3 = Bucket(2500)
    assert emptier.empty(s3, "b", lambda: 900_000) == 2500
    assert (s3.left, s3.calls) == ([], 3)


def test_a_bucket_that_is_gone_is_empty() -> None:
    assert emptier.empty(Bucket(0, gone=True), "b", lambda: 900_000) == 0


def test_a_refusal_while_the_stack_goes_is_a_failure(answers: Answers) -> None:
    status, reason, _ = delete(answers, Stack("DELETE_IN_PROGRESS"), Bucket(1, refuses=True))
    assert status == "FAILED" and "AccessDenied" in reason


def test_it_stops_in_time_to_answer(answers: Answers) -> None:
    status, reason, _ = delete(answers, Stack("DELETE_IN_PROGRESS"), Bucket(1), Context(emptier.MARGIN_MS - 1))
    assert status == "FAILED" and "too many objects" in reason


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_nothing_but_a_delete_touches_anything(kind: str, answers: Answers) -> None:
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
    """A CloudFormation that throttles the first call; how often it was called."""
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


def test_a_throttled_question_is_asked_again(throttling: Callable[[], int]) -> None:
    assert emptier.stack_status(emptier._client("cloudformation"), STACK_ID) == "DELETE_IN_PROGRESS"
    assert throttling() == 2
