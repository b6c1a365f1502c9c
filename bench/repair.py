"""Commands that read and repair many events, beside sequential boto3 loops as people write them.

    python -m bench.repair [--count 4000] [--loop 300]

Repair: against a loop that receives ten messages and handles them one by one, and one that works in batches of ten.
Reading: against a paginator, and a loop that gets one object after the other. The loops of repair run for `--loop`
messages, and their rate is what is compared. Each is measured directly and through a proxy that delays each call by
20 ms, which stands for AWS's latency.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import time
from typing import TYPE_CHECKING, Any

from bench import filling, proxy
from bench.scale import STACK, connect, deployed, without_worker
from rtp.contract import STATUS_INDEX, Output
from rtp.ops.dlq import undo as undoing
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.inspect import inspect
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.dlq.redrive import RedriveRequest, redrive
from rtp.ops.dlq.target import Target
from rtp.ops.events import records as listing
from rtp.ops.events import replay_journal
from rtp.ops.events.records import RecordQuery
from rtp.ops.events.replay import ReplayRequest, plan, replay
from rtp.ops.journal_store import JournalFiles
from rtp.ops.telemetry import logs
from rtp.ops.telemetry.logs import LogQuery
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sized
    from pathlib import Path

    from rtp.aws import Aws

DELAY_S = 0.02
SHARDS = 10
TARGETS = {  # to a loop one by one, to one of batches, to a sequential reader: with the delay, and directly
    "one": (10.0, 1.5),
    "ten": (3.0, 0.8),
    "reader": (4.0, None),
}


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--loop", type=int, default=300)
    options = parser.parse_args()
    is_missed = False
    with deployed() as (root, engine):
        aws = connect(engine.endpoint_url, engine.keys)
        outputs = without_worker(aws)
        filling.fill(aws, outputs, options.count, archived=10)
        with proxy.delaying(engine.endpoint_url, DELAY_S) as delayed:
            for number, (label, url) in enumerate((("20 ms a call", delayed), ("direct", engine.endpoint_url))):
                measured = Comparison(connect(url, engine.keys), outputs, root, options.count, options.loop)
                is_missed |= measured.repairs(label, number)
                is_missed |= measured.reads(label, number)
    return int(is_missed)


class Comparison:
    """rtp's commands and the loops, on one connection."""

    def __init__(self, aws: Aws, outputs: Mapping[str, str], root: Path, count: int, loop: int) -> None:
        self._aws, self._outputs, self._count, self._loop = aws, outputs, count, loop
        self._queue, self._dlq = outputs[Output.QUEUE_URL], outputs[Output.DLQ_URL]
        self._journals = JournalFiles(root / ".rtp" / "bench")
        self._where = Target(aws=aws, outputs=outputs, stack=STACK, account="0", journals=self._journals)

    def repairs(self, label: str, number: int) -> bool:
        """Messages a second of each, and ratios; whether one misses its target."""
        loops: dict[str, float] = {}
        for name, batches in (("one", False), ("ten", True)):
            moving = _moved(self._aws, self._dlq, self._queue, self._loop, batches=batches)
            loops[name] = self._loop / _counted(lambda moving=moving: list(moving))[0]  # type: ignore[misc]
            self._back()
        rates = {
            "dlq inspect": self._rate(lambda: inspect(self._aws, self._outputs, Filters(), limit=10**7, stop=Stop())),
            "dlq redrive": self._rate(
                lambda: _run(redrive(self._where, RedriveRequest(filters=Filters(), canary=False), stop=Stop()))
            ),
            "dlq undo": self._rate(lambda: undoing.undo(self._where, undoing.load(self._where, None), stop=Stop())),
            "dlq purge": self._rate(
                lambda: _run(purge(self._where, PurgeRequest(filters=Filters(), limit=None), stop=Stop()))
            ),
        }
        undoing.undo(self._where, undoing.load(self._where, None), stop=Stop())  # the messages of the purge
        planned = _run(plan(self._aws, self._outputs, ReplayRequest(until=_now_ms() + 60_000)))
        journal = replay_journal.begin(self._journals, (STACK, "0"), planned)
        rates["replay"] = self._rate(lambda: _run(replay(self._aws, self._outputs, journal, rate=None, stop=Stop())))
        self._aws.call("sqs", "purge_queue", QueueUrl=self._queue)
        print(
            f"\n| {label}, {self._count:,} messages | messages/s | to one by one | to batches of ten |\n"
            "| --- | ---: | ---: | ---: |"
        )
        is_missed = False
        for name, rate in loops.items():
            print(f"| loop, {'one by one' if name == 'one' else 'batches of ten'} | {rate:,.0f} | | |")
        for name, rate in rates.items():
            cells = []
            for loop in loops:
                ratio, target = rate / loops[loop], TARGETS[loop][number]
                missed = target is not None and ratio < target
                is_missed |= missed
                cells.append(f"{ratio:.1f}{f', missed: {target}' if missed else ''}")
            print(f"| `rtp {name}` | {rate:,.0f} | {' | '.join(cells)} |")
        return is_missed

    def reads(self, label: str, number: int) -> bool:
        """Seconds of each reader beside a loop; whether one misses its target."""
        everything = RecordQuery(since=0, until=_now_ms() + 60_000, limit=10**7)
        pairs: dict[str, tuple[Callable[[], Sized], Callable[[], Sized]]] = {
            "records": (
                lambda: listing.find(self._aws, self._outputs, everything, shards=SHARDS).records,
                lambda: list(_shards(self._aws, self._outputs[Output.TABLE])),
            ),
            "logs": (
                lambda: list(logs.read(self._aws, self._outputs, LogQuery(since=_now_ms() - 7_200_000))),
                lambda: list(_lines(self._aws, self._outputs)),
            ),
            "replay --dry-run": (
                lambda: _run(plan(self._aws, self._outputs, ReplayRequest(until=_now_ms() + 60_000))),
                lambda: list(_archived(self._aws, self._outputs)),
            ),
        }
        print(f"\n| {label}, {self._count:,} events read | rtp | loop | ratio |\n| --- | ---: | ---: | ---: |")
        is_missed = False
        for name, (ours, theirs) in pairs.items():
            (rtp_s, rtp_n), (loop_s, loop_n) = _counted(ours), _counted(theirs)
            if min(rtp_n, loop_n) < self._count:
                raise SystemExit(f"{name} has read {rtp_n} and {loop_n} of {self._count}")
            ratio, target = loop_s / rtp_s, TARGETS["reader"][number]
            missed = target is not None and ratio < target
            is_missed |= missed
            mark = f", missed: {target}" if missed else ""
            print(f"| `rtp {name}` | {rtp_s:.2f} s | {loop_s:.2f} s | {ratio:.1f}{mark} |")
        return is_missed

    def _rate(self, run: Callable[[], object]) -> float:
        return self._count / filling.timed(run)

    def _back(self) -> None:
        """Put what was moved into the DLQ again."""
        _run(_moved(self._aws, self._queue, self._dlq, None, batches=True))


