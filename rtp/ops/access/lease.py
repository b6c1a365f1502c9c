"""The lease of the dead-letter queue: one operator at a time changes it, from any machine; others see who that is."""

from __future__ import annotations

import json
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
from rtp.ops.access import process
from rtp.ops.access.lock import user
from rtp.ops.work.background import repeating
from rtp.text import suggest, times
from rtp.text.given import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.aws.leases import Seen
    from rtp.ops.work.pool import Stop

NAME = "dlq"
LASTS_S = 30.0  # a killed operator on another machine blocks the others for no longer than this
RENEW_S = 10.0
COMMANDS = ("dlq redrive", "dlq purge", "dlq undo")
_SLACK_S = 5.0  # DynamoDB's answers have whole seconds, and take their time


@contextmanager
def held(
    aws: Aws,
    table: str,
    what: str,
    stop: Stop,
    *,
    renew_s: float = RENEW_S,
) -> Iterator[None]:
    """Hold the lease of the dead-letter queue while `what` runs. Raises RefusedError that says who holds it.

    Where the lease is lost in spite of renewals, `stop.drain` is set: running work ends, no new work starts, and
    RefusedError says at the end of the block that the work is not complete.
    """
    was_lost = threading.Event()
    mine, ahead = _take(aws, table, what)

    def renew() -> bool:
        nonlocal ahead
        try:
            now = leases.renew(aws, table, NAME, _until(mine, times.now_ms() + ahead))
        except RtpError:
            return True  # the lease outlasts two misses
        if now is None:
            was_lost.set()
            stop.drain.set()
            return False
        ahead = now - times.now_ms()
        return True

    try:
        with repeating(renew, renew_s):
            yield
        if was_lost.is_set():
            raise _lost(aws, table, what)
    finally:
        leases.give_back(aws, table, NAME, mine.token)


def current(aws: Aws, table: str) -> Holder | None:
    """Who holds the lease now, if anybody is known to."""
    seen = leases.read(aws, table, NAME)
    try:
        holder = seen.holder
    except MalformedError:
        return None
    return None if holder is None or _has_ended(holder, seen.now) else holder


def described(holder: Holder) -> str:
    """A holder in words."""
    command = suggest.command("rtp", *holder.what.split()) if holder.what in COMMANDS else suggest.literal("rtp")
    return suggest.sentence("{} of ", command) + (
        f"{holder.user}@{holder.host} (process {holder.pid}, for {times.ago(holder.since)})"
    )


def _take(aws: Aws, table: str, what: str) -> tuple[Holder, int]:
    """Acquire the lease: as whom, and how far DynamoDB's clock is ahead of this machine's, in ms.

    Only DynamoDB's times are compared: the machines' clocks may differ by more than the lease lasts.
    """
    seen = leases.read(aws, table, NAME)
    ahead = seen.now - times.now_ms()
    try:
        other = seen.holder
    except MalformedError as error:
        raise _unreadable(table, error) from None
    if other is None or _has_ended(other, seen.now):
        mine = _until(_holder(what, seen.now), seen.now)
        if leases.take(aws, table, NAME, mine, instead_of=seen):
            return mine, ahead
        other = _known(leases.read(aws, table, NAME))
    raise RefusedError(
        f"The dead-letter queue is in use by {_who(other)}; nothing was changed.",
        hint="Wait until that has ended, then repeat the command.",
        code="locked",
    )


def _unreadable(table: str, error: MalformedError) -> RefusedError:
    item = json.dumps(leases.key(NAME))
    return RefusedError(
        f"The lease of the dead-letter queue in {table} cannot be read: {error}. Nothing was changed.",
        hint=suggest.sentence(
            "Another program wrote it. If no redrive, purge or undo runs anywhere, delete it with {}.",
            suggest.command("aws", "dynamodb", "delete-item", table_name=table, key=item),
            otherwise="Another program wrote it. If no redrive, purge or undo runs anywhere, delete it.",
        ),
        code="unreadable-lease",
    )


def _lost(aws: Aws, table: str, what: str) -> RefusedError:
    return RefusedError(
        suggest.sentence("{} stopped before its end: ", suggest.command("rtp", *what.split()))
        + f"the lease of the dead-letter queue went to {_who(_known(leases.read(aws, table, NAME)))}.",
        hint="Repeat the command when the other has ended; every message that was removed is in the journal.",
        code="lease-lost",
    )


def _known(seen: Seen) -> Holder | None:
    try:
        return seen.holder
    except MalformedError:
        return None


def _who(holder: Holder | None) -> str:
    return "another operator" if holder is None else described(holder)


def _holder(what: str, now: int) -> Holder:
    """A holder for this run, of a lease that ends at once."""
    pid = os.getpid()
    host = platform.node() or "?"
    return Holder(secrets.token_hex(8), user(), host, pid, what, now, now, process.machine(), process.started(pid))


def _until(mine: Holder, now: int) -> Holder:
    return replace(mine, until=now + int(LASTS_S * 1000))


def _has_ended(holder: Holder, now: int) -> bool:
    """Whether a lease has run out, is longer than any that rtp writes, or is of a killed process of this machine."""
    left_ms = holder.until - now
    is_dead = process.has_ended(holder.machine, holder.pid, holder.started)
    return left_ms <= 0 or left_ms > (LASTS_S + _SLACK_S) * 1000 or is_dead
