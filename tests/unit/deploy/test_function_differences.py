"""Functions that run something else than was deployed, which CloudFormation does not know."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.errors import AwsError
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.operation import Target
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from pathlib import Path

WORKER = "shop-dev-worker"
PATHS = {"Worker": "Processing/Worker"}


def template(**changes: Any) -> dict[str, Any]:
    properties = {"FunctionName": WORKER, "Code": {"S3Key": "abc.zip"}, "Timeout": 30, "MemorySize": 256} | changes
    return {"Resources": {"Worker": {"Type": "AWS::Lambda::Function", "Properties": properties}}}


def running(root: Path, **changes: Any) -> dict[str, Any]:
    """What Lambda says of both functions."""
    own = {"Timeout": 30, "MemorySize": 256, "CodeSha256": sha256(b"deployed")} | changes
    aws: Any = FakeAws({"get_function_configuration": lambda **given: given | own})
    return hotswap.running(Target(aws, Environment(name="dev", project="shop", root=root)))


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


@pytest.fixture
def built(tmp_path: Path) -> Assembly:
    (tmp_path / "asset.abc.zip").write_bytes(b"deployed")
    return Assembly(tmp_path, tmp_path / "t.json", template(), cached=True)


def test_a_function_as_deployed_has_no_difference(built: Assembly, tmp_path: Path) -> None:
    assert hotswap.diverged(running(tmp_path), template(), built, PATHS) == ()


def test_other_code_is_reported_with_what_the_deploy_does(built: Assembly, tmp_path: Path) -> None:
    # Given the source as it was deployed, and a function that was hotswapped since
    (stray,) = hotswap.diverged(running(tmp_path, CodeSha256=sha256(b"other")), template(), built, PATHS)
    assert (stray.function, stray.what) == (WORKER, "code")
    assert stray.description.startswith("Processing/Worker runs other code than was deployed")
    assert "a deploy restores it" in stray.description


def test_other_limits_are_reported(built: Assembly, tmp_path: Path) -> None:
    (stray,) = hotswap.diverged(running(tmp_path, Timeout=7), template(), built, PATHS)
    assert stray.what == "limits"


def test_differences_that_a_deploy_changes_anyway_are_not_reported(built: Assembly, tmp_path: Path) -> None:
    old = template(Code={"S3Key": "old.zip"}, Timeout=7)
    assert hotswap.diverged(running(tmp_path, Timeout=7, CodeSha256=sha256(b"old")), old, built, PATHS) == ()
    assert hotswap.diverged(running(tmp_path), {}, built, PATHS) == ()


def test_a_deleted_function_is_reported(built: Assembly) -> None:
    (stray,) = hotswap.diverged({WORKER: None}, template(), built, PATHS)
    assert stray.what == "gone" and "a deploy creates it again" in stray.description


def test_without_permission_to_read_nothing_is_reported(built: Assembly, tmp_path: Path) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("no", code="access-denied")

    aws: Any = FakeAws({"get_function_configuration": denied})
    found = hotswap.running(Target(aws, Environment(name="dev", project="shop", root=tmp_path)))
    assert hotswap.diverged(found, template(), built, PATHS) == ()
