"""The code of a project's folder as Lambda names it, to compare with what the functions run."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from rtp.errors import RtpError
from rtp.infra import assets
from rtp.ops.local_release import LocalCode
from rtp.ops.stack.build import processors, shape

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment


def read(environment: Environment) -> LocalCode:
    """Return the folder's code, and the releases that were packed in it."""
    folder = environment.state / "assets"
    if environment.file is None or not folder.is_dir():
        return LocalCode()
    try:
        packed = sorted(folder.glob("code-*.zip"))
        releases = {_sha256(file): assets.release(file) for file in packed}
        entries = assets.entries(assets.check(processors.sources_of(environment)))
        current = assets.code(folder, entries, shape.of(environment))
        sha256, release = _sha256(current), assets.release(current)
    except (RtpError, OSError):
        return LocalCode()
    return LocalCode(sha256, release, {**releases, sha256: release})


def _sha256(file: Path) -> str:
    return base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()
