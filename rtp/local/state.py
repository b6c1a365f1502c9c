"""The engine's state folder, `<root>/.rtp/local/`: what lies where, who runs, and who may start."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from rtp.errors import ConfigError, WaitTimeoutError
from rtp.local import owned, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO


DEFAULT_PORT = 4566
_ENDING_S = 5.0  # a process that is being killed may hold its lock a little longer than it can be seen


@dataclass(frozen=True, slots=True)
class Record:
    """Who serves this folder; written when the engine is ready, removed once it has stopped with its data saved.

    device, inode: the folder that it serves. A copy of the folder has a copy of the record, but other numbers.
    """

    pid: int
    started: str
    port: int
    token: str = field(repr=False)
    device: int
    inode: int
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Occupant:
    """Which engine a folder has.

    running: its process serves this very folder. killed: it did, and died without saving.
    copied: the record was copied with the folder, from one whose engine was running; this folder has none.
    elsewhere: a process serves this folder that cannot be seen from here, such as one in another container.
    """

    state: Literal["stopped", "running", "killed", "copied", "elsewhere"]
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of one engine's state; everything the engine writes is below `path`."""

    path: Path

    @property
    def record_file(self) -> Path:
        """JSON of the Record; its presence without a live process means that the engine was killed."""
        return self.path / "engine.json"

    @property
    def port_file(self) -> Path:
        """Port of the last run, preferred by the next one: stored queue URLs hold it."""
        return self.path / "port"

    @property
    def log_file(self) -> Path:
        """What the engine logs, rotated."""
        return self.path / "engine.log"

    @property
    def stderr_file(self) -> Path:
        """What the process says outside its log, such as a crash at import."""
        return self.path / "stderr.log"

    @property
    def stopping_file(self) -> Path:
        """How far the engine is that was asked to stop: draining or saving."""
        return self.path / "stopping"

    @property
    def serving_file(self) -> Path:
        """Locked by the process that serves the folder for as long as it lives; it holds the folder's identity."""
        return self.path / "serving"

    @property
    def lock_file(self) -> Path:
        """Locked by whoever starts, stops or clears the engine."""
        return self.path / "lock"

    @property
    def data(self) -> Path:
        """The last complete save; nothing writes into it."""
        return self.path / "data"

    @property
    def live(self) -> Path:
        """What the running engine works in; a stop makes it the save."""
        return self.path / "live"

    @property
    def previous(self) -> Path:
        """The save before, while the new one takes its place."""
        return self.path / "data.old"

    @property
    def tmp(self) -> Path:
        """TMPDIR of the engine and of its functions."""
        return self.path / "tmp"

    @property
    def home(self) -> Path:
        """HOME of the engine and of its functions."""
        return self.path / "home"

    def check(self) -> None:
        """Refuse a folder that is not rtp's own: a link, another user's, or made by somebody else. Changes nothing."""
        log = self.log_file
        run = (self.record_file, self.port_file, self.serving_file, self.stopping_file, self.lock_file)
        files = (*run, self.stderr_file)
        try:
            for path in (self.path.parent, self.path, *files, log, log.with_name(f"{log.name}.1")):
                owned.check(path)
            for folder in (self.data, self.live, self.previous, self.tmp, self.home):
                owned.check_marked(folder)
        except OSError as error:
            raise ConfigError(
                f"the local engine's folder {self.path} cannot be read: {error.strerror}",
                hint="give yourself access to the folder and to everything in it",
                code="folder-not-readable",
            ) from error

    def open(self) -> int:
        """A descriptor of the folder, for `os.close`; through no link from the project's folder on. Raises OSError."""
        above = self.path.parents[1] if len(self.path.parts) > 1 else self.path
        return owned.open_below(above, self.path.relative_to(above).parts)

    def create(self) -> None:
        """Make the folder, for this user alone."""
        try:
            if not self.path.parent.exists():
                self.path.parent.mkdir(parents=True, mode=0o700)
                (self.path.parent / ".gitignore").write_text("*\n")
            self.path.mkdir(exist_ok=True, mode=0o700)
            self.path.chmod(0o700)
            for folder in (self.live, self.tmp, self.home):
                owned.make(folder)
            if not os.access(self.path, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
            for file in (self.lock_file, self.stderr_file):
                file.touch(mode=0o600)
        except OSError as error:
            raise ConfigError(
                f"the local engine cannot write {self.path}: {error.strerror}",
                hint="make the folder writable, or run rtp from a folder that is",
                code="folder-not-writable",
            ) from error

    def record(self) -> Record | None:
        """The Record, or None when there is none; a damaged one counts as a process that is gone."""
        try:
            return Record(**json.loads(self.record_file.read_text()))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ConfigError(
                f"the local engine's files in {self.path} cannot be read: {error.strerror}",
                hint="it was started by another user: let that one run `rtp local stop`, then delete the folder",
                code="folder-not-readable",
            ) from error
        except (ValueError, TypeError, NotADirectoryError):
            return _UNREADABLE if self.record_file.is_file() else None

    def identity(self) -> tuple[int, int]:
        """Device and inode: the same after a move within a file system, others in a copy."""
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def occupant(self) -> Occupant:
        """The engine of this very folder, whatever a record says that was copied here."""
        record = self.record()
        if record is None:
            return Occupant("stopped")
        if record is not _UNREADABLE and (record.device, record.inode) != self.identity():
            return Occupant("copied", record)
        deadline = time.monotonic() + _ENDING_S
        while self._is_served():
            if process.alive(record.pid, record.started):
                return Occupant("running", record)
            if time.monotonic() > deadline:
                return Occupant("elsewhere", record)
            time.sleep(0.05)
        return Occupant("killed", record) if self.record() == record else self.occupant()

    def _is_served(self) -> bool:
        """Whether a process holds the lock of the one that serves; a pid alone may belong to another by now."""
        try:
            with self.serving_file.open() as file:
                return not try_lock(file.fileno(), fcntl.LOCK_SH)  # shared, so that two that look see no engine
        except FileNotFoundError:
            return False

    def serve(self, timeout: float = _ENDING_S) -> TextIO | None:
        """Take the lock of the process that serves, until the file is closed; None when another process has it."""
        file = self.serving_file.open("a")
        deadline = time.monotonic() + timeout  # somebody who looks whether it is free has it for a moment
        while not try_lock(file.fileno()):
            if time.monotonic() > deadline:
                file.close()
                return None
            time.sleep(0.05)
        file.truncate(0)
        file.write(self._identity_text())
        file.flush()
        return file

    def unshare(self) -> None:
        """Give a copy that was made of hard links files of its own; needs the lock, and no engine that runs here."""
        if is_shared(self.serving_file) and self.serving_file.read_text() != self._identity_text():
            self.serving_file.unlink()  # the original's engine holds its lock
        for file in (self.stderr_file, self.log_file, self.log_file.with_name(f"{self.log_file.name}.1")):
            if is_shared(file):
                write_private(file, file.read_text(errors="replace"))

    def _identity_text(self) -> str:
        return "{} {}\n".format(*self.identity())

    def write_record(self, record: Record) -> None:
        """Write the Record whole or not at all, readable by this user alone."""
        write_private(self.port_file, f"{record.port}\n")
        write_private(self.record_file, json.dumps(asdict(record)))

    def last_port(self) -> int | None:
        """The port of the last run."""
        try:
            return int(self.port_file.read_text())
        except (OSError, ValueError):
            return None

    def remove(self, folder: Path) -> None:
        """Remove one of the folders above with everything in it, if rtp made it."""
        try:
            descriptor = self.open()
        except OSError:
            return
        try:
            owned.remove(descriptor, folder)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def lock(self, timeout: float = 60) -> Iterator[None]:
        """Hold the right to start, stop or clear this engine; another rtp that has it is waited for."""
        with self.lock_file.open("a") as file:
            deadline = time.monotonic() + timeout
            while not try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise WaitTimeoutError(
                        f"another rtp has been starting or stopping the local engine for {timeout:g} s",
                        hint="try again, or end the other rtp",
                    )
                time.sleep(0.05)
            yield


# Stands for a damaged one, and for one of an older rtp, whose engine lets in everybody.
_UNREADABLE = Record(0, "", 0, "", device=0, inode=0, access_key_id="", secret_access_key="")


def folder(root: Path) -> Folder:
    """The state folder of the engine of a project folder."""
    return Folder(root.resolve() / ".rtp" / "local")


def is_shared(path: Path) -> bool:
    """Whether a file has hard links elsewhere, as in a copy by `cp -al`."""
    try:
        return path.stat().st_nlink > 1
    except FileNotFoundError:
        return False


def try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file until it is closed; False when another process has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, mode 0600."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(draft, flags, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
