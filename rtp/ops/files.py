"""The one writer of files at paths that the user names: --outputs-file, --html, --export, `rtp init`.

A regular file is replaced by a finished draft or stays as it was. A device, a pipe or an open descriptor
(/dev/stdout) is written into and never replaced. A link stays, and what it points to is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ReaderGoneError, RtpError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = ".rtp-"  # of a draft, before its random part; the file's own name may be as long as a name can be
_MOST_LINKS = 40  # as Linux follows
_WRITTEN_INTO = (stat.S_ISCHR, stat.S_ISFIFO)


def check(file: Path, hint: str = "Name another file.") -> None:
    """Find out whether `file` can be written, before any work is done for it; changes nothing. Raises RtpError."""
    with _reported(file, hint):
        place = _Place(file)
        if place.descriptor is None and not place.is_stream:
            _discard(*_draft(place.target))


def write(file: Path, content: str | bytes, *, private: bool, hint: str = "Name another file.") -> None:
    """Write all of `content`, or leave a regular file as it was. Raises RtpError.

    private: nobody but the user may read the file. Otherwise an existing file keeps its mode.
    """
    data = content.encode(errors="replace") if isinstance(content, str) else content
    with _reported(file, hint):
        place = _Place(file)
        if place.descriptor is not None:
            sys.stdout.flush()  # what was printed before comes before
            _write_into(os.dup(place.descriptor), data, is_stdout=place.descriptor == 1)
        elif place.is_stream:
            _write_into(os.open(file, os.O_WRONLY | os.O_NOCTTY), data)
        else:
            _replace(place, data, private=private)


def create(file: Path, content: str) -> bool:
    """Write a file that must be new. False where there is anything, a dangling link too. Raises OSError."""
    try:
        with file.open("x", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), os.fstat(stream.fileno()).st_mode & 0o755)  # others write none of it
            stream.write(content)
    except FileExistsError:
        return False
    return True


class _Place:
    """What a path leads to. Raises OSError where nothing can be written there."""

    def __init__(self, file: Path) -> None:
        self.descriptor = _descriptor(file)
        self.target = file
        self.status: os.stat_result | None = None
        if self.descriptor is not None:
            if fcntl.fcntl(self.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                raise PermissionError(13, "It is open for reading only")
            return
        with contextlib.suppress(FileNotFoundError):
            self.status = file.stat()
        self.target = Path(os.path.realpath(file))
        if self.status is None:
            return
        if stat.S_ISDIR(self.status.st_mode):
            raise IsADirectoryError(21, "Is a directory")
        if not self.is_stream and not stat.S_ISREG(self.status.st_mode):
            raise OSError(22, "It is neither a file nor a device or pipe to write to")
        if not os.access(file, os.W_OK):
            raise PermissionError(13, "Permission denied")

    @property
    def is_stream(self) -> bool:
        """Whether what is there is written into, and not replaced."""
        return self.status is not None and any(test(self.status.st_mode) for test in _WRITTEN_INTO)


def _descriptor(file: Path) -> int | None:
    """The descriptor of this process that a path such as /dev/stdout or /dev/fd/63 stands for."""
    own = os.path.realpath("/dev/fd")
    for _ in range(_MOST_LINKS):
        if file.name.isdecimal() and os.path.realpath(file.parent) == own:
            return int(file.name)
        if not file.is_symlink():
            return None
        file = file.parent / file.readlink()
    return None


def _write_into(handle: int, data: bytes, *, is_stdout: bool = False) -> None:
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
    except BrokenPipeError:
        if is_stdout:
            raise ReaderGoneError from None
        raise


def _replace(place: _Place, data: bytes, *, private: bool) -> None:
    handle, draft = _draft(place.target)
    try:
        with os.fdopen(handle, "wb", closefd=False) as stream:
            stream.write(data)
        if not private:
            _keep_access(handle, place.status)
        os.fsync(handle)
        draft.replace(place.target)
    except BaseException:  # an interrupt leaves nothing behind either
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _draft(target: Path) -> tuple[int, Path]:
    """An empty file beside the target, readable by the user alone, at a path that nobody can foresee."""
    try:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=target.parent)
    except FileNotFoundError:
        raise FileNotFoundError(2, f"There is no folder {target.parent}") from None
    return handle, Path(name)


def _discard(handle: int, draft: Path) -> None:
    try:
        os.close(handle)
    finally:
        draft.unlink(missing_ok=True)


def _keep_access(handle: int, old: os.stat_result | None) -> None:
    """Give the draft the mode and the owner of the file that it replaces, or those of a new file."""
    if old is None:
        umask = os.umask(0o077)  # the only way to read it; what another thread makes meanwhile is private
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        return
    new = os.fstat(handle)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(handle, old.st_uid, old.st_gid)
    os.fchmod(handle, stat.S_IMODE(old.st_mode) & 0o777)


@contextlib.contextmanager
def _reported(file: Path, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RtpError(
            f"{file} cannot be written: {error.strerror or error}.", hint=hint, code="file-not-writable"
        ) from None
