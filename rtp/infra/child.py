"""Runs the CDK app in a child interpreter, and reports its first cause where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RtpError
from rtp.infra import passed, toolchain
from rtp.infra.app import EXTENSION_FAILED, FAILED
from rtp.text import addresses
from rtp.trust import private, project

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.infra.plan import Plan

TIMEOUT_S = 300


def run(plan: Plan, scratch: Path, log: Path) -> None:
    """Run the CDK app. scratch: for its temporary files. log: for its output, where it fails. Raises RtpError."""
    # -P: a module in the user's folder must not hide one of the standard library.
    argv = [sys.executable, "-P", "-m", "rtp.infra.app"]
    try:
        done = subprocess.run(
            argv,
            input=plan.dumps(),
            capture_output=True,
            text=True,
            env={**_environment(), "TMPDIR": str(scratch)},  # jsii leaves megabytes there when it is killed
            timeout=TIMEOUT_S,
            check=False,
            cwd=plan.root or None,  # paths in an extension are relative to the project's folder
        )
    except subprocess.TimeoutExpired:
        raise RtpError(f"The synthesis did not end within {TIMEOUT_S} s.", code="synth") from None
    if done.returncode == 0:
        log.unlink(missing_ok=True)
        return
    project.below(log.parent)
    private.write(log, addresses.masked(f"{done.stdout}\n{done.stderr}"))
    if done.returncode == EXTENSION_FAILED:
        raise ConfigError(
            f"{done.stderr.strip().splitlines()[-1]}.".replace("..", "."),
            hint=f"Fix it; nothing was deployed. The whole output is in {log}.",
            code="extension",
        )
    raise RtpError(
        f"The synthesis failed: {_cause(done.returncode, done.stderr)}",
        hint=f"The whole output is in {log}.",
        code="synth",
    )


def _environment() -> dict[str, str]:
    """The listed variables of the operator's shell, and those of the tools."""
    # The CDK's check of templates takes a second; tests/infra checks rtp's templates with cfn-lint and more.
    return {
        **passed.variables(os.environ),
        **toolchain.environment(),
        **toolchain.bytecode(),
        "CDK_VALIDATION": "false",
    }


def _cause(status: int, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if status < 0:
        return f"signal {-status} ended it"
    if not lines:
        return f"it ended with status {status} and no output"
    return lines[-1] if status == FAILED else f"it ended with status {status}: {lines[-1]}"
