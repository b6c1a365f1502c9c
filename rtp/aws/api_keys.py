"""API Gateway: the API keys of clients, and the usage plans that say how much each may send."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from rtp.aws import Aws

_PAGES = {"PageSize": 500}


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An API key without its value. created: None where API Gateway does not say."""

    id: str
    name: str
    enabled: bool = True
    created: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key of a usage plan may send.

    rate: requests per second; null for no limit. burst: requests at once; null for no limit. quota: requests in one
    period; null for no limit. period: DAY, WEEK or MONTH.
    """

    rate: float | None
    burst: int | None
    quota: int | None
    period: str = "DAY"


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A usage plan. stages: `api:stage` of each stage that its keys admit to."""

    id: str
    name: str
    limits: Limits
    stages: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def keys(aws: Aws, prefix: str) -> Iterator[StoredKey]:
    """Every API key of the region whose name has this beginning, with its tags. Raises AwsError."""
    for one in aws.pages("apigateway", "get_api_keys", "items", PaginationConfig=_PAGES):
        name = str(one.get("name") or "")
        if name.startswith(prefix):
            tagged = one if "tags" in one else _key(aws, str(one["id"]))
            if tagged is not None:
                yield StoredKey(
                    str(one["id"]),
                    name,
                    bool(one.get("enabled", True)),
                    one.get("createdDate"),
                    tagged.get("tags") or {},
                )


def plans(aws: Aws, prefix: str) -> Iterator[StoredPlan]:
    """Every usage plan of the region whose name has this beginning. Raises AwsError."""
    for one in aws.pages("apigateway", "get_usage_plans", "items", PaginationConfig=_PAGES):
        if str(one.get("name") or "").startswith(prefix):
            yield _plan(one)


def plan(aws: Aws, plan_id: str) -> StoredPlan:
    """A usage plan by its id. Raises AwsError."""
    return _plan(aws.call("apigateway", "get_usage_plan", usagePlanId=plan_id))


def keys_of(aws: Aws, plan_id: str) -> frozenset[str]:
    """Ids of the keys of a usage plan. Raises AwsError."""
    pages = aws.pages("apigateway", "get_usage_plan_keys", "items", usagePlanId=plan_id, PaginationConfig=_PAGES)
    return frozenset(str(one["id"]) for one in pages)


def value(aws: Aws, key_id: str) -> str:
    """The value of a key. Raises NotFoundError where it has none."""
    text = aws.call("apigateway", "get_api_key", apiKey=key_id, includeValue=True).get("value")
    if not text:
        raise NotFoundError(f"API key {key_id} has no value.", hint="Run `rtp keys list`.")
    return str(text)


def create(aws: Aws, name: str, value: str, *, description: str, tags: Mapping[str, str]) -> str:
    """Create a key with this value, and return its id. Repeated after a lost answer, it is the same key."""
    try:
        answer = aws.call(
            "apigateway",
            "create_api_key",
            name=name,
            value=value,
            description=description,
            enabled=True,
            tags=dict(tags),
        )
    except AwsError as error:
        if error.service_code != "ConflictException":
            raise
        # The value is random: a key that has it already is the one whose answer was lost.
        for stored in keys(aws, name):
            if stored.name == name and _key_value(aws, stored.id) == value:
                return stored.id
        raise
    return str(answer["id"])


def create_plan(aws: Aws, name: str, stage: tuple[str, str], limits: Limits, tags: Mapping[str, str]) -> str:
    """Create a usage plan for one stage, given as API id and name, and return its id. Raises AwsError."""
    answer = aws.call(
        "apigateway",
        "create_usage_plan",
        name=name,
        description=f"Limits of one API key: {name}",
        apiStages=[{"apiId": stage[0], "stage": stage[1]}],
        throttle={"rateLimit": limits.rate, "burstLimit": limits.burst},
        quota={"limit": limits.quota, "period": limits.period},
        tags=dict(tags),
    )
    return str(answer["id"])


def attach(aws: Aws, key_id: str, plan_id: str) -> None:
    """Add a key to a usage plan, from when the API accepts it. Raises AwsError."""
    try:
        aws.call("apigateway", "create_usage_plan_key", usagePlanId=plan_id, keyId=key_id, keyType="API_KEY")
    except AwsError as error:  # it is in the plan: the answer of an earlier try was lost
        if error.service_code != "ConflictException" or key_id not in keys_of(aws, plan_id):
            raise


def delete(aws: Aws, key_id: str) -> None:
    """Delete a key, which leaves its usage plan with it. One that does not exist is deleted already."""
    _ignoring_absent(aws, "delete_api_key", apiKey=key_id)


def detach(aws: Aws, stored: StoredPlan) -> None:
    """Remove a usage plan from its stages: API Gateway deletes none that has one. Its keys admit to nothing then."""
    steps = [{"op": "remove", "path": "/apiStages", "value": stage} for stage in stored.stages]
    if steps:
        _ignoring_absent(aws, "update_usage_plan", usagePlanId=stored.id, patchOperations=steps)


def delete_plan(aws: Aws, stored: StoredPlan) -> None:
    """Delete a usage plan. One that does not exist is deleted already. Raises AwsError."""
    try:
        _ignoring_absent(aws, "delete_usage_plan", usagePlanId=stored.id)
    except AwsError as error:
        if error.service_code != "BadRequestException" or not stored.stages:
            raise
        detach(aws, stored)
        _ignoring_absent(aws, "delete_usage_plan", usagePlanId=stored.id)


def _ignoring_absent(aws: Aws, operation: str, **parameters: Any) -> None:
    try:
        aws.call("apigateway", operation, **parameters)
    except AwsError as error:
        if error.service_code != "NotFoundException":
            raise


def _key(aws: Aws, key_id: str) -> dict[str, Any] | None:
    """A key as API Gateway describes it; None where it has been deleted meanwhile."""
    try:
        return aws.call("apigateway", "get_api_key", apiKey=key_id)
    except AwsError as error:
        if error.service_code == "NotFoundException":
            return None
        raise


def _key_value(aws: Aws, key_id: str) -> str:
    return str(aws.call("apigateway", "get_api_key", apiKey=key_id, includeValue=True).get("value", ""))


def _plan(one: Mapping[str, Any]) -> StoredPlan:
    throttle, quota = one.get("throttle") or {}, one.get("quota") or {}
    limits = Limits(
        throttle.get("rateLimit"), throttle.get("burstLimit"), quota.get("limit"), str(quota.get("period", "DAY"))
    )
    stages = tuple(f"{stage['apiId']}:{stage['stage']}" for stage in one.get("apiStages") or ())
    return StoredPlan(str(one["id"]), str(one.get("name") or ""), limits, stages, one.get("tags") or {})
