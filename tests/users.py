"""Acting as another user of this machine, in a child process; only root can."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534
ORDINARY = 61234
"""A user without an account and a group of others."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user, which only root can")


def as_user(uid: int, act: Callable[[], object]) -> Any:
    """What `act` returns in a child process of that user. It imports nothing: modules may be closed to it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(uid)
            answer = json.dumps({"returned": act()})
        except BaseException as error:
            answer = json.dumps({"raised": f"{type(error).__name__}: {error}"})
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert "raised" not in answer, answer["raised"]
    return answer["returned"]


def become(uid: int) -> None:
    """Give this process to a user for good, where it is root's."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
