"""Deployed projects that the tests of a session share: what one test has deployed, the next one need not.

A deploy takes four seconds. Most tests need a pipeline that was just deployed, and are not about the deploy: they get a
copy of the project's `.rtp`, with the engine's saved data in it, and start an engine of their own on it.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from typing import TYPE_CHECKING

from tests import assemblies

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Project


def deploy(project: Project) -> None:
    """Leave a project that has never been deployed as `rtp deploy --yes` does, with its engine running."""
    place = assemblies.beside("deployments") / _fingerprint(project.root)
    place.mkdir(parents=True, exist_ok=True)
    state = place / "state"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other tests wait for the first one's deploy
        if not state.exists():
            project.rtp("deploy", "--yes", timeout=400)
            project.rtp("local", "stop")
            shutil.copytree(project.root / ".rtp", place / "scratch", symlinks=True)
            (place / "scratch").rename(state)
        else:
            shutil.copytree(state, project.root / ".rtp", symlinks=True)
    project.rtp("local", "start")


def _fingerprint(root: Path) -> str:
    """Of all files of the project."""
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(root)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]
