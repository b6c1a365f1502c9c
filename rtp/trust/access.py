"""Whether another user of this machine has written a path, or could. A path's owner and mode decide, as git's do."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def risk(path: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Say why a path may hold what another user wrote; empty if only this user and root can write it.

    Empty also for what is neither a file nor a folder, or cannot be looked at: who reads it reports that. A link
    counts, and what it leads to. Group write counts unless the group is the owner's private one.
    """
    try:
        statuses = [path.lstat()]
        if stat.S_ISLNK(statuses[0].st_mode):
            statuses.append(path.stat())
    except OSError:
        return ""
    return next(filter(None, (_risk(status, environ) for status in statuses)), "")


def user_name(uid: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _risk(status: os.stat_result, environ: Mapping[str, str]) -> str:
    if status.st_uid not in _own(environ):
        return f"belongs to another user, {user_name(status.st_uid)}"
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return ""  # a link has no mode
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return ""  # nobody can replace in a sticky folder what belongs to another user
    if status.st_mode & stat.S_IWOTH:
        return "can be written by every user"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid, status.st_uid):
        return f"can be written by the group {_group_name(status.st_gid)}"
    return ""


def _own(environ: Mapping[str, str]) -> set[int]:
    """The user that runs rtp, root, and under sudo the user who became root."""
    own = {0, os.geteuid()}
    if os.geteuid() == 0 and environ.get("SUDO_UID", "").isdecimal():
        own.add(int(environ["SUDO_UID"]))
    return own


def _is_private_group(gid: int, uid: int) -> bool:
    """Whether a group is the owner's own: of the same name or number, and without other members."""
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return gid == uid
    name = user_name(uid)
    return (group.gr_name == name or gid == uid) and set(group.gr_mem) <= {name}


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
