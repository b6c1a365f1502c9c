"""Partial answers of batch calls are completed: repeated with what is left, with growing pauses, and not for ever."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from rtp.aws import buckets, metrics, queues, records, traces
from rtp.errors import AwsError, RtpError
from rtp.runtime import attributes, partial
from rtp.runtime import queue as runtime_queue
from rtp.runtime.emptier import empty
from tests import trees
from tests.unit.deploy.fakes import FakeAws

PACKAGE = Path(__file__).parents[3] / "rtp"
SERVICES = ("cloudwatch", "dynamodb", "kms", "lambda", "logs", "s3", "sns", "sqs", "xray")
# What a response calls the entries that were not done. Two operations say it in another way.
LEFT_OUT = re.compile(r"Unprocessed\w+|Failed|FailedEntries|FailedEntryCount|Errors")
OTHERS = {"batch_execute_statement", "get_metric_data"}


def names() -> set[str]:
    """Operations of the services in use whose success can be partial."""
    from botocore.session import get_session

    session = get_session()
    found = set(OTHERS)
    for service in SERVICES:
        model = session.get_service_model(service)
        for operation in model.operation_names:
            output = model.operation_model(operation).output_shape
            if output is not None and any(LEFT_OUT.fullmatch(member) for member in output.members):
                found.add(re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
    return found


@trees.READS_ALL
def test_every_call_whose_answer_can_be_partial_is_completed() -> None:
    operations, seen, wrong = names(), set(), []
    assert {"batch_get_item", "send_message_batch", "delete_objects", "batch_get_traces"} <= operations
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.is_relative_to(PACKAGE / "local"):  # the engine: it answers such calls
            continue
        tree = trees.tree(path)
        completers = {n.name for n in trees.nodes(path) if isinstance(n, ast.FunctionDef) and _completes(n)}
        for function in (n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)):
            calls = (n for n in ast.walk(function) if isinstance(n, ast.Call))
            called = set[str]().union(*map(_named, calls)) & operations
            seen |= called
            # The call is in a function that `complete` repeats, or in one that such a function calls.
            if called and not (_completes(function) or _called_by(tree, function.name) & completers):
                wrong.append(f"{path.relative_to(PACKAGE)}: {function.name} calls {', '.join(sorted(called))}")
    assert wrong == []
    assert len(seen) >= 8


def _completes(tree: ast.AST) -> bool:
    return any(isinstance(n, ast.Call) and ast.unparse(n.func) == "partial.complete" for n in ast.walk(tree))


def _called_by(tree: ast.Module, name: str) -> set[str]:
    """Names of the functions of a module that call this one."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    return {f.name for f in functions for n in ast.walk(f) if isinstance(n, ast.Call) and ast.unparse(n.func) == name}


def _named(call: ast.Call) -> set[str]:
    """What may be an operation: a string among the arguments, or the method of a client."""
    texts = {str(argument.value) for argument in call.args if isinstance(argument, ast.Constant)}
    return texts | ({call.func.attr} if isinstance(call.func, ast.Attribute) else set())


def test_the_pauses_grow_are_random_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses: list[float] = []

    left = partial.complete(lambda some: some, [1, 2], sleep=pauses.append, random=lambda: 1.0)

    assert left == [1, 2]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    halves: list[float] = []
    partial.complete(lambda some: some, [1], sleep=halves.append, random=lambda: 0.0, calls=3)
    assert halves == [0.05, 0.1]


def test_only_what_is_left_is_asked_for_again() -> None:
    asked: list[list[int]] = []

    def ask(some: list[int]) -> list[int]:
        asked.append(some)
        return some[1:]

    assert partial.complete(ask, [1, 2, 3], sleep=lambda _: None) == []
    assert asked == [[1, 2, 3], [2, 3], [3]]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "_FIRST_S", 0.0)


def fake(**answers: Any) -> Any:
    return FakeAws(answers)


def test_keys_that_dynamodb_leaves_out_are_read_again() -> None:
    def answer(RequestItems: dict[str, Any]) -> dict[str, Any]:
        first, *rest = RequestItems["t"]["Keys"]
        left = {"t": {"Keys": rest, "ConsistentRead": True}} if rest else {}
        return {"Responses": {"t": [{**first, "status": {"S": "dead"}}]}, "UnprocessedKeys": left}

    found = records.by_keys(fake(batch_get_item=answer), "t", [("a", 1), ("b", 2), ("c", 3)])
    assert [r["id"] for r in found] == ["a", "b", "c"]
    with pytest.raises(AwsError, match="left out 3 records of t") as caught:
        records.by_keys(
            fake(batch_get_item=lambda RequestItems: {"Responses": {}, "UnprocessedKeys": RequestItems}),
            "t",
            [("a", 1), ("b", 2), ("c", 3)],
        )
    assert caught.value.code == "throttled"
    assert attributes.pack("x") == {"S": "x"}


