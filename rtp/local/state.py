"""The engine's state folder, `<root>/.rtp/local/`: what lies where, who runs, and who may start."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


DEFAULT_PORT = 4566


@dataclass(frozen=True, slots=True)
class Record:
    """Who serves this folder; written when the engine is ready, removed once it has stopped with its data saved."""

    pid: int
    started: str
    port: int
    token: str


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
    def lock_file(self) -> Path:
        """Locked by whoever starts, stops or clears the engine."""
        return self.path / "lock"

    @property
    def data(self) -> Path:
        """Everything that a stop keeps and a kill spoils."""
        return self.path / "data"

    @property
    def tmp(self) -> Path:
        """TMPDIR of the engine and of its functions."""
        return self.path / "tmp"

    @property
    def home(self) -> Path:
        """HOME of the engine and of its functions."""
        return self.path / "home"

    def create(self) -> None:
        """Make the folder, for this user alone."""
        try:
            if not self.path.parent.exists():
                self.path.parent.mkdir(parents=True, mode=0o700)
                (self.path.parent / ".gitignore").write_text("*\n")
            for folder in (self.path, self.data, self.tmp, self.home):
                folder.mkdir(exist_ok=True, mode=0o700)
                folder.chmod(0o700)
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
            return Record(pid=0, started="", port=0, token="") if self.record_file.is_file() else None

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

    def forget(self) -> None:
        """Forget all data and keep the Record: of a killed engine, it still says so."""
        for folder in (self.data, self.tmp, self.home):
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Forget all data, the Record last: an interrupted clearing is done again."""
        self.forget()
        self.record_file.unlink(missing_ok=True)

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


def folder(root: Path) -> Folder:
    """The state folder of the engine of a project folder."""
    return Folder(root.resolve() / ".rtp" / "local")


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; False when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, mode 0600."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
