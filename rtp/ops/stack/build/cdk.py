"""The real CDK CLI in a child process: without output, with its own home folder, and terminated when rtp ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RtpError, WaitTimeoutError
from rtp.infra import passed, toolchain
from rtp.ops.work import background
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rtp.aws import Aws

_GRACE_S = 5.0
_DEPTH = 10  # of the folders in its home
_TIMEOUT_S = 1800.0  # of one command; the upload of a large layer over a slow connection takes minutes
_KEY_CACHE = Path("cache", "accounts_partitions.json")


def run(
    arguments: Sequence[str], *, aws: Aws, home: Path, folder: Path, on_line: Callable[[str], None] | None = None
) -> str:
    """Run `cdk ARGUMENTS` with the credentials of `aws`; returns its output. Raises RtpError with its first error.

    Raises WaitTimeoutError after half an hour: the CDK CLI waits for CloudFormation without an end.

    home: the folder for its cache. folder: its working folder, which must not contain a cdk.json of the user's.
    on_line: called with each line of output as it comes.
    """
    project.below(home)
    if findings := private.doubts(home, _DEPTH):
        raise private.refusal(findings)
    home.chmod(0o700)  # the CDK caches there which account an access key id belongs to
    environ = passed_on(os.environ, aws)
    environ |= toolchain.environment() | _compiled() | aws.environment() | {"CDK_HOME": str(home), "NO_COLOR": "1"}
    try:
        code, lines = ended([*toolchain.cdk(), *arguments, "--ci", "--no-color"], environ, folder, on_line=on_line)
    finally:
        if aws.local:  # the engine's key is a secret, and changes at every start
            (home / _KEY_CACHE).unlink(missing_ok=True)
    if code:
        raise _failure(arguments[0], lines)
    return "\n".join(lines)


def ended(
    argv: list[str],
    environ: dict[str, str],
    folder: Path,
    *,
    on_line: Callable[[str], None] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[int, list[str]]:
    """Run a command to its end. Returns its exit code and its lines of output. Raises WaitTimeoutError."""
    lines: list[str] = []
    is_late = False

    def stop() -> bool:
        nonlocal is_late
        is_late = True
        _terminate(child)
        return False

    with _child(argv, environ, folder) as child, background.repeating(stop, timeout_s):
        assert child.stdout is not None  # noqa: S101 - stdout=PIPE
        for line in child.stdout:
            lines.append(line.rstrip())
            if on_line is not None:
                on_line(lines[-1])
        code = child.wait()
    if is_late:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
        raise WaitTimeoutError(
            f"The CDK CLI had not ended after {timeout_s / 60:.0f} minutes and was stopped. Its last line: {last}",
            hint="Repeat the command.",
            code="cdk",
        )
    return code, lines


def passed_on(user: Mapping[str, str], aws: Aws) -> dict[str, str]:
    """The listed variables of the operator's shell; credentials and endpoints are those of `aws`."""
    return passed.variables(user, aws=not aws.local)


def _compiled() -> dict[str, str]:
    """Make Node cache its compiled code next to Python's: compiling is half of the CLI's start."""
    here = Path(__file__).parent
    if sys.dont_write_bytecode or not os.access(here, os.W_OK):
        return {}
    return {"NODE_COMPILE_CACHE": str(here / "__pycache__" / "node")}


@contextlib.contextmanager
def _child(argv: list[str], environ: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    # Its own session: Ctrl-C then reaches rtp alone, which terminates the child and reports the state of the stack.
    child = subprocess.Popen(
        argv,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        umask=0o077,
    )
    try:
        with child:
            yield child
    except BaseException:
        _terminate(child)
        raise


def _terminate(child: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE_S)
            return


def _failure(command: str, output: list[str]) -> RtpError:
    lines = [line.strip() for line in output if line.strip()]
    text = " ".join(lines)
    if "bootstrap" in text and ("ParameterNotFound" in text or "Has the environment been bootstrapped" in text):
        return ConfigError(
            "This account and region are not bootstrapped.", hint="Run `rtp bootstrap`.", code="no-bootstrap"
        )
    causes = [line for line in lines if "error" in line.lower() or line.startswith(("❌", "Failed"))]
    cause = (causes or lines or ["it printed no reason"])[-1 if not causes else 0]
    return RtpError(f"cdk {command} failed: {cause.lstrip('❌ ')}", code="cdk")
