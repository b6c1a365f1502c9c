"""Changing the functions' code past CloudFormation, and putting back what was changed by hand."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rtp.aws import functions, updates
from rtp.errors import AwsError, NotFoundError
from rtp.ops.stack.steps import Warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.stack.synth import Assembly

_FUNCTION = "AWS::Lambda::Function"


def swap(aws: Aws, environment: Environment, archive: Path) -> None:
    """Both functions run the code of this zip from now on."""
    names = (environment.names.processor, environment.names.worker)
    aws.client("lambda")
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: updates.update_code(aws, name, archive), names))


def put_back(aws: Aws, environment: Environment, built: Assembly, paths: Mapping[str, str]) -> Iterator[Warn]:
    """Put functions back that differ from the template though CloudFormation knows of no change.

    A hotswap leaves such a difference, and so does an edit in the console.
    """
    expected = {
        logical_id: resource["Properties"]
        for logical_id, resource in built.template.get("Resources", {}).items()
        if resource["Type"] == _FUNCTION
        and resource["Properties"].get("FunctionName") in (environment.names.processor, environment.names.worker)
    }
    aws.client("lambda")
    with ThreadPoolExecutor(max(1, len(expected))) as pool:
        for warnings in pool.map(
            lambda item: _repaired(aws, built, paths.get(item[0], item[0]), item[1]), expected.items()
        ):
            yield from (Warn(w) for w in warnings)


def fed(aws: Aws, queue_arn: str) -> Iterator[Warn]:
    """Have the worker fed where its event source stands still.

    CloudFormation knows nothing of that. A destroy that was killed leaves it so, and so does a hand in the console.
    """
    try:
        still = [s for s in functions.event_sources(aws, queue_arn) if s.state in ("Disabled", "Disabling")]
    except AwsError as error:
        if error.code == "access-denied":  # a deploy needs no such right, the CDK's roles do its work
            return
        raise
    for source in still:
        updates.switch_event_source(aws, source.id, on=True)
    if still:
        yield Warn("The worker's event source stood still (a killed destroy, or a change by hand); it runs again.")


def _repaired(aws: Aws, built: Assembly, path: str, wanted: dict[str, Any]) -> list[str]:
    name = wanted["FunctionName"]
    found = updates.describe(aws, name)
    if found is None:
        raise NotFoundError(
            f"{name} is gone, though the stack says that it is there: it was deleted by hand.",
            hint="Run `rtp destroy`, then `rtp deploy`.",
            code="changed-by-hand",
        )
    said = []
    archive = built.path / f"asset.{wanted['Code']['S3Key']}"
    if archive.is_file() and found.code_sha256 != _sha256(archive):
        updates.update_code(aws, name, archive)
        said.append(f"{path} ran other code than was deployed (a hotswap, or a change by hand); it is put back.")
    limits = (wanted.get("Timeout", 3), wanted.get("MemorySize", 128))
    if (found.timeout_s, found.memory_mb) != limits:
        updates.update_limits(aws, name, timeout_s=limits[0], memory_mb=limits[1])
        said.append(f"Timeout or memory of {path} had been changed by hand; they are put back.")
    return said


def _sha256(archive: Path) -> str:
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()
