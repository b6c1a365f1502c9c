"""What a cloud assembly contains besides its template: tags, termination protection, construct paths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.errors import RtpError
from rtp.trust import private

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws.stacks import Stack


@dataclass(frozen=True, slots=True)
class Manifest:
    """The stack's entry in manifest.json."""

    tags: dict[str, str] = field(default_factory=dict)
    termination_protection: bool = False


def manifest(folder: Path, stack: str) -> Manifest:
    """The stack's entry in the assembly of a folder. Raises RtpError if the assembly is incomplete."""
    try:
        artifacts = json.loads(private.read(folder / "manifest.json"))["artifacts"]
        found = next(
            a["properties"]
            for name, a in artifacts.items()
            if a["type"] == "aws:cloudformation:stack" and stack in (name, a["properties"].get("stackName"))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, StopIteration):
        raise RtpError(
            f"The assembly in {folder} is incomplete.", hint="Run `rtp synth`, then deploy again.", code="assembly"
        ) from None
    return Manifest(found.get("tags", {}), bool(found.get("terminationProtection")))


def matches(manifest: Manifest, stack: Stack) -> bool:
    """Whether a stack has the tags and the termination protection of the manifest."""
    return stack.tags == manifest.tags and stack.protected == manifest.termination_protection


def construct_paths(folder: Path, stack: str) -> dict[str, str]:
    """Logical id -> construct path below the stack, such as `Storage/Table`. Empty where the assembly does not say."""
    try:
        metadata = json.loads(private.read(folder / f"{stack}.metadata.json"))
        return {
            entry["data"]: path.removeprefix(f"/{stack}/").removesuffix("/Resource")
            for path, entries in metadata.items()
            for entry in entries
            if entry.get("type") == "aws:cdk:logicalId"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
