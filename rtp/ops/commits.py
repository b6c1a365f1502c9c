"""git's commits of a project, where its folder is in a repository: which one was deployed, and what came between."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TIMEOUT_S = 5.0
_MOST = 50  # commits
DIRTY = "-dirty"
_HASH = re.compile(r"[0-9a-f]{40,64}")
# Settings of the repository that would run a program, or wait for one.
_QUIET = ("-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "--no-pager", "--no-optional-locks")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit. hash: abbreviated. at: when it was made, ISO 8601. author: name. subject: first line of its message."""

    hash: str
    at: str
    author: str
    subject: str


def current(root: Path) -> str:
    """The commit of a folder, with `-dirty` where its tracked files have other contents; empty without a repository."""
    head = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    if head is None or not _HASH.fullmatch(head.strip()):
        return ""
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return head.strip() + (DIRTY if changed is None or changed.strip() else "")


def between(root: Path, good: str, bad: str, paths: Sequence[Path]) -> list[Commit] | None:
    """The commits after `good` up to `bad` that touch these paths, the newest first; None where git does not know them.

    good, bad: as `current` names them.
    """
    names = [name.removesuffix(DIRTY) for name in (good, bad)]
    if not all(_HASH.fullmatch(name) for name in names):
        return None
    form = "--format=%h%x00%cI%x00%an%x00%s"
    found = _git(root, "log", f"--max-count={_MOST}", form, f"{names[0]}..{names[1]}", "--", *map(str, paths))
    if found is None:
        return None
    rows = [line.split("\0") for line in found.splitlines()]
    return [Commit(*row) for row in rows if len(row) == 4]


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where there is no git, no repository, or it fails."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *_QUIET, *arguments],
            cwd=root,
            env=environ | {"GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
