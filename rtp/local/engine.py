"""The embedded AWS engine of a project folder: start, find, stop and forget the one background process."""

from __future__ import annotations

import http.client
import importlib.util
import os
import select
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rtp import suggest
from rtp.errors import ConfigError, NotFoundError, RefusedError, RtpError, WaitTimeoutError
from rtp.local import environment, process
from rtp.local.door import TOKEN_HEADER
from rtp.local.state import DEFAULT_PORT, Folder, Record, folder

if TYPE_CHECKING:
    from collections.abc import Mapping

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0  # saving many records takes a while, and a stop that is cut short loses all of them
HEALTH_PATH = "/_ministack/health"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine. data_lost: its predecessor was killed, and what that one held had to be cleared."""

    endpoint_url: str
    port: int
    pid: int
    token: str
    log_file: Path
    data_lost: bool = False


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How the engine of a folder is. killed: it died without saving, so the next start begins with nothing."""

    state: Literal["running", "stopped", "killed"]
    folder: Path
    log_file: Path
    engine: Engine | None = None
    answers: bool = False

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.state == "running"


def status(root: Path) -> EngineStatus:
    """Look at the engine, changing nothing."""
    place = folder(root)
    record = place.record()
    if record is None:
        return EngineStatus("stopped", place.path, place.log_file)
    if not process.alive(record.pid, record.started):
        return EngineStatus("killed", place.path, place.log_file)
    engine = _engine(place, record)
    return EngineStatus("running", place.path, place.log_file, engine, answers=_answers(engine))


def require(root: Path) -> Engine:
    """The running engine, or a NotFoundError that says what to do.

    What a killed one left is cleared, but for its Record: until a start, a stop or a reset, every command says so.
    """
    place = folder(root)
    record = place.record()
    if record is not None and process.alive(record.pid, record.started):
        return _engine(place, record)
    if record is not None:
        with place.lock():
            if place.record() == record:  # nobody has started another meanwhile
                place.forget()
        raise NotFoundError(
            "the local engine was killed, and the data it held is lost",
            hint="start again with nothing: `rtp deploy`",
            code="engine-killed",
        )
    raise NotFoundError(
        "the local engine is not running", hint="`rtp local start`, or `rtp deploy`", code="engine-stopped"
    )


def start(root: Path, *, port: int | None = None, extra_env: Mapping[str, str] | None = None) -> Engine:
    """Start the engine, or return the one that runs already.

    port: this one and no other; without it the last run's, 4566, or the next one that is free.
    extra_env: switches of the engine's own, on top of the scrubbed environment.
    """
    place = folder(root)
    _check_installed()
    place.create()
    with place.lock():
        record = place.record()
        if record is not None and process.alive(record.pid, record.started):
            return _running(place, record, port)
        lost = _clear_if_killed(place)
        place.create()
        _launch(place, port, extra_env)
        record = place.record()
        if record is None:
            raise RtpError("the local engine ended just after it had started", hint=f"see {place.log_file}")
        return _running(place, record, port, data_lost=lost)


def stop(root: Path, *, timeout: float = STOP_TIMEOUT_S) -> bool:
    """Stop the engine and keep its data; False when none was running. What a killed one left is cleared."""
    place = folder(root)
    if place.record() is None:
        return False
    with place.lock():
        record = place.record()
        if record is None or not process.alive(record.pid, record.started):
            _clear_if_killed(place)
            return False
        process.terminate(record.pid, record.started)
        if not process.wait_gone(record.pid, record.started, timeout):
            raise WaitTimeoutError(
                f"the local engine (process {record.pid}) has not stopped within {timeout:g} s",
                hint=suggest.sentence(
                    "wait, or {}, which loses its data", suggest.command("kill", "-9", values=[record.pid])
                )
                + f"; its log is {place.log_file}",
            )
        if place.record() is not None:
            _clear_if_killed(place)
            raise RtpError(
                "the local engine died while it stopped, and the data it held is lost", hint="run `rtp deploy`"
            )
        return True


def taken_port(root: Path) -> int | None:
    """The port that the next start would rather have, when another program has it; it then takes the next free one."""
    port = folder(root).last_port() or DEFAULT_PORT
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(0)
        except OSError:
            return port
    return None


