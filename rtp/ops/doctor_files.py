"""Checks of the files of a project: what others can read or write, and what is older than it should be."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from rtp.errors import RefusedError
from rtp.ops.doctor import Check, ok, warn
from rtp.ops.journal_store import EXPIRY_DAYS, JournalFiles
from rtp.text import suggest
from rtp.text.elements import many
from rtp.trust import private

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment

_PRIVATE_FILES = (".env.local",)
_JOURNALS = ("send", "dlq", "replay", "drill")
_DEPTH = 3  # folders, what is in them, and the files of an assembly


def access(environment: Environment) -> Check:
    """`.rtp` and `.env.local` are for their owner alone, and nobody else may write rtp.toml or what is in `.rtp`."""
    paths = [environment.state, *(environment.root / name for name in _PRIVATE_FILES)]
    readable = [path for path in paths if _open(path, 0o077)]
    writable = [environment.file] if environment.file is not None and _open(environment.file, 0o002) else []
    if entries := private.doubts(environment.state, _DEPTH):
        path, reason = entries[0]
        more = f", and {len(entries) - 1} more" if len(entries) > 1 else ""
        return warn("access", f"{path} {reason}{more}.", private.refusal(entries).hint)
    if readable:
        fix = suggest.sentence("Close it: {}.", suggest.command("chmod", "go-rwx", values=[readable[0]]))
        return warn("access", f"{readable[0]} is open to other users of this machine.", fix)
    if writable:
        fix = suggest.sentence("Close it: {}.", suggest.command("chmod", "o-w", values=[writable[0]]))
        return warn("access", f"{writable[0]} can be written by other users of this machine.", fix)
    return ok("access", "no file is open to other users")


def age(environment: Environment) -> Check:
    """Journals have the bodies of messages, and expire; the next run of any environment deletes those of its own."""
    try:
        expired = [
            path
            for kind in _JOURNALS
            for folder in _folders(environment.state / kind)
            for path in JournalFiles(folder).expired()
        ]
    except RefusedError as error:
        return warn("journals", error.message, error.hint)
    if not expired:
        return ok("journals", f"none is older than {EXPIRY_DAYS} days")
    removal = suggest.command("rm", values=expired[:20])
    return warn(
        "journals",
        f"{many(len(expired), 'journal')} with messages of more than {EXPIRY_DAYS} days ago, such as {expired[0]}",
        suggest.sentence("Delete them: {}.", removal, otherwise="Delete them."),
    )


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _open(path: Path, bits: int) -> bool:
    """Whether a file or folder has one of these bits, or belongs to another user than this one and root."""
    try:
        status = path.stat()
    except OSError:
        return False
    return bool(stat.S_IMODE(status.st_mode) & bits) or status.st_uid not in (0, os.getuid())
