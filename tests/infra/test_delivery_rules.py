"""No accepted event is lost: queues, event source, failures. Mutants show that each rule detects a violation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import PROCESSOR_HANDLER, WORKER_HANDLER
from rtp.runtime import settings, wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

    Rule = Callable[[Template], bool]
    Change = Callable[[Template], object]


# What the functions read and Lambda does not set itself.
VARIABLES = set(settings.VARIABLES.values()) - set(settings.LAMBDA_VARIABLES.values())


def messages_are_hidden_for_six_timeouts(t: Template) -> bool:
    """B1, A3-8: a message stays hidden for six times the worker's timeout."""
    return bool(t.queue["VisibilityTimeout"] >= 6 * t.worker["Timeout"])


def five_attempts_then_the_dlq(t: Template) -> bool:
    """B2: at least five attempts, then the dead-letter queue."""
    redrive = t.queue["RedrivePolicy"]
    dlq = t.id("SQS::Queue", QueueName=t.plan.names.dlq)
    return bool(redrive["maxReceiveCount"] >= 5 and redrive["deadLetterTargetArn"] == {"Fn::GetAtt": [dlq, "Arn"]})


def partial_batch_responses(t: Template) -> bool:
    """B3: one failed event does not repeat its whole batch."""
    return bool(_source(t)["FunctionResponseTypes"] == ["ReportBatchItemFailures"])


def concurrency_is_limited_by_the_event_source(t: Template) -> bool:
    """B5, B14: the event source limits the worker, never reserved concurrency."""
    limit = _source(t).get("ScalingConfig", {}).get("MaximumConcurrency", 0)
    return 2 <= limit <= 1000 and "ReservedConcurrentExecutions" not in t.worker


def concurrency_is_reserved_only_by_the_setting(t: Template) -> bool:
    """B14: the stack can be deployed to an account with the concurrency limit of a new one."""
    return t.processor.get("ReservedConcurrentExecutions") == t.plan.reserved_concurrency


def the_event_source_calls_the_worker(t: Template) -> bool:
    """The event source reads the queue and calls the worker, or its alias where versions are published."""
    source = _source(t)
    queue = t.id("SQS::Queue", QueueName=t.plan.names.queue)
    worker = t.id("Lambda::Function", FunctionName=t.plan.names.worker)
    called = t.id("Lambda::Alias", FunctionName={"Ref": worker}) if t.plan.published else worker
    return source["EventSourceArn"] == {"Fn::GetAtt": [queue, "Arn"]} and f'"Ref": "{called}"' in json.dumps(
        source["FunctionName"]
    )


def dlq_messages_outlive_the_queue(t: Template) -> bool:
    """B6: a message keeps its first enqueue time in the dead-letter queue."""
    return bool(t.dlq["MessageRetentionPeriod"] > t.queue["MessageRetentionPeriod"])


def the_dlq_is_for_one_queue(t: Template) -> bool:
    """B7, A3-9: no other queue may use the dead-letter queue; rtp's redrive selects asynchronous failures."""
    plan = t.plan
    source = f"arn:aws:sqs:{plan.region}:{plan.account}:{plan.names.queue}"
    return bool(t.dlq["RedriveAllowPolicy"] == {"redrivePermission": "byQueue", "sourceQueueArns": [source]})


def the_largest_body_fits_a_message(t: Template) -> bool:
    """B17: the largest allowed body fits with its attributes, and not much more."""
    return bool(wire.MAX_BODY_BYTES + 1024 <= t.queue["MaximumMessageSize"] <= wire.MAX_BODY_BYTES + 4096)


def asynchronous_failures_move_to_the_dlq(t: Template) -> bool:
    """A3-4: two retries within an hour, then the same dead-letter queue; the functions have no other."""
    dlq = t.id("SQS::Queue", QueueName=t.plan.names.dlq)
    config = t.one("Lambda::EventInvokeConfig")
    return (
        config["FunctionName"] == {"Ref": t.id("Lambda::Function", FunctionName=t.plan.names.processor)}
        and config["Qualifier"] == ("live" if t.plan.published else "$LATEST")
        and (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (2, 3600)
        and config["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": [dlq, "Arn"]}}}
        and not any("DeadLetterConfig" in function for function in t.of("Lambda::Function").values())
    )


def handlers_can_run(t: Template) -> bool:
    """A3-5: handlers that the runtime has, a layer, exactly the variables that it reads, and the API's time limit."""
    functions = (t.processor, t.worker)
    variables = (
        VARIABLES | set(t.plan.settings.environment) | ({"RTP_SECRETS"} if t.plan.settings.function_secrets else set())
    )
    return (
        [f["Handler"] for f in functions] == [PROCESSOR_HANDLER, WORKER_HANDLER]
        and all(len(f["Layers"]) == 1 + len(t.plan.layers) for f in functions)
        and all(set(f["Environment"]["Variables"]) == variables for f in functions)
        and t.processor["Timeout"] <= 29
    )


