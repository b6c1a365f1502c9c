"""How commands and the local engine slow down with what is stored, and repair commands beside sequential boto3 loops.

    python -m bench.scale [--counts 1000 10000] [--loop 300]

Growth: processor time of each read command's first screen, the engine's included, at each count, and as a ratio to the
first count: other load on the machine does not change it much. Repair: `dlq inspect`, `redrive`
and `purge` beside a loop that receives ten and handles them one by one, and one that works in batches of ten; both
loops run for `--loop` messages and are scaled. Each is measured directly and through a proxy that delays each call by
20 ms, which stands for AWS's latency.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import filling, proxy
from rtp.aws import Aws, stacks
from rtp.contract import Output
from rtp.local import engine as engines
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.inspect import inspect
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.dlq.redrive import RedriveRequest, redrive
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STACK = "bench-local"
DELAY_S = 0.02
SCREENS = (
    ["status"],
    ["records"],
    ["traces"],
    ["logs", "--since", "1m"],
    ["dlq", "inspect", "--limit", "20"],
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--loop", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bench"
        root.mkdir()
        (root / "rtp.toml").write_text('project = "bench"\n')
        try:
            rtp(root, "deploy", "--yes")
            engine = engines.require(root)
            measure(
                root, connect(engine.endpoint_url, engine.keys), engine.endpoint_url, engine.keys, engine.pid, options
            )
        finally:
            engines.stop(root)


def connect(url: str, keys: tuple[str, str]) -> Aws:
    """The engine, directly or through a proxy."""
    return Aws(region="us-east-1", endpoint_url=url, local=True, keys=keys)


def measure(root: Path, aws: Aws, url: str, keys: tuple[str, str], pid: int, options: argparse.Namespace) -> None:
    """Fill, measure and print, count by count."""
    outputs = stacks.deployed(aws, STACK, stacks.describe(aws, STACK)).outputs
    for mapping in aws.call("lambda", "list_event_source_mappings")["EventSourceMappings"]:
        aws.call("lambda", "update_event_source_mapping", UUID=mapping["UUID"], Enabled=False)
    seconds: dict[str, list[float]] = {}
    stored = 0
    for count in options.counts:
        newest = filling.fill(aws, outputs, count - stored)
        stored = count
        for args in (*SCREENS, ["show", newest]):
            before = filling.processor_s(pid)
            for _ in range(options.runs):
                rtp(root, *args)
            seconds.setdefault(" ".join(args).replace(newest, "ID"), []).append(
                (filling.processor_s(pid) - before) / options.runs
            )
    print("\n| first screen | " + " | ".join(f"{count:,}" for count in options.counts) + " | growth |")
    print("| --- |" + " ---: |" * (len(options.counts) + 1))
    for name, row in seconds.items():
        print(f"| `rtp {name}` | " + " | ".join(f"{s:.2f} s" for s in row) + f" | {row[-1] / row[0]:.2f} |")
    with proxy.delaying(url, DELAY_S) as delayed_url:
        for label, place in (("20 ms a call", delayed_url), ("direct", url)):
            repairs(connect(place, keys), outputs, root, stored, options.loop, label)


def repairs(aws: Aws, outputs: Mapping[str, str], root: Path, stored: int, loop: int, label: str) -> None:
    """Compare inspect and redrive of all messages with loops, messages a second."""
    where = Target(aws=aws, outputs=outputs, stack=STACK, account="0", journals=JournalFiles(root / ".rtp" / "bench"))
    queue, dlq = outputs[Output.QUEUE_URL], outputs[Output.DLQ_URL]
    rates: dict[str, float] = {}

    def back() -> None:
        """Put what was moved into the DLQ again."""
        for _ in _moved(aws, queue, dlq, None, batches=True):
            pass

    for name, batches in (("loop, one by one", False), ("loop, batches of ten", True)):
        rates[name] = loop / filling.timed(lambda batches=batches: list(_moved(aws, dlq, queue, loop, batches=batches)))  # type: ignore[misc]
        back()
    rates["rtp dlq inspect"] = stored / filling.timed(
        lambda: inspect(aws, outputs, Filters(), limit=10**7, stop=Stop())
    )
    request = RedriveRequest(filters=Filters(), canary=False)
    rates["rtp dlq redrive"] = stored / filling.timed(lambda: list(redrive(where, request, stop=Stop())))
    back()
    some = PurgeRequest(filters=Filters(), limit=min(1_000, stored // 2))
    rates["rtp dlq purge"] = (some.limit or 0) / filling.timed(lambda: list(purge(where, some, stop=Stop())))
    print(
        f"\n| {label}, {stored:,} messages | messages/s | to one by one | to batches of ten |\n"
        "| --- | ---: | ---: | ---: |"
    )
    for name, rate in rates.items():
        one, ten = rates["loop, one by one"], rates["loop, batches of ten"]
        print(f"| {name} | {rate:,.0f} | {rate / one:.1f} | {rate / ten:.1f} |")


def _moved(aws: Aws, source: str, target: str, count: int | None, *, batches: bool) -> Iterator[str]:
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


def rtp(root: Path, *args: str) -> None:
    """Run a command, which must succeed."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RTP_"))}
    done = subprocess.run([sys.executable, "-m", "rtp", *args], cwd=root, env=environ, capture_output=True, check=False)
    if done.returncode not in (0, 6):
        raise SystemExit(f"rtp {args} ended with {done.returncode}:\n{done.stdout.decode()}\n{done.stderr.decode()}")


if __name__ == "__main__":
    main()
