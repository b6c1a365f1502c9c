"""git's commits of a project, where its folder is in a repository: which one was deployed, and what came between."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.text import times
from rtp.text.given import LATEST_MS
from rtp.trust import search_paths

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
    """A commit.

    hash: abbreviated. at: when it was made, ISO 8601; empty for a time that is none. author: name. subject: first line
    of its message.
    """

    hash: str
    at: str
    author: str
    subject: str


def current(root: Path) -> str:
    """The commit of a folder, with `-dirty` where its tracked files have other contents; empty without a repository."""
    head = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    if head is None or not _HASH.fullmatch(head.strip()):
        return ""
    settings = _without_filters(root)
    if settings is None:
        return head.strip() + DIRTY
    status = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty", "--", ".")
    changed = _git(root, *status, settings=settings)
    return head.strip() + (DIRTY if changed is None or changed.strip() else "")


def between(root: Path, good: str, bad: str, paths: Sequence[Path]) -> list[Commit] | None:
    """The commits after `good` up to `bad` that touch these paths, the newest first; None where git does not know them.

    good, bad: as `current` names them.
    """
    names = [name.removesuffix(DIRTY) for name in (good, bad)]
    if not all(_HASH.fullmatch(name) for name in names):
        return None
    form = "--format=%h%x00%ct%x00%an%x00%s"
    found = _git(root, "log", f"--max-count={_MOST}", form, f"{names[0]}..{names[1]}", "--", *map(str, paths))
    if found is None:
        return None
    rows = [line.split("\0") for line in found.split("\n")]  # a subject may have any other end of a line
    return [Commit(row[0], _iso(row[1]), row[2], row[3]) for row in rows if len(row) == 4]


def _iso(seconds: str) -> str:
    """A commit's time, which whoever makes it chooses."""
    ms = int(seconds) * 1000 if re.fullmatch(r"\d{1,12}", seconds, re.ASCII) else 0
    return times.iso(ms) if 0 < ms <= LATEST_MS else ""


def _without_filters(root: Path) -> list[tuple[str, str]] | None:
    """Settings by which no filter of the repository's own settings runs; None where those cannot be read.

    Filters of the user's settings, such as those of Git LFS, stay: without them files would look changed.
    """
    found = _git(root, "config", "--show-scope", "--name-only", "--null", "--list")
    if found is None:
        return None
    parts = found.split("\0")
    own = [key for scope, key in zip(parts[::2], parts[1::2], strict=False) if scope in ("local", "worktree")]
    drivers = {key.rpartition(".")[0] for key in own if key.startswith("filter.")}
    values = (("clean", ""), ("process", ""), ("smudge", ""), ("required", "false"))
    return [(f"{driver}.{name}", value) for driver in sorted(drivers) for name, value in values]


def _git(root: Path, *arguments: str, settings: Sequence[tuple[str, str]] = ()) -> str | None:
    """What git prints; None where there is no git, no repository, or it fails."""
    own = search_paths.absolute(os.environ)
    environ = {name: value for name, value in own.items() if not name.startswith("GIT_")}
    # Not as -c NAME=VALUE, because a name may have a `=`.
    environ["GIT_CONFIG_COUNT"] = str(len(settings))
    for number, (name, value) in enumerate(settings):
        environ |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    try:
        done = subprocess.run(
            ["git", *_QUIET, *arguments],
            cwd=root,
            # The protocol too: git before 2.45 does not know GIT_NO_LAZY_FETCH, and a remote's settings name programs.
            env=environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
