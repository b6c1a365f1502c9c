"""Folders that are rtp's own: made with a mark in them, and deleted only with it, through no link.

A project may come from anywhere, with a `.rtp` in it that leads to somebody's files. So a link, another owner, or a
folder without the mark is refused before anything is done; and a deletion looks again, through descriptors alone.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
from typing import TYPE_CHECKING

from rtp.errors import RefusedError
from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MARK = ".made-by-rtp"
_MARK_TEXT = "rtp made this folder and deletes it with everything in it.\n"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def check(path: Path) -> None:
    """Refuse a link, and what belongs to another user; what does not exist is fine."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISLNK(status.st_mode):
        raise RefusedError(
            f"{path} is a link to {path.readlink()}, and rtp writes and deletes only in folders of its own",
            hint=suggest.sentence(
                "remove the link with {}; what it leads to stays",
                suggest.command("rm", values=[path]),
                otherwise="remove the link; what it leads to stays",
            ),
            code="folder-is-link",
        )
    if status.st_uid != os.geteuid():
        raise RefusedError(
            f"{path} belongs to another user, {_name(status.st_uid)}, and rtp works only in its own user's",
            hint=suggest.sentence(
                "run rtp as that user, or take it over with {}",
                suggest.command("sudo", "chown", "-R", "-h", values=[os.geteuid(), path]),
                otherwise="run rtp as that user",
            ),
            code="folder-of-another-user",
        )


def check_marked(folder: Path) -> None:
    """Refuse a folder that rtp deletes in time, but did not make. An empty one is fine."""
    check(folder)
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except (FileNotFoundError, NotADirectoryError):
        return
    if names and MARK not in names:
        raise _unmarked(folder)
    if folder.stat().st_dev != folder.parent.stat().st_dev:
        raise RefusedError(
            f"{folder} is a mount, and rtp deletes only folders of its own",
            hint=suggest.sentence(
                "unmount it with {}", suggest.command("umount", values=[folder]), otherwise="unmount it"
            ),
            code="folder-is-mount",
        )


def open_below(root: Path, names: Iterable[str]) -> int:
    """A descriptor of a folder below root that no link leads to. Raises OSError."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for name in names:
        above = descriptor
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def make(folder: Path) -> None:
    """Make a folder with the mark, for this user alone; one that is there already stays. Raises OSError."""
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
    """Remove a folder that rtp made; `place` is a descriptor of the one that it is in. What cannot go stays marked."""
    try:
        descriptor = os.open(folder.name, _FOLDER, dir_fd=place)
    except OSError:
        return  # it does not exist, or is a link or a file by now
    try:
        _clear(descriptor, place, folder)
    finally:
        os.close(descriptor)


def _clear(descriptor: int, place: int, folder: Path) -> None:
    names = _names(descriptor)
    if names and MARK not in names:
        raise _unmarked(folder)
    for name in names - {MARK}:
        with contextlib.suppress(OSError):  # it has gone meanwhile, or cannot go
            if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=descriptor, ignore_errors=True)
            else:
                os.unlink(name, dir_fd=descriptor)
    if _names(descriptor) - {MARK}:
        return  # a function that is about to end has written meanwhile; the next removal finds the mark
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
        f"{folder} was not made by rtp ({MARK} is not in it), and rtp deletes only folders of its own",
        hint=suggest.sentence(
            "move it away, as with {}",
            suggest.command("mv", values=[folder, folder.with_name(f"{folder.name}.moved")]),
            otherwise="move it away",
        ),
        code="folder-not-made-by-rtp",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
