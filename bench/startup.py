"""Whole processes that do nothing but show a version or a help, beside those of other command lines of AWS.

Each peer is installed into its own environment in .venv-bench; one that cannot be installed is left out by name.
Processor time, the median of runs that alternate between the two.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".venv-bench"
RUNS = 9
# The peer's package, its command, rtp's, and the target of the ratio.
PAIRS = (
    ("awscli", ("aws", "--version"), ("--version",), 0.25),
    ("chalice", ("chalice", "--help"), ("--help",), 0.35),
    ("awslogs", ("awslogs", "get", "--help"), ("records", "--help"), 0.7),
    ("aws-sam-cli", ("sam", "logs", "--help"), ("logs", "--help"), 0.2),
)


def main() -> int:
    """Print the table; 1 where a ratio is above its target."""
    print("| rtp | s | peer | s | ratio | target |\n| --- | ---: | --- | ---: | ---: | ---: |")
    absent, is_missed = [], False
    for package, theirs, ours, target in PAIRS:
        program = installed(package, theirs[0])
        if program is None:
            absent.append(package)
            continue
        pair = ([sys.executable, "-m", "rtp", *ours], [program, *theirs[1:]])
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(RUNS + 1):
            for argv, some in zip(pair, times, strict=True):
                spent = processor_s(argv)
                if number:  # the first run reads files from the disk
                    some.append(spent)
        a, b = (statistics.median(some) for some in times)
        is_missed |= a / b > target
        mark = ", missed" if a / b > target else ""
        print(
            f"| `rtp {' '.join(ours)}` | {a:.3f} | {package} {release(package)}: `{' '.join(theirs)}` | {b:.3f} ",
            end="",
        )
        print(f"| {a / b:.2f}{mark} | {target} |", flush=True)
    if absent:
        print(f"\nLeft out, because they could not be installed: {', '.join(absent)}.")
    return int(is_missed)


def installed(package: str, command: str) -> str | None:
    """The program of a peer, which is installed where it is absent; None where that fails."""
    folder = FOLDER / package
    program, python, uv = folder / "bin" / command, folder / "bin" / "python", Path(sys.executable).parent / "uv"
    if not program.exists():
        make = [str(uv), "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder)]
        fetch = [str(uv), "pip", "install", "-q", "--compile-bytecode", "--python", str(python), package]
        for argv in (make, fetch):
            if subprocess.run(argv, timeout=240, check=False).returncode:
                return None
    return str(program) if program.exists() else None


def release(package: str) -> str:
    """The version of an installed peer."""
    script = f"import importlib.metadata as m; print(m.version({package!r}))"
    argv = [str(FOLDER / package / "bin" / "python"), "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def processor_s(argv: list[str]) -> float:
    """Processor seconds of a process that must succeed, in the user's and the system's mode."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"SAM_CLI_TELEMETRY": "0"}
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, argv
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
