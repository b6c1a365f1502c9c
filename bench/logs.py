"""Compare `rtp logs` with a naive boto3 paginator loop: time to the first line, lines per second, memory.

Both are child processes that read the same 50,000 lines of two functions from the same fake CloudWatch Logs on a
loopback port, which answers in pages like AWS's (1 MB at most, with a token), each after AWS's usual delay.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LINES = 50_000
PAGE_BYTES = 1_000_000
DELAY_S = 0.05  # of FilterLogEvents in the same region, as a rule 50 ms or more
RUNS = 3
NAMES = ("bench-far-processor", "bench-far-worker")

NAIVE = """
import sys, boto3
logs = boto3.client("logs", region_name="us-east-1", endpoint_url=sys.argv[1],
                    aws_access_key_id="test", aws_secret_access_key="test")
for name in sys.argv[2:]:
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", startTime=0):
        for event in page["events"]:
            print(event["message"], flush=True)
"""
NAIVE_MERGED = """
import sys, boto3
logs = boto3.client("logs", region_name="us-east-1", endpoint_url=sys.argv[1],
                    aws_access_key_id="test", aws_secret_access_key="test")
events = []
for name in sys.argv[2:]:
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", startTime=0):
        events += page["events"]
events.sort(key=lambda event: event["timestamp"])
for event in events:
    print(event["message"], flush=True)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Time, memory and CPU of one reader."""

    first_s: float
    total_s: float
    lines: int
    peak_mb: float
    cpu_s: float


def main() -> dict[str, dict[str, float]]:
    """Measure, print the table, and return its numbers."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), _handler({f"/aws/lambda/{name}": Group(role) for role, name in enumerate(NAMES)})
    )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rtp.toml").write_text(f'project = "bench"\n[env.far]\nendpoint_url = "{url}"\n')
        rtp = [sys.executable, "-m", "rtp", "logs", "-e", "far", "--since", "1970-01-01T00:00:00Z"]
        readers = {
            "naive": [sys.executable, "-c", NAIVE, url, *NAMES],
            "naive, merged by time": [sys.executable, "-c", NAIVE_MERGED, url, *NAMES],
            "rtp logs --format raw": [*rtp, "--format", "raw"],
            "rtp logs": rtp,
            "rtp logs --json": [*rtp, "--json"],
        }
        # The readers alternate, so that a slower minute of the machine affects all of them.
        runs: dict[str, list[Run]] = {name: [] for name in readers}
        for _ in range(RUNS):
            for name, argv in readers.items():
                runs[name].append(measure(argv, Path(folder)))
    server.shutdown()
    return report(runs)


def measure(argv: list[str], folder: Path) -> Run:
    """Run a reader to its end, and read its lines as a pipe would."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RTP_"))} | {"AWS_CONFIG_FILE": os.devnull}
    began = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=folder, env=env)
    assert process.stdout is not None
    first, lines = 0.0, 0
    for _ in process.stdout:
        first = first or time.perf_counter() - began
        lines += 1
    total = time.perf_counter() - began
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, argv
    return Run(first, total, lines, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def report(runs: dict[str, list[Run]]) -> dict[str, dict[str, float]]:
    """Print the table, and return it: medians, and each as a ratio to the naive loop."""
    table: dict[str, dict[str, float]] = {}
    for name, some in runs.items():
        table[name] = {
            "first_s": statistics.median(r.first_s for r in some),
            "lines_per_s": statistics.median(r.lines / r.total_s for r in some),
            "peak_mb": statistics.median(r.peak_mb for r in some),
            "cpu_s": min(r.cpu_s for r in some),
        }
    naive = table["naive"]
    print(f"{LINES:,} lines of two functions, median of {RUNS}; in brackets as a ratio to the naive loop\n")
    print(f"{'':24}{'first line':>19}{'lines/s':>21}{'peak memory':>20}{'CPU':>16}")
    for name, row in table.items():
        first, rate, peak, cpu = row["first_s"], row["lines_per_s"], row["peak_mb"], row["cpu_s"]
        print(
            f"{name:24}{first * 1000:9.0f} ms ({first / naive['first_s']:4.2f})"
            f"{rate:14,.0f} ({rate / naive['lines_per_s']:4.2f}){peak:10.0f} MB ({peak / naive['peak_mb']:4.2f})"
            f"{cpu:7.2f} s ({cpu / naive['cpu_s']:4.2f})"
        )
    return table


class Group:
    """A log group that answers FilterLogEvents with events that were encoded in advance."""

    def __init__(self, role: int) -> None:
        self._times = [1_800_000_000_000 + n * 20 + role * 10 for n in range(LINES // 2)]
        self._events = [_event(n, at, f"{role}{n:055d}") for n, at in enumerate(self._times)]

    def page(self, request: dict[str, Any]) -> bytes:
        """Return one page: at most the limit, at most 1 MB, and a token for the rest."""
        first = int(request["nextToken"]) if "nextToken" in request else bisect_left(self._times, request["startTime"])
        most = min(len(self._events), first + request.get("limit", 10_000))
        last, size = first, 0
        while last < most and size + len(self._events[last]) <= PAGE_BYTES:
            size += len(self._events[last])
            last += 1
        token = b', "nextToken": "%d"' % last if last < len(self._events) else b""
        return b'{"events": [' + b",".join(self._events[first:last]) + b"]" + token + b"}"


def _event(n: int, at: int, event_id: str) -> bytes:
    line = {
        "timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": "INFO" if n % 50 else "ERROR",
        "event_id": f"01a20910-a6c9-7b0e-9789-{n:012x}",
        "event_type": "order.created",
        "request_id": f"2b9884d4-27ef-495f-bbe2-{n:012x}",
        "trace_id": f"1-6b045e5f-{n:024x}",
        "attempt": 1,
        "duration_ms": 41.1,
        "step": "processed",
        "message": "event processed",
    }
    message = json.dumps(line, separators=(",", ":"))
    event = {"logStreamName": "s", "timestamp": at, "message": message, "ingestionTime": at, "eventId": event_id}
    return json.dumps(event).encode()


def _stack() -> bytes:
    outputs = {"ProcessorName": NAMES[0], "WorkerName": NAMES[1]}
    members = "".join(
        f"<member><OutputKey>{k}</OutputKey><OutputValue>{v}</OutputValue></member>" for k, v in outputs.items()
    )
    return (
        '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
        "<Stacks><member><StackName>bench-far</StackName><CreationTime>2027-01-15T08:00:00Z</CreationTime>"
        f"<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members}</Outputs></member></Stacks>"
        "</DescribeStacksResult></DescribeStacksResponse>"
    ).encode()


def _handler(groups: dict[str, Group]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """The two calls that a reader makes."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if "FilterLogEvents" not in self.headers.get("X-Amz-Target", ""):
                self._answer("text/xml", _stack())
                return
            request = json.loads(body)
            time.sleep(DELAY_S)
            self._answer("application/x-amz-json-1.1", groups[request["logGroupName"]].page(request))

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler


if __name__ == "__main__":
    main()
