"""The lease of the dead-letter queue: one operator at a time changes it, from any machine; others see who that is."""

from __future__ import annotations

import os
import platform
import secrets
import threading
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
LASTS_S = 30.0  # a killed operator on another machine blocks the others for no longer than this
RENEW_S = 10.0


@contextmanager
def held(
    aws: Aws,
    table: str,
    what: str,
    stop: Stop,
    *,
    alive: Callable[[int], bool] | None = None,
    renew_s: float = RENEW_S,
) -> Iterator[None]:
    """Hold the lease of the dead-letter queue while `what` runs. Raises RefusedError that says who holds it.

    Where the lease is lost in spite of renewals, `stop.drain` is set: running work ends, no new work starts, and
    RefusedError says at the end of the block that the work is not complete.
    """
    was_lost = threading.Event()
    mine = _mine(what)
    _take(aws, table, mine, alive or _alive)

    def renew() -> bool:
        try:
            renewed = leases.take(aws, table, NAME, _until(mine), now=times.now_ms())
        except RtpError:
            return True  # the lease outlasts two misses
        if not renewed:
            was_lost.set()
            stop.drain.set()
        return renewed

    try:
        with repeating(renew, renew_s):
            yield
        if was_lost.is_set():
            raise _lost(aws, table, what)
    finally:
        leases.give_back(aws, table, NAME, mine.token)


def current(aws: Aws, table: str) -> Holder | None:
    """Who holds the lease now, if anybody does."""
    holder = leases.holder(aws, table, NAME)
    if holder is None or holder.until <= times.now_ms() or _dead_here(holder, _alive):
        return None
    return holder


def described(holder: Holder) -> str:
    """A holder in words."""
    what = suggest.sentence("{} of ", suggest.command("rtp", *holder.what.split()))
    return f"{what}{holder.user}@{holder.host} (process {holder.pid}, for {times.ago(holder.since)})"


def _take(aws: Aws, table: str, mine: Holder, alive: Callable[[int], bool]) -> None:
    if leases.take(aws, table, NAME, mine, now=times.now_ms()):
        return
    other = leases.holder(aws, table, NAME)
    # The lease of a killed process of this machine need not run out first.
    replaced = other.token if other is not None and _dead_here(other, alive) else ""
    if other is None or replaced:
        if leases.take(aws, table, NAME, _until(mine), now=times.now_ms(), instead_of=replaced):
            return
        other = leases.holder(aws, table, NAME)
    who = described(other) if other is not None else "another operator"
    raise RefusedError(
        f"The dead-letter queue is in use by {who}; nothing was changed.",
        hint="Wait until that has ended, then repeat the command.",
        code="locked",
    )


def _lost(aws: Aws, table: str, what: str) -> RefusedError:
    holder = leases.holder(aws, table, NAME)
    who = described(holder) if holder is not None else "another operator"
    return RefusedError(
        suggest.sentence("{} stopped before its end: ", suggest.command("rtp", *what.split()))
        + f"the lease of the dead-letter queue went to {who}.",
        hint="Repeat the command when the other has ended; every message that was removed is in the journal.",
        code="lease-lost",
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
