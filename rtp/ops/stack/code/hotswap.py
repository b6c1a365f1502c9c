"""Changing the functions' code past CloudFormation, and putting back what was changed by hand."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import functions, resource_types, updates
from rtp.errors import AwsError, NotFoundError
from rtp.ops.stack.code import update
from rtp.ops.stack.steps import Warn
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.functions import Function
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.operation import Target

_SAID = {
    "code": "runs other code than was deployed (a hotswap, or a change by hand)",
    "limits": "has another timeout or memory than was deployed (a change by hand)",
    "gone": "is gone though the stack says that it is there: it was deleted by hand",
}


@dataclass(frozen=True, slots=True)
class Divergence:
    """A function that is not as it was deployed, which CloudFormation does not know.

    function: its name. what: `code`, `limits` or `gone`.
    """

    function: str
    path: str
    what: str

    @property
    def said(self) -> str:
        """In words, with what becomes of it."""
        fix = "`rtp destroy`, then `rtp deploy` make it anew" if self.what == "gone" else "a deploy puts it back"
        return f"{self.path or self.function} {_SAID[self.what]}; {fix}."


def running(target: Target) -> dict[str, Function | None]:
    """The functions as Lambda has them, by name; empty where these credentials may not read them."""
    try:
        return {name: updates.describe(target.aws, name) for name in _names(target)}
    except AwsError as error:
        if error.code == "access-denied":
            return {}
        raise


def diverged(
    found: Mapping[str, Function | None], old: Mapping[str, Any], built: Assembly, paths: Mapping[str, str]
) -> tuple[Divergence, ...]:
    """What of the running functions is not as the stack's template `old` says, where `built` is to change nothing."""
    strays = []
    for logical_id, wanted in _expected(built.template, found).items():
        was = old.get("Resources", {}).get(logical_id, {}).get("Properties")
        if was is None:
            continue
        name, path = str(wanted["FunctionName"]), paths.get(logical_id, "")
        function = found[name]
        if function is None:
            strays.append(Divergence(name, path, "gone"))
            continue
        if was.get("Code") == wanted["Code"] and _other_code(function, built, wanted) is not None:
            strays.append(Divergence(name, path, "code"))
        if _limits(was) == _limits(wanted) != (function.timeout_s, function.memory_mb):
            strays.append(Divergence(name, path, "limits"))
    return tuple(strays)


def swap(target: Target, archive: Path) -> None:
    """Have both functions run the code of this zip from now on."""
    names = _names(target)
    target.aws.connect("lambda")
    list(pool.map(lambda name: update.code(target.aws, name, archive), names, threads=len(names)))


def put_back(target: Target, built: Assembly) -> Iterator[Warn]:
    """Restore functions that differ from the template though CloudFormation knows of no change.

    A hotswap leaves such a difference, and so does an edit in the console.
    """
    aws, paths = target.aws, target.paths
    expected = _expected(built.template, _names(target))
    aws.connect("lambda")

    def repair(logical_id: str) -> list[str]:
        return _repaired(aws, built, paths.get(logical_id, logical_id), expected[logical_id])

    for warnings in pool.map(repair, expected, threads=len(expected)):
        yield from (Warn(w) for w in warnings)


def ensure_enabled(aws: Aws, queue_arn: str) -> Iterator[Warn]:
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
        update.event_source(aws, source.id, on=True)
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
    archive = _other_code(found, built, wanted)
    if archive is not None:
        update.code(aws, name, archive)
        said.append(f"{path} ran other code than was deployed (a hotswap, or a change by hand); it is put back.")
    limits = _limits(wanted)
    if (found.timeout_s, found.memory_mb) != limits:
        update.limits(aws, name, timeout_s=limits[0], memory_mb=limits[1])
        said.append(f"Timeout or memory of {path} had been changed by hand; they are put back.")
    return said


def _names(target: Target) -> tuple[str, str]:
    return target.environment.names.processor, target.environment.names.worker


def _expected(template: Mapping[str, Any], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Properties of the functions of these names, by logical id."""
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template.get("Resources", {}).items()
        if resource["Type"] == resource_types.FUNCTION and resource["Properties"].get("FunctionName") in names
    }


def _other_code(found: Function, built: Assembly, wanted: Mapping[str, Any]) -> Path | None:
    """The archive that the function should run and does not."""
    archive = built.path / f"asset.{wanted['Code']['S3Key']}"
    return archive if archive.is_file() and found.code_sha256 != _sha256(archive) else None


def _limits(properties: Mapping[str, Any]) -> tuple[int, int]:
    """Timeout and memory; Lambda's own where none are given."""
    return properties.get("Timeout", 3), properties.get("MemorySize", 128)


def _sha256(archive: Path) -> str:
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()
