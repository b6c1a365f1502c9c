"""Findings of the security scanners that rtp accepts: each with its reason, on the construct that it concerns.

cdk-nag reads them while the app is built, checkov from the template's metadata. A test in tests/infra pins the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Acknowledgment, CfnResource, Stack, Validations

from rtp.config import secret_sources
from rtp.contract import IAM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs import IConstruct

    from rtp.infra.plan import Plan


@dataclass(frozen=True, slots=True)
class Accepted:
    """One rule on one construct. path: below the stack. `{Construct/Path}` in a nag rule stands for its logical id."""

    path: str
    rule: str
    reason: str


_ARCHIVE = "Functions read and write under two prefixes of the bucket only; each event has its own keys below them."
_NO_RESOURCES = "X-Ray has no resource-level permissions."
_MACHINES = (
    "Clients are machines with an API key and a usage plan, or an IAM role; there are no end users to authorise."
)
_NO_LOGS = "`api_logs = false`: the operator's account has no role with which API Gateway writes logs."
_NEVER_ASYNC = "A dead-letter queue of a function is for asynchronous calls, and this function"

_FUNCTIONS = ("Processing/Processor", "Processing/Worker")
_METHODS = ("Ingest/Api/Default/process/POST", "Ingest/Api/Default/events/POST")


def nag(plan: Plan) -> Iterator[Accepted]:
    """Findings of cdk-nag's AwsSolutions and Serverless packs."""
    for function in _FUNCTIONS:
        for prefix in ("raw", "processed"):
            rule = f"AwsSolutions-IAM5[Resource::<{{Storage/Bucket}}.Arn>/{prefix}/*]"
            yield Accepted(f"{function}Role", rule, _ARCHIVE)
        yield from _traced(f"{function}Role")
    for method in _METHODS:
        if plan.settings.auth != IAM:
            yield Accepted(method, "AwsSolutions-APIG4", _MACHINES)
        yield Accepted(method, "AwsSolutions-COG4", _MACHINES)
    if not plan.web_acl:
        yield Accepted(
            "Ingest/Api",
            "AwsSolutions-APIG3",
            "A web ACL costs more than the pipeline at rest; requests need a key, fit a model and are throttled.",
        )
    yield Accepted(
        "Storage/DeadLetterQueue",
        "Serverless-SQSRedrivePolicy",
        "It is the dead-letter queue itself; its redrive allow policy names the one queue that may use it.",
    )
    yield Accepted(
        "Processing/Processor",
        "Serverless-LambdaDLQ",
        f"{_NEVER_ASYNC} has an on-failure destination, which sends more details to the same queue.",
    )
    yield Accepted(
        "Processing/Worker",
        "Serverless-LambdaDLQ",
        f"{_NEVER_ASYNC} is called by the queue's poller only: the dead-letter queue belongs to the queue.",
    )
    yield Accepted(
        "Processing/QueueToWorker",
        "Serverless-LambdaEventSourceMappingDestination",
        "Lambda has no such destination for SQS: the queue's redrive policy takes its place.",
    )
    if plan.settings.secrets and plan.settings.secrets_key and secret_sources.alias_of(plan.settings.secrets_key):
        readers = _FUNCTIONS if plan.settings.function_secrets else ()
        for function in (*readers, *(["Notifier/Function"] if plan.settings.alarm_webhook else ())):
            arn = secret_sources.key_arn(plan.settings.secrets_key, plan.region, plan.account)
            rule = f"AwsSolutions-IAM5[Resource::{arn}]"
            yield Accepted(f"{function}Role", rule, "A condition limits it to the key with the alias of `secrets_key`.")
    if not plan.settings.api_logs:
        for rule in ("AwsSolutions-APIG1", "AwsSolutions-APIG6", "Serverless-APIGWAccessLogging"):
            yield Accepted("Ingest/Api", rule, _NO_LOGS)
    if plan.settings.alarm_emails:
        yield Accepted(
            "Monitoring/Topic",
            "Serverless-SNSRedrivePolicy",
            "SNS retries e-mail by itself; a queue of undeliverable mails would have no use.",
        )
    if plan.emptied:
        for bucket in ("Bucket", "AccessLogs"):
            yield Accepted(
                "Cleanup/EmptierRole",
                f"AwsSolutions-IAM5[Resource::<{{Storage/{bucket}}}.Arn>/*]",
                "It empties the whole bucket before the bucket is deleted, and only unprotected environments have it.",
            )
        yield from _traced("Cleanup/EmptierRole")
        yield Accepted(
            "Cleanup/Emptier",
            "Serverless-LambdaDLQ",
            f"{_NEVER_ASYNC} reports success and failure to CloudFormation by itself.",
        )
    if plan.notified:
        yield from _traced("Notifier/FunctionRole")
        yield Accepted(
            "Notifier/Function",
            "Serverless-LambdaDLQ",
            f"{_NEVER_ASYNC} is called by the stream's poller only; the DLQ's alarm reports what it cannot send.",
        )
        yield Accepted(
            "Notifier/StreamToNotifier",
            "Serverless-LambdaEventSourceMappingDestination",
            "A message about failures of an hour ago has no use; the notifier's alarm and the records stay.",
        )
    if plan.shifted:
        yield Accepted(
            "Rollout/Role", "AwsSolutions-IAM5[Resource::*]", "DescribeAlarms has no resource-level permissions."
        )
        for function in _FUNCTIONS:
            yield Accepted(
                "Rollout/Role",
                f"AwsSolutions-IAM5[Resource::<{{{function}}}.Arn>:*]",
                "Aliases and versions of this function; version numbers are not known before they are published.",
            )


