"""Cloud assemblies that the tests of a session share: what one project has synthesised, the next one need not.

A synthesis takes four seconds of CPU, and most projects of the tests have one of a few rtp.toml. An assembly has the
fingerprint of its inputs: rtp uses one that is put into a project only if it is what a synthesis would write there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SYNTHESISES = ("deploy", "diff", "synth")
_folder: list[Path] = []


def use(folder: Path) -> None:
    """Share the assemblies in a folder, which several processes may use at once."""
    folder.mkdir(exist_ok=True)
    _folder[:] = [folder]


def beside(name: str) -> Path:
    """A folder of the session for what else its projects share."""
    return _folder[0].with_name(name)


def lend(root: Path, args: list[str]) -> None:
    """Before a command: put assemblies and layers of projects with the same rtp.toml into the `.rtp` of this one."""
    if not _folder or args[:1] not in ([each] for each in _SYNTHESISES):
        return
    for stored in _place(root).glob("cdk/*"):
        own = root / ".rtp" / "cdk" / stored.name
        if _shape(own) != _shape(stored):
            scratch = own.with_name(f".lent-{uuid.uuid4().hex}")
            shutil.copytree(stored, scratch)
            shutil.rmtree(own, ignore_errors=True)
            scratch.rename(own)
    for stored in _place(root).glob("layers/*.zip"):
        _copy(stored, root / ".rtp" / "layers" / stored.name)


def take(root: Path, args: list[str]) -> None:
    """After a command: copy what the project has synthesised."""
    if not _folder or args[:1] not in ([each] for each in _SYNTHESISES):
        return
    for own in (root / ".rtp" / "cdk").glob("*"):
        stored = _place(root) / "cdk" / own.name
        if _shape(own) and not stored.exists():
            scratch = _folder[0] / uuid.uuid4().hex
            shutil.copytree(own, scratch)
            stored.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another process was first
                scratch.rename(stored)
    for own in (root / ".rtp" / "layers").glob("*.zip"):
        _copy(own, _place(root) / "layers" / own.name)


def _place(root: Path) -> Path:
    config = root / "rtp.toml"
    text = config.read_bytes() if config.is_file() else b""
    return _folder[0] / hashlib.sha256(text).hexdigest()[:16]


def _shape(assembly: Path) -> str:
    """The fingerprint of an assembly's inputs without the code; empty where there is none."""
    try:
        return str(json.loads((assembly / "rtp.json").read_text())["shape"])
    except (OSError, ValueError, KeyError):
        return ""


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{uuid.uuid4().hex}")
        shutil.copyfile(source, scratch)
        scratch.rename(target)
