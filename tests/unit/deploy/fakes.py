"""A CloudFormation of one stack, told what happens next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeVar

from rtp.aws.stacks import Resource, Stack
from rtp.aws.states import ResourceStatus, StackState
from rtp.errors import AwsError
from rtp.ops.work.steps import drained

STACK = "shop-dev"


def absent(**_: Any) -> Any:
    """A service's answer where there is no resource of a name."""
    raise AwsError("no", service_code="404")


_T = TypeVar("_T")
STACK_ID = f"arn:aws:cloudformation:us-east-1:111122223333:stack/{STACK}/1"
Answer = Callable[..., Any]
LEASE: dict[str, Answer] = {  # of a stack, which nobody else has
    "put_object": lambda **_: {"ETag": '"1"'},
    "delete_object": lambda **_: {},
}
NOTHING: dict[str, Answer] = {  # an account in which nothing exists
    **LEASE,
    "describe_stacks": lambda **_: {"Stacks": []},
    "list_stacks": lambda **_: {},
    "describe_log_groups": lambda **_: {},
    "describe_alarms": lambda **_: {},
    "describe_parameters": lambda **_: {},
    "list_object_versions": absent,
    "list_objects_v2": absent,
    "describe_table": absent,
    "head_bucket": absent,
    "describe_key": absent,
    "get_queue_url": absent,
    "get_queue_attributes": absent,
    "get_function_configuration": absent,
    "get_dashboard": absent,
    "get_topic_attributes": absent,
    "get_api_keys": lambda **_: {"items": []},
    "get_usage_plans": lambda **_: {"items": []},
    "get_resources": lambda **_: {"ResourceTagMappingList": []},
}


def tags(project: str, environment: str) -> list[dict[str, str]]:
    """Of a stack, as CloudFormation has them."""
    return [{"Key": "Project", "Value": project}, {"Key": "Environment", "Value": environment}]


def stack(
    status: str = "CREATE_COMPLETE", given: list[dict[str, str]] | None = None, *, protected: bool = False
) -> Stack:
    """The stack as it is described, with these tags."""
    by_key = {t["Key"]: t["Value"] for t in given or ()}
    return Stack(STACK_ID, STACK, StackState.of(status), tags=by_key, protected=protected)


def resource(logical_id: str, physical_id: str, resource_type: str, status: str = "CREATE_COMPLETE") -> Resource:
    """A resource of the stack."""
    return Resource(logical_id, physical_id, resource_type, ResourceStatus(status))


finished = drained


@dataclass
class FakeAws:
    """Answers calls from a table of functions, and keeps what was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    local: bool = False
    consistent: bool = False
    region: str = "us-east-1"
    account: str = "111122223333"
    endpoint_url: str | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def call(self, _service: str, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        answer = self.answers.get(operation)
        if answer is None:
            raise AssertionError(f"nobody expected {operation} {params}")
        return answer(**params)

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        yield from self.call(service, operation, **params).get(key, ())

    def connect(self, *_services: str) -> None:
        """As Aws.connect."""

    def renew(self) -> None:
        """As Aws.renew."""
        self.asked.append(("renew", {}))

    def client(self, service: str) -> Any:
        return SimpleNamespace(meta=SimpleNamespace(endpoint_url=f"https://{service}.{self.region}.amazonaws.com"))

    def operations(self) -> list[str]:
        """Names of the calls, in order."""
        return [name for name, _ in self.asked]


@dataclass
class Cloud:
    """One stack. `plan` holds what its next operations do: lists of events, the last of them the stack's own."""

    status: str = "CREATE_COMPLETE"
    plan: list[list[tuple[str, str, str]]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    resources: list[dict[str, str]] = field(default_factory=list)
    template: dict[str, Any] = field(default_factory=dict)
    protected: bool = False
    id: str = STACK_ID
    tags: list[dict[str, str]] = field(default_factory=lambda: tags("shop", "dev"))
    buckets: dict[str, int] = field(default_factory=dict)  # object versions in each, at first
    token: str = ""  # of the operation that runs
    _deleted: list[tuple[str, int]] = field(default_factory=list)

    def aws(self, **more: Answer) -> FakeAws:
        return FakeAws(
            {
                **LEASE,
                "describe_stacks": self._describe,
                "describe_stack_events": lambda **_: {"StackEvents": self.events[::-1]},
                "list_stack_resources": lambda **_: {"StackResourceSummaries": self.resources},
                "get_template": lambda **_: {"TemplateBody": self.template},
                "describe_events": lambda **_: {"OperationEvents": []},
                "rollback_stack": self._next,
                "continue_update_rollback": self._next,
                "delete_stack": self._delete,
                "update_termination_protection": self._protect,
                "list_object_versions": self.versions,
                "list_objects_v2": absent,
                "delete_objects": self._delete_objects,
                "get_queue_attributes": lambda **_: {"Attributes": {}},
                "describe_parameters": lambda **_: {},
                "get_api_keys": lambda **_: {},
                "get_usage_plans": lambda **_: {},
                "execute_change_set": self._next,
                **more,
            },
            local=True,
        )

    def event(self, logical_id: str, status: str, reason: str = "", kind: str = "AWS::SQS::Queue") -> None:
        """An event, newest last."""
        own = logical_id == STACK
        self.events.append(
            {
                "EventId": str(len(self.events)),
                "StackId": STACK_ID,
                "Timestamp": datetime.now(UTC),
                "LogicalResourceId": logical_id,
                "PhysicalResourceId": STACK_ID if own else logical_id.lower(),
                "ResourceType": "AWS::CloudFormation::Stack" if own else kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
                "ClientRequestToken": self.token,
            }
        )
        if own:
            self.status = status

    def _next(self, *, ClientRequestToken: str = "", **_: Any) -> dict[str, Any]:
        self.token = ClientRequestToken
        for event in self.plan.pop(0):
            self.event(*event)
        return {}

    def _delete(self, **params: Any) -> dict[str, Any]:
        if self.protected:
            raise AwsError(f"Stack [{STACK}] cannot be deleted while TerminationProtection is enabled")
        return self._next(**params)

    def _protect(self, *, EnableTerminationProtection: bool, **_: Any) -> dict[str, Any]:
        self.protected = EnableTerminationProtection
        return {}

    def versions(self, *, Bucket: str, MaxKeys: int, KeyMarker: str = "0", **_: Any) -> dict[str, Any]:
        """A page of a bucket's listing, which does not notice what is deleted meanwhile."""
        total = self.buckets.get(Bucket, 0)
        end = min(int(KeyMarker) + MaxKeys, total)
        found = [{"Key": str(n), "VersionId": "v"} for n in range(int(KeyMarker), end)]
        return {"Versions": found, "IsTruncated": end < total, "NextKeyMarker": str(end)}

    def _delete_objects(self, *, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self._deleted.append((Bucket, len(Delete["Objects"])))
        return {}

    def left(self, bucket: str) -> int:
        """Objects that nobody has deleted."""
        return self.buckets[bucket] - sum(count for name, count in self._deleted if name == bucket)

    def description(self) -> dict[str, Any]:
        """As DescribeStacks has it."""
        found = {"StackName": STACK, "StackId": self.id, "StackStatus": self.status, "Tags": self.tags}
        return found | {"EnableTerminationProtection": self.protected}

    def _describe(self, **_: Any) -> dict[str, Any]:
        if not self.status:
            raise AwsError(f"Stack with id {STACK} does not exist", service_code="ValidationError")
        return {"Stacks": [self.description()]}