def identity_is_the_key(t: Template) -> bool:
    """A3-6, B10: the key of conditional writes is the event's identity, never the time of an attempt."""
    keys = [(key["AttributeName"], key["KeyType"]) for key in t.one("DynamoDB::Table")["KeySchema"]]
    return keys == [("id", "HASH"), ("timestamp", "RANGE")]


def index_is_sharded(t: Template) -> bool:
    """B19: the status alone would be one hot partition."""
    (index,) = t.one("DynamoDB::Table")["GlobalSecondaryIndexes"]
    return index["IndexName"] == "status-timestamp-index" and [k["AttributeName"] for k in index["KeySchema"]] == [
        "status_shard",
        "timestamp",
    ]


def lambda_ends_loops(t: Template) -> bool:
    """B28: Lambda ends a loop of messages."""
    return all(f["RecursiveLoop"] == "Terminate" for f in (t.processor, t.worker))


def _source(t: Template) -> dict[str, Any]:
    return t.one("Lambda::EventSourceMapping", BatchSize=t.plan.settings.batch_size)


MUTANTS: list[tuple[Rule, Change]] = [
    (messages_are_hidden_for_six_timeouts, lambda t: t.queue.update(VisibilityTimeout=t.worker["Timeout"])),
    (messages_are_hidden_for_six_timeouts, lambda t: t.worker.update(Timeout=t.worker["Timeout"] + 1)),
    (five_attempts_then_the_dlq, lambda t: t.queue["RedrivePolicy"].update(maxReceiveCount=2)),
    (five_attempts_then_the_dlq, lambda t: t.queue["RedrivePolicy"].update(deadLetterTargetArn="arn")),
    (partial_batch_responses, lambda t: _source(t).update(FunctionResponseTypes=[])),
    (concurrency_is_limited_by_the_event_source, lambda t: _source(t).pop("ScalingConfig")),
    (concurrency_is_limited_by_the_event_source, lambda t: t.worker.update(ReservedConcurrentExecutions=10)),
    (concurrency_is_reserved_only_by_the_setting, lambda t: t.processor.update(ReservedConcurrentExecutions=10)),
    (
        the_event_source_calls_the_worker,
        lambda t: _source(t).update(FunctionName={"Ref": t.id("SQS::Queue", QueueName=t.plan.names.dlq)}),
    ),
    (dlq_messages_outlive_the_queue, lambda t: t.dlq.update(MessageRetentionPeriod=345_600)),
    (the_dlq_is_for_one_queue, lambda t: t.dlq.pop("RedriveAllowPolicy")),
    (the_dlq_is_for_one_queue, lambda t: t.dlq["RedriveAllowPolicy"].update(redrivePermission="allowAll")),
    (the_largest_body_fits_a_message, lambda t: t.queue.update(MaximumMessageSize=wire.MAX_BODY_BYTES)),
    (the_largest_body_fits_a_message, lambda t: t.queue.update(MaximumMessageSize=1_048_576)),
    (asynchronous_failures_move_to_the_dlq, lambda t: t.one("Lambda::EventInvokeConfig").pop("DestinationConfig")),
    (asynchronous_failures_move_to_the_dlq, lambda t: t.one("Lambda::EventInvokeConfig").update(Qualifier="other")),
    (asynchronous_failures_move_to_the_dlq, lambda t: t.worker.update(DeadLetterConfig={"TargetArn": "arn"})),
    (handlers_can_run, lambda t: t.worker.update(Handler="index.handler")),
    (handlers_can_run, lambda t: t.processor.update(Layers=[])),
    (handlers_can_run, lambda t: t.worker["Environment"]["Variables"].pop("RTP_TABLE")),
    (handlers_can_run, lambda t: t.processor["Environment"]["Variables"].update(SECRET="x")),
    (handlers_can_run, lambda t: t.processor.update(Timeout=30)),
    (identity_is_the_key, lambda t: t.one("DynamoDB::Table")["KeySchema"].pop()),
    (index_is_sharded, lambda t: _index_key(t).update(AttributeName="status")),
    (lambda_ends_loops, lambda t: t.worker.update(RecursiveLoop="Allow")),
]


def _index_key(t: Template) -> dict[str, Any]:
    key: dict[str, Any] = t.one("DynamoDB::Table")["GlobalSecondaryIndexes"][0]["KeySchema"][0]
    return key


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in MUTANTS), ids=lambda rule: rule.__name__)
def test_every_template_keeps(rule: Rule, template: Template) -> None:
    assert rule(template)


@pytest.mark.parametrize(("rule", "change"), MUTANTS, ids=[rule.__name__ for rule, _ in MUTANTS])
@pytest.mark.parametrize("env", ["dev", "prod"])
def test_a_mutant_is_caught_by(
    rule: Rule, env: str, change: Change, caught: Callable[[Rule, str, Change], bool]
) -> None:
    assert caught(rule, env, change)
