"""Policies of buckets can be imported into a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.telemetry import Telemetry

_POLICY = "AWS::S3::BucketPolicy"


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import s3
    from ministack.services.cloudformation import changesets, provisioners

    require(provisioners, "_RESOURCE_HANDLERS")
    require(changesets, "_IMPORT_LOOKUPS", "_IMPORT_NOT_FOUND")
    require(s3, "_bucket_policies")
    if _POLICY not in provisioners._RESOURCE_HANDLERS or _POLICY in changesets._IMPORT_LOOKUPS:
        raise MismatchError(f"{_POLICY} is not a type, or can be imported")

    def problem(bucket: str) -> str | None:
        if bucket in s3._bucket_policies:
            return None
        text: str = changesets._IMPORT_NOT_FOUND.format(type=_POLICY, value=bucket)
        return text

    def adopt(identifier: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        return identifier["Bucket"], {}

    changesets._IMPORT_LOOKUPS[_POLICY] = (("Bucket",), problem)
    provisioners._RESOURCE_HANDLERS[_POLICY]["import"] = adopt


PATCH = Patch(
    name="bucket_policies",
    aws="The policy of a bucket can be imported into a stack.",
    engine="An import of a bucket's policy is refused.",
    test="tests/local/engine/test_patches.py::a_bucket_s_policy_cannot_be_imported",
    install=install,
)
