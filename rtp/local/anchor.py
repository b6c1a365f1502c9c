"""A path to an open folder that leads there wherever the folder is moved to.

Functions have the paths of their code and of their temporary files for as long as they run; a path by names would be
wrong as soon as the project, or a folder above it, is renamed.
"""

from __future__ import annotations

import os
from pathlib import Path


def anchored(descriptor: int) -> Path:
    """A path to the folder that a descriptor of this process has open, for this process and its children.

    Linux leads there through the process, macOS by the inode; elsewhere it is the path of now, which a move breaks.
    """
    status = os.fstat(descriptor)
    for path in (f"/proc/{os.getpid()}/fd/{descriptor}", f"/.vol/{status.st_dev}/{status.st_ino}"):
        if _leads_to(path, status):
            return Path(path)
    return Path.cwd()


def _leads_to(path: str, folder: os.stat_result) -> bool:
    """Whether a child process finds the folder there: what a process may see of itself, its children may not."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if os.path.samestat(Path(path).stat(), folder) else 1)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
