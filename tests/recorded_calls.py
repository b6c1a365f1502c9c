"""Whether the policies that `rtp doctor --policy` prints allow what a command called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops.access.calls import CALLS, ROLES, Role

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# On the engine rtp publishes assets, bootstraps and makes its own bucket by itself; on AWS the CDK CLI publishes, with
# the CDK's roles, and an administrator bootstraps.
ON_THE_ENGINE_ALONE = {
    "cloudformation:CreateChangeSet",
    "cloudformation:CreateStack",
    "s3:CreateBucket",
    "s3:GetBucketTagging",
    "s3:HeadObject",
    "s3:PutBucketEncryption",
    "s3:PutBucketLifecycleConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutPublicAccessBlock",
}


def check(args: Sequence[str], recorded: Path) -> None:
    """Fail where a command called what its role's policy does not allow. recorded: the file of RTP_CALLS_FILE."""
    words = [each for each in args if not each.startswith("-")]
    name = next((each for each in (" ".join(words[:2]), *words[:1]) if each in ROLES), None)
    if name is None or not recorded.exists():
        return
    called = set(recorded.read_text().split())
    missing = sorted(missing_from(ROLES[name], called))
    assert not missing, f"rtp {name} calls {missing}, which rtp/ops/access/calls.py does not allow its role"


def missing_from(role: Role, called: set[str]) -> set[str]:
    """The operations that the policy of a role lacks."""
    allowed = {operation for operation, call in CALLS.items() if role.includes(call.role)}
    return called - allowed - ON_THE_ENGINE_ALONE
