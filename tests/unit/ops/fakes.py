"""Queues, a table and a bucket in plain Python, with faults that tests set."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from rtp.aws import Aws
from rtp.contract import Output
from rtp.errors import AwsError
from rtp.ops.journal_store import HEAD_BYTES, Document
from rtp.ops.work.clock import Clock
from rtp.ops.work.steps import drained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

_Result = TypeVar("_Result")

QUEUE, DLQ, TABLE, BUCKET = "http://sqs/queue", "http://sqs/dlq", "records", "bucket"
OUTPUTS: dict[str, str] = {
    Output.QUEUE_URL: QUEUE,
    Output.DLQ_URL: DLQ,
    Output.TABLE: TABLE,
    Output.BUCKET: BUCKET,
}


@dataclass
class Held:
    """A message in a queue. hidden_until: by the fake's own clock."""

    message_id: str
    body: str
    attributes: dict[str, Any]
    sent_at: int
    receipt: str = ""
    hidden_until: float = 0.0
    receives: int = 0


@dataclass
class FakeAws(Aws):
    """Enough of SQS, DynamoDB and S3. `fault` is asked before and after each call and may raise."""

    local = True
    now: float = 1_000_000.0
    queues: dict[str, list[Held]] = field(default_factory=lambda: {QUEUE: [], DLQ: []})
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    fault: Callable[[str, str], None] = lambda _operation, _when: None
    refused: set[str] = field(default_factory=set)  # bodies that SQS does not take
    blind: bool = False  # receives find nothing
    in_flight_limit: int = 120_000
    uncounted: int = 0  # messages that SQS's approximate numbers do not show yet

    def __post_init__(self) -> None:
        super().__init__(region="us-east-1", local=True)
        self._number = itertools.count(1)
        self._service = threading.Lock()  # each call is atomic, as a service's is

    def client(self, service: str) -> Any:
        """None is made: everything goes through `call`."""
        return service

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """One API call."""
        assert service in ("sqs", "dynamodb", "s3", "lambda", "logs", "cloudwatch")
        if service == "dynamodb" and "Statements" not in params:
            assert set(params.get("RequestItems", [params.get("TableName")])) == {TABLE}
        self.calls[operation] += 1
        self.fault(operation, "before")
        with self._service:
            answer: dict[str, Any] = getattr(self, f"_{operation}")(**params)
        self.fault(operation, "after")
        return answer

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        """All on one page."""
        yield from self.call(service, operation, **params).get(key, ())

    @property
    def clock(self) -> Clock:
        """A clock that only pauses move, and that moves the fake's own."""

        def sleep(seconds: float) -> None:
            self.now += seconds

        def wait(event: Event, seconds: float) -> bool:
            if not event.is_set():
                sleep(seconds)
            return event.is_set()

        return Clock(lambda: self.now, sleep, wait)

    def put(self, url: str, body: str, **attributes: str) -> str:
        """A message, straight into a queue."""
        message_id = f"m{next(self._number)}"
        texts = {k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()}
        self.queues[url].append(Held(message_id, body, texts, int(time.time() * 1000)))
        return message_id

    def record(self, event_id: str, timestamp: int, **fields: Any) -> None:
        """A record, straight into the table."""
        from boto3.dynamodb.types import TypeSerializer

        values = {"id": event_id, "timestamp": timestamp, **fields}
        self.items[event_id, str(timestamp)] = {k: TypeSerializer().serialize(v) for k, v in values.items()}

    def bodies(self, url: str) -> list[str]:
        """What is in a queue, hidden or not."""
        return [m.body for m in self.queues[url]]

    def visible(self, url: str) -> int:
        """How many messages anybody could receive now."""
        return sum(m.hidden_until <= self.now for m in self.queues[url])

    def _get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
        hidden = len(self.queues[QueueUrl]) - self.visible(QueueUrl)
        return {
            "Attributes": {
                "ApproximateNumberOfMessages": str(max(0, self.visible(QueueUrl) - self.uncounted)),
                "ApproximateNumberOfMessagesNotVisible": str(hidden),
                "ApproximateNumberOfMessagesDelayed": "0",
            }
        }

    def _receive_message(
        self, QueueUrl: str, MaxNumberOfMessages: int, VisibilityTimeout: int, **_: Any
    ) -> dict[str, Any]:
        if self.blind:
            return {}
        room = self.in_flight_limit - (len(self.queues[QueueUrl]) - self.visible(QueueUrl))
        if room <= 0:
            raise AwsError("sqs receive_message: too many in flight", service_code="OverLimit")
        found = [m for m in self.queues[QueueUrl] if m.hidden_until <= self.now][: min(room, MaxNumberOfMessages)]
        for message in found:
            message.hidden_until = self.now + VisibilityTimeout
            message.receipt = f"r{next(self._number)}"
            message.receives += 1
        return {
            "Messages": [
                {
                    "MessageId": m.message_id,
                    "ReceiptHandle": m.receipt,
                    "Body": m.body,
                    "Attributes": {"SentTimestamp": str(m.sent_at), "ApproximateReceiveCount": str(m.receives)},
                    "MessageAttributes": m.attributes,
                }
                for m in found
            ]
        }

    def _change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        for entry in Entries:
            for message in self.queues[QueueUrl]:
                if message.receipt == entry["ReceiptHandle"]:
                    message.hidden_until = self.now + entry["VisibilityTimeout"]
        return {}

    def _send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert 0 < len(Entries) <= 10
        done, failed = [], []
        for entry in Entries:
            if entry["MessageBody"] in self.refused:
                failed.append(
                    {"Id": entry["Id"], "Code": "InvalidMessageContents", "Message": "not today", "SenderFault": True}
                )
                continue
            message_id = self.put(QueueUrl, entry["MessageBody"])
            self.queues[QueueUrl][-1].attributes = entry["MessageAttributes"]
            done.append({"Id": entry["Id"], "MessageId": message_id})
        return {"Successful": done, "Failed": failed}

    def _delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        receipts = {entry["ReceiptHandle"]: entry["Id"] for entry in Entries}
        gone = {m.receipt for m in self.queues[QueueUrl]} & set(receipts)
        self.queues[QueueUrl] = [m for m in self.queues[QueueUrl] if m.receipt not in gone]
        failed = [
            {"Id": n, "Code": "ReceiptHandleIsInvalid", "SenderFault": True}
            for r, n in receipts.items()
            if r not in gone
        ]
        return {"Failed": failed}

    def _batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        keys = [(k["id"]["S"], k["timestamp"]["N"]) for k in RequestItems[TABLE]["Keys"]]
        assert 0 < len(keys) == len(set(keys)) <= 100
        return {"Responses": {TABLE: [self.items[k] for k in keys if k in self.items]}}

    def _get_item(self, Key: dict[str, Any], **_: Any) -> dict[str, Any]:
        item = self.items.get((Key["id"]["S"], Key["timestamp"]["N"]))
        return {"Item": item} if item else {}

    def _get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        if Key not in self.objects:
            raise AwsError("s3 get_object: no", service_code="NoSuchKey")
        return {"Body": io.BytesIO(self.objects[Key])}

    def _list_objects_v2(self, Prefix: str, StartAfter: str = "", **_: Any) -> dict[str, Any]:
        keys = sorted(k for k in self.objects if k.startswith(Prefix) and k > StartAfter)
        when = datetime.now(UTC)
        return {"Contents": [{"Key": k, "Size": len(self.objects[k]), "LastModified": when} for k in keys]}

    def _query(self, ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:
        wanted = ExpressionAttributeValues[":id"]["S"]
        return {"Items": [item for (event_id, _), item in self.items.items() if event_id == wanted]}

    def _put_item(
        self,
        Item: dict[str, Any],
        ConditionExpression: str,
        ExpressionAttributeNames: dict[str, str],
        ExpressionAttributeValues: dict[str, Any],
        **_: Any,
    ) -> dict[str, Any]:
        """Leases only: their conditions are spelt out here."""
        item, values = (Item["id"]["S"], Item["timestamp"]["N"]), ExpressionAttributeValues
        assert all(name in ConditionExpression for name in (*ExpressionAttributeNames, *values))
        held = self.items.get(item)
        fulfilled = bool(held and held.get("holder") == values[":mine"])
        if ConditionExpression.startswith("attribute_not_exists(id)"):
            fulfilled |= held is None
        elif ConditionExpression.startswith("(") and held:
            fulfilled |= all(held.get(part) == values.get(f":{part}") for part in ("holder", "until"))
        if not fulfilled:
            raise AwsError("dynamodb put_item: no", service_code="ConditionalCheckFailedException")
        self.items[item] = Item
        return {}

    def _update_item(
        self, Key: dict[str, Any], UpdateExpression: str, ExpressionAttributeValues: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        """The notes of messages in the DLQ only: their two conditions are spelt out here."""
        item = self.items.get((Key["id"]["S"], Key["timestamp"]["N"]), {})
        noted = item.get("dlq_message", {}).get("M", {}).get("request_id")
        is_same = noted == ExpressionAttributeValues[":request"]
        if UpdateExpression.startswith("REMOVE") and is_same:
            del item["dlq_message"]
        elif UpdateExpression.startswith("SET") and item.get("status") == {"S": "dead"} and (is_same or not noted):
            item["dlq_message"] = ExpressionAttributeValues[":note"]
        else:
            raise AwsError("dynamodb update_item: no", service_code="ConditionalCheckFailedException")
        return {}

    def _batch_execute_statement(self, Statements: list[dict[str, Any]]) -> dict[str, Any]:
        """The notes of messages in the DLQ only: their two conditions are spelt out here."""
        assert 0 < len(Statements) <= 25
        responses: list[dict[str, Any]] = []
        for statement in Statements:
            text = statement["Statement"].removeprefix(f'UPDATE "{TABLE}" ')
            is_removal = text.startswith('REMOVE "dlq_message" WHERE ')
            assert is_removal or text.startswith('SET "dlq_message" = ? WHERE ')
            *new, event_id, timestamp = statement["Parameters"][: 2 if is_removal else 3]
            item = self.items.get((event_id["S"], timestamp["N"]), {})
            noted = item.get("dlq_message", {}).get("M", {}).get("request_id")
            is_free = text.endswith(' AND "dlq_message" IS MISSING')
            assert is_free or text.endswith(' AND "dlq_message"."request_id" = ?')
            is_its = noted is None if is_free else noted == statement["Parameters"][-1]
            if is_removal and is_its:
                del item["dlq_message"]
            elif new and item.get("status") == {"S": "dead"} and is_its:
                item["dlq_message"] = new[0]
            else:
                responses.append({"Error": {"Code": "ConditionalCheckFailed"}})
                continue
            responses.append({})
        return {"Responses": responses}

    def _delete_item(self, Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:
        key = (Key["id"]["S"], Key["timestamp"]["N"])
        if key not in self.items or self.items[key]["holder"]["S"] != ExpressionAttributeValues[":mine"]["S"]:
            raise AwsError("dynamodb delete_item: no", service_code="ConditionalCheckFailedException")
        del self.items[key]
        return {}


@dataclass
class MemoryJournals:
    """A journal store. `fault` is asked before, in the middle of and after each write, and may raise.

    Batches of several threads are written one after the other, as a file and a bucket take them.
    """

    journals: dict[str, bytes] = field(default_factory=dict)
    fault: Callable[[str, str], None] = lambda _operation, _when: None
    documents: dict[str, dict[str, bytes]] = field(default_factory=dict)
    age_ms: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self, run: str, batch: bytes, *, durable: bool) -> None:
        self.append(run, batch, durable=durable)

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:  # noqa: ARG002 - as a store has it
        with self._lock:
            self.fault("journal", "before")
            before = self.journals.get(run, b"")
            self.journals[run] = before + batch[: len(batch) // 2]
            self.fault("journal", "middle")
            self.journals[run] = before + batch
            self.fault("journal", "after")

    def runs(self) -> list[str]:
        return list(self.journals)

    def read(self, run: str) -> bytes:
        return self.journals[run]

    def where(self, run: str = "") -> str:
        return f"memory/{run}"

    def head(self, run: str) -> Document | None:
        return Document(self.journals[run][:HEAD_BYTES], self.age_ms) if run in self.journals else None

    def mark(self, run: str, name: str, content: bytes, *, once: bool = False) -> bool:
        if once and name in self.documents.get(run, {}):
            return False
        self.documents.setdefault(run, {})[name] = content
        return True

    def marked(self, run: str, name: str) -> Document | None:
        content = self.documents.get(run, {}).get(name)
        return None if content is None else Document(content, self.age_ms)

    def marks(self) -> dict[str, set[str]]:
        return {run: set(documents) for run, documents in self.documents.items()}


def event(number: int = 1, kind: str = "order.created", version: int = 0) -> str:
    """An event's text. version: other data under the same identity."""
    more = f', "v": {version}' if version else ""
    data = f'{{"n": {number}{more}}}'
    return f'{{"id": "e{number}", "timestamp": {number}, "type": "{kind}", "data": {data}}}'


result = drained
