"""The engine's state folder, `<root>/.rtp/local/`: its files, which process serves it, and the lock for a start."""

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
from rtp.local.weather.choice import Weather
from rtp.text.given import Given
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO


DEFAULT_PORT = 4566
DEFAULT_SAVE_EVERY_S = 30.0
_MOST_PID, _MOST_ID = 2**31 - 1, 2**64 - 1
_MOST_PORT_BYTES = 100
_ENDING_S = 5.0  # a killed process may hold its lock a moment longer than it is visible


@dataclass(frozen=True, slots=True)
class Record:
    """The process that serves this folder; written when the engine is ready, removed once it has saved and stopped.

    device, inode: of the folder that it serves. A copy of the folder contains the record, but has other numbers.
    weather: None if it answers as MiniStack does.
    enforces_iam: whether it enforces the permissions of roles.
    save_every_s: seconds between saves; 0: only a stop saves.
    """

    pid: int
    started: str
    port: int
    token: str = field(repr=False)
    device: int
    inode: int
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    weather: Weather | None = None
    enforces_iam: bool = False
    save_every_s: float = 0


@dataclass(frozen=True, slots=True)
class Occupant:
    """The engine of a folder.

    running: its process serves this folder. killed: it did, and ended without a save at its end.
    copied: the record was copied with the folder while its engine was running; this folder has no engine.
    elsewhere: a process that is not visible from here serves this folder, such as one in another container.
    """

    state: Literal["stopped", "running", "killed", "copied", "elsewhere"]
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of one engine's state; everything the engine writes is below `path`."""

    path: Path

    @property
    def record_file(self) -> Path:
        """JSON of the Record. If it exists and no process runs, the engine was killed."""
        return self.path / "engine.json"

    @property
    def restored_file(self) -> Path:
        """Time of the last return to an earlier save, after a kill: epoch ms."""
        return self.path / "restored"

    @property
    def port_file(self) -> Path:
        """Port of the last run, preferred by the next one because stored queue URLs contain it."""
        return self.path / "port"

    @property
    def log_file(self) -> Path:
        """The engine's log, rotated."""
        return self.path / "engine.log"

    @property
    def stderr_file(self) -> Path:
        """What the process writes outside its log, such as a crash at import."""
        return self.path / "stderr.log"

    @property
    def stopping_file(self) -> Path:
        """The phase of a stop that the engine reports: draining or saving."""
        return self.path / "stopping"

    @property
    def serving_file(self) -> Path:
        """Locked by the process that serves the folder while it lives; contains the folder's identity."""
        return self.path / "serving"

    @property
    def lock_file(self) -> Path:
        """Locked by the command that starts, stops or clears the engine."""
        return self.path / "lock"

    @property
    def data(self) -> Path:
        """The last complete save; never written to."""
        return self.path / "data"

    @property
    def live(self) -> Path:
        """Data of the running engine; a stop turns it into the last save."""
        return self.path / "live"

    @property
    def draft(self) -> Path:
        """The save that the running engine is writing."""
        return self.path / "data.new"

    @property
    def previous(self) -> Path:
        """The previous save, while the new one replaces it."""
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
        """Raises RefusedError for a folder that is not rtp's own: a link, another user's, or unmarked."""
        log = self.log_file
        run = (self.record_file, self.port_file, self.serving_file, self.stopping_file, self.lock_file)
        files = (*run, self.stderr_file, self.restored_file)
        try:
            if self.path.parent.name == project.STATE:
                project.check_state(self.path.parent)
            for path in (self.path.parent, self.path, *files, log, log.with_name(f"{log.name}.1")):
                owned.check(path)
            for folder in (self.data, self.live, self.draft, self.previous, self.tmp, self.home):
                owned.check_marked(folder)
        except OSError as error:
            raise ConfigError(
                f"The local engine's folder {self.path} cannot be read: {error.strerror}.",
                hint="Give yourself access to the folder and to everything in it.",
                code="folder-not-readable",
            ) from error

    def open(self) -> int:
        """A descriptor of the folder, for `os.close`; follows no link below the project's folder. Raises OSError."""
        above = self.path.parents[1] if len(self.path.parts) > 1 else self.path
        return owned.open_below(above, self.path.relative_to(above).parts)

    def create(self) -> None:
        """Create the folder, readable by this user alone. Raises ConfigError."""
        try:
            project.below(self.path.parent)
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
                f"The local engine cannot write {self.path}: {error.strerror}.",
                hint="Make the folder writable, or run rtp from a folder that is.",
                code="folder-not-writable",
            ) from error

    def record(self) -> Record | None:
        """The Record, or None if there is none; a damaged one stands for a process that has ended."""
        try:
            return _record(Given(json.loads(private.read(self.record_file))))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ConfigError(
                f"The local engine's files in {self.path} cannot be read: {error.strerror}.",
                hint="Another user started it: have that user run `rtp local stop`, then delete the folder.",
                code="folder-not-readable",
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError):
            return _UNREADABLE if self.record_file.is_file() else None

    def identity(self) -> tuple[int, int]:
        """Device and inode: unchanged by a move within a file system, different in a copy."""
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def occupant(self) -> Occupant:
        """The engine of this folder; a record that was copied here is not taken for one."""
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
        """Whether a process holds the serving lock; a pid alone may have been reused."""
        try:
            with self.serving_file.open() as file:
                return not try_lock(
                    file.fileno(), fcntl.LOCK_SH
                )  # shared: two commands that check at once must not see an engine
        except FileNotFoundError:
            return False

    def serve(self, timeout: float = _ENDING_S) -> TextIO | None:
        """Take the serving lock until the file is closed; None if another process has it."""
        file = self.serving_file.open("a")
        deadline = time.monotonic() + timeout  # a command that checks it holds it for a moment
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
        """Replace hard links by files, in a copy made of links; needs the lock, and that no engine runs here."""
        if is_shared(self.serving_file) and self.serving_file.read_text() != self._identity_text():
            self.serving_file.unlink()  # the engine of the original holds its lock
        for file in (self.stderr_file, self.log_file, self.log_file.with_name(f"{self.log_file.name}.1")):
            if is_shared(file):
                private.write(file, file.read_text(errors="replace"))

    def _identity_text(self) -> str:
        return "{} {}\n".format(*self.identity())

    def write_record(self, record: Record) -> None:
        """Write the Record atomically, readable by this user alone."""
        private.write(self.port_file, f"{record.port}\n")
        private.write(self.record_file, json.dumps(asdict(record)))

    def last_port(self) -> int | None:
        """The port of the last run."""
        try:
            port = int(private.read(self.port_file, _MOST_PORT_BYTES))
        except (OSError, ValueError):
            return None
        return port if 0 < port < 65_536 else None

    def remove(self, folder: Path) -> None:
        """Remove one of the folders above with everything in it, if it has rtp's mark."""
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
        """Hold the lock that a start, a stop and a clearing need. Raises WaitTimeoutError after `timeout` seconds."""
        with self.lock_file.open("a") as file:
            deadline = time.monotonic() + timeout
            while not try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise WaitTimeoutError(
                        f"Another rtp has been starting or stopping the local engine for {timeout:g} s.",
                        hint="Try again, or end the other rtp.",
                    )
                time.sleep(0.05)
            yield


def _record(values: Given) -> Record:
    """Raises MalformedError, and what a weather of other types raises."""
    weather = values.values.get("weather")
    return Record(
        values.integer("pid", least=1, most=_MOST_PID),
        values.text("started"),
        values.integer("port", least=1, most=65_535),
        values.text("token"),
        device=values.integer("device", most=_MOST_ID),
        inode=values.integer("inode", most=_MOST_ID),
        access_key_id=values.text("access_key_id"),
        secret_access_key=values.text("secret_access_key"),
        weather=Weather.from_json(weather) if weather else None,
        enforces_iam=values.values.get("enforces_iam") is True,
        save_every_s=values.number("save_every_s", 0),
    )


# Stands for a damaged record, and for one of an older rtp, whose engine accepts any key.
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
    """Lock an open file until it is closed; False if another process has the lock."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
