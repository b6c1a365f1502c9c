"""A release: one version of code, layer and settings, known by a hash that its functions write to all they leave."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rtp.errors import UsageError
from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

_PART = re.compile(rf"[0-9a-f]{{4,{wire.RELEASE_LENGTH}}}")


def label(release: str) -> str:
    """The name under which a release is shown: its hash."""
    return release


def parsed(text: str) -> str:
    """The hash, or its beginning, that an option gives. Raises UsageError."""
    if not _PART.fullmatch(text.strip().lower()):
        raise UsageError(
            f"{text!r} is not a release.",
            hint=f"Give its {wire.RELEASE_LENGTH} hexadecimal digits, or the first 4 of them: `rtp status` shows it.",
        )
    return text.strip().lower()


def of(record: Mapping[str, Any]) -> str:
    """The release of a record's last attempt; empty where no release is known."""
    return str(record.get("release") or "")


def annotated(part: str) -> str:
    """X-Ray's filter expression for the traces of a release, by its hash or the beginning."""
    how = "=" if len(part) == wire.RELEASE_LENGTH else "BEGINSWITH"
    return f'annotation.release {how} "{part}"'


def matches(release: str | None, part: str | None) -> bool:
    """Whether a release has this hash, or one that begins so; None fits all."""
    return part is None or (release or "").startswith(part)
