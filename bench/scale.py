"""How read commands and the local engine slow down with what is stored.

    python -m bench.scale [--counts 1000 10000 100000]

Growth: processor time of each read command's first screen, the engine's included, at each count, and as a ratio to the
first count: other load on the machine does not change it much. Memory: of commands that read everything, at the two
highest counts. Then the engine itself, with the highest count stored: memory, processor time at rest and with saves,
stop and start.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import filling
from rtp.aws import Aws, stacks
from rtp.contract import Output
from rtp.local import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.local.engine import Engine

STACK = "bench-local"
TARGET, LONGEST_S, MOST_MB, MOST_REST, MOST_SAVES, START_S, STOP_S = 1.5, 1.0, 600, 0.01, 0.05, 2.0, 3.0
REST_S, SETTLED_S = 30, 75
SCREENS = (
    ["status"],
    ["records"],
    ["traces"],
    ["triage"],
    ["logs", "--since", "1m"],
    ["dlq", "inspect", "--limit", "20"],
)
WHOLE = (
    ["dlq", "inspect", "--count"],
    ["dlq", "redrive", "--all", "--dry-run"],
    ["records", "--count"],
    ["replay", "--since", "2h", "--dry-run"],
)


def main() -> int:
    """Measure and print; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with deployed() as (root, engine):
        return measure(root, engine, options.counts, options.runs)


@contextmanager
def deployed(settings: str = "") -> Iterator[tuple[Path, Engine]]:
    """A project folder with a pipeline on an engine of its own, which is stopped at the end. settings: of rtp.toml."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bench"
        root.mkdir()
        (root / "rtp.toml").write_text(f'project = "bench"\n{settings}')
        try:
            rtp(root, "deploy", "--yes")
            yield root, engines.require(root)
        finally:
            engines.stop(root)


def connect(url: str, keys: tuple[str, str]) -> Aws:
    """The engine, directly or through a proxy."""
    return Aws(region="us-east-1", endpoint_url=url, local=True, keys=keys)


def without_worker(aws: Aws) -> Mapping[str, str]:
    """Stop the worker's event source, so that messages stay where they are put. Returns the stack's outputs."""
    outputs = stacks.deployed(aws, STACK, stacks.describe(aws, STACK)).outputs
    for mapping in aws.call("lambda", "list_event_source_mappings")["EventSourceMappings"]:
        aws.call("lambda", "update_event_source_mapping", UUID=mapping["UUID"], Enabled=False)
    return outputs


def measure(root: Path, engine: Engine, counts: list[int], runs: int) -> int:
    """Fill, measure and print, count by count; 1 where a target is missed."""
    aws = connect(engine.endpoint_url, engine.keys)
    outputs = without_worker(aws)
    seconds: dict[str, list[float]] = {}
    longest: dict[str, float] = {}
    memory: dict[str, list[float]] = {}
    stored = 0
    for count in counts:
        newest = filling.fill(aws, outputs, count - stored)
        stored = count
        for args in (*SCREENS, ["show", newest]):
            name = " ".join(args).replace(newest, "ID")
            before, began = filling.processor_s(engine.pid), time.monotonic()
            for _ in range(runs):
                rtp(root, *args)
            longest[name] = (time.monotonic() - began) / runs
            seconds.setdefault(name, []).append((filling.processor_s(engine.pid) - before) / runs)
        if count in counts[-2:]:
            for args in WHOLE:
                argv = [sys.executable, "-m", "rtp", *args, "--json"]
                memory.setdefault(" ".join(args), []).append(filling.peak_mb(argv, root))
    is_missed = screens(counts, seconds, longest)
    print("\n| most memory of a command that reads everything | " + " | ".join(f"{n:,}" for n in counts[-2:]) + " |")
    print("| --- |" + " ---: |" * len(counts[-2:]))
    for name, peaks in memory.items():
        print(f"| `rtp {name}` | " + " | ".join(f"{mb:.0f} MB" for mb in peaks) + " |")
    is_missed |= itself(root, aws, outputs, engine.pid, stored)
    curves = {name: list(zip(counts, row, strict=True)) for name, row in seconds.items()}
    print("curves: " + json.dumps(curves))
    return int(is_missed)


def screens(counts: list[int], seconds: Mapping[str, list[float]], longest: Mapping[str, float]) -> bool:
    """Print the growth of the first screens; whether one misses its target."""
    is_missed = False
    print("| first screen | " + " | ".join(f"{n:,}" for n in counts) + f" | growth | whole, at {counts[-1]:,} |")
    print("| --- |" + " ---: |" * (len(counts) + 2))
    for name, row in seconds.items():
        growth = row[-1] / row[0]
        missed = growth > TARGET or longest[name] > LONGEST_S
        is_missed |= missed
        cells = " | ".join(f"{s:.2f} s" for s in row)
        print(f"| `rtp {name}` | {cells} | {growth:.2f} | {longest[name]:.2f} s{', missed' if missed else ''} |")
    return is_missed


def itself(root: Path, aws: Aws, outputs: Mapping[str, str], pid: int, stored: int) -> bool:
    """Print what the engine costs with so much stored; whether a target is missed."""
    deadline, used, since = time.monotonic() + 300, -1.0, time.monotonic()
    while time.monotonic() < min(deadline, since + SETTLED_S):  # until no save is to come; the pause before it grows
        if used != (used := filling.engine_s(pid)):
            since = time.monotonic()
        time.sleep(5)
    before = used
    began = time.monotonic()
    time.sleep(REST_S)
    rest = (filling.engine_s(pid) - before) / (time.monotonic() - began)
    before, began = filling.engine_s(pid), time.monotonic()
    for _ in range(2 * REST_S):
        aws.call("sqs", "get_queue_attributes", QueueUrl=outputs[Output.DLQ_URL], AttributeNames=["All"])
        time.sleep(1)
    saves = (filling.engine_s(pid) - before) / (time.monotonic() - began)
    memory = filling.resident_mb(pid)
    stopped = filling.timed(lambda: rtp(root, "local", "stop"))
    data = sum(path.stat().st_size for path in (root / ".rtp").rglob("*") if path.is_file()) / 1e6
    started = filling.timed(lambda: rtp(root, "local", "start"))
    rows = [
        ("memory", f"{memory:.0f} MB", f"{MOST_MB} MB", memory > MOST_MB),
        ("processor at rest", f"{rest:.2%} of a core", f"{MOST_REST:.0%}", rest > MOST_REST),
        (
            "processor with a call a second, and saves",
            f"{saves:.2%} of a core",
            f"{MOST_SAVES:.0%}",
            saves > MOST_SAVES,
        ),
        ("stop", f"{stopped:.2f} s", f"{STOP_S:.0f} s", stopped > STOP_S),
        (f"start with {data:.0f} MB of data", f"{started:.2f} s", f"{START_S:.0f} s", started > START_S),
    ]
    print(f"\n| the engine with {stored:,} events | measured | target |\n| --- | ---: | ---: |")
    for what, value, target, missed in rows:
        print(f"| {what} | {value}{', missed' if missed else ''} | {target} |")
    return any(missed for *_, missed in rows)


def rtp(root: Path, *args: str) -> None:
    """Run a command, which must succeed."""
    argv = [sys.executable, "-m", "rtp", *args]
    done = subprocess.run(argv, cwd=root, env=filling.environ(), capture_output=True, check=False)
    if done.returncode not in (0, 6):
        raise SystemExit(f"rtp {args} ended with {done.returncode}:\n{done.stdout.decode()}\n{done.stderr.decode()}")


if __name__ == "__main__":
    sys.exit(main())
