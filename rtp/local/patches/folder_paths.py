"""Paths inside the engine's folder stay relative, so that they remain valid when the folder is moved."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import lambda_runtime
    from ministack.services import s3

    resolved = resolver(tempfile.gettempdir())
    for module in (s3, lambda_runtime):
        require(module, "os")
        path = SimpleNamespace(**{**vars(os.path), "realpath": resolved})
        module.os = SimpleNamespace(**{**vars(os), "path": path})


PATCH = Patch(
    name="folder_paths",
    aws="-",
    engine=(
        "S3 and the function workers make each path absolute and use it a moment later: what is written while the "
        "project is renamed goes to a new folder of the old name."
    ),
    test="tests/local/engine/test_patches.py::test_an_object_written_while_the_folder_is_moved",
    install=install,
)


def resolver(own: str) -> Any:
    """`os.path.realpath` that keeps paths which are relative or below `own` and contain no link."""

    def realpath(path: Any, *, strict: bool = False) -> Any:
        normal = os.path.normpath(path)
        if not normal.startswith(os.sep):
            prefix, rest = "", normal
        elif normal.startswith(own + os.sep):
            prefix, rest = own, normal[len(own) + 1 :]
        else:
            return os.path.realpath(path, strict=strict)
        if rest.split(os.sep, 1)[0] == ".." or _contains_a_link(prefix, rest):
            return os.path.realpath(path, strict=strict)
        return normal

    return realpath


def _contains_a_link(prefix: str, rest: str) -> bool:
    """Whether a part of `rest` is a link; `prefix` is not checked."""
    path = prefix and prefix + os.sep
    for name in Path(rest).parts:
        path += name
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return True
        except OSError:
            return False  # a missing file is no link
        path += os.sep
    return False
