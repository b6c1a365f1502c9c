"""Compare rtp deploy with the plain CDK CLI, with the same app and the same engine, in one run.

    python -m bench.deploy [--rounds N] [--json]

Each side has its own project and engine, and does the same work: start the engine, bootstrap, pack the assets,
synthesise, deploy. The CDK's app is rtp's, synthesised by the same child interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.aws import Aws
from rtp.config import environments
from rtp.infra import toolchain
from rtp.local import engine as engines
from rtp.ops.stack.build import synth

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSORS = "from rtp.runtime import processor\n\n\n@processor('n')\ndef f(event):\n    return {'version': VERSION}\n"
LIMITS = {"first local deploy": 0.8, "unchanged deploy": 0.25, "change of code": 0.3, "diff of a setting": 1.0}


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds of both, and their ratio."""

    what: str
    rtp_s: float
    cdk_s: float

    @property
    def ratio(self) -> float:
        """Below 1, rtp is faster."""
        return self.rtp_s / self.cdk_s


class Project:
    """A project folder with its own engine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "rtp.toml").write_text('[processors]\npath = "processors.py"\n')
        self.save(0)

    def save(self, version: int, *, memory: int = 512) -> None:
        """Write new code, or another setting."""
        (self.root / "processors.py").write_text(PROCESSORS.replace("VERSION", str(version)))
        (self.root / "rtp.toml").write_text(f'[processors]\npath = "processors.py"\n[defaults]\nmemory_mb = {memory}\n')

    def run(self, argv: list[str], environ: dict[str, str] | None = None, *, codes: tuple[int, ...] = (0,)) -> float:
        """Run a command, which must succeed, and return its wall seconds."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RTP_", "PYTHONDONTWRITE"))}
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=self.root, env=clean | (environ or {}), capture_output=True, check=False)
        took = time.perf_counter() - began
        if done.returncode not in codes:
            raise SystemExit(f"{argv} ended with {done.returncode}:\n{done.stdout.decode()}\n{done.stderr.decode()}")
        return took


class Rtp(Project):
    """The commands of an operator who uses rtp."""

    def rtp(self, *args: str) -> float:
        return self.run([sys.executable, "-m", "rtp", *args])

    def first(self) -> float:
        return self.rtp("deploy", "--yes")

    def deploy(self) -> float:
        return self.rtp("deploy", "--yes")

    def diff(self) -> float:
        return self.rtp("diff")


class Cdk(Project):
    """The commands of an operator who uses the CDK CLI with the same app and starts the engine by hand."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._environ: dict[str, str] = {}

    def cdk(self, *args: str, codes: tuple[int, ...] = (0,)) -> float:
        return self.run([*toolchain.cdk(), *args], self._environ, codes=codes)

    def synthesising(self, *args: str, codes: tuple[int, ...] = (0,)) -> float:
        """Run a command that runs the app; its assets are packed first, as an app does itself."""
        began = time.perf_counter()
        environment = environments.resolve(cwd=self.root, environ={})
        plan = synth._plan(environment, self.root / "cdk.out", None, None, force=False)
        (self.root / "plan.json").write_text(plan.dumps())
        app = f"{sys.executable} -P -m rtp.infra.app < {self.root / 'plan.json'}"
        packed = time.perf_counter() - began
        return packed + self.cdk(*args, "--app", app, "--output", "cdk.out", codes=codes)

    def first(self) -> float:
        started = self.run([sys.executable, "-m", "rtp", "local", "start"])
        running = engines.require(self.root)
        aws = Aws(region="us-east-1", endpoint_url=running.endpoint_url, local=True, keys=running.keys)
        self._environ = {
            **toolchain.environment(),
            **toolchain.bytecode(),
            **aws.environment(),
            "CDK_HOME": str(self.root / "home"),
            "CDK_VALIDATION": "false",
        }
        return started + self.cdk("bootstrap", "aws://000000000000/us-east-1") + self.deploy()

    def deploy(self) -> float:
        return self.synthesising("deploy", "--require-approval", "never")

    def diff(self) -> float:
        return self.synthesising("diff", "--no-change-set", codes=(0, 1))


def measure(folder: Path, rounds: int) -> list[Row]:
    """Measure every case, alternating between the sides."""
    taken: dict[str, tuple[list[float], list[float]]] = {what: ([], []) for what in LIMITS}

    def both(what: str, one: Callable[[], float], other: Callable[[], float]) -> None:
        taken[what][0].append(one())
        taken[what][1].append(other())

    for number in range(rounds):
        rtp, cdk = Rtp(folder / f"rtp{number}"), Cdk(folder / f"cdk{number}")
        try:
            both("first local deploy", rtp.first, cdk.first)
            both("unchanged deploy", rtp.deploy, cdk.deploy)
            for project in (rtp, cdk):
                project.save(number + 1)
            both("change of code", rtp.deploy, cdk.deploy)
            for project in (rtp, cdk):
                project.save(number + 1, memory=256)
            both("diff of a setting", rtp.diff, cdk.diff)
        finally:
            for project in (rtp, cdk):
                engines.stop(project.root)
    # The best of each: other load on the machine only adds.
    return [Row(what, min(a), min(b)) for what, (a, b) in taken.items()]


def main() -> int:
    """Print the table; 1 when a ratio is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rtp-bench-"))
    try:
        rows = measure(folder, options.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps([{"what": r.what, "rtp_s": r.rtp_s, "cdk_s": r.cdk_s, "ratio": r.ratio} for r in rows]))
    else:
        print(f"{'':<22}{'rtp':>8}{'cdk':>8}{'ratio':>8}{'limit':>8}   best of {options.rounds}")
        for r in rows:
            print(f"{r.what:<22}{r.rtp_s:>7.2f}s{r.cdk_s:>7.2f}s{r.ratio:>8.2f}{LIMITS[r.what]:>8.2f}")
    return int(any(r.ratio > LIMITS[r.what] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
