"""The runtime's three services in memory: conditional writes work, and any call can be made to fail."""

from __future__ import annotations

import copy
import gzip
import io
import json
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.runtime import boot, logs, worker
from rtp.runtime.attributes import unpack
from rtp.runtime.registry import Processor, Registry
from rtp.runtime.settings import Settings

if TYPE_CHECKING:
    from rtp.runtime.boot import Runtime

NOW = 1_750_000_000.0
IO = ThreadPoolExecutor(10)

Fault = Callable[[str, dict[str, Any]], None]


class ServiceError(Exception):
    """An error as botocore raises it, with the service's response."""

    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__(response["Error"]["Message"])
        self.response = response


class ConditionalCheckFailedException(ServiceError):
    pass


class Exceptions:
    ClientError = ServiceError
    ConditionalCheckFailedException = ConditionalCheckFailedException


def error(code: str) -> ServiceError:
    return ServiceError({"Error": {"Code": code, "Message": f"{code} for the test"}})


@dataclass
class Service:
    """Calls by name, in order; `fault` may raise for any of them."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    fault: Fault | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def called(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        if self.fault is not None:
            self.fault(name, arguments)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [arguments for called, arguments in self.calls if called == name]


@dataclass
class Dynamo(Service):
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    exceptions: type = Exceptions

    def put_item(self, **kw: Any) -> dict[str, Any]:
        self.called("put_item", **kw)
        with self.lock:
            key = (kw["Item"]["id"]["S"], kw["Item"]["timestamp"]["N"])
            self._check(key, kw)
            self.items[key] = copy.deepcopy(kw["Item"])
        return {}

    def get_item(self, **kw: Any) -> dict[str, Any]:
        self.called("get_item", **kw)
        item = self.items.get((kw["Key"]["id"]["S"], kw["Key"]["timestamp"]["N"]))
        return {"Item": copy.deepcopy(item)} if item else {}

    def update_item(self, **kw: Any) -> dict[str, Any]:
        self.called("update_item", **kw)
        with self.lock:
            key = (kw["Key"]["id"]["S"], kw["Key"]["timestamp"]["N"])
            self._check(key, kw)
            old = self.items.get(key, {})
            new = {**copy.deepcopy(kw["Key"]), **copy.deepcopy(old)}
            sets, _, removes = kw["UpdateExpression"].partition(" REMOVE ")
            for name, value in re.findall(r"([#\w]+) = ((?:if_not_exists\([^)]*\)|:\w+)(?: \+ :\w+)?)", sets):
                assert self._name(name, kw) not in removes.split(", ")
                new[self._name(name, kw)] = copy.deepcopy(self._value(value, old, kw))
            for name in filter(None, re.split(r",\s*", removes)):
                new.pop(self._name(name, kw), None)
            self.items[key] = new
            return {"Attributes": copy.deepcopy(old)} if kw["ReturnValues"] == "ALL_OLD" and old else {}

    def batch_execute_statement(self, **kw: Any) -> dict[str, Any]:
        self.called("batch_execute_statement", **kw)
        return {"Responses": [self._execute(one["Statement"], list(one["Parameters"])) for one in kw["Statements"]]}

    def _execute(self, text: str, values: list[Any]) -> dict[str, Any]:
        with self.lock:
            if text.startswith("INSERT"):
                item = dict(zip(re.findall(r"'(\w+)': \?", text), values, strict=True))
                key = (item["id"]["S"], item["timestamp"]["N"])
                if key in self.items:
                    return {"Error": {"Code": "DuplicateItem"}}
                self.items[key] = copy.deepcopy(item)
                return {}
            setting, _, where = text.partition(" WHERE ")
            sets = re.findall(r'SET "(\w+)" = \?', setting)
            condition_values = dict(zip(re.findall(r'"(\w+)" = \?', where), values[len(sets) :], strict=True))
            item = self.items.get((condition_values["id"]["S"], condition_values["timestamp"]["N"]), {})
            if any(item.get(name) != value for name, value in condition_values.items()):
                return {"Error": {"Code": "ConditionalCheckFailed"}}
            item.update(copy.deepcopy(dict(zip(sets, values, strict=False))))
            return {}

    def records(self) -> list[dict[str, Any]]:
        return [{name: unpack(value) for name, value in item.items()} for item in self.items.values()]

    def record(self, id: str) -> dict[str, Any]:
        (record,) = [record for record in self.records() if record["id"] == id]
        return record

    @staticmethod
    def _name(name: str, kw: dict[str, Any]) -> str:
        return str(kw["ExpressionAttributeNames"][name]) if name.startswith("#") else name

    def _value(self, text: str, old: dict[str, Any], kw: dict[str, Any]) -> Any:
        if " + " in text:
            left, right = (self._value(part, old, kw) for part in text.split(" + "))
            return {"N": str(int(left["N"]) + int(right["N"]))}
        if text.startswith("if_not_exists("):
            name, default = text.removeprefix("if_not_exists(").rstrip(")").split(", ")
            return old.get(name) or kw["ExpressionAttributeValues"][default]
        return kw["ExpressionAttributeValues"][text]

    def _check(self, key: tuple[str, str], kw: dict[str, Any]) -> None:
        item = self.items.get(key)
        condition = kw["ConditionExpression"]

        def compare(match: re.Match[str]) -> str:
            name, _, member = match[1].partition(".")
            have = (item or {}).get(self._name(name, kw))
            have = have.get("M", {}).get(member) if have is not None and member else have
            want = kw["ExpressionAttributeValues"][match[3]]
            if have is None:
                return "False"
            ((kind, left),), ((_, right),) = have.items(), want.items()
            if kind == "N":
                left, right = int(left), int(right)
            return str({"=": left == right, "<>": left != right, "<": left < right, ">": left > right}[match[2]])

        text = re.sub(r"attribute_not_exists\((\w+)\)", lambda m: str(m[1] not in (item or {})), condition)
        text = re.sub(r"([#\w.]+) (=|<>|<|>) (:\w+)", compare, text).replace("AND", "and").replace("OR", "or")
        if not eval(text, {}):  # noqa: S307 - made of True, False, and, or and parentheses
            response: dict[str, Any] = {"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}}
            if item is not None:
                response["Item"] = copy.deepcopy(item)
            raise ConditionalCheckFailedException(response)


@dataclass
class Bucket(Service):
    objects: dict[str, bytes] = field(default_factory=dict)

    def put_object(self, **kw: Any) -> None:
        self.called("put_object", **kw)
        self.objects[kw["Key"]] = kw["Body"]

    def get_object(self, **kw: Any) -> dict[str, Any]:
        self.called("get_object", **kw)
        return {"Body": io.BytesIO(self.objects[kw["Key"]])}

    def lines(self, prefix: str) -> list[dict[str, Any]]:
        bodies = [body for key, body in sorted(self.objects.items()) if key.startswith(prefix) and key.endswith(".gz")]
        return [json.loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]


@dataclass
class Sqs(Service):
    def send_message(self, **kw: Any) -> None:
        self.called("send_message", **kw)

    def send_message_batch(self, **kw: Any) -> dict[str, Any]:
        self.called("send_message_batch", **kw)
        return {}

    def change_message_visibility(self, **kw: Any) -> None:
        self.called("change_message_visibility", **kw)


class Context:
    """Lambda's context."""

    def __init__(self, seconds: float = 30) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.function_name = "fn"
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


