"""Where the journals of redrives, purges and replays are stored: the interface, and its implementation by files.

A journal has one JSON document a line, written in batches.
"""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rtp.aws import objects
from rtp.errors import AwsError, ConfigError, NotFoundError
from rtp.text import json_values
from rtp.text.given import Given, MalformedError
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rtp.errors import RtpError

EXPIRY_DAYS = 30
"""How long a journal is kept: it has the bodies of messages, which SQS keeps for 14 days at most."""

_MOST_CUT = 1_000  # lines of a journal that kills may have cut off
HEAD_BYTES = 65_536
"""How much of a journal is read for its head: a line of some hundred bytes, and with it a part of the first batch."""

_NAME = re.compile(r"(\d{6,})-(.+)\.jsonl")
_MARK = re.compile(r"(.+)\.(\d+-[a-z]+)\.json")


@dataclass(frozen=True, slots=True)
class Document:
    """A text beside a journal, or the beginning of one. age_ms: since it was written, by the clock of its place."""

    content: bytes
    age_ms: int


class JournalStore(Protocol):
    """Journals by the name of their run, each a sequence of batches. A crash may cut off the last batch of a run.

    Beside a journal are marks: small documents by name, such as how far the run is.

    A store needs no transactions: one command at a time appends to a journal, under the lease of the DLQ, from any
    number of threads.
    """

    def begin(self, run: str, batch: bytes, *, durable: bool) -> None:
        """Create the journal of a new run with its first batch, after all others. Raises ConfigError if it cannot."""

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:
        """Append a batch. durable: it must outlast a crash of the machine when the call returns."""

    def runs(self) -> list[str]:
        """The runs in the order in which their journals were begun, whatever the clock said."""

    def read(self, run: str) -> bytes:
        """All batches of a run, in their order."""

    def where(self, run: str = "") -> str:
        """Where the journal of a run is, or all of them, for messages."""

    def head(self, run: str) -> Document | None:
        """The first HEAD_BYTES of a journal; None where there is none."""

    def mark(self, run: str, name: str, content: bytes, *, once: bool = False) -> bool:
        """Write a mark. once: only where there is none of this name; then returns False where there is one."""

    def marked(self, run: str, name: str) -> Document | None:
        """A mark; None where there is none."""

    def marks(self) -> dict[str, set[str]]:
        """The names of all marks, by run."""


