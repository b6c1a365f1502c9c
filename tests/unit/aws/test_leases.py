"""The item of a lease, and the conditions under which it is written and deleted."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any, cast

import pytest

from rtp.aws import Aws, leases
from rtp.aws.leases import Holder, Seen
from rtp.errors import AwsError
from rtp.text.given import MalformedError
from rtp.text.times import now_ms

HOLDER = Holder("t1", "ann", "desk", 4711, "dlq purge", 1_000, 2_000, "m1", "123")
KEY = {"id": {"S": "rtp:lease:dlq"}, "timestamp": {"N": "-1"}}
ITEM = {
    **KEY,
    "holder": {"S": "t1"},
    "user": {"S": "ann"},
    "host": {"S": "desk"},
    "pid": {"N": "4711"},
    "what": {"S": "dlq purge"},
    "since": {"N": "1000"},
    "until": {"N": "2000"},
    "machine": {"S": "m1"},
    "started": {"S": "123"},
}
DATE_MS = 1_772_000_000_000


class Table:
    """DynamoDB that remembers its calls. answer: to each; an error is raised."""

    def __init__(self, answer: dict[str, Any] | AwsError | None = None, *, dated: bool = False) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self._answer, self._dated = answer or {}, dated
        self.aws = cast("Aws", self)

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        self.calls.append((service, operation, params))
        if isinstance(self._answer, AwsError):
            raise self._answer
        headers = {"date": formatdate(DATE_MS / 1000, usegmt=True)} if self._dated else {}
        return {**self._answer, "ResponseMetadata": {"HTTPHeaders": headers}}


def refusal(code: str) -> AwsError:
    return AwsError("no", service_code=code)


def test_a_lease_is_read_consistently_with_the_tables_time() -> None:
    table = Table({"Item": ITEM}, dated=True)
    seen = leases.read(table.aws, "records", "dlq")
    assert table.calls == [("dynamodb", "get_item", {"TableName": "records", "Key": KEY, "ConsistentRead": True})]
    assert seen == Seen(ITEM, DATE_MS) and seen.holder == HOLDER
    # And without a date with that of this machine
    began = now_ms()
    seen = leases.read(Table().aws, "records", "dlq")
    assert (seen.item, seen.holder) == ({}, None)
    assert began <= seen.now <= now_ms()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("since", {"N": "-1"}, None),
        ("since", {"N": "0"}, 0),
        ("until", {"N": "9" * 21}, None),
        ("until", {"N": "--1"}, None),
        ("until", {"N": 5}, None),
        ("until", {"S": "5"}, None),
        ("until", "5", None),
        ("pid", {"N": "1"}, 1),
        ("pid", {"N": str(2**31 - 1)}, 2**31 - 1),
        ("pid", {"N": str(2**31)}, None),
        ("pid", {"N": "0"}, None),
        ("user", {"S": "u" * 201}, "u" * 200),
        ("host", {"S": "u" * 201}, "u" * 200),
        ("holder", {"S": "u" * 201}, "u" * 200),
        ("what", {"S": "u" * 201}, "u" * 200),
        ("host", {"N": "5"}, None),
        ("machine", {"S": "u" * 201}, "u" * 200),
        ("started", {"N": "5"}, None),
    ],
)
def test_a_value_that_rtp_does_not_write_is_refused_and_a_long_text_is_cut(
    name: str, value: object, read: str | int | None
) -> None:
    seen = Seen({**ITEM, name: value}, 0)
    if read is None:
        with pytest.raises(MalformedError):
            _ = seen.holder
        return
    assert seen.holder is not None
    assert getattr(seen.holder, "token" if name == "holder" else name) == read


@pytest.mark.parametrize(
    ("seen", "condition", "values"),
    [
        ({}, "attribute_not_exists(id) OR #holder = :mine", {}),
        (
            ITEM,
            "(#holder = :holder AND #until = :until) OR #holder = :mine",
            {":holder": {"S": "t1"}, ":until": {"N": "2000"}},
        ),
        (
            {**KEY, "holder": {"S": "t1"}},
            "(#holder = :holder AND attribute_not_exists(#until)) OR #holder = :mine",
            {":holder": {"S": "t1"}},
        ),
        (KEY, "(attribute_not_exists(#holder) AND attribute_not_exists(#until)) OR #holder = :mine", {}),
    ],
)
def test_a_lease_is_taken_only_where_it_is_as_it_was_seen(
    seen: dict[str, Any], condition: str, values: dict[str, Any]
) -> None:
    table = Table()
    assert leases.take(table.aws, "records", "dlq", HOLDER, instead_of=Seen(seen, 0))
    names = {"#holder": "holder", **({"#until": "until"} if "#until" in condition else {})}
    write = {
        "TableName": "records",
        "Item": ITEM,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {":mine": {"S": "t1"}, **values},
    }
    assert table.calls == [("dynamodb", "put_item", write)]
    taken = Table(refusal("ConditionalCheckFailedException"))
    assert not leases.take(taken.aws, "records", "dlq", HOLDER, instead_of=Seen(seen, 0))
    with pytest.raises(AwsError):
        leases.take(Table(refusal("Throttling")).aws, "records", "dlq", HOLDER, instead_of=Seen(seen, 0))


def test_a_lease_is_renewed_only_while_it_is_ours_with_the_tables_time() -> None:
    table = Table(dated=True)
    assert leases.renew(table.aws, "records", "dlq", HOLDER) == DATE_MS
    (service, operation, write), *_ = table.calls
    assert (service, operation, write["Item"]) == ("dynamodb", "put_item", ITEM)
    assert write["ConditionExpression"] == "#holder = :mine"
    assert write["ExpressionAttributeNames"] == {"#holder": "holder"}
    assert write["ExpressionAttributeValues"] == {":mine": {"S": "t1"}}
    assert leases.renew(Table(refusal("ConditionalCheckFailedException")).aws, "records", "dlq", HOLDER) is None
    began = now_ms()
    assert began <= (leases.renew(Table().aws, "records", "dlq", HOLDER) or 0) <= now_ms()


def test_a_lease_is_given_back_unless_another_has_it() -> None:
    table = Table()
    leases.give_back(table.aws, "records", "dlq", "t1")
    delete = {
        "TableName": "records",
        "Key": KEY,
        "ConditionExpression": "holder = :mine",
        "ExpressionAttributeValues": {":mine": {"S": "t1"}},
    }
    assert table.calls == [("dynamodb", "delete_item", delete)]
    leases.give_back(Table(refusal("ConditionalCheckFailedException")).aws, "records", "dlq", "t1")
    with pytest.raises(AwsError):
        leases.give_back(Table(refusal("Throttling")).aws, "records", "dlq", "t1")
