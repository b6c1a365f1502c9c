"""What the CDK needs in an account and region before the first deploy: its asset bucket and roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import account, stacks
from rtp.contract import LOCAL_ACCOUNT
from rtp.errors import AwsError, ConfigError, RtpError
from rtp.infra import toolchain
from rtp.ops.stack.build import cdk
from rtp.ops.work.polling import poll
from rtp.trust import project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.stacks import Stack
    from rtp.config import Environment

STACK = "CDKToolkit"
PARAMETER = "/cdk-bootstrap/hnb659fds/version"
NEEDED = 6  # what assemblies of this CDK require
_TIMEOUT_S = 60.0
# As `cdk bootstrap` sets them: no KMS key, nothing public.
_PARAMETERS = {
    "FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY",
    "PublicAccessBlockConfiguration": "true",
    "CloudFormationExecutionPolicies": "arn:aws:iam::aws:policy/AdministratorAccess",
}


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The bootstrap of an account and region.

    bootstrap_version: the CDK's own; 0 where there is none. changed: by this run.
    bucket: rtp's own, with the leases of deploys. bucket_is_new: created by this run.
    """

    account: str
    region: str
    bootstrap_version: int
    changed: bool
    bucket: str = ""
    bucket_is_new: bool = False


def version(aws: Aws) -> int | None:
    """Version of the bootstrap of this account and region; None where there is none. Raises AwsError."""
    value = account.parameter(aws, PARAMETER)
    return None if value is None else int(value)


def check(aws: Aws) -> None:
    """Raises ConfigError where a deploy would fail without a newer bootstrap; not where that cannot be read."""
    try:
        found = version(aws)
    except AwsError as error:
        if error.code == "access-denied":  # the CDK's own roles may read it; its CLI then checks
            return
        raise
    where = f"{aws.account}/{aws.region}"
    if found is None:
        raise ConfigError(f"{where} is not bootstrapped.", hint="Run `rtp bootstrap`.", code="no-bootstrap")
    if found < NEEDED:
        raise ConfigError(
            f"The bootstrap of {where} has version {found}; a deploy needs {NEEDED}.",
            hint="Run `rtp bootstrap`, which updates it in place.",
            code="old-bootstrap",
        )


def bootstrap(aws: Aws, environment: Environment, before: int | None, *, on_line: Callable[[str], None]) -> Bootstrap:
    """Prepare account and region with the real `cdk bootstrap`; an engine directly. before: the current version."""
    if environment.local:
        return ensure_on_engine(aws)
    home = environment.state / "cdk" / "home"
    project.below(home)
    cdk.run(["bootstrap", f"aws://{aws.account}/{aws.region}"], aws=aws, home=home, folder=home, on_line=on_line)
    after = version(aws) or 0
    return Bootstrap(aws.account, aws.region, after, after != before)


def ensure_on_engine(aws: Aws) -> Bootstrap:
    """Prepare an engine: create the CDK's own template directly in CloudFormation, in a fraction of a second."""
    stack = stacks.describe(aws, STACK)
    if stack is not None and stack.state.succeeded:
        return _on_engine(aws, stack, changed=False)
    if stack is not None:
        stacks.delete(aws, STACK)
        _settled(aws, lambda now: now is None)
    stacks.create(aws, STACK, template().read_text(encoding="utf-8"), _PARAMETERS)
    # A stack that was just created may not be described yet; one whose creation failed remains.
    stack = _settled(aws, lambda now: now is not None and not now.state.busy)
    if stack is None or not stack.state.succeeded:
        state = f"is {stack.state}" if stack else f"did not appear within {_TIMEOUT_S:g} s"
        raise RtpError(
            f"The local engine could not be prepared for deploys: {STACK} {state}.", hint="Run `rtp local reset`."
        )
    return _on_engine(aws, stack, changed=True)


def _on_engine(aws: Aws, stack: Stack, *, changed: bool) -> Bootstrap:
    version = int(stack.outputs.get("BootstrapVersion", "0"))
    return Bootstrap(LOCAL_ACCOUNT, aws.region, version, changed)


def template() -> Path:
    """The template that `cdk bootstrap` applies, from the CDK CLI's wheel."""
    from pathlib import Path

    script = Path(toolchain.cdk()[-1])
    return script.parents[1] / "lib" / "api" / "bootstrap" / "bootstrap-template.yaml"


def _settled(aws: Aws, done: Callable[[Stack | None], bool]) -> Stack | None:
    return poll(lambda: stacks.describe(aws, STACK), done, 0.05, timeout_s=_TIMEOUT_S)
