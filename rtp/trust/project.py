"""A project's files: an rtp.toml of another user is refused, and `.rtp` is created and checked in one place."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from rtp.errors import RefusedError
from rtp.text import suggest
from rtp.trust import access, private, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

STATE = private.STATE


def check(
    folder: Path,
    paths: Iterable[Path],
    environ: Mapping[str, str] = os.environ,
    *,
    why: str = "and rtp runs code and sends credentials as rtp.toml says",
) -> None:
    """Refuse a project whose folder or files another user wrote or can write, unless the user trusts the folder.

    paths: rtp.toml, the code that it names, and what that gets. why: what follows from that. Raises RefusedError.
    """
    for path in (folder, *paths):
        if (reason := access.risk(path, environ)) and not store.is_trusted(folder, environ):
            raise RefusedError(
                f"{path} {reason}, {why}.",
                hint=_fix(path, folder, reason),
                code="untrusted",
            )


def check_code(folder: Path, root: Path, paths: Iterable[Path], environ: Mapping[str, str] = os.environ) -> None:
    """Refuse code that another user wrote or can write, or can replace, as `check` does.

    root: the folder that the code is in; it and the folders between it, the project's and each of the paths are
    checked too.
    """
    files = list(paths)
    above = {
        each for path in files for each in path.parents if each.is_relative_to(root) or each.is_relative_to(folder)
    }
    check(folder, [*sorted(above - {folder}), *files], environ)


def check_settings(
    folder: Path, names: Iterable[str], tool: str, environ: Mapping[str, str] = os.environ, *, above: bool = False
) -> None:
    """Refuse settings of a tool that another user wrote or can write, in a folder or in those above it.

    above: in those above it alone.

    Tools look for their settings in every folder above, such as in /tmp, where everybody can put some. Of a folder
    that has some, it also counts who can write it. Raises RefusedError.
    """
    listed = tuple(names)
    for parent in folder.parents if above else (folder, *folder.parents):
        found = [path for name in listed if os.path.lexists(path := parent / name)]
        for path in (*found, parent) if found else ():
            if (reason := access.risk(path, environ)) and not store.is_trusted(folder, environ):
                raise RefusedError(
                    f"{path} {reason}, and {tool} reads its settings there.",
                    hint=f"If it should not be there, remove it. {_sentence(_as_it_is(folder))}.",
                    code="untrusted",
                )


def below(path: Path) -> None:
    """Create a folder and those above it. `.rtp` among them, and what is in it, is for this user alone.

    Raises RefusedError for a `.rtp`, or a folder in it, that another user may have written or that is a link; OSError.
    """
    state = private.state_of(path)
    if state is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    make_state(state)
    for each in reversed([path, *path.parents][: len(path.parts) - len(state.parts)]):
        try:
            each.mkdir(mode=0o700)
            each.chmod(0o700)
        except FileExistsError:
            if (reason := private.doubt(each)) and not private.is_writable(reason):
                raise private.refusal([(each, reason)]) from None


def make_state(state: Path) -> None:
    """Create `.rtp`, or check the one that exists. Raises RefusedError, OSError."""
    check_state(state)
    try:
        state.mkdir(mode=0o700)
    except FileExistsError:
        if stat.S_IMODE(state.stat().st_mode) != 0o700:
            with contextlib.suppress(PermissionError):  # another user's, which is trusted
                state.chmod(0o700)
        return
    except FileNotFoundError:  # the folder above was named by an option, and is new
        state.parent.mkdir(parents=True, exist_ok=True)
        state.mkdir(mode=0o700)
    state.chmod(0o700)  # whatever the umask is
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(state / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("*\n")


def check_state(state: Path) -> None:
    """Check `.rtp`, the folder that it is in and what is in it, without changing anything. Raises RefusedError."""
    if state.is_symlink():
        raise private.link_refusal(state)
    folder = state.parent
    for path in (folder, state):
        reason = access.risk(path)
        if not reason and path == state and path.exists() and path.stat().st_uid != os.geteuid():
            reason = f"belongs to another user, {access.user_name(path.stat().st_uid)}"  # root's is not this user's
        if reason and not store.is_trusted(folder):
            emptied = private.removal_of_built(state) if private.is_writable(reason) else ""
            raise RefusedError(
                f"{path} {reason}, and rtp keeps code, keys and data in {STATE}.",
                hint=emptied + _fix(path, folder, reason),
                code="folder-of-another-user" if "belongs to" in reason else "untrusted",
            )
    private.check_entries(state)


def _fix(path: Path, folder: Path, reason: str) -> str:
    """What to do about a path: take the access from others, or say that it is right as it is."""
    if reason.startswith("can be written"):
        repair = suggest.sentence(
            "Look at what is there, then run {}", suggest.command("chmod", "go-w", values=[path]), otherwise=""
        )
    else:
        repair = suggest.sentence(
            "Run rtp as that user, or become the owner with {}",
            suggest.command("sudo", "chown", "-R", "-h", values=[os.geteuid(), path]),
            otherwise="Run rtp as that user",
        )
    trust = _as_it_is(folder)
    return f"{repair}; {trust}." if repair else f"{_sentence(trust)}."


def _as_it_is(folder: Path) -> str:
    """What to do where owner and mode say nothing."""
    return suggest.sentence(
        "if it is right as it is, as on some mounts and in containers, run {}, or set RTP_TRUST to the folder",
        suggest.command("rtp", "trust", values=[folder.absolute()]),
        otherwise="if it is right as it is, as on some mounts and in containers, set RTP_TRUST to the folder",
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
