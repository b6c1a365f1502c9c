"""The code of a project's folder as Lambda names it, to compare with what the functions run."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from rtp.errors import RtpError
from rtp.infra import assets
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from rtp.config import Environment


def sha256(environment: Environment) -> str:
    """Lambda's CodeSha256 of what a deploy would pack; empty where it cannot be packed, or was never deployed here."""
    folder = environment.state / "assets"
    if environment.file is None or not folder.is_dir():
        return ""
    try:
        entries = assets.entries(assets.check(processors.sources_of(environment)))
        archive = assets.code(folder, entries).read_bytes()
    except (RtpError, OSError):
        return ""
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()
