"""From an assembly to a prepared change set: by the CDK CLI, or by rtp itself where Node is not needed for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import buckets, changesets, resource_types, stacks
from rtp.errors import AwsError, RtpError, WaitTimeoutError
from rtp.ops.stack.build import cdk
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.changesets import ChangeSet
    from rtp.aws.stacks import Stack
    from rtp.ops.stack.build.assembly import Manifest
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.compare.changes import ResourceChange
    from rtp.ops.stack.operation import Target
    from rtp.ops.work.clock import Clock

CHANGE_SET = "rtp-deploy"
_TIMEOUT_S = 600.0  # CloudFormation needs seconds; with hooks of the account, minutes
_CODE = ("Code.S3Key", "Code.S3Bucket")  # the bucket, after a rollback to a release that is in rtp's own alone
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


@dataclass(frozen=True, slots=True)
class Triggers:
    """ARNs of the alarms that roll back, or `none` to remove earlier ones; minutes for which they are watched."""

    alarms: tuple[str, ...] = ()
    minutes: int = 0


def with_cdk(
    target: Target,
    built: Assembly,
    triggers: Triggers = Triggers(),
    *,
    revert_drift: bool = False,
    run: Callable[..., str] = cdk.run,
) -> ChangeSet:
    """Publish the assets and prepare the change set with the CDK CLI.

    revert_drift: as a drift-aware change set, which compares with the resources and not with the template before.
    """
    stack = target.name
    argv = ["deploy", stack, "--app", str(built.path), "--method", "prepare-change-set"]
    argv += ["--change-set-name", CHANGE_SET, "--require-approval", "never"]
    argv += ["--revert-drift", "--force"] if revert_drift else []  # --force: also where the template is the same
    for arn in triggers.alarms:
        argv += ["--rollback-trigger-alarm-arns", arn]
    if triggers.minutes:
        argv += ["--monitoring-time-minutes", str(triggers.minutes)]
    run(argv, aws=target.aws, home=target.environment.state / "cdk" / "home", folder=built.path)
    change_set = changesets.describe(target.aws, stack, CHANGE_SET)
    if change_set is None:
        raise RtpError("The CDK CLI prepared no change set.", hint="Run `rtp deploy` again.", code="change-set")
    return change_set


def on_engine(target: Target, built: Assembly, manifest: Manifest, stack: Stack | None) -> ChangeSet:
    """As `with_cdk` without triggers, and without Node, which takes most of a deploy to the embedded engine.

    stack: as it is now; None for a new one.
    """
    aws = target.aws
    _upload(aws, files(built.path))
    is_new = stack is None or stack.state.in_review
    body = json.dumps(built.template, separators=(",", ":"))
    change_set = prepared(aws, target.name, body, manifest.tags, new=is_new)
    is_protected = stack is not None and stack.protected
    if is_protected != manifest.termination_protection:
        stacks.protect(aws, change_set.stack_id, on=manifest.termination_protection)
    return change_set


def only_code(changes: Sequence[ResourceChange]) -> bool:
    """Whether nothing but the code of rtp's own functions differs, not of those of `[infra] extend`."""
    return bool(changes) and all(
        c.path.partition("/")[0] in ("", "Processing", "Cleanup", "Notifier")
        and c.resource_type == resource_types.FUNCTION
        and c.action == "modify"
        and all(p.path in _CODE for p in c.properties)
        for c in changes
    )


def code_archive(built: Assembly, changes: Sequence[ResourceChange]) -> Path:
    """The zip of the functions' code in the assembly."""
    return _archive(built, {str(p.after) for c in changes for p in c.properties})


def _archive(built: Assembly, keys: set[str]) -> Path:
    for key, _, file in files(built.path):
        if key in keys:
            return file
    raise RtpError(f"{built.path} does not contain the functions' code.", hint="Run `rtp synth`, then deploy again.")


