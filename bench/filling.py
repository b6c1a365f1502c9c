"""Fill a deployed local pipeline with dead events, in large batches.

Each has a record, a line in the raw archive, a DLQ message, a trace and log lines.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.contract import Output
from rtp.runtime import attributes, dlqnote, wire
from rtp.runtime.dlqnote import DlqNote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rtp.aws import Aws

_CONCURRENCY = 4
_SHARDS = 10


def event(number: int, run: str, at: int) -> dict[str, Any]:
    """The event of a number."""
    return {
        "id": f"{run}-{number:08}",
        "timestamp": at,
        "type": "order.created",
        "data": {"total": number / 100, "note": "x" * 200},
    }


def fill(aws: Aws, outputs: Mapping[str, str], count: int, *, archived: int = 100) -> str:
    """Add `count` dead events of the last hour, each with a record, a raw line, a DLQ message, a trace and log lines.

    archived: events in one object of the archive. Returns the id of the newest.
    """
    run, now = secrets.token_hex(4), int(time.time() * 1000)
    events = [event(n, run, now - 3_600_000 * (count - n) // count) for n in range(count)]
    with ThreadPoolExecutor(_CONCURRENCY) as pool:
        for some in _batches(events, 25):
            pool.submit(_records, aws, outputs[Output.TABLE], some)
        for some in _batches(events, 10):
            pool.submit(_messages, aws, outputs[Output.DLQ_URL], some)
        for some in _batches(events, 100):
            pool.submit(_traces, aws, outputs[Output.WORKER], some)
        for some in _batches(events, archived):
            pool.submit(_archive, aws, outputs[Output.BUCKET], some)
    _lines(aws, outputs[Output.WORKER], events)
    return str(events[-1]["id"])


def _records(aws: Aws, table: str, events: Sequence[dict[str, Any]]) -> None:
    items = []
    for e in events:
        shard = hash(e["id"]) % _SHARDS
        note = DlqNote(e["id"], e["timestamp"], dlqnote.digest(json.dumps(e)))
        values = {
            **e,
            "data": json.dumps(e["data"]),
            "status": "dead",
            "trace_id": _trace_of(e),
            "status_shard": f"dead#{shard}",
            "attempt_count": 3,
            "accepted_at": e["timestamp"],
            "error": {"type": "ValueError", "message": "no such customer", "signature": "ValueError: no such customer"},
            dlqnote.ATTRIBUTE: note.values,
        }
        items.append({"PutRequest": {"Item": {name: attributes.pack(value) for name, value in values.items()}}})
    aws.call("dynamodb", "batch_write_item", RequestItems={table: items})


def _messages(aws: Aws, url: str, events: Sequence[dict[str, Any]]) -> None:
    entries = [
        {
            "Id": str(n),
            "MessageBody": json.dumps(e),
            "MessageAttributes": {
                "rtp_request_id": {"DataType": "String", "StringValue": e["id"]},
                "rtp_error_type": {"DataType": "String", "StringValue": "ValueError"},
                "rtp_error_message": {"DataType": "String", "StringValue": "no such customer"},
            },
        }
        for n, e in enumerate(events)
    ]
    aws.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)


def _traces(aws: Aws, function: str, events: Sequence[dict[str, Any]]) -> None:
    documents = []
    for e in events:
        start = e["timestamp"] / 1000
        segment = {
            "trace_id": _trace_of(e),
            "id": secrets.token_hex(8),
            "name": function,
            "start_time": start,
            "end_time": start + 0.05,
            "annotations": {"event_id": e["id"], "event_type": e["type"]},
            "fault": True,
        }
        documents.append(json.dumps(segment))
    aws.call("xray", "put_trace_segments", TraceSegmentDocuments=documents)


def _trace_of(event: Mapping[str, Any]) -> str:
    """The trace of an event, which its record names."""
    return f"1-{event['timestamp'] // 1000:08x}-{hashlib.sha256(event['id'].encode()).hexdigest()[:24]}"


def _archive(aws: Aws, bucket: str, events: Sequence[dict[str, Any]]) -> None:
    lines = [
        {
            "id": e["id"],
            "timestamp": e["timestamp"],
            "source": "events",
            "request_id": e["id"],
            "received_at": e["timestamp"],
            "body": json.dumps(e),
        }
        for e in events
    ]
    hour = time.strftime("%Y/%m/%d/%H", time.gmtime(events[0]["timestamp"] / 1000))
    key = f"{wire.RAW_PREFIX}{hour}/{secrets.token_hex(8)}.ndjson.gz"
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    aws.call("s3", "put_object", Bucket=bucket, Key=key, Body=gzip.compress(text.encode(), compresslevel=1))


def _lines(aws: Aws, function: str, events: Sequence[dict[str, Any]]) -> None:
    group, stream = f"/aws/lambda/{function}", f"bench-{secrets.token_hex(4)}"
    aws.call("logs", "create_log_stream", logGroupName=group, logStreamName=stream)
    lines = [
        {"timestamp": e["timestamp"], "message": json.dumps({"level": "ERROR", "event_id": e["id"], "message": text})}
        for e in events
        for text in ("event received", "attempt failed", "attempt failed", "event dead")
    ]
    for some in _batches(lines, 5_000):
        aws.call("logs", "put_log_events", logGroupName=group, logStreamName=stream, logEvents=list(some))


def _batches(elements: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(elements), size):
        yield elements[start : start + size]


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


# A peak counts the memory of the process that started the command: so that is a small one.
_LAUNCHER = """
import os, sys
null = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null), 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak_mb(argv: Sequence[str], root: Path) -> float:
    """Run a command, which must succeed, and return the most memory that it had, MB."""
    launcher = [sys.executable, "-S", "-E", "-c", _LAUNCHER, *argv]
    done = subprocess.run(launcher, cwd=root, env=environ(), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv} ended with {done.returncode}")
    return int(done.stdout) / 1024


def environ() -> dict[str, str]:
    """The environment of a command, without AWS's and rtp's variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RTP_"))}


def resident_mb(pid: int) -> float:
    """Memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def engine_s(pid: int) -> float:
    """Processor time of a process, and of the children that it has waited for, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def processor_s(pid: int) -> float:
    """Processor time of a running process, and of the children for which this process has waited, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + children.ru_utime + children.ru_stime
