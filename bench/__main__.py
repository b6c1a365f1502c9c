"""Run every benchmark, one after the other: `python -m bench`."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("deploy", "runtime", "logs", "scale")


def main() -> int:
    failed = 0
    for name in NAMES:
        sys.stdout.write(f"\n== bench.{name}\n")
        sys.stdout.flush()
        failed |= subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
