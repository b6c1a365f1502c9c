"""Check of the Python environment that rtp runs in: what its pins hold back in other packages."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from rtp.ops.doctor import Check, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterable

_AWS = ("boto3", "botocore")
_OWN = frozenset({"realtime-processor", "ministack", "boto3", "botocore", "s3transfer", "aws-xray-sdk"})
_PIN = re.compile(r"botocore\s*\(?==\s*([\w.]+)")
_NAME = re.compile(r"[\w.-]+")


def pins(distributions: Iterable[metadata.Distribution] | None = None) -> Check:
    """MiniStack pins botocore, and by it boto3 for whatever else is installed with rtp."""
    needs: dict[str, list[str]] = {}
    for distribution in metadata.distributions() if distributions is None else distributions:
        name = _normal(distribution.metadata["Name"] or "")
        # requirements of extras nobody has asked for are not in force
        needs[name] = [text for text in distribution.requires or () if "extra ==" not in text]
    pin = next((match[1] for text in needs.get("ministack", ()) if (match := _PIN.match(text))), None)
    others = sorted(name for name, texts in needs.items() if name not in _OWN and any(map(_is_aws, texts)))
    if pin is None:
        return ok("boto3", "nothing pins it")
    if not others:
        return ok("boto3", f"MiniStack pins botocore {pin}; nothing else in this environment needs it")
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return warn(
        "boto3",
        f"MiniStack, the local engine, pins botocore {pin}, and so holds back boto3 for {shown} in this environment.",
        "Install rtp in an environment of its own, with pipx or uv; or without its extra `local`.",
    )


def _is_aws(requirement: str) -> bool:
    name = _NAME.match(requirement)
    return name is not None and _normal(name[0]) in _AWS


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
