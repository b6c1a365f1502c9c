"""The code that the functions run, and whether the folder has the same."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import UsageError
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws.functions import Function
    from rtp.ops.local_release import LocalCode


@dataclass(frozen=True, slots=True)
class Code:
    """The code that the functions run.

    changed: when it, or another part of a function, was changed last, ISO 8601; null where it is not known.
    differs: whether it is not the code of this folder; null where that is not known.
    release: which the functions run; null where it was not packed here. local_release: of this folder.
    """

    changed: str | None
    differs: bool | None
    release: str | None = None
    local_release: str | None = None


def code(functions: Sequence[Function], local: LocalCode) -> Code:
    """The code of the functions, and that of the folder."""
    changed = []
    for function in functions:
        with suppress(UsageError):
            changed.append(times.parse_when(function.changed))
    hashes = {function.code_sha256 for function in functions} - {""}
    differs = hashes != {local.sha256} if hashes and local.sha256 else None
    release = local.releases.get(next(iter(hashes))) if len(hashes) == 1 else None
    return Code(times.iso(max(changed)) if changed else None, differs, release, local.release or None)
