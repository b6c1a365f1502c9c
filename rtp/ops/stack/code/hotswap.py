"""Changes the functions' code without CloudFormation, and restores what was changed outside it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from rtp.aws import functions, resource_types, updates
from rtp.errors import AwsError, NotFoundError
from rtp.ops.stack.code import update
from rtp.ops.stack.steps import Warn
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.functions import Function
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.operation import Target

_DESCRIPTIONS = {
    "code": "runs other code than was deployed (a hotswap, or a manual change)",
    "limits": "has another timeout or memory than was deployed (a manual change)",
    "gone": "was deleted outside CloudFormation",
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
    def description(self) -> str:
        """A sentence with the fix."""
        fix = "a deploy creates it again" if self.what == "gone" else "a deploy restores it"
        return f"{self.path or self.function} {_DESCRIPTIONS[self.what]}; {fix}."


def running(target: Target) -> dict[str, Function | None]:
    """The functions as Lambda has them, by name; empty where these credentials may not read them."""
    try:
        return {name: updates.describe(target.aws, name) for name in _names(target)}
    except AwsError as error:
        if error.code == "access-denied":
            return {}
        raise


def hashes(target: Target) -> frozenset[str]:
    """Of the code that the functions run; empty where these credentials may not read them, or there are none."""
    return frozenset(function.code_sha256 for function in running(target).values() if function is not None)


def diverged(
    found: Mapping[str, Function | None], old: Mapping[str, Any], built: Assembly, paths: Mapping[str, str]
) -> tuple[Divergence, ...]:
    """The running functions that differ from the stack's template `old`, where `built` changes nothing."""
    divergences = []
    for logical_id, properties in _expected(built.template, found).items():
        was = old.get("Resources", {}).get(logical_id, {}).get("Properties")
        if was is None:
            continue
        name, path = str(properties["FunctionName"]), paths.get(logical_id, "")
        function = found[name]
        if function is None:
            divergences.append(Divergence(name, path, "gone"))
            continue
        if was.get("Code") == properties["Code"] and _other_code(function, built, properties) is not None:
            divergences.append(Divergence(name, path, "code"))
        if _limits(was) == _limits(properties) != (function.timeout_s, function.memory_mb):
            divergences.append(Divergence(name, path, "limits"))
    return tuple(divergences)


def swap(target: Target, archive: Path) -> None:
    """Have both functions run the code of this zip from now on."""
    names = _names(target)
    target.aws.connect("lambda")
    list(pool.map(lambda name: update.code(target.aws, name, archive), names, threads=len(names)))


def put_back(target: Target, built: Assembly) -> Generator[Warn, None, tuple[str, ...]]:
    """Restore functions that differ from the template though CloudFormation knows of no change.

    A hotswap leaves such a difference, and so does an edit in the console. Returns what was restored, such as
    `code of Processing/Worker`.
    """
    aws, paths = target.aws, target.paths
    expected = _expected(built.template, _names(target))
    aws.connect("lambda")

    def repair(logical_id: str) -> tuple[list[str], list[str]]:
        path = paths.get(logical_id, logical_id)
        try:
            return _repaired(aws, built, path, expected[logical_id])
        except AwsError as error:
            if error.code != "access-denied":  # a deploy works without these permissions, by the CDK's roles
                raise
            return [f"Whether {path} runs what was deployed was not checked or restored: {error.message}"], []

    restored: list[str] = []
    for warnings, parts in pool.map(repair, expected, threads=len(expected)):
        yield from (Warn(w) for w in warnings)
        restored += parts
    return tuple(restored)


def ensure_enabled(aws: Aws, queue_arn: str) -> Iterator[Warn]:
    """Enable the worker's event source where it is disabled.

    CloudFormation does not know of that: a killed destroy leaves it disabled, and so does somebody in the console.
    """
    try:
        sources = functions.event_sources(aws, queue_arn)
        changing = [s for s in sources if s.state in ("Creating", "Enabling", "Updating")]
        disabled = [s for s in sources if s.state in ("Disabled", "Disabling")]
        disabled += [s for s in changing if update.settled(aws, s.id) == "Disabled"]
    except AwsError as error:
        if error.code == "access-denied":  # a deploy works without this permission, by the CDK's roles
            return
        raise
    for source in disabled:
        update.event_source(aws, source.id, on=True)
    if disabled:
        yield Warn(
            "The worker's event source was disabled (a killed destroy, or a manual change); it is enabled again."
        )


def _repaired(aws: Aws, built: Assembly, path: str, properties: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Restore one function. Returns warnings, and what was restored."""
    name = properties["FunctionName"]
    found = updates.describe(aws, name)
    if found is None:
        raise NotFoundError(
            f"{name} was deleted outside CloudFormation: its stack still has it.",
            hint="Run `rtp deploy`, which creates it again.",
            code="changed-by-hand",
        )
    warnings, restored = [], []
    archive = _other_code(found, built, properties)
    if archive is not None:
        update.code(aws, name, archive)
        warnings.append(f"{path} ran other code than was deployed (a hotswap, or a manual change); it is restored.")
        restored.append(f"code of {path}")
    limits = _limits(properties)
    if (found.timeout_s, found.memory_mb) != limits:
        update.limits(aws, name, timeout_s=limits[0], memory_mb=limits[1])
        warnings.append(f"Timeout or memory of {path} were changed outside CloudFormation; they are restored.")
        restored.append(f"timeout and memory of {path}")
    return warnings, restored


def _names(target: Target) -> tuple[str, str]:
    return target.environment.names.processor, target.environment.names.worker


def _expected(template: Mapping[str, Any], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Properties of the functions of these names, by logical id."""
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template.get("Resources", {}).items()
        if resource["Type"] == resource_types.FUNCTION and resource["Properties"].get("FunctionName") in names
    }


def _other_code(found: Function, built: Assembly, properties: Mapping[str, Any]) -> Path | None:
    """The archive that the function should run, where it runs another."""
    archive = built.path / f"asset.{PurePosixPath(properties['Code']['S3Key']).name}"
    return archive if archive.is_file() and found.code_sha256 != _sha256(archive) else None


def _limits(properties: Mapping[str, Any]) -> tuple[int, int]:
    """Timeout and memory, with Lambda's defaults."""
    return properties.get("Timeout", 3), properties.get("MemorySize", 128)


def _sha256(archive: Path) -> str:
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()
