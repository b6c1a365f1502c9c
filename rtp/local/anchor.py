"""A path to an open folder that stays valid when the folder is moved.

Functions keep the paths of their code and temporary files while they run; a path of names becomes invalid as soon as
the project, or a folder above it, is renamed.
"""

from __future__ import annotations

import os
from pathlib import Path


def anchored(descriptor: int) -> Path:
    """A path to the folder that a descriptor of this process has open, for this process and its children.

    On Linux through /proc, on macOS by the inode; elsewhere the current path, which a move invalidates.
    """
    status = os.fstat(descriptor)
    for path in (f"/proc/{os.getpid()}/fd/{descriptor}", f"/.vol/{status.st_dev}/{status.st_ino}"):
        if _leads_to(path, status):
            return Path(path)
    return Path.cwd()


def _leads_to(path: str, folder: os.stat_result) -> bool:
    """Whether a child process finds the folder there: a process may see paths of its own that its children may not."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if os.path.samestat(Path(path).stat(), folder) else 1)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