def _counted(run: Callable[[], Sized]) -> tuple[float, int]:
    """Seconds that it takes, and the number of what it returns."""
    began = time.perf_counter()
    count = len(run())
    return time.perf_counter() - began, count


def _run(steps: Generator[Any, None, Any]) -> Any:
    """The result of an operation, to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _moved(aws: Aws, source: str, target: str, count: int | None, *, batches: bool) -> Generator[str, None, None]:
    """A redrive as people write it: receive ten, send and delete them, one by one or in a batch."""
    sqs: Any = aws.client("sqs")
    moved = 0
    while count is None or moved < count:
        messages = sqs.receive_message(
            QueueUrl=source, MaxNumberOfMessages=10, VisibilityTimeout=300, MessageAttributeNames=["All"]
        ).get("Messages", [])
        if not messages:
            return
        if batches:
            entries = [
                {"Id": str(n), "MessageBody": m["Body"], "MessageAttributes": m.get("MessageAttributes", {})}
                for n, m in enumerate(messages)
            ]
            sqs.send_message_batch(QueueUrl=target, Entries=entries)
            receipts = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=source, Entries=receipts)
        else:
            for m in messages:
                sqs.send_message(
                    QueueUrl=target, MessageBody=m["Body"], MessageAttributes=m.get("MessageAttributes", {})
                )
                sqs.delete_message(QueueUrl=source, ReceiptHandle=m["ReceiptHandle"])
        moved += len(messages)
        yield from (m["MessageId"] for m in messages)


def _shards(aws: Aws, table: str) -> Iterator[Any]:
    """All records by the index, one shard and page after the other."""
    pages = aws.client("dynamodb").get_paginator("query")
    for status in ("processing", "processed", "failed", "dead"):
        for shard in range(SHARDS):
            for page in pages.paginate(
                TableName=table,
                IndexName=STATUS_INDEX,
                KeyConditionExpression="status_shard = :s",
                ExpressionAttributeValues={":s": {"S": f"{status}#{shard}"}},
                ScanIndexForward=False,
            ):
                yield from page["Items"]


def _lines(aws: Aws, outputs: Mapping[str, str]) -> Iterator[Any]:
    """All lines of both functions, one page after the other."""
    pages = aws.client("logs").get_paginator("filter_log_events")
    for name in (outputs[Output.PROCESSOR], outputs[Output.WORKER]):
        for page in pages.paginate(logGroupName=f"/aws/lambda/{name}", startTime=_now_ms() - 7_200_000):
            yield from page["events"]


def _archived(aws: Aws, outputs: Mapping[str, str]) -> Iterator[bytes]:
    """All archived events, one object after the other."""
    s3: Any = aws.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=outputs[Output.BUCKET], Prefix="raw/"):
        for found in page.get("Contents", []):
            body = s3.get_object(Bucket=outputs[Output.BUCKET], Key=found["Key"])["Body"].read()
            yield from gzip.decompress(body).splitlines()


def _now_ms() -> int:
    return int(time.time() * 1000)


if __name__ == "__main__":
    sys.exit(main())