def checkov(plan: Plan) -> Iterator[Accepted]:
    """Findings of checkov."""
    functions = [
        *_FUNCTIONS,
        *(["Cleanup/Emptier"] if plan.emptied else []),
        *(["Notifier/Function"] if plan.notified else []),
    ]
    for function in functions:
        yield Accepted(function, "CKV_AWS_116", "Its failures go to the pipeline's own dead-letter queue, see cdk-nag.")
        if plan.vpc is None or function not in _FUNCTIONS:
            yield Accepted(
                function,
                "CKV_AWS_117",
                "It calls AWS, the notifier a webhook, over TLS; a VPC would add a NAT gateway and a point of failure.",
            )
        if function != "Processing/Processor" or plan.reserved_concurrency is None:
            yield Accepted(
                function,
                "CKV_AWS_115",
                "Reserved concurrency fails in accounts with the limit of new ones, and costs a worker attempts; "
                "the event source's maximum concurrency limits the worker.",
            )
    if plan.vpc is not None:
        for function in _FUNCTIONS:
            yield Accepted(
                f"{function}Role",
                "CKV_AWS_111",
                "Lambda requires the network permissions on every resource; the function's own code is denied them.",
            )
    yield Accepted("Storage/AccessLogs", "CKV_AWS_18", "It is the bucket of the access logs.")
    yield Accepted("Ingest/Api/DeploymentStage.prod", "CKV_AWS_120", "Its methods are POST: there is nothing to cache.")
    if not plan.settings.api_logs:
        yield Accepted("Ingest/Api/DeploymentStage.prod", "CKV_AWS_76", _NO_LOGS)


def acknowledge(stack: Stack, plan: Plan) -> None:
    """Attach all accepted findings to their constructs."""
    for accepted in nag(plan):
        Validations.of(_find(stack, accepted.path)).acknowledge(
            Acknowledgment(id=_resolved(stack, accepted.rule), reason=accepted.reason)
        )
    skips: dict[str, list[dict[str, str]]] = {}
    for accepted in checkov(plan):
        skips.setdefault(accepted.path, []).append({"id": accepted.rule, "comment": accepted.reason})
    for path, skip in skips.items():
        _resource(_find(stack, path)).add_metadata("checkov", {"skip": skip})


def _find(stack: Stack, path: str) -> IConstruct:
    construct: IConstruct = stack
    for name in path.split("/"):
        construct = construct.node.find_child(name)
    return construct


def _resource(construct: IConstruct) -> CfnResource:
    resource = construct.node.default_child
    assert isinstance(resource, CfnResource)  # noqa: S101 (for the type checker; paths are pinned by a test)
    return resource


def _resolved(stack: Stack, rule: str) -> str:
    before, brace, rest = rule.partition("{")
    if not brace:
        return rule
    path, _, after = rest.partition("}")
    return f"{before}{stack.get_logical_id(_resource(_find(stack, path)))}{after}"


def _traced(role: str) -> Iterator[Accepted]:
    yield Accepted(role, "AwsSolutions-IAM5[Resource::*]", _NO_RESOURCES)
    yield Accepted(role, "Serverless-LambdaStarPermissions", _NO_RESOURCES)
