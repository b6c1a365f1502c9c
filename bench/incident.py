"""From a red alarm to all processed: rtp's four commands beside the same steps by hand, on the local engine.

    python -m bench.incident [--counts 1000 10000 100000] [--seconds 240]

Each way has an engine of its own, whose last release fails for every event of a count. By hand means calls of boto3 as
one makes them with `aws`, without the start of its processes: alarms, messages of the DLQ, error lines of the log, a
deploy through CloudFormation, SQS's own redrive, and a count of the records. They name an error, and neither the
release nor the line that brought it. A count that would take longer than `--seconds`, by the one before, is left out.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.scale import connect
from rtp.aws import queues, stacks
from rtp.contract import Output
from rtp.local import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

STACK = "bench-local"
SETTINGS = (
    'project = "bench"\n[processors]\npath = "processors.py"\n[env.local]\nmax_receive_count = 2\nbackoff_base_s = 0\n'
)
GOOD = """\
from rtp.runtime import Event, processor

RATES = {"EUR": 1, "JPY": 160}


@processor("order.created")
def price(event: Event) -> dict:
    return {"cents": round(event.data["total"] * 100 / RATES[event.data["currency"]])}
"""
POISONED = GOOD.replace(', "JPY": 160', "")
_POLL_S = 0.5
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Way:
    """One way out. commands: to all processed. cause_s, all_s: seconds to the cause, and to all processed."""

    name: str
    commands: int
    cause_s: float
    all_s: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--seconds", type=float, default=240)
    options = parser.parse_args()
    print("| dead events | way | commands | to the cause | to all processed |")
    print("| ---: | --- | ---: | ---: | ---: |")
    before = 0
    took_s = 0.0
    for count in options.counts:
        if before and took_s * count / before > options.seconds:
            print(f"| {count:,} | left out: more than {options.seconds:,.0f} s by the count before | | | |")
            continue
        began = time.monotonic()
        for way in (by_rtp, by_hand):
            with red(count) as (root, aws, outputs):
                result = way(root, aws, outputs, count)
            print(
                f"| {count:,} | {result.name} | {result.commands} | {result.cause_s:.1f} s | {result.all_s:.1f} s |",
                flush=True,
            )
        before, took_s = count, time.monotonic() - began


@contextmanager
def red(count: int) -> Iterator[tuple[Path, Aws, dict[str, str]]]:
    """A pipeline whose last release has failed for so many events, which are dead."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bench"
        root.mkdir()
        (root / "rtp.toml").write_text(SETTINGS)
        try:
            for code in (GOOD, POISONED):
                (root / "processors.py").write_text(code)
                rtp(root, "deploy", "--yes")
            engine = engines.require(root)
            aws = connect(engine.endpoint_url, engine.keys)
            outputs = dict(stacks.deployed(aws, STACK, stacks.describe(aws, STACK)).outputs)
            (root / "order.json").write_text('{"type": "order.created", "data": {"total": 7, "currency": "JPY"}}')
            rtp(root, "send", "order.json", "--count", str(count), "--via", "events", "--concurrency", "16")
            _until(lambda: queues.depth(aws, outputs[Output.DLQ_URL]).total >= count, "the events are not dead")
            yield root, aws, outputs
        finally:
            engines.stop(root)


def by_rtp(root: Path, _aws: Aws, _outputs: dict[str, str], _count: int) -> Way:
    """Triage, rehearse, deploy, redrive."""
    began = time.monotonic()
    screen = rtp(root, "triage", code=None)
    cause_s = time.monotonic() - began
    found = re.search(r"^([0-9a-f]{8})  ", screen, re.M)
    if found is None or "KeyError" not in screen:
        raise SystemExit(f"rtp triage does not name the cause:\n{screen}")
    (root / "processors.py").write_text(GOOD)
    rtp(root, "rehearse", "--group", found[1])
    rtp(root, "deploy", "--hotswap", "--yes")
    rtp(root, "dlq", "redrive", "--group", found[1], "--canary", "--wait", "--yes", "--timeout", str(_TIMEOUT_S))
    return Way("rtp", 4, cause_s, time.monotonic() - began)


def by_hand(root: Path, aws: Aws, outputs: dict[str, str], count: int) -> Way:
    """The same by calls of AWS, one for each command of `aws` that is typed; those that poll count once."""
    began, commands = time.monotonic(), 0
    client: Any = aws.client
    client("cloudwatch").describe_alarms(StateValue="ALARM")
    client("sqs").get_queue_attributes(QueueUrl=outputs[Output.DLQ_URL], AttributeNames=["All"])
    client("sqs").receive_message(QueueUrl=outputs[Output.DLQ_URL], MaxNumberOfMessages=10, VisibilityTimeout=0)
    group = f"/aws/lambda/{outputs[Output.WORKER]}"
    lines = client("logs").filter_log_events(logGroupName=group, filterPattern='"KeyError"', limit=20)["events"]
    commands += 4
    if not lines:
        raise SystemExit("no line of the log has the error")
    cause_s = time.monotonic() - began
    (root / "processors.py").write_text(GOOD)
    rtp(root, "deploy", "--yes")  # as `sam deploy`: through CloudFormation
    arn = client("sqs").get_queue_attributes(QueueUrl=outputs[Output.DLQ_URL], AttributeNames=["QueueArn"])
    source = arn["Attributes"]["QueueArn"]
    client("sqs").start_message_move_task(SourceArn=source)
    commands += 3
    _until(lambda: client("sqs").list_message_move_tasks(SourceArn=source)["Results"][0]["Status"] == "COMPLETED", "")
    _until(lambda: _processed(client("dynamodb"), outputs[Output.TABLE]) >= count, "not all are processed")
    commands += 2
    return Way("by hand", commands, cause_s, time.monotonic() - began)


def _processed(dynamodb: Any, table: str) -> int:
    """The number of processed records, by a scan, as one counts them by hand."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        Select="COUNT",
        FilterExpression="#s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "processed"}},
    )
    return sum(page["Count"] for page in pages)


def _until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"after {_TIMEOUT_S} s: {what}")
        time.sleep(_POLL_S)


def rtp(root: Path, *args: str, code: int | None = 0) -> str:
    """Run a command, and return what it prints. code: that it must exit with; None for any."""
    done = subprocess.run([sys.executable, "-m", "rtp", *args], cwd=root, capture_output=True, text=True, check=False)
    if code is not None and done.returncode != code:
        raise SystemExit(f"rtp {args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
