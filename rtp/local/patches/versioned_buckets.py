"""The refusal to delete a bucket says that it holds versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_CONFLICT = 409
_NOT_EMPTY = b"The bucket you tried to delete is not empty"
_VERSIONS = b". You must delete all versions in the bucket."


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import s3

    require(s3, "_bucket_has_versions")

    def delete(name: str) -> Any:
        status, headers, body = delete_one(name)
        if status == _CONFLICT and s3._bucket_has_versions(name):
            body = body.replace(_NOT_EMPTY, _NOT_EMPTY + _VERSIONS)
            headers = {header: value for header, value in headers.items() if header.lower() != "content-length"}
        return status, headers, body

    delete_one = replace(s3, "_delete_bucket", delete, "name")


PATCH = Patch(
    name="versioned_buckets",
    aws="The refusal to delete a bucket says that it holds versions, which a list of its objects does not show.",
    engine="It says only that the bucket is not empty.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)
