"""What is in `.rtp`: no links, nothing that another user wrote, and files that this user alone can read.

The engine's folder `.rtp/local` has checks of its own, in rtp.local.state.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import RefusedError
from rtp.text import suggest
from rtp.trust import access, store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STATE = ".rtp"
_ENGINE = "local"
_BUILT = ("layers", "assets", "cdk")  # rtp builds them again
_JOURNALS = ("send", "dlq", "replay", "drill")
_NAMED = 20  # paths in one command
_NO_FILE = "is neither a file nor a folder"
_MOST_BYTES = 1_000_000_000  # of a file that is read whole

Finding = tuple[Path, str]
"""(path, why another user may have written it)."""


def state_of(path: Path) -> Path | None:
    """The folder `.rtp` that a path is in, or is; None outside of one."""
    return next((each for each in (path, *path.parents) if each.name == STATE), None)


def doubt(path: Path) -> str:
    """Say why a path may hold what another user wrote: it is a link, another user's, or others can write it.

    Or why it holds nothing: it is a pipe, a socket or a device, at which a reader would wait. Empty for a missing
    path, and where the user trusts the project; a link and what is no file are named even there.
    """
    reason = _reason(path)
    state = state_of(path)
    if reason and not _is_always_refused(path) and state is not None and store.is_trusted(state.parent):
        return ""
    return reason


def doubts(folder: Path, depth: int) -> list[Finding]:
    """The entries of a folder, so many levels down, that `doubt` names; what is below such an entry is left out."""
    findings = list(_walk(folder, depth))
    state = state_of(folder)
    if findings and state is not None and store.is_trusted(state.parent):
        return [(path, reason) for path, reason in findings if _is_always_refused(path)]
    return findings


def check_entries(state: Path) -> None:
    """Refuse `.rtp` where it has links, another user's entries, or a folder that others can write.

    Two levels are looked at: which folders and archives there are. Raises RefusedError.
    """
    findings = [
        (path, reason)
        for path, reason in doubts(state, 2)
        if not is_writable(reason) or (path.parent == state and path.is_dir())
    ]
    if findings:
        raise refusal(findings)


def is_writable(reason: str) -> bool:
    """Whether a reason of `doubt` is about a path's mode alone, which says nothing below a closed folder."""
    return reason.startswith("can be written")


def refusal(findings: Sequence[Finding]) -> RefusedError:
    """The error for entries of `.rtp` that another user may have written, with the command that deletes them all."""
    for path, _ in findings:
        if path.is_symlink():
            return link_refusal(path)
    path, reason = findings[0]
    more = f" ({len(findings) - 1} more in {STATE} are like it)" if len(findings) > 1 else ""
    return RefusedError(
        f"{path} {reason}{more}, and rtp keeps code, keys and data in {STATE}.",
        hint=removal([path for path, _ in findings]),
        code="folder-of-another-user" if "belongs to" in reason else "untrusted",
    )


def removal(paths: Sequence[Path]) -> str:
    """A sentence that says how to delete entries of `.rtp`, and what is lost with them."""
    has_journals = any(not {path.name, path.parent.name, path.parents[1].name}.isdisjoint(_JOURNALS) for path in paths)
    command = suggest.command("rm", "-r", values=paths[:_NAMED])
    if has_journals:
        return suggest.sentence(
            "Look at what is there, then delete what others wrote or could change with {}; journals are lost with it.",
            command,
            otherwise="Look at what is there, then delete what others wrote or could have changed.",
        )
    return suggest.sentence(
        "Look at what is there, then delete what others wrote or could have changed with {}; rtp builds it again.",
        command,
        otherwise="Look at what is there, then delete what others wrote or could have changed; rtp builds it again.",
    )


def removal_of_built(state: Path) -> str:
    """A sentence that says how to delete what rtp would run or upload from a `.rtp` that others could write."""
    paths = [path for name in _BUILT if os.path.lexists(path := state / name)]
    if not paths:
        return ""
    return suggest.sentence(
        "Delete what they could have changed there, which rtp builds again, with {}. ",
        suggest.command("rm", "-r", values=paths),
        otherwise="Delete the layers, archives and assemblies there; rtp builds them again. ",
    )


def link_refusal(path: Path) -> RefusedError:
    """The error for a link where rtp writes and deletes."""
    return RefusedError(
        f"{path} is a link to {path.readlink()}. rtp writes and deletes only in its own folders.",
        hint=suggest.sentence(
            "Remove the link with {}; its target stays.",
            suggest.command("rm", values=[path]),
            otherwise="Remove the link; its target stays.",
        ),
        code="folder-is-link",
    )


def write(path: Path, text: str) -> None:
    """Replace a file atomically, mode 0600 whatever the umask is; a link is replaced too. Raises OSError."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def read(path: Path, most: int = _MOST_BYTES) -> str:
    """The text of a file in `.rtp`, without waiting at a pipe.

    Raises OSError for a link, for what is no file, and for a file of more bytes; UnicodeDecodeError.
    """
    return read_bytes(path, most).decode()


def read_bytes(path: Path, most: int = _MOST_BYTES) -> bytes:
    """As `read`, without decoding. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        _check_file(file.fileno())
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def _check_file(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, _NO_FILE)


def reader(path: str, flags: int) -> int:
    """For `open`: open a file to read, and no link, pipe or device."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _check_file(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def opener(path: str, flags: int) -> int:
    """For `open`: create a file for this user alone, and open no link, and no pipe or device."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        _check_file(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    with contextlib.suppress(PermissionError):  # another user's, which is trusted
        os.fchmod(descriptor, 0o600)
    return descriptor


def close(folder: Path) -> None:
    """Take a folder in `.rtp`, and everything in it, from others, whatever the umask was. Raises OSError."""
    if state_of(folder) is None:
        return
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent), *(Path(parent, name) for name in (*folders, *names))):
            if not path.is_symlink():
                with contextlib.suppress(PermissionError):  # another user's, linked from a trusted folder
                    path.chmod(path.stat().st_mode & 0o700)


def _reason(path: Path) -> str:
    if path.is_symlink():
        with contextlib.suppress(OSError):
            return f"is a link to {path.readlink()}"
    return _NO_FILE if _is_special(path) else access.risk(path)


def _is_special(path: Path) -> bool:
    """Whether a path is neither a file, a folder nor a link."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _is_always_refused(path: Path) -> bool:
    return path.is_symlink() or _is_special(path)


def _walk(folder: Path, depth: int) -> Iterator[Finding]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:  # not a folder, or one that is gone
        return
    for name in names:
        path = folder / name
        if folder.name == STATE and (name == _ENGINE or (name == ".gitignore" and not path.is_symlink())):
            continue  # rtp does not read .gitignore
        if reason := _reason(path):
            yield path, reason
        elif depth > 1 and path.is_dir():
            yield from _walk(path, depth - 1)
