"""Journals in rtp's own bucket, where every operator finds them; without that bucket, on this machine."""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from rtp.aws import journal_objects, own_bucket
from rtp.errors import AwsError, RtpError
from rtp.ops.journal_store import HEAD_BYTES, Document
from rtp.ops.work import pool
from rtp.text.given import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.aws.journal_objects import Listed
    from rtp.ops.journal_store import JournalStore

_Read = TypeVar("_Read")
_READERS = 16
_MOST_BYTES = 2_000_000_000  # of a journal, whose messages undo has in memory
_CHUNK = re.compile(r"\d{8,9}-[0-9a-f]{8}\.jsonl", re.ASCII)
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,99})\.jsonl", re.ASCII)
_MISSING = "NoSuchBucket"


@dataclass(slots=True)
class _Group:
    """Batches of several threads that are written as one object."""

    batches: list[bytes] = field(default_factory=list)
    is_done: bool = False
    error: BaseException | None = None


class JournalObjects:
    """Journals as objects, in chunks. What is written is stored in several places when the call returns.

    While a chunk is written, the batches of other threads wait and become the next chunk: a call takes as long as
    sending some messages, and a run has hundreds of them at a time.
    """

    def __init__(self, aws: Aws, base: str, key_arn: str) -> None:
        """base: prefix of the keys. key_arn: the stack's key, which encrypts them."""
        self._aws, self._base, self._key_arn = aws, base, key_arn
        self._writer = secrets.token_hex(4)  # two writers never write one key
        self._numbers: dict[str, int] = {}
        self._open: dict[str, _Group] = {}
        self._changed = threading.Condition()
        self._is_writing = False

    def begin(self, run: str, batch: bytes, *, durable: bool) -> None:  # noqa: ARG002 - it always is
        """See JournalStore. Raises AwsError."""
        self._numbers[run] = 0
        self._write(f"runs/{run}.jsonl", batch)

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:  # noqa: ARG002 - it always is
        """See JournalStore. Raises AwsError."""
        with self._changed:
            group = self._open.setdefault(run, _Group())
            group.batches.append(batch)
            while not group.is_done and self._is_writing:
                self._changed.wait()
            if not group.is_done:
                del self._open[run]
                self._is_writing = True
        if not group.is_done:
            self._flush(run, group)
        if group.error is not None:
            raise group.error

    def runs(self) -> list[str]:
        """See JournalStore: in the order of S3's clock. Objects with names that no run has are left out."""
        found = journal_objects.names(self._aws, f"{self._base}runs/")
        return [
            match[1]
            for name in sorted(found, key=lambda name: (found[name].at, name))
            if (match := _NAME.fullmatch(name))
        ]

    def read(self, run: str) -> bytes:
        """See JournalStore. Raises MalformedError where it is larger than any that rtp writes."""
        chunks = self._chunks(run)
        if sum(chunk.size for chunk in chunks.values()) > _MOST_BYTES:
            raise MalformedError(f"it has more than {_MOST_BYTES:,} bytes")
        keys = [f"runs/{run}.jsonl", *(f"more/{run}/{name}" for name in chunks)]
        try:
            return b"".join(pool.map(self._read, keys, threads=_READERS))
        except RtpError as error:
            if error.code != "object-too-large":
                raise
            raise MalformedError("an object of it is too large") from None

    def _read(self, key: str) -> bytes:
        return journal_objects.read(self._aws, self._base + key)

    def where(self, run: str = "") -> str:
        """See JournalStore."""
        return f"s3://{own_bucket.name(self._aws)}/{self._base}{f'runs/{run}.jsonl' if run else ''}"

    def head(self, run: str) -> Document | None:
        """See JournalStore."""
        return self._beginning(f"runs/{run}.jsonl")

    def mark(self, run: str, name: str, content: bytes, *, once: bool = False) -> bool:
        """See JournalStore. Raises AwsError."""
        key = f"{self._base}marks/{run}/{name}.json"
        return journal_objects.write(self._aws, key, content, self._key_arn, once=once)

    def marked(self, run: str, name: str) -> Document | None:
        """See JournalStore."""
        return self._beginning(f"marks/{run}/{name}.json")

    def marks(self) -> dict[str, set[str]]:
        """See JournalStore."""
        found: dict[str, set[str]] = {}
        for name in journal_objects.names(self._aws, f"{self._base}marks/"):
            run, _, mark = name.rpartition("/")
            found.setdefault(run, set()).add(mark.removesuffix(".json"))
        return found

    def _beginning(self, key: str) -> Document | None:
        found = journal_objects.beginning(self._aws, self._base + key, HEAD_BYTES)
        return None if found is None else Document(*found)

    def _flush(self, run: str, group: _Group) -> None:
        try:
            if run not in self._numbers:  # begun by another command
                self._numbers[run] = max((int(name.partition("-")[0]) for name in self._chunks(run)), default=0)
            self._numbers[run] += 1
            self._write(f"more/{run}/{self._numbers[run]:08}-{self._writer}.jsonl", b"".join(group.batches))
        except BaseException as error:
            group.error = error
        with self._changed:
            group.is_done, self._is_writing = True, False
            self._changed.notify_all()

    def _chunks(self, run: str) -> dict[str, Listed]:
        found = journal_objects.names(self._aws, f"{self._base}more/{run}/")
        return {name: found[name] for name in sorted(found) if _CHUNK.fullmatch(name)}

    def _write(self, key: str, body: bytes) -> None:
        try:
            journal_objects.write(self._aws, self._base + key, body, self._key_arn)
        except AwsError as error:
            if error.service_code != _MISSING or not self._aws.local:
                raise
            own_bucket.create(self._aws)
            journal_objects.write(self._aws, self._base + key, body, self._key_arn)


