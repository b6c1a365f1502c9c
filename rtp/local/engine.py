"""The embedded AWS engine of a project folder: start, find, stop and reset its background process."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from rtp.errors import NotFoundError, RefusedError, RtpError
from rtp.local import environment, launch, losses, saves, stopping
from rtp.local.door import SAVES_PATH, TOKEN_HEADER
from rtp.local.keys import Keys
from rtp.local.state import DEFAULT_PORT, DEFAULT_SAVE_EVERY_S, Folder, Occupant, Record, folder
from rtp.local.stopping import PATIENCE, Patience, Stopped
from rtp.text import suggest, times
from rtp.trust import private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rtp.local.weather.choice import Weather

HEALTH_PATH = "/_ministack/health"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine.

    enforces_iam: whether it enforces the permissions of roles.
    data_lost: the engine before it was killed. loss: a sentence about what its data lacks for that reason, or because
    the folder was copied while its engine ran; empty where nothing is missing. weather: see rtp.local.weather.
    save_every_s: seconds between saves; 0: only a stop saves.
    """

    endpoint_url: str
    port: int
    pid: int
    token: str = field(repr=False)
    keys: Keys
    log_file: Path
    enforces_iam: bool = False
    data_lost: bool = False
    loss: str = ""
    weather: Weather | None = None
    save_every_s: float = 0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The state of a folder's engine.

    killed: it ended without a save at its end, so the next start restores its last one.
    elsewhere: a process that is not visible from here serves the folder.
    copied: the folder is a copy of one whose engine was running; it has no engine, but that engine's last save.
    saved: time of the last save, ISO 8601. loss: a sentence about what the save lacks, if killed or copied.
    save_error: why the latest save of a running engine failed; empty if it did not, or the engine does not answer.
    """

    state: Literal["running", "stopped", "killed", "elsewhere"]
    folder: Path
    log_file: Path
    engine: Engine | None = None
    answers: bool = False
    copied: bool = False
    saved: str | None = None
    loss: str = ""
    save_error: str = ""

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.state == "running"


def status(root: Path) -> EngineStatus:
    """The state of the engine; changes nothing."""
    place = _place(root)
    occupant = place.occupant()
    copied = occupant.state == "copied"
    saved = saves.saved_at(place, copied=copied)
    report = EngineStatus(
        "stopped" if occupant.state == "copied" else occupant.state,
        place.path,
        place.log_file,
        copied=copied,
        saved=saved,
        loss=losses.of(occupant.state, saved),
    )
    if occupant.state != "running" or occupant.record is None:
        return report
    engine = _engine(place, occupant.record)
    answers = _answers(engine)
    return replace(report, engine=engine, answers=answers, save_error=_save_error(engine) if answers else "")


def require(root: Path) -> Engine:
    """The running engine. Raises NotFoundError with the fix where none runs.

    The files of a killed engine are removed except for its Record: every command reports the kill until a start, a stop
    or a reset.
    """
    place = _place(root)
    occupant = place.occupant()
    running = _served(occupant)
    if running is not None:
        return _engine(place, running)
    if occupant.state == "killed":
        with place.lock():
            if place.record() == occupant.record:  # no other engine has started meanwhile
                saves.discard_run(place)
        saved = saves.saved_at(place)
        raise NotFoundError(losses.killed(saved), hint=losses.restart(saved), code="engine-killed")
    if occupant.state == "copied":
        saved = saves.saved_at(place, copied=True)
        raise NotFoundError(
            f"The local engine is not running. {losses.copied(saved)}",
            hint=losses.restart(saved),
            code="engine-stopped",
        )
    raise NotFoundError(
        "The local engine is not running.", hint="Run `rtp local start` or `rtp deploy`.", code="engine-stopped"
    )


def start(
    root: Path,
    *,
    port: int | None = None,
    enforce_iam: bool | None = None,
    extra_env: Mapping[str, str] | None = None,
    weather: Weather | None = None,
    save_every_s: float = DEFAULT_SAVE_EVERY_S,
) -> Engine:
    """Start the engine, or return the one that runs already. Raises RefusedError where that one has other options.

    port: the only port to use; without it the last run's, 4566, or the next free one.
    enforce_iam: whether permissions are enforced; None for either.
    extra_env: variables added to the scrubbed environment of the engine.
    weather, save_every_s (0: only a stop saves): of a new engine.
    """
    place = _place(root)
    launch.check_installed()
    place.create()
    with place.lock():
        before = place.occupant()
        running = _served(before)
        if running is not None:
            return _running(place, running, port, enforce_iam=enforce_iam)
        _clear_leftovers(place, before)
        place.create()
        place.unshare()
        variables = {**(environment.ENFORCING if enforce_iam else {}), **(extra_env or {})}
        launch.launch(place, port, variables, weather, save_every_s)
        record = place.record()
        if record is None:
            raise RtpError("The local engine ended just after its start.", hint=f"See {place.log_file}.")
        loss = losses.of(before.state, saves.saved_at(place))
        return replace(_running(place, record, port), data_lost=before.state == "killed", loss=loss)


def stop(root: Path, *, patience: Patience = PATIENCE) -> Stopped | None:
    """Stop the engine and keep its data; None if none was running. Removes the files of a killed or copied engine."""
    place = _place(root)
    if place.record() is None:
        return None
    with place.lock():
        occupant = place.occupant()
        record = _served(occupant)
        if record is None:
            _clear_leftovers(place, occupant)
            return None
        return stopping.end(place, record, patience)


def restored_ms(root: Path) -> int:
    """When the folder's data last went back to an earlier save, epoch ms; 0 for never.

    What was sent to the engine's queues before may not be in them: journals of then do not say what they have.
    """
    with contextlib.suppress(OSError, ValueError):
        return int(_place(root).restored_file.read_text())
    return 0


def taken_port(root: Path) -> int | None:
    """The port that the next start prefers, if another program has it; the start then takes the next free one."""
    port = _place(root).last_port() or DEFAULT_PORT
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(0)
        except OSError:
            return port
    return None


def reset(root: Path) -> None:
    """Delete all data; a running engine keeps running, empty."""
    place = _place(root)
    running = _served(place.occupant())
    if running is not None:
        _reset(_engine(place, running))
        return
    if not place.path.exists():
        return
    with place.lock():
        saves.discard_run(place)
        saves.discard(place)
        place.record_file.unlink(missing_ok=True)  # last, so that an interrupted reset is repeated


def _place(root: Path) -> Folder:
    """The engine's folder. Raises RefusedError where it is not rtp's own."""
    place = folder(root)
    place.check()
    return place


def _reset(engine: Engine) -> None:
    try:
        status, _ = _call(engine, "POST", "/_ministack/reset", timeout=60)
        answer = f"answered {status}"
    except (OSError, http.client.HTTPException) as error:
        status, answer = 0, f"did not answer: {error}"
    if status != 200:
        raise RtpError(
            f"The local engine (process {engine.pid}) {answer}; its data may not be deleted.",
            hint=f"Run `rtp local stop`, then `rtp local reset`. The log is {engine.log_file}.",
        )


def _engine(place: Folder, record: Record) -> Engine:
    url = f"http://127.0.0.1:{record.port}"
    keys = Keys(record.access_key_id, record.secret_access_key)
    place_and_key = url, record.port, record.pid, record.token, keys, place.log_file
    return Engine(
        *place_and_key,
        enforces_iam=record.enforces_iam,
        weather=record.weather,
        save_every_s=record.save_every_s,
    )


def _running(place: Folder, record: Record, port: int | None, *, enforce_iam: bool | None = None) -> Engine:
    engine = _engine(place, record)
    if enforce_iam is not None and enforce_iam != record.enforces_iam:
        enforces = "enforces permissions" if record.enforces_iam else "does not enforce permissions"
        raise RefusedError(
            f"The local engine already runs and {enforces}; enforce_iam = {str(enforce_iam).lower()} in rtp.toml.",
            hint="Run `rtp local stop`, which keeps its data, then repeat the command.",
            code="engine-iam",
        )
    if port is not None and port != record.port:
        raise RefusedError(
            f"The local engine already runs, on port {record.port}.",
            hint=suggest.sentence(
                "Run `rtp local stop`, then {}.", suggest.command("rtp", "local", "start", port=port)
            ),
        )
    if not _answers(engine):
        raise RtpError(
            f"The local engine (process {engine.pid}) runs but does not answer on port {engine.port}.",
            hint=f"Run `rtp local stop`, then `rtp local start`. The log is {engine.log_file}.",
        )
    return engine


def _served(occupant: Occupant) -> Record | None:
    """The record of the engine that serves the folder; None if none does. Raises RefusedError if it runs elsewhere."""
    if occupant.state == "elsewhere":
        pid = f" {occupant.record.pid}" if occupant.record and occupant.record.pid else ""
        raise RefusedError(
            f"The local engine of this folder is a process{pid} that is not visible from here.",
            hint="It runs in another container, on another machine or under another version of rtp: "
            "run `rtp local stop` there.",
            code="engine-elsewhere",
        )
    return occupant.record if occupant.state == "running" else None


def _clear_leftovers(place: Folder, occupant: Occupant) -> None:
    """Remove the files of a killed engine, or of a copied run, except for the last save; needs the lock.

    The functions of a killed engine end by themselves.
    """
    if occupant.state in ("killed", "copied"):
        private.write(place.restored_file, f"{times.now_ms()}\n")
        saves.discard_run(place, copied=occupant.state == "copied")
        place.record_file.unlink(missing_ok=True)


def _answers(engine: Engine) -> bool:
    try:
        return _call(engine, "GET", HEALTH_PATH, timeout=5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _save_error(engine: Engine) -> str:
    """Why the latest save failed. The engine is asked because a full disk takes no file that says so."""
    try:
        status, body = _call(engine, "GET", SAVES_PATH, timeout=5)
        return str(json.loads(body)["error"]) if status == 200 else ""
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return ""


def _call(engine: Engine, method: str, path: str, *, timeout: float) -> tuple[int, bytes]:
    """Send one request to the engine; status and body of its response."""
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=timeout)
    try:
        connection.request(method, path, headers={TOKEN_HEADER: engine.token, "Content-Length": "0"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
