"""What a drill records before its first message, so that a clean-up knows its events without the table's index."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

from rtp.errors import ConfigError
from rtp.ops import run_marks
from rtp.ops.journal_store import encode, first, reading
from rtp.ops.work import pool
from rtp.runtime.event import Identity
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.dlq.target import Target
    from rtp.ops.journal_store import JournalStore

MOST_EVENTS = 10_000
_MOST_DRILLS = 1_000  # the newest, that are looked at
_READERS = 16
_NAME = re.compile(r"\d{8}T\d{6}Z-drill-([0-9a-f]{8})")
_LATE_MS = 3_600_000  # for so long a drill that ended is looked at too: a late message may have written a record again


class Begun(NamedTuple):
    """A drill. run: its name. since_ms: the time of its events, epoch ms. size: how many. name: of its record.

    is_over: it has ended, and removed what it had left.
    """

    run: str
    since_ms: int
    size: int
    name: str = ""
    is_over: bool = False

    @property
    def identities(self) -> list[Identity]:
        """Its events'."""
        return [Identity(f"drill-{self.run}-{n:05}", self.since_ms) for n in range(self.size)]


def record(store: JournalStore, target: Target, drill: Begun) -> Begun:
    """Record a drill before its first message. Raises RtpError."""
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(drill.since_ms / 1000))}-drill-{drill.run}"
    head = {
        "step": "head",
        "what": "drill",
        "stack": target.stack,
        "account": target.account,
        "started": drill.since_ms,
        "count": drill.size,
        "who": asdict(target.who),
    }
    store.begin(name, encode([head]), durable=True)
    return drill._replace(name=name)


def ended(store: JournalStore, drill: Begun) -> None:
    """Record that nothing is left of a drill."""
    run_marks.end(store, drill.name, 1, {"state": "ended"})


def left(store: JournalStore, target: Target, *, since_ms: int) -> tuple[list[Begun], list[str]]:
    """The drills since then that may have left something, and the names of records with values that rtp does not write.

    Those are the ones that did not end, and those that have just ended.
    """
    marks = store.marks()
    names = [name for name in store.runs() if _NAME.fullmatch(name)][-_MOST_DRILLS:]

    def read(name: str) -> Begun | str | None:
        try:
            with reading(store, name):
                head = first(store.head(name))
                found = _NAME.fullmatch(name)
                if head is None or found is None:
                    return None
                started, owner = head.integer("started"), (head.text("stack"), head.text("account"))
                size, is_over = head.integer("count", most=MOST_EVENTS), run_marks.has_ended(marks.get(name, set()))
                drill = Begun(found[1], started, size, name, is_over)
        except ConfigError as error:
            if error.code != "unreadable-journal":
                raise
            return name
        is_of_interest = started >= (max(since_ms, times.now_ms() - _LATE_MS) if is_over else since_ms)
        return drill if owner == (target.stack, target.account) and is_of_interest else None

    found = list(pool.map(read, names, threads=_READERS))
    return [one for one in found if isinstance(one, Begun)], [one for one in found if isinstance(one, str)]
