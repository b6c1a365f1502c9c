"""What a run leaves beside its journal for every machine: how far it is, how it ended, and requests to stop it.

A run has parts: the first one, and one more for each time that it was continued. The marks of a part are
`1-progress`, which is written again and again while it works, `1-stop`, which another operator writes once, `1-end` or
`1-failed`, and `1-undone`; a later part begins with `2-begin`.
"""

from __future__ import annotations

import json
import platform
import re
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.errors import RtpError
from rtp.ops.access.lock import user
from rtp.ops.work.background import repeating
from rtp.text.given import Given, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.ops.journal_store import Document, JournalStore
    from rtp.ops.work.pool import Stop

_MARK = re.compile(r"(\d{1,6})-[a-z]+\Z", re.ASCII)
BEAT_S = 2.0
SILENT_MS = 30_000
"""A run that gives no sign of life for so long was killed: it gives one every BEAT_S seconds."""
BEGIN, PROGRESS, STOP, END, FAILED, UNDONE = "begin", "progress", "stop", "end", "failed", "undone"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs a command. identity: ARN of the AWS identity; empty on the local engine. user, host: of the machine."""

    identity: str = ""
    user: str = field(default_factory=user)
    host: str = field(default_factory=platform.node)

    @property
    def label(self) -> str:
        """The operator in a few words."""
        return f"{self.user}@{self.host}" if self.host else self.user


def operator(given: Given) -> Operator:
    """The operator that a document names. Raises MalformedError."""
    return Operator(*(given.text(name, "", most=300) for name in ("identity", "user", "host")))


class Position(NamedTuple):
    """How far a part of a run is. done: messages moved, deleted or queued."""

    run: str
    part: int
    done: int


@dataclass(slots=True)
class Beat:
    """What a run learns while it works. stopped_by: who asked it to stop."""

    stopped_by: Operator | None = None

    @property
    def label(self) -> str:
        """Who asked it to stop, in a few words; empty where nobody did."""
        return "" if self.stopped_by is None else self.stopped_by.label

    def state(self, *, is_cut: bool) -> str:
        """How a run ended. is_cut: whether it did not do everything."""
        return "stopped" if self.stopped_by is not None else "interrupted" if is_cut else "ended"


@contextmanager
def beating(
    store: JournalStore, position: Callable[[], Position | None], stop: Stop, *, seconds: float = BEAT_S
) -> Iterator[Beat]:
    """Write how far a run is while the block works, and drain it once another operator has asked it to stop.

    position: None before its journal is begun. A store that does not answer neither ends nor delays the run.
    """
    beat = Beat()

    def once() -> None:
        now = position()
        if now is None:
            return
        with suppress(RtpError, OSError):
            store.mark(now.run, name(now.part, PROGRESS), json.dumps({"done": now.done}).encode())
            if beat.stopped_by is None and (asked := asked_by(store, now.run, now.part)) is not None:
                beat.stopped_by = asked
                stop.drain.set()

    with repeating(once, seconds):
        yield beat


def name(part: int, kind: str) -> str:
    """The name of a mark."""
    return f"{part}-{kind}"


def last_part(names: set[str]) -> int:
    """The number of the last part of a run whose marks have these names."""
    return max((int(match[1]) for each in names if (match := _MARK.match(each))), default=1)


def has_ended(names: set[str]) -> bool:
    """Whether the last part of a run ended by itself and left nothing half done."""
    return name(last_part(names), END) in names


def has_completed(store: JournalStore, run: str, names: set[str]) -> bool:
    """Whether the last part of a run ended with all that it was to do."""
    values_ = values_of(store, run, name(last_part(names), END)) if has_ended(names) else None
    return values_ is not None and values_.values.get("state") == "ended"


def begin(store: JournalStore, run: str, part: int, who: Operator) -> None:
    """Mark that a run is continued. Raises RtpError."""
    store.mark(run, name(part, BEGIN), json.dumps(asdict(who)).encode())


def end(store: JournalStore, run: str, part: int, result: Mapping[str, Any], *, failed: bool = False) -> None:
    """Mark that a part has ended. Without the mark it is taken for a killed one, and its journal is read."""
    with suppress(RtpError, OSError):
        store.mark(run, name(part, FAILED if failed else END), json.dumps(result).encode())


def undone(store: JournalStore, run: str, who: Operator) -> None:
    """Mark that the messages of a run were restored."""
    with suppress(RtpError, OSError):
        part = last_part(store.marks().get(run, set()))
        store.mark(run, name(part, UNDONE), json.dumps(asdict(who)).encode())


def ask_to_stop(store: JournalStore, run: str, part: int, who: Operator) -> Operator:
    """Ask a run to stop. Returns who asked first. Raises RtpError."""
    if store.mark(run, name(part, STOP), json.dumps(asdict(who)).encode(), once=True):
        return who
    return asked_by(store, run, part) or who


def asked_by(store: JournalStore, run: str, part: int) -> Operator | None:
    """Who asked a run to stop, if anybody did."""
    asked = values_of(store, run, name(part, STOP))
    if asked is None:
        return None
    try:
        return operator(asked)
    except MalformedError:
        return Operator("", "?", "")


def values_of(store: JournalStore, run: str, mark: str) -> Given | None:
    """The values of a mark; None where there is none, and without members where rtp did not write it."""
    document = store.marked(run, mark)
    return None if document is None else values(document)


def values(document: Document) -> Given:
    """The values of a mark, none where rtp did not write it."""
    try:
        return Given(json.loads(document.content))
    except (ValueError, RecursionError):
        return Given({})