def sqs(operation: str, failures: list[dict[str, Any]]) -> Any:
    """Each call fails with the first of `failures` for its last entry, then works."""

    def answer(QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: ARG001
        failed = [{"Id": Entries[-1]["Id"], **failures.pop(0)}] if failures else []
        done = Entries[:-1] if failed else Entries
        return {"Successful": [{"Id": e["Id"], "MessageId": f"m{e['Id']}"} for e in done], "Failed": failed}

    return fake(**{operation: answer})


PASSING = {"Code": "InternalError", "SenderFault": False}
FINAL = {"Code": "ReceiptHandleIsInvalid", "SenderFault": True}


def test_messages_that_sqs_leaves_out_are_sent_again() -> None:
    messages = [queues.Outgoing(body, {}) for body in "abc"]
    aws = sqs("send_message_batch", [PASSING, PASSING])
    assert [r.message_id for r in queues.send(aws, "u", messages)] == ["m0", "m1", "m2"]
    assert [len(params["Entries"]) for _, params in aws.asked] == [3, 1, 1]
    receipts = queues.send(sqs("send_message_batch", [FINAL]), "u", messages)
    assert [bool(r.error) for r in receipts] == [False, False, True]
    assert queues.send(sqs("send_message_batch", [PASSING] * 99), "u", messages)[2].error.startswith("InternalError")


def test_messages_that_sqs_did_not_delete_or_release_are_tried_again() -> None:
    assert queues.delete(sqs("delete_message_batch", [PASSING]), "u", ["a", "b"]) == []
    assert queues.delete(sqs("delete_message_batch", [FINAL]), "u", ["a", "b"]) == ["b"]
    assert queues.delete(sqs("delete_message_batch", [PASSING] * 99), "u", ["a", "b"]) == ["b"]
    aws = sqs("change_message_visibility_batch", [PASSING])
    queues.change_visibility(aws, "u", ["a", "b"], 0)
    assert len(aws.asked) == 2


def test_values_that_cloudwatch_leaves_out_are_read_again() -> None:
    series = [metrics.Series("n", name, (), "Sum") for name in "ab"]
    answers = [
        [{"Id": "m0", "Values": [1.0], "StatusCode": "Complete"}, {"Id": "m1", "StatusCode": "PartialData"}],
        [{"Id": "m1", "Values": [2.0], "StatusCode": "Complete"}],
    ]
    aws = fake(get_metric_data=lambda **_: {"MetricDataResults": answers.pop(0)})
    assert metrics.values(aws, series, since_s=0, until_s=60, period_s=60) == [[1.0], [2.0]]
    aws = fake(get_metric_data=lambda **_: {"MetricDataResults": [{"Id": "m1", "StatusCode": "InternalError"}]})
    with pytest.raises(AwsError, match="values of 1 of 2 metrics"):
        metrics.values(aws, series, since_s=0, until_s=60, period_s=60)


def test_traces_that_xray_leaves_out_are_read_again() -> None:
    answers = [{"UnprocessedTraceIds": ["1"]}, {"Traces": [{"Id": "1", "Segments": [{"Id": "s"}]}]}]
    aws = fake(batch_get_traces=lambda **_: answers.pop(0))
    assert traces.whole(aws, ["1"]) == [{"Id": "1", "Segments": [{"Id": "s"}]}]
    unknown = fake(batch_get_traces=lambda TraceIds: {"UnprocessedTraceIds": TraceIds})
    assert traces.whole(unknown, ["2"]) == []
    assert len(unknown.asked) == 2


def test_objects_that_s3_leaves_out_are_deleted_again() -> None:
    slow = {"Key": "a", "VersionId": "1", "Code": "SlowDown", "Message": "reduce"}
    batch, answers, counts = [{"Key": k, "VersionId": "1"} for k in "ab"], [{"Errors": [slow]}, {}], list[int]()
    aws = fake(delete_objects=lambda **_: answers.pop(0))
    buckets.delete(aws, "b", batch, counts.append)
    assert counts == [1, 1]
    with pytest.raises(RtpError, match="1 object of b could not be deleted; the first, a: reduce"):
        buckets.delete(fake(delete_objects=lambda **_: {"Errors": [slow]}), "b", batch, counts.append)


class Client:
    """An AWS client of the functions: a bucket of one page, and a queue."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers, self.asked = list(answers), list[dict[str, Any]]()
        self.exceptions = type("Exceptions", (), {"NoSuchBucket": KeyError})

    def delete_objects(self, **params: Any) -> dict[str, Any]:
        self.asked.append(params)
        return self.answers.pop(0)

    send_message_batch = delete_objects

    def get_paginator(self, _operation: str) -> Any:
        page = {"Versions": [{"Key": k, "VersionId": "1"} for k in "ab"]}
        return type("Paginator", (), {"paginate": lambda *_, **__: [page]})()


def test_the_emptier_repeats_what_s3_leaves_out() -> None:
    slow = {"Key": "a", "VersionId": "1", "Code": "InternalError"}
    client = Client({"Errors": [slow]}, {})
    assert empty(client, "b", lambda: 100_000) == 2
    assert [len(asked["Delete"]["Objects"]) for asked in client.asked] == [2, 1]
    with pytest.raises(RuntimeError, match="AccessDenied"):
        empty(Client({"Errors": [slow | {"Code": "AccessDenied"}]}), "b", lambda: 100_000)
    with pytest.raises(RuntimeError, match="did not delete 1"):
        empty(Client(*[{"Errors": [slow]}] * partial.CALLS), "b", lambda: 100_000)


def test_emitted_events_that_sqs_leaves_out_are_sent_again() -> None:
    class Emitted:
        body, depth = "{}", 1

    failed = {"Failed": [{"Id": "1", "SenderFault": False, "Message": "not today"}]}
    client = Client(failed, {})
    events: Any = [Emitted(), Emitted()]
    runtime_queue.Queues(client, "q", "d").emit(events)
    assert [[e["Id"] for e in asked["Entries"]] for asked in client.asked] == [["0", "1"], ["1"]]
    with pytest.raises(runtime_queue.EmissionFailedError, match="did not accept 1 of 2"):
        runtime_queue.Queues(Client(*[failed] * 9), "q", "d").emit(events)
