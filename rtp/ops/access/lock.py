"""The lock of an environment: one deploy or destroy at a time on this machine. It ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import time
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RefusedError
from rtp.text import suggest
from rtp.text.given import LATEST_MS, Given
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_MOST = 10_000  # characters of a holder


@contextlib.contextmanager
def held(state: Path, env: str, what: str) -> Iterator[None]:
    """Hold the lock of an environment while `what` runs. Raises RefusedError that says who holds it."""
    file = state / f"deploy-{env}.lock"
    try:
        project.below(state)
        handle = open(file, "a+", encoding="utf-8", opener=private.opener)  # noqa: SIM115 - Path.open has no opener
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}.", hint="Give yourself write access to the project's folder."
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            raise _taken(handle.read(_MOST), env) from None
        handle.truncate(0)
        handle.write(json.dumps({"what": what, "user": user(), "pid": os.getpid(), "since": int(time.time())}))
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)


def _taken(text: str, env: str) -> RefusedError:
    try:
        holder = Given(json.loads(text))
        since = time.strftime("%H:%M:%S", time.localtime(holder.integer("since", most=LATEST_MS // 1000)))
        what = suggest.sentence("{} of ", suggest.command("rtp", holder.text("what", most=100)))
        who = f"{what}{holder.text('user', most=200)} (process {holder.integer('pid')}) since {since}"
    except (ValueError, RecursionError):
        who = "another rtp"
    return RefusedError(
        f"{env} is being changed by {who}.", hint="Wait until that has ended, then repeat the command.", code="locked"
    )


def user() -> str:
    """The name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return str(os.getuid())
