"""The release that a deploy of the project's folder would make, and those that were packed in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class LocalCode:
    """What a deploy would pack.

    sha256: Lambda's CodeSha256 of it; empty where it cannot be packed, or was never deployed here. release: of it.
    releases: the releases that were packed here last, by their CodeSha256.
    """

    sha256: str = ""
    release: str = ""
    releases: Mapping[str, str] = field(default_factory=dict)


NONE = LocalCode()
"""The folder's code where it is not known."""
