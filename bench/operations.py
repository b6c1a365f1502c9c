"""What one call costs the local engine, with what is stored: processor time of the engine alone.

    python -m bench.operations [--counts 1000 10000 100000]

Objects of S3 have no call that writes many, so there are at most 10,000 of them. A count that cannot be filled within
`--seconds` by what the one before took is left out, and so are those after it. The engine saves at its stop alone: a
save has a cost of its own, which grows with what is stored and falls into any call.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import filling
from bench.scale import connect, rtp
from rtp.local import engine as engines

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws

CALLS, GROUPED, TARGET, OBJECTS = 60, 5, 1.5, 10_000
TABLE, GROUP, BUCKET, SPACE = "bench", "/bench", "bench-objects", "Bench"


class Store:
    """What is filled, and the calls that are measured."""

    def __init__(self, aws: Aws) -> None:
        self.call: Callable[..., Any] = aws.call
        self.count, self.began = 0, time.time()
        key, hidden = {"AttributeType": "S"}, {"VisibilityTimeout": "300"}
        self.queue = self.call("sqs", "create_queue", QueueName="bench", Attributes=hidden)["QueueUrl"]
        self.call(
            "dynamodb",
            "create_table",
            TableName=TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[key | {"AttributeName": name} for name in ("id", "part", "at")],
            BillingMode="PAY_PER_REQUEST",
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by_part",
                    "KeySchema": [
                        {"AttributeName": "part", "KeyType": "HASH"},
                        {"AttributeName": "at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        self.call("logs", "create_log_group", logGroupName=GROUP)
        for stream in ("filled", "written"):
            self.call("logs", "create_log_stream", logGroupName=GROUP, logStreamName=stream)
        self.call("s3", "create_bucket", Bucket=BUCKET)

    def fill(self, count: int) -> None:
        """Add what is missing to the count, with times of the last hour."""
        numbers = range(self.count, count)
        for some in filling._batches(numbers, 10):
            entries = [{"Id": str(n % 10), "MessageBody": f"{n}" * 20} for n in some]
            self.call("sqs", "send_message_batch", QueueUrl=self.queue, Entries=entries)
        for some in filling._batches(numbers, 25):
            puts = [{"PutRequest": {"Item": self._item(n)}} for n in some]
            self.call("dynamodb", "batch_write_item", RequestItems={TABLE: puts})
        start = int(self.began * 1000) - 3_600_000
        for some in filling._batches(numbers, 5_000):
            lines = [{"timestamp": start + n, "message": f"line {n}"} for n in some]
            self.call("logs", "put_log_events", logGroupName=GROUP, logStreamName="filled", logEvents=lines)
        for some in filling._batches(numbers, 1_000):
            at = [self.began - 3_000 + n / 100 for n in some]
            data = [{"MetricName": f"m{n % 5}", "Value": 1.0, "Timestamp": t} for n, t in zip(some, at, strict=True)]
            self.call("cloudwatch", "put_metric_data", Namespace=SPACE, MetricData=data)
        for some in filling._batches(numbers, 100):
            self.call("xray", "put_trace_segments", TraceSegmentDocuments=[self._segment(n) for n in some])
        with ThreadPoolExecutor(4) as pool:
            for n in range(self.count, min(count, OBJECTS)):
                pool.submit(self.call, "s3", "put_object", Bucket=BUCKET, Key=f"raw/{n % 100:02}/{n:08}", Body=b"x")
        self.count = count

    def _item(self, number: int) -> dict[str, Any]:
        return {"id": {"S": f"{number:08}"}, "part": {"S": str(number % 10)}, "at": {"S": f"{number:08}"}}

    def _segment(self, number: int) -> str:
        at = self.began - 3_600 + number * 3_000 / max(self.count, 100_000)
        trace = f"1-{int(at):08x}-{secrets.token_hex(12)}"
        return json.dumps(
            {"trace_id": trace, "id": secrets.token_hex(8), "name": "w", "start_time": at, "end_time": at}
        )

    def operations(self) -> dict[str, Callable[[], object]]:
        """The calls, each on as many elements at each count."""
        sqs, now = {"QueueUrl": self.queue}, int(self.began * 1000)
        taken: list[str] = []

        def receive() -> None:
            found = self.call("sqs", "receive_message", MaxNumberOfMessages=10, **sqs)["Messages"]
            taken.extend(message["ReceiptHandle"] for message in found)

        def each(handles: list[str], **more: int) -> list[dict[str, Any]]:
            return [{"Id": str(n), "ReceiptHandle": handle, **more} for n, handle in enumerate(handles)]

        def show() -> None:
            entries = each(taken[:10], VisibilityTimeout=200)
            self.call("sqs", "change_message_visibility_batch", Entries=entries, **sqs)

        def delete() -> None:
            self.call("sqs", "delete_message_batch", Entries=each([taken.pop() for _ in range(10)]), **sqs)

        line = [{"timestamp": now, "message": "line"}]
        window = {"startTime": now - 3_600_000, "endTime": now - 3_599_900}
        metric = {"Metric": {"Namespace": SPACE, "MetricName": "m1"}, "Period": 60, "Stat": "Sum"}
        query = [{"Id": "a", "MetricStat": metric}]
        keys = [{"id": {"S": f"{n:08}"}} for n in range(0, 1000, 10)]
        index: dict[str, Any] = {
            "TableName": TABLE,
            "IndexName": "by_part",
            "KeyConditionExpression": "part = :s",
            "ExpressionAttributeValues": {":s": {"S": "3"}},
            "Limit": 50,
        }
        data = [{"MetricName": "other", "Value": 1.0}]
        first, written = self.began - 3_600, {"logGroupName": GROUP, "logStreamName": "written"}
        return {
            "ReceiveMessage, 10": receive,
            "ChangeMessageVisibilityBatch, 10": show,
            "DeleteMessageBatch, 10": delete,
            "Query on an index, a page of 50": lambda: self.call("dynamodb", "query", **index),
            "BatchGetItem, 100": lambda: self.call("dynamodb", "batch_get_item", RequestItems={TABLE: {"Keys": keys}}),
            "PutLogEvents, 1": lambda: self.call("logs", "put_log_events", logEvents=line, **written),
            "FilterLogEvents, 100 of a time": lambda: self.call(
                "logs", "filter_log_events", logGroupName=GROUP, logStreamNames=["filled"], **window
            ),
            "GetTraceSummaries, 3 s": lambda: self.call(
                "xray", "get_trace_summaries", StartTime=first, EndTime=first + 3
            ),
            "PutMetricData, 1": lambda: self.call("cloudwatch", "put_metric_data", Namespace=SPACE, MetricData=data),
            "GetMetricData, 10 s": lambda: self.call(
                "cloudwatch",
                "get_metric_data",
                MetricDataQueries=query,
                StartTime=self.began - 3_000,
                EndTime=self.began - 2_990,
            ),
            "ListObjectsV2, 10 of a prefix": lambda: self.call(
                "s3", "list_objects_v2", Bucket=BUCKET, Prefix="raw/07/", MaxKeys=10
            ),
        }


def main() -> int:
    """Measure and print; 1 where a cost grows more than the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=330)
    options = parser.parse_args()
    curves: dict[str, list[tuple[int, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "rtp.toml").write_text('project = "bench"\n')
        try:
            rtp(root, "local", "start", "--save-every", "0")
            engine = engines.require(root)
            store = Store(connect(engine.endpoint_url, engine.keys))
            began, took = time.monotonic(), 0.0
            for count in options.counts:
                spent, ratio = time.monotonic() - began, count / max(store.count, 1)
                if spent + took * ratio > options.seconds:
                    print(f"{count:,} are left out: filling them takes more than {options.seconds:.0f} s.\n")
                    break
                took = filling.timed(lambda count=count: store.fill(count))  # type: ignore[misc]
                for name, call in store.operations().items():
                    curves.setdefault(name, []).append((count, cost_of(call, engine.pid)))
        finally:
            engines.stop(root)
    return report(curves)


def cost_of(call: Callable[[], object], pid: int) -> float:
    """Processor time of a process for one call, s: the median of groups, so that its periodic tasks count in few."""
    clock, costs = (~pid << 3) | 2, []  # Linux's clock of the processor time of another process
    for _ in range(CALLS // GROUPED):
        before = time.clock_gettime(clock)
        for _ in range(GROUPED):
            call()
        costs.append((time.clock_gettime(clock) - before) / GROUPED)
    return statistics.median(costs)


def report(curves: dict[str, list[tuple[int, float]]]) -> int:
    """Print the table and the curves."""
    counts = [count for count, _ in next(iter(curves.values()))]
    print("| call | " + " | ".join(f"{count:,}" for count in counts) + " | growth |")
    print("| --- |" + " ---: |" * (len(counts) + 1))
    is_missed = False
    for name, curve in curves.items():
        growth = curve[-1][1] / max(curve[0][1], 1e-4)
        is_missed |= growth > TARGET
        cells = " | ".join(f"{cost * 1000:.1f} ms" for _, cost in curve)
        print(f"| {name} | {cells} | {growth:.2f}{', missed' if growth > TARGET else ''} |")
    print(
        "curves: " + json.dumps({name: [[n, max(cost, 1e-4)] for n, cost in curve] for name, curve in curves.items()})
    )
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