@dataclass
class World:
    """A Runtime on fakes, with the fakes."""

    runtime: Runtime
    dynamo: Dynamo
    s3: Bucket
    sqs: Sqs
    registry: Registry
    time: list[float]

    def processor(self, type: str, function: Callable[[Any], Any], data: Any = None) -> None:
        self.registry.add(Processor(type, function, data))

    def deliver(self, *records: dict[str, Any], seconds: float = 30) -> dict[str, Any]:
        """Deliver a batch to the worker and return its response."""
        return worker.process(self.runtime, {"Records": list(records)}, Context(seconds))

    def dead_lettered(self) -> list[dict[str, Any]]:
        return [call for call in self.sqs.of("send_message") if call["QueueUrl"] == "dlq"]

    def queued(self) -> list[dict[str, Any]]:
        return [call for call in self.sqs.of("send_message") if call["QueueUrl"] == "queue"]

    def delays(self) -> list[int]:
        return [call["VisibilityTimeout"] for call in self.sqs.of("change_message_visibility")]


def world(**settings: Any) -> World:
    dynamo, s3, sqs, registry, time = Dynamo(), Bucket(), Sqs(), Registry(), [NOW]
    configured = Settings(table="table", bucket="bucket", queue_url="queue", dlq_url="dlq", **settings)
    runtime = boot.assemble(
        configured, registry, {"dynamodb": dynamo, "s3": s3, "sqs": sqs}, io=IO, clock=lambda: time[0]
    )
    logs.set_level("CRITICAL")
    return World(runtime, dynamo, s3, sqs, registry, time)


def message(body: Any, id: str = "", *, receives: int = 1, **attributes: str) -> dict[str, Any]:
    """A record of an SQS batch; attributes are message attributes, `trace` the trace header."""
    trace = attributes.pop("trace", "")
    system = {"ApproximateReceiveCount": str(receives), "SentTimestamp": str(int(NOW * 1000) - 1000)}
    return {
        "messageId": id or str(uuid.uuid4()),
        "receiptHandle": f"receipt-{id}",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": system | ({"AWSTraceHeader": trace} if trace else {}),
        "messageAttributes": {name: {"dataType": "String", "stringValue": value} for name, value in attributes.items()},
    }


def event(id: str = "e1", type: str = "t", **data: Any) -> dict[str, Any]:
    return {"id": id, "timestamp": 1_700_000_000_000, "type": type, "data": data}


def failures(answer: dict[str, Any]) -> list[str]:
    assert set(answer) == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
