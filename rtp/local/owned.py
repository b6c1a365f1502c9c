"""Folders that are rtp's own: created with a mark in them, and deleted only with the mark and never through a link.

A project may come from anywhere, with a `.rtp` that links to other files. So a link, another owner, or a folder without
the mark is refused before anything is changed; a deletion checks again, through descriptors alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

from rtp.errors import RefusedError
from rtp.text import suggest
from rtp.trust import access, private, store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MARK = ".made-by-rtp"
_MARK_TEXT = "rtp made this folder and deletes it with everything in it.\n"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def check(path: Path) -> None:
    """Raises RefusedError for a link, and for another user's file; a missing file is accepted."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(status.st_mode):
        raise private.link_refusal(path)
    if reason := private.doubt(path) if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)) else "":
        raise private.refusal([(path, reason)])
    if status.st_uid != os.geteuid() and not any(store.is_trusted(above) for above in path.absolute().parents):
        raise RefusedError(
            f"{path} belongs to another user, {access.user_name(status.st_uid)}. rtp uses only folders of the user "
            "that runs it.",
            hint=suggest.sentence(
                "Run rtp as that user, or become the owner with {}.",
                suggest.command("sudo", "chown", "-R", "-h", values=[os.geteuid(), path]),
                otherwise="Run rtp as that user.",
            ),
            code="folder-of-another-user",
        )


def check_marked(folder: Path) -> None:
    """Raises RefusedError for a folder that rtp would delete but did not create; an empty one is accepted."""
    check(folder)
    try:
        names = {entry.name for entry in os.scandir(folder)}
        device = folder.stat().st_dev
    except (FileNotFoundError, NotADirectoryError):  # also one that a save has just replaced
        return
    if names and MARK not in names:
        raise _unmarked(folder)
    if device != folder.parent.stat().st_dev:
        raise RefusedError(
            f"{folder} is a mount. rtp deletes only its own folders.",
            hint=suggest.sentence(
                "Unmount it with {}.", suggest.command("umount", values=[folder]), otherwise="Unmount it."
            ),
            code="folder-is-mount",
        )


def open_below(root: Path, names: Iterable[str]) -> int:
    """A descriptor of a folder below root; follows no link. Raises OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for name in names:
        above = descriptor
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def make(folder: Path) -> None:
    """Create a folder with the mark, for this user alone; an existing one stays. Raises OSError."""
    try:
        folder.mkdir(mode=0o700)
        is_new = True
    except FileExistsError:
        is_new = False
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fchmod(descriptor, 0o700)
        if is_new or not _names(descriptor):
            _mark(descriptor)
    finally:
        os.close(descriptor)


def remove(place: int, folder: Path) -> None:
    """Remove a folder that rtp created, which stays marked if a part of it remains. place: descriptor of its parent."""
    try:
        descriptor = os.open(folder.name, _FOLDER, dir_fd=place)
    except OSError:
        return  # it does not exist, or has become a link or a file
    try:
        _clear(descriptor, place, folder)
    finally:
        os.close(descriptor)


def _clear(descriptor: int, place: int, folder: Path) -> None:
    names = _names(descriptor)
    if names and MARK not in names:
        raise _unmarked(folder)
    for name in names - {MARK}:
        with contextlib.suppress(OSError):  # it is gone already, or cannot be removed
            if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=descriptor, ignore_errors=True)
            else:
                os.unlink(name, dir_fd=descriptor)
    if _names(descriptor) - {MARK}:
        return  # a function that is ending has written; the next removal finds the mark
    with contextlib.suppress(FileNotFoundError):
        os.unlink(MARK, dir_fd=descriptor)
    try:
        os.rmdir(folder.name, dir_fd=place)
    except OSError:
        _mark(descriptor)


def _names(descriptor: int) -> set[str]:
    return set(os.listdir(descriptor))


def _mark(descriptor: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(MARK, flags, 0o600, dir_fd=descriptor), "w") as file:
        file.write(_MARK_TEXT)


def _unmarked(folder: Path) -> RefusedError:
    return RefusedError(
        f"{folder} was not made by rtp ({MARK} is not in it). rtp deletes only its own folders.",
        hint=suggest.sentence(
            "Move it away, for example with {}.",
            suggest.command("mv", values=[folder, folder.with_name(f"{folder.name}.moved")]),
            otherwise="Move it away.",
        ),
        code="folder-not-made-by-rtp",
    )
