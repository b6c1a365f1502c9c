"""DynamoDB: a lease for one operator at a time, an item of the records' table with a key that no event can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws.logs import server_ms
from rtp.errors import AwsError
from rtp.text import times
from rtp.text.given import Given, MalformedError

if TYPE_CHECKING:
    from rtp.aws import Aws

_TIMESTAMP = "-1"  # the timestamp of an event is never negative
_DIGITS = 20
_MOST_PID = 2**31 - 1
_TAKEN = "ConditionalCheckFailedException"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease. token: identifies the run. since, until: epoch ms by DynamoDB's clock.

    machine, started: of its process, as rtp.ops.access.process names them; empty where they are not known.
    """

    token: str
    user: str
    host: str
    pid: int
    what: str
    since: int
    until: int
    machine: str = ""
    started: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A lease as the table has it. item: its attributes, {} where there is none. now: epoch ms by DynamoDB's clock."""

    item: dict[str, Any]
    now: int

    @property
    def holder(self) -> Holder | None:
        """Who holds it, or held it last and did not release it. Raises MalformedError where rtp did not write it."""
        if not self.item:
            return None
        values = Given({name: _plain(value) for name, value in self.item.items()})
        return Holder(
            values.text("holder", most=200),
            values.text("user", most=200),
            values.text("host", most=200),
            values.integer("pid", least=1, most=_MOST_PID),
            values.text("what", most=200),
            values.integer("since"),
            values.integer("until"),
            values.text("machine", "", most=200),
            values.text("started", "", most=200),
        )


def read(aws: Aws, table: str, name: str) -> Seen:
    """The lease of this name. Raises AwsError."""
    answer = aws.call("dynamodb", "get_item", TableName=table, Key=key(name), ConsistentRead=True)
    return Seen(answer.get("Item") or {}, server_ms(answer) or times.now_ms())


def take(aws: Aws, table: str, name: str, holder: Holder, *, instead_of: Seen) -> bool:
    """Acquire a lease if it still is as it was seen; False where it is not. Raises AwsError."""
    if not instead_of.item:
        return _put(aws, table, name, holder, "attribute_not_exists(id) OR #holder = :mine", {}) is not None
    seen = {f":{part}": value for part in ("holder", "until") if (value := instead_of.item.get(part)) is not None}
    same = " AND ".join(
        f"#{part} = :{part}" if f":{part}" in seen else f"attribute_not_exists(#{part})" for part in ("holder", "until")
    )
    return _put(aws, table, name, holder, f"({same}) OR #holder = :mine", seen) is not None


def renew(aws: Aws, table: str, name: str, holder: Holder) -> int | None:
    """Renew a lease that is ours; the time by DynamoDB's clock, or None where it is not ours any more.

    Raises AwsError.
    """
    return _put(aws, table, name, holder, "#holder = :mine", {})


def _put(
    aws: Aws, table: str, name: str, holder: Holder, condition: str, values: dict[str, dict[str, Any]]
) -> int | None:
    try:
        answer = aws.call(
            "dynamodb",
            "put_item",
            TableName=table,
            Item=key(name)
            | {
                "holder": {"S": holder.token},
                "user": {"S": holder.user},
                "host": {"S": holder.host},
                "pid": {"N": str(holder.pid)},
                "what": {"S": holder.what},
                "since": {"N": str(holder.since)},
                "until": {"N": str(holder.until)},
                "machine": {"S": holder.machine},
                "started": {"S": holder.started},
            },
            ConditionExpression=condition,
            ExpressionAttributeNames={f"#{part}": part for part in ("holder", "until") if f"#{part}" in condition},
            ExpressionAttributeValues={":mine": {"S": holder.token}, **values},
        )
    except AwsError as error:
        if error.service_code == _TAKEN:
            return None
        raise
    return server_ms(answer) or times.now_ms()


def give_back(aws: Aws, table: str, name: str, token: str) -> None:
    """Release a lease, unless another run holds it by now."""
    try:
        aws.call(
            "dynamodb",
            "delete_item",
            TableName=table,
            Key=key(name),
            ConditionExpression="holder = :mine",
            ExpressionAttributeValues={":mine": {"S": token}},
        )
    except AwsError as error:
        if error.service_code != _TAKEN:
            raise


def key(name: str) -> dict[str, Any]:
    """The key of the item."""
    return {"id": {"S": f"rtp:lease:{name}"}, "timestamp": {"N": _TIMESTAMP}}


def _plain(value: Any) -> str | int | None:
    """A text or an integer of DynamoDB; None for null. Raises MalformedError for other values."""
    if isinstance(value, dict):
        text, number = value.get("S"), value.get("N")
        if isinstance(text, str):
            return text
        if isinstance(number, str) and len(number) <= _DIGITS and number.removeprefix("-").isdecimal():
            return int(number)
    raise MalformedError("it has a value that is neither a text nor an integer")