def reset(root: Path) -> None:
    """Forget all data; a running engine goes on, empty."""
    place = folder(root)
    record = place.record()
    if record is not None and process.alive(record.pid, record.started):
        _reset(_engine(place, record))
        return
    if not place.path.exists():
        return
    with place.lock():
        place.clear()


def _reset(engine: Engine) -> None:
    try:
        status = _call(engine, "POST", "/_ministack/reset", timeout=60)
        why = f"answered {status}"
    except (OSError, http.client.HTTPException) as error:
        status, why = 0, f"did not answer: {error}"
    if status != 200:
        raise RtpError(
            f"the local engine (process {engine.pid}) {why}, and may hold data still",
            hint=f"`rtp local stop`, then `rtp local reset`; its log is {engine.log_file}",
        )


def _engine(place: Folder, record: Record, *, data_lost: bool = False) -> Engine:
    url = f"http://127.0.0.1:{record.port}"
    return Engine(url, record.port, record.pid, record.token, place.log_file, data_lost)


def _running(place: Folder, record: Record, port: int | None, *, data_lost: bool = False) -> Engine:
    engine = _engine(place, record, data_lost=data_lost)
    if port is not None and port != record.port:
        raise RefusedError(
            f"the local engine runs already, on port {record.port}",
            hint=suggest.sentence("`rtp local stop`, then {}", suggest.command("rtp", "local", "start", port=port)),
        )
    if not _answers(engine):
        raise RtpError(
            f"the local engine (process {engine.pid}) runs but does not answer on port {engine.port}",
            hint=f"`rtp local stop`, then `rtp local start`; its log is {engine.log_file}",
        )
    return engine


def _clear_if_killed(place: Folder) -> bool:
    """Clear what a killed engine left; needs the lock. Its functions end by themselves once it is gone."""
    record = place.record()
    if record is None or process.alive(record.pid, record.started):
        return False
    place.clear()
    return True


def _check_installed() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("ministack", "hypercorn")):
        raise ConfigError(
            "the local engine is not installed", hint="run `pip install 'rtp[local]'`", code="engine-missing"
        )


def _launch(place: Folder, port: int | None, extra_env: Mapping[str, str] | None) -> None:
    """Start the server and wait until it says that it is ready; the pipe ends early when it dies early."""
    read, write = os.pipe()
    argv = [sys.executable, "-m", "rtp.local.server", str(place.path), str(port or 0), str(write)]
    env = environment.scrubbed(place, os.environ, extra_env)
    try:
        with place.stderr_file.open("wb") as errors:
            subprocess.run(
                argv,
                env=env,
                cwd=Path(__file__).parents[2],  # where `rtp` is importable from, installed or not
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(write,),
                start_new_session=True,
                check=False,
                timeout=START_TIMEOUT_S,
            )
        os.close(write)
        write = -1
        ready, _, _ = select.select([read], [], [], START_TIMEOUT_S)
        answer = os.read(read, 4096).decode() if ready else "timeout"
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)
    if answer != "ready":
        raise _start_failure(place, answer, port)


def _start_failure(place: Folder, answer: str, port: int | None) -> RtpError:
    if answer == "port-taken":
        return ConfigError(
            f"port {port} is taken by another program",
            hint="name another with --port, or leave --port out",
            code="port-taken",
        )
    if answer == "busy":
        return RtpError("another engine is serving this folder and is not ready yet", hint="try again in a moment")
    if answer == "timeout":
        return WaitTimeoutError(
            f"the local engine was not ready within {START_TIMEOUT_S:g} s", hint=f"see {place.log_file}"
        )
    said = place.stderr_file.read_text(errors="replace").strip().splitlines()
    reason = f": {said[-1]}" if said else ""
    return RtpError(f"the local engine did not start{reason}", hint=f"see {place.stderr_file} and {place.log_file}")


def _answers(engine: Engine) -> bool:
    try:
        return _call(engine, "GET", HEALTH_PATH, timeout=5) == 200
    except (OSError, http.client.HTTPException):
        return False


def _call(engine: Engine, method: str, path: str, *, timeout: float) -> int:
    """One request to the engine; the status of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=timeout)
    try:
        connection.request(method, path, headers={TOKEN_HEADER: engine.token, "Content-Length": "0"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()