def code_of(built: Assembly, function: str) -> Path:
    """The zip of the code of the function of this name in the assembly."""
    keys = {
        str(r["Properties"]["Code"].get("S3Key"))
        for r in built.template["Resources"].values()
        if r["Type"] == resource_types.FUNCTION and r["Properties"].get("FunctionName") == function
    }
    return _archive(built, keys)


def code_alone(
    target: Target, built: Assembly, changes: Sequence[ResourceChange], tags: dict[str, str]
) -> ChangeSet | None:
    """As `with_cdk` for a change of `only_code`, without Node; None where these credentials may not do that."""
    body = json.dumps(built.template, separators=(",", ":"))
    new_keys = {str(p.after) for c in changes for p in c.properties}
    try:
        _upload(target.aws, [each for each in files(built.path) if each[0] in new_keys])
        return prepared(target.aws, target.name, body, tags)
    except AwsError as error:
        if error.code == "access-denied" or error.service_code == "NoSuchBucket":
            return None
        raise


def _upload(aws: Aws, files: Sequence[tuple[str, str, Path]]) -> None:
    """Upload those of the file assets that their buckets lack."""
    for key, bucket, file in files:
        if not buckets.exists(aws, bucket, key):
            buckets.put(aws, bucket, key, file)


def prepared(
    aws: Aws,
    stack: str,
    body: str,
    tags: dict[str, str] | None,
    *,
    new: bool = False,
    clear_triggers: bool = False,
) -> ChangeSet:
    """A change set to a template whose assets are published.

    tags: None to leave the stack's as they are. new: whether it creates the stack.
    clear_triggers: no alarm is to roll the update back.
    Raises RtpError where CloudFormation cannot prepare it, WaitTimeoutError where it does not end.
    """
    remove(aws, stack, CHANGE_SET)
    more = {"new": new, "clear_triggers": clear_triggers}
    changesets.create(aws, stack, CHANGE_SET, body, tags=tags, capabilities=_CAPABILITIES, **more)
    change_set = settled(aws, stack, CHANGE_SET)
    if change_set is None:
        raise RtpError(f"The change set of {stack} was deleted meanwhile.", hint="Run `rtp deploy` again.")
    if change_set.failed and not change_set.empty:
        raise RtpError(f"CloudFormation cannot change {stack}: {change_set.reason}", code="change-set")
    return change_set


def remove(aws: Aws, stack: str, name: str) -> None:
    """Delete the change set of this name that an earlier run has left. Raises WaitTimeoutError."""
    earlier = settled(aws, stack, name)  # CloudFormation deletes none that it still prepares
    if earlier is not None:
        changesets.delete(aws, earlier)


def settled(aws: Aws, stack: str, name: str, *, clock: Clock = SYSTEM) -> ChangeSet | None:
    """A change set that CloudFormation has prepared, or failed to; None where there is none of this name.

    Raises WaitTimeoutError after ten minutes.
    """
    change_set = poll(
        lambda: changesets.describe(aws, stack, name),
        lambda change_set: change_set is None or not change_set.pending,
        0.05 if aws.local else 1.0,
        timeout_s=_TIMEOUT_S,
        clock=clock,
    )
    if change_set is not None and change_set.pending:
        raise WaitTimeoutError(
            f"CloudFormation is still preparing the change set {name} of {stack} after {_TIMEOUT_S / 60:.0f} minutes "
            f"({change_set.status}); the stack was not changed.",
            hint="Repeat the command. A hook that is active in the account may hold it up.",
            code="change-set",
        )
    return change_set


def files(folder: Path) -> list[tuple[str, str, Path]]:
    """(key, bucket, file) of every file asset of the assembly."""
    found = []
    for manifest in folder.glob("*.assets.json"):
        files: dict[str, Any] = json.loads(manifest.read_text()).get("files", {})
        for entry in files.values():
            file = folder / entry["source"]["path"]
            found += [(d["objectKey"], d["bucketName"], file) for d in entry["destinations"].values()]
    return found