class JournalFiles:
    """A folder with a file for each run, `NUMBER-RUN.jsonl`, readable by its owner alone. The number is their order.

    Every method raises RefusedError where the folder or a journal is a link, or another user may have written it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._written: dict[str, Path] = {}  # by run: looked up once, for an append of each event

    def begin(self, run: str, batch: bytes, *, durable: bool) -> None:
        """See JournalStore."""
        path = self._folder
        try:
            project.below(self._folder.parent)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._expire()
            path = self._folder / f"{1 + max((number for number, _ in self._files()), default=0):06}-{run}.jsonl"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            if durable:
                _sync(self._folder)
            _append(path, batch, durable=durable)
            self._written[run] = path
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written ({error.strerror}); nothing was changed.",
                hint="Give yourself write access: messages are recorded there before they leave the DLQ.",
            ) from None

    def expired(self) -> list[Path]:
        """The journals to which nothing was added for EXPIRY_DAYS, oldest first."""
        before = time.time() - EXPIRY_DAYS * 86_400
        return [path for _, path in sorted(self._files()) if path.stat().st_mtime < before]

    def _expire(self) -> None:
        """Delete the expired journals but the last one, whose number the next one follows."""
        last = max(self._files(), default=None)
        for path in self.expired():
            if last is None or path != last[1]:
                path.unlink(missing_ok=True)
                for mark in self._folder.glob(f"{glob.escape(_run(path))}.*.json"):
                    mark.unlink(missing_ok=True)

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:
        """See JournalStore. Raises ConfigError where the disk does not take it."""
        path = self._written.get(run) or self._path(run)
        try:
            with self._lock:
                _append(path, batch, durable=durable)
            self._written[run] = path
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written ({error.strerror}); the command stopped there.",
                hint="Give it space or access, then repeat the command; every message that was removed is recorded.",
            ) from None

    def runs(self) -> list[str]:
        """See JournalStore."""
        return [_run(path) for _, path in sorted(self._files())]

    def read(self, run: str) -> bytes:
        """See JournalStore."""
        return private.read_bytes(self._path(run))

    def where(self, run: str = "") -> str:
        """See JournalStore."""
        return str(self._path(run) if run else self._folder)

    def head(self, run: str) -> Document | None:
        """See JournalStore."""
        return _beginning(self._path(run))

    def mark(self, run: str, name: str, content: bytes, *, once: bool = False) -> bool:
        """See JournalStore. Raises OSError."""
        path = self._mark(run, name)
        if once and path.exists():  # one machine's: two at the same time do not matter
            return False
        private.write(path, content.decode())
        return True

    def marked(self, run: str, name: str) -> Document | None:
        """See JournalStore."""
        return _beginning(self._mark(run, name))

    def marks(self) -> dict[str, set[str]]:
        """See JournalStore."""
        found: dict[str, set[str]] = {}
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if name := _MARK.fullmatch(path.name):
                found.setdefault(name[1], set()).add(name[2])
        return found

    def _mark(self, run: str, name: str) -> Path:
        return self._folder / f"{run}.{name}.json"

    def _path(self, run: str) -> Path:
        return next((path for _, path in self._files() if _run(path) == run), self._folder / f"{run}.jsonl")

    def _files(self) -> list[tuple[int, Path]]:
        if (state := private.state_of(self._folder)) is not None:
            project.check_state(state)
        paths = [*self._folder.iterdir()] if self._folder.is_dir() else []
        if findings := [(path, why) for path in (self._folder, *paths) if (why := private.doubt(path))]:
            raise private.refusal(findings)
        return [(int(name[1]), path) for path in paths if (name := _NAME.fullmatch(path.name))]


def encode(lines: Iterable[dict[str, Any]]) -> bytes:
    """A batch of lines. It begins with a line break because a kill may have cut off the line before."""
    return "".join(f"\n{json_values.dumps(line)}" for line in lines).encode("utf-8", "backslashreplace") + b"\n"


@contextlib.contextmanager
def reading(store: JournalStore, run: str) -> Iterator[None]:
    """For a block that reads a journal. Raises ConfigError where rtp did not write it."""
    try:
        yield
    except MalformedError as error:
        raise _unreadable(store, run, str(error)) from None
    except OSError as error:
        raise _unreadable(store, run, error.strerror or str(error)) from None


@contextlib.contextmanager
def lines_of(store: JournalStore, run: str) -> Iterator[Iterator[Given]]:
    """The lines of a journal; one that a kill cut off is skipped. Raises ConfigError where rtp did not write it."""
    with reading(store, run):
        yield decoded(store.read(run))


def first(document: Document | None) -> Given | None:
    """The first line of the beginning of a journal; None without one. Raises MalformedError."""
    return next(decoded(document.content), None) if document else None


class Skipping:
    """Journals that are read because they may matter, and not by their names: one that cannot be read stops nothing.

    It is damaged, another program wrote it, it cannot be decrypted here, or it has expired meanwhile. `warn` is called
    with which is skipped and why. error: why the first of them cannot be read.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self.error: RtpError | None = None

    @contextlib.contextmanager
    def journal(self, store: JournalStore, run: str) -> Iterator[None]:
        """For a block that reads one journal; it ends there if that cannot be read."""
        try:
            yield
        except (ConfigError, AwsError, NotFoundError) as error:
            is_of_one = isinstance(error, NotFoundError) or (isinstance(error, AwsError) and objects.is_of_one(error))
            if error.code != "unreadable-journal" and not is_of_one:
                raise
            self.error = self.error or error
            where = "" if error.code == "unreadable-journal" else f"{store.where(run)} cannot be read: "
            self.skip(f"{where}{error.message}")

    def skip(self, why: str) -> None:
        """Say which journal is not used, and why."""
        self._warn(f"Skipped: {why}")


def decoded(content: bytes) -> Iterator[Given]:
    """The lines of a journal, or of its beginning; one that is cut off is skipped. Raises MalformedError."""
    cut = 0
    for number, line in enumerate(io.BytesIO(content), 1):
        if line == b"\n":
            continue
        try:
            value = json.loads(line)
        except ValueError:
            cut += 1
            if cut > _MOST_CUT:
                raise MalformedError(f"line {number} and {_MOST_CUT} before it are not JSON") from None
            continue
        except RecursionError:
            raise MalformedError(f"line {number} is nested too deeply") from None
        if json_values.is_too_deep(line, value):  # what is shown of it could not be written
            raise MalformedError(f"line {number} is nested too deeply")
        yield Given(value, f"line {number}")


def _unreadable(store: JournalStore, run: str, why: str) -> ConfigError:
    return ConfigError(
        f"{store.where(run)} cannot be read: {why}.",
        hint="It is damaged, or another program wrote it, and nothing was changed. Look at it, then move it out of "
        "that folder: rtp then goes on without what it records.",
        code="unreadable-journal",
    )


def _run(path: Path) -> str:
    name = _NAME.fullmatch(path.name)
    return name[2] if name else path.stem


def _append(path: Path, batch: bytes, *, durable: bool) -> None:
    with open(path, "ab", opener=private.opener) as file:  # Path.open has no opener
        file.write(batch)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _beginning(path: Path) -> Document | None:
    try:
        with open(path, "rb", opener=private.reader) as file:
            written = os.fstat(file.fileno()).st_mtime
            return Document(file.read(HEAD_BYTES), max(0, round((time.time() - written) * 1000)))
    except FileNotFoundError:
        return None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
