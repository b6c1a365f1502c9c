"""The search paths that a child process gets: without the folder in which it works, which may be a stranger's.

An empty entry, as `PATH=$PATH:$MORE` makes one, stands for that folder: a program or library in it would run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")


def absolute(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables, with the absolute entries of search paths alone."""
    kept = {name: value for name, value in environ.items() if name not in _NAMES}
    for name in _NAMES:
        entries = [entry for entry in environ.get(name, "").split(os.pathsep) if entry.startswith("/")]
        if entries:
            kept[name] = os.pathsep.join(entries)
        elif name == "PATH" and name in environ:  # without any, Python would search the folder
            kept[name] = os.defpath
    return kept
