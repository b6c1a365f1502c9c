"""`rtp send` when the API throttles, refuses or is missing: nothing is reported as accepted that is not."""

from __future__ import annotations

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Output
from rtp.errors import MissingError
from tests.local import deployments
from tests.local.events.conftest import post, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Project
    from tests.local.events.conftest import Pipeline


GOOD = '{"type": "note", "data": {}}'


@pytest.fixture
def plan(pipeline: Pipeline) -> Iterator[Any]:
    """Set values of the API key's usage plan; they are restored at the end."""
    plan_id = pipeline.outputs[Output.USAGE_PLAN_ID]
    before = pipeline.aws.call("apigateway", "get_usage_plan", usagePlanId=plan_id)

    def change(**values: object) -> None:
        operations = [
            {"op": "replace", "path": f"/{path.replace('_', '/')}", "value": str(v)} for path, v in values.items()
        ]
        pipeline.aws.call("apigateway", "update_usage_plan", usagePlanId=plan_id, patchOperations=operations)

    yield change
    change(
        throttle_rateLimit=before["throttle"]["rateLimit"],
        throttle_burstLimit=before["throttle"]["burstLimit"],
        quota_limit=before["quota"]["limit"],
    )


def test_a_throttled_load_is_accepted_in_the_end(pipeline: Pipeline, plan: Any) -> None:
    # Given a plan that lets 5 a second in, and five at once
    plan(throttle_rateLimit=5, throttle_burstLimit=5)
    # When far more is sent at once
    done = pipeline.project.rtp("send", "-", "--count", "30", "--json", stdin=GOOD).json
    # Then all of it was taken, in the time that the plan allows
    assert (done["by_status"], done["failed"]) == ({"processed": 30}, [])
    assert done["elapsed_s"] > 2
    with ThreadPoolExecutor(15) as pool:  # it did throttle, also where one after the other would be slow enough
        assert 429 in pool.map(lambda _: post(pipeline, "process", GOOD.encode())[0], range(30))


def test_a_used_up_quota_ends_the_run_at_once(pipeline: Pipeline, plan: Any) -> None:
    plan(quota_limit=1)

    done = pipeline.project.rtp("send", "-", "--count", "50", "--concurrency", "2", "--json", stdin=GOOD, ok=False)

    assert done.code == 1
    assert done.json["unsent"] > 40
    assert done.json["failed"][0]["http_status"] == 429


def test_without_its_queue_the_api_accepts_nothing(pipeline: Pipeline) -> None:
    # Given an API whose queue is gone
    aws, url = pipeline.aws, pipeline.outputs[Output.QUEUE_URL]
    about = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    kept = ("RedrivePolicy", "VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize")
    try:
        with contextlib.suppress(MissingError):  # under weather a call is repeated whose answer was lost
            aws.call("sqs", "delete_queue", QueueUrl=url)
        # When events are sent through it
        answers = {post(pipeline, "events", GOOD.encode())[0] for _ in range(50)}
        by_api = pipeline.project.rtp("send", "-", "--via", "events", "--timeout", "2", "--json", stdin=GOOD, ok=False)
        by_sqs = pipeline.project.rtp("send", "-", "--via", "sqs", "--json", stdin=GOOD, ok=False)
    finally:
        attributes = {name: about[name] for name in kept if name in about}
        aws.call("sqs", "create_queue", QueueName=url.rsplit("/", 1)[-1], Attributes=attributes)
    # Then each is refused; the requests that are repeated under weather are throttled too
    assert answers in ({503}, {429, 503})
    assert (by_api.code, by_api.json["status"], by_api.json["http_status"]) == (1, "failed", 503)
    assert (by_sqs.code, by_sqs.json["error"]["type"]) == (1, "AWS.SimpleQueueService.NonExistentQueue")
    # and what comes afterwards goes through
    assert pipeline.project.rtp("send", "-", "--via", "events", "--wait", "--json", stdin=GOOD).json["record"]


@pytest.mark.long
def test_an_engine_that_dies_under_a_load_is_reported_with_what_was_sent(project: Project) -> None:
    # Given a pipeline of this test alone, and a load on its way
    deployments.deploy(project)
    engine = project.engine
    run = project.start("send", "--type", "note", "-d", "{}", "--count", "2000", "--rate", "100", "--json")
    # More records than events are on their way at once, so that some have their answers
    listing = ("records", "--limit", "40", "--json")
    wait_for(lambda: len(project.rtp(*listing).json["records"]) == 40 or run.poll() is not None)
    # When the engine is killed
    os.kill(engine.pid, signal.SIGKILL)
    stdout, stderr = run.communicate(timeout=180)
    # Then the summary has all that was sent, and the next command says what happened
    assert run.returncode == 1, stderr
    assert "Traceback" not in stderr
    assert '"processed": ' in stdout
    assert "Nothing answered at" in stdout
    after = project.rtp("records", "--json", ok=False)
    assert (after.code, after.json["error"]["code"]) == (4, "engine-killed")
