"""Where the time of the hot commands goes: the shares of what runs in the main thread, by Python's own profiler.

    python -m bench.shares [--count 1000]

Waiting is for the engine's answers and for other threads, which send requests side by side; their own work is not in
the profile. A profiler makes calls slower, so the shares say more than the seconds.
"""

from __future__ import annotations

import argparse
import pstats
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

from bench import filling
from bench.scale import connect, deployed, without_worker

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("imports", "waiting", "AWS's library", "JSON", "rtp", "terminal", "other")
COMMANDS = (
    ["status"],
    ["records"],
    ["traces"],
    ["logs", "--since", "2h"],
    ["dlq", "inspect"],
    ["dlq", "redrive", "--all", "--no-canary", "--yes"],
    ["dlq", "undo", "--yes"],
    ["send", "order.json", "--count", "500", "--via", "events"],
    ["deploy", "--yes"],
)
_WAITING = ("acquire", "recv_into", "SimpleQueue", "'poll'", "select", "sleep", "connect", "waitpid", "epoll")
_IMPORTING = ("marshal", "_imp", "exec", "__build_class__", "compile", "open_code", "posix.stat", "posix.listdir")
_SET_UP = ("/re/", "/dataclasses.py", "/enum.py", "/typing.py", "/abc.py", "/collections/__init__.py")
_LIBRARY = (
    "/botocore/",
    "/boto3/",
    "/urllib3/",
    "/s3transfer/",
    "/http/",
    "/email/",
    "/ssl.py",
    "/socket.py",
    "/dateutil/",
)
_TERMINAL = ("/rich/", "/typer/", "/click/", "/rtp/terminal/", "/pygments/")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000)
    options = parser.parse_args()
    with deployed() as (root, engine):
        (root / "order.json").write_text('{"type": "order.created", "data": {"total": 7}}')
        aws = connect(engine.endpoint_url, engine.keys)
        filling.fill(aws, without_worker(aws), options.count)
        print("| command | s | " + " | ".join(KINDS) + " |")
        print("| --- | ---: |" + " ---: |" * len(KINDS))
        for args in COMMANDS:
            total, shares = profiled(root, args)
            cells = " | ".join(f"{shares[kind] / total:.0%}" for kind in KINDS)
            print(f"| `rtp {' '.join(args)}` | {total:.2f} | {cells} |", flush=True)


def profiled(root: Path, args: list[str]) -> tuple[float, Counter[str]]:
    """Seconds of a command under the profiler, and of these each kind's."""
    out = root / "profile"
    argv = [sys.executable, "-m", "cProfile", "-o", str(out), "-m", "rtp", *args]
    done = subprocess.run(argv, cwd=root, env=filling.environ(), capture_output=True, text=True, check=False)
    if not out.exists():
        raise SystemExit(f"rtp {args}: no profile\n{done.stdout}\n{done.stderr}")
    shares: Counter[str] = Counter()
    for (file, _, name), (_, _, own_s, _, _) in pstats.Stats(str(out)).stats.items():  # type: ignore[attr-defined]
        shares[kind(file, name)] += own_s
    out.unlink()
    return sum(shares.values()), shares


def kind(file: str, name: str) -> str:
    """What a function of the profile belongs to."""
    if file == "~":
        if any(word in name for word in _WAITING):
            return "waiting"
        if any(word in name for word in _IMPORTING):
            return "imports"
        return "JSON" if "json" in name or "msgspec" in name or "scanner" in name else "other"
    if file.startswith("<frozen importlib") or any(part in file for part in _SET_UP):
        return "imports"
    places = (("terminal", _TERMINAL), ("AWS's library", _LIBRARY), ("JSON", ("/json/",)), ("rtp", ("/rtp/",)))
    return next((label for label, parts in places if any(part in file for part in parts)), "other")


if __name__ == "__main__":
    main()
