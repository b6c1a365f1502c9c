"""One operator at a time repairs a pipeline, from whatever machine; a second one is told who is at it."""

from __future__ import annotations

import os
import platform
import secrets
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.aws import leases
from rtp.aws.leases import Holder
from rtp.errors import RefusedError, RtpError
from rtp.ops.access.lock import user
from rtp.ops.work.background import repeating
from rtp.text import suggest, times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.ops.work.pool import Stop

NAME = "dlq"
LASTS_S = 30.0  # a killed operator on another machine blocks the others no longer
RENEW_S = 10.0


@contextmanager
def held(aws: Aws, table: str, what: str, stop: Stop, *, alive: Callable[[int], bool] | None = None) -> Iterator[None]:
    """Hold the lease of the dead-letter queue while `what` runs. Raises RefusedError that says who holds it.

    Should it be lost all the same, `stop` is pulled: what is under way ends, and nothing new is begun.
    """
    mine = _mine(what)
    _take(aws, table, mine, alive or _alive)

    def renew() -> bool:
        try:
            kept = leases.take(aws, table, NAME, _until(mine), now=times.now_ms())
        except RtpError:
            return True  # the lease outlasts two misses
        if not kept:
            stop.drain.set()
        return kept

    try:
        with repeating(renew, RENEW_S):
            yield
    finally:
        leases.give_back(aws, table, NAME, mine.token)


def current(aws: Aws, table: str) -> Holder | None:
    """Who is repairing at this moment, if anybody is."""
    found = leases.holder(aws, table, NAME)
    return found if found is not None and found.until > times.now_ms() and not _dead_here(found, _alive) else None


def described(holder: Holder) -> str:
    """A holder in words."""
    what = suggest.sentence("{} of ", suggest.command("rtp", *holder.what.split()))
    return f"{what}{holder.user}@{holder.host} (process {holder.pid}, for {times.ago(holder.since)})"


def _take(aws: Aws, table: str, mine: Holder, alive: Callable[[int], bool]) -> None:
    if leases.take(aws, table, NAME, mine, now=times.now_ms()):
        return
    other = leases.holder(aws, table, NAME)
    # A killed process of this very machine need not be waited for.
    replaced = other.token if other is not None and _dead_here(other, alive) else ""
    if other is None or replaced:
        if leases.take(aws, table, NAME, _until(mine), now=times.now_ms(), instead_of=replaced):
            return
        other = leases.holder(aws, table, NAME)
    who = described(other) if other is not None else "another operator"
    raise RefusedError(
        f"The dead-letter queue is being worked on by {who}; nothing was changed.",
        hint="Wait until it is done, then repeat the command.",
        code="locked",
    )


def _mine(what: str) -> Holder:
    now = times.now_ms()
    return _until(Holder(secrets.token_hex(8), user(), platform.node() or "?", os.getpid(), what, now, now))


def _until(mine: Holder) -> Holder:
    return replace(mine, until=times.now_ms() + int(LASTS_S * 1000))


def _dead_here(other: Holder, alive: Callable[[int], bool]) -> bool:
    return other.host == platform.node() and not alive(other.pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
