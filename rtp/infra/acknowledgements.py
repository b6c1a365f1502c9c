"""What the security scanners find and rtp means: each with its reason, on the construct that it is about.

cdk-nag reads them while the app is built, checkov from the template's metadata. tests/infra pins the list: whatever is
added here is seen in review.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Acknowledgment, CfnResource, Stack, Validations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from constructs import IConstruct

    from rtp.infra.plan import Plan


@dataclass(frozen=True, slots=True)
class Accepted:
    """One rule on one construct. path is below the stack; `{Construct/Path}` in a nag rule is that one's logical id."""

    path: str
    rule: str
    reason: str


_ARCHIVE = "Functions read and write under the two prefixes of the bucket alone; keys below them are made per event."
_NO_RESOURCES = "X-Ray has no resource-level permissions."
_MACHINES = "Clients are machines with an API key and a usage plan; there are no end users to authorise."
_NEVER_ASYNC = "A dead-letter queue of the function is for asynchronous calls, and this one"

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
        yield Accepted(method, "AwsSolutions-APIG4", _MACHINES)
        yield Accepted(method, "AwsSolutions-COG4", _MACHINES)
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
        f"{_NEVER_ASYNC} has an on-failure destination, which tells more, to the same queue.",
    )
    yield Accepted(
        "Processing/Worker",
        "Serverless-LambdaDLQ",
        f"{_NEVER_ASYNC} is called by the queue's poller alone: the queue has the dead-letter queue.",
    )
    yield Accepted(
        "Processing/QueueToWorker",
        "Serverless-LambdaEventSourceMappingDestination",
        "Lambda has no such destination for SQS: the queue's redrive policy is that.",
    )
    if plan.settings.alarm_emails:
        yield Accepted(
            "Monitoring/Topic",
            "Serverless-SNSRedrivePolicy",
            "SNS retries e-mail by itself; a mail that cannot be delivered is worth nothing in a queue.",
        )
    if plan.emptied:
        for bucket in ("Bucket", "AccessLogs"):
            yield Accepted(
                "Cleanup/EmptierRole",
                f"AwsSolutions-IAM5[Resource::<{{Storage/{bucket}}}.Arn>/*]",
                "It empties the whole bucket before the bucket is deleted, and unprotected environments alone have it.",
            )
        yield from _traced("Cleanup/EmptierRole")
        yield Accepted(
            "Cleanup/Emptier",
            "Serverless-LambdaDLQ",
            f"{_NEVER_ASYNC} answers CloudFormation by itself, success or failure.",
        )
    if plan.shifted:
        yield Accepted(
            "Rollout/Role", "AwsSolutions-IAM5[Resource::*]", "DescribeAlarms has no resource-level permissions."
        )
        for function in _FUNCTIONS:
            yield Accepted(
                "Rollout/Role",
                f"AwsSolutions-IAM5[Resource::<{{{function}}}.Arn>:*]",
                "Aliases and versions of this function, whose numbers are not known before they are published.",
            )


def checkov(plan: Plan) -> Iterator[Accepted]:
    """Findings of checkov."""
    functions = [*_FUNCTIONS, *(["Cleanup/Emptier"] if plan.emptied else [])]
    for function in functions:
        yield Accepted(function, "CKV_AWS_116", "Its failures go to the pipeline's own dead-letter queue, see cdk-nag.")
        yield Accepted(function, "CKV_AWS_117", "It talks to AWS alone, over TLS; a VPC would add a NAT and a failure.")
        if function != "Processing/Processor" or plan.reserved_concurrency is None:
            yield Accepted(
                function,
                "CKV_AWS_115",
                "Reserved concurrency fails in accounts with the limit of new ones, and on a worker costs attempts; "
                "the event source's maximum holds the worker.",
            )
    yield Accepted("Storage/AccessLogs", "CKV_AWS_18", "It is the bucket of the access logs.")
    yield Accepted("Ingest/Api/DeploymentStage.prod", "CKV_AWS_120", "Its methods are POST: there is nothing to cache.")


def acknowledge(stack: Stack, plan: Plan) -> None:
    """Attach all of them."""
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
    found: IConstruct = stack
    for name in path.split("/"):
        found = found.node.find_child(name)
    return found


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
