"""DynamoDB: a lease for one operator at a time, an item of the records' table with a key that no event can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws

_TIMESTAMP = "-1"  # the timestamp of an event is never negative


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease. token: identifies the run. since, until: epoch ms."""

    token: str
    user: str
    host: str
    pid: int
    what: str
    since: int
    until: int


def take(aws: Aws, table: str, name: str, holder: Holder, *, now: int, instead_of: str = "") -> bool:
    """Acquire or renew a lease that is free, expired, ours, or held under the token `instead_of`; False for others."""
    try:
        aws.call(
            "dynamodb",
            "put_item",
            TableName=table,
            Item=_key(name)
            | {
                "holder": {"S": holder.token},
                "user": {"S": holder.user},
                "host": {"S": holder.host},
                "pid": {"N": str(holder.pid)},
                "what": {"S": holder.what},
                "since": {"N": str(holder.since)},
                "until": {"N": str(holder.until)},
            },
            ConditionExpression="attribute_not_exists(id) OR #until < :now OR holder IN (:mine, :other)",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues={
                ":now": {"N": str(now)},
                ":mine": {"S": holder.token},
                ":other": {"S": instead_of or holder.token},
            },
        )
    except AwsError as error:
        if error.service_code == "ConditionalCheckFailedException":
            return False
        raise
    return True


def holder(aws: Aws, table: str, name: str) -> Holder | None:
    """Who holds a lease, or held it last and did not release it; None where nobody does."""
    item = aws.call("dynamodb", "get_item", TableName=table, Key=_key(name), ConsistentRead=True).get("Item")
    if not item:
        return None
    text = {key: str(item.get(key, {}).get("S", "")) for key in ("holder", "user", "host", "what")}
    number = {key: int(item.get(key, {}).get("N", 0)) for key in ("pid", "since", "until")}
    return Holder(
        text["holder"], text["user"], text["host"], number["pid"], text["what"], number["since"], number["until"]
    )


def give_back(aws: Aws, table: str, name: str, token: str) -> None:
    """Release a lease, unless another run holds it by now."""
    try:
        aws.call(
            "dynamodb",
            "delete_item",
            TableName=table,
            Key=_key(name),
            ConditionExpression="holder = :mine",
            ExpressionAttributeValues={":mine": {"S": token}},
        )
    except AwsError as error:
        if error.service_code != "ConditionalCheckFailedException":
            raise


def _key(name: str) -> dict[str, Any]:
    return {"id": {"S": f"rtp:lease:{name}"}, "timestamp": {"N": _TIMESTAMP}}