class SharedJournals:
    """Journals that every operator sees. Those that the bucket does not take are on this machine, which is said."""

    def __init__(self, shared: JournalStore, local: JournalStore, warn: Callable[[str], None]) -> None:
        self._shared, self._local, self._warn = shared, local, warn
        self._is_local: dict[str, bool] = {}
        self._has_warned = False

    def begin(self, run: str, batch: bytes, *, durable: bool) -> None:
        """See JournalStore."""
        try:
            self._shared.begin(run, batch, durable=durable)
        except AwsError as error:
            if not _is_closed(error):
                raise
            self._warn(
                f"This run is recorded on this machine alone, where it can be undone or continued: {error.message}"
            )
            self._is_local[run] = True
            self._local.begin(run, batch, durable=durable)
            return
        self._is_local[run] = False

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:
        """See JournalStore."""
        self._of(run).append(run, batch, durable=durable)

    def runs(self) -> list[str]:
        """See JournalStore. The names of runs begin with their time, which orders those of the two places."""
        here, there = self._local.runs(), self._shared_runs()
        self._is_local |= dict.fromkeys(here, True) | dict.fromkeys(there, False)
        here = [run for run in here if run not in set(there)]
        merged: list[str] = []
        while here and there:
            merged.append((here if here[0] < there[0] else there).pop(0))
        return [*merged, *here, *there]

    def read(self, run: str) -> bytes:
        """See JournalStore."""
        return self._of(run).read(run)

    def where(self, run: str = "") -> str:
        """See JournalStore."""
        return self._of(run).where(run) if run else f"{self._shared.where()} and {self._local.where()}"

    def head(self, run: str) -> Document | None:
        """See JournalStore."""
        return self._of(run).head(run)

    def mark(self, run: str, name: str, content: bytes, *, once: bool = False) -> bool:
        """See JournalStore."""
        return self._of(run).mark(run, name, content, once=once)

    def marked(self, run: str, name: str) -> Document | None:
        """See JournalStore."""
        return self._of(run).marked(run, name)

    def marks(self) -> dict[str, set[str]]:
        """See JournalStore."""
        none: dict[str, set[str]] = {}
        return self._local.marks() | self._if_open(self._shared.marks, none)

    def is_local(self, run: str) -> bool:
        """Whether a journal is on this machine alone."""
        return self._of(run) is self._local

    def _of(self, run: str) -> JournalStore:
        if run not in self._is_local:
            self.runs()
        return self._local if self._is_local.get(run) else self._shared

    def _shared_runs(self) -> list[str]:
        return self._if_open(self._shared.runs, [])

    def _if_open(self, read: Callable[[], _Read], otherwise: _Read) -> _Read:
        try:
            return read()
        except AwsError as error:
            if not _is_closed(error):
                raise
            if error.service_code != _MISSING and not self._has_warned:
                self._has_warned = True
                self._warn(f"Runs of other machines are not known: {error.message}")
            return otherwise


def _is_closed(error: RtpError) -> bool:
    """Whether there is no bucket, or these credentials may not use it: then it is not used by others either."""
    return isinstance(error, AwsError) and (error.service_code == _MISSING or error.code == "access-denied")
