"""`rtp send` beside a bare client that keeps its connections alive, at 1, 8 and 32 requests at once.

    python -m bench.send [--count 1500] [--lines 10000 100000]

Both are processes that post the same event to `/events` of the same stack, alternating; the seconds and the processor
time of a process that sends one event are taken off. Then: the latencies of `rtp send` through the API with 32 requests
at once, and its memory for files of two lengths.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import filling
from bench.scale import connect, deployed, without_worker
from rtp.aws import api

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 3
AT_ONCE = (1, 8, 32)
RATE, CPU, TAIL, MEMORY = 0.95, 1.3, 5.0, 1.2
SETTINGS = (
    "[defaults]\nthrottle_rate = 10000\nthrottle_burst = 10000\nkey_rate = 10000\nkey_burst = 10000\n"
    "daily_quota = 10000000\n"
)
EVENT = {"type": "order.created", "data": {"total": 7, "note": "x" * 200}}
BARE = """
import http.client, json, sys, threading, time, urllib.parse, uuid
url, count, at_once, headers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
place = urllib.parse.urlsplit(url)
def work(number):
    connection = http.client.HTTPConnection(place.hostname, place.port)
    for _ in range(number, count, at_once):
        event = {**json.loads(sys.argv[5]), "id": uuid.uuid4().hex, "timestamp": int(time.time() * 1000)}
        connection.request("POST", place.path, json.dumps(event), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise SystemExit(answer.status)
threads = [threading.Thread(target=work, args=(n,)) for n in range(at_once)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of one process: by the clock, and of the processor."""

    wall_s: float
    cpu_s: float


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_500)
    parser.add_argument("--lines", type=int, nargs=2, default=[10_000, 100_000])
    options = parser.parse_args()
    with deployed(SETTINGS) as (root, engine):
        (root / "order.json").write_text(json.dumps(EVENT))
        aws = connect(engine.endpoint_url, engine.keys)
        outputs = without_worker(aws)
        url = f"{api.url(outputs, aws).rstrip('/')}/events"
        key = api.access(aws, outputs).headers(url, b"", {"Content-Type": "application/json"})
        is_missed = rates(root, url, key, options.count)
        is_missed |= latencies(root, options.count)
        is_missed |= memory(root, options.lines)
    return int(is_missed)


def rates(root: Path, url: str, headers: dict[str, Any], count: int) -> bool:
    """Print requests a second of both; whether a target is missed."""
    print("| at once | rtp, requests/s | bare client | ratio | processor a request, ratio |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    is_missed = False
    for at_once in AT_ONCE:
        ours: list[Spent] = []
        bare: list[Spent] = []
        for _ in range(ROUNDS):
            ours.append(_more(root, *(_rtp(n, at_once, "events") for n in (1, count + 1))))
            bare.append(_more(root, *(_bare(n, at_once, url, headers) for n in (1, count + 1))))
        a, b = (count / statistics.median(s.wall_s for s in some) for some in (ours, bare))
        cpu = statistics.median(s.cpu_s for s in ours) / statistics.median(s.cpu_s for s in bare)
        missed = a / b < RATE or cpu > CPU
        is_missed |= missed
        print(f"| {at_once} | {a:,.0f} | {b:,.0f} | {a / b:.2f} | {cpu:.2f}{_missed(missed)} |", flush=True)
    print(f"\nTargets: {RATE} of the bare client's rate, {CPU} times its processor time.")
    return is_missed


def latencies(root: Path, count: int) -> bool:
    """Print how the slowest answers compare with the median; whether the target is missed."""
    done = subprocess.run(
        [*_rtp(count, 32, "api"), "--json"],
        cwd=root,
        env=filling.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout[-2000:]}\n{done.stderr}")
    summary = json.loads(done.stdout.splitlines()[-1])
    ratio = float(summary["p99_ms"] / summary["p50_ms"])
    print("\n| 32 at once through the API | p50 | p99 | ratio | target |\n| --- | ---: | ---: | ---: | ---: |")
    print(
        f"| `rtp send` | {summary['p50_ms']:.0f} ms | {summary['p99_ms']:.0f} ms "
        f"| {ratio:.1f}{_missed(ratio > TAIL)} | {TAIL:.0f} |"
    )
    return ratio > TAIL


def memory(root: Path, lengths: list[int]) -> bool:
    """Print the most memory for files of two lengths; whether it grows."""
    peaks = []
    for length in lengths:
        (root / "events.ndjson").write_text(f"{json.dumps(EVENT)}\n" * length)
        peaks.append(filling.peak_mb([sys.executable, "-m", "rtp", "send", "events.ndjson", "--via", "sqs"], root))
    growth = peaks[1] / peaks[0]
    print(f"\n| `rtp send FILE --via sqs` | {lengths[0]:,} lines | {lengths[1]:,} lines | growth |")
    print("| --- | ---: | ---: | ---: |")
    print(f"| most memory | {peaks[0]:.0f} MB | {peaks[1]:.0f} MB | {growth:.2f}{_missed(growth > MEMORY)} |")
    return growth > MEMORY


def _missed(is_missed: bool) -> str:
    return ", missed" if is_missed else ""


def _json(*values: object) -> list[str]:
    return [json.dumps(value) for value in values]


def _rtp(count: int, at_once: int, via: str) -> list[str]:
    options = ["--count", str(count), "--concurrency", str(at_once), "--via", via]
    return [sys.executable, "-m", "rtp", "send", "order.json", *options]


def _bare(count: int, at_once: int, url: str, headers: dict[str, Any]) -> list[str]:
    return [sys.executable, "-c", BARE, url, str(count), str(at_once), *_json(headers, EVENT)]


def _more(root: Path, one: list[str], many: list[str]) -> Spent:
    """What the longer of two processes takes more."""
    a, b = _spent(root, one), _spent(root, many)
    return Spent(b.wall_s - a.wall_s, b.cpu_s - a.cpu_s)


def _spent(root: Path, argv: list[str]) -> Spent:
    began = time.perf_counter()
    with subprocess.Popen(argv, cwd=root, env=filling.environ(), stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv[:4]} ended with {process.returncode}")
    return Spent(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    sys.exit(main())
