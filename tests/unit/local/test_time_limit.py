"""Every request gets an answer in time, whatever serves it."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rtp.local.regexes import TooSlowError
from rtp.local.stuck import AbandonedError
from rtp.local.time_limit import TimeLimit, invokes

if TYPE_CHECKING:
    from rtp.local.asgi import App, Receive, Scope, Send

SHORT, NEVER = 0.05, 3600.0


def scope(path: str = "/", **headers: str) -> Scope:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": named}


def serve(app: App, request: Scope, *, limit: float = SHORT, invocation: float = NEVER) -> list[dict[str, Any]]:
    """What the client of one request is sent."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await TimeLimit(app, limit_s=limit, invocation_limit_s=invocation)(request, receive, send)

    asyncio.run(run())
    return sent


async def answer(send: Send, text: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


async def waits_forever(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.Event().wait()


def test_a_request_that_waits_for_ever_is_answered_and_cancelled() -> None:
    ended: list[str] = []

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    start, body = serve(app, scope(x_amz_target="AmazonSQS.SendMessage"))
    assert start["status"] == 503
    assert (b"x-amzn-errortype", b"ServiceUnavailable") in start["headers"]
    assert json.loads(body["body"])["__type"] == "ServiceUnavailable"
    assert ended == ["ended"]


def test_the_error_has_the_shape_of_the_protocol() -> None:
    _, body = serve(waits_forever, scope("/bucket/key"))
    assert body["body"].startswith(b"<ErrorResponse><Error><Code>ServiceUnavailable</Code>")
    for request in (scope("/2015-03-31/functions"), scope("/", content_type="application/x-amz-json-1.0")):
        assert json.loads(serve(waits_forever, request)[1]["body"])["__type"] == "ServiceUnavailable"


def test_the_response_does_not_wait_for_a_thread() -> None:
    # Given a request that waits for a thread, and still waits when it is cancelled
    sent_before_the_end: list[int] = []
    sent: list[Any] = []
    release = threading.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, release.wait, 60)
        while not future.done():
            try:
                await asyncio.shield(future)
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                sent_before_the_end.append(len(sent))
                release.set()
        await answer(send)  # too late, and not sent

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {}

    asyncio.run(TimeLimit(app, limit_s=SHORT)(scope(), receive, send))
    assert sent_before_the_end == [2]
    assert [m.get("status") for m in sent] == [503, None]


def test_invocations_have_their_own_limit() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(4 * SHORT)
        await answer(send)

    assert serve(app, scope("/2015-03-31/functions/f/invocations"))[0]["status"] == 200
    assert serve(app, scope("/2015-03-31/functions/f"))[0]["status"] == 503
    assert serve(waits_forever, scope("/_aws/execute-api/a/prod/x"), limit=NEVER, invocation=SHORT)[0]["status"] == 503


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (scope("/2015-03-31/functions/f/invocations"), True),
        (scope("/2021-11-15/functions/f/response-streaming-invocations"), True),
        (scope("/_aws/execute-api/a/prod/x"), True),
        (scope("/restapis/a/prod/_user_request_/x"), True),
        (scope("/x", host="a.execute-api.localhost:4566"), True),
        (scope("/x", host="a.lambda-url.us-east-1.localhost:4566"), True),
        (scope("/", x_amz_target="AWSStepFunctions.StartSyncExecution"), True),
        (scope("/", x_amz_target="AWSStepFunctions.StartExecution"), False),
        (scope("/2015-03-31/functions"), False),
        (scope("/bucket/invocations"), False),
    ],
)
def test_requests_that_wait_for_a_function_are_recognised(request_: Scope, expected: bool) -> None:
    assert invokes(request_) is expected


def test_a_response_that_has_begun_has_no_limit() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(4 * SHORT)
        await send({"type": "http.response.body", "body": b"late"})

    assert [m.get("body") for m in serve(app, scope())] == [None, b"late"]


def test_each_part_of_a_request_restarts_the_limit() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(8):
            await asyncio.sleep(SHORT / 2)
            await receive()
        await answer(send)

    assert serve(app, scope(), limit=4 * SHORT)[0]["status"] == 200


@pytest.mark.parametrize("error", [TooSlowError("slow"), AbandonedError("held")])
def test_an_interrupted_request_is_answered(error: BaseException) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    start, body = serve(app, scope())
    assert start["status"] == 503
    assert str(error).encode() in body["body"]


def test_a_cancellation_by_the_server_stays_one() -> None:
    async def run() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {}

        task = asyncio.create_task(TimeLimit(waits_forever, limit_s=NEVER)(scope(), receive, send))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return sent

    assert asyncio.run(run()) == []
